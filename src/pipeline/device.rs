//! `device = …`.

use std::fmt;
use std::str::FromStr;

use super::{Cores, DeviceRequest, Pipeline, Target};

impl FromStr for DeviceRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').map_or((text, None), |(k, rest)| (k, Some(rest)));
        match (kind, rest) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu(Cores::Picked)),
            ("cpu", Some("all")) => Ok(Self::Cpu(Cores::All)),
            ("cpu", Some(core)) => match core.parse() {
                Ok(core) => Ok(Self::Cpu(Cores::One(core))),
                Err(_) => Err(format!("`{core}` is neither a core's number nor `all`")),
            },
            ("cuda", None) => Err("which one? `cuda:0` is the first".to_owned()),
            ("cuda", Some(name)) => {
                let is_uuid = name.strip_prefix("GPU-").is_some_and(|uuid| {
                    !uuid.is_empty() && uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
                });
                if is_uuid || name.parse::<u16>().is_ok() {
                    Ok(Self::Cuda(name.to_owned()))
                } else {
                    Err(format!("`{name}` is neither a number nor GPU-<uuid>"))
                }
            }
            _ => {
                let near = crate::diagnostic::nearest(kind, ["auto", "cpu", "cuda"]);
                Err(near.map_or_else(
                    || "no such device".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ))
            }
        }
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu(Cores::Picked) => formatter.write_str("cpu"),
            Self::Cpu(Cores::All) => formatter.write_str("cpu:all"),
            Self::Cpu(Cores::One(core)) => write!(formatter, "cpu:{core}"),
            Self::Cuda(name) => write!(formatter, "cuda:{name}"),
        }
    }
}

/// What only a CUDA device can run.
const CUDA_ENDINGS: [&str; 3] = [".cu", ".ptx", ".cubin"];

impl Pipeline {
    /// Where its kernel runs: what was left open is the first CUDA device for what only such a one
    /// can run, and else a core.
    pub fn target(&self) -> Target {
        let cuda = |file: &String| CUDA_ENDINGS.iter().any(|end| file.ends_with(end));
        match &self.device {
            DeviceRequest::Cpu(cores) => Target::Cpu(*cores),
            DeviceRequest::Cuda(name) => Target::Cuda(name.clone()),
            DeviceRequest::Auto if self.kernel.iter().any(cuda) => Target::Cuda("0".to_owned()),
            DeviceRequest::Auto => Target::Cpu(Cores::Picked),
        }
    }
}

impl Target {
    /// The device that keys and leases name: `cpu`, `cuda:0`.
    pub fn device(&self) -> String {
        match self {
            Self::Cpu(_) => "cpu".to_owned(),
            Self::Cuda(name) => format!("cuda:{name}"),
        }
    }

    /// The CUDA device's name, where it is one.
    pub fn cuda(&self) -> Option<&str> {
        match self {
            Self::Cpu(_) => None,
            Self::Cuda(name) => Some(name),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cores) => DeviceRequest::Cpu(*cores).fmt(formatter),
            Self::Cuda(name) => write!(formatter, "cuda:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_as_they_are_written() {
        for text in ["auto", "cpu", "cpu:3", "cpu:all", "cuda:0", "cuda:GPU-12ab-34"] {
            let device: DeviceRequest = text.parse().expect("a device");
            assert_eq!(device.to_string(), text);
        }
        for text in ["", "gpu", "cpu:x", "cpu:", "cuda", "cuda:-1", "cuda:GPU-", "auto:1", "Cpu"] {
            assert!(text.parse::<DeviceRequest>().is_err(), "{text}");
        }
    }
}
