//! What there is to run CUDA kernels on.
//!
//! A probe opens the driver and initialises it in this process. It is asked by `devices`, by `doctor`
//! and when a pipeline really needs a device; [`super::identity`] says which device this is.
#![expect(unsafe_code, reason = "asks the driver about devices")]

mod answer;
mod calls;

use std::fmt::Write as _;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};

use super::find::{Library, Opened, Places};
use calls::Calls;

pub use answer::{CudaDevice, CudaProbe, NEEDED, version_in_words};
pub use calls::CALLS;

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
