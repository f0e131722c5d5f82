//! Files of a campaign that are made from its log, again and again.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::event::Event;
use super::history::History;
use super::standing::Standing;
use super::{diary, report, summary};
use crate::cache::index::replace;

/// The file that says how it stands; made anew after each event.
pub const STATE: &str = "state.json";

/// A file that is made from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the campaign's folder.
    pub name: String,
    /// What it holds.
    pub text: String,
}

impl File {
    fn new(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), text }
    }
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}", path = path.display())]
pub struct Unwritten {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// All of them.
pub fn files(history: &History) -> Vec<File> {
    let mut files = vec![state(history)];
    files.extend(records(history));
    files
}

fn state(history: &History) -> File {
    // Plain maps and numbers always encode.
    let text = serde_json::to_string_pretty(&Standing::of(history)).unwrap_or_default();
    File::new(STATE, text + "\n")
}

/// Those that change when an iteration ends.
fn records(history: &History) -> Vec<File> {
    let mut files = vec![
        File::new("report.md", summary::text(history)),
        File::new("experiments.jsonl", report::records(history)),
        File::new("diary.md", diary::text(history)),
    ];
    let progress = diary::progress(history);
    files.extend(progress.into_iter().map(|one| {
        let name = format!("progress-{:03}.md", one.up_to);
        File::new(&name, one.text)
    }));
    files
}

/// Writes the one that says how it stands.
///
/// # Errors
/// When it cannot be written.
pub fn write_state(folder: &Path, history: &History) -> Result<(), Unwritten> {
    write(folder, &state(history))
}

/// Whether those other than [`STATE`] change with an event.
pub fn changes_records(event: &Event) -> bool {
    match event {
        Event::Begun(_)
        | Event::Baseline(_)
        | Event::Anchored(_)
        | Event::Limited(_)
        | Event::Steered(_)
        | Event::Adopted(_)
        | Event::MergedJudged { .. }
        | Event::MergedKept
        | Event::Ended { .. }
        | Event::Finished { .. } => true,
        Event::Opened { .. }
        | Event::Proposed { .. }
        | Event::Committed { .. }
        | Event::AskedAgain { .. }
        | Event::Judged { .. }
        | Event::Confirmed { .. }
        | Event::Held { .. }
        | Event::NotHeld { .. }
        | Event::Announced(_)
        | Event::Moved { .. }
        | Event::Resumed
        | Event::Halted { .. } => false,
    }
}

/// Writes those that change when an iteration ends.
///
/// # Errors
/// When one of them cannot be written.
pub fn write_records(folder: &Path, history: &History) -> Result<(), Unwritten> {
    records(history).iter().try_for_each(|file| write(folder, file))
}

/// Writes one: nothing where it is so already, its new end where it only grew, else all of it.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, file: &File) -> Result<(), Unwritten> {
    let path = folder.join(&file.name);
    let there = fs::read(&path).unwrap_or_default();
    let written = match file.text.as_bytes().strip_prefix(&there[..]) {
        Some([]) if !there.is_empty() => Ok(()),
        Some(more) if !there.is_empty() => {
            fs::OpenOptions::new().append(true).open(&path).and_then(|mut end| end.write_all(more))
        }
        _ => replace(&path, |whole| whole.write_all(file.text.as_bytes())),
    };
    written.map_err(|source| Unwritten { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::samples;

    #[test]
    fn a_file_that_only_grows_is_appended_to_and_a_damaged_one_is_made_anew() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("diary.md");
        let inode = || fs::metadata(&path).expect("there").ino();
        let written = |first: usize| {
            write_records(dir.path(), &samples::history_of(first)).expect("written");
            assert_eq!(
                fs::read_to_string(&path).expect("read"),
                diary::text(&samples::history_of(first))
            );
        };
        written(3);
        let first = inode();
        written(samples::entries().len());
        assert_eq!(inode(), first, "its end was appended");
        fs::write(&path, "torn").expect("written");
        written(samples::entries().len());
    }

    #[test]
    fn an_event_that_changes_no_record_is_known_as_such() {
        let entries = samples::entries();
        for (first, entry) in entries.iter().enumerate().skip(1) {
            let (before, after) = (samples::history_of(first), samples::history_of(first + 1));
            if !changes_records(&entry.event) {
                assert_eq!(records(&before), records(&after), "{entry:?}");
            }
        }
    }

    #[test]
    fn all_files_have_names_of_their_own() {
        let files = files(&samples::history());
        let names: Vec<&str> = files.iter().map(|file| &file.name[..]).collect();
        assert_eq!(names, [STATE, "report.md", "experiments.jsonl", "diary.md"]);
    }
}
