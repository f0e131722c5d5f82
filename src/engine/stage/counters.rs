//! What the processor did while a kernel ran: hardware counters by `perf stat` where they count,
//! else a simulation by `valgrind --tool=callgrind`, else what is missing and the command that
//! mends it.
//!
//! Not for deciding anything: nothing here is a time, and a simulated cache is not the machine's.

mod callgrind;
mod perf;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::engine::account::{CountersReport, HotLine, Tool};

use crate::process::{self, Cancel, CommandSpec, Exit, Finished};

/// A command to be watched.
#[derive(Debug, Clone, Copy)]
pub struct CountersRequest<'a> {
    /// The command; its program is an absolute path.
    pub argv: &'a [OsString],
    /// Its whole environment; its `PATH` is where the tools are looked for.
    pub env: &'a [(OsString, OsString)],
    /// Where it runs.
    pub dir: &'a Path,
    /// A private folder for what the tools write.
    pub scratch: &'a Path,
    /// Names its processes; unique among those in flight.
    pub marker: &'a str,
    /// How long one run may take; a simulated one takes 30 to 100 times as long as a plain one.
    pub timeout: Option<Duration>,
    /// Count only inside this function and what it calls, where the tool can (callgrind).
    pub function: Option<&'a str>,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

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
            Err(why) => report.unavailable.push(why),
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

/// Finds a tool on the request's own `PATH`.
fn find(tool: &str, request: &CountersRequest<'_>) -> Option<PathBuf> {
    let path = request.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    process::resolve(OsStr::new(tool), request.dir, path?)
}

/// Runs a tool on a command.
fn run(
    (tool, part): (&Path, &str),
    args: impl IntoIterator<Item = OsString>,
    request: &CountersRequest<'_>,
) -> Result<Finished, String> {
    let mut spec = CommandSpec::new(tool, request.dir, format!("{}.{part}", request.marker));
    spec.args = args.into_iter().collect();
    spec.env = request.env.to_vec();
    // Numbers with points and messages in English, whatever the user's language.
    spec.env.retain(|(name, _)| name != "LC_ALL");
    spec.env.push(("LC_ALL".into(), "C".into()));
    spec.timeout = request.timeout;
    process::run(&spec, request.cancel).map_err(|e| e.to_string())
}

/// How a watched command ended, when it did not pass.
fn ended(finished: &Finished) -> Option<String> {
    match finished.exit {
        Exit::Code(0) => None,
        Exit::Code(code) => Some(format!("the command exited with {code}")),
        Exit::Signal(signal) => Some(format!("the command was ended by signal {signal}")),
        Exit::TimedOut => Some("the command took too long and was ended".to_owned()),
        Exit::Cancelled => Some("interrupted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
