//! The driver itself, and the context of this process.
#![expect(unsafe_code, reason = "calls the driver")]

use std::ptr::null_mut;

use cudarc::driver::sys::{CUdevice_attribute as DeviceAttribute, CUuuid};

use super::call::{Error, Result, call};

/// The context of this process on one device. It lives as long as the process: what a broken one
/// still holds, the driver takes back when the process ends.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::cuda) struct Context {
    device: i32,
}

impl Context {
    /// Makes the device of that number the one that this thread works with.
    pub(in crate::backend::cuda) fn of(ordinal: i32) -> Result<Self> {
        let (mut device, mut context) = (0, null_mut());
        // SAFETY: places for the answers; the driver was initialised when the device was looked for.
        unsafe {
            call!(cuDeviceGet(&raw mut device, ordinal))?;
            call!(cuDevicePrimaryCtxRetain(&raw mut context, device))?;
            call!(cuCtxSetCurrent(context))?;
        }
        Ok(Self { device })
    }

    /// Waits for everything on the device that this process asked for, on any stream.
    pub(in crate::backend::cuda) fn wait() -> Result<()> {
        // SAFETY: takes nothing.
        unsafe { call!(cuCtxSynchronize()) }
    }

    /// Gives the carve-out of L2 that survives a flush back to everyone.
    pub(in crate::backend::cuda) fn reset_persisting() -> Result<()> {
        const NOT_SUPPORTED: u32 = 801;
        // SAFETY: takes nothing.
        match unsafe { call!(cuCtxResetPersistingL2Cache()) } {
            // Before compute capability 8.0 nothing persists.
            Err(Error { code: NOT_SUPPORTED, .. }) => Ok(()),
            reset => reset,
        }
    }

    fn attribute(self, which: DeviceAttribute) -> Result<u64> {
        let mut value = 0;
        // SAFETY: a place for the answer, and a device that the driver gave.
        unsafe { call!(cuDeviceGetAttribute(&raw mut value, which, self.device))? };
        Ok(u64::try_from(value).unwrap_or(0))
    }

    pub(in crate::backend::cuda) fn l2_bytes(self) -> Result<u64> {
        self.attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)
    }

    /// Whether kernels can follow any pointer of this process's, page by page (HMM, ATS).
    pub(in crate::backend::cuda) fn reaches_host(self) -> Result<bool> {
        Ok(self.attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS)? != 0)
    }

    /// The most shared memory that a block may have.
    pub(in crate::backend::cuda) fn shared_bytes(self) -> Result<u64> {
        self.attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
    }

    /// Lets go of the context: the last act of a worker that ends in order.
    pub(in crate::backend::cuda) fn release(self) -> Result<()> {
        // SAFETY: retained in `of`.
        unsafe { call!(cuDevicePrimaryCtxRelease_v2(self.device)) }
    }
}

/// Starts the driver; how many devices there are.
pub(in crate::backend::cuda) fn start() -> Result<i32> {
    let mut count = 0;
    // SAFETY: a place for the answer.
    unsafe {
        call!(cuInit(0))?;
        call!(cuDeviceGetCount(&raw mut count))?;
    }
    Ok(count)
}

/// The UUID of the device of that number.
pub(in crate::backend::cuda) fn uuid(ordinal: i32) -> Result<[u8; 16]> {
    let (mut device, mut uuid) = (0, CUuuid { bytes: [0; 16] });
    // SAFETY: places for the answers.
    unsafe {
        call!(cuDeviceGet(&raw mut device, ordinal))?;
        call!(cuDeviceGetUuid_v2(&raw mut uuid, device))?;
    }
    Ok(uuid.bytes.map(|byte| byte as u8))
}
