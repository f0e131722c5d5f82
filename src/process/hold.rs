//! Something that is held by a command for as long as this process lives, and given back by another,
//! however this process ends.
//!
//! A process of its own runs both: `optloop __hold`, with a socket to its parent as standard input.
//! When the socket closes, as it does however the parent ends, it gives back what it holds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

use super::{Cancel, CommandSpec, Exit, Running, SpawnError, Stdin, Wake};

/// The argument that makes this executable hold something.
pub const HOLD_COMMAND: &str = "__hold";
/// The variable that names to commands what is held.
pub const HELD: &str = "OPTLOOP_HELD";

/// How long giving back may take.
const RELEASING: Duration = Duration::from_mins(1);
/// The longest answer.
const MAX_ANSWER: usize = 4000;
/// Begins the answer of a process that holds something.
const TAKEN: &str = "held ";

/// What is to be held.
#[derive(Debug, Clone)]
pub struct HoldRequest<'a> {
    /// The executable that answers to [`HOLD_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// What takes it; the last line that it prints names what was taken.
    pub allocate: &'a [String],
    /// What gives it back; it finds the name in [`HELD`].
    pub release: &'a [String],
    /// How long taking it may last.
    pub patience: Duration,
    /// Where the commands run.
    pub dir: &'a Path,
    /// Their environment.
    pub env: &'a [(OsString, OsString)],
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// Why nothing is held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// There is no connection to a process that could hold it.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// That process cannot be started.
    #[error("{0}")]
    Start(#[from] SpawnError),
    /// It has ended.
    #[error("the process that was to hold it has ended")]
    Ended,
    /// The command takes too long.
    #[error("`{0}` was not back in time")]
    TooLong(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The command says no: why.
    #[error("{0}")]
    Refused(String),
}

/// Something that is held until this is dropped.
#[derive(Debug)]
pub struct Held {
    /// What it is called.
    pub name: String,
    socket: Option<OwnedFd>,
    running: Running,
}

impl Held {
    /// Takes it.
    ///
    /// # Errors
    /// Why it cannot be had; nothing is held then.
    pub fn take(request: &HoldRequest<'_>) -> Result<Self, HoldError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (socket, theirs) = pair.map_err(io::Error::from)?;
        // Not below the mark of any state: cleaning up after a killed process must not kill what is just
        // giving something back.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let marker = format!("hold.{}.{number}", std::process::id());
        let mut spec = CommandSpec::new(request.program, request.dir, marker);
        spec.args = vec![HOLD_COMMAND.into(), request.release.len().to_string().into()];
        spec.args.extend(request.release.iter().chain(request.allocate).map(OsString::from));
        spec.env = request.env.to_vec();
        spec.grace = RELEASING;
        let running = super::start(&spec, Stdin::Socket(theirs))?;
        let mut held = Self { name: String::new(), socket: Some(socket), running };
        // Where this fails it may have been taken already: it is given back the same way.
        held.name = held.answer(request)?;
        Ok(held)
    }

    fn answer(&mut self, request: &HoldRequest<'_>) -> Result<String, HoldError> {
        let until = Some(Instant::now() + request.patience);
        let Some(socket) = &self.socket else { return Err(HoldError::Ended) };
        let mut text = Vec::new();
        while !text.ends_with(b"\n") && text.len() < MAX_ANSWER {
            match self.running.wait(Some(socket.as_fd()), until, request.cancel)? {
                Wake::Ready => {}
                Wake::Exited => return Err(HoldError::Ended),
                Wake::Deadline => return Err(HoldError::TooLong(request.allocate.join(" "))),
                Wake::Cancelled => return Err(HoldError::Interrupted),
            }
            let mut bytes = [0; MAX_ANSWER];
            match rustix::io::read(socket, &mut bytes) {
                Ok(0) => return Err(HoldError::Ended),
                Ok(count) => text.extend_from_slice(&bytes[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        text.strip_prefix(TAKEN).map(str::to_owned).ok_or(HoldError::Refused(text))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.socket.take());
        let until = Some(Instant::now() + RELEASING);
        // What does not end by itself is ended when `running` goes; no more can be done here.
        let _end = self.running.wait(None, until, &Cancel::default());
    }
}

/// Takes something, and gives it back when the parent on the other side of the standard input is
/// gone. `args`: how many words the command has that gives it back, these words, and those of the
/// command that takes it; `env`: the environment of both.
pub fn main(args: &[OsString], env: &[(OsString, OsString)]) -> ExitCode {
    let stdin = rustix::stdio::stdin();
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(stdin, 3) else { return ExitCode::FAILURE };
    // Ctrl-C reaches the whole group; the parent says when it is over.
    let Ok(_ignored) = super::install() else { return ExitCode::FAILURE };
    let count = args.first().and_then(|count| count.to_str()?.parse::<usize>().ok());
    let words = args.get(1..).unwrap_or_default();
    let Some((release, allocate)) = words.split_at_checked(count.unwrap_or_default()) else {
        return ExitCode::FAILURE;
    };
    let name = match run(allocate, "taking", env) {
        Ok(output) => output.trim_end().lines().last().unwrap_or_default().trim().to_owned(),
        Err(why) => {
            say(&socket, &why);
            return ExitCode::FAILURE;
        }
    };
    say(&socket, &format!("{TAKEN}{name}"));
    await_end(&socket);
    let mut env = env.to_vec();
    env.push((HELD.into(), name.into()));
    match run(release, "releasing", &env) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs a command; what it printed, or why it failed.
fn run(words: &[OsString], doing: &str, env: &[(OsString, OsString)]) -> Result<String, String> {
    let Some((program, args)) = words.split_first() else { return Ok(String::new()) };
    let dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let path = env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new("/usr/bin:/bin"), |(_, value)| value);
    let missing = || format!("there is no program `{}`", program.display());
    let program = super::resolve(program, &dir, path).ok_or_else(missing)?;
    let mut spec = CommandSpec::new(program, dir, format!("{doing}.{}", std::process::id()));
    spec.args = args.to_vec();
    spec.env = env.to_vec();
    let finished = super::run(&spec, &Cancel::default()).map_err(|error| error.to_string())?;
    let output = String::from_utf8_lossy(&finished.stdout).into_owned();
    let last = output.trim_end().lines().last().unwrap_or_default();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    match finished.exit {
        Exit::Code(0) => Ok(output),
        Exit::Code(code) => Err(format!("`{}` ended with {code}: {last}", words.join(" "))),
        other => Err(format!("`{}` ended with {other:?}: {last}", words.join(" "))),
    }
}

/// Until the other end is closed.
fn await_end(socket: &OwnedFd) {
    loop {
        let mut one = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut one, None) {
            Ok(_) if !one[0].revents().is_empty() => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Tells the parent. Where it has gone nobody is to be told; the end comes next.
fn say(socket: &OwnedFd, text: &str) {
    let text: String = text.replace('\n', " ").chars().take(MAX_ANSWER / 8).collect();
    let _sent = rustix::net::send(socket, format!("{text}\n").as_bytes(), SendFlags::NOSIGNAL);
}
