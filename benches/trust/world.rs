//! What every study needs: a folder, compilers, kernels, the stages, a busy neighbour.
#![expect(clippy::disallowed_methods, reason = "compilers need a PATH")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use optloop::backend::cpu::last_core;
use optloop::engine::StageRecord;
use optloop::engine::account::BenchRecord;
use optloop::engine::stage::bench::{self, BenchDef};
use optloop::engine::stage::compile::{self, CompileDef};
use optloop::engine::stage::{StageContext, StageOutcome};
use optloop::pipeline::{
    BenchWork, CacheMode, Clocks, CompileWork, Cores, Incumbent, Limits, Purpose, RuleWork,
    SandboxMode, Target,
};
use optloop::problem::{Arg, ArgKind, Case, Fill, Problem, Role, bytes_needed, load};
use optloop::process::{self, Cancel, CommandSpec, Exit, Running, Stdin};
use optloop::verify::{Dtype, Tolerance};

use crate::stages;

/// The flags of kernels and of what they are compared with: those a pipeline has by default.
const FLAGS: [&str; 2] = ["-O3", "-march=native"];

/// A folder with built kernels.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) cancel: Cancel,
}

/// A kernel that is ready to be measured.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) problem: Problem,
    pub(crate) object: PathBuf,
    pub(crate) reference: PathBuf,
}

impl Kernel {
    /// The same on the case with the most bytes alone.
    pub(crate) fn largest(mut self) -> Self {
        let bytes = |case: &Case| bytes_needed(&self.problem, case).unwrap_or(0);
        let largest = self.problem.cases.iter().max_by_key(|case| bytes(case)).cloned();
        self.problem.cases = largest.into_iter().collect();
        self
    }
}

/// What a measurement that passed recorded.
pub(crate) fn measured(outcome: &StageOutcome) -> &BenchRecord {
    outcome.detail.as_ref().and_then(StageRecord::bench).expect("a measurement")
}

/// What a candidate stage does by default.
pub(crate) fn candidate() -> BenchWork {
    BenchWork {
        purpose: Purpose::Candidate,
        compile: compile_work(&[]),
        repeats: vec![8, 16, 32],
        warmup: 3,
        early_stop_us: None,
        precision: None,
        mode: CacheMode::Hot,
        clocks: Clocks::AsIs,
        sandbox: SandboxMode::Auto,
        telemetry: None,
        metric: "median_us".into(),
        incumbent: Incumbent::None,
        rule: RuleWork::default(),
        limits: Limits { timeout_ms: 300_000, grace_ms: 0, retries: 0 },
        cache: true,
    }
}

pub(crate) fn compile_work(defines: &[(&str, String)]) -> CompileWork {
    let defines = defines.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let layouts = optloop::backend::cpu::layouts::MOST;
    CompileWork { defines: defines.collect(), layouts, ..stages::compile_work(&FLAGS) }
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("scratch")).expect("a new folder");
        Self { dir, cancel: Cancel::default() }
    }

    /// Says what the study runs on.
    pub(crate) fn introduce(&self) {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
        let load = read("/proc/loadavg");
        eprintln!(
            "processor{model}, worker on core {:?}, load {}",
            last_core(),
            load.split(' ').next().unwrap_or("?")
        );
        let told = last_core().map_or_else(|| "?".to_owned(), |core| core.to_string());
        drop(fs::write(self.dir.path().join("core"), told));
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// Gives a stage what it needs.
    pub(crate) fn in_context<T>(&self, stage: impl FnOnce(&StageContext<'_>) -> T) -> T {
        stages::in_context(self.dir.path(), &self.cancel, stage)
    }

    /// A shipped kernel: `softmax`, `sgemm_fast`.
    pub(crate) fn shipped(&self, name: &str) -> Kernel {
        let source = shipped_source(name);
        let loaded = load(&source.with_file_name("problem.toml"), &stages::ThisMachine);
        let problem = loaded.problem.expect("a shipped problem is right");
        let reference = problem.reference.clone();
        self.built(name, problem, (&source, &reference), &[])
    }

    /// A kernel of this study's own with one `float *y` and one size `n` by value.
    pub(crate) fn own(
        &self,
        name: &str,
        role: Role,
        sizes: &[i64],
        macros: &[(&str, String)],
    ) -> Kernel {
        let source = own_source(&format!("{name}.c"));
        let reference = own_source(&format!("{name}_reference.c"));
        let reference = if reference.exists() { reference } else { source.clone() };
        self.built(name, own_problem(name, role, sizes), (&source, &reference), macros)
    }

    fn built(
        &self,
        name: &str,
        problem: Problem,
        (source, reference): (&Path, &Path),
        macros: &[(&str, String)],
    ) -> Kernel {
        let build = |what: &str, source: &Path| {
            self.compiled(&format!("{name}.{what}"), &problem, source, macros)
        };
        Kernel {
            object: build("kernel", source),
            reference: build("reference", reference),
            name: name.to_owned(),
            problem,
        }
    }

    /// A source as the built kernel `name`.
    pub(crate) fn compiled(
        &self,
        name: &str,
        problem: &Problem,
        source: &Path,
        macros: &[(&str, String)],
    ) -> PathBuf {
        self.compiled_by(name, problem, source, compile_work(macros))
    }

    /// The same in another way than a pipeline's default.
    pub(crate) fn compiled_by(
        &self,
        name: &str,
        problem: &Problem,
        source: &Path,
        compile: CompileWork,
    ) -> PathBuf {
        let output = self.path(&format!("{name}.so"));
        let def = CompileDef {
            sources: vec![source.to_owned()],
            entry: problem.entry.clone(),
            problem: problem.clone(),
            compile,
            compiler: None,
            arch: None,
            output: output.clone(),
        };
        let outcome = self.in_context(|ctx| compile::run(&def, ctx));
        assert_eq!(outcome.failure, None, "{name}");
        output
    }

    /// Where a file of this name lies in the study's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The whole stage, as a pipeline runs it.
    pub(crate) fn bench(&self, kernel: &Kernel, work: BenchWork) -> StageOutcome {
        self.stage(kernel, None, work)
    }

    /// The same beside an incumbent.
    pub(crate) fn beside(
        &self,
        kernel: &Kernel,
        incumbent: &Path,
        work: BenchWork,
    ) -> StageOutcome {
        self.stage(kernel, Some(incumbent.to_owned()), work)
    }

    fn stage(&self, kernel: &Kernel, incumbent: Option<PathBuf>, work: BenchWork) -> StageOutcome {
        let def = BenchDef {
            problem: kernel.problem.clone(),
            kernel: kernel.object.clone(),
            reference: kernel.reference.clone(),
            incumbent,
            against: None,
            work,
            build: None,
            seed: None,
            target: Target::Cpu(Cores::Picked),
        };
        self.in_context(|ctx| bench::run(&def, ctx))
    }

    /// Builds a program of this study's; `None` when it does not compile.
    pub(crate) fn program(
        &self,
        compiler: &str,
        sources: &[PathBuf],
        more: &[String],
    ) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let compiler = process::resolve(compiler.as_ref(), self.dir.path(), &path)?;
        let stem = sources[0].file_stem()?.to_string_lossy().into_owned();
        let number = fs::read_dir(self.dir.path()).map_or(0, Iterator::count);
        let output = self.dir.path().join(format!("{stem}.{number}"));
        let mut spec = CommandSpec::new(compiler, self.dir.path(), "study-compile");
        spec.args = FLAGS.map(Into::into).to_vec();
        spec.args.extend(sources.iter().map(Into::into));
        spec.args.extend(["-o".into(), output.clone().into(), "-lm".into()]);
        spec.args.extend(more.iter().map(Into::into));
        spec.env = vec![("PATH".into(), path)];
        let finished = process::run(&spec, &self.cancel).ok()?;
        (finished.exit == Exit::Code(0)).then_some(output)
    }

    /// Runs a program to its end and gives what it printed.
    pub(crate) fn output(&self, program: &Path, args: &[String]) -> String {
        let mut spec = CommandSpec::new(program, self.dir.path(), "study-program");
        spec.args = args.iter().map(Into::into).collect();
        let finished = process::run(&spec, &self.cancel).expect("it was just built");
        assert_eq!(finished.exit, Exit::Code(0), "{}", program.display());
        String::from_utf8_lossy(&finished.stdout).into_owned()
    }

    /// A program of this study, built.
    pub(crate) fn own_program(&self, source: &str) -> PathBuf {
        self.program("cc", &[own_source(source)], &[]).expect("a C compiler")
    }

    /// Busy loops on every core but the worker's, until the answer is dropped.
    pub(crate) fn load(&self) -> Vec<Running> {
        let program = self.own_program("load.c");
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let others = (0..cores).filter(|core| Some(*core) != last_core());
        let busy = |core: u32| {
            let mut spec = CommandSpec::new(&program, self.dir.path(), format!("study-load{core}"));
            spec.args = vec![core.to_string().into()];
            spec.grace = Duration::ZERO;
            process::start(&spec, Stdin::Null).expect("it was just built")
        };
        others.map(busy).collect()
    }
}

/// The source of a shipped kernel.
pub(crate) fn shipped_source(name: &str) -> PathBuf {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    kernels.join(name.trim_end_matches("_fast")).join(format!("{name}.c"))
}

/// A source file of this study.
pub(crate) fn own_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/trust/c").join(name)
}

fn own_problem(name: &str, role: Role, sizes: &[i64]) -> Problem {
    let case = |&n: &i64| Case { label: n.to_string(), sizes: [("n".to_owned(), n)].into() };
    let buffer = ArgKind::Buffer { shape: vec!["1".into()], role, fill: Fill::Zeros };
    Problem {
        name: name.to_owned(),
        entry: name.to_owned(),
        cases: sizes.iter().map(case).collect(),
        holdout: None,
        args: vec![
            Arg { name: "y".into(), dtype: Dtype::F32, kind: buffer, is_const: true },
            Arg {
                name: "n".into(),
                dtype: Dtype::I32,
                kind: ArgKind::Scalar("n".into()),
                is_const: true,
            },
        ],
        reference: PathBuf::new(),
        tolerance: Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false },
        growth: None,
        deterministic: false,
        flops: None,
        bytes: None,
        cuda: None,
    }
}
