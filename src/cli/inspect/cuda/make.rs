//! From a kernel's source to PTX or machine code, by NVIDIA's compilers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::super::exit::Exit;
use super::super::super::session::Refusal;
use super::super::{build, cannot};
use super::Call;
use super::tools::Tool;
use crate::backend::cpu::Step;
use crate::backend::cuda::inspect::resources::{Arch, parse_ptx};
use crate::process::{self, Capture, CommandSpec};

/// What is built for when nothing says so.
const ARCH: &str = "sm_90a";
/// Listings of large kernels are long.
const MAX_OUTPUT: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_mins(2);

/// A kernel at one time.
pub(super) struct Version<'a> {
    /// As the user names it.
    pub(super) title: &'a str,
    /// Absolute.
    pub(super) source: &'a Path,
    /// A folder of its own.
    pub(super) scratch: &'a Path,
}

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

/// CUDA C++ by nvcc.
fn compile(call: &Call<'_>, version: &Version<'_>, wanted: Wanted) -> Result<Built, Refusal> {
    let program = call.tools.need(Tool::Nvcc, "compiles CUDA C++")?;
    let arch = call.arch.clone().map_or_else(|| known(ARCH), Ok)?;
    let (kind, file) = match wanted {
        Wanted::Ptx => ("-ptx", version.scratch.join("kernel.ptx")),
        Wanted::Cubin => ("-cubin", version.scratch.join("kernel.cubin")),
    };
    let defines =
        call.recipe.compile.defines.iter().map(|(name, value)| format!("-D{name}={value}"));
    let flags = call.recipe.compile.flags.iter().cloned().chain(defines);
    let shown: Vec<String> = std::iter::once(format!("-arch={}", arch.name)).chain(flags).collect();
    let mut args: Vec<OsString> = [kind, "-lineinfo"].map(OsString::from).to_vec();
    args.extend(shown.iter().map(OsString::from));
    if wanted == Wanted::Cubin {
        args.extend(["-Xptxas", "-v"].map(OsString::from));
    }
    for dir in &call.recipe.include_dirs {
        args.extend(["-I".into(), dir.into()]);
    }
    args.extend([version.source.into(), "-o".into(), OsString::from(&file)]);
    let step = Step { program, args };
    let said = build::compile(&step, &call.recipe, (version.source, version.scratch))?;
    let command = format!("nvcc {}", shown.join(" "));
    Ok(Built { file, arch: Some(arch), command, said })
}

/// PTX by ptxas.
fn assemble(call: &Call<'_>, version: &Version<'_>) -> Result<Built, Refusal> {
    let program = call.tools.need(Tool::Ptxas, "compiles PTX")?;
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
    let said = build::compile(&step, &call.recipe, (version.source, version.scratch))?;
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
    let program = call.tools.need(Tool::Nvdisasm, "shows machine code")?;
    ask(call, (program, &["-c", "-g"]), &built.file, scratch)
}

/// What the kernels of a file use, as text.
pub(super) fn usage(call: &Call<'_>, built: &Built, scratch: &Path) -> Result<String, Refusal> {
    let program = call.tools.need(Tool::Cuobjdump, "says what a .cubin uses")?;
    ask(call, (program, &["-res-usage"]), &built.file, scratch)
}

/// What a tool says about a file.
fn ask(
    call: &Call<'_>,
    (program, args): (PathBuf, &[&str]),
    file: &Path,
    scratch: &Path,
) -> Result<String, Refusal> {
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
