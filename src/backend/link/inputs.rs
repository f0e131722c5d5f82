//! Inputs, written to shared memory once and unwritable from then on.

use std::io;

use super::super::contract::Argument;
use super::layout::{Layout, is_drawn};
use super::placement::Place;
use super::segment::{Poison, Segment};

/// Inputs as they are given, unwritable from now on.
pub(in crate::backend) fn stage(
    layout: &Layout,
    sets: &[Vec<Argument<'_>>],
) -> io::Result<Segment> {
    let mut inputs = Segment::create("optloop-inputs", layout.sizes.0.bytes)?;
    if is_drawn(sets) {
        inputs.open_view()?;
    }
    // Between inputs too, so that a kernel that reads there is wrong and not lucky.
    let between = Poison::fresh(layout.sizes.0.bytes)?;
    for (index, slot) in layout.slots.iter().enumerate() {
        if let (Some(place), _) = slot.places() {
            write_inputs(place, &Column { sets, index }, &mut inputs, &between)?;
        }
    }
    inputs.freeze()?;
    Ok(inputs)
}

/// Draws other inputs of the same layout in the place of those that lie there; what stands around
/// them stays. False where that cannot be done.
pub(super) fn redraw(
    layout: &Layout,
    sets: &[Vec<Argument<'_>>],
    inputs: &mut Segment,
) -> io::Result<bool> {
    if !inputs.is_open() {
        return Ok(false);
    }
    for (index, slot) in layout.slots.iter().enumerate() {
        let (Some(place), _) = slot.places() else { continue };
        for (number, set) in sets.iter().enumerate() {
            let extent = place.extent(number as u64).ok_or_else(unlike)?;
            let into = inputs.writable(extent.position(), extent.bytes).ok_or_else(unlike)?;
            match set.get(index) {
                Some(Argument::Drawn(draw) | Argument::DrawnInout(draw)) => draw.draw(into),
                Some(Argument::In(bytes) | Argument::Inout(bytes)) if bytes.len() == into.len() => {
                    into.copy_from_slice(bytes);
                }
                _ => return Err(unlike()),
            }
        }
    }
    Ok(true)
}

fn unlike() -> io::Error {
    let what = "a set's argument has another kind or length than the first set's";
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// One argument of all sets.
struct Column<'a> {
    sets: &'a [Vec<Argument<'a>>],
    /// Which, counted from 0.
    index: usize,
}

/// Writes an argument's buffers of all sets, a region at a time, with random bytes around them.
fn write_inputs(
    place: &Place,
    column: &Column<'_>,
    inputs: &mut Segment,
    between: &Poison,
) -> io::Result<()> {
    let mut region = Vec::new();
    for (number, shared) in column.sets.chunks(place.each as usize).enumerate() {
        let at = place.before(number as u64).ok_or_else(unlike)?.bytes;
        // A large buffer leaves little around it, and is written from where it is.
        let around = if place.each == 1 { place.start } else { place.region };
        region.resize(around as usize, 0);
        between.fill(at, &mut region);
        for (within, set) in shared.iter().enumerate() {
            let extent = place.extent(within as u64).ok_or_else(unlike)?;
            let argument = set.get(column.index).ok_or_else(unlike)?;
            if bytes_of(argument) != Some(extent.bytes) {
                return Err(unlike());
            }
            if place.each == 1 {
                match argument {
                    Argument::Drawn(draw) | Argument::DrawnInout(draw) => {
                        let into = inputs.writable(at + extent.start, extent.bytes);
                        draw.draw(into.ok_or_else(unlike)?);
                    }
                    Argument::In(bytes) | Argument::Inout(bytes) => {
                        inputs.write(at + extent.start, bytes)?;
                    }
                    _ => return Err(unlike()),
                }
                let end = extent.start + extent.bytes;
                let mut behind = vec![0; (place.region - end) as usize];
                between.fill(at + end, &mut behind);
                inputs.write(at + end, &behind)?;
            } else {
                let start = extent.start as usize;
                let into = &mut region[start..start + extent.bytes as usize];
                match argument {
                    Argument::Drawn(draw) | Argument::DrawnInout(draw) => draw.draw(into),
                    Argument::In(bytes) | Argument::Inout(bytes) => into.copy_from_slice(bytes),
                    _ => return Err(unlike()),
                }
            }
        }
        inputs.write(at, &region)?;
    }
    Ok(())
}

/// How long an input is; `None` for what is none.
fn bytes_of(argument: &Argument<'_>) -> Option<u64> {
    Some(match argument {
        Argument::In(bytes) | Argument::Inout(bytes) => bytes.len() as u64,
        Argument::Drawn(draw) | Argument::DrawnInout(draw) => draw.bytes() as u64,
        Argument::Out(_) | Argument::Scalar(_) => return None,
    })
}
