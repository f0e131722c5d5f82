//! Starts a command in its own process group, with exactly the environment it was given.
//!
//! The standard library stays on `posix_spawn` as long as the program is an absolute path and
//! nothing runs between fork and exec; a `pre_exec` closure would make a start ten times dearer.
#![expect(clippy::disallowed_methods, reason = "the only module that spawns")]

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::capture::{Capture, Stream};
use super::finished::Finished;
use super::running::Running;
use super::signals::Cancel;
use super::spec::{CommandSpec, SpawnError, Stdin};
use super::trace;
use super::tree::{MARKER, Tree, become_subreaper};

/// Runs a command to its end, its deadline or a cancel, and ends all that it started.
///
/// # Errors
/// When the command cannot be started or watched; a command that fails is not an error here.
pub fn run(spec: &CommandSpec, cancel: &Cancel) -> Result<Finished, SpawnError> {
    start(spec, Stdin::Null)?.complete(cancel)
}

/// Starts a command that is talked to while it runs.
///
/// # Errors
/// When the command cannot be started.
pub fn start(spec: &CommandSpec, stdin: Stdin) -> Result<Running, SpawnError> {
    launch(spec, stdin, |_command| {})
}

/// Starts a command after a last change to the standard library's builder.
pub(super) fn launch(
    spec: &CommandSpec,
    stdin: Stdin,
    adjust: impl FnOnce(&mut Command),
) -> Result<Running, SpawnError> {
    if !spec.program.is_absolute() {
        return Err(SpawnError::NotAbsolute { program: spec.program.clone() });
    }
    let fail = |source| start_error(spec, source);
    become_subreaper().map_err(fail)?;
    let mut command = builder(spec, stdin);
    let streams = connect(&mut command, spec).map_err(fail)?;
    adjust(&mut command);
    let tree = Tree::announce(&spec.marker);
    let started = Instant::now();
    let child = spawn_patiently(&mut command).map_err(fail)?;
    trace::note(|| {
        let (program, marker) = (spec.program.display(), &spec.marker);
        format!("process {}: {program} started as {marker}", child.id())
    });
    // The builder holds the writing ends; while they are open no reader sees an end.
    drop(command);
    Running::new(spec, child, tree, streams, started)
}

fn builder(spec: &CommandSpec, stdin: Stdin) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .env(MARKER, &spec.marker)
        .current_dir(&spec.dir)
        .process_group(0)
        .stdin(match stdin {
            Stdin::Null => Stdio::null(),
            Stdin::Socket(socket) => socket.into(),
        });
    command
}

fn connect(command: &mut Command, spec: &CommandSpec) -> io::Result<Vec<Stream>> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut streams = vec![Stream::new(reader, spec.max_output)];
    match spec.capture {
        Capture::Merged => {
            command.stderr(writer.try_clone()?);
        }
        Capture::Split => {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            streams.push(Stream::new(reader, spec.max_output));
            command.stderr(writer);
        }
    }
    command.stdout(writer);
    Ok(streams)
}

/// An executable that was written a moment ago is "busy" while a sibling that is just being
/// started still holds our descriptor for writing it.
fn spawn_patiently(command: &mut Command) -> io::Result<std::process::Child> {
    for _attempt in 0..10 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(2));
            }
            result => return result,
        }
    }
    command.spawn()
}

/// The system has one word for several things.
fn start_error(spec: &CommandSpec, source: io::Error) -> SpawnError {
    let hint = match Errno::from_io_error(&source) {
        Some(Errno::NOENT | Errno::NOTDIR) if !spec.dir.is_dir() => {
            "the directory does not exist".to_owned()
        }
        Some(Errno::NOENT) if !spec.program.exists() => "the program does not exist".to_owned(),
        Some(Errno::NOENT) => {
            "the interpreter on the program's first line, or its loader, does not exist".to_owned()
        }
        Some(Errno::NOEXEC) => "it is neither a program for this machine nor a script: a script's \
                                first line is `#!` and its interpreter"
            .to_owned(),
        Some(Errno::ACCESS | Errno::PERM) => forbidden(&spec.program, &source),
        Some(Errno::TOOBIG) => too_long(spec),
        _ => source.to_string(),
    };
    SpawnError::Start { program: spec.program.clone(), dir: spec.dir.clone(), hint, source }
}

/// Why the system lets nobody, or not this user, start a program.
fn forbidden(program: &Path, source: &io::Error) -> String {
    let mode = program.metadata().map(|metadata| metadata.permissions().mode());
    if forbids_execution(program) {
        return "the file system that it lies on forbids execution (it is mounted noexec)"
            .to_owned();
    }
    match mode {
        Ok(mode) if mode & 0o111 == 0 => "it is not executable: chmod +x".to_owned(),
        _ => format!("{source}: it, or the interpreter on its first line, may not be started"),
    }
}

/// True for what lies on a file system that is mounted `noexec`: neither programs nor shared objects
/// are run from there.
pub fn forbids_execution(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// What is too long for the system, which says only that something is.
fn too_long(spec: &CommandSpec) -> String {
    /// Linux: of one argument, or of a variable with its name, with the byte that ends it.
    const MAX_STRING: usize = 32 * 4096;
    let name = |name: &OsStr| name.to_string_lossy().into_owned();
    let args = (1..).zip(&spec.args).map(|(n, arg)| (format!("argument {n}"), arg.len()));
    let variables = spec.env.iter().map(|(variable, value)| {
        let what = format!("the environment variable `{}`", name(variable));
        (what, variable.len() + 1 + value.len())
    });
    let all: Vec<(String, usize)> = args.chain(variables).collect();
    match all.iter().max_by_key(|(_, bytes)| *bytes) {
        Some((what, bytes)) if *bytes >= MAX_STRING => format!(
            "{what} is {bytes} bytes long, and the system takes {} at most: put it into a file",
            MAX_STRING - 1
        ),
        longest => {
            let sum: usize = all.iter().map(|(_, bytes)| bytes + 1).sum();
            let longest = longest.map_or_else(String::new, |(what, bytes)| {
                format!("; the longest is {what} with {bytes}")
            });
            format!("arguments and environment are too long: {sum} bytes together{longest}")
        }
    }
}
