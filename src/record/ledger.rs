//! The ledger: every decision about a kernel, one line each in `.optloop/ledger.jsonl`, with the
//! raw samples by reference. Nothing in it is ever changed.

mod stands;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lines::{self, Appended, Lines, Record};
use crate::digest::Digest;

pub use stands::{Stand, keeps_since_anchor, product_of_steps};

/// Rises when a reader of ledgers would have to change.
pub const LEDGER_VERSION: u32 = 2;

/// What was decided or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The first kernel of a place, or a new start: what later gains are gains over.
    Baseline,
    /// The candidate is the incumbent from now on.
    Keep,
    /// The candidate went; its files were put back.
    Revert,
    /// The numbers did not say.
    Undecided,
    /// The incumbent was measured against the baseline.
    Anchor,
    /// Somebody made a kernel the incumbent, whatever the numbers say.
    Set,
    /// There is no incumbent any more: the next is a baseline.
    Reset,
    /// The last change of the incumbent was taken back.
    Undo,
}

impl What {
    /// As it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Keep => "keep",
            Self::Revert => "revert",
            Self::Undecided => "undecided",
            Self::Anchor => "anchor",
            Self::Set => "set",
            Self::Reset => "reset",
            Self::Undo => "undo",
        }
    }
}

/// What there is one incumbent of: a question, on a machine.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Place {
    /// The problem's name, for people.
    pub problem: String,
    /// Digest of what is computed: arguments, cases, tolerance and reference, or a command's text.
    /// All zero in what was written before there was one: no kernel is filed there any more.
    #[serde(default, skip_serializing_if = "Digest::is_none")]
    pub question: Digest,
    /// What it ran on, and on which of its cores.
    pub device: String,
    /// The metric that decides.
    pub metric: String,
    /// How the caches were before a launch, `hot` or `cold`; empty for commands.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

impl Place {
    /// The folder with this place's incumbents:
    /// `best/PROBLEM-QUESTION12/DEVICE/METRIC`, with `-cold` behind it where caches were cold.
    pub fn folder(&self, state: &Path) -> PathBuf {
        let [mut problem, device, mut metric] =
            [&self.problem, &self.device, &self.metric].map(|name| file_name(name));
        if !self.question.is_none() {
            problem = format!("{problem}-{}", self.question.short());
        }
        if self.mode == "cold" {
            metric.push_str("-cold");
        }
        state.join("best").join(problem).join(device).join(metric)
    }

    /// As people read it: `softmax by median_us`, and how the caches were where they were cold.
    pub fn words(&self) -> String {
        let cold = if self.mode == "cold" { ", caches cold" } else { "" };
        format!("{} by {}{cold}", self.problem, self.metric)
    }
}

/// A name that any file system takes. One that had to be altered gets a part of its digest, so
/// that no two names share a file.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.');
    if fits && name.chars().all(plain) {
        return name.to_owned();
    }
    let cleaned: String =
        name.chars().take(LONGEST).map(|c| if plain(c) { c } else { '_' }).collect();
    let digest = Digest::of(name.as_bytes()).short();
    format!("{}-{digest}", cleaned.trim_start_matches('.'))
}

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

    fn follows(&self, before: Option<&Self>) -> Result<(), String> {
        let expected = before.map_or(1, |line| line.seq + 1);
        if self.seq == expected {
            return Ok(());
        }
        Err(format!(
            "it has number {} where {expected} belongs: lines are missing or doubled; put the \
             whole file back from a copy",
            self.seq
        ))
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
pub fn read(state: &Path) -> Result<Ledger, String> {
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
pub fn append(state: &Path, line: &Line) -> Result<Appended<Line>, String> {
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
        assert_eq!(read(dir.path()), Ok(Ledger::default()));
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
                let refusal = refusal.expect_err("refused");
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

    proptest::proptest! {
        /// Parts that two places may share or not, one by one.
        #[test]
        fn two_places_share_a_folder_only_where_they_are_one(
            one in proptest::array::uniform5(0_usize..3),
            other in proptest::array::uniform5(0_usize..3),
        ) {
            let place = |[problem, question, device, metric, mode]: [usize; 5]| Place {
                problem: ["softmax", "soft max", "softmax-0"][problem].to_owned(),
                question: Digest::of(&[question as u8]),
                device: ["cpu-1234", "cpu-all-1234", "cpu-0-1234"][device].to_owned(),
                metric: ["median_us", "min_us", "mean_us"][metric].to_owned(),
                mode: ["hot", "cold", "hot"][mode].to_owned(),
            };
            let (one, other) = (place(one), place(other));
            let folder = |place: &Place| place.folder(Path::new("/s"));
            proptest::prop_assert_eq!(folder(&one) == folder(&other), one == other);
        }
    }

    #[test]
    fn names_become_file_names_that_no_other_name_shares() {
        let long = "x".repeat(200);
        let names = ["softmax", "a/b", "a_b", "a b", "", ".", "..", ".hidden", "ü", &long];
        let cleaned: std::collections::BTreeSet<String> =
            names.iter().map(|name| file_name(name)).collect();
        assert_eq!(cleaned.len(), names.len(), "{cleaned:?}");
        for name in &cleaned {
            assert!(!name.contains('/') && !name.starts_with('.') && name.len() < 100, "{name}");
        }
        assert_eq!(file_name("softmax"), "softmax");
    }
}
