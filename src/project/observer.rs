//! Who follows what a project does.

use super::promotion::Recovered;
use crate::engine::Event;

/// Follows a project: a terminal, a log, a test. It answers nothing: what a call found out is in
/// what the call returns.
pub trait Observer: Sync {
    /// Something happened during a run. Called from several threads.
    fn event(&self, event: &Event);

    /// The project did or found something outside the events of a run.
    fn notice(&self, _notice: &Notice) {}
}

/// All that follow a call.
pub type Observers<'a> = &'a [&'a dyn Observer];

/// What a project does or finds outside the events of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Another process works on the project; this one waits for it.
    Waiting {
        /// Which process.
        holder: String,
    },
    /// A keep or revert that a killed process began was ended.
    Recovered(Box<Recovered>),
    /// The jobserver of a `make` around this process cannot be used; why.
    NoJobserver(String),
}

/// Hands a notice to all.
pub(super) fn notify(observers: Observers<'_>, notice: &Notice) {
    for observer in observers {
        observer.notice(notice);
    }
}
