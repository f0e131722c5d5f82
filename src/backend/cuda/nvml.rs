//! The management library, opened once, and a device in it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::find::{Library, Places};
use super::identity::identity;
use crate::host::Host;

/// What NVML is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementLibrary {
    /// Where it lies; a bare name where the loader found it.
    pub path: PathBuf,
    /// The version of the driver that it speaks to.
    pub driver: String,
}

/// Tries NVML. It initialises no CUDA.
///
/// # Errors
/// Why it cannot be used, and what helps.
pub fn management(places: &Places) -> Result<ManagementLibrary, (String, String)> {
    let (path, nvml) = open(places)?;
    let driver = nvml.sys_driver_version().map_err(|e| (e.to_string(), hint(&e).to_owned()))?;
    Ok(ManagementLibrary { path, driver })
}

/// NVML, opened for good: workers come and go, and starting it anew takes tens of milliseconds.
pub(super) fn open(places: &Places) -> Result<(PathBuf, &'static Nvml), (String, String)> {
    static OPENED: OnceLock<Mutex<Vec<(PathBuf, &'static Nvml)>>> = OnceLock::new();
    // By its path, so that the loader does not look for another one.
    let opened = places.open(Library::Nvml).map_err(|e| (e.to_string(), e.hint))?;
    let known = OPENED.get_or_init(Mutex::default);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.iter().find(|(path, _)| *path == opened.path) {
        return Ok(found.clone());
    }
    let nvml = Nvml::builder().lib_path(opened.path.as_os_str()).init();
    let nvml = nvml.map_err(|e| (format!("NVML does not start: {e}"), hint(&e).to_owned()))?;
    let nvml: &'static Nvml = Box::leak(Box::new(nvml));
    known.push((opened.path.clone(), nvml));
    Ok((opened.path, nvml))
}

/// What helps against an error of NVML's.
pub(super) fn hint(error: &NvmlError) -> &'static str {
    match error {
        NvmlError::DriverNotLoaded => {
            "the kernel module is not loaded: modprobe nvidia, or start the container with --gpus all"
        }
        NvmlError::NoPermission => "this needs root",
        NvmlError::LibRmVersionMismatch => {
            "library and kernel module are of different versions: restart the machine"
        }
        NvmlError::GpuLost => "the device is gone: restart the machine",
        NvmlError::FailedToLoadSymbol(_) => "this driver is too old for it",
        _ => "nvidia-smi says more",
    }
}

/// The device that CUDA programs know as `device`. NVML itself hides nothing and counts by the place
/// on the bus.
pub(super) fn device(
    nvml: &'static Nvml,
    device: &str,
    root: &Path,
    host: &dyn Host,
) -> Result<Device<'static>, String> {
    let found = identity(device, root, host);
    let told = |e: NvmlError| format!("NVML does not know cuda:{device}: {e} ({})", hint(&e));
    match (&found.card, device.parse()) {
        (Some(card), _) if !card.uuid.is_empty() => {
            nvml.device_by_uuid(card.uuid.as_str()).map_err(told)
        }
        (Some(card), _) => nvml.device_by_pci_bus_id(card.bus.as_str()).map_err(told),
        // Where the kernel module tells nothing, as in the Windows subsystem.
        (None, Err(_)) => nvml.device_by_uuid(device).map_err(told),
        (None, Ok(number)) if host.var("CUDA_VISIBLE_DEVICES").is_none() => {
            nvml.device_by_index(number).map_err(told)
        }
        (None, Ok(_)) => Err(found.missing().unwrap_or_default()),
    }
}
