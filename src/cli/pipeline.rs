//! `optloop pipeline`: the main job.

use super::args::{Format, Logs, PipelineArgs};
use super::exit::Exit;
use super::session::{Access, Refusal, Session};
use super::ui::Ui;
use super::world::{self, Disk, Located};
use super::{advice, baseline};
use crate::cache::index::flag;
use crate::engine::event::{EVENT_VERSION, RunStarted};
use crate::engine::{Engine, EngineError, Event, Options, RunFinished, Surroundings};
use crate::git;
use crate::host::Host;
use crate::pipeline::Overrides;
use crate::plan::{self, Origin, layout};
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
        let told = known(&session, &selected, ui);
        forget_what_is_damaged(&mut session, &told);
        told?
    };
    baseline::set(&session, &selected, ui);
    advice::on_history(&session, ui);
    ui.answer(&finished, &world::shown(&session.state.paths.state));
    let says = ui.format == Format::Human && !ui.quiet && !ui.mute;
    if let Some(how) = advice::on_keeping(&session, ui).filter(|_| says) {
        ui.line(&how);
    }
    let artifact = match args.stages.last() {
        Some(named) => ui.artifact_of(named),
        None => ui.last_artifact(),
    };
    if args.artifact_only
        && let Some(artifact) = artifact
    {
        ui.line(&session.state.paths.state.join(artifact).display().to_string());
    }
    Ok(ui.code(&finished))
}

fn anything_to_do(session: &mut Session, options: &Options, selected: &[usize]) -> bool {
    if options.rerun || options.audit {
        return true;
    }
    let wanted = |n: &u32| selected.is_empty() || selected.contains(&(*n as usize));
    session.state.restless().any(|n| wanted(&n))
}

/// A null run: everything selected is known and in place. Nothing is written.
fn known(session: &Session, selected: &[usize], ui: &Ui) -> Result<RunFinished, EngineError> {
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
            ui.event(&Event::StageFinished(Box::new(session.state.known(node)?)));
        }
    }
    let skipped =
        all.iter().filter(|&&n| index.nodes[n as usize].status() == crate::cache::Status::Skipped);
    let skipped = skipped.count();
    let finished = RunFinished { cached: all.len() - skipped, skipped, ..RunFinished::default() };
    if ui.format == Format::Json {
        ui.event(&Event::RunFinished(finished.clone()));
    }
    Ok(finished)
}

/// Definitions that cannot be read are made anew by the next run.
fn forget_what_is_damaged(session: &mut Session, run: &Result<RunFinished, EngineError>) {
    if matches!(run, Err(EngineError::Definitions(_))) {
        session.state.forget_plan();
    }
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
    let origin = layout::origin(&session.state.index);
    let provenance = move || provenance(&located, &overrides, &origin);
    let recorder = Recorder::new(&session.state.paths.state, &options.run, &provenance);
    let sink = |event: &Event| {
        ui.event(event);
        recorder.record(event);
    };
    let around = Surroundings { host: &Disk, sink: &sink, cancel: &cancel, tokens: &tokens };
    let run = Engine::new(&mut session.state, &options, &around, selected).run();
    forget_what_is_damaged(session, &run);
    let finished = run?;
    if let Some(failure) = recorder.into_failure() {
        ui.unkept(&failure);
    }
    Ok(finished)
}

/// Sorts by time; the process keeps two of the same millisecond apart.
fn run_name() -> String {
    let now = jiff::Timestamp::now();
    let time = now.strftime("%Y%m%dT%H%M%S");
    format!("{time}.{:03}-{}", now.as_millisecond() % 1000, std::process::id())
}

/// Where the kernel of this pipeline comes from; asked for when the first artifact is written.
fn provenance(located: &Located, overrides: &Overrides, origin: &Origin) -> Provenance {
    let files: Vec<_> = origin.kernel.iter().map(|path| located.root.join(path)).collect();
    let revision = git::revision(&located.root, &files, &world::git_to_read());
    let name = located.file.file_name().unwrap_or_default().to_string_lossy();
    Provenance {
        command: std::env::args().collect(),
        optloop: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: plan::build::relative(&located.root, &located.dir, &name),
        kernel: origin.kernel.clone(),
        problem: origin.problem.clone(),
        device: origin.device.clone(),
        device_identity: Disk.device(&origin.identity).to_string(),
        commit: revision.commit,
        kernel_diff: revision.diff,
        overrides: overrides.clone(),
    }
}
