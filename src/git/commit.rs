//! Commits exactly some files, as `git commit --only` does, and leaves all else alone.
//!
//! The `git` program makes the commit, so that hooks, signatures and filters hold. It works with a
//! copy of the index in which nothing but the files is staged: what the user has staged, or left in
//! conflict, neither stops it nor gets into the commit. Then the files' entries in the user's index
//! become those of the commit (see [`super::attempt`]).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::attempt::{self, Attempt, Record};
use super::checkout::{Checkout, Named, Tip};
use super::error::{Purpose, Unfit};
use super::program::{Program, Said};
use super::repository::Repository;
use super::staged::Staged;
use super::{Error, Outside, leftovers};
use crate::process::Exit;

/// A commit message in its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub title: String,
    /// Paragraphs; may be empty.
    pub body: String,
    /// `Key: value` lines at the end, which programs read.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The message as git keeps it.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title.trim());
        if !self.body.trim().is_empty() {
            text.push_str(&format!("\n{}\n", self.body.trim_end()));
        }
        if !self.trailers.is_empty() {
            text.push('\n');
        }
        for (key, value) in &self.trailers {
            text.push_str(&format!("{key}: {value}\n"));
        }
        text
    }
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// There is a new commit.
    Done {
        /// Its id.
        commit: String,
        /// What it stands on; none when it is the first.
        parent: Option<String>,
        /// The branch, `refs/heads/…`.
        branch: String,
        /// Files (below the repository) that a hook or filter changed on the way: the commit holds
        /// other bytes than the checkout did, or more files than were named.
        altered: Vec<PathBuf>,
        /// Why the index still has the files as they were, where it could not be written.
        behind: Option<String>,
    },
    /// The files are in the last commit as they are; nothing was done.
    Nothing {
        /// That commit.
        head: String,
    },
}

/// Commits the present content of `files` (absolute) on top of HEAD, and nothing else.
///
/// The entries of these files in the user's index become those of the commit. Every other entry,
/// conflict, file, branch and stash stays as it is.
///
/// # Errors
/// When that is not possible; then nothing has changed.
pub fn commit_only(
    root: &Path,
    files: &[PathBuf],
    message: &Message,
    outside: &Outside,
) -> Result<Committed, Error> {
    let checkout = Checkout::open(root, outside)?;
    leftovers::end_all(&checkout, outside)?;
    checkout.at_rest()?;
    let tip = checkout.tip()?;
    let named = checkout.named(files)?;
    let git = writer(&checkout, outside)?;
    attempt::wait_for(&checkout.index())?;
    let paths: Vec<PathBuf> = named.iter().map(|file| file.path.clone()).collect();
    let staged = Staged::of(&git, &paths)?;
    for file in &named {
        vet(&checkout.repository, &staged, &file.path).map_err(|why| file.refused(why))?;
    }
    identity(&git)?;
    let attempt = Attempt::begin(checkout.private())?;
    let record = Record {
        before: tip.commit.clone(),
        branch: tip.branch.clone(),
        title: message.title.trim().to_owned(),
        staged: staged.digest().hex(),
        paths,
    };
    attempt.note(&record)?;
    let git = git.marked(&attempt.marker());
    Commit { checkout, tip, named, git, attempt, record }.make(message, outside)
}

/// The program, which every write needs.
pub(super) fn writer(checkout: &Checkout, outside: &Outside) -> Result<Program, Error> {
    let program = Program::find(&checkout.work, outside);
    program.ok_or(Error::NoProgram { purpose: Purpose::Write })
}

/// Refuses a file whose commit would take something of the user's with it, or whose refusal by git
/// says less.
fn vet(repository: &Repository, staged: &Staged, path: &Path) -> Result<(), Unfit> {
    let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    for folder in folders {
        if repository.file_at_head(folder).is_some() {
            return Err(Unfit::Replaces { path: folder.to_owned() });
        }
    }
    staged.vet(path)?;
    let is_tracked = staged.knows(path) || repository.file_at_head(path).is_some();
    if !is_tracked && repository.reader.is_ignored(path) {
        return Err(Unfit::Ignored);
    }
    Ok(())
}

/// Refuses where git would have to make a name up from those of the user and the machine.
fn identity(git: &Program) -> Result<(), Error> {
    let git = git.clone().set("user.useConfigOnly=true");
    for role in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
        if git.ask(&["var", role], &[])?.exit != Exit::Code(0) {
            return Err(Error::NoIdentity);
        }
    }
    Ok(())
}

/// A commit that nothing speaks against.
struct Commit {
    checkout: Checkout,
    tip: Tip,
    named: Vec<Named>,
    git: Program,
    attempt: Attempt,
    record: Record,
}

impl Commit {
    fn make(&self, message: &Message, outside: &Outside) -> Result<Committed, Error> {
        let text = self.attempt.write("message", message.text().as_bytes())?;
        let git = self.scratch()?;
        let changed = self.changed(&git)?;
        if let (true, Some(head)) = (changed.is_empty(), &self.tip.commit) {
            return Ok(Committed::Nothing { head: head.clone() });
        }
        let was = self.contents().map_err(Error::failed("reading the kernel"))?;
        let from = format!("--file={}", text.display());
        let words = ["commit", "--only", &from, "--cleanup=whitespace", "--"];
        let said = git.run_with_hooks(&words, &self.record.paths)?;
        let after = Repository::discover(&self.checkout.work, outside)?;
        let Some(commit) = self.made(&after, &said) else { return Err(said.blocked("commit")) };
        let index = self.checkout.index();
        let behind = self.attempt.bring_up(&self.git, &index, &self.record).err();
        Ok(Committed::Done {
            altered: self.altered(&after, &commit, &was),
            commit,
            parent: self.tip.commit.clone(),
            branch: self.tip.branch.clone(),
            behind: behind.map(|why| why.to_string()),
        })
    }

    /// The program with an index of its own: that of the last commit, and in it the files as they
    /// are now. Made from a copy of the user's, which knows what has not changed on disk.
    fn scratch(&self) -> Result<Program, Error> {
        let index = self.attempt.copy_index(&self.checkout.index(), "index")?;
        let git = self.git.clone().with("GIT_INDEX_FILE", index);
        // No part of it is shared with the user's, and nothing watches the disk for it.
        let git = git.set("core.splitIndex=false").set("core.fsmonitor=false");
        let git = git.set("user.useConfigOnly=true");
        let base: &[&str] = match &self.tip.commit {
            Some(commit) => &["read-tree", "--reset", commit],
            None => &["read-tree", "--empty"],
        };
        let said = git.run(base, &[])?;
        if !said.is_fine() {
            return Err(said.blocked("read-tree"));
        }
        let said = git.run(&["add", "--force", "--"], &self.record.paths)?;
        if !said.is_fine() {
            return Err(said.blocked("add"));
        }
        Ok(git)
    }

    /// The files that the commit would change; others than those that were named are refused.
    fn changed(&self, git: &Program) -> Result<Vec<PathBuf>, Error> {
        let words = ["diff", "--cached", "--name-only", "-z", "--no-renames", "--no-ext-diff"];
        let output = git.read(&words, &[])?;
        let paths = output.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        let paths: Vec<PathBuf> = paths.map(|path| OsStr::from_bytes(path).into()).collect();
        let other = paths.iter().find(|path| !self.record.paths.contains(path));
        match (other, self.named.first()) {
            (Some(other), Some(file)) => {
                // A folder that a file takes the place of, say.
                let beside = |file: &&Named| other.starts_with(&file.path);
                let file = self.named.iter().find(beside).unwrap_or(file);
                Err(file.refused(Unfit::Replaces { path: other.clone() }))
            }
            _ => Ok(paths),
        }
    }

    fn contents(&self) -> io::Result<Vec<Vec<u8>>> {
        self.named.iter().map(|file| fs::read(&file.absolute)).collect()
    }

    /// The new commit: git may fail after it has made it, and a hook may have put another in its
    /// place.
    fn made(&self, after: &Repository, said: &Said) -> Option<String> {
        let head = after.reader.head().ok()?.commit;
        let moved = head.filter(|head| Some(head) != self.tip.commit.as_ref())?;
        self.record.commit_in(after).or_else(|| said.is_fine().then_some(moved))
    }

    /// What the new commit holds beside, or instead of, the files as they were in the checkout.
    fn altered(&self, after: &Repository, commit: &str, was: &[Vec<u8>]) -> Vec<PathBuf> {
        // The commit is made, and whether it can be read again changes nothing about that.
        let mut altered = after.reader.changed_in(commit).unwrap_or_default();
        altered.retain(|path| !self.record.paths.contains(path));
        for (file, was) in self.named.iter().zip(was) {
            let paths = std::slice::from_ref(&file.path);
            let same = self.git.ask(&["diff", "--quiet", commit, "--"], paths);
            let same = same.is_ok_and(|finished| finished.exit == Exit::Code(0));
            if !same || fs::read(&file.absolute).ok().as_ref() != Some(was) {
                altered.push(file.path.clone());
            }
        }
        altered
    }
}
