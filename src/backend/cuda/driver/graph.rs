//! Launches in a row that are started as one.
#![expect(unsafe_code, reason = "calls the driver")]

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use cudarc::driver::sys;

use super::call::{Result, call};
use super::module::Function;
use super::queue::Stream;
use crate::backend::Grid;

/// Launches that the driver starts as one, each after the one before it.
#[derive(Debug)]
pub(in crate::backend::cuda) struct Graph {
    graph: sys::CUgraph,
    ready: sys::CUgraphExec,
}

impl Graph {
    /// One launch for each list of arguments.
    pub(in crate::backend::cuda) fn of<'a>(
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
    pub(in crate::backend::cuda) fn upload(&self, stream: &Stream) -> Result<()> {
        // SAFETY: instantiated in `of`.
        unsafe { call!(cuGraphUpload(self.ready, stream.handle())) }
    }

    pub(in crate::backend::cuda) fn launch(&self, stream: &Stream) -> Result<()> {
        // SAFETY: instantiated in `of`.
        unsafe { call!(cuGraphLaunch(self.ready, stream.handle())) }
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
