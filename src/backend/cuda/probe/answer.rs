//! What there is to run CUDA kernels on, as an answer.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
            Self::Unusable { code, .. } => Some(hint(*code).to_owned()),
            Self::Devices(devices) if devices.is_empty() => Some(hint(100).to_owned()),
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

/// What helps against an error of the driver's start (codes of `CUresult` in cuda.h).
fn hint(code: i32) -> &'static str {
    match code {
        0 => "see above",
        34 => {
            "this library is a stub for linking: take folders named `stubs` out of LD_LIBRARY_PATH"
        }
        100 | 101 => {
            "no device is in sight: look at CUDA_VISIBLE_DEVICES and at the container's --gpus"
        }
        800 => {
            "this user may not use the device: look at the rights of /dev/nvidia* and at the \
             compute mode that `nvidia-smi -q -d COMPUTE` shows"
        }
        802 => "the device is not ready yet: start nvidia-fabricmanager, or wait for it",
        803 => "driver library and kernel module are of different versions: restart the machine",
        804 => {
            "this device does not take the compatibility library: take it out of LD_LIBRARY_PATH"
        }
        999 => "load the module that it needs (nvidia-modprobe -u -c=0); `dmesg` says more",
        _ => "nvidia-smi says more",
    }
}
