//! What an expression is worth.

/// What an expression can be worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A number that need not be whole.
    Float(f64),
    /// The answer of a comparison.
    Truth(bool),
}

impl Value {
    /// As a float; true is 1.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
            Self::Truth(value) => f64::from(u8::from(value)),
        }
    }

    /// What a condition makes of it: every number but 0 is true.
    pub fn is_true(self) -> bool {
        match self {
            Self::Int(value) => value != 0,
            Self::Float(value) => value != 0.0,
            Self::Truth(value) => value,
        }
    }
}
