//! `optloop devices`: what kernels can run on here, or why not.

use std::path::Path;

use super::args::Format;
use super::columns::{WIDTH, wrapped};
use super::cuda::{self, Part};
use super::exit::Exit;
use super::hardware::{
    self, CLOCK, CPUS, Cache, ClockSource, bytes_in_words, list_in_words, siblings_in_words,
};
use super::host::cuda_places;
use super::lines::Line;
use super::lines::machine::{
    CacheFound, CpuFound, CudaFound, DeviceFound, DeviceLine, Missing, PartFound, PartLine,
};
use super::ui::Ui;
use crate::backend::cpu::{CpuIdentity, identity};
use crate::backend::cuda::find::Library;
use crate::backend::cuda::probe::version_in_words;
use crate::backend::cuda::{CudaDevice, CudaProbe, probe};

/// Lists them.
pub(super) fn run(ui: &Ui) -> Exit {
    let (cpu, cuda) = (Cpu::read(), Cuda::read());
    if ui.format == Format::Json {
        for line in lines(&cpu, &cuda) {
            ui.json(&line);
        }
    } else {
        ui.text(&table(&cpu, &cuda));
    }
    Exit::Ok
}

/// What there is of CUDA.
struct Cuda {
    probe: CudaProbe,
    /// Where the driver's library lies.
    driver: Option<String>,
    parts: Vec<Part>,
}

impl Cuda {
    fn read() -> Self {
        let places = cuda_places();
        let driver = places.find(Library::Driver).map(|found| found.path.display().to_string());
        Self { probe: probe(&places), driver, parts: cuda::parts(&places) }
    }

    fn devices(&self) -> &[CudaDevice] {
        match &self.probe {
            CudaProbe::Devices(devices) => devices,
            _ => &[],
        }
    }
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

fn table(cpu: &Cpu, cuda: &Cuda) -> String {
    let mut rows = cpu_rows(cpu);
    for (index, device) in cuda.devices().iter().enumerate() {
        rows.extend(cuda_rows(index, device));
    }
    rows.extend(software_rows(cuda));
    let end = match cuda.probe.hint() {
        Some(hint) => {
            paragraphs(&[format!("no CUDA device: {}", cuda.probe), format!("help: {hint}")])
        }
        None => String::new(),
    };
    in_columns(&rows) + &end
}

/// Libraries and tools. Where there is no device what is missing of them is `doctor`'s to tell.
fn software_rows(cuda: &Cuda) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    if let (Some(path), Some(device)) = (&cuda.driver, cuda.devices().first()) {
        let version = version_in_words(device.driver_version);
        rows.push(("driver", format!("{path} (CUDA {version})")));
    }
    for part in &cuda.parts {
        match &part.found {
            Ok(found) => rows.push((part.name, found.clone())),
            Err((why, hint)) if !cuda.devices().is_empty() => {
                rows.push((part.name, format!("{why}; {hint}")));
            }
            Err(_) => {}
        }
    }
    let first = |index| if index == 0 { "CUDA".to_owned() } else { String::new() };
    let row =
        |(index, (name, value)): (usize, (&str, String))| [first(index), name.to_owned(), value];
    rows.into_iter().enumerate().map(row).collect()
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
        row("clock", format!("up to {} MHz", device.sm_mhz)),
        row("memory", memory_in_words(device)),
        row("L2 cache", bytes_in_words(device.l2_bytes)),
        row("shared memory", shared_in_words(device)),
        row("bus", device.bus.clone()),
    ]
}

fn memory_in_words(device: &CudaDevice) -> String {
    let bytes = bytes_in_words(device.memory_bytes);
    format!("{bytes}, {} bits at up to {} MHz", device.bus_bits, device.memory_mhz)
}

fn shared_in_words(device: &CudaDevice) -> String {
    format!(
        "{} a block, {} at most; {} a multiprocessor",
        bytes_in_words(device.shared_bytes.into()),
        bytes_in_words(device.shared_optin_bytes.into()),
        bytes_in_words(device.shared_multiprocessor_bytes.into()),
    )
}

/// Caches for programs.
pub(super) fn caches_found(caches: &[Cache]) -> Vec<CacheFound> {
    let found = caches.iter().map(|cache| CacheFound {
        level: cache.level,
        kind: cache.kind.clone(),
        bytes: cache.bytes,
        shared: cache.shared.clone(),
    });
    found.collect()
}

fn lines(cpu: &Cpu, cuda: &Cuda) -> Vec<Line> {
    let mut lines = vec![DeviceLine::of("cpu", DeviceFound::Cpu(Box::new(cpu_found(cpu))))];
    lines.extend(cuda.devices().iter().enumerate().map(|(index, device)| {
        let found = DeviceFound::Cuda(Box::new(cuda_found(device, cuda)));
        DeviceLine::of(format!("cuda:{index}"), found)
    }));
    if let Some(help) = cuda.probe.hint() {
        let missing = Missing { missing: cuda.probe.to_string(), help };
        lines.push(DeviceLine::of("cuda", DeviceFound::Missing(missing)));
    }
    let parts = cuda.parts.iter().map(|part| {
        let found = match &part.found {
            Ok(found) => PartFound::Found { found: found.clone() },
            Err((why, hint)) => {
                PartFound::Missing(Missing { missing: why.clone(), help: hint.clone() })
            }
        };
        Line::Part(PartLine::of(part.name, found))
    });
    lines.into_iter().map(Line::Device).chain(parts).collect()
}

fn cpu_found(cpu: &Cpu) -> CpuFound {
    let id = cpu.identity.clone();
    CpuFound {
        runs_kernels: true,
        model: id.model,
        arch: id.arch,
        cores: id.cores,
        governor: id.governor,
        turbo: id.turbo,
        microcode: id.microcode,
        caches: caches_found(&cpu.caches),
        core_list: cpu.cores.clone(),
        siblings: cpu.siblings.clone(),
        time_source: cpu.clock.current.clone(),
    }
}

fn cuda_found(device: &CudaDevice, cuda: &Cuda) -> CudaFound {
    CudaFound {
        runs_kernels: true,
        model: device.name.clone(),
        uuid: device.uuid.clone(),
        bus: device.bus.clone(),
        memory_bytes: device.memory_bytes,
        compute_capability: format!("{}.{}", device.major, device.minor),
        multiprocessors: device.multiprocessors,
        l2_bytes: device.l2_bytes,
        sm_mhz: device.sm_mhz,
        memory_mhz: device.memory_mhz,
        bus_bits: device.bus_bits,
        shared_bytes: device.shared_bytes,
        shared_optin_bytes: device.shared_optin_bytes,
        shared_multiprocessor_bytes: device.shared_multiprocessor_bytes,
        driver: cuda.driver.clone(),
        cuda_version: version_in_words(device.driver_version),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn json_lines(cpu: &Cpu, cuda: &Cuda) -> Vec<Value> {
        let lines = lines(cpu, cuda);
        lines.iter().map(|line| serde_json::to_value(line).expect("encodes")).collect()
    }

    fn h100() -> CudaDevice {
        CudaDevice {
            name: "Example H".to_owned(),
            uuid: "GPU-0011".to_owned(),
            bus: "0000:19:00.0".to_owned(),
            memory_bytes: 80 << 30,
            major: 9,
            minor: 0,
            multiprocessors: 132,
            l2_bytes: 50 << 20,
            sm_mhz: 1980,
            memory_mhz: 2619,
            bus_bits: 5120,
            shared_bytes: 48 << 10,
            shared_optin_bytes: 227 << 10,
            shared_multiprocessor_bytes: 228 << 10,
            driver_version: 13_000,
        }
    }

    fn parts() -> Vec<Part> {
        let found = Ok("/usr/bin/nvcc".to_owned());
        let missing = Err(("ncu was not found".to_owned(), "install it".to_owned()));
        vec![Part { name: "nvcc", cost: "", found }, Part { name: "ncu", cost: "", found: missing }]
    }

    fn cuda(probe: CudaProbe) -> Cuda {
        Cuda { probe, driver: Some("/usr/lib64/libcuda.so.1".to_owned()), parts: parts() }
    }

    fn no_driver() -> CudaProbe {
        CudaProbe::NoDriver { tried: Vec::new(), broken: None, hint: "install a driver".to_owned() }
    }

    #[test]
    fn no_device_comes_with_its_reason_and_a_way_out() {
        let why = "CUDA_ERROR_NO_DEVICE, 100".to_owned();
        for (probe, words) in [
            (no_driver(), "libcuda.so.1 was not found"),
            (CudaProbe::TooOld { version: 11_040, needed: 12_000, missing: vec![] }, "is of 11.4"),
            (CudaProbe::Unusable { code: 100, why }, "CUDA_ERROR_NO_DEVICE"),
            (CudaProbe::Devices(Vec::new()), "lists no device"),
        ] {
            let cuda = cuda(probe);
            let text = table(&Cpu::read(), &cuda);
            assert!(text.contains(words) && text.contains("\nhelp: "), "{text}");
            assert!(text.contains("/usr/bin/nvcc") && !text.contains("ncu was"), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            let lines = json_lines(&Cpu::read(), &cuda);
            assert!(lines[1]["missing"].as_str().is_some_and(|m| m.contains(words)), "{lines:?}");
            assert_eq!(lines.last().expect("parts")["missing"], "ncu was not found");
        }
    }

    #[test]
    fn a_cuda_device_is_shown_with_its_clocks_and_memory_and_what_there_is_for_it() {
        let cuda = cuda(CudaProbe::Devices(vec![h100()]));
        let text = table(&Cpu::read(), &cuda);
        for words in [
            "cuda:0",
            "80 GiB, 5120 bits at up to 2619 MHz",
            "up to 1980 MHz",
            "48 KiB a block, 227 KiB at most",
            "/usr/lib64/libcuda.so.1 (CUDA 13.0)",
            "ncu was not found; install it",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("help:") && text.lines().all(|l| l.chars().count() <= WIDTH));
        let line = &json_lines(&Cpu::read(), &cuda)[1];
        assert_eq!(line["runs_kernels"], true);
        assert_eq!((&line["sm_mhz"], &line["cuda_version"]), (&json!(1980), &json!("13.0")));
    }
}
