//! The `git` program: the one way to write into a repository of the user's, whose hooks, signatures
//! and filters it honours; and the second way to read one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Error, Outside};
use crate::process::{self, Cancel, Capture, CommandSpec, Exit, Finished};

/// How long a command that writes may take: hooks build and test.
const WRITING: Duration = Duration::from_mins(10);
/// How long an answer may take.
const READING: Duration = Duration::from_mins(1);
/// An answer that is longer is refused: the list of all files of a very large repository fits.
const MAX_ANSWER: usize = 256 << 20;
/// Variables that would point the program at another repository, index or set of paths.
const REDIRECTIONS: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];
/// Housekeeping in the background would be ended together with the command, half done.
const SETTINGS: &[&str] = &["-c", "gc.auto=0", "-c", "maintenance.auto=false"];
/// Paths are names and not patterns.
const LITERAL: &str = "--literal-pathspecs";

/// A path as the program prints it.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// What the program ends with a zero byte each.
pub(super) fn pieces(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|piece| !piece.is_empty())
}

/// The name of a file in a commit.
pub(super) fn object(commit: &str, path: &Path) -> PathBuf {
    let mut object = OsString::from(format!("{commit}:")).into_vec();
    object.extend_from_slice(path.as_os_str().as_bytes());
    OsString::from_vec(object).into()
}

/// Tells commands of one process apart that run at the same time.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// The program, set up for one folder.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    dir: PathBuf,
    env: HashMap<OsString, OsString>,
    settings: Vec<&'static str>,
    marker: String,
    cancel: Cancel,
}

/// What a command that writes said, and how it ended.
pub(super) struct Said {
    pub(super) exit: Exit,
    pub(super) output: String,
}

impl Said {
    pub(super) fn is_fine(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    pub(super) fn blocked(self, command: &str) -> Error {
        Error::Blocked { command: command.to_owned(), exit: self.exit, output: self.output }
    }
}

impl Program {
    /// The program as the user would start it in `dir`; none where it is not in the PATH.
    pub(super) fn find(dir: &Path, outside: &Outside) -> Option<Self> {
        let mut env: HashMap<_, _> = outside.env.iter().cloned().collect();
        let path = process::resolve(
            OsStr::new("git"),
            dir,
            env.get(OsStr::new("PATH")).map_or(OsStr::new(""), OsString::as_os_str),
        )?;
        env.retain(|name, _| !REDIRECTIONS.iter().any(|redirection| name == redirection));
        // No person sits at this program's input.
        env.insert("GIT_TERMINAL_PROMPT".into(), "0".into());
        env.insert("GIT_EDITOR".into(), ":".into());
        let marker = format!("git.{}", std::process::id());
        let settings = SETTINGS.to_vec();
        let cancel = outside.cancel.clone();
        Some(Self { path, dir: dir.to_owned(), env, settings, marker, cancel })
    }

    /// The same program in another folder.
    pub(super) fn at(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    /// The same program with one more variable.
    pub(super) fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The same program with one more setting, which holds for its commands only.
    pub(super) fn set(mut self, setting: &'static str) -> Self {
        self.settings.extend(["-c", setting]);
        self
    }

    /// The same program, with this mark on all that it starts.
    pub(super) fn marked(mut self, marker: &str) -> Self {
        marker.clone_into(&mut self.marker);
        self
    }

    /// Runs a command that may write.
    pub(super) fn run(&self, words: &[&str], paths: &[PathBuf]) -> Result<Said, Error> {
        self.write(&[&[LITERAL][..], words].concat(), paths)
    }

    /// Runs a command that may write and that starts hooks: these may well name files by patterns,
    /// so that only its own paths are taken literally.
    pub(super) fn run_with_hooks(&self, words: &[&str], paths: &[PathBuf]) -> Result<Said, Error> {
        let literal = |path: &PathBuf| {
            let mut text = OsString::from(":(literal)");
            text.push(path);
            PathBuf::from(text)
        };
        self.write(words, &paths.iter().map(literal).collect::<Vec<_>>())
    }

    fn write(&self, words: &[&str], paths: &[PathBuf]) -> Result<Said, Error> {
        let mut spec = self.command(words, paths);
        spec.timeout = Some(WRITING);
        let finished = self.finish(&spec)?;
        let output = String::from_utf8_lossy(&finished.stdout).trim_end().to_owned();
        Ok(Said { exit: finished.exit, output })
    }

    /// Runs a command that only reads; its output.
    pub(super) fn read(&self, words: &[&str], paths: &[PathBuf]) -> Result<Vec<u8>, Error> {
        let finished = self.ask(words, paths)?;
        if finished.exit == Exit::Code(0) {
            return Ok(finished.stdout);
        }
        Err(Error::Unread {
            command: words.first().copied().unwrap_or_default().to_owned(),
            exit: finished.exit,
            output: String::from_utf8_lossy(&finished.stderr).trim().to_owned(),
        })
    }

    /// Runs a command that only reads, and whose exit code is an answer.
    pub(super) fn ask(&self, words: &[&str], paths: &[PathBuf]) -> Result<Finished, Error> {
        let mut spec = self.command(&[&[LITERAL][..], words].concat(), paths);
        // Not even the index's stat cache is written.
        spec.env.push(("GIT_OPTIONAL_LOCKS".into(), "0".into()));
        spec.capture = Capture::Split;
        spec.max_output = MAX_ANSWER;
        spec.timeout = Some(READING);
        let finished = self.finish(&spec)?;
        if finished.truncated {
            let doing = format!("reading what `git {}` says", words.join(" "));
            return Err(Error::failed(doing)("it is too long"));
        }
        Ok(finished)
    }

    fn command(&self, words: &[&str], paths: &[PathBuf]) -> CommandSpec {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let marker = format!("{}.{call}", self.marker);
        let mut spec = CommandSpec::new(&self.path, &self.dir, marker);
        spec.args = self.settings.iter().chain(words).map(OsString::from).collect();
        spec.args.extend(paths.iter().map(OsString::from));
        spec.env = self.env.clone().into_iter().collect();
        spec
    }

    fn finish(&self, spec: &CommandSpec) -> Result<Finished, Error> {
        process::run(spec, &self.cancel).map_err(Error::failed("running `git`"))
    }
}
