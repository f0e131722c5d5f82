//! An artifact with what was said about it, and how one is found.

use std::path::{Path, PathBuf};

use crate::cli::columns::number;
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::cli::{host, words};
use crate::diagnostic::nearest;
use crate::digest::Digest;
use crate::plan::StageKind;
use crate::project::{short_name, state_folder};
use crate::record::analysis::{self, Analyses, Analysis};
use crate::record::{Artifact, Decision};
use crate::stats::Metrics;

/// An artifact with what was said about it.
pub(super) struct Account {
    pub(super) path: PathBuf,
    pub(super) artifact: Artifact,
    /// BLAKE3 of its file as it is.
    pub(super) digest: Digest,
    pub(super) analyses: Result<Analyses, String>,
}

impl Account {
    pub(super) fn read(path: PathBuf) -> Result<Self, String> {
        let artifact = Artifact::read(&path).map_err(|e| e.to_string())?;
        let digest =
            Digest::of_file(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let analyses = analysis::read(&path).map_err(|e| e.to_string());
        Ok(Self { path, artifact, digest, analyses })
    }

    /// What was decided last, and whether that was about this very file.
    pub(super) fn decision(&self) -> Option<(Decision, Standing)> {
        let last = self.analyses.as_ref().ok()?.entries.last()?;
        Some((last.decision, self.standing(last)))
    }

    pub(super) fn standing(&self, analysis: &Analysis) -> Standing {
        if analysis.artifact == self.digest { Standing::Holds } else { Standing::Stale }
    }

    /// What people should know about the analyses.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Ok(analyses) = &self.analyses else {
            return Vec::new();
        };
        let stale = analyses.entries.iter().filter(|a| self.standing(a) == Standing::Stale).count();
        let mut warnings: Vec<String> = analyses.warning.iter().cloned().collect();
        if stale > 0 {
            let of = analyses.entries.len();
            warnings.push(format!(
                "{} has changed since {stale} of its {of} analyses: they are about other numbers",
                short_name(&self.path)
            ));
        }
        warnings
    }
}

/// How an analysis stands to the artifact as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is about this very file.
    Holds,
    /// The file was another then.
    Stale,
}

pub(super) fn named(path: &Path) -> Option<(String, String)> {
    let run = path.parent()?.file_name()?.to_str()?.to_owned();
    Some((run, path.file_stem()?.to_str()?.to_owned()))
}

/// The artifact of a path, RUN/STAGE, a run or `last`.
pub(in crate::cli) fn find(wanted: &str) -> Result<PathBuf, Refusal> {
    let given = Path::new(wanted);
    if given.is_file() {
        return Ok(std::path::absolute(given).unwrap_or_else(|_| given.to_owned()));
    }
    let state = state_folder(&host::Disk)?;
    let all = Artifact::list(&state);
    if wanted == "last" {
        return all.last().cloned().ok_or_else(|| none("there are no artifacts yet", None));
    }
    let (run, stage) = wanted.split_once('/').map_or((wanted, None), |(r, s)| (r, Some(s)));
    let stage = stage.map(|s| s.trim_end_matches(".json").replace([' ', '/'], "_"));
    let matches = |path: &&PathBuf| {
        named(path).is_some_and(|(r, s)| r == run && stage.as_ref().is_none_or(|w| *w == s))
    };
    // Of a run, its last: that is where a pipeline ends.
    if let Some(path) = all.iter().rev().find(matches) {
        return Ok(path.clone());
    }
    let names: Vec<String> = all.iter().map(|path| short_name(path)).collect();
    let near = nearest(wanted, names.iter().map(String::as_str));
    Err(none(&format!("there is no artifact `{wanted}`"), near))
}

pub(super) fn none(what: &str, near: Option<&str>) -> Refusal {
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`optloop artifact ls` lists them".to_owned(),
    };
    Refusal::Words(what.to_owned(), Some(hint), Exit::User)
}

pub(super) fn when(at: &str) -> String {
    let time: Option<jiff::Timestamp> = at.parse().ok();
    time.map_or_else(|| at.to_owned(), |time| words::age(time.as_millisecond()))
}

/// The one number that says most.
pub(super) fn headline(artifact: &Artifact) -> String {
    let metric = |name: &str| artifact.metrics.get(name);
    if let Some(us) = metric(Metrics::MEDIAN_US) {
        return words::duration_us(us);
    }
    if artifact.kind == StageKind::Check {
        return metric(Metrics::CASES).map(|n| format!("{n} cases")).unwrap_or_default();
    }
    let first = artifact.metrics.iter().next();
    first.map(|(name, value)| format!("{name} {}", number(value))).unwrap_or_default()
}

#[cfg(test)]
pub(in crate::cli) mod samples {
    //! Artifacts to show.

    use super::*;
    use crate::engine::StageRecord;
    use crate::engine::account::{BenchRecord, CaseRecord, samples};
    use crate::engine::stage::FailureClass;
    use crate::measure::Stopped;
    use crate::record::{Provenance, Status};

    /// One of a kernel that was too slow.
    pub(in crate::cli) fn artifact() -> Artifact {
        let fields =
            [("definition.run.Shell", "x"), ("definition.salt", ""), ("input:a", &"ab".repeat(32))];
        Artifact {
            version: 1,
            run: "r1".to_owned(),
            at: "2020-01-01T00:00:00Z".to_owned(),
            stage: "candidate".to_owned(),
            kind: StageKind::Bench,
            provenance: Provenance { commit: "c".repeat(40), ..Provenance::default() },
            command: vec!["sh".to_owned(), "word ".repeat(40)],
            exit_code: None,
            status: Status::Failed(FailureClass::TooSlow),
            message: "surely slower".to_owned(),
            output: "one\ntwo\n".to_owned(),
            key: "d".repeat(64),
            key_fields: fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            seconds: 1.5,
            metrics: [(Metrics::MEDIAN_US, 12.345_678_9)].into(),
            decision: None,
            result: Some(StageRecord::Bench(Box::new(BenchRecord {
                stopped: Some(Stopped::TooSlow),
                stopped_early: true,
                ..samples::bench(vec![CaseRecord {
                    processes: vec![vec![12_000.0, 12_300.0, 13_000.0]],
                    ..samples::case("n=1")
                }])
            }))),
        }
    }

    /// An account of it with these analyses.
    pub(in crate::cli::artifact) fn account(artifact: Artifact, entries: Vec<Analysis>) -> Account {
        let analyses = Ok(Analyses { entries, warning: None });
        let path = PathBuf::from("runs/r1/candidate.json");
        Account { path, artifact, digest: Digest::of(b"now"), analyses }
    }

    /// One analysis of the artifact as it is.
    pub(in crate::cli) fn analysis() -> Analysis {
        Analysis {
            version: 1,
            at: "2020-01-02T00:00:00Z".to_owned(),
            artifact: Digest::of(b"now"),
            decision: Decision::Revert,
            summary: "slower ".repeat(30),
            feedback: vec!["two outliers".to_owned()],
            next_step: "unroll".to_owned(),
            by: "someone".to_owned(),
        }
    }
}
