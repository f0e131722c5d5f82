//! Landlock: which files a confined process may open.
#![expect(unsafe_code, reason = "asks the kernel which Landlock it has")]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use nix::libc;

use crate::process::procfs;
use crate::process::trace::Held;

/// The newest interface that the rules below were written for; newer kernels serve it too.
pub(super) const KNOWN: ABI = ABI::V9;

/// Where systems keep libraries, and what runtimes ask about the machine. Folders of users and
/// of running services are left out on purpose, and so are the processes of others.
const SYSTEM: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr",
    "/opt",
    "/nix",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];

const SINK: &str = "/dev/null";

/// Nothing may be executed: the loader only reads and maps.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// No devices, pipes or sockets are made, and nothing is executed.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym
        | RemoveFile | RemoveDir | Refer
});

/// What a confined process may still open, beyond the system's libraries and a few devices.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// Files and folders to read: the shared object, and where its libraries lie. Folders of
    /// `LD_LIBRARY_PATH` are readable without being named.
    pub reads: Vec<PathBuf>,
    /// Private folders, to read and write but not to execute from.
    pub writes: Vec<PathBuf>,
}

/// The interface that the kernel offers, 0 for none.
pub(super) fn abi() -> u32 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no attributes and answers with a number.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    u32::try_from(answer).unwrap_or(0).min(KNOWN as u32)
}

/// Confines this thread and those it will start.
pub(super) fn confine(spec: &Confinement, trace: &Held) -> Result<(), RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    let folders = library_folders();
    let given = folders.iter().chain(&spec.reads).map(PathBuf::as_path);
    for path in SYSTEM.iter().map(Path::new).chain(given) {
        trace.note(|| rule("read", path));
        rules = allow(rules, path, READ)?;
    }
    for path in std::iter::once(Path::new(SINK)).chain(spec.writes.iter().map(PathBuf::as_path)) {
        trace.note(|| rule("write", path));
        rules = allow(rules, path, WRITE)?;
    }
    // Runtimes look for files that they can do without; the system's log is not the place to say.
    let _status = rules.log_same_exec(false)?.restrict_self()?;
    Ok(())
}

/// A line of the trace.
fn rule(right: &str, path: &Path) -> String {
    let absent = if path.exists() { "" } else { ", which is not there" };
    format!("sandbox: may {right} {}{absent}", path.display())
}

/// A path that is not there needs no rule; for a file, what only folders allow is left out.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else {
        return Ok(rules);
    };
    rules.add_rule(PathBeneath::new(opened, access))
}

/// The folders where the loader looks first, as it got them when this process began. What is
/// relative to the current folder is none of them.
fn library_folders() -> Vec<PathBuf> {
    folders(&library_path())
}

/// `LD_LIBRARY_PATH` as the loader got it when this process began.
pub fn library_path() -> Vec<u8> {
    let value = procfs::environment_value(std::process::id() as i32, "LD_LIBRARY_PATH");
    value.unwrap_or_default()
}

fn folders(value: &[u8]) -> Vec<PathBuf> {
    value
        .split(|&byte| matches!(byte, b':' | b';'))
        .map(|folder| PathBuf::from(OsString::from_vec(folder.to_vec())))
        .filter(|folder| folder.is_absolute())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_folders_of_a_library_path_count() {
        let table: &[(&[u8], &[&str])] = &[
            (b"", &[]),
            (b"/a/b", &["/a/b"]),
            (b"/a:/b c;/d", &["/a", "/b c", "/d"]),
            (b":.:lib:/x::", &["/x"]),
        ];
        for (value, expected) in table {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(folders(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }
}
