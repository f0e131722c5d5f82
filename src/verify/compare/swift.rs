//! The way through a chunk that has nothing to tell: at the speed of memory where it can.
//!
//! Most blocks hold no mismatch and no error larger than those already seen. A filter proves that
//! of a block without branches or divisions, in the element type's own arithmetic; only the other
//! blocks are computed in f64, as the definition asks. The filter errs to one side alone: its
//! limits are [`SHRINK`] below the true ones, which is more than its arithmetic can round.

use std::ops::{Add, Mul, Sub};

use super::super::Tolerance;

/// Elements that the filter judges together: large enough for vectors, and small enough that a
/// block with a new largest error costs little.
const BLOCK: usize = 64;
/// What limits are multiplied with. The filter rounds three times by at most 2^-24 in f32; below
/// the normal range, where rounding is absolute, all differences are whole steps of it, and "less
/// than" leaves one of them as a margin.
const SHRINK: f64 = 1.0 - 1.0 / (1 << 20) as f64;

/// The largest errors seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Maxima {
    pub(super) abs: f64,
    pub(super) rel: f64,
}

impl Maxima {
    /// Takes in one pair. False when it is outside the tolerance or not finite.
    fn take(&mut self, got: f64, want: f64, tolerance: &Tolerance) -> bool {
        let (difference, size) = ((got - want).abs(), want.abs());
        let relative = if size > 0.0 { difference / size } else { 0.0 };
        self.abs = if difference > self.abs { difference } else { self.abs };
        self.rel = if relative > self.rel { relative } else { self.rel };
        // An infinite `want` allows everything, hence the second half. NaN is neither.
        difference <= tolerance.allowed(want) && difference < f64::INFINITY
    }
}

/// Floating-point types in which elements are filtered.
pub(super) trait Real:
    Copy + PartialOrd + Into<f64> + Add<Output = Self> + Mul<Output = Self> + Sub<Output = Self>
{
    /// The smallest value above 0.
    const STEP: Self;
    /// The size without the sign.
    fn size(self) -> Self;
    /// A finite value that is at most `limit`, which is 0 or more.
    fn at_most(limit: f64) -> Self;
}

impl Real for f64 {
    const STEP: Self = Self::from_bits(1);

    fn size(self) -> Self {
        self.abs()
    }

    fn at_most(limit: f64) -> Self {
        limit.min(Self::MAX)
    }
}

impl Real for f32 {
    const STEP: Self = Self::from_bits(1);

    fn size(self) -> Self {
        self.abs()
    }

    fn at_most(limit: f64) -> Self {
        let near = limit.min(f64::from(Self::MAX)) as Self;
        if f64::from(near) > limit { near.next_down() } else { near }
    }
}

/// What a difference must stay below for its element to have nothing to tell.
struct Limits<T> {
    atol: T,
    rtol: T,
    /// Of the size of the wanted value: below this, no new largest relative error.
    rel: T,
    /// Below this, no new largest absolute error.
    abs: T,
}

impl<T: Real> Limits<T> {
    fn new(tolerance: &Tolerance, seen: &Maxima) -> Self {
        let sound = |x: f64| x.is_finite() && x >= 0.0;
        // An odd tolerance is the slow way's business: here, nothing but equality is let through.
        let sound = sound(tolerance.atol) && sound(tolerance.rtol);
        let below = |x: f64| T::at_most(x * SHRINK);
        let allowed = |x: f64| if sound { below(x) } else { below(0.0) };
        Self {
            atol: allowed(tolerance.atol),
            rtol: allowed(tolerance.rtol),
            rel: below(seen.rel),
            abs: below(seen.abs),
        }
    }

    /// True when no element of the block has anything to tell. NaN and infinities always have:
    /// their difference is below no limit.
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
            // NaN only when the largest relative error is infinite or `want` is: then not `less`.
            let usual = less(self.rel * size, self.abs);
            let bound = less(tolerated, usual);
            // An equal element has nothing to tell, whatever the limits.
            let bound = if bound > T::STEP { bound } else { T::STEP };
            calm &= difference < bound;
        }
        calm
    }
}

/// The lesser of two; the second when the first is NaN. One instruction, unlike `f64::min`.
fn less<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// The largest errors after a chunk, given those seen before it; `None` when an element is outside
/// the tolerance or not finite.
pub(super) fn swift<T: Real, const N: usize>(
    (got, want): (&[u8], &[u8]),
    tolerance: &Tolerance,
    seen: Maxima,
    read: impl Fn([u8; N]) -> T + Copy,
) -> Option<Maxima> {
    let mut seen = seen;
    let mut limits = Limits::new(tolerance, &seen);
    let take = |seen: &mut Maxima, got: &[[u8; N]], want: &[[u8; N]]| {
        let mut fine = true;
        for (got, want) in got.iter().zip(want) {
            fine &= seen.take(read(*got).into(), read(*want).into(), tolerance);
        }
        fine
    };
    let (got, want) = (got.as_chunks::<N>().0, want.as_chunks::<N>().0);
    let (got, got_rest) = got.as_chunks::<BLOCK>();
    let (want, want_rest) = want.as_chunks::<BLOCK>();
    for (got, want) in got.iter().zip(want) {
        if limits.hold(got, want, read) {
            continue;
        }
        if !take(&mut seen, got, want) {
            return None;
        }
        limits = Limits::new(tolerance, &seen);
    }
    take(&mut seen, got_rest, want_rest).then_some(seen)
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
