//! Stages that ask for a locked clock, over the stand-in driver: it is held around all launches of
//! theirs, and given back whatever becomes of them.

use optloop::backend::cuda::clocks::CLOCKS_COMMAND;
use rustix::process::{Pid, Signal, kill_process};

use super::super::driver::{Folder, StandIn};
use super::super::support::{Call, Project, wait_until};

const PROBLEM: &str = r#"
name = "add"
entry = "add"
cases = [{ n = 256 }]
tolerance = { rtol = 0.0, atol = 0.0 }
[[args]]
name = "x"
dtype = "f32"
shape = ["n"]
fill = { normal = { mean = 0.0, std = 1.0 } }
[[args]]
name = "z"
dtype = "f32"
shape = ["n"]
role = "out"
[[args]]
name = "n"
dtype = "i32"
value = "n"
[reference]
source = "add.c"
[launch.cuda]
grid = [4]
block = [64]
"#;

/// The same for the reference, and for the stand-in, which has a pointer to each argument.
const CODE: &str = "void add(const float *x, float *z, int n)\n\
    { for (int i = 0; i < n; i++) z[i] = x[i] + x[i]; }\n\
    void launched(void **p) { add(*(float **)p[0], *(float **)p[1], *(int *)p[2]); }\n";

const PTX: &str = ".version 7.0\n.target sm_90\n.visible .entry add(\n.param .u64 x,\n\
    .param .u64 z,\n.param .u32 n\n)\n{\nret;\n}\n";

const PIPELINE: &str = r#"
kernel = "add.ptx"
problem = "add.toml"
device = "cuda:0"
compile = { cc = "cc", flags = ["-O1"] }
[stages.candidate]
repeats = 4
warmup = 0
retries = 0
incumbent = "none"
clocks = "lock"
"#;

/// What the stand-in says when the base clock is asked for.
const LOCK: &str = "lock 4294967041 4294967041";

struct Stand {
    project: Project,
    driver: Folder,
}

impl Stand {
    fn new(more: &str) -> Self {
        let project = Project::new()
            .pipeline(PIPELINE)
            .file("add.toml", PROBLEM)
            .file("add.c", CODE)
            .file("add.ptx", PTX);
        let script = format!(
            "l2 1000000\nmemory 200000000\nclock 1410\nkernel add add.so launched\n{more}\n"
        );
        let driver = StandIn::build().at(&project.path("lib"), &script);
        driver.library("add.so", CODE);
        Self { project, driver }
    }

    fn call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Call<'_> {
        let (name, value) = self.driver.env();
        self.project.args(args).env(&name.to_string_lossy(), &value.to_string_lossy())
    }

    fn run(&self) -> Call<'_> {
        self.call(["pipeline", "pipeline.toml"])
    }

    /// Launches, and what became of the clock; several launches in a row are one.
    fn story(&self) -> Vec<String> {
        let mut story = self.driver.log();
        story.retain(|line| ["lock ", "unlock", "launch add"].iter().any(|w| line.starts_with(w)));
        story.dedup();
        story
    }

    /// Waits until the clock was given back.
    fn await_unlock(&self) {
        wait_until("the clock to be given back", || self.driver.count("unlock") > 0);
    }
}

#[test]
fn a_clock_is_locked_around_a_measurement_that_asks_for_it_and_the_artifact_says_so() {
    let stand = Stand::new("");
    stand.run().run().code(0);
    assert_eq!(stand.story(), [LOCK, "launch add", "unlock"]);
    let words = "locked at 1410 MHz (base clock)";
    let shown = stand.project.args(["artifact", "show"]).run().code(0).says(words);
    assert!(shown.stdout.contains("clocks"), "{}", shown.all());
    // What is known needs no clock; what was measured otherwise is not known.
    stand.run().run().code(0).says("up to date");
    assert_eq!(stand.driver.count("lock"), 1);
    stand.project.edit("pipeline.toml", "\"lock\"", "\"as-is\"");
    let why = stand.run().run().code(0);
    assert_eq!(stand.story(), [LOCK, "launch add", "unlock", "launch add"], "{}", why.all());
    let json = stand.project.args(["artifact", "show", "--format", "json"]).run();
    assert!(json.code(0).json()[0]["result"]["clocks"].is_null());
}

#[test]
fn a_clock_is_locked_around_comparisons_and_calibrations_too_and_given_back_when_they_fail() {
    for (old, new) in [
        ("incumbent = \"none\"", "incumbent = \"file:old.ptx\""),
        ("warmup", "purpose = \"calibrate\"\nwarmup"),
    ] {
        let stand = Stand::new("fail_launch add 700 after 2");
        stand.project.write("old.ptx", format!("{PTX}// old\n"));
        stand.project.edit("pipeline.toml", old, new);
        // Which side is launched first is drawn, and so whose crash it is.
        let ran = stand.run().run().says("CUDA_ERROR_ILLEGAL_ADDRESS");
        assert_eq!(stand.story(), [LOCK, "launch add", "unlock"], "{}", ran.all());
    }
}

#[test]
fn what_may_not_be_locked_is_not_measured() {
    let refused = Stand::new("fail nvmlDeviceSetGpuLockedClocks 4");
    refused.run().run().code(1).says("only root may").says("leave `clocks` out");
    assert_eq!(refused.story(), Vec::<String>::new());
    let Stand { project, driver } = Stand::new("");
    let stand = Stand { project, driver: driver.without_nvml() };
    stand.run().run().code(1).says("the clock cannot be locked").says("leave `clocks` out");
    assert_eq!(stand.story(), Vec::<String>::new());
}

#[test]
fn a_clock_is_given_back_when_the_judge_is_killed_or_interrupted_in_the_middle() {
    for (signal, code) in [(Signal::KILL, None), (Signal::INT, Some(130))] {
        let stand = Stand::new("hang add");
        let running = stand.run().start();
        stand.project.wait_for("lib/log", "launch add");
        assert_eq!(stand.driver.count("unlock"), 0);
        running.signal(signal);
        let ran = running.wait();
        stand.await_unlock();
        match code {
            Some(code) => drop(ran.code(code)),
            None => drop(ran),
        }
        assert_eq!(stand.story(), [LOCK, "launch add", "unlock"]);
        stand.project.expect_no_processes();
    }
}

#[test]
fn what_was_measured_while_the_clock_was_let_go_does_not_count() {
    let stand = Stand::new("ns add 20000000");
    let running = stand.run().start();
    stand.project.wait_for("lib/log", "launch add");
    let holder = stand.project.processes().into_iter().find(|p| p.contains(CLOCKS_COMMAND));
    let holder = holder.expect("it is held");
    let pid = holder.split(' ').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    kill_process(pid.expect("a number"), Signal::TERM).expect("sent");
    running.wait().code(75).says("the clock was let go");
}
