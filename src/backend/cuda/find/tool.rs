//! NVIDIA's command-line tools.

use std::path::{Path, PathBuf};

use super::candidate::{Candidate, Missing, Origin, Variable};
use super::places::Places;
use super::sight::Sight;

/// A tool that is looked for at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The compiler.
    Nvcc,
    /// The assembler.
    Ptxas,
    /// What takes built kernels apart.
    Cuobjdump,
    /// The disassembler.
    Nvdisasm,
    /// The profiler, Nsight Compute.
    Ncu,
    /// What finds accesses out of bounds, races and leaks.
    ComputeSanitizer,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Nvcc,
        Self::Ptxas,
        Self::Cuobjdump,
        Self::Nvdisasm,
        Self::Ncu,
        Self::ComputeSanitizer,
    ];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvcc => "nvcc",
            Self::Ptxas => "ptxas",
            Self::Cuobjdump => "cuobjdump",
            Self::Nvdisasm => "nvdisasm",
            Self::Ncu => "ncu",
            Self::ComputeSanitizer => "compute-sanitizer",
        }
    }

    /// What to do where it is missing.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Nvcc | Self::Ptxas => {
                "pip install nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-cccl, or point \
                 CUDA_HOME at a CUDA toolkit"
            }
            Self::Cuobjdump => {
                "pip install nvidia-cuda-cuobjdump, or point CUDA_HOME at a CUDA toolkit"
            }
            Self::Nvdisasm => {
                "pip install nvidia-cuda-nvdisasm, or point CUDA_HOME at a CUDA toolkit"
            }
            Self::Ncu => {
                "install Nsight Compute (in NVIDIA's package repository: apt install \
                 cuda-nsight-compute), or point CUDA_HOME at a CUDA toolkit"
            }
            Self::ComputeSanitizer => {
                "install NVIDIA's CUDA toolkit, or only its compute-sanitizer (in NVIDIA's package \
                 repository: apt install cuda-sanitizer), or point CUDA_HOME at a toolkit"
            }
        }
    }
}

impl Places {
    /// Every file that would be taken for this tool, in order, there or not.
    pub fn tool_candidates(&self, tool: Tool) -> Vec<Candidate> {
        let name = tool.name();
        let mut all: Vec<Candidate> = Vec::new();
        let mut add = |path: PathBuf, from| {
            if all.iter().all(|earlier| earlier.path != path) {
                all.push(Candidate { path, from });
            }
        };
        for folder in &self.path {
            add(folder.join(name), Origin::Variable(Variable::Path));
        }
        for (variable, prefix) in &self.prefixes {
            add(prefix.join("bin").join(name), Origin::Variable(*variable));
        }
        add(self.root.join("usr/local/cuda/bin").join(name), Origin::Toolkit);
        if tool == Tool::ComputeSanitizer {
            // Where toolkits without the short way to it have it.
            add(self.root.join("usr/local/cuda/compute-sanitizer").join(name), Origin::Toolkit);
        }
        for folder in self.wheels("bin", Sight::DISK) {
            add(folder.join(name), Origin::Wheel);
        }
        if tool == Tool::Ncu {
            // Each version has a folder of its own; the newest is wanted.
            let versions = Sight::DISK.entries(&self.root.join("opt/nvidia/nsight-compute"));
            for version in versions.into_iter().rev() {
                add(version.join(name), Origin::Nsight);
            }
        }
        all
    }

    /// The first of [`Places::tool_candidates`] that can be started.
    ///
    /// # Errors
    /// Where it was looked for in vain, and what to do.
    pub fn tool(&self, tool: Tool) -> Result<Candidate, Missing> {
        let candidates = self.tool_candidates(tool);
        if let Some(found) = candidates.iter().find(|c| is_program(&c.path)) {
            return Ok(found.clone());
        }
        Err(Missing {
            what: tool.name().to_owned(),
            tried: candidates.into_iter().map(|c| c.path).collect(),
            broken: None,
            hint: tool.hint().to_owned(),
        })
    }
}

/// A file that this process may start.
fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
