//! Looking in made-up file systems.
#![expect(unsafe_code, reason = "asks a library that it built for a function")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;
use crate::backend::cuda::stub_tests as stub;
use crate::host::{Host, MemoryHost};

fn touch(root: &Path, path: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    fs::write(&path, "not a library").expect("written");
}

fn program(root: &Path, path: &str) {
    touch(root, path);
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).expect("set");
}

fn env(pairs: &[(&str, &str)]) -> MemoryHost {
    MemoryHost::with_vars(pairs.iter().copied())
}

/// Notes for which variables it is asked.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

impl Host for Asked {
    fn var(&self, name: &str) -> Option<OsString> {
        self.0.lock().expect("unpoisoned").push(name.to_owned());
        None
    }
}

#[test]
fn each_place_is_looked_at_and_earlier_ones_win() {
    let all = [
        ("wish/libnvrtc.so.12", Origin::Variable(Variable::LibraryPath)),
        ("cuda-home/lib64/libnvrtc.so.13", Origin::Variable(Variable::CudaHome)),
        ("cuda-path/targets/x86_64-linux/lib/libnvrtc.so", Origin::Variable(Variable::CudaPath)),
        ("kit/lib64/libnvrtc.so.13", Origin::Variable(Variable::Path)),
        ("usr/local/cuda/lib64/libnvrtc.so.13", Origin::Toolkit),
        ("usr/lib/wsl/lib/libnvrtc.so.13", Origin::System),
        ("usr/lib64/libnvrtc.so.12", Origin::System),
        ("env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13", Origin::Wheel),
        ("opt/py/lib/python3.11/dist-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12", Origin::Wheel),
        ("me/.local/lib/python3.9/site-packages/nvidia/cu13/lib/libnvrtc.so.13", Origin::Wheel),
    ];
    let dir = tempfile::tempdir().expect("tempdir");
    program(dir.path(), "opt/py/bin/python3");
    program(dir.path(), "kit/bin/nvcc");
    let variables = [
        ("LD_LIBRARY_PATH", "/nowhere:relative:/wish"),
        ("CUDA_HOME", "/cuda-home"),
        ("CUDA_PATH", "/cuda-path"),
        ("PATH", "/bin:/kit/bin:/links"),
        ("VIRTUAL_ENV", "/env"),
        ("HOME", "/me"),
    ];
    fs::create_dir(dir.path().join("links")).expect("created");
    let python = dir.path().join("links/python3");
    std::os::unix::fs::symlink("../opt/py/bin/python3", python).expect("linked");
    let places = Places::under(dir.path(), &env(&variables));
    assert_eq!(places.find(Library::Nvrtc), None);
    for (path, from) in all.into_iter().rev() {
        touch(dir.path(), path);
        let found = places.find(Library::Nvrtc).expect("one is there");
        assert_eq!(found.from, from, "{path}");
        assert_eq!(found.path.canonicalize().ok(), dir.path().join(path).canonicalize().ok());
    }
    let bare = Places::under(dir.path(), &env(&[]));
    assert_eq!(bare.find(Library::Nvrtc).map(|c| c.from), Some(Origin::Toolkit));
}

/// What somebody sees who knows of a made-up machine only these files, below this folder.
fn seen<T>(root: &Path, files: &[&str], look: impl FnOnce(Sight<'_>) -> T) -> T {
    let files: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
    let below = |folder: &Path| -> Vec<String> {
        let inside = files.iter().filter_map(|file| file.strip_prefix(folder).ok());
        let names = inside.map(|rest| rest.iter().map(|part| part.to_string_lossy()));
        let names = names.filter_map(|mut parts| {
            let name = parts.next()?.into_owned();
            Some(if parts.next().is_some() { name + "/" } else { name })
        });
        names.collect()
    };
    look(Sight {
        exists: &|path| files.iter().any(|file| file.starts_with(path)),
        list: &below,
        real: &Path::to_owned,
    })
}

#[test]
fn who_plans_finds_the_nvrtc_that_who_opens_it_does() {
    const WHEEL: &str = "lib/python3.12/site-packages/nvidia";
    let (cu13, cu12) = (
        format!("v/{WHEEL}/cu13/lib/libnvrtc.so.13"),
        format!("v/{WHEEL}/cuda_nvrtc/lib/libnvrtc.so.12"),
    );
    let cuda = "usr/local/cuda/lib64/libnvrtc.so.12";
    let mine = format!("h/.local/{WHEEL}/cu13/lib/libnvrtc.so.13");
    let machines: [(&[&str], &str); 11] = [
        (&[], ""),
        (&["b/nvcc", "usr/lib/x86_64-linux-gnu/libcuda.so.1"], ""),
        (&["w/libnvrtc.so", cuda, "w/libnvrtc.so.13"], "w/libnvrtc.so.13"),
        (&["stubs/libnvrtc.so", "rel/libnvrtc.so", cuda], cuda),
        (&[cuda, "c/lib/libnvrtc.so.12"], "c/lib/libnvrtc.so.12"),
        (&[cuda, "p/targets/sbsa-linux/lib/libnvrtc.so"], "p/targets/sbsa-linux/lib/libnvrtc.so"),
        (&[cuda, "k/bin/nvcc", "k/lib64/libnvrtc.so.12"], "k/lib64/libnvrtc.so.12"),
        (&["usr/lib64/libnvrtc.so.12", &cu13], "usr/lib64/libnvrtc.so.12"),
        (&[&cu12, &cu13], &cu13),
        (
            &["b/python3", "k/bin/python3", &format!("k/{WHEEL}/x/lib/libnvrtc.so"), &mine],
            &format!("k/{WHEEL}/x/lib/libnvrtc.so"),
        ),
        (&[&mine], &mine),
    ];
    let variables = [
        ("LD_LIBRARY_PATH", "rel:/w:/stubs"),
        ("PATH", "/b:/k/bin"),
        ("CUDA_HOME", "/c"),
        ("CUDA_PATH", "/p"),
        ("CONDA_PREFIX", "rel"),
        ("VIRTUAL_ENV", "/v"),
        ("HOME", "/h"),
    ];
    for (files, expected) in machines {
        let dir = tempfile::tempdir().expect("tempdir");
        for file in files {
            touch(dir.path(), file);
        }
        let places = Places::under(dir.path(), &env(&variables));
        let found = places.find(Library::Nvrtc);
        let expected = Some(dir.path().join(expected)).filter(|path| path.is_file());
        assert_eq!(found.as_ref().map(|f| f.path.clone()), expected, "{files:?}");
        let planned = seen(dir.path(), files, |s| places.find_seen(Library::Nvrtc, s));
        assert_eq!(planned, found, "{files:?}");
        // Nothing of it is a library: what is opened is the same one or none.
        let broken = places.open(Library::Nvrtc).expect_err("no library").broken;
        assert_eq!(broken.is_some(), found.is_some(), "{broken:?}");
        let path = found.map(|found| found.path.display().to_string()).unwrap_or_default();
        assert!(broken.unwrap_or_default().contains(&path), "{path}");
    }
}

#[test]
fn the_variables_that_count_are_listed() {
    let asked = Asked::default();
    Places::of(&asked);
    let mut asked = asked.0.into_inner().expect("unpoisoned");
    // It decides about the order of devices, not about libraries.
    asked.retain(|name| name != "CUDA_VISIBLE_DEVICES");
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(asked), sorted(VARIABLES.map(str::to_owned).to_vec()));
}

#[test]
fn headers_come_with_nvrtc_or_from_the_environment() {
    let dir = tempfile::tempdir().expect("tempdir");
    let places = Places::under(dir.path(), &env(&[("CUDA_HOME", "/kit")]));
    let found = |library: &str| -> Vec<String> {
        let inside = places.headers(&dir.path().join(library)).into_iter();
        inside
            .map(|f| f.strip_prefix(dir.path()).expect("below").to_string_lossy().into_owned())
            .collect()
    };
    touch(dir.path(), "usr/include/cuda_fp16.h");
    assert!(found("usr/lib/libnvrtc.so").is_empty(), "the system's own are not for NVRTC");
    touch(dir.path(), "usr/local/cuda/include/cuda_fp16.h");
    assert_eq!(found("usr/lib/libnvrtc.so"), ["usr/local/cuda/include"]);
    touch(dir.path(), "kit/include/cuda_fp16.h");
    assert_eq!(found("usr/lib/libnvrtc.so"), ["kit/include"]);
    touch(dir.path(), "n/cuda_runtime/include/cuda_fp16.h");
    assert_eq!(found("n/cuda_nvrtc/lib/libnvrtc.so"), ["n/cuda_runtime/include"]);
    touch(dir.path(), "c/include/cuda_fp16.h");
    touch(dir.path(), "c/include/cccl/nv/target");
    assert_eq!(found("c/lib/libnvrtc.so"), ["c/include", "c/include/cccl"]);
}

#[test]
fn within_a_folder_the_newer_name_wins() {
    let dir = tempfile::tempdir().expect("tempdir");
    let places = Places::under(dir.path(), &env(&[("LD_LIBRARY_PATH", "/l")]));
    for name in ["libnvrtc.so", "libnvrtc.so.12", "libnvrtc.so.13"] {
        touch(dir.path(), &format!("l/{name}"));
        let found = places.find(Library::Nvrtc).expect("one is there");
        assert!(found.path.ends_with(name), "{found:?}");
    }
}

#[test]
fn stubs_are_no_libraries() {
    let dir = tempfile::tempdir().expect("tempdir");
    touch(dir.path(), "cuda/lib64/stubs/libcuda.so.1");
    let places = Places::under(dir.path(), &env(&[("LD_LIBRARY_PATH", "/cuda/lib64/stubs")]));
    assert_eq!(places.find(Library::Driver), None);
}

#[test]
fn tools_are_found_where_they_can_be_started() {
    let all = [
        (Tool::Nvcc, "bin/nvcc"),
        (Tool::Ptxas, "cuda-home/bin/ptxas"),
        (Tool::Cuobjdump, "usr/local/cuda/bin/cuobjdump"),
        (Tool::Nvdisasm, "env/lib/python3.12/site-packages/nvidia/cu13/bin/nvdisasm"),
        (Tool::Ncu, "opt/nvidia/nsight-compute/2025.3.0/ncu"),
        (Tool::ComputeSanitizer, "usr/local/cuda/compute-sanitizer/compute-sanitizer"),
    ];
    let dir = tempfile::tempdir().expect("tempdir");
    let variables = [("PATH", "/bin"), ("CUDA_HOME", "/cuda-home"), ("VIRTUAL_ENV", "/env")];
    let places = Places::under(dir.path(), &env(&variables));
    program(dir.path(), "opt/nvidia/nsight-compute/2024.1.1/elsewhere");
    for (tool, path) in all {
        let missing = places.tool(tool).expect_err("not there yet");
        assert!(missing.to_string().contains(tool.name()), "{missing}");
        assert!(!missing.hint.is_empty() && !missing.tried.is_empty());
        touch(dir.path(), path);
        assert!(places.tool(tool).is_err(), "{path} cannot be started");
        program(dir.path(), path);
        assert_eq!(places.tool(tool).expect("there").path, dir.path().join(path));
    }
    program(dir.path(), "opt/nvidia/nsight-compute/2024.1.1/ncu");
    let ncu = places.tool(Tool::Ncu).expect("there");
    assert!(ncu.path.to_string_lossy().contains("2025.3.0"), "the newest: {ncu:?}");
}

#[test]
fn what_is_missing_says_where_it_was_looked_for_and_what_to_do() {
    let dir = tempfile::tempdir().expect("tempdir");
    let places = Places::under(dir.path(), &env(&[("CUDA_HOME", "/c")]));
    for library in [Library::Driver, Library::Nvrtc, Library::Nvml] {
        let missing = places.open(library).expect_err("nothing is there");
        assert!(missing.tried.contains(&dir.path().join("c/lib64").join(library.names()[0])));
        assert!(missing.to_string().contains("was not found"), "{missing}");
    }
    assert!(places.open(Library::Driver).expect_err("none").hint.contains("install its driver"));
    assert!(places.open(Library::Nvrtc).expect_err("none").hint.contains("nvidia-cuda-nvrtc"));
    touch(dir.path(), "proc/driver/nvidia/version");
    assert!(places.open(Library::Driver).expect_err("none").hint.contains("module is loaded"));
}

#[test]
fn a_file_that_is_no_library_is_passed_by_and_told_when_there_is_no_other() {
    let dir = tempfile::tempdir().expect("tempdir");
    touch(dir.path(), "bad/libcuda.so.1");
    let variables = [("LD_LIBRARY_PATH", "/bad:/good")];
    let places = Places::under(dir.path(), &env(&variables));
    let missing = places.open(Library::Driver).expect_err("nothing can be opened");
    assert!(missing.to_string().contains("bad/libcuda.so.1"), "{missing}");
    let good = stub::library(&dir.path().join("good"), "int optloop_here(void) { return 7; }");
    let opened = places.open(Library::Driver).expect("the second one");
    assert_eq!(opened.path, good);
    assert_eq!(opened.from, Origin::Variable(Variable::LibraryPath));
    // SAFETY: the function was written above.
    let here = unsafe { opened.library.get::<extern "C" fn() -> i32>(b"optloop_here") };
    assert_eq!(here.expect("it has it")(), 7);
}
