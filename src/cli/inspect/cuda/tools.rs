//! NVIDIA's command line tools, and where they come from when they are missing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::super::super::exit::Exit;
use super::super::super::session::Refusal;
use super::super::super::world;
use crate::process;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    /// Compiles CUDA C++.
    Nvcc,
    /// Compiles PTX.
    Ptxas,
    /// Says what a kernel uses.
    Cuobjdump,
    /// Shows machine code.
    Nvdisasm,
}

impl Tool {
    /// Its command.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nvcc => "nvcc",
            Self::Ptxas => "ptxas",
            Self::Cuobjdump => "cuobjdump",
            Self::Nvdisasm => "nvdisasm",
        }
    }

    /// How to get it.
    pub(super) fn help(self) -> String {
        let wheel = match self {
            Self::Nvcc | Self::Ptxas => "nvidia-cuda-nvcc",
            Self::Cuobjdump => "nvidia-cuda-cuobjdump",
            Self::Nvdisasm => "nvidia-cuda-nvdisasm",
        };
        format!(
            "apt install nvidia-cuda-toolkit, or pip install {wheel}; then put its bin folder on \
             the PATH, or set CUDA_HOME to the folder above it"
        )
    }
}

/// Where they are looked for.
pub(super) struct Tools {
    path: OsString,
    dir: PathBuf,
}

impl Tools {
    /// On the PATH, then below `CUDA_HOME` and `CUDA_PATH`.
    pub(super) fn here(dir: &Path) -> Self {
        let path = world::text_variable("PATH").unwrap_or_default();
        let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(world::text_variable);
        let bins = homes.filter(|h| !h.is_empty()).map(|home| Path::new(&home).join("bin"));
        let all = std::env::split_paths(&path).chain(bins);
        // A folder with a colon in its name cannot stand there.
        let path = std::env::join_paths(all).unwrap_or_else(|_| path.clone().into());
        Self { path, dir: dir.to_owned() }
    }

    /// The tool's path.
    pub(super) fn find(&self, tool: Tool) -> Option<PathBuf> {
        process::resolve(OsStr::new(tool.name()), &self.dir, &self.path)
    }

    /// The tool's path, or an answer about how to get it.
    pub(super) fn need(&self, tool: Tool, purpose: &str) -> Result<PathBuf, Refusal> {
        self.find(tool).ok_or_else(|| {
            let what = format!("there is no {} here, which {purpose}", tool.name());
            Refusal::Words(what, Some(tool.help()), Exit::User)
        })
    }
}
