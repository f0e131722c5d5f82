//! `device = …`.

use std::fmt;
use std::str::FromStr;

use super::{Cores, DeviceRequest};

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
