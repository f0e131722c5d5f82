//! A comparison as metrics, as the account in its artifact, and as passed or not.

use std::collections::BTreeMap;

use super::super::numbers::throttled;
use super::super::{Failure, FailureClass};
use super::compared::Compared;
use crate::engine::account::{ComparedCase, ComparisonRecord, finite};
use crate::measure::pairs::{Comparison, Cut, Decided, Decision, Reported};
use crate::pipeline::Guard;
use crate::stats::block::Scale;
use crate::stats::calibration::{Noise, robust_sd};
use crate::stats::sequential::{Reason, Rule, Verdict};
use crate::stats::{LEVEL, Metrics, signed_rank};

/// Above this pair sd the machine is what keeps small gains from being seen.
const NOISY: f64 = 0.01;

/// A comparison with what is said of it.
pub(in crate::engine::stage) struct Told<'a> {
    comparison: &'a Comparison,
    against: &'a str,
    /// Label, incumbent's and candidate's time in µs of each case; empty for commands.
    cases: Vec<(String, f64, f64)>,
    noise: Option<Noise>,
    /// What is wrong with the calibration that it rests on.
    doubts: Vec<String>,
}

impl<'a> Told<'a> {
    pub(in crate::engine::stage) fn of_kernels(compared: &'a Compared, against: &'a str) -> Self {
        let times = |m: &crate::measure::Measurement, case: usize| {
            let statistic = compared.comparison.scoring.statistic;
            m.cases.get(case)?.estimate(statistic).map(|e| e.interval.value)
        };
        let cases = compared.candidate.cases.iter().enumerate().map(|(number, case)| {
            let incumbent = times(&compared.incumbent, number).unwrap_or_default();
            let candidate = times(&compared.candidate, number).unwrap_or_default();
            (case.label.clone(), incumbent, candidate)
        });
        Self::new(&compared.comparison, against, compared.per_process, cases.collect())
    }

    pub(super) fn new(
        comparison: &'a Comparison,
        against: &'a str,
        per_process: u32,
        cases: Vec<(String, f64, f64)>,
    ) -> Self {
        let noise = noise(comparison, per_process);
        Self { comparison, against, cases, noise, doubts: Vec::new() }
    }

    /// Adds what is wrong with the calibration.
    pub(in crate::engine::stage) fn doubting(self, doubts: Vec<String>) -> Self {
        Self { doubts, ..self }
    }

    fn verdict(&self) -> &Verdict {
        &self.comparison.verdict
    }

    fn rule(&self) -> &Rule {
        &self.comparison.rule
    }

    fn gain_of(&self, d: f64) -> f64 {
        self.comparison.gain_of(d)
    }

    fn reported(&self) -> Option<Reported> {
        self.comparison.reported()
    }

    /// The smallest gain that all planned pairs would have seen four times out of five.
    fn smallest_gain(&self) -> Option<f64> {
        let rule = self.rule();
        let (pairs, level) = (*rule.looks.last()?, *rule.lower_levels.last()?);
        let d = self.noise?.smallest_gain(pairs, level, rule.minimum_effect)?;
        Some(self.gain_of(d))
    }

    pub(in crate::engine::stage) fn metrics(&self, into: &mut Metrics) {
        if let Some(reported) = self.reported() {
            into.set(Metrics::GAIN, reported.gain);
            into.set(Metrics::GAIN_LOWER, reported.lower);
            into.set(Metrics::GAIN_UPPER, reported.upper);
        }
        into.set(Metrics::PAIRS, f64::from(self.verdict().all_pairs()));
    }

    pub(in crate::engine::stage) fn record(&self) -> ComparisonRecord {
        let comparison = self.comparison;
        let verdict = self.verdict();
        let reported = self.reported();
        let decision = self.decided().decision;
        ComparisonRecord {
            against: self.against.to_owned(),
            reason: verdict.reason,
            better: decision == Decision::Keep,
            decision,
            guard: comparison.guard,
            gain: reported.map(|r| r.gain),
            gain_lower: reported.map(|r| r.lower),
            gain_upper: reported.map(|r| r.upper),
            gain_level: reported.map(|r| r.level),
            factor: verdict.estimate().map(f64::exp).and_then(finite),
            pairs: verdict.pairs,
            confirm_pairs: verdict.confirmed.map_or(0, |c| c.pairs),
            launches: comparison.spent.launches,
            processes: comparison.spent.processes,
            discarded_throttled: comparison.spent.discarded_throttled,
            seconds: comparison.seconds,
            pair_sd: self.noise.map(|n| n.pair_sd),
            process_sd: self.noise.map(|n| n.process_sd),
            pairs_per_process: self.noise.map(|n| n.pairs_per_process),
            smallest_gain: self.smallest_gain(),
            cases: self.cases(),
            what_helps: self.what_helps(),
            record: comparison.clone(),
        }
    }

    fn cases(&self) -> Vec<ComparedCase> {
        let by_case = self.comparison.d_by_case().unwrap_or_default();
        let confirm = self.comparison.confirm_d_by_case().unwrap_or_default();
        let case = |(number, (label, incumbent_us, candidate_us)): (usize, &(String, f64, f64))| {
            let d = confirm.get(number).filter(|d| !d.is_empty()).or(by_case.get(number));
            let estimate = d.and_then(|d| signed_rank::hodges_lehmann(d));
            ComparedCase {
                label: label.clone(),
                incumbent_us: *incumbent_us,
                candidate_us: *candidate_us,
                gain: estimate.map(|d| self.gain_of(d)),
                harmed: self.comparison.harmed.iter().any(|h| h.case == number),
            }
        };
        self.cases.iter().enumerate().map(case).collect()
    }

    /// What becomes of the candidate.
    pub(in crate::engine::stage) fn decided(&self) -> Decided {
        self.comparison.decided()
    }

    /// Why this is no win; `None` for one.
    pub(in crate::engine::stage) fn failure(&self) -> Option<Failure> {
        let class = match self.decided().decision {
            Decision::Keep => return None,
            Decision::Revert => FailureClass::NotBetter,
            Decision::Undecided => FailureClass::Inconclusive,
        };
        Some(Failure { class, message: self.words() })
    }

    /// The verdict in a line or two.
    pub(in crate::engine::stage) fn words(&self) -> String {
        let verdict = self.verdict();
        let mut text = format!("{} than {}", self.lead(), self.against);
        if matches!(verdict.reason, Reason::NoWorthwhileDifference | Reason::Inconclusive) {
            text = format!("{}, beside {}", verdict.reason.words(), self.against);
        }
        if verdict.reason == Reason::NotConfirmed {
            text = format!("a gain over {} was seen and not confirmed", self.against);
        }
        text.push_str(&format!(": {}", self.numbers()));
        if self.decided().is_guarded() {
            text.push_str(&format!("; but {}", self.harmed_words()));
        }
        let helps = self.what_helps();
        if verdict.reason == Reason::Inconclusive && !helps.is_empty() {
            text.push_str(&format!("\nwhat would help: {}", helps.join("; ")));
        }
        text
    }

    /// Kernels are faster or slower; what a command counts is better or worse. The rule asks one side
    /// of its interval only: where the one that is shown holds 0, slower is more than can be said.
    fn lead(&self) -> &'static str {
        let open = self.reported().is_some_and(|r| r.lower <= 0.0 && r.upper >= 0.0);
        match self.verdict().reason {
            Reason::Slower | Reason::GrosslySlower if open && self.cases.is_empty() => "not better",
            Reason::Slower | Reason::GrosslySlower if open => "not faster",
            Reason::Faster if self.cases.is_empty() => "better",
            Reason::Slower if self.cases.is_empty() => "worse",
            Reason::GrosslySlower if self.cases.is_empty() => "grossly worse",
            reason => reason.words(),
        }
    }

    fn numbers(&self) -> String {
        let Some(r) = self.reported() else { return "no pairs".to_owned() };
        let verdict = self.verdict();
        let unit = self.unit(&r);
        let lead = if unit == Unit::Times { "" } else { "gain " };
        let mut text = format!("{lead}{}", unit.whole(r.gain));
        if self.comparison.deterministic {
            text.push_str(" (the same in each run)");
        } else {
            text.push_str(&format!(" ({}: {})", certainty(&r, verdict), unit.interval(&r)));
        }
        let confirm = verdict.confirmed.map_or_else(String::new, |c| format!(" + {}", c.pairs));
        text.push_str(&format!(
            ", {}{confirm} pairs, {} launches, {:.2} s",
            verdict.pairs, self.comparison.spent.launches, self.comparison.seconds
        ));
        if let Some(smallest) = self.smallest_gain().filter(|_| !self.comparison.deterministic) {
            text.push_str(&format!("; smallest gain to be seen here: {}", self.percent(smallest)));
        }
        text
    }

    /// One unit for a gain and both ends of its interval. Shares of what is many times as long say
    /// little.
    fn unit(&self, r: &Reported) -> Unit {
        let many_times = [r.gain, r.lower, r.upper].iter().any(|gain| *gain < -1.0);
        match self.comparison.scoring.metric.scale {
            Scale::Log if many_times => Unit::Times,
            Scale::Log => Unit::Percent,
            Scale::Difference => Unit::Own,
        }
    }

    fn percent(&self, gain: f64) -> String {
        let alone = Reported { gain, lower: gain, upper: gain, level: 0.0 };
        self.unit(&alone).whole(gain)
    }

    fn harmed_words(&self) -> String {
        let labels: Vec<&str> = self
            .comparison
            .harmed
            .iter()
            .map(|h| self.cases.get(h.case).map_or("a case", |(label, ..)| label.as_str()))
            .collect();
        format!("slower by more than 2 % at {}", labels.join(", "))
    }

    /// What people should know beside the verdict.
    pub(in crate::engine::stage) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.doubts.clone();
        let warns = self.comparison.guard == Guard::Warn && self.verdict().is_keep();
        if warns && !self.comparison.harmed.is_empty() {
            warnings.push(self.harmed_words());
        }
        warnings.extend(self.noise.filter(|n| n.pair_sd > NOISY).map(|n| {
            format!("pairs differ by {:.1} % here (standard deviation)", 100.0 * n.pair_sd)
        }));
        warnings.extend(throttled(self.comparison.spent.discarded_throttled, "pairs"));
        if self.comparison.cut == Some(Cut::OutOfTime) {
            warnings.push("the time for this decision was up; raise `budget` and `timeout`".into());
        }
        warnings
    }

    fn what_helps(&self) -> Vec<String> {
        if self.verdict().reason != Reason::Inconclusive {
            return Vec::new();
        }
        let mut helps = Vec::new();
        if self.comparison.cut == Some(Cut::OutOfTime) {
            helps.push("more time: raise `budget` and `timeout`".to_owned());
        }
        if self.rule().looks.last().is_some_and(|&last| last < 128) {
            helps.push("more pairs: let `repeats` end at 96, 128".to_owned());
        }
        if self.noise.is_some_and(|n| n.pair_sd > NOISY) {
            helps.push("a quieter machine: pairs of the same code would differ less".to_owned());
            helps.push("metric = \"min_us\", if a best time is what counts".to_owned());
        }
        if self.noise.is_some_and(|n| n.pairs_per_process > 1 && n.process_sd > 0.0025) {
            helps.push("fresh processes for each pair: pairs_per_process = 1".to_owned());
        }
        helps
    }
}

/// How gains are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// As multiples of the incumbent's time.
    Times,
    /// As shares of it.
    Percent,
    /// In the metric's own.
    Own,
}

impl Unit {
    fn number(self, gain: f64) -> String {
        match self {
            Self::Times => format!("{:.1}x", 1.0 - gain),
            Self::Percent => format!("{:.2} %", 100.0 * gain),
            Self::Own => format!("{gain}"),
        }
    }

    /// One gain by itself.
    fn whole(self, gain: f64) -> String {
        let number = self.number(gain);
        if self == Self::Times { number + " the time" } else { number }
    }

    /// From the smaller number to the larger one: a smaller gain is a larger multiple.
    fn interval(self, r: &Reported) -> String {
        let (first, last) =
            if self == Self::Times { (r.upper, r.lower) } else { (r.lower, r.upper) };
        format!("{} .. {}", self.number(first), self.number(last))
    }
}

/// What an interval stands for: so few pairs that 95 % is out of reach are named instead.
fn certainty(r: &Reported, verdict: &Verdict) -> String {
    let counted = verdict.confirmed.map_or(verdict.pairs, |c| c.pairs);
    if r.level < LEVEL { format!("{counted} pairs only") } else { "95 %".to_owned() }
}

/// How much pairs and processes differ, around the estimate.
fn noise(comparison: &Comparison, per_process: u32) -> Option<Noise> {
    let mut d = comparison.d().ok()?;
    d.extend(comparison.confirm_d().ok()?);
    let pairs = comparison.pairs.iter().chain(&comparison.confirm);
    let mut groups: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (pair, &d) in pairs.zip(&d) {
        groups.entry(pair.group).or_default().push(d);
    }
    let groups: Vec<Vec<f64>> = groups.into_values().collect();
    Some(Noise {
        pair_sd: robust_sd(&d)?,
        process_sd: crate::stats::calibration::process_sd(&groups),
        pairs_per_process: per_process,
    })
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
