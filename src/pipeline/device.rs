//! `device = …`, and what a kernel's files say about it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::diagnostic::nearest;

/// `device = …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceRequest {
    /// The best there is: the first CUDA device for CUDA sources, else the CPU.
    Auto,
    /// The CPU.
    Cpu(Cores),
    /// A CUDA device by index or `GPU-<uuid>`.
    Cuda(String),
}

/// Which cores a kernel may run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cores {
    /// One that the engine picks.
    Picked,
    /// The one of that number.
    One(u32),
    /// Every one, for kernels with threads.
    All,
}

/// Where a kernel runs: a [`DeviceRequest`] with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// These cores.
    Cpu(Cores),
    /// A CUDA device by index or `GPU-<uuid>`.
    Cuda(String),
}

/// Why a text names no device, in words to stand under it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// `cpu:` and neither a core nor all of them.
    #[error("`{0}` is neither a core's number nor `all`")]
    Core(String),
    /// `cuda` alone: there may be several.
    #[error("which one? `cuda:0` is the first")]
    WhichCuda,
    /// `cuda:` and no device's name.
    #[error("`{0}` is neither a number nor GPU-<uuid>")]
    Cuda(String),
    /// Another word, and the kind of device that is spelt most like it.
    #[error("{}", near.map_or_else(|| "no such device".to_owned(), |near| format!("did you mean `{near}`?")))]
    Unknown {
        /// `auto`, `cpu` or `cuda`.
        near: Option<&'static str>,
    },
}

impl FromStr for DeviceRequest {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let (kind, rest) = text.split_once(':').map_or((text, None), |(k, rest)| (k, Some(rest)));
        match (kind, rest) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu(Cores::Picked)),
            ("cpu", Some("all")) => Ok(Self::Cpu(Cores::All)),
            ("cpu", Some(core)) => match core.parse() {
                Ok(core) => Ok(Self::Cpu(Cores::One(core))),
                Err(_) => Err(DeviceError::Core(core.to_owned())),
            },
            ("cuda", None) => Err(DeviceError::WhichCuda),
            ("cuda", Some(name)) if is_cuda_name(name) => Ok(Self::Cuda(name.to_owned())),
            ("cuda", Some(name)) => Err(DeviceError::Cuda(name.to_owned())),
            _ => Err(DeviceError::Unknown { near: nearest(kind, ["auto", "cpu", "cuda"]) }),
        }
    }
}

fn is_cuda_name(name: &str) -> bool {
    let is_uuid = name.strip_prefix("GPU-").is_some_and(|uuid| {
        !uuid.is_empty() && uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    });
    is_uuid || name.parse::<u16>().is_ok()
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

/// What a kernel's source is for, by the extension of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// C and C++: a processor.
    Host,
    /// Sources and images that only a CUDA device can run.
    Cuda,
}

impl Language {
    /// `None` for what this program does not build.
    pub(super) fn of(source: &str) -> Option<Self> {
        match Path::new(source).extension()?.to_str()? {
            "c" | "cc" | "cpp" => Some(Self::Host),
            "cu" | "ptx" | "cubin" => Some(Self::Cuda),
            _ => None,
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
