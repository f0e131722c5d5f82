//! x
use super::{args::ArtifactCommand,exit::Exit,ui::Ui};
pub(super) fn run(_c:&ArtifactCommand,_ui:&Ui)->Exit{Exit::Ok}
