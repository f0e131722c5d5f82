//! `optloop devices`: what kernels can run on here, or why not.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Format;
use super::columns::{WIDTH, wrapped};
use super::exit::Exit;
use super::hardware::{
    self, CLOCK, CPUS, Cache, ClockSource, bytes_in_words, list_in_words, siblings_in_words,
};
use super::ui::Ui;
use crate::backend::cpu::{CpuIdentity, identity};
use crate::backend::cuda::{CudaDevice, CudaProbe, probe};

/// Said wherever a CUDA device is shown.
const NOT_YET: &str = "this version runs kernels on the CPU only";

/// Lists them.
pub(super) fn run(ui: &Ui) -> Exit {
    let (cpu, cuda) = (Cpu::read(), probe());
    if ui.format == Format::Json {
        for line in json_lines(&cpu, &cuda) {
            ui.json(&line);
        }
    } else {
        ui.text(&table(&cpu, &cuda));
    }
    Exit::Ok
}

/// The processor, as far as it is told.
struct Cpu {
    identity: CpuIdentity,
    cores: Vec<u32>,
    siblings: Vec<Vec<u32>>,
    caches: Vec<Cache>,
    clock: ClockSource,
}

impl Cpu {
    fn read() -> Self {
        let (cpus, cores) = (Path::new(CPUS), hardware::usable_cores());
        let first = cores.first().copied().unwrap_or(0);
        Self {
            identity: identity(),
            siblings: hardware::siblings(cpus, &cores),
            caches: hardware::caches(&cpus.join(format!("cpu{first}"))),
            clock: hardware::clock_source(Path::new(CLOCK)),
            cores,
        }
    }
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

fn table(cpu: &Cpu, cuda: &CudaProbe) -> String {
    let mut rows = cpu_rows(cpu);
    if let CudaProbe::Devices(devices) = cuda {
        for (index, device) in devices.iter().enumerate() {
            rows.extend(cuda_rows(index, device));
        }
    }
    let end = match cuda_hint(cuda) {
        Some(hint) => {
            paragraphs(&[format!("no CUDA device: {}", words_of(cuda)), format!("help: {hint}")])
        }
        None => paragraphs(&[format!("CUDA devices are listed, and {NOT_YET}")]),
    };
    in_columns(&rows) + &end
}

fn paragraphs(texts: &[String]) -> String {
    let lines = texts.iter().flat_map(|text| wrapped(text, WIDTH));
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Three columns; values that do not fit 80 go on below.
fn in_columns(rows: &[[String; 3]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (device, name) = (width(0), width(1));
    let mut text = String::new();
    for row in rows {
        let mut start = format!("{:<device$} {:<name$} ", row[0], row[1]);
        let indent = " ".repeat(start.chars().count());
        for line in wrapped(&row[2], WIDTH - indent.len()) {
            text += format!("{start}{line}").trim_end();
            text.push('\n');
            start.clone_from(&indent);
        }
    }
    text
}

fn cpu_rows(cpu: &Cpu) -> Vec<[String; 3]> {
    let row = |name: &str, value: String| [String::new(), name.to_owned(), value];
    let unknown = |text: &str| {
        if text.is_empty() { "not told".to_owned() } else { text.to_owned() }
    };
    let caches: Vec<String> = cpu.caches.iter().map(Cache::in_words).collect();
    let siblings = match siblings_in_words(&cpu.siblings) {
        none if none.is_empty() => "none told".to_owned(),
        groups => groups,
    };
    let id = &cpu.identity;
    vec![
        ["cpu".to_owned(), "model".to_owned(), format!("{} ({})", unknown(&id.model), id.arch)],
        row("cores usable", format!("{} ({})", id.cores, list_in_words(&cpu.cores))),
        row("siblings (SMT)", siblings),
        row("governor", unknown(&id.governor)),
        row("turbo", turbo_in_words(id.turbo).to_owned()),
        row("caches", unknown(&caches.join(", "))),
        row("time source", unknown(&cpu.clock.current)),
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

/// Caches for programs.
pub(super) fn caches_json(caches: &[Cache]) -> Value {
    let one = |c: &Cache| json!({ "level": c.level, "kind": c.kind, "bytes": c.bytes, "shared": c.shared });
    caches.iter().map(one).collect()
}

fn json_lines(cpu: &Cpu, cuda: &CudaProbe) -> Vec<Value> {
    let id = &cpu.identity;
    let mut lines = vec![json!({
        "version": 1, "device": "cpu", "runs_kernels": true, "model": id.model,
        "arch": id.arch, "cores": id.cores, "governor": id.governor, "turbo": id.turbo,
        "microcode": id.microcode, "caches": caches_json(&cpu.caches), "core_list": cpu.cores,
        "siblings": cpu.siblings, "time_source": cpu.clock.current,
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
            let text = table(&Cpu::read(), &probe);
            assert!(text.contains(words) && text.contains("\nhelp: "), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            let lines = json_lines(&Cpu::read(), &probe);
            assert!(lines[1]["missing"].as_str().is_some_and(|m| m.contains(words)), "{lines:?}");
        }
    }

    #[test]
    fn a_cuda_device_is_shown_with_what_this_version_does_not_do() {
        let probe = CudaProbe::Devices(vec![h100()]);
        let text = table(&Cpu::read(), &probe);
        assert!(text.contains("cuda:0") && text.contains("80 GiB"), "{text}");
        assert!(text.contains(NOT_YET) && !text.contains("help:"), "{text}");
        assert_eq!(json_lines(&Cpu::read(), &probe)[1]["runs_kernels"], false);
        assert!(words_of(&probe).contains("one CUDA device, Example H"));
    }
}
