//! The user's index: read aside, changed in a few entries, put in place in one step.
//!
//! git guards its index with the file `index.lock`: who creates it may write the new index into it
//! and rename it over the old one. Here the new index is made first, beside it, under the name of
//! the commit that it goes with (`optloop-<commit>.index`), and the lock is a hard link to it. An
//! advisory lock on the file says that its owner lives. So a lock that a killed optloop left behind
//! can be told from everyone else's, and [`recover`] knows what to do about it: the commit of that
//! name is the branch's tip, then the rename is made up for; it is not, then the lock is dropped.
//! git sees the state before or the state after, as soon as anything here is called again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use git2::{Index, IndexEntry, IndexTime, Oid};
use rustix::fs::{FlockOperation, flock};

use super::Refused;
use super::checkout::Checkout;

/// How long another program's lock is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// A half-made file of this age has no living owner.
const STALE: Duration = Duration::from_mins(10);
const PREFIX: &str = "optloop-";
const SUFFIX: &str = ".index";
const STAGE: u16 = 0x3000;
const GITLINK: u32 = 0o160_000;

/// The index as it was at one moment.
pub(super) struct Snapshot {
    file: PathBuf,
    /// None when there is no index yet.
    bytes: Option<Vec<u8>>,
    written: (i64, i64),
    mode: Option<fs::Permissions>,
    pub(super) index: Index,
    /// Where `index` was read from and can be written to; goes with the snapshot.
    copy: tempfile::TempPath,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Somebody changed the index since the snapshot; nothing was done.
    Moved,
}

impl Snapshot {
    /// Reads the index aside.
    ///
    /// The inner error says that the library cannot read this kind of index (a split one, say).
    pub(super) fn take(checkout: &Checkout) -> Result<Result<Self, String>, Refused> {
        let file = checkout.index_file();
        let doing = || format!("reading `{}`", file.display());
        let (bytes, metadata) = match fs::read(&file) {
            Ok(bytes) => (Some(bytes), fs::metadata(&file).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
            Err(error) => return Err(Refused::failed(doing())(error)),
        };
        let cannot = || format!("writing in `{}`", checkout.private().display());
        let copy = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(checkout.private())
            .map_err(Refused::failed(cannot()))?
            .into_temp_path();
        match &bytes {
            Some(bytes) => fs::write(&copy, bytes).map_err(Refused::failed(cannot()))?,
            None => fs::remove_file(&copy).map_err(Refused::failed(cannot()))?,
        }
        let index = match Index::open(&copy) {
            Ok(index) => index,
            Err(error) => return Ok(Err(error.message().to_owned())),
        };
        let written = metadata.as_ref().map_or((0, 0), |m| (m.mtime(), m.mtime_nsec()));
        let mode = metadata.map(|m| m.permissions());
        Ok(Ok(Self { file, bytes, written, mode, index, copy }))
    }

    /// The entry that a commit would take, if the index has one.
    pub(super) fn entry(&self, path: &Path) -> Option<IndexEntry> {
        self.index.get_path(path, 0)
    }

    /// Puts `entries` in place and does `point` in between, so that git sees both or neither.
    pub(super) fn replace(
        mut self,
        commit: Oid,
        entries: &[IndexEntry],
        point: impl FnOnce() -> Result<Outcome, Refused>,
    ) -> Result<Outcome, Refused> {
        let owned = self.prepare(commit, entries)?;
        let Some(lock) = owned.lock(&self.file)? else { return Ok(Outcome::Moved) };
        let now = fs::read(&self.file).ok();
        if now != self.bytes {
            return Ok(Outcome::Moved);
        }
        if point()? == Outcome::Moved {
            return Ok(Outcome::Moved);
        }
        lock.commit(&self.file).map_err(Refused::failed(format!(
            "writing `{}` (the commit is made; `git add` the kernel to bring the index up to it)",
            self.file.display()
        )))?;
        Ok(Outcome::Done)
    }

    /// Writes the new index beside the old one and marks it as having a living owner.
    fn prepare(&mut self, commit: Oid, entries: &[IndexEntry]) -> Result<Owned, Refused> {
        let doing = format!("writing a new index beside `{}`", self.file.display());
        let copy = self.copy.to_path_buf();
        let change = self.doubt_racy().and_then(|()| {
            entries.iter().try_for_each(|entry| self.index.add(entry))?;
            self.index.write()
        });
        change.map_err(Refused::failed(doing.as_str()))?;
        let write = || -> io::Result<Owned> {
            if let Some(mode) = &self.mode {
                fs::set_permissions(&copy, mode.clone())?;
            }
            let guard = File::open(&copy)?;
            flock(&guard, FlockOperation::NonBlockingLockExclusive)?;
            let path = copy.with_file_name(format!("{PREFIX}{commit}{SUFFIX}"));
            fs::rename(&copy, &path)?;
            Ok(Owned { path, _guard: guard })
        };
        write().map_err(Refused::failed(doing))
    }

    /// A file changed within the tick in which the index was written looks unchanged; git knows it
    /// by its time, which is not before the index's, and looks closer. The new index is younger, so
    /// such entries get git's own mark for "look closer": size 0 (`ce_smudge_racily_clean_entry` in
    /// git's read-cache.c).
    fn doubt_racy(&mut self) -> Result<(), git2::Error> {
        let racy: Vec<IndexEntry> = self
            .index
            .iter()
            .filter(|e| e.flags & STAGE == 0 && e.mode != GITLINK && e.file_size != 0)
            .filter(|e| (time(e.mtime)) >= self.written)
            .collect();
        for mut entry in racy {
            entry.file_size = 0;
            self.index.add(&entry)?;
        }
        Ok(())
    }
}

fn time(time: IndexTime) -> (i64, i64) {
    (i64::from(time.seconds()), i64::from(time.nanoseconds()))
}

/// A new index that waits for its place; removed when dropped.
struct Owned {
    path: PathBuf,
    _guard: File,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next `recover`.
        let _gone = fs::remove_file(&self.path);
    }
}

impl Owned {
    /// Takes git's lock; `None` when somebody took our file for a dead one's.
    fn lock(&self, index: &Path) -> Result<Option<Lock>, Refused> {
        let path = lock_of(index);
        let started = Instant::now();
        loop {
            match fs::hard_link(&self.path, &path) {
                Ok(()) => return Ok(Some(Lock { path, held: true })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Refused::failed(format!("creating `{}`", path.display()))(error));
                }
                Err(_) if started.elapsed() > PATIENCE => {
                    return Err(Refused::Locked { lock: path });
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// git's lock, held; dropped without its commit it leaves the index as it is.
struct Lock {
    path: PathBuf,
    held: bool,
}

impl Lock {
    fn commit(mut self, index: &Path) -> io::Result<()> {
        fs::rename(&self.path, index)?;
        // From here on a file of that name is another program's.
        self.held = false;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held {
            // What cannot be removed now is removed by the next `recover`.
            let _gone = fs::remove_file(&self.path);
        }
    }
}

fn lock_of(index: &Path) -> PathBuf {
    index.with_file_name("index.lock")
}

/// Ends what a killed commit left half done in the checkout around `root`: locks, and the index
/// that belongs to a commit that was made. Where there is no checkout there is nothing.
///
/// # Errors
/// When something could not be looked at or removed.
pub fn clear_leftovers(root: &Path) -> Result<(), Refused> {
    match Checkout::open(root) {
        Ok(checkout) => recover(&checkout),
        Err(Refused::NoRepository { .. } | Refused::Bare { .. }) => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// Ends what a killed optloop left half done in the index of this checkout.
pub(super) fn recover(checkout: &Checkout) -> Result<(), Refused> {
    let doing = || format!("looking for leftovers in `{}`", checkout.private().display());
    for entry in fs::read_dir(checkout.private()).map_err(Refused::failed(doing()))? {
        let path = entry.map_err(Refused::failed(doing()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        match name.strip_suffix(SUFFIX).and_then(|id| id.parse::<Oid>().ok()) {
            Some(id) if name.len() == 40 + SUFFIX.len() => {
                finish(checkout, &path, id).map_err(Refused::failed(doing()))?;
            }
            _ => discard_old(&path),
        }
    }
    Ok(())
}

/// Makes up for the rename that belongs to the commit `id`, or drops the lock.
fn finish(checkout: &Checkout, path: &Path, id: Oid) -> io::Result<()> {
    let Ok(guard) = File::open(path) else { return Ok(()) };
    if flock(&guard, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let own = guard.metadata()?;
    let is_own = |other: &Path| {
        fs::symlink_metadata(other).is_ok_and(|m| m.ino() == own.ino() && m.dev() == own.dev())
    };
    // Its owner may have come to an end between the two calls above.
    if !is_own(path) {
        return Ok(());
    }
    let index = checkout.index_file();
    let lock = lock_of(&index);
    if is_own(&lock) {
        let tip = checkout.repository.head().ok().and_then(|head| head.target());
        if tip == Some(id) {
            fs::rename(&lock, &index)?;
        } else {
            unlock_branch(checkout, id)?;
            fs::remove_file(&lock)?;
        }
    }
    fs::remove_file(path)
}

/// The branch's lock is the library's, and it too may have been left behind: it then holds the id
/// of our commit, or nothing yet. A living program's lock is not empty for long.
fn unlock_branch(checkout: &Checkout, id: Oid) -> io::Result<()> {
    let Ok(head) = checkout.head() else { return Ok(()) };
    let lock = checkout.branch_lock(&head.branch);
    let started = Instant::now();
    loop {
        let content = match fs::read_to_string(&lock) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let empty = content.is_empty();
        if !empty && content.trim_end() != id.to_string() {
            return Ok(());
        }
        if !empty || started.elapsed() > PATIENCE {
            return fs::remove_file(&lock);
        }
        std::thread::sleep(PAUSE);
    }
}

/// A file without an owner's mark is being made, or was when its maker was killed.
fn discard_old(path: &Path) {
    let age =
        path.metadata().and_then(|m| m.modified()).map(|t| SystemTime::now().duration_since(t));
    if matches!(age, Ok(Ok(age)) if age > STALE) {
        // Rubbish; the next call finds it again.
        let _gone = fs::remove_file(path);
    }
}
