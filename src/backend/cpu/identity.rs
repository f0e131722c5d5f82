//! Which machine this is: what a measurement on the CPU depends on.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::host::{ClockPolicy, DeviceIdentity};

/// The CPU as far as it can be told cheaply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuIdentity {
    /// Its marketing name, or what the kernel says instead.
    pub model: String,
    /// The architecture that this executable was built for.
    pub arch: String,
    /// Cores that this process may run on.
    pub cores: u32,
    /// Microcode revision, where the kernel tells.
    pub microcode: String,
    /// Digest of the instruction-set flags: what `-march=native` depends on.
    pub features: String,
    /// Frequency governor of the first core; empty where there is none.
    pub governor: String,
    /// Whether turbo is on; `None` where it cannot be told.
    pub turbo: Option<bool>,
}

impl CpuIdentity {
    /// The processor as keys and artifacts name it.
    pub fn device(&self) -> DeviceIdentity {
        DeviceIdentity {
            model: self.model.clone(),
            arch: self.arch.clone(),
            driver: self.microcode.clone(),
            features: self.features.clone(),
            policy: ClockPolicy { governor: self.governor.clone(), turbo: self.turbo },
            ..DeviceIdentity::unknown("cpu")
        }
    }
}

/// Reads `/proc/cpuinfo` and a few files of sysfs.
pub fn identity() -> CpuIdentity {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let small = |path: &str| fs::read_to_string(path).map(|t| t.trim().to_owned()).ok();
    let turbo = small("/sys/devices/system/cpu/intel_pstate/no_turbo")
        .map(|t| t == "0")
        .or_else(|| small("/sys/devices/system/cpu/cpufreq/boost").map(|t| t == "1"));
    CpuIdentity {
        governor: small("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .unwrap_or_default(),
        turbo,
        cores: cores(),
        ..from_cpuinfo(&info)
    }
}

/// The cores that this process may run on.
pub fn allowed_cores() -> Vec<u32> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    all.filter(|&core| set.is_set(core)).map(|core| core as u32).collect()
}

/// Cores as sysfs writes them.
pub fn list_in_words(cores: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for core in cores {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *core => *last = *core,
            _ => parts.push((*core, *core)),
        }
    }
    let words = parts.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(",")
}

/// The last of them.
pub fn last_core() -> Option<u32> {
    allowed_cores().last().copied()
}

fn cores() -> u32 {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => set.count(),
        Err(_) => std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
    }
}

/// The first value of each field, under the names that x86 and Arm kernels use.
fn from_cpuinfo(info: &str) -> CpuIdentity {
    let field = |names: &[&str]| {
        let lines = || info.lines().filter_map(|line| line.split_once(':'));
        names
            .iter()
            .find_map(|name| lines().find(|(key, _)| key.trim() == *name))
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let arm = || {
        let parts = [field(&["CPU implementer"]), field(&["CPU part"]), field(&["CPU variant"])];
        parts.join(" ").trim().to_owned()
    };
    let named = field(&["model name", "cpu model", "uarch", "cpu"]);
    let features = field(&["flags", "Features", "isa"]);
    CpuIdentity {
        model: if named.is_empty() { arm() } else { named },
        arch: std::env::consts::ARCH.to_owned(),
        cores: 0,
        microcode: field(&["microcode"]),
        features: Digest::of(features.as_bytes()).to_string(),
        governor: String::new(),
        turbo: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x86_and_arm_are_both_named() {
        let x86 = "processor\t: 0\nmodel name\t: Example CPU @ 3.00GHz\nmicrocode\t: 0x1\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nmodel name\t: Other\n";
        let arm = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n";
        for (info, model, microcode) in
            [(x86, "Example CPU @ 3.00GHz", "0x1"), (arm, "0x41 0xd0c 0x3", ""), ("", "", "")]
        {
            let id = from_cpuinfo(info);
            assert_eq!((id.model.as_str(), id.microcode.as_str()), (model, microcode));
        }
    }

    #[test]
    fn other_instruction_sets_are_another_machine() {
        let features = |flags: &str| from_cpuinfo(&format!("flags: {flags}\n")).features;
        assert_ne!(features("fpu avx2"), features("fpu avx512f"));
        assert_eq!(features("fpu avx2"), features("fpu avx2"));
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(identity().cores >= 1);
    }
}
