//! SIGKILL at random instants: the store stays whole, no result is lost or wrong, and nothing
//! stays behind.

mod decisions;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use optloop::cache::{Room, Store};
use optloop::digest::Digest;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::support::{Project, Ran};

const STAGES: usize = 40;
const WIDTH: usize = 10;
const JOBS: usize = 2;

/// How many kills there are of runs; `OPTLOOP_KILLS` says another number.
fn kills() -> usize {
    wanted_kills().unwrap_or(32)
}

#[expect(clippy::disallowed_methods, reason = "how thorough a test is, is asked of its user")]
pub(crate) fn wanted_kills() -> Option<usize> {
    std::env::var("OPTLOOP_KILLS").ok()?.parse().ok()
}

/// Stages whose outputs a stage reads: two of the layer above.
fn above(i: usize) -> Vec<usize> {
    if i < WIDTH {
        return Vec::new();
    }
    vec![i - WIDTH, i - WIDTH - i % WIDTH + (i % WIDTH + 1) % WIDTH]
}

/// Four layers of ten; each writes its own input and all it reads.
fn layered() -> Project {
    let mut text = String::new();
    for i in 0..STAGES {
        let needs: Vec<String> = above(i).iter().map(|u| format!("\"s{u}\"")).collect();
        let reads: Vec<String> = above(i).iter().map(|u| format!("out/{u}")).collect();
        let inputs: Vec<String> = reads.iter().map(|r| format!(", \"{r}\"")).collect();
        let _ = writeln!(
            text,
            "[stages.s{i}]\nneeds = [{}]\ninputs = [\"in/{i}\"{}]\noutputs = [\"out/{i}\"]\n\
             run = \"echo s{i} >> ../ran; cat in/{i} {} > out/{i}\"",
            needs.join(", "),
            inputs.concat(),
            reads.join(" "),
        );
    }
    Project::new().pipeline(&text)
}

/// What the stages must have written.
fn expected(inputs: &[String]) -> Vec<String> {
    let mut outputs: Vec<String> = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        let read: String = above(i).iter().map(|&u| outputs[u].as_str()).collect();
        outputs.push(format!("{input}{read}"));
    }
    outputs
}

/// Kills at random instants of runs that take about as long as the last whole one.
struct Killer {
    random: ChaCha8Rng,
    whole: Duration,
    done: usize,
    shared_memory: BTreeSet<String>,
}

impl Killer {
    fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            whole: Duration::from_millis(100),
            done: 0,
            shared_memory: shared_memory(),
        }
    }

    /// Starts a run and kills it: the program alone, or with all that it started.
    fn kill(&mut self, project: &Project) {
        let run = project.args(["pipeline", "pipeline.toml", "--jobs", "2"]).start();
        std::thread::sleep(self.whole.mul_f64(self.random.random_range(0.0..1.1)));
        if self.random.random_bool(0.5) {
            run.signal(rustix::process::Signal::KILL);
        } else {
            run.kill_all();
        }
        drop(run.wait());
        self.done += 1;
        verify(project);
    }

    /// A run to the end, and one after it that has nothing to do.
    fn finish(&mut self, project: &Project) {
        let run = project.run_with(["--jobs", "2", "--quiet"]).code(0);
        self.whole = run.took;
        verify(project);
        drop(null_run(project));
        let before = project.state();
        let verified = project.args(["cache", "verify"]).run().code(0);
        assert!(project.state() == before, "the state was written to\n{}", verified.all());
    }

    /// Nothing that was started, and no shared memory, is left.
    fn expect_clean(&self, project: &Project) {
        project.expect_no_processes();
        let left: Vec<_> = shared_memory().difference(&self.shared_memory).cloned().collect();
        assert!(!left.iter().any(|name| name.contains("optloop")), "{left:?}");
        let temporary: Vec<_> = fs::read_dir(project.path(".optloop/tmp")).expect("tmp").collect();
        assert!(temporary.is_empty(), "{temporary:?}");
    }
}

fn null_run(project: &Project) -> Ran {
    project.run().code(0).says("everything is up to date")
}

fn shared_memory() -> BTreeSet<String> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Everything kept is what its name says.
fn verify(project: &Project) {
    let store = Store::new(&project.path(".optloop"));
    for (room, digest, _) in store.contents() {
        let good = match room {
            Room::Blobs => store.bytes(&digest).is_some_and(|b| Digest::of(&b) == digest),
            Room::Keys => store.action(&digest).is_some(),
            Room::Deps => true,
        };
        assert!(good, "{} is damaged", digest.hex());
    }
}

#[test]
fn kills_at_any_instant_of_command_stages_lose_and_spoil_nothing() {
    let project = layered();
    let mut killer = Killer::new(1);
    let wanted = kills() * 3 / 4;
    let mut round = 0;
    while killer.done < wanted {
        // Some inputs go back to an earlier content, whose results are known.
        let text = |random: &mut ChaCha8Rng, i: usize| {
            let version = if random.random_bool(0.2) { 0 } else { round };
            format!("input {i} version {version}\n")
        };
        let inputs: Vec<String> = (0..STAGES).map(|i| text(&mut killer.random, i)).collect();
        for (i, input) in inputs.iter().enumerate() {
            project.write(&format!("in/{i}"), input);
        }
        let times = killer.random.random_range(1..=3);
        for _ in 0..times {
            killer.kill(&project);
        }
        killer.finish(&project);
        for (i, wanted) in expected(&inputs).iter().enumerate() {
            assert_eq!(&project.read(&format!("out/{i}")), wanted, "round {round}, stage {i}");
        }
        let ran = project.ran().len();
        assert!(ran <= STAGES + JOBS * times, "round {round}: {ran} commands ran, {times} kills");
        round += 1;
    }
    killer.expect_clean(&project);
}

#[test]
fn kills_at_any_instant_of_kernel_stages_lose_and_spoil_nothing() {
    let project = super::kernel::project(super::kernel::GOOD);
    let mut killer = Killer::new(2);
    let wanted = kills() / 4;
    let mut round = 0;
    while killer.done < wanted {
        // Another binary each time; every fourth is wrong.
        let wrong = round % 4 == 3;
        let body = if wrong { "y[0] = 7;" } else { super::kernel::GOOD };
        let body = format!("static volatile int version = {round}; (void)version; {body}");
        project.write("k.c", super::kernel::source(&body));
        for _ in 0..killer.random.random_range(1..=3) {
            killer.kill(&project);
        }
        if wrong {
            project.run().code(3).says("WRONG");
            verify(&project);
        } else {
            killer.finish(&project);
        }
        round += 1;
    }
    killer.expect_clean(&project);
}

#[test]
fn kills_of_a_run_that_has_nothing_to_do_change_nothing() {
    let project = layered();
    for i in 0..STAGES {
        project.write(&format!("in/{i}"), "x\n");
    }
    project.run().code(0);
    drop(null_run(&project));
    let before = project.state();
    let started = Instant::now();
    drop(null_run(&project));
    let mut killer = Killer { whole: started.elapsed(), ..Killer::new(3) };
    for _ in 0..20 {
        killer.kill(&project);
    }
    assert!(project.state() == before, "the state was written to");
    drop(null_run(&project));
}
