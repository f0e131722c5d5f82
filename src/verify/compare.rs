//! The comparison itself: chunks on every core, merged in order, so that the result is the same
//! whatever the number of threads.
//!
//! Floating point is compared in f64. Chunks in which all agrees are passed by `fast_path`, which only
//! takes maxima; positions and values are looked at in the chunks that have something to tell.

mod fast_path;
mod part;

use std::cmp::Ordering;
use std::fmt;

use half::{bf16, f16};
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use self::fast_path::{Maxima, Real, maxima_after, widen};
pub use self::part::Part;
use super::{Dtype, Tolerance};

/// How many mismatches are kept in full.
const KEPT: usize = 8;
/// Elements a thread takes at once: two operands of a chunk fit the second-level cache.
const CHUNK: usize = 32 * 1024;

/// What comparing one buffer found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Elements looked at.
    pub elements: u64,
    /// Elements outside the tolerance.
    pub mismatches: u64,
    /// NaNs in the reference's output that nothing can equal: the problem, not the candidate, is at
    /// fault. None where the tolerance lets NaN equal NaN.
    pub want_nan: u64,
    /// Mismatches without a finite difference: NaN or an infinity on either side.
    pub not_finite: u64,
    /// Largest `|got - want|` over pairs of finite values, equal ones included.
    pub max_abs: f64,
    /// Largest `|got - want| / |want|` over pairs of finite values with `want` not 0.
    pub max_rel: f64,
    /// `max_abs` of integers, to the last digit; `None` for floating point.
    pub max_int: Option<u64>,
    /// The first mismatches.
    pub first: Vec<Mismatch>,
    /// What counted as equal.
    pub tolerance: Tolerance,
}

/// One element outside the tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mismatch {
    /// Position in the flat buffer.
    pub index: u64,
    /// The candidate's value.
    pub got: Element,
    /// The reference's value.
    pub want: Element,
}

/// A value of any element type. Serialises as text, since JSON has no NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element {
    /// Of a floating-point type.
    Float(f64),
    /// Of an integer type.
    Int(i64),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) if value.is_nan() => f.write_str("nan"),
            Self::Float(value) if *value == 0.0 || (1e-3..1e6).contains(&value.abs()) => {
                write!(f, "{value}")
            }
            Self::Float(value) if value.is_infinite() => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:e}"),
        }
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Comparison {
    /// True when there was something to compare, the reference gave numbers, and all agree.
    pub fn passed(&self) -> bool {
        self.elements > 0 && self.mismatches == 0 && self.want_nan == 0
    }

    /// Of no elements.
    pub fn empty(tolerance: Tolerance) -> Self {
        Self {
            elements: 0,
            mismatches: 0,
            want_nan: 0,
            not_finite: 0,
            max_abs: 0.0,
            max_rel: 0.0,
            max_int: None,
            first: Vec::new(),
            tolerance,
        }
    }

    /// Appends what was found in the elements that follow.
    #[must_use]
    pub fn append(mut self, next: Self) -> Self {
        self.elements += next.elements;
        self.mismatches += next.mismatches;
        self.want_nan += next.want_nan;
        self.not_finite += next.not_finite;
        self.max_abs = self.max_abs.max(next.max_abs);
        self.max_rel = self.max_rel.max(next.max_rel);
        self.max_int = self.max_int.max(next.max_int);
        let free = KEPT - self.first.len();
        self.first.extend(next.first.into_iter().take(free));
        self
    }

    fn note(&mut self, mismatch: Mismatch) {
        self.mismatches += 1;
        if self.first.len() < KEPT {
            self.first.push(mismatch);
        }
    }

    fn errors(&mut self, difference: f64, want: f64) {
        self.max_abs = self.max_abs.max(difference);
        if want != 0.0 {
            self.max_rel = self.max_rel.max(difference / want.abs());
        }
    }
}

/// Compares a candidate's output with the reference's, element by element, on every core.
///
/// A value that is not finite equals only itself: an infinity of the same sign. NaN equals
/// nothing, and a NaN that the reference wrote is counted in [`Comparison::want_nan`]; with
/// [`Tolerance::equal_nan`] it equals NaN.
///
/// # Panics
/// When the two lengths differ or are no multiple of the element size: both buffers are the
/// judge's own, so that is a mistake in the judge.
pub fn compare(got: &[u8], want: &[u8], dtype: Dtype, tolerance: &Tolerance) -> Comparison {
    compare_in_chunks(got, want, dtype, tolerance, CHUNK)
}

/// [`compare`] of a part of both buffers, on this thread.
///
/// # Panics
/// As there.
pub fn compare_part(part: Part<'_>, dtype: Dtype, tolerance: &Tolerance) -> Comparison {
    assert_eq!(part.got.len(), part.want.len(), "compared parts have one length");
    Chunk { part, tolerance: *tolerance }.compare(dtype, &mut Maxima::default())
}

/// [`compare`] with a chosen number of elements per chunk.
fn compare_in_chunks(
    got: &[u8],
    want: &[u8],
    dtype: Dtype,
    tolerance: &Tolerance,
    chunk: usize,
) -> Comparison {
    assert_eq!(got.len(), want.len(), "compared buffers have one length");
    assert_eq!(got.len() % dtype.size_bytes(), 0, "a buffer holds whole elements");
    let bytes = chunk * dtype.size_bytes();
    let parts: Vec<Comparison> = got
        .par_chunks(bytes)
        .zip(want.par_chunks(bytes))
        .enumerate()
        .map_init(Maxima::default, |seen, (i, (got, want))| {
            let part = Part { got, want, start: (i * chunk) as u64 };
            Chunk { part, tolerance: *tolerance }.compare(dtype, seen)
        })
        .collect();
    parts.into_iter().fold(Comparison::empty(*tolerance), Comparison::append)
}

/// One chunk of both buffers, and what counts as equal in it.
struct Chunk<'a> {
    part: Part<'a>,
    tolerance: Tolerance,
}

impl Chunk<'_> {
    /// `seen` are the largest errors that this thread met in other chunks: a chunk without larger
    /// ones tells of those, which leaves the maximum over all chunks what it is.
    fn compare(&self, dtype: Dtype, seen: &mut Maxima) -> Comparison {
        let bf16_to_f32 = |b| f32::from_bits(u32::from(u16::from_ne_bytes(b)) << 16);
        match dtype {
            Dtype::F64 => self
                .by_maxima(seen, f64::from_ne_bytes)
                .unwrap_or_else(|| self.floats(f64::from_ne_bytes)),
            Dtype::F32 => self
                .by_maxima(seen, f32::from_ne_bytes)
                .unwrap_or_else(|| self.floats(|b| f64::from(f32::from_ne_bytes(b)))),
            Dtype::F16 => self
                .by_maxima(seen, widen)
                .unwrap_or_else(|| self.floats(|b| f16::from_ne_bytes(b).to_f64())),
            Dtype::Bf16 => self
                .by_maxima(seen, bf16_to_f32)
                .unwrap_or_else(|| self.floats(|b| bf16::from_ne_bytes(b).to_f64())),
            Dtype::I64 => self.integers(i64::from_ne_bytes),
            Dtype::I32 => self.integers(|b| i64::from(i32::from_ne_bytes(b))),
            Dtype::I16 => self.integers(|b| i64::from(i16::from_ne_bytes(b))),
            Dtype::I8 => self.integers(|b| i64::from(i8::from_ne_bytes(b))),
            Dtype::U8 | Dtype::Bool => self.integers(|b: [u8; 1]| i64::from(b[0])),
        }
    }

    /// `None` when there is a mismatch or a value that is not finite.
    fn by_maxima<T: Real, const N: usize>(
        &self,
        seen: &mut Maxima,
        read: impl Fn([u8; N]) -> T + Copy,
    ) -> Option<Comparison> {
        *seen = maxima_after(self.part, &self.tolerance, *seen, read)?;
        let mut found = Comparison::empty(self.tolerance);
        found.elements = (self.part.got.len() / N) as u64;
        (found.max_abs, found.max_rel) = (seen.abs, seen.rel);
        Some(found)
    }

    fn floats<const N: usize>(&self, read: impl Fn([u8; N]) -> f64) -> Comparison {
        self.each(read, |found, index, got, want| {
            let difference = (got - want).abs();
            if difference.is_finite() {
                found.errors(difference, want);
            }
            let both_nan = self.tolerance.equal_nan && got.is_nan() && want.is_nan();
            if want.is_nan() && !self.tolerance.equal_nan {
                found.want_nan += 1;
            }
            // Also for infinities of one sign, whose difference is NaN.
            let same = got.partial_cmp(&want) == Some(Ordering::Equal) || both_nan;
            let near = difference.is_finite() && difference <= self.allowed(want);
            if !same && !near {
                found.not_finite += u64::from(!difference.is_finite());
                let (got, want) = (Element::Float(got), Element::Float(want));
                found.note(Mismatch { index, got, want });
            }
        })
    }

    fn integers<const N: usize>(&self, read: impl Fn([u8; N]) -> i64 + Copy) -> Comparison {
        if self.part.got == self.part.want {
            let mut found = Comparison::empty(self.tolerance);
            found.elements = (self.part.got.len() / N) as u64;
            found.max_int = Some(0);
            return found;
        }
        self.each(read, |found, index, got, want| {
            let difference = got.abs_diff(want);
            found.errors(difference as f64, want as f64);
            found.max_int = found.max_int.max(Some(difference));
            if difference > self.tolerance.allowed_integer(want) {
                let (got, want) = (Element::Int(got), Element::Int(want));
                found.note(Mismatch { index, got, want });
            }
        })
    }

    fn allowed(&self, want: f64) -> f64 {
        self.tolerance.allowed(want)
    }

    /// Walks the chunk element by element.
    fn each<T, const N: usize>(
        &self,
        read: impl Fn([u8; N]) -> T,
        mut look: impl FnMut(&mut Comparison, u64, T, T),
    ) -> Comparison {
        let mut found = Comparison::empty(self.tolerance);
        let (got, want) = (self.part.got.as_chunks::<N>().0, self.part.want.as_chunks::<N>().0);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            look(&mut found, self.part.start + i as u64, read(*got), read(*want));
        }
        found.elements = got.len() as u64;
        found
    }
}

#[cfg(test)]
mod tests;
