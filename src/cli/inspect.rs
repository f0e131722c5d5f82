//! `optloop inspect`: what a kernel is compiled to.
//!
//! Compiles to assembly with the compiler and flags of a pipeline; reading it is `backend::cpu`'s,
//! laying it out [`show`]'s, comparing it [`diff`]'s. Kernels for CUDA devices are [`cuda`]'s.
//! Nothing is kept.

mod build;
mod cuda;
mod diff;
mod listing;
mod show;

use std::path::{Path, PathBuf};

use super::args::{AsmArgs, InspectCommand};
use super::exit::Exit;
use super::refusal::Refusal;
use super::ui::Ui;
use crate::backend::cpu::Language;
use crate::backend::cpu::assembly::is_of;
use build::Way;
use listing::{Listing, cannot, like_the_file, names, no_entry};

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

fn asm(args: &AsmArgs, ui: &Ui) -> Result<(), Refusal> {
    let kernel = source(&args.kernel)?;
    let scratch = tempfile::tempdir().map_err(|e| cannot("make a temporary folder", &e))?;
    let mut recipe = build::recipe(
        &Way { pipeline: args.pipeline.as_deref(), flags: &args.flags },
        &kernel,
        ui,
    )?;
    let own = listed(
        args,
        &recipe,
        Named { title: &args.kernel.display().to_string(), source: &kernel },
        &scratch,
    )?;
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
    let old = listed(args, &recipe, Named { title: other, source: &old_path }, &older)?;
    show::changes(&old, &own, ui);
    Ok(())
}

/// A source, as people name it.
#[derive(Clone, Copy)]
struct Named<'a> {
    title: &'a str,
    source: &'a Path,
}

fn listed(
    args: &AsmArgs,
    recipe: &build::Recipe,
    named: Named<'_>,
    scratch: &tempfile::TempDir,
) -> Result<Listing, Refusal> {
    let Named { title, source } = named;
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
