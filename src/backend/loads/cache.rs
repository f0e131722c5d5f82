//! The loader's own list of libraries in the system's folders, as `ldconfig` writes it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

const FILE: &str = "/etc/ld.so.cache";
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Libraries for the current C library, of this machine's kind.
#[cfg(target_arch = "x86_64")]
const KIND: u32 = 0x0303;
#[cfg(target_arch = "aarch64")]
const KIND: u32 = 0x0a03;

/// The list as it was read last, with the time that the file had then.
static READ: Mutex<Option<(SystemTime, Vec<u8>)>> = Mutex::new(None);

/// Every place that the list has for a library; variants for other processors among them.
pub(super) fn places(name: &OsStr) -> Vec<PathBuf> {
    let Ok(time) = std::fs::metadata(FILE).and_then(|m| m.modified()) else {
        return Vec::new();
    };
    let mut read = READ.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if read.as_ref().is_none_or(|(then, _)| *then != time) {
        *read = std::fs::read(FILE).ok().map(|bytes| (time, bytes));
    }
    read.as_ref().map_or_else(Vec::new, |(_, bytes)| find(bytes, name.as_bytes()))
}

fn find(bytes: &[u8], name: &[u8]) -> Vec<PathBuf> {
    // Older tools write the older list in front of it.
    let start = bytes.windows(MAGIC.len()).position(|w| w == MAGIC);
    let Some(list) = start.map(|start| &bytes[start..]).filter(|list| list.len() >= HEADER) else {
        return Vec::new();
    };
    let count = number(list, MAGIC.len()) as usize;
    let entries = list[HEADER..].chunks_exact(ENTRY).take(count);
    let ours = entries.filter(|entry| number(entry, 0) == KIND);
    let text =
        |entry: &[u8], at: usize| string(list, number(entry, at) as usize).map(<[u8]>::to_vec);
    let named = ours.filter(|entry| text(entry, 4).as_deref() == Some(name));
    named.filter_map(|entry| Some(PathBuf::from(OsStr::from_bytes(&text(entry, 8)?)))).collect()
}

fn string(list: &[u8], at: usize) -> Option<&[u8]> {
    let rest = list.get(at..)?;
    rest.iter().position(|&byte| byte == 0).map(|end| &rest[..end])
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of names, places and kinds.
    fn list(libraries: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend((libraries.len() as u32).to_le_bytes());
        head.resize(HEADER, 0);
        let (mut entries, mut text) = (Vec::new(), Vec::new());
        let texts = HEADER + ENTRY * libraries.len();
        for (name, place, kind) in libraries {
            let mut put = |word: &str| {
                let at = texts + text.len();
                text.extend(word.as_bytes());
                text.push(0);
                (at as u32).to_le_bytes()
            };
            entries.extend(kind.to_le_bytes());
            entries.extend(put(name));
            entries.extend(put(place));
            entries.resize(entries.len() + 12, 0);
        }
        [head, entries, text].concat()
    }

    #[test]
    fn every_place_of_a_library_of_this_machine_is_found() {
        let bytes = list(&[
            ("liba.so.1", "/lib/v3/liba.so.1", KIND),
            ("liba.so.1", "/lib/liba.so.1", KIND),
            ("liba.so.1", "/lib32/liba.so.1", 3),
            ("libb.so", "/opt/libb.so", KIND),
        ]);
        let behind_the_old = [b"ld.so-1.7.0\0\0\0\0\0".to_vec(), bytes.clone()].concat();
        for bytes in [&bytes, &behind_the_old] {
            let places = |name: &str| find(bytes, name.as_bytes());
            let both = ["/lib/v3/liba.so.1", "/lib/liba.so.1"].map(PathBuf::from);
            assert_eq!(places("liba.so.1"), both);
            assert_eq!(places("libb.so"), [PathBuf::from("/opt/libb.so")]);
            assert!(places("libc").is_empty());
        }
        for length in 0..bytes.len() {
            let _unharmed = find(&bytes[..length], b"libb.so");
        }
    }
}
