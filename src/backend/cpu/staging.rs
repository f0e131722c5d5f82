//! Where the buffers of a case's sets lie in shared memory, and what stands there before and after
//! a launch.

use std::io;

use super::super::protocol::{Extent, Slot, Stride};
use super::super::{Argument, Fault, MAX_BUFFERS};
use super::flush::{self, View};
use super::segment::{Poison, Segment};

/// A buffer of the first set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer {
    /// Which argument, counted from 1.
    pub(super) argument: usize,
    pub(super) input: Option<Extent>,
    pub(super) output: Option<Extent>,
}

/// Where everything lies.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) slots: Vec<Slot>,
    pub(super) buffers: Vec<Buffer>,
    /// From one set to the next, in inputs and in outputs.
    pub(super) strides: (Stride, Stride),
    pub(super) sets: u32,
}

impl Layout {
    pub(super) fn of(sets: &[Vec<Argument<'_>>], page: usize) -> Result<Self, Fault> {
        let infrastructure = |what: String| Fault::Infrastructure { what };
        let first =
            sets.first().ok_or_else(|| infrastructure("there is nothing to load".into()))?;
        let mut layout = Self { sets: sets.len() as u32, ..Self::default() };
        for argument in first {
            layout.add(argument, page).ok_or_else(too_large)?;
        }
        let each = layout.strides.0.regions + layout.strides.1.regions;
        let buffers = each.checked_mul(sets.len() as u64).ok_or_else(too_large)?;
        if buffers > MAX_BUFFERS as u64 {
            let what = format!("{buffers} buffers at a time; there may be {MAX_BUFFERS}");
            return Err(infrastructure(what));
        }
        Ok(layout)
    }

    fn add(&mut self, argument: &Argument<'_>, page: usize) -> Option<()> {
        let place = |end: &mut Stride, bytes: usize| {
            let extent = Extent::place(*end, bytes, page)?;
            *end = extent.end();
            Some(extent)
        };
        let (inputs, outputs) = (&mut self.strides.0, &mut self.strides.1);
        let slot = match argument {
            Argument::Scalar(bytes) => Slot::Scalar(bytes.to_vec()),
            Argument::In(bytes) => Slot::In(place(inputs, bytes.len())?),
            Argument::Out(bytes) => Slot::Out(place(outputs, *bytes)?),
            Argument::Inout(bytes) => {
                Slot::Inout(place(inputs, bytes.len())?, place(outputs, bytes.len())?)
            }
        };
        let (input, output) = match slot {
            Slot::Scalar(_) => (None, None),
            Slot::In(extent) => (Some(extent), None),
            Slot::Out(extent) => (None, Some(extent)),
            Slot::Inout(from, to) => (Some(from), Some(to)),
        };
        if input.is_some() || output.is_some() {
            self.buffers.push(Buffer { argument: self.slots.len() + 1, input, output });
        }
        self.slots.push(slot);
        Some(())
    }

    /// How far a set's inputs and outputs lie behind the first set's.
    pub(super) fn shift(&self, set: u32) -> Option<(Stride, Stride)> {
        let set = u64::from(set);
        Some((self.strides.0.times(set)?, self.strides.1.times(set)?))
    }
}

fn too_large() -> Fault {
    Fault::Infrastructure { what: "a buffer is larger than the address space".into() }
}

/// The shared memory of one case.
pub(super) struct Memory {
    pub(super) layout: Layout,
    pub(super) inputs: Segment,
    pub(super) outputs: Segment,
    poison: Poison,
    /// Mapped once caches are to be cold.
    views: Option<(View, View)>,
}

impl Memory {
    /// Inputs as they are given and unwritable from now on, outputs full of random bytes.
    pub(super) fn stage(layout: Layout, sets: &[Vec<Argument<'_>>]) -> io::Result<Self> {
        let count = u64::from(layout.sets);
        let length = |stride: Stride| {
            let all = stride.times(count).ok_or(io::ErrorKind::OutOfMemory)?;
            io::Result::Ok(all.bytes)
        };
        let inputs = Segment::create("optloop-inputs", length(layout.strides.0)?)?;
        for (index, set) in sets.iter().enumerate() {
            write_inputs(&layout, index as u32, set, &inputs)?;
        }
        inputs.freeze()?;
        let outputs = Segment::create("optloop-outputs", length(layout.strides.1)?)?;
        outputs.fix()?;
        let poison = outputs.poison()?;
        Ok(Self { layout, inputs, outputs, poison, views: None })
    }

    /// Drops the buffers of these sets from all caches.
    pub(super) fn flush(&mut self, first: u32, count: u32) -> io::Result<()> {
        let views = match self.views.take() {
            Some(views) => views,
            None => (View::map(&self.inputs)?, View::map(&self.outputs)?),
        };
        for set in first..first.saturating_add(count) {
            let Some(shift) = self.layout.shift(set) else { continue };
            for buffer in &self.layout.buffers {
                // What an output is restored from is not the launch's.
                if let Some(output) = &buffer.output {
                    views.1.flush(&output.shifted(shift.1));
                } else if let Some(input) = &buffer.input {
                    views.0.flush(&input.shifted(shift.0));
                }
            }
        }
        flush::settle();
        self.views = Some(views);
        Ok(())
    }

    /// What a set's outputs hold now; `into` is made to fit.
    pub(super) fn read(&self, set: u32, into: &mut Vec<Vec<u8>>) -> io::Result<()> {
        into.resize_with(self.outputs_of(set).count(), Vec::new);
        for ((_, extent), bytes) in self.outputs_of(set).zip(into) {
            self.outputs.read(&extent, bytes)?;
        }
        Ok(())
    }

    fn outputs_of(&self, set: u32) -> impl Iterator<Item = (usize, Extent)> {
        let shift = self.layout.shift(set).unwrap_or_default().1;
        self.layout
            .buffers
            .iter()
            .filter_map(move |buffer| Some((buffer.argument, buffer.output?.shifted(shift))))
    }

    /// What was written beside a set's outputs, in words.
    pub(super) fn stray(&self, set: u32) -> io::Result<Option<String>> {
        for (argument, extent) in self.outputs_of(set) {
            let behind = extent.start + extent.bytes;
            let before = self.outputs.changes(&self.poison, extent.before.bytes, extent.start)?;
            if before.count > 0 {
                let gap = extent.start - 1 - before.last;
                return Ok(Some(stray(before.count, gap, ("before", argument, set))));
            }
            let at = extent.before.bytes + behind;
            let after = self.outputs.changes(&self.poison, at, extent.region - behind)?;
            if let Some(gap) = after.first {
                return Ok(Some(stray(after.count, gap, ("behind", argument, set))));
            }
        }
        Ok(None)
    }
}

/// `gap` is how far from the buffer the nearest changed byte is.
fn stray(count: u64, gap: u64, (side, argument, set): (&str, usize, u32)) -> String {
    let bytes = |count: u64| if count == 1 { "byte" } else { "bytes" };
    let what = bytes(count);
    match gap {
        0 => format!("{count} {what} just {side} argument {argument} in launch set {set}"),
        _ => format!(
            "{count} {what} {side} argument {argument} in launch set {set}, {gap} {} off",
            bytes(gap)
        ),
    }
}

fn write_inputs(
    layout: &Layout,
    index: u32,
    set: &[Argument<'_>],
    inputs: &Segment,
) -> io::Result<()> {
    let shift = layout.shift(index).unwrap_or_default().0;
    for (slot, argument) in layout.slots.iter().zip(set) {
        if let (
            Slot::In(extent) | Slot::Inout(extent, _),
            Argument::In(bytes) | Argument::Inout(bytes),
        ) = (slot, argument)
        {
            inputs.write(&extent.shifted(shift), bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(sets: usize) -> Result<Layout, Fault> {
        let set = vec![Argument::In(&[0; 5000]), Argument::Scalar(&[1; 4]), Argument::Out(100)];
        Layout::of(&vec![set; sets], 4096)
    }

    #[test]
    fn buffers_know_their_argument_and_sets_do_not_overlap() {
        let layout = layout(3).unwrap();
        let arguments: Vec<usize> = layout.buffers.iter().map(|b| b.argument).collect();
        assert_eq!(arguments, [1, 3]);
        assert_eq!(layout.strides.0, Stride { bytes: 8192, regions: 1 });
        assert_eq!(layout.shift(2).unwrap().1, Stride { bytes: 8192, regions: 2 });
    }

    #[test]
    fn more_buffers_than_a_process_can_map_are_refused() {
        assert!(layout(MAX_BUFFERS / 2).is_ok());
        let refused = layout(MAX_BUFFERS / 2 + 1).unwrap_err();
        assert!(refused.to_string().contains("buffers at a time"), "{refused}");
        assert!(Layout::of(&[], 4096).is_err());
    }

    #[test]
    fn writing_beside_an_output_is_found_on_both_sides() {
        let set = vec![Argument::Out(100)];
        let sets = vec![set.clone(), set];
        let memory = Memory::stage(Layout::of(&sets, 4096).unwrap(), &sets).unwrap();
        let (_, extent) = memory.outputs_of(1).next().unwrap();
        assert_eq!(memory.stray(1).unwrap(), None);
        for (at, words) in [
            (extent.position() + 100, "1 byte just behind argument 1 in launch set 1"),
            (extent.position() - 3, "1 byte before argument 1 in launch set 1, 2 bytes off"),
        ] {
            let byte = Extent {
                before: Stride { bytes: at, regions: 0 },
                region: 4096,
                start: 0,
                bytes: 1,
            };
            let mut old = Vec::new();
            memory.outputs.read(&byte, &mut old).unwrap();
            memory.outputs.write(&byte, &[!old[0]]).unwrap();
            assert_eq!(memory.stray(1).unwrap().as_deref(), Some(words));
            memory.outputs.write(&byte, &old).unwrap();
        }
        assert_eq!(memory.stray(0).unwrap(), None);
    }
}
