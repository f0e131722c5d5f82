//! Which function of a built kernel an address lies in.
//!
//! Reads the symbol table of a 64-bit little-endian ELF file (System V ABI, chapters 4 and 5). The
//! file is the candidate's, so nothing in it is trusted: what does not fit gives no name.

const SYMTAB: u32 = 2;
const FUNC: u8 = 2;

/// The function and how far into it `offset` lies, such as `scale+0x1a`.
pub(super) fn function_at(object: &[u8], offset: u64) -> Option<String> {
    if object.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let sections = Table {
        at: number(object, 0x28, 8)?,
        each: number(object, 0x3a, 2)?,
        count: number(object, 0x3c, 2)?,
    };
    let symbols = (0..sections.count)
        .filter_map(|index| Section::read(sections.entry(object, index)?))
        .find(|section| section.kind == SYMTAB)?;
    let names = Section::read(sections.entry(object, symbols.link)?)?;
    let table = Table { at: symbols.at, each: 24, count: symbols.bytes / 24 };
    let functions = (0..table.count).filter_map(|index| Symbol::read(table.entry(object, index)?));
    let found = functions
        .filter(|symbol| symbol.kind == FUNC)
        .find(|symbol| offset.checked_sub(symbol.value).is_some_and(|into| into < symbol.bytes))?;
    let name = object.get(usize::try_from(names.at.checked_add(found.name)?).ok()?..)?;
    let end = name.iter().position(|&byte| byte == 0)?;
    let name = String::from_utf8_lossy(&name[..end.min(MAX_NAME)]);
    Some(format!("{name}+{:#x}", offset - found.value))
}

/// Names in C++ can be long.
const MAX_NAME: usize = 120;

struct Table {
    at: u64,
    each: u64,
    count: u64,
}

impl Table {
    fn entry<'a>(&self, object: &'a [u8], index: u64) -> Option<&'a [u8]> {
        let start = self.at.checked_add(self.each.checked_mul(index)?)?;
        let end = start.checked_add(self.each)?;
        object.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

struct Section {
    kind: u32,
    at: u64,
    bytes: u64,
    link: u64,
}

impl Section {
    fn read(entry: &[u8]) -> Option<Self> {
        Some(Self {
            kind: number(entry, 4, 4)? as u32,
            at: number(entry, 24, 8)?,
            bytes: number(entry, 32, 8)?,
            link: number(entry, 40, 4)?,
        })
    }
}

struct Symbol {
    name: u64,
    kind: u8,
    value: u64,
    bytes: u64,
}

impl Symbol {
    fn read(entry: &[u8]) -> Option<Self> {
        Some(Self {
            name: number(entry, 0, 4)?,
            kind: entry.get(4)? & 0xf,
            value: number(entry, 8, 8)?,
            bytes: number(entry, 16, 8)?,
        })
    }
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one function, `f`, of 16 bytes at 0x1000.
    fn object() -> Vec<u8> {
        let mut file = vec![0; 0x40];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut put = |at: usize, bytes: &[u8]| {
            if file.len() < at + bytes.len() {
                file.resize(at + bytes.len(), 0);
            }
            file[at..at + bytes.len()].copy_from_slice(bytes);
        };
        // Two sections at 0x80: names, symbols.
        put(0x28, &0x80_u64.to_le_bytes());
        put(0x3a, &64_u16.to_le_bytes());
        put(0x3c, &2_u16.to_le_bytes());
        put(0x80 + 24, &0x40_u64.to_le_bytes());
        put(0x40, b"\0f\0");
        put(0xc0 + 4, &SYMTAB.to_le_bytes());
        put(0xc0 + 24, &0x100_u64.to_le_bytes());
        put(0xc0 + 32, &24_u64.to_le_bytes());
        put(0x100, &1_u32.to_le_bytes());
        put(0x104, &[FUNC]);
        put(0x108, &0x1000_u64.to_le_bytes());
        put(0x110, &16_u64.to_le_bytes());
        file
    }

    #[test]
    fn an_address_is_found_in_its_function() {
        let object = object();
        for (offset, expected) in
            [(0x1000, Some("f+0x0")), (0x100f, Some("f+0xf")), (0x1010, None), (0xfff, None)]
        {
            assert_eq!(function_at(&object, offset).as_deref(), expected, "{offset:#x}");
        }
    }

    #[test]
    fn a_torn_or_lying_file_gives_no_name_and_no_panic() {
        let whole = object();
        for cut in 0..whole.len() {
            let _name = function_at(&whole[..cut], 0x1008);
            let mut lying = whole.clone();
            lying[cut] = 0xff;
            let _name = function_at(&lying, 0x1008);
        }
        assert_eq!(function_at(b"#!/bin/sh", 0), None);
    }
}
