//! What all jobs of a run share.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Mutex;

use super::event::Event;
use super::options::{Options, Surroundings};
use super::subject::Eyes;
use crate::cache::entry::Clock;
use crate::cache::{Journal, Store};

/// What all jobs of a run share.
pub(super) struct Shared<'a> {
    pub(super) root: &'a Path,
    pub(super) root_fd: BorrowedFd<'a>,
    pub(super) state_dir: &'a Path,
    pub(super) clock: Option<&'a Clock>,
    pub(super) store: &'a Store,
    pub(super) journal: &'a Mutex<Journal>,
    pub(super) options: &'a Options,
    pub(super) around: &'a Surroundings<'a>,
    /// What commands carry in their environment, so that a later run can find what a killed one
    /// left behind.
    pub(super) marker: &'a str,
    /// Held while the copies of the project are in use that commands are compared in.
    pub(super) trees: &'a Mutex<()>,
}

impl Shared<'_> {
    pub(super) fn eyes(&self) -> Eyes<'_> {
        let (root_fd, host) = (self.root_fd, self.around.host);
        Eyes { root_fd, host, clock: self.clock, given: None }
    }

    pub(super) fn tell(&self, event: &Event) {
        (self.around.sink)(event);
    }
}
