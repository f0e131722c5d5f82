//! x
use super::{args::CacheCommand,exit::Exit,ui::Ui};
pub(super) fn run(_c:&CacheCommand,_ui:&Ui)->Exit{Exit::Ok}
