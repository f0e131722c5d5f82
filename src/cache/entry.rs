//! Entries: what keys depend on, and the stat cache in front of their digests.
//!
//! A digest is trusted while size, mtime, ctime, inode, device and mode are as they were *and*
//! the newer of mtime and ctime lies strictly before the stamp taken from the file system's own
//! clock when the digest was made (the racy rule of git's index). Times are never compared with
//! each other to say which file is newer.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::id::EntryId;
use crate::digest::Digest;
use crate::host::{Host, SANDBOX};

/// What a key can depend on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[repr(u8)]
pub enum Kind {
    /// A file's content. A missing file has the empty digest.
    File = 0,
    /// The names in a folder.
    Listing = 1,
    /// An environment variable.
    Env = 2,
    /// A compiler: its content and what it says of its version.
    Tool = 3,
    /// A device's identity.
    Device = 4,
    /// Which libraries are loaded with a built kernel, and from where; not what they hold.
    Loads = 5,
}

impl Kind {
    /// The kind of a stored byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let all = [Self::File, Self::Listing, Self::Env, Self::Tool, Self::Device, Self::Loads];
        all.get(byte as usize).copied()
    }

    /// The word that stands before the name in key records.
    pub fn word(self) -> &'static str {
        ["input", "listing", "env", "tool", "device", "loads"][self as usize]
    }

    /// True when the digest stands behind stat fields.
    pub fn on_disk(self) -> bool {
        matches!(self, Self::File | Self::Listing | Self::Tool)
    }
}

/// The stat fields that decide whether a digest still holds; all zero for a missing file.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable, serde::Serialize, serde::Deserialize,
)]
#[repr(C)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Modification time, ns since the epoch.
    pub mtime_ns: i64,
    /// Change time, ns since the epoch: what `touch -r` and `cp -p` cannot set.
    pub ctime_ns: i64,
    /// Inode.
    pub ino: u64,
    /// Device, major and minor.
    pub dev: u64,
    /// Type and permission bits.
    pub mode: u64,
}

impl Stat {
    /// True when nothing is there.
    pub fn is_missing(&self) -> bool {
        self.ino == 0 && self.mode == 0
    }

    /// True when its owner may run it.
    pub fn is_executable(&self) -> bool {
        self.mode & 0o100 != 0
    }

    /// The newer of the two times.
    pub fn newest_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }
}

/// One thing that keys depend on, as stored in the index.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Entry {
    /// Under which the digest holds.
    pub stat: Stat,
    /// Of the content; all zero when missing or not yet known.
    pub digest: Digest,
    /// The file system's clock when the digest was made, ns.
    pub stamp_ns: i64,
    /// Where the NUL-terminated name starts in the index's text.
    pub name: u32,
    /// Its length without the NUL.
    pub name_len: u32,
    /// [`Kind`] as a byte.
    pub kind: u32,
    /// 1 when the entry was never looked at.
    pub fresh: u32,
}

impl Entry {
    /// True when what was seen is something else than what was known: another content, or a file
    /// that may be run where it might not, or the reverse.
    pub fn differs(&self, stat: &Stat, digest: &Digest) -> bool {
        let file = self.kind == Kind::File as u32 && self.fresh == 0;
        let there = !self.stat.is_missing() && !stat.is_missing();
        self.digest != *digest
            || (file && there && self.stat.is_executable() != stat.is_executable())
    }

    /// True when the stat fields alone cannot vouch for the digest.
    pub fn is_racy(&self) -> bool {
        self.fresh != 0 || (!self.stat.is_missing() && self.stat.newest_ns() >= self.stamp_ns)
    }
}

/// Asks the kernel for the fields of [`Stat`]; a missing file gives the zero value.
///
/// # Errors
/// Any failure but "not there".
pub fn stat_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Stat> {
    let mask = StatxFlags::MTIME
        | StatxFlags::CTIME
        | StatxFlags::SIZE
        | StatxFlags::INO
        | StatxFlags::TYPE
        | StatxFlags::MODE;
    match rustix::fs::statx(dir, name, AtFlags::from_bits_retain(0x4000), mask) {
        Ok(x) => Ok(Stat {
            size: x.stx_size,
            mtime_ns: x.stx_mtime.tv_sec * 1_000_000_000 + i64::from(x.stx_mtime.tv_nsec),
            ctime_ns: x.stx_ctime.tv_sec * 1_000_000_000 + i64::from(x.stx_ctime.tv_nsec),
            ino: x.stx_ino,
            dev: u64::from(x.stx_dev_major) << 32 | u64::from(x.stx_dev_minor),
            mode: u64::from(x.stx_mode),
        }),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(Stat::default()),
        Err(e) => Err(e.into()),
    }
}

/// [`stat_at`] for a path that is not in an index.
///
/// # Errors
/// As [`stat_at`].
pub fn stat_path(root: BorrowedFd<'_>, name: &str) -> io::Result<Stat> {
    let c = std::ffi::CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    stat_at(root, &c)
}

/// Ids of the entries on disk whose digest can no longer be trusted, in rising order.
///
/// Entries should be sorted by name: runs in one folder are looked up relative to that folder's
/// descriptor, which spares the kernel the walk. Above a few thousand entries the work is split
/// over two threads; more gain nothing on a null run that is over in milliseconds.
pub fn doubtful(root: BorrowedFd<'_>, entries: &[Entry], text: &[u8]) -> Vec<EntryId> {
    const SPLIT: usize = 2048;
    if entries.len() < SPLIT {
        return doubtful_part(root, entries, text, 0);
    }
    let (left, right) = entries.split_at(entries.len() / 2);
    let offset = left.len();
    std::thread::scope(|scope| {
        let other = scope.spawn(move || doubtful_part(root, right, text, offset));
        let mut found = doubtful_part(root, left, text, 0);
        found.extend(
            other
                .join()
                .unwrap_or_else(|_| (offset..offset + right.len()).map(EntryId::at).collect()),
        );
        found
    })
}

fn doubtful_part(
    root: BorrowedFd<'_>,
    entries: &[Entry],
    text: &[u8],
    base: usize,
) -> Vec<EntryId> {
    let mut found = Vec::new();
    let mut folder = Folder::default();
    for (i, entry) in entries.iter().enumerate() {
        if entry.kind > Kind::Tool as u32 || entry.kind == Kind::Env as u32 {
            continue;
        }
        let start = entry.name as usize;
        let name = &text[start..=start + entry.name_len as usize];
        let tail = folder.enter(root, name, || same_folder_ahead(&entries[i..], text, name));
        let same = CStr::from_bytes_with_nul(&name[tail..]).is_ok_and(|tail| {
            let at = folder.fd.as_ref().map_or(root, AsFd::as_fd);
            stat_at(at, tail).is_ok_and(|now| now == entry.stat)
        });
        if !same || entry.is_racy() {
            found.push(EntryId::at(base + i));
        }
    }
    found
}

/// The folder whose descriptor is held open while entries in it come one after the other.
#[derive(Default)]
struct Folder {
    fd: Option<OwnedFd>,
    prefix: Vec<u8>,
}

impl Folder {
    /// Moves to the folder of `name` if many entries of it follow; returns where the rest of the
    /// name starts.
    fn enter(&mut self, root: BorrowedFd<'_>, name: &[u8], worthwhile: impl Fn() -> bool) -> usize {
        let cut = name.iter().rposition(|&b| b == b'/').map_or(0, |p| p + 1);
        if self.fd.is_some() && name[..cut] == self.prefix[..] {
            return cut;
        }
        self.fd = None;
        if cut == 0 || !worthwhile() {
            return 0;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = std::ffi::OsStr::new(std::str::from_utf8(&name[..cut]).unwrap_or("."));
        self.fd = rustix::fs::openat(root, path, flags, Mode::empty()).ok();
        self.prefix.clear();
        self.prefix.extend_from_slice(&name[..cut]);
        if self.fd.is_some() { cut } else { 0 }
    }
}

/// True when the entry some places ahead lies in the same folder: opening it pays.
fn same_folder_ahead(entries: &[Entry], text: &[u8], name: &[u8]) -> bool {
    const AHEAD: usize = 8;
    let cut = name.iter().rposition(|&b| b == b'/').map_or(0, |p| p + 1);
    entries.get(AHEAD).is_some_and(|e| {
        let start = e.name as usize;
        let other = &text[start..start + e.name_len as usize];
        other.get(..cut) == Some(&name[..cut])
    })
}

/// Makes the digest of something on disk, with the stat fields it was made under.
///
/// The fields are read before *and* after the content, and the content again when they differ,
/// so that the digest never belongs to another state of the file than the stat says.
///
/// # Errors
/// When it is there but cannot be read.
pub fn measure(
    root: BorrowedFd<'_>,
    kind: Kind,
    name: &str,
    host: &dyn Host,
) -> io::Result<(Stat, Digest)> {
    const TRIES: u32 = 8;
    for _ in 0..TRIES {
        let before = stat_path(root, name)?;
        if before.is_missing() {
            return Ok((before, Digest::default()));
        }
        let digest = match content(root, kind, name, host) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if stat_path(root, name)? == before {
            return Ok((before, digest));
        }
    }
    Err(io::Error::other(format!("{name} keeps changing while it is read")))
}

fn content(root: BorrowedFd<'_>, kind: Kind, name: &str, host: &dyn Host) -> io::Result<Digest> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    if kind == Kind::Listing {
        let fd = rustix::fs::openat(root, name, flags | OFlags::DIRECTORY, Mode::empty())?;
        return listing(&fd);
    }
    let fd = rustix::fs::openat(root, name, flags, Mode::empty())?;
    let (digest, _) = Digest::of_reader(std::fs::File::from(fd))?;
    if kind == Kind::Tool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&digest.0);
        hasher.update(host.tool_version(Path::new(name)).as_bytes());
        return Ok(Digest(*hasher.finalize().as_bytes()));
    }
    Ok(digest)
}

fn listing(fd: &OwnedFd) -> io::Result<Digest> {
    let mut names = Vec::new();
    for item in rustix::fs::Dir::read_from(fd)? {
        let name = item?.file_name().to_bytes_with_nul().to_vec();
        if name != b".\0" && name != b"..\0" {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(Digest::of(&names.concat()))
}

/// The digest of an environment variable, a device or what is loaded with a kernel; absent differs
/// from empty. `None` leaves it as it is: what is loaded with a kernel that is not built is not
/// known.
pub fn measure_value(
    root: BorrowedFd<'_>,
    kind: Kind,
    name: &str,
    host: &dyn Host,
) -> Option<Digest> {
    match kind {
        Kind::Env => Some(variable(host, name)),
        Kind::Loads => {
            let root = std::fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).ok()?;
            host.loads(&root.join(name), &root).map(|text| Digest::of(text.as_bytes()))
        }
        _ if name == SANDBOX => Some(Digest::of(host.sandbox().as_bytes())),
        _ => Some(Digest::of(host.device(name).to_string().as_bytes())),
    }
}

fn variable(host: &dyn Host, name: &str) -> Digest {
    host.var(name).map_or_else(Digest::default, |value| Digest::of(value.as_bytes()))
}

/// The file system's own clock, read by setting a file's time to "now" and asking for it.
#[derive(Debug)]
pub struct Clock(OwnedFd);

impl Clock {
    /// Opens the file whose time is set, which is made when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &Path) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(file, flags, Mode::from_raw_mode(0o644))?))
    }

    /// Now, ns since the epoch.
    ///
    /// # Errors
    /// When the time cannot be set or read.
    pub fn now_ns(&self) -> io::Result<i64> {
        use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let both = Timestamps { last_access: now, last_modification: now };
        rustix::fs::futimens(&self.0, &both)?;
        let stat = rustix::fs::fstat(&self.0)?;
        let ns =
            stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64);
        // A clock that knows whole seconds only could still write within this second.
        Ok(if stat.st_mtime_nsec == 0 { ns - 999_999_999 } else { ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;
    use std::fs;

    fn host() -> MemoryHost {
        MemoryHost::with_vars([("SET", "")])
    }

    /// A compiler that tells its version.
    struct Versioned;

    impl Host for Versioned {
        fn tool_version(&self, _: &Path) -> String {
            "1.0".to_owned()
        }
    }

    fn open(dir: &Path) -> OwnedFd {
        rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("folder")
    }

    fn table(names: &[&str]) -> (Vec<Entry>, Vec<u8>) {
        let mut text = Vec::new();
        let entries = names
            .iter()
            .map(|n| {
                let name = text.len() as u32;
                text.extend_from_slice(n.as_bytes());
                text.push(0);
                Entry { name, name_len: n.len() as u32, ..Entry::default() }
            })
            .collect();
        (entries, text)
    }

    #[test]
    fn an_absent_variable_differs_from_an_empty_one() {
        let fd = open(Path::new("/"));
        let of = |name| measure_value(fd.as_fd(), Kind::Env, name, &host()).expect("a value");
        assert_ne!(of("SET"), of("UNSET"));
        assert_eq!(measure_value(fd.as_fd(), Kind::Loads, "k.so", &host()), None);
    }

    #[test]
    fn a_tool_is_its_content_and_its_version() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("cc"), "x").expect("write");
        let fd = open(dir.path());
        let (_, tool) = measure(fd.as_fd(), Kind::Tool, "cc", &Versioned).expect("measure");
        let (_, file) = measure(fd.as_fd(), Kind::File, "cc", &host()).expect("measure");
        assert_ne!(tool, file);
        assert_eq!(file, Digest::of(b"x"));
    }

    #[test]
    fn only_what_changed_is_doubtful_in_many_folders_and_threads() {
        let dir = tempfile::tempdir().expect("tempdir");
        let names: Vec<String> = (0..3000).map(|i| format!("d{}/f{i:05}", i % 3)).collect();
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        for d in 0..3 {
            fs::create_dir(dir.path().join(format!("d{d}"))).expect("mkdir");
        }
        for n in &sorted {
            fs::write(dir.path().join(n), n).expect("write");
        }
        let fd = open(dir.path());
        let (mut entries, text) = table(&sorted);
        for (e, n) in entries.iter_mut().zip(&sorted) {
            let (stat, digest) = measure(fd.as_fd(), Kind::File, n, &host()).expect("measure");
            (e.stat, e.digest, e.stamp_ns) = (stat, digest, stat.newest_ns() + 1);
        }
        assert_eq!(doubtful(fd.as_fd(), &entries, &text), Vec::new());
        fs::write(dir.path().join(sorted[7]), "other").expect("write");
        fs::remove_file(dir.path().join(sorted[2500])).expect("remove");
        entries[1000].stamp_ns = entries[1000].stat.newest_ns();
        assert_eq!(doubtful(fd.as_fd(), &entries, &text), [7, 1000, 2500].map(EntryId::at));
    }

    #[test]
    fn a_listing_changes_with_its_names_only() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("a"), "1").expect("write");
        let fd = open(dir.path());
        let of = || measure(fd.as_fd(), Kind::Listing, ".", &host()).expect("measure").1;
        let first = of();
        fs::write(dir.path().join("a"), "2").expect("write");
        assert_eq!(of(), first);
        fs::write(dir.path().join("b"), "").expect("write");
        assert_ne!(of(), first);
    }

    #[test]
    fn the_clock_never_runs_behind_a_file_written_before() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("f"), "x").expect("write");
        let fd = open(dir.path());
        let before = stat_path(fd.as_fd(), "f").expect("stat").newest_ns();
        let clock = Clock::open(&dir.path().join("clock")).expect("open").now_ns().expect("now");
        assert!(clock >= before || clock % 1_000_000_000 == 1);
    }
}
