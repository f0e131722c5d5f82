//! Which device this is, without asking the driver.
//!
//! The kernel module tells models, UUIDs and its own version below `/proc/driver/nvidia`, so that a
//! run in which everything is known already never opens `libcuda`. Numbers are given as with
//! `CUDA_DEVICE_ORDER=PCI_BUS_ID`, in which workers run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::{DeviceIdentity, Host};

/// One device as the kernel module tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its marketing name.
    pub model: String,
    /// `GPU-` and the UUID; empty as long as nobody has used the device since the module was loaded.
    pub uuid: String,
    /// Where it is plugged in, such as `0000:19:00.0`.
    pub bus: String,
    /// The version of its firmware; empty under the same condition.
    pub firmware: String,
}

/// What a measurement on a CUDA device depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The device as it was asked for: a number, or `GPU-` and its UUID.
    pub device: String,
    /// What is known of it.
    pub card: Option<Card>,
    /// The version of the kernel module; empty where there is none.
    pub driver: String,
    /// Why there is no such device, or why it is not fully known.
    missing: Option<String>,
}

impl Identity {
    /// The device as keys and artifacts name it.
    pub fn device(&self) -> DeviceIdentity {
        let card = self.card.as_ref();
        DeviceIdentity {
            model: card.map(|card| card.model.clone()).unwrap_or_default(),
            uuid: card.map(|card| card.uuid.clone()).filter(|uuid| !uuid.is_empty()),
            bus: card.map(|card| card.bus.clone()),
            driver: self.driver.clone(),
            ..DeviceIdentity::unknown(&format!("cuda:{}", self.device))
        }
    }

    /// What is not known, and what helps; `None` where all is known.
    pub fn missing(&self) -> Option<String> {
        self.missing.clone()
    }
}

/// Tells which device `device` is: its number among those that `CUDA_VISIBLE_DEVICES` leaves, or
/// `GPU-` and the beginning of its UUID. The file system begins at `root`.
pub fn identity(device: &str, root: &Path, host: &dyn Host) -> Identity {
    let driver = driver_version(root).unwrap_or_default();
    let all = cards(root);
    let found = select(device, &all, host).cloned();
    let missing = match &found {
        Some(card) if card.uuid.is_empty() => Some(format!(
            "the UUID of {} at {} is told once it has been used: `nvidia-smi -L` does so \
             (nvidia-persistenced keeps it)",
            card.model, card.bus
        )),
        Some(_) if driver.is_empty() => Some("the driver's version is not told".to_owned()),
        Some(_) => None,
        None => Some(absent(device, &all, &driver)),
    };
    Identity { device: device.to_owned(), card: found, driver, missing }
}

fn absent(device: &str, all: &[Card], driver: &str) -> String {
    if driver.is_empty() {
        return "/proc/driver/nvidia/version is not there: NVIDIA's kernel module is not loaded"
            .into();
    }
    match all.len() {
        0 => "/proc/driver/nvidia/gpus lists no device".to_owned(),
        1 => format!("cuda:{device} is not the one device here that CUDA_VISIBLE_DEVICES allows"),
        n => format!(
            "cuda:{device} is none of the {n} devices here that CUDA_VISIBLE_DEVICES allows"
        ),
    }
}

fn select<'a>(device: &str, all: &'a [Card], host: &dyn Host) -> Option<&'a Card> {
    let seen = visible(all, host);
    match device.parse::<usize>() {
        Ok(number) => seen.get(number).copied(),
        Err(_) => by_uuid(&seen, device),
    }
}

/// The devices that a CUDA program sees, in its order.
pub fn visible<'a>(all: &'a [Card], host: &dyn Host) -> Vec<&'a Card> {
    let every: Vec<&Card> = all.iter().collect();
    let Some(list) = host.var("CUDA_VISIBLE_DEVICES") else { return every };
    let list = list.to_string_lossy().into_owned();
    // The first entry that is none hides all that follow (CUDA C++ Programming Guide, "CUDA
    // Environment Variables").
    list.split(',')
        .map_while(|entry| match entry.trim().parse::<usize>() {
            Ok(number) => every.get(number).copied(),
            Err(_) => by_uuid(&every, entry.trim()),
        })
        .collect()
}

/// The only one whose UUID begins so.
fn by_uuid<'a>(among: &[&'a Card], start: &str) -> Option<&'a Card> {
    let start = start.to_ascii_lowercase();
    if !start.starts_with("gpu-") {
        return None;
    }
    let mut fitting = among.iter().filter(|c| c.uuid.to_ascii_lowercase().starts_with(&start));
    let first = fitting.next()?;
    fitting.next().is_none().then_some(*first)
}

/// All devices that the kernel module lists, by their place on the bus.
pub fn cards(root: &Path) -> Vec<Card> {
    let Ok(entries) = std::fs::read_dir(root.join("proc/driver/nvidia/gpus")) else {
        return Vec::new();
    };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path().join("information")));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let mut all: Vec<Card> = texts.filter_map(|text| card(&text)).collect();
    // Fixed width, so that text sorts as the numbers do.
    all.sort_by(|a, b| a.bus.cmp(&b.bus));
    all
}

/// `Name: <tab> value` by line; question marks stand for what is not known yet.
fn card(text: &str) -> Option<Card> {
    let field = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
        let value = pairs.find(|(n, _)| n.trim() == name).map_or("", |(_, value)| value.trim());
        if value.contains("??") { String::new() } else { value.to_owned() }
    };
    let bus = field("Bus Location").to_ascii_lowercase();
    let model = field("Model");
    (!bus.is_empty() && !model.is_empty()).then(|| Card {
        model,
        uuid: field("GPU UUID"),
        bus,
        firmware: field("Video BIOS"),
    })
}

/// The version of the kernel module; `None` where it is not loaded.
pub fn driver_version(root: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root.join("proc/driver/nvidia/version")).ok()?;
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    line.split_whitespace().find(|word| is_version(word)).map(str::to_owned)
}

/// Such as `580.65.06`.
fn is_version(word: &str) -> bool {
    let mut parts = word.split('.');
    parts.clone().count() >= 2
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    const CLOSED: &str = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Release Build  \
         (builder@host)  Sun Jul 27 07:12:41 UTC 2025\n\
         GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n";
    const OPEN: &str =
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build\n";

    fn machine(cards: &[(&str, &str, &str)], version: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        let base = dir.path().join("proc/driver/nvidia");
        std::fs::create_dir_all(&base).expect("created");
        std::fs::write(base.join("version"), version).expect("written");
        for (bus, model, uuid) in cards {
            let folder = base.join("gpus").join(bus);
            std::fs::create_dir_all(&folder).expect("created");
            let text = format!(
                "Model: \t\t {model}\nIRQ:   \t\t 0\nGPU UUID: \t {uuid}\n\
                 Video BIOS: \t 96.00.74.00.01\nBus Type: \t PCIe\nDMA Size: \t 52 bits\n\
                 DMA Mask: \t 0xfffffffffffff\nBus Location: \t {bus}\nDevice Minor: \t 0\n\
                 GPU Firmware: \t 580.65.06\nGPU Excluded:\t No\n"
            );
            std::fs::write(folder.join("information"), text).expect("written");
        }
        dir
    }

    fn three() -> tempfile::TempDir {
        machine(
            &[
                ("0000:3b:00.0", "Example H", "GPU-bb00-1"),
                ("0000:19:00.0", "Example A", "GPU-aa00-0"),
                ("0001:01:00.0", "Example H", "GPU-bbcc-2"),
            ],
            CLOSED,
        )
    }

    fn shows(list: Option<&'static str>) -> MemoryHost {
        MemoryHost::with_vars(list.map(|list| ("CUDA_VISIBLE_DEVICES", list)))
    }

    #[test]
    fn a_device_is_told_by_number_or_uuid_as_cuda_programs_would_see_it() {
        let dir = three();
        for (list, device, uuid) in [
            (None, "0", "GPU-aa00-0"),
            (None, "1", "GPU-bb00-1"),
            (None, "2", "GPU-bbcc-2"),
            (None, "3", ""),
            (None, "GPU-BB0", "GPU-bb00-1"),
            (None, "GPU-bb", ""),
            (Some("2,0"), "0", "GPU-bbcc-2"),
            (Some("2, 0"), "1", "GPU-aa00-0"),
            (Some("1"), "1", ""),
            (Some("1"), "GPU-aa00-0", ""),
            (Some("GPU-bbc,1"), "0", "GPU-bbcc-2"),
            (Some("0,-1,1"), "1", ""),
            (Some(""), "0", ""),
        ] {
            let found = identity(device, dir.path(), &shows(list));
            let told = found.card.as_ref().map_or("", |card| card.uuid.as_str());
            assert_eq!(told, uuid, "{list:?} {device}");
            assert_eq!(found.missing().is_some(), uuid.is_empty(), "{list:?} {device}");
        }
    }

    #[test]
    fn the_line_for_keys_names_model_uuid_and_driver_of_either_kernel_module() {
        let found = identity("0", three().path(), &shows(None));
        assert_eq!(found.device().to_string(), "Example A GPU-aa00-0 driver 580.65.06");
        assert_eq!(found.card.expect("found").firmware, "96.00.74.00.01");
        let open = machine(&[("0000:01:00.0", "Example B", "GPU-1")], OPEN);
        let found = identity("0", open.path(), &shows(None));
        assert_eq!(found.device().to_string(), "Example B GPU-1 driver 570.133.20");
    }

    #[test]
    fn a_device_that_nobody_has_used_yet_is_known_by_its_place() {
        let unknown = "GPU-????????-????-????-????-????????????";
        let dir = machine(&[("0000:01:00.0", "Example B", unknown)], OPEN);
        let found = identity("0", dir.path(), &shows(None));
        assert_eq!(found.device().to_string(), "Example B at 0000:01:00.0 driver 570.133.20");
        assert!(found.missing().expect("told").contains("nvidia-smi -L"));
    }

    #[test]
    fn no_kernel_module_and_no_device_are_told_apart() {
        let empty = tempfile::tempdir().expect("tempdir");
        let found = identity("0", empty.path(), &shows(None));
        assert!(found.missing().expect("told").contains("not loaded"));
        assert_eq!(found.device().to_string(), "cuda:0 not told driver not told");
        let none = machine(&[], CLOSED);
        let missing = identity("0", none.path(), &shows(None)).missing();
        assert!(missing.expect("told").contains("lists no device"));
    }
}
