//! How a device does while it is measured: clocks, temperature, power, who holds it back and who else
//! is at work on it. Only the judge asks.

use std::path::Path;
use std::sync::{Arc, Mutex};

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Places;
use super::nvml;
use crate::host::Host;

/// What NVML tells at one moment, which measurements record; `None` where this device does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DeviceMoment")]
pub struct Conditions {
    /// The clock of the multiprocessors, MHz.
    pub sm_mhz: Option<u32>,
    /// The clock of the memory, MHz.
    pub memory_mhz: Option<u32>,
    /// Of the die, degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Of the board, W.
    pub power_w: Option<f64>,
    /// What holds its clocks back, in words.
    pub throttle: Vec<String>,
    /// Processes with a context on the device besides ours.
    pub others: u32,
    /// Its performance state: 0 is the fastest.
    pub pstate: Option<u32>,
}

/// What the driver says of clocks that are held back, and whether a measurement suffers: what a power
/// cap, an idle device or a chosen clock does is how the device is; the others come and go with heat
/// and supply (nvml.h, `nvmlClocksThrottleReasons`).
const REASONS: [(ThrottleReasons, &str, Standing); 9] = [
    (ThrottleReasons::GPU_IDLE, "idle", Standing::Told),
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "applications clocks", Standing::Told),
    (ThrottleReasons::SW_POWER_CAP, "power cap", Standing::Told),
    (ThrottleReasons::HW_SLOWDOWN, "HW slowdown", Standing::Throttled),
    (ThrottleReasons::SYNC_BOOST, "sync boost", Standing::Told),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "SW thermal slowdown", Standing::Throttled),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "HW thermal slowdown", Standing::Throttled),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "HW power brake", Standing::Throttled),
    (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display clocks", Standing::Told),
];

/// Whether a reason makes a measurement worthless.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Told,
    Throttled,
}

impl Conditions {
    /// Whether the device was held back by heat or by its supply.
    pub fn throttled(&self) -> bool {
        REASONS.iter().any(|(_, word, standing)| {
            *standing == Standing::Throttled && self.throttle.iter().any(|told| told == word)
        })
    }
}

fn words(reasons: ThrottleReasons) -> Vec<String> {
    let given = REASONS.iter().filter(|(reason, ..)| reasons.contains(*reason));
    given.map(|(_, word, _)| (*word).to_owned()).collect()
}

/// Why a device cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// NVML is not there, or does not start.
    #[error("{why} ({hint})")]
    Library {
        /// Why.
        why: String,
        /// What helps.
        hint: String,
    },
    /// NVML does not know the device: why, and what helps.
    #[error("{0}")]
    Device(String),
}

/// Looks at one device.
pub struct Watch {
    device: Device<'static>,
}

impl Watch {
    /// Of this machine's device: its number as CUDA programs see it, or `GPU-` and its UUID.
    ///
    /// # Errors
    /// Why it cannot be watched, and what helps.
    pub fn open(device: &str, host: &dyn Host) -> Result<Self, WatchError> {
        Self::under(Path::new("/"), device, host)
    }

    /// Of a machine whose file system begins at `root`.
    fn under(root: &Path, device: &str, host: &dyn Host) -> Result<Self, WatchError> {
        let opened = nvml::open(&Places::under(root, host));
        let (_, library) = opened.map_err(|(why, hint)| WatchError::Library { why, hint })?;
        let device = nvml::device(library, device, root, host).map_err(WatchError::Device)?;
        Ok(Self { device })
    }

    /// How it does now. `ours` are the processes that this program has on the device.
    pub fn look(&self, ours: &[u32]) -> Conditions {
        let device = &self.device;
        let reasons = device.current_throttle_reasons();
        Conditions {
            sm_mhz: device.clock_info(Clock::SM).ok(),
            memory_mhz: device.clock_info(Clock::Memory).ok(),
            temperature_c: device.temperature(TemperatureSensor::Gpu).ok(),
            power_w: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1000.0),
            throttle: reasons.map(words).unwrap_or_default(),
            others: self.others(ours),
            // The states' numbers are their order.
            pstate: device.performance_state().ok().and_then(|state| {
                let number = state.as_c();
                (number < 16).then_some(number)
            }),
        }
    }

    fn others(&self, ours: &[u32]) -> u32 {
        let Ok(processes) = self.device.running_compute_processes() else { return 0 };
        let pids: Vec<u32> = processes.into_iter().map(|process| process.pid).collect();
        strangers(&pids, ours)
    }
}

/// What was seen of a device, look by look, by all sessions of a stage.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Conditions>>>);

impl Journal {
    pub(super) fn note(&self, conditions: Conditions) {
        if let Ok(mut seen) = self.0.lock() {
            seen.push(conditions);
        }
    }

    /// Everything so far, in order.
    pub fn seen(&self) -> Vec<Conditions> {
        self.0.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

/// Those that are not ours. In a container the driver gives the numbers of the host, by which none of
/// ours can be known: then as many are taken for ours as we have.
fn strangers(pids: &[u32], ours: &[u32]) -> u32 {
    let known = pids.iter().filter(|pid| ours.contains(pid)).count();
    let own = if known == 0 { ours.len() } else { known };
    pids.len().saturating_sub(own) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::stub_tests as stub;
    use crate::host::MemoryHost;

    fn held_back_by(reasons: ThrottleReasons) -> Conditions {
        Conditions { throttle: words(reasons), ..Conditions::default() }
    }

    #[test]
    fn heat_and_supply_throttle_and_what_was_chosen_does_not() {
        for (reason, word, standing) in REASONS {
            let conditions = held_back_by(reason);
            assert_eq!(conditions.throttle, [word]);
            assert_eq!(conditions.throttled(), standing == Standing::Throttled, "{word}");
        }
        let told = ["idle", "applications clocks", "power cap", "sync boost", "display clocks"];
        let all = held_back_by(ThrottleReasons::all());
        assert!(all.throttled() && told.iter().all(|word| all.throttle.iter().any(|t| t == word)));
        assert!(!held_back_by(ThrottleReasons::NONE).throttled());
        let both = held_back_by(ThrottleReasons::SW_POWER_CAP | ThrottleReasons::GPU_IDLE);
        assert!(!both.throttled());
    }

    #[test]
    fn processes_of_others_are_counted_in_and_outside_of_containers() {
        for (pids, ours, want) in [
            (vec![], vec![7], 0),
            (vec![7], vec![7], 0),
            (vec![7, 8, 9], vec![7], 2),
            (vec![7, 8, 9], vec![7, 9, 4], 1),
            (vec![70_007, 70_008], vec![7], 1),
            (vec![70_007], vec![7, 8], 0),
            (vec![5], vec![], 1),
        ] {
            assert_eq!(strangers(&pids, &ours), want, "{pids:?} {ours:?}");
        }
    }

    /// A management library of a device that is too hot, on which 41 and 42 are at work.
    const HOT: &str = "#include <string.h>
struct process { unsigned pid; unsigned long long bytes; unsigned a, b; };
int nvmlInit_v2(void) { return 0; }
int nvmlSystemGetDriverVersion(char *t, unsigned n) { strcpy(t, \"580.65.06\"); return 0; }
int nvmlDeviceGetHandleByUUID(char *u, void **d) { *d = u; return strcmp(u, \"GPU-11\") ? 6 : 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = 0; return i ? 6 : 0; }
int nvmlDeviceGetClockInfo(void *d, int c, unsigned *v) { *v = c == 1 ? 1410 : 1593; return 0; }
int nvmlDeviceGetTemperature(void *d, int s, unsigned *v) { *v = 91; return 0; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *v) { *v = 250500; return 0; }
int nvmlDeviceGetPerformanceState(void *d, int *v) { *v = 2; return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *v)
{ *v = 0x44 | 1ull << 60; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, struct process *p)
{
  unsigned room = *n, i;
  *n = 2;
  if (room < 2) return 7;
  for (i = 0; i < 2; i++) p[i].pid = 41 + i;
  return 0;
}
";

    fn host() -> MemoryHost {
        MemoryHost::with_vars([("LD_LIBRARY_PATH", "/lib")])
    }

    #[test]
    fn a_look_tells_what_the_library_tells() {
        let dir = tempfile::tempdir().expect("tempdir");
        let lib = dir.path().join("lib");
        stub::build(&lib, "libnvidia-ml.so.1", HOT);
        let watch = Watch::under(dir.path(), "GPU-11", &host()).expect("it is there");
        let want = Conditions {
            sm_mhz: Some(1410),
            memory_mhz: Some(1593),
            temperature_c: Some(91),
            power_w: Some(250.5),
            throttle: vec!["power cap".into(), "HW thermal slowdown".into()],
            others: 1,
            pstate: Some(2),
        };
        assert_eq!(watch.look(&[42]), want);
        assert!(want.throttled());
        let told = nvml::management(&Places::under(dir.path(), &host())).expect("it starts");
        assert_eq!((told.path, told.driver), (lib.join("libnvidia-ml.so.1"), "580.65.06".into()));
        let unknown =
            Watch::under(dir.path(), "GPU-12", &host()).err().expect("no such device").to_string();
        assert!(unknown.contains("cuda:GPU-12"), "{unknown}");
        assert!(
            Watch::under(dir.path(), "0", &host()).is_ok(),
            "without /proc the number is NVML's"
        );
    }

    #[test]
    fn what_a_library_does_not_tell_is_left_open_and_what_it_lacks_is_no_panic() {
        let dir = tempfile::tempdir().expect("tempdir");
        let bare = "int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(char *u, void **d) { *d = u; return 0; }";
        stub::build(&dir.path().join("lib"), "libnvidia-ml.so.1", bare);
        let watch = Watch::under(dir.path(), "GPU-11", &host()).expect("it is there");
        assert_eq!(watch.look(&[]), Conditions::default());
    }

    #[test]
    fn no_library_and_one_that_does_not_start_are_answers_with_a_way_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        let missing =
            Watch::under(dir.path(), "0", &host()).err().expect("nothing is there").to_string();
        assert!(missing.contains("libnvidia-ml.so.1") && missing.contains("--gpus"), "{missing}");
        let lib = dir.path().join("lib");
        stub::build(&lib, "libnvidia-ml.so.1", "int nvmlInit_v2(void) { return 18; }");
        let refused =
            Watch::under(dir.path(), "0", &host()).err().expect("it does not start").to_string();
        assert!(refused.contains("restart the machine"), "{refused}");
    }
}
