//! What no section of an artifact shows, in the order in which it was recorded.

use serde_json::json;

use super::facts::{fact, facts, told};
use crate::engine::StageRecord;
use crate::engine::account::{
    BenchRecord, BestRecord, CheckRecord, CommandRecord, CompileRecord, ProfileRecord,
    SanitizersRecord, TelemetryRecord,
};

/// Names with values.
type Rows = Vec<(String, String)>;

/// What the machine did meanwhile, and all else that the stage kind recorded.
pub(super) fn of(record: &StageRecord) -> Rows {
    match record {
        StageRecord::Bench(bench) => of_bench(bench),
        StageRecord::Check(check) => of_check(check),
        StageRecord::Command(command) => of_command(command),
        StageRecord::Compile(compile) => of_compile(compile),
        StageRecord::Best(best) => of_best(best),
        StageRecord::Unmeasured(begun) => facts(&[("seed", json!(begun.seed))]),
    }
}

fn of_bench(bench: &BenchRecord) -> Rows {
    let conditions = &bench.conditions;
    let mut rows = facts(&[
        ("governor", json!(conditions.governor)),
        ("turbo", json!(conditions.turbo)),
        ("load_before", json!(conditions.load_before)),
        ("load_after", json!(conditions.load_after)),
        ("busy_cores", json!(conditions.busy_cores)),
        ("stolen", json!(conditions.stolen)),
        ("problem", json!(bench.problem)),
        ("purpose", json!(bench.purpose)),
        ("kernel_digest", json!(bench.kernel_digest)),
        ("incumbent_digest", json!(bench.incumbent_digest)),
        ("harness_digest", json!(bench.harness_digest)),
        ("seed", json!(bench.seed)),
        ("core", json!(bench.core)),
        ("device", json!(bench.device)),
        ("sandbox", json!(bench.sandbox)),
        ("mode", json!(bench.mode)),
        ("clocks", json!(bench.clocks)),
        ("between_sd", json!(bench.between_sd)),
        ("within_sd", json!(bench.within_sd)),
        ("launches", json!(bench.launches)),
        ("processes", json!(bench.processes)),
        ("looks", json!(bench.looks)),
        ("looks_used", json!(bench.looks_used)),
        ("discarded_throttled", json!(bench.discarded_throttled)),
        ("timer", json!(bench.timer)),
        ("device_conditions", json!(bench.device_conditions)),
        ("no_roofline", json!(bench.no_roofline)),
        ("layouts", json!(bench.layouts)),
    ]);
    rows.extend(bench.profile.as_ref().and_then(of_profile));
    rows.extend(bench.telemetry.as_ref().and_then(of_telemetry));
    rows.extend(facts(&[
        ("holdout", json!(bench.holdout)),
        ("identical", json!(bench.identical)),
        ("warnings", json!(bench.warnings)),
    ]));
    rows
}

fn of_profile(profile: &ProfileRecord) -> Option<(String, String)> {
    let parts = [
        ("verdict", json!(profile.verdict)),
        ("case", json!(profile.case)),
        ("counters", json!(profile.counters)),
        ("no_counters", json!(profile.no_counters)),
        ("remarks", json!(profile.remarks)),
        ("no_remarks", json!(profile.no_remarks)),
        ("ncu", json!(profile.ncu)),
        ("bottleneck", json!(profile.bottleneck)),
        ("report", json!(profile.report)),
        ("no_ncu", json!(profile.no_ncu)),
        ("occupancy", json!(profile.occupancy)),
    ];
    told("profile", &profile.lines, &parts)
}

fn of_telemetry(telemetry: &TelemetryRecord) -> Option<(String, String)> {
    let parts = [
        ("bounds", json!(telemetry.bounds)),
        ("headroom", json!(telemetry.headroom)),
        ("slack", json!(telemetry.slack)),
    ];
    told("telemetry", &telemetry.lines, &parts)
}

fn of_check(check: &CheckRecord) -> Rows {
    let mut rows = facts(&[
        ("seed", json!(check.seed)),
        ("core", json!(check.core)),
        ("device", json!(check.device)),
        ("launches", json!(check.launches)),
        ("controls", json!(check.controls)),
        ("deterministic", json!(check.deterministic)),
        ("unsteady", json!(check.unsteady)),
        ("growth", json!(check.growth)),
        ("holdout", json!(check.holdout)),
        ("endurance", json!(check.endurance)),
        ("memory", json!(check.memory)),
    ]);
    rows.extend(check.sanitizers.as_ref().and_then(of_sanitizers));
    rows.extend(fact("sandbox", &json!(check.sandbox)));
    rows
}

fn of_sanitizers(sanitizers: &SanitizersRecord) -> Option<(String, String)> {
    let parts = [
        ("ran", json!(sanitizers.ran)),
        ("why", json!(sanitizers.why)),
        ("address", json!(sanitizers.address)),
        ("undefined", json!(sanitizers.undefined)),
        ("memcheck", json!(sanitizers.memcheck)),
        ("racecheck", json!(sanitizers.racecheck)),
        ("cases", json!(sanitizers.cases)),
        ("warnings", json!(sanitizers.warnings)),
        ("found", json!(sanitizers.found)),
    ];
    told("sanitizers", &sanitizers.lines, &parts)
}

fn of_command(command: &CommandRecord) -> Rows {
    facts(&[
        ("metric", json!(command.metric)),
        ("unit", json!(command.unit)),
        ("matches", json!(command.matches)),
        ("incumbent_matches", json!(command.incumbent_matches)),
        ("purpose", json!(command.purpose)),
        ("layouts", json!(command.layouts)),
        ("warnings", json!(command.warnings)),
        ("trees", json!(command.trees)),
        ("identical", json!(command.identical)),
    ])
}

fn of_compile(compile: &CompileRecord) -> Rows {
    facts(&[
        ("compiler", json!(compile.compiler)),
        ("commands", json!(compile.commands)),
        ("layouts", json!(compile.layouts)),
        ("arch", json!(compile.arch)),
    ])
}

fn of_best(best: &BestRecord) -> Rows {
    facts(&[
        ("best", json!(best.best)),
        ("by", json!(best.by)),
        ("value", json!(best.value)),
        ("members", json!(best.members)),
    ])
}
