//! A campaign, one step after another: what [`super::step`] decides is done here, and written down.

mod adopt;
mod approved;
mod error;
mod files;
mod judge;
mod measure;
mod pause;
mod propose;
mod steer;

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::agent::Agent;
use super::announce::Announcer;
use super::derived;
use super::event::{Announced, Baseline, Begun, Entry, Event, LOG_VERSION, Proposal, Status};
use super::guards::Place;
use super::history::{History, Iteration};
use super::inbox::{INBOX, STOP};
use super::judge::{Blocked, Judge};
use super::log::Log;
use super::scope::Scope;
use super::secrets::Secrets;
use super::settings::Settings;
use super::step::{Action, Wish, step};
use super::trees::{Known, Places, Source, Taken, Trees};
use crate::host::Launcher;
use crate::process::Cancel;
use crate::process::hold::{Held, HoldError};
pub use error::DriverError;
use files::make_folder;

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
    /// The user's project: it is read when the campaign begins, and when it adopts a commit.
    pub source: Source<'a>,
    /// Where the agent and the judge work, outside of the project.
    pub copies: &'a Path,
    /// Who proposes.
    pub agent: &'a mut dyn Agent,
    /// Who decides.
    pub judge: &'a mut dyn Judge,
    /// Who learns of it.
    pub observer: &'a dyn Observer,
    /// The environment of guards, without secrets: what they run was written by the agent.
    pub env: &'a [(std::ffi::OsString, std::ffi::OsString)],
    /// What guards are run through.
    pub launcher: Option<&'a Launcher>,
    /// What must not be written down.
    pub secrets: &'a Secrets,
    /// Ends it after the present step.
    pub cancel: &'a Cancel,
}

impl Parts<'_> {
    fn places(&self) -> Places<'_> {
        Places { folder: self.folder, copies: self.copies }
    }
}

/// How a call of the driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The campaign has ended.
    ToItsEnd,
    /// It was interrupted, and can be resumed.
    Interrupted,
}

/// A campaign that is driven.
pub struct Driver<'a> {
    parts: Parts<'a>,
    trees: Trees,
    log: Log,
    scope: Scope,
    announcer: Option<Box<dyn Announcer + 'a>>,
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
    pub fn begin(parts: Parts<'a>, begun: Begun) -> Result<Self, DriverError> {
        make_folder(parts.folder)?;
        let scope = Scope::new(&parts.settings.patterns)?;
        let (trees, taken) = Trees::begin(parts.places(), &parts.source)?;
        let root = Some(parts.source.root.to_owned());
        let (log, _torn) = Log::open(parts.folder)?;
        let mut driver = Self { parts, trees, log, scope, announcer: None, since: Instant::now() };
        let Taken { base, ancestry, carry, .. } = taken;
        let compute = driver.parts.settings.compute.launcher.clone();
        driver.note(Event::Begun(Begun { base, ancestry, carry, root, compute, ..begun }))?;
        driver.note_limits()?;
        Ok(driver)
    }

    /// Takes a campaign up that was left at any moment; and a warning where its log was torn.
    ///
    /// # Errors
    /// When its log or its trees cannot be read, or the folder cannot be written.
    pub fn resume(parts: Parts<'a>) -> Result<(Self, Option<String>), DriverError> {
        let (log, torn) = Log::open(parts.folder)?;
        let history = log.history();
        let scope = approved::scope(parts.settings, history)?;
        let begun = history.begun.clone().unwrap_or_default();
        if begun.compute != parts.settings.compute.launcher {
            return Err(DriverError::OtherPlace);
        }
        let known = Known {
            root: begun.root.as_deref().unwrap_or(Path::new("/")),
            base: &begun.base,
            best: history.best.as_ref().map_or(&begun.base, |best| &best.commit),
            carry: &begun.carry,
        };
        let trees = Trees::resume(parts.places(), known)?;
        let mut driver = Self { parts, trees, log, scope, announcer: None, since: Instant::now() };
        driver.note(Event::Resumed)?;
        driver.note_limits()?;
        Ok((driver, torn))
    }

    /// With one who follows each new best.
    #[must_use]
    pub fn announced_by(mut self, announcer: Box<dyn Announcer + 'a>) -> Self {
        self.announcer = Some(announcer);
        self
    }

    /// Writes down what is held.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn note_hold(&mut self, held: Result<&Held, &HoldError>) -> Result<(), DriverError> {
        self.note(match held {
            Ok(held) => Event::Held { name: held.name.clone() },
            Err(why) => Event::NotHeld { message: self.parts.secrets.redact(&why.to_string()) },
        })
    }

    /// Looks at the commit that the user has checked out now: another one than before is noted.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn look_at_head(&mut self, head: Option<&str>) -> Result<(), DriverError> {
        let history = self.history();
        let begun = history.begun.as_ref().and_then(|begun| begun.head.as_deref());
        let known = history.moved.as_deref().or(begun);
        match (known, head) {
            (Some(known), Some(head)) if known != head && history.end.is_none() => {
                self.note(Event::Moved { head: head.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn announce(&mut self) -> Result<(), DriverError> {
        let history = self.log.history();
        let iteration = history.best.as_ref().map_or(0, |best| best.iteration);
        let said = self.announcer.as_mut().map(|announcer| announcer.announce(history));
        let said = said.unwrap_or(Announced { iteration, ..Announced::default() });
        self.note(Event::Announced(said))
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
            let action = step(self.history(), &self.rules(), self.wish());
            match self.act(&action) {
                Ok(Next::Go) => {}
                Ok(Next::End(ran)) => return Ok(ran),
                Err(error) => return Err(self.halted(error)),
            }
        }
    }

    fn wish(&self) -> Wish {
        if self.request().is_some() {
            return Wish::Steer;
        }
        if self.parts.folder.join(INBOX).join(STOP).exists() {
            return Wish::Stop;
        }
        if self.seconds_left().is_some_and(|left| left <= 0.0) {
            return Wish::NoTime;
        }
        let has_more = self.parts.agent.has_more(self.history().next_number());
        if has_more { Wish::GoOn } else { Wish::NothingMore }
    }

    /// What is left of the time that the campaign may take, s; none where it may take any.
    fn seconds_left(&self) -> Option<f64> {
        let open = self.history().open_iteration().map(|_| self.since.elapsed().as_secs_f64());
        let spent = self.history().seconds() + open.unwrap_or_default();
        Some(self.rules().seconds? - spent)
    }

    fn act(&mut self, action: &Action) -> Result<Next, DriverError> {
        match *action {
            Action::Adopt => return self.adopt(),
            Action::MeasureBaseline => return self.measure_baseline(),
            Action::JudgeMerged => return self.judge_merged(),
            Action::KeepMerged => return self.keep_merged(),
            Action::Open(iteration) => {
                self.since = Instant::now();
                self.note(Event::Opened { iteration })?;
            }
            Action::Propose(iteration) => return self.propose(iteration),
            Action::AskAgain(iteration, why) => self.note(Event::AskedAgain { iteration, why })?,
            Action::Commit(iteration) => self.commit(iteration)?,
            Action::Judge(iteration) => return self.judge(iteration),
            Action::Promote(iteration) => return self.promote(iteration),
            Action::Close(iteration, status) => self.close(iteration, status)?,
            Action::Announce => self.announce()?,
            Action::Confirm => return self.confirm(),
            Action::Anchor => return self.anchor(),
            Action::Steer => self.steer()?,
            Action::Finish(end) => {
                self.note(Event::Finished { end })?;
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
        self.write_derived(&entry.event)?;
        self.parts.observer.event(&entry, self.log.history());
        Ok(())
    }

    fn guarded<'t>(&'t self, tree: &'t Path) -> Place<'t> {
        let Parts { env, launcher, cancel, .. } = self.parts;
        Place { tree, env, launcher, cancel }
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

    fn close(&mut self, iteration: u32, status: Status) -> Result<(), DriverError> {
        let seconds = self.since.elapsed().as_secs_f64();
        self.note(Event::Ended { iteration, status, seconds })
    }

    /// Makes anew what an event changes of the files that are made from the log.
    fn write_derived(&self, event: &Event) -> Result<(), DriverError> {
        // It is made anew with the next event; nothing depends on it.
        drop(derived::write_state(self.parts.folder, self.history()));
        if derived::changes_records(event) {
            derived::write_records(self.parts.folder, self.history())?;
        }
        Ok(())
    }
}

fn stopped(blocked: Blocked) -> Result<Next, DriverError> {
    match blocked {
        Blocked::Interrupted => Ok(Next::End(Ran::Interrupted)),
        Blocked::Refused { message } => Err(DriverError::Judge(message)),
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
