//! Hardware counters by `perf stat -x,`, whose lines are described in perf-stat(1), "CSV FORMAT".

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::request::{CountersRequest, Uncounted, ended, find, run};
use crate::engine::account::{CountersReport, Tool};
use crate::process::SpawnError;

/// What is counted, where the processor can.
const EVENTS: &str = "cycles,instructions,branches,branch-misses,cache-references,cache-misses,\
                      L1-dcache-load-misses,dTLB-load-misses";

/// Below this share of the time a counter was on, its value is more guess than count.
const MULTIPLEXED: f64 = 99.5;

/// Counts over the whole command; an error says why nothing was counted and what mends it.
pub(super) fn take(request: &CountersRequest<'_>) -> Result<CountersReport, Uncounted> {
    let Some(perf) = find("perf", request) else {
        let install = "apt install linux-perf (or linux-tools, perf)";
        return Err(Uncounted::NotInstalled { tool: "perf", install });
    };
    // Perf alone knows whether it may count and whether there is anything that counts; a command
    // that does nothing tells it without running the kernel.
    let idle = [OsString::from("/bin/true")];
    let probe = Count { events: "instructions,cycles", part: "probe", argv: &idle };
    let probed = stat(request, &perf, &probe)?;
    if probed.counters.is_empty() {
        return Err(probed.refusal());
    }
    let counted =
        stat(request, &perf, &Count { events: EVENTS, part: "perf", argv: request.argv })?;
    if let Some(how) = counted.ended {
        return Err(Uncounted::Ended { tool: "perf", how });
    }
    if counted.counters.is_empty() {
        return Err(counted.refusal());
    }
    let mut unavailable = counted.notes;
    if !counted.missing.is_empty() {
        let missing = counted.missing.join(", ");
        unavailable.push(format!("perf: this processor does not count {missing} here"));
    }
    let counters = counted.counters;
    Ok(CountersReport { tool: Tool::Perf, counters, unavailable, ..CountersReport::default() })
}

/// What one call of perf gave.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    counters: BTreeMap<String, f64>,
    missing: Vec<String>,
    notes: Vec<String>,
    /// What perf itself said.
    said: String,
    /// How the command ended when it did not pass.
    ended: Option<String>,
}

impl Counted {
    /// Why there is no number at all.
    fn refusal(&self) -> Uncounted {
        let forbidden = ["perf_event_paranoid", "No permission", "not permitted"];
        if forbidden.iter().any(|words| self.said.contains(words)) {
            return Uncounted::Forbidden;
        }
        if !self.missing.is_empty() {
            return Uncounted::NoCounters;
        }
        let first = self.said.lines().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
        Uncounted::Broken(first.trim().to_owned())
    }
}

/// One call of perf.
struct Count<'a> {
    events: &'a str,
    /// Tells its process and its file from those of other calls.
    part: &'a str,
    argv: &'a [OsString],
}

fn stat(
    request: &CountersRequest<'_>,
    perf: &Path,
    count: &Count<'_>,
) -> Result<Counted, SpawnError> {
    let Count { events, part, argv } = *count;
    let file = request.scratch.join(format!("{part}.csv"));
    let mut args: Vec<OsString> = ["stat", "-x,", "-o"].map(OsString::from).to_vec();
    args.push(file.clone().into());
    args.extend(["-e", events, "--"].map(OsString::from));
    args.extend_from_slice(argv);
    let finished = run(request, perf, part, args)?;
    let mut counted = parse(&std::fs::read_to_string(&file).unwrap_or_default());
    counted.said = String::from_utf8_lossy(&finished.stdout).into_owned();
    counted.ended = ended(&finished);
    Ok(counted)
}

/// `value,unit,event,time counted,share of the time,…`, a line for each event.
fn parse(text: &str) -> Counted {
    let mut counted = Counted::default();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split(',').collect();
        let (Some(value), Some(event)) = (fields.first(), fields.get(2)) else { continue };
        // `:u` says that only the program itself was counted, not the kernel of the system.
        let event = event.split(':').next().unwrap_or(event).to_owned();
        if event.is_empty() {
            continue;
        }
        match value.parse::<f64>() {
            Ok(value) => {
                let share = fields.get(4).and_then(|s| s.parse::<f64>().ok()).unwrap_or(100.0);
                if share < MULTIPLEXED {
                    let note = format!("perf: {event} was counted {share:.0} % of the time");
                    counted.notes.push(format!("{note}, and is scaled up"));
                }
                counted.counters.insert(event, value);
            }
            Err(_) => counted.missing.push(event),
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a virtual machine without counters.
    const NONE: &str = "# started on Sat Nov 21 13:42:25 2026\n\n\
        <not supported>,,instructions,0,100.00,,\n<not supported>,,cycles,0,100.00,,\n";

    /// From perf-stat(1) and a desktop: one event does not exist, one shared its counter.
    const SOME: &str = "# started on Mon Jan  6 10:00:00 2025\n\n\
        1023456,,cycles:u,451234,100.00,,\n\
        2046912,,instructions:u,451234,100.00,2.00,insn per cycle\n\
        5000,,branch-misses:u,225617,50.00,1.25,of all branches\n\
        <not counted>,,cache-misses,0,0.00,,\n\
        <not supported>,,dTLB-load-misses,0,100.00,,\n";

    #[test]
    fn lines_are_read_as_counts_or_as_missing() {
        let some = parse(SOME);
        let counts: Vec<(&str, f64)> =
            some.counters.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let wanted =
            [("branch-misses", 5000.0), ("cycles", 1_023_456.0), ("instructions", 2_046_912.0)];
        assert_eq!(counts, wanted);
        assert_eq!(some.missing, ["cache-misses", "dTLB-load-misses"]);
        assert_eq!(some.notes.len(), 1, "{:?}", some.notes);
        assert!(some.notes[0].contains("50 %"), "{:?}", some.notes);
        let none = parse(NONE);
        assert_eq!((none.counters.len(), none.missing.len()), (0, 2));
        assert_eq!(parse(""), Counted::default());
    }

    #[test]
    fn a_refusal_says_what_mends_it() {
        let said = |text: &str| Counted { said: text.to_owned(), ..Counted::default() }.refusal();
        assert_eq!(parse(NONE).refusal(), Uncounted::NoCounters);
        let paranoid = "Error:\nAccess to performance monitoring and observability operations is \
                        limited.\nConsider adjusting /proc/sys/kernel/perf_event_paranoid setting";
        assert_eq!(said(paranoid), Uncounted::Forbidden);
        assert!(said(paranoid).to_string().contains("sysctl kernel.perf_event_paranoid=1"));
        let broken = said("WARNING: perf not found for kernel 6.1\n").to_string();
        assert!(broken.contains("perf not found"), "{broken}");
    }
}
