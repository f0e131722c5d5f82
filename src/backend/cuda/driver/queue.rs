//! Queues of work on the device, and moments on them.
#![expect(unsafe_code, reason = "calls the driver")]

use std::ffi::c_void;
use std::ptr::null_mut;

use cudarc::driver::sys;

use super::call::{Result, call};

/// A queue of work, in order.
#[derive(Debug)]
pub(in crate::backend::cuda) struct Stream(sys::CUstream);

impl Stream {
    pub(in crate::backend::cuda) fn new() -> Result<Self> {
        let mut stream = null_mut();
        // SAFETY: a place for the answer. Flags 0: it waits for the default stream, as a program's
        // streams do that says nothing else.
        unsafe { call!(cuStreamCreate(&raw mut stream, 0))? };
        Ok(Self(stream))
    }

    pub(in crate::backend::cuda) fn wait(&self) -> Result<()> {
        // SAFETY: made in `new`.
        unsafe { call!(cuStreamSynchronize(self.0)) }
    }

    pub(super) fn handle(&self) -> sys::CUstream {
        self.0
    }

    /// For a candidate's host code, which launches on it.
    pub(in crate::backend::cuda) fn raw(&self) -> *mut c_void {
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
pub(in crate::backend::cuda) struct Event(sys::CUevent);

impl Event {
    pub(in crate::backend::cuda) fn new() -> Result<Self> {
        let mut event = null_mut();
        // SAFETY: a place for the answer. Flags 0: with a time.
        unsafe { call!(cuEventCreate(&raw mut event, 0))? };
        Ok(Self(event))
    }

    pub(in crate::backend::cuda) fn record(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both are alive.
        unsafe { call!(cuEventRecord(self.0, stream.0)) }
    }

    /// Nanoseconds from `start` to this, both of which have passed. The driver tells milliseconds
    /// in single precision.
    pub(in crate::backend::cuda) fn ns_since(&self, start: &Self) -> Result<u64> {
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
