//! The comparison itself: chunks on every core, merged in order, so that the result is the same
//! whatever the number of threads.
//!
//! Floating point is compared in f64 with one pass that only counts and takes maxima; positions
//! and values are looked at again in the chunks that have something to tell.

use std::cmp::Ordering;
use std::fmt;

use half::{bf16, f16};
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use super::{Dtype, Tolerance};

/// How many mismatches are kept in full.
const KEPT: usize = 8;
/// Elements a thread takes at once: two operands of a chunk fit the second-level cache.
const CHUNK: usize = 32 * 1024;
/// Independent maxima: lets the compiler use vector instructions.
const LANES: usize = 8;

/// What comparing one buffer found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Elements looked at.
    pub elements: u64,
    /// Elements outside the tolerance.
    pub mismatches: u64,
    /// NaNs in the reference's output: the problem, not the candidate, is at fault.
    pub want_nan: u64,
    /// Largest `|got - want|` over pairs of finite values, equal ones included.
    pub max_abs: f64,
    /// Largest `|got - want| / |want|` over pairs of finite values with `want` not 0.
    pub max_rel: f64,
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

    fn empty(tolerance: Tolerance) -> Self {
        Self {
            elements: 0,
            mismatches: 0,
            want_nan: 0,
            max_abs: 0.0,
            max_rel: 0.0,
            first: Vec::new(),
            tolerance,
        }
    }

    /// Appends what was found in the elements that follow.
    fn append(mut self, next: Self) -> Self {
        self.elements += next.elements;
        self.mismatches += next.mismatches;
        self.want_nan += next.want_nan;
        self.max_abs = self.max_abs.max(next.max_abs);
        self.max_rel = self.max_rel.max(next.max_rel);
        let room = KEPT - self.first.len();
        self.first.extend(next.first.into_iter().take(room));
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
/// nothing, and a NaN that the reference wrote is counted in [`Comparison::want_nan`].
///
/// # Panics
/// When the two lengths differ or are no multiple of the element size: both buffers are the
/// judge's own, so that is a mistake in the judge.
pub fn compare(got: &[u8], want: &[u8], dtype: Dtype, tolerance: &Tolerance) -> Comparison {
    compare_in_chunks(got, want, dtype, tolerance, CHUNK)
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
        .map(|(i, (got, want))| {
            let pair = Pair { got, want, start: (i * chunk) as u64, tolerance: *tolerance };
            pair.compare(dtype)
        })
        .collect();
    parts.into_iter().fold(Comparison::empty(*tolerance), Comparison::append)
}

/// One chunk of both buffers, and where it begins.
struct Pair<'a> {
    got: &'a [u8],
    want: &'a [u8],
    start: u64,
    tolerance: Tolerance,
}

impl Pair<'_> {
    fn compare(&self, dtype: Dtype) -> Comparison {
        match dtype {
            Dtype::F64 => self.floats(f64::from_ne_bytes),
            Dtype::F32 => self.floats(|b| f64::from(f32::from_ne_bytes(b))),
            Dtype::F16 => self.floats(|b| f16::from_ne_bytes(b).to_f64()),
            Dtype::Bf16 => self.floats(|b| bf16::from_ne_bytes(b).to_f64()),
            Dtype::I64 => self.integers(i64::from_ne_bytes),
            Dtype::I32 => self.integers(|b| i64::from(i32::from_ne_bytes(b))),
            Dtype::I16 => self.integers(|b| i64::from(i16::from_ne_bytes(b))),
            Dtype::I8 => self.integers(|b| i64::from(i8::from_ne_bytes(b))),
            Dtype::U8 | Dtype::Bool => self.integers(|b: [u8; 1]| i64::from(b[0])),
        }
    }

    fn floats<const N: usize>(&self, read: impl Fn([u8; N]) -> f64 + Copy) -> Comparison {
        let swift = swift(self.got, self.want, self.tolerance, read);
        if swift.suspect == 0 {
            let mut found = Comparison::empty(self.tolerance);
            found.elements = (self.got.len() / N) as u64;
            found.max_abs = swift.max_abs;
            found.max_rel = swift.max_rel;
            return found;
        }
        self.each(read, |found, index, got, want| {
            let difference = (got - want).abs();
            if difference.is_finite() {
                found.errors(difference, want);
            }
            if want.is_nan() {
                found.want_nan += 1;
            }
            // Also for infinities of one sign, whose difference is NaN.
            let same = got.partial_cmp(&want) == Some(Ordering::Equal);
            let near = difference.is_finite() && difference <= self.allowed(want);
            if !same && !near {
                let (got, want) = (Element::Float(got), Element::Float(want));
                found.note(Mismatch { index, got, want });
            }
        })
    }

    fn integers<const N: usize>(&self, read: impl Fn([u8; N]) -> i64 + Copy) -> Comparison {
        if self.got == self.want {
            let mut found = Comparison::empty(self.tolerance);
            found.elements = (self.got.len() / N) as u64;
            return found;
        }
        self.each(read, |found, index, got, want| {
            let difference = got.abs_diff(want) as f64;
            found.errors(difference, want as f64);
            if got != want && (self.tolerance.is_exact() || difference > self.allowed(want as f64))
            {
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
        let (got, want) = (self.got.as_chunks::<N>().0, self.want.as_chunks::<N>().0);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            look(&mut found, self.start + i as u64, read(*got), read(*want));
        }
        found.elements = got.len() as u64;
        found
    }
}

/// What the counting pass found.
struct Swift {
    /// Elements that are outside the tolerance or not finite.
    suspect: u64,
    max_abs: f64,
    max_rel: f64,
}

/// One branch-free pass: only counts and maxima.
fn swift<const N: usize>(
    got: &[u8],
    want: &[u8],
    tolerance: Tolerance,
    read: impl Fn([u8; N]) -> f64 + Copy,
) -> Swift {
    let (mut suspect, mut max_abs, mut max_rel) = ([0u64; LANES], [0f64; LANES], [0f64; LANES]);
    let mut look = |lane: usize, got: &[u8; N], want: &[u8; N]| {
        let (got, want) = (read(*got), read(*want));
        let (difference, size) = ((got - want).abs(), want.abs());
        // An infinite `want` allows everything, hence `finite`. NaN is neither.
        let near = difference <= tolerance.atol + tolerance.rtol * size;
        let finite = difference < f64::INFINITY;
        // Sums instead of a branch, which would keep this loop from vector instructions.
        suspect[lane] += 1 - u64::from(near) * u64::from(finite);
        let relative = if size > 0.0 { difference / size } else { 0.0 };
        max_abs[lane] = if difference > max_abs[lane] { difference } else { max_abs[lane] };
        max_rel[lane] = if relative > max_rel[lane] { relative } else { max_rel[lane] };
    };
    let (got, want) = (got.as_chunks::<N>().0, want.as_chunks::<N>().0);
    let (got, got_rest) = got.as_chunks::<LANES>();
    let (want, want_rest) = want.as_chunks::<LANES>();
    for (got, want) in got.iter().zip(want) {
        for lane in 0..LANES {
            look(lane, &got[lane], &want[lane]);
        }
    }
    for (got, want) in got_rest.iter().zip(want_rest) {
        look(0, got, want);
    }
    let largest = |values: [f64; LANES]| values.into_iter().fold(0.0, f64::max);
    Swift {
        suspect: suspect.into_iter().sum(),
        max_abs: largest(max_abs),
        max_rel: largest(max_rel),
    }
}

#[cfg(test)]
mod tests;
