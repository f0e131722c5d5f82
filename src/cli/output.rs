//! Standard output, where results go: what cannot be written there is an error and not lost in silence.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::exit::Exit;

/// Standard output, shared by all who print a result. After the first failure nothing more is tried.
#[derive(Clone, Default)]
pub(super) struct Output {
    lost: Arc<Mutex<Option<io::Error>>>,
}

/// What became of the results of a command.
pub(super) enum Delivered {
    /// Its code stands.
    As(Exit),
    /// They are lost, for this reason.
    Lost(io::Error),
}

impl Output {
    /// Writes, and hands it on to the system.
    pub(super) fn write(&self, bytes: &[u8]) {
        self.tell(|| {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        });
    }

    /// Notes what became of something that writes by itself.
    pub(super) fn tell(&self, write: impl FnOnce() -> io::Result<()>) {
        let Ok(mut lost) = self.lost.lock() else { return };
        if lost.is_none() {
            *lost = write().err();
        }
    }

    /// What the code of a command is once its results are out. A reader that has gone has seen what
    /// it wanted, but not all: that is no success, and nothing to complain about.
    pub(super) fn end(&self, exit: Exit) -> Delivered {
        let lost = self.lost.lock().ok().and_then(|mut lost| lost.take());
        match lost {
            None => Delivered::As(exit),
            Some(e) if e.kind() == io::ErrorKind::BrokenPipe && exit == Exit::Ok => {
                Delivered::As(Exit::Unread)
            }
            Some(e) if e.kind() == io::ErrorKind::BrokenPipe => Delivered::As(exit),
            Some(e) => Delivered::Lost(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use io::ErrorKind::{BrokenPipe, StorageFull};

    use super::*;

    #[test]
    fn what_was_lost_decides_and_the_first_loss_counts() {
        let ended = |kinds: &[io::ErrorKind], exit| {
            let output = Output::default();
            for &kind in kinds {
                output.tell(|| Err(kind.into()));
            }
            output.end(exit)
        };
        assert!(matches!(ended(&[], Exit::Ok), Delivered::As(Exit::Ok)));
        assert!(matches!(ended(&[BrokenPipe], Exit::Ok), Delivered::As(Exit::Unread)));
        assert!(matches!(ended(&[BrokenPipe], Exit::Candidate), Delivered::As(Exit::Candidate)));
        let full = ended(&[StorageFull, BrokenPipe], Exit::Ok);
        assert!(matches!(full, Delivered::Lost(e) if e.kind() == StorageFull));
    }
}
