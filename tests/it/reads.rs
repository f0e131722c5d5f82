//! How often the program reads a pipeline's file: what it wants to know of one that has not changed
//! stands in the plan that it keeps.

use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::inotify;

use super::support::Project;

/// How often files of these names are opened in the folder of a project while something is done.
fn opened(folder: &Path, name: &str, deed: impl FnOnce()) -> usize {
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let watch = inotify::init(flags).expect("inotify");
    inotify::add_watch(&watch, folder, inotify::WatchFlags::OPEN).expect("a watch");
    deed();
    let mut buffer = vec![MaybeUninit::uninit(); 1 << 16];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut count = 0;
    while let Ok(event) = events.next() {
        count += usize::from(event.file_name().is_some_and(|f| f.to_bytes() == name.as_bytes()));
    }
    count
}

#[test]
fn a_pipeline_file_is_read_when_it_has_changed_and_else_never() {
    let project = Project::new().file("in.txt", "1\n").pipeline(
        r#"
[stages.count]
run = "cat in.txt > out; cat out"
inputs = ["in.txt"]
outputs = ["out"]
metric = { name = "lines", regex = '(\d+)' }
[stages.plain]
needs = ["count"]
run = "cat out in.txt > plain"
inputs = ["out", "in.txt"]
outputs = ["plain"]
"#,
    );
    let reads = || opened(&project.root(), "pipeline.toml", || drop(project.run().code(0)));
    assert!(reads() > 0, "the first run has to");
    assert_eq!(reads(), 0, "nothing is new");
    project.write("in.txt", "2\n");
    assert_eq!(reads(), 0, "an input is");
    assert_eq!(reads(), 0, "nothing is new again");
    project.edit("pipeline.toml", "cat out in.txt", "cat in.txt out");
    assert!(reads() > 0, "the pipeline is");
    // With nothing to run because of it.
    project.edit("pipeline.toml", "[stages.plain]", "# the lines\n[stages.plain]");
    assert!(reads() > 0, "the pipeline is, by a comment");
    assert_eq!(reads(), 0, "nothing is new after a comment");
}

#[test]
fn a_plan_that_is_made_while_nothing_of_it_runs_counts_from_then_on() {
    let project = Project::new().file("in.txt", "1\n").pipeline(
        r#"
[stages.first]
run = "cat in.txt > out"
inputs = ["in.txt"]
outputs = ["out"]
[stages.second]
needs = ["first"]
run = "cat out > plain"
inputs = ["out"]
outputs = ["plain"]
"#,
    );
    project.run().code(0);
    // Entries are numbered anew by it, and a stage that is not asked for changes.
    project.write("a.txt", "0\n");
    let pipeline = project.read("pipeline.toml");
    let edited = pipeline
        .replace("cat out > plain", "cat a.txt out > plain")
        .replace("inputs = [\"out\"]", "inputs = [\"a.txt\", \"out\"]");
    project.write("pipeline.toml", &edited);
    let ran = |args: &[&str]| {
        project.run_with(args.iter().copied().chain(["--format", "json"])).outcomes()
    };
    assert_eq!(ran(&["first"])["first"], "cached");
    let reads = || opened(&project.root(), "pipeline.toml", || drop(ran(&["first"])));
    assert_eq!(reads(), 0, "the plan is known");
    project.write("in.txt", "1\n");
    assert_eq!(ran(&["first"])["first"], "cached", "the same content");
    assert_eq!(ran(&[])["second"], "ran");
    assert_eq!(project.read("plain"), "0\n1\n");
}
