//! What an input is drawn from: enough to draw it at any time, wherever it is to lie.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Fill;
use super::fill::{fill, fill_into};
use crate::verify::Dtype;

/// One in this many elements of a twin is drawn anew.
const TWIN_SHARE: usize = 1000;

/// An input that can be drawn: the same bytes each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawing {
    pub(super) fill: Fill,
    pub(super) dtype: Dtype,
    pub(super) bytes: usize,
    pub(super) seed: u64,
    /// Which argument it is: each has a stream of its own.
    pub(super) stream: u64,
    /// From what a near twin is made of it.
    pub(super) twin: Option<u64>,
}

impl Drawing {
    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Draws it into memory of this length, on every core.
    pub fn draw(&self, into: &mut [u8]) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.stream);
        fill_into(&self.fill, self.dtype, into, &mut rng);
        if let Some(seed) = self.twin {
            let Self { fill, dtype, stream, .. } = *self;
            Exchange { fill, dtype, seed, stream }.apply(into);
        }
    }

    /// Whether another seed gives other bytes.
    pub fn is_random(&self) -> bool {
        !matches!(self.fill, Fill::Zeros | Fill::Ones | Fill::Constant(_) | Fill::Iota)
    }

    /// Its first elements, as many as fit: a buffer of independent elements begins alike at any
    /// length. `None` for the others.
    pub fn beginning(&self, bytes: usize) -> Option<Vec<u8>> {
        let mut start = vec![0; bytes.min(self.bytes)];
        let alike = self.twin.is_none() && self.fill != Fill::Permutation;
        alike.then(|| {
            self.draw(&mut start);
            start
        })
    }
}

/// Elements that are exchanged for others of the same kind.
pub(super) struct Exchange {
    pub(super) fill: Fill,
    pub(super) dtype: Dtype,
    pub(super) seed: u64,
    pub(super) stream: u64,
}

impl Exchange {
    /// Takes the place of a thousandth of the elements, and at least of one that differs, where there
    /// is one to be had.
    pub(super) fn apply(&self, data: &mut [u8]) {
        let loose = matches!(
            self.fill,
            Fill::Normal { .. } | Fill::Uniform { .. } | Fill::Integers { .. } | Fill::Adversarial
        );
        let element = self.dtype.size_bytes();
        let elements = data.len() / element;
        if !loose || elements == 0 {
            return;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::MAX - self.stream);
        let wanted = (elements / TWIN_SHARE).max(1);
        // Some are what was there already.
        let fresh = fill(&self.fill, self.dtype, 4 * wanted, &mut rng);
        let mut changed = 0;
        for (attempt, new) in fresh.chunks_exact(element).enumerate() {
            if changed >= wanted || (attempt >= wanted && changed > 0) {
                break;
            }
            let at = rng.random_range(0..elements) * element;
            let old = &mut data[at..at + element];
            changed += usize::from(*old != *new);
            old.copy_from_slice(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(fill: Fill, twin: Option<u64>) -> Drawing {
        Drawing { fill, dtype: Dtype::F32, bytes: 4 * 5000, seed: 3, stream: 1, twin }
    }

    fn drawn(drawing: &Drawing) -> Vec<u8> {
        // Memory that was used for something else.
        let mut into = vec![0xa5; drawing.bytes()];
        drawing.draw(&mut into);
        into
    }

    #[test]
    fn it_gives_the_same_bytes_each_time_whatever_was_there() {
        let normal = Fill::Normal { mean: 0.0, std: 1.0 };
        for fill in [Fill::Zeros, Fill::Ones, Fill::Iota, Fill::Permutation, normal] {
            let drawing = drawing(fill, None);
            let first = drawn(&drawing);
            assert_eq!(first, drawn(&drawing), "{fill:?}");
            if let Some(start) = drawing.beginning(400) {
                assert_eq!(start, first[..400], "{fill:?}");
            }
        }
    }

    #[test]
    fn a_twin_differs_in_a_thousandth() {
        let normal = Fill::Normal { mean: 0.0, std: 1.0 };
        for (fill, least, most) in [(normal, 1, 5), (Fill::Iota, 0, 0)] {
            let (model, twin) = (drawn(&drawing(fill, None)), drawn(&drawing(fill, Some(9))));
            let pairs = model.chunks(4).zip(twin.chunks(4));
            let changed = pairs.filter(|(a, b)| a != b).count();
            assert!((least..=most).contains(&changed), "{fill:?}: {changed}");
        }
    }
}
