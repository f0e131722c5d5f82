//! From a node's definition to the stage kind that runs it: the one place that knows all kinds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::device;
use super::event::Event;
use super::shared::Shared;
use super::stage::bench::BenchDef;
use super::stage::check::CheckDef;
use super::stage::command::{CommandRequest, WorkingCopy};
use super::stage::compile::CompileDef;
use super::stage::{
    Failure, FailureClass, Look, StageContext, StageOutcome, bench, best, check, command, compare,
    compile,
};
use super::subject::Job;
use crate::backend::loads;
use crate::cache::Kind;
use crate::pipeline::{CommandWork, CompileWork, Limits, Run};
use crate::plan::kernel::{LIBRARY_PATH, ROOT};
use crate::plan::{Bench, Check, Compile, Definition, InputRole, Sources};
use crate::problem::Problem;

/// Runs a node's definition once.
pub(super) fn run(job: &Job, shared: &Shared<'_>) -> StageOutcome {
    let progress = |fraction: f32, words: &str| {
        let (stage, words) = (job.name.clone(), words.to_owned());
        shared.tell(&Event::Progress { stage, fraction, words });
    };
    let looked = |look: &Look| {
        let (stage, look) = (job.name.clone(), look.clone());
        shared.tell(&Event::Look { stage, look });
    };
    let scratch = format!("scratch.{}.{}", std::process::id(), job.node);
    let ctx = StageContext {
        name: &job.name,
        dir: &shared.root.join(&job.stored.dir),
        scratch: &shared.state_dir.join("tmp").join(scratch),
        state: shared.state_dir,
        marker: &format!("{}:{}", shared.marker, job.node),
        host: shared.around.host,
        cancel: shared.around.cancel,
        progress: &progress,
        looked: &looked,
    };
    let target = job.stored.definition.target();
    if let Some(missing) = target.and_then(|target| device::missing(target, ctx.host)) {
        let message = format!("{}; {}", missing.what, missing.hint);
        return StageOutcome::failed(FailureClass::NoDevice, message);
    }
    Dispatch { job, shared, ctx }.run()
}

/// How often an infrastructure failure of this node is tried again.
pub(super) fn retries(definition: &Definition) -> u32 {
    match definition {
        Definition::Command(work) => work.limits.retries,
        Definition::Check(check) => check.work.limits.retries,
        Definition::Bench(bench) => bench.work.limits.retries,
        Definition::Compile(_) => 1,
        Definition::Best(_) => 0,
    }
}

/// The exact command, for stages that run one.
pub(super) fn command_line(job: &Job) -> Vec<String> {
    match &job.stored.definition {
        Definition::Command(work) => match &work.run {
            Run::Shell(script) => ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            Run::Argv(argv) => argv.clone(),
        },
        _ => Vec::new(),
    }
}

/// One run of a node.
struct Dispatch<'a> {
    job: &'a Job,
    shared: &'a Shared<'a>,
    ctx: StageContext<'a>,
}

impl Dispatch<'_> {
    fn run(&self) -> StageOutcome {
        match &self.job.stored.definition {
            Definition::Command(work) => self.command(work),
            Definition::Best(best) => best::run(best, &self.job.members, self.shared.store),
            Definition::Compile(compile) => self.compile(compile),
            Definition::Check(check) => self.check(check),
            Definition::Bench(bench) => self.bench(bench),
        }
    }

    fn command(&self, work: &CommandWork) -> StageOutcome {
        let request = CommandRequest {
            work,
            job: self.job,
            ctx: self.ctx,
            root: self.shared.root,
            copy: WorkingCopy::Project,
            tokens: self.shared.around.tokens,
            trees: self.shared.trees,
            audit: self.shared.options.audit,
        };
        match &work.metric {
            Some(metric) if work.compares() => compare::command::run(&request, metric),
            _ => command::once(&request).outcome,
        }
    }

    fn compile(&self, compile: &Compile) -> StageOutcome {
        let def = self.compile_def(compile);
        let outcome = self.in_scratch(|| compile::run(&def, &self.ctx));
        if self.job.is_reference() { of_problem(outcome) } else { outcome }
    }

    fn check(&self, check: &Check) -> StageOutcome {
        let (problem, work) = (check.problem.clone(), &check.work);
        let def = CheckDef {
            kernel: self.input(InputRole::Kernel),
            reference: self.input(InputRole::Reference),
            launches: work.launches,
            endurance: work.endurance,
            sandbox: work.sandbox,
            sanitize: check.build.as_ref().map(|b| self.rebuild(b, &problem, &work.limits)),
            watch: work.sanitize,
            limits: work.limits,
            seed: None,
            target: check.target.clone(),
            problem,
        };
        self.loading(&[&def.kernel, &def.reference], || check::run(&def, &self.ctx))
    }

    fn bench(&self, bench: &Bench) -> StageOutcome {
        let (problem, work) = (bench.problem.clone(), bench.work.clone());
        let incumbent = bench
            .against
            .as_ref()
            .and_then(|_| self.job.inputs.get(InputRole::Incumbent.position()));
        let def = BenchDef {
            kernel: self.input(InputRole::Kernel),
            reference: self.input(InputRole::Reference),
            incumbent: incumbent.map(|kernel| self.shared.root.join(&kernel.name)),
            against: bench.against.clone(),
            build: bench.build.as_ref().map(|b| self.rebuild(b, &problem, &work.limits)),
            seed: None,
            target: bench.target.clone(),
            problem,
            work,
        };
        let binaries: Vec<&PathBuf> =
            [&def.kernel, &def.reference].into_iter().chain(&def.incumbent).collect();
        self.loading(&binaries, || bench::run(&def, &self.ctx))
    }

    fn compile_def(&self, compile: &Compile) -> CompileDef {
        let (job, root) = (self.job, self.shared.root);
        let output = job.outputs.first().map_or("kernel.so", |o| &o.name);
        // Only what is built for whatever device there is depends on one.
        let mut devices = job.inputs.iter().filter(|input| input.kind == Kind::Device);
        let arch = devices.find_map(|input| input.name.strip_prefix("cuda:"));
        let arch = arch.and_then(|name| Some(device::find(name, self.ctx.host).ok()?.arch()));
        CompileDef {
            sources: compile.sources.iter().map(|s| root.join(s)).collect(),
            entry: compile.problem.entry.clone(),
            problem: compile.problem.clone(),
            compile: CompileWork {
                include_dirs: compile.include_dirs.clone(),
                flags: flags(&compile.work.flags, root),
                ..compile.work.clone()
            },
            compiler: Some(&compile.compiler).filter(|c| !c.is_empty()).map(|c| root.join(c)),
            arch,
            output: root.join(output),
        }
    }

    /// A stage's own build of the kernel; it keeps what comes of it in its own folder.
    fn rebuild(&self, build: &Sources, problem: &Problem, limits: &Limits) -> CompileDef {
        let root = self.shared.root;
        let folders = build.include_dirs.iter().map(|d| root.join(d).display().to_string());
        CompileDef {
            sources: build.sources.iter().map(|s| root.join(s)).collect(),
            entry: problem.entry.clone(),
            problem: problem.clone(),
            compile: CompileWork {
                cc: String::new(),
                flags: flags(&build.flags, root),
                defines: build.defines.clone(),
                include_dirs: folders.collect(),
                arch: String::new(),
                host: false,
                layouts: 1,
                timeout_ms: limits.timeout_ms,
            },
            compiler: Some(root.join(&build.compiler)),
            arch: None,
            output: PathBuf::new(),
        }
    }

    /// Where a binary of a kernel stage lies.
    fn input(&self, role: InputRole) -> PathBuf {
        let known = self.job.inputs.get(role.position());
        known.map_or_else(PathBuf::new, |known| self.shared.root.join(&known.name))
    }

    /// Runs a stage whose result hangs on the libraries that the loader takes with these binaries.
    fn loading(&self, binaries: &[&PathBuf], run: impl FnOnce() -> StageOutcome) -> StageOutcome {
        let path = self.ctx.host.var(LIBRARY_PATH).unwrap_or_default();
        let needed = binaries.iter().filter_map(|b| loads::needed(b, path.as_encoded_bytes()));
        let files: BTreeSet<PathBuf> = needed.flat_map(loads::contents).collect();
        let mut outcome = self.in_scratch(run);
        outcome.discovered.extend(files);
        outcome
    }

    fn in_scratch(&self, run: impl FnOnce() -> StageOutcome) -> StageOutcome {
        let scratch = self.ctx.scratch;
        if let Err(e) = std::fs::create_dir_all(scratch) {
            let what = format!("cannot make {}", scratch.display());
            return Failure::of_io(&what, &e).into();
        }
        let outcome = run();
        // What stays is swept up by the next run.
        drop(std::fs::remove_dir_all(scratch));
        outcome
    }
}

/// A reference that does not compile is a mistake in the problem's files, and no candidate's failure.
fn of_problem(mut outcome: StageOutcome) -> StageOutcome {
    if let Some(failure) = outcome.failure.as_mut().filter(|f| f.class == FailureClass::Failed) {
        failure.class = FailureClass::Setup;
        failure.message = format!("the reference does not compile: {}", failure.message);
    }
    outcome
}

/// Flags with the root put in.
fn flags(flags: &[String], root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    flags.iter().map(|flag| flag.replace(ROOT, &root)).collect()
}
