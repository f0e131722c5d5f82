//! Commits through the `git` program, for what the library does not do: hooks, signatures, filters.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{AttrCheckFlags, AttrValue, Oid, Repository};

use super::Refused;
use super::checkout::Checkout;
use super::commit::{Attempt, Committed, Message, Outside};
use super::index::Snapshot;
use crate::process::{self, CommandSpec, Exit};

/// How long hooks may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// What `git commit` runs, or may be stopped by.
const HOOKS: &[&str] = &[
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "reference-transaction",
    "post-index-change",
];
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

/// What needs the program.
#[derive(Debug, Clone)]
pub(super) enum Why {
    Hook(String),
    Signature,
    Filter(String),
    Index(String),
    Revert,
}

impl Why {
    fn words(&self) -> String {
        match self {
            Self::Hook(name) => format!("the hook `{name}` must run"),
            Self::Signature => "commits must be signed (commit.gpgSign)".to_owned(),
            Self::Filter(name) => format!("the kernel goes through the filter `{name}`"),
            Self::Index(what) => format!("the index is of a special kind ({what})"),
            Self::Revert => "a commit is to be reverted".to_owned(),
        }
    }
}

/// A filter that only the program can run, on one of the files.
pub(super) fn filter(attempt: &Attempt) -> Result<Option<Why>, Refused> {
    let repository = &attempt.checkout.repository;
    let doing = "reading .gitattributes";
    let config = repository.config().map_err(Refused::failed(doing))?;
    for file in &attempt.named {
        for name in ["filter", "working-tree-encoding"] {
            let flags = AttrCheckFlags::FILE_THEN_INDEX;
            let value = repository.get_attr_bytes(&file.path, name, flags);
            let value = AttrValue::from_bytes(value.map_err(Refused::failed(doing))?);
            let value = match value {
                AttrValue::String(text) => text.to_owned(),
                AttrValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                AttrValue::True | AttrValue::False | AttrValue::Unspecified => continue,
            };
            let driver = |way: &str| config.get_string(&format!("filter.{value}.{way}")).is_ok();
            if name != "filter" || driver("clean") || driver("process") {
                return Ok(Some(Why::Filter(value)));
            }
        }
    }
    Ok(None)
}

/// A hook or setting of the repository that only the program honours.
pub(super) fn needed(checkout: &Checkout) -> Result<Option<Why>, Refused> {
    let config = checkout.repository.config();
    let config = config.map_err(Refused::failed("reading git's configuration"))?;
    if config.get_bool("commit.gpgsign").unwrap_or(false) {
        return Ok(Some(Why::Signature));
    }
    let folder = match config.get_path("core.hookspath") {
        Ok(path) => checkout.work.join(path),
        Err(_) => checkout.repository.commondir().join("hooks"),
    };
    let runs = |name: &&&str| {
        let found = folder.join(name).metadata();
        found.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if let Some(name) = HOOKS.iter().find(runs) {
        return Ok(Some(Why::Hook((*name).to_owned())));
    }
    // Newer versions of git take hooks from the configuration too.
    let mut configured = config
        .entries(Some(r"^hook\..*\.command$"))
        .map_err(Refused::failed("reading git's configuration"))?;
    let found = configured.next().and_then(Result::ok);
    Ok(found.map(|entry| Why::Hook(String::from_utf8_lossy(entry.name_bytes()).into_owned())))
}

/// Commits with an index that the library can read.
pub(super) fn commit_with(
    attempt: &Attempt,
    why: &Why,
    snapshot: &Snapshot,
    message: &Message,
    outside: &Outside<'_>,
) -> Result<Option<Committed>, Refused> {
    if let Some(conflict) = snapshot.index.iter().find(|entry| entry.flags & 0x3000 != 0) {
        return Err(Refused::Failed {
            doing: format!("{}, so `git commit` has to do it", why.words()),
            cause: format!(
                "`{}` is in conflict, and git commits nothing then: resolve it and `git add` it \
                 first, or pass --no-commit",
                String::from_utf8_lossy(&conflict.path)
            ),
        });
    }
    let new = attempt.named.iter().filter(|file| snapshot.entry(&file.path).is_none());
    let new: Vec<PathBuf> = new.map(|file| file.path.clone()).collect();
    let git = Git::find(attempt, why, outside)?;
    git.commit(message, &new)
}

/// Commits with an index that only the program can read.
pub(super) fn commit(
    attempt: &Attempt,
    why: &Why,
    message: &Message,
    outside: &Outside<'_>,
) -> Result<Option<Committed>, Refused> {
    let git = Git::find(attempt, why, outside)?;
    let mut new = Vec::new();
    for file in &attempt.named {
        let known =
            git.run(&["ls-files", "--error-unmatch", "--"], std::slice::from_ref(&file.path))?;
        if known.exit != Exit::Code(0) {
            new.push(file.path.clone());
        }
    }
    git.commit(message, &new)
}

/// Makes a commit that undoes another, as `git revert` does; its id.
///
/// # Errors
/// When git refuses, or the two do not fit together any more; nothing has changed then.
pub fn revert_commit(root: &Path, commit: &str, outside: &Outside<'_>) -> Result<String, Refused> {
    let checkout = Checkout::open(root)?;
    checkout.at_rest()?;
    let head = checkout.head()?;
    let attempt = Attempt { checkout, head, named: Vec::new() };
    let git = Git::find(&attempt, &Why::Revert, outside)?;
    let said = git.run(&["revert", "--no-edit", commit], &[])?;
    let fresh = Checkout::open(root)?;
    if said.exit == Exit::Code(0)
        && let Some(id) = fresh.head()?.commit
    {
        return Ok(id.to_string());
    }
    if fresh.at_rest().is_err() {
        git.run(&["revert", "--abort"], &[])?;
    }
    Err(Refused::Failed { doing: format!("`git revert {commit}`"), cause: said.output })
}

/// The program, set up for one repository.
struct Git<'a> {
    attempt: &'a Attempt,
    program: PathBuf,
    env: Vec<(OsString, OsString)>,
    outside: &'a Outside<'a>,
}

struct Said {
    exit: Exit,
    output: String,
}

impl<'a> Git<'a> {
    fn find(attempt: &'a Attempt, why: &Why, outside: &'a Outside<'a>) -> Result<Self, Refused> {
        let path = outside.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(OsStr::new(""), |(_, value)| value);
        let program = process::resolve(OsStr::new("git"), &attempt.checkout.work, path)
            .ok_or_else(|| Refused::NoProgram { why: why.words() })?;
        let kept = |name: &OsString| !REDIRECTIONS.iter().any(|r| *name == **r);
        let env: HashMap<_, _> =
            outside.env.iter().filter(|(name, _)| kept(name)).cloned().collect();
        let mut env: Vec<_> = env.into_iter().collect();
        // Nobody sits at this program's input.
        env.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
        env.retain(|(name, _)| name != "GIT_EDITOR");
        env.push(("GIT_EDITOR".into(), ":".into()));
        Ok(Self { attempt, program, env, outside })
    }

    fn run(&self, args: &[&str], paths: &[PathBuf]) -> Result<Said, Refused> {
        let marker = format!("commit.{}", std::process::id());
        let mut spec = CommandSpec::new(&self.program, &self.attempt.checkout.work, marker);
        // Housekeeping in the background would be ended with the command, half done.
        let settings = ["--literal-pathspecs", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
        spec.args = settings.iter().chain(args).map(OsString::from).collect();
        spec.args.extend(paths.iter().map(OsString::from));
        spec.env.clone_from(&self.env);
        spec.timeout = Some(PATIENCE);
        let doing = "running `git`";
        let finished = process::run(&spec, self.outside.cancel).map_err(Refused::failed(doing))?;
        let output = String::from_utf8_lossy(&finished.stdout).trim_end().to_owned();
        Ok(Said { exit: finished.exit, output })
    }

    fn commit(&self, message: &Message, new: &[PathBuf]) -> Result<Option<Committed>, Refused> {
        let checkout = &self.attempt.checkout;
        let doing = || format!("writing in `{}`", checkout.private().display());
        let mut file = tempfile::Builder::new()
            .prefix("optloop-")
            .suffix(".message")
            .tempfile_in(checkout.private())
            .map_err(Refused::failed(doing()))?;
        file.write_all(message.text().as_bytes()).map_err(Refused::failed(doing()))?;
        let from = format!("--file={}", file.path().display());
        let named = &self.attempt.named;
        let paths: Vec<PathBuf> = named.iter().map(|n| n.path.clone()).collect();
        let was: io::Result<Vec<_>> = named.iter().map(|n| fs::read(&n.absolute)).collect();
        let was = was.map_err(Refused::failed("reading the kernel"))?;
        if !new.is_empty() {
            let said = self.run(&["add", "--intent-to-add", "--"], new)?;
            if said.exit != Exit::Code(0) {
                return Err(blocked(said));
            }
        }
        let said = self.run(&["commit", "--only", &from, "--cleanup=whitespace", "--"], &paths)?;
        let head = Checkout::open(&checkout.work)?.head()?;
        if said.exit == Exit::Code(0)
            && let Some(id) = head.commit.filter(|id| Some(*id) != self.attempt.head.commit)
        {
            return self.account(id, head.branch, &was).map(Some);
        }
        if !new.is_empty() {
            // The entries were only announced; the files themselves stay.
            self.run(&["rm", "--cached", "--quiet", "--force", "--"], new)?;
        }
        if said.exit == Exit::Code(0)
            && let Some(head) = head.commit
        {
            return Ok(Some(Committed::Nothing { head: head.to_string() }));
        }
        Err(blocked(said))
    }

    /// What the new commit holds beside, or instead of, the files as they were in the checkout.
    fn account(&self, id: Oid, branch: String, was: &[Vec<u8>]) -> Result<Committed, Refused> {
        let mut altered = self.others(id).map_err(Refused::failed("reading the new commit"))?;
        for (file, was) in self.attempt.named.iter().zip(was) {
            let paths = std::slice::from_ref(&file.path);
            let same = self.run(&["diff", "--quiet", "HEAD", "--"], paths)?.exit == Exit::Code(0);
            if !same || fs::read(&file.absolute).ok().as_ref() != Some(was) {
                altered.push(file.path.clone());
            }
        }
        Ok(Committed::Done {
            commit: id.to_string(),
            parent: self.attempt.head.commit.map(|id| id.to_string()),
            branch,
            altered,
        })
    }

    /// Files of the new commit that nobody named.
    fn others(&self, id: Oid) -> Result<Vec<PathBuf>, git2::Error> {
        let repository = Repository::open(self.attempt.checkout.private())?;
        let before = self.attempt.head.commit.map(|id| repository.find_commit(id)).transpose()?;
        let before = before.map(|commit| commit.tree()).transpose()?;
        let after = repository.find_commit(id)?.tree()?;
        let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&after), None)?;
        let named = |path: &PathBuf| self.attempt.named.iter().any(|n| n.path == *path);
        let paths = diff.deltas().filter_map(|d| d.new_file().path().map(PathBuf::from));
        Ok(paths.filter(|path| !named(path)).collect())
    }
}

fn blocked(said: Said) -> Refused {
    let exit = match said.exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::TimedOut => format!("it took longer than {} minutes", PATIENCE.as_secs() / 60),
        Exit::Cancelled => "it was interrupted".to_owned(),
    };
    Refused::Blocked { exit, output: said.output }
}
