//! Records for tests.

use super::{
    BenchRecord, CaseRecord, CommandRecord, ComparisonRecord, LayoutsRecord, OutliersRecord,
    RooflineRecord, SideLayouts,
};
use crate::backend::Timer;
use crate::backend::cpu::conditions::Conditions;
use crate::measure::pairs::{Comparison, Decided, Decision, Scoring, Spent};
use crate::pipeline::{CacheMode, Guard, Purpose};
use crate::stats::{Basis, Rule};

/// A case with one sample.
pub(crate) fn case(label: &str) -> CaseRecord {
    CaseRecord {
        label: label.to_owned(),
        median_us: Some(12.3),
        lower_us: Some(12.0),
        upper_us: Some(13.0),
        level: Some(0.95),
        basis: Some(Basis::Processes),
        between_sd: Some(0.001),
        within_sd: Some(0.002),
        mean_us: Some(12.4),
        min_us: 11.0,
        max_us: 20.0,
        p10_us: 11.5,
        p90_us: 14.0,
        p99_us: 18.0,
        sd_us: 0.1,
        launches: 1,
        looped: 1,
        staged_sets: 64,
        warmup_launches: 4,
        unconfirmed: 0,
        outliers: OutliersRecord::default(),
        processes: vec![vec![12_300.0]],
        roofline: None,
    }
}

/// A bound at which a case stands.
pub(crate) fn roofline() -> RooflineRecord {
    RooflineRecord {
        floor_us: 6.5,
        bound: "memory (L2)".to_owned(),
        share: 0.434,
        headroom_us: 8.7,
        flops_per_s: None,
        bytes_per_s: None,
        implausible_under_us: None,
    }
}

/// A measurement of these cases.
pub(crate) fn bench(cases: Vec<CaseRecord>) -> BenchRecord {
    BenchRecord {
        problem: "p".to_owned(),
        purpose: Purpose::Candidate,
        kernel_digest: "ab".repeat(32),
        incumbent_digest: None,
        harness_digest: "cd".repeat(32),
        seed: 7,
        core: Some(1),
        device: "cpu".to_owned(),
        sandbox: "landlock abi 7, seccomp".to_owned(),
        mode: CacheMode::Hot,
        clocks: None,
        metric: "median_us".to_owned(),
        value_us: 12.3,
        lower_us: 12.0,
        upper_us: 13.0,
        level: 0.95,
        basis: Basis::Processes,
        between_sd: 0.001,
        within_sd: 0.002,
        launches: 32,
        processes: 8,
        looks: vec![8, 16, 32],
        looks_used: 2,
        stopped: None,
        stopped_early: false,
        saved_launches: 0,
        saved_seconds: 0.0,
        discarded_throttled: 0,
        timer: Some(Timer::default()),
        conditions: Conditions::default(),
        device_conditions: None,
        unstable: Vec::new(),
        no_roofline: None,
        cases,
        layouts: LayoutsRecord { candidate: SideLayouts::default(), incumbent: None },
        profile: None,
        telemetry: None,
        holdout: None,
        comparison: None,
        calibration: None,
        identical: None,
        words: None,
        warnings: Vec::new(),
    }
}

/// What was decided of a comparison: a gain of 2 %, proven and confirmed.
pub(crate) fn comparison() -> ComparisonRecord {
    let rule = Rule::default();
    let verdict = rule.judge(&[0.02; 16], &[0.02; 8]);
    ComparisonRecord {
        against: "the best so far".to_owned(),
        reason: verdict.reason,
        better: true,
        decision: Decision::Keep,
        guard: Guard::Off,
        gain: Some(0.02),
        gain_lower: Some(0.01),
        gain_upper: Some(0.03),
        gain_level: Some(0.95),
        factor: Some(1.02),
        pairs: verdict.pairs,
        confirm_pairs: 8,
        launches: 64,
        processes: 16,
        discarded_throttled: 0,
        seconds: 1.5,
        pair_sd: Some(0.001),
        process_sd: Some(0.001),
        pairs_per_process: Some(1),
        smallest_gain: Some(0.003),
        cases: Vec::new(),
        what_helps: Vec::new(),
        record: Comparison {
            rule,
            scoring: Scoring::default(),
            seed: 1,
            pairs: Vec::new(),
            confirm: Vec::new(),
            verdict,
            cut: None,
            deterministic: false,
            seconds: 1.5,
            spent: Spent::default(),
            guard: Guard::Off,
            harmed: Vec::new(),
        },
    }
}

/// A decision, whatever it rests on.
pub(crate) fn decided(decision: Decision) -> Decided {
    // Seven pairs are too few to prove anything.
    let (d, pairs) = match decision {
        Decision::Keep => (0.02, 16),
        Decision::Revert => (-0.02, 16),
        Decision::Undecided => (0.02, 7),
    };
    let verdict = Rule::default().judge(&vec![d; pairs], &[d; 8]);
    Decided::of(&verdict, Guard::Off, &[])
}

/// A command's number that was compared.
pub(crate) fn command(metric: &str) -> CommandRecord {
    CommandRecord {
        comparison: Some(comparison()),
        words: Some("w".to_owned()),
        ..CommandRecord::of_number(metric, None, 1)
    }
}
