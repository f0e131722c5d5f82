//! What a driver did not do, as a fault.

use super::super::link::RequestError;
use super::super::{Fault, Trouble};
use super::driver;

/// A code of the driver's as a fault.
pub(super) fn device_fault(code: u32, call: &str) -> Fault {
    let trouble = driver::trouble(code);
    Fault::Device { trouble, what: format!("{call}: {} ({code})", driver::name(code)) }
}

/// A request that was not met as a fault.
pub(super) fn fault_of(error: RequestError) -> Fault {
    match error {
        RequestError::Fault(fault) => fault,
        RequestError::Driver { code, call } => device_fault(code, &call),
        RequestError::Refused(what) => Fault::Device { trouble: Trouble::Refused, what },
    }
}
