//! GNU make's job tokens, in both directions: taken from a `make -j` above us, or offered to
//! the commands below us.
//!
//! A token is one byte in a pipe that everybody shares. The descriptors that make names in
//! `MAKEFLAGS` are opened anew, so that reading them can be non-blocking (and so be waited for
//! beside a cancel) without changing them for make and its other children.
#![expect(clippy::disallowed_methods, reason = "make names its tokens in the environment")]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::signals::Cancel;

/// Where make and its relatives look, in the order in which they are asked.
const VARIABLES: [&str; 2] = ["CARGO_MAKEFLAGS", "MAKEFLAGS"];

/// The right to run one job; dropping it, in a panic too, gives it back.
#[derive(Debug)]
pub struct Token<'a> {
    tokens: &'a Tokens,
    /// The byte to give back; `None` for the token that this process was started with.
    byte: Option<u8>,
}

/// How many jobs may run at once, shared with make and with our own children. Nothing is
/// opened for a pool of our own before it is asked for.
#[derive(Debug)]
pub struct Tokens {
    /// The variable as it came in, when a make above us shares its tokens.
    flags: Option<OsString>,
    jobs: usize,
    warning: Option<String>,
    pool: OnceLock<Result<Pool, Errno>>,
}

/// Where a jobserver's pipe is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Descriptors { read: i32, write: i32 },
    Fifo(PathBuf),
}

#[derive(Debug)]
struct Pool {
    read: OwnedFd,
    write: OwnedFd,
    /// The token that every process has from its start, as a counter that can be polled.
    implicit: OwnedFd,
    /// The pair that children inherit, when the pool is ours.
    inherited: Option<(OwnedFd, OwnedFd)>,
}

impl Tokens {
    /// Tokens from the make that started us, unless `jobs` is given; else a pool of our own
    /// with `jobs` tokens, or one for each processor.
    ///
    /// To be called first in `main`: later, other files may have the numbers that make named.
    pub fn from_env_or_new(jobs: Option<usize>) -> Self {
        let found = VARIABLES.iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
        Self::from_flags(found.as_deref(), jobs)
    }

    fn from_flags(flags: Option<&OsStr>, jobs: Option<usize>) -> Self {
        let wanted =
            flags.filter(|_| jobs.is_none()).and_then(|flags| Some((flags, address(flags)?)));
        let Some((flags, address)) = wanted else {
            return Self::own(jobs.unwrap_or_else(processors), None);
        };
        match address.and_then(|address| connect(&address)) {
            Ok(pool) => Self {
                flags: Some(flags.to_owned()),
                jobs: make_jobs(flags).unwrap_or_else(processors),
                warning: None,
                pool: OnceLock::from(Ok(pool)),
            },
            Err(problem) => Self::own(1, Some(warning(&problem))),
        }
    }

    fn own(jobs: usize, warning: Option<String>) -> Self {
        Self { flags: None, jobs: jobs.max(1), warning, pool: OnceLock::new() }
    }

    /// What is wrong with the jobserver that `MAKEFLAGS` names, and what to do about it.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// How many jobs can run at once at most: the `-j` of make, or our own.
    pub fn parallelism(&self) -> usize {
        self.jobs
    }

    /// Waits for a token; `Ok(None)` when a stop was asked for meanwhile.
    ///
    /// # Errors
    /// When the pipe cannot be made or read, or make has gone.
    pub fn acquire(&self, cancel: &Cancel) -> io::Result<Option<Token<'_>>> {
        loop {
            if cancel.is_set() {
                return Ok(None);
            }
            if let Some(token) = self.try_acquire()? {
                return Ok(Some(token));
            }
            self.wait_for_token(cancel)?;
        }
    }

    /// A token if one is free now.
    ///
    /// # Errors
    /// As [`Tokens::acquire`].
    pub fn try_acquire(&self) -> io::Result<Option<Token<'_>>> {
        let pool = self.pool()?;
        let mut counter = [0; 8];
        match rustix::io::read(&pool.implicit, &mut counter) {
            Ok(_) => {
                return Ok(Some(Token { tokens: self, byte: None }));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut byte = [0];
        match rustix::io::read(&pool.read, &mut byte) {
            Ok(0) => Err(io::Error::other("the jobserver's pipe was closed; make has ended")),
            Ok(_) => Ok(Some(Token { tokens: self, byte: Some(byte[0]) })),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The variable that lets `make`, `cargo` and others below us share our tokens. A child
    /// runs on the token that was taken for it, and takes more only from the pool.
    ///
    /// # Errors
    /// When the pipe cannot be made.
    pub fn child_env(&self) -> io::Result<Option<(OsString, OsString)>> {
        let name = OsString::from("MAKEFLAGS");
        if self.flags.is_some() {
            return Ok(self.flags.clone().map(|flags| (name, flags)));
        }
        // With a single job there is nothing to share, and make would only warn.
        if self.jobs == 1 {
            return Ok(None);
        }
        Ok(self.pool()?.inherited.as_ref().map(|(read, write)| {
            let pair = format!("{},{}", read.as_raw_fd(), write.as_raw_fd());
            // The older name is for make before 4.2.
            let value = format!("-j --jobserver-fds={pair} --jobserver-auth={pair}");
            (name, value.into())
        }))
    }

    fn wait_for_token(&self, cancel: &Cancel) -> io::Result<()> {
        let pool = self.pool()?;
        let cancel_fd = cancel.fd();
        let mut fds: Vec<PollFd<'_>> =
            [Some(pool.read.as_fd()), Some(pool.implicit.as_fd()), cancel_fd]
                .into_iter()
                .flatten()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn pool(&self) -> io::Result<&Pool> {
        match self.pool.get_or_init(|| own_pool(self.jobs)) {
            Ok(pool) => Ok(pool),
            Err(error) => Err((*error).into()),
        }
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        let Some(Ok(pool)) = self.tokens.pool.get() else {
            return;
        };
        // A pipe that cannot be written to has no reader left who could miss the token.
        let _given_back = match self.byte {
            None => rustix::io::write(&pool.implicit, &1_u64.to_ne_bytes()),
            Some(byte) => rustix::io::write(&pool.write, &[byte]),
        };
    }
}

/// A pipe with a byte for every job but the implicit one. Its first pair of descriptors stays
/// open across exec, for the numbers in `MAKEFLAGS` must mean the same in our children.
fn own_pool(jobs: usize) -> Result<Pool, Errno> {
    let (read, write) = pipe_with(PipeFlags::empty())?;
    let mut pool = reopen(read.as_raw_fd(), write.as_raw_fd())?;
    let mut left = jobs - 1;
    while left > 0 {
        // Non-blocking: more tokens than a pipe holds are more jobs than a machine runs.
        match rustix::io::write(&pool.write, &vec![b'+'; left.min(4096)]) {
            Ok(count) => left -= count,
            Err(_) => break,
        }
    }
    pool.inherited = Some((read, write));
    Ok(pool)
}

fn reopen(read: i32, write: i32) -> Result<Pool, Errno> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |fd: i32, access: OFlags| {
        open(format!("/proc/self/fd/{fd}"), access | flags, Mode::empty())
    };
    Ok(Pool {
        read: open(read, OFlags::RDONLY)?,
        write: open(write, OFlags::WRONLY)?,
        implicit: implicit()?,
        inherited: None,
    })
}

fn implicit() -> Result<OwnedFd, Errno> {
    eventfd(1, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE)
}

fn connect(address: &Address) -> Result<Pool, String> {
    match address {
        Address::Descriptors { read, write } => {
            let closed =
                |error| format!("descriptors {read} and {write} are not open here ({error})");
            let pool = reopen(*read, *write).map_err(closed)?;
            let (one, two) = (fstat(&pool.read), fstat(&pool.write));
            let same_pipe = matches!((one, two), (Ok(one), Ok(two))
                if FileType::from_raw_mode(one.st_mode) == FileType::Fifo
                    && (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino));
            if same_pipe {
                return Ok(pool);
            }
            Err(format!("descriptors {read} and {write} are other files here"))
        }
        Address::Fifo(path) => {
            let failed = |error| format!("`{}` cannot be opened ({error})", path.display());
            let open =
                || open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
            let read = open().map_err(failed)?;
            let write = open().map_err(failed)?;
            Ok(Pool { read, write, implicit: implicit().map_err(failed)?, inherited: None })
        }
    }
}

fn warning(problem: &str) -> String {
    format!(
        "make's jobserver cannot be used: {problem}; running one job at a time. \
         Start the recipe's line with `+` (`+optloop …`), or give optloop its own `--jobs`"
    )
}

/// The jobserver named last, as make itself reads it; `None` when there is none or make has
/// switched it off with negative numbers.
fn address(flags: &OsStr) -> Option<Result<Address, String>> {
    let value = flags
        .as_bytes()
        .split(u8::is_ascii_whitespace)
        .take_while(|word| *word != b"--")
        .filter_map(|word| {
            word.strip_prefix(b"--jobserver-auth=")
                .or_else(|| word.strip_prefix(b"--jobserver-fds="))
        })
        .last()?;
    if let Some(path) = value.strip_prefix(b"fifo:") {
        return Some(Ok(Address::Fifo(OsStr::from_bytes(path).into())));
    }
    let pair = str::from_utf8(value)
        .ok()
        .and_then(|text| text.split_once(','))
        .and_then(|(read, write)| Some((read.parse().ok()?, write.parse().ok()?)));
    match pair {
        Some((read, write)) if read < 0 || write < 0 => None,
        Some((read, write)) => Some(Ok(Address::Descriptors { read, write })),
        None => Some(Err(format!(
            "`{}` is neither `R,W` nor `fifo:PATH`",
            String::from_utf8_lossy(value)
        ))),
    }
}

/// The number after `-j` in `MAKEFLAGS`; make passes it on since 4.2.
fn make_jobs(flags: &OsStr) -> Option<usize> {
    let words = flags.as_bytes().split(u8::is_ascii_whitespace).take_while(|word| *word != b"--");
    words.filter_map(|word| str::from_utf8(word.strip_prefix(b"-j")?).ok()?.parse().ok()).last()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::super::tests::shell;
    use super::super::{CommandSpec, Exit, run};
    use super::*;
    use std::path::Path;

    #[test]
    fn makes_flags_are_read_as_make_reads_them() {
        let pair = |read, write| Some(Ok(Address::Descriptors { read, write }));
        let table = [
            ("", None),
            ("w", None),
            (" -j4 --jobserver-auth=3,4", pair(3, 4)),
            ("kw -j --jobserver-fds=5,6 --jobserver-auth=7,8", pair(7, 8)),
            ("--jobserver-auth=-2,-2", None),
            ("--jobserver-auth=fifo:/tmp/x,y", Some(Ok(Address::Fifo("/tmp/x,y".into())))),
            ("-- --jobserver-auth=3,4", None),
        ];
        for (flags, expected) in table {
            assert_eq!(address(OsStr::new(flags)), expected, "{flags}");
        }
        assert!(matches!(address(OsStr::new("--jobserver-auth=3")), Some(Err(_))));
        assert_eq!(make_jobs(OsStr::new("w -j3 --jobserver-auth=3,4 -- j=9")), Some(3));
        assert_eq!(make_jobs(OsStr::new("w -j")), None);
    }

    #[test]
    fn a_pool_gives_as_many_tokens_as_jobs_and_takes_them_back() {
        let tokens = Tokens::from_flags(None, Some(3));
        let cancel = Cancel::default();
        assert_eq!(tokens.parallelism(), 3);
        let mut held: Vec<_> =
            (0..3).map(|_| tokens.acquire(&cancel).expect("a pipe").expect("a token")).collect();
        assert!(tokens.try_acquire().expect("a pipe").is_none());
        for _ in 0..3 {
            held.pop();
            held.insert(0, tokens.acquire(&cancel).expect("a pipe").expect("a token"));
            assert!(tokens.try_acquire().expect("a pipe").is_none());
        }
    }

    #[test]
    fn a_token_comes_back_when_its_job_panics() {
        let tokens = Tokens::from_flags(None, Some(1));
        let panicked = std::thread::scope(|scope| {
            let job = scope.spawn(|| {
                let _token = tokens.try_acquire().expect("a pipe").expect("a token");
                std::panic::resume_unwind(Box::new("the job fails"));
            });
            job.join().is_err()
        });
        assert!(panicked && tokens.try_acquire().expect("a pipe").is_some());
    }

    #[test]
    fn a_waiter_is_woken_by_a_token_and_by_a_cancel() {
        let tokens = Tokens::from_flags(None, Some(2));
        let cancel = Cancel::default();
        let held = tokens.acquire(&cancel).expect("a pipe");
        let _other = tokens.acquire(&cancel).expect("a pipe");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| tokens.acquire(&cancel).expect("a pipe").is_some());
            drop(held);
            assert!(waiter.join().expect("no panic"), "the implicit token wakes the waiter");
        });
        let _again = tokens.acquire(&cancel).expect("a pipe");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| tokens.acquire(&cancel).expect("a pipe").is_none());
            cancel.request();
            assert!(waiter.join().expect("no panic"), "a cancel gives nothing");
        });
    }

    #[test]
    fn a_fifo_is_shared_with_whoever_opened_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("jobs");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .expect("a fifo");
        let flags = format!("-j2 --jobserver-auth=fifo:{}", path.display());
        let one = Tokens::from_flags(Some(OsStr::new(&flags)), None);
        let two = Tokens::from_flags(Some(OsStr::new(&flags)), None);
        assert_eq!((one.warning(), one.parallelism()), (None, 2));
        rustix::io::write(&one.pool().expect("open").write, b"x").expect("room for a token");
        let implicit = one.try_acquire().expect("open").expect("the implicit token");
        let shared = one.try_acquire().expect("open").expect("the shared token");
        assert_eq!(shared.byte, Some(b'x'));
        let _own = two.try_acquire().expect("open").expect("the other's implicit token");
        assert!(two.try_acquire().expect("open").is_none());
        drop(implicit);
        assert!(two.try_acquire().expect("open").is_none(), "an implicit token is not shared");
        drop(shared);
        assert_eq!(two.try_acquire().expect("open").expect("given back").byte, Some(b'x'));
    }

    #[test]
    fn descriptors_that_are_closed_or_other_files_give_one_job_and_a_cure() {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        let fd = file.as_raw_fd();
        for flags in [
            "--jobserver-auth=900,901",
            &format!("--jobserver-auth={fd},{fd}"),
            "--jobserver-auth=x",
        ] {
            let tokens = Tokens::from_flags(Some(OsStr::new(flags)), None);
            assert_eq!(tokens.parallelism(), 1, "{flags}");
            let warning = tokens.warning().expect("a warning");
            assert!(warning.contains("+optloop") && warning.contains("--jobs"), "{warning}");
        }
    }

    #[test]
    fn jobs_given_by_the_user_go_before_make() {
        let tokens = Tokens::from_flags(Some(OsStr::new("--jobserver-auth=900,901")), Some(4));
        assert_eq!((tokens.parallelism(), tokens.warning()), (4, None));
    }

    fn make(dir: &Path, makefile: &str) -> CommandSpec {
        std::fs::write(dir.join("Makefile"), makefile).expect("written");
        let mut spec = shell("exec make -s");
        spec.dir = dir.to_owned();
        spec
    }

    /// Each job is a line when it starts and one when it ends; returns how many ran at once.
    fn most_at_once(log: &str) -> usize {
        let (mut now, mut most) = (0_usize, 0);
        for line in log.lines() {
            match line {
                "start" => now += 1,
                "end" => now -= 1,
                other => panic!("make said `{other}`"),
            }
            most = most.max(now);
        }
        most
    }

    #[test]
    fn a_make_below_us_runs_as_many_jobs_as_there_are_tokens_left() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let rules = "all: a b c d\na b c d:\n\t@echo start; sleep 0.04; echo end\n";
        let tokens = Tokens::from_flags(None, Some(3));
        let mut spec = make(dir.path(), rules);
        spec.env.extend(tokens.child_env().expect("a pipe"));
        for (held, expected) in [(1, 3), (2, 2), (3, 1)] {
            let _held: Vec<_> = (0..held).map(|_| tokens.try_acquire().expect("a pipe")).collect();
            let finished = run(&spec, &Cancel::default()).expect("make starts");
            assert_eq!(finished.exit, Exit::Code(0));
            let log = String::from_utf8_lossy(&finished.stdout);
            assert_eq!(most_at_once(&log), expected, "{held} held:\n{log}");
        }
        let mut back = 0;
        let mut all = Vec::new();
        while let Some(token) = tokens.try_acquire().expect("a pipe") {
            all.push(token);
            back += 1;
        }
        assert_eq!(back, 3, "make gave every token back");
    }

    /// This very test, run by make as `optloop` would be: it says how many tokens it got.
    #[test]
    fn below_a_make_its_tokens_are_ours() {
        if std::env::var_os("OPTLOOP_TEST_BELOW_MAKE").is_some() {
            let tokens = Tokens::from_env_or_new(None);
            let mut held = Vec::new();
            while let Some(token) = tokens.try_acquire().expect("make is there") {
                held.push(token);
            }
            let warned = tokens.warning().is_some();
            let line = format!("tokens {} warned {warned}\n", held.len());
            io::Write::write_all(&mut io::stderr(), line.as_bytes()).expect("a pipe");
            return;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let this = std::env::current_exe().expect("a test binary");
        let call = format!(
            "{} -q --nocapture --exact process::jobserver::tests::below_a_make_its_tokens_are_ours",
            this.display()
        );
        let rules = format!("with:\n\t+@{call}\nwithout:\n\t@{call}\n");
        for (command, expected) in [
            ("make -s -j3 with", "tokens 3 warned false"),
            ("make -s -j3 without", "tokens 1 warned true"),
        ] {
            let mut spec = make(dir.path(), &rules);
            spec.args[1] = command.into();
            spec.env.push(("OPTLOOP_TEST_BELOW_MAKE".into(), "1".into()));
            let finished = run(&spec, &Cancel::default()).expect("make starts");
            let log = String::from_utf8_lossy(&finished.stdout);
            assert_eq!(finished.exit, Exit::Code(0), "{log}");
            assert!(log.contains(expected), "{command}: {log}");
        }
    }
}
