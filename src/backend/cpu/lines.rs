//! Which source lines an address of a built kernel comes from, by the debugging information in it
//! (DWARF, as `-g` leaves it).
//!
//! Read here and not by the sanitizer's own means: these would have to read files, or start a
//! program, inside the sandbox.

use std::fmt::Write as _;

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use addr2line::{Context, Frame};

use super::super::elf::Elf;
use super::assembly::plain_name;

type Text<'a> = EndianSlice<'a, LittleEndian>;

/// Inlined functions that are told at one address; nobody nests more, but the file may say so.
const MOST: usize = 16;

/// A report of a sanitizer with its frames in `object` named: `#0 0x7f10 (/s/kernel.so+0x26b1)`
/// becomes `#0 0x7f10 in scale k.c:12`, with a line for each function that was inlined there.
/// `path` is what the sanitizer calls the object.
pub fn named(report: &str, path: &str, object: &[u8]) -> String {
    let lines = Lines::read(object);
    let mut text = String::with_capacity(report.len());
    for line in report.split_inclusive('\n') {
        let frames = lines.as_ref().and_then(|lines| lines.frames(line, path));
        text += frames.as_deref().unwrap_or(line);
    }
    text
}

struct Lines<'a> {
    context: Context<Text<'a>>,
}

impl<'a> Lines<'a> {
    /// Those of an object with debugging information.
    fn read(object: &'a [u8]) -> Option<Self> {
        let elf = Elf::read(object)?;
        elf.section(SectionId::DebugInfo.name())?;
        let section = |id: SectionId| {
            let bytes = elf.section(id.name()).unwrap_or_default();
            Ok::<_, addr2line::gimli::Error>(EndianSlice::new(bytes, LittleEndian))
        };
        let dwarf = Dwarf::load(section).ok()?;
        Some(Self { context: Context::from_dwarf(dwarf).ok()? })
    }

    /// The line of a frame in `path`, written anew; nothing for any other line.
    fn frames(&self, line: &str, path: &str) -> Option<String> {
        let (head, rest) = line.split_once('(')?;
        let (found, rest) = rest.split_once("+0x")?;
        if !head.trim_start().starts_with('#') || head.contains(" in ") || found != path {
            return None;
        }
        let digits = rest.find(|c: char| !c.is_ascii_hexdigit())?;
        let address = u64::from_str_radix(&rest[..digits], 16).ok()?;
        let mut text = String::new();
        let mut frames = self.context.find_frames(address).skip_all_loads().ok()?;
        for _ in 0..MOST {
            let Ok(Some(frame)) = frames.next() else { break };
            if let Some(place) = place(&frame) {
                let _infallible = writeln!(text, "{} {place}", head.trim_end());
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// `in scale k.c:12`.
fn place(frame: &Frame<'_, Text<'_>>) -> Option<String> {
    let location = frame.location.as_ref()?;
    let (file, line) = (location.file?, location.line.filter(|&line| line > 0)?);
    // Folders are mapped to `.`; what stands before that is where the build happened.
    let file = file.rsplit("/./").next().unwrap_or(file);
    let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
    let name = name.map_or_else(|| "?".to_owned(), |name| plain_name(&name));
    Some(format!("in {name} {file}:{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_of_the_object_stays_as_it_is() {
        let report = "\
==1==ERROR: AddressSanitizer: SEGV (pc 0x7f)
    #0 0x7f10  (/s/kernel.so+0x26b1)
    #1 0x7f11 in main m.c:3
";
        assert_eq!(named(report, "/s/kernel.so", b"no object"), report);
        for cut in [0, 16, 64, 4096] {
            let own = std::fs::read("/proc/self/exe").unwrap();
            assert_eq!(named(report, "/s/other.so", &own[..cut]), report);
        }
    }

    #[test]
    fn a_torn_or_lying_object_names_nothing_and_does_no_harm() {
        let report = "    #0 0x7f10  (/k.so+0x1008)\n";
        let mut object = vec![0_u8; 0x200];
        object[..6].copy_from_slice(b"\x7fELF\x02\x01");
        object[0x28] = 0x40;
        object[0x3a] = 64;
        object[0x3c] = 6;
        for at in 0x28..object.len() {
            let mut lying = object.clone();
            lying[at] = 0xff;
            assert_eq!(named(report, "/k.so", &lying), report);
        }
    }
}
