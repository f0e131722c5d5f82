//! The driver's calls that a worker makes, each with its answer checked.
//!
//! Everything belongs to the one context of the process; whoever makes something drops it. Called
//! only after [`super::probe`] has seen that library and calls are there: without them cudarc
//! panics.
#![expect(unsafe_code, reason = "calls the driver")]

mod code;

use std::ffi::{CString, c_void};
use std::fmt;
use std::ptr::{null, null_mut};

use cudarc::driver::sys::{
    self, CUDA_KERNEL_NODE_PARAMS_v2_st as NodeParams, CUdevice_attribute as DeviceAttribute,
    CUfunction_attribute as FunctionAttribute,
};

use super::super::Grid;
pub(super) use code::{name, trouble};

/// A call that the driver did not carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Error {
    /// The call's name.
    pub(super) call: &'static str,
    /// The driver's code.
    pub(super) code: u32,
}

pub(super) type Result<T> = std::result::Result<T, Error>;

macro_rules! call {
    ($name:ident($($argument:expr),* $(,)?)) => {
        checked(stringify!($name), sys::$name($($argument),*))
    };
}

fn checked(call: &'static str, answer: sys::CUresult) -> Result<()> {
    match answer as u32 {
        0 => Ok(()),
        code => Err(Error { call, code }),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} said {} ({})", self.call, name(self.code), self.code)
    }
}

/// The context of this process on one device. It lives as long as the process: what a broken one
/// still holds, the driver takes back when the process ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    device: i32,
}

impl Context {
    /// Makes the device of that number the one that this thread works with.
    pub(super) fn of(ordinal: i32) -> Result<Self> {
        let (mut device, mut context) = (0, null_mut());
        // SAFETY: places for the answers; the driver was initialised by whoever found the device.
        unsafe {
            call!(cuDeviceGet(&raw mut device, ordinal))?;
            call!(cuDevicePrimaryCtxRetain(&raw mut context, device))?;
            call!(cuCtxSetCurrent(context))?;
        }
        Ok(Self { device })
    }

    /// Waits for everything on the device that this process asked for, on any stream.
    pub(super) fn wait() -> Result<()> {
        // SAFETY: takes nothing.
        unsafe { call!(cuCtxSynchronize()) }
    }

    /// Gives the carve-out of L2 that survives a flush back to everyone.
    pub(super) fn reset_persisting() -> Result<()> {
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

    pub(super) fn l2_bytes(self) -> Result<u64> {
        self.attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)
    }

    /// Whether kernels can follow any pointer of this process's, page by page (HMM, ATS).
    pub(super) fn reaches_host(self) -> Result<bool> {
        Ok(self.attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS)? != 0)
    }

    /// The most shared memory that a block may have.
    pub(super) fn shared_bytes(self) -> Result<u64> {
        self.attribute(DeviceAttribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
    }

    /// Lets go of the context: the last act of a worker that ends in order.
    pub(super) fn release(self) -> Result<()> {
        // SAFETY: retained in `of`.
        unsafe { call!(cuDevicePrimaryCtxRelease_v2(self.device)) }
    }
}

/// Starts the driver; how many devices there are.
pub(super) fn start() -> Result<i32> {
    let mut count = 0;
    // SAFETY: a place for the answer.
    unsafe {
        call!(cuInit(0))?;
        call!(cuDeviceGetCount(&raw mut count))?;
    }
    Ok(count)
}

/// The UUID of the device of that number.
pub(super) fn uuid(ordinal: i32) -> Result<[u8; 16]> {
    let (mut device, mut uuid) = (0, sys::CUuuid { bytes: [0; 16] });
    // SAFETY: places for the answers.
    unsafe {
        call!(cuDeviceGet(&raw mut device, ordinal))?;
        call!(cuDeviceGetUuid_v2(&raw mut uuid, device))?;
    }
    Ok(uuid.bytes.map(|byte| byte as u8))
}

/// Device memory; wiped before it is given back, so that nothing is left to find.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) at: u64,
    bytes: usize,
}

impl Memory {
    pub(super) fn of(bytes: usize) -> Result<Self> {
        // Nothing at all is refused. No more than asked for: tools that watch accesses look at the
        // allocation's end.
        let bytes = bytes.max(1);
        let mut at = 0;
        // SAFETY: a place for the answer.
        unsafe { call!(cuMemAlloc_v2(&raw mut at, bytes))? };
        Ok(Self { at, bytes })
    }

    fn within(&self, at: u64, bytes: usize) -> Result<()> {
        let end = at.checked_add(bytes as u64);
        let fits = at >= self.at && end.is_some_and(|end| end <= self.at + self.bytes as u64);
        if fits { Ok(()) } else { Err(Error { call: "cuMemcpy", code: 1 }) }
    }

    /// Copies to `at`, which lies inside.
    pub(super) fn write(&self, at: u64, from: &[u8]) -> Result<()> {
        self.within(at, from.len())?;
        // SAFETY: inside this allocation, and `from` is as long.
        unsafe { call!(cuMemcpyHtoD_v2(at, from.as_ptr().cast(), from.len())) }
    }

    /// Copies from `at`, which lies inside.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.within(at, into.len())?;
        // SAFETY: inside this allocation, and `into` is as long.
        unsafe { call!(cuMemcpyDtoH_v2(into.as_mut_ptr().cast(), at, into.len())) }
    }

    /// Two words from the start.
    pub(super) fn words(&self) -> Result<[u64; 2]> {
        let mut bytes = [0; 16];
        self.read(self.at, &mut bytes)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok([u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])])
    }

    /// Sets all bytes, in the order of the stream.
    pub(super) fn fill(&self, byte: u8, stream: &Stream) -> Result<()> {
        // SAFETY: the whole of this allocation.
        unsafe { call!(cuMemsetD8Async(self.at, byte, self.bytes, stream.0)) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // In a broken context both fail, and the driver takes all back with the process.
        // SAFETY: allocated in `of`, and nothing runs that uses it: launches are waited for.
        unsafe {
            let _wiped = call!(cuMemsetD8Async(self.at, 0, self.bytes, null_mut()));
            let _waited = call!(cuCtxSynchronize());
            let _freed = call!(cuMemFree_v2(self.at));
        }
    }
}

/// Copies on the device, in the order of the stream.
pub(super) fn copy(to: u64, from: u64, bytes: usize, stream: &Stream) -> Result<()> {
    // SAFETY: callers pass buffers of arenas that live as long as what is loaded.
    unsafe { call!(cuMemcpyDtoDAsync_v2(to, from, bytes, stream.0)) }
}

/// An image that the driver has loaded.
#[derive(Debug)]
pub(super) struct Module(sys::CUmodule);

impl Module {
    /// Loads a cubin, or PTX, which is compiled meanwhile.
    pub(super) fn load(image: &[u8]) -> Result<Self> {
        // PTX is text that must end with a zero; after a cubin one does no harm.
        let mut ended = image.to_vec();
        ended.push(0);
        let mut module = null_mut();
        // SAFETY: a place for the answer, and an image that ends with a zero.
        unsafe { call!(cuModuleLoadData(&raw mut module, ended.as_ptr().cast()))? };
        Ok(Self(module))
    }

    pub(super) fn function(&self, name: &str) -> Result<Function> {
        let wrong = Error { call: "cuModuleGetFunction", code: 500 };
        let name = CString::new(name).map_err(|_| wrong)?;
        let mut function = null_mut();
        // SAFETY: a place for the answer, a loaded module, a name that ends.
        unsafe { call!(cuModuleGetFunction(&raw mut function, self.0, name.as_ptr()))? };
        Ok(Function(function))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded in `load`; its functions are not used any more.
        let _unloaded = unsafe { call!(cuModuleUnload(self.0)) };
    }
}

/// A kernel of a module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function(sys::CUfunction);

impl Function {
    fn attribute(self, which: FunctionAttribute) -> Result<u64> {
        let mut value = 0;
        // SAFETY: a place for the answer; a function of a module that is still loaded.
        unsafe { call!(cuFuncGetAttribute(&raw mut value, which, self.0))? };
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// The most threads that a block of it may have, for its registers.
    pub(super) fn most_threads(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)
    }

    /// Shared memory that its code declares.
    pub(super) fn own_shared_bytes(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)
    }

    /// Registers of a thread.
    pub(super) fn registers(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_NUM_REGS)
    }

    /// Local memory of a thread: what has no room in registers, and what is indexed.
    pub(super) fn local_bytes(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)
    }

    /// Lets launches ask for so much more, which the driver refuses above 48 KiB otherwise.
    pub(super) fn allow_shared(self, bytes: u32) -> Result<()> {
        let which = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        // SAFETY: a function of a module that is still loaded.
        unsafe { call!(cuFuncSetAttribute(self.0, which, bytes)) }
    }

    /// Launches it; `arguments` point to one value each.
    pub(super) fn launch(
        self,
        grid: &Grid,
        arguments: &[*mut c_void],
        stream: &Stream,
    ) -> Result<()> {
        let (blocks, threads) = (grid.blocks, grid.threads);
        let values = arguments.as_ptr().cast_mut();
        // SAFETY: as many values as the kernel has parameters, which the compile has checked; the
        // driver copies them before it returns.
        unsafe {
            call!(cuLaunchKernel(
                self.0,
                blocks[0],
                blocks[1],
                blocks[2],
                threads[0],
                threads[1],
                threads[2],
                grid.shared_bytes,
                stream.0,
                values,
                null_mut()
            ))
        }
    }

    fn node(self, grid: &Grid, arguments: &[*mut c_void]) -> NodeParams {
        let (blocks, threads) = (grid.blocks, grid.threads);
        NodeParams {
            func: self.0,
            gridDimX: blocks[0],
            gridDimY: blocks[1],
            gridDimZ: blocks[2],
            blockDimX: threads[0],
            blockDimY: threads[1],
            blockDimZ: threads[2],
            sharedMemBytes: grid.shared_bytes,
            kernelParams: arguments.as_ptr().cast_mut(),
            extra: null_mut(),
            kern: null_mut(),
            ctx: null_mut(),
        }
    }
}

/// A queue of work, in order.
#[derive(Debug)]
pub(super) struct Stream(sys::CUstream);

impl Stream {
    pub(super) fn new() -> Result<Self> {
        let mut stream = null_mut();
        // SAFETY: a place for the answer. Flags 0: it waits for the default stream, as a program's
        // streams do that says nothing else.
        unsafe { call!(cuStreamCreate(&raw mut stream, 0))? };
        Ok(Self(stream))
    }

    pub(super) fn wait(&self) -> Result<()> {
        // SAFETY: made in `new`.
        unsafe { call!(cuStreamSynchronize(self.0)) }
    }

    /// For a candidate's host code, which launches on it.
    pub(super) fn raw(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        let _destroyed = unsafe { call!(cuStreamDestroy_v2(self.0)) };
    }
}

/// A moment on a stream.
#[derive(Debug)]
pub(super) struct Event(sys::CUevent);

impl Event {
    pub(super) fn new() -> Result<Self> {
        let mut event = null_mut();
        // SAFETY: a place for the answer. Flags 0: with a time.
        unsafe { call!(cuEventCreate(&raw mut event, 0))? };
        Ok(Self(event))
    }

    pub(super) fn record(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both are alive.
        unsafe { call!(cuEventRecord(self.0, stream.0)) }
    }

    /// Nanoseconds from `start` to this, both of which have passed. The driver tells milliseconds
    /// in single precision.
    pub(super) fn ns_since(&self, start: &Self) -> Result<u64> {
        let mut ms = 0.0_f32;
        // SAFETY: a place for the answer; both are alive.
        unsafe { call!(cuEventElapsedTime_v2(&raw mut ms, start.0, self.0))? };
        Ok((f64::from(ms.max(0.0)) * 1e6).round() as u64)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        let _destroyed = unsafe { call!(cuEventDestroy_v2(self.0)) };
    }
}

/// Launches that the driver starts as one, each after the one before it.
#[derive(Debug)]
pub(super) struct Graph {
    graph: sys::CUgraph,
    ready: sys::CUgraphExec,
}

impl Graph {
    /// One launch for each list of arguments.
    pub(super) fn of<'a>(
        function: Function,
        grid: &Grid,
        launches: impl Iterator<Item = &'a [*mut c_void]>,
    ) -> Result<Self> {
        let mut made = Self { graph: null_mut(), ready: null_mut() };
        // SAFETY: a place for the answer.
        unsafe { call!(cuGraphCreate(&raw mut made.graph, 0))? };
        let mut last: Option<sys::CUgraphNode> = None;
        for arguments in launches {
            let (params, mut node) = (function.node(grid, arguments), null_mut());
            let (before, count) = last.as_ref().map_or((null(), 0), |last| (&raw const *last, 1));
            // SAFETY: a place for the answer; the driver copies values and parameters.
            unsafe {
                call!(cuGraphAddKernelNode_v2(
                    &raw mut node,
                    made.graph,
                    before,
                    count,
                    &raw const params
                ))?;
            }
            last = Some(node);
        }
        // SAFETY: a place for the answer; a graph that is whole.
        unsafe { call!(cuGraphInstantiateWithFlags(&raw mut made.ready, made.graph, 0))? };
        Ok(made)
    }

    /// Brings it to the device, so that its first start is as fast as any.
    pub(super) fn upload(&self, stream: &Stream) -> Result<()> {
        // SAFETY: instantiated in `of`.
        unsafe { call!(cuGraphUpload(self.ready, stream.0)) }
    }

    pub(super) fn launch(&self, stream: &Stream) -> Result<()> {
        // SAFETY: instantiated in `of`.
        unsafe { call!(cuGraphLaunch(self.ready, stream.0)) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made in `of`; what was never made is left alone.
        unsafe {
            if !self.ready.is_null() {
                let _destroyed = call!(cuGraphExecDestroy(self.ready));
            }
            if !self.graph.is_null() {
                let _destroyed = call!(cuGraphDestroy(self.graph));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::CALLS;

    #[test]
    fn whoever_is_called_was_looked_for_first() {
        let code = include_str!("driver.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let called = code.split("call!(").skip(1).filter_map(|rest| rest.split('(').next());
        let called: Vec<&str> = called.map(str::trim).filter(|c| c.starts_with("cu")).collect();
        assert!(called.len() > 30, "{called:?}");
        for name in called {
            assert!(CALLS.contains(&name), "{name} would panic in a driver that lacks it");
        }
    }
}
