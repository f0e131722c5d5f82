//! A device's clock is held while somebody wants it, and given back on every way out. The management
//! library is one of a few lines that writes down what it is asked for.
#![expect(clippy::disallowed_methods, reason = "starts the program and a compiler")]

mod stages;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use optloop::backend::cuda::clocks::{CLOCKS_COMMAND, Lock, Request};
use optloop::process::Cancel;
use rustix::process::{Pid, Signal, kill_process};

use super::support::{PROGRAM, optloop};

const DEVICE: &str = "GPU-11";

/// NVML's codes.
const FINE: u32 = 0;
const NOT_SUPPORTED: u32 = 3;
const NO_PERMISSION: u32 = 4;

/// A library that answers to the wish for the base clock with `base`, and to one in MHz with `numbers`.
struct Library(tempfile::TempDir);

impl Library {
    fn new(base: u32, numbers: u32) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let code = format!(
            "#include <stdio.h>
static void note(const char *what, unsigned low, unsigned high)
{{ FILE *f = fopen(\"{}\", \"a\"); fprintf(f, \"%s %u %u\\n\", what, low, high); fclose(f); }}
int nvmlInit_v2(void) {{ return 0; }}
int nvmlDeviceGetHandleByUUID(char *u, void **d) {{ *d = u; return 0; }}
int nvmlDeviceGetDefaultApplicationsClock(void *d, int c, unsigned *v) {{ *v = 1095; return 0; }}
int nvmlDeviceSetGpuLockedClocks(void *d, unsigned low, unsigned high)
{{ note(\"lock\", low, high); return low > 0xffffff00u ? {base} : {numbers}; }}
int nvmlDeviceResetGpuLockedClocks(void *d) {{ note(\"reset\", 0, 0); return 0; }}
",
            dir.path().join("log").display()
        );
        let (source, built) = (dir.path().join("nvml.c"), dir.path().join("libnvidia-ml.so.1"));
        fs::write(&source, code).expect("written");
        let done = Command::new("cc")
            .args(["-shared", "-fPIC", "-w", "-Wl,-soname,libnvidia-ml.so.1", "-o"])
            .args([&built, &source])
            .status();
        assert!(done.expect("the tests need a C compiler").success());
        Self(dir)
    }

    fn env(&self) -> Vec<(OsString, OsString)> {
        vec![("LD_LIBRARY_PATH".into(), self.0.path().into())]
    }

    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn take(&self) -> Result<Lock, String> {
        let program: PathBuf = PROGRAM.into();
        let (env, cancel) = (self.env(), Cancel::default());
        let request = Request { program: &program, device: DEVICE, env: &env, cancel: &cancel };
        Lock::take(&request).map_err(|why| why.to_string())
    }

    /// The process that holds a lock, and the judge's end of its socket.
    fn holder(&self) -> (Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let child = optloop()
            .args([CLOCKS_COMMAND, DEVICE])
            .current_dir(Path::new("/"))
            .env_clear()
            .envs(self.env())
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(&ours).read_line(&mut line).expect("an answer");
        assert_eq!(line, "locked base clock\n");
        (child, ours)
    }
}

/// NVML's number for the base clock.
const BASE: &str = "lock 4294967041 4294967041";
const RESET: &str = "reset 0 0";

#[test]
fn a_clock_is_held_at_its_base_until_it_is_let_go() {
    let library = Library::new(FINE, FINE);
    let lock = library.take().expect("it can be locked");
    assert_eq!((lock.rate.as_str(), library.asked()), ("base clock", vec![BASE.to_owned()]));
    drop(lock);
    assert_eq!(library.asked(), [BASE, RESET]);
}

#[test]
fn a_device_without_a_base_clock_is_held_at_its_default_one() {
    let library = Library::new(NOT_SUPPORTED, FINE);
    let lock = library.take().expect("it can be locked");
    assert_eq!(lock.rate, "default applications clock, 1095 MHz");
    drop(lock);
    assert_eq!(library.asked(), [BASE, "lock 1095 1095", RESET]);
}

#[test]
fn a_clock_that_may_not_be_locked_is_an_answer_with_a_way_out() {
    for (base, numbers, words) in [
        (NO_PERMISSION, FINE, "only root may"),
        (NOT_SUPPORTED, NOT_SUPPORTED, "does not let its clock be locked"),
        (NOT_SUPPORTED, NO_PERMISSION, "nvidia-smi -lgc"),
    ] {
        let library = Library::new(base, numbers);
        let why = library.take().expect_err("refused");
        assert!(why.contains(words), "{why}");
        assert!(!library.asked().contains(&RESET.to_owned()), "nothing was locked");
    }
}

#[test]
fn a_clock_is_given_back_when_the_judge_is_gone_however_that_came() {
    let library = Library::new(FINE, FINE);
    let (mut child, judge) = library.holder();
    // What a kill of the judge leaves of it.
    drop(judge);
    assert!(child.wait().expect("it ends").success());
    assert_eq!(library.asked(), [BASE, RESET]);
}

#[test]
fn a_clock_is_given_back_when_its_holder_is_told_to_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let library = Library::new(FINE, FINE);
        let (mut child, _judge) = library.holder();
        kill_process(Pid::from_child(&child), signal).expect("sent");
        assert!(child.wait().expect("it ends").success());
        assert_eq!(library.asked(), [BASE, RESET]);
    }
}
