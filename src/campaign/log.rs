//! The log of a campaign on disk.

use std::path::{Path, PathBuf};

use super::event::{Entry, Event, LOG_VERSION};
use super::history::History;
use super::misplaced::OutOfOrder;
use crate::record::{RecordError, lines};

/// The file in a campaign's folder.
pub const FILE: &str = "events.jsonl";

/// A log, and what it says.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    history: History,
}

/// Why a log is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be read or written, or a line of it is damaged.
    #[error(transparent)]
    File(#[from] RecordError),
    /// Its lines contradict each other.
    #[error("{path}: {source}", path = path.display())]
    OutOfOrder {
        /// The file.
        path: PathBuf,
        /// Which line, and why.
        source: OutOfOrder,
    },
}

impl Log {
    /// The log in a campaign's folder, empty where there is none; and a warning where its last line
    /// was torn.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn open(folder: &Path) -> Result<(Self, Option<String>), LogError> {
        let path = folder.join(FILE);
        let read = lines::read::<Entry>(&path)?;
        let history = History::fold(&read.entries);
        let history =
            history.map_err(|source| LogError::OutOfOrder { path: path.clone(), source })?;
        Ok((Self { path, history }, read.warning))
    }

    /// What it says.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Writes an event down, and then knows it. What was written survives a power cut.
    ///
    /// # Errors
    /// When it cannot be written, or cannot follow those before it; nothing has changed then.
    pub fn append(&mut self, event: Event, at: String) -> Result<(), LogError> {
        let mut next = self.history.clone();
        let number = 0;
        let entry = Entry { version: LOG_VERSION, at, event };
        next.take(&entry).map_err(|why| LogError::OutOfOrder {
            path: self.path.clone(),
            source: OutOfOrder { number, why },
        })?;
        lines::append(&self.path, |_| entry)?;
        self.history = next;
        Ok(())
    }
}
