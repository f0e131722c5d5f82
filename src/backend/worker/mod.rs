//! The child side: the process that a candidate's code runs in, whatever that runs on.
//!
//! A worker is entered with the control socket as descriptor 0 and serves the judge as a [`Host`]. It
//! is the candidate's from the moment the candidate's code is loaded; the judge on the other side
//! distrusts what it says.

mod attend;
mod confine;
mod crash;
mod greeting;
mod serve;
mod start;

pub(super) use attend::{Attendant, now};
pub(super) use confine::confine;
pub(super) use greeting::Greeting;
pub(super) use serve::{Runner, serve};
pub(super) use start::start;
