//! `optloop best set`: a kernel is built, checked and measured alone, and is the best from then on.

use crate::cli::args::{Format, PipelineArgs, SetArgs, Which};
use crate::cli::compare::Sides;
use crate::cli::exit::Exit;
use crate::cli::incumbents::Incumbents;
use crate::cli::lines::{self, BestSetLine, OfBest};
use crate::cli::session::{self, Access, Refusal, Session};
use crate::cli::ui::Ui;
use crate::cli::world::{self, Disk, Located};
use crate::cli::{keep, pipeline};
use crate::pipeline::Overrides;
use crate::project::copies;
use crate::project::promotion::{self, Measured, Named, Set};

/// Runs it.
pub(super) fn run(args: &SetArgs, ui: &mut Ui) -> Exit {
    let planned = session::located(&args.pipeline).and_then(|located| {
        let (planned, stage) = plan(args, &located)?;
        Ok((located, planned, stage))
    });
    let (located, planned, stage) = match planned {
        Ok(planned) => planned,
        Err(refusal) => return ui.refuse(&refusal),
    };
    let exit = pipeline::run_with(&planned, ui);
    if exit != Exit::Ok {
        ui.complain(&format!("{} is not set: it did not pass", args.kernel));
        return exit;
    }
    match install(args, (&located, &planned, &stage), ui) {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

/// What is run: the kernel alone, now, through the stage that decides about it.
fn plan(args: &SetArgs, located: &Located) -> Result<(PipelineArgs, String), Refusal> {
    let overrides = Overrides {
        set: args.tuning.set.iter().cloned().collect(),
        device: args.tuning.device.clone(),
        ..Overrides::default()
    };
    let scoring = Incumbents { located, overrides: &overrides }.scoring();
    let stage = args.stage.clone().or_else(|| scoring.first().cloned()).ok_or_else(|| {
        let what = format!("{} has no stage that compares with the best", args.pipeline);
        let hint = "write incumbent = \"best\" in the stage that decides".to_owned();
        Refusal::Words(what, Some(hint), Exit::User)
    })?;
    let mut tuning = args.tuning.clone();
    tuning.set.push((format!("stages.{stage}.cache"), "false".to_owned()));
    let sides = Sides { located, stage: &stage, tuning: &args.tuning };
    let side = sides.kernel(&args.kernel)?;
    tuning.set.extend(side.set);
    let which = Which {
        file: args.pipeline.clone(),
        kernel: side.kernel,
        incumbent: Some("none".to_owned()),
        tuning,
        add: Vec::new(),
        only: vec![stage.clone()],
    };
    Ok((PipelineArgs::of(which, &[&stage]), stage))
}

fn install(
    args: &SetArgs,
    (located, planned, stage): (&Located, &PipelineArgs, &str),
    ui: &Ui,
) -> Result<(), Refusal> {
    let user = |what: String| Refusal::Words(what, None, Exit::User);
    let session = Session::open(&planned.which, Access::Wait, ui)?;
    let state = session.state.paths.state.clone();
    let artifact = ui.last_artifact().unwrap_or_default();
    let measured = Measured::read(&state, &state.join(artifact)).map_err(user)?;
    let own = Incumbents { located, overrides: &Overrides::default() };
    let here = Incumbents { located, overrides: &session.overrides };
    let place = here.decided_by(stage)?;
    let kernel = here.kernel().unwrap_or_default();
    let copy = kernel.first().and_then(|path| copies::of(&located.root, path));
    let commit = copy.as_ref().and_then(|copy| copies::commit(&copy.folder));
    let ground = promotion::Ground {
        state: &session.state,
        host: &Disk,
        stage,
        kernel: &kernel,
        place,
        copy: copy.map(|copy| copy.folder),
        recipe: None,
        at: super::now(),
    };
    let own = own.kernel().unwrap_or_default();
    let named = Named { kernel: &own, commit };
    let said = super::said(args.summary.as_ref());
    let set = promotion::set(&ground, &measured, &named, &said).map_err(keep::refusal)?;
    for warning in &set.warnings {
        ui.complain(&format!("warning: {warning}"));
    }
    if ui.format == Format::Json {
        ui.json(&set_line(&set));
        return Ok(());
    }
    ui.line(&format!("SET {}: {} is the best from now on", set.line.place.words(), args.kernel));
    ui.line(&format!("  artifact   {}", world::shown(&state.join(&set.line.artifact)).display()));
    ui.line(&format!("  incumbent  {}", world::shown(&set.folder).display()));
    ui.line("  take back  optloop best undo");
    Ok(())
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
