//! From a kernel's source to PTX or machine code, by NVIDIA's compilers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::super::exit::Exit;
use super::super::super::refusal::Refusal;
use super::super::build;
use super::super::listing::cannot;
use super::call::{Call, Version};
use crate::backend::cpu::Step;
use crate::backend::cuda::compiler::nvrtc::Order;
use crate::backend::cuda::compiler::{GENERATED, prototype};
use crate::backend::cuda::find::{Library, Tool};
use crate::backend::cuda::inspect::resources::{Arch, parse_ptx};
use crate::process::{self, Capture, CommandSpec};

/// What is built for when nothing says so.
const ARCH: &str = "sm_90a";
/// Listings of large kernels are long.
const MAX_OUTPUT: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_mins(2);

/// What it is built to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// PTX.
    Ptx,
    /// Machine code.
    Cubin,
}

/// A kernel that was built.
pub(super) struct Built {
    /// PTX or machine code.
    pub(super) file: PathBuf,
    /// What it was built for, unless it came as it is.
    pub(super) arch: Option<Arch>,
    /// Compiler and flags, for people.
    pub(super) command: String,
    /// The compiler's words, with those of `ptxas -v`.
    pub(super) said: String,
}

impl Built {
    /// Refuses a file that is for another architecture than was asked for.
    pub(super) fn is_for(
        &self,
        wanted: Option<&str>,
        target: &str,
        version: &Version<'_>,
    ) -> Result<(), Refusal> {
        match wanted {
            Some(wanted) if self.arch.is_none() && wanted != target && !target.is_empty() => {
                let what = format!("{} is for {target}, not for {wanted}", version.title);
                let help = "machine code is for one architecture; leave --arch out";
                Err(Refusal::Words(what, Some(help.to_owned()), Exit::User))
            }
            _ => Ok(()),
        }
    }
}

/// Builds a version: the one place that knows by what.
pub(super) fn build(
    call: &Call<'_>,
    version: &Version<'_>,
    wanted: Wanted,
) -> Result<Built, Refusal> {
    let is = |extension: &str| version.source.extension().is_some_and(|e| e == extension);
    match wanted {
        Wanted::Ptx if is("cubin") => {
            let what = format!("{} is machine code, and holds no PTX", version.title);
            let help = "`inspect sass` shows its instructions";
            Err(Refusal::Words(what, Some(help.to_owned()), Exit::User))
        }
        Wanted::Ptx if is("ptx") => Ok(as_it_is(version)),
        Wanted::Cubin if is("cubin") => Ok(as_it_is(version)),
        Wanted::Cubin if is("ptx") => assemble(call, version),
        _ => compile(call, version, wanted),
    }
}

fn as_it_is(version: &Version<'_>) -> Built {
    let (command, said) = ("as it is".to_owned(), String::new());
    Built { file: version.source.to_owned(), arch: None, command, said }
}

/// CUDA C++ by nvcc, or by NVRTC where there is no nvcc.
fn compile(call: &Call<'_>, version: &Version<'_>, wanted: Wanted) -> Result<Built, Refusal> {
    let of_pipeline = Some(call.recipe.compile.arch.as_str()).filter(|arch| !arch.is_empty());
    let arch = match &call.arch {
        Some(arch) => arch.clone(),
        None => known(of_pipeline.unwrap_or(ARCH))?,
    };
    let (kind, name) = match wanted {
        Wanted::Ptx => ("-ptx", "kernel.ptx"),
        Wanted::Cubin => ("-cubin", "kernel.cubin"),
    };
    let file = version.scratch.join(name);
    let nvrtc = match call.tool(Tool::Nvcc) {
        Some(_) => None,
        None => call.places.find(Library::Nvrtc).map(|found| found.path),
    };
    let target = match (&nvrtc, wanted) {
        // NVRTC gives PTX for a virtual architecture.
        (Some(_), Wanted::Ptx) => arch.name.replacen("sm_", "compute_", 1),
        _ => arch.name.clone(),
    };
    let work = &call.recipe.compile;
    let defines = work.defines.iter().map(|(name, value)| format!("-D{name}={value}"));
    let flags = work.flags.iter().cloned().chain(defines);
    let shown: Vec<String> = std::iter::once(format!("-arch={target}")).chain(flags).collect();
    let mut args: Vec<OsString> = vec!["-lineinfo".into()];
    args.extend(shown.iter().map(OsString::from));
    if wanted == Wanted::Cubin {
        args.extend(["-Xptxas", "-v"].map(OsString::from));
    }
    let (title, said) = if let Some(library) = nvrtc {
        ("NVRTC", by_nvrtc(call, version, Nvrtc { library, output: &file }, args)?)
    } else {
        let program = call.need(Tool::Nvcc, "compiles CUDA C++, and no NVRTC either")?;
        args.push(kind.into());
        args.extend(call.recipe.include_dirs.iter().flat_map(|dir| ["-I".into(), dir.into()]));
        args.extend([version.source.into(), "-o".into(), OsString::from(&file)]);
        let step = Step { program, args };
        ("nvcc", build::compile(&step, &call.recipe, version.input())?)
    };
    let command = format!("{title} {}", shown.join(" "));
    Ok(Built { file, arch: Some(arch), command, said })
}

/// The library that compiles, and the file that it writes.
struct Nvrtc<'a> {
    library: PathBuf,
    output: &'a Path,
}

/// CUDA C++ by NVRTC, in a process of its own; its words.
fn by_nvrtc(
    call: &Call<'_>,
    version: &Version<'_>,
    by: Nvrtc<'_>,
    options: Vec<OsString>,
) -> Result<String, Refusal> {
    let Nvrtc { library, output } = by;
    let source = version.scratch.join(GENERATED);
    let text = prototype::including(version.source)
        .map_err(|e| Refusal::Words(e.to_string(), None, Exit::User))?;
    std::fs::write(&source, text).map_err(|e| cannot("write the file to compile", &e))?;
    let order = Order {
        source,
        kernel: version.source.to_owned(),
        output: output.to_owned(),
        depfile: version.scratch.join("kernel.d"),
        include_dirs: call.recipe.include_dirs.clone(),
        toolkit_dirs: call.places.headers(&library),
        library,
        options,
    };
    let step = Step { program: "/proc/self/exe".into(), args: order.arguments() };
    build::compile(&step, &call.recipe, version.input()).map_err(|refusal| {
        let Refusal::Words(what, None, exit) = refusal else { return refusal };
        let help = format!(
            "without nvcc it is compiled by NVRTC, which has no headers of the \
                            system and fewer options; for nvcc {}",
            Tool::Nvcc.hint()
        );
        Refusal::Words(what, Some(help), exit)
    })
}

/// PTX by ptxas.
fn assemble(call: &Call<'_>, version: &Version<'_>) -> Result<Built, Refusal> {
    let program = call.need(Tool::Ptxas, "compiles PTX")?;
    let text = std::fs::read(version.source).map_err(|e| cannot("read the PTX", &e))?;
    let target = parse_ptx(&String::from_utf8_lossy(&text)).target;
    let arch = match &call.arch {
        Some(arch) => arch.clone(),
        None => known(&target)?,
    };
    let file = version.scratch.join("kernel.cubin");
    // Those of a pipeline are nvcc's.
    let flags = call.args.flags.iter().cloned();
    let shown: Vec<String> = std::iter::once(format!("-arch={}", arch.name)).chain(flags).collect();
    let mut args: Vec<OsString> = ["-v", "-lineinfo"].map(OsString::from).to_vec();
    args.extend(shown.iter().map(OsString::from));
    args.extend([version.source.into(), "-o".into(), OsString::from(&file)]);
    let step = Step { program, args };
    let said = build::compile(&step, &call.recipe, version.input())?;
    let command = format!("ptxas {}", shown.join(" "));
    Ok(Built { file, arch: Some(arch), command, said })
}

fn known(name: &str) -> Result<Arch, Refusal> {
    Arch::parse(name).map_err(|e| Refusal::Words(e.to_string(), Some(e.help), Exit::User))
}

/// Machine code as text.
pub(super) fn disassemble(
    call: &Call<'_>,
    built: &Built,
    scratch: &Path,
) -> Result<String, Refusal> {
    let program = call.need(Tool::Nvdisasm, "shows machine code")?;
    ask(call, Asked { program, args: &["-c", "-g"] }, &built.file, scratch)
}

/// What the kernels of a file use, as text.
pub(super) fn usage(call: &Call<'_>, built: &Built, scratch: &Path) -> Result<String, Refusal> {
    let program = call.need(Tool::Cuobjdump, "says what a .cubin uses")?;
    ask(call, Asked { program, args: &["-res-usage"] }, &built.file, scratch)
}

/// A tool with its arguments.
struct Asked<'a> {
    program: PathBuf,
    args: &'a [&'a str],
}

/// What a tool says about a file.
fn ask(call: &Call<'_>, tool: Asked<'_>, file: &Path, scratch: &Path) -> Result<String, Refusal> {
    let Asked { program, args } = tool;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut spec = CommandSpec::new(program, scratch, "inspect-tool");
    spec.args = args.iter().map(OsString::from).chain([file.into()]).collect();
    spec.env = build::environment(scratch);
    spec.capture = Capture::Split;
    spec.max_output = MAX_OUTPUT;
    spec.timeout = Some(TIMEOUT);
    let finished = build::run(&spec, &call.recipe)?;
    if finished.exit == process::Exit::Code(0) {
        return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&finished.stderr);
    let what = format!("{name} cannot read {}: {}", file.display(), said.trim());
    Err(Refusal::Words(what, None, Exit::User))
}
