//! A campaign, one step after another: what [`super::step`] decides is done here, and written down.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::agent::{Agent, Answer, Call};
use super::event::{
    Baseline, Begun, Entry, Event, Holds, Judgement, LOG_VERSION, Outcome, Proposal, Status,
};
use super::guards::{self, No, Place, Why};
use super::history::{History, Iteration};
use super::judge::{Blocked, Judge};
use super::log::{Log, LogError};
use super::prompt::Brief;
use super::report;
use super::scope::Scope;
use super::secrets::Secrets;
use super::settings::Settings;
use super::step::{Action, Wish, step};
use super::trees::{TreeError, Trees};
use crate::process::Cancel;

/// Where requests to a running campaign are left.
pub const INBOX: &str = "inbox";
/// The request to stop.
pub const STOP: &str = "stop";

/// Learns what happens; cannot change it.
pub trait Observer {
    /// An event was written down; `history` knows it already.
    fn event(&self, entry: &Entry, history: &History);
}

/// What a campaign works with.
pub struct Parts<'a> {
    /// What is asked for; `patterns.edit` names files.
    pub settings: &'a Settings,
    /// The campaign's folder.
    pub folder: &'a Path,
    /// Who proposes.
    pub agent: &'a mut dyn Agent,
    /// Who decides.
    pub judge: &'a mut dyn Judge,
    /// Who learns of it.
    pub observer: &'a dyn Observer,
    /// The environment of guards, without secrets: what they run was written by the agent.
    pub env: &'a [(std::ffi::OsString, std::ffi::OsString)],
    /// What must not be written down.
    pub secrets: &'a Secrets,
    /// Ends it after the present step.
    pub cancel: &'a Cancel,
}

/// How a call of the driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The campaign has ended.
    ToItsEnd,
    /// It was interrupted, and can be resumed.
    Interrupted,
}

/// Why a campaign cannot go on; nothing is lost, and it can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its trees.
    #[error(transparent)]
    Trees(#[from] TreeError),
    /// Its judge.
    #[error("{0}")]
    Judge(String),
    /// The unchanged project does not pass a guard.
    #[error("the project as it is does not pass: {}", .0.words())]
    Guard(No),
    /// A file of its own.
    #[error("cannot write {path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pattern of the scope.
    #[error("{0}")]
    Scope(#[from] globset::Error),
}

/// A campaign that is driven.
pub struct Driver<'a> {
    parts: Parts<'a>,
    trees: Trees,
    log: Log,
    scope: Scope,
    /// When the present iteration began, or was taken up.
    since: Instant,
}

/// What a step led to.
enum Next {
    Go,
    End(Ran),
}

impl<'a> Driver<'a> {
    /// Begins a campaign in a folder that is not there yet: takes a snapshot of the project.
    ///
    /// # Errors
    /// When the project cannot be read, or the folder cannot be written.
    pub fn begin(parts: Parts<'a>, root: &Path, begun: Begun) -> Result<Self, DriverError> {
        make_folder(parts.folder)?;
        let scope = Scope::new(&parts.settings.patterns)?;
        let (trees, base) = Trees::begin(parts.folder, root)?;
        let (log, _torn) = Log::open(parts.folder)?;
        let mut driver = Self { parts, trees, log, scope, since: Instant::now() };
        driver.note(Event::Begun(Begun { base, ..begun }))?;
        Ok(driver)
    }

    /// Takes a campaign up that was left at any moment; and a warning where its log was torn.
    ///
    /// # Errors
    /// When its log or its trees cannot be read, or the folder cannot be written.
    pub fn resume(parts: Parts<'a>) -> Result<(Self, Option<String>), DriverError> {
        let scope = Scope::new(&parts.settings.patterns)?;
        let (log, torn) = Log::open(parts.folder)?;
        let history = log.history();
        let begun = history.begun.as_ref().map(|begun| begun.base.as_str());
        let best = history.best.as_ref().map(|best| best.commit.as_str()).or(begun);
        let trees = Trees::resume(parts.folder, best.unwrap_or_default())?;
        let mut driver = Self { parts, trees, log, scope, since: Instant::now() };
        driver.note(Event::Resumed)?;
        Ok((driver, torn))
    }

    /// What is known of it.
    pub fn history(&self) -> &History {
        self.log.history()
    }

    /// Goes on until it ends or is interrupted.
    ///
    /// # Errors
    /// Why it cannot go on; it can be resumed.
    pub fn run(&mut self) -> Result<Ran, DriverError> {
        loop {
            if self.parts.cancel.is_set() {
                return Ok(Ran::Interrupted);
            }
            let action = step(self.history(), &self.parts.settings.rules, self.wish());
            if let Next::End(ran) = self.act(&action)? {
                return Ok(ran);
            }
        }
    }

    fn wish(&self) -> Wish {
        if self.parts.folder.join(INBOX).join(STOP).exists() {
            return Wish::Stop;
        }
        let has_more = self.parts.agent.has_more(self.history().next_number());
        if has_more { Wish::GoOn } else { Wish::NothingMore }
    }

    fn act(&mut self, action: &Action) -> Result<Next, DriverError> {
        match *action {
            Action::MeasureBaseline => return self.measure_baseline(),
            Action::Open(iteration) => {
                self.since = Instant::now();
                self.note(Event::Opened { iteration })?;
            }
            Action::Propose(iteration) => return self.propose(iteration),
            Action::Commit(iteration) => self.commit(iteration)?,
            Action::Judge(iteration) => return self.judge(iteration),
            Action::Promote(iteration) => return self.promote(iteration),
            Action::Close(iteration, status) => self.close(iteration, status)?,
            Action::Confirm => return self.confirm(),
            Action::Finish(end) => {
                self.note(Event::Finished { end })?;
                self.write_report()?;
                // It was answered; a later start is not stopped by it.
                drop(fs::remove_file(self.parts.folder.join(INBOX).join(STOP)));
            }
            Action::Nothing => return Ok(Next::End(Ran::ToItsEnd)),
        }
        Ok(Next::Go)
    }

    fn note(&mut self, event: Event) -> Result<(), DriverError> {
        let at = jiff::Timestamp::now().to_string();
        self.log.append(event.clone(), at.clone())?;
        let entry = Entry { version: LOG_VERSION, at, event };
        self.parts.observer.event(&entry, self.log.history());
        Ok(())
    }

    fn guarded<'t>(&'t self, tree: &'t Path) -> Place<'t> {
        Place { tree, env: self.parts.env, cancel: self.parts.cancel }
    }

    fn measure_baseline(&mut self) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(0, &[])?;
        let guards = match guards::run(&self.parts.settings.guards, self.guarded(&tree)) {
            Ok(found) => found,
            Err(No { why: Why::Interrupted, .. }) => return Ok(Next::End(Ran::Interrupted)),
            Err(no) => return Err(DriverError::Guard(no)),
        };
        match self.parts.judge.baseline(&tree) {
            Ok(mut baseline) => {
                baseline.guards = guards;
                self.note(Event::Baseline(baseline))?;
                Ok(Next::Go)
            }
            Err(blocked) => stopped(blocked),
        }
    }

    fn propose(&mut self, iteration: u32) -> Result<Next, DriverError> {
        self.trees.prepare_lane()?;
        let folder = self.trees.iteration(iteration);
        make_folder(&folder)?;
        let settings = self.parts.settings;
        let brief = Brief {
            goal: &settings.goal,
            patterns: &settings.patterns,
            target: settings.rules.target,
            history: self.log.history(),
            iteration,
        };
        let prompt = self.parts.secrets.redact(&brief.text());
        write(&folder.join("prompt.md"), &prompt)?;
        let lane = self.trees.lane();
        let cancel = self.parts.cancel;
        let call = Call { iteration, prompt: &prompt, lane: &lane, folder: &folder, cancel };
        let answer = self.parts.agent.propose(&call);
        if self.parts.cancel.is_set() {
            // What it was in the middle of is no proposal; it is asked again.
            return Ok(Next::End(Ran::Interrupted));
        }
        let proposal = self.collected(iteration, answer)?;
        self.note(Event::Proposed { iteration, proposal })?;
        Ok(Next::Go)
    }

    fn collected(&self, iteration: u32, answer: Answer) -> Result<Proposal, DriverError> {
        let found = self.trees.collect(iteration, &self.scope)?;
        Ok(Proposal {
            description: answer.description,
            files: found.files,
            strays: found.strays,
            violations: found.violations,
            agent: answer.end,
        })
    }

    fn commit(&mut self, iteration: u32) -> Result<(), DriverError> {
        let proposal = self.proposal();
        let what = if proposal.description.is_empty() { "a change" } else { &proposal.description };
        let message = format!("experiment(optimize/i{iteration}): {what}\n");
        let commit = self.trees.commit(iteration, &proposal.files, &message)?;
        let best = self.history().best.as_ref().map(|best| best.commit.clone());
        let diff = self.trees.repository.diff(&best.unwrap_or_default(), &commit);
        let diff = diff.map_err(TreeError::from)?;
        write(&self.trees.iteration(iteration).join("change.patch"), &diff)?;
        self.note(Event::Committed { iteration, commit })
    }

    /// Of a campaign that has measured it, as all have that come to judge.
    fn baseline(&self) -> Baseline {
        self.history().baseline.clone().unwrap_or_default()
    }

    fn open_iteration(&self) -> Iteration {
        self.history().open_iteration().cloned().unwrap_or_default()
    }

    fn proposal(&self) -> Proposal {
        self.open_iteration().proposal.unwrap_or_default()
    }

    fn judge(&mut self, iteration: u32) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(iteration, &self.proposal().files)?;
        let started = Instant::now();
        let judged = match self.guard(&tree) {
            Err(No { why: Why::Interrupted, .. }) => Err(Blocked::Interrupted),
            Err(no) => Ok(guard_said_no(&no)),
            Ok(()) => self.judged_twice(&tree),
        };
        match judged {
            Ok(mut judgement) => {
                judgement.seconds = started.elapsed().as_secs_f64();
                // It may quote what commands printed.
                judgement.reason = self.parts.secrets.redact(&judgement.reason);
                self.note(Event::Judged { iteration, judgement })?;
                Ok(Next::Go)
            }
            Err(blocked) => stopped(blocked),
        }
    }

    fn guard(&self, tree: &Path) -> Result<(), No> {
        let guards = &self.parts.settings.guards;
        guards::check(guards, &self.baseline().guards, self.guarded(tree))
    }

    /// What fails for no reason of the candidate's is tried once more.
    fn judged_twice(&mut self, tree: &Path) -> Result<Judgement, Blocked> {
        let baseline = self.baseline();
        let first = self.parts.judge.judge(tree, &baseline)?;
        if first.outcome == Outcome::Infrastructure {
            return self.parts.judge.judge(tree, &baseline);
        }
        Ok(first)
    }

    /// The incumbent first, then the best, then the log: each of them may be done again.
    fn promote(&mut self, iteration: u32) -> Result<Next, DriverError> {
        let open = self.open_iteration();
        let tree = self.trees.prepare_judge(iteration, &self.proposal().files)?;
        let judgement = open.judgement.unwrap_or_else(|| Judgement::of(Outcome::Better));
        if let Err(blocked) = self.parts.judge.promote(&tree, &judgement) {
            return stopped(blocked);
        }
        self.trees.promote(&open.commit.unwrap_or_default())?;
        self.close(iteration, Status::Kept)?;
        Ok(Next::Go)
    }

    fn close(&mut self, iteration: u32, status: Status) -> Result<(), DriverError> {
        let seconds = self.since.elapsed().as_secs_f64();
        self.note(Event::Ended { iteration, status, seconds })?;
        self.write_report()
    }

    fn confirm(&mut self) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(0, &[])?;
        match self.parts.judge.confirm(&tree, &self.baseline()) {
            Ok(value) => {
                let target = self.parts.settings.rules.target;
                let reaches = |target| self.history().better().reaches(value, target);
                let holds = if target.is_some_and(reaches) { Holds::Yes } else { Holds::No };
                self.note(Event::Confirmed { value, holds })?;
                Ok(Next::Go)
            }
            Err(blocked) => stopped(blocked),
        }
    }

    fn write_report(&self) -> Result<(), DriverError> {
        let text = report::text(self.history());
        write(&self.parts.folder.join("report.md"), &text)?;
        let records = report::records(self.history());
        write(&self.parts.folder.join("experiments.jsonl"), &records)
    }
}

fn stopped(blocked: Blocked) -> Result<Next, DriverError> {
    match blocked {
        Blocked::Interrupted => Ok(Next::End(Ran::Interrupted)),
        Blocked::Refused { message } => Err(DriverError::Judge(message)),
    }
}

fn guard_said_no(no: &No) -> Judgement {
    Judgement { reason: no.words(), ..Judgement::of(Outcome::Guard) }
}

fn make_folder(path: &Path) -> Result<(), DriverError> {
    fs::create_dir_all(path).map_err(|source| DriverError::File { path: path.to_owned(), source })
}

/// Writes a file that can be made again, wholly or not at all.
fn write(path: &Path, text: &str) -> Result<(), DriverError> {
    let write = |file: &mut fs::File| io::Write::write_all(file, text.as_bytes());
    let written = crate::cache::index::replace(path, write);
    written.map_err(|source| DriverError::File { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
