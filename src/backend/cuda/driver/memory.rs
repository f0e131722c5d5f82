//! Memory of the device.
#![expect(unsafe_code, reason = "calls the driver")]

use std::ptr::null_mut;

use super::call::{Error, Result, call};
use super::queue::Stream;

/// Device memory; wiped before it is given back, so that nothing is left to find.
#[derive(Debug)]
pub(in crate::backend::cuda) struct Memory {
    pub(in crate::backend::cuda) at: u64,
    bytes: usize,
}

impl Memory {
    pub(in crate::backend::cuda) fn of(bytes: usize) -> Result<Self> {
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
    pub(in crate::backend::cuda) fn write(&self, at: u64, from: &[u8]) -> Result<()> {
        self.within(at, from.len())?;
        // SAFETY: inside this allocation, and `from` is as long.
        unsafe { call!(cuMemcpyHtoD_v2(at, from.as_ptr().cast(), from.len())) }
    }

    /// Copies from `at`, which lies inside.
    pub(in crate::backend::cuda) fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.within(at, into.len())?;
        // SAFETY: inside this allocation, and `into` is as long.
        unsafe { call!(cuMemcpyDtoH_v2(into.as_mut_ptr().cast(), at, into.len())) }
    }

    /// Two words from the start.
    pub(in crate::backend::cuda) fn words(&self) -> Result<[u64; 2]> {
        let mut bytes = [0; 16];
        self.read(self.at, &mut bytes)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok([u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])])
    }

    /// Sets all bytes, in the order of the stream.
    pub(in crate::backend::cuda) fn fill(&self, byte: u8, stream: &Stream) -> Result<()> {
        // SAFETY: the whole of this allocation.
        unsafe { call!(cuMemsetD8Async(self.at, byte, self.bytes, stream.handle())) }
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
pub(in crate::backend::cuda) fn copy(
    to: u64,
    from: u64,
    bytes: usize,
    stream: &Stream,
) -> Result<()> {
    // SAFETY: callers pass buffers of arenas that live as long as what is loaded.
    unsafe { call!(cuMemcpyDtoDAsync_v2(to, from, bytes, stream.handle())) }
}
