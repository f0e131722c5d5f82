//! The way through a chunk that has nothing to tell: at the speed of memory where it can.
//!
//! Most blocks hold no mismatch and no error larger than those already seen. A filter proves that
//! of a block without branches or divisions, in the element type's own arithmetic; only the other
//! blocks are computed in f64, as the definition asks. The filter errs to one side alone: its
//! limits are [`SHRINK`] below the true ones, which is more than its arithmetic can round.

use std::ops::{Add, Mul, Sub};

use super::super::Tolerance;
use super::part::Part;

/// Elements that the filter judges together: large enough for vectors, and small enough that a
/// block with a new largest error costs little.
const BLOCK: usize = 64;
/// Independent maxima within a block: lets the compiler use vector instructions.
const LANES: usize = 8;
/// What limits are multiplied with: in the normal range the filter rounds three times, by at most
/// 2^-24 of the value in f32.
const SHRINK: f64 = 1.0 - 1.0 / (1 << 20) as f64;

/// The largest errors seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Maxima {
    pub(super) abs: f64,
    pub(super) rel: f64,
}

impl Maxima {
    /// Takes in a difference and the size of the wanted value. False when it is outside the
    /// tolerance or not finite.
    fn take(&mut self, [difference, size]: [f64; 2], tolerance: &Tolerance) -> bool {
        self.abs = greater(difference, self.abs);
        self.rel = greater(quotient(difference, size), self.rel);
        near(difference, size, tolerance)
    }

    /// [`Self::take`] of a block, in steps that the compiler turns into vector instructions.
    fn take_block(&mut self, block: &Errors, tolerance: &Tolerance) -> bool {
        let mut quotients = [0.0; BLOCK];
        let mut fine = true;
        for (i, (&difference, &size)) in block.differences.iter().zip(&block.sizes).enumerate() {
            quotients[i] = quotient(difference, size);
            fine &= near(difference, size, tolerance);
        }
        self.abs = greatest(&block.differences, self.abs);
        self.rel = greatest(&quotients, self.rel);
        fine
    }
}

/// A block's differences and the sizes of its wanted values.
struct Errors {
    differences: [f64; BLOCK],
    sizes: [f64; BLOCK],
}

/// The relative error; 0 where there is none because 0 was wanted. Not an `if` around the
/// division: that would be a branch.
fn quotient(difference: f64, size: f64) -> f64 {
    difference / if size > 0.0 { size } else { f64::INFINITY }
}

/// The greatest of a block and of one value more; NaN counts as nothing.
fn greatest(values: &[f64; BLOCK], first: f64) -> f64 {
    let mut lanes = [first; LANES];
    for values in values.as_chunks::<LANES>().0 {
        for (lane, &value) in lanes.iter_mut().zip(values) {
            *lane = greater(value, *lane);
        }
    }
    lanes.into_iter().fold(first, |a, b| greater(b, a))
}

/// Within the tolerance and finite. An infinite wanted value allows everything, hence the second
/// bound; NaN is within neither. Not `&&`: that would be a branch.
fn near(difference: f64, size: f64, tolerance: &Tolerance) -> bool {
    difference <= less(f64::MAX, tolerance.allowed(size))
}

/// Floating-point types in which elements are filtered.
pub(super) trait Real:
    Copy
    + Default
    + PartialOrd
    + Into<f64>
    + Add<Output = Self>
    + Mul<Output = Self>
    + Sub<Output = Self>
{
    /// The smallest value that is not subnormal.
    const NORMAL: Self;
    /// The size without the sign.
    fn size(self) -> Self;
    /// The largest finite value that is at most `limit`, which is 0 or more.
    fn at_most(limit: f64) -> Self;
}

impl Real for f64 {
    const NORMAL: Self = Self::MIN_POSITIVE;

    fn size(self) -> Self {
        self.abs()
    }

    fn at_most(limit: f64) -> Self {
        limit.min(Self::MAX)
    }
}

impl Real for f32 {
    const NORMAL: Self = Self::MIN_POSITIVE;

    fn size(self) -> Self {
        self.abs()
    }

    fn at_most(limit: f64) -> Self {
        let near = limit.min(f64::from(Self::MAX)) as Self;
        if f64::from(near) > limit { near.next_down() } else { near }
    }
}

/// What a difference must not exceed for its element to have nothing to tell.
struct Limits<T> {
    atol: T,
    rtol: T,
    /// Of the size of the wanted value: up to this, no new largest relative error.
    rel: T,
    /// Up to this, no new largest absolute error.
    abs: T,
}

impl<T: Real> Limits<T> {
    /// Shrunk limits are not met by errors as large as the largest, and there may be many: those of
    /// values of one size, each a step off, are all alike. So the limits are exact where the
    /// filter's arithmetic is. A difference of less than half of the wanted value is not rounded
    /// (Sterbenz 1974, *Floating-Point Computation*, theorem 4.3.1), hence `abs`, which a `rel`
    /// below one half guards. Nor is a product with a power of two, which the largest relative
    /// error mostly is: a step is relatively largest just above a power of two.
    fn new(tolerance: &Tolerance, seen: &Maxima) -> Self {
        let sound = |x: f64| x.is_finite() && x >= 0.0;
        // An odd tolerance is the slow way's business: here, nothing but equality is let through.
        let sound = sound(tolerance.atol) && sound(tolerance.rtol);
        let shrunk = |x: f64| T::at_most(x * SHRINK);
        let allowed = |x: f64| if sound { shrunk(x) } else { shrunk(0.0) };
        let rel = if seen.rel < 0.5 { seen.rel } else { 0.25 };
        let exact = is_power_of_two(rel) && rel >= T::NORMAL.into();
        Self {
            atol: allowed(tolerance.atol),
            rtol: allowed(tolerance.rtol),
            rel: if exact { T::at_most(rel) } else { shrunk(rel) },
            abs: T::at_most(seen.abs),
        }
    }

    /// True when no element of the block has anything to tell. NaN and infinities always have:
    /// their difference is within no limit.
    fn hold<const N: usize>(
        &self,
        got: &[[u8; N]; BLOCK],
        want: &[[u8; N]; BLOCK],
        read: impl Fn([u8; N]) -> T,
    ) -> bool {
        let mut calm = true;
        for (got, want) in got.iter().zip(want) {
            let (got, want) = (read(*got), read(*want));
            let (difference, size) = ((got - want).size(), want.size());
            let tolerated = self.atol + self.rtol * size;
            // NaN only when `want` is not finite: then not `less`.
            let usual = less(self.rel * size, self.abs);
            let bound = less(tolerated, usual);
            // Below the normal range the bound itself is rounded too much to prove anything, but
            // an equal element has nothing to tell, whatever the limits.
            let bound = if bound >= T::NORMAL { bound } else { T::default() };
            calm &= difference <= bound;
        }
        calm
    }
}

/// Of a normal number: its fraction is 0.
fn is_power_of_two(x: f64) -> bool {
    x.is_normal() && x.to_bits() << 12 == 0
}

/// The lesser of two; the second when the first is NaN. One instruction, unlike `f64::min`.
fn less<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// The greater of two; the second when the first is NaN.
fn greater<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// The largest errors after a chunk, given those seen before it; `None` when an element is outside
/// the tolerance or not finite.
pub(super) fn maxima_after<T: Real, const N: usize>(
    part: Part<'_>,
    tolerance: &Tolerance,
    seen: Maxima,
    read: impl Fn([u8; N]) -> T + Copy,
) -> Option<Maxima> {
    let mut seen = seen;
    let mut limits = Limits::new(tolerance, &seen);
    let error = |got: [u8; N], want: [u8; N]| {
        let (got, want): (f64, f64) = (read(got).into(), read(want).into());
        [(got - want).abs(), want.abs()]
    };
    let (got, want) = (part.got.as_chunks::<N>().0, part.want.as_chunks::<N>().0);
    let (got, got_rest) = got.as_chunks::<BLOCK>();
    let (want, want_rest) = want.as_chunks::<BLOCK>();
    for (got, want) in got.iter().zip(want) {
        if limits.hold(got, want, read) {
            continue;
        }
        let mut block = Errors { differences: [0.0; BLOCK], sizes: [0.0; BLOCK] };
        for i in 0..BLOCK {
            [block.differences[i], block.sizes[i]] = error(got[i], want[i]);
        }
        let before = seen;
        if !seen.take_block(&block, tolerance) {
            return None;
        }
        if seen != before {
            limits = Limits::new(tolerance, &seen);
        }
    }
    let mut rest = got_rest.iter().zip(want_rest).map(|(got, want)| error(*got, *want));
    rest.all(|pair| seen.take(pair, tolerance)).then_some(seen)
}

/// The f16 with these bytes as f32, which holds every one of them, without a branch. Infinities
/// come out as NaN: neither has a place in a chunk with nothing to tell.
pub(super) fn widen(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_ne_bytes(bytes));
    // The exponents' biases differ by 112: exponent and fraction are put in place, and a product
    // moves the exponent. Subnormals become subnormals and are moved likewise, exactly.
    let size = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    let size = if size < 65536.0 { size } else { f32::NAN };
    f32::from_bits(size.to_bits() | (bits & 0x8000) << 16)
}
