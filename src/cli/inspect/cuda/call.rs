//! One call of the program about a kernel for CUDA devices.

use std::path::{Path, PathBuf};

use super::super::build::{self, Recipe};
use super::super::listing::cannot;
use crate::backend::cpu::Language;
use crate::backend::cuda::find::{Places, Tool};
use crate::backend::cuda::inspect::resources::Arch;
use crate::cli::args::DeviceCodeArgs;
use crate::cli::exit::Exit;
use crate::cli::host::cuda_places;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;

/// What kernels for CUDA devices are written in.
pub(in crate::cli::inspect) const EXTENSIONS: [&str; 3] = ["cu", "ptx", "cubin"];

/// A kernel at one time.
pub(super) struct Version<'a> {
    /// As the user names it.
    pub(super) title: &'a str,
    /// Absolute.
    pub(super) source: &'a Path,
    /// A folder of its own.
    pub(super) scratch: &'a Path,
}

impl<'a> Version<'a> {
    /// As a compiler gets it.
    pub(super) fn input(&self) -> build::Input<'a> {
        build::Input { source: self.source, scratch: self.scratch }
    }
}

/// One call of the program: what is built, how, with what.
pub(super) struct Call<'a> {
    pub(super) args: &'a DeviceCodeArgs,
    /// Absolute.
    pub(super) kernel: PathBuf,
    pub(super) recipe: Recipe,
    pub(super) places: Places,
    pub(super) arch: Option<Arch>,
}

impl<'a> Call<'a> {
    pub(super) fn new(args: &'a DeviceCodeArgs, ui: &Ui) -> Result<Self, Refusal> {
        let arch = args
            .arch
            .as_deref()
            .map(Arch::parse)
            .transpose()
            .map_err(|e| Refusal::Words(e.to_string(), Some(e.help), Exit::User))?;
        let kernel = source(&args.kernel)?;
        let way = build::Way { pipeline: args.pipeline.as_deref(), flags: &args.flags };
        let mut recipe = build::recipe(&way, &kernel, ui)?;
        // The older version of a file lies elsewhere than its headers.
        if args.diff.as_ref().is_some_and(|d| d.starts_with("git:")) {
            recipe.include_dirs.extend(kernel.parent().map(Path::to_owned));
        }
        Ok(Self { args, kernel, recipe, places: cuda_places(), arch })
    }

    /// Where a tool is, when it is here.
    pub(super) fn tool(&self, tool: Tool) -> Option<PathBuf> {
        Some(self.places.tool(tool).ok()?.path)
    }

    /// Where a tool is, or an answer about how to get it.
    pub(super) fn need(&self, tool: Tool, purpose: &str) -> Result<PathBuf, Refusal> {
        self.tool(tool).ok_or_else(|| {
            let what = format!("there is no {} here, which {purpose}", tool.name());
            Refusal::Words(what, Some(tool.hint().to_owned()), Exit::User)
        })
    }

    /// Makes something of the kernel and, where one is named, of its other version.
    pub(super) fn versions<T>(
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
    pub(super) fn missing(&self, ui: &Ui) {
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
pub(super) fn source(path: &Path) -> Result<PathBuf, Refusal> {
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
