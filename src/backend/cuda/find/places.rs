//! Where to look, as the environment says.

use std::path::{Path, PathBuf};

use super::candidate::Variable;
use crate::host::Host;

/// Variables of the environment that decide where libraries are found.
pub const VARIABLES: [&str; 7] =
    ["LD_LIBRARY_PATH", "PATH", "CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX", "VIRTUAL_ENV", "HOME"];

/// Where to look, as the environment says.
#[derive(Debug, Clone)]
pub struct Places {
    pub(super) root: PathBuf,
    pub(super) library_path: Vec<PathBuf>,
    pub(super) path: Vec<PathBuf>,
    /// `CUDA_HOME`, `CUDA_PATH` and `CONDA_PREFIX`, as far as they are set.
    pub(super) prefixes: Vec<(Variable, PathBuf)>,
    pub(super) virtual_env: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    /// Whether the environment says in which order devices are.
    gives_order: bool,
}

impl Places {
    /// Of this machine.
    pub fn of(host: &dyn Host) -> Self {
        Self::under(Path::new("/"), host)
    }

    /// Of a machine whose file system begins at `root`: every path is taken from there.
    pub fn under(root: &Path, host: &dyn Host) -> Self {
        let from_root = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        // A relative path would be another folder for every process that it is handed on to.
        let one = |name: &str| {
            let value = host.var(name).map(PathBuf::from).filter(|value| value.is_absolute())?;
            Some(from_root(&value))
        };
        let list = |name: &str| -> Vec<PathBuf> {
            let value = host.var(name).unwrap_or_default();
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
            gives_order: host.var("CUDA_VISIBLE_DEVICES").is_some(),
        }
    }

    /// Whether `CUDA_VISIBLE_DEVICES` is set, by which the driver numbers devices.
    pub(in crate::backend::cuda) fn gives_order(&self) -> bool {
        self.gives_order
    }

    /// Whether the kernel module of NVIDIA's driver is loaded.
    pub fn has_kernel_module(&self) -> bool {
        self.root.join("proc/driver/nvidia/version").exists()
    }
}
