//! What there is to run CUDA kernels on.
//!
//! A probe opens the driver and initialises it in this process. It is asked by `devices`, by `doctor`
//! and when a pipeline really needs a device; which device this is, is told by [`super::identity`].
#![expect(unsafe_code, reason = "asks the driver about devices")]

mod calls;

use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use serde::{Deserialize, Serialize};

use super::find::{Library, Opened, Places};
use calls::Calls;

pub use calls::CALLS;

/// The oldest driver that will do, as the driver writes it: CUDA 12.8, the first whose events are
/// read by the call that cudarc makes.
pub const NEEDED: i32 = 12_080;

/// What there is to run CUDA kernels on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CudaProbe {
    /// No driver library that can be opened.
    NoDriver {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
        /// What was there and could not be opened.
        broken: Option<String>,
        /// What to do.
        hint: String,
    },
    /// The driver lacks what kernels are run with.
    TooOld {
        /// The newest CUDA that it knows, such as 11040 for 11.4; 0 where it does not tell.
        version: i32,
        /// What is needed.
        needed: i32,
        /// The calls that it lacks.
        missing: Vec<String>,
    },
    /// The driver is there and says why it cannot be used.
    Unusable {
        /// Its error code; 0 where it is not the driver that says so.
        code: i32,
        /// The code's name and meaning.
        why: String,
    },
    /// The devices it lists; possibly none. By their place on the bus, unless `CUDA_VISIBLE_DEVICES`
    /// gives another order.
    Devices(Vec<CudaDevice>),
}

/// One CUDA device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CudaDevice {
    /// Its marketing name.
    pub name: String,
    /// `GPU-` and the UUID, as `nvidia-smi -L` prints it.
    pub uuid: String,
    /// Where it is plugged in, such as `0000:19:00.0`.
    pub bus: String,
    /// Bytes of global memory.
    pub memory_bytes: u64,
    /// Compute capability: major.
    pub major: i32,
    /// Compute capability: minor.
    pub minor: i32,
    /// Multiprocessors.
    pub multiprocessors: i32,
    /// Bytes of the L2 cache.
    pub l2_bytes: u64,
    /// The highest clock of the multiprocessors.
    pub sm_mhz: u32,
    /// The highest clock of the memory.
    pub memory_mhz: u32,
    /// Lines between device and memory.
    pub bus_bits: u32,
    /// Bytes of shared memory that a block may have without asking.
    pub shared_bytes: u32,
    /// Bytes of shared memory that a block may ask for.
    pub shared_optin_bytes: u32,
    /// Bytes of shared memory of one multiprocessor.
    pub shared_multiprocessor_bytes: u32,
    /// The newest CUDA that the driver knows, such as 13000 for 13.0.
    pub driver_version: i32,
}

/// `12040` as people say it: 12.4.
pub fn version_in_words(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

impl fmt::Display for CudaProbe {
    /// The end of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver { broken: Some(broken), .. } => {
                write!(f, "the CUDA driver here cannot be opened ({broken})")
            }
            Self::NoDriver { .. } => {
                f.write_str("there is no CUDA driver here (libcuda.so.1 was not found)")
            }
            Self::TooOld { version, needed, missing } => {
                let needed = version_in_words(*needed);
                match version {
                    0 => f.write_str("the CUDA driver here does not tell its version")?,
                    _ => write!(f, "the CUDA driver here is of {}", version_in_words(*version))?,
                }
                write!(f, ", and {needed} is needed")?;
                match missing.as_slice() {
                    [] => Ok(()),
                    [one] => write!(f, " (it lacks {one})"),
                    [first, rest @ ..] => write!(f, " (it lacks {first} and {} more)", rest.len()),
                }
            }
            Self::Unusable { why, .. } => write!(f, "the CUDA driver here cannot be used ({why})"),
            Self::Devices(devices) => match devices.as_slice() {
                [] => f.write_str("the CUDA driver here lists no device"),
                [one] => write!(f, "this machine has one CUDA device, {}", one.name),
                [first, ..] => {
                    let count = devices.len();
                    write!(f, "this machine has {count} CUDA devices, the first {}", first.name)
                }
            },
        }
    }
}

impl CudaProbe {
    /// What to do where there is no device to use; `None` where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDriver { hint, .. } => Some(hint.clone()),
            Self::TooOld { .. } => Some(
                "install a driver of the 525 series or newer (on Debian: apt install nvidia-driver)"
                    .to_owned(),
            ),
            Self::Unusable { code, .. } => Some(calls::hint(*code).to_owned()),
            Self::Devices(devices) if devices.is_empty() => Some(calls::hint(100).to_owned()),
            Self::Devices(_) => None,
        }
    }
}

impl CudaDevice {
    /// What kernels for it are compiled for: with everything that only this architecture has, where
    /// there is such (CUDA C++ Programming Guide, "Feature availability": `a` from 9.0 on).
    pub fn arch(&self) -> String {
        let own = if self.major >= 9 { "a" } else { "" };
        format!("sm_{}{}{own}", self.major, self.minor)
    }
}

/// Looks for CUDA devices. No driver is an answer, not an error.
pub fn probe(places: &Places) -> CudaProbe {
    let found = opened(places).and_then(|opened| {
        // SAFETY: the library has every call that is taken from it, as was just seen.
        let calls = unsafe { Calls::of(opened.library) }?;
        devices(&calls)
    });
    match found {
        Ok(mut devices) => {
            if !places.gives_order() {
                devices.sort_by(|a, b| a.bus.cmp(&b.bus));
            }
            CudaProbe::Devices(devices)
        }
        Err(answer) => answer,
    }
}

/// Opens the driver for good and makes sure that every call of [`CALLS`] is there, so that cudarc,
/// which panics where one is missing, can be used. Nothing is initialised.
///
/// # Errors
/// Why there is no such driver: never [`CudaProbe::Devices`].
pub fn ready(places: &Places) -> Result<Opened, CudaProbe> {
    let opened = opened(places)?;
    // SAFETY: opens and closes libraries by the names that cudarc knows; one of them is open already.
    let found = unsafe { sys::is_culib_present() };
    // SAFETY: it was found a moment ago, and what it is asked for is only compared.
    let same = found && unsafe { address(sys::culib()) == address(opened.library) };
    if same {
        return Ok(opened);
    }
    let why = format!(
        "the loader finds another library than {} by the name libcuda.so: take folders named `stubs` \
         out of LD_LIBRARY_PATH, or run ldconfig",
        opened.path.display()
    );
    Err(CudaProbe::Unusable { code: 0, why })
}

/// Where a library's first call lies.
///
/// # Safety
/// The address is only good for comparing.
unsafe fn address(library: &libloading::Library) -> Option<usize> {
    type Init = unsafe extern "C" fn(u32) -> i32;
    // SAFETY: as told above.
    let call = unsafe { library.get::<Init>(b"cuInit\0") }.ok()?;
    Some(*call as usize)
}

fn opened(places: &Places) -> Result<Opened, CudaProbe> {
    let opened = places.open(Library::Driver).map_err(|missing| CudaProbe::NoDriver {
        tried: missing.tried,
        broken: missing.broken,
        hint: missing.hint,
    })?;
    let missing = calls::missing(opened.library);
    // SAFETY: this call has had this form since CUDA 2.2.
    let version = unsafe { calls::version(opened.library) };
    if version < NEEDED || !missing.is_empty() {
        return Err(CudaProbe::TooOld { version, needed: NEEDED, missing });
    }
    Ok(opened)
}

fn devices(calls: &Calls) -> Result<Vec<CudaDevice>, CudaProbe> {
    calls.init()?;
    (0..calls.count()?).map(|ordinal| describe(calls, ordinal)).collect()
}

fn describe(calls: &Calls, ordinal: i32) -> Result<CudaDevice, CudaProbe> {
    let device = calls.device(ordinal)?;
    let signed = |which| calls.attribute(device, which);
    let number = |which| signed(which).map(|value| u32::try_from(value).unwrap_or(0));
    let domain = signed(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?;
    let bus = signed(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?;
    let slot = signed(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?;
    Ok(CudaDevice {
        name: calls.name(device)?,
        uuid: uuid_text(&calls.uuid(device)?),
        bus: format!("{domain:04x}:{bus:02x}:{slot:02x}.0"),
        memory_bytes: calls.memory_bytes(device)?,
        major: signed(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        minor: signed(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        multiprocessors: signed(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        l2_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?.into(),
        // The driver tells both in kHz.
        sm_mhz: number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)? / 1000,
        memory_mhz: number(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)? / 1000,
        bus_bits: number(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?,
        shared_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK)?,
        shared_optin_bytes: number(
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        )?,
        shared_multiprocessor_bytes: number(
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
        )?,
        driver_version: calls.version,
    })
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::from("GPU-");
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
