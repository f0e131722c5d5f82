//! What is looked for, and what is found: libraries, files, and why they were looked at.
#![expect(unsafe_code, reason = "opens libraries")]

use std::fmt;
use std::path::{Path, PathBuf};

use libloading::os::unix::{RTLD_GLOBAL, RTLD_NOW};
use serde::{Deserialize, Serialize};

/// A library that is looked for at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Library {
    /// The driver's, `libcuda`.
    Driver,
    /// The compiler of CUDA C++, `libnvrtc`.
    Nvrtc,
    /// The management library, `libnvidia-ml`.
    Nvml,
}

impl Library {
    /// Its file names, the best first. Of NVRTC 13 and 12 are known; the plain name is what a
    /// developer's installation adds.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Driver => &["libcuda.so.1"],
            Self::Nvrtc => &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
            Self::Nvml => &["libnvidia-ml.so.1"],
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Driver => "the CUDA driver",
            Self::Nvrtc => "NVRTC",
            Self::Nvml => "NVML",
        }
    }
}

/// Why a place was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The environment variable of this name.
    Variable(Variable),
    /// `/usr/local/cuda`.
    Toolkit,
    /// A folder where systems keep libraries.
    System,
    /// NVIDIA's wheels for Python.
    Wheel,
    /// `/opt/nvidia`.
    Nsight,
    /// The dynamic loader's own list.
    Loader,
}

/// The variables that name places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variable {
    /// `LD_LIBRARY_PATH`.
    LibraryPath,
    /// `PATH`.
    Path,
    /// `CUDA_HOME`.
    CudaHome,
    /// `CUDA_PATH`.
    CudaPath,
    /// `CONDA_PREFIX`.
    CondaPrefix,
}

impl Variable {
    /// As it is spelled.
    pub fn name(self) -> &'static str {
        match self {
            Self::LibraryPath => "LD_LIBRARY_PATH",
            Self::Path => "PATH",
            Self::CudaHome => "CUDA_HOME",
            Self::CudaPath => "CUDA_PATH",
            Self::CondaPrefix => "CONDA_PREFIX",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable(variable) => variable.name(),
            Self::Toolkit => "the CUDA toolkit",
            Self::System => "the system",
            Self::Wheel => "Python's packages",
            Self::Nsight => "Nsight",
            Self::Loader => "the loader",
        })
    }
}

/// A file, and why it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its path; a bare name where the loader is to look.
    pub path: PathBuf,
    /// Why it was looked at.
    pub from: Origin,
}

/// A library that was loaded and stays so.
#[derive(Debug)]
pub struct Opened {
    /// Its path; a bare name where the loader found it.
    pub path: PathBuf,
    /// Why it was looked at.
    pub from: Origin,
    /// To ask it for its functions.
    pub(crate) library: &'static libloading::Library,
}

impl Opened {
    /// The version of the CUDA whose compiler this is; `None` where the library is not NVRTC.
    pub fn nvrtc_version(&self) -> Option<(i32, i32)> {
        type Version = unsafe extern "C" fn(*mut i32, *mut i32) -> i32;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: this call has had this form in every NVRTC, and writes two numbers.
        let code = unsafe {
            let call = self.library.get::<Version>(b"nvrtcVersion").ok()?;
            call(&raw mut major, &raw mut minor)
        };
        (code == 0).then_some((major, minor))
    }
}

/// A library or a tool that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What was looked for.
    pub what: String,
    /// Where, in order.
    pub tried: Vec<PathBuf>,
    /// What was there and could not be opened, with the loader's words.
    pub broken: Option<String>,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.broken {
            Some(broken) => write!(f, "{} cannot be opened: {broken}", self.what),
            None => write!(f, "{} was not found", self.what),
        }
    }
}

impl std::error::Error for Missing {}

/// Loads a library for good.
pub(super) fn load(path: &Path) -> Result<&'static libloading::Library, String> {
    // SAFETY: runs the library's constructors. These are NVIDIA's libraries, from where the user's
    // environment and system say that they are; the dynamic loader would open them as well.
    let opened = unsafe { libloading::os::unix::Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    match opened {
        // Never closed: the driver starts threads and leaves handlers behind.
        Ok(library) => Ok(Box::leak(Box::new(library.into()))),
        Err(error) => Err(reason(&error)),
    }
}

/// The loader's words; `libloading` keeps them a level below its own.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
