//! What is known of a campaign from its log: the fold of its events.

mod adopting;

use super::anchored::Anchored;
use super::epoch::{Epoch, Merged};
use super::event::{
    AskedFor, Baseline, Begun, Better, End, Entry, Event, Holds, Judgement, Limits, Outcome,
    Proposal, Status, Steered,
};
use super::misplaced::{Misplaced, OutOfOrder};
use super::spent::Spent;
use super::steering::{Directive, Steering};

/// A campaign up to some event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// How it began.
    pub begun: Option<Begun>,
    /// What it began with.
    pub baseline: Option<Baseline>,
    /// Every iteration that was opened, oldest first.
    pub iterations: Vec<Iteration>,
    /// The best so far.
    pub best: Option<Best>,
    /// The last time that the best was compared with the first baseline.
    pub anchor: Option<Anchored>,
    /// How many iterations were kept since then.
    pub unanchored: u32,
    /// Why it ended.
    pub end: Option<End>,
    /// What ends it, by its file.
    pub limits: Limits,
    /// What people changed meanwhile, all together; it counts more than the file.
    pub steering: Steering,
    /// What people said, oldest first.
    pub directives: Vec<Directive>,
    /// The requests that were answered.
    pub answered: Vec<String>,
    /// Why the driver could not go on, where nothing has happened since.
    pub halted: Option<String>,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// When the baseline was measured.
    pub baseline_at: Option<String>,
    /// When the last event was written.
    pub last_at: String,
    /// The commit that the user has checked out meanwhile; none while it is that of the beginning.
    pub moved: Option<String>,
    /// The iteration of the last best that was announced; 0 for none.
    pub announced: u32,
    /// What is called held by the process that drives it.
    pub held: Option<String>,
    /// What all calls of the agent cost, as far as it said so.
    pub spent: Spent,
    /// The same, of iterations that have ended.
    pub spent_by_ended: Spent,
    /// How long it took to confirm targets, s.
    pub confirming_s: f64,
    /// The epochs before the present one, oldest first: with each begins another commit of the user's.
    pub epochs: Vec<Epoch>,
    /// The kept changes on an adopted commit, until it is known whether they stay.
    pub merged: Option<Merged>,
    /// The best is to be compared with the first baseline at once.
    pub is_anchor_wanted: bool,
}

/// The best so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The iteration that it came from; 0 for the baseline.
    pub iteration: u32,
    /// Its commit in the campaign's repository.
    pub commit: String,
    /// Its metric.
    pub value: f64,
    /// How often in a row it was measured again and reached the target.
    pub confirmations: u32,
    /// A later measurement did not reach the target.
    pub is_refuted: bool,
}

/// One iteration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Iteration {
    /// Its number, from 1.
    pub number: u32,
    /// What the agent proposed.
    pub proposal: Option<Proposal>,
    /// The candidate's commit.
    pub commit: Option<String>,
    /// How many lines that adds to the best and removes from it.
    pub lines: u32,
    /// What came of judging it.
    pub judgement: Option<Judgement>,
    /// Candidates of it that went back to the agent, oldest first.
    pub sent_back: Vec<SentBack>,
    /// How many calls of the agent failed and were made again.
    pub failed_calls: u32,
    /// How it ended; none while it is under way.
    pub status: Option<Status>,
    /// How long it took, s.
    pub seconds: f64,
    /// When it ended, RFC 3339.
    pub ended_at: String,
}

/// A candidate that was better, was refused by a guard, and went back to the agent.
#[derive(Debug, Clone, PartialEq)]
pub struct SentBack {
    /// Its commit.
    pub commit: String,
    /// What was said of it.
    pub judgement: Judgement,
}

impl History {
    /// What the events say, in their order.
    ///
    /// # Errors
    /// When one cannot follow those before it.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, OutOfOrder> {
        let mut history = Self::default();
        for (at, entry) in entries.into_iter().enumerate() {
            history.take(entry).map_err(|why| OutOfOrder { number: at + 1, why })?;
        }
        Ok(history)
    }

    /// The same with one line of the log more.
    ///
    /// # Errors
    /// Why it cannot follow those before it.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Misplaced> {
        self.apply(&entry.event)?;
        self.last_at.clone_from(&entry.at);
        match &entry.event {
            Event::Begun(_) => self.began_at.clone_from(&entry.at),
            Event::Baseline(_) => self.baseline_at = Some(entry.at.clone()),
            Event::Ended { .. } => {
                if let Some(last) = self.iterations.last_mut() {
                    last.ended_at.clone_from(&entry.at);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The same with one event more.
    ///
    /// # Errors
    /// Why it cannot follow those before it.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misplaced> {
        if self.end.is_some() && !matches!(event, Event::Resumed) {
            return Err(Misplaced::AfterTheEnd);
        }
        self.halted = None;
        match event {
            Event::Begun(begun) => self.begun = Some(begun.clone()),
            Event::Baseline(baseline) => self.take_baseline(baseline)?,
            Event::Opened { iteration } => self.open(*iteration)?,
            Event::Proposed { iteration, proposal } => {
                self.under_way(*iteration)?.proposal = Some(proposal.clone());
                self.spent.add(proposal.account.usage);
            }
            Event::Committed { iteration, commit, lines } => {
                let open = self.under_way(*iteration)?;
                open.commit = Some(commit.clone());
                open.lines = *lines;
            }
            Event::AskedAgain { iteration, why } => {
                self.under_way(*iteration)?.ask_again(*why)?;
            }
            Event::Judged { iteration, judgement } => {
                self.under_way(*iteration)?.judgement = Some(judgement.clone());
            }
            Event::Ended { iteration, status, seconds } => {
                self.close(*iteration, *status, *seconds)?;
            }
            Event::Confirmed { holds, seconds, .. } => {
                self.confirm(*holds)?;
                self.confirming_s += seconds;
            }
            Event::Anchored(anchored) => {
                self.anchor = Some(anchored.clone());
                self.unanchored = 0;
                self.is_anchor_wanted = false;
            }
            Event::Limited(limits) => self.limits = limits.clone(),
            Event::Steered(steered) => self.steer(steered),
            Event::Halted { message } => self.halted = Some(message.clone()),
            Event::Held { name } => self.held = Some(name.clone()).filter(|name| !name.is_empty()),
            Event::NotHeld { .. } | Event::Resumed => self.held = None,
            Event::Moved { head } => self.moved_to(head),
            Event::Adopted(adopted) => self.adopt(adopted)?,
            Event::MergedJudged { judgement } => self.judge_merged(judgement)?,
            Event::MergedKept => self.keep_merged()?,
            Event::Announced(said) => self.announced = said.iteration,
            Event::Finished { end } => self.end = Some(*end),
        }
        Ok(())
    }

    fn moved_to(&mut self, head: &str) {
        self.moved = self.begun.as_ref().and_then(|begun| begun.moved_to(head));
    }

    fn take_baseline(&mut self, baseline: &Baseline) -> Result<(), Misplaced> {
        let begun = self.begun.as_ref().ok_or(Misplaced::NotBegun)?;
        self.best = Some(Best {
            iteration: 0,
            commit: begun.base.clone(),
            value: baseline.value,
            confirmations: 0,
            is_refuted: false,
        });
        self.baseline = Some(baseline.clone());
        Ok(())
    }

    fn open(&mut self, iteration: u32) -> Result<(), Misplaced> {
        if self.baseline.is_none() {
            return Err(Misplaced::NotMeasured);
        }
        if let Some(open) = self.open_iteration() {
            return Err(Misplaced::StillOpen(open.number));
        }
        if iteration != self.next_number() {
            return Err(Misplaced::Gap { found: iteration, last: self.next_number() - 1 });
        }
        self.iterations.push(Iteration { number: iteration, ..Iteration::default() });
        Ok(())
    }

    fn under_way(&mut self, iteration: u32) -> Result<&mut Iteration, Misplaced> {
        let last = self.iterations.last_mut().filter(|last| last.status.is_none());
        let last = last.filter(|last| last.number == iteration);
        last.ok_or(Misplaced::NotUnderWay(iteration))
    }

    fn close(&mut self, iteration: u32, status: Status, seconds: f64) -> Result<(), Misplaced> {
        self.spent_by_ended = self.spent;
        let ended = self.under_way(iteration)?;
        ended.status = Some(status);
        ended.seconds = seconds;
        if status != Status::Kept {
            return Ok(());
        }
        let commit = ended.commit.clone().ok_or(Misplaced::NothingToKeep)?;
        let value = ended.judgement.as_ref().and_then(|judged| judged.value);
        let value = value.ok_or(Misplaced::NothingToKeep)?;
        self.best = Some(Best { iteration, commit, value, confirmations: 0, is_refuted: false });
        self.unanchored += 1;
        Ok(())
    }

    fn confirm(&mut self, holds: Holds) -> Result<(), Misplaced> {
        let best = self.best.as_mut().ok_or(Misplaced::NotMeasured)?;
        match holds {
            Holds::Yes => best.confirmations += 1,
            Holds::No => best.is_refuted = true,
        }
        Ok(())
    }

    fn steer(&mut self, steered: &Steered) {
        self.answered.push(steered.request.clone());
        if steered.refused.is_some() {
            return;
        }
        let from = self.next_number();
        let said = steered.asks.say.as_ref().map(|say| say.trim().to_owned());
        self.directives.extend(said.map(|text| Directive { from, text }));
        self.steering.and_then(&steered.asks);
        if let Some(best) = self.best.as_mut().filter(|_| steered.asks.target.is_some()) {
            // They were about another target.
            best.confirmations = 0;
            best.is_refuted = false;
        }
    }

    /// The iteration that has begun and not ended.
    pub fn open_iteration(&self) -> Option<&Iteration> {
        self.iterations.last().filter(|last| last.status.is_none())
    }

    /// The number of the iteration that would be opened now.
    pub fn next_number(&self) -> u32 {
        self.iterations.last().map_or(1, |last| last.number + 1)
    }

    /// Which way the metric is better.
    pub fn better(&self) -> Better {
        self.baseline.as_ref().map_or(Better::Lower, |baseline| baseline.better)
    }

    /// How many iterations in a row, up to the last, were not kept.
    pub fn without_gain(&self) -> usize {
        let ended = self.iterations.iter().rev().filter_map(|iteration| iteration.status);
        ended.take_while(|status| *status != Status::Kept).count()
    }

    /// How many iterations ended in one of these ways.
    pub fn count(&self, statuses: &[Status]) -> usize {
        let ended = self.iterations.iter().filter_map(|iteration| iteration.status);
        ended.filter(|status| statuses.contains(status)).count()
    }

    /// How long all iterations took, s.
    pub fn seconds(&self) -> f64 {
        // A sum of nothing would be -0.
        self.iterations.iter().fold(0.0, |all, iteration| all + iteration.seconds)
    }

    /// How long the device was in use for measurements and for what belongs to them, s.
    pub fn device_seconds(&self) -> f64 {
        let baseline = self.baseline.as_ref().map_or(0.0, |baseline| baseline.seconds);
        let judged = self.iterations.iter().map(Iteration::judging_seconds);
        baseline + judged.sum::<f64>() + self.confirming_s + self.adopting_s()
    }

    /// How much better the best's measurement is than the baseline's, as a share of it: two numbers of
    /// different times, not a comparison in pairs.
    pub fn gain(&self) -> Option<f64> {
        self.beside_baseline(self.best.as_ref()?.value)
    }

    /// The same of any value of the metric.
    pub fn beside_baseline(&self, value: f64) -> Option<f64> {
        self.beside(self.next_number(), value)
    }

    /// The same of a value that an iteration measured.
    pub fn beside(&self, iteration: u32, value: f64) -> Option<f64> {
        let baseline = self.baseline_of(iteration)?;
        let ratio = match baseline.better {
            Better::Lower => 1.0 - value / baseline.value,
            Better::Higher => value / baseline.value - 1.0,
        };
        Some(ratio).filter(|ratio| ratio.is_finite())
    }
}

impl Iteration {
    /// The last thing that was said of a candidate of it.
    pub fn verdict(&self) -> Option<&Judgement> {
        let before = || self.sent_back.last().map(|sent| &sent.judgement);
        self.judgement.as_ref().or_else(before)
    }

    /// Whether the candidate is the one that went back to the agent: nothing was mended.
    pub fn is_unmended(&self) -> bool {
        let before = self.sent_back.last().map(|sent| &sent.commit);
        before.is_some() && before == self.commit.as_ref()
    }

    fn ask_again(&mut self, why: AskedFor) -> Result<(), Misplaced> {
        self.proposal = None;
        if why == AskedFor::FailedCall {
            self.failed_calls += 1;
            return Ok(());
        }
        let commit = self.commit.take().ok_or(Misplaced::NothingToSendBack)?;
        let judgement = self.judgement.take().ok_or(Misplaced::NothingToSendBack)?;
        self.sent_back.push(SentBack { commit, judgement });
        Ok(())
    }

    fn judging_seconds(&self) -> f64 {
        let before = self.sent_back.iter().map(|sent| &sent.judgement);
        before.chain(&self.judgement).map(|judged| judged.seconds).sum()
    }
}

impl Outcome {
    /// How an iteration ends whose candidate was judged so.
    pub fn status(self) -> Status {
        match self {
            Self::Better => Status::Kept,
            Self::Worse | Self::NotWorthIt => Status::Reverted,
            Self::Undecided => Status::Undecided,
            Self::Failed => Status::Failed,
            Self::Guard => Status::Guard,
            Self::Infrastructure => Status::Infrastructure,
        }
    }
}
