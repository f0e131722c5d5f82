//! Exit codes mean what they say: what lasts is not called "try again", what may pass is, and results
//! that nobody can have got are no success.
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]
#![expect(clippy::disallowed_methods, reason = "tests start the program as a user does")]

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::kernel;
use super::support::{PROGRAM, Project, Ran, optloop};

fn executable(project: &Project, path: &str, text: &str) {
    project.write(path, text);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(project.path(path), mode).expect("set");
}

/// Class and message of the failure of a stage.
fn failure(run: &Ran, stage: &str) -> (String, String) {
    let stage = run.stage(stage);
    let failure = &stage["outcome"]["failure"];
    let text = |key: &str| failure[key].as_str().unwrap_or_default().to_owned();
    (text("class"), text("message"))
}

#[test]
fn what_a_file_says_wrong_is_1_and_not_tried_again() {
    let long = "x".repeat(140_000);
    let project = Project::new().pipeline(&format!(
        "[stages.argument]\nrun = [\"/bin/echo\", \"{long}\"]\n\
         [stages.script]\nrun = \": {long}\"\n\
         [stages.variable]\nrun = \"true\"\nenv = {{ BIG = \"{long}\" }}\n\
         [stages.bare]\nrun = [\"./bare\"]\n\
         [stages.lost]\nrun = [\"./lost\"]\n\
         [stages.folder]\nrun = \"mkdir -p out\"\noutputs = [\"out\"]\n\
         [stages.below]\nrun = \"true\"\noutputs = [\"plain/out.txt\"]\n"
    ));
    executable(&project, "bare", "echo no first line\n");
    executable(&project, "lost", "#!/nowhere/interpreter\n");
    project.write("plain", "a file where the folder of an output should be");
    let run = project.run_with(["--keep-going", "--format", "json"]).code(1);
    for (stage, class, words) in [
        ("argument", "setup", "argument 1 is 140000 bytes long"),
        ("script", "setup", "put it into a file"),
        ("variable", "setup", "the environment variable `BIG` is 140004 bytes long"),
        ("bare", "setup", "`#!`"),
        ("lost", "setup", "interpreter"),
        ("folder", "failed", "its output out is a folder"),
        ("below", "setup", "plain/out.txt"),
    ] {
        let (found, message) = failure(&run, stage);
        assert_eq!(found, class, "{stage}: {message}");
        assert!(message.contains(words), "{stage}: {message}");
    }
    let retried = run.json().iter().any(|event| event["event"] == "retrying");
    assert!(!retried, "{}", run.all());
}

#[test]
fn a_reference_that_is_wrong_is_the_problems_mistake_and_not_the_candidates() {
    let project = kernel::project(kernel::GOOD);
    project.write("reference.c", "#error not written yet\n");
    let run = project.run_with(["smoke", "--format", "json"]).code(1);
    let (class, message) = failure(&run, "reference");
    assert_eq!(class, "setup", "{message}");
    assert!(message.starts_with("the reference does not compile: "), "{message}");
    project.write("reference.c", kernel::source("abort();"));
    let (class, message) =
        failure(&project.run_with(["smoke", "--format", "json"]).code(1), "smoke");
    assert_eq!(class, "problem", "{message}");
    assert!(message.contains("mend it before judging kernels"), "{message}");
}

#[test]
fn a_core_that_is_not_there_is_refused_before_anything_runs() {
    let project = kernel::project(kernel::GOOD);
    let refused = project.run_with(["smoke", "--device", "cpu:900"]).code(4);
    refused.says("there is no core 900 here; ").says("core").says_nothing_of("trying once more");
    assert!(
        !project.path(".optloop/build/smoke").exists() && !project.path(".optloop/runs").exists()
    );
}

#[test]
fn a_variable_of_the_environment_that_is_no_text_is_not_called_unset() {
    let project = Project::new().pipeline("[stages.a]\nrun = \"echo ${env.RAW}\"\n");
    let raw = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let run = optloop()
        .args(["pipeline", "pipeline.toml"])
        .current_dir(project.root())
        .env("RAW", raw)
        .output()
        .expect("the program starts");
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{told}");
    assert!(told.contains("the environment variable `RAW` is not text"), "{told}");
    assert!(told.contains("pass_env") && !told.contains("is not set"), "{told}");
}

const COMMANDS: [&str; 16] = [
    "pipeline pipeline.toml --format json",
    "pipeline pipeline.toml --artifact-only",
    "pipeline pipeline.toml",
    "pipeline pipeline.toml --dry-run",
    "graph pipeline.toml",
    "explain pipeline.toml count",
    "artifact ls",
    "artifact show last",
    "artifact path last",
    "cache stats",
    "devices",
    "schema",
    "completions bash",
    "man",
    "--help",
    "--version",
];

#[test]
fn results_that_cannot_be_written_are_an_error() {
    let project = Project::new().pipeline(
        "[stages.count]\nrun = \"echo 'count 3'\"\ninputs = []\nmetric = { name = \"n\", regex = '\\d+' }\n",
    );
    project.run().code(0);
    for command in COMMANDS {
        let call = || project.args(command.split_whitespace());
        call().run().code(0);
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let run = call().printing_to(full).run().code(75);
        run.says("could not be written to standard output: No space left on device");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let unread = call().printing_to(std::os::fd::OwnedFd::from(writer)).run().code(141);
        assert!(!unread.stderr.contains("error"), "{}", unread.all());
    }
}

/// Runs a script where nothing that it mounts is seen outside; `None` where that is not allowed.
fn in_a_world_of_its_own(project: &Project, script: &str) -> Option<String> {
    fs::create_dir(project.path("mnt")).expect("a folder");
    let mount = format!("mount -t tmpfs none '{}'", project.path("mnt").display());
    let allowed = |flags: &str| {
        let tried = Command::new("unshare").args([flags, "sh", "-c", &mount]).output();
        tried.is_ok_and(|done| done.status.success())
    };
    let Some(flags) = ["-m", "-rm"].into_iter().find(|flags| allowed(flags)) else {
        println!("skipped: no file system can be mounted here");
        return None;
    };
    let done = Command::new("unshare")
        .args([flags, "sh", "-e", "-c", script])
        .current_dir(project.root())
        .env("OPTLOOP", PROGRAM)
        .env("OPTLOOP_LEASE_DIR", project.path("../tmp"))
        .env("NO_COLOR", "1")
        .output()
        .expect("unshare");
    let text = [done.stdout, done.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_full_disk_is_75_wherever_it_strikes() {
    let project = kernel::project(kernel::GOOD);
    // The kernel and its program are small: what is left decides how far a run comes.
    let script = r#"
        mount -t tmpfs -o size=2m none mnt
        cp k.c reference.c problem.toml pipeline.toml mnt/
        cd mnt
        "$OPTLOOP" pipeline pipeline.toml smoke --set stages.smoke.sanitize=false >/dev/null 2>&1
        for left in 4 8 12 16 24 32 40 56 80 120 1024; do
            rm -f filler
            echo "/* $left */ static int v$left = $left; int *p$left = &v$left;" >> k.c
            free=$(( $(stat -f -c '%a * %S' .) / 1024 ))
            head -c $(( (free - left) * 1024 )) /dev/zero > filler
            code=0
            "$OPTLOOP" pipeline pipeline.toml smoke --set stages.smoke.sanitize=false >out 2>&1 || code=$?
            rm -f filler
            echo "left=$left code=$code $(grep -c 'No space left\|no room left' out || true)"
            test $code = 0 || test $code = 75 || cat out
        done
    "#;
    let Some(told) = in_a_world_of_its_own(&project, script) else { return };
    let codes: Vec<&str> =
        told.split_whitespace().filter_map(|word| word.strip_prefix("code=")).collect();
    assert_eq!(codes.len(), 11, "{told}");
    assert!(codes.iter().all(|code| ["0", "75"].contains(code)), "{told}");
    assert_eq!((codes[0], codes[10]), ("75", "0"), "{told}");
}

#[test]
fn a_mount_that_forbids_execution_is_the_machines_affair_and_says_so() {
    let project = kernel::project(kernel::GOOD);
    executable(&project, "tool", "#!/bin/sh\n");
    project
        .write("commands.toml", "name = \"c\"\n[stages.tool]\nrun = [\"./tool\"]\ninputs = []\n");
    let script = r#"
        mount -t tmpfs -o noexec none mnt
        cp -p k.c reference.c problem.toml pipeline.toml commands.toml tool mnt/
        cd mnt
        for file in pipeline.toml commands.toml; do
            code=0
            "$OPTLOOP" pipeline $file 2>&1 || code=$?
            echo "code=$code"
        done
    "#;
    let Some(told) = in_a_world_of_its_own(&project, script) else { return };
    assert_eq!(told.matches("code=1\n").count(), 2, "{told}");
    assert!(told.matches("forbids execution").count() >= 2, "{told}");
    assert!(!told.contains("mend it") && !told.contains("trying once more"), "{told}");
}
