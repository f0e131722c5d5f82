//! Where the buffers of a case's sets lie in shared memory, and what stands there before and after
//! a launch.

use std::io;
use std::sync::Arc;

use super::super::protocol::{ALIGNMENT, Extent, Place, Slot, Stride};
use super::super::{Argument, Fault, MAX_BUFFERS};
use super::flush::{self, View};
use super::segment::{Poison, Segment};

/// The buffers of an argument.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend) struct Buffer {
    /// Which argument, counted from 1.
    pub(in crate::backend) argument: usize,
    pub(in crate::backend) input: Option<Place>,
    pub(in crate::backend) output: Option<Place>,
}

/// Where everything lies.
#[derive(Debug, Clone, Default)]
pub(in crate::backend) struct Layout {
    pub(in crate::backend) slots: Vec<Slot>,
    pub(in crate::backend) buffers: Vec<Buffer>,
    /// What inputs and outputs take, over all sets.
    pub(in crate::backend) sizes: (Stride, Stride),
    pub(in crate::backend) sets: u32,
}

impl Layout {
    pub(in crate::backend) fn of(sets: &[Vec<Argument<'_>>], page: usize) -> Result<Self, Fault> {
        Self::aligned(sets, (page, ALIGNMENT))
    }

    /// [`Layout::of`] for buffers that start at multiples of `alignment`.
    pub(in crate::backend) fn aligned(
        sets: &[Vec<Argument<'_>>],
        (page, alignment): (usize, u64),
    ) -> Result<Self, Fault> {
        let infrastructure = |what: String| Fault::Infrastructure { what };
        let first =
            sets.first().ok_or_else(|| infrastructure("there is nothing to load".into()))?;
        let mut layout = Self { sets: sets.len() as u32, ..Self::default() };
        for argument in first {
            layout.add(argument, (page, alignment)).ok_or_else(too_large)?;
        }
        let mappings = layout.sizes.0.regions.saturating_add(layout.sizes.1.regions);
        if mappings > MAX_BUFFERS as u64 {
            let what = format!("{mappings} buffers at a time; there may be {MAX_BUFFERS}");
            return Err(infrastructure(what));
        }
        Ok(layout)
    }

    fn add(&mut self, argument: &Argument<'_>, paging: (usize, u64)) -> Option<()> {
        let sets = u64::from(self.sets);
        let place = |size: &mut Stride, bytes: usize| {
            let place = Place::aligned(*size, bytes, sets, paging)?;
            *size = place.end(sets)?;
            Some(place)
        };
        let (inputs, outputs) = (&mut self.sizes.0, &mut self.sizes.1);
        let slot = match argument {
            Argument::Scalar(bytes) => Slot::Scalar(bytes.to_vec()),
            Argument::In(bytes) => Slot::In(place(inputs, bytes.len())?),
            Argument::Out(bytes) => Slot::Out(place(outputs, *bytes)?),
            Argument::Inout(bytes) => {
                Slot::Inout(place(inputs, bytes.len())?, place(outputs, bytes.len())?)
            }
        };
        let (input, output) = slot.places();
        if input.is_some() || output.is_some() {
            let argument = self.slots.len() + 1;
            let (input, output) = (input.copied(), output.copied());
            self.buffers.push(Buffer { argument, input, output });
        }
        self.slots.push(slot);
        Some(())
    }
}

fn too_large() -> Fault {
    Fault::Infrastructure { what: "a buffer is larger than the address space".into() }
}

/// The shared memory of one case.
pub(in crate::backend) struct Memory {
    pub(in crate::backend) layout: Layout,
    pub(in crate::backend) inputs: Arc<Segment>,
    pub(in crate::backend) outputs: Segment,
    poison: Poison,
    /// Mapped once caches are to be cold.
    views: Option<(View, View)>,
}

impl Memory {
    /// Inputs of its own, as they are given.
    pub(in crate::backend) fn stage(
        layout: Layout,
        sets: &[Vec<Argument<'_>>],
    ) -> io::Result<Self> {
        let inputs = Arc::new(inputs(&layout, sets)?);
        Self::around(layout, inputs)
    }

    /// Inputs that are there already, outputs full of random bytes.
    pub(in crate::backend) fn around(layout: Layout, inputs: Arc<Segment>) -> io::Result<Self> {
        let outputs = Segment::create("optloop-outputs", layout.sizes.1.bytes)?;
        outputs.fix()?;
        let poison = outputs.poison()?;
        Ok(Self { layout, inputs, outputs, poison, views: None })
    }

    /// Drops the buffers of these sets from all caches.
    pub(in crate::backend) fn flush(&mut self, first: u32, count: u32) -> io::Result<()> {
        let views = match self.views.take() {
            Some(views) => views,
            None => (View::map(&self.inputs)?, View::map(&self.outputs)?),
        };
        for set in first..first.saturating_add(count) {
            let extent = |place: Option<Place>| place?.extent(set.into());
            for buffer in &self.layout.buffers {
                // What an output is restored from is not the launch's.
                if let Some(output) = extent(buffer.output) {
                    views.1.flush(&output);
                } else if let Some(input) = extent(buffer.input) {
                    views.0.flush(&input);
                }
            }
        }
        flush::settle();
        self.views = Some(views);
        Ok(())
    }

    /// What a set's outputs hold now; `into` is made to fit.
    pub(in crate::backend) fn read(&self, set: u32, into: &mut Vec<Vec<u8>>) -> io::Result<()> {
        into.resize_with(self.outputs_of(set).count(), Vec::new);
        for ((_, extent), bytes) in self.outputs_of(set).zip(into) {
            bytes.resize(extent.bytes as usize, 0);
            self.outputs.read(extent.position(), bytes)?;
        }
        Ok(())
    }

    fn outputs_of(&self, set: u32) -> impl Iterator<Item = (usize, Extent)> {
        let of = move |buffer: &Buffer| Some((buffer.argument, buffer.output?.extent(set.into())?));
        self.layout.buffers.iter().filter_map(of)
    }

    /// What was written beside a set's outputs, in words.
    pub(in crate::backend) fn stray(&self, set: u32) -> io::Result<Option<String>> {
        for (argument, extent) in self.outputs_of(set) {
            let changes = |from: u64, to: u64| {
                self.outputs.changes(&self.poison, extent.before.bytes + from, to - from)
            };
            let before = changes(extent.clear.0, extent.start)?;
            if before.count > 0 {
                let gap = extent.start - extent.clear.0 - 1 - before.last;
                return Ok(Some(stray(before.count, gap, ("before", argument, set))));
            }
            let behind = changes(extent.start + extent.bytes, extent.clear.1)?;
            if let Some(gap) = behind.first {
                return Ok(Some(stray(behind.count, gap, ("behind", argument, set))));
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

/// Inputs as they are given, unwritable from now on.
pub(in crate::backend) fn inputs(
    layout: &Layout,
    sets: &[Vec<Argument<'_>>],
) -> io::Result<Segment> {
    let inputs = Segment::create("optloop-inputs", layout.sizes.0.bytes)?;
    // Between inputs too, so that a kernel that reads there is wrong and not lucky.
    let between = Poison::fresh(layout.sizes.0.bytes)?;
    for (index, slot) in layout.slots.iter().enumerate() {
        if let (Some(place), _) = slot.places() {
            write_inputs(place, (sets, index), &inputs, &between)?;
        }
    }
    inputs.freeze()?;
    Ok(inputs)
}

/// Writes an argument's buffers of all sets, a region at a time, with random bytes around them.
fn write_inputs(
    place: &Place,
    (sets, index): (&[Vec<Argument<'_>>], usize),
    inputs: &Segment,
    between: &Poison,
) -> io::Result<()> {
    let wrong = || {
        let what = "a set's argument has another kind or length than the first set's";
        io::Error::new(io::ErrorKind::InvalidInput, what)
    };
    let mut region = Vec::new();
    for (number, shared) in sets.chunks(place.each as usize).enumerate() {
        let at = place.before(number as u64).ok_or_else(wrong)?.bytes;
        // A large buffer leaves little around it, and is written from where it is.
        let around = if place.each == 1 { place.start } else { place.region };
        region.resize(around as usize, 0);
        between.fill(at, &mut region);
        for (within, set) in shared.iter().enumerate() {
            let extent = place.extent(within as u64).ok_or_else(wrong)?;
            let bytes = match set.get(index) {
                Some(Argument::In(bytes) | Argument::Inout(bytes)) => *bytes,
                _ => return Err(wrong()),
            };
            if bytes.len() as u64 != extent.bytes {
                return Err(wrong());
            }
            if place.each == 1 {
                inputs.write(at + extent.start, bytes)?;
                let end = extent.start + extent.bytes;
                let mut behind = vec![0; (place.region - end) as usize];
                between.fill(at + end, &mut behind);
                inputs.write(at + end, &behind)?;
            } else {
                let start = extent.start as usize;
                region[start..start + bytes.len()].copy_from_slice(bytes);
            }
        }
        inputs.write(at, &region)?;
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
        assert_eq!(layout.sizes.0, Stride { bytes: 3 * 8192, regions: 3 });
        assert_eq!(layout.sizes.1, Stride { bytes: 3 * 4096, regions: 3 });
    }

    #[test]
    fn more_buffers_than_a_process_can_map_are_refused() {
        assert!(layout(MAX_BUFFERS * 9 / 10).is_ok());
        let refused = layout(MAX_BUFFERS).unwrap_err();
        assert!(refused.to_string().contains("buffers at a time"), "{refused}");
        assert!(Layout::of(&[], 4096).is_err());
    }

    #[test]
    fn inputs_stand_where_their_sets_look_for_them() {
        for (count, bytes) in [(3, 100), (3, 9000), (200, 100), (200, 0), (40, 4095), (40, 4096)] {
            let inputs: Vec<Vec<u8>> = (0..count).map(|set| vec![set as u8; bytes]).collect();
            let sets: Vec<_> = inputs.iter().map(|x| vec![Argument::In(x)]).collect();
            let memory = Memory::stage(Layout::of(&sets, 4096).unwrap(), &sets).unwrap();
            let place = memory.layout.buffers[0].input.unwrap();
            for (set, input) in inputs.iter().enumerate() {
                let extent = place.extent(set as u64).unwrap();
                let mut found = vec![0; bytes];
                memory.inputs.read(extent.position(), &mut found).unwrap();
                assert_eq!(found, *input, "set {set} of {count} with {bytes} bytes");
            }
        }
        let unlike = [vec![Argument::In(&[1, 2])], vec![Argument::In(&[1])]];
        assert!(Memory::stage(Layout::of(&unlike, 4096).unwrap(), &unlike).is_err());
    }

    #[test]
    fn writing_beside_an_output_is_found_on_both_sides() {
        for count in [2, 100] {
            let sets = vec![vec![Argument::Out(100)]; count];
            let memory = Memory::stage(Layout::of(&sets, 4096).unwrap(), &sets).unwrap();
            let (_, extent) = memory.outputs_of(1).next().unwrap();
            assert_eq!(memory.stray(1).unwrap(), None);
            for (at, words) in [
                (extent.position() + 100, "1 byte just behind argument 1 in launch set 1"),
                (extent.position() - 3, "1 byte before argument 1 in launch set 1, 2 bytes off"),
            ] {
                let mut old = [0];
                memory.outputs.read(at, &mut old).unwrap();
                memory.outputs.write(at, &[!old[0]]).unwrap();
                assert_eq!(memory.stray(1).unwrap().as_deref(), Some(words), "of {count}");
                memory.outputs.write(at, &old).unwrap();
            }
            assert_eq!(memory.stray(0).unwrap(), None);
        }
    }
}
