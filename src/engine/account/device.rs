//! What is recorded of a CUDA device: how it did while a kernel was measured on it.

use serde::{Deserialize, Serialize};

use crate::backend::cuda::Conditions;

/// How a CUDA device did while it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeviceConditions {
    /// The clock of the multiprocessors, MHz: lowest and highest.
    pub sm_mhz: [Option<u32>; 2],
    /// The clock of the memory, MHz: lowest and highest.
    pub memory_mhz: [Option<u32>; 2],
    /// Of the die, degrees Celsius: lowest and highest.
    pub temperature_c: [Option<u32>; 2],
    /// What held its clocks back, in words.
    pub throttle: Vec<String>,
    /// Slots in which it was throttled.
    pub throttled_slots: usize,
    /// Processes with a context on it besides ours, at most.
    pub others: Option<u32>,
    /// Each slot's own.
    pub slots: Vec<Conditions>,
}

impl DeviceConditions {
    /// The ends of what was seen slot by slot; none where nothing was noted.
    pub fn of(seen: &[Conditions]) -> Option<Self> {
        let ends = |of: fn(&Conditions) -> Option<u32>| {
            let told = || seen.iter().filter_map(of);
            [told().min(), told().max()]
        };
        let words = seen.iter().flat_map(|c| &c.throttle);
        let mut throttle: Vec<String> = words.cloned().collect();
        throttle.sort_unstable();
        throttle.dedup();
        (!seen.is_empty()).then(|| Self {
            sm_mhz: ends(|c| c.sm_mhz),
            memory_mhz: ends(|c| c.memory_mhz),
            temperature_c: ends(|c| c.temperature_c),
            throttle,
            throttled_slots: seen.iter().filter(|c| c.throttled()).count(),
            others: seen.iter().map(|c| c.others).max(),
            slots: seen.to_vec(),
        })
    }
}
