//! The two that are compared.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One of the two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The best so far.
    Incumbent,
    /// What may take its place.
    Candidate,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Incumbent, Self::Candidate];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Incumbent => Self::Candidate,
            Self::Candidate => Self::Incumbent,
        }
    }

    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incumbent => "incumbent",
            Self::Candidate => "candidate",
        }
    }
}

/// Something of each side.
#[derive(Debug, Clone, Default)]
pub struct Both<T> {
    /// The incumbent's.
    pub incumbent: T,
    /// The candidate's.
    pub candidate: T,
}

impl<T> Both<T> {
    /// That of one side.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Incumbent => &self.incumbent,
            Side::Candidate => &self.candidate,
        }
    }

    /// That of one side, to be changed.
    pub fn of_mut(&mut self, side: Side) -> &mut T {
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
