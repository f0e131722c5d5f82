//! What an ELF object says about the libraries that it needs. Only of this machine's kind.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// Segments of type "load" and "dynamic".
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
/// Tags of the dynamic segment.
const NEEDED: u64 = 1;
const STRINGS: u64 = 5;
const OLD_PATH: u64 = 15;
const RUN_PATH: u64 = 29;
const FLAGS_1: u64 = 0x6fff_fffb;
/// In the flags: no system folder is looked in.
const NO_DEFAULT: u64 = 0x800;
/// No honest object has more; a lying one ends here.
const MOST_SEGMENTS: u16 = 512;
const MOST_DYNAMIC: u64 = 64 * 1024;
const LONGEST: usize = 4096;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// What an object asks of the loader.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Names of libraries, in order.
    pub(super) needed: Vec<OsString>,
    /// `DT_RPATH`: looked in before `LD_LIBRARY_PATH`, for its libraries' libraries too.
    pub(super) old_path: Option<Vec<u8>>,
    /// `DT_RUNPATH`: looked in after it, for its own libraries.
    pub(super) run_path: Option<Vec<u8>>,
    /// System folders are not looked in.
    pub(super) own_folders_only: bool,
}

/// Where an object's bytes come from.
pub(super) trait Bytes {
    fn at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// As many as there are.
    fn some(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl Bytes for File {
    fn at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }

    fn some(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.read_at(into, offset)
    }
}

impl Bytes for [u8] {
    fn at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match self.some(offset, into)? {
            count if count == into.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn some(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// True for an object that this machine's loader would take.
pub(super) fn is_native(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| header(&file).is_some())
}

impl Object {
    /// What the file says; `None` when it is no object of this machine.
    pub(super) fn read(path: &Path) -> Option<Self> {
        Self::parse(&File::open(path).ok()?)
    }

    /// What the bytes say.
    pub(super) fn parse(bytes: &(impl Bytes + ?Sized)) -> Option<Self> {
        let header = header(bytes)?;
        let (at, count) = (number(&header, 32, 8), number(&header, 56, 2) as u16);
        let mut segments = vec![0; SEGMENT * usize::from(count.min(MOST_SEGMENTS))];
        bytes.at(at, &mut segments).ok()?;
        let segments: Vec<Segment> = segments.chunks_exact(SEGMENT).map(Segment::read).collect();
        let Some(dynamic) = segments.iter().find(|s| s.kind == DYNAMIC) else {
            return Some(Self::default());
        };
        let mut tags = vec![0; dynamic.size.min(MOST_DYNAMIC) as usize];
        bytes.at(dynamic.offset, &mut tags).ok()?;
        let tags: Vec<(u64, u64)> = tags
            .chunks_exact(16)
            .map(|tag| (number(tag, 0, 8), number(tag, 8, 8)))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let strings = tags.iter().find(|(tag, _)| *tag == STRINGS)?.1;
        let strings = segments.iter().find_map(|s| s.in_file(strings))?;
        let text = |value: u64| string(bytes, strings.checked_add(value)?);
        let mut object = Self::default();
        for (tag, value) in tags {
            match tag {
                NEEDED => object.needed.push(OsString::from_vec(text(value)?)),
                OLD_PATH => object.old_path = text(value),
                RUN_PATH => object.run_path = text(value),
                FLAGS_1 => object.own_folders_only = value & NO_DEFAULT != 0,
                _ => {}
            }
        }
        Some(object)
    }
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl Segment {
    fn read(bytes: &[u8]) -> Self {
        Self {
            kind: number(bytes, 0, 4) as u32,
            offset: number(bytes, 8, 8),
            address: number(bytes, 16, 8),
            size: number(bytes, 32, 8),
        }
    }

    /// Where in the file what is loaded at an address lies.
    fn in_file(&self, address: u64) -> Option<u64> {
        let into = address.checked_sub(self.address)?;
        (self.kind == LOAD && into < self.size).then(|| self.offset.checked_add(into))?
    }
}

fn header(bytes: &(impl Bytes + ?Sized)) -> Option<[u8; HEADER]> {
    let mut header = [0; HEADER];
    bytes.at(0, &mut header).ok()?;
    // 64 bits, little-endian, for this processor, with segments of the known size.
    let ours = header.starts_with(b"\x7fELF\x02\x01")
        && number(&header, 18, 2) as u16 == MACHINE
        && number(&header, 54, 2) as usize == SEGMENT;
    ours.then_some(header)
}

fn string(bytes: &(impl Bytes + ?Sized), offset: u64) -> Option<Vec<u8>> {
    let mut text = vec![0; LONGEST];
    let count = bytes.some(offset, &mut text).ok()?;
    let end = text[..count].iter().position(|&byte| byte == 0)?;
    text.truncate(end);
    Some(text)
}

/// A little-endian number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_lying_object_gives_nothing_and_no_panic() {
        let own = std::fs::read("/proc/self/exe").expect("this test");
        let whole = Object::parse(&own[..]).expect("an object");
        assert!(whole.needed.iter().any(|n| n.to_string_lossy().starts_with("libc.")), "{whole:?}");
        for length in [0, 10, 63, 64, 100, 400] {
            let torn = Object::parse(&own[..length.min(own.len())]);
            assert!(torn.is_none_or(|o| o.needed.is_empty()), "{length}");
        }
        let mut lying = own[..4096].to_vec();
        for at in (32..4096).step_by(3) {
            lying[at] ^= 0xff;
            let _unharmed = Object::parse(&lying[..]);
        }
        let foreign = [&own[..18], &[8, 0], &own[20..64]].concat();
        assert_eq!(Object::parse(&foreign[..]), None);
    }
}
