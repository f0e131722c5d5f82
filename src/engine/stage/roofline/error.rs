//! Why it is not known what a machine can do at most.

use crate::backend::cpu::peaks::PeakError;

/// Why it is not known what a target can do at most.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine::stage) enum PeaksError {
    /// Nothing builds the probe.
    #[error("there is no C compiler `cc` to build the probe with")]
    NoCompiler,
    /// There is no such device.
    #[error("{what}; {hint}")]
    NoDevice {
        /// What is missing.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// It could not be measured, or not be kept.
    #[error(transparent)]
    Unmeasured(#[from] PeakError),
}
