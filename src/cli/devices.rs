//! `optloop devices`: what kernels can run on here, or why not.

use std::path::Path;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::args::Format;
use super::exit::Exit;
use super::ui::Ui;
use crate::backend::cpu::{CpuIdentity, identity};
use crate::backend::cuda::{CudaDevice, CudaProbe, probe};

/// Said wherever a CUDA device is shown.
const NOT_YET: &str = "this version runs kernels on the CPU only";

/// Lists them.
pub(super) fn run(ui: &Ui) -> Exit {
    let (cpu, caches, cuda) = (identity(), caches(Path::new(CPU0)), probe());
    if ui.format == Format::Json {
        for line in json_lines(&cpu, &caches, &cuda) {
            ui.json(&line);
        }
    } else {
        ui.text(&table(&cpu, &caches, &cuda));
    }
    Exit::Ok
}

/// What there is of CUDA here, as the end of a sentence.
pub(super) fn cuda_in_words() -> String {
    words_of(&probe())
}

/// What a probe found, as the end of a sentence.
pub(super) fn words_of(probe: &CudaProbe) -> String {
    match probe {
        CudaProbe::NoDriver => "there is no CUDA driver here (libcuda.so was not found)".to_owned(),
        CudaProbe::Unusable(why) => format!("the CUDA driver here cannot be used ({why})"),
        CudaProbe::Devices(devices) => match devices.as_slice() {
            [] => "the CUDA driver here lists no device".to_owned(),
            [one] => format!("this machine has one CUDA device, {}", one.name),
            [first, ..] => {
                format!("this machine has {} CUDA devices, the first {}", devices.len(), first.name)
            }
        },
    }
}

/// What to do where there is no CUDA device; `None` where there is one.
pub(super) fn cuda_hint(probe: &CudaProbe) -> Option<String> {
    let module_loaded = Path::new("/proc/driver/nvidia/version").exists();
    let why = match probe {
        CudaProbe::Devices(devices) if !devices.is_empty() => return None,
        CudaProbe::NoDriver if module_loaded => {
            "the kernel module is loaded, but the library is not in sight: start the container \
             with --gpus all, or run ldconfig"
        }
        CudaProbe::NoDriver => {
            "with an NVIDIA device, install its driver (on Debian: apt install nvidia-driver \
             libcuda1); in a container, start it with --gpus all"
        }
        CudaProbe::Unusable(why) if why.contains("MISMATCH") => {
            "driver library and kernel module are of different versions: restart the machine"
        }
        CudaProbe::Unusable(why) if why.contains("NO_DEVICE") => {
            "no device is in sight: look at CUDA_VISIBLE_DEVICES and at the container's --gpus"
        }
        CudaProbe::Unusable(_) => "nvidia-smi says more",
        CudaProbe::Devices(_) => "look at CUDA_VISIBLE_DEVICES and at the container's --gpus",
    };
    Some(why.to_owned())
}

fn table(cpu: &CpuIdentity, caches: &[Cache], cuda: &CudaProbe) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for row in cpu_rows(cpu, caches) {
        table.add_row(row);
    }
    if let CudaProbe::Devices(devices) = cuda {
        for (index, device) in devices.iter().enumerate() {
            for row in cuda_rows(index, device) {
                table.add_row(row);
            }
        }
    }
    let end = match cuda_hint(cuda) {
        Some(hint) => format!("no CUDA device: {}\nhelp: {hint}\n", words_of(cuda)),
        None => format!("CUDA devices are listed, and {NOT_YET}\n"),
    };
    plain(&mut table) + &end
}

/// A table as text: columns a blank apart or more, nothing at either end.
pub(super) fn plain(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.lines().map(|l| l.trim_end().to_owned() + "\n").collect()
}

fn cpu_rows(cpu: &CpuIdentity, caches: &[Cache]) -> Vec<[String; 3]> {
    let row = |name: &str, value: String| [String::new(), name.to_owned(), value];
    let unknown = |text: &str| {
        if text.is_empty() { "not told".to_owned() } else { text.to_owned() }
    };
    let caches: Vec<String> = caches.iter().map(Cache::in_words).collect();
    vec![
        ["cpu".to_owned(), "model".to_owned(), format!("{} ({})", unknown(&cpu.model), cpu.arch)],
        row("cores usable", cpu.cores.to_string()),
        row("governor", unknown(&cpu.governor)),
        row("turbo", turbo_in_words(cpu.turbo).to_owned()),
        row("caches", unknown(&caches.join(", "))),
    ]
}

/// On, off or not told.
pub(super) fn turbo_in_words(turbo: Option<bool>) -> &'static str {
    match turbo {
        Some(true) => "on",
        Some(false) => "off",
        None => "not told",
    }
}

fn cuda_rows(index: usize, device: &CudaDevice) -> Vec<[String; 3]> {
    let row = |name: &str, value: String| [String::new(), name.to_owned(), value];
    vec![
        [format!("cuda:{index}"), "model".to_owned(), device.name.clone()],
        row("uuid", device.uuid.clone()),
        row("compute capability", format!("{}.{}", device.major, device.minor)),
        row("multiprocessors", device.multiprocessors.to_string()),
        row("memory", bytes_in_words(device.memory_bytes)),
    ]
}

fn json_lines(cpu: &CpuIdentity, caches: &[Cache], cuda: &CudaProbe) -> Vec<Value> {
    let caches: Vec<Value> = caches
        .iter()
        .map(|c| json!({ "level": c.level, "kind": c.kind, "bytes": c.bytes }))
        .collect();
    let mut lines = vec![json!({
        "version": 1, "device": "cpu", "runs_kernels": true, "model": cpu.model,
        "arch": cpu.arch, "cores": cpu.cores, "governor": cpu.governor, "turbo": cpu.turbo,
        "microcode": cpu.microcode, "caches": caches,
    })];
    if let CudaProbe::Devices(devices) = cuda {
        lines.extend(devices.iter().enumerate().map(|(index, d)| {
            json!({
                "version": 1, "device": format!("cuda:{index}"), "runs_kernels": false,
                "model": d.name, "uuid": d.uuid, "memory_bytes": d.memory_bytes,
                "compute_capability": format!("{}.{}", d.major, d.minor),
                "multiprocessors": d.multiprocessors,
            })
        }));
    }
    if let Some(hint) = cuda_hint(cuda) {
        let why = words_of(cuda);
        lines.push(json!({ "version": 1, "device": "cuda", "missing": why, "help": hint }));
    }
    lines
}

const CPU0: &str = "/sys/devices/system/cpu/cpu0";

/// One cache of a core.
#[derive(Debug, PartialEq, Eq)]
struct Cache {
    level: u32,
    /// `Data`, `Instruction` or `Unified`.
    kind: String,
    bytes: u64,
}

impl Cache {
    fn in_words(&self) -> String {
        let kind = match self.kind.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        format!("L{}{kind} {}", self.level, bytes_in_words(self.bytes))
    }
}

/// The caches that a core's folder in sysfs tells of; none in many virtual machines.
fn caches(core: &Path) -> Vec<Cache> {
    let read = |index: usize, name: &str| {
        let path = core.join(format!("cache/index{index}/{name}"));
        std::fs::read_to_string(path).map(|t| t.trim().to_owned()).ok()
    };
    (0..8)
        .filter_map(|index| {
            let level = read(index, "level")?.parse().ok()?;
            let bytes = bytes_of(&read(index, "size")?)?;
            Some(Cache { level, kind: read(index, "type")?, bytes })
        })
        .collect()
}

/// `32K` and `2M`, as sysfs writes them.
fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let factor = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn bytes_in_words(bytes: u64) -> String {
    let (value, unit) = match bytes {
        b if b >= 1 << 30 => (b as f64 / f64::from(1 << 30), "GiB"),
        b if b >= 1 << 20 => (b as f64 / f64::from(1 << 20), "MiB"),
        b => (b as f64 / 1024.0, "KiB"),
    };
    let text = format!("{value:.1}");
    format!("{} {unit}", text.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h100() -> CudaDevice {
        CudaDevice {
            name: "Example H".to_owned(),
            uuid: "GPU-0011".to_owned(),
            memory_bytes: 80 << 30,
            major: 9,
            minor: 0,
            multiprocessors: 132,
        }
    }

    #[test]
    fn no_device_comes_with_its_reason_and_a_way_out() {
        for (probe, words) in [
            (CudaProbe::NoDriver, "libcuda.so was not found"),
            (CudaProbe::Unusable("CUDA_ERROR_NO_DEVICE".to_owned()), "CUDA_ERROR_NO_DEVICE"),
            (CudaProbe::Devices(Vec::new()), "lists no device"),
        ] {
            let text = table(&identity(), &[], &probe);
            assert!(text.contains(words) && text.contains("\nhelp: "), "{text}");
            let lines = json_lines(&identity(), &[], &probe);
            assert!(lines[1]["missing"].as_str().is_some_and(|m| m.contains(words)), "{lines:?}");
        }
    }

    #[test]
    fn a_cuda_device_is_shown_with_what_this_version_does_not_do() {
        let probe = CudaProbe::Devices(vec![h100()]);
        let text = table(&identity(), &[], &probe);
        assert!(text.contains("cuda:0") && text.contains("80 GiB"), "{text}");
        assert!(text.contains(NOT_YET) && !text.contains("help:"), "{text}");
        assert_eq!(json_lines(&identity(), &[], &probe)[1]["runs_kernels"], false);
        assert!(words_of(&probe).contains("one CUDA device, Example H"));
    }

    #[test]
    fn caches_are_read_as_sysfs_writes_them() {
        let dir = tempfile::tempdir().expect("tempdir");
        for (index, level, kind, size) in
            [(0, "1", "Data", "48K"), (1, "2", "Unified", "2048K"), (2, "3", "Unified", "odd")]
        {
            let folder = dir.path().join(format!("cache/index{index}"));
            std::fs::create_dir_all(&folder).expect("created");
            for (name, value) in [("level", level), ("type", kind), ("size", size)] {
                std::fs::write(folder.join(name), format!("{value}\n")).expect("written");
            }
        }
        let found: Vec<String> = caches(dir.path()).iter().map(Cache::in_words).collect();
        assert_eq!(found, ["L1d 48 KiB", "L2 2 MiB"]);
        assert_eq!(bytes_of("1.5K"), None);
    }
}
