//! Where the buffers of a case's sets lie in shared memory, and what stands there before and after
//! a launch.

use std::io;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::protocol::{ALIGNMENT, Extent, Place, Slot, Stride};
use super::super::{Argument, Fault, MAX_BUFFERS};
use super::flush::{self, View};
use super::remains::Remains;
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
    /// All sets write to the same outputs, one after the other.
    pub(in crate::backend) in_turn: bool,
}

/// Where sets have their outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outputs {
    /// Each its own.
    Each,
    /// All the same, one after the other.
    InTurn,
}

/// Whether the sets are so large that inputs are drawn where they lie.
fn is_drawn(sets: &[Vec<Argument<'_>>]) -> bool {
    let is_drawn = |a: &Argument<'_>| matches!(a, Argument::Drawn(_) | Argument::DrawnInout(_));
    sets.iter().flatten().any(is_drawn)
}

impl Layout {
    pub(in crate::backend) fn of(sets: &[Vec<Argument<'_>>], page: usize) -> Result<Self, Fault> {
        let outputs = if is_drawn(sets) { Outputs::InTurn } else { Outputs::Each };
        Self::new(sets, (page, ALIGNMENT), outputs)
    }

    /// [`Layout::of`] for buffers that start at multiples of `alignment`.
    pub(in crate::backend) fn aligned(
        sets: &[Vec<Argument<'_>>],
        paging: (usize, u64),
    ) -> Result<Self, Fault> {
        Self::new(sets, paging, Outputs::Each)
    }

    fn new(
        sets: &[Vec<Argument<'_>>],
        paging: (usize, u64),
        outputs: Outputs,
    ) -> Result<Self, Fault> {
        let infrastructure = |what: String| Fault::Infrastructure { what };
        let first =
            sets.first().ok_or_else(|| infrastructure("there is nothing to load".into()))?;
        let in_turn = outputs == Outputs::InTurn;
        let mut layout = Self { sets: sets.len() as u32, in_turn, ..Self::default() };
        for argument in first {
            layout.add(argument, paging).ok_or_else(too_large)?;
        }
        let mappings = layout.sizes.0.regions.saturating_add(layout.sizes.1.regions);
        if mappings > MAX_BUFFERS as u64 {
            let what = format!("{mappings} buffers at a time; there may be {MAX_BUFFERS}");
            return Err(Fault::Setup { what });
        }
        Ok(layout)
    }

    /// What all of it takes.
    pub(in crate::backend) fn bytes(&self) -> u64 {
        self.sizes.0.bytes.saturating_add(self.sizes.1.bytes)
    }

    fn add(&mut self, argument: &Argument<'_>, paging: (usize, u64)) -> Option<()> {
        let sets = u64::from(self.sets);
        let placed = |size: &mut Stride, place: Option<Place>| {
            *size = place?.end(sets)?;
            place
        };
        let place = |size: &mut Stride, bytes: usize| {
            placed(size, Place::aligned(*size, bytes, sets, paging))
        };
        let out = |size: &mut Stride, bytes: usize| {
            if self.in_turn {
                placed(size, Place::in_turn(*size, bytes, sets, paging))
            } else {
                place(size, bytes)
            }
        };
        let (inputs, outputs) = (&mut self.sizes.0, &mut self.sizes.1);
        let slot = match argument {
            Argument::Scalar(bytes) => Slot::Scalar(bytes.to_vec()),
            Argument::In(bytes) => Slot::In(place(inputs, bytes.len())?),
            Argument::Drawn(draw) => Slot::In(place(inputs, draw.bytes())?),
            Argument::Out(bytes) => Slot::Out(out(outputs, *bytes)?),
            Argument::Inout(bytes) => {
                Slot::Inout(place(inputs, bytes.len())?, out(outputs, bytes.len())?)
            }
            Argument::DrawnInout(draw) => {
                Slot::Inout(place(inputs, draw.bytes())?, out(outputs, draw.bytes())?)
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
    Fault::Setup { what: "a buffer is larger than the address space".into() }
}

/// What a thread reads in one go.
const READ_BYTES: usize = 1 << 20;

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
        Self::upon(layout, inputs, None)
    }

    /// [`Self::around`], with outputs in the memory of earlier ones where that is as long.
    pub(in crate::backend) fn upon(
        layout: Layout,
        inputs: Arc<Segment>,
        spare: Option<Segment>,
    ) -> io::Result<Self> {
        let bytes = layout.sizes.1.bytes;
        let outputs = if let Some(spare) = spare.filter(|spare| spare.length() == bytes) {
            spare
        } else {
            let outputs = Segment::create("optloop-outputs", bytes)?;
            outputs.fix()?;
            outputs
        };
        let poison = outputs.poison()?;
        Ok(Self { layout, inputs, outputs, poison, views: None })
    }

    /// Random bytes in all outputs once more, for a set that has its turn.
    pub(in crate::backend) fn repoison(&mut self) -> io::Result<()> {
        self.poison = self.outputs.poison()?;
        Ok(())
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
            let length = extent.bytes as usize;
            if bytes.capacity() < length {
                // Fresh zeros are not touched before they are read over, on every core.
                *bytes = vec![0; length];
            }
            bytes.resize(length, 0);
            let outputs = &self.outputs;
            if length <= READ_BYTES {
                outputs.read(extent.position(), bytes)?;
                continue;
            }
            let read = |(number, part): (usize, &mut [u8])| {
                outputs.read(extent.position() + (number * READ_BYTES) as u64, part)
            };
            bytes.par_chunks_mut(READ_BYTES).enumerate().try_for_each(read)?;
        }
        Ok(())
    }

    /// What a set's outputs hold now, in parts, on every core.
    pub(in crate::backend) fn read_in_parts(
        &self,
        set: u32,
        part: usize,
        look: &(dyn Fn(usize, usize, &[u8]) + Sync),
    ) -> io::Result<()> {
        for (number, (_, extent)) in self.outputs_of(set).enumerate() {
            let (bytes, outputs) = (extent.bytes as usize, &self.outputs);
            let read = |buffer: &mut Vec<u8>, index: usize| -> io::Result<()> {
                let at = index * part;
                buffer.resize(part.min(bytes - at), 0);
                outputs.read(extent.position() + at as u64, buffer)?;
                look(number, at, buffer);
                Ok(())
            };
            let parts = bytes.div_ceil(part);
            if parts > 1 {
                (0..parts).into_par_iter().try_for_each_init(Vec::new, read)?;
            } else {
                (0..parts).try_for_each(|index| read(&mut Vec::new(), index))?;
            }
        }
        Ok(())
    }

    fn outputs_of(&self, set: u32) -> impl Iterator<Item = (usize, Extent)> {
        let of = move |buffer: &Buffer| Some((buffer.argument, buffer.output?.extent(set.into())?));
        self.layout.buffers.iter().filter_map(of)
    }

    /// What stood in a set's outputs before its launch.
    pub(in crate::backend) fn remains(&self, set: u32) -> Remains {
        let place = |buffer: &Buffer| {
            let output = buffer.output?;
            // What is restored before each launch has no random bytes.
            Some(output.extent(set.into()).filter(|_| buffer.input.is_none()).map(|e| e.position()))
        };
        let places = self.layout.buffers.iter().filter_map(place).collect();
        Remains { poison: self.poison.clone(), places }
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
    let mut inputs = Segment::create("optloop-inputs", layout.sizes.0.bytes)?;
    if is_drawn(sets) {
        inputs.open_view()?;
    }
    // Between inputs too, so that a kernel that reads there is wrong and not lucky.
    let between = Poison::fresh(layout.sizes.0.bytes)?;
    for (index, slot) in layout.slots.iter().enumerate() {
        if let (Some(place), _) = slot.places() {
            write_inputs(place, (sets, index), &mut inputs, &between)?;
        }
    }
    inputs.freeze()?;
    Ok(inputs)
}

/// Draws other inputs of the same layout in the place of those that lie there; what stands around
/// them stays. False where that cannot be done.
pub(in crate::backend) fn redraw(
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

/// Writes an argument's buffers of all sets, a region at a time, with random bytes around them.
fn write_inputs(
    place: &Place,
    (sets, index): (&[Vec<Argument<'_>>], usize),
    inputs: &mut Segment,
    between: &Poison,
) -> io::Result<()> {
    let mut region = Vec::new();
    for (number, shared) in sets.chunks(place.each as usize).enumerate() {
        let at = place.before(number as u64).ok_or_else(unlike)?.bytes;
        // A large buffer leaves little around it, and is written from where it is.
        let around = if place.each == 1 { place.start } else { place.region };
        region.resize(around as usize, 0);
        between.fill(at, &mut region);
        for (within, set) in shared.iter().enumerate() {
            let extent = place.extent(within as u64).ok_or_else(unlike)?;
            let argument = set.get(index).ok_or_else(unlike)?;
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
