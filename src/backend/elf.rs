//! What a 64-bit little-endian ELF file says of itself, as far as kernels' files are asked.
//!
//! The file may be the candidate's, so nothing in it is trusted: what does not fit is not there.

use object::LittleEndian;
use object::elf::{FileHeader64, SHT_SYMTAB, STT_FUNC, STT_OBJECT};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym};

/// Names in C++ can be long.
const MAX_NAME: usize = 120;

/// A flag of sections with code in them (`SHF_EXECINSTR`).
const EXECUTABLE: u64 = 4;

/// Where in a section's header its alignment stands.
const ALIGNMENT_AT: u64 = 48;

type Header = FileHeader64<LittleEndian>;

/// A file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    sections: SectionTable<'a, Header>,
}

/// A section's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) index: u64,
    /// It has code in it.
    pub(super) is_code: bool,
    pub(super) alignment: u64,
    /// Where in the file its alignment is written.
    pub(super) alignment_at: u64,
}

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
pub(super) const FUNC: u8 = STT_FUNC.0;

impl<'a> Elf<'a> {
    /// A file of this kind.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let header = Header::parse(bytes).ok()?;
        header.endian().ok()?;
        let sections = header.sections(LittleEndian, bytes).ok()?;
        Some(Self { bytes, header, sections })
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = Section> {
        let (first, each) = (
            self.header.e_shoff(LittleEndian),
            size_of::<<Header as FileHeader>::SectionHeader>() as u64,
        );
        self.sections.iter().zip(0_u64..).map(move |(section, index)| Section {
            index,
            is_code: section.sh_flags(LittleEndian).0 & EXECUTABLE != 0,
            alignment: section.sh_addralign(LittleEndian),
            // The whole table lies in the file.
            alignment_at: first + index * each + ALIGNMENT_AT,
        })
    }

    /// Whether a variable lies in a section.
    pub(super) fn has_data_in(&self, section: u64) -> bool {
        self.symbols().iter().any(|symbol| symbol.kind == STT_OBJECT.0 && symbol.section == section)
    }

    /// What is in the section of this name.
    pub(super) fn section(&self, name: &str) -> Option<&'a [u8]> {
        let (_, section) = self.sections.section_by_name(LittleEndian, name.as_bytes())?;
        section.data(LittleEndian, self.bytes).ok()
    }

    /// All symbols, those that are not exported too.
    pub(super) fn symbols(&self) -> Vec<Symbol<'a>> {
        let Ok(table) = self.sections.symbols(LittleEndian, self.bytes, SHT_SYMTAB) else {
            return Vec::new();
        };
        let symbol = |symbol: &'a <Header as FileHeader>::Sym| Symbol {
            name: table.symbol_name(LittleEndian, symbol).unwrap_or_default(),
            kind: symbol.st_type().0,
            section: symbol.st_shndx(LittleEndian).0.into(),
            value: symbol.st_value(LittleEndian),
            bytes: symbol.st_size(LittleEndian),
        };
        table.iter().map(symbol).collect()
    }

    /// The function and how far into it `offset` lies, such as `scale+0x1a`.
    pub(super) fn function_at(&self, offset: u64) -> Option<String> {
        let symbols = self.symbols();
        let mut functions = symbols.iter().filter(|symbol| symbol.kind == FUNC);
        let found = functions.find(|symbol| {
            offset.checked_sub(symbol.value).is_some_and(|into| into < symbol.bytes)
        })?;
        let name = String::from_utf8_lossy(&found.name[..found.name.len().min(MAX_NAME)]);
        Some(format!("{name}+{:#x}", offset - found.value))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with one function, `f`, of 16 bytes at 0x1000.
    pub(in crate::backend) fn object() -> Vec<u8> {
        let mut file = vec![0; 0x158];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        // Three sections at 0x80: none, names, symbols.
        put(0x28, &0x80_u64.to_le_bytes());
        put(0x3a, &64_u16.to_le_bytes());
        put(0x3c, &3_u16.to_le_bytes());
        put(0x3e, &1_u16.to_le_bytes());
        put(0x40, b"\0f\0");
        put(0xc0 + 4, &3_u32.to_le_bytes());
        put(0xc0 + 24, &0x40_u64.to_le_bytes());
        put(0xc0 + 32, &3_u64.to_le_bytes());
        put(0x100 + 4, &2_u32.to_le_bytes());
        put(0x100 + 24, &0x140_u64.to_le_bytes());
        put(0x100 + 32, &24_u64.to_le_bytes());
        put(0x100 + 40, &1_u32.to_le_bytes());
        put(0x140, &1_u32.to_le_bytes());
        put(0x144, &[FUNC]);
        put(0x148, &0x1000_u64.to_le_bytes());
        put(0x150, &16_u64.to_le_bytes());
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
        let look = |bytes: &[u8]| {
            let Some(elf) = Elf::read(bytes) else { return };
            let _name = elf.function_at(0x1008);
            let _sections = (elf.sections().count(), elf.section(".text"), elf.has_data_in(1));
        };
        for cut in 0..whole.len() {
            look(&whole[..cut]);
            for byte in [0xff, 0x7f, 1] {
                let mut lying = whole.clone();
                lying[cut] = byte;
                look(&lying);
            }
        }
        assert_eq!(function_at(b"#!/bin/sh", 0), None);
    }
}
