//! The exact image of a problem file, with places.
//!
//! Keys that every problem needs are optional here, so that a file that lacks one is still
//! checked to its end; [`super::load`] reports those that are missing. The doc comments become
//! the JSON schema that editors show.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fill, Role};
use crate::diagnostic::{Entries, Spanned};
use crate::verify::Dtype;

/// What a kernel must compute. The candidate never edits it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProblemFile {
    /// Its name: letters, digits, `-`, `_` and `.`.
    #[schemars(length(min = 1))]
    pub name: Option<Spanned<String>>,
    /// The kernel's function, the same in every language.
    #[schemars(length(min = 1))]
    pub entry: Option<Spanned<String>>,
    /// Named sizes, one table for each case it is measured at.
    #[schemars(length(min = 1))]
    pub cases: Option<Vec<Spanned<Entries<Spanned<i64>>>>>,
    /// An inclusive range such as `"1..=512"` for each size, and `count`: how many cases to draw
    /// in secret at run time.
    pub holdout: Option<Spanned<Entries<Spanned<Size>>>>,
    /// Arguments in the order of the C signature.
    #[schemars(length(min = 1))]
    pub args: Option<Vec<Spanned<ArgFile>>>,
    /// The judge's own implementation.
    pub reference: Option<Spanned<ReferenceFile>>,
    /// What counts as equal; exact without it.
    #[serde(default)]
    pub tolerance: ToleranceFile,
    /// True refuses a kernel that answers equal inputs with other bits the next time; without it
    /// that is noted and no more.
    pub deterministic: Option<bool>,
    /// What one launch does, for the roofline.
    #[serde(default)]
    pub work: WorkFile,
    /// Launch geometry where a kernel does not bring its own.
    #[serde(default)]
    pub launch: LaunchFile,
}

/// One argument: a buffer has a `shape`, a scalar a `value`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArgFile {
    /// Its name in the signature.
    #[schemars(length(min = 1))]
    pub name: Spanned<String>,
    /// Element type.
    pub dtype: Spanned<Dtype>,
    /// A buffer's extents: sizes, numbers or expressions.
    #[schemars(length(min = 1))]
    pub shape: Option<Vec<Spanned<Size>>>,
    /// A scalar's value: a size, a number or an expression.
    pub value: Option<Spanned<Value>>,
    /// Who writes a buffer; `in` without it.
    pub role: Option<Spanned<Role>>,
    /// False: the kernel's own text leaves `const` out before this input.
    #[serde(rename = "const")]
    pub is_const: Option<Spanned<bool>>,
    /// What an input starts with. Without it: normal variates (mean 0, deviation 1) for floating
    /// point, 0 to 100 for integers, both values for bool.
    pub fill: Option<Spanned<FillFile>>,
}

/// An integer or an expression over the sizes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// A number.
    Int(i64),
    /// An expression.
    Text(String),
}

/// A number or an expression over the sizes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A fraction.
    Float(f64),
    /// An expression.
    Text(String),
}

impl Size {
    /// As an expression.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl Value {
    /// As an expression.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            // The shortest text that reads back as the same number.
            Self::Float(value) => format!("{value:?}"),
            Self::Text(text) => text.clone(),
        }
    }
}

/// `[reference]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceFile {
    /// A C or C++ file, relative to the problem file, with the same entry.
    #[schemars(length(min = 1))]
    pub source: Spanned<String>,
}

/// `[tolerance]`: `|got - want| <= atol + rtol * |want|`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToleranceFile {
    /// Relative part; 0 without it.
    pub rtol: Option<Spanned<f64>>,
    /// Absolute part; 0 without it.
    pub atol: Option<Spanned<f64>>,
    /// True lets NaN equal NaN; without it NaN equals nothing.
    pub equal_nan: Option<Spanned<bool>>,
    /// How fast the relative error may grow with the size of the inputs: the exponent of a power.
    /// 0.5 is the random walk of rounding errors, 1 their straight sum; not looked at without it.
    pub growth: Option<Spanned<f64>>,
}

/// `[work]`: expressions over the sizes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkFile {
    /// Operations of one launch.
    pub flops: Option<Spanned<Value>>,
    /// Bytes that one launch must move.
    pub bytes: Option<Spanned<Value>>,
}

/// `[launch]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchFile {
    /// For CUDA devices.
    pub cuda: Option<Spanned<CudaFile>>,
}

/// `[launch.cuda]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CudaFile {
    /// Blocks, up to three: expressions over the sizes and `block.x`, `block.y`, `block.z`.
    #[schemars(length(min = 1, max = 3))]
    pub grid: Vec<Spanned<Size>>,
    /// Threads of a block, up to three: expressions over the sizes.
    #[schemars(length(min = 1, max = 3))]
    pub block: Vec<Spanned<Size>>,
    /// Bytes of dynamic shared memory, over the sizes, `block.*` and `grid.*`; 0 without it.
    pub shared: Option<Spanned<Size>>,
}

/// What an input starts with.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum FillFile {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// 0, 1, 2, …
    Iota,
    /// 0..n shuffled.
    Permutation,
    /// Normal variates mixed with subnormals, large magnitudes, zeros and repeats.
    Adversarial,
    /// Normal variates.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in [low, high).
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound, excluded.
        high: f64,
    },
    /// Integers in [low, high].
    Integers {
        /// Lower bound.
        low: i64,
        /// Upper bound, included.
        high: i64,
    },
    /// One value everywhere.
    Constant(f64),
}

impl From<FillFile> for Fill {
    fn from(file: FillFile) -> Self {
        match file {
            FillFile::Zeros => Self::Zeros,
            FillFile::Ones => Self::Ones,
            FillFile::Iota => Self::Iota,
            FillFile::Permutation => Self::Permutation,
            FillFile::Adversarial => Self::Adversarial,
            FillFile::Normal { mean, std } => Self::Normal { mean, std },
            FillFile::Uniform { low, high } => Self::Uniform { low, high },
            FillFile::Integers { low, high } => Self::Integers { low, high },
            FillFile::Constant(value) => Self::Constant(value),
        }
    }
}
