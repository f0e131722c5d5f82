//! Events to disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::artifact::{ARTIFACT_VERSION, Artifact, Provenance};
use super::board::{self, Entry};
use super::status::Status;
use crate::cache::index::replace;
use crate::engine::event::StageFinished;
use crate::engine::{Event, Outcome};

/// Writes the event log and the artifacts of one run. Nothing is made before the first event.
pub struct Recorder<'a> {
    state_dir: PathBuf,
    run: String,
    /// Asked for once, when the first artifact is written.
    provenance: &'a (dyn Fn() -> Provenance + Sync),
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    log: Option<File>,
    provenance: Option<Provenance>,
    /// The first thing that went wrong.
    failure: Option<io::Error>,
}

impl<'a> Recorder<'a> {
    /// A recorder for the run of that name.
    pub fn new(
        state_dir: &Path,
        run: &str,
        provenance: &'a (dyn Fn() -> Provenance + Sync),
    ) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            run: run.to_owned(),
            provenance,
            inner: Mutex::default(),
        }
    }

    /// Keeps an event. A full disk must not end a run that is otherwise well: what went wrong is
    /// kept for [`Recorder::into_failure`].
    pub fn record(&self, event: &Event) {
        if matches!(event, Event::Progress { .. }) {
            return;
        }
        let Ok(mut inner) = self.inner.lock() else {
            return;
        };
        if let Err(e) = self.try_record(event, &mut inner) {
            let words = format!("cannot record run {}: {e}", self.run);
            inner.failure.get_or_insert(io::Error::new(e.kind(), words));
        }
    }

    /// What kept events from being recorded, if anything did.
    pub fn into_failure(self) -> Option<io::Error> {
        self.inner.into_inner().ok()?.failure
    }

    fn try_record(&self, event: &Event, inner: &mut Inner) -> io::Result<()> {
        let log = match &mut inner.log {
            Some(log) => log,
            None => inner.log.insert(self.open()?),
        };
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        log.write_all(&line)?;
        if let Event::StageFinished(finished) = event
            && !finished.artifact.is_empty()
            && matches!(finished.outcome, Outcome::Ran | Outcome::Failed { .. })
        {
            let provenance = inner.provenance.get_or_insert_with(|| (self.provenance)()).clone();
            self.write_artifact(finished, provenance)?;
        }
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        let folder = self.state_dir.join("runs").join(&self.run);
        std::fs::create_dir_all(&folder)?;
        OpenOptions::new().create(true).append(true).open(folder.join("events.jsonl"))
    }

    /// Fsynced: what was measured is dear.
    fn write_artifact(&self, finished: &StageFinished, provenance: Provenance) -> io::Result<()> {
        let message = match &finished.outcome {
            Outcome::Failed { failure } => failure.message.clone(),
            _ => String::new(),
        };
        let artifact = Artifact {
            version: ARTIFACT_VERSION,
            run: self.run.clone(),
            at: jiff::Timestamp::from_millisecond(finished.finished_ms)
                .map(|t| t.to_string())
                .unwrap_or_default(),
            stage: finished.stage.clone(),
            kind: finished.kind,
            provenance,
            command: finished.command.clone(),
            exit_code: finished.exit_code,
            status: Status::of(&finished.outcome),
            message,
            output: finished.log.clone(),
            key: finished.key.hex(),
            key_fields: finished.fields.clone(),
            seconds: finished.duration_us as f64 / 1e6,
            metrics: finished.metrics.clone(),
            decision: finished.decision.clone(),
            result: finished.detail.clone(),
        };
        let path = self.state_dir.join(&finished.artifact);
        let bytes = serde_json::to_vec_pretty(&artifact)?;
        replace(&path, |file| {
            file.write_all(&bytes)?;
            file.sync_data()
        })?;
        match Entry::of(&artifact) {
            Some(entry) => board::append(&self.state_dir, &entry),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stage::{Failure, FailureClass};
    use crate::plan::StageKind;

    #[test]
    fn a_finished_stage_is_logged_and_its_artifact_reads_back() {
        let dir = tempfile::tempdir().expect("tempdir");
        let provenance = || Provenance { commit: "abc".to_owned(), ..Provenance::default() };
        let recorder = Recorder::new(dir.path(), "r1", &provenance);
        let failure = Failure { class: FailureClass::TooSlow, message: "slow".to_owned() };
        let finished = StageFinished {
            stage: "candidate".to_owned(),
            artifact: "runs/r1/candidate.json".to_owned(),
            ..StageFinished::empty(StageKind::Bench, Outcome::Failed { failure })
        };
        recorder.record(&Event::StageFinished(Box::new(finished)));
        assert!(recorder.into_failure().is_none());
        let all = Artifact::list(dir.path());
        let artifact = Artifact::read(&all[0]).expect("artifact");
        assert_eq!((artifact.status.word(), artifact.message.as_str()), ("too_slow", "slow"));
        assert_eq!(artifact.provenance.commit, "abc");
        let log = std::fs::read_to_string(dir.path().join("runs/r1/events.jsonl")).expect("log");
        let event: Event = serde_json::from_str(log.trim()).expect("event");
        assert!(matches!(event, Event::StageFinished(f) if f.stage == "candidate"));
    }

    #[test]
    fn a_recorder_that_cannot_write_says_so_and_does_not_panic() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("runs"), "a file where the folder should be")
            .expect("write");
        let recorder = Recorder::new(dir.path(), "r1", &Provenance::default);
        recorder.record(&Event::Notice { text: "x".to_owned() });
        assert!(recorder.into_failure().is_some_and(|f| f.to_string().contains("r1")));
    }
}
