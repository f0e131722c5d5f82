//! Where the buffers of a case's sets lie, by their arguments.

use super::super::contract::{Argument, MAX_BUFFERS};
use super::super::fault::Fault;
use super::placement::{ALIGNMENT, Grain, Place, Slot, Stride};

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
pub(super) fn is_drawn(sets: &[Vec<Argument<'_>>]) -> bool {
    let is_drawn = |a: &Argument<'_>| matches!(a, Argument::Drawn(_) | Argument::DrawnInout(_));
    sets.iter().flatten().any(is_drawn)
}

impl Layout {
    /// For a processor whose pages are so large.
    pub(in crate::backend) fn of(sets: &[Vec<Argument<'_>>], page: usize) -> Result<Self, Fault> {
        let outputs = if is_drawn(sets) { Outputs::InTurn } else { Outputs::Each };
        Self::new(sets, Grain { page, alignment: ALIGNMENT }, outputs)
    }

    /// [`Layout::of`] for buffers that lie in other units.
    pub(in crate::backend) fn aligned(
        sets: &[Vec<Argument<'_>>],
        grain: Grain,
    ) -> Result<Self, Fault> {
        Self::new(sets, grain, Outputs::Each)
    }

    fn new(sets: &[Vec<Argument<'_>>], grain: Grain, outputs: Outputs) -> Result<Self, Fault> {
        let infrastructure = |what: String| Fault::Infrastructure { what };
        let first =
            sets.first().ok_or_else(|| infrastructure("there is nothing to load".into()))?;
        let in_turn = outputs == Outputs::InTurn;
        let mut layout = Self { sets: sets.len() as u32, in_turn, ..Self::default() };
        for argument in first {
            layout.add(argument, grain).ok_or_else(too_large)?;
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

    fn add(&mut self, argument: &Argument<'_>, grain: Grain) -> Option<()> {
        let sets = u64::from(self.sets);
        let placed = |size: &mut Stride, place: Option<Place>| {
            *size = place?.end(sets)?;
            place
        };
        let place = |size: &mut Stride, bytes: usize| {
            placed(size, Place::aligned(*size, bytes, sets, grain))
        };
        let out = |size: &mut Stride, bytes: usize| {
            if self.in_turn {
                placed(size, Place::in_turn(*size, bytes, sets, grain))
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
}
