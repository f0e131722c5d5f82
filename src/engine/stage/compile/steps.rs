//! The commands of a build: which compiler, what it is given, what becomes of what it says.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::def::{Build, CompileDef, signature};
use super::reads::Reads;
use crate::backend::cpu::compiler::{self, STEP_ENV};
use crate::backend::cpu::{Compilation, CompileError, CompileRequest, Step, parse_depfile};
use crate::engine::stage::{Failure, FailureClass, StageContext, StageOutcome};
use crate::process::{self, CommandSpec, Exit, Finished};

/// Lines of a compiler's words that a failure's message repeats; the log has all.
const MESSAGE_LINES: usize = 40;

/// Where a compiler finds its parts; what they are is in its version, which is in the key.
const PASSED: [&str; 3] = ["PATH", "HOME", "LD_LIBRARY_PATH"];

pub(super) fn cannot(what: &str, why: &io::Error) -> Failure {
    Failure::of_io(what, why)
}

pub(super) fn failed(message: String) -> Failure {
    Failure { class: FailureClass::Failed, message }
}

pub(in crate::engine::stage) fn find_compiler(
    def: &CompileDef,
    ctx: &StageContext<'_>,
) -> Result<PathBuf, Failure> {
    if let Some(known) = &def.compiler {
        return Ok(known.clone());
    }
    let name = compiler::compiler_name(&def.compile.cc, &def.sources);
    let path = ctx.host.var("PATH").unwrap_or_default();
    process::resolve(OsStr::new(name), ctx.dir, &path).ok_or_else(|| {
        failed(format!(
            "there is no compiler `{name}` on the PATH; install a C compiler (for example gcc), \
             or set `cc` under [compile]"
        ))
    })
}

/// The name beside the output that it is built under; the folder is made.
pub(super) fn prepare_output(output: &Path) -> Result<PathBuf, Failure> {
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder)
            .map_err(|e| cannot(&format!("creating {}", folder.display()), &e))?;
    }
    let mut name = output.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    Ok(PathBuf::from(name))
}

/// The commands that would build `output`, for other stages that build the same kernel their way.
pub(in crate::engine::stage) fn commands(
    def: &CompileDef,
    ctx: &StageContext<'_>,
    output: &Path,
    plan: impl FnOnce(&CompileRequest<'_>) -> Result<Compilation, CompileError>,
) -> Result<Compilation, Failure> {
    let compiler = find_compiler(def, ctx)?;
    plan_by(Build { def, ctx }, &compiler, output, plan)
}

/// The commands by which `compiler` builds `output`.
pub(super) fn plan_by(
    build: Build<'_>,
    compiler: &Path,
    output: &Path,
    plan: impl FnOnce(&CompileRequest<'_>) -> Result<Compilation, CompileError>,
) -> Result<Compilation, Failure> {
    let Build { def, ctx } = build;
    let text = match def.sources.first() {
        Some(first) => fs::read(first)
            .map_err(|e| failed(format!("cannot read the kernel {}: {e}", first.display())))?,
        None => Vec::new(),
    };
    let folders: Vec<PathBuf> = def.compile.include_dirs.iter().map(|d| ctx.dir.join(d)).collect();
    plan(&CompileRequest {
        sources: &def.sources,
        text: &String::from_utf8_lossy(&text),
        signature: &signature(def),
        compiler,
        flags: &def.compile.flags,
        defines: &def.compile.defines,
        include_dirs: &folders,
        scratch: ctx.scratch,
        output,
    })
    .map_err(|e| failed(e.to_string()))
}

pub(super) fn command_line(step: &Step) -> String {
    let words = std::iter::once(step.program.as_os_str()).chain(step.args.iter().map(|a| &**a));
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs the commands of a build that no key is made of.
pub(in crate::engine::stage) fn run_steps(
    def: &CompileDef,
    ctx: &StageContext<'_>,
    plan: &Compilation,
    outcome: &mut StageOutcome,
) -> Result<(), Failure> {
    let words = Words {
        log: &str::to_owned,
        failure: &|_, output| failed(message(def, output)),
        reads: None,
    };
    run_all(Build { def, ctx }, &plan.steps, outcome, &words)
}

/// What becomes of what a compiler says.
pub(super) struct Words<'a> {
    /// Its output, as it is kept.
    pub(super) log: &'a dyn Fn(&str) -> String,
    /// A failure, from its exit code and its output as kept.
    pub(super) failure: &'a dyn Fn(i32, &str) -> Failure,
    /// What the steps look at, where a key depends on it.
    pub(super) reads: Option<&'a Reads>,
}

/// Runs the commands of a build, one after the other.
pub(super) fn run_all(
    build: Build<'_>,
    steps: &[Step],
    outcome: &mut StageOutcome,
    words: &Words<'_>,
) -> Result<(), Failure> {
    let Build { def, ctx } = build;
    let limit = Duration::from_millis(def.compile.timeout_ms);
    let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
    for (index, step) in steps.iter().enumerate() {
        (ctx.progress)(index as f32 / steps.len() as f32, "compiling");
        let marker = format!("{}.{index}", ctx.marker);
        let mut spec = CommandSpec::new(&step.program, ctx.scratch, marker);
        spec.args.clone_from(&step.args);
        spec.env = environment(ctx);
        spec.timeout = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let finished = match words.reads {
            Some(reads) => reads.run(&spec, ctx)?,
            None => process::run(&spec, ctx.cancel).map_err(|e| Failure::of_spawn(&e))?,
        };
        // Where the work happens says nothing to anybody, and is another place each time.
        let own = format!("{}/", ctx.scratch.display());
        let output = String::from_utf8_lossy(&finished.stdout).replace(&own, "");
        let output = (words.log)(&output);
        outcome.log.extend_from_slice(output.as_bytes());
        judge(def, &finished, words, &output).map_err(|failure| {
            let built = def.output.parent().unwrap_or(ctx.scratch);
            failure.unless_full(&output, &[ctx.scratch.to_owned(), built.to_owned()])
        })?;
    }
    Ok(())
}

/// Only what a compiler needs, so that nothing undeclared enters the result.
pub(in crate::engine::stage) fn environment(ctx: &StageContext<'_>) -> Vec<(OsString, OsString)> {
    let mut env = ctx.inherited(&PASSED);
    env.push(("TMPDIR".into(), ctx.scratch.into()));
    env.extend(STEP_ENV.map(|(name, value)| (name.into(), value.into())));
    env
}

fn judge(
    def: &CompileDef,
    finished: &Finished,
    words: &Words<'_>,
    output: &str,
) -> Result<(), Failure> {
    match finished.exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => Err((words.failure)(code, output)),
        Exit::Signal(signal) => {
            let message = format!("the compiler was ended from outside: signal {signal}");
            Err(Failure { class: FailureClass::Infrastructure, message })
        }
        Exit::TimedOut => Err(Failure {
            class: FailureClass::TimedOut,
            message: format!("the compiler took longer than {} ms", def.compile.timeout_ms),
        }),
        Exit::Cancelled => {
            Err(Failure { class: FailureClass::Interrupted, message: "interrupted".into() })
        }
    }
}

/// The compiler's own words, and the signature that is asked for when they are about the entry.
pub(super) fn message(def: &CompileDef, text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let undefined = |line: &str| line.contains("undefined") && line.contains(&def.entry);
    let mut message = match def.sources.first() {
        Some(source) if lines.iter().any(|l| undefined(l)) => {
            format!("{} does not define `{}`\n", source.display(), def.entry)
        }
        _ => String::new(),
    };
    message += &shortened(text);
    if text.contains(&def.entry) || text.contains("optloop_entry") {
        let wanted = signature(def).declaration();
        let _infallible = write!(message, "\nproblem `{}` asks for: {wanted}", def.problem.name);
    }
    message
}

/// As much of a compiler's words as a message repeats.
pub(super) fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let mut short = lines[..lines.len().min(MESSAGE_LINES)].join("\n");
    if lines.len() > MESSAGE_LINES {
        let _infallible =
            write!(short, "\n... {} more lines in the log", lines.len() - MESSAGE_LINES);
    }
    short
}

/// What the compiler read and looked for, without what was generated here. What it names in its
/// dependency files counts as well: another process may have read it in its place.
pub(super) fn discover(
    build: Build<'_>,
    depfiles: &[PathBuf],
    reads: &Reads,
    outcome: &mut StageOutcome,
) {
    let Build { def, ctx } = build;
    let mut found = reads.found(def, ctx);
    for depfile in depfiles {
        let Ok(text) = fs::read(depfile) else {
            continue;
        };
        for path in parse_depfile(&String::from_utf8_lossy(&text)) {
            let path = ctx.scratch.join(path);
            if !path.starts_with(ctx.scratch) {
                found.insert(path);
            }
        }
    }
    outcome.discovered = found.into_iter().collect();
    outcome.unknowable = reads.unknowable();
}
