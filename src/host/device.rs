//! Which device this is: one recipe for keys, leases, artifacts and calibrations.

use std::fmt;

/// What runs kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// A device of NVIDIA's.
    Cuda,
}

/// What a measurement on a device depends on. Its text ([`fmt::Display`]) enters keys and stands in
/// artifacts and calibrations: two devices with the same text are the same device. Text that is not
/// known is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// What runs kernels.
    pub kind: DeviceKind,
    /// As it was asked for: `cpu`, `cuda:0`, `cuda:GPU-…`.
    pub name: String,
    /// Its marketing name.
    pub model: String,
    /// The architecture, where a model may be used with several (processors).
    pub arch: String,
    /// `GPU-` and the UUID of this very device.
    pub uuid: Option<String>,
    /// Where it is plugged in, such as `0000:19:00.0`.
    pub bus: Option<String>,
    /// What stands between programs and the device: the version of a kernel module, a processor's
    /// microcode.
    pub driver: String,
    /// Digest of the instruction-set flags (processors).
    pub features: String,
    /// How its clock is chosen.
    pub policy: ClockPolicy,
}

/// How the clock of a device is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockPolicy {
    /// The frequency governor; empty where there is none.
    pub governor: String,
    /// Whether turbo is on; `None` where it is not known.
    pub turbo: Option<bool>,
}

impl DeviceIdentity {
    /// A device of which only its name is known.
    pub fn unknown(name: &str) -> Self {
        Self {
            kind: if name.starts_with("cuda") { DeviceKind::Cuda } else { DeviceKind::Cpu },
            name: name.to_owned(),
            model: String::new(),
            arch: String::new(),
            uuid: None,
            bus: None,
            driver: String::new(),
            features: String::new(),
            policy: ClockPolicy::default(),
        }
    }

    /// What the lease on it is called: its UUID, so that processes that count devices in another way
    /// hold the same one, and the name it was asked for by where no UUID is known.
    pub fn lease_name(&self) -> &str {
        self.uuid.as_deref().unwrap_or(&self.name)
    }

    fn cuda(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.uuid, &self.bus) {
            (Some(uuid), _) => write!(f, "{} {uuid}", self.model)?,
            (None, Some(bus)) => write!(f, "{} at {bus}", self.model)?,
            (None, None) => write!(f, "{} not told", self.name)?,
        }
        let driver = if self.driver.is_empty() { "not told" } else { &self.driver };
        write!(f, " driver {driver}")
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            // Not the number of cores that this process may use: make and taskset change that.
            DeviceKind::Cpu => write!(
                f,
                "{} {} microcode {} features {} governor {} turbo {:?}",
                self.model,
                self.arch,
                self.driver,
                self.features,
                self.policy.governor,
                self.policy.turbo
            ),
            DeviceKind::Cuda => self.cuda(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuda(model: &str, uuid: Option<&str>, bus: Option<&str>) -> DeviceIdentity {
        DeviceIdentity {
            model: model.to_owned(),
            uuid: uuid.map(str::to_owned),
            bus: bus.map(str::to_owned),
            driver: "580.65.06".to_owned(),
            ..DeviceIdentity::unknown("cuda:0")
        }
    }

    #[test]
    fn a_cuda_device_is_leased_by_its_uuid_where_one_is_known() {
        for (device, text, lease) in [
            (
                cuda("Example H", Some("GPU-0011-22"), Some("0000:19:00.0")),
                "Example H GPU-0011-22 driver 580.65.06",
                "GPU-0011-22",
            ),
            (
                cuda("Example H", None, Some("0000:19:00.0")),
                "Example H at 0000:19:00.0 driver 580.65.06",
                "cuda:0",
            ),
            (DeviceIdentity::unknown("cuda:0"), "cuda:0 not told driver not told", "cuda:0"),
        ] {
            assert_eq!((device.to_string().as_str(), device.lease_name()), (text, lease));
        }
    }

    #[test]
    fn a_processor_is_another_with_any_other_field_but_its_name() {
        let here = DeviceIdentity { model: "A".into(), ..DeviceIdentity::unknown("cpu") };
        let turbo = ClockPolicy { turbo: Some(true), ..ClockPolicy::default() };
        let governor = ClockPolicy { governor: "powersave".into(), ..ClockPolicy::default() };
        for other in [
            DeviceIdentity { model: "B".into(), ..here.clone() },
            DeviceIdentity { arch: "x86_64".into(), ..here.clone() },
            DeviceIdentity { driver: "0x1".into(), ..here.clone() },
            DeviceIdentity { features: "avx2".into(), ..here.clone() },
            DeviceIdentity { policy: turbo, ..here.clone() },
            DeviceIdentity { policy: governor, ..here.clone() },
        ] {
            assert_ne!(other.to_string(), here.to_string());
        }
        let named = DeviceIdentity { name: "cpu:3".into(), ..here.clone() };
        assert_eq!(named.to_string(), here.to_string());
    }
}
