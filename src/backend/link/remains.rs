//! What of a set's outputs was never written: it holds what stood there before the launch.

use rayon::prelude::*;

use super::segment::Poison;

/// Bytes that a thread looks at in one go.
const PART: usize = 1 << 20;

/// What stood in the outputs of a set before its launch.
#[derive(Debug)]
pub struct Remains {
    pub(super) poison: Poison,
    /// Where each output lies; `None` for one that starts from staged bytes.
    pub(super) places: Vec<Option<u64>>,
}

impl Remains {
    /// How many elements of output `index`, of `element` bytes each, hold what stood there, in this
    /// launch and, where there was another on the same inputs, in that one too: a value that is so by
    /// chance is not so twice.
    pub fn unwritten(
        &self,
        index: usize,
        element: usize,
        left: &[Vec<u8>],
        again: Option<(&Self, &[Vec<u8>])>,
    ) -> u64 {
        let first = self.held(index, left);
        let second = again.and_then(|(remains, left)| remains.held(index, left));
        match element {
            1 => count::<1>(first, second),
            2 => count::<2>(first, second),
            4 => count::<4>(first, second),
            _ => count::<8>(first, second),
        }
    }

    fn held<'a>(&'a self, index: usize, left: &'a [Vec<u8>]) -> Option<Held<'a>> {
        let at = (*self.places.get(index)?)?;
        Some(Held { poison: &self.poison, at, left: left.get(index)? })
    }
}

/// An output as it was left.
#[derive(Clone, Copy)]
struct Held<'a> {
    poison: &'a Poison,
    at: u64,
    left: &'a [u8],
}

impl<'a> Held<'a> {
    fn part(self, number: usize) -> (&'a [u8], u64) {
        let start = number * PART;
        (&self.left[start..self.left.len().min(start + PART)], self.at + start as u64)
    }
}

fn count<const N: usize>(first: Option<Held<'_>>, second: Option<Held<'_>>) -> u64 {
    let Some(first) = first else { return 0 };
    let parts = first.left.len().div_ceil(PART);
    let unwritten = |number: usize| {
        let (bytes, at) = first.part(number);
        let held = elements::<N>(first.poison, bytes, at);
        let count = match second {
            None => held.filter(|&held| held).count(),
            Some(second) => {
                let (bytes, at) = second.part(number);
                let again = elements::<N>(second.poison, bytes, at);
                held.zip(again).filter(|&(held, again)| held && again).count()
            }
        };
        count as u64
    };
    (0..parts).into_par_iter().map(unwritten).sum()
}

/// Whether each element holds what stood there.
fn elements<'a, const N: usize>(
    poison: &'a Poison,
    bytes: &'a [u8],
    at: u64,
) -> impl Iterator<Item = bool> + 'a {
    let mut position = at;
    bytes.as_chunks::<N>().0.iter().map(move |element| {
        let held = poison.holds(position, element);
        position += N as u64;
        held
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains(bytes: usize) -> (Remains, Vec<u8>) {
        let poison = Poison::fresh(1 << 20).unwrap();
        let mut left = vec![0; bytes];
        poison.fill(64, &mut left);
        (Remains { poison, places: vec![None, Some(64)] }, left)
    }

    #[test]
    fn what_a_launch_leaves_alone_is_counted_by_element() {
        for element in [1, 2, 4, 8] {
            let (first, mut left) = remains(3 * PART / 2);
            let (second, mut again) = remains(3 * PART / 2);
            let elements = left.len() / element;
            let written = elements - 494;
            for bytes in [&mut left, &mut again] {
                bytes[..written * element].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            // By chance what stood there, once.
            let same: Vec<u8> = left[..8].iter().map(|byte| byte ^ 0x55).collect();
            left[..8].copy_from_slice(&same);
            let (left, again) = ([vec![7], left], [vec![7], again]);
            let alone = first.unwritten(1, element, &left, None);
            assert_eq!(alone, 494 + 8 / element as u64);
            let twice = first.unwritten(1, element, &left, Some((&second, &again)));
            assert_eq!(twice, 494, "elements of {element} bytes");
            assert_eq!(first.unwritten(0, element, &left, None), 0, "not an output of its own");
        }
    }
}
