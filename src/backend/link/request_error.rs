//! What a request came to that was not met.

use super::super::fault::Fault;

/// What a request came to that was not met.
#[derive(Debug)]
pub(in crate::backend) enum RequestError {
    /// What it means is the same for every kind of worker.
    Fault(Fault),
    /// A driver did not carry out a call.
    Driver {
        /// Its code, which means something to the session that speaks to this driver.
        code: u32,
        /// What was called.
        call: String,
    },
    /// A device does not take such launches, in words.
    Refused(String),
}

impl RequestError {
    /// For a worker without a device, which has no such answers.
    pub(in crate::backend) fn without_device(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Driver { .. } | Self::Refused(_) => out_of_turn(),
        }
    }
}

impl From<Fault> for RequestError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A reply that no honest worker gives there.
pub(super) fn out_of_turn() -> Fault {
    Fault::Cheating { what: "the worker answered out of turn".into() }
}
