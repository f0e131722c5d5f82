//! What stands in a case's shared memory before and after a launch.

use std::fmt;
use std::io;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::contract::Argument;
use super::inputs;
use super::layout::{Buffer, Layout};
use super::placement::Extent;
use super::remains::Remains;
use super::segment::{Poison, Segment};

/// What a thread reads in one go.
const READ_BYTES: usize = 1 << 20;

/// The shared memory of one case.
pub(in crate::backend) struct Memory {
    pub(in crate::backend) layout: Layout,
    pub(in crate::backend) inputs: Arc<Segment>,
    pub(in crate::backend) outputs: Segment,
    poison: Poison,
}

impl Memory {
    /// Inputs of its own, as they are given.
    pub(in crate::backend) fn stage(
        layout: Layout,
        sets: &[Vec<Argument<'_>>],
    ) -> io::Result<Self> {
        let inputs = Arc::new(inputs::stage(&layout, sets)?);
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
        Ok(Self { layout, inputs, outputs, poison })
    }

    /// Random bytes in all outputs once more, for a set that has its turn.
    pub(in crate::backend) fn repoison(&mut self) -> io::Result<()> {
        self.poison = self.outputs.poison()?;
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
                let stray = Stray { count: before.count, gap, side: "before", argument, set };
                return Ok(Some(stray.to_string()));
            }
            let behind = changes(extent.start + extent.bytes, extent.clear.1)?;
            if let Some(gap) = behind.first {
                let stray = Stray { count: behind.count, gap, side: "behind", argument, set };
                return Ok(Some(stray.to_string()));
            }
        }
        Ok(None)
    }
}

/// Bytes beside an output that were changed.
struct Stray {
    count: u64,
    /// How far from the buffer the nearest of them is.
    gap: u64,
    side: &'static str,
    argument: usize,
    set: u32,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, gap, side, argument, set } = self;
        let bytes = |count: u64| if count == 1 { "byte" } else { "bytes" };
        let just = if *gap == 0 { "just " } else { "" };
        write!(
            f,
            "{count} {} {just}{side} argument {argument} in launch set {set}",
            bytes(*count)
        )?;
        if *gap > 0 { write!(f, ", {gap} {} off", bytes(*gap)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
