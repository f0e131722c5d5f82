//! What a command printed: always drained, kept up to a limit.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What one read takes from a pipe, which holds four times as much.
const CHUNK: usize = 16 * 1024;

/// How the two output streams of a command are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// One pipe for both, in the order in which they were written.
    Merged,
    /// One pipe each.
    Split,
}

/// Takes what a command prints, while it runs.
pub trait Sink: std::fmt::Debug + Send {
    /// The next bytes, at most some kilobytes; a command that prints waits meanwhile.
    fn take(&mut self, bytes: &[u8]);
}

/// The reading end of one pipe and what came through it.
#[derive(Debug)]
pub(super) struct Stream {
    pipe: Option<OwnedFd>,
    kept: Kept,
    sink: Option<Box<dyn Sink>>,
    /// When something came last.
    last: Option<Instant>,
}

impl Stream {
    pub(super) fn new(pipe: OwnedFd, limit: usize) -> Self {
        Self { pipe: Some(pipe), kept: Kept::new(limit), sink: None, last: None }
    }

    /// From now on what comes goes to a sink, too.
    pub(super) fn pour_into(&mut self, sink: Box<dyn Sink>) {
        self.sink = Some(sink);
    }

    /// When something came last.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// The descriptor to poll, until the last writer has gone.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads once; call when poll said that it will not block.
    pub(super) fn read(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut chunk = [std::mem::MaybeUninit::<u8>::uninit(); CHUNK];
        match rustix::io::read(pipe, &mut chunk[..]) {
            Ok((data, _)) if !data.is_empty() => {
                self.last = Some(Instant::now());
                self.kept.push(data);
                if let Some(sink) = &mut self.sink {
                    sink.take(data);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(_) | Err(_) => self.pipe = None,
        }
    }

    /// Reads what is in the pipe now, without waiting for more.
    pub(super) fn read_available(&mut self) {
        while let Some(pipe) = &self.pipe {
            let mut fds = [PollFd::new(pipe, PollFlags::IN)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(0) => return,
                Ok(_) => self.read(),
                Err(Errno::INTR) => {}
                Err(_) => self.pipe = None,
            }
        }
    }

    /// The kept bytes, and whether some were left out.
    pub(super) fn finish(self) -> (Vec<u8>, bool) {
        self.kept.finish()
    }
}

/// The first and the last bytes of a stream: the first hold a compiler's first error, the last
/// hold a benchmark's result.
#[derive(Debug)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    left_out: usize,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: limit / 2, left_out: 0 }
    }

    fn push(&mut self, data: &[u8]) {
        let (first, rest) = data.split_at(data.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        let skipped = rest.len().saturating_sub(self.half);
        self.tail.extend(&rest[skipped..]);
        let surplus = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.left_out += skipped + surplus;
    }

    fn finish(mut self) -> (Vec<u8>, bool) {
        if self.left_out > 0 {
            let note = format!("\n[… {} bytes left out …]\n", self.left_out);
            self.head.extend_from_slice(note.as_bytes());
        }
        self.head.extend(&self.tail);
        (self.head, self.left_out > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(limit: usize, pieces: &[&str]) -> (String, bool) {
        let mut kept = Kept::new(limit);
        for piece in pieces {
            kept.push(piece.as_bytes());
        }
        let (bytes, truncated) = kept.finish();
        (String::from_utf8(bytes).expect("text in, text out"), truncated)
    }

    #[test]
    fn output_within_the_limit_is_kept_whole() {
        assert_eq!(keep(8, &["abc", "defgh"]), ("abcdefgh".into(), false));
        assert_eq!(keep(8, &[]), (String::new(), false));
    }

    #[test]
    fn a_longer_output_keeps_both_ends_and_says_how_much_is_missing() {
        let expected = ("abcd\n[… 3 bytes left out …]\nhijk".to_owned(), true);
        assert_eq!(keep(8, &["abcdefghijk"]), expected);
        assert_eq!(keep(8, &["abc", "def", "ghijk"]), expected);
        let letters: Vec<String> = ('a'..='k').map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(keep(8, &letters), expected);
    }
}
