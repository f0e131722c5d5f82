//! A problem with everything known: what a kernel must compute, and at which sizes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::verify::{Dtype, Tolerance};

/// A problem file, validated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name.
    pub name: String,
    /// The symbol, the same in every language.
    pub entry: String,
    /// The sizes it is measured at.
    pub cases: Vec<Case>,
    /// Sizes drawn in secret at run time.
    pub holdout: Option<Holdout>,
    /// Arguments in the order of the C signature.
    pub args: Vec<Arg>,
    /// The judge's own implementation: an absolute path.
    pub reference: PathBuf,
    /// What counts as equal.
    pub tolerance: Tolerance,
    /// The exponent with which the relative error may grow with the size of the inputs.
    pub growth: Option<f64>,
    /// Equal inputs must give equal bits.
    pub deterministic: bool,
    /// Operations and bytes per launch, expressions over the case's sizes.
    pub flops: Option<String>,
    /// Bytes moved per launch.
    pub bytes: Option<String>,
    /// CUDA launch geometry: expressions.
    pub cuda: Option<CudaLaunch>,
}

/// Named sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// `rows=64 cols=1024`, in file order.
    pub label: String,
    /// Size by name.
    pub sizes: BTreeMap<String, i64>,
}

/// `holdout = …`: inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdout {
    /// Range by size name.
    pub ranges: BTreeMap<String, (i64, i64)>,
    /// How many cases to draw.
    pub count: u32,
}

/// One `[[args]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arg {
    /// Its name in the signature.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Buffer or scalar.
    pub kind: ArgKind,
    /// Whether an input is declared `const`. It is unwritable in any case.
    pub is_const: bool,
}

/// A buffer or a scalar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ArgKind {
    /// A pointer to `shape` elements, each an expression over the sizes.
    Buffer {
        /// Extent expressions.
        shape: Vec<String>,
        /// Who writes it.
        role: Role,
        /// What an input starts with.
        fill: Fill,
    },
    /// A value: an expression over the sizes.
    Scalar(String),
}

/// Who writes a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read by the kernel (`const` in C).
    In,
    /// Written by the kernel; poisoned before each launch.
    Out,
    /// Read and written: filled before each launch, compared after.
    Inout,
}

/// What an input starts with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Fill {
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
        /// Upper bound.
        high: f64,
    },
    /// Integers in [low, high].
    Integers {
        /// Lower bound.
        low: i64,
        /// Upper bound.
        high: i64,
    },
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// One value.
    Constant(f64),
    /// 0, 1, 2, …
    Iota,
    /// 0..n shuffled.
    Permutation,
    /// Normal variates mixed with subnormals, large magnitudes, zeros and repeats.
    Adversarial,
}

/// `[launch.cuda]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaLaunch {
    /// Up to three expressions.
    pub grid: Vec<String>,
    /// Up to three expressions.
    pub block: Vec<String>,
    /// Bytes of dynamic shared memory.
    pub shared: String,
}
