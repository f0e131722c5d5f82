//! Real commands: exits, output, deadlines, and that nothing survives.
#![expect(clippy::disallowed_methods, reason = "tests watch this process from outside")]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A name that no other test, and no other run of this test, uses.
pub(super) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn shell(script: &str) -> CommandSpec {
    let mut spec = CommandSpec::new("/bin/sh", "/", unique("test"));
    spec.args = ["-c", script].map(OsString::from).to_vec();
    spec.env = vec![("PATH".into(), std::env::var_os("PATH").expect("tests have a PATH"))];
    spec.timeout = Some(LONG);
    spec
}

fn finish(spec: &CommandSpec) -> Finished {
    run(spec, &Cancel::default()).expect("the command starts")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("the commands here print text")
}

/// Live processes that have `needle` on their command line.
fn alive(needle: &str) -> Vec<String> {
    procfs::all()
        .into_iter()
        .filter(|process| !process.is_zombie())
        .filter_map(|process| std::fs::read(format!("/proc/{}/cmdline", process.pid)).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(needle))
        .collect()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A number of seconds that `sleep` takes and that no other process sleeps.
fn sleep_tag() -> String {
    let tag = unique("");
    let digits: String = tag.chars().filter(char::is_ascii_digit).collect();
    format!("9{digits}")
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    let table = [
        ("exit 0", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -11 $$", Exit::Signal(11)),
    ];
    for (script, expected) in table {
        assert_eq!(finish(&shell(script)).exit, expected, "{script}");
    }
}

#[test]
fn merged_output_keeps_the_order_of_both_streams() {
    let finished = finish(&shell("echo one; echo two >&2; echo three; echo four >&2"));
    assert_eq!(text(&finished.stdout), "one\ntwo\nthree\nfour\n");
    assert!(finished.stderr.is_empty() && !finished.truncated);
}

#[test]
fn split_output_keeps_the_streams_apart() {
    let mut spec = shell("echo one; echo two >&2");
    spec.capture = Capture::Split;
    let finished = finish(&spec);
    assert_eq!((text(&finished.stdout), text(&finished.stderr)), ("one\n", "two\n"));
}

#[test]
fn output_beyond_the_limit_is_drained_and_both_ends_are_kept() {
    let mut spec = shell("echo first; head -c 3000000 /dev/zero; echo last");
    spec.max_output = 1000;
    let finished = finish(&spec);
    assert_eq!(finished.exit, Exit::Code(0));
    assert!(finished.truncated && finished.stdout.len() < 1100);
    assert!(finished.stdout.starts_with(b"first\n") && finished.stdout.ends_with(b"last\n"));
}

#[test]
fn what_is_printed_reaches_a_sink_while_the_command_runs() {
    #[derive(Debug)]
    struct Told(std::sync::mpsc::Sender<Vec<u8>>);
    impl Sink for Told {
        fn take(&mut self, bytes: &[u8]) {
            self.0.send(bytes.to_vec()).expect("heard");
        }
    }
    let (told, heard) = std::sync::mpsc::channel();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let go = dir.path().join("go");
    let script = format!("echo one; until [ -e {} ]; do sleep 0.01; done; echo two", go.display());
    let running = start(&shell(&script), Stdin::Null).expect("it starts");
    assert!(running.last_output().is_none());
    let mut running = running.printing_to(Box::new(Told(told)));
    let soon = || Some(Instant::now() + Duration::from_millis(5));
    while running.last_output().is_none() {
        running.wait(None, soon(), &Cancel::default()).expect("it waits");
    }
    assert_eq!(heard.try_recv().expect("the first line"), b"one\n");
    std::fs::write(go, "").expect("written");
    let finished = running.complete(&Cancel::default()).expect("it ends");
    assert_eq!(text(&finished.stdout), "one\ntwo\n");
    assert_eq!(heard.iter().collect::<Vec<_>>(), [b"two\n".to_vec()]);
}

#[test]
fn the_environment_is_exactly_what_was_given_and_stdin_is_empty() {
    let mut spec = shell("/usr/bin/env; cat; pwd");
    spec.env = vec![("A".into(), "1 2".into())];
    spec.dir = "/usr".into();
    let finished = finish(&spec);
    let mut lines: Vec<&str> = text(&finished.stdout).lines().collect();
    lines.retain(|line| !line.starts_with("PWD=") && !line.starts_with("_="));
    let marker = format!("{MARKER}={}", spec.marker);
    assert_eq!(lines, ["A=1 2", &marker, "/usr"]);
}

#[test]
fn what_cannot_start_says_why() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = dir.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("set");
    let script = script.to_str().expect("a plain path");
    let table = [
        ("/no/such/program", "/", "the program does not exist"),
        ("/bin/sh", "/no/such/dir", "the directory does not exist"),
        (script, "/", "interpreter"),
        ("/etc/passwd", "/", "it is not executable: chmod +x"),
        ("sh", "/", "absolute"),
    ];
    for (program, at, expected) in table {
        let error = run(&CommandSpec::new(program, at, unique("start")), &Cancel::default())
            .expect_err("it cannot start");
        assert!(error.to_string().contains(expected), "{program}: {error}");
    }
}

#[test]
fn a_background_child_that_holds_the_pipe_is_ended_and_named() {
    let tag = sleep_tag();
    let finished = finish(&shell(&format!("echo before; sleep {tag} & exit 3")));
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(text(&finished.stdout), "before\n");
    assert!(finished.wall < Duration::from_secs(5));
    let names: Vec<_> =
        finished.leftovers.iter().map(|left| (left.name.as_str(), left.fate)).collect();
    assert_eq!(names, [("sleep", Fate::Ended)]);
    assert_eq!(alive(&tag), Vec::<String>::new());
}

#[test]
fn late_lines_of_a_background_child_are_kept() {
    let finished = finish(&shell("(sleep 0.02; echo late) & echo early"));
    assert_eq!(text(&finished.stdout), "early\nlate\n");
    assert_eq!(finished.leftovers, []);
}

/// The five ways of staying alive, with `tag` on each command line.
fn five_processes(tag: &str) -> String {
    format!(
        "sleep {tag} &
        (trap '' TERM; exec sleep {tag}) &
        setsid sleep {tag} &
        (setsid sh -c 'sleep {tag} & exec sleep {tag}' &)
        setsid env -i /bin/sleep {tag} &
        trap '' TERM
        echo ready
        while :; do wait; done"
    )
}

#[test]
fn a_timeout_ends_everything_however_it_hides_and_spares_other_commands() {
    let (tag, other_tag) = (sleep_tag(), sleep_tag());
    let mut sibling = shell(&format!("exec sleep {other_tag}"));
    sibling.marker = unique("sibling");
    let sibling = start(&sibling, Stdin::Null).expect("the sibling starts");

    let mut spec = shell(&five_processes(&tag));
    spec.timeout = Some(Duration::from_millis(150));
    spec.grace = Duration::from_millis(30);
    let finished = finish(&spec);
    assert_eq!(finished.exit, Exit::TimedOut);
    assert_eq!(text(&finished.stdout), "ready\n");
    assert_eq!(finished.leftovers, []);
    assert_eq!(alive(&tag), Vec::<String>::new());

    assert_eq!(alive(&other_tag).len(), 1, "the sibling must live");
    drop(sibling);
    assert_eq!(alive(&other_tag), Vec::<String>::new(), "dropping ends the sibling");
}

#[test]
fn daemons_left_after_a_normal_end_are_ended() {
    let tag = sleep_tag();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut spec = shell(&format!(
        "(setsid sh -c 'sleep {tag} & : > up; exec sleep {tag}' >/dev/null 2>&1 &)
        until [ -e up ]; do sleep 0.005; done"
    ));
    spec.dir = dir.path().into();
    let finished = finish(&spec);
    assert_eq!(finished.exit, Exit::Code(0));
    assert_eq!(finished.leftovers.len(), 2, "{:?}", finished.leftovers);
    assert_eq!(alive(&tag), Vec::<String>::new());
}

#[test]
fn a_command_that_obeys_term_gets_its_grace() {
    let mut spec =
        shell("trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    spec.timeout = Some(Duration::from_millis(100));
    let finished = finish(&spec);
    assert_eq!(finished.exit, Exit::TimedOut);
    // In between the shell may say that its own `sleep` was terminated.
    assert!(finished.stdout.starts_with(b"ready\n") && finished.stdout.ends_with(b"cleaned\n"));
    assert!(
        finished.wall < Duration::from_secs(2),
        "the grace was not used up: {:?}",
        finished.wall
    );
}

#[test]
fn a_cancel_ends_a_running_command_and_a_second_one_ends_the_grace() {
    let tag = sleep_tag();
    let mut spec = shell(&format!("trap '' TERM; while :; do sleep {tag}; done"));
    spec.grace = LONG;
    let cancel = Cancel::default();
    let asker = cancel.clone();
    let needle = tag.clone();
    let thread = std::thread::spawn(move || {
        wait_until("the start", || alive(&needle).len() > 1);
        asker.request();
        asker.request();
    });
    let finished = run(&spec, &cancel).expect("it starts");
    thread.join().expect("no panic");
    assert_eq!(finished.exit, Exit::Cancelled);
    assert!(finished.wall < LONG);
    assert_eq!(alive(&tag), Vec::<String>::new());
}

#[test]
fn a_worker_is_talked_to_stopped_and_resumed() {
    let (mut ours, theirs) = UnixStream::pair().expect("a socket pair");
    let cancel = Cancel::default();
    let spec = shell("read line <&0; echo \"got $line\" >&0; echo log; read more <&0; exit 5");
    let mut worker = start(&spec, Stdin::Socket(theirs.into())).expect("it starts");
    let soon = || Some(Instant::now() + Duration::from_millis(30));
    let watch = ours.try_clone().expect("a copy");
    let watch = Some(std::os::fd::AsFd::as_fd(&watch));

    worker.stop().expect("it runs");
    ours.write_all(b"hello\n").expect("written");
    assert_eq!(worker.wait(watch, soon(), &cancel).expect("wait"), Wake::Deadline);
    worker.resume().expect("it is there");
    let later = Some(Instant::now() + LONG);
    assert_eq!(worker.wait(watch, later, &cancel).expect("wait"), Wake::Ready);
    let mut answer = [0; 10];
    ours.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"got hello\n");
    ours.write_all(b"bye\n").expect("written");
    assert_eq!(worker.wait(None, later, &cancel).expect("wait"), Wake::Exited);
    let finished = worker.complete(&cancel).expect("it ended");
    assert_eq!((finished.exit, text(&finished.stdout)), (Exit::Code(5), "log\n"));
    assert_eq!(ours.read(&mut answer).expect("a hang-up"), 0);
}

#[test]
fn what_a_killed_run_left_is_ended_by_its_marker_and_nothing_else_is() {
    let tag = sleep_tag();
    let spec = shell(&format!("setsid sleep {tag} & sleep {tag}"));
    let running = start(&spec, Stdin::Null).expect("it starts");
    wait_until("the start", || alive(&tag).len() >= 3);
    assert_eq!(end_stale("another run"), 0);
    assert_eq!(alive(&tag).len(), 3);
    assert_eq!(end_stale(&spec.marker), 3);
    assert_eq!(alive(&tag), Vec::<String>::new());
    drop(running);
}

#[test]
fn what_a_killed_run_left_may_come_to_its_own_end_first() {
    let spec = shell("sleep 0.05");
    let running = start(&spec, Stdin::Null).expect("it starts");
    assert_eq!(await_stale(&spec.marker, LONG), 0);
    drop(running);
    let spec = shell("sleep 600");
    let running = start(&spec, Stdin::Null).expect("it starts");
    assert!(await_stale(&spec.marker, Duration::from_millis(1)) > 0);
    drop(running);
}

/// Runs one test of this binary again, in a process of its own, as its other half.
fn other_half(test: &str, part: &str) -> CommandSpec {
    let this = std::env::current_exe().expect("a test binary");
    let mut spec = CommandSpec::new(this, "/", unique("half"));
    let name = format!("process::tests::{test}");
    spec.args = ["-q", "--nocapture", "--exact", &name].map(OsString::from).to_vec();
    spec.env = vec![("OPTLOOP_TEST_PART".into(), part.into())];
    spec.timeout = Some(LONG);
    spec
}

fn part() -> Option<String> {
    std::env::var("OPTLOOP_TEST_PART").ok()
}

#[test]
fn limits_hold_and_cannot_be_taken_back() {
    if part().is_some() {
        let (file_bytes, memory_bytes) = (1000, Some(8 << 30));
        let limits = Limits { file_bytes, open_files: 64, cpu_seconds: 600, memory_bytes };
        limits.apply().expect("lowering is always allowed");
        let (file_bytes, memory_bytes) = (5000, None);
        let looser = Limits { file_bytes, open_files: 5000, cpu_seconds: 5000, memory_bytes };
        looser.apply().expect("a lower limit stays");
        let limits = std::fs::read_to_string("/proc/self/limits").expect("readable");
        for name in ["core file size", "file size", "open files", "cpu time", "address space"] {
            let line = limits.lines().find(|line| line.starts_with(&format!("Max {name}")));
            let numbers =
                line.unwrap_or("?").split_ascii_whitespace().skip(name.split(' ').count() + 1);
            let numbers = numbers.take(2).collect::<Vec<_>>().join(" ");
            writeln!(std::io::stderr(), "{name} {numbers}").expect("a pipe");
        }
        return;
    }
    let finished = finish(&other_half("limits_hold_and_cannot_be_taken_back", "child"));
    let log = text(&finished.stdout);
    for line in [
        "core file size 0 0",
        "file size 1000 1000",
        "open files 64 64",
        "cpu time 600 600",
        "address space 8589934592 8589934592",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
}

#[test]
fn a_signal_becomes_a_cancel_unless_it_was_ignored_before() {
    const NAME: &str = "a_signal_becomes_a_cancel_unless_it_was_ignored_before";
    if part().is_some() {
        let cancel = install().expect("handlers are set");
        let me = rustix::process::getpid();
        let send = |signal| rustix::process::kill_process(me, signal).expect("to ourselves");
        send(rustix::process::Signal::HUP);
        let after_hup = cancel.is_set();
        send(rustix::process::Signal::TERM);
        let spec = shell("sleep 60");
        let exit = run(&spec, &cancel).expect("it starts").exit;
        let first = cancel.signal();
        writeln!(std::io::stderr(), "{after_hup} {first:?} {exit:?}").expect("a pipe");
        return;
    }
    let mut spec = other_half(NAME, "child");
    spec.env.extend(shell("").env);
    // `nohup` in small: the shell ignores HUP, and so does what it executes.
    let script = format!("trap '' HUP; exec {} \"$@\"", spec.program.display());
    let args =
        std::mem::replace(&mut spec.args, ["-c", &script, "sh"].map(OsString::from).to_vec());
    spec.args.extend(args);
    spec.program = "/bin/sh".into();
    let finished = finish(&spec);
    let log = text(&finished.stdout);
    assert!(log.contains("false Some(15) Cancelled"), "{log}");
}

#[test]
fn a_worker_ends_with_the_process_that_started_it() {
    const NAME: &str = "a_worker_ends_with_the_process_that_started_it";
    const FILE: &str = "OPTLOOP_TEST_FILE";
    match part().as_deref() {
        Some("worker") => {
            let parent = std::os::unix::process::parent_id();
            assert!(die_with_parent(parent + 1).is_err(), "another parent is refused");
            die_with_parent(parent).expect("it is our parent");
            let file = std::env::var_os(FILE).expect("given");
            std::fs::write(file, std::process::id().to_string()).expect("written");
            std::thread::sleep(LONG);
        }
        Some("parent") => {
            // By the standard library alone, so that nothing but the kernel can end it.
            let spec = other_half(NAME, "worker");
            let mut worker = std::process::Command::new(spec.program);
            worker.args(spec.args).env("OPTLOOP_TEST_PART", "worker");
            worker.status().expect("it starts");
        }
        _ => {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let file = dir.path().join("worker");
            let mut spec = other_half(NAME, "parent");
            spec.env.push((FILE.into(), file.clone().into()));
            let parent = start(&spec, Stdin::Null).expect("it starts");
            let worker = || std::fs::read_to_string(&file).ok()?.parse::<i32>().ok();
            wait_until("the worker's start", || worker().is_some());
            let worker = worker().expect("seen a moment ago");
            let pid = rustix::process::Pid::from_raw(parent.pid() as i32).expect("a pid");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
            let has_ended = || procfs::Proc::read(worker).is_none_or(|it| it.is_zombie());
            wait_until("the worker's end", has_ended);
        }
    }
}
