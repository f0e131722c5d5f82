//! Where the CUDA libraries and tools lie.
//!
//! [`Places`] is what the environment says about it. Looking opens nothing; [`Places::open`] loads a
//! library by its path, for good, so that whoever asks the loader for its bare name gets the same one.
#![expect(unsafe_code, reason = "opens libraries")]

mod folders;
mod tool;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use libloading::os::unix::{RTLD_GLOBAL, RTLD_NOW};
use serde::{Deserialize, Serialize};

pub use folders::Sight;
pub use tool::Tool;

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

/// What to do where there is no NVRTC.
pub const NVRTC_HINT: &str = "pip install nvidia-cuda-nvrtc (for drivers of CUDA 12: \
                              nvidia-cuda-nvrtc-cu12), or point CUDA_HOME at a CUDA toolkit";

/// Variables of the environment that decide where libraries are found.
pub const VARIABLES: [&str; 7] =
    ["LD_LIBRARY_PATH", "PATH", "CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX", "VIRTUAL_ENV", "HOME"];

/// Where to look, as the environment says.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
    library_path: Vec<PathBuf>,
    path: Vec<PathBuf>,
    /// `CUDA_HOME`, `CUDA_PATH` and `CONDA_PREFIX`, as far as they are set.
    prefixes: Vec<(Variable, PathBuf)>,
    virtual_env: Option<PathBuf>,
    home: Option<PathBuf>,
    /// Whether the environment says in which order devices are.
    gives_order: bool,
}

impl Places {
    /// Of this machine.
    pub fn of(env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        Self::under(Path::new("/"), env)
    }

    /// Of a machine whose file system begins at `root`: every path is taken from there.
    pub fn under(root: &Path, env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let from_root = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        // A relative path would be another folder for every process that it is handed on to.
        let one = |name: &str| {
            let value = env(name).map(PathBuf::from).filter(|value| value.is_absolute())?;
            Some(from_root(&value))
        };
        let list = |name: &str| -> Vec<PathBuf> {
            let value = env(name).unwrap_or_default();
            let absolute = std::env::split_paths(&value).filter(|path| path.is_absolute());
            absolute.map(|path| from_root(&path)).collect()
        };
        let variables = [Variable::CudaHome, Variable::CudaPath, Variable::CondaPrefix];
        let prefixes = variables.into_iter().filter_map(|v| Some((v, one(v.name())?)));
        Self {
            root: root.to_owned(),
            library_path: list(Variable::LibraryPath.name()),
            path: list(Variable::Path.name()),
            prefixes: prefixes.collect(),
            virtual_env: one("VIRTUAL_ENV"),
            home: one("HOME"),
            gives_order: env("CUDA_VISIBLE_DEVICES").is_some(),
        }
    }

    /// Whether `CUDA_VISIBLE_DEVICES` is set, by which the driver numbers devices.
    pub(super) fn gives_order(&self) -> bool {
        self.gives_order
    }

    /// Every file that would be taken for this library, in order, there or not.
    pub fn candidates(&self, library: Library, sight: Sight<'_>) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for (folder, from) in self.library_folders(sight) {
            for name in library.names() {
                let path = folder.join(name);
                if all.iter().all(|earlier| earlier.path != path) {
                    all.push(Candidate { path, from });
                }
            }
        }
        all
    }

    /// The first file for this library that is there; nothing is opened.
    pub fn find(&self, library: Library) -> Option<Candidate> {
        self.find_seen(library, Sight::DISK)
    }

    /// As [`Places::find`], for whoever sees the machine only through questions.
    pub fn find_seen(&self, library: Library, sight: Sight<'_>) -> Option<Candidate> {
        self.candidates(library, sight).into_iter().find(|c| (sight.exists)(&c.path))
    }

    /// Loads the first file for this library that can be, or else what the dynamic loader knows by
    /// the bare name. Of NVRTC that is what [`Places::find`] finds or nothing, since who plans
    /// with it can open none. It stays loaded until this process ends, and its names are seen by all.
    ///
    /// # Errors
    /// Where it was looked for in vain, and what to do.
    pub fn open(&self, library: Library) -> Result<Opened, Missing> {
        let candidates = self.candidates(library, Sight::DISK);
        let mut broken = None;
        let there = candidates.iter().filter(|c| c.path.exists()).cloned();
        let most = if library == Library::Nvrtc { 1 } else { usize::MAX };
        let there = there.take(most);
        for Candidate { path, from } in there.chain(self.by_name(library)) {
            match load(&path) {
                Ok(library) => return Ok(Opened { path, from, library }),
                // Of what the loader does not know by name nothing is to be said.
                Err(why) if from != Origin::Loader => {
                    broken.get_or_insert(why);
                }
                Err(_) => {}
            }
        }
        let tried = candidates.into_iter().map(|c| c.path).collect();
        let what = format!("{} ({})", library.title(), library.names()[0]);
        let hint = match &broken {
            Some(_) => {
                "it may be of another architecture, or unfinished: install it anew".to_owned()
            }
            None => self.hint(library),
        };
        Err(Missing { what, tried, broken, hint })
    }

    /// What the loader would be asked for; a made-up root has no loader.
    fn by_name(&self, library: Library) -> impl Iterator<Item = Candidate> {
        let is_asked = self.root == Path::new("/") && library != Library::Nvrtc;
        let names = if is_asked { library.names() } else { &[] };
        names.iter().map(|name| Candidate { path: (*name).into(), from: Origin::Loader })
    }

    /// Whether the kernel module of NVIDIA's driver is loaded.
    pub fn has_kernel_module(&self) -> bool {
        self.root.join("proc/driver/nvidia/version").exists()
    }

    /// What to do where a library is missing.
    pub fn hint(&self, library: Library) -> String {
        let text = match library {
            Library::Nvrtc => NVRTC_HINT,
            Library::Driver | Library::Nvml if self.has_kernel_module() => {
                "the kernel module is loaded, but the library is not in sight: start the container \
                 with --gpus all (NVIDIA_DRIVER_CAPABILITIES=compute,utility), or run ldconfig"
            }
            Library::Driver | Library::Nvml => {
                "with an NVIDIA device, install its driver (on Debian: apt install nvidia-driver \
                 libcuda1); in a container, start it with --gpus all"
            }
        };
        text.to_owned()
    }
}

/// Loads a library for good.
fn load(path: &Path) -> Result<&'static libloading::Library, String> {
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

#[cfg(test)]
mod tests;
