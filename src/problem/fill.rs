//! What inputs start with: every fill for every element type it makes sense for.
//!
//! Random fills are drawn in chunks, each from its own stream of one seed, so that the bytes
//! depend on the seed alone and not on the number of threads.

use half::{bf16, f16};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::Fill;
use crate::verify::Dtype;

/// Elements drawn from one stream. Part of what a seed means: changing it changes every input.
const CHUNK: usize = 64 * 1024;

/// The bytes of `elements` elements of `dtype`, filled.
///
/// Values outside the type's range are brought to its nearest finite one; [`fits`] says
/// beforehand whether that would happen.
pub fn fill(fill: &Fill, dtype: Dtype, elements: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut out = vec![0; elements * dtype.size_bytes()];
    // Fresh memory holds zeros already.
    if *fill != Fill::Zeros {
        fill_into(fill, dtype, &mut out, rng);
    }
    out
}

/// [`fill`] of memory that is there already, whatever it holds.
pub fn fill_into(fill: &Fill, dtype: Dtype, out: &mut [u8], rng: &mut ChaCha8Rng) {
    match *fill {
        Fill::Zeros => out.par_chunks_mut(CHUNK).for_each(|part| part.fill(0)),
        Fill::Ones => repeat(dtype, 1.0, out),
        Fill::Constant(value) => repeat(dtype, value, out),
        Fill::Iota => in_chunks(dtype, out, |start, part| {
            let mut next = start as i64;
            write_integers(dtype, part, || {
                next += 1;
                next - 1
            });
        }),
        Fill::Permutation => permutation(dtype, out, rng),
        Fill::Normal { mean, std } => drawn(dtype, out, rng, |rng, part| {
            write_numbers(dtype, part, || mean + std * rng.sample::<f64, _>(StandardNormal));
        }),
        Fill::Uniform { low, high } => drawn(dtype, out, rng, |rng, part| {
            write_numbers(dtype, part, || uniform(dtype, low, high, rng));
        }),
        Fill::Integers { low, high } => drawn(dtype, out, rng, |rng, part| {
            write_integers(dtype, part, || rng.random_range(low..=high.max(low)));
        }),
        Fill::Adversarial => drawn(dtype, out, rng, |rng, part| {
            adversarial(dtype, part, rng);
        }),
    }
}

/// Calls `write` with each chunk and the position of its first element.
fn in_chunks(dtype: Dtype, out: &mut [u8], write: impl Fn(usize, &mut [u8]) + Sync) {
    let bytes = CHUNK * dtype.size_bytes();
    let parts = out.par_chunks_mut(bytes).enumerate();
    parts.for_each(|(i, part)| write(i * CHUNK, part));
}

/// Calls `write` with each chunk and a generator of its own.
fn drawn(
    dtype: Dtype,
    out: &mut [u8],
    rng: &mut ChaCha8Rng,
    write: impl Fn(&mut ChaCha8Rng, &mut [u8]) + Sync,
) {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    in_chunks(dtype, out, |start, part| {
        let mut stream = ChaCha8Rng::from_seed(seed);
        stream.set_stream((start / CHUNK) as u64);
        write(&mut stream, part);
    });
}

fn uniform(dtype: Dtype, low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    let share: f64 = rng.random();
    // Not low + (high - low) * share, which overflows for the widest ranges.
    let value = low * (1.0 - share) + high * share;
    // Rounding to the element type may reach the excluded bound.
    if round_to(dtype, value) < high { value } else { low }
}

fn round_to(dtype: Dtype, value: f64) -> f64 {
    match dtype {
        Dtype::F32 => f64::from(value as f32),
        Dtype::F16 => f16::from_f64(value).to_f64(),
        Dtype::Bf16 => bf16::from_f64(value).to_f64(),
        _ => value,
    }
}

/// `0..elements` in random order, by Fisher and Yates.
fn permutation(dtype: Dtype, out: &mut [u8], rng: &mut ChaCha8Rng) {
    let elements = out.len() / dtype.size_bytes();
    let mut order: Vec<u64> = (0..elements as u64).collect();
    for i in (1..elements).rev() {
        order.swap(i, rng.random_range(0..=i as u64) as usize);
    }
    let mut values = order.into_iter();
    write_integers(dtype, out, || values.next().unwrap_or_default() as i64);
}

/// A mix that breaks what plain noise does not: zeros of both signs, subnormals, large and small
/// magnitudes, runs of one value.
fn adversarial(dtype: Dtype, out: &mut [u8], rng: &mut ChaCha8Rng) {
    if dtype.is_float() {
        let mut last = 1.0;
        write_numbers(dtype, out, || {
            last = adversarial_float(dtype, last, rng);
            last
        });
    } else {
        let mut last = 1;
        let (lowest, most) = dtype.exact_integers();
        write_integers(dtype, out, || {
            last = match rng.random_range(0..16) {
                0..5 => last,
                5 => lowest,
                6 => most,
                7 => 0,
                8 => 1,
                9 => lowest.max(-1),
                10 => rng.random_range(lowest..=most),
                _ => rng.random_range(lowest.max(-8)..=most.min(8)),
            };
            last
        });
    }
}

fn adversarial_float(dtype: Dtype, last: f64, rng: &mut ChaCha8Rng) -> f64 {
    let sign = if rng.random() { 1.0 } else { -1.0 };
    match rng.random_range(0..16) {
        0..4 => last,
        4 => sign * 0.0,
        5 => sign * smallest_normal(dtype) * rng.random::<f64>(),
        6 => sign * magnitude(dtype, rng),
        7 => sign / magnitude(dtype, rng),
        8 => sign,
        _ => rng.sample(StandardNormal),
    }
}

/// Up to the fourth root of the largest value, so that products and long sums stay finite: an
/// infinity less another would be a NaN in the reference.
fn magnitude(dtype: Dtype, rng: &mut ChaCha8Rng) -> f64 {
    let highest = dtype.max_finite().log2() / 4.0;
    (rng.random::<f64>() * highest).exp2()
}

fn smallest_normal(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F16 => f16::MIN_POSITIVE.to_f64(),
        Dtype::F64 => f64::MIN_POSITIVE,
        // bf16 has the exponent of f32.
        _ => f64::from(f32::MIN_POSITIVE),
    }
}

fn repeat(dtype: Dtype, value: f64, out: &mut [u8]) {
    if dtype.is_float() {
        in_chunks(dtype, out, |_, part| write_numbers(dtype, part, || value));
    } else {
        in_chunks(dtype, out, |_, part| {
            write_integers(dtype, part, || value as i64);
        });
    }
}

/// Writes numbers, each brought to the nearest finite value of the type.
fn write_numbers(dtype: Dtype, out: &mut [u8], mut next: impl FnMut() -> f64) {
    let most = dtype.max_finite();
    let mut next = move || next().clamp(-most, most);
    match dtype {
        Dtype::F64 => put(out, || next().to_ne_bytes()),
        Dtype::F32 => put(out, || (next() as f32).to_ne_bytes()),
        Dtype::F16 => put(out, || f16::from_f64(next()).to_ne_bytes()),
        Dtype::Bf16 => put(out, || bf16::from_f64(next()).to_ne_bytes()),
        _ => write_integers(dtype, out, || next().round() as i64),
    }
}

/// Writes integers, each brought into the range of the type.
fn write_integers(dtype: Dtype, out: &mut [u8], mut next: impl FnMut() -> i64) {
    let (least, most) = dtype.exact_integers();
    let mut next = move || next().clamp(least, most);
    match dtype {
        Dtype::I64 => put(out, || next().to_ne_bytes()),
        Dtype::I32 => put(out, || (next() as i32).to_ne_bytes()),
        Dtype::I16 => put(out, || (next() as i16).to_ne_bytes()),
        Dtype::I8 => put(out, || (next() as i8).to_ne_bytes()),
        Dtype::U8 | Dtype::Bool => put(out, || [next() as u8]),
        Dtype::F64 => put(out, || (next() as f64).to_ne_bytes()),
        Dtype::F32 => put(out, || (next() as f32).to_ne_bytes()),
        Dtype::F16 => put(out, || f16::from_f64(next() as f64).to_ne_bytes()),
        Dtype::Bf16 => put(out, || bf16::from_f64(next() as f64).to_ne_bytes()),
    }
}

fn put<const N: usize>(out: &mut [u8], mut next: impl FnMut() -> [u8; N]) {
    for element in out.as_chunks_mut::<N>().0 {
        *element = next();
    }
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
