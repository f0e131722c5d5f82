//! One kernel, linked at several places.
//!
//! Where code and data lie within cache lines and pages has a speed of its own, which any edit
//! changes: an unused function above a kernel is worth some per cent of some loops. So the same
//! objects are linked several times behind [`padding`] of different sizes, and each process that
//! measures has one of these [`Layouts`] by lot: what comes of the place is then seen as spread,
//! and not taken for a gain.
//!
//! A built kernel is one file all the same. What is loaded by all that know nothing of layouts
//! stands first in it, as the compiler and the linker leave it; its digest says which code it is.
//! The others follow, and their lengths:
//!
//! ```text
//! shared object | shared object | … | length of each | how many | "optloopL"
//! ```

use super::super::elf::Elf;
use crate::digest::Digest;

/// So many at most, and where nobody asks for fewer.
pub const MOST: u32 = 8;

/// Functions begin at such an address at least; processors fetch code in units of it.
const STEP: u64 = 16;

/// The first page offsets of two layouts are so far apart: eight fill a page.
const STRIDE: u64 = 4096 / MOST as u64;

const MARK: &[u8; 8] = b"optloopL";

/// The shared objects in a built kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layouts<'a> {
    /// At least one.
    parts: Vec<&'a [u8]>,
}

impl<'a> Layouts<'a> {
    /// Those in a file; one that was never joined, such as a library, is its only one.
    pub fn of(file: &'a [u8]) -> Self {
        Self { parts: split(file).unwrap_or_else(|| vec![file]) }
    }

    /// All of them.
    pub fn parts(&self) -> &[&'a [u8]] {
        &self.parts
    }

    /// Which code this is, however often it was linked.
    pub fn identity(&self) -> Digest {
        Digest::of(self.parts[0])
    }
}

fn split(file: &[u8]) -> Option<Vec<&[u8]>> {
    let rest = file.strip_suffix(MARK)?;
    let (rest, count) = rest.split_last_chunk::<4>()?;
    let count = u32::from_le_bytes(*count);
    if count == 0 || count > MOST {
        return None;
    }
    let mut rest = rest;
    let mut lengths = Vec::new();
    for _ in 0..count {
        let (before, length) = rest.split_last_chunk::<8>()?;
        lengths.push(usize::try_from(u64::from_le_bytes(*length)).ok()?);
        rest = before;
    }
    let mut parts = Vec::new();
    for length in lengths.into_iter().rev() {
        let (part, after) = rest.split_at_checked(length)?;
        parts.push(part);
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

/// The file that holds these shared objects.
pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut file = parts.concat();
    for part in parts {
        file.extend((part.len() as u64).to_le_bytes());
    }
    file.extend((parts.len() as u32).to_le_bytes());
    file.extend(MARK);
    file
}

/// An object whose code need not begin at more than `STEP`: the linker puts it where the padding
/// before it ends. `None` where that is not known to be safe, because it has data among its code,
/// or there is no code in it yet, as with link-time optimisation.
pub fn loosened(object: &[u8]) -> Option<Vec<u8>> {
    let elf = Elf::read(object)?;
    let code: Vec<_> = elf.sections().filter(|section| section.is_code).collect();
    if code.iter().any(|section| elf.has_data_in(section.index)) {
        return None;
    }
    let mut loosened = object.to_vec();
    for section in code.iter().filter(|section| section.alignment > STEP) {
        let at = usize::try_from(section.alignment_at).ok()?;
        loosened.get_mut(at..at + 8)?.copy_from_slice(&STEP.to_le_bytes());
    }
    Some(loosened)
}

/// An object of zeros that moves what is linked behind it to the `number`th layout, for the machine
/// that `like` is for. Every part of a line has the entry as often as every other, and so has
/// every part of a page; constants and data are moved by other amounts.
pub fn padding(number: u32, like: &[u8]) -> Option<Vec<u8>> {
    const CODE: u64 = ALLOCATED | EXECUTABLE;
    const WRITTEN: u64 = ALLOCATED | 1;
    Elf::read(like)?;
    let number = u64::from(number);
    let (line, page) = (STEP * (number % 4), STRIDE * number);
    let moved = |by: u64| STRIDE * (by * number % 8) + STEP * (number / 2 % 4);
    // In the order that linkers put code in.
    let sections = [
        Pad { name: ".text.unlikely", kind: PROGBITS, flags: CODE, bytes: page + line },
        Pad { name: ".text.startup", kind: PROGBITS, flags: CODE, bytes: line },
        Pad { name: ".text.hot", kind: PROGBITS, flags: CODE, bytes: line },
        Pad { name: ".text", kind: PROGBITS, flags: CODE, bytes: line },
        Pad { name: ".rodata", kind: PROGBITS, flags: ALLOCATED, bytes: moved(3) },
        Pad { name: ".data", kind: PROGBITS, flags: WRITTEN, bytes: moved(5) },
        Pad { name: ".bss", kind: NOBITS, flags: WRITTEN, bytes: moved(5) },
        // Without it the stack would be made executable.
        Pad { name: ".note.GNU-stack", kind: PROGBITS, flags: 0, bytes: 0 },
    ];
    Some(object(&sections, like))
}

/// A section of zeros.
struct Pad {
    name: &'static str,
    kind: u32,
    flags: u64,
    bytes: u64,
}

const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;
const NOBITS: u32 = 8;
const ALLOCATED: u64 = 2;
const EXECUTABLE: u64 = 4;
/// Kept also where the linker drops what nobody refers to (`SHF_GNU_RETAIN`).
const RETAINED: u64 = 1 << 21;
/// The extension that the flag belongs to (`ELFOSABI_GNU`).
const GNU: u8 = 3;
const HEADER: usize = 64;
const LINE: u64 = 64;

/// A relocatable object of these sections (System V ABI, chapter 4).
fn object(sections: &[Pad], like: &[u8]) -> Vec<u8> {
    let mut names = vec![0_u8];
    let mut contents = Vec::new();
    let mut headers = vec![[0_u8; HEADER]];
    for section in sections {
        let at = names.len();
        names.extend(section.name.bytes().chain([0]));
        let offset = HEADER + contents.len();
        if section.kind == PROGBITS {
            contents.resize(contents.len() + section.bytes as usize, 0);
        }
        let flags = if section.flags == 0 { 0 } else { section.flags | RETAINED };
        let alignment = if section.flags == 0 { 1 } else { LINE };
        let place = [flags, 0, offset as u64, section.bytes];
        headers.push(header(at as u32, section.kind, place, alignment));
    }
    let at = names.len();
    names.extend(b".shstrtab\0");
    let offset = HEADER + contents.len();
    let place = [0, 0, offset as u64, names.len() as u64];
    headers.push(header(at as u32, STRTAB, place, 1));
    contents.extend(names);
    contents.resize(contents.len().next_multiple_of(8), 0);
    let table = HEADER + contents.len();
    // Machine, flags and version are those of the kernel's own object.
    let mut file = like.get(..HEADER).unwrap_or(&[0; HEADER]).to_vec();
    file[7] = GNU;
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x10, &1_u16.to_le_bytes());
    put(0x18, &[0; 16]);
    put(0x28, &(table as u64).to_le_bytes());
    put(0x34, &(HEADER as u16).to_le_bytes());
    put(0x36, &[0; 4]);
    put(0x3a, &(HEADER as u16).to_le_bytes());
    put(0x3c, &(headers.len() as u16).to_le_bytes());
    put(0x3e, &(headers.len() as u16 - 1).to_le_bytes());
    file.extend(contents);
    file.extend(headers.concat());
    file
}

/// Flags, address, offset and size in `place`.
fn header(name: u32, kind: u32, place: [u64; 4], alignment: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&name.to_le_bytes());
    header[4..8].copy_from_slice(&kind.to_le_bytes());
    for (at, value) in [8, 16, 24, 32].into_iter().zip(place) {
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    header[48..56].copy_from_slice(&alignment.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_split_into_what_it_was_joined_from() {
        let parts = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let file = join(&parts);
        assert_eq!(Layouts::of(&file).parts(), parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(Layouts::of(&file).identity(), Digest::of(b"one"));
        assert_eq!(Layouts::of(b"one").identity(), Digest::of(b"one"));
    }

    #[test]
    fn what_was_never_joined_or_is_torn_is_its_own_only_layout() {
        let file = join(&[b"one".to_vec(), b"two".to_vec()]);
        for cut in 0..file.len() {
            assert_eq!(Layouts::of(&file[..cut]).parts(), [&file[..cut]]);
        }
        let mut more = file.clone();
        more.extend(&file);
        assert_eq!(Layouts::of(&more).parts(), [&more[..]]);
        let mut lying = file.clone();
        let at = lying.len() - 12;
        lying[at..at + 4].copy_from_slice(&200_u32.to_le_bytes());
        assert_eq!(Layouts::of(&lying).parts().len(), 1);
    }

    #[test]
    fn padding_is_an_object_for_the_same_machine() {
        let mut like = vec![0_u8; 0x40];
        like[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        like[0x12] = 62;
        like[0x3a] = 64;
        for number in 0..MOST {
            let object = padding(number, &like).unwrap();
            let elf = Elf::read(&object).unwrap();
            assert_eq!(object[0x12], 62);
            let bytes = |name: &str| elf.section(name).map_or(0, |bytes| bytes.len() as u64);
            assert_eq!(bytes(".text"), STEP * u64::from(number % 4));
            assert_eq!(bytes(".text.unlikely"), STRIDE * u64::from(number) + bytes(".text"));
        }
        assert_eq!(padding(1, b"BC\xc0\xde"), None, "bitcode is no object");
    }
}
