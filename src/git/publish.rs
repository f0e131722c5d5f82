//! Changes that were made elsewhere, as commits on a branch of the user's repository.
//!
//! The `git` program makes them in a linked worktree of their own, so that hooks, signatures and
//! filters hold; the user's index, files and HEAD are not touched, and the branch moves once, when
//! all is done.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::commit::{Message, writer};
use super::edits::Edit;
use super::merge::{self, Place};
use super::program::{Program, pieces};
use super::{Error, Outside};
use crate::process::Exit;

/// The trailer by which a commit is found again.
const STEP: &str = "Optloop-Step";
/// What `git update-ref` takes for a branch that is not there.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// One commit to be.
#[derive(Debug, Clone)]
pub struct Step {
    /// What tells it apart from all others: commits that the branch has are not made again.
    pub id: String,
    /// What its message says; a trailer with the id is added.
    pub message: Message,
    /// Its files.
    pub files: Vec<Edit>,
}

/// Where commits go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The project's root, in a checkout of the user's.
    pub root: &'a Path,
    /// The branch, without `refs/heads/`.
    pub branch: &'a str,
    /// The commit that the branch begins with, where it is not there yet.
    pub start: &'a str,
    /// A folder of optloop's own, for the worktree meanwhile.
    pub scratch: &'a Path,
}

/// A branch that has all commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its last commit.
    pub commit: String,
    /// How many commits are new.
    pub added: usize,
}

/// Makes the commits that the branch does not have.
///
/// # Errors
/// When a change does not fit, git refuses, or the branch is checked out; the branch is where it was
/// then.
pub fn publish(target: &Target<'_>, steps: &[Step], outside: &Outside) -> Result<Published, Error> {
    let checkout = Checkout::open(target.root, outside)?;
    let git = writer(&checkout, outside)?;
    let root = target.root.canonicalize().map_err(Error::failed("finding the project"))?;
    let below = root.strip_prefix(&checkout.work).unwrap_or(Path::new("")).to_owned();
    let publisher = Publisher { target, git, below };
    publisher.refuse_checked_out()?;
    let tip = publisher.tip()?;
    let from = tip.clone().unwrap_or_else(|| target.start.to_owned());
    let done = publisher.done(&from)?;
    let left: Vec<&Step> = steps.iter().filter(|step| !done.contains(&step.id)).collect();
    if left.is_empty() && tip.is_some() {
        return Ok(Published { commit: from, added: 0 });
    }
    publisher.remove_scratch()?;
    let made = publisher.make(&from, &left);
    let removed = publisher.remove_scratch();
    let commit = made?;
    removed?;
    let reference = format!("refs/heads/{}", target.branch);
    let before = tip.as_deref().unwrap_or(NOTHING);
    publisher.run(&["update-ref", "-m", "optloop loop publish", &reference, &commit, before])?;
    Ok(Published { commit, added: left.len() })
}

struct Publisher<'a> {
    target: &'a Target<'a>,
    git: Program,
    /// The project's root below the checkout's folder.
    below: PathBuf,
}

impl Publisher<'_> {
    fn run(&self, words: &[&str]) -> Result<(), Error> {
        let said = self.git.run(words, &[])?;
        if said.is_fine() { Ok(()) } else { Err(said.blocked(words[0])) }
    }

    /// A branch that moves under a checkout makes all its files look changed.
    fn refuse_checked_out(&self) -> Result<(), Error> {
        let listed = self.git.read(&["worktree", "list", "--porcelain"], &[])?;
        let line = format!("branch refs/heads/{}", self.target.branch);
        let listed = String::from_utf8_lossy(&listed);
        if listed.lines().any(|listed| listed == line) {
            let doing = format!("publishing to `{}`", self.target.branch);
            return Err(Error::failed(doing)("it is checked out: switch to another branch first"));
        }
        Ok(())
    }

    /// Where the branch is.
    fn tip(&self) -> Result<Option<String>, Error> {
        let reference = format!("refs/heads/{}", self.target.branch);
        let words = ["rev-parse", "--verify", "--quiet", &reference];
        let found = self.git.ask(&words, &[])?;
        let id = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        Ok((found.exit == Exit::Code(0) && !id.is_empty()).then_some(id))
    }

    /// Which steps are there already.
    fn done(&self, tip: &str) -> Result<Vec<String>, Error> {
        let range = format!("{}..{tip}", self.target.start);
        let format = format!("--format=%(trailers:key={STEP},valueonly)");
        let listed = self.git.read(&["log", "-z", &format, &range], &[])?;
        let lines = pieces(&listed).map(|piece| String::from_utf8_lossy(piece).trim().to_owned());
        Ok(lines.filter(|line| !line.is_empty()).collect())
    }

    fn work(&self) -> PathBuf {
        self.target.scratch.join("work")
    }

    /// Removes the worktree, also one that a kill left, and none of the user's: `git worktree prune`
    /// would forget those that lie on a disk which is not mounted now.
    fn remove_scratch(&self) -> Result<(), Error> {
        let work = self.work();
        if self.knows(&work)? {
            self.run(&["worktree", "remove", "--force", "--force", &work.to_string_lossy()])?;
        }
        let doing = format!("removing `{}`", self.target.scratch.display());
        match fs::remove_dir_all(self.target.scratch) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::failed(doing)(e)),
            _ => Ok(()),
        }
    }

    /// Whether the user's repository has this worktree, be it there or not.
    fn knows(&self, work: &Path) -> Result<bool, Error> {
        let listed = self.git.read(&["worktree", "list", "--porcelain"], &[])?;
        let line = format!("worktree {}", real(work).display());
        Ok(String::from_utf8_lossy(&listed).lines().any(|listed| listed == line))
    }

    /// Makes the commits in the worktree; the last one.
    fn make(&self, from: &str, steps: &[&Step]) -> Result<String, Error> {
        let doing = || format!("making `{}`", self.target.scratch.display());
        fs::create_dir_all(self.target.scratch).map_err(Error::failed(doing()))?;
        let work = self.work();
        let place = work.to_string_lossy();
        self.run(&["worktree", "add", "--quiet", "--detach", &place, from])?;
        let git = self.git.clone().at(&work).set("user.useConfigOnly=true");
        for step in steps {
            self.commit(&git, &work, step)?;
        }
        let id = git.read(&["rev-parse", "HEAD"], &[])?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    fn commit(&self, git: &Program, work: &Path, step: &Step) -> Result<(), Error> {
        let mut paths = Vec::new();
        for edit in &step.files {
            let path = self.below.join(&edit.path);
            let place = Place { work, path: &path, scratch: self.target.scratch };
            merge::apply(git, &place, edit).map_err(|why| {
                let doing = format!("publishing {} to `{}`", step.id, self.target.branch);
                Error::failed(doing)(format!("{}: {why}", path.display()))
            })?;
            paths.push(path);
        }
        let said = git.run(&["add", "--all", "--force", "--"], &paths)?;
        if !said.is_fine() {
            return Err(said.blocked("add"));
        }
        let mut message = step.message.clone();
        message.trailers.push((STEP.to_owned(), step.id.clone()));
        let text = format!("--message={}", message.text());
        let words = ["commit", "--quiet", "--allow-empty", "--cleanup=whitespace", &text];
        let said = git.run_with_hooks(&words, &[])?;
        if said.is_fine() { Ok(()) } else { Err(said.blocked("commit")) }
    }
}

/// A path as git names it, whose last parts may be gone.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(there), ..) => there,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
