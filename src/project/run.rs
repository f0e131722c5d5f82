//! Running a project's stages.

use std::sync::{Mutex, PoisonError};

use super::observer::{Notice, Observers, notify};
use super::opened::Forced;
use super::{Access, Opened, Project, ProjectError, RunReport};
use crate::cache::index::flag;
use crate::cache::{NodeId, Status};
use crate::engine::event::{EVENT_VERSION, RunStarted, StageFinished};
use crate::engine::{Engine, EngineError, Event, Options, RunFinished, Surroundings};
use crate::git;
use crate::pipeline::Overrides;
use crate::plan::{self, Origin, layout};
use crate::process::Cancel;
use crate::process::jobserver::Tokens;
use crate::record::{Provenance, Recorder};

/// What a run is asked to do.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Only these stages and what they need; all when none is named.
    pub stages: Vec<String>,
    /// What runs although it is cached.
    pub mode: RunMode,
    /// After a failure, go on with stages that do not depend on it.
    pub keep_going: bool,
    /// Stages at the same time; `None`: as many as the jobserver or the processor allows.
    pub jobs: Option<usize>,
    /// What is reported of a run in which everything is cached.
    pub cached: CachedStages,
}

impl RunRequest {
    /// One stage and what it needs.
    pub fn of_stage(stage: &str) -> Self {
        Self { stages: vec![stage.to_owned()], ..Self::default() }
    }
}

/// What runs although it is cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunMode {
    /// Nothing.
    #[default]
    Normal,
    /// Everything that is selected.
    Rerun,
    /// Everything, with commands under trace: undeclared reads and writes are refused.
    Audit,
}

/// Which stages are read from the store when everything is cached. Such a run takes microseconds,
/// and most of them go into reading results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CachedStages {
    /// Those with numbers or verdicts.
    Results,
    /// These, and those that printed something.
    Logs,
    /// All; observers see the beginning and the end of the run too.
    #[default]
    All,
}

impl Opened<'_> {
    /// Runs what is asked for and not cached; then the first kernels that passed become baselines.
    /// `cancel` is called once, when there is something to run, for what asks to stop it.
    ///
    /// # Errors
    /// When there is no such stage or device, or the state cannot be kept. Stages that fail are
    /// results.
    pub fn run(
        &mut self,
        request: &RunRequest,
        observers: Observers<'_>,
        cancel: &dyn Fn() -> Cancel,
    ) -> Result<RunReport, ProjectError> {
        let selected = self.select(&request.stages)?;
        let forced = if request.mode == RunMode::Normal { Forced::No } else { Forced::Yes };
        let report = if forced == Forced::Yes || self.has_dirty(&selected) {
            self.need_devices(&selected, forced)?;
            let job = Job { request, selected: &selected, observers };
            self.execute(&job, cancel)
        } else {
            self.state.save_plan()?;
            self.state.save()?;
            self.all_cached(&Job { request, selected: &selected, observers })
        };
        if matches!(report, Err(ProjectError::Engine(EngineError::Definitions(_)))) {
            // Definitions that cannot be read are made anew by the next run.
            self.state.forget_plan();
        }
        let mut report = report?;
        report.baselines = self.set_baselines(&selected);
        Ok(report)
    }

    fn has_dirty(&self, selected: &[NodeId]) -> bool {
        let wanted = |n: &NodeId| selected.is_empty() || selected.contains(n);
        self.state.restless().any(|n| wanted(&n))
    }

    /// A null run: everything selected is cached and in place. Nothing is written.
    fn all_cached(&self, job: &Job<'_>) -> Result<RunReport, ProjectError> {
        let index = &self.state.index;
        let cached = job.request.cached;
        let all: Vec<NodeId> = match job.selected {
            [] => index.node_ids().collect(),
            some => some.to_vec(),
        };
        if cached == CachedStages::All {
            job.emit(&Event::RunStarted(RunStarted {
                version: EVENT_VERSION,
                run: run_name(),
                pipeline: self.title().to_owned(),
                at: jiff::Timestamp::now().to_string(),
                stages: all.len(),
                doubted: 0,
            }));
        }
        let mut stages = Vec::new();
        for &node in &all {
            let n = index.node(node);
            let wanted = match cached {
                CachedStages::All => true,
                CachedStages::Logs => n.has(flag::RESULT) || n.has(flag::LOG),
                CachedStages::Results => n.has(flag::RESULT),
            };
            if wanted {
                let event = Event::StageFinished(Box::new(self.state.known(node)?));
                job.emit(&event);
                stages.extend(finished(event));
            }
        }
        let is_skipped = |n: &&NodeId| index.node(**n).status() == Status::Skipped;
        let skipped = all.iter().filter(is_skipped).count();
        let summary =
            RunFinished { cached: all.len() - skipped, skipped, ..RunFinished::default() };
        if cached == CachedStages::All {
            job.emit(&Event::RunFinished(summary.clone()));
        }
        Ok(RunReport { stages, summary, ..RunReport::default() })
    }

    fn execute(
        &mut self,
        job: &Job<'_>,
        cancel: &dyn Fn() -> Cancel,
    ) -> Result<RunReport, ProjectError> {
        let tokens = Tokens::from_env_or_new(job.request.jobs);
        if let Some(warning) = tokens.warning() {
            notify(job.observers, &Notice::NoJobserver(warning.to_owned()));
        }
        let cancel = cancel();
        self.sign()?;
        self.state.prepare()?;
        self.state.clean_up();
        self.state.save_plan()?;
        let options = job.options(self.access);
        let origin = layout::origin(&self.state.index);
        let provenance = || provenance(&self.project, &self.overrides, &origin);
        let recorder = Recorder::new(&self.state.paths.state, &options.run, &provenance);
        let stages = Mutex::new(Vec::new());
        let sink = |event: &Event| {
            job.emit(event);
            recorder.record(event);
            if let Event::StageFinished(finished) = event {
                let mut stages = stages.lock().unwrap_or_else(PoisonError::into_inner);
                stages.push(finished.as_ref().clone());
            }
        };
        let around =
            Surroundings { host: self.project.host, sink: &sink, cancel: &cancel, tokens: &tokens };
        let summary = Engine::new(&mut self.state, &options, &around, job.selected).run()?;
        Ok(RunReport {
            unrecorded: recorder.into_failure(),
            run: Some(options.run),
            stages: stages.into_inner().unwrap_or_else(PoisonError::into_inner),
            summary,
            baselines: Vec::new(),
        })
    }
}

/// Where the kernel comes from; asked for when the first artifact is written.
fn provenance(project: &Project<'_>, overrides: &Overrides, origin: &Origin) -> Provenance {
    let files: Vec<_> = origin.kernel.iter().map(|path| project.root.join(path)).collect();
    let revision = git::revision(&project.root, &files, &project.git());
    let name = project.file.file_name().unwrap_or_default().to_string_lossy();
    Provenance {
        command: std::env::args().collect(),
        optloop: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: plan::build::relative(&project.root, &project.dir, &name),
        kernel: origin.kernel.clone(),
        problem: origin.problem.clone(),
        device: origin.device.clone(),
        device_identity: project.host.device(&origin.identity).to_string(),
        commit: revision.commit,
        kernel_diff: revision.diff,
        overrides: overrides.clone(),
    }
}

/// One run: what it was asked for, in positions of nodes too, and who follows it.
struct Job<'a> {
    request: &'a RunRequest,
    selected: &'a [NodeId],
    observers: Observers<'a>,
}

impl Job<'_> {
    fn emit(&self, event: &Event) {
        for observer in self.observers {
            observer.event(event);
        }
    }

    fn options(&self, access: Access) -> Options {
        Options {
            jobs: self.request.jobs,
            keep_going: self.request.keep_going,
            rerun: self.request.mode == RunMode::Rerun,
            no_wait: access == Access::Refuse,
            audit: self.request.mode == RunMode::Audit,
            run: run_name(),
        }
    }
}

fn finished(event: Event) -> Option<StageFinished> {
    match event {
        Event::StageFinished(finished) => Some(*finished),
        _ => None,
    }
}

/// Sorts by time; the process keeps two of the same millisecond apart.
fn run_name() -> String {
    let now = jiff::Timestamp::now();
    let time = now.strftime("%Y%m%dT%H%M%S");
    format!("{time}.{:03}-{}", now.as_millisecond() % 1000, std::process::id())
}
