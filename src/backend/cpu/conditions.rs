//! What the machine was doing around a measurement: the reasons why a number may not come again.

use std::fs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::identity;

/// What the system counts, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moment {
    load: Option<f64>,
    /// Clock ticks of all cores together: busy, all, stolen by the hypervisor.
    ticks: Option<Ticks>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
    stolen: u64,
}

/// What happened between two moments; measurements record it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ConditionsRecord")]
pub struct Conditions {
    /// Frequency governor; empty where there is none.
    pub governor: String,
    /// Whether turbo is on, where it can be told.
    pub turbo: Option<bool>,
    /// Load average over a minute before.
    pub load_before: Option<f64>,
    /// After.
    pub load_after: Option<f64>,
    /// Cores that were busy on average, this measurement's own included.
    pub busy_cores: Option<f64>,
    /// Share of time that a hypervisor took away, in [0, 1].
    pub stolen: Option<f64>,
}

/// Reads the counters; what cannot be read is left out.
pub fn moment() -> Moment {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Moment { load: load(&read("/proc/loadavg")), ticks: ticks(&read("/proc/stat")) }
}

fn load(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, …
fn ticks(text: &str) -> Option<Ticks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Option<Vec<u64>> = line.split_whitespace().map(|n| n.parse().ok()).collect();
    let numbers = numbers.filter(|n| n.len() >= 8)?;
    let all: u64 = numbers[..8].iter().sum();
    Some(Ticks { busy: all - numbers[3] - numbers[4] - numbers[7], all, stolen: numbers[7] })
}

/// What happened from one moment to the other.
pub fn between(before: &Moment, after: &Moment) -> Conditions {
    let cpu = identity();
    let share = |count: fn(&Ticks) -> u64| -> Option<f64> {
        let (a, b) = (before.ticks.as_ref()?, after.ticks.as_ref()?);
        let all = b.all.checked_sub(a.all).filter(|&all| all > 0)?;
        Some(count(b).saturating_sub(count(a)) as f64 / all as f64)
    };
    let cores = f64::from(online_cores());
    Conditions {
        governor: cpu.governor,
        turbo: cpu.turbo,
        load_before: before.load,
        load_after: after.load,
        busy_cores: share(|t| t.busy).map(|s| s * cores),
        stolen: share(|t| t.stolen),
    }
}

fn online_cores() -> u32 {
    let told = fs::read_to_string("/proc/stat").unwrap_or_default();
    let is_core = |l: &&str| l.starts_with("cpu") && !l.starts_with("cpu ");
    (told.lines().filter(is_core).count() as u32).max(1)
}

impl Conditions {
    /// What speaks against the numbers, in words; `own_cores` is what the measurement itself keeps
    /// busy: the kernel's cores and the judge.
    pub fn reasons(&self, own_cores: f64) -> Vec<String> {
        let mut reasons = Vec::new();
        if !["", "performance"].contains(&self.governor.as_str()) {
            let governor = &self.governor;
            reasons.push(format!("the frequency governor is `{governor}`, not `performance`"));
        }
        if self.turbo == Some(true) {
            reasons.push("turbo is on: the clock follows load and temperature".into());
        }
        if let Some(stolen) = self.stolen.filter(|&s| s > 0.01) {
            reasons.push(format!("the hypervisor took {:.0} % of the time", 100.0 * stolen));
        }
        if let Some(others) = self.busy_cores.map(|b| b - own_cores).filter(|&o| o > 0.5) {
            reasons.push(format!("{others:.1} cores were busy with other work"));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_as_the_kernel_writes_them() {
        let stat = "cpu  100 1 50 800 9 2 3 35 0 0\ncpu0 1 2 3\n";
        assert_eq!(ticks(stat), Some(Ticks { busy: 156, all: 1000, stolen: 35 }));
        assert_eq!(load("0.42 0.5 0.6 1/200 999\n"), Some(0.42));
        for text in ["", "cpu  1 2 3", "intr 5"] {
            assert_eq!(ticks(text), None, "{text}");
        }
    }

    #[test]
    fn each_disturbance_has_its_reason_and_quiet_has_none() {
        let quiet =
            Conditions { busy_cores: Some(1.4), stolen: Some(0.0), ..Conditions::default() };
        assert_eq!(quiet.reasons(1.5), Vec::<String>::new());
        let loud = Conditions {
            governor: "powersave".into(),
            turbo: Some(true),
            busy_cores: Some(3.0),
            stolen: Some(0.2),
            ..Conditions::default()
        };
        let reasons = loud.reasons(1.5);
        for (reason, word) in reasons.iter().zip(["powersave", "turbo", "20 %", "1.5 cores"]) {
            assert!(reason.contains(word), "{reason}");
        }
        assert_eq!(reasons.len(), 4);
    }

    #[test]
    fn two_moments_give_shares_of_what_lay_between() {
        let ticks = |busy, all, stolen| Some(Ticks { busy, all, stolen });
        let before = Moment { load: Some(0.1), ticks: ticks(100, 1000, 0) };
        let after = Moment { load: Some(0.4), ticks: ticks(150, 1100, 10) };
        let seen = between(&before, &after);
        assert_eq!((seen.load_before, seen.load_after), (Some(0.1), Some(0.4)));
        assert_eq!(seen.stolen, Some(0.1));
        assert!(
            seen.busy_cores.is_some_and(|b| (b - 0.5 * f64::from(online_cores())).abs() < 1e-9)
        );
        assert_eq!(between(&after, &before).stolen, None);
    }
}
