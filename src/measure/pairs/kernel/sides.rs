//! Both sides of a comparison.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::measure::pairs::Side;

/// Something of each side.
#[derive(Debug, Clone, Default)]
pub(super) struct Both<T> {
    pub(super) incumbent: T,
    pub(super) candidate: T,
}

impl<T> Both<T> {
    pub(super) fn of(&self, side: Side) -> &T {
        match side {
            Side::Incumbent => &self.incumbent,
            Side::Candidate => &self.candidate,
        }
    }

    pub(super) fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Incumbent => &mut self.incumbent,
            Side::Candidate => &mut self.candidate,
        }
    }
}

/// Which side goes first.
pub(super) fn coin(rng: &mut ChaCha8Rng) -> Side {
    if rng.next_u32() & 1 == 0 { Side::Incumbent } else { Side::Candidate }
}
