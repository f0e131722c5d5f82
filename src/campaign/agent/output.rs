//! What an agent prints, written down while it runs: bounded, and without secrets.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::campaign::secrets::{Redacting, Secrets};
use crate::process::Sink;

/// How much is kept of the beginning, and of the end, bytes.
const HALF: u64 = 2 << 20;

/// A file that grows while an agent runs.
pub(super) struct Output {
    file: File,
    redacting: Redacting,
    half: u64,
    /// Bytes in the file.
    length: u64,
    /// The note between beginning and end, bytes; 0 while nothing is missing.
    note: u64,
    left_out: u64,
}

impl Output {
    /// Begins an empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn create(path: &Path, secrets: &Secrets) -> io::Result<Self> {
        Self::with_half(path, secrets, HALF)
    }

    fn with_half(path: &Path, secrets: &Secrets, half: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let redacting = secrets.redacting();
        Ok(Self { file, redacting, half, length: 0, note: 0, left_out: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        // Seldom, so that each byte of the end is written twice and no more.
        if self.length > self.half + self.note + 2 * self.half { self.shorten() } else { Ok(()) }
    }

    /// Takes out what is neither beginning nor end.
    fn shorten(&mut self) -> io::Result<()> {
        let surplus = self.length.saturating_sub(self.half + self.note + self.half);
        if surplus == 0 {
            return Ok(());
        }
        let mut tail = vec![0; self.half as usize];
        self.file.seek(SeekFrom::Start(self.length - self.half))?;
        self.file.read_exact(&mut tail)?;
        self.left_out += surplus;
        let note = format!("\n[… {} bytes left out …]\n", self.left_out);
        self.file.set_len(self.half)?;
        self.file.seek(SeekFrom::Start(self.half))?;
        self.file.write_all(note.as_bytes())?;
        self.file.write_all(&tail)?;
        self.note = note.len() as u64;
        self.length = self.half + self.note + self.half;
        Ok(())
    }
}

impl Sink for Output {
    fn take(&mut self, bytes: &[u8]) {
        let ready = self.redacting.next(bytes);
        // It is for people; the answer counts without it.
        drop(self.append(&ready));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let rest = self.redacting.rest();
        drop(self.append(&rest));
        drop(self.shorten());
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_printed_can_be_read_before_the_end_and_secrets_never() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("agent.log");
        let secrets = Secrets::of([("MY_KEY", "sesame-open")]);
        let mut output = Output::create(&path, &secrets).expect("made");
        let read = || fs::read_to_string(&path).expect("read");
        output.take(b"working\nthe key is ses");
        assert_eq!(read(), "working\nthe key is ");
        output.take(b"ame-open, of course: sesa");
        assert_eq!(read(), "working\nthe key is [redacted: MY_KEY], of course: ");
        drop(output);
        assert!(read().ends_with("of course: sesa"));
    }

    #[test]
    fn the_file_stays_small_and_keeps_beginning_and_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("agent.log");
        let mut output = Output::with_half(&path, &Secrets::default(), 100).expect("made");
        for line in 0..1000 {
            output.take(format!("line {line}\n").as_bytes());
            assert!(fs::metadata(&path).expect("there").len() < 400);
        }
        drop(output);
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("\nline 999\n"), "{text}");
        let whole: usize = (0..1000).map(|line| format!("line {line}\n").len()).sum();
        assert!(text.contains(&format!("[… {} bytes left out …]", whole - 200)), "{text}");
    }
}
