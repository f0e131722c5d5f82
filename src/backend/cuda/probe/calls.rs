//! The driver's calls by name, each looked up before it is called.

use std::ffi::{CStr, c_char};

use cudarc::driver::sys::CUdevice_attribute;
use libloading::Library;

use super::answer::{CudaProbe, NEEDED};

/// Every call of the driver that this program makes, here or through cudarc.
pub const CALLS: &[&str] = &[
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetUuid_v2",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxSetFlags_v2",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuCtxResetPersistingL2Cache",
    "cuMemGetInfo_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemcpyHtoD_v2",
    "cuMemcpyDtoH_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemsetD8Async",
    "cuMemsetD32Async",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuFuncGetAttribute",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuStreamCreate",
    "cuStreamSynchronize",
    "cuStreamDestroy_v2",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventElapsedTime_v2",
    "cuEventDestroy_v2",
    "cuGraphCreate",
    "cuGraphAddKernelNode_v2",
    "cuGraphInstantiateWithFlags",
    "cuGraphUpload",
    "cuGraphLaunch",
    "cuGraphExecDestroy",
    "cuGraphDestroy",
    "cuGetErrorName",
    "cuGetErrorString",
];

/// Those that the library lacks.
pub(super) fn missing(library: &Library) -> Vec<String> {
    let lacks = |name: &&&str| {
        // SAFETY: only whether there is such a name is asked; it is not called.
        unsafe { library.get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err()
    };
    CALLS.iter().filter(lacks).map(|name| (*name).to_owned()).collect()
}

type GetVersion = unsafe extern "C" fn(*mut i32) -> i32;
type Attributes = unsafe extern "C" fn(*mut i32, i32, i32) -> i32;
type ErrorText = unsafe extern "C" fn(i32, *mut *const c_char) -> i32;

/// The newest CUDA that the driver knows, which it tells before it is initialised; 0 where it does not.
///
/// # Safety
/// `cuDriverGetVersion` of this library must be the driver's.
pub(super) unsafe fn version(library: &Library) -> i32 {
    // SAFETY: as told above.
    let call = unsafe { library.get::<GetVersion>(b"cuDriverGetVersion") };
    let mut version = 0;
    // SAFETY: it writes one number.
    let code = call.map(|call| unsafe { call(&raw mut version) });
    if code.is_ok_and(|code| code == 0) { version } else { 0 }
}

/// What a probe calls. Codes are plain numbers here: a driver may know more than an enum of ours.
pub(super) struct Calls {
    /// As [`version`] tells.
    pub(super) version: i32,
    init: unsafe extern "C" fn(u32) -> i32,
    count: unsafe extern "C" fn(*mut i32) -> i32,
    get: unsafe extern "C" fn(*mut i32, i32) -> i32,
    name: unsafe extern "C" fn(*mut c_char, i32, i32) -> i32,
    uuid: unsafe extern "C" fn(*mut [u8; 16], i32) -> i32,
    memory: unsafe extern "C" fn(*mut usize, i32) -> i32,
    attribute: Attributes,
    error_name: ErrorText,
    error_text: ErrorText,
}

impl Calls {
    /// Looks each of them up.
    ///
    /// # Safety
    /// The library's calls of these names must be those of NVIDIA's driver API.
    pub(super) unsafe fn of(library: &'static Library) -> Result<Self, CudaProbe> {
        /// One of them, as a plain pointer: the library is never closed.
        unsafe fn call<T: Copy>(library: &'static Library, name: &str) -> Result<T, CudaProbe> {
            // SAFETY: the caller names the form that `name` has in cuda.h.
            let found = unsafe { library.get::<T>(name.as_bytes()) };
            let missing = || vec![name.to_owned()];
            let lacks = |_| CudaProbe::TooOld { version: 0, needed: NEEDED, missing: missing() };
            found.map(|call| *call).map_err(lacks)
        }
        // SAFETY: the forms above are those of cuda.h.
        unsafe {
            Ok(Self {
                version: version(library),
                init: call(library, "cuInit")?,
                count: call(library, "cuDeviceGetCount")?,
                get: call(library, "cuDeviceGet")?,
                name: call(library, "cuDeviceGetName")?,
                uuid: call(library, "cuDeviceGetUuid_v2")?,
                memory: call(library, "cuDeviceTotalMem_v2")?,
                attribute: call(library, "cuDeviceGetAttribute")?,
                error_name: call(library, "cuGetErrorName")?,
                error_text: call(library, "cuGetErrorString")?,
            })
        }
    }

    pub(super) fn init(&self) -> Result<(), CudaProbe> {
        // SAFETY: flags must be 0.
        self.passed(unsafe { (self.init)(0) })
    }

    pub(super) fn count(&self) -> Result<i32, CudaProbe> {
        let mut count = 0;
        // SAFETY: it writes one number.
        self.passed(unsafe { (self.count)(&raw mut count) })?;
        Ok(count)
    }

    pub(super) fn device(&self, ordinal: i32) -> Result<i32, CudaProbe> {
        let mut device = 0;
        // SAFETY: it writes one number.
        self.passed(unsafe { (self.get)(&raw mut device, ordinal) })?;
        Ok(device)
    }

    pub(super) fn name(&self, device: i32) -> Result<String, CudaProbe> {
        let mut bytes = [0_u8; 256];
        // SAFETY: it writes at most as many bytes as it is told, with a zero at the end.
        let code = unsafe { (self.name)(bytes.as_mut_ptr().cast(), bytes.len() as i32, device) };
        self.passed(code)?;
        let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
        Ok(text.to_string_lossy().into_owned())
    }

    pub(super) fn uuid(&self, device: i32) -> Result<[u8; 16], CudaProbe> {
        let mut bytes = [0; 16];
        // SAFETY: it writes sixteen bytes.
        self.passed(unsafe { (self.uuid)(&raw mut bytes, device) })?;
        Ok(bytes)
    }

    pub(super) fn memory_bytes(&self, device: i32) -> Result<u64, CudaProbe> {
        let mut bytes = 0;
        // SAFETY: it writes one number.
        self.passed(unsafe { (self.memory)(&raw mut bytes, device) })?;
        Ok(bytes as u64)
    }

    pub(super) fn attribute(
        &self,
        device: i32,
        which: CUdevice_attribute,
    ) -> Result<i32, CudaProbe> {
        let mut value = 0;
        // SAFETY: it writes one number.
        self.passed(unsafe { (self.attribute)(&raw mut value, which as i32, device) })?;
        Ok(value)
    }

    fn passed(&self, code: i32) -> Result<(), CudaProbe> {
        if code == 0 {
            return Ok(());
        }
        let text = |call: ErrorText| {
            let mut text = std::ptr::null();
            // SAFETY: it writes a pointer to a text that stays, or null.
            let told = unsafe { call(code, &raw mut text) };
            if told != 0 || text.is_null() {
                return None;
            }
            // SAFETY: it is not null, and the driver ends its texts with a zero.
            Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        };
        let name = text(self.error_name).unwrap_or_else(|| "an error without a name".to_owned());
        let why = match text(self.error_text) {
            Some(meaning) => format!("{name}, {code}: {meaning}"),
            None => format!("{name}, {code}"),
        };
        Err(CudaProbe::Unusable { code, why })
    }
}
