//! The machine as measurements feel it: cores, clocks, caches, and who else is at work on it.

use std::path::Path;
use std::time::Duration;

use super::check::Check;
use crate::backend::cpu::CpuIdentity;
use crate::cli::columns::number;
use crate::cli::hardware::{
    self, CLOCK, CPUS, Cache, ClockSource, Ticks, list_in_words, percent, siblings_in_words,
};
use crate::cli::lines::machine::CheckValues;
use crate::cli::noise::{self, ClockCost, Noise};
use crate::cli::{devices, host, words};
use crate::engine::lease;
use crate::process::Cancel;

/// How long others are watched.
const WATCH: Duration = Duration::from_millis(200);
/// How long the A/A run takes.
const NOISE: Duration = Duration::from_millis(400);

/// Everything; takes a good half of a second.
pub(super) fn checks(cpu: &CpuIdentity) -> Vec<Check> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = hardware::usable_cores();
    // Interrupts go to the first core of most machines.
    let core = cores.last().copied().unwrap_or(0);
    let siblings = hardware::siblings(Path::new(CPUS), &cores);
    let before = hardware::ticks(&read("/proc/stat"));
    std::thread::sleep(WATCH);
    let after = hardware::ticks(&read("/proc/stat"));
    let watched = hardware::between(&before, &after);
    let loadavg = read("/proc/loadavg");
    let noise = quiet_noise(core);
    let since = hardware::between(&before, &hardware::ticks(&read("/proc/stat")));
    let here = Path::new(CPUS).join(format!("cpu{core}"));
    let is_virtual = hardware::is_virtual(&read("/proc/cpuinfo"));
    let kind = if is_virtual { MachineKind::Virtual } else { MachineKind::Real };
    vec![
        usable(cpu, &cores),
        smt(&siblings, kind, core, &watched),
        caches(&hardware::caches(&here)),
        governor(&cpu.governor),
        turbo(cpu.turbo),
        busy(load(Some(&loadavg), cpu.cores), &watched),
        steal(&since, &after),
        clock(&hardware::clock_source(Path::new(CLOCK)), noise::clock_cost()),
        spread(&noise, core),
    ]
}

/// The A/A run, unless it would disturb a measurement of somebody else.
fn quiet_noise(core: u32) -> Result<Noise, String> {
    let cancel = Cancel::default();
    let folder = lease::folder(&host::Disk);
    let request = lease::Request {
        folder: &folder,
        device: "cpu",
        who: &format!("{} optloop doctor", std::process::id()),
        no_wait: true,
        waiting: &|_| {},
        cancel: &cancel,
    };
    let _lease = lease::take(&request).map_err(|e| format!("not measured: {e}"))?;
    noise::measure(core, NOISE).ok_or_else(|| "not measured: there was no time for it".to_owned())
}

fn usable(cpu: &CpuIdentity, cores: &[u32]) -> Check {
    let found = format!("{} usable ({}), {}", cpu.cores, list_in_words(cores), cpu.model);
    let check = if cpu.cores > 1 {
        Check::ok("cores", found)
    } else {
        let cost = "judge and kernel share one core, so times are noisier";
        Check::weak("cores", found, cost, "give the machine or the container more than one")
    };
    check.with(CheckValues { cores: Some(cores.to_vec()), ..CheckValues::default() })
}

/// Whether the processor is seen as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MachineKind {
    Real,
    Virtual,
}

/// Cores that share execution units: the kernel's neighbour must be idle.
fn smt(siblings: &[Vec<u32>], kind: MachineKind, core: u32, watched: &[Ticks]) -> Check {
    if siblings.is_empty() {
        let found = match kind {
            MachineKind::Virtual => "no siblings told, and a virtual machine may hide them",
            MachineKind::Real => "no siblings: each core is alone",
        };
        return Check::ok("smt", found);
    }
    let neighbours: Vec<u32> = siblings
        .iter()
        .filter(|group| group.contains(&core))
        .flat_map(|group| group.iter().copied().filter(|other| *other != core))
        .collect();
    let load = watched.iter().filter(|ticks| neighbours.contains(&ticks.core));
    let load = load.map(|ticks| percent(ticks.busy, ticks.all)).fold(0.0, f64::max);
    let groups = siblings_in_words(siblings);
    let found = format!("cores {groups} share units; beside core {core} runs {load:.0} %");
    let check = if load <= 10.0 {
        Check::ok("smt", found)
    } else {
        let cost = "what runs on a sibling takes up to half of the kernel's core";
        let mend = "echo off > /sys/devices/system/cpu/smt/control, or end what runs there: top";
        Check::weak("smt", found, cost, mend)
    };
    check.with(CheckValues {
        siblings: Some(siblings.to_vec()),
        sibling_busy_percent: Some(load),
        ..CheckValues::default()
    })
}

fn caches(caches: &[Cache]) -> Check {
    if caches.is_empty() {
        let cost = "the bounds of kernels that live in a cache are not known";
        let mend = "let the virtual machine show its caches (qemu: -cpu host,host-cache-info=on)";
        return Check::weak("caches", "not told", cost, mend);
    }
    let words: Vec<String> = caches.iter().map(Cache::in_words).collect();
    let values =
        CheckValues { caches: Some(devices::caches_found(caches)), ..CheckValues::default() };
    Check::ok("caches", words.join(", ")).with(values)
}

fn governor(governor: &str) -> Check {
    match governor {
        "" => Check::ok("governor", "not told"),
        "performance" => Check::ok("governor", governor),
        other => {
            let mend = "cpupower frequency-set -g performance (apt install linux-cpupower)";
            Check::weak("governor", other, "the clock follows the load: times vary", mend)
        }
    }
}

fn turbo(turbo: Option<bool>) -> Check {
    let found = devices::turbo_in_words(turbo);
    if turbo != Some(true) {
        return Check::ok("turbo", found);
    }
    let mend = "echo 0 > /sys/devices/system/cpu/cpufreq/boost \
                (intel_pstate: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo)";
    Check::weak("turbo", found, "the clock follows the temperature: times vary", mend)
}

fn load(loadavg: Option<&str>, cores: u32) -> Check {
    let one = loadavg.and_then(|t| t.split_whitespace().next()?.parse::<f64>().ok());
    match one {
        None => Check::ok("load", "not told"),
        Some(load) if load <= f64::from(cores) / 2.0 => Check::ok("load", format!("{load:.2}")),
        Some(load) => {
            let found = format!("{load:.2} on {cores} cores");
            Check::weak("load", found, "times are noisier", "end what else is running: top")
        }
    }
}

/// The load average looks back a minute; this is how busy the cores are right now.
fn busy(check: Check, watched: &[Ticks]) -> Check {
    if watched.is_empty() {
        return check;
    }
    let (busy, all) = watched.iter().fold((0, 0), |(b, a), t| (b + t.busy, a + t.all));
    let now = percent(busy, all);
    let found = format!("{}; {now:.0} % of the cores busy now", check.found);
    let values = CheckValues { busy_percent: Some(now), ..CheckValues::default() };
    Check { found, ..check }.with(values)
}

fn steal(since: &[Ticks], ever: &[Ticks]) -> Check {
    let share = |ticks: &[Ticks]| {
        let (steal, all) = ticks.iter().fold((0, 0), |(s, a), t| (s + t.steal, a + t.all));
        percent(steal, all)
    };
    if ever.is_empty() {
        return Check::ok("steal time", "not told");
    }
    let (now, always) = (share(since), share(ever));
    let found = format!("{} % now, {} % since the start", rounded(now), rounded(always));
    let check = if now <= 1.0 && always <= 1.0 {
        Check::ok("steal time", found)
    } else {
        let cost = "the host runs others on these cores: times jump";
        Check::weak("steal time", found, cost, "use a machine whose cores are its own")
    };
    check.with(CheckValues {
        now_percent: Some(now),
        since_start_percent: Some(always),
        ..CheckValues::default()
    })
}

fn rounded(value: f64) -> String {
    number((value * 100.0).round() / 100.0)
}

/// Clocks that are read without asking a device (Linux, arch/x86/entry/vdso and
/// Documentation/timers/timekeeping.rst).
const FAST: [&str; 5] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase"];

fn clock(source: &ClockSource, cost: ClockCost) -> Check {
    let name = if source.current.is_empty() { "not told" } else { &source.current };
    let reading = words::duration_us(cost.reading_ns / 1e3);
    let step = words::duration_us(cost.step_ns / 1e3);
    let found = format!("{name}; a reading takes {reading}, its smallest step is {step}");
    let known = FAST.contains(&name) || source.current.is_empty();
    let check = if known && cost.reading_ns < 200.0 {
        Check::ok("time source", found)
    } else {
        let mend = match source.available.iter().find(|a| FAST.contains(&a.as_str())) {
            Some(fast) if fast != name => {
                format!("echo {fast} > {CLOCK}/current_clocksource")
            }
            _ => "boot with clocksource=tsc tsc=reliable, if the machine's clock is stable".into(),
        };
        Check::weak("time source", found, "short launches are timed less exactly", &mend)
    };
    check.with(CheckValues {
        reading_ns: Some(cost.reading_ns),
        step_ns: Some(cost.step_ns),
        ..CheckValues::default()
    })
}

fn spread(noise: &Result<Noise, String>, core: u32) -> Check {
    let noise = match noise {
        Ok(noise) => noise,
        Err(why) => return Check::ok("noise", why.clone()),
    };
    let found = format!(
        "{} % between two runs of the same {} on core {core} ({} pairs); {} % of runs disturbed",
        rounded(noise.sd_percent),
        words::duration_us(noise.run_us),
        noise.pairs,
        number(noise.disturbed_percent.round()),
    );
    let check = if noise.sd_percent <= 1.0 && noise.disturbed_percent <= 10.0 {
        Check::ok("noise", found)
    } else {
        let cost = "small differences need many more launches, or are not seen at all";
        Check::weak("noise", found, cost, "mend what is weak above, and end what else runs: top")
    };
    check.with(CheckValues {
        sd_percent: Some(noise.sd_percent),
        disturbed_percent: Some(noise.disturbed_percent),
        pairs: Some(noise.pairs),
        ..CheckValues::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lines::machine::CheckStanding;

    fn ticks(core: u32, busy: u64, steal: u64) -> Ticks {
        Ticks { core, busy, steal, all: 100 }
    }

    #[test]
    fn a_busy_machine_is_weak_and_one_that_does_not_tell_is_not() {
        for (loadavg, standing) in [
            (None, CheckStanding::Ok),
            (Some("odd"), CheckStanding::Ok),
            (Some("0.50 0.1 0.1 1/10 99"), CheckStanding::Ok),
            (Some("3.00 0.1 0.1 1/10 99"), CheckStanding::Weak),
        ] {
            assert_eq!(load(loadavg, 4).standing, standing, "{loadavg:?}");
        }
        assert_eq!(governor("powersave").standing, CheckStanding::Weak);
        assert_eq!(governor("performance").standing, CheckStanding::Ok);
        assert_eq!(turbo(Some(true)).standing, CheckStanding::Weak);
        assert_eq!(turbo(None).standing, CheckStanding::Ok);
        let check = busy(load(Some("0.50"), 4), &[ticks(0, 50, 0), ticks(1, 0, 0)]);
        assert_eq!(check.found, "0.50; 25 % of the cores busy now");
        assert_eq!(busy(load(None, 4), &[]).found, "not told");
    }

    #[test]
    fn only_the_sibling_of_the_measuring_core_counts() {
        let groups = [vec![0, 2], vec![1, 3]];
        for (watched, standing) in [
            ([ticks(1, 90, 0), ticks(0, 90, 0)], CheckStanding::Weak),
            ([ticks(1, 5, 0), ticks(0, 90, 0)], CheckStanding::Ok),
            ([ticks(3, 90, 0), ticks(2, 90, 0)], CheckStanding::Ok),
        ] {
            let check = smt(&groups, MachineKind::Real, 3, &watched);
            assert_eq!(check.standing, standing, "{}", check.found);
            assert!(check.found.contains("0+2, 1+3"), "{}", check.found);
        }
        assert!(smt(&[], MachineKind::Virtual, 0, &[]).found.contains("may hide"));
        assert!(smt(&[], MachineKind::Real, 0, &[]).found.contains("alone"));
    }

    #[test]
    fn steal_time_now_or_ever_is_weak() {
        let standing = |now, ever| steal(&[ticks(0, 50, now)], &[ticks(0, 50, ever)]).standing;
        assert_eq!(standing(0, 1), CheckStanding::Ok);
        assert_eq!(standing(2, 0), CheckStanding::Weak);
        assert_eq!(standing(0, 2), CheckStanding::Weak);
        assert_eq!(steal(&[], &[]).standing, CheckStanding::Ok);
    }

    #[test]
    fn a_slow_clock_is_weak_and_the_fast_one_at_hand_is_named() {
        let source = |current: &str, available: &[&str]| ClockSource {
            current: current.to_owned(),
            available: available.iter().map(|a| (*a).to_owned()).collect(),
        };
        let cost = |reading_ns| ClockCost { reading_ns, step_ns: 10.0 };
        let check = |source: &ClockSource, ns| clock(source, cost(ns));
        assert_eq!(check(&source("tsc", &["tsc"]), 25.0).standing, CheckStanding::Ok);
        assert_eq!(check(&source("", &[]), 25.0).standing, CheckStanding::Ok);
        let slow = check(&source("hpet", &["tsc", "hpet"]), 25.0);
        assert!(
            slow.standing == CheckStanding::Weak && slow.mend.starts_with("echo tsc"),
            "{slow:?}"
        );
        let slow = check(&source("tsc", &["tsc"]), 900.0);
        assert!(slow.standing == CheckStanding::Weak && slow.mend.starts_with("boot"), "{slow:?}");
    }

    #[test]
    fn a_noisy_core_is_weak_and_an_unmeasured_one_says_why() {
        let noise = |sd_percent, disturbed_percent| {
            Ok(Noise { pairs: 300, run_us: 500.0, sd_percent, disturbed_percent })
        };
        for (noise, standing, says) in [
            (noise(0.123, 2.0), CheckStanding::Ok, "0.12 % between two runs of the same 500 us"),
            (noise(3.0, 2.0), CheckStanding::Weak, "3 %"),
            (noise(0.1, 30.0), CheckStanding::Weak, "30 % of runs disturbed"),
            (Err("not measured: in use".to_owned()), CheckStanding::Ok, "in use"),
        ] {
            let check = spread(&noise, 1);
            assert_eq!(check.standing, standing, "{}", check.found);
            assert!(check.found.contains(says), "{}", check.found);
        }
    }

    #[test]
    fn caches_that_are_not_told_are_weak() {
        assert_eq!(caches(&[]).standing, CheckStanding::Weak);
        let cache = Cache { level: 2, kind: "Unified".into(), bytes: 1 << 20, shared: vec![0] };
        assert_eq!(caches(&[cache]).found, "L2 1 MiB");
    }
}
