//! The ledger: every decision about a kernel, one line each in `.optloop/ledger.jsonl`, with the
//! raw samples by reference. Nothing in it is ever changed.

mod place;
mod stands;
mod what;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{LineError, RecordError};
use super::lines::{self, Appended, Lines, Record};
use crate::digest::Digest;

pub use place::Place;
pub use stands::{Stand, keeps_since_anchor, product_of_steps};
pub use what::What;

/// Rises when a reader of ledgers would have to change.
pub const LEDGER_VERSION: u32 = 2;

/// A file and what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Source {
    /// Below the root; absolute for files elsewhere.
    pub path: String,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Line {
    /// [`LEDGER_VERSION`].
    pub version: u32,
    /// Its number, from 1; given by [`append`].
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What was decided.
    pub event: What,
    /// What it is about: `problem`, `question`, `device`, `metric` and `mode`.
    #[serde(flatten)]
    pub place: Place,
    /// Digest of the candidate's built kernel.
    pub candidate: Digest,
    /// Digest of the kernel it was compared with.
    pub incumbent: Option<Digest>,
    /// The verdict's reason: `faster`, `slower` ….
    pub reason: Option<String>,
    /// 1 less the ratio of the times, candidate over incumbent: 0.1 is ten percent less time.
    pub gain: Option<f64>,
    /// Lower end of the gain's interval.
    pub lower: Option<f64>,
    /// Upper end of the gain's interval.
    pub upper: Option<f64>,
    /// What the metric was.
    pub value: Option<f64>,
    /// Pairs measured.
    pub pairs: Option<u32>,
    /// Launches of both sides.
    pub launches: Option<u64>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The artifact with the raw samples, below the state folder.
    pub artifact: String,
    /// BLAKE3 of the artifact's file.
    pub artifact_digest: Digest,
    /// The candidate's kernel files.
    pub sources: Vec<Source>,
    /// The project's other files that it was built from: headers and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Source>,
    /// The commit that holds them, if one was made.
    pub commit: Option<String>,
    /// The transition that wrote this line: how recovery knows that it need not write it again.
    pub intent: Option<String>,
    /// Why, in a sentence or a few.
    pub summary: String,
    /// Signals and outliers, one text each.
    pub feedback: Vec<String>,
    /// What to try next.
    pub next_step: String,
}

impl Line {
    /// A line that says what, where and about which kernel; all the rest is empty.
    pub fn new(event: What, place: Place, candidate: Digest, at: String) -> Self {
        Self {
            version: LEDGER_VERSION,
            seq: 0,
            at,
            event,
            place,
            candidate,
            incumbent: None,
            reason: None,
            gain: None,
            lower: None,
            upper: None,
            value: None,
            pairs: None,
            launches: None,
            seconds: None,
            artifact: String::new(),
            artifact_digest: Digest::default(),
            sources: Vec::new(),
            headers: Vec::new(),
            commit: None,
            intent: None,
            summary: String::new(),
            feedback: Vec::new(),
            next_step: String::new(),
        }
    }
}

impl Record for Line {
    const VERSION: u32 = LEDGER_VERSION;
    const KIND: &'static str = "a line of a ledger";

    fn follows(&self, before: Option<&Self>) -> Result<(), LineError> {
        let expected = before.map_or(1, |line| line.seq + 1);
        if self.seq == expected {
            return Ok(());
        }
        Err(LineError::Number { number: self.seq, expected })
    }
}

/// The ledger as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Oldest first.
    pub lines: Vec<Line>,
    /// What people should know about the file: its last line was torn.
    pub warning: Option<String>,
}

impl Ledger {
    /// The lines of one place, oldest first.
    pub fn of(&self, place: &Place) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.place == *place)
    }

    /// The line that a transition wrote.
    pub fn of_intent(&self, id: &str) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.intent.as_deref() == Some(id))
    }
}

/// Where the ledger lies.
pub fn path_of(state: &Path) -> PathBuf {
    state.join("ledger.jsonl")
}

/// Reads the ledger; one that is not there has no lines.
///
/// # Errors
/// When it cannot be read, a line before the last is damaged, a line is of a later version, or
/// the numbers are not consecutive.
pub fn read(state: &Path) -> Result<Ledger, RecordError> {
    let Lines { entries, warning } = lines::read(&path_of(state))?;
    Ok(Ledger { lines: entries, warning })
}

/// Appends a line under the next number and syncs it; returned is the line as it was written.
///
/// All lines but those of [`What::Anchor`] belong to transitions of the incumbent:
/// [`super::incumbent::finish`] appends them.
///
/// # Errors
/// When it cannot be written, or is a ledger that [`read`] refuses.
pub fn append(state: &Path, line: &Line) -> Result<Appended<Line>, RecordError> {
    lines::append(&path_of(state), |before: &[Line]| {
        let seq = before.last().map_or(1, |last| last.seq + 1);
        Line { version: LEDGER_VERSION, seq, ..line.clone() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(metric: &str) -> Place {
        Place {
            problem: "softmax".to_owned(),
            question: Digest::of(b"softmax"),
            device: "cpu 3, 2 GHz".to_owned(),
            metric: metric.to_owned(),
            mode: "hot".to_owned(),
        }
    }

    fn line(event: What, gain: Option<f64>) -> Line {
        let at = "2020-01-01T00:00:00Z".to_owned();
        Line { gain, ..Line::new(event, place("median_us"), Digest::of(b"k"), at) }
    }

    #[test]
    fn lines_are_read_as_they_were_appended_under_consecutive_numbers() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(read(dir.path()).expect("none yet"), Ledger::default());
        let full = Line {
            seq: 99,
            incumbent: Some(Digest::of(b"i")),
            lower: Some(0.1 + 0.2),
            pairs: Some(64),
            launches: Some(u64::MAX),
            sources: vec![Source { path: "k.c".to_owned(), digest: Digest::of(b"s") }],
            feedback: vec!["two\nlines".to_owned()],
            ..line(What::Undecided, Some(0.01))
        };
        for seq in 1..=3 {
            let appended = append(dir.path(), &full).expect("appended");
            assert_eq!((appended.entry.seq, appended.warning), (seq, None));
        }
        let ledger = read(dir.path()).expect("whole");
        assert_eq!(ledger.lines[1], Line { seq: 2, ..full });
        let text = std::fs::read_to_string(path_of(dir.path())).expect("text");
        assert!(text.contains("\"metric\":\"median_us\""), "{text}");
    }

    #[test]
    fn a_missing_or_doubled_line_is_refused_with_its_number() {
        let dir = tempfile::tempdir().expect("tempdir");
        for _ in 0..3 {
            append(dir.path(), &line(What::Undecided, None)).expect("appended");
        }
        let text = std::fs::read_to_string(path_of(dir.path())).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        for (order, bad) in [([0, 2, 2], 2), ([0, 1, 1], 3), ([1, 2, 2], 1)] {
            let picked: Vec<String> = order.iter().map(|&i| format!("{}\n", lines[i])).collect();
            std::fs::write(path_of(dir.path()), picked.concat()).expect("written");
            for refusal in [
                read(dir.path()).map(drop),
                append(dir.path(), &line(What::Undecided, None)).map(drop),
            ] {
                let refusal = refusal.expect_err("refused").to_string();
                assert!(refusal.contains(&format!("line {bad} of")), "{order:?}: {refusal}");
            }
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_and_its_number_given_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        for _ in 0..2 {
            append(dir.path(), &line(What::Undecided, None)).expect("appended");
        }
        let whole = std::fs::read(path_of(dir.path())).expect("bytes");
        std::fs::write(path_of(dir.path()), &whole[..whole.len() - 9]).expect("cut");
        let ledger = read(dir.path()).expect("readable");
        assert_eq!((ledger.lines.len(), ledger.warning.is_some()), (1, true));
        let appended = append(dir.path(), &line(What::Undecided, None)).expect("appended");
        assert_eq!((appended.entry.seq, appended.warning.is_some()), (2, true));
        assert_eq!(read(dir.path()).expect("whole").warning, None);
    }

    #[test]
    fn steps_are_counted_since_the_baseline_and_keeps_since_the_anchor() {
        let other = |event| Line { place: place("min_us"), ..line(event, Some(0.9)) };
        let history = [
            (line(What::Baseline, None), 0, 1.0),
            (line(What::Keep, Some(0.5)), 1, 2.0),
            (line(What::Revert, Some(-0.5)), 1, 2.0),
            (line(What::Keep, Some(0.75)), 2, 8.0),
            (other(What::Keep), 2, 8.0),
            (line(What::Anchor, Some(0.8)), 0, 8.0),
            (line(What::Keep, None), 1, 8.0),
            (line(What::Keep, Some(-1.0)), 2, 4.0),
            (other(What::Baseline), 2, 4.0),
            (line(What::Baseline, None), 0, 1.0),
        ];
        let mut ledger = Ledger::default();
        for (line, keeps, product) in history {
            let at = ledger.lines.len() + 1;
            ledger.lines.push(Line { seq: at as u64, ..line });
            assert_eq!(keeps_since_anchor(&ledger, &place("median_us")), keeps, "line {at}");
            let steps = product_of_steps(&ledger, &place("median_us")).expect("steps");
            assert!((steps - product).abs() < 1e-12, "line {at}: {steps}");
        }
    }

    #[test]
    fn a_line_of_the_former_layout_is_read_and_belongs_to_no_question() {
        let now = line(What::Keep, Some(0.5));
        let mut old = serde_json::to_value(&now).expect("encodes");
        let keys = old.as_object_mut().expect("an object");
        for key in ["question", "mode"] {
            assert!(keys.remove(key).is_some(), "{key}");
        }
        keys["version"] = 1.into();
        let old: Line = serde_json::from_value(old).expect("an old line");
        assert!(old.place.question.is_none() && old.place != now.place);
        let folder = old.place.folder(Path::new("/s"));
        assert!(folder.starts_with("/s/best/softmax") && folder.ends_with("median_us"));
        assert_eq!(serde_json::to_value(&old).expect("encodes").get("question"), None);
    }
}
