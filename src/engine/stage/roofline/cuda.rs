//! What a CUDA device can do at most: a copy and a chain of multiply-adds of our own, launched in a
//! worker as kernels are.

use std::io;
use std::path::PathBuf;

use super::super::judge::Bench;
use super::error::PeaksError;
use crate::backend::cpu::peaks::{self, PeakError};
use crate::backend::cuda::{Bundle, CudaDevice, ImageKind, LaunchLines};
use crate::backend::{Argument, Fault, Grid, Mode, Order, Session};
use crate::digest::Digest;
use crate::engine::device;
use crate::stats::roofline::{Level, Peaks};

/// The judge's own device code.
const HELPERS: &str = include_str!("../../../backend/cuda/helpers.ptx");

/// Grows when figures of an older version must not be used any more.
const VERSION: u32 = 2;

/// Each of the two buffers of the copy, and at most this share of the memory: far more than any L2
/// holds, so that what stays there counts for nothing.
const COPIED_BYTES: u64 = 1 << 30;
const MEMORY_SHARE: u64 = 8;

/// One word of the copy.
const WORD_BYTES: u64 = 16;

/// Blocks for each multiprocessor, and threads of each: all that one can hold at a time, several
/// times over, so that the last ones to end matter little.
const BLOCKS: u32 = 8;
const THREADS: u32 = 1024;

/// Floating-point operations of a thread and round: eight multiply-adds.
const FLOPS: f64 = 16.0;

/// Rounds of a first launch, from which it is known how many take so long.
const FIRST_ROUNDS: i32 = 4096;
const WANTED_NS: f64 = 5e6;

/// Launches before the clock counts, and those that do; the fastest is the peak.
const WARMUPS: u32 = 2;
const LAUNCHES: u32 = 10;

/// So far may a figure be above what the device's properties allow: clocks are told in whole
/// megahertz, and may be raised.
const TRUST: f64 = 1.05;

/// Multiply-adds that no multiprocessor exceeds in a cycle (CUDA C++ Programming Guide, "Arithmetic
/// Instructions": 128 for compute capability 8.6 to 12.0, fewer before).
const FMAS_PER_CYCLE: f64 = 128.0;

/// Bytes that a multiprocessor takes from the L2 in a cycle, at most: the width of its port. (NVIDIA
/// A100 Tensor Core GPU Architecture, "L2 Cache": 5120 bytes a cycle for 108 of them, which is less.)
const L2_BYTES_PER_CYCLE: f64 = 64.0;

/// Why a device's peaks could not be measured.
#[derive(Debug, thiserror::Error)]
enum UnmeasuredError {
    /// The judge's own kernel did not run.
    #[error("measuring the peaks of cuda:{device}: {fault}")]
    Launch { device: String, fault: Fault },
    /// Figure and properties, in billions of `unit`, do not go together.
    #[error(
        "{name} was measured at {figure:.0} G{unit}, and its properties allow {most:.0}: one of them is \
         wrong"
    )]
    Unbelievable { name: String, figure: f64, unit: &'static str, most: f64 },
    /// Times were zero.
    #[error("the device's clock told nothing")]
    NoClock,
    /// There is no place for the kernel.
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// The peaks of a device from their file, or measured and kept.
pub(super) fn cuda_peaks(bench: &Bench<'_>, name: &str) -> Result<Peaks, PeaksError> {
    let device = device::find(name, bench.ctx.host)
        .map_err(|missing| PeaksError::NoDevice { what: missing.what, hint: missing.hint })?;
    let identity = bench.ctx.host.device(&bench.target.device());
    let text = format!("cuda {VERSION} {identity} {}", Digest::of(HELPERS.as_bytes()).hex());
    let digest = Digest::of(text.as_bytes());
    let measuring = || (bench.ctx.progress)(0.95, "measuring the device's peaks, once");
    let measured =
        || measured(bench, name, &device).map_err(|why| PeakError::Device(why.to_string()));
    let folder = bench.ctx.state.join("devices");
    Ok(peaks::kept(&folder, &digest, &measuring, measured)?)
}

fn measured(bench: &Bench<'_>, name: &str, device: &CudaDevice) -> Result<Peaks, UnmeasuredError> {
    let failed = |fault: Fault| UnmeasuredError::Launch { device: name.to_owned(), fault };
    let launch = |entry: &str, measure: fn(&mut dyn Session, &CudaDevice) -> Result<f64, Fault>| {
        let kernel = bundle(bench, entry)?;
        let mut session = bench.open_kernel(&kernel).map_err(failed)?;
        let figure = measure(&mut *session, device).map_err(failed);
        session.finish();
        figure
    };
    let bytes_per_s = launch("optloop_copy", copied)?;
    let flops_per_s = launch("optloop_fma", multiplied)?;
    believed(device, bytes_per_s, flops_per_s)
}

/// The figures as peaks, unless they are beyond what the device says of itself. The L2's is not measured,
/// for a launch that finds its data there is over before a clock can tell how fast: it is what it
/// surely does not exceed. Doubles
/// are never quicker than floats in the same units, which makes of one figure a bound for both.
fn believed(
    device: &CudaDevice,
    bytes_per_s: f64,
    flops_per_s: f64,
) -> Result<Peaks, UnmeasuredError> {
    // Two transfers a cycle on each line.
    let most_bytes = f64::from(device.memory_mhz) * 1e6 * 2.0 * f64::from(device.bus_bits) / 8.0;
    let cycles = f64::from(device.sm_mhz) * 1e6 * f64::from(device.multiprocessors);
    for (figure, most, unit) in
        [(bytes_per_s, most_bytes, "B/s"), (flops_per_s, cycles * 2.0 * FMAS_PER_CYCLE, "flop/s")]
    {
        if most > 0.0 && figure > TRUST * most {
            let (figure, most) = (figure / 1e9, most / 1e9);
            let name = device.name.clone();
            return Err(UnmeasuredError::Unbelievable { name, figure, unit, most });
        }
    }
    let level = |name: &str, capacity_bytes, bytes_per_s| Level {
        name: name.to_owned(),
        capacity_bytes,
        bytes_per_s,
    };
    let mut levels = vec![level("memory", u64::MAX, bytes_per_s)];
    let most_l2 = cycles * L2_BYTES_PER_CYCLE;
    if device.l2_bytes > 0 && most_l2 > bytes_per_s {
        levels.insert(0, level("L2", device.l2_bytes, most_l2));
    }
    let peaks = Peaks { flops_per_s, flops_f64_per_s: flops_per_s, levels };
    if peaks.is_sound() { Ok(peaks) } else { Err(UnmeasuredError::NoClock) }
}

/// One of the judge's kernels as a built one.
fn bundle(bench: &Bench<'_>, entry: &str) -> Result<PathBuf, UnmeasuredError> {
    let path = bench.ctx.scratch.join(format!("{entry}.kernel"));
    let bundle = Bundle {
        kind: ImageKind::Ptx,
        entry: entry.to_owned(),
        arch: String::new(),
        launch: LaunchLines::default(),
        image: HELPERS.as_bytes().to_vec(),
    };
    std::fs::write(&path, bundle.to_bytes())
        .map_err(|source| UnmeasuredError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn blocks(device: &CudaDevice) -> u32 {
    BLOCKS * device.multiprocessors.max(1).unsigned_abs()
}

fn grid(device: &CudaDevice) -> Grid {
    Grid { blocks: [blocks(device), 1, 1], threads: [THREADS, 1, 1], shared_bytes: 0 }
}

/// Bytes read plus bytes written per second, as STREAM counts.
fn copied(session: &mut dyn Session, device: &CudaDevice) -> Result<f64, Fault> {
    let words = COPIED_BYTES.min(device.memory_bytes / MEMORY_SHARE) / WORD_BYTES;
    let bytes = (words * WORD_BYTES) as usize;
    // Not zeros: what is all alike could be kept in less room.
    let pattern: Vec<u8> =
        (0..1u32 << 18).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_ne_bytes()).collect();
    let mut from = pattern.repeat(bytes.div_ceil(pattern.len()));
    from.truncate(bytes);
    let count = (words as i32).to_ne_bytes();
    session.shape(grid(device));
    session.load(&[vec![Argument::In(&from), Argument::Out(bytes), Argument::Scalar(&count)]])?;
    let ns = fastest_ns(session, Mode::Cold)?;
    Ok(2.0 * bytes as f64 / ns * 1e9)
}

/// Operations on f32 per second, of which a multiply-add is two.
fn multiplied(session: &mut dyn Session, device: &CudaDevice) -> Result<f64, Fault> {
    let threads = blocks(device) * THREADS;
    // The chains stay near 2: x = 0.5, and 2 = 2 x + 1.
    let start: Vec<u8> = [0.5f32, 1.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
    let out = threads as usize * size_of::<f32>();
    let mut timed = |rounds: i32| {
        let rounds = rounds.to_ne_bytes();
        session.shape(grid(device));
        session.load(&[vec![
            Argument::In(&start),
            Argument::Out(out),
            Argument::Scalar(&rounds),
        ]])?;
        fastest_ns(session, Mode::Hot)
    };
    let first_ns = timed(FIRST_ROUNDS)?;
    let more = (WANTED_NS / first_ns).clamp(1.0, 1000.0);
    let rounds = (f64::from(FIRST_ROUNDS) * more) as i32;
    let ns = timed(rounds)?;
    Ok(FLOPS * f64::from(rounds) * f64::from(threads) / ns * 1e9)
}

/// Whatever disturbs a launch only makes it longer.
fn fastest_ns(session: &mut dyn Session, mode: Mode) -> Result<f64, Fault> {
    let mut fastest = f64::INFINITY;
    for number in 0..WARMUPS + LAUNCHES {
        let launched = session.launch(Order { first: 0, count: 1, mode })?;
        if number >= WARMUPS {
            fastest = fastest.min(launched.reported_ns as f64 - session.timer().overhead_ns);
        }
    }
    Ok(fastest.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake::{FakeSession, Script, World};

    fn device() -> CudaDevice {
        CudaDevice {
            name: "Example H".into(),
            memory_bytes: 1 << 20,
            multiprocessors: 2,
            sm_mhz: 1000,
            memory_mhz: 1000,
            bus_bits: 64,
            ..CudaDevice::default()
        }
    }

    fn session(us: u64) -> FakeSession {
        let durations_ns = vec![2000 * us, 1000 * us];
        FakeSession::new(&World::default(), Script { durations_ns, ..Script::default() })
    }

    #[test]
    fn a_copy_counts_what_is_read_and_what_is_written_in_its_fastest_launch() {
        // An eighth of the memory there and back in 10 us.
        let rate = copied(&mut session(10), &device()).unwrap();
        assert!((rate * 10e-6 / 2.0 - f64::from(1 << 17)).abs() < 1e-3, "{rate}");
    }

    #[test]
    fn multiply_adds_are_counted_over_all_threads_and_rounds() {
        // 5 ms from the start: no more rounds are needed.
        let rate = multiplied(&mut session(5000), &device()).unwrap();
        let threads = f64::from(2 * BLOCKS * THREADS);
        let flops = 16.0 * f64::from(FIRST_ROUNDS) * threads;
        assert!((rate * 5e-3 / flops - 1.0).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn figures_beyond_the_devices_properties_are_not_believed() {
        // 16 GB/s and 512 Gflop/s by its clocks.
        assert!(believed(&device(), 15e9, 500e9).is_ok());
        for (bytes, flops, unit) in [(20e9, 500e9, "GB/s"), (15e9, 600e9, "Gflop/s")] {
            let why = believed(&device(), bytes, flops).unwrap_err().to_string();
            assert!(why.contains(unit), "{why}");
        }
        let silent = CudaDevice { sm_mhz: 0, memory_mhz: 0, ..device() };
        assert!(believed(&silent, 20e9, 600e9).is_ok());
    }

    #[test]
    fn the_judges_device_code_has_both_kernels() {
        for entry in ["optloop_copy", "optloop_fma"] {
            assert!(HELPERS.contains(&format!(".entry {entry}")), "{entry}");
        }
    }
}
