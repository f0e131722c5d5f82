//! Element types: their size, their names, the values they hold.

use std::fmt;

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Dtype {
    /// Every element type.
    pub const ALL: [Self; 10] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U8,
        Self::Bool,
    ];

    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Its name in problem files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// Its name in C and C++, given `stdint.h` and `stdbool.h`.
    ///
    /// `f16` is `_Float16`, which GCC 12 and Clang 15 know in both languages. `bf16` is the bits
    /// in a `uint16_t`: compilers before GCC 13 have no `__bf16`.
    pub const fn c_name(self) -> &'static str {
        match self {
            Self::F64 => "double",
            Self::F32 => "float",
            Self::F16 => "_Float16",
            Self::Bf16 => "uint16_t",
            Self::I64 => "int64_t",
            Self::I32 => "int",
            Self::I16 => "int16_t",
            Self::I8 => "int8_t",
            Self::U8 => "uint8_t",
            Self::Bool => "bool",
        }
    }

    /// True for the four floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The consecutive integers it holds exactly: all of an integer type, and for floating point
    /// the range in which every integer has its own value.
    pub const fn exact_integers(self) -> (i64, i64) {
        match self {
            Self::F64 => (-(1 << 53), 1 << 53),
            Self::F32 => (-(1 << 24), 1 << 24),
            Self::F16 => (-(1 << 11), 1 << 11),
            Self::Bf16 => (-(1 << 8), 1 << 8),
            Self::I64 => (i64::MIN, i64::MAX),
            Self::I32 => (i32::MIN as i64, i32::MAX as i64),
            Self::I16 => (i16::MIN as i64, i16::MAX as i64),
            Self::I8 => (i8::MIN as i64, i8::MAX as i64),
            Self::U8 => (0, u8::MAX as i64),
            Self::Bool => (0, 1),
        }
    }

    /// The largest finite value.
    pub fn max_finite(self) -> f64 {
        match self {
            Self::F64 => f64::MAX,
            Self::F32 => f64::from(f32::MAX),
            Self::F16 => f16::MAX.to_f64(),
            Self::Bf16 => bf16::MAX.to_f64(),
            other => other.exact_integers().1 as f64,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_serde_reads() {
        for dtype in Dtype::ALL {
            let json = serde_json::to_string(&dtype).unwrap();
            assert_eq!(json, format!("\"{dtype}\""));
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "exactness is what is tested")]
    fn the_integer_after_the_exact_range_is_not_exact() {
        let above = |dtype: Dtype| (dtype.exact_integers().1 + 1) as f64;
        assert_ne!(f64::from(above(Dtype::F32) as f32), above(Dtype::F32));
        assert_ne!(f16::from_f64(above(Dtype::F16)).to_f64(), above(Dtype::F16));
        assert_ne!(bf16::from_f64(above(Dtype::Bf16)).to_f64(), above(Dtype::Bf16));
        assert_eq!(f16::from_f64(2048.0).to_f64(), 2048.0);
        assert_eq!(bf16::from_f64(256.0).to_f64(), 256.0);
    }
}
