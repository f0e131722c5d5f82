//! Whether a fill suits a buffer: what it gives must be values of the element type.

use super::Fill;
use crate::verify::Dtype;

/// Why a fill does not suit a buffer.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum FillError {
    /// It gives fractions, and the elements are whole numbers.
    #[error("`{fill}` gives fractions, which {dtype} cannot hold")]
    Fractions {
        /// Its name.
        fill: &'static str,
        /// The element type.
        dtype: Dtype,
    },
    /// Its values do not vary by less than nothing.
    #[error("a standard deviation of {0} is negative")]
    NegativeDeviation(f64),
    /// There is no number between these.
    #[error("`uniform` needs low < high, got low {low} and high {high}")]
    EmptyInterval {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// There is no integer between these.
    #[error("`integers` needs low <= high, got low {low} and high {high}")]
    NoIntegers {
        /// Lower bound.
        low: i64,
        /// Upper bound.
        high: i64,
    },
    /// Some of its values are too large.
    #[error("`normal` with mean {mean} and std {std} leaves the range of {dtype}")]
    NormalTooWide {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
        /// The element type.
        dtype: Dtype,
    },
    /// Some of its values are too large.
    #[error("`uniform` up to {widest:e} leaves the range of {dtype}")]
    UniformTooWide {
        /// The larger of both bounds' sizes.
        widest: f64,
        /// The element type.
        dtype: Dtype,
    },
    /// Some of its integers are rounded or cut off.
    #[error(
        "`integers` from {low} to {high} leaves the integers that {dtype} holds exactly, {} to {}",
        .dtype.exact_integers().0,
        .dtype.exact_integers().1
    )]
    InexactIntegers {
        /// Lower bound.
        low: i64,
        /// Upper bound.
        high: i64,
        /// The element type.
        dtype: Dtype,
    },
    /// There are more elements than integers that the type tells apart.
    #[error(
        "`{fill}` of {elements} elements needs values up to {}, and {dtype} holds integers exactly \
         only up to {}",
        .elements.saturating_sub(1),
        .dtype.exact_integers().1
    )]
    TooManyElements {
        /// Its name.
        fill: &'static str,
        /// Elements of the buffer.
        elements: u64,
        /// The element type.
        dtype: Dtype,
    },
    /// The element type has no such value.
    #[error("{dtype} cannot hold the constant {value}")]
    Constant {
        /// The constant.
        value: f64,
        /// The element type.
        dtype: Dtype,
    },
}

/// Whether `fill` makes sense for `elements` elements of `dtype`.
///
/// # Errors
/// What does not fit, as a fragment: "`permutation` of 300 elements needs values up to 299, …".
pub fn fits(fill: &Fill, dtype: Dtype, elements: u64) -> Result<(), FillError> {
    match *fill {
        Fill::Normal { .. } if !dtype.is_float() => {
            Err(FillError::Fractions { fill: "normal", dtype })
        }
        Fill::Uniform { .. } if !dtype.is_float() => {
            Err(FillError::Fractions { fill: "uniform", dtype })
        }
        Fill::Normal { mean, std } => normal_fits(mean, std, dtype),
        Fill::Uniform { low, high } => uniform_fits(low, high, dtype),
        Fill::Integers { low, high } => integers_fit(low, high, dtype),
        Fill::Zeros | Fill::Ones | Fill::Adversarial => Ok(()),
        Fill::Constant(value) => constant_fits(value, dtype),
        Fill::Iota => indices_fit("iota", dtype, elements),
        Fill::Permutation => indices_fit("permutation", dtype, elements),
    }
}

fn normal_fits(mean: f64, std: f64, dtype: Dtype) -> Result<(), FillError> {
    let reach = mean.abs() + 8.0 * std;
    if std < 0.0 {
        Err(FillError::NegativeDeviation(std))
    } else if reach.is_finite() && reach <= dtype.max_finite() {
        Ok(())
    } else {
        Err(FillError::NormalTooWide { mean, std, dtype })
    }
}

fn uniform_fits(low: f64, high: f64, dtype: Dtype) -> Result<(), FillError> {
    let widest = low.abs().max(high.abs());
    if !(low.is_finite() && high.is_finite() && low < high) {
        Err(FillError::EmptyInterval { low, high })
    } else if widest <= dtype.max_finite() {
        Ok(())
    } else {
        Err(FillError::UniformTooWide { widest, dtype })
    }
}

fn integers_fit(low: i64, high: i64, dtype: Dtype) -> Result<(), FillError> {
    let (least, most) = dtype.exact_integers();
    if low > high {
        Err(FillError::NoIntegers { low, high })
    } else if low < least || high > most {
        Err(FillError::InexactIntegers { low, high, dtype })
    } else {
        Ok(())
    }
}

/// Each element is its own index, or another's.
fn indices_fit(fill: &'static str, dtype: Dtype, elements: u64) -> Result<(), FillError> {
    let (_, most) = dtype.exact_integers();
    let highest = i64::try_from(elements.saturating_sub(1));
    match highest {
        Ok(highest) if highest <= most => Ok(()),
        _ => Err(FillError::TooManyElements { fill, elements, dtype }),
    }
}

fn constant_fits(value: f64, dtype: Dtype) -> Result<(), FillError> {
    let (least, most) = dtype.exact_integers();
    let fits = if dtype.is_float() {
        value.abs() <= dtype.max_finite()
    } else {
        value.fract() == 0.0 && value >= least as f64 && value <= most as f64
    };
    if fits { Ok(()) } else { Err(FillError::Constant { value, dtype }) }
}
