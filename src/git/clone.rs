//! A clone of the user's repository for a command of theirs.

use std::fs;
use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::commit::writer;
use super::program::{Program, pieces};
use super::{Error, Outside};
use crate::process::Exit;

/// Settings that say who commits.
const IDENTITY: &[&str] = &["user.name", "user.email"];

/// Makes a clone of the repository around `root` in `folder`, anew where there is one, with the
/// user's remotes and the branch where that is there; where the project's root is in it. Objects are
/// read from the user's repository while the clone is used.
///
/// # Errors
/// When git refuses, or the folder cannot be written.
pub fn scratch_clone(
    root: &Path,
    folder: &Path,
    branch: &str,
    outside: &Outside,
) -> Result<PathBuf, Error> {
    let checkout = Checkout::open(root, outside)?;
    let git = writer(&checkout, outside)?;
    if folder.exists() {
        let doing = format!("removing `{}`", folder.display());
        fs::remove_dir_all(folder).map_err(Error::failed(doing))?;
    }
    let from = checkout.work.to_string_lossy();
    let to = folder.to_string_lossy();
    run(&git, &["clone", "--quiet", "--shared", "--no-tags", &from, &to])?;
    let clone = git.clone().at(folder);
    let reference = format!("refs/heads/{branch}");
    let is_there = git.ask(&["rev-parse", "--verify", "--quiet", &reference], &[])?;
    if is_there.exit == Exit::Code(0) {
        run(&clone, &["fetch", "--quiet", "origin", &format!("{reference}:{reference}")])?;
    }
    run(&clone, &["remote", "remove", "origin"])?;
    for (name, url) in remotes(&git)? {
        run(&clone, &["remote", "add", &name, &url])?;
    }
    for name in IDENTITY {
        let set = git.ask(&["config", "--get", name], &[])?;
        let value = String::from_utf8_lossy(&set.stdout).trim_end().to_owned();
        if set.exit == Exit::Code(0) {
            run(&clone, &["config", name, &value])?;
        }
    }
    let canonical = root.canonicalize().map_err(Error::failed("finding the project"))?;
    let below = canonical.strip_prefix(&checkout.work).unwrap_or(Path::new(""));
    Ok(folder.join(below))
}

/// Checks a branch out.
///
/// # Errors
/// When git refuses.
pub fn switch(root: &Path, branch: &str, outside: &Outside) -> Result<(), Error> {
    let checkout = Checkout::open(root, outside)?;
    run(&writer(&checkout, outside)?, &["checkout", "--quiet", branch])
}

fn run(git: &Program, words: &[&str]) -> Result<(), Error> {
    let said = git.run(words, &[])?;
    if said.is_fine() { Ok(()) } else { Err(said.blocked(words[0])) }
}

fn remotes(git: &Program) -> Result<Vec<(String, String)>, Error> {
    let listed = git.ask(&["config", "-z", "--get-regexp", r"^remote\..*\.url$"], &[])?;
    let remote = |piece: &[u8]| {
        let text = String::from_utf8_lossy(piece).into_owned();
        let (key, url) = text.split_once('\n')?;
        let name = key.strip_prefix("remote.")?.strip_suffix(".url")?;
        Some((name.to_owned(), url.to_owned()))
    };
    Ok(pieces(&listed.stdout).filter_map(remote).collect())
}
