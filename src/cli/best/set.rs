//! `optloop best set`: a kernel is built, checked and measured alone, and is the best from then on.

use std::path::Path;

use crate::cli::args::{Format, Logs, SetArgs};
use crate::cli::exit::Exit;
use crate::cli::lines::{self, BestSetLine, OfBest};
use crate::cli::refusal::Refusal;
use crate::cli::results;
use crate::cli::ui::Ui;
use crate::project::host::Disk;
use crate::project::promotion::{Rationale, Set};
use crate::project::{Project, RunRequest, Setting, shown};

/// Runs it.
pub(super) fn run(args: &SetArgs, ui: &mut Ui) -> Exit {
    ui.show_logs(Logs::New);
    set(args, ui).unwrap_or_else(|refusal| ui.refuse(&refusal))
}

fn set(args: &SetArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let project = Project::find(&args.pipeline, &Disk)?;
    let setting = Setting {
        kernel: args.kernel.clone(),
        stage: args.stage.clone(),
        changes: args.tuning.overrides(),
    };
    let mut opened = project.open_for_setting(&setting, &[ui])?;
    let stages = opened.overrides.only.clone();
    let request = RunRequest { stages, cached: results::cached(ui), ..RunRequest::default() };
    let report = opened.run(&request, &[ui], &results::interrupts)?;
    let exit = results::print(&opened, &report, ui);
    if exit != Exit::Ok {
        ui.complain(&format!("{} is not set: it did not pass", args.kernel));
        return Ok(exit);
    }
    let artifact = report.last_artifact().unwrap_or_default();
    let summary = args.summary.clone().unwrap_or_default();
    let why = Rationale { summary, ..Rationale::default() };
    let set = opened.set_best(artifact, &why)?;
    print(&args.kernel, &set, &opened.state.paths.state, ui);
    Ok(Exit::Ok)
}

fn print(kernel: &str, set: &Set, state: &Path, ui: &Ui) {
    for warning in &set.warnings {
        ui.complain(&format!("warning: {warning}"));
    }
    if ui.format == Format::Json {
        ui.json(&set_line(set));
        return;
    }
    let artifact = state.join(&set.line.artifact);
    ui.line(&format!("SET {}: {} is the best from now on", set.line.place.words(), kernel));
    ui.line(&format!("  artifact   {}", shown(&artifact).display()));
    ui.line(&format!("  incumbent  {}", shown(&set.folder).display()));
    ui.line("  take back  optloop best undo");
}

/// A set as a line of JSON.
fn set_line(set: &Set) -> lines::Line {
    let line = &set.line;
    lines::Line::BestSet(BestSetLine {
        about: OfBest::at(&line.place, Some(line.candidate.hex())),
        incumbent: set.folder.to_string_lossy().into_owned(),
        files: line.sources.iter().chain(&line.headers).map(|s| s.path.clone()).collect(),
        commit: line.commit.clone(),
        artifact: line.artifact.clone(),
        line: line.seq,
    })
}
