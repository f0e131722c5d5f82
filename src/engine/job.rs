//! One node, from the question whether its result is known to the answer, on a job thread.

use std::io;

use super::account::StageRecord;
use super::collect::Collector;
use super::event::{Event, Outcome, Reason, StageFinished};
use super::seen::Seen;
use super::shared::Shared;
use super::stage::{Failure, FailureClass, StageOutcome};
use super::subject::{Hit, Job, Known, lost_artifact, with_discovered};
use super::{dispatch, own};
use crate::cache::ACTION_VERSION;
use crate::cache::index::flag;
use crate::cache::{Action, CacheError, NodeId, Record};
use crate::digest::Digest;
use crate::measure::pairs::Decision;
use crate::plan::key::Walk;
use crate::plan::{Definition, StageKind};

/// What became of a job.
pub(super) struct Done {
    pub(super) node: NodeId,
    pub(super) seen: Vec<Seen>,
    /// Files found out about, to become entries.
    pub(super) discovered: Vec<Known>,
    /// False: it ended, but its result is not to be relied on the next time.
    pub(super) known: bool,
    pub(super) finished: StageFinished,
}

impl Done {
    /// What is said of a job that panicked.
    pub(super) fn defect(node: NodeId, stage: String, kind: StageKind) -> Self {
        let message =
            "a defect of optloop: the lines above say where; please report them".to_owned();
        let failure = Failure { class: FailureClass::Defect, message };
        let finished = StageFinished::empty(kind, Outcome::Failed { failure });
        Self {
            node,
            seen: Vec::new(),
            discovered: Vec::new(),
            known: false,
            finished: StageFinished { stage, ..finished },
        }
    }
}

/// Looks a node up and runs it when its result is not known.
pub(super) fn execute(mut job: Job, shared: &Shared<'_>) -> Done {
    match JobRun::begin(&mut job, shared) {
        Ok(run) => run.execute(),
        Err(error) => unreadable(&job, &error),
    }
}

/// A job whose world could not even be looked at.
fn unreadable(job: &Job, error: &io::Error) -> Done {
    let class = Failure::class_of(error);
    let failure = Failure { class, message: error.to_string() };
    Done {
        node: job.node,
        seen: Vec::new(),
        discovered: Vec::new(),
        known: false,
        finished: blank(job, Outcome::Failed { failure }),
    }
}

pub(super) fn blank(job: &Job, outcome: Outcome) -> StageFinished {
    StageFinished {
        stage: job.name.clone(),
        implicit: job.flags & flag::IMPLICIT != 0,
        ..StageFinished::empty(job.stored.definition.kind(), outcome)
    }
}

/// One node at work: what it declares, as it was when the job began.
struct JobRun<'a> {
    job: &'a mut Job,
    shared: &'a Shared<'a>,
    declared: Walk,
    started_ns: i64,
}

impl<'a> JobRun<'a> {
    fn begin(job: &'a mut Job, shared: &'a Shared<'a>) -> io::Result<Self> {
        let eyes = shared.eyes();
        let started_ns = eyes.clock_ns();
        for known in &mut job.inputs {
            eyes.look_again(known)?;
        }
        let declared = job.declared_walk();
        Ok(Self { job, shared, declared, started_ns })
    }

    fn execute(self) -> Done {
        let options = self.shared.options;
        let wanted = !options.rerun && !options.audit && self.job.flags & flag::ALWAYS == 0;
        let reason = match self.look_up().filter(|_| wanted) {
            Some(hit) => match self.put_back(&hit) {
                Ok(files) => return self.hit(hit, files),
                Err(LostOutput { file }) => Reason::OutputLost { file },
            },
            None => self.why(),
        };
        self.run(reason)
    }

    fn look_up(&self) -> Option<Hit> {
        own::known(self.job, &self.declared, self.shared.store, &self.shared.eyes())
    }

    /// Makes every output what the result says; the names of those that had to be put back.
    ///
    /// # Errors
    /// The file for which there is no good copy.
    fn put_back(&self, hit: &Hit) -> Result<Vec<String>, LostOutput> {
        let eyes = self.shared.eyes();
        let mut files = Vec::new();
        if hit.action.outputs.len() != self.job.outputs.len() {
            return Err(LostOutput { file: self.job.name.clone() });
        }
        if let Some(file) = lost_artifact(&hit.action, self.shared.state_dir) {
            return Err(LostOutput { file });
        }
        for (known, output) in self.job.outputs.iter().zip(&hit.action.outputs) {
            let mut now = known.clone();
            let readable = eyes.look_again(&mut now).is_ok();
            let place = self.shared.root.join(&known.name);
            let link = std::fs::read_link(&place).ok();
            if !readable || !output.is(&now.digest, &now.stat, link.as_deref()) {
                self.shared
                    .store
                    .restore(output, &place)
                    .map_err(|_| LostOutput { file: known.name.clone() })?;
                files.push(known.name.clone());
            }
        }
        Ok(files)
    }

    fn hit(self, hit: Hit, files: Vec<String>) -> Done {
        let known = hit.is_kept || self.keep(&hit.key, &hit.action).is_ok();
        let outcome = if files.is_empty() { Outcome::Cached } else { Outcome::Restored { files } };
        let end = End { outcome, key: hit.key, record: hit.record };
        let mut finished = from_action(self.job, end, &hit.action);
        let log = self.shared.store.bytes(&hit.action.log).unwrap_or_default();
        finished.log = String::from_utf8_lossy(&log).into_owned();
        let mut seen = self.seen_inputs();
        let eyes = self.shared.eyes();
        for known in &mut self.job.outputs {
            if eyes.look_again(known).is_ok() {
                seen.extend(known.seen());
            }
        }
        Done { node: self.job.node, seen, discovered: hit.discovered, known, finished }
    }

    fn seen_inputs(&self) -> Vec<Seen> {
        self.job.inputs.iter().filter_map(Known::seen).collect()
    }

    fn why(&self) -> Reason {
        if self.shared.options.rerun || self.shared.options.audit {
            return Reason::Forced;
        }
        self.job.why(&self.declared, self.shared.store, &self.shared.eyes())
    }

    fn run(self, reason: Reason) -> Done {
        let Self { shared, .. } = self;
        shared.tell(&Event::StageStarted {
            stage: self.job.name.clone(),
            kind: self.job.stored.definition.kind(),
            reason,
            expected_us: self.job.expected_us,
        });
        if let Ok(mut journal) = shared.journal.lock() {
            journal.append(&Record::Started { node: self.job.node });
            if let Err(e) = journal.flush() {
                return self.fail(StageOutcome::default(), Failure::of_cache("", &e), 0);
            }
        }
        let started = std::time::Instant::now();
        let mut outcome = self.attempts();
        let duration_us = started.elapsed().as_micros() as u64;
        match outcome.failure.take() {
            Some(failure) => self.fail(outcome, failure, duration_us),
            None => self.pass(outcome, duration_us),
        }
    }

    /// Runs it, again while the failure is the infrastructure's and tries are left.
    fn attempts(&self) -> StageOutcome {
        let mut left = dispatch::retries(&self.job.stored.definition);
        loop {
            let outcome = dispatch::run(self.job, self.shared);
            let infrastructure = outcome
                .failure
                .as_ref()
                .filter(|f| f.class == FailureClass::Infrastructure)
                .filter(|_| left > 0 && !self.shared.around.cancel.is_set());
            let Some(failure) = infrastructure else {
                return outcome;
            };
            left -= 1;
            self.shared.tell(&Event::Retrying {
                stage: self.job.name.clone(),
                message: failure.message.clone(),
            });
        }
    }

    fn fail(self, outcome: StageOutcome, failure: Failure, duration_us: u64) -> Done {
        let (key, fields) = self.declared.clone().finish();
        let mut finished = blank(self.job, Outcome::Failed { failure });
        finished.log = String::from_utf8_lossy(&outcome.log).into_owned();
        (finished.metrics, finished.detail) = (outcome.metrics, outcome.detail);
        // What could not be made a result is no candidate that stays.
        finished.decision = outcome.decision.filter(|decided| decided.decision != Decision::Keep);
        (finished.key, finished.fields, finished.duration_us) = (key, fields, duration_us);
        finished.finished_ms = self.shared.around.host.now_ms();
        finished.exit_code = outcome.exit_code;
        finished.command = dispatch::command_line(self.job);
        finished.artifact = self.artifact();
        // Outputs of a failed run may be half written: whoever comes next must look.
        let seen = self.seen_inputs();
        Done { node: self.job.node, seen, discovered: Vec::new(), known: false, finished }
    }

    /// Only what yields numbers or verdicts gets an artifact of its own; for the rest the event
    /// log and the key's record say everything.
    fn artifact(&self) -> String {
        if self.job.flags & flag::RESULT == 0 {
            return String::new();
        }
        let file = self.job.name.replace(['/', ' '], "_");
        format!("runs/{}/{file}.json", self.shared.options.run)
    }

    fn pass(self, outcome: StageOutcome, duration_us: u64) -> Done {
        let collector = Collector { job: self.job, shared: self.shared };
        let outputs = match collector.keep_outputs() {
            Ok(outputs) => outputs,
            Err(failure) => return self.fail(outcome, failure, duration_us),
        };
        let (discovered, unknowable) = match collector.discoveries(&outcome) {
            Ok(discovered) => (discovered, outcome.unknowable),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        let changed = collector.changed_since(self.started_ns, &discovered);
        let walk = with_discovered(self.declared.clone(), &discovered);
        let (key, fields) = walk.finish();
        let action = Action {
            version: ACTION_VERSION,
            node: self.job.name.clone(),
            fields: fields.clone(),
            outputs: outputs.iter().map(|(_, o)| o.clone()).collect(),
            log: self.keep_log(&outcome.log),
            metrics: outcome.metrics,
            detail: StageRecord::encode(outcome.detail.as_ref()),
            discovered: discovered.iter().map(Known::spelled).collect(),
            finished_ms: self.shared.around.host.now_ms(),
            duration_us,
            artifact: self.artifact(),
        };
        let stage = self.job.name.clone();
        let (mut known, mut end) = (false, Outcome::Ran);
        if !changed.is_empty() {
            self.shared.tell(&Event::InputChanged { stage, files: changed });
        } else if let Some(why) = unknowable {
            self.shared.tell(&Event::Notice { text: format!("{stage} is not kept: {why}") });
        } else if let Err(e) = self.keep(&key, &action) {
            end = Outcome::Failed { failure: Failure::of_cache("its result is not kept: ", &e) };
        } else {
            known = true;
        }
        let end = End { outcome: end, key, record: outcome.detail };
        let mut finished = from_action(self.job, end, &action);
        finished.log = String::from_utf8_lossy(&outcome.log).into_owned();
        finished.fields = fields;
        let mut seen = self.seen_inputs();
        seen.extend(outputs.iter().filter_map(|(s, _)| *s));
        Done { node: self.job.node, seen, discovered, known, finished }
    }

    fn keep(&self, key: &Digest, action: &Action) -> Result<(), CacheError> {
        let store = self.shared.store;
        store.put_action(key, action)?;
        if self.job.flags & flag::DISCOVERS == 0 {
            return Ok(());
        }
        store.put_discovery(&self.declared.digest(), &action.discovered)
    }

    fn keep_log(&self, log: &[u8]) -> Digest {
        if log.is_empty() {
            return Digest::default();
        }
        self.shared.store.put_bytes(log).unwrap_or_default()
    }
}

/// An output of which no good copy is kept.
struct LostOutput {
    file: String,
}

/// How a node came to a result.
struct End {
    outcome: Outcome,
    key: Digest,
    record: Option<StageRecord>,
}

fn from_action(job: &Job, end: End, action: &Action) -> StageFinished {
    StageFinished {
        key: end.key,
        metrics: action.metrics.clone(),
        decision: end.record.as_ref().and_then(StageRecord::decided),
        detail: end.record,
        finished_ms: action.finished_ms,
        duration_us: action.duration_us,
        artifact: action.artifact.clone(),
        command: dispatch::command_line(job),
        // Only what exited with 0 is kept.
        exit_code: matches!(job.stored.definition, Definition::Command(_)).then_some(0),
        ..blank(job, end.outcome)
    }
}
