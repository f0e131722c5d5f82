//! The folders that libraries are looked for in, the user's own wishes first.

use std::path::{Path, PathBuf};

use super::{Origin, Places, Variable};

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
    pub(super) fn library_folders(&self) -> Vec<(PathBuf, Origin)> {
        let mut all: Vec<(PathBuf, Origin)> = Vec::new();
        // Stubs are for linking: they hold the names and nothing behind them.
        let wanted = self.library_path.iter().filter(|folder| !folder.ends_with("stubs"));
        all.extend(wanted.map(|f| (f.clone(), Origin::Variable(Variable::LibraryPath))));
        for (variable, prefix) in &self.prefixes {
            let from = Origin::Variable(*variable);
            all.extend(LIBRARIES.iter().map(|below| (prefix.join(below), from)));
        }
        all.push((self.root.join("usr/local/cuda/lib64"), Origin::Toolkit));
        all.extend(SYSTEM.iter().map(|below| (self.root.join(below), Origin::System)));
        all.extend(self.wheels("lib").into_iter().map(|folder| (folder, Origin::Wheel)));
        all
    }

    /// `nvidia/*/KIND` in every folder of Python packages.
    pub(super) fn wheels(&self, kind: &str) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for packages in self.python_packages() {
            for folder in entries(&packages.join("nvidia")) {
                let folder = folder.join(kind);
                if folder.is_dir() && !all.contains(&folder) {
                    all.push(folder);
                }
            }
        }
        all
    }

    /// Of the virtual environment, of every `python3` on the PATH, of the user.
    fn python_packages(&self) -> Vec<PathBuf> {
        let mut prefixes: Vec<PathBuf> = self.virtual_env.clone().into_iter().collect();
        for (_, prefix) in self.prefixes.iter().filter(|(v, _)| *v == Variable::CondaPrefix) {
            prefixes.push(prefix.clone());
        }
        // Only looked at: a python that is started takes longer than everything else here.
        let pythons = self.path.iter().filter(|folder| folder.join("python3").exists());
        prefixes.extend(pythons.filter_map(|folder| folder.parent().map(Path::to_owned)));
        prefixes.extend(self.home.iter().map(|home| home.join(".local")));
        let mut all = Vec::new();
        for prefix in prefixes {
            for below in ["lib", "lib64", "local/lib"] {
                let versions = entries(&prefix.join(below)).into_iter().filter(|path| {
                    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python3"))
                });
                for version in versions {
                    all.extend(["site-packages", "dist-packages"].map(|name| version.join(name)));
                }
            }
        }
        all
    }
}

/// What is in a folder, by name; nothing where it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort_unstable();
    all
}
