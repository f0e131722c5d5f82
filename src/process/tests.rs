//! Real commands: exits, output, deadlines, and that nothing survives.

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
    format!(
        "{name}.{}.{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

pub(super) fn shell(script: &str) -> CommandSpec {
    let mut spec = CommandSpec::new("/bin/sh", "/", unique("test"));
    spec.args = ["-c", script].map(OsString::from).to_vec();
    spec.env = vec![(
        "PATH".into(),
        std::env::var_os("PATH").expect("tests have a PATH"),
    )];
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
    assert_eq!(
        (text(&finished.stdout), text(&finished.stderr)),
        ("one\n", "two\n")
    );
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
        ("/etc/passwd", "/", "ermission denied"),
        ("sh", "/", "absolute"),
    ];
    for (program, at, expected) in table {
        let error = run(
            &CommandSpec::new(program, at, unique("start")),
            &Cancel::default(),
        )
        .expect_err("it cannot start");
        assert!(error.to_string().contains(expected), "{program}: {error}");
    }
}

#[test]
fn processor_time_and_wall_time_are_told() {
    let finished = finish(&shell("i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"));
    let cpu = finished.cpu.expect("the kernel says");
    assert!(
        cpu > Duration::ZERO && cpu <= finished.wall + Duration::from_millis(20),
        "{cpu:?} of {:?}",
        finished.wall
    );
}

#[test]
fn a_background_child_that_holds_the_pipe_is_ended_and_named() {
    let tag = sleep_tag();
    let finished = finish(&shell(&format!("echo before; sleep {tag} & exit 3")));
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(text(&finished.stdout), "before\n");
    assert!(finished.wall < Duration::from_secs(5));
    let names: Vec<_> = finished
        .leftovers
        .iter()
        .map(|left| (left.name.as_str(), left.fate))
        .collect();
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
    assert_eq!(
        alive(&other_tag),
        Vec::<String>::new(),
        "dropping ends the sibling"
    );
}

#[test]
fn daemons_left_after_a_normal_end_are_ended() {
    let tag = sleep_tag();
    let script =
        format!("(setsid sh -c 'sleep {tag} & exec sleep {tag}' >/dev/null 2>&1 &); sleep 0.05");
    let finished = finish(&shell(&script));
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
    assert_eq!(
        worker.wait(watch, soon(), &cancel).expect("wait"),
        Wake::Deadline
    );
    worker.resume().expect("it is there");
    let later = Some(Instant::now() + LONG);
    assert_eq!(
        worker.wait(watch, later, &cancel).expect("wait"),
        Wake::Ready
    );
    let mut answer = [0; 10];
    ours.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"got hello\n");
    ours.write_all(b"bye\n").expect("written");
    assert_eq!(
        worker.wait(None, later, &cancel).expect("wait"),
        Wake::Exited
    );
    let finished = worker.complete(&cancel).expect("it ended");
    assert_eq!(
        (finished.exit, text(&finished.stdout)),
        (Exit::Code(5), "log\n")
    );
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
