//! What the processor did while a kernel ran: hardware counters by `perf stat` where they count,
//! else a simulation by `valgrind --tool=callgrind`, else what is missing and the command that
//! mends it.
//!
//! Not for deciding anything: nothing here is a time, and a simulated cache is not the machine's.

mod callgrind;
mod perf;
mod request;

use std::collections::BTreeMap;

pub use self::request::CountersRequest;
pub use crate::engine::account::{CountersReport, HotLine, Tool};

/// Runs the command under the best tool there is.
pub fn take(request: &CountersRequest<'_>) -> CountersReport {
    let mut report = CountersReport::default();
    for tool in [perf::take, callgrind::take] {
        match tool(request) {
            Ok(counted) => {
                report.unavailable.extend(counted.unavailable);
                let unavailable = std::mem::take(&mut report.unavailable);
                let derived = derived(&counted.counters);
                return CountersReport { derived, unavailable, ..counted };
            }
            Err(why) => report.unavailable.push(why.to_string()),
        }
        if request.cancel.is_set() {
            break;
        }
    }
    report
}

/// Instructions per cycle, the share of branches that were guessed wrong, and misses per 1000
/// instructions (MPKI; Hennessy and Patterson, "Computer Architecture", 6th edition, section B.1).
/// A ratio whose parts were not counted, or that has no denominator, is left out.
pub fn derived(counters: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    const RATIOS: [(&str, &str, &str, f64); 7] = [
        ("ipc", "instructions", "cycles", 1.0),
        ("branch_miss_rate", "branch-misses", "branches", 1.0),
        ("cache_miss_rate", "cache-misses", "cache-references", 1.0),
        ("branch_misses_per_1000", "branch-misses", "instructions", 1000.0),
        ("cache_misses_per_1000", "cache-misses", "instructions", 1000.0),
        ("l1d_load_misses_per_1000", "L1-dcache-load-misses", "instructions", 1000.0),
        ("dtlb_load_misses_per_1000", "dTLB-load-misses", "instructions", 1000.0),
    ];
    let ratio = |&(name, part, whole, scale): &(&str, &str, &str, f64)| {
        let (part, whole) = (counters.get(part)?, counters.get(whole)?);
        (*whole > 0.0).then(|| (name.to_owned(), part / whole * scale))
    };
    RATIOS.iter().filter_map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::process::Cancel;

    fn counters(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn ratios_need_both_their_parts() {
        let all = derived(&counters(&[
            ("instructions", 4000.0),
            ("cycles", 1000.0),
            ("branch-misses", 10.0),
            ("branches", 400.0),
            ("L1-dcache-load-misses", 8.0),
        ]));
        let wanted = counters(&[
            ("ipc", 4.0),
            ("branch_miss_rate", 0.025),
            ("branch_misses_per_1000", 2.5),
            ("l1d_load_misses_per_1000", 2.0),
        ]);
        assert_eq!(all, wanted);
        assert_eq!(derived(&counters(&[("instructions", 1.0), ("cycles", 0.0)])), counters(&[]));
        assert_eq!(derived(&counters(&[("cycles", 1.0)])), counters(&[]));
    }

    fn request<'a>(
        dir: &'a Path,
        env: &'a [(OsString, OsString)],
        cancel: &'a Cancel,
    ) -> CountersRequest<'a> {
        CountersRequest {
            argv: &[],
            env,
            dir,
            scratch: dir,
            marker: "counters-test",
            timeout: Some(Duration::from_secs(20)),
            function: None,
            cancel,
        }
    }

    #[test]
    fn without_any_tool_both_are_named_with_what_mends_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let env = [("PATH".into(), dir.path().as_os_str().to_owned())];
        let cancel = Cancel::default();
        let argv = [OsString::from("/bin/true")];
        let report = take(&CountersRequest { argv: &argv, ..request(dir.path(), &env, &cancel) });
        assert_eq!((report.tool, report.counters.len()), (Tool::None, 0));
        let words = report.unavailable.join("\n");
        for part in ["perf", "apt install linux-perf", "valgrind", "apt install valgrind"] {
            assert!(words.contains(part), "{words}");
        }
    }

    /// Programs of these names that do what the scripts say.
    fn tools(scripts: &[(&str, &str)]) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        for (name, script) in scripts {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        }
        dir
    }

    #[test]
    fn perf_that_counts_is_used_and_perf_that_cannot_makes_way() {
        // The file after `-o` is the fourth argument of both calls.
        let counts = "printf '400,,instructions,10,100.00,,\\n100,,cycles,10,100.00,,\\n' > \"$4\"";
        let cannot = "printf '<not supported>,,instructions,0,100.00,,\\n' > \"$4\"";
        let cancel = Cancel::default();
        let argv = [OsString::from("/bin/true")];
        for (script, tool, said) in [(counts, Tool::Perf, 0), (cannot, Tool::None, 2)] {
            let dir = tools(&[("perf", script)]);
            let env = [("PATH".into(), dir.path().as_os_str().to_owned())];
            let asked = CountersRequest { argv: &argv, ..request(dir.path(), &env, &cancel) };
            let report = take(&asked);
            assert_eq!((report.tool, report.unavailable.len()), (tool, said), "{report:?}");
            let ipc = report.derived.get("ipc").copied();
            assert_eq!(ipc, (tool == Tool::Perf).then_some(4.0));
        }
    }
}
