//! How a CUDA kernel is built: the commands that make its image, and the image as a bundle.

pub mod directives;
pub mod elf;
mod includes;
pub mod messages;
pub mod nvrtc;
pub mod prototype;
pub mod ptx;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::backend::cpu::source::BadPath;
use crate::backend::cpu::{Signature, Step};
use crate::backend::cuda::bundle::{Bundle, ImageKind, LaunchLines};
use crate::backend::cuda::find::NVRTC_HINT;
use elf::ElfError;
use messages::About;
use nvrtc::Order;
use prototype::Form;
use ptx::PtxError;

/// The generated source's name in the scratch folder: relative, so that no path enters the image.
pub const GENERATED: &str = "kernel.cu";

/// What a pipeline's `cc` says for NVRTC.
pub const NVRTC: &str = "nvrtc";

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub struct CudaRequest<'a> {
    /// Absolute paths; the first holds the entry.
    pub sources: &'a [PathBuf],
    /// What the entry must look like.
    pub signature: &'a Signature,
    /// What compiles it.
    pub tool: &'a Tool,
    /// Flags, in order.
    pub flags: &'a [String],
    /// `-D` definitions.
    pub defines: &'a BTreeMap<String, String>,
    /// `-I` folders, absolute.
    pub include_dirs: &'a [PathBuf],
    /// The architecture, such as `sm_90a`.
    pub arch: &'a str,
    /// A private folder: the commands run in it.
    pub scratch: &'a Path,
}

/// What compiles a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// Nothing: PTX and cubins are taken as they are.
    None,
    /// NVRTC, in a child process.
    Nvrtc {
        /// The library.
        library: PathBuf,
        /// This very program, which the child is started from.
        program: PathBuf,
        /// The toolkit's headers.
        toolkit_dirs: Vec<PathBuf>,
    },
    /// nvcc, or what takes its options, to a cubin.
    Nvcc(PathBuf),
    /// The same to a shared object with host code.
    NvccHost(PathBuf),
}

/// What is to be done: write the generated source, run the steps in the scratch folder, pack the
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaBuild {
    /// The generated source and where it is to stand; none for what is taken as it is.
    pub generated: Option<(PathBuf, String)>,
    /// Commands in order; each must exit with 0.
    pub steps: Vec<Step>,
    /// Written by the steps; see [`crate::backend::cpu::parse_depfile`].
    pub depfiles: Vec<PathBuf>,
    /// What the image is.
    pub kind: ImageKind,
    /// Where it will be.
    pub image: PathBuf,
}

/// Why nothing can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// No sources.
    #[error("there is no kernel source to compile")]
    NoSource,
    /// Another language.
    #[error("`{}` is no CUDA kernel: those are .cu, .ptx and .cubin files", .0.display())]
    NotCuda(PathBuf),
    /// Several, where one is possible.
    #[error(
        "a kernel without host code is built from one source, and there are {0}; include the \
         others in the first, or write a `launch` function and host = true under [compile]"
    )]
    Several(usize),
    /// Host code by a compiler that has none.
    #[error("NVRTC compiles no host code; for host = true set cc = \"nvcc\" under [compile]")]
    NvrtcHost,
    /// Host code in what is built already.
    #[error("`{}` has no host code: host = true is for .cu files", .0.display())]
    BuiltHost(PathBuf),
    /// No architecture.
    #[error(
        "no architecture to compile for: there is no device to ask; write, for example, \
         arch = \"sm_90a\" under [compile]"
    )]
    NoArch,
    /// A path that cannot be included.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// A PTX text that does not fit.
    #[error("{}: {why}", .path.display())]
    Ptx {
        /// The file.
        path: PathBuf,
        /// Why.
        why: PtxError,
    },
    /// A cubin that cannot be read.
    #[error("{}: {why}", .path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// Why.
        why: ElfError,
    },
    /// The kernel is not in what was built.
    #[error("{}", missing(.path, .entry, .found))]
    NoEntry {
        /// The source, or the cubin.
        path: PathBuf,
        /// What is wanted.
        entry: String,
        /// What is there.
        found: Vec<String>,
    },
}

fn missing(path: &Path, entry: &str, found: &[String]) -> String {
    let path = path.display();
    // A C++ name holds the plain one behind its length: `_Z5scalePf`.
    let mangled = format!("{}{entry}", entry.len());
    if found.iter().any(|name| name.starts_with("_Z") && name.contains(&mangled)) {
        return format!("{path}: `{entry}` is a C++ name; write extern \"C\" before __global__");
    }
    match found {
        [] => format!("{path} has no kernel called `{entry}`: is it a __global__ function?"),
        names => format!("{path} has no kernel called `{entry}`; it has {}", names.join(", ")),
    }
}

/// Whether a source is for CUDA, by its extension.
pub fn is_cuda(path: &Path) -> bool {
    extension(path).is_some_and(|e| ["cu", "ptx", "cubin"].contains(&e))
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

/// Which kind of tool a pipeline asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolKind<'a> {
    /// See [`Tool::None`].
    None,
    /// See [`Tool::Nvrtc`].
    Nvrtc,
    /// A command by this name or path.
    Nvcc(&'a str),
}

/// The tool that `cc` (empty: the default) and `host` mean for these sources.
///
/// # Errors
/// When there is none.
pub fn tool_kind<'a>(
    cc: &'a str,
    form: Form,
    sources: &[PathBuf],
) -> Result<ToolKind<'a>, CudaError> {
    let first = sources.first().ok_or(CudaError::NoSource)?;
    if let Some(other) = sources.iter().find(|source| !is_cuda(source)) {
        return Err(CudaError::NotCuda(other.clone()));
    }
    let is_built = |source: &PathBuf| extension(source) != Some("cu");
    match (form, cc) {
        (Form::Host, _) if sources.iter().any(is_built) => {
            let built = sources.iter().find(|source| is_built(source)).unwrap_or(first);
            Err(CudaError::BuiltHost(built.clone()))
        }
        (Form::Device, _) if sources.len() > 1 => Err(CudaError::Several(sources.len())),
        (Form::Device, _) if is_built(first) => Ok(ToolKind::None),
        (Form::Host, NVRTC) => Err(CudaError::NvrtcHost),
        (Form::Device, "" | NVRTC) => Ok(ToolKind::Nvrtc),
        (Form::Host, "") => Ok(ToolKind::Nvcc("nvcc")),
        (_, command) => Ok(ToolKind::Nvcc(command)),
    }
}

/// What to do where there is no NVRTC for a pipeline's kernel.
pub fn without_nvrtc() -> String {
    format!("{NVRTC_HINT}, or set cc = \"nvcc\" under [compile]")
}

/// The architecture to build for: the one that is written, else the device's.
///
/// # Errors
/// When there is neither.
pub fn architecture(written: &str, device: Option<&str>) -> Result<String, CudaError> {
    let found = Some(written).filter(|arch| !arch.is_empty()).or(device);
    found.filter(|arch| !arch.is_empty()).map(str::to_owned).ok_or(CudaError::NoArch)
}

/// Plans the commands for `request`.
///
/// # Errors
/// When the sources cannot be built by the tool.
pub fn plan(request: &CudaRequest<'_>) -> Result<CudaBuild, CudaError> {
    let first = request.sources.first().ok_or(CudaError::NoSource)?;
    let form = match request.tool {
        Tool::NvccHost(_) => Form::Host,
        _ => Form::Device,
    };
    if matches!(request.tool, Tool::None) {
        let kind = if extension(first) == Some("ptx") { ImageKind::Ptx } else { ImageKind::Cubin };
        let (steps, depfiles, image) = (Vec::new(), Vec::new(), first.clone());
        return Ok(CudaBuild { generated: None, steps, depfiles, kind, image });
    }
    let text = prototype::trampoline(first, request.signature, form)?;
    let generated = Some((request.scratch.join(GENERATED), text));
    let mut build = CudaBuild {
        generated,
        steps: Vec::new(),
        depfiles: vec![request.scratch.join("0.d")],
        kind: ImageKind::Cubin,
        image: request.scratch.join("kernel.cubin"),
    };
    match request.tool {
        Tool::None => {}
        Tool::Nvrtc { library, program, toolkit_dirs } => {
            let order = order(request, first, library, toolkit_dirs);
            build.steps.push(Step { program: program.clone(), args: order.arguments() });
        }
        Tool::Nvcc(nvcc) => {
            let mut args = common(request);
            args.extend(
                ["-MD", "-MF", "0.d", "-cubin", "-o", "kernel.cubin", GENERATED]
                    .map(OsString::from),
            );
            build.steps.push(Step { program: nvcc.clone(), args });
        }
        Tool::NvccHost(nvcc) => host_steps(request, nvcc, &mut build),
    }
    Ok(build)
}

/// Flags, architecture, definitions and folders.
fn common(request: &CudaRequest<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = request.flags.iter().map(OsString::from).collect();
    args.push(format!("-arch={}", request.arch).into());
    args.extend(request.defines.iter().map(|(name, value)| format!("-D{name}={value}").into()));
    args.extend(request.include_dirs.iter().flat_map(|dir| ["-I".into(), dir.into()]));
    args
}

fn order(
    request: &CudaRequest<'_>,
    first: &Path,
    library: &Path,
    toolkit_dirs: &[PathBuf],
) -> Order {
    let mut options: Vec<OsString> = request.flags.iter().map(OsString::from).collect();
    options.push(format!("--gpu-architecture={}", request.arch).into());
    options.extend(
        request.defines.iter().map(|(name, value)| format!("--define-macro={name}={value}").into()),
    );
    Order {
        library: library.to_owned(),
        source: request.scratch.join(GENERATED),
        kernel: first.to_owned(),
        output: request.scratch.join("kernel.cubin"),
        depfile: request.scratch.join("0.d"),
        include_dirs: request.include_dirs.to_vec(),
        toolkit_dirs: toolkit_dirs.to_vec(),
        options,
    }
}

/// Each source to an object, all objects to one shared object. The CUDA runtime is linked in, as
/// nvcc does when nothing is said.
fn host_steps(request: &CudaRequest<'_>, nvcc: &Path, build: &mut CudaBuild) {
    let objects: Vec<String> = (0..request.sources.len()).map(|i| format!("{i}.o")).collect();
    build.depfiles.clear();
    for (index, object) in objects.iter().enumerate() {
        let depfile = format!("{index}.d");
        let mut args = common(request);
        // Only what is exported by name is seen from outside.
        let host = "-Xcompiler=-fPIC,-fvisibility=hidden,-frandom-seed=optloop";
        args.extend(
            [host, "-MD", "-MF", depfile.as_str(), "-o", object.as_str(), "-c"].map(OsString::from),
        );
        args.push(match index {
            0 => GENERATED.into(),
            _ => request.sources[index].clone().into(),
        });
        build.steps.push(Step { program: nvcc.to_owned(), args });
        build.depfiles.push(request.scratch.join(depfile));
    }
    let mut args: Vec<OsString> = objects.iter().map(OsString::from).collect();
    args.push(format!("-arch={}", request.arch).into());
    args.push("-shared".into());
    // Flags again, for those that link libraries.
    args.extend(request.flags.iter().map(OsString::from));
    // nvcc puts a name with its process id into the symbol table: it is left out.
    args.extend(["-Xlinker=-z,defs,--build-id=none,-s", "-o", "kernel.so"].map(OsString::from));
    build.steps.push(Step { program: nvcc.to_owned(), args });
    (build.kind, build.image) = (ImageKind::Shared, request.scratch.join("kernel.so"));
}

/// Checks the image that a build made, and packs it. `arch` is what it was built for; what is
/// taken as it is says so itself.
///
/// # Errors
/// When the image does not have the kernel, or has another signature.
pub fn pack(
    build: &CudaBuild,
    request: &CudaRequest<'_>,
    image: Vec<u8>,
    launch: LaunchLines,
) -> Result<Bundle, CudaError> {
    let entry = request.signature.entry.clone();
    let path = request.sources.first().ok_or(CudaError::NoSource)?.clone();
    let arch = match build.kind {
        ImageKind::Shared => request.arch.to_owned(),
        ImageKind::Ptx => ptx::check(&String::from_utf8_lossy(&image), request.signature)
            .map_err(|why| CudaError::Ptx { path, why })?,
        ImageKind::Cubin => {
            let found =
                elf::functions(&image).map_err(|why| CudaError::Elf { path: path.clone(), why })?;
            if !found.contains(&entry) {
                return Err(CudaError::NoEntry { path, entry, found });
            }
            match request.tool {
                Tool::None => elf::architecture(&image).unwrap_or_default(),
                _ => request.arch.to_owned(),
            }
        }
    };
    Ok(Bundle { kind: build.kind, entry, arch, launch, image })
}

/// What is needed to tell users what a tool said.
pub fn about<'a>(path: &'a str, text: &'a str, name: &'a str) -> About<'a> {
    About { path, text, name, generated: GENERATED }
}

/// What is to be done about words that beginners with NVRTC and nvcc meet.
pub fn hint(words: &str) -> Option<&'static str> {
    let has = |text: &str| words.contains(text);
    if has("cannot open source file") || has("could not open source file") {
        return Some(
            "NVRTC has no headers of the system; use those of CUDA (<cuda/std/…>), give \
             include_dirs, or set cc = \"nvcc\" under [compile]",
        );
    }
    if has("unrecognized option") {
        return Some(
            "NVRTC takes fewer options than nvcc; set cc = \"nvcc\" under [compile] for those",
        );
    }
    if has("invalid value for --gpu-architecture") || has("Unsupported gpu architecture") {
        return Some("this version of CUDA does not know that `arch`; a newer one may");
    }
    None
}

#[cfg(test)]
mod tests;
