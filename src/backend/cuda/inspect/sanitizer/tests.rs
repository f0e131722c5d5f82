use super::*;

/// Written after the examples of the "Compute Sanitizer" user manual; names and numbers are made up.
const MEMCHECK: &str = "\
========= COMPUTE-SANITIZER
hello from the process
========= Invalid __global__ write of size 4 bytes
=========     at void scale<float, 4>(const float *, float *, int)+0x2b0 in /src/scale.cu:12
=========     by thread (33,0,0) in block (7,0,0)
=========     Address 0x7fe035a00410 is out of bounds
=========     and is 17 bytes after the nearest allocation at 0x7fe035a00000 of size 1,024 bytes
=========     Saved host backtrace up to driver entry point at kernel launch time
=========         Host Frame: [0x2774ec]
=========
========= Invalid __shared__ read of size 8 bytes
=========     at 0x60 in /src/scale.cu:6:ns::tile(void)
=========     by thread (0,0,0) in block (0,0,0)
=========     Address 0x8 is misaligned
=========
========= Target application returned an error
========= ERROR SUMMARY: 2 errors
";

const RACECHECK: &str = "\
========= COMPUTE-SANITIZER
========= Error: Race reported between Write access at sum(int *, int *)+0xd0 in /src/race.cu:30
=========     and Read access at sum(int *, int *)+0x240 in /src/race.cu:36 [508 hazards]
=========     and Write access at sum(int *, int *)+0xd0 in /src/race.cu:30 [4 hazards]
=========
========= Warning: Race reported between Read access at sum(int *, int *)+0x20 in /src/race.cu:20
=========     and Write access at sum(int *, int *)+0x50 in /src/race.cu:21 [2 hazards]
=========
========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)
";

const BARE: &str = "\
========= COMPUTE-SANITIZER
========= Barrier error detected. Divergent thread(s) in block.
=========     at sum+0x70
=========     by thread (1,0,0) in block (0,0,0)
=========
========= ERROR SUMMARY: 1 error
";

#[test]
fn accesses_are_read_with_kernel_place_thread_and_block() {
    let report = parse(MEMCHECK);
    assert_eq!(report.errors, Some(2));
    assert_eq!(report.notes, ["Target application returned an error"]);
    let [first, second] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!(
        first.line(),
        "Invalid __global__ write of size 4 bytes at scale.cu:12 (in scale<float, 4>, thread \
         (33,0,0), block (7,0,0))"
    );
    assert_eq!(first.more.len(), 2, "{:?}", first.more);
    assert!(first.more[1].starts_with("and is 17 bytes after"), "{:?}", first.more);
    assert_eq!(second.place.as_deref(), Some("scale.cu:6"));
    assert_eq!(second.kernel.as_deref(), Some("ns::tile"));
}

#[test]
fn races_are_read_with_both_accesses_and_warnings_are_no_findings() {
    let report = parse(RACECHECK);
    assert_eq!((report.errors, report.warnings), (Some(1), 1));
    let [race] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!(race.line(), "race between a write at race.cu:30 and a read at race.cu:36 (in sum)");
}

#[test]
fn a_build_without_line_tables_names_the_kernel_alone() {
    let report = parse(BARE);
    assert_eq!(
        report.findings[0].line(),
        "Barrier error detected. Divergent thread(s) in block (in sum, thread (1,0,0), block (0,0,0))"
    );
    for (at, kernel, place) in [
        ("0x1b8 in kernel(float *, float *)", Some("kernel"), None),
        ("kernel():0x160 in demo.cu:34", Some("kernel"), Some("demo.cu:34")),
        ("0x40", None, None),
        ("void (anonymous namespace)::k<int>(int)+0x1", Some("k<int>"), None),
    ] {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(location(at), (owned(kernel), owned(place)), "{at}");
    }
}

#[test]
fn what_the_tool_says_of_itself_is_a_note_and_a_clean_run_has_none() {
    let clean = parse("========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n");
    assert_eq!(clean, SanitizerReport { errors: Some(0), ..SanitizerReport::default() });
    let broken = parse("========= COMPUTE-SANITIZER\n========= Error: Device not supported\n");
    assert_eq!((broken.errors, broken.findings.len()), (None, 0));
    assert_eq!(broken.notes, ["Error: Device not supported"]);
    assert_eq!(parse("the process's own words\n"), SanitizerReport::default());
}

#[test]
fn a_command_is_watched_for_one_thing_at_a_time() {
    let command = ["/bin/optloop".into(), "__cuda_replay".into()];
    for (check, part, absent) in [
        (Check::Memcheck, "--tool memcheck --leak-check no --padding 4096", "racecheck"),
        (Check::Racecheck, "--tool racecheck", "--leak-check"),
    ] {
        let args = watch(check, &command);
        let words: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
        let line = words.join(" ");
        assert!(line.starts_with(part) && !line.contains(absent), "{line}");
        assert!(line.ends_with("--error-exitcode 86 /bin/optloop __cuda_replay"), "{line}");
    }
}
