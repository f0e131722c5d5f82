//! What this machine's cores and caches can do at most, measured once and kept in a file.
//!
//! The measuring is done by a small C program of our own (`peaks.c`), built by the compiler that
//! builds kernels and run as a child that is pinned to the cores that kernels are measured on.
//! Nothing else should run on those cores meanwhile: the caller sees to that.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::identity::{CpuIdentity, identity};
use crate::digest::Digest;
use crate::process::{self, Cancel, Capture, CommandSpec, Exit, Finished};
use crate::stats::roofline::{Level, Peaks};

/// The program that measures.
const SOURCE: &str = include_str!("peaks.c");

/// Grows when figures of an older version must not be used any more.
const PEAKS_VERSION: u32 = 1;

/// What it is compiled with; the first word is left out where the compiler does not know it, or
/// where it names a machine that this one is not.
const FLAGS: [&str; 5] = ["-march=native", "-std=gnu11", "-O3", "-ffp-contract=fast", "-pthread"];

/// Measuring takes about a second; a machine that needs so long has something else to do.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Least and most bytes that are copied to measure memory, over all cores.
const MEMORY_BYTES: (u64, u64) = (64 << 20, 512 << 20);

/// A data cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLevel {
    /// `L1`, `L2` and so on.
    pub name: String,
    /// How much it holds.
    pub bytes: u64,
    /// Logical processors that share it.
    pub shared_by: u32,
}

/// The data caches of the first core, the nearest first; empty where the kernel does not tell.
pub fn cache_levels() -> Vec<CacheLevel> {
    levels_in(Path::new("/sys/devices/system/cpu/cpu0/cache"))
}

fn levels_in(folder: &Path) -> Vec<CacheLevel> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut levels: Vec<CacheLevel> = entries.filter_map(|e| read_level(&e.path())).collect();
    levels.sort_by(|a, b| (a.bytes, &a.name).cmp(&(b.bytes, &b.name)));
    levels.dedup_by(|a, b| a.name == b.name);
    levels
}

fn read_level(folder: &Path) -> Option<CacheLevel> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let level: u32 = read("level")?.trim().parse().ok()?;
    let holds_data = ["Data", "Unified"].contains(&read("type")?.trim());
    let bytes = parse_size(read("size")?.trim()).filter(|bytes| *bytes > 0)?;
    let shared_by = read("shared_cpu_list").map_or(1, |list| count_list(list.trim()));
    holds_data.then(|| CacheLevel { name: format!("L{level}"), bytes, shared_by })
}

/// `48K`, `32M` or plain bytes.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 1 << 10),
        (at, 'M') => (&text[..at], 1 << 20),
        (at, 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// How many numbers a list such as `0-3,8` names; at least 1.
fn count_list(list: &str) -> u32 {
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            last.checked_sub(first)?.checked_add(1)
        }
        None => part.parse::<u32>().ok().map(|_| 1),
    };
    list.split(',').filter_map(count).fold(0_u32, u32::saturating_add).max(1)
}

/// How the peaks are to be measured.
#[derive(Debug, Clone, Copy)]
pub struct PeakRequest<'a> {
    /// The C compiler: an absolute path.
    pub compiler: &'a Path,
    /// A private folder for the program.
    pub scratch: &'a Path,
    /// The cores that work together, one thread each; at least one.
    pub cores: &'a [u32],
    /// The environment of the compiler and of the program.
    pub env: &'a [(OsString, OsString)],
    /// Names both commands; unique among those in flight.
    pub marker: &'a str,
    /// Ends the measuring.
    pub cancel: &'a Cancel,
}

/// Why there are no peaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeakError {
    /// No core to measure on.
    #[error("the peaks of no core at all cannot be measured; name at least one")]
    NoCore,
    /// A file could not be read or written.
    #[error("cannot {what} {path}: {why}", path = .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A command could not be run to a good end.
    #[error("measuring the peaks of this machine: {what}{}", quoted(.output))]
    Command {
        /// What went wrong.
        what: String,
        /// What it printed.
        output: String,
    },
    /// A device's own figures could not be had.
    #[error("{0}")]
    Device(String),
    /// A stop was asked for.
    #[error("interrupted")]
    Interrupted,
}

fn quoted(output: &str) -> String {
    let lines: Vec<&str> = output.trim().lines().take(5).collect();
    if lines.is_empty() { String::new() } else { format!("; it said: {}", lines.join("\n")) }
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PeakError {
    let path = path.to_owned();
    move |error| PeakError::File { what, path, why: error.to_string() }
}

/// Measures; takes about a second.
///
/// # Errors
/// When the program cannot be built or run, or says what cannot be.
pub fn measure(request: &PeakRequest<'_>) -> Result<Peaks, PeakError> {
    if request.cores.is_empty() {
        return Err(PeakError::NoCore);
    }
    let source = request.scratch.join("peaks.c");
    fs::write(&source, SOURCE).map_err(file_error("write", &source))?;
    let native = attempt(request, &FLAGS);
    match native {
        Err(PeakError::Command { .. }) => attempt(request, &FLAGS[1..]),
        other => other,
    }
}

fn attempt(request: &PeakRequest<'_>, flags: &[&str]) -> Result<Peaks, PeakError> {
    let program = request.scratch.join("peaks");
    let mut args: Vec<OsString> = flags.iter().map(OsString::from).collect();
    args.extend(["peaks.c", "-o", "peaks"].map(OsString::from));
    run(request, request.compiler, args)?;
    let caches = cache_levels();
    let sizes = footprints(&caches, request.cores.len() as u64);
    let cores: Vec<String> = request.cores.iter().map(u32::to_string).collect();
    let mut args: Vec<OsString> = vec![cores.join(",").into()];
    args.extend(sizes.iter().map(|(name, bytes)| format!("{name}={bytes}").into()));
    let finished = run(request, &program, args)?;
    let text = String::from_utf8_lossy(&finished.stdout);
    peaks_from(&text, &caches).map_err(|what| PeakError::Command { what, output: text.into() })
}

/// Runs one of the two commands to a good end.
fn run(
    request: &PeakRequest<'_>,
    program: &Path,
    args: Vec<OsString>,
) -> Result<Finished, PeakError> {
    let failed = |what: String, output: String| PeakError::Command { what, output };
    let mut spec = CommandSpec::new(program, request.scratch, request.marker);
    (spec.args, spec.env) = (args, request.env.to_vec());
    (spec.timeout, spec.capture) = (Some(TIMEOUT), Capture::Split);
    let finished =
        process::run(&spec, request.cancel).map_err(|e| failed(e.to_string(), String::new()))?;
    let what = match finished.exit {
        Exit::Code(0) => return Ok(finished),
        Exit::Cancelled => return Err(PeakError::Interrupted),
        Exit::Code(code) => format!("{} ended with exit code {code}", program.display()),
        Exit::Signal(signal) => format!("{} was ended by signal {signal}", program.display()),
        Exit::TimedOut => format!(
            "{} was not done after {} s; try again when the machine has less to do",
            program.display(),
            TIMEOUT.as_secs()
        ),
    };
    Err(failed(what, String::from_utf8_lossy(&finished.stderr).into_owned()))
}

/// How many bytes each thread copies to measure each cache and memory: half of a core's share of a
/// cache, for other data need a place too, but so much more than the cache before holds that this
/// one cannot help; for memory eight times the last cache, twice what STREAM asks for.
fn footprints(caches: &[CacheLevel], threads: u64) -> Vec<(String, u64)> {
    let mut sizes = Vec::new();
    let mut inner = 0;
    let per_core = caches.first().map_or(1, |c| u64::from(c.shared_by));
    for cache in caches {
        let cores = (u64::from(cache.shared_by) / per_core).max(1);
        let most = cache.bytes / 2 / threads.min(cores).max(1);
        let share = cache.bytes / cores / 2;
        sizes.push((cache.name.clone(), share.max(4 * inner).min(most)));
        inner = cache.bytes;
    }
    let last = caches.last().map_or(0, |c| {
        let instances = threads.div_ceil(u64::from(c.shared_by).max(1));
        c.bytes.saturating_mul(8 * instances)
    });
    let memory = last.clamp(MEMORY_BYTES.0, MEMORY_BYTES.1);
    sizes.push(("memory".to_owned(), memory / threads.max(1)));
    sizes
}

/// One figure that the program prints.
#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    per_s: f64,
}

/// Reads what the program printed; lines that are none of its own are passed over.
fn peaks_from(text: &str, caches: &[CacheLevel]) -> Result<Peaks, String> {
    let figures: Vec<Figure> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let find = |name: &str| {
        let found = figures.iter().find(|f| f.name == name).map(|f| f.per_s);
        found.ok_or_else(|| format!("the program printed no figure for `{name}`"))
    };
    let capacities = caches.iter().map(|c| (c.name.as_str(), c.bytes));
    let levels = capacities
        .chain([("memory", u64::MAX)])
        .map(|(name, capacity_bytes)| {
            Ok(Level { name: name.to_owned(), capacity_bytes, bytes_per_s: find(name)? })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let peaks = Peaks { flops_per_s: find("f32")?, flops_f64_per_s: find("f64")?, levels };
    if peaks.is_sound() { Ok(peaks) } else { Err("the program printed what cannot be".to_owned()) }
}

/// What the figures depend on, as it stands in the file's name.
fn key(identity: &CpuIdentity, request: &PeakRequest<'_>) -> Result<Digest, PeakError> {
    let path = request.compiler;
    let compiler = path.canonicalize().map_err(file_error("find the compiler", path))?;
    let metadata = fs::metadata(&compiler).map_err(file_error("read the compiler", path))?;
    let changed = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let text = serde_json::json!({
        "version": PEAKS_VERSION,
        "source": Digest::of(SOURCE.as_bytes()),
        "flags": FLAGS,
        "machine": identity,
        "caches": cache_levels(),
        "cores": request.cores,
        "compiler": [compiler.to_string_lossy().into_owned()],
        "compiler_bytes": metadata.len(),
        "compiler_changed": changed.map(|t| t.as_nanos().to_string()),
    });
    Ok(Digest::of(text.to_string().as_bytes()))
}

/// The peaks from their file in `folder`, or measured and put there.
///
/// Whoever comes while another measures waits for its figures: two at a time would spoil both.
///
/// # Errors
/// When they must be measured and cannot be, or the folder cannot be written.
pub fn cached(
    folder: &Path,
    request: &PeakRequest<'_>,
    measuring: &dyn Fn(),
) -> Result<Peaks, PeakError> {
    kept(folder, &key(&identity(), request)?, measuring, || measure(request))
}

/// The peaks from the file of `key` in `folder`, or from `measure` and put there. That takes seconds,
/// and so does waiting for somebody else's: `measuring` is called before either.
///
/// # Errors
/// As [`cached`].
pub fn kept(
    folder: &Path,
    key: &Digest,
    measuring: &dyn Fn(),
    measure: impl FnOnce() -> Result<Peaks, PeakError>,
) -> Result<Peaks, PeakError> {
    let path = folder.join(format!("peaks-{}.json", key.short()));
    if let Some(peaks) = load(&path) {
        return Ok(peaks);
    }
    measuring();
    fs::create_dir_all(folder).map_err(file_error("create", folder))?;
    let lock_path = folder.join("peaks.lock");
    let lock = File::create(&lock_path).map_err(file_error("create", &lock_path))?;
    flock(&lock, FlockOperation::LockExclusive)
        .map_err(|e| file_error("lock", &lock_path)(e.into()))?;
    if let Some(peaks) = load(&path) {
        return Ok(peaks);
    }
    let peaks = measure()?;
    store(&path, &peaks).map_err(file_error("write", &path))?;
    Ok(peaks)
}

/// What the file holds, when it is there and makes sense.
fn load(path: &Path) -> Option<Peaks> {
    let peaks: Peaks = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    peaks.is_sound().then_some(peaks)
}

/// Written beside and renamed, so that the file is whole or not there.
fn store(path: &Path, peaks: &Peaks) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut text = serde_json::to_vec_pretty(peaks)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
#[path = "peaks_tests.rs"]
mod tests;
