//! How a campaign stands, worked out from its history: `state.json`, and what `status` says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Better, End, Status};
use super::history::{History, Iteration};
use super::spent::Spent;

/// The version of [`Standing`].
pub const STANDING_VERSION: u32 = 1;
/// How many kept gains make a trend.
const TREND: usize = 5;

/// How a campaign stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// Of this form.
    #[schemars(extend("const" = STANDING_VERSION))]
    pub version: u32,
    /// Its name and the time of its start.
    pub id: String,
    /// What it is to reach.
    pub goal: String,
    /// Whether it goes on.
    pub status: Course,
    /// What it is at.
    pub phase: Phase,
    /// Since when, RFC 3339: the time of its last event.
    pub since: String,
    /// When it began.
    pub started_at: String,
    /// The last iteration that was begun; 0 before the first.
    pub iteration: u32,
    /// How many iterations have ended.
    pub ended: u32,
    /// How many of them were kept.
    pub kept: u32,
    /// What is measured.
    pub metric: Option<String>,
    /// Which way it is better.
    pub better: Better,
    /// Its value at the beginning.
    pub baseline: Option<f64>,
    /// The best value so far.
    pub best: Option<f64>,
    /// The iteration that it came from; 0 for the baseline.
    pub best_iteration: Option<u32>,
    /// Its commit in the campaign's repository.
    pub best_commit: Option<String>,
    /// How much better it is than the baseline's own measurement, as a share of that.
    pub gain: Option<f64>,
    /// The metric that is enough.
    pub target: Option<f64>,
    /// A better one to aim at.
    pub stretch: Option<f64>,
    /// What is missing to the target, in the metric's unit; 0 once it is reached.
    pub to_target: Option<f64>,
    /// The gains of the last five that were kept, oldest first, each against the best of its time.
    pub trend: Vec<f64>,
    /// What keeps it from going on, or made its last iteration fail.
    pub blocker: Option<String>,
    /// What may be spent, and what was.
    pub budgets: Vec<Budget>,
    /// What calls of the agent cost, as far as it said so.
    #[serde(default)]
    pub spent: Spent,
    /// What people said while it ran: it counts for all later iterations.
    pub directives: Vec<String>,
    /// Why it ended.
    pub end: Option<End>,
}

/// Whether a campaign goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// It has not ended, whether or not a process drives it.
    Running,
    /// It has ended.
    Completed,
    /// It has ended because it reached its target.
    GoalAchieved,
}

/// What a campaign is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The unchanged project is measured.
    Baseline,
    /// Nothing: the next iteration is about to begin, or the best is measured again.
    Between,
    /// The agent works.
    Agent,
    /// The candidate is built, checked and compared.
    Judging,
    /// The candidate was judged.
    Deciding,
    /// It has ended.
    Ended,
}

impl Phase {
    /// Of a campaign.
    pub fn of(history: &History) -> Self {
        match (history.end, history.open_iteration(), &history.baseline) {
            (Some(_), _, _) => Self::Ended,
            (None, _, None) => Self::Baseline,
            (None, None, Some(_)) => Self::Between,
            (None, Some(open), _) => match (&open.proposal, &open.judgement) {
                (None, _) => Self::Agent,
                (Some(_), None) => Self::Judging,
                (Some(_), Some(_)) => Self::Deciding,
            },
        }
    }

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Baseline => "measuring the baseline",
            Self::Between => "between iterations",
            Self::Agent => "waiting for the agent",
            Self::Judging => "judging",
            Self::Deciding => "deciding",
            Self::Ended => "ended",
        }
    }
}

/// Something that may be spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// What.
    pub what: Resource,
    /// How much is gone.
    pub used: f64,
    /// How much ends the campaign; none where nothing limits it.
    pub most: Option<f64>,
    /// How much is left.
    pub left: Option<f64>,
}

/// What can be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Iterations.
    Iterations,
    /// Hours of iterations, measuring included.
    Hours,
    /// Failures of the agent and the machine; one more than these ends it.
    Failures,
    /// Iterations in a row without a gain.
    NoGain,
    /// US dollars of the agent's calls.
    Dollars,
    /// Tokens of the agent's calls.
    Tokens,
}

impl Resource {
    /// In words, behind a number.
    pub fn words(self) -> &'static str {
        match self {
            Self::Iterations => "iterations",
            Self::Hours => "h",
            Self::Failures => "failures",
            Self::NoGain => "iterations without a gain",
            Self::Dollars => "US dollars",
            Self::Tokens => "tokens",
        }
    }
}

impl Standing {
    /// Of a campaign.
    pub fn of(history: &History) -> Self {
        let begun = history.begun.clone();
        let (best, baseline) = (history.best.as_ref(), history.baseline.as_ref());
        let target = history.steering.target.or(history.limits.target);
        Self {
            version: STANDING_VERSION,
            id: begun.as_ref().map(|begun| begun.id.clone()).unwrap_or_default(),
            goal: begun.map(|begun| begun.goal).unwrap_or_default(),
            status: course(history),
            phase: Phase::of(history),
            since: history.last_at.clone(),
            started_at: history.began_at.clone(),
            iteration: history.next_number() - 1,
            ended: ended(history).count() as u32,
            kept: history.count(&[Status::Kept]) as u32,
            metric: baseline.map(|baseline| baseline.metric.clone()),
            better: history.better(),
            baseline: baseline.map(|baseline| baseline.value),
            best: best.map(|best| best.value),
            best_iteration: best.map(|best| best.iteration),
            best_commit: best.map(|best| best.commit.clone()),
            gain: history.gain(),
            target,
            stretch: history.steering.stretch,
            to_target: target.zip(best).map(|(target, best)| {
                let is_reached = history.better().reaches(best.value, target);
                if is_reached { 0.0 } else { (best.value - target).abs() }
            }),
            trend: trend(history),
            blocker: blocker(history),
            budgets: budgets(history),
            spent: history.spent,
            directives: history.directives.iter().map(|one| one.text.clone()).collect(),
            end: history.end,
        }
    }
}

fn course(history: &History) -> Course {
    match history.end {
        None => Course::Running,
        Some(End::Target) => Course::GoalAchieved,
        Some(_) => Course::Completed,
    }
}

fn ended(history: &History) -> impl DoubleEndedIterator<Item = &Iteration> {
    history.iterations.iter().filter(|iteration| iteration.status.is_some())
}

fn trend(history: &History) -> Vec<f64> {
    let kept = ended(history).rev().filter(|one| one.status == Some(Status::Kept));
    let gains = kept.filter_map(|one| one.judgement.as_ref()?.gain);
    let mut gains: Vec<f64> = gains.take(TREND).collect();
    gains.reverse();
    gains
}

/// What people have to mend, or may have to.
fn blocker(history: &History) -> Option<String> {
    if let Some(why) = &history.halted {
        return Some(why.clone());
    }
    if history.end == Some(End::Blocked) {
        return Some(End::Blocked.words().to_owned());
    }
    if history.end.is_some() {
        return None;
    }
    let last = ended(history).next_back()?;
    let why = match last.status? {
        Status::AgentFailed => last.proposal.as_ref()?.agent.message()?.to_owned(),
        Status::Infrastructure => last.judgement.as_ref()?.reason.clone(),
        _ => return None,
    };
    Some(format!("iteration {}: {}", last.number, why.trim()))
}

fn budgets(history: &History) -> Vec<Budget> {
    let (limits, steering) = (&history.limits, &history.steering);
    let failures = history.count(&[Status::AgentFailed, Status::Infrastructure]);
    let number = |most: Option<u32>| most.map(f64::from);
    let hours = steering.hours.or(limits.seconds.map(|seconds| seconds / 3600.0));
    let all = [
        (
            Resource::Iterations,
            history.iterations.len() as f64,
            number(steering.iterations.or(limits.iterations)),
        ),
        (Resource::Hours, history.seconds() / 3600.0, hours),
        (Resource::Failures, failures as f64, number(steering.failures.or(limits.failures))),
        (Resource::NoGain, history.without_gain() as f64, number(limits.no_gain)),
    ];
    let used = history.spent.usage;
    let tokens = used.tokens.unwrap_or_default() as f64;
    let agents = [
        (Resource::Dollars, used.dollars.unwrap_or_default(), limits.dollars),
        (Resource::Tokens, tokens, limits.tokens.map(|most| most as f64)),
    ];
    let agents = agents.into_iter().filter(|(_, _, most)| most.is_some());
    let budget = |(what, used, most): (Resource, f64, Option<f64>)| Budget {
        what,
        used,
        most,
        left: most.map(|most| (most - used).max(0.0)),
    };
    all.into_iter().chain(agents).map(budget).collect()
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
