//! Where NVRTC and its headers lie, for who sees the machine only through questions.

use std::path::{Path, PathBuf};

/// Folders that systems and NVIDIA's own packages use, with the toolkit's root where it has one.
const USUAL: [(&str, &str); 2] =
    [("/usr/local/cuda/lib64", "/usr/local/cuda"), ("/usr/lib/x86_64-linux-gnu", "/usr")];

/// The library's names, the best first.
pub const NVRTC_NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/// Variables of the environment that the search reads.
pub const VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "CUDA_HOME", "VIRTUAL_ENV"];

/// What to do where there is no NVRTC.
pub const HINT: &str = "install the CUDA toolkit or NVIDIA's wheel for Python (pip install \
                        nvidia-cuda-nvrtc) and say where in CUDA_HOME or LD_LIBRARY_PATH, or set \
                        cc = \"nvcc\" under [compile]";

/// The questions.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Names of the entries of a folder; none where it is not there.
    pub list: &'a dyn Fn(&Path) -> Vec<String>,
    /// Whether there is a file or folder.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

/// NVRTC's library: in `LD_LIBRARY_PATH`, below `CUDA_HOME`, in the usual places, then in the
/// packages of the active Python environment.
pub fn nvrtc(sight: Sight<'_>) -> Option<PathBuf> {
    let files = folders(sight).into_iter().flat_map(|folder| NVRTC_NAMES.map(|n| folder.join(n)));
    files.filter(|path| path.is_absolute()).find(|path| (sight.exists)(path))
}

fn folders(sight: Sight<'_>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(list) = (sight.env)("LD_LIBRARY_PATH") {
        folders.extend(list.split(':').filter(|f| !f.is_empty()).map(PathBuf::from));
    }
    let home = (sight.env)("CUDA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    if let Some(home) = &home {
        folders.extend(["lib64", "lib"].map(|below| home.join(below)));
    }
    folders.extend(USUAL.map(|(folder, _)| PathBuf::from(folder)));
    if let Some(home) = (sight.env)("VIRTUAL_ENV").filter(|home| !home.is_empty()) {
        let lib = Path::new(&home).join("lib");
        let pythons = (sight.list)(&lib).into_iter().filter(|name| name.starts_with("python"));
        folders.extend(pythons.flat_map(|p| wheels(&lib.join(p).join("site-packages"), sight)));
    }
    folders.extend(home.into_iter().flat_map(|home| wheels(&home, sight)));
    folders
}

/// `nvidia/*/lib` below a folder of Python's packages, the newest first.
fn wheels(packages: &Path, sight: Sight<'_>) -> Vec<PathBuf> {
    let nvidia = packages.join("nvidia");
    let mut names = (sight.list)(&nvidia);
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.into_iter().map(|name| nvidia.join(name).join("lib")).collect()
}

/// The folders of CUDA's headers that go with a library: beside it, else the environment's. NVRTC
/// has none of its own.
pub fn headers(library: &Path, sight: Sight<'_>) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    let folder = library.parent().unwrap_or(Path::new("/"));
    if let Some(root) = folder.parent() {
        roots.push(root.join("include"));
        // Wheels of CUDA 12 have a folder for each part.
        roots.extend(root.parent().map(|parts| parts.join("cuda_runtime/include")));
    }
    if let Some(home) = (sight.env)("CUDA_HOME").filter(|home| !home.is_empty()) {
        roots.push(Path::new(&home).join("include"));
    }
    roots.extend(USUAL.map(|(_, root)| Path::new(root).join("include")));
    let found = roots.into_iter().find(|root| (sight.exists)(&root.join("cuda_fp16.h")));
    let Some(found) = found.filter(|root| root != Path::new("/usr/include")) else {
        // The system's own folder holds headers that NVRTC cannot read.
        return Vec::new();
    };
    let cccl = found.join("cccl");
    let more = (sight.exists)(&cccl).then_some(cccl);
    std::iter::once(found).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sees<T>(env: &[(&str, &str)], files: &[&str], look: impl FnOnce(Sight<'_>) -> T) -> T {
        let below = |folder: &Path| {
            let mut names: Vec<String> = Vec::new();
            for rest in files.iter().filter_map(|file| Path::new(file).strip_prefix(folder).ok()) {
                if let Some(name) = rest.iter().next() {
                    names.push(name.to_string_lossy().into_owned());
                }
            }
            names
        };
        look(Sight {
            env: &|name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
            list: &below,
            exists: &|path| files.iter().any(|file| Path::new(file).starts_with(path)),
        })
    }

    #[test]
    fn the_library_is_found_in_order_of_who_was_asked_for_it() {
        let all = [
            "/ld/libnvrtc.so.12",
            "/kit/lib64/libnvrtc.so.13",
            "/usr/local/cuda/lib64/libnvrtc.so",
            "/venv/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
            "/venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        ];
        let env =
            [("LD_LIBRARY_PATH", ":rel:/ld"), ("CUDA_HOME", "/kit"), ("VIRTUAL_ENV", "/venv")];
        for (env, expected) in [
            (&env[..], Some("/ld/libnvrtc.so.12")),
            (&env[1..], Some("/kit/lib64/libnvrtc.so.13")),
            (&env[2..], Some("/usr/local/cuda/lib64/libnvrtc.so")),
        ] {
            assert_eq!(sees(env, &all, nvrtc), expected.map(PathBuf::from), "{env:?}");
        }
        let wheel = "/venv/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12";
        assert_eq!(sees(&env, &all[3..], nvrtc), Some(wheel.into()));
        assert_eq!(sees(&[], &all[3..], nvrtc), None);
        assert_eq!(sees(&env, &["rel/libnvrtc.so"], nvrtc), None);
    }

    #[test]
    fn headers_come_with_the_library_or_from_the_environment() {
        let found = |library: &str, files: &[&str]| {
            sees(&[("CUDA_HOME", "/kit")], files, |sight| headers(Path::new(library), sight))
        };
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let beside =
            ["/c/include/cuda_fp16.h", "/c/include/cccl/nv/target", "/kit/include/cuda_fp16.h"];
        assert_eq!(found("/c/lib/x.so", &beside), paths(&["/c/include", "/c/include/cccl"]));
        assert_eq!(found("/d/lib/x.so", &beside), paths(&["/kit/include"]));
        let parts = ["/n/cuda_runtime/include/cuda_fp16.h"];
        assert_eq!(found("/n/cuda_nvrtc/lib/x.so", &parts), paths(&["/n/cuda_runtime/include"]));
        assert!(found("/d/lib/x.so", &["/usr/include/cuda_fp16.h"]).is_empty());
    }
}
