//! How a kernel is compiled to assembly: a pipeline's way, or the one that pipelines have by
//! default.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::exit::Exit;
use super::super::host::{self, Disk};
use super::super::refusal::Refusal;
use super::super::ui::Ui;
use super::listing::cannot;
use crate::backend::cpu::assembly::{self, Around, Assembly};
use crate::backend::cpu::compiler::{ALIGNED, STEP_ENV, compiler_name};
use crate::backend::cpu::{CompileRequest, Signature, Step};
use crate::git;
use crate::host::Host;
use crate::pipeline::{self, CompileWork, DIR, KernelFiles, Overrides, Pipeline, Work};
use crate::problem::{self, Problem};
use crate::process::{self, Cancel, CommandSpec, Finished};
use crate::project::Project;

/// Lines of a compiler's words that are repeated.
const MESSAGE_LINES: usize = 40;

/// How this call compiles.
pub(super) struct Recipe {
    pub(super) compile: CompileWork,
    /// Absolute.
    pub(super) include_dirs: Vec<PathBuf>,
    /// What relative paths of compilers start from.
    pub(super) dir: PathBuf,
    /// The pipeline's.
    pub(super) problem: Option<Problem>,
    /// Ctrl-C.
    cancel: Cancel,
}

impl Recipe {
    /// The kernel's name, where a problem gives it.
    pub(super) fn entry(&self) -> Option<&String> {
        self.problem.as_ref().map(|p| &p.entry)
    }

    /// True when a function comes from the kernel's own files and not from a library's headers.
    pub(super) fn own(&self, assembly: &Assembly, function: usize, source: &Path) -> bool {
        let Some(place) = assembly.functions[function].place else { return false };
        let file = assembly.file(place);
        let folders = source.parent().into_iter().chain(self.include_dirs.iter().map(|d| &**d));
        file == source || folders.into_iter().any(|folder| file.starts_with(folder))
    }
}

/// A kernel that was compiled.
pub(super) struct Built {
    pub(super) assembly: Assembly,
    /// For people.
    pub(super) command: String,
}

/// Where it stands how to compile.
pub(super) struct Way<'a> {
    /// A pipeline; the usual flags without one.
    pub(super) pipeline: Option<&'a str>,
    /// Flags in place of the usual ones.
    pub(super) flags: &'a [String],
}

/// Finds out how to compile.
pub(super) fn recipe(way: &Way<'_>, kernel: &Path, ui: &Ui) -> Result<Recipe, Refusal> {
    if let Some(name) = way.pipeline {
        return of_pipeline(name, kernel, ui);
    }
    let dir = std::env::current_dir().map_err(|e| cannot("find the current folder", &e))?;
    let mut compile = by_default(kernel)?;
    if !way.flags.is_empty() {
        compile.flags = way.flags.to_vec();
    }
    Ok(Recipe { compile, include_dirs: Vec::new(), dir, problem: None, cancel: cancel()? })
}

fn of_pipeline(name: &str, kernel: &Path, ui: &Ui) -> Result<Recipe, Refusal> {
    let project = Project::find(name, &Disk).map_err(|_| {
        let help = "`optloop init` writes an example".to_owned();
        Refusal::Words(format!("there is no pipeline `{name}`"), Some(help), Exit::User)
    })?;
    let kernel = Some(KernelFiles::One(kernel.to_string_lossy().into_owned()));
    let loaded =
        pipeline::load(&project.file, &Overrides { kernel, ..Overrides::default() }, &Disk);
    let (Some(pipeline), true) = (loaded.pipeline, loaded.diagnostics.is_empty()) else {
        return Err(Refusal::Diagnostics(loaded.diagnostics));
    };
    let problem = match &pipeline.problem {
        Some((path, _)) => Some(load(&project.dir.join(path))?),
        None => None,
    };
    let mut ways = ways(&pipeline);
    let Some((stage, mut compile)) = ways.first().cloned() else {
        let what = format!("no stage of {name} compiles a kernel");
        let help = "leave --pipeline out, or name a pipeline with a smoke or candidate stage";
        return Err(Refusal::Words(what, Some(help.to_owned()), Exit::User));
    };
    ways.dedup_by(|a, b| a.1 == b.1);
    if ways.len() > 1 {
        ui.note(&format!("{name} compiles it in {} ways; this is the one of {stage}", ways.len()));
    }
    let dir = project.dir.display().to_string();
    for flag in &mut compile.flags {
        *flag = flag.replace(DIR, &dir);
    }
    let include_dirs = compile.include_dirs.iter().map(|d| project.dir.join(d)).collect();
    Ok(Recipe { compile, include_dirs, dir: project.dir, problem, cancel: cancel()? })
}

/// Reads a problem.
pub(super) fn load(problem: &Path) -> Result<Problem, Refusal> {
    let loaded = problem::load(problem, &Disk);
    loaded.problem.ok_or(Refusal::Diagnostics(loaded.diagnostics))
}

/// How each stage compiles, with its name; stages that measure before those that only check.
fn ways(pipeline: &Pipeline) -> Vec<(String, CompileWork)> {
    let mut ways = Vec::new();
    for stage in &pipeline.stages {
        for variant in &stage.variants {
            let (checks, compile) = match &variant.work {
                Work::Check(check) => (true, &check.compile),
                Work::Bench(bench) => (false, &bench.compile),
                Work::Command(_) => continue,
            };
            let name = match variant.label.as_str() {
                "" => stage.name.clone(),
                label => format!("{}[{label}]", stage.name),
            };
            ways.push((checks, name, compile.clone()));
        }
    }
    ways.sort_by_key(|(checks, ..)| *checks);
    ways.into_iter().map(|(_, name, compile)| (name, compile)).collect()
}

/// What a pipeline that says nothing about compiling compiles this kernel with. Asked of the very
/// code that reads pipelines, so that it is always the same.
fn by_default(kernel: &Path) -> Result<CompileWork, Refusal> {
    let extension = kernel.extension().unwrap_or_default().to_string_lossy();
    let plain = Plain(format!(
        "name = \"plain\"\nkernel = \"k.{extension}\"\nproblem = \"p.toml\"\n[stages.candidate]\n"
    ));
    let loaded = pipeline::load(Path::new(Plain::PATH), &Overrides::default(), &plain);
    let ways = loaded.pipeline.as_ref().map(ways).unwrap_or_default();
    let first = ways.into_iter().next().map(|(_, compile)| compile);
    first.ok_or(Refusal::Diagnostics(loaded.diagnostics))
}

/// A pipeline of a given text, which leaves everything to the built-in presets.
struct Plain(String);

impl Plain {
    const PATH: &str = "/plain/pipeline.toml";
}

impl Host for Plain {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new(Self::PATH) {
            return Ok(self.0.clone());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn exists(&self, _path: &Path) -> bool {
        true
    }
}

/// Compiles to assembly.
pub(super) fn assembly(recipe: &Recipe, source: &Path, scratch: &Path) -> Result<Built, Refusal> {
    let sources = [source.to_owned()];
    let name = compiler_name(&recipe.compile.cc, &sources);
    let path = host::text_variable("PATH").unwrap_or_default();
    let compiler = process::resolve(OsStr::new(name), &recipe.dir, OsStr::new(&path));
    let compiler = compiler.ok_or_else(|| {
        let help = "install a C compiler (for example gcc), or set `cc` under [compile]";
        let what = format!("there is no compiler `{name}` on the PATH");
        Refusal::Words(what, Some(help.to_owned()), Exit::User)
    })?;
    // The signature is the problem's affair; a kernel that differs from it can be looked at too.
    let signature = Signature { entry: String::new(), params: Vec::new() };
    let request = CompileRequest {
        sources: &sources,
        text: "",
        signature: &signature,
        compiler: &compiler,
        flags: &recipe.compile.flags,
        defines: &recipe.compile.defines,
        include_dirs: &recipe.include_dirs,
        scratch,
        output: &scratch.join("kernel.so"),
    };
    let plan = assembly::plan(&request, Around::Nothing)
        .map_err(|e| Refusal::Words(e.to_string(), None, Exit::User))?;
    let (path, text) = &plan.trampoline;
    fs::write(path, text).map_err(|e| cannot("write the file to compile", &e))?;
    let mut listing = String::new();
    for step in &plan.steps {
        compile(step, recipe, Input { source, scratch })?;
        let bytes =
            fs::read(assembly::listing(step)).map_err(|e| cannot("read the assembly", &e))?;
        listing += &String::from_utf8_lossy(&bytes);
    }
    let defines: &BTreeMap<_, _> = &recipe.compile.defines;
    let defines = defines.iter().map(|(name, value)| format!("-D{name}={value}"));
    let flags = ALIGNED.map(str::to_owned).into_iter().chain(recipe.compile.flags.iter().cloned());
    let words = std::iter::once(name.to_owned()).chain(flags);
    let command = words.chain(defines).collect::<Vec<_>>().join(" ");
    Ok(Built { assembly: assembly::parse(&listing), command })
}

/// What is compiled, and the folder in which.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) source: &'a Path,
    pub(super) scratch: &'a Path,
}

/// Runs a compiler on a source; its words when it is content.
pub(super) fn compile(step: &Step, recipe: &Recipe, input: Input<'_>) -> Result<String, Refusal> {
    let Input { source, scratch } = input;
    let mut spec = CommandSpec::new(&step.program, scratch, "inspect");
    spec.args.clone_from(&step.args);
    spec.env = environment(scratch);
    spec.timeout =
        (recipe.compile.timeout_ms > 0).then(|| Duration::from_millis(recipe.compile.timeout_ms));
    let finished = run(&spec, recipe)?;
    // Where the work happens says nothing to anybody.
    let own = format!("{}/", scratch.display());
    let said = String::from_utf8_lossy(&finished.stdout).replace(&own, "");
    if finished.exit == process::Exit::Code(0) {
        return Ok(said);
    }
    let lines: Vec<&str> =
        said.lines().filter(|l| !l.starts_with("In file included from kernel.c")).collect();
    let words = match finished.exit {
        process::Exit::Code(_) => lines[..lines.len().min(MESSAGE_LINES)].join("\n"),
        process::Exit::TimedOut | process::Exit::Cancelled => {
            "the compiler took too long".to_owned()
        }
        process::Exit::Signal(signal) => format!("the compiler was ended by signal {signal}"),
    };
    let what = format!(
        "{} does not compile\n{}",
        crate::project::shown(source).display(),
        words.trim_end()
    );
    Err(Refusal::Words(what, None, Exit::Candidate))
}

/// What compilers and tools find.
pub(super) fn environment(scratch: &Path) -> Vec<(OsString, OsString)> {
    let passed = ["PATH", "HOME", "LD_LIBRARY_PATH"];
    let set = |name: &str| Some((name.into(), host::text_variable(name)?.into()));
    let mut env: Vec<(OsString, OsString)> = passed.into_iter().filter_map(set).collect();
    env.push(("TMPDIR".into(), scratch.into()));
    env.extend(STEP_ENV.map(|(name, value)| (name.into(), value.into())));
    env
}

fn cancel() -> Result<Cancel, Refusal> {
    process::install().map_err(|e| cannot("listen for Ctrl-C", &e))
}

/// Runs a command; Ctrl-C ends all of it.
pub(super) fn run(spec: &CommandSpec, recipe: &Recipe) -> Result<Finished, Refusal> {
    let finished = process::run(spec, &recipe.cancel)
        .map_err(|e| Refusal::Words(e.to_string(), None, Exit::Infrastructure))?;
    if finished.exit == process::Exit::Cancelled {
        return Err(Refusal::Words("interrupted".to_owned(), None, Exit::Interrupted));
    }
    Ok(finished)
}

/// The kernel as it was at a revision, in a folder of its own; its headers are today's.
pub(super) fn from_git(
    recipe: &Recipe,
    revision: &str,
    kernel: &Path,
    scratch: &Path,
) -> Result<PathBuf, Refusal> {
    // Git keeps of a link only where it leads to: what is compiled lies there.
    let kernel = &kernel.canonicalize().unwrap_or_else(|_| kernel.to_owned());
    let name = kernel.file_name().unwrap_or_default().to_string_lossy();
    let git = host::git(recipe.cancel.clone());
    let content = git::at_revision(kernel, revision, &git).map_err(|why| {
        let what = format!("git has no {name} at `{revision}`: {why}");
        Refusal::Words(what, None, Exit::User)
    })?;
    let old = scratch.join("old");
    let file = old.join(&*name);
    fs::create_dir_all(&old)
        .and_then(|()| fs::write(&file, content))
        .map_err(|e| cannot("write the older version", &e))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_pipeline_the_flags_are_those_of_one_that_says_nothing() {
        for (kernel, flags) in
            [("a.c", "-O3 -march=native"), ("a.cpp", "-O3 -march=native"), ("a.cu", "")]
        {
            let Ok(compile) = by_default(Path::new(kernel)) else { panic!("{kernel} is refused") };
            assert_eq!((compile.cc.as_str(), compile.flags.join(" ").as_str()), ("", flags));
            assert!(compile.defines.is_empty() && compile.include_dirs.is_empty());
        }
    }
}
