//! `optloop inspect`: what a kernel is compiled to.
//!
//! Compiles to assembly with the compiler and flags of a pipeline; reading it is `backend::cpu`'s,
//! laying it out [`show`]'s, comparing it [`diff`]'s. Kernels for CUDA devices are [`cuda`]'s.
//! Nothing is kept.

mod build;
mod cuda;
mod diff;
mod show;

use std::path::{Path, PathBuf};

use super::args::{AsmArgs, InspectCommand};
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;
use crate::backend::cpu::Language;
use crate::backend::cpu::assembly::{Assembly, Function, is_of};
use crate::diagnostic::nearest;

/// Runs one of them.
pub(super) fn run(command: &InspectCommand, ui: &Ui) -> Exit {
    let done = match command {
        InspectCommand::Asm(args) => asm(args, ui),
        InspectCommand::Ptx(args) => cuda::ptx(args, ui),
        InspectCommand::Sass(args) => cuda::sass(args, ui),
        InspectCommand::Resources(args) => cuda::resources(args, ui),
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

/// One version of a kernel, compiled.
struct Listing {
    /// As the user names it.
    title: String,
    /// The file that was compiled.
    source: PathBuf,
    assembly: Assembly,
    /// Positions of the functions that are shown, the entry first.
    shown: Vec<usize>,
    /// Compiler and flags, for people.
    command: String,
}

impl Listing {
    fn functions(&self) -> impl Iterator<Item = &Function> {
        self.shown.iter().filter_map(|&at| self.assembly.functions.get(at))
    }
}

fn asm(args: &AsmArgs, ui: &Ui) -> Result<(), Refusal> {
    let kernel = source(&args.kernel)?;
    let scratch = tempfile::tempdir().map_err(|e| cannot("make a temporary folder", &e))?;
    let mut recipe = build::recipe((args.pipeline.as_deref(), &args.flags), &kernel, ui)?;
    let own = listing(args, &recipe, (&args.kernel.display().to_string(), &kernel), &scratch)?;
    let Some(other) = &args.diff else {
        show::listing(&own, ui);
        return Ok(());
    };
    let old_path = match other.strip_prefix("git:") {
        Some(revision) => {
            let folder = kernel.parent().map(Path::to_owned);
            let old = build::from_git(&recipe, revision, &kernel, scratch.path())?;
            recipe.include_dirs.extend(folder);
            old
        }
        None => source(Path::new(other))?,
    };
    let older = tempfile::tempdir().map_err(|e| cannot("make a temporary folder", &e))?;
    let old = listing(args, &recipe, (other, &old_path), &older)?;
    show::changes(&old, &own, ui);
    Ok(())
}

fn listing(
    args: &AsmArgs,
    recipe: &build::Recipe,
    (title, source): (&str, &Path),
    scratch: &tempfile::TempDir,
) -> Result<Listing, Refusal> {
    let built = build::assembly(recipe, source, scratch.path())?;
    let wanted = args.entry.as_ref().or(recipe.entry());
    let entry = match wanted {
        Some(name) => Some(name.as_str()),
        None => like_the_file(names(&built.assembly), source),
    };
    let mut shown: Vec<usize> = (0..built.assembly.functions.len()).collect();
    let of_entry =
        |at: &usize| entry.is_some_and(|e| is_of(&built.assembly.functions[*at].name, e));
    if let (Some(name), false) = (wanted, shown.iter().any(of_entry)) {
        return Err(no_entry(name, title, names(&built.assembly)));
    }
    if !args.all {
        shown.retain(|at| of_entry(at) || recipe.own(&built.assembly, *at, source));
    }
    shown.sort_by_key(|at| !of_entry(at));
    let title = title.to_owned();
    let source = source.to_owned();
    Ok(Listing { title, source, assembly: built.assembly, shown, command: built.command })
}

fn names(assembly: &Assembly) -> impl Iterator<Item = &str> {
    assembly.functions.iter().map(|f| f.name.as_str())
}

/// The function with the longest name that the file's begins with: `sgemm` of `sgemm_fast.c`.
fn like_the_file<'a>(names: impl Iterator<Item = &'a str>, source: &Path) -> Option<&'a str> {
    let stem = source.file_stem()?.to_str()?;
    names.filter(|name| stem.starts_with(name)).max_by_key(|name| name.len())
}

fn no_entry<'a>(name: &str, title: &str, names: impl Iterator<Item = &'a str>) -> Refusal {
    let names: Vec<&str> = names.collect();
    let help = match (nearest(name, names.iter().copied()), names.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => "the file has no code of its own; is everything in it `static`?".to_owned(),
        (None, false) => format!("there is code of {}", names.join(", ")),
    };
    Refusal::Words(format!("{title} has no code for `{name}`"), Some(help), Exit::User)
}

/// A kernel's absolute path, once it is something to compile.
fn source(path: &Path) -> Result<PathBuf, Refusal> {
    let shown = path.display();
    let extension = path.extension().unwrap_or_default();
    if cuda::EXTENSIONS.iter().any(|e| extension == *e) {
        let what = format!("{shown} is for CUDA devices, and `inspect asm` shows code of the CPU");
        let help = "`inspect ptx`, `inspect sass` and `inspect resources` are for these";
        return Err(Refusal::Words(what, Some(help.to_owned()), Exit::User));
    }
    if !path.is_file() {
        let what = format!("there is no kernel `{shown}`");
        let help = "give the path of a C or C++ file, such as kernels/softmax/softmax.c";
        return Err(Refusal::Words(what, Some(help.to_owned()), Exit::User));
    }
    if Language::of(path).is_none() {
        let what = format!("{shown} is neither C (.c) nor C++ (.cc, .cpp, .cxx)");
        return Err(Refusal::Words(what, None, Exit::User));
    }
    std::path::absolute(path).map_err(|e| cannot(&format!("find {shown}"), &e))
}

fn cannot(what: &str, why: &dyn std::fmt::Display) -> Refusal {
    Refusal::Words(format!("cannot {what}: {why}"), None, Exit::Infrastructure)
}
