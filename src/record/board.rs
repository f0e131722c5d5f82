//! The board: every ranked result of a problem on a device, kept for good.
//!
//! One line per ranked run in `.optloop/boards/PROBLEM.jsonl`, appended and fsynced. Only results of
//! the same device and the same harness (problem, reference, tolerance, way of measuring) stand in
//! one table; others are counted and left out.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::artifact::Artifact;
use super::status::Status;
use crate::digest::Digest;
use crate::engine::StageRecord;
use crate::pipeline::Purpose;

/// Rises when a reader of boards would have to change.
pub const BOARD_VERSION: u32 = 1;

/// One ranked run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Entry {
    /// [`BOARD_VERSION`].
    pub version: u32,
    /// When, RFC 3339.
    pub at: String,
    /// The problem's name.
    pub problem: String,
    /// The kernel files.
    pub kernel: Vec<String>,
    /// Digest of the built kernel.
    pub kernel_digest: String,
    /// Digest of everything that judges it.
    pub harness_digest: String,
    /// What it ran on.
    pub device: String,
    /// The commit, if any.
    pub commit: String,
    /// The name of the number that ranks.
    pub metric: String,
    /// That number, microseconds, with its interval.
    pub value_us: f64,
    /// Lower end.
    pub lower_us: f64,
    /// Upper end.
    pub upper_us: f64,
    /// `RUN/STAGE`.
    pub artifact: String,
}

impl Entry {
    /// What a passed leaderboard artifact says; `None` for any other.
    pub fn of(artifact: &Artifact) -> Option<Self> {
        let Some(StageRecord::Bench(bench)) = &artifact.result else { return None };
        if artifact.status != Status::Passed || bench.purpose != Purpose::Leaderboard {
            return None;
        }
        Some(Self {
            version: BOARD_VERSION,
            at: artifact.at.clone(),
            problem: bench.problem.clone(),
            kernel: artifact.provenance.kernel.clone(),
            kernel_digest: bench.kernel_digest.clone(),
            harness_digest: bench.harness_digest.clone(),
            device: artifact.provenance.device_identity.clone(),
            commit: artifact.provenance.commit.clone(),
            metric: bench.metric.clone(),
            value_us: bench.value_us,
            lower_us: bench.lower_us,
            upper_us: bench.upper_us,
            artifact: format!("{}/{}", artifact.run, artifact.stage),
        })
    }

    fn stands_with(&self, other: &Self) -> bool {
        self.harness_digest == other.harness_digest
            && self.device == other.device
            && self.metric == other.metric
    }
}

/// Adds a line to the problem's board.
///
/// # Errors
/// When it cannot be written.
pub fn append(state_dir: &Path, entry: &Entry) -> io::Result<()> {
    let path = file(state_dir, &entry.problem);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut line = serde_json::to_vec(entry)?;
    let mut board = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    // A line torn by a kill is closed, so that it spoils itself only.
    if torn(&mut board)? {
        line.insert(0, b'\n');
    }
    line.push(b'\n');
    board.write_all(&line)?;
    board.sync_data()
}

fn torn(board: &mut std::fs::File) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    if board.metadata()?.len() == 0 {
        return Ok(false);
    }
    board.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    board.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The file of a problem's board. Problem names are plain: letters, digits, `-`, `_`, `.`.
fn file(state_dir: &Path, problem: &str) -> PathBuf {
    let plain = !problem.is_empty() && !problem.starts_with('.');
    let name = if plain { problem.replace('/', "_") } else { Digest::of(problem.as_bytes()).hex() };
    state_dir.join("boards").join(format!("{name}.jsonl"))
}

/// A board as it is read: lines in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Board {
    /// All entries.
    pub entries: Vec<Entry>,
    /// Numbers of lines that cannot be read.
    pub unreadable: Vec<usize>,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked<'a> {
    /// From 1; kernels whose intervals overlap the one above share its rank.
    pub rank: usize,
    /// The latest run of that kernel.
    pub entry: &'a Entry,
    /// Time of the first ranked kernel over this one's.
    pub gain: f64,
    /// Runs of that kernel on this board.
    pub runs: usize,
}

impl Board {
    /// Reads a problem's board; empty when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(state_dir: &Path, problem: &str) -> io::Result<Self> {
        let text = match std::fs::read_to_string(file(state_dir, problem)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let mut board = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(entry) => board.entries.push(entry),
                Err(_) => board.unreadable.push(number + 1),
            }
        }
        Ok(board)
    }

    /// The table that `like` stands in, fastest first, one row per kernel: its latest run, never
    /// its luckiest. With it the number of entries that cannot be compared.
    pub fn table(&self, like: &Entry) -> (Vec<Ranked<'_>>, usize) {
        let fitting: Vec<&Entry> = self.entries.iter().filter(|e| e.stands_with(like)).collect();
        let mut latest: Vec<(&Entry, usize)> = Vec::new();
        for entry in &fitting {
            match latest.iter_mut().find(|(e, _)| e.kernel_digest == entry.kernel_digest) {
                Some((known, runs)) => (*known, *runs) = (entry, *runs + 1),
                None => latest.push((entry, 1)),
            }
        }
        let first_us = latest.first().map_or(1.0, |(first, _)| first.value_us);
        latest.sort_by(|(a, _), (b, _)| a.value_us.total_cmp(&b.value_us));
        let mut rows: Vec<Ranked<'_>> = Vec::new();
        for (place, (entry, runs)) in latest.into_iter().enumerate() {
            let shares = rows.last().filter(|above| entry.lower_us <= above.entry.upper_us);
            let rank = shares.map_or(place + 1, |above| above.rank);
            rows.push(Ranked { rank, entry, gain: first_us / entry.value_us, runs });
        }
        (rows, self.entries.len() - fitting.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kernel: &str, value_us: f64) -> Entry {
        Entry {
            version: BOARD_VERSION,
            at: "2026-01-01T00:00:00Z".into(),
            problem: "softmax".into(),
            kernel: vec![format!("{kernel}.c")],
            kernel_digest: kernel.into(),
            harness_digest: "h".into(),
            device: "d".into(),
            commit: String::new(),
            metric: "mean_us".into(),
            value_us,
            lower_us: value_us * 0.99,
            upper_us: value_us * 1.01,
            artifact: "r/leaderboard".into(),
        }
    }

    #[test]
    fn rows_are_ranked_by_each_kernels_latest_run_and_ties_share_a_rank() {
        let dir = tempfile::tempdir().unwrap();
        for (kernel, us) in [("a", 100.0), ("b", 40.0), ("b", 50.0), ("c", 50.5), ("d", 80.0)] {
            append(dir.path(), &entry(kernel, us)).unwrap();
        }
        append(dir.path(), &Entry { device: "other".into(), ..entry("e", 1.0) }).unwrap();
        let board = Board::read(dir.path(), "softmax").unwrap();
        let (rows, left_out) = board.table(&entry("x", 1.0));
        let shown: Vec<_> =
            rows.iter().map(|r| (r.rank, r.entry.kernel_digest.as_str(), r.gain, r.runs)).collect();
        let gain = 100.0 / 50.5;
        assert_eq!(
            shown,
            [(1, "b", 2.0, 2), (1, "c", gain, 1), (3, "d", 1.25, 1), (4, "a", 1.0, 1)]
        );
        assert_eq!(left_out, 1);
    }

    #[test]
    fn a_torn_line_spoils_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), &entry("a", 1.0)).unwrap();
        let path = dir.path().join("boards/softmax.jsonl");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        append(dir.path(), &entry("b", 2.0)).unwrap();
        let board = Board::read(dir.path(), "softmax").unwrap();
        assert_eq!((board.entries.len(), board.unreadable), (1, vec![1]));
        assert_eq!(board.entries[0].kernel_digest, "b");
    }

    #[test]
    fn a_problem_without_a_board_has_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Board::read(dir.path(), "none").unwrap(), Board::default());
    }
}
