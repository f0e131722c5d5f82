//! A call of the driver's, with its answer checked.

use std::fmt;

use cudarc::driver::sys;

use super::code::name;

/// A call that the driver did not carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::cuda) struct Error {
    /// The call's name.
    pub(in crate::backend::cuda) call: &'static str,
    /// The driver's code.
    pub(in crate::backend::cuda) code: u32,
}

pub(in crate::backend::cuda) type Result<T> = std::result::Result<T, Error>;

/// Makes a call of this name.
macro_rules! call {
    ($name:ident($($argument:expr),* $(,)?)) => {
        crate::backend::cuda::driver::call::checked(
            stringify!($name),
            cudarc::driver::sys::$name($($argument),*),
        )
    };
}
pub(super) use call;

pub(super) fn checked(call: &'static str, answer: sys::CUresult) -> Result<()> {
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
