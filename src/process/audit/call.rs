//! What one system call does to files.
#![expect(unsafe_code, reason = "the kernel's answer about a stop is a union")]

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use nix::libc::{self, PTRACE_SYSCALL_INFO_ENTRY, PTRACE_SYSCALL_INFO_EXIT, ptrace_syscall_info};

use super::access::{AccessKind, Seen};

/// Calls of another architecture's table (32-bit programs) have other numbers.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: u32 = 0xC000_00B7;

const PAGE: u64 = 4096;
const LONGEST_PATH: usize = 4096;

/// What the kernel says about a stop.
pub(super) enum Stop {
    Entry(Option<Call>),
    Exit(Result<i64, i64>),
    Other,
}

/// A call in flight that touches a file.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// An open of the path at this address.
    Open { at: At, flags: i32 },
    /// A rename or link that makes the path at this address.
    Makes { at: At },
    /// An exec; its memory is gone when it has succeeded, so the path is read before.
    Exec { path: Option<PathBuf> },
}

/// A path argument: relative to a directory's descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) directory: i32,
    pub(super) address: u64,
}

impl Stop {
    pub(super) fn decode(tid: i32, info: &ptrace_syscall_info) -> Self {
        match info.op {
            PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: `op` says that `entry` is the member in use.
                let entry = unsafe { info.u.entry };
                Self::Entry(
                    (info.arch == NATIVE)
                        .then(|| Call::decode(tid, entry.nr, &entry.args))
                        .flatten(),
                )
            }
            PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: `op` says that `exit` is the member in use.
                let exit = unsafe { info.u.exit };
                Self::Exit(if exit.is_error == 0 { Ok(exit.sval) } else { Err(exit.sval) })
            }
            _ => Self::Other,
        }
    }
}

impl Call {
    fn decode(tid: i32, number: u64, args: &[u64; 6]) -> Option<Self> {
        let at = |directory: usize, path: usize| At {
            directory: args[directory] as i32,
            address: args[path],
        };
        let here = |path: usize| At { directory: libc::AT_FDCWD, address: args[path] };
        let exec = |at: At| Self::Exec { path: at.path(tid) };
        Some(match number as libc::c_long {
            libc::SYS_openat => Self::Open { at: at(0, 1), flags: args[2] as i32 },
            libc::SYS_openat2 => Self::Open { at: at(0, 1), flags: read_u64(tid, args[2])? as i32 },
            libc::SYS_execve => exec(here(0)),
            libc::SYS_execveat => exec(at(0, 1)),
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => {
                Self::Makes { at: at(2, 3) }
            }
            libc::SYS_symlinkat => Self::Makes { at: at(1, 2) },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => Self::Open { at: here(0), flags: args[1] as i32 },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => {
                Self::Open { at: here(0), flags: libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC }
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename | libc::SYS_link | libc::SYS_symlink => Self::Makes { at: here(1) },
            _ => return None,
        })
    }

    /// Records what a finished call did.
    pub(super) fn record(&self, tid: i32, result: Result<i64, i64>, seen: &mut Seen) {
        match (self, result) {
            (Self::Open { flags, .. }, Ok(fd)) => record_open(tid, fd, *flags, seen),
            (Self::Open { at, .. }, Err(error)) if error == -i64::from(libc::ENOENT) => {
                if let Some(path) = at.path(tid) {
                    seen.record(path, AccessKind::Missing);
                }
            }
            (Self::Makes { at }, Ok(_)) => {
                if let Some(path) = at.path(tid) {
                    seen.record(path, AccessKind::Write);
                }
            }
            _ => {}
        }
    }
}

/// The kernel's own name for the open file: absolute, links followed.
fn record_open(tid: i32, fd: i64, flags: i32, seen: &mut Seen) {
    if flags & libc::O_PATH != 0 {
        return;
    }
    let Ok(path) = std::fs::read_link(format!("/proc/{tid}/fd/{fd}")) else {
        return;
    };
    let nameless = path.as_os_str().as_encoded_bytes().ends_with(b" (deleted)");
    if !path.is_absolute() || nameless {
        return;
    }
    let access = flags & libc::O_ACCMODE;
    // What starts empty has nothing to read but what the command puts there.
    let starts_empty = flags & libc::O_TRUNC != 0
        || flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL;
    if access != libc::O_WRONLY && !starts_empty {
        seen.record(path.clone(), AccessKind::Read);
    }
    if access != libc::O_RDONLY || starts_empty {
        seen.record(path, AccessKind::Write);
    }
}

impl At {
    /// The path as the kernel will look it up, with its folder's links followed.
    fn path(self, tid: i32) -> Option<PathBuf> {
        Some(settle(&self.written(tid)?))
    }

    /// The path as the program wrote it, made absolute; `None` where it names an open file.
    pub(super) fn written(self, tid: i32) -> Option<PathBuf> {
        let given = read_path(tid, self.address).filter(|path| !path.as_os_str().is_empty())?;
        if given.is_absolute() {
            return Some(given);
        }
        let base = if self.directory == libc::AT_FDCWD {
            format!("/proc/{tid}/cwd")
        } else {
            format!("/proc/{tid}/fd/{}", self.directory)
        };
        Some(std::fs::read_link(base).ok()?.join(given))
    }
}

/// Follows the links of the folder; where it is not there, `.` and `..` are taken literally.
fn settle(path: &Path) -> PathBuf {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
        && let Ok(parent) = parent.canonicalize()
    {
        return parent.join(name);
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Reads page by page, for what follows the string may not be mapped.
fn read_path(tid: i32, address: u64) -> Option<PathBuf> {
    let memory = File::open(format!("/proc/{tid}/mem")).ok()?;
    let mut bytes = Vec::new();
    let mut page = [0; PAGE as usize];
    while bytes.len() < LONGEST_PATH {
        let from = address + bytes.len() as u64;
        let length = (PAGE - from % PAGE) as usize;
        let count = memory.read_at(&mut page[..length], from).ok().filter(|&count| count > 0)?;
        if let Some(end) = page[..count].iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(&page[..end]);
            return Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)));
        }
        bytes.extend_from_slice(&page[..count]);
    }
    None
}

fn read_u64(tid: i32, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    File::open(format!("/proc/{tid}/mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_from_memory_also_across_a_page() {
        let mut block = vec![b'x'; 3 * PAGE as usize];
        let start = PAGE as usize - block.as_ptr().addr() % PAGE as usize;
        let text = start + PAGE as usize - 2;
        block[text..text + 5].copy_from_slice(b"/a/b\0");
        let address = block[text..].as_ptr().addr() as u64;
        let me = std::process::id() as i32;
        assert_eq!(read_path(me, address), Some("/a/b".into()));
        assert_eq!(read_path(me, 8), None);
    }

    #[test]
    fn a_missing_folder_does_not_stop_a_path_from_being_settled() {
        let table = [
            ("/no/such/../thing", "/no/thing"),
            ("/no/./such", "/no/such"),
            ("/proc/../etc/x", "/etc/x"),
        ];
        for (path, expected) in table {
            assert_eq!(settle(Path::new(path)), Path::new(expected));
        }
    }
}
