//! What a campaign itself takes for an iteration of a project of 10,000 files: an agent that changes a
//! file and a judge that knows the answer take next to nothing.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use optloop::campaign::agent::{Agent, Answer, Call};
use optloop::campaign::anchored::Anchored;
use optloop::campaign::driver::{Driver, Observer, Parts, Ran};
use optloop::campaign::event::{Baseline, Begun, Better, Entry, Event, Judgement, Outcome};
use optloop::campaign::file::Dirty;
use optloop::campaign::history::History;
use optloop::campaign::judge::{Blocked, Judge};
use optloop::campaign::proposal::AgentEnd;
use optloop::campaign::secrets::Secrets;
use optloop::campaign::settings::{self, Settings};
use optloop::campaign::trees::Source;
use optloop::git::Outside;
use optloop::process::Cancel;

const FILES: usize = 10_000;
const FOLDERS: usize = 200;

/// Edits the kernel.
struct Editor;

impl Agent for Editor {
    fn propose(&mut self, call: &Call<'_>) -> Answer {
        let text = format!("// iteration {}\n", call.iteration);
        std::fs::write(call.lane.join("kernel.c"), text).expect("written");
        Answer { description: "a change".to_owned(), ..Answer::of(AgentEnd::Fine) }
    }
}

/// Keeps each second candidate.
struct Alternating {
    judged: u32,
}

impl Judge for Alternating {
    fn baseline(&mut self, _: &Path) -> Result<Baseline, Blocked> {
        let better = Better::Lower;
        Ok(Baseline { metric: "cycles".to_owned(), better, value: 1e9, ..Baseline::default() })
    }

    fn judge(&mut self, _: &Path, _: &Baseline) -> Result<Judgement, Blocked> {
        self.judged += 1;
        let outcome =
            if self.judged.is_multiple_of(2) { Outcome::Better } else { Outcome::Undecided };
        let value = Some(1e9 - f64::from(self.judged));
        Ok(Judgement { value, gain: Some(0.01), share: Some(0.01), ..Judgement::of(outcome) })
    }

    fn promote(&mut self, _: &Path, _: &Judgement) -> Result<(), Blocked> {
        Ok(())
    }

    fn confirm(&mut self, _: &Path, _: &Baseline) -> Result<f64, Blocked> {
        Ok(1.0)
    }

    fn anchor(&mut self, _: &Path, _: &Baseline) -> Result<Anchored, Blocked> {
        Ok(Anchored::default())
    }
}

/// When the first iteration began, and the last one ended.
#[derive(Default)]
struct Watch(Mutex<Option<(Instant, Instant)>>);

impl Observer for Watch {
    fn event(&self, entry: &Entry, _: &History) {
        let mut times = self.0.lock().expect("nobody panics");
        match (&entry.event, *times) {
            (Event::Opened { .. }, None) => *times = Some((Instant::now(), Instant::now())),
            (Event::Ended { .. }, Some((first, _))) => *times = Some((first, Instant::now())),
            _ => {}
        }
    }
}

fn project(root: &Path) {
    for folder in 0..FOLDERS {
        std::fs::create_dir_all(root.join(format!("{folder:03}"))).expect("mkdir");
    }
    for file in 0..FILES {
        let place = root.join(format!("{:03}/{file:05}.c", file % FOLDERS));
        std::fs::write(place, vec![file as u8; 512]).expect("written");
    }
    std::fs::write(root.join("kernel.c"), "// the first\n").expect("written");
}

fn asked(iterations: u64) -> Settings {
    let text = format!(
        "name = \"bench\"\ngoal = \"Less.\"\npipeline = \"p.toml\"\n[scope]\nedit = [\"kernel.c\"]\n\
         [agent]\nreplay = \"versions\"\n[budget]\niterations = {iterations}\n[keep]\nmax_lines = 1000000\n"
    );
    settings::load(Path::new("campaign.toml"), text).settings.expect("a campaign")
}

/// From the first iteration's beginning to the last one's end. What is made stays until the study is
/// over: ext4 looks long for an inode while many were given back a moment ago.
fn campaign(root: &Path, iterations: u64) -> Duration {
    let parent = root.parent().expect("a folder");
    let home = tempfile::Builder::new().disable_cleanup(true).tempdir_in(parent);
    let home = home.expect("a folder");
    let (settings, watch) = (asked(iterations), Watch::default());
    let outside = Outside::default();
    let parts = Parts {
        settings: &settings,
        folder: &home.path().join("c"),
        copies: &home.path().join("c/trees"),
        source: Source { root, dirty: Dirty::Fail, carry: &[], outside: &outside },
        agent: &mut Editor,
        judge: &mut Alternating { judged: 0 },
        observer: &watch,
        env: &[],
        launcher: None,
        secrets: &Secrets::default(),
        cancel: &Cancel::default(),
    };
    let begun = Begun { id: "c-1".to_owned(), ..Begun::default() };
    let mut driver = Driver::begin(parts, begun).expect("begun");
    assert_eq!(driver.run().expect("it runs"), Ran::ToItsEnd);
    let ended = driver.history().iterations.iter().filter(|one| one.status.is_some()).count();
    assert_eq!(ended as u64, iterations);
    let times = *watch.0.lock().expect("nobody panics");
    times.map_or(Duration::ZERO, |(first, last)| last - first)
}

fn iterations(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("root");
    project(&root);
    let mut group = c.benchmark_group("campaign of 10,000 files");
    group.sample_size(10);
    group.bench_function("an iteration", |b| {
        b.iter_custom(|count| campaign(&root, count.max(10)) * count as u32 / count.max(10) as u32);
    });
    group.finish();
}

criterion_group!(benches, iterations);
criterion_main!(benches);
