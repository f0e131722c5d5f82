//! The fields of a problem.

use super::fields::{Fields, KeyFields};
use crate::problem::{Arg, ArgKind, Case, CudaLaunch, Fill, Holdout, Problem};
use crate::verify::Tolerance;

impl KeyFields for Problem {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self {
            name,
            entry,
            cases,
            holdout,
            args,
            // Its code counts by the reference's own compile.
            reference: _,
            tolerance,
            growth,
            deterministic,
            flops,
            bytes,
            cuda,
        } = self;
        at.text("name", name);
        at.text("entry", entry);
        at.each("cases", cases);
        at.optional("holdout", holdout.as_ref());
        at.each("args", args);
        at.all("tolerance", tolerance);
        at.plain("growth", growth);
        at.plain("deterministic", deterministic);
        at.optional("flops", flops.as_ref());
        at.optional("bytes", bytes.as_ref());
        at.optional("cuda", cuda.as_ref());
    }
}

impl KeyFields for Case {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { label, sizes } = self;
        at.text("label", label);
        at.below("sizes", |at| sizes.iter().for_each(|(name, size)| at.plain(name, size)));
    }
}

impl KeyFields for Holdout {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { ranges, count } = self;
        at.below("ranges", |at| ranges.iter().for_each(|(name, range)| at.plain(name, range)));
        at.plain("count", count);
    }
}

impl KeyFields for Arg {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { name, dtype, kind, is_const } = self;
        at.text("name", name);
        at.text("dtype", dtype.name());
        at.all("kind", kind);
        at.plain("is_const", is_const);
    }
}

impl KeyFields for ArgKind {
    fn walk(&self, at: &mut Fields<'_>) {
        match self {
            Self::Scalar(value) => at.text("Scalar", value),
            Self::Buffer { shape, role, fill } => at.below("Buffer", |at| {
                at.plain("shape", shape);
                at.plain("role", role);
                at.all("fill", fill);
            }),
        }
    }
}

impl KeyFields for Fill {
    fn walk(&self, at: &mut Fields<'_>) {
        let mut bounds = |kind: &str, of: [(&str, f64); 2]| {
            at.below(kind, |at| of.iter().for_each(|(name, value)| at.plain(name, value)));
        };
        match self {
            Self::Normal { mean, std } => bounds("Normal", [("mean", *mean), ("std", *std)]),
            Self::Uniform { low, high } => bounds("Uniform", [("low", *low), ("high", *high)]),
            Self::Integers { low, high } => at.below("Integers", |at| {
                at.plain("low", low);
                at.plain("high", high);
            }),
            Self::Constant(value) => at.plain("Constant", value),
            Self::Zeros | Self::Ones | Self::Iota | Self::Permutation | Self::Adversarial => {
                at.value(&format!("{self:?}"));
            }
        }
    }
}

impl KeyFields for Tolerance {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { rtol, atol, equal_nan } = self;
        at.plain("rtol", rtol);
        at.plain("atol", atol);
        at.plain("equal_nan", equal_nan);
    }
}

impl KeyFields for CudaLaunch {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { grid, block, shared } = self;
        at.plain("grid", grid);
        at.plain("block", block);
        at.text("shared", shared);
    }
}
