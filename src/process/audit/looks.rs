//! The paths that a command names: each call is seen as it begins, and how it ended is left to
//! whoever asks the disk afterwards.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use nix::libc::{self, PTRACE_SYSCALL_INFO_SECCOMP};
use nix::sys::ptrace::{self, Options};
use nix::unistd;

use super::call::{At, NATIVE};
use super::tracer::{Witness, image};

/// What a path was named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LookKind {
    /// To open it for reading.
    Open,
    /// To list a folder.
    List,
    /// To ask whether it is there, or what it is.
    Ask,
    /// To run it.
    Exec,
}

/// One path, and what it was named for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Look {
    /// Absolute, and otherwise as the program wrote it.
    pub path: PathBuf,
    /// What for.
    pub kind: LookKind,
}

/// The calls of a native program that name a file to read or to ask for, by which argument; files
/// that only links, folders and names are made of are none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The folder, the path and the flags of an open.
    OpenAt,
    /// The same with the flags in memory, which say little: it counts as an open for reading.
    OpenAt2,
    /// The path and the flags of an open.
    Open,
    /// The folder and the path of a question.
    AskAt,
    /// The path of a question.
    Ask,
}

/// Calls and their shapes.
pub(super) const CALLS: &[(libc::c_long, Shape)] = &[
    (libc::SYS_openat, Shape::OpenAt),
    (libc::SYS_openat2, Shape::OpenAt2),
    (libc::SYS_newfstatat, Shape::AskAt),
    (libc::SYS_statx, Shape::AskAt),
    (libc::SYS_faccessat, Shape::AskAt),
    (libc::SYS_faccessat2, Shape::AskAt),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, Shape::Open),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, Shape::Ask),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, Shape::Ask),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, Shape::Ask),
];

/// The paths so far.
#[derive(Debug, Default)]
pub(super) struct Looks {
    seen: BTreeSet<Look>,
    written: HashSet<PathBuf>,
    /// Calls that were seen and not understood.
    missed: u32,
}

impl Looks {
    /// What was named, and whether that is all.
    pub(super) fn into_list(self) -> (Vec<Look>, bool) {
        let Self { seen, written, missed } = self;
        (seen.into_iter().filter(|look| !written.contains(&look.path)).collect(), missed == 0)
    }

    fn call(&mut self, tid: i32, number: u64, args: &[u64; 6]) {
        let Some((_, shape)) = CALLS.iter().find(|(known, _)| *known as u64 == number) else {
            return;
        };
        let at = At { directory: args[0] as i32, address: args[1] };
        let here = At { directory: libc::AT_FDCWD, address: args[0] };
        let (at, kind) = match shape {
            Shape::OpenAt => (at, opened(args[2] as i32)),
            Shape::OpenAt2 => (at, Some(LookKind::Open)),
            Shape::Open => (here, opened(args[1] as i32)),
            Shape::AskAt => (at, Some(LookKind::Ask)),
            Shape::Ask => (here, Some(LookKind::Ask)),
        };
        let Some(path) = at.written(tid) else {
            return;
        };
        match kind {
            Some(kind) => drop(self.seen.insert(Look { path, kind })),
            // Seen before it was written, it was read as it had been before.
            None if self.seen.iter().any(|look| look.path == path) => {}
            None => drop(self.written.insert(path)),
        }
    }

    fn record_image(&mut self, tid: i32) {
        if let Some(path) = image(tid) {
            self.seen.insert(Look { path, kind: LookKind::Exec });
        }
    }
}

/// What an open is for; `None` when nothing is read that was there before.
fn opened(flags: i32) -> Option<LookKind> {
    let fresh = flags & libc::O_ACCMODE == libc::O_WRONLY
        || flags & libc::O_TRUNC != 0
        || flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL;
    if fresh {
        return None;
    }
    Some(if flags & libc::O_DIRECTORY != 0 { LookKind::List } else { LookKind::Open })
}

impl Witness for Looks {
    const OPTIONS: Options = Options::PTRACE_O_TRACESECCOMP;
    const GO_ON: libc::c_uint = libc::PTRACE_CONT;

    fn started(&mut self, tid: i32, program: &Path) {
        self.seen.insert(Look { path: program.to_owned(), kind: LookKind::Exec });
        self.record_image(tid);
    }

    #[expect(unsafe_code, reason = "the kernel's answer about a stop is a union")]
    fn on_call(&mut self, tid: i32) {
        // A thread that was killed in the meantime has no answer.
        let Ok(info) = ptrace::syscall_info(unistd::Pid::from_raw(tid)) else {
            return;
        };
        if info.op != PTRACE_SYSCALL_INFO_SECCOMP || info.arch != NATIVE {
            self.missed += 1;
            return;
        }
        // SAFETY: `op` says that `seccomp` is the member in use.
        let entry = unsafe { info.u.seccomp };
        self.call(tid, entry.nr, &entry.args);
    }

    fn on_exec(&mut self, tid: i32, _former: i32) {
        self.record_image(tid);
    }

    fn on_end(&mut self, _tid: i32) {}
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::tests::shell;
    use super::super::super::{Cancel, Exit};
    use super::super::watch;
    use super::*;

    /// What a script named inside its folder, which holds `in`.
    fn named(script: &str) -> Vec<(String, LookKind)> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().canonicalize().expect("it exists");
        std::fs::write(root.join("in"), "one\n").expect("written");
        std::os::unix::fs::symlink("in", root.join("link")).expect("linked");
        let mut spec = shell(script);
        spec.dir.clone_from(&root);
        let watched = watch(&spec, &Cancel::default()).expect("watching works where tests run");
        assert_eq!(watched.finished.exit, Exit::Code(0), "{:?}", watched.finished);
        assert!(watched.complete);
        let inside = |look: &Look| {
            let name = look.path.strip_prefix(&root).ok()?.to_str()?;
            (!name.is_empty()).then(|| (name.to_owned(), look.kind))
        };
        watched.looks.iter().filter_map(inside).collect()
    }

    #[test]
    fn a_path_is_recorded_as_it_was_written_and_whether_or_not_it_is_there() {
        use LookKind::{Ask, Open};
        let seen = named("cat link > out; cat out; cat none/../gone || test -e wish || exit 0");
        for expected in [("link", Open), ("none/../gone", Open), ("wish", Ask)] {
            let expected = (expected.0.to_owned(), expected.1);
            assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
        }
        assert!(!seen.iter().any(|(name, _)| name == "out"), "it wrote that itself: {seen:?}");
    }

    #[test]
    fn a_folder_that_is_listed_and_a_program_that_is_run_say_so() {
        let spec = shell("ls / >/dev/null");
        let looks = watch(&spec, &Cancel::default()).expect("watching works").looks;
        let listed = Look { path: "/".into(), kind: LookKind::List };
        assert!(looks.contains(&listed), "{looks:?}");
        let ran = |look: &Look| look.kind == LookKind::Exec && look.path.ends_with(Path::new("ls"));
        assert!(looks.iter().any(ran), "{looks:?}");
    }
}
