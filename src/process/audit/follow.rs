//! A command whose calls are followed.
#![expect(unsafe_code, reason = "the child asks to be traced between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::mpsc;

use rustix::io::Errno;

use super::access::Access;
use super::accesses::Accesses;
use super::filter;
use super::looks::{Look, Looks};
use super::tracer::{Tracer, Witness};
use crate::process::finished::Finished;
use crate::process::signals::Cancel;
use crate::process::spawn::launch;
use crate::process::spec::{CommandSpec, SpawnError, Stdin};

/// A traced command that has ended.
#[derive(Debug)]
pub struct Audited {
    /// How it ended and what it printed.
    pub finished: Finished,
    /// What it touched, sorted, each once.
    pub accesses: Vec<Access>,
}

/// Why a command could not be traced.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It could not be started at all.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Tracing is forbidden here.
    #[error(
        "cannot trace commands here: {source}; the audit needs ptrace, which containers and \
         kernel.yama.ptrace_scope=3 forbid: run it outside, or with `--cap-add SYS_PTRACE`"
    )]
    NotPermitted {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Tracing began and broke off; the command was ended.
    #[error("tracing `{program}` broke off: {source}", program = program.display())]
    Broken {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl AuditError {
    /// True when the next try would fail as well.
    pub fn lasts(&self) -> bool {
        match self {
            Self::Spawn(error) => error.lasts(),
            Self::NotPermitted { .. } => true,
            Self::Broken { .. } => false,
        }
    }
}

/// A watched command that has ended.
#[derive(Debug)]
pub struct Watched {
    /// How it ended and what it printed.
    pub finished: Finished,
    /// The paths that it and its children named, as they wrote them, sorted, each once.
    pub looks: Vec<Look>,
    /// False: some of its calls could not be read, so there may be more.
    pub complete: bool,
}

/// Runs a command as [`run`](crate::process::run) does and records the files that it and its children touch.
///
/// # Errors
/// When the command cannot be started, or tracing is not permitted or breaks off.
pub fn trace(spec: &CommandSpec, cancel: &Cancel) -> Result<Audited, AuditError> {
    let ready = || Ok(nix::sys::ptrace::traceme()?);
    let (finished, seen) = follow(spec, cancel, Accesses::default(), ready)?;
    Ok(Audited { finished, accesses: seen.into_list() })
}

/// Runs a command as [`run`](crate::process::run) does and records every path that it and its children name.
///
/// # Errors
/// As [`trace`].
pub fn watch(spec: &CommandSpec, cancel: &Cancel) -> Result<Watched, AuditError> {
    let filter = filter::paths();
    let ready = move || {
        nix::sys::ptrace::traceme()?;
        filter::install(&filter)
    };
    let (finished, seen) = follow(spec, cancel, Looks::default(), ready)?;
    let (looks, complete) = seen.into_list();
    Ok(Watched { finished, looks, complete })
}

/// Follows a command; `ready` is what the child does before it becomes that command, and may not
/// allocate.
fn follow<W: Witness + Send>(
    spec: &CommandSpec,
    cancel: &Cancel,
    witness: W,
    ready: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Result<(Finished, W), AuditError> {
    let (started_in, started) = mpsc::channel();
    let (status_in, status) = mpsc::channel();
    std::thread::scope(|scope| {
        // The thread that forks is the tracer: only it gets the stops, and only of its own.
        let tracer = scope.spawn(move || {
            let running = launch(spec, Stdin::Null, |command| {
                // SAFETY: between fork and exec only async-signal-safe calls are allowed;
                // `ready` makes system calls with what was made before, and allocates nothing.
                unsafe { command.pre_exec(ready) };
            })?;
            let leader = running.pid();
            // The receiver waits for exactly this.
            let _sent = started_in.send(running);
            Ok(Tracer::new(leader as i32, spec.program.clone(), status_in, witness).follow())
        });
        let finished =
            started.recv().ok().map(|running| running.reaped_by(status).complete(cancel));
        let followed = tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let followed = followed.map_err(not_permitted)?;
        let seen = followed
            .map_err(|source| AuditError::Broken { program: spec.program.clone(), source })?;
        let finished = finished
            .ok_or_else(|| io::Error::other("the tracer gave up"))
            .map_err(|source| AuditError::Broken { program: spec.program.clone(), source })??;
        Ok((finished, seen))
    })
}

/// EPERM comes from `ptrace`; a program that may not be executed gives EACCES.
fn not_permitted(error: SpawnError) -> AuditError {
    match error {
        SpawnError::Start { source, .. } if Errno::from_io_error(&source) == Some(Errno::PERM) => {
            AuditError::NotPermitted { source }
        }
        other => other.into(),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a program to trace has to be built")]
mod tests {
    use super::*;
    use crate::process::audit::{Access, AccessKind};
    use crate::process::tests::shell;
    use crate::process::{Capture, Exit};
    use std::path::Path;
    use std::time::Duration;

    fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().canonicalize().expect("it exists");
        for (name, text) in files {
            std::fs::write(root.join(name), text).expect("written");
        }
        (dir, root)
    }

    fn audit(dir: &Path, script: &str) -> Audited {
        let mut spec = shell(script);
        spec.dir = dir.to_owned();
        trace(&spec, &Cancel::default()).expect("tracing works where tests run")
    }

    /// What happened inside `root`, by name.
    fn inside(audited: &Audited, root: &Path) -> Vec<(String, AccessKind)> {
        audited
            .accesses
            .iter()
            .filter_map(|access| {
                let name = access.path.strip_prefix(root).ok()?.to_str()?;
                (!name.is_empty()).then(|| (name.to_owned(), access.kind))
            })
            .collect()
    }

    fn expected(list: &[(&str, AccessKind)]) -> Vec<(String, AccessKind)> {
        list.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
    }

    #[test]
    fn reads_writes_and_missing_files_of_a_shell_and_its_children_are_seen() {
        use AccessKind::{Missing, Read, Write};
        let (_dir, root) = world(&[("in", "one\n"), ("secret", "two\n")]);
        let script = "cat in > out; (cat secret >> out); cat out; cat gone; exit 4";
        let audited = audit(&root, script);
        assert_eq!(audited.finished.exit, Exit::Code(4));
        assert!(audited.finished.stdout.starts_with(b"one\ntwo\n"));
        assert_eq!(
            inside(&audited, &root),
            expected(&[("gone", Missing), ("in", Read), ("out", Write), ("secret", Read)])
        );
        let cat = Access { path: "/usr/bin/cat".into(), kind: AccessKind::Exec };
        let cat = [cat, Access { path: "/bin/cat".into(), kind: AccessKind::Exec }];
        assert!(cat.iter().any(|access| audited.accesses.contains(access)));
        assert!(audited.accesses.is_sorted());
    }

    #[test]
    fn links_are_followed_and_a_rename_makes_an_output() {
        use AccessKind::{Read, Write};
        let (_dir, root) = world(&[("real", "x")]);
        std::os::unix::fs::symlink("real", root.join("link")).expect("linked");
        let audited = audit(&root, "cat link > tmp; mv tmp final; cat final");
        assert_eq!(
            inside(&audited, &root),
            expected(&[("final", Write), ("real", Read), ("tmp", Write)])
        );
    }

    #[test]
    fn a_script_counts_beside_its_interpreter() {
        let (_dir, root) = world(&[("script", "#!/bin/sh\nexit 0\n")]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root.join("script"), mode).expect("set");
        let audited = audit(&root, "./script");
        assert!(inside(&audited, &root).contains(&("script".into(), AccessKind::Exec)));
        let shells: Vec<_> =
            audited.accesses.iter().filter(|access| access.kind == AccessKind::Exec).collect();
        assert!(shells.len() >= 2, "{shells:?}");
    }

    #[test]
    fn a_compilers_headers_are_found_through_its_forks() {
        let files = [
            ("main.c", "#include \"deep.h\"\nint main(void) { return VALUE; }\n"),
            ("deep.h", "#include \"deeper.h\"\n"),
            ("deeper.h", "#define VALUE 3\n"),
        ];
        let (_dir, root) = world(&files);
        let audited = audit(&root, "gcc -c main.c -o main.o");
        assert_eq!(audited.finished.exit, Exit::Code(0));
        let seen = inside(&audited, &root);
        for name in ["main.c", "deep.h", "deeper.h"] {
            assert!(seen.contains(&(name.into(), AccessKind::Read)), "{name} in {seen:?}");
        }
        assert!(seen.contains(&("main.o".into(), AccessKind::Write)));
        assert!(!seen.contains(&("main.o".into(), AccessKind::Read)));
    }

    #[test]
    fn threads_are_followed_too() {
        let source = "#include <pthread.h>\n#include <stdio.h>\n
            static void *body(void *name) { fclose(fopen(name, \"r\")); return 0; }
            int main(void) { pthread_t a, b;
              pthread_create(&a, 0, body, \"one\"); pthread_create(&b, 0, body, \"two\");
              pthread_join(a, 0); pthread_join(b, 0); return 0; }";
        let (_dir, root) = world(&[("t.c", source), ("one", ""), ("two", "")]);
        let build = std::process::Command::new("gcc")
            .args(["-pthread", "t.c", "-o", "t"])
            .current_dir(&root)
            .status();
        assert!(build.expect("gcc starts").success());
        let seen = inside(&audit(&root, "exec ./t"), &root);
        for name in ["one", "two"] {
            assert!(seen.contains(&(name.into(), AccessKind::Read)), "{name} in {seen:?}");
        }
    }

    #[test]
    fn a_traced_command_keeps_its_deadline_and_leaves_nothing() {
        let mut spec = shell("trap '' TERM; echo on; sleep 77 & while :; do sleep 77; done");
        spec.timeout = Some(Duration::from_millis(150));
        spec.grace = Duration::from_millis(20);
        spec.capture = Capture::Split;
        let audited = trace(&spec, &Cancel::default()).expect("tracing works");
        assert_eq!(audited.finished.exit, Exit::TimedOut);
        assert_eq!(audited.finished.stdout, b"on\n");
        assert_eq!(audited.finished.leftovers, []);
    }

    #[test]
    fn a_background_child_of_a_traced_command_is_ended() {
        let audited = audit(Path::new("/"), "setsid sleep 78 >/dev/null 2>&1 & exit 6");
        assert_eq!(audited.finished.exit, Exit::Code(6));
        assert_eq!(audited.finished.leftovers.len(), 1);
    }

    #[test]
    fn signals_reach_a_traced_command() {
        let audited = audit(Path::new("/"), "trap 'echo got' USR1; kill -USR1 $$; kill -9 $$");
        assert_eq!(audited.finished.exit, Exit::Signal(9));
        assert_eq!(audited.finished.stdout, b"got\n");
    }

    #[test]
    fn what_cannot_start_is_a_plain_error() {
        let spec = CommandSpec::new("/no/such/program", "/", "audit");
        let error = trace(&spec, &Cancel::default()).expect_err("it cannot start");
        assert!(matches!(error, AuditError::Spawn(_)), "{error}");
        let refused = SpawnError::Start {
            program: "/bin/sh".into(),
            dir: "/".into(),
            hint: String::new(),
            source: Errno::PERM.into(),
        };
        let error = not_permitted(refused);
        assert!(error.to_string().contains("SYS_PTRACE"), "{error}");
    }
}
