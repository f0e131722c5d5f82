use super::*;

/// Written after the format that "Nsight Compute CLI" describes (Console Output, `--csv --page raw`);
/// the numbers are made up.
pub(super) const RAW: &str = "\
==PROF== Connected to process 4711 (/bin/optloop)
==PROF== Disconnected from process 4711
\"ID\",\"Process ID\",\"Process Name\",\"Host Name\",\"Kernel Name\",\"Context\",\"Stream\",\"Block Size\",\
\"Grid Size\",\"Device\",\"CC\",\"dram__bytes.sum\",\"dram__throughput.avg.pct_of_peak_sustained_elapsed\",\
\"gpu__time_duration.sum\",\"launch__grid_size\",\"launch__registers_per_thread\",\
\"launch__waves_per_multiprocessor\",\"sm__throughput.avg.pct_of_peak_sustained_elapsed\",\
\"smsp__average_warps_issue_stalled_barrier_per_issue_active.ratio\",\
\"smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio\",\
\"lts__t_sector_hit_rate.pct\"
\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"Mbyte\",\"%\",\"usecond\",\"\",\"register/thread\",\"\",\"%\",\
\"inst\",\"inst\",\"%\"
\"0\",\"4711\",\"optloop\",\"127.0.0.1\",\"void softmax<float>(const float *, \"\"x\"\", int)\",\"1\",\"7\",\
\"(256, 1, 1)\",\"(4,096, 1, 1)\",\"0\",\"9.0\",\"1,234.50\",\"87.25\",\"1,500.5\",\"4,096\",\"32\",\"3.88\",\"21.5\",\
\"0.25\",\"11.75\",\"n/a\"
";

fn report(values: &[(&str, f64)]) -> NcuReport {
    NcuReport::of("k", &values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
}

#[test]
fn a_raw_page_becomes_a_report_in_base_units() {
    let reports = parse(RAW).unwrap();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.kernel, "void softmax<float>(const float *, \"x\", int)");
    assert_eq!(report.duration_ns, Some(1_500_500.0));
    assert_eq!(report.dram_bytes, Some(1_234.5e6));
    assert_eq!((report.registers, report.blocks), (Some(32.0), Some(4096.0)));
    // What is not told, and what is no number.
    assert_eq!((report.ffma, report.l2_hit_percent), (None, None));
    let reasons: Vec<&str> = report.stalls.iter().map(|stall| stall.reason.as_str()).collect();
    assert_eq!(reasons, ["long_scoreboard", "barrier"]);
    assert_eq!(report.bottleneck(), Bottleneck::Memory);
    let table = report.table();
    assert!(table.contains(&("DRAM traffic", "1234.50 MB".to_owned())), "{table:?}");
}

#[test]
fn what_is_no_table_is_an_error_and_an_empty_one_has_no_kernels() {
    assert!(parse("==ERROR== An error occurred\n").is_err());
    assert!(parse("\"ID\",\"gpu__time_duration.sum\"\n").is_err());
    let header: Vec<&str> = RAW.lines().skip(2).take(1).collect();
    assert_eq!(parse(header[0]).unwrap(), []);
}

#[test]
fn the_verdict_names_what_holds_a_kernel_up() {
    let stall = |reason: &str| format!("{}{reason}{}", STALL.0, STALL.1);
    let (long, barrier) = (stall("long_scoreboard"), stall("barrier"));
    for (values, expected, words) in [
        (vec![(COMPUTE, 20.0), (DRAM, 91.0)], Bottleneck::Memory, "DRAM at 91 %"),
        (
            vec![(COMPUTE, 20.0), (DRAM, 15.0), (MEMORY, 88.0)],
            Bottleneck::Memory,
            "in the caches: 88 %",
        ),
        (vec![(COMPUTE, 92.0), (DRAM, 30.0)], Bottleneck::Compute, "bound by compute: 92 %"),
        (
            vec![(COMPUTE, 12.0), (DRAM, 30.0), (WAVES, 4.0), (&long, 9.5), (&barrier, 1.0)],
            Bottleneck::Latency,
            "long_scoreboard (waiting for global or local memory, 9.5 cycles",
        ),
        (vec![(COMPUTE, 12.0), (MEMORY, 59.9)], Bottleneck::Latency, "bound by latency"),
        (
            vec![(COMPUTE, 2.0), (DRAM, 3.0), (WAVES, 0.06), ("launch__grid_size", 8.0)],
            Bottleneck::TooFewBlocks,
            "too few blocks: 8 fill 0.06",
        ),
        (vec![(COMPUTE, 90.0)], Bottleneck::Unknown, "no verdict"),
    ] {
        let report = report(&values);
        assert_eq!(report.bottleneck(), expected, "{values:?}");
        assert!(report.verdict().contains(words), "{}", report.verdict());
    }
}

#[test]
fn complaints_become_a_word_with_a_way_out() {
    let denied = "==PROF== Connected to process 1\n==ERROR== ERR_NVGPUCTRPERM - The user does not \
        have permission to access NVIDIA GPU Performance Counters on the target device 0. For \
        instructions on enabling permissions and to get more information see \
        https://developer.nvidia.com/ERR_NVGPUCTRPERM\n==WARNING== No kernels were profiled.\n";
    for (printed, words) in [
        (denied, Some("counters are for administrators only here")),
        (denied, Some("NVreg_RestrictProfilingToAdminUsers=0")),
        ("==ERROR== \n==ERROR== Unrecognized option\n", Some("ncu says: Unrecognized option")),
        ("==WARNING== No kernels were profiled.\n", Some("no launch")),
        ("==PROF== Disconnected\n", None),
    ] {
        let said = trouble(printed);
        assert_eq!(said.is_some(), words.is_some(), "{printed}");
        assert!(said.unwrap_or_default().contains(words.unwrap_or("")), "{printed}");
    }
}

#[test]
fn metrics_that_are_not_known_are_told_from_the_rest() {
    let asked = metrics();
    let said = "==ERROR== Failed to find metric regex:^dram__bytes\\.sum$\n\
        ==ERROR== Failed to find metric regex:^smsp__average_warps_issue_stalled_drain_per_issue_active\
        \\.ratio(\\.[a-z]+)?$\n";
    let drain = format!("{}drain{}", STALL.0, STALL.1);
    assert_eq!(unknown(said, &asked), ["dram__bytes.sum".to_owned(), drain]);
    assert_eq!(unknown("==ERROR== Failed to find metric \n", &asked), Vec::<String>::new());
}

#[test]
fn one_launch_behind_the_warm_up_is_collected_into_a_report_and_no_clock_is_locked() {
    let command = ["/bin/optloop".into(), "__cuda_replay".into()];
    let metrics = ["a".to_owned(), "b".to_owned()];
    let report = Path::new("/r/50%p.ncu-rep");
    let asked = Collect {
        report,
        kernel: Some("softmax"),
        skip: 3,
        mode: Mode::Cold,
        metrics: &metrics,
        command: &command,
    };
    let line = |asked: &Collect<'_>| {
        let args = collect(asked);
        args.iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    let whole = line(&asked);
    for part in [
        "--metrics a,b ",
        "--clock-control none",
        "--cache-control all",
        "--kernel-name softmax --launch-skip 3 --launch-count 1",
        "--export /r/50%%p.ncu-rep --force-overwrite /bin/optloop __cuda_replay",
    ] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
    let every = line(&Collect { kernel: None, mode: Mode::Hot, ..asked });
    assert!(!every.contains("--launch") && every.contains("--cache-control none"), "{every}");
    let printing = print(report);
    assert_eq!(printing[..2], ["--import", "/r/50%p.ncu-rep"].map(OsString::from));
    assert!(printing.contains(&"raw".into()) && printing.contains(&"--csv".into()));
}
