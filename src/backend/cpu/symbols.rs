//! Which function of a built kernel an address lies in.
//!
//! The file is the candidate's, so nothing in it is trusted: what does not fit gives no name.

use std::ops::Range;

use super::assembly::plain_name;
use super::elf::{Elf, FUNC};

/// The function and how far into it `offset` lies, such as `scale+0x1a`.
pub(super) fn function_at(object: &[u8], offset: u64) -> Option<String> {
    let symbols = Elf::read(object)?.symbols();
    let mut functions = symbols.iter().filter(|symbol| symbol.kind == FUNC);
    let found = functions
        .find(|symbol| offset.checked_sub(symbol.value).is_some_and(|into| into < symbol.bytes))?;
    let name = String::from_utf8_lossy(&found.name[..found.name.len().min(MAX_NAME)]);
    Some(format!("{name}+{:#x}", offset - found.value))
}

/// Where the function that the sources call `entry` lies.
pub fn function(object: &[u8], entry: &str) -> Option<Range<u64>> {
    let symbols = Elf::read(object)?.symbols();
    let found = symbols.iter().filter(|symbol| symbol.kind == FUNC).find(|symbol| {
        let name = plain_name(&String::from_utf8_lossy(symbol.name));
        name.rsplit("::").next() == Some(entry)
    })?;
    Some(found.value..found.value.checked_add(found.bytes)?)
}

/// Names in C++ can be long.
const MAX_NAME: usize = 120;

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
        put(0xc0 + 4, &2_u32.to_le_bytes());
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
        assert_eq!(function(&object, "f"), Some(0x1000..0x1010));
        assert_eq!(function(&object, "g"), None);
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
