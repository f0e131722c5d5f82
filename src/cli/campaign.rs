//! `optloop loop`: campaigns, started, taken up, looked at and stopped.

mod copies;
mod given;
mod held;
mod live;
mod log;
mod moved;
mod preconditions;
mod publish;
mod ready;
mod show;
mod start;
mod status;
mod steer;
mod which;
mod words;

use super::args::{Format, LoopCommand, WhichCampaign};
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;
use which::{chosen, unwritable};

/// Runs one of its commands.
pub(super) fn run(command: &LoopCommand, ui: &Ui) -> Exit {
    let done = match command {
        LoopCommand::Start(args) => start::start(args, ui),
        LoopCommand::Resume(which) => start::resume(which, ui),
        LoopCommand::Status(which) => status::status(which, ui),
        LoopCommand::Results(which) => show::results(which, ui),
        LoopCommand::Diff(args) => show::diff(args, ui),
        LoopCommand::Log(command) => log::run(command, ui),
        LoopCommand::Publish(which) => publish::publish(which, ui),
        LoopCommand::Stop(which) => stop(which, ui),
        LoopCommand::Steer(args) => steer::steer(args, ui),
    };
    done.unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn stop(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    stored.ask_to_stop().map_err(|e| unwritable(&stored.folder, &e))?;
    if ui.format == Format::Human {
        ui.note(&format!("{} ends after its present iteration", stored.id));
    }
    Ok(Exit::Ok)
}
