//! The link between judge and worker, whatever the worker runs kernels on: a process, a socket with
//! messages, a page for orders without a system call, and memory that both map.
//!
//! [`Worker`] is the judge's end. A session owns one and says in its own terms what is to be loaded
//! and launched; what a driver's code means, for one, is the session's to tell. [`protocol`] and
//! [`control`] are what both ends agree on.

mod affinity;
mod child;
pub(super) mod control;
mod crash_site;
mod handshake;
pub(super) mod inputs;
mod layout;
mod patience;
pub(super) mod placement;
mod postmortem;
pub(super) mod protocol;
mod remains;
mod request_error;
mod segment;
mod shelf;
mod spawn;
mod staging;
mod worker;
mod writable;

pub(super) use layout::{Buffer, Layout};
pub use remains::Remains;
pub(super) use request_error::RequestError;
pub(super) use segment::Segment;
pub use shelf::Shelf;
pub(super) use spawn::Spawn;
pub(super) use staging::Memory;
pub(super) use worker::Worker;
