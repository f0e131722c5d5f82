//! What a campaign does next: a function of what is known of it and of its rules, and of nothing
//! else.

use super::event::{AgentEnd, AskedFor, End, Limits, Outcome, Proposal, Status};
use super::file::{OnInfra, OnMoved};
use super::history::{Best, History, Iteration};
use super::keep::KeepRules;
use super::steering::Steering;

/// When a campaign ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// The most iterations.
    pub iterations: Option<u32>,
    /// The most time, s.
    pub seconds: Option<f64>,
    /// The most failures of agents and of the machine.
    pub failures: Option<u32>,
    /// How many iterations in a row without a gain end it.
    pub no_gain: Option<u32>,
    /// The metric that is enough.
    pub target: Option<f64>,
    /// After how many kept iterations the best is compared with the first baseline; also before the
    /// end. None for never.
    pub anchor: Option<u32>,
    /// The most time of the device, s.
    pub device_seconds: Option<f64>,
    /// The most that calls of the agent may cost, US dollars.
    pub dollars: Option<f64>,
    /// The most tokens that they may take.
    pub tokens: Option<u64>,
    /// Which candidates stay.
    pub keep: KeepRules,
    /// How many calls of the agent that failed and changed nothing are made again in an iteration.
    pub agent_retries: u32,
    /// What becomes of a candidate that cannot be judged for reasons of the machine.
    pub on_infra: OnInfra,
    /// Whether anything follows a new best.
    pub announce: Announce,
    /// What happens when another commit is checked out meanwhile.
    pub on_moved: OnMoved,
}

/// Whether anything follows a new best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Announce {
    /// Nothing does.
    #[default]
    Never,
    /// A branch, or a command.
    EachBest,
}

impl Rules {
    /// The same as its file has it, for the log.
    pub fn limits(&self) -> Limits {
        Limits {
            iterations: self.iterations,
            seconds: self.seconds,
            failures: self.failures,
            no_gain: self.no_gain,
            target: self.target,
            dollars: self.dollars,
            tokens: self.tokens,
        }
    }

    /// The same, but for what people changed while the campaign ran.
    #[must_use]
    pub fn steered(&self, by: &Steering) -> Self {
        Self {
            iterations: by.iterations.or(self.iterations),
            seconds: by.hours.map(|hours| hours * 3600.0).or(self.seconds),
            failures: by.failures.or(self.failures),
            target: by.target.or(self.target),
            ..self.clone()
        }
    }
}

/// What else matters: what people want meanwhile, and whether there is more to try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    #[default]
    GoOn,
    /// A request, which is answered between iterations.
    Steer,
    /// To end after the present iteration.
    Stop,
    /// The agent has nothing more to propose.
    NothingMore,
    /// The time is over, with the present iteration's.
    NoTime,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The commit that the user has checked out meanwhile is taken up.
    Adopt,
    /// The unchanged project is measured.
    MeasureBaseline,
    /// The kept changes on an adopted commit are judged.
    JudgeMerged,
    /// They become the best.
    KeepMerged,
    /// A request is answered.
    Steer,
    /// The next iteration begins.
    Open(u32),
    /// The agent is asked.
    Propose(u32),
    /// The agent is asked once more.
    AskAgain(u32, AskedFor),
    /// What it changed becomes a commit.
    Commit(u32),
    /// The commit is judged.
    Judge(u32),
    /// It becomes the best; then its iteration ends.
    Promote(u32),
    /// The iteration ends.
    Close(u32, Status),
    /// What follows a new best is done.
    Announce,
    /// The best, which reached the target, is measured again.
    Confirm,
    /// The best is compared with the first baseline.
    Anchor,
    /// The campaign ends.
    Finish(End),
    /// It has ended.
    Nothing,
}

/// How many measurements in a row must reach the target after the one that was kept.
const CONFIRMATIONS: u32 = 2;

/// The next action.
pub fn step(history: &History, rules: &Rules, wish: Wish) -> Action {
    if history.end.is_some() {
        return Action::Nothing;
    }
    let is_adopting = rules.on_moved == OnMoved::Adopt && history.moved.is_some();
    let Some(best) = &history.best else {
        return if is_adopting { Action::Adopt } else { Action::MeasureBaseline };
    };
    match history.open_iteration() {
        Some(iteration) => {
            let is_over = wish == Wish::NoTime
                || is_device_spent(history, rules)
                || is_money_spent(history, rules);
            let allowance = if is_over { Allowance::Spent } else { Allowance::Left };
            within(iteration, rules, allowance)
        }
        None if is_adopting && wish != Wish::Stop => Action::Adopt,
        None => match history.merged.as_ref().filter(|merged| merged.is_waiting()) {
            Some(merged) if merged.is_better() => Action::KeepMerged,
            Some(_) => Action::JudgeMerged,
            None => between(history, rules, wish, best),
        },
    }
}

/// Whether the agent may be asked once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowance {
    Left,
    Spent,
}

fn within(iteration: &Iteration, rules: &Rules, allowance: Allowance) -> Action {
    let number = iteration.number;
    match (&iteration.proposal, &iteration.commit, &iteration.judgement) {
        (None, _, _) => Action::Propose(number),
        (Some(proposal), None, _) => match refused(iteration, proposal) {
            Some(Status::AgentFailed)
                if allowance == Allowance::Left && iteration.failed_calls < rules.agent_retries =>
            {
                Action::AskAgain(number, AskedFor::FailedCall)
            }
            Some(status) => Action::Close(number, status),
            None => Action::Commit(number),
        },
        (Some(_), Some(_), None) if iteration.is_unmended() => Action::Close(number, Status::Guard),
        (Some(_), Some(_), None) => Action::Judge(number),
        (Some(proposal), Some(_), Some(judgement)) => {
            let is_worth_mending = judgement.outcome == Outcome::Guard
                && judgement.compared == Some(Outcome::Better)
                && (iteration.sent_back.len() as u32) < rules.keep.rework;
            if is_worth_mending && allowance == Allowance::Left {
                return Action::AskAgain(number, AskedFor::Rework);
            }
            match judgement.outcome.status() {
                Status::Kept if proposal.account.veto.is_some() => {
                    Action::Close(number, Status::Vetoed)
                }
                Status::Kept => Action::Promote(number),
                status => Action::Close(number, status),
            }
        }
    }
}

/// Why there is nothing to judge. What an agent changed counts, however its command ended.
fn refused(iteration: &Iteration, proposal: &Proposal) -> Option<Status> {
    if !proposal.violations.is_empty() {
        return Some(Status::Invalid);
    }
    if !proposal.files.is_empty() {
        return None;
    }
    if !iteration.sent_back.is_empty() {
        // It was taken back, which mends nothing.
        return Some(Status::Guard);
    }
    match proposal.agent {
        AgentEnd::Fine => Some(Status::NoOp),
        AgentEnd::Failed { .. }
        | AgentEnd::TimedOut { .. }
        | AgentEnd::Silent { .. }
        | AgentEnd::Idle { .. }
        | AgentEnd::NoRoom { .. }
        | AgentEnd::NotStarted { .. } => Some(Status::AgentFailed),
    }
}

fn between(history: &History, rules: &Rules, wish: Wish, best: &Best) -> Action {
    if rules.on_moved == OnMoved::Stop && history.moved.is_some() {
        return Action::Finish(End::Moved);
    }
    if rules.announce == Announce::EachBest && best.iteration > history.announced {
        return Action::Announce;
    }
    if wish == Wish::Steer {
        return Action::Steer;
    }
    if wish == Wish::Stop {
        return Action::Finish(End::Stopped);
    }
    let is_reached =
        rules.target.is_some_and(|target| history.better().reaches(best.value, target));
    let reached = (is_reached && !best.is_refuted).then_some(End::Target);
    if reached.is_some() && best.confirmations < CONFIRMATIONS {
        return Action::Confirm;
    }
    let nothing_more = (wish == Wish::NothingMore).then_some(End::Exhausted);
    let end = reached.or_else(|| end(history, rules)).or(nothing_more);
    if is_anchor_due(history, rules, end) {
        return Action::Anchor;
    }
    end.map_or_else(|| Action::Open(history.next_number()), Action::Finish)
}

/// Every so many kept iterations, and at an end that leaves time for it.
fn is_anchor_due(history: &History, rules: &Rules, end: Option<End>) -> bool {
    let is_time_left = rules.seconds.is_none_or(|most| history.seconds() < most);
    rules.anchor.is_some_and(|every| match end {
        None => history.is_anchor_wanted || history.unanchored >= every,
        Some(End::Blocked) => false,
        Some(_) => is_time_left && (history.is_anchor_wanted || history.unanchored > 0),
    })
}

/// The first rule that ends the campaign.
fn end(history: &History, rules: &Rules) -> Option<End> {
    let last = history.iterations.last().and_then(|last| last.status);
    if rules.on_infra == OnInfra::Stop && last == Some(Status::Infrastructure) {
        return Some(End::Infrastructure);
    }
    let counted: &[Status] = match rules.on_infra {
        OnInfra::Revert => &[Status::AgentFailed],
        OnInfra::Count | OnInfra::KeepPending | OnInfra::Stop => {
            &[Status::AgentFailed, Status::Infrastructure]
        }
    };
    let failures = history.count(counted) as u32;
    if rules.failures.is_some_and(|most| failures > most) {
        return Some(End::Blocked);
    }
    let done = history.iterations.len() as u32;
    if rules.iterations.is_some_and(|most| done >= most)
        || rules.seconds.is_some_and(|most| history.seconds() >= most)
        || is_device_spent(history, rules)
        || is_money_spent(history, rules)
    {
        return Some(End::Budget);
    }
    let without = history.without_gain() as u32;
    rules.no_gain.is_some_and(|most| without >= most).then_some(End::Plateau)
}

fn is_device_spent(history: &History, rules: &Rules) -> bool {
    rules.device_seconds.is_some_and(|most| history.device_seconds() >= most)
}

/// As far as it is known: a call that does not say what it cost counts as nothing.
fn is_money_spent(history: &History, rules: &Rules) -> bool {
    let used = history.spent.usage;
    rules.dollars.is_some_and(|most| used.dollars.unwrap_or_default() >= most)
        || rules.tokens.is_some_and(|most| used.tokens.unwrap_or_default() >= most)
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
