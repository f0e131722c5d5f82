//! optloop as a library: runs a pipeline, compares two kernels, and prints the decision.
//! `cargo run --example embed -- PIPELINE KERNEL KERNEL`
#![expect(clippy::print_stdout, reason = "this is a program of its own")]

use std::process::ExitCode;

use optloop::engine::Event;
use optloop::pipeline::Overrides;
use optloop::process::Cancel;
use optloop::project::host::Disk;
use optloop::project::{Access, Comparison, Observer, Project, ProjectError, RunRequest, children};

struct Progress;

impl Observer for Progress {
    fn event(&self, event: &Event) {
        if let Event::StageFinished(stage) = event {
            println!("{}: passed {}", stage.stage, stage.outcome.passed());
        }
    }
}

fn main() -> Result<ExitCode, ProjectError> {
    // Kernels run in processes of this very program.
    if let Some(ended) = children::serve() {
        return Ok(ended);
    }
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let project = Project::find(&next(), &Disk)?;
    let mut opened = project.open(Overrides::default(), Access::Wait, &[&Progress])?;
    let report = opened.run(&RunRequest::default(), &[&Progress], &Cancel::default)?;
    println!("{} ran, {} cached", report.summary.ran, report.summary.cached);
    drop(opened); // The comparison opens the project with changes of its own.
    let comparison = Comparison::of(&next(), &next(), "candidate");
    let compared = project.compare(&comparison, &[&Progress], &Cancel::default)?;
    println!("{}", compared.report.decision().map_or("UNDECIDED", |decision| decision.word()));
    Ok(ExitCode::SUCCESS)
}
