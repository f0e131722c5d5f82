//! Ending what a killed optloop left half done in git.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::attempt::{Attempt, OWNER, PREFIX, Record};
use super::checkout::Checkout;
use super::program::Program;
use super::{Error, Outside};
use crate::process;

/// How long a `git commit` that outlives its optloop may go on: most end within moments, and what
/// hooks are at is of no use any more.
const ORPHANS: Duration = Duration::from_secs(2);
/// How long a lock on a reference is looked at before it counts as left behind.
const HELD: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(20);
/// A folder without an owner's mark was being made when its maker was killed.
const STALE: Duration = Duration::from_mins(10);

/// Ends what a killed commit left half done in the checkout around `root`: its processes, locks, and
/// the index that belongs to a commit that was made. Where there is no checkout there is nothing.
///
/// # Errors
/// When something could not be looked at or removed; the next call tries again.
pub fn recover(root: &Path, outside: &Outside) -> Result<(), Error> {
    match Checkout::open(root, outside) {
        Ok(checkout) => end_all(&checkout, outside),
        Err(Error::NoRepository { .. } | Error::Bare { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends every attempt whose owner was killed.
pub(super) fn end_all(checkout: &Checkout, outside: &Outside) -> Result<(), Error> {
    let private = checkout.private();
    let doing = || format!("looking for leftovers in `{}`", private.display());
    for entry in fs::read_dir(private).map_err(Error::failed(doing()))? {
        let folder = entry.map_err(Error::failed(doing()))?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(PREFIX) {
            continue;
        }
        match Attempt::adopt(&folder) {
            Some(attempt) => end(checkout, attempt, outside)?,
            None => discard_old(&folder),
        }
    }
    Ok(())
}

fn end(checkout: &Checkout, attempt: Attempt, outside: &Outside) -> Result<(), Error> {
    process::await_stale(&attempt.marker(), ORPHANS);
    let ended = finish(checkout, &attempt, outside);
    if ended.is_err() {
        attempt.leave();
    }
    ended
}

/// Gives locks back, and brings the index up to the commit if that was made.
fn finish(checkout: &Checkout, attempt: &Attempt, outside: &Outside) -> Result<(), Error> {
    let doing = || format!("removing locks in `{}`", checkout.private().display());
    let index = checkout.index();
    attempt.unlock(&index).map_err(Error::failed(doing()))?;
    let Some(record) = attempt.record() else { return Ok(()) };
    let began = attempt.began().map_err(Error::failed(doing()))?;
    for lock in reference_locks(checkout, &record) {
        unlock(checkout, &record, &lock, began).map_err(Error::failed(doing()))?;
    }
    remove_false_indexes(checkout.private(), began);
    // A second look: the first one may have remembered where the branch was.
    let fresh = Checkout::open(&checkout.work, outside)?;
    let git = Program::find(&fresh.work, outside);
    match git.filter(|_| record.commit_in(&fresh.repository).is_some()) {
        Some(git) => attempt.bring_up(&git.marked(&attempt.marker()), &index, &record),
        None => Ok(()),
    }
}

/// What git creates while it moves a branch that is checked out.
fn reference_locks(checkout: &Checkout, record: &Record) -> [PathBuf; 2] {
    let branch = checkout.repository.common.join(format!("{}.lock", record.branch));
    [branch, checkout.private().join("HEAD.lock")]
}

/// Removes a lock on a reference that the attempt's `git`, which has ended, left behind: it came
/// after the attempt began, stays as it is, and holds the id of a commit on top of the same one, or
/// nothing yet. A lock that a living program holds is gone within moments.
fn unlock(checkout: &Checkout, record: &Record, lock: &Path, began: SystemTime) -> io::Result<()> {
    let started = Instant::now();
    loop {
        let metadata = match fs::metadata(lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if metadata.modified()? < began {
            return Ok(());
        }
        if started.elapsed() > HELD {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let id = fs::read_to_string(lock)?;
    let parent = || checkout.repository.reader.commit(&format!("{}^", id.trim_end())).ok();
    if id.is_empty() || parent() == record.before {
        return fs::remove_file(lock);
    }
    Ok(())
}

/// `git commit --only` keeps the index of the commit in a file with the number of its process.
fn remove_false_indexes(private: &Path, began: SystemTime) {
    let is_left = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let process = name.strip_prefix("next-index-")?.strip_suffix(".lock")?;
        process.parse::<u32>().ok()?;
        let young = path.metadata().ok()?.modified().ok()? >= began;
        Some(young && !Path::new("/proc").join(process).exists())
    };
    for entry in fs::read_dir(private).into_iter().flatten().flatten() {
        if is_left(&entry.path()) == Some(true) {
            // It takes room only.
            let _gone = fs::remove_file(entry.path());
        }
    }
}

fn discard_old(folder: &Path) {
    if folder.join(OWNER).exists() {
        return;
    }
    let age = folder.metadata().and_then(|m| m.modified());
    let age = age.map(|time| SystemTime::now().duration_since(time));
    if matches!(age, Ok(Ok(age)) if age > STALE) {
        // The next call finds it again.
        let _gone = fs::remove_dir_all(folder);
    }
}
