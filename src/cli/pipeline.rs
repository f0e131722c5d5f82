//! `optloop pipeline`: the main job.

use super::args::PipelineArgs;
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;
use super::{forecast, results};
use crate::project::{Access, RunMode, RunReport, RunRequest};

/// Runs it.
pub(super) fn run(args: &PipelineArgs, mut ui: Ui) -> Exit {
    ui.explain = args.explain;
    ui.mute = args.artifact_only;
    ui.show_logs(args.logs);
    try_run(args, &ui).unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn try_run(args: &PipelineArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let project = args.which.find()?;
    let overrides = args.which.overrides(&project);
    let mut opened = project.open(overrides, access(args), &[ui])?;
    if args.dry_run {
        return forecast::dry_run(&opened, &args.stages, ui);
    }
    let report = opened.run(&request(args, ui), &[ui], &results::interrupts)?;
    let exit = results::print(&opened, &report, ui);
    if args.artifact_only
        && let Some(artifact) = wanted_artifact(args, &report)
    {
        ui.line(&opened.state.paths.state.join(artifact).display().to_string());
    }
    Ok(exit)
}

fn access(args: &PipelineArgs) -> Access {
    match (args.dry_run, args.no_wait) {
        (true, _) => Access::Read,
        (false, true) => Access::Refuse,
        (false, false) => Access::Wait,
    }
}

fn request(args: &PipelineArgs, ui: &Ui) -> RunRequest {
    let mode = match (args.audit, args.rerun) {
        (true, _) => RunMode::Audit,
        (false, true) => RunMode::Rerun,
        (false, false) => RunMode::Normal,
    };
    RunRequest {
        stages: args.stages.clone(),
        mode,
        keep_going: args.keep_going,
        jobs: args.jobs,
        cached: results::cached(ui),
    }
}

/// Of the last stage that is named, or else the last that there is.
fn wanted_artifact<'a>(args: &PipelineArgs, report: &'a RunReport) -> Option<&'a str> {
    match args.stages.last() {
        Some(named) => report.artifact_of(named),
        None => report.last_artifact(),
    }
}
