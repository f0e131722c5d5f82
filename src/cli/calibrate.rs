//! `optloop calibrate`: how much identical code differs here.

use super::args::{CalibrateArgs, Logs};
use super::exit::Exit;
use super::refusal::Refusal;
use super::results;
use super::ui::Ui;
use crate::pipeline::Overrides;
use crate::project::{Access, RunRequest};

/// The stage that calibrates.
const STAGE: &str = "calibrate";

/// Runs the pipeline's `calibrate` stage, or the preset of that name.
pub(super) fn run(args: &CalibrateArgs, mut ui: Ui) -> Exit {
    ui.show_logs(Logs::New);
    try_run(args, &ui).unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn try_run(args: &CalibrateArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let project = args.which.find()?;
    let overrides = Overrides { add: vec![STAGE.to_owned()], ..args.which.overrides(&project) };
    let mut opened = project.open(overrides, Access::Wait, &[ui])?;
    let request = RunRequest { cached: results::cached(ui), ..RunRequest::of_stage(STAGE) };
    let report = opened.run(&request, &[ui], &results::interrupts)?;
    Ok(results::print(&opened, &report, ui))
}
