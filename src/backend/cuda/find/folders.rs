//! The folders that libraries are looked for in, the user's own wishes first; and those of the
//! headers that go with NVRTC, which has none of its own.

use std::path::{Path, PathBuf};

use super::candidate::{Origin, Variable};
use super::places::Places;
use super::sight::Sight;

/// Below a toolkit's or an environment's prefix.
const LIBRARIES: [&str; 4] = ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"];

/// Where systems keep them. The Windows subsystem's stands first: a Linux driver that was installed
/// beside it does not work there.
const SYSTEM: [&str; 7] = [
    "usr/lib/wsl/lib",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/local/nvidia/lib64",
    "run/opengl-driver/lib",
    "usr/lib",
];

impl Places {
    /// Every folder, in order, there or not.
    pub(super) fn library_folders(&self, sight: Sight<'_>) -> Vec<(PathBuf, Origin)> {
        let mut all: Vec<(PathBuf, Origin)> = Vec::new();
        // Stubs are for linking: they hold the names and nothing behind them.
        let wanted = self.library_path.iter().filter(|folder| !folder.ends_with("stubs"));
        all.extend(wanted.map(|f| (f.clone(), Origin::Variable(Variable::LibraryPath))));
        for (variable, prefix) in &self.prefixes {
            let from = Origin::Variable(*variable);
            all.extend(LIBRARIES.iter().map(|below| (prefix.join(below), from)));
        }
        // The toolkit of a compiler that the user has put on the PATH.
        for folder in self.path.iter().filter(|folder| (sight.exists)(&folder.join("nvcc"))) {
            let from = Origin::Variable(Variable::Path);
            let prefix = folder.parent().unwrap_or(folder);
            all.extend(LIBRARIES.iter().map(|below| (prefix.join(below), from)));
        }
        all.push((self.root.join("usr/local/cuda/lib64"), Origin::Toolkit));
        all.extend(SYSTEM.iter().map(|below| (self.root.join(below), Origin::System)));
        all.extend(self.wheels("lib", sight).into_iter().map(|folder| (folder, Origin::Wheel)));
        all
    }

    /// `nvidia/*/KIND` in every folder of Python packages.
    pub(super) fn wheels(&self, kind: &str, sight: Sight<'_>) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for packages in self.python_packages(sight) {
            for folder in sight.entries(&packages.join("nvidia")) {
                let folder = folder.join(kind);
                if (sight.exists)(&folder) && !all.contains(&folder) {
                    all.push(folder);
                }
            }
        }
        all
    }

    /// Of the virtual environment, of every `python3` on the PATH, of the user.
    fn python_packages(&self, sight: Sight<'_>) -> Vec<PathBuf> {
        let mut prefixes: Vec<PathBuf> = self.virtual_env.clone().into_iter().collect();
        for (_, prefix) in self.prefixes.iter().filter(|(v, _)| *v == Variable::CondaPrefix) {
            prefixes.push(prefix.clone());
        }
        // Only looked at: a python that is started takes longer than everything else here.
        let pythons = self.path.iter().map(|folder| folder.join("python3"));
        for python in pythons.filter(|python| (sight.exists)(python)) {
            let real = (sight.real)(&python);
            let above = |path: &Path| path.parent()?.parent().map(Path::to_owned);
            prefixes.extend([python, real].iter().filter_map(|path| above(path)));
        }
        prefixes.extend(self.home.iter().map(|home| home.join(".local")));
        let mut all = Vec::new();
        for prefix in prefixes {
            for below in ["lib", "lib64", "local/lib"] {
                let versions = sight.entries(&prefix.join(below)).into_iter().filter(|path| {
                    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python3"))
                });
                for version in versions {
                    all.extend(["site-packages", "dist-packages"].map(|name| version.join(name)));
                }
            }
        }
        all
    }

    /// The folders of CUDA's headers that go with an NVRTC: beside it, else below `CUDA_HOME`, else
    /// the toolkit's.
    pub fn headers(&self, nvrtc: &Path) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        if let Some(root) = nvrtc.parent().and_then(Path::parent) {
            folders.push(root.join("include"));
            // Wheels of CUDA 12 have a folder for each part.
            folders.extend(root.parent().map(|parts| parts.join("cuda_runtime/include")));
        }
        let home = self.prefixes.iter().filter(|(variable, _)| *variable == Variable::CudaHome);
        folders.extend(home.map(|(_, home)| home.join("include")));
        folders.push(self.root.join("usr/local/cuda/include"));
        // The system's own folder holds headers that NVRTC cannot read.
        folders.retain(|folder| *folder != self.root.join("usr/include"));
        let found = folders.into_iter().find(|folder| folder.join("cuda_fp16.h").exists());
        let parts = found.iter().flat_map(|found| [found.clone(), found.join("cccl")]);
        parts.filter(|folder| folder.exists()).collect()
    }
}
