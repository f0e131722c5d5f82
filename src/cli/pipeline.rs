//! `optloop pipeline`: the main job.

use std::path::Path;
use std::sync::Mutex;

use super::args::{Format, Logs, PipelineArgs};
use super::exit::{self, Exit};
use super::session::{Access, Refusal, Session};
use super::ui::Ui;
use super::world::{self, Disk, Located};
use super::{keep, words};
use crate::cache::World;
use crate::cache::index::flag;
use crate::campaign::worktree;
use crate::engine::event::{EVENT_VERSION, RunStarted};
use crate::engine::{Engine, EngineError, Event, Options, Outcome, RunFinished, Surroundings};
use crate::pipeline::{Overrides, Target};
use crate::plan;
use crate::process::jobserver::Tokens;
use crate::process::{self, Cancel};
use crate::record::{Provenance, Recorder};

/// Runs it.
pub(super) fn run(args: &PipelineArgs, mut ui: Ui) -> Exit {
    run_with(args, &mut ui)
}

/// Runs it with a printer that knows afterwards what happened.
pub(super) fn run_with(args: &PipelineArgs, ui: &mut Ui) -> Exit {
    ui.explain = args.explain;
    ui.logs = if ui.quiet { Logs::None } else { args.logs };
    ui.mute = args.artifact_only;
    match try_run(args, ui) {
        Ok(exit) => exit,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn try_run(args: &PipelineArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let access = match (args.dry_run, args.no_wait) {
        (true, _) => Access::Read,
        (false, true) => Access::Refuse,
        (false, false) => Access::Wait,
    };
    let mut session = Session::open(&args.which, access, ui)?;
    let selected = session.select(&args.stages)?;
    if args.dry_run {
        return super::explain::dry_run(&session, &selected, ui);
    }
    let options = Options {
        jobs: args.jobs,
        keep_going: args.keep_going,
        rerun: args.rerun,
        no_wait: args.no_wait,
        audit: args.audit,
        run: String::new(),
    };
    let finished = if anything_to_do(&mut session, &options, &selected) {
        session.need_devices(&selected, args.rerun || args.audit)?;
        work(&mut session, options, &selected, ui)?
    } else {
        session.state.save()?;
        known(&session, &selected, ui)
    };
    ui.answer(&finished, &world::shown(&session.state.paths.state));
    if args.artifact_only
        && let Some(artifact) = ui.last_artifact()
    {
        ui.line(&session.state.paths.state.join(artifact).display().to_string());
    }
    Ok(exit::of_run(&finished, &ui.outcomes()))
}

fn anything_to_do(session: &mut Session, options: &Options, selected: &[usize]) -> bool {
    if options.rerun || options.audit {
        return true;
    }
    let wanted = |n: &u32| selected.is_empty() || selected.contains(&(*n as usize));
    session.state.restless().any(|n| wanted(&n))
}

/// A null run: everything selected is known and in place. Nothing is written.
fn known(session: &Session, selected: &[usize], ui: &Ui) -> RunFinished {
    let index = &session.state.index;
    let all: Vec<u32> = match selected {
        [] => (0..index.nodes.len() as u32).collect(),
        some => some.iter().map(|&n| n as u32).collect(),
    };
    if ui.format == Format::Json {
        ui.event(&Event::RunStarted(RunStarted {
            version: EVENT_VERSION,
            run: run_name(),
            pipeline: index.name(index.title.start, index.title.len).to_owned(),
            at: jiff::Timestamp::now().to_string(),
            stages: all.len(),
            doubted: 0,
        }));
    }
    for &node in &all {
        let n = &index.nodes[node as usize];
        let wanted = n.has(flag::RESULT) || (n.has(flag::LOG) && ui.logs == Logs::All);
        if wanted || ui.format == Format::Json {
            ui.event(&Event::StageFinished(Box::new(session.state.known(node))));
        }
    }
    let skipped =
        all.iter().filter(|&&n| index.nodes[n as usize].status() == crate::cache::Status::Skipped);
    let skipped = skipped.count();
    let finished = RunFinished { cached: all.len() - skipped, skipped, ..RunFinished::default() };
    if ui.format == Format::Json {
        ui.event(&Event::RunFinished(finished.clone()));
    }
    finished
}

fn work(
    session: &mut Session,
    mut options: Options,
    selected: &[usize],
    ui: &Ui,
) -> Result<RunFinished, Refusal> {
    let tokens = Tokens::from_env_or_new(options.jobs);
    if let Some(warning) = tokens.warning() {
        ui.complain(warning);
    }
    let cancel = process::install().unwrap_or_else(|_| Cancel::default());
    session.sign()?;
    session.state.prepare()?;
    session.state.clean_up();
    session.state.save_plan()?;
    options.run = run_name();
    let located = session.located.clone();
    let overrides = session.overrides.clone();
    let provenance = move || provenance(&located, &overrides);
    let recorder = Recorder::new(&session.state.paths.state, &options.run, &provenance);
    let passed = Mutex::new(Vec::new());
    let sink = |event: &Event| {
        ui.event(event);
        recorder.record(event);
        if let (Event::StageFinished(finished), Ok(mut passed)) = (event, passed.lock())
            && finished.outcome == Outcome::Ran
            && matches!(finished.kind.as_str(), "bench" | "command")
        {
            passed.push((finished.stage.clone(), finished.artifact.clone()));
        }
    };
    let around = Surroundings {
        world: &Disk,
        sink: &sink,
        cancel: &cancel,
        tokens: &tokens,
        // Not the name it was started by: that file may be replaced while this runs.
        program: Path::new("/proc/self/exe"),
        now_ms: &words::now_ms,
    };
    let run = Engine::new(&mut session.state, &options, &around, selected).run();
    if matches!(run, Err(EngineError::Definitions(_))) {
        session.state.forget_plan();
    }
    let finished = run?;
    if let Some(failure) = recorder.failure() {
        ui.complain(&failure);
    }
    keep::baselines(session, &passed.into_inner().unwrap_or_default(), ui);
    Ok(finished)
}

/// Sorts by time; the process keeps two of the same millisecond apart.
fn run_name() -> String {
    let now = jiff::Timestamp::now();
    let time = now.strftime("%Y%m%dT%H%M%S");
    format!("{time}.{:03}-{}", now.as_millisecond() % 1000, std::process::id())
}

/// Where the kernel of this pipeline comes from; asked for when the first artifact is written.
fn provenance(located: &Located, overrides: &Overrides) -> Provenance {
    let base = Provenance {
        command: std::env::args().collect(),
        optloop: env!("CARGO_PKG_VERSION").to_owned(),
        device_identity: Disk.device("cpu"),
        ..Provenance::default()
    };
    let Some(pipeline) = crate::pipeline::load(&located.file, overrides, &Disk).pipeline else {
        return base;
    };
    let target = pipeline.target();
    let below = |path: &str| plan::build::relative(&located.root, &located.dir, path);
    let kernel: Vec<String> = pipeline.kernel.iter().map(|k| below(k)).collect();
    let files: Vec<_> = kernel.iter().map(|k| located.root.join(k)).collect();
    let revision = worktree::revision(&located.root, &files);
    let name = located.file.file_name().unwrap_or_default().to_string_lossy();
    Provenance {
        pipeline: below(&name),
        kernel,
        problem: pipeline.problem.map(|(p, _)| below(&p)).unwrap_or_default(),
        device: match target {
            Target::Cpu(_) => pipeline.device.to_string(),
            Target::Cuda(_) => target.to_string(),
        },
        device_identity: Disk.device(&target.device()),
        commit: revision.commit,
        kernel_diff: revision.diff,
        overrides: overrides.clone(),
        ..base
    }
}
