//! `optloop artifact`: the accounts of measured stages, listed, shown and analysed.

mod account;
mod analyze;
mod cases;
mod comparison;
mod facts;
mod ls;
mod rest;
mod show;

use super::args::ArtifactCommand;
use super::exit::Exit;
use super::picture::Charset;
use super::ui::Ui;

pub(super) use account::find;
#[cfg(test)]
pub(super) use account::samples;

/// Runs one of them.
pub(super) fn run(command: &ArtifactCommand, ui: &Ui) -> Exit {
    let done = match command {
        ArtifactCommand::Ls { stage } => ls::list(stage.as_deref(), ui),
        ArtifactCommand::Show { artifact, ascii } => {
            show::show(artifact, ascii.then_some(Charset::Ascii), ui)
        }
        ArtifactCommand::Path { artifact } => find(artifact).map(|path| {
            ui.line(&path.display().to_string());
        }),
        ArtifactCommand::Analyze(args) => analyze::analyze(args, ui),
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}
