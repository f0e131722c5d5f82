//! One commit on its way, in a folder of its own beside the index.
//!
//! `git commit` works with a copy of the index that lies there; the user's index is written once,
//! after the commit, in one step. So a kill leaves the index as it was before or as it is after, and
//! what it leaves behind can be told from what other programs are at: everything lies in this
//! folder, git's lock on the index is a hard link to a file in it, and an advisory lock on that file
//! says that its owner lives. [`super::leftovers`] ends what a killed optloop began.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::Error;
use super::program::Program;
use super::repository::Repository;
use super::staged::Staged;

/// What the folders of attempts begin with.
pub(super) const PREFIX: &str = "optloop-commit.";
/// How long another program's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// A command that a killed owner was just starting has a copy of its descriptors, and so of its
/// lock, until the system runs the command's own program.
const STARTING: Duration = Duration::from_millis(500);
/// How far back the commit of an attempt is looked for.
const ANCESTORS: usize = 64;

/// The file that says who owns an attempt.
pub(super) const OWNER: &str = "owner";
const RECORD: &str = "record";

/// The folder of one commit that is being made; removed when dropped.
pub(super) struct Attempt {
    folder: Folder,
    owner: File,
}

struct Folder {
    path: PathBuf,
    stays: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.stays {
            // What cannot be removed now is removed by the next command that looks.
            let _gone = fs::remove_dir_all(&self.path);
        }
    }
}

/// What an attempt was about, for those that come after a kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The commit that it stands on; none when it is the first.
    pub(super) before: Option<String>,
    pub(super) branch: String,
    /// The message's first line.
    pub(super) title: String,
    /// Stands for the index entries of the files when it began.
    pub(super) staged: String,
    /// The files, below the working tree.
    pub(super) paths: Vec<PathBuf>,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let before = self.before.as_deref().unwrap_or_default();
        let mut parts: Vec<&[u8]> = [before, &self.branch, &self.title, &self.staged]
            .iter()
            .map(|part| part.as_bytes())
            .collect();
        parts.extend(self.paths.iter().map(|path| path.as_os_str().as_bytes()));
        // The mark at the end says that it is whole.
        parts.push(b"");
        parts.join(&0)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let mut text = || Some(String::from_utf8_lossy(parts.next()?).into_owned());
        let (before, branch, title, staged) = (text()?, text()?, text()?, text()?);
        let paths = parts.map(|part| PathBuf::from(OsStr::from_bytes(part))).collect();
        let before = Some(before).filter(|before| !before.is_empty());
        Some(Self { before, branch, title, staged, paths })
    }

    /// The commit that came of it, where HEAD leads back to that.
    pub(super) fn commit_in(&self, repository: &Repository) -> Option<String> {
        let commits = repository.reader.first_parents(ANCESTORS).ok()?;
        let parents = commits.iter().skip(1).map(|commit| Some(&commit.id)).chain([None]);
        let mut pairs = commits.iter().zip(parents);
        let found = pairs.find(|(commit, parent)| {
            *parent == self.before.as_ref()
                && String::from_utf8_lossy(&commit.message).contains(&self.title)
        });
        found.map(|(commit, _)| commit.id.clone())
    }
}

impl Attempt {
    /// Begins one in git's folder for this checkout.
    pub(super) fn begin(private: &Path) -> Result<Self, Error> {
        let make = || -> io::Result<Self> {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(private)?;
            let owner = File::create(folder.path().join(OWNER))?;
            flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
            Ok(Self { folder: Folder { path: folder.keep(), stays: false }, owner })
        };
        make().map_err(Error::failed(format!("writing in `{}`", private.display())))
    }

    /// Takes one over whose owner was killed.
    pub(super) fn adopt(folder: &Path) -> Option<Self> {
        let owner = File::open(folder.join(OWNER)).ok()?;
        let started = Instant::now();
        while flock(&owner, FlockOperation::NonBlockingLockExclusive).is_err() {
            if started.elapsed() > STARTING {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
        // Its owner may have ended, and removed it, a moment ago.
        let there = fs::metadata(folder.join(OWNER)).ok()?;
        let own = owner.metadata().ok()?;
        let same = (there.dev(), there.ino()) == (own.dev(), own.ino());
        let folder = Folder { path: folder.to_owned(), stays: !same };
        same.then_some(Self { folder, owner })
    }

    /// Leaves it to whatever looks next.
    pub(super) fn leave(mut self) {
        self.folder.stays = true;
    }

    /// Marks every process that works for it.
    pub(super) fn marker(&self) -> String {
        self.folder.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    /// When it began, by the clock of its file system.
    pub(super) fn began(&self) -> io::Result<std::time::SystemTime> {
        self.owner.metadata()?.modified()
    }

    pub(super) fn note(&self, record: &Record) -> Result<(), Error> {
        self.write(RECORD, &record.encode()).map(|_| ())
    }

    /// None when it was killed before there was anything to note.
    pub(super) fn record(&self) -> Option<Record> {
        Record::decode(&fs::read(self.at(RECORD)).ok()?)
    }

    /// A file in the folder.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, Error> {
        let path = self.at(name);
        let doing = || format!("writing `{}`", path.display());
        fs::write(&path, content).map_err(Error::failed(doing()))?;
        Ok(path)
    }

    /// An empty folder in the folder. What was killed here before may have left git's lock on a copy
    /// of the index; in a new folder that is in nobody's way.
    fn fresh(&self, prefix: &str) -> Result<PathBuf, Error> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(&self.folder.path);
        let doing = || format!("writing in `{}`", self.folder.path.display());
        made.map(tempfile::TempDir::keep).map_err(Error::failed(doing()))
    }

    /// A copy of the index in the folder; nothing is there when there is no index yet.
    pub(super) fn copy_index(&self, index: &Path, name: &str) -> Result<PathBuf, Error> {
        let path = self.at(name);
        copy(index, &path).map_err(Error::failed(format!("copying `{}`", index.display())))?;
        Ok(path)
    }

    /// Brings the files' entries in the user's index up to the last commit, in one step; what the
    /// user has staged of them since the attempt began stays.
    pub(super) fn bring_up(
        &self,
        git: &Program,
        index: &Path,
        record: &Record,
    ) -> Result<(), Error> {
        let _lock = self.lock(index)?;
        if Staged::of(git, &record.paths)?.digest().hex() != record.staged {
            return Ok(());
        }
        let new = self.fresh("new")?.join("index");
        copy(index, &new).map_err(Error::failed(format!("copying `{}`", index.display())))?;
        let own = git.clone().with("GIT_INDEX_FILE", &new);
        let said = own.run(&["reset", "--quiet", "--"], &record.paths)?;
        if !said.is_fine() {
            return Err(said.blocked("reset"));
        }
        let doing = format!("writing `{}`", index.display());
        fs::rename(&new, index).map_err(Error::failed(doing))
    }

    /// Takes git's lock on the index.
    fn lock(&self, index: &Path) -> Result<IndexLock<'_>, Error> {
        let path = lock_of(index);
        let started = Instant::now();
        loop {
            match fs::hard_link(self.at(OWNER), &path) {
                Ok(()) => return Ok(IndexLock { attempt: self, index: index.to_owned() }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::failed(format!("creating `{}`", path.display()))(error));
                }
                Err(_) if started.elapsed() > PATIENCE => return Err(Error::Locked { lock: path }),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Gives the lock on the index back, if it is this attempt's.
    pub(super) fn unlock(&self, index: &Path) -> io::Result<()> {
        let lock = lock_of(index);
        let own = self.owner.metadata()?;
        match fs::symlink_metadata(&lock) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {
                fs::remove_file(&lock)
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// git's lock on the index, held.
struct IndexLock<'a> {
    attempt: &'a Attempt,
    index: PathBuf,
}

impl Drop for IndexLock<'_> {
    fn drop(&mut self) {
        // What cannot be removed now stays in the way of git, which says so.
        let _gone = self.attempt.unlock(&self.index);
    }
}

fn lock_of(index: &Path) -> PathBuf {
    index.with_file_name("index.lock")
}

/// Waits until no program holds the index.
pub(super) fn wait_for(index: &Path) -> Result<(), Error> {
    let lock = lock_of(index);
    let started = Instant::now();
    while lock.exists() {
        if started.elapsed() > PATIENCE {
            return Err(Error::Locked { lock });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Copies an index with its time: git looks closely at files that are not older than the index, for
/// they may have changed within the tick in which it was written.
fn copy(index: &Path, to: &Path) -> io::Result<()> {
    let mut from = match File::open(index) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let metadata = from.metadata()?;
    let mut copy = File::create(to)?;
    io::copy(&mut from, &mut copy)?;
    copy.set_permissions(metadata.permissions())?;
    copy.set_modified(metadata.modified()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_whole_or_not_at_all() {
        let record = Record {
            before: None,
            branch: "refs/heads/main".to_owned(),
            title: "softmax: 12 % faster".to_owned(),
            staged: "0123".to_owned(),
            paths: vec!["k.c".into(), "deep/er/k.h".into()],
        };
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Record::decode(b""), None);
    }

    #[test]
    fn the_copy_of_an_index_is_as_old_as_the_index() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (index, other) = (dir.path().join("index"), dir.path().join("copy"));
        copy(&index, &other).expect("nothing to copy");
        assert!(!other.exists());
        fs::write(&index, "DIRC").expect("written");
        let old =
            std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789);
        File::options().append(true).open(&index).expect("open").set_modified(old).expect("set");
        copy(&index, &other).expect("copied");
        assert_eq!(fs::metadata(&other).expect("stat").modified().expect("time"), old);
    }
}
