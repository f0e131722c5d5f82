//! What there is to run CUDA kernels on.
#![expect(unsafe_code, reason = "asks the driver about devices")]

use std::ffi::OsString;
use std::fmt::Write as _;

use cudarc::driver::sys::{self, CUdevice_attribute};
use cudarc::driver::{DriverError, result};
use serde::{Deserialize, Serialize};

/// What there is to run CUDA kernels on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CudaProbe {
    /// No driver library on this machine.
    NoDriver,
    /// The driver is there and says why it cannot be used.
    Unusable(String),
    /// The devices it lists, in its order; possibly none.
    Devices(Vec<CudaDevice>),
}

/// One CUDA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaDevice {
    /// Its marketing name.
    pub name: String,
    /// `GPU-` and the UUID, as `nvidia-smi -L` prints it.
    pub uuid: String,
    /// Bytes of global memory.
    pub memory_bytes: u64,
    /// Compute capability: major.
    pub major: i32,
    /// Compute capability: minor.
    pub minor: i32,
    /// Multiprocessors.
    pub multiprocessors: i32,
}

/// Looks for CUDA devices. No driver is an answer, not an error.
pub fn probe() -> CudaProbe {
    // SAFETY: opens and closes the driver library; its constructors are NVIDIA's.
    // Asked first because every later call would panic without it.
    if !unsafe { sys::is_culib_present() } {
        return CudaProbe::NoDriver;
    }
    match devices() {
        Ok(devices) => CudaProbe::Devices(devices),
        Err(error) => CudaProbe::Unusable(format!("{:?}", error.0)),
    }
}

/// Has the driver's library there for every later call.
pub(super) fn load_driver(_env: &dyn Fn(&str) -> Option<OsString>) -> Result<(), String> {
    // SAFETY: opens and closes the driver library; its constructors are NVIDIA's.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    Err("there is no CUDA driver here (libcuda.so was not found)".to_owned())
}

fn devices() -> Result<Vec<CudaDevice>, DriverError> {
    result::init()?;
    (0..result::device::get_count()?).map(describe).collect()
}

fn describe(ordinal: i32) -> Result<CudaDevice, DriverError> {
    let device = result::device::get(ordinal)?;
    let attribute = |which| {
        // SAFETY: `device` was just given by the driver.
        unsafe { result::device::get_attribute(device, which) }
    };
    // SAFETY: as above.
    let memory_bytes = unsafe { result::device::total_mem(device) }? as u64;
    Ok(CudaDevice {
        name: result::device::get_name(device)?,
        uuid: uuid_text(&result::device::get_uuid(device)?.bytes.map(|b| b as u8)),
        memory_bytes,
        major: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        minor: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        multiprocessors: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
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
mod tests {
    use super::*;

    #[test]
    fn a_uuid_reads_as_the_driver_tools_print_it() {
        let bytes: [u8; 16] = std::array::from_fn(|i| i as u8 * 17);
        assert_eq!(uuid_text(&bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn probing_answers_on_any_machine() {
        match probe() {
            CudaProbe::NoDriver | CudaProbe::Unusable(_) => {}
            CudaProbe::Devices(devices) => assert!(devices.iter().all(|d| d.memory_bytes > 0)),
        }
    }
}
