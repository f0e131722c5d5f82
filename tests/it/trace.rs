//! `OPTLOOP_TRACE`: what judges and workers do, line by line.

use super::kernel::{GOOD, project};

/// The lines of a trace: when, which process, what.
fn lines(text: &str) -> Vec<(f64, u32, &str)> {
    let parts = text.lines().map(|line| {
        let mut parts = line.splitn(3, ' ');
        let time = parts.next().and_then(|time| time.parse().ok());
        let process = parts.next().and_then(|process| process.parse().ok());
        time.zip(process).zip(parts.next()).map(|((time, process), what)| (time, process, what))
    });
    parts.map(|line| line.unwrap_or_else(|| panic!("a line of another form in\n{text}"))).collect()
}

#[test]
fn a_trace_tells_of_each_worker_from_both_sides() {
    let project = project(GOOD);
    let run = ["pipeline", "pipeline.toml"];
    project.args(run).env("OPTLOOP_TRACE", "trace.log").run().code(0);
    let text = project.read("trace.log");
    let lines = lines(&text);
    let judge = lines.first().expect("a line").1;
    let of_judge = |words: &str| lines.iter().any(|l| l.1 == judge && l.2.contains(words));
    let of_worker = |words: &str| lines.iter().any(|l| l.1 != judge && l.2.contains(words));
    for words in [
        "started as",
        "worker for",
        "ready, sandbox ",
        "session 1: load ",
        "session 1: launch 1 from set 0, hot",
        " ns, judged ",
        "session 1: read set 0",
        "session 1: finish",
        "ended, exit status: 0",
    ] {
        assert!(of_judge(words), "{words} is missing from\n{text}");
    }
    assert!(of_worker("sandbox: this machine offers "), "{text}");
    if text.contains("landlock") {
        for words in ["sandbox: may read /usr", "sandbox: may write /dev/null", "sandbox: confined"]
        {
            assert!(of_worker(words), "{words} is missing from\n{text}");
        }
    }
    let times: Vec<f64> = lines.iter().filter(|l| l.1 == judge).map(|l| l.0).collect();
    assert!(times.iter().all(|time| *time > 0.0) && times.len() > 20, "{text}");
}

#[test]
fn a_trace_changes_no_result_and_ends_with_the_variable() {
    let project = project(GOOD);
    project.run().code(0);
    let run = ["pipeline", "pipeline.toml"];
    project.args(run).env("OPTLOOP_TRACE", "trace.log").run().code(0).says("4 known");
    assert_eq!(project.read("trace.log"), "", "nothing was started");
    project.args(run).env("OPTLOOP_TRACE", "").run().code(0);
    project.run().code(0);
    assert_eq!(project.read("trace.log"), "");
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_anything_runs() {
    let project = project(GOOD);
    let ran = project
        .args(["pipeline", "pipeline.toml"])
        .env("OPTLOOP_TRACE", "nowhere/trace.log")
        .run()
        .code(1);
    ran.says("cannot write nowhere/trace.log of OPTLOOP_TRACE")
        .says("help: name a file in a folder");
    assert!(!project.path(".optloop").exists());
}
