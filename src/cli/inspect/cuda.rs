//! `optloop inspect ptx`, `sass` and `resources`: what a kernel for CUDA devices is built to.
//!
//! Built by NVIDIA's compilers ([`make`]), read by `backend::cuda::inspect`; no device is needed.

mod code;
mod geometry;
mod make;
mod table;

use std::path::{Path, PathBuf};

use super::super::args::{DeviceCodeArgs, ResourcesArgs};
use super::super::exit::Exit;
use super::super::host::cuda_places;
use super::super::refusal::Refusal;
use super::super::ui::Ui;
use super::build::{self, Recipe};
use super::{cannot, like_the_file, no_entry};
use crate::backend::cpu::Language;
use crate::backend::cpu::assembly::is_of;
use crate::backend::cuda::find::{Places, Tool};
use crate::backend::cuda::inspect::resources::{Arch, parse_ptx, parse_sass};
use code::{Code, Listing, Part, Shown};
use make::{Version, Wanted};

/// What kernels for CUDA devices are written in.
pub(super) const EXTENSIONS: [&str; 3] = ["cu", "ptx", "cubin"];

/// Shows PTX.
pub(super) fn ptx(args: &DeviceCodeArgs, ui: &Ui) -> Result<(), Refusal> {
    listings(args, Shown::Ptx, ui, |call, version| {
        let built = make::build(call, version, Wanted::Ptx)?;
        let bytes = std::fs::read(&built.file).map_err(|e| cannot("read the PTX", &e))?;
        let ptx = parse_ptx(&String::from_utf8_lossy(&bytes));
        let parts = ptx.functions.into_iter().map(Part::from).collect();
        let mut listing = Listing::new(
            version,
            built.command,
            Code { target: ptx.target, files: ptx.files, parts },
        );
        if args.all {
            listing.head = ptx.head;
        }
        Ok(listing)
    })
}

/// Shows machine code.
pub(super) fn sass(args: &DeviceCodeArgs, ui: &Ui) -> Result<(), Refusal> {
    listings(args, Shown::Sass, ui, |call, version| {
        call.need(Tool::Nvdisasm, "shows machine code")?;
        let built = make::build(call, version, Wanted::Cubin)?;
        let sass = parse_sass(&make::disassemble(call, &built, version.scratch)?);
        built.is_for(args.arch.as_deref(), &sass.target, version)?;
        let parts = sass.functions.into_iter().map(Part::from).collect();
        Ok(Listing::new(
            version,
            built.command,
            Code { target: sass.target, files: sass.files, parts },
        ))
    })
}

/// Shows what kernels use, and how many fit.
pub(super) fn resources(args: &ResourcesArgs, ui: &Ui) -> Result<(), Refusal> {
    let call = Call::new(&args.code, ui)?;
    call.missing(ui);
    let versions = call.versions(|version| {
        let mut report = table::report(&call, version)?;
        choose(&call, version, &mut report.kernels, |kernel| &kernel.name)?;
        let launches = geometry::launches(args, &call, version.source);
        match (launches, report.arch.clone()) {
            (Ok(launches), Some(arch)) => report.place(&launches, &arch),
            (Err(why), _) => ui.note(&format!("no occupancy: {why}")),
            (_, None) => ui.note("no occupancy: say what the file is for with --arch"),
        }
        Ok(report)
    })?;
    match &versions {
        (own, None) => table::resources(own, ui),
        (own, Some(old)) => table::changes(old, own, ui),
    }
    Ok(())
}

fn listings(
    args: &DeviceCodeArgs,
    shown: Shown,
    ui: &Ui,
    read: impl Fn(&Call<'_>, &Version<'_>) -> Result<Listing, Refusal>,
) -> Result<(), Refusal> {
    let call = Call::new(args, ui)?;
    let versions = call.versions(|version| {
        let mut listing = read(&call, version)?;
        choose(&call, version, &mut listing.parts, |part| &part.name)?;
        Ok(listing)
    })?;
    match &versions {
        (own, None) => code::listing(own, shown, ui),
        (own, Some(old)) => code::changes(old, own, shown, ui),
    }
    Ok(())
}

/// Leaves only what is to be shown, the wanted kernel first.
fn choose<T>(
    call: &Call<'_>,
    version: &Version<'_>,
    all: &mut Vec<T>,
    name: fn(&T) -> &String,
) -> Result<(), Refusal> {
    let args = call.args;
    let names: Vec<String> = all.iter().map(|item| name(item).clone()).collect();
    let names = || names.iter().map(String::as_str);
    let there = |wanted: &str| names().any(|n| is_of(n, wanted));
    if let Some(wanted) = args.entry.as_ref().filter(|e| !there(e)) {
        return Err(no_entry(wanted, version.title, names()));
    }
    let problems = call.recipe.entry().map(String::as_str).filter(|e| there(e));
    let wanted = args.entry.as_deref().or(problems);
    let Some(wanted) = wanted.or_else(|| like_the_file(names(), version.source)) else {
        return Ok(());
    };
    if !args.all {
        all.retain(|item| is_of(name(item), wanted));
    }
    all.sort_by_key(|item| !is_of(name(item), wanted));
    Ok(())
}

/// One call of the program: what is built, how, with what.
struct Call<'a> {
    args: &'a DeviceCodeArgs,
    /// Absolute.
    kernel: PathBuf,
    recipe: Recipe,
    places: Places,
    arch: Option<Arch>,
}

impl<'a> Call<'a> {
    fn new(args: &'a DeviceCodeArgs, ui: &Ui) -> Result<Self, Refusal> {
        let arch = args
            .arch
            .as_deref()
            .map(Arch::parse)
            .transpose()
            .map_err(|e| Refusal::Words(e.to_string(), Some(e.help), Exit::User))?;
        let kernel = source(&args.kernel)?;
        let way = (args.pipeline.as_deref(), &args.flags[..]);
        let mut recipe = build::recipe(way, &kernel, ui)?;
        // The older version of a file lies elsewhere than its headers.
        if args.diff.as_ref().is_some_and(|d| d.starts_with("git:")) {
            recipe.include_dirs.extend(kernel.parent().map(Path::to_owned));
        }
        Ok(Self { args, kernel, recipe, places: cuda_places(), arch })
    }

    /// Where a tool is, when it is here.
    fn tool(&self, tool: Tool) -> Option<PathBuf> {
        Some(self.places.tool(tool).ok()?.path)
    }

    /// Where a tool is, or an answer about how to get it.
    fn need(&self, tool: Tool, purpose: &str) -> Result<PathBuf, Refusal> {
        self.tool(tool).ok_or_else(|| {
            let what = format!("there is no {} here, which {purpose}", tool.name());
            Refusal::Words(what, Some(tool.hint().to_owned()), Exit::User)
        })
    }

    /// Makes something of the kernel and, where one is named, of its other version.
    fn versions<T>(
        &self,
        make: impl Fn(&Version<'_>) -> Result<T, Refusal>,
    ) -> Result<(T, Option<T>), Refusal> {
        let folder = || tempfile::tempdir().map_err(|e| cannot("make a temporary folder", &e));
        let scratch = folder()?;
        let title = self.args.kernel.display().to_string();
        let version = Version { title: &title, source: &self.kernel, scratch: scratch.path() };
        let own = make(&version)?;
        let Some(other) = &self.args.diff else { return Ok((own, None)) };
        let scratch = folder()?;
        let source = match other.strip_prefix("git:") {
            Some(revision) => {
                build::from_git(&self.recipe, revision, &self.kernel, scratch.path())?
            }
            None => source(Path::new(other))?,
        };
        let version = Version { title: other, source: &source, scratch: scratch.path() };
        Ok((own, Some(make(&version)?)))
    }

    /// Says which columns will stay empty.
    fn missing(&self, ui: &Ui) {
        for (tool, what) in
            [(Tool::Cuobjdump, "local and constant memory"), (Tool::Nvdisasm, "instructions")]
        {
            if self.tool(tool).is_none() {
                ui.note(&format!(
                    "no {} here, so {what} are not known: {}",
                    tool.name(),
                    tool.hint()
                ));
            }
        }
    }
}

/// A kernel's absolute path, once it is something for a CUDA device.
fn source(path: &Path) -> Result<PathBuf, Refusal> {
    let shown = path.display();
    let refuse =
        |what: String, help: &str| Err(Refusal::Words(what, Some(help.to_owned()), Exit::User));
    if Language::of(path).is_some() {
        let what = format!("{shown} is for the CPU, and this shows code of CUDA devices");
        return refuse(what, "`inspect asm` is for these");
    }
    if !path.is_file() {
        let what = format!("there is no kernel `{shown}`");
        return refuse(what, "give the path of a CUDA file, such as kernels/softmax/softmax.cu");
    }
    if !EXTENSIONS.iter().any(|e| path.extension().is_some_and(|found| found == *e)) {
        let what = format!("{shown} is neither CUDA C++ (.cu) nor PTX (.ptx) nor a .cubin");
        return Err(Refusal::Words(what, None, Exit::User));
    }
    std::path::absolute(path).map_err(|e| cannot(&format!("find {shown}"), &e))
}
