//! The real host: files, environment, devices and tools of this machine.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::backend::cuda::find::Places;
use crate::backend::cuda::identity::{Identity, identity};
use crate::backend::loads;
use crate::git::Outside;
use crate::host::{DeviceIdentity, Host};
use crate::plan::kernel::LIBRARY_PATH;
use crate::process::sandbox::SandboxLevel;
use crate::process::{Cancel, CommandSpec, trace};

/// The disk and the environment of this process.
#[derive(Debug, Default, Clone, Copy)]
pub struct Disk;

/// An environment variable.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// An environment variable as text.
pub fn text_variable(name: &str) -> Option<String> {
    variable(name)?.into_string().ok()
}

/// Begins to trace workers and their sandboxes where `OPTLOOP_TRACE` says so.
///
/// # Errors
/// Which file cannot be written, and why.
pub fn begin_trace() -> Result<(), String> {
    let Some(path) = variable(trace::VARIABLE).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let begun = std::path::absolute(&path).and_then(trace::to);
    begun.map_err(|e| format!("cannot write {} of {}: {e}", path.display(), trace::VARIABLE))
}

/// Where CUDA's libraries and tools are looked for.
pub fn cuda_places() -> Places {
    Places::of(&Disk)
}

/// The `git` program for writing, as the user would start it; a stop ends it.
pub fn git(cancel: Cancel) -> Outside {
    Outside::of(&Disk, cancel)
}

/// The `git` program for reading, which takes moments.
pub fn git_to_read() -> Outside {
    git(Cancel::default())
}

impl Host for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn list(&self, dir: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .map(|e| {
                let folder = e.path().is_dir();
                // What is no text keeps a mark where it is none, so that nobody passes it by.
                let name = e.file_name().to_string_lossy().into_owned();
                if folder { name + "/" } else { name }
            })
            .collect();
        names.sort_unstable();
        names
    }

    fn real(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }

    fn var(&self, name: &str) -> Option<OsString> {
        variable(name)
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    fn vars(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }

    fn memory_bytes(&self) -> u64 {
        let pages = rustix::system::sysinfo();
        pages.totalram as u64 * u64::from(pages.mem_unit)
    }

    fn device(&self, name: &str) -> DeviceIdentity {
        if name.starts_with("cuda") {
            return cuda(name).device();
        }
        crate::backend::cpu::identity().device()
    }

    fn sandbox(&self) -> String {
        SandboxLevel::available().describe()
    }

    fn loads(&self, object: &Path, root: &Path) -> Option<String> {
        let path = variable(LIBRARY_PATH).unwrap_or_default();
        Some(loads::describe(&loads::needed(object, path.as_encoded_bytes())?, root))
    }

    fn tool_version(&self, path: &Path) -> String {
        let mut spec = CommandSpec::new(path, "/", "version");
        spec.args = vec!["--version".into()];
        spec.env = vec![("LC_ALL".into(), "C".into())];
        spec.timeout = Some(std::time::Duration::from_secs(10));
        crate::process::run(&spec, &Cancel::default())
            .map(|f| String::from_utf8_lossy(&f.stdout).into_owned())
            .unwrap_or_default()
    }

    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    /// Not the name it was started by: that file may be replaced while this runs.
    fn program(&self) -> &Path {
        Path::new("/proc/self/exe")
    }
}

/// The device as the kernel module tells of it: no driver library is opened.
fn cuda(device: &str) -> Identity {
    // The first one, where only `cuda` is said.
    let name = device.strip_prefix("cuda").unwrap_or(device).trim_start_matches(':');
    identity(if name.is_empty() { "0" } else { name }, Path::new("/"), &Disk)
}

/// Where a pipeline lies: the file, and the root its state belongs to.
#[derive(Debug, Clone)]
pub struct Located {
    /// The file as people wrote or would write it.
    pub file: PathBuf,
    /// Its folder, absolute.
    pub dir: PathBuf,
    /// The root, absolute.
    pub root: PathBuf,
}

/// Finds a pipeline: as given, then below `pipelines/`, each also with `.toml`.
///
/// # Errors
/// The places that were tried.
pub fn locate(name: &str) -> Result<Located, Vec<PathBuf>> {
    let tried = [
        PathBuf::from(name),
        PathBuf::from(format!("{name}.toml")),
        Path::new("pipelines").join(name),
        Path::new("pipelines").join(format!("{name}.toml")),
    ];
    let Some(file) = tried.iter().find(|p| p.is_file()).cloned() else {
        return Err(tried.to_vec());
    };
    let parent = match file.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    };
    let Ok(dir) = parent.canonicalize() else {
        return Err(vec![file]);
    };
    let root = root_of(&dir);
    Ok(Located { file, dir, root })
}

/// The state folder that commands without a pipeline look at: that of the root around this folder.
pub fn state_folder() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    Some(root_of(&here).join(".optloop")).filter(|state| state.is_dir())
}

/// A path as people would write it from here.
pub fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|h| path.strip_prefix(h).ok()).unwrap_or(path).to_owned()
}

/// The root for files of this folder (canonical) that no pipeline names: as for pipelines, or else
/// where this process is, when the folder lies below.
pub fn root_for(dir: &Path) -> PathBuf {
    let root = root_of(dir);
    let here = std::env::current_dir().and_then(|h| h.canonicalize());
    match here {
        Ok(here) if root == dir && dir.starts_with(&here) => here,
        _ => root,
    }
}

/// The nearest folder upwards that has state or is a git checkout (`.git` is a file in a linked
/// worktree); else the folder that holds `pipelines/`, else the pipeline's own.
fn root_of(dir: &Path) -> PathBuf {
    let home = variable("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    root_below(dir, home.as_deref())
}

fn root_below(dir: &Path, home: Option<&Path>) -> PathBuf {
    let in_pipelines = dir.file_name().is_some_and(|name| name == "pipelines");
    let parent = dir.parent().filter(|_| in_pipelines);
    let is_root = |folder: &&Path| {
        // What somebody measured in such a folder says nothing about projects further down.
        let takes = *folder == dir || parent == Some(folder) || !is_for_everything(folder, home);
        folder.join(".git").exists() || (takes && folder.join(".optloop").is_dir())
    };
    dir.ancestors().find(is_root).unwrap_or(parent.unwrap_or(dir)).to_owned()
}

/// Whether a folder is no project but a place for all of them: the file system's root, the home
/// folder, a folder for temporary files.
fn is_for_everything(folder: &Path, home: Option<&Path>) -> bool {
    const STICKY_AND_OPEN: u32 = 0o1002;
    let mode = std::fs::metadata(folder).map(|m| m.permissions().mode()).unwrap_or_default();
    folder.parent().is_none() || Some(folder) == home || mode & STICKY_AND_OPEN == STICKY_AND_OPEN
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_device_without_a_number_is_the_first() {
        for (text, device) in [("cuda", "0"), ("cuda:3", "3"), ("cuda:GPU-12", "GPU-12")] {
            assert_eq!(cuda(text).device, device);
        }
    }

    /// A folder with these below it, and its path.
    fn tree(folders: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("path");
        for folder in folders {
            fs::create_dir_all(root.join(folder)).expect("folder");
        }
        (dir, root)
    }

    #[test]
    fn the_nearest_folder_with_state_or_a_checkout_is_the_root() {
        let (_dir, root) = tree(&[".optloop", "a/.git", "a/b/c", "a/state/.optloop", "plain/x"]);
        fs::create_dir_all(root.join("a/tree/k")).expect("folder");
        fs::write(root.join("a/tree/.git"), "gitdir: elsewhere\n").expect("written");
        for (dir, wanted) in [
            ("a/b/c", "a"),
            ("a", "a"),
            ("a/state", "a/state"),
            ("a/tree/k", "a/tree"),
            ("plain/x", ""),
        ] {
            assert_eq!(root_below(&root.join(dir), None), root.join(wanted), "{dir}");
        }
    }

    #[test]
    fn state_in_a_home_or_a_folder_for_temporary_files_takes_nothing_further_down() {
        let (_dir, root) = tree(&["home/.optloop", "home/p/pipelines", "home/q", "home/pipelines"]);
        let home = root.join("home");
        let found = |dir: &str, home: Option<&Path>| root_below(&root.join(dir), home);
        assert_eq!(found("home/p/pipelines", Some(&home)), home.join("p"));
        assert_eq!(found("home/q", Some(&home)), home.join("q"));
        assert_eq!(found("home/q", None), home);
        for own in ["home", "home/pipelines"] {
            assert_eq!(found(own, Some(&home)), home, "{own}");
        }
        fs::set_permissions(&home, fs::Permissions::from_mode(0o1777)).expect("set");
        assert_eq!(found("home/q", None), home.join("q"));
    }
}
