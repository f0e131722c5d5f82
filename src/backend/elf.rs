//! The tables of a 64-bit little-endian ELF file (System V ABI, chapters 4 and 5).
//!
//! The file may be the candidate's, so nothing in it is trusted: what does not fit is not there.

/// Sections that hold symbols.
const SYMTAB: u32 = 2;

/// A file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    sections: Table,
    /// Position of the section that holds the sections' names.
    names: u64,
}

/// A section's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) index: u64,
    pub(super) flags: u64,
    pub(super) alignment: u64,
    /// Where in the file its alignment is written.
    pub(super) alignment_at: u64,
    name: u64,
    kind: u32,
    at: u64,
    bytes: u64,
    link: u64,
}

/// A flag of sections with code in them.
pub(super) const EXECUTABLE: u64 = 4;

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a [u8],
    /// What it is: [`FUNC`], for one.
    pub(super) kind: u8,
    /// Its address.
    pub(super) value: u64,
    pub(super) bytes: u64,
    section: u64,
}

/// A function.
pub(super) const FUNC: u8 = 2;

/// A variable.
const OBJECT: u8 = 1;

impl<'a> Elf<'a> {
    /// A file of this kind.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let sections = Table {
            at: number(bytes, 0x28, 8)?,
            each: number(bytes, 0x3a, 2)?,
            count: number(bytes, 0x3c, 2)?,
        };
        Some(Self { bytes, sections, names: number(bytes, 0x3e, 2)? })
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = Section> {
        (0..self.sections.count).filter_map(|index| self.at(index))
    }

    fn at(&self, index: u64) -> Option<Section> {
        let start = self.sections.start(index)?;
        Section::read(self.sections.entry(self.bytes, index)?, index, start)
    }

    /// Whether a variable lies in a section.
    pub(super) fn has_data_in(&self, section: u64) -> bool {
        self.symbols().iter().any(|symbol| symbol.kind == OBJECT && symbol.section == section)
    }

    /// What is in the section of this name.
    pub(super) fn section(&self, name: &str) -> Option<&'a [u8]> {
        let names = self.at(self.names)?;
        let found = self.sections().find(|section| {
            text(self.bytes, names, section.name).is_some_and(|found| found == name.as_bytes())
        })?;
        let start = usize::try_from(found.at).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(found.bytes).ok()?)?)
    }

    /// All symbols, those that are not exported too.
    pub(super) fn symbols(&self) -> Vec<Symbol<'a>> {
        self.read_symbols().unwrap_or_default()
    }

    /// The function and how far into it `offset` lies, such as `scale+0x1a`.
    pub(super) fn function_at(&self, offset: u64) -> Option<String> {
        /// Names in C++ can be long.
        const MAX_NAME: usize = 120;
        let symbols = self.symbols();
        let mut functions = symbols.iter().filter(|symbol| symbol.kind == FUNC);
        let found = functions.find(|symbol| {
            offset.checked_sub(symbol.value).is_some_and(|into| into < symbol.bytes)
        })?;
        let name = String::from_utf8_lossy(&found.name[..found.name.len().min(MAX_NAME)]);
        Some(format!("{name}+{:#x}", offset - found.value))
    }

    fn read_symbols(&self) -> Option<Vec<Symbol<'a>>> {
        let symbols = self.sections().find(|section| section.kind == SYMTAB)?;
        let names = self.at(symbols.link)?;
        let table = Table { at: symbols.at, each: 24, count: symbols.bytes / 24 };
        let mut found = Vec::new();
        for index in 0..table.count {
            // Beyond the end of the file there are no more.
            let Some(entry) = table.entry(self.bytes, index) else { break };
            let name = number(entry, 0, 4).and_then(|name| text(self.bytes, names, name));
            found.push(Symbol {
                name: name.unwrap_or_default(),
                kind: entry.get(4)? & 0xf,
                section: number(entry, 6, 2)?,
                value: number(entry, 8, 8)?,
                bytes: number(entry, 16, 8)?,
            });
        }
        Some(found)
    }
}

/// The text that begins there in a section of texts.
fn text(bytes: &[u8], section: Section, offset: u64) -> Option<&[u8]> {
    let rest = bytes.get(usize::try_from(section.at.checked_add(offset)?).ok()?..)?;
    rest.get(..rest.iter().position(|&byte| byte == 0)?)
}

#[derive(Debug, Clone, Copy)]
struct Table {
    at: u64,
    each: u64,
    count: u64,
}

impl Table {
    fn start(&self, index: u64) -> Option<u64> {
        self.at.checked_add(self.each.checked_mul(index)?)
    }

    fn entry<'a>(&self, object: &'a [u8], index: u64) -> Option<&'a [u8]> {
        let start = self.start(index)?;
        let end = start.checked_add(self.each)?;
        object.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

impl Section {
    fn read(entry: &[u8], index: u64, start: u64) -> Option<Self> {
        Some(Self {
            index,
            flags: number(entry, 8, 8)?,
            alignment: number(entry, 48, 8)?,
            alignment_at: start.checked_add(48)?,
            name: number(entry, 0, 4)?,
            kind: number(entry, 4, 4)? as u32,
            at: number(entry, 24, 8)?,
            bytes: number(entry, 32, 8)?,
            link: number(entry, 40, 4)?,
        })
    }
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with one function, `f`, of 16 bytes at 0x1000.
    pub(in crate::backend) fn object() -> Vec<u8> {
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
        put(0xc0 + 4, &2_u32.to_le_bytes());
        put(0xc0 + 24, &0x100_u64.to_le_bytes());
        put(0xc0 + 32, &24_u64.to_le_bytes());
        put(0x100, &1_u32.to_le_bytes());
        put(0x104, &[FUNC]);
        put(0x108, &0x1000_u64.to_le_bytes());
        put(0x110, &16_u64.to_le_bytes());
        file
    }

    fn function_at(object: &[u8], offset: u64) -> Option<String> {
        Elf::read(object)?.function_at(offset)
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
