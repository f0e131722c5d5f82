//! Tests of the peaks: sizes, what is read back, and one real measurement.

use std::ffi::OsStr;

use tempfile::TempDir;

use super::*;

fn cache(name: &str, bytes: u64, shared_by: u32) -> CacheLevel {
    CacheLevel { name: name.into(), bytes, shared_by }
}

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

#[test]
fn caches_are_read_from_the_files_of_the_kernel() {
    let folder = TempDir::new().unwrap();
    for (index, level, kind, size, shared) in [
        (3, "3\n", "Unified\n", "32M\n", "0-7,16-23\n"),
        (0, "1\n", "Data\n", "48K\n", "0,16\n"),
        (1, "1\n", "Instruction\n", "32K\n", "0,16\n"),
        (2, "2\n", "Unified\n", "1024K\n", "0\n"),
        (4, "4\n", "Unified\n", "much\n", "0\n"),
    ] {
        let at = folder.path().join(format!("index{index}"));
        fs::create_dir(&at).unwrap();
        for (name, text) in
            [("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)]
        {
            fs::write(at.join(name), text).unwrap();
        }
    }
    assert_eq!(
        levels_in(folder.path()),
        [cache("L1", 48 * K, 2), cache("L2", M, 1), cache("L3", 32 * M, 16)]
    );
    assert_eq!(levels_in(&folder.path().join("none")), []);
}

#[test]
fn sizes_and_lists_without_sense_are_not_read() {
    for (text, bytes) in [
        ("48K", Some(48 * K)),
        ("2G", Some(2048 * M)),
        ("512", Some(512)),
        ("", None),
        ("K", None),
        ("-1K", None),
        ("99999999999999999999", None),
        ("18446744073709551615G", None),
        ("1µ", None),
    ] {
        assert_eq!(parse_size(text), bytes, "{text}");
    }
    for (list, count) in [("0", 1), ("0-1", 2), ("0-3,8,10-11", 7), ("", 1), ("x", 1), ("3-1", 1)] {
        assert_eq!(count_list(list), count, "{list}");
    }
}

#[test]
fn each_level_is_measured_with_what_only_it_holds() {
    let sizes = |caches: &[CacheLevel], threads| {
        footprints(caches, threads).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    let shared = [cache("L1", 48 * K, 1), cache("L2", M, 1), cache("L3", 32 * M, 2)];
    assert_eq!(sizes(&shared, 1), [24 * K, 512 * K, 8 * M, 256 * M]);
    assert_eq!(sizes(&shared, 2), [24 * K, 512 * K, 8 * M, 128 * M]);
    // Two threads per core, and a last cache of which a core's share is less than its second.
    let many = [cache("L1", 48 * K, 2), cache("L2", 2 * M, 2), cache("L3", 105 * M, 112)];
    assert_eq!(sizes(&many, 1), [24 * K, M, 8 * M, 512 * M]);
    // No more than fits when all work at once.
    assert!(sizes(&many, 56)[2] * 56 <= 105 * M, "{:?}", sizes(&many, 56));
    // Nothing is known, and a last cache too large to be exceeded eight times.
    assert_eq!(sizes(&[], 1), [64 * M]);
    assert_eq!(sizes(&[cache("L3", 1024 * M, 1)], 1), [512 * M, 512 * M]);
}

const OUTPUT: &str = r#"
some loader says something
{"name":"f32","per_s":2.0e11,"by":"x"}
{"name":"f64","per_s":1.0e11}
{"name":"L1","per_s":5.0e11}
{"name":"memory","per_s":5.0e10}
"#;

#[test]
fn figures_are_read_between_other_lines() {
    let peaks = peaks_from(OUTPUT, &[cache("L1", 48 * K, 1)]).unwrap();
    assert_eq!((peaks.flops_per_s, peaks.flops_f64_per_s), (2.0e11, 1.0e11));
    let levels: Vec<_> =
        peaks.levels.iter().map(|l| (l.name.as_str(), l.capacity_bytes, l.bytes_per_s)).collect();
    assert_eq!(levels, [("L1", 48 * K, 5.0e11), ("memory", u64::MAX, 5.0e10)]);
}

#[test]
fn a_figure_that_is_missing_or_cannot_be_is_no_peak() {
    let missing = peaks_from(OUTPUT, &[cache("L2", M, 1)]).unwrap_err();
    assert!(missing.contains("`L2`"), "{missing}");
    for bad in ["0", "-1.0", "null", "1e999", "inf"] {
        let text = OUTPUT.replace("1.0e11", bad);
        assert!(peaks_from(&text, &[]).is_err(), "{bad}");
    }
}

/// A request that runs in `scratch`.
fn request<'a>(
    compiler: &'a Path,
    scratch: &'a TempDir,
    env: &'a [(OsString, OsString)],
    cancel: &'a Cancel,
) -> PeakRequest<'a> {
    let cores = &[0];
    PeakRequest { compiler, scratch: scratch.path(), cores, env, marker: "peaks-test", cancel }
}

fn sound() -> Peaks {
    peaks_from(OUTPUT, &[]).unwrap()
}

#[test]
fn stored_peaks_are_used_and_broken_ones_are_measured_anew() {
    let (folder, scratch, cancel) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), Cancel::default());
    // Nothing that could measure.
    let compiler = scratch.path().join("cc");
    fs::write(&compiler, "no program").unwrap();
    let request = request(&compiler, &scratch, &[], &cancel);
    let name = format!("peaks-{}.json", key(&identity(), &request).unwrap().short());
    let path = folder.path().join(name);
    let told = std::cell::Cell::new(0);
    let cached = |folder: &Path, request: &PeakRequest<'_>| {
        cached(folder, request, &|| told.set(told.get() + 1))
    };
    assert!(matches!(cached(folder.path(), &request), Err(PeakError::Command { .. })));
    assert_eq!(told.get(), 1, "whoever waits for seconds is told what for");
    store(&path, &sound()).unwrap();
    assert_eq!(cached(folder.path(), &request), Ok(sound()));
    assert_eq!(told.get(), 1);
    for broken in ["", "{", "{\"flops_per_s\":1.0}"] {
        fs::write(&path, broken).unwrap();
        assert!(matches!(cached(folder.path(), &request), Err(PeakError::Command { .. })));
    }
    let mut odd = sound();
    odd.flops_per_s = -1.0;
    fs::write(&path, serde_json::to_vec(&odd).unwrap()).unwrap();
    assert!(cached(folder.path(), &request).is_err());
}

#[test]
fn another_machine_compiler_or_core_has_other_peaks() {
    let (scratch, cancel) = (TempDir::new().unwrap(), Cancel::default());
    let (one, two) = (scratch.path().join("one"), scratch.path().join("two"));
    fs::write(&one, "").unwrap();
    fs::write(&two, "").unwrap();
    let here = identity();
    let base = request(&one, &scratch, &[], &cancel);
    let of = |identity: &CpuIdentity, request: &PeakRequest<'_>| key(identity, request).unwrap();
    let elsewhere = CpuIdentity { model: "another".into(), ..here.clone() };
    assert_eq!(of(&here, &base), of(&here, &base));
    assert_ne!(of(&here, &base), of(&elsewhere, &base));
    assert_ne!(of(&here, &base), of(&here, &PeakRequest { cores: &[0, 1], ..base }));
    assert_ne!(of(&here, &base), of(&here, &PeakRequest { compiler: &two, ..base }));
    let before = of(&here, &base);
    fs::write(&one, "newer").unwrap();
    assert_ne!(before, of(&here, &base));
}

#[test]
fn what_cannot_be_measured_says_why() {
    let (scratch, cancel) = (TempDir::new().unwrap(), Cancel::default());
    let nowhere = scratch.path().join("nowhere");
    let base = request(&nowhere, &scratch, &[], &cancel);
    assert_eq!(measure(&PeakRequest { cores: &[], ..base }), Err(PeakError::NoCore));
    let why = measure(&base).unwrap_err().to_string();
    assert!(why.contains("nowhere") && why.contains("does not exist"), "{why}");
    let why = cached(scratch.path(), &base, &|| {}).unwrap_err().to_string();
    assert!(why.contains("cannot find the compiler"), "{why}");
}

#[test]
fn this_machine_is_measured_on_one_core() {
    let path = OsString::from("/usr/local/bin:/usr/bin:/bin");
    let scratch = TempDir::new().unwrap();
    let compiler = process::resolve(OsStr::new("cc"), scratch.path(), &path).unwrap();
    let (env, cancel) = ([("PATH".into(), path)], Cancel::default());
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let core = (0..1024).find(|core| allowed.is_set(*core)).unwrap() as u32;
    let base = request(&compiler, &scratch, &env, &cancel);
    let peaks = measure(&PeakRequest { cores: &[core], ..base }).unwrap();
    assert!(peaks.flops_per_s > 1e8 && peaks.flops_per_s < 1e13, "{peaks:?}");
    assert!(peaks.flops_f64_per_s > 1e8 && peaks.flops_f64_per_s < 1e13, "{peaks:?}");
    assert_eq!(peaks.levels.len(), cache_levels().len() + 1);
    assert!(peaks.levels.iter().all(|l| l.bytes_per_s > 1e8 && l.bytes_per_s < 1e13), "{peaks:?}");
    // A core that is not there cannot be pinned to, and the program says so.
    let why = measure(&PeakRequest { cores: &[1023], ..base }).unwrap_err().to_string();
    assert!(why.contains("pinning a thread"), "{why}");
}
