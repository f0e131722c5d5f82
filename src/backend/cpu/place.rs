//! Where a kernel crashed, in words: relative to its buffers and in its code.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::super::control::{
    ACCESS_EXECUTE, ACCESS_READ, ACCESS_WRITE, Control, Crash, PlacesLine,
};
use super::super::protocol::Extent;
use super::staging::Layout;
use super::symbols;

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
    let (inputs, outputs): (Vec<_>, Vec<_>) = (inputs.collect(), outputs.collect());
    let segments =
        [(places.inputs, layout.strides.0, inputs), (places.outputs, layout.strides.1, outputs)];
    segments.into_iter().find_map(|(base, stride, buffers)| {
        let at = address.checked_sub(base).filter(|_| base != 0)?;
        let all = stride.times(layout.sets.into())?.mapped(case.page)?;
        if at >= all || stride.regions == 0 {
            return None;
        }
        let each = stride.bytes + stride.regions * case.page as u64;
        // The guard page behind a set's last buffer is the one before the next set's first.
        let of_set = |set: u64| {
            let shift = stride.times(set)?;
            let found = buffers.iter().find_map(|(argument, extent)| {
                beside(at, *argument, &extent.shifted(shift), case.page)
            })?;
            Some(format!("{found} in launch set {set}"))
        };
        let set = at / each;
        set.checked_sub(1).and_then(of_set).or_else(|| of_set(set))
    })
}

/// Where an address lies in relation to a buffer, its region and the guard page behind it; the
/// one before it only for the first bytes below the region.
fn beside(at: u64, argument: usize, extent: &Extent, page: usize) -> Option<String> {
    let region = extent.mapped(page)?;
    let start = region + extent.start;
    let end = start + extent.bytes;
    let near = at >= region && at < region + extent.region + NEAR;
    if near && at >= end {
        return Some(match at - end {
            0 => format!("just behind argument {argument}"),
            bytes => format!("{bytes} bytes behind argument {argument}"),
        });
    }
    if near && at >= start {
        return Some(format!("byte {} of argument {argument}, which is only read", at - start));
    }
    let below = start.checked_sub(at).filter(|_| at < start && at + NEAR >= region)?;
    Some(format!("{below} bytes before argument {argument}"))
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
    match symbols::function_at(&object, offset) {
        Some(function) => Some(format!("at {function}, offset {offset:#x} of the kernel")),
        None if offset < object.len() as u64 + NEAR => {
            Some(format!("at offset {offset:#x} of the kernel"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Argument;
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
        // Outputs: guard, argument 2 (at 3968 of its page), guard, argument 3, guard, next set.
        for (access, address, expected) in [
            (ACCESS_READ, INPUTS + 2 * PAGE, "reading just behind argument 1 in launch set 0"),
            (
                ACCESS_READ,
                INPUTS + 2 * PAGE + 8,
                "reading 8 bytes behind argument 1 in launch set 0",
            ),
            (ACCESS_WRITE, INPUTS + PAGE + 4, "writing byte 4 of argument 1, which is only read"),
            (ACCESS_READ, INPUTS + PAGE - 1, "reading 1 bytes before argument 1 in launch set 0"),
            (
                ACCESS_WRITE,
                OUTPUTS + 2 * PAGE,
                "writing 28 bytes behind argument 2 in launch set 0",
            ),
            (ACCESS_WRITE, OUTPUTS + 4 * PAGE, "writing just behind argument 3 in launch set 0"),
            (ACCESS_WRITE, OUTPUTS + 8 * PAGE, "writing just behind argument 3 in launch set 1"),
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
