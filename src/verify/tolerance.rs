//! What counts as equal.

use serde::{Deserialize, Serialize};

/// `|got - want| <= atol + rtol * |want|`; exact for integers when both are 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// Relative part.
    pub rtol: f64,
    /// Absolute part.
    pub atol: f64,
    /// Whether NaN equals NaN; without it NaN equals nothing.
    pub equal_nan: bool,
}

impl Tolerance {
    /// The largest difference from `want` that counts as equal.
    pub fn allowed(&self, want: f64) -> f64 {
        self.atol + self.rtol * want.abs()
    }

    /// [`Self::allowed`] of an integer, to the last digit: a difference of integers is one.
    pub fn allowed_integer(&self, want: i64) -> u64 {
        // Cut to what fits; what is not a number allows nothing.
        self.allowed(want as f64) as u64
    }

    /// True when only equal values pass.
    pub fn is_exact(&self) -> bool {
        self.rtol == 0.0 && self.atol == 0.0
    }
}
