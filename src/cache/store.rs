//! Results and blobs under their digests: small ones in the pack, large ones as
//! files `blobs/xx/…`.
//!
//! A kill at any instant leaves a valid store: data is appended before what points to it, and
//! files are written to a temporary name and renamed. Nothing is fsynced one by one: after a power
//! cut data may be short, which its checksum or digest shows when it is read, and it then counts
//! as absent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use serde::Serialize;

use super::CacheError;
use super::action::{ACTION_VERSION, Action, Output};
use super::pack::{Name, Pack, Room};
use crate::digest::Digest;

/// The store of one project. One run writes at a time; whoever writes holds the state's lock.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    temporary: PathBuf,
    counter: AtomicU64,
    /// Opened by the first question: a null run asks none.
    pack: OnceLock<Mutex<Pack>>,
}

/// Content up to this size goes into the pack.
const SMALL: u64 = 64 * 1024;

impl Store {
    /// The store below a state folder; nothing is created before the first write.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("cache"),
            temporary: state_dir.join("tmp"),
            counter: AtomicU64::new(0),
            pack: OnceLock::new(),
        }
    }

    /// Does something with the pack. An unreadable one counts as empty: everything runs again.
    fn with_pack<T>(&self, act: impl FnOnce(&mut Pack) -> T) -> T {
        let pack = self.pack.get_or_init(|| Mutex::new(Pack::open(&self.dir).unwrap_or_default()));
        act(&mut pack.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn get(&self, room: Room, digest: &Digest) -> Option<Vec<u8>> {
        self.with_pack(|pack| pack.get(&Name { room, digest: *digest }))
    }

    fn put(&self, room: Room, digest: &Digest, bytes: &[u8]) -> Result<(), CacheError> {
        self.with_pack(|pack| pack.put(Name { room, digest: *digest }, bytes))
            .map_err(CacheError::io("cannot write", &self.dir))
    }

    /// Where a large blob lies.
    fn place(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.dir.join("blobs").join(&hex[..2]).join(&hex[2..])
    }

    /// The result under a key; `None` when there is none or it cannot be understood.
    pub fn action(&self, key: &Digest) -> Option<Action> {
        let bytes = self.get(Room::Keys, key)?;
        let action: Action = serde_json::from_slice(&bytes).ok()?;
        (action.version == ACTION_VERSION).then_some(action)
    }

    /// Keeps a result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_action(&self, key: &Digest, action: &Action) -> Result<(), CacheError> {
        self.put(Room::Keys, key, &encode(action)?)
    }

    /// The sets of names that runs under this key's declared part were seen to read, newest last.
    pub fn discoveries(&self, declared: &Digest) -> Vec<Vec<String>> {
        self.get(Room::Deps, declared)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Adds a set of names to [`Store::discoveries`]; a handful of the newest are kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_discovery(&self, declared: &Digest, names: &[String]) -> Result<(), CacheError> {
        const KEPT: usize = 16;
        let mut sets = self.discoveries(declared);
        if sets.last().is_some_and(|s| s == names) {
            return Ok(());
        }
        sets.retain(|s| s != names);
        sets.push(names.to_vec());
        let old = sets.len().saturating_sub(KEPT);
        self.put(Room::Deps, declared, &encode(&sets[old..])?)
    }

    /// Keeps bytes under their digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let digest = Digest::of(bytes);
        let name = Name { room: Room::Blobs, digest };
        if bytes.len() as u64 > SMALL {
            self.put_large_bytes(&digest, bytes)?;
        } else if self.with_pack(|pack| pack.get(&name)).as_deref() != Some(bytes) {
            self.put(Room::Blobs, &digest, bytes)?;
        }
        Ok(digest)
    }

    /// Keeps a file's content under its digest.
    ///
    /// # Errors
    /// When it cannot be read or the copy cannot be written.
    pub fn put_file(&self, path: &Path) -> Result<(Digest, u32), CacheError> {
        let read = CacheError::io("cannot read", path);
        let inspect = || {
            let mut file = File::open(path)?;
            let meta = file.metadata()?;
            if !meta.is_file() {
                return Err(io::Error::other("not a regular file"));
            }
            let mut bytes = Vec::new();
            if meta.len() <= SMALL {
                file.read_to_end(&mut bytes)?;
                return Ok((Some(bytes), meta.permissions().mode() & 0o777));
            }
            Ok((None, meta.permissions().mode() & 0o777))
        };
        match inspect().map_err(read)? {
            (Some(bytes), mode) => Ok((self.put_bytes(&bytes)?, mode)),
            (None, mode) => Ok((self.put_large(path)?, mode)),
        }
    }

    /// Copies first and hashes the copy, so that the digest is that of the kept bytes even if the
    /// file changes meanwhile. `std::io::copy` lets the file system share the blocks.
    fn put_large(&self, path: &Path) -> Result<Digest, CacheError> {
        let temporary = self.temporary_path();
        prepare(&temporary)?;
        let write = || -> io::Result<Digest> {
            let mut copy = File::create(&temporary)?;
            io::copy(&mut File::open(path)?, &mut copy)?;
            copy.set_permissions(std::fs::Permissions::from_mode(0o444))?;
            Digest::of_file(&temporary)
        };
        let digest = write().map_err(CacheError::io("cannot keep", path))?;
        let place = self.place(&digest);
        prepare(&place)?;
        std::fs::rename(&temporary, &place).map_err(CacheError::io("cannot rename to", &place))?;
        Ok(digest)
    }

    fn put_large_bytes(&self, digest: &Digest, bytes: &[u8]) -> Result<(), CacheError> {
        let (temporary, place) = (self.temporary_path(), self.place(digest));
        if self.has_blob(digest) {
            return Ok(());
        }
        prepare(&temporary)?;
        prepare(&place)?;
        create(&temporary, 0o444)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| std::fs::rename(&temporary, &place))
            .map_err(CacheError::io("cannot write", &place))
    }

    /// A blob's bytes, if they are there and still have their digest.
    pub fn bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let packed = self.get(Room::Blobs, digest);
        let bytes = packed.or_else(|| std::fs::read(self.place(digest)).ok())?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// True when a blob is there with its content intact.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.get(Room::Blobs, digest).is_some_and(|b| Digest::of(&b) == *digest)
            || Digest::of_file(&self.place(digest)).is_ok_and(|d| d == *digest)
    }

    /// Puts a blob back where a stage had written it, by a copy: a link would let a later write
    /// through that path damage the store.
    ///
    /// # Errors
    /// When the blob is gone or damaged, or the file cannot be written.
    pub fn restore(&self, output: &Output, to: &Path) -> Result<(), CacheError> {
        if let Some(target) = &output.link {
            return self.restore_link(output, target, to);
        }
        let packed = self.get(Room::Blobs, &output.digest);
        let temporary = self.temporary_path();
        prepare(&temporary)?;
        prepare(to)?;
        let copy = || -> io::Result<()> {
            let mut file = create(&temporary, output.mode | 0o200)?;
            match &packed {
                Some(bytes) => file.write_all(bytes)?,
                None => drop(io::copy(&mut File::open(self.place(&output.digest))?, &mut file)?),
            }
            file.set_permissions(std::fs::Permissions::from_mode(output.mode))?;
            if Digest::of_file(&temporary)? != output.digest {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the kept copy is damaged"));
            }
            move_file(&temporary, to)
        };
        copy().map_err(|e| {
            drop(std::fs::remove_file(&temporary));
            CacheError::io("cannot restore", to)(e)
        })
    }

    /// A link is put back as a link, and only where what it leads to is what it was.
    fn restore_link(&self, output: &Output, target: &Path, to: &Path) -> Result<(), CacheError> {
        let temporary = self.temporary_path();
        let link = || -> io::Result<()> {
            // A link is read from where it lies.
            let there = to.parent().unwrap_or(Path::new("")).join(target);
            if Digest::of_file(&there)? != output.digest {
                let what = format!("{} is not what it was", there.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            std::os::unix::fs::symlink(target, &temporary)?;
            std::fs::rename(&temporary, to).or_else(|_| {
                // Another file system: a link can be made there only.
                drop(std::fs::remove_file(&temporary));
                drop(std::fs::remove_file(to));
                std::os::unix::fs::symlink(target, to)
            })
        };
        prepare(&temporary)?;
        prepare(to)?;
        link().map_err(CacheError::io("cannot restore", to))
    }

    fn temporary_path(&self) -> PathBuf {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        self.temporary.join(format!("{}.{n}", std::process::id()))
    }

    /// Everything kept: what it is, its digest, its size.
    pub fn contents(&self) -> Vec<(Room, Digest, u64)> {
        let packed = self.with_pack(Pack::names);
        let packed = packed.into_iter().map(|(n, size)| (n.room, n.digest, size));
        let large = self.large().into_iter().filter_map(|(digest, path)| {
            Some((Room::Blobs, digest?, path.metadata().map_or(0, |m| m.len())))
        });
        packed.chain(large).collect()
    }

    /// Everything in the pack that is not what was put there, and how many records of its index
    /// cannot be read.
    pub fn damage(&self) -> (Vec<(Room, Digest)>, u64) {
        let (names, unread) = self.with_pack(Pack::damage);
        (names.into_iter().map(|n| (n.room, n.digest)).collect(), unread)
    }

    /// What is kept under a key, whatever it is.
    pub fn action_bytes(&self, key: &Digest) -> Option<Vec<u8>> {
        self.get(Room::Keys, key)
    }

    /// Files of large blobs; `None` for a name that is no digest.
    pub fn large(&self) -> Vec<(Option<Digest>, PathBuf)> {
        walkdir::WalkDir::new(self.dir.join("blobs"))
            .min_depth(2)
            .sort_by_file_name()
            .into_iter()
            .filter_map(Result::ok)
            .filter(|e| e.file_type().is_file())
            .map(|e| {
                let parts: Vec<_> =
                    e.path().iter().rev().take(2).map(|p| p.to_string_lossy()).collect();
                let digest = format!("{}{}", parts[1], parts[0]).parse().ok();
                (digest, e.into_path())
            })
            .collect()
    }

    /// Makes what a run added quick to find for the next. A store nobody asked has nothing to do.
    ///
    /// # Errors
    /// When it cannot be written; everything kept is then still found.
    pub fn settle(&self) -> Result<(), CacheError> {
        if self.pack.get().is_none() {
            return Ok(());
        }
        self.with_pack(Pack::settle).map_err(CacheError::io("cannot write", &self.dir))
    }

    /// Bytes on disk, superseded data included.
    pub fn bytes_on_disk(&self) -> u64 {
        let large: u64 =
            self.large().iter().map(|(_, p)| p.metadata().map_or(0, |m| m.len())).sum();
        self.with_pack(|pack| pack.bytes()) + large
    }

    /// Removes everything that `keep` does not want. Only for whoever holds the state's lock.
    ///
    /// # Errors
    /// When the pack cannot be written anew; nothing is lost then.
    pub fn retain(&self, keep: impl Fn(Room, &Digest) -> bool) -> Result<(), CacheError> {
        self.with_pack(|pack| pack.rewrite(|n| keep(n.room, &n.digest)))
            .map_err(CacheError::io("cannot write", &self.dir))?;
        for (digest, path) in self.large() {
            if !digest.is_some_and(|d| keep(Room::Blobs, &d)) {
                std::fs::remove_file(&path).map_err(CacheError::io("cannot remove", &path))?;
            }
        }
        Ok(())
    }
}

fn encode(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(value)
        .map_err(|e| CacheError::io("cannot encode", Path::new("a result"))(e.into()))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)
}

fn prepare(path: &Path) -> Result<(), CacheError> {
    make_parent(path).map_err(CacheError::io("cannot make the folder of", path))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Renames, or copies when the target lies on another file system.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            std::fs::copy(from, to)?;
            std::fs::remove_file(from)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Metrics;

    fn action() -> Action {
        Action {
            version: ACTION_VERSION,
            node: "n".to_owned(),
            fields: vec![("run".to_owned(), "true".to_owned())],
            outputs: Vec::new(),
            log: Digest::default(),
            metrics: Metrics::from([(Metrics::MEDIAN_US, 1.5)]),
            detail: serde_json::json!({"cases": [1]}),
            discovered: vec!["a.h".to_owned()],
            finished_ms: 1,
            duration_us: 2,
            artifact: String::new(),
        }
    }

    #[test]
    fn a_result_reads_back_and_another_key_gives_none() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(dir.path());
        let key = Digest::of(b"key");
        store.put_action(&key, &action()).expect("put");
        assert_eq!(store.action(&key), Some(action()));
        assert_eq!(store.action(&Digest::of(b"other")), None);
    }

    #[test]
    fn a_restored_file_has_the_content_and_the_mode_and_is_no_link_into_the_store() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(&dir.path().join("state"));
        for size in [10, 1 << 20] {
            let path = dir.path().join("tool");
            std::fs::write(&path, vec![7u8; size]).expect("write");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
            let (digest, mode) = store.put_file(&path).expect("put");
            let output = Output { path: "tool".to_owned(), digest, mode, link: None };
            std::fs::write(&path, "damaged").expect("write");
            store.restore(&output, &path).expect("restore");
            assert_eq!(std::fs::metadata(&path).expect("meta").permissions().mode() & 0o777, 0o755);
            std::fs::write(&path, "again").expect("write");
            assert!(store.has_blob(&digest));
        }
    }

    #[test]
    fn a_damaged_blob_is_neither_read_nor_restored() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(dir.path());
        let large = vec![1u8; 100_000];
        for content in [&b"hello"[..], &large] {
            let digest = store.put_bytes(content).expect("put");
            let packed = dir.path().join("cache/pack.0");
            let place = if content.len() > 10 { store.place(&digest) } else { packed };
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o644)).expect("mode");
            std::fs::write(&place, b"hellO").expect("write");
            assert_eq!(store.bytes(&digest), None);
            let output = Output { path: "x".to_owned(), digest, mode: 0o644, link: None };
            assert!(store.restore(&output, &dir.path().join("x")).is_err());
            assert!(!dir.path().join("x").exists());
            store.put_bytes(content).expect("put again");
            assert_eq!(store.bytes(&digest).as_deref(), Some(content));
        }
    }

    #[test]
    fn discoveries_keep_the_newest_last_and_each_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(dir.path());
        let key = Digest::of(b"declared");
        for names in [["a"], ["b"], ["a"]] {
            store.put_discovery(&key, &names.map(str::to_owned)).expect("put");
        }
        assert_eq!(store.discoveries(&key), [["b"], ["a"]]);
    }
}
