//! Device code that was loaded, and launches of it.
#![expect(unsafe_code, reason = "calls the driver")]

use std::ffi::{CString, c_void};
use std::ptr::null_mut;

use cudarc::driver::sys::{
    self, CUDA_KERNEL_NODE_PARAMS_v2_st as NodeParams, CUfunction_attribute as FunctionAttribute,
};

use super::call::{Error, Result, call};
use super::queue::Stream;
use crate::backend::Grid;

/// An image that the driver has loaded.
#[derive(Debug)]
pub(in crate::backend::cuda) struct Module(sys::CUmodule);

impl Module {
    /// Loads a cubin, or PTX, which is compiled meanwhile.
    pub(in crate::backend::cuda) fn load(image: &[u8]) -> Result<Self> {
        // PTX is text that must end with a zero; after a cubin one does no harm.
        let mut ended = image.to_vec();
        ended.push(0);
        let mut module = null_mut();
        // SAFETY: a place for the answer, and an image that ends with a zero.
        unsafe { call!(cuModuleLoadData(&raw mut module, ended.as_ptr().cast()))? };
        Ok(Self(module))
    }

    pub(in crate::backend::cuda) fn function(&self, name: &str) -> Result<Function> {
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
pub(in crate::backend::cuda) struct Function(sys::CUfunction);

impl Function {
    fn attribute(self, which: FunctionAttribute) -> Result<u64> {
        let mut value = 0;
        // SAFETY: a place for the answer; a function of a module that is still loaded.
        unsafe { call!(cuFuncGetAttribute(&raw mut value, which, self.0))? };
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// The most threads that a block of it may have, for its registers.
    pub(in crate::backend::cuda) fn most_threads(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)
    }

    /// Shared memory that its code declares.
    pub(in crate::backend::cuda) fn own_shared_bytes(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)
    }

    /// Registers of a thread.
    pub(in crate::backend::cuda) fn registers(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_NUM_REGS)
    }

    /// Local memory of a thread: what has no room in registers, and what is indexed.
    pub(in crate::backend::cuda) fn local_bytes(self) -> Result<u64> {
        self.attribute(FunctionAttribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)
    }

    /// Lets launches ask for so much more, which the driver refuses above 48 KiB otherwise.
    pub(in crate::backend::cuda) fn allow_shared(self, bytes: u32) -> Result<()> {
        let which = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        // SAFETY: a function of a module that is still loaded.
        unsafe { call!(cuFuncSetAttribute(self.0, which, bytes)) }
    }

    /// Launches it; `arguments` point to one value each.
    pub(in crate::backend::cuda) fn launch(
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
                stream.handle(),
                values,
                null_mut()
            ))
        }
    }

    /// The launch as a part of a graph.
    pub(super) fn node(self, grid: &Grid, arguments: &[*mut c_void]) -> NodeParams {
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
