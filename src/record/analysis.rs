//! Analyses: what somebody decided about an artifact and why, one JSON line each in
//! `runs/ID/STAGE.analysis.jsonl` beside it. What was measured is never touched.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RecordError;
use super::lines;
use crate::digest::Digest;
use crate::measure::pairs::Decision;

/// Rises when a reader of analyses would have to change.
pub const ANALYSIS_VERSION: u32 = 1;

/// One analysis of one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Analysis {
    /// [`ANALYSIS_VERSION`].
    pub version: u32,
    /// When it was written, RFC 3339.
    pub at: String,
    /// BLAKE3 of the artifact's file as it was then.
    pub artifact: Digest,
    /// What was decided.
    pub decision: Decision,
    /// Why, in a sentence or a few.
    pub summary: String,
    /// Signals and outliers, one text each.
    pub feedback: Vec<String>,
    /// What to try next; empty when nothing was said.
    pub next_step: String,
    /// Who decided; empty when not given.
    pub by: String,
}

/// What is known about one artifact's analyses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analyses {
    /// Oldest first.
    pub entries: Vec<Analysis>,
    /// What people should know about the file: its last line was torn.
    pub warning: Option<String>,
}

impl Analyses {
    /// What was decided last.
    pub fn decision(&self) -> Option<Decision> {
        self.entries.last().map(|a| a.decision)
    }
}

/// The file with the analyses of an artifact.
pub fn path_of(artifact: &Path) -> PathBuf {
    artifact.with_extension("analysis.jsonl")
}

/// The analyses of an artifact; none when there are none.
///
/// A last line that is torn is dropped with a warning: its writer was cut off.
///
/// # Errors
/// When the file cannot be read, or when a line other than the last is not an analysis.
pub fn read(artifact: &Path) -> Result<Analyses, RecordError> {
    let lines::Lines { entries, warning } = lines::read(&path_of(artifact))?;
    Ok(Analyses { entries, warning })
}

/// Appends an analysis and syncs it; a torn last line is cut off first, and that is the warning.
///
/// # Errors
/// When the file cannot be written, or is one that [`read`] refuses.
pub fn append(artifact: &Path, analysis: &Analysis) -> Result<Option<String>, RecordError> {
    lines::append(&path_of(artifact), |_| analysis.clone()).map(|appended| appended.warning)
}

impl lines::Record for Analysis {
    const VERSION: u32 = ANALYSIS_VERSION;
    const KIND: &'static str = "an analysis";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysis(summary: &str) -> Analysis {
        Analysis {
            version: ANALYSIS_VERSION,
            at: "2020-01-01T00:00:00Z".to_owned(),
            artifact: Digest::of(b"artifact"),
            decision: Decision::Keep,
            summary: summary.to_owned(),
            feedback: vec!["two\nlines".to_owned()],
            next_step: String::new(),
            by: String::new(),
        }
    }

    /// A folder with two analyses of `a[X=1.5].json`.
    fn two() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().expect("tempdir");
        let artifact = dir.path().join("a[X=1.5].json");
        for summary in ["first", "second"] {
            assert_eq!(append(&artifact, &analysis(summary)).expect("appended"), None);
        }
        let bytes = std::fs::read(path_of(&artifact)).expect("written");
        (dir, artifact, bytes)
    }

    fn summaries(analyses: &Analyses) -> Vec<&str> {
        analyses.entries.iter().map(|a| a.summary.as_str()).collect()
    }

    #[test]
    fn analyses_are_read_as_they_were_appended() {
        let (_dir, artifact, bytes) = two();
        assert_eq!(String::from_utf8_lossy(&bytes).lines().count(), 2);
        let read = read(&artifact).expect("whole");
        assert_eq!(read.entries, [analysis("first"), analysis("second")]);
        assert_eq!((read.decision(), read.warning), (Some(Decision::Keep), None));
        assert!(path_of(&artifact).ends_with("a[X=1.5].analysis.jsonl"));
    }

    #[test]
    fn what_nobody_analysed_has_no_analyses() {
        let dir = tempfile::tempdir().expect("tempdir");
        let none = read(&dir.path().join("a.json")).expect("none yet");
        assert_eq!(none, Analyses::default());
    }

    #[test]
    fn every_torn_length_keeps_the_whole_lines_and_takes_another() {
        let (_dir, artifact, bytes) = two();
        let first = bytes.iter().position(|b| *b == b'\n').expect("a line") + 1;
        for len in first..bytes.len() {
            std::fs::write(path_of(&artifact), &bytes[..len]).expect("cut");
            let cut = read(&artifact).expect("readable");
            // Without its end alone, the second line is whole.
            let whole = if len == bytes.len() - 1 { 2 } else { 1 };
            assert_eq!(summaries(&cut), ["first", "second"][..whole], "cut at {len}");
            let torn = whole == 1 && len > first;
            assert_eq!(cut.warning.is_some_and(|w| w.contains("line 2 of")), torn, "{len}");
            let warned = append(&artifact, &analysis("third")).expect("appended");
            assert_eq!(warned.is_some(), torn, "cut at {len}");
            let after = read(&artifact).expect("readable");
            assert_eq!(summaries(&after).last(), Some(&"third"), "cut at {len}");
            assert_eq!((after.entries.len(), after.warning), (whole + 1, None), "cut at {len}");
        }
    }

    #[test]
    fn a_damaged_line_before_the_last_is_refused_with_its_number() {
        let (_dir, artifact, bytes) = two();
        let mut damaged = bytes.clone();
        damaged[0] = b'x';
        std::fs::write(path_of(&artifact), &damaged).expect("written");
        for refusal in [read(&artifact).err(), append(&artifact, &analysis("third")).err()] {
            let refusal = refusal.expect("refused").to_string();
            assert!(refusal.contains("line 1 of"), "{refusal}");
        }
        assert_eq!(std::fs::read(path_of(&artifact)).expect("there"), damaged);
    }

    #[test]
    fn a_line_of_a_later_version_is_refused_and_never_cut_off() {
        let (_dir, artifact, bytes) = two();
        for (odd, why) in
            [("{\"version\":2,\"new\":1}\n", "version 2"), ("{\"version\":1}\n", "missing field")]
        {
            let text = [&bytes[..], odd.as_bytes()].concat();
            std::fs::write(path_of(&artifact), &text).expect("written");
            let refusal = append(&artifact, &analysis("third")).expect_err("refused").to_string();
            assert!(refusal.contains("line 3") && refusal.contains(why), "{refusal}");
            assert_eq!(std::fs::read(path_of(&artifact)).expect("there"), text);
        }
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let (_dir, artifact, _) = two();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let artifact = &artifact;
                scope.spawn(move || {
                    for line in 0..5 {
                        let done = append(artifact, &analysis(&format!("{writer} {line}")));
                        assert_eq!(done.expect("appended"), None);
                    }
                });
            }
        });
        assert_eq!(read(&artifact).expect("whole").entries.len(), 22);
    }
}
