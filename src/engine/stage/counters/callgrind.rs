//! A simulated processor by callgrind, whose files are described in the Valgrind manual,
//! "Callgrind Format Specification".

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;

use super::request::{CountersRequest, Uncounted, ended, find, run};
use crate::engine::account::{CountersReport, HotLine, Tool};

/// How many lines a report names.
const HOT_LINES: usize = 10;

/// Simulates the command; an error says why nothing was counted and what mends it.
pub(super) fn take(request: &CountersRequest<'_>) -> Result<CountersReport, Uncounted> {
    let Some(valgrind) = find("valgrind", request) else {
        let install = "apt install valgrind";
        return Err(Uncounted::NotInstalled { tool: "valgrind", install });
    };
    let file = request.scratch.join("callgrind.out");
    let mut args: Vec<OsString> =
        ["--tool=callgrind", "--cache-sim=yes", "--branch-sim=yes"].map(OsString::from).to_vec();
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&file);
    args.push(out);
    if let Some(function) = request.function {
        args.push(format!("--toggle-collect={function}").into());
    }
    args.extend_from_slice(request.argv);
    let finished = run(request, &valgrind, "callgrind", args)?;
    let said = String::from_utf8_lossy(&finished.stdout);
    if let Some(why) = unknown_instruction(&said) {
        return Err(why);
    }
    if let Some(how) = ended(&finished) {
        return Err(Uncounted::Ended { tool: "callgrind", how });
    }
    let text = std::fs::read_to_string(&file)
        .map_err(|e| Uncounted::NoFile { file: file.clone(), why: e.to_string() })?;
    let profile = parse(&text);
    if profile.total("Ir") <= 0.0 {
        let function = request.function.unwrap_or("the command").to_owned();
        return Err(Uncounted::Nothing { function });
    }
    let unavailable = vec!["callgrind counts no cycles; its caches are a simple model".to_owned()];
    Ok(CountersReport {
        tool: Tool::Callgrind,
        counters: profile.counters(),
        hot_lines: profile.hot_lines(),
        unavailable,
        ..CountersReport::default()
    })
}

/// Valgrind does not know every instruction (AVX-512 above all), and ends the command at one.
fn unknown_instruction(said: &str) -> Option<Uncounted> {
    let mut lines = said.lines().skip_while(|l| !l.contains("Unrecognised instruction"));
    lines.next()?;
    // `==24312==    at 0x10940B: sgemm (sgemm_fast.c:57)`.
    let place = lines.next().and_then(|l| l.split_once(": ")).map_or("", |(_, place)| place);
    let place = if place.is_empty() { "the command" } else { place };
    Some(Uncounted::UnknownInstruction { place: place.to_owned() })
}

/// Costs of single lines, summed over functions.
#[derive(Debug, Default, PartialEq)]
struct Profile {
    events: Vec<String>,
    lines: HashMap<(String, u32), Vec<f64>>,
}

impl Profile {
    fn total(&self, event: &str) -> f64 {
        let Some(at) = self.events.iter().position(|e| e == event) else { return 0.0 };
        self.lines.values().filter_map(|costs| costs.get(at)).sum()
    }

    /// By perf's names where there is one for the same thing.
    fn counters(&self) -> BTreeMap<String, f64> {
        const NAMES: [(&str, &[&str]); 7] = [
            ("instructions", &["Ir"]),
            ("branches", &["Bc", "Bi"]),
            ("branch-misses", &["Bcm", "Bim"]),
            ("L1-dcache-loads", &["Dr"]),
            ("L1-dcache-load-misses", &["D1mr"]),
            ("L1-dcache-store-misses", &["D1mw"]),
            ("LLC-misses", &["ILmr", "DLmr", "DLmw"]),
        ];
        let counted = |events: &[&str]| events.iter().all(|e| self.events.iter().any(|o| o == e));
        let sum = |events: &[&str]| events.iter().map(|e| self.total(e)).sum();
        let known = NAMES.iter().filter(|(_, events)| counted(events));
        known.map(|(name, events)| ((*name).to_owned(), sum(events))).collect()
    }

    fn hot_lines(&self) -> Vec<HotLine> {
        let total = self.total("Ir");
        let mut lines: Vec<HotLine> = self
            .lines
            .iter()
            // What has no debug information is on line 0 of no file.
            .filter(|((_, line), costs)| *line > 0 && costs.first().is_some_and(|c| *c > 0.0))
            .map(|((file, line), costs)| HotLine {
                file: PathBuf::from(file),
                line: *line,
                share: costs[0] / total,
            })
            .collect();
        lines.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.file.cmp(&b.file)));
        lines.truncate(HOT_LINES);
        lines
    }
}

fn parse(text: &str) -> Profile {
    let mut profile = Profile::default();
    let mut names: HashMap<String, String> = HashMap::new();
    let (mut file, mut line) = (String::new(), 0_u32);
    let mut inclusive = false;
    for text in text.lines() {
        if let Some(events) = text.strip_prefix("events: ") {
            profile.events = events.split_whitespace().map(str::to_owned).collect();
        } else if let Some((key, value)) = text.split_once('=') {
            match key {
                "fl" | "fi" | "fe" => file = name(&mut names, value),
                // Names of other files share their numbers.
                "cfi" | "cfl" => drop(name(&mut names, value)),
                // What follows is the cost of the callee, counted there.
                "calls" => inclusive = true,
                _ => {}
            }
        } else if let Some((at, costs)) = costs(text, line) {
            line = at;
            if !std::mem::take(&mut inclusive) {
                let sums = profile.lines.entry((file.clone(), line)).or_default();
                sums.resize(sums.len().max(costs.len()), 0.0);
                sums.iter_mut().zip(&costs).for_each(|(sum, cost)| *sum += cost);
            }
        }
    }
    profile
}

/// `(3) name` names number 3, `(3)` stands for it.
fn name(names: &mut HashMap<String, String>, value: &str) -> String {
    let Some((number, rest)) = value.strip_prefix('(').and_then(|v| v.split_once(')')) else {
        return value.to_owned();
    };
    if !rest.trim().is_empty() {
        names.insert(number.to_owned(), rest.trim().to_owned());
    }
    names.get(number).cloned().unwrap_or_default()
}

/// `12 5 0 1`, `+3 5`, `-2 5`, `* 5`: a line, absolute or from the last one, and its costs; zeros
/// at the end are left out.
fn costs(text: &str, last: u32) -> Option<(u32, Vec<f64>)> {
    let mut words = text.split_whitespace();
    let position = words.next()?;
    let line = match position.as_bytes()[0] {
        b'*' => last,
        b'+' => last.checked_add(position[1..].parse().ok()?)?,
        b'-' => last.checked_sub(position[1..].parse().ok()?)?,
        b'0'..=b'9' => position.parse().ok()?,
        _ => return None,
    };
    let costs = words.map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?;
    Some((line, costs))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What valgrind 3.19 wrote for five launches of the shipped sgemm, shortened.
    const SGEMM: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
cmd:  ./drv
part: 1

desc: I1 cache: 32768 B, 64 B, 8-way associative
positions: line
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw Bc Bcm Bi Bim
summary: 8094860 2621795 20830 4 69 53 4 0 0 1352010 20846

ob=(5) /k/drv
fl=(146) /k/drv.c
fn=(536) main
cfi=(155) /k/sgemm.c
cfn=(574) sgemm
calls=1 4 
4 1618972 524359 4166 4 61 5 4 0 0 270402 4195
cfi=(155)
cfn=(574)
calls=4 4 
4 6475888 2097436 16664 0 8 48 0 0 0 1081608 16651

fl=(155)
fn=(574)
4 10 0 0 1 0 0 1 0 0 5
+4 900 300 0 0 5 0 1
-1 80 0 0 0 0 0 0 0 0 40 2
* 10
fi=(160) /k/inner.h
2 100 25
fe=(155)
8 100 0 10
";

    #[test]
    fn own_costs_are_summed_by_line_and_callees_counted_once() {
        let profile = parse(SGEMM);
        let line = |file: &str, line| profile.lines[&(file.to_owned(), line)][0];
        assert_eq!(profile.total("Ir").round() as u64, 1200);
        assert_eq!(line("/k/sgemm.c", 8).round() as u64, 1000);
        assert_eq!(line("/k/sgemm.c", 7).round() as u64, 90);
        assert_eq!(line("/k/inner.h", 2).round() as u64, 100);
        let hot = profile.hot_lines();
        assert_eq!((hot[0].file.to_str(), hot[0].line), (Some("/k/sgemm.c"), 8));
        assert!((hot[0].share - 1000.0 / 1200.0).abs() < 1e-12);
        assert_eq!(hot.len(), 4);
    }

    #[test]
    fn events_get_the_names_that_perf_has() {
        let counters = parse(SGEMM).counters();
        let whole = |name: &str| counters.get(name).map(|v| v.round() as u64);
        for (name, value) in [
            ("instructions", 1200),
            ("branches", 45),
            ("branch-misses", 2),
            ("L1-dcache-loads", 325),
            ("L1-dcache-load-misses", 5),
            ("LLC-misses", 2),
        ] {
            assert_eq!(whole(name), Some(value), "{name}");
        }
        let few = parse("events: Ir\nfl=(1) a.c\n3 7\n").counters();
        assert_eq!(few.keys().collect::<Vec<_>>(), ["instructions"]);
        assert_eq!(parse(""), Profile::default());
    }

    #[test]
    fn an_instruction_that_valgrind_does_not_know_is_told_with_its_place() {
        let said = "==7== For interactive control, run 'callgrind_control -h'.\n\
            vex amd64->IR: unhandled instruction bytes: 0x62 0x51 0x7C 0x48\n\
            ==7== valgrind: Unrecognised instruction at address 0x10940b.\n\
            ==7==    at 0x10940B: sgemm (sgemm_fast.c:57)\n\
            ==7==    by 0x1090DE: main (drv.c:4)\n";
        let why = unknown_instruction(said).expect("it is told").to_string();
        assert!(why.contains("sgemm (sgemm_fast.c:57)") && why.contains("-mno-avx512f"), "{why}");
        assert_eq!(unknown_instruction("==7== Collected : 8094860\n"), None);
    }
}
