//! What a CUDA worker has for all its kernels.

use super::driver::{Context, Memory, Stream};
use super::helpers::Helpers;

/// What a worker has for all its kernels.
pub(super) struct Tools {
    pub(super) context: Context,
    pub(super) helpers: Helpers,
    pub(super) stream: Stream,
    /// Where helpers leave what they found.
    pub(super) found: Memory,
    /// As large as L2 twice over; what is written to it drives everything else out.
    pub(super) flush: Memory,
}
