//! The device that a stage asks for: which one it is, and what is missing where there is none.

use crate::backend::cpu::identity::{allowed_cores, list_in_words};
use crate::backend::cuda::find::Places;
use crate::backend::cuda::{CudaDevice, CudaProbe, probe};
use crate::host::Host;
use crate::pipeline::{Cores, Target};

/// Why a stage cannot run on the device that it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is asked for, and what there is instead.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// True for what may be missing: a CUDA device, or one certain core.
pub fn may_be_missing(target: &Target) -> bool {
    matches!(target, Target::Cuda(_) | Target::Cpu(Cores::One(_)))
}

/// What is missing for `target`. For a CUDA device it initialises the driver, so only for a stage that
/// is about to run.
pub fn missing(target: &Target, host: &dyn Host) -> Option<Missing> {
    match target {
        Target::Cpu(Cores::One(core)) => no_core(*core, &allowed_cores()),
        Target::Cpu(Cores::Picked | Cores::All) => None,
        Target::Cuda(name) => find(name, host).err(),
    }
}

/// That a core is not among those which this process may run on.
fn no_core(core: u32, allowed: &[u32]) -> Option<Missing> {
    if allowed.is_empty() || allowed.contains(&core) {
        return None;
    }
    let (verb, noun) = if allowed.len() == 1 { ("is", "the only core") } else { ("are", "cores") };
    let what = format!("there is no core {core} here; {noun} {verb} {}", list_in_words(allowed));
    let hint = "name one of these, or `cpu` to have one picked; `taskset` and containers may hide \
                others";
    Some(Missing { what, hint: hint.to_owned() })
}

/// The CUDA device of that number or UUID.
///
/// # Errors
/// What is missing.
pub fn find(name: &str, host: &dyn Host) -> Result<CudaDevice, Missing> {
    chosen(name, &probe(&Places::of(host)))
}

fn chosen(name: &str, probe: &CudaProbe) -> Result<CudaDevice, Missing> {
    let what = format!("cuda:{name} cannot be had: {probe}");
    let (devices, hint) = match (probe, probe.hint()) {
        (CudaProbe::Devices(devices), None) => (devices, None),
        (_, hint) => return Err(Missing { what, hint: hint.unwrap_or_default() }),
    };
    let asked = name.to_ascii_lowercase();
    let found = match asked.parse::<usize>() {
        Ok(number) => devices.get(number),
        Err(_) => devices.iter().find(|d| d.uuid.to_ascii_lowercase().starts_with(&asked)),
    };
    let usual = || "`optloop devices` lists them; CUDA_VISIBLE_DEVICES may hide some".to_owned();
    found.cloned().ok_or_else(|| Missing { what, hint: hint.unwrap_or_else(usual) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[test]
    fn a_core_that_is_not_there_is_named_with_those_that_are() {
        let what = |core, allowed: &[u32]| no_core(core, allowed).map(|missing| missing.what);
        assert_eq!(what(7, &[0, 1]).as_deref(), Some("there is no core 7 here; cores are 0-1"));
        assert_eq!(what(0, &[3]).as_deref(), Some("there is no core 0 here; the only core is 3"));
        assert_eq!(what(1, &[0, 1]), None);
        let far = Target::Cpu(Cores::One(100_000));
        assert!(may_be_missing(&far) && missing(&far, &MemoryHost::default()).is_some());
    }

    #[test]
    fn a_device_that_the_driver_lists_is_there_and_any_other_is_missing() {
        let uuid = "GPU-00aa-11".to_owned();
        let one = CudaProbe::Devices(vec![CudaDevice { uuid, ..CudaDevice::default() }]);
        for (name, there) in [("0", true), ("1", false), ("GPU-00AA", true), ("GPU-00ab", false)] {
            let found = chosen(name, &one);
            assert_eq!(found.is_ok(), there, "{name}");
            if let Err(Missing { what, hint }) = found {
                assert!(what.contains(&format!("cuda:{name}")), "{what}");
                assert!(what.contains("one CUDA device") && hint.contains("optloop devices"));
            }
        }
    }

    #[test]
    fn what_is_missing_comes_with_what_to_do() {
        let old = CudaProbe::TooOld { version: 11_040, needed: 12_000, missing: Vec::new() };
        for (probe, words) in [(CudaProbe::Devices(Vec::new()), "lists no device"), (old, "11.4")] {
            let Missing { what, hint } = chosen("0", &probe).expect_err("there is none");
            assert!(what.contains(words) && !hint.is_empty(), "{what}; {hint}");
        }
        assert_eq!(missing(&Target::Cpu(Cores::Picked), &MemoryHost::default()), None);
    }
}
