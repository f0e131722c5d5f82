//! A file in which judges and workers say what they do, line by line: for finding out why one of
//! them does not start, answer or end. Off unless `OPTLOOP_TRACE` names the file.
//!
//! Each line is written by a descriptor of its own, so that none is left open in a worker when a
//! candidate's code is loaded there. A worker that is confined cannot open the file any more, and
//! what it does from then on is seen by its judge.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

/// The environment variable that names the file. It is read by `cli` and handed on to workers.
pub const VARIABLE: &str = "OPTLOOP_TRACE";

/// Where the file ends, for a worker is killed when it makes a file grow beyond its limit.
const LONGEST_BYTES: u64 = 12 << 20;

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// Turns tracing on for the rest of this process; a second call changes nothing.
///
/// # Errors
/// When the file, an absolute path, cannot be opened or made.
pub fn to(path: PathBuf) -> io::Result<()> {
    open(&path)?;
    FILE.get_or_init(|| path);
    Ok(())
}

/// The file, when there is one.
pub fn file() -> Option<&'static Path> {
    FILE.get().map(PathBuf::as_path)
}

/// Adds a line; what it says is only worked out when tracing is on.
pub fn note(event: impl FnOnce() -> String) {
    hold().note(event);
}

/// The file for several lines, or nothing.
pub(super) struct Held(Option<File>);

/// Opens the file, for a process that is about to lose the right to.
pub(super) fn hold() -> Held {
    Held(file().and_then(|path| open(path).ok()))
}

impl Held {
    /// As [`note`].
    pub(super) fn note(&self, event: impl FnOnce() -> String) {
        let Some(mut file) = self.0.as_ref() else { return };
        if file.metadata().is_ok_and(|metadata| metadata.len() < LONGEST_BYTES) {
            // In one piece, so that the lines of several processes stay whole. A line that cannot
            // be written is no reason to fail.
            let _unwritten = file.write_all(line(&event()).as_bytes());
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Seconds on the clock that all processes of a machine share, who, and what.
fn line(event: &str) -> String {
    let now = clock_gettime(ClockId::Monotonic);
    let event = event.trim_end().replace('\n', "\\n");
    format!("{}.{:06} {} {event}\n", now.tv_sec, now.tv_nsec / 1000, std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_a_process_and_one_line_of_words() {
        let text = line("a worker said:\nno\n");
        let (time, rest) = text.split_once(' ').expect("a time");
        assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{text}");
        assert_eq!(rest, format!("{} a worker said:\\nno\n", std::process::id()));
    }

    #[test]
    fn a_file_is_added_to_until_it_is_long() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("trace");
        let held = || Held(Some(open(&path).expect("opened")));
        held().note(|| "one".to_owned());
        held().note(|| "two".to_owned());
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.lines().count() == 2 && text.ends_with(" two\n"), "{text}");
        File::options()
            .write(true)
            .open(&path)
            .expect("there")
            .set_len(LONGEST_BYTES)
            .expect("set");
        held().note(|| "three".to_owned());
        assert_eq!(path.metadata().expect("there").len(), LONGEST_BYTES);
    }

    #[test]
    fn without_a_file_nothing_is_worked_out() {
        Held(None).note(|| unreachable!("tracing is off"));
    }
}
