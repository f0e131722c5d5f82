//! `optloop compare`: two kernels, pair by pair, through the pipeline that builds and checks them.

use super::args::{CompareArgs, Logs};
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;
use super::{anchor, results};
use crate::project::host::Disk;
use crate::project::{Comparison, Project, Sides};

/// Runs it.
pub(super) fn run(args: &CompareArgs, mut ui: Ui) -> Exit {
    ui.show_logs(Logs::New);
    let done = if args.anchor { try_anchor(args, &ui) } else { try_run(args, &ui) };
    done.unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn try_run(args: &CompareArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let side = |side: &Option<String>| side.clone().unwrap_or_default();
    let (a, b) = (side(&args.a), side(&args.b));
    let project = match &args.pipeline {
        Some(file) => Project::find(file, &Disk)?,
        None => Project::of_kernels(&a, &b, &Disk)?,
    };
    let comparison = comparison(args, Sides::Named { a, b });
    let compared = project.compare(&comparison, &[ui], &results::interrupts)?;
    Ok(results::print(&compared.opened, &compared.report, ui))
}

fn try_anchor(args: &CompareArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let project = Project::find(args.pipeline.as_deref().unwrap_or_default(), &Disk)?;
    anchor::run(&project, &comparison(args, Sides::Anchor), ui)
}

fn comparison(args: &CompareArgs, sides: Sides) -> Comparison {
    Comparison { sides, stage: args.stage.clone(), changes: args.tuning.overrides() }
}
