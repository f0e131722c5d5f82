//! One timed sample, and what two clocks say of it.

use serde::{Deserialize, Serialize};

use crate::backend::{Launched, Timer};

/// A launch shorter than this many steps of the clock is timed in a loop (decision-rule, section 5:
/// the step must be under 0.2 % of what is timed).
const STEPS: f64 = 500.0;

/// Launches in a loop at most, each on inputs and outputs of its own: what is shorter than 80 ns is
/// timed less exactly. Never a second time on the same buffers: a kernel that finds its own result
/// there may skip its work.
const MOST_LOOPS: f64 = 128.0;

/// Slack in ns between the two clocks beyond the hand-over: reading them is not exact.
const SLACK_NS: f64 = 2_000.0;

/// Hand-overs that count as slack, too: where judge and worker share a core, everything is that much
/// coarser.
const SLACK_HANDOVERS: f64 = 10.0;

/// Share of the reported time by which the judge may see more and still confirm it: the judge sleeps
/// between looks at a long launch.
const SLACK_SHARE: f64 = 0.05;

/// Share of the reported time beyond which what the judge saw contradicts it.
const DOUBT_SHARE: f64 = 0.02;

/// Ns that a sample may be shorter than the judge saw, less the hand-over: a kernel that trails
/// through the caches makes the way longer than it is without one.
const GRACE_NS: f64 = 500.0;

/// One timed sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Nanoseconds per launch.
    pub ns: f64,
    /// Nanoseconds per launch by the judge's clock.
    pub judged_ns: f64,
    /// Whether the judge's clock bears it out.
    pub confirmed: bool,
    /// Whether the judge saw the launch going on after it should have been over. Neither is true
    /// when the judge was off its core, for then it cannot tell.
    pub contradicted: bool,
}

/// Launches per sample that make it long enough for the clock.
pub(super) fn loops(typical_ns: u64, timer: Timer) -> u32 {
    let needed = STEPS * timer.step_ns;
    let launch = (typical_ns as f64 - timer.overhead_ns).max(1.0);
    if launch >= needed { 1 } else { (needed / launch).ceil().min(MOST_LOOPS) as u32 }
}

pub(super) fn sample(launched: Launched, timer: Timer, looped: u32) -> Sample {
    let (reported, judged) = (launched.reported_ns as f64, launched.judged_ns as f64);
    let per_launch = |ns: f64| ns.max(0.0) / f64::from(looped);
    let slack = SLACK_NS + SLACK_HANDOVERS * timer.handover_ns;
    let beyond = |seen: f64| seen - reported - timer.handover_ns;
    let contradicted = beyond(launched.at_least_ns as f64) > slack + DOUBT_SHARE * reported;
    let own = reported - timer.overhead_ns;
    // What is contradicted does not count at all, and is kept as it was told.
    let seen = launched.at_least_ns as f64 - timer.handover_ns - GRACE_NS;
    Sample {
        ns: per_launch(if contradicted { own } else { own.max(seen) }),
        judged_ns: per_launch(judged - timer.handover_ns),
        confirmed: !contradicted && beyond(judged) <= slack + SLACK_SHARE * reported,
        contradicted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_under_500_steps_are_looped() {
        let timer =
            Timer { step_ns: 20.0, overhead_ns: 20.0, handover_ns: 200.0, ..Timer::default() };
        for (ns, expected) in [(10_020, 1), (5_020, 2), (1_020, 10), (20, 128), (1 << 40, 1)] {
            assert_eq!(loops(ns, timer), expected, "{ns} ns");
        }
    }

    #[test]
    fn the_judges_clock_bears_a_time_out_speaks_against_it_or_cannot_tell() {
        let timer =
            Timer { step_ns: 1.0, overhead_ns: 10.0, handover_ns: 200.0, ..Timer::default() };
        let judged_ns = 101_000;
        for (reported_ns, at_least_ns, confirmed, contradicted) in [
            (100_000, 100_900, true, false),
            (60_000, 100_900, false, true),
            (10, 100_900, false, true),
            // The judge was away when it ended.
            (60_000, 50_000, false, false),
            (100_000, 0, true, false),
            (10, 50_000, false, true),
        ] {
            let launched = Launched { reported_ns, judged_ns, at_least_ns };
            let sample = sample(launched, timer, 1);
            assert_eq!(
                (sample.confirmed, sample.contradicted),
                (confirmed, contradicted),
                "{reported_ns} ns, at least {at_least_ns} ns"
            );
        }
        // A lie that is too small to speak of does not pay either.
        let launched = Launched { reported_ns: 10_010, judged_ns: 14_000, at_least_ns: 13_800 };
        let small = sample(launched, timer, 1);
        assert_eq!((small.ns, small.contradicted), (13_100.0, false));
        let launched = Launched { reported_ns: 100_010, judged_ns, at_least_ns: 0 };
        let looped = sample(launched, timer, 10);
        assert_eq!((looped.ns, looped.confirmed), (10_000.0, true));
    }
}
