//! The real host: files, environment, devices and tools of this machine.

use std::ffi::OsString;
use std::io;
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
/// When that file cannot be written.
pub fn begin_trace() -> Result<(), TraceError> {
    let Some(path) = variable(trace::VARIABLE).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let begun = std::path::absolute(&path).and_then(trace::to);
    begun.map_err(|source| TraceError { path: path.into(), source })
}

/// The file that `OPTLOOP_TRACE` names cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {} of {}: {source}", path.display(), trace::VARIABLE)]
pub struct TraceError {
    /// Which file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
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
                // What is no text keeps a mark where it is none, so that it is not passed by.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_a_number_is_the_first() {
        for (text, device) in [("cuda", "0"), ("cuda:3", "3"), ("cuda:GPU-12", "GPU-12")] {
            assert_eq!(cuda(text).device, device);
        }
    }
}
