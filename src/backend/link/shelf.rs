//! Inputs that several workers are given, staged once.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::super::contract::Argument;
use super::inputs;
use super::layout::Layout;
use super::placement::{Slot, Stride};
use super::segment::Segment;

/// Inputs that stay staged from one session to the next, by a number that the caller gives them.
///
/// Copying them anew for each of many short-lived processes would take most of a comparison's
/// time. Sealed memory cannot be written by any of those, and each gets a descriptor of its own, so
/// that none leaves a word for the next. What a number stands for must not change before
/// [`Shelf::clear`].
#[derive(Debug)]
pub struct Shelf {
    kept: BTreeMap<(u64, u32), Kept>,
    free_bytes: u64,
    limit_bytes: u64,
}

#[derive(Debug)]
struct Kept {
    slots: Vec<Slot>,
    size: Stride,
    inputs: Arc<Segment>,
}

impl Shelf {
    /// An empty one that holds at most so many bytes; what does not fit is staged each time.
    pub fn new(limit_bytes: u64) -> Self {
        Self { kept: BTreeMap::new(), free_bytes: limit_bytes, limit_bytes }
    }

    /// Forgets everything. Sessions that have it loaded keep it until they load something else.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.free_bytes = self.limit_bytes;
    }

    /// The inputs of `sets` in memory that others had.
    fn redrawn(
        &mut self,
        layout: &Layout,
        sets: &[Vec<Argument<'_>>],
    ) -> io::Result<Option<Arc<Segment>>> {
        let Some(mut spare) = self.spare(layout) else { return Ok(None) };
        let Some(segment) = Arc::get_mut(&mut spare) else { return Ok(None) };
        let done = inputs::redraw(layout, sets, segment)?;
        Ok(done.then_some(spare))
    }

    /// Inputs of the same layout that no session has loaded, in whose memory others can be drawn; where
    /// inputs are so large that they are drawn in place, the shelf holds one set of them at a time.
    fn spare(&mut self, layout: &Layout) -> Option<Arc<Segment>> {
        if !layout.in_turn {
            return None;
        }
        let fits = |kept: &Kept| (&kept.slots, kept.size) == (&layout.slots, layout.sizes.0);
        let mut spare = None;
        for (_, kept) in std::mem::take(&mut self.kept) {
            self.free_bytes += kept.size.bytes;
            if fits(&kept) && Arc::strong_count(&kept.inputs) == 1 {
                spare = Some(kept.inputs);
            }
        }
        spare
    }

    /// The inputs of `sets`: those that stand under `number`, or newly staged ones.
    pub(in crate::backend) fn inputs(
        &mut self,
        number: u64,
        layout: &Layout,
        sets: &[Vec<Argument<'_>>],
    ) -> io::Result<Arc<Segment>> {
        let (key, size) = ((number, layout.sets), layout.sizes.0);
        if let Some(kept) = self.kept.get(&key)
            && (&kept.slots, kept.size) == (&layout.slots, size)
        {
            return Ok(Arc::clone(&kept.inputs));
        }
        if let Some(old) = self.kept.remove(&key) {
            self.free_bytes += old.size.bytes;
        }
        let inputs = match self.redrawn(layout, sets)? {
            Some(inputs) => inputs,
            None => Arc::new(inputs::stage(layout, sets)?),
        };
        if size.bytes <= self.free_bytes {
            self.free_bytes -= size.bytes;
            let kept = Kept { slots: layout.slots.clone(), size, inputs: Arc::clone(&inputs) };
            self.kept.insert(key, kept);
        }
        Ok(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(shelf: &mut Shelf, number: u64, inputs: &[&[u8]]) -> Arc<Segment> {
        let sets: Vec<_> = inputs.iter().map(|x| vec![Argument::In(x)]).collect();
        let layout = Layout::of(&sets, 4096).unwrap();
        shelf.inputs(number, &layout, &sets).unwrap()
    }

    /// A buffer of one byte over and over.
    #[derive(Debug)]
    struct All(u8);

    impl crate::backend::Draw for All {
        fn bytes(&self) -> usize {
            5000
        }

        fn draw(&self, into: &mut [u8]) {
            into.fill(self.0);
        }
    }

    #[test]
    fn what_is_drawn_in_place_is_drawn_in_the_same_memory_once_nobody_has_it_loaded() {
        let mut shelf = Shelf::new(u64::MAX);
        let mut load = |number: u64| {
            let drawn = All(number as u8);
            let sets = [vec![Argument::Drawn(&drawn)]];
            let layout = Layout::of(&sets, 4096).unwrap();
            let inputs = shelf.inputs(number, &layout, &sets).unwrap();
            let place = layout.buffers[0].input.unwrap().extent(0).unwrap();
            let mut found = vec![0; 5000];
            inputs.read(place.position(), &mut found).unwrap();
            assert_eq!(found, vec![number as u8; 5000]);
            inputs
        };
        let first = load(1);
        assert!(Arc::ptr_eq(&first, &load(1)));
        let other = load(2);
        assert!(!Arc::ptr_eq(&first, &other), "it is loaded somewhere");
        let place = Arc::as_ptr(&other);
        drop((first, other));
        assert_eq!(Arc::as_ptr(&load(3)), place, "nobody has the second");
    }

    #[test]
    fn what_is_known_and_fits_is_staged_once_until_it_is_cleared() {
        let mut shelf = Shelf::new(4 * 4096);
        let (two, one): ([&[u8]; 2], [&[u8]; 1]) = ([&[1; 8], &[2; 8]], [&[1; 8]]);
        let first = staged(&mut shelf, 0, &two);
        assert!(Arc::ptr_eq(&first, &staged(&mut shelf, 0, &two)));
        assert!(!Arc::ptr_eq(&first, &staged(&mut shelf, 1, &two)), "another number");
        assert!(!Arc::ptr_eq(&first, &staged(&mut shelf, 0, &one)), "fewer sets");
        let other: [&[u8]; 2] = [&[1; 9], &[2; 9]];
        assert!(!Arc::ptr_eq(&first, &staged(&mut shelf, 0, &other)), "other lengths");
        // Four pages are taken.
        let third = staged(&mut shelf, 2, &one);
        assert!(!Arc::ptr_eq(&third, &staged(&mut shelf, 2, &one)));
        shelf.clear();
        let third = staged(&mut shelf, 2, &one);
        assert!(Arc::ptr_eq(&third, &staged(&mut shelf, 2, &one)));
    }
}
