//! Where a kernel crashed, in words: relative to its buffers and in its code.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::super::elf::Elf;
use super::control::{ACCESS_EXECUTE, ACCESS_READ, ACCESS_WRITE, Control, Crash, PlacesLine};
use super::layout::Layout;
use super::placement::Place;

/// Below this nothing is ever mapped.
const NULL_PAGES: u64 = 64 * 1024;

/// A stack that has grown into its limit faults within so much of it: large frames skip bytes.
const STACK_REACH: u64 = 8 << 20;

/// Guard pages belong to what lies beside them; farther off an address says nothing of a buffer.
const NEAR: u64 = 4096;

/// The words for the recorded crash; empty when none was recorded.
pub(super) fn describe(control: &Control, signal: i32, case: &Case<'_>) -> String {
    let Some(crash) = control.crash.read().filter(|crash| crash.signal == signal) else {
        return String::new();
    };
    let places = Places::read(&control.places);
    let data = (crash.address != 0 || crash.access != 0).then(|| data(&crash, &places, case));
    let code = code(&crash, &places, case.library);
    let parts: Vec<String> = data.flatten().into_iter().chain(code).collect();
    parts.join(", ")
}

/// What was going on.
pub(super) struct Case<'a> {
    pub(super) layout: Option<&'a Layout>,
    pub(super) library: &'a Path,
    pub(super) page: usize,
}

struct Places {
    inputs: u64,
    outputs: u64,
    object: u64,
    stack: u64,
}

impl Places {
    fn read(line: &PlacesLine) -> Self {
        Self {
            inputs: line.inputs.load(Relaxed),
            outputs: line.outputs.load(Relaxed),
            object: line.object.load(Relaxed),
            stack: line.stack.load(Relaxed),
        }
    }
}

/// What was accessed.
fn data(crash: &Crash, places: &Places, case: &Case<'_>) -> Option<String> {
    let verb = match crash.access {
        ACCESS_READ => "reading",
        ACCESS_WRITE => "writing",
        ACCESS_EXECUTE => "jumping to",
        _ => "accessing",
    };
    let address = crash.address;
    let from_limit = address.wrapping_sub(places.stack);
    if places.stack != 0 && (from_limit < NEAR || from_limit.wrapping_neg() < STACK_REACH) {
        return Some("stack overflow".to_owned());
    }
    if let Some(found) = case.layout.and_then(|layout| near_buffer(address, places, layout, case)) {
        return Some(format!("{verb} {found}"));
    }
    match address {
        // What cannot be an address at all arrives as 0 and is not told apart from a null pointer.
        0 if crash.access == 0 => None,
        0..NULL_PAGES => Some(format!("{verb} address {address:#x}, a null pointer")),
        _ => Some(format!("{verb} address {address:#x}, far from every buffer")),
    }
}

fn near_buffer(address: u64, places: &Places, layout: &Layout, case: &Case<'_>) -> Option<String> {
    let inputs = layout.buffers.iter().filter_map(|b| Some((b.argument, b.input?)));
    let outputs = layout.buffers.iter().filter_map(|b| Some((b.argument, b.output?)));
    let segments = [
        (places.inputs, layout.sizes.0, inputs.collect::<Vec<_>>()),
        (places.outputs, layout.sizes.1, outputs.collect()),
    ];
    segments.into_iter().find_map(|(base, size, buffers)| {
        let at = address.checked_sub(base).filter(|_| base != 0)?;
        if at >= size.mapped(case.page)? {
            return None;
        }
        // The guard page behind a region is the one before the next: behind is likelier.
        let sought = Sought { at, sets: layout.sets.into(), page: case.page as u64 };
        let behind =
            buffers.iter().find_map(|(argument, place)| sought.in_or_behind(*argument, place));
        behind.or_else(|| {
            buffers.iter().find_map(|(argument, place)| sought.before(*argument, place))
        })
    })
}

/// An address in a mapped segment, counted from its first guard page.
struct Sought {
    at: u64,
    sets: u64,
    page: u64,
}

impl Sought {
    /// Relative to the buffer of `place` that it lies in or behind, in its region or on the guard
    /// page behind that.
    fn in_or_behind(&self, argument: usize, place: &Place) -> Option<String> {
        let first = place.before(0)?.mapped(self.page as usize)?;
        let from_first = self.at.checked_sub(first)?;
        let (region, inside) = self.split(from_first, place);
        if region >= place.regions(self.sets) {
            return None;
        }
        // Buffers of a region follow each other towards its beginning.
        let within = place.start.saturating_sub(inside).div_ceil(place.pitch.max(1));
        let set = region * place.each + within;
        let extent = place.extent(set).filter(|_| within < place.each && set < self.sets)?;
        let into = inside.checked_sub(extent.start)?;
        let place = match into.checked_sub(extent.bytes) {
            Some(0) => format!("just behind argument {argument}"),
            Some(bytes) => format!("{bytes} bytes behind argument {argument}"),
            None => format!("byte {into} of argument {argument}, which is only read,"),
        };
        Some(format!("{place} in launch set {set}"))
    }

    /// Relative to the lowest buffer of the region that it lies before.
    fn before(&self, argument: usize, place: &Place) -> Option<String> {
        let first = place.before(0)?.mapped(self.page as usize)?;
        // The guard page before the first region belongs to it too.
        let (region, inside) =
            self.split(self.at.checked_add(self.page)?.checked_sub(first)?, place);
        let set = (region * place.each + place.each - 1).min(self.sets.checked_sub(1)?);
        let extent = place.extent(set).filter(|_| region < place.regions(self.sets))?;
        let below = (extent.start + self.page).checked_sub(inside).filter(|&below| below > 0)?;
        let bytes = if below == 1 { "byte" } else { "bytes" };
        Some(format!("{below} {bytes} before argument {argument} in launch set {set}"))
    }

    /// Which region with its guard page, and how far into it.
    fn split(&self, from_first: u64, place: &Place) -> (u64, u64) {
        let each = place.region + self.page;
        (from_first / each, from_first % each)
    }
}

/// Which instruction it was.
fn code(crash: &Crash, places: &Places, library: &Path) -> Option<String> {
    /// No kernel is larger.
    const MAX_OBJECT: u64 = 1 << 30;
    let offset = crash.instruction.checked_sub(places.object).filter(|_| places.object != 0)?;
    if offset >= MAX_OBJECT {
        return None;
    }
    let object = std::fs::read(library).ok()?;
    match Elf::read(&object).and_then(|elf| elf.function_at(offset)) {
        Some(function) => Some(format!("at {function}, offset {offset:#x} of the kernel")),
        None if offset < object.len() as u64 + NEAR => {
            Some(format!("at offset {offset:#x} of the kernel"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contract::Argument;
    use super::*;

    const PAGE: u64 = 4096;
    const INPUTS: u64 = 0x10_0000;
    const OUTPUTS: u64 = 0x20_0000;
    const STACK: u64 = 0x7f00_0000_0000;

    fn words(access: u32, address: u64) -> String {
        let set = vec![Argument::In(&[0; 4096]), Argument::Out(100), Argument::Out(4096)];
        let layout = Layout::of(&[set.clone(), set], 4096).unwrap();
        let places = Places { inputs: INPUTS, outputs: OUTPUTS, object: 0, stack: STACK };
        let crash = Crash { signal: 11, access, address, instruction: 0 };
        let case = Case { layout: Some(&layout), library: Path::new("/nowhere"), page: 4096 };
        data(&crash, &places, &case).unwrap_or_default()
    }

    #[test]
    fn an_address_is_told_relative_to_the_nearest_buffer() {
        // Outputs: guard, argument 2 (at 3968 of its page), guard, argument 2 of the next set, guard,
        // argument 3, guard, argument 3 of the next set, guard.
        for (access, address, expected) in [
            (ACCESS_READ, INPUTS + 2 * PAGE, "reading just behind argument 1 in launch set 0"),
            (
                ACCESS_READ,
                INPUTS + 4 * PAGE + 8,
                "reading 8 bytes behind argument 1 in launch set 1",
            ),
            (
                ACCESS_WRITE,
                INPUTS + PAGE + 4,
                "writing byte 4 of argument 1, which is only read, in launch set 0",
            ),
            (ACCESS_READ, INPUTS + PAGE - 1, "reading 1 byte before argument 1 in launch set 0"),
            (
                ACCESS_WRITE,
                OUTPUTS + 2 * PAGE,
                "writing 28 bytes behind argument 2 in launch set 0",
            ),
            (
                ACCESS_WRITE,
                OUTPUTS + 4 * PAGE,
                "writing 28 bytes behind argument 2 in launch set 1",
            ),
            (ACCESS_WRITE, OUTPUTS + 6 * PAGE, "writing just behind argument 3 in launch set 0"),
            (ACCESS_WRITE, OUTPUTS + 8 * PAGE, "writing just behind argument 3 in launch set 1"),
            (ACCESS_WRITE, OUTPUTS + 1, "writing 8063 bytes before argument 2 in launch set 0"),
            (ACCESS_WRITE, 8, "writing address 0x8, a null pointer"),
            (ACCESS_EXECUTE, 0, "jumping to address 0x0, a null pointer"),
            (0, 0x5_0000_0000, "accessing address 0x500000000, far from every buffer"),
            (ACCESS_WRITE, STACK - 8, "stack overflow"),
            (ACCESS_WRITE, STACK + 8, "stack overflow"),
        ] {
            let found = words(access, address);
            assert!(found.starts_with(expected), "{address:#x}: {found}, not {expected}");
        }
        assert_eq!(words(0, 0), "");
    }
}
