//! Architectures by their name, and what a multiprocessor of each holds.

use crate::diagnostic::nearest;

/// What a multiprocessor holds, where architectures differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The compute capability times ten: 90 for 9.0.
    pub capability: u32,
    /// Most resident warps.
    pub warps: u32,
    /// Most resident blocks.
    pub blocks: u32,
    /// Shared memory, in KiB.
    pub shared_kib: u32,
    /// Hardware barriers; `None` where they never are what is short.
    pub barriers: Option<u32>,
}

/// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability": resident warps,
/// resident blocks, shared memory. Barriers are those of `cudaOccMaxBlocksPerSMBlockBarrierLimit`
/// in `cuda_occupancy.h`, which counts them from capability 9.0.
const LIMITS: [Limits; 13] = [
    limits(75, 32, 16, 64, None),
    limits(80, 64, 32, 164, None),
    limits(86, 48, 16, 100, None),
    limits(87, 48, 16, 164, None),
    limits(88, 48, 16, 100, None),
    limits(89, 48, 24, 100, None),
    limits(90, 64, 32, 228, Some(64)),
    limits(100, 64, 32, 228, Some(64)),
    limits(103, 64, 32, 228, Some(32)),
    limits(107, 32, 16, 228, Some(16)),
    limits(110, 48, 24, 228, Some(24)),
    limits(120, 48, 24, 100, Some(24)),
    limits(121, 48, 24, 100, Some(24)),
];

const fn limits(
    capability: u32,
    warps: u32,
    blocks: u32,
    shared_kib: u32,
    barriers: Option<u32>,
) -> Limits {
    Limits { capability, warps, blocks, shared_kib, barriers }
}

impl Limits {
    /// Shared memory of a multiprocessor.
    pub fn shared_bytes(&self) -> u32 {
        self.shared_kib * 1024
    }

    /// What the system keeps of each block's shared memory: 1 KiB from capability 8.0
    /// (Programming Guide, "Shared Memory" of compute capability 8.x).
    pub fn reserved_bytes(&self) -> u32 {
        if self.capability < 80 { 0 } else { 1024 }
    }

    /// Most shared memory that a block can ask for.
    pub fn shared_of_block_bytes(&self) -> u32 {
        self.shared_bytes() - self.reserved_bytes()
    }

    /// The unit in which it is given out (`cudaOccSMemAllocationGranularity`).
    pub(super) fn shared_unit_bytes(&self) -> u32 {
        if self.capability < 80 { 256 } else { 128 }
    }
}

/// One that kernels are built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arch {
    /// Such as `sm_90a`.
    pub name: String,
    /// What its multiprocessors hold.
    pub limits: &'static Limits,
}

/// That a name is none of an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no architecture `{name}`")]
pub struct UnknownArch {
    /// The name.
    pub name: String,
    /// What may have been meant, and what there is.
    pub help: String,
}

impl Arch {
    /// By its name.
    ///
    /// # Errors
    /// That there is none of the name, with those nearest to it.
    pub fn parse(name: &str) -> Result<Self, UnknownArch> {
        let known = |l: &&Limits| names(l).any(|n| n == name);
        match LIMITS.iter().find(known) {
            Some(limits) => Ok(Self { name: name.to_owned(), limits }),
            None => Err(unknown(name)),
        }
    }
}

/// The plain one; `a` from 9.0 and `f` from 10.0 have instructions that later ones may lack.
fn names(limits: &Limits) -> impl Iterator<Item = String> + use<> {
    let n = limits.capability;
    let specific = (n >= 90).then(|| format!("sm_{n}a"));
    let family = (n >= 100).then(|| format!("sm_{n}f"));
    std::iter::once(format!("sm_{n}")).chain(specific).chain(family)
}

fn unknown(name: &str) -> UnknownArch {
    let all: Vec<String> = LIMITS.iter().flat_map(names).collect();
    let plain: Vec<String> = LIMITS.iter().map(|l| format!("sm_{}", l.capability)).collect();
    let there = format!("there are {}, some with a or f", plain.join(", "));
    let near = match number(name) {
        // Of numbers, those on either side are nearer than those that look alike.
        Some(number) => beside(number),
        None => nearest(name, all.iter().map(String::as_str)).map(|n| format!("`{n}`")),
    };
    let help = match near {
        Some(near) => format!("did you mean {near}? {there}"),
        None => there,
    };
    UnknownArch { name: name.to_owned(), help }
}

/// The number of `sm_91a`, `compute_91` or `91`.
fn number(name: &str) -> Option<u32> {
    let digits = name.trim_start_matches("sm").trim_start_matches("compute");
    let digits = digits.trim_start_matches('_').trim_end_matches(['a', 'f']);
    digits.replace('.', "").parse().ok()
}

fn beside(number: u32) -> Option<String> {
    let below = LIMITS.iter().rev().find(|l| l.capability <= number);
    let above = LIMITS.iter().find(|l| l.capability > number);
    let exact = below.is_some_and(|l| l.capability == number);
    let near: Vec<String> = below
        .into_iter()
        .chain(above.filter(|_| !exact))
        .map(|l| format!("`sm_{}`", l.capability))
        .collect();
    (!near.is_empty()).then(|| near.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_compiler() {
        for (name, capability) in [("sm_75", 75), ("sm_90", 90), ("sm_90a", 90), ("sm_103f", 103)] {
            assert_eq!(Arch::parse(name).map(|a| a.limits.capability), Ok(capability), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        for (name, near) in [
            ("sm_91", "did you mean `sm_90` or `sm_100`?"),
            ("sm_70", "did you mean `sm_75`?"),
            ("90", "did you mean `sm_90`?"),
            ("compute_80", "did you mean `sm_80`?"),
            ("sm_80a", "did you mean `sm_80`?"),
            ("sm_999", "did you mean `sm_121`?"),
            ("am_90b", "did you mean `sm_90`?"),
            ("hopper", "there are sm_75, sm_80, "),
            ("", "there are sm_75, sm_80, "),
        ] {
            let error = Arch::parse(name).unwrap_err();
            assert!(error.help.starts_with(near), "{name}: {}", error.help);
        }
    }
}
