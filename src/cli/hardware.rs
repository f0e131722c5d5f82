//! What `/proc` and `/sys` tell of this machine: cores, their siblings, caches, clock, load.

use std::path::Path;

pub(super) use crate::backend::cpu::identity::list_in_words;

/// Where the kernel tells of processors.
pub(super) const CPUS: &str = "/sys/devices/system/cpu";
/// Where it tells of time sources.
pub(super) const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0";

fn small(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).map(|t| t.trim().to_owned()).ok()
}

/// The cores that this process may run on.
pub(super) fn usable_cores() -> Vec<u32> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => {
            let all = 0..rustix::thread::CpuSet::MAX_CPU;
            all.filter(|core| set.is_set(*core)).map(|core| core as u32).collect()
        }
        Err(_) => vec![0],
    }
}

/// Groups of two or more cores that share execution units, among these cores.
pub(super) fn siblings(cpus: &Path, cores: &[u32]) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for core in cores {
        let path = cpus.join(format!("cpu{core}/topology/thread_siblings_list"));
        let group = small(&path).map(|text| list_of(&text)).unwrap_or_default();
        if group.len() > 1 && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// `0-2,8`, as sysfs writes lists of cores.
fn list_of(text: &str) -> Vec<u32> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// Groups of siblings on one line.
pub(super) fn siblings_in_words(groups: &[Vec<u32>]) -> String {
    const SHOWN: usize = 6;
    let words: Vec<String> = groups
        .iter()
        .map(|group| group.iter().map(u32::to_string).collect::<Vec<_>>().join("+"))
        .collect();
    match words.len() {
        n if n > SHOWN => format!("{} and {} more", words[..SHOWN].join(", "), n - SHOWN),
        _ => words.join(", "),
    }
}

/// A virtual machine tells its guests so (x86; other kernels do not say).
pub(super) fn is_virtual(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags.next().is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// One cache of a core.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cache {
    pub(super) level: u32,
    /// `Data`, `Instruction` or `Unified`.
    pub(super) kind: String,
    pub(super) bytes: u64,
    /// Cores that share it.
    pub(super) shared: Vec<u32>,
}

impl Cache {
    pub(super) fn in_words(&self) -> String {
        let kind = match self.kind.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        let size = format!("L{}{kind} {}", self.level, bytes_in_words(self.bytes));
        match self.shared.len() {
            0 | 1 => size,
            _ => format!("{size} (cores {})", list_in_words(&self.shared)),
        }
    }
}

/// The caches that a core's folder in sysfs tells of; none in many virtual machines.
pub(super) fn caches(core: &Path) -> Vec<Cache> {
    let read = |index: usize, name: &str| small(&core.join(format!("cache/index{index}/{name}")));
    (0..8)
        .filter_map(|index| {
            let level = read(index, "level")?.parse().ok()?;
            let bytes = bytes_of(&read(index, "size")?)?;
            let shared = read(index, "shared_cpu_list").map(|t| list_of(&t)).unwrap_or_default();
            Some(Cache { level, kind: read(index, "type")?, bytes, shared })
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

/// A size in the unit that reads best.
pub(super) fn bytes_in_words(bytes: u64) -> String {
    let (value, unit) = match bytes {
        b if b >= 1 << 30 => (b as f64 / f64::from(1 << 30), "GiB"),
        b if b >= 1 << 20 => (b as f64 / f64::from(1 << 20), "MiB"),
        b => (b as f64 / 1024.0, "KiB"),
    };
    let text = format!("{value:.1}");
    format!("{} {unit}", text.trim_end_matches(".0"))
}

/// What the kernel reads the time from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClockSource {
    /// Empty where it is not told.
    pub(super) current: String,
    pub(super) available: Vec<String>,
}

/// Reads it.
pub(super) fn clock_source(folder: &Path) -> ClockSource {
    let available = small(&folder.join("available_clocksource")).unwrap_or_default();
    ClockSource {
        current: small(&folder.join("current_clocksource")).unwrap_or_default(),
        available: available.split_whitespace().map(str::to_owned).collect(),
    }
}

/// What one core did since the machine started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) core: u32,
    /// Running anything.
    pub(super) busy: u64,
    /// Wanting to run while the host ran others.
    pub(super) steal: u64,
    /// All of them.
    pub(super) all: u64,
}

/// `/proc/stat`, one entry per core (proc(5): user nice system idle iowait irq softirq steal).
pub(super) fn ticks(stat: &str) -> Vec<Ticks> {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let core = words.next()?.strip_prefix("cpu")?.parse().ok()?;
        // What guests ran is in user and nice already.
        let counts: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
        let count = |index: usize| counts.get(index).copied().unwrap_or(0);
        let all = counts.iter().sum::<u64>();
        let busy = all.saturating_sub(count(3) + count(4));
        Some(Ticks { core, busy, steal: count(7), all })
    };
    stat.lines().filter_map(of_line).collect()
}

/// What each core did between two readings.
pub(super) fn between(before: &[Ticks], after: &[Ticks]) -> Vec<Ticks> {
    let since = |now: &Ticks| {
        let then = before.iter().find(|then| then.core == now.core)?;
        Some(Ticks {
            core: now.core,
            busy: now.busy.saturating_sub(then.busy),
            steal: now.steal.saturating_sub(then.steal),
            all: now.all.saturating_sub(then.all),
        })
    };
    after.iter().filter_map(since).collect()
}

/// A part of all ticks, in percent; 0 of nothing.
pub(super) fn percent(part: u64, all: u64) -> f64 {
    part as f64 * 100.0 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("tempdir");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            std::fs::write(path, format!("{text}\n")).expect("written");
        }
        dir
    }

    #[test]
    fn caches_are_read_as_sysfs_writes_them() {
        let dir = written(&[
            ("cache/index0/level", "1"),
            ("cache/index0/type", "Data"),
            ("cache/index0/size", "48K"),
            ("cache/index0/shared_cpu_list", "0"),
            ("cache/index1/level", "2"),
            ("cache/index1/type", "Unified"),
            ("cache/index1/size", "2048K"),
            ("cache/index1/shared_cpu_list", "0-3,8"),
            ("cache/index2/level", "3"),
            ("cache/index2/type", "Unified"),
            ("cache/index2/size", "odd"),
        ]);
        let found: Vec<String> = caches(dir.path()).iter().map(Cache::in_words).collect();
        assert_eq!(found, ["L1d 48 KiB", "L2 2 MiB (cores 0-3,8)"]);
        assert_eq!(bytes_of("1.5K"), None);
    }

    #[test]
    fn siblings_are_groups_and_a_core_alone_is_none() {
        let list = "topology/thread_siblings_list";
        let files = ["0,2", "1,3", "0,2", "1,3", "4"];
        let dir = tempfile::tempdir().expect("tempdir");
        for (core, text) in files.iter().enumerate() {
            let path = dir.path().join(format!("cpu{core}/{list}"));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            std::fs::write(path, text).expect("written");
        }
        let groups = siblings(dir.path(), &[0, 1, 2, 3, 4, 5]);
        assert_eq!(siblings_in_words(&groups), "0+2, 1+3");
        assert_eq!(siblings(dir.path(), &[4, 5]), Vec::<Vec<u32>>::new());
        let many: Vec<Vec<u32>> = (0..9).map(|core| vec![core, core + 9]).collect();
        assert!(siblings_in_words(&many).ends_with("5+14 and 3 more"));
    }

    #[test]
    fn lists_of_cores_read_as_they_are_written() {
        for text in ["0", "0-3", "0,2", "0-2,8,10-11", ""] {
            assert_eq!(list_in_words(&list_of(text)), text);
        }
        assert!(!usable_cores().is_empty());
    }

    #[test]
    fn ticks_are_told_by_core_and_steal_is_busy_too() {
        let before = ticks("cpu  9 9 9 9\ncpu0 10 0 10 70 10 0 0 0 5 5\ncpu1 0 0 0 100 0 0 0 0\n");
        let after = ticks("cpu0 15 0 10 75 10 0 0 10 9 9\ncpu1 0 0 0 120 0 0 0 0\ncpu7 1\n");
        let done = between(&before, &after);
        assert_eq!(done[0], Ticks { core: 0, busy: 15, steal: 10, all: 20 });
        assert_eq!(done[1], Ticks { core: 1, busy: 0, steal: 0, all: 20 });
        assert_eq!(done.len(), 2);
        assert!((percent(done[0].busy, done[0].all) - 75.0).abs() < 1e-9);
        assert!(percent(0, 0).abs() < 1e-9);
    }

    #[test]
    fn the_clock_and_the_virtual_machine_are_read() {
        let dir =
            written(&[("current_clocksource", "tsc"), ("available_clocksource", "tsc kvm-clock ")]);
        let clock = clock_source(dir.path());
        assert_eq!((clock.current.as_str(), clock.available.len()), ("tsc", 2));
        assert_eq!(clock_source(&dir.path().join("none")), ClockSource::default());
        assert!(is_virtual("model: x\nflags\t\t: fpu hypervisor avx\n"));
        assert!(!is_virtual("flags : fpu\n") && !is_virtual(""));
    }
}
