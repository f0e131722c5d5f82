//! argv to one call to text or JSON to an exit code; the only room that prints.
//!
//! One file per command. Not for: anything that could be tested without a process.

mod anchor;
mod args;
mod artifact;
mod best;
mod board;
mod cache;
mod calibrate;
mod campaign;
mod changed;
mod columns;
mod compare;
mod completions;
mod cuda;
mod decided;
mod devices;
mod doctor;
mod exit;
mod explain;
mod forecast;
mod graph;
mod hardware;
mod init;
mod inspect;
mod keep;
mod lines;
mod man;
mod noise;
mod output;
mod picture;
mod pipeline;
mod refusal;
mod replay;
mod results;
mod revert;
mod schema;
mod table;
mod ui;
mod verdict;
mod which;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use args::Cli;
pub use exit::{Exit, TABLE};

use crate::project::children;
use crate::project::host::{self, TraceError};
use args::Command;
use output::Output;
use ui::Ui;

/// Runs the command line.
pub fn main() -> ExitCode {
    let traced = host::begin_trace();
    // A worker that cannot write to the trace serves all the same.
    if let Some(ended) = children::serve() {
        return ended;
    }
    let parsed = args::pipeline_alone(std::env::args_os()).map_or_else(Cli::try_parse, Ok);
    match parsed {
        Ok(cli) => run(&cli, traced).into(),
        Err(e) => instead(&e).into(),
    }
}

/// What is printed instead of running a command: help and version are answers, the rest is not.
fn instead(e: &clap::Error) -> Exit {
    let out = Output::default();
    out.tell(|| e.print().and_then(|()| std::io::stdout().flush()));
    match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Ui::new(&args::Global::default(), &out).end(Exit::Ok)
        }
        _ => Exit::Usage,
    }
}

/// Runs one command; a panic is a defect and says so.
fn run(cli: &Cli, traced: Result<(), TraceError>) -> Exit {
    let out = Output::default();
    let ui = Ui::new(&cli.global, &out);
    if let Err(error) = traced {
        return ui.end(ui.refuse(&error.into()));
    }
    let call = std::panic::AssertUnwindSafe(|| dispatch(cli, ui));
    let exit = std::panic::catch_unwind(call);
    let ui = Ui::new(&cli.global, &out);
    ui.end(exit.unwrap_or_else(|_| {
        ui.complain("this is a defect of optloop; please report it with the lines above");
        Exit::Internal
    }))
}

fn dispatch(cli: &Cli, ui: Ui) -> Exit {
    match &cli.command {
        Command::Pipeline(args) => pipeline::run(args, ui),
        Command::Graph(args) => graph::run(args, &ui),
        Command::Devices => devices::run(&ui),
        Command::Doctor => doctor::run(&ui),
        Command::Init(args) => init::run(args, &ui),
        Command::Schema(args) => schema::run(args, &ui),
        Command::Completions(args) => completions::run(args, &ui),
        Command::Man(args) => man::run(args, &ui),
        Command::Explain(args) => explain::run(args, &ui),
        Command::Compare(args) => compare::run(args, ui),
        Command::Calibrate(args) => calibrate::run(args, ui),
        Command::Replay(args) => replay::run(args, &ui),
        Command::Keep(args) => keep::run(args, &ui),
        Command::Loop(command) => campaign::run(command, &ui),
        Command::Best(args) => best::run(args, ui),
        Command::Revert(args) => revert::run(args, &ui),
        Command::Inspect(command) => inspect::run(command, &ui),
        Command::Artifact(command) => artifact::run(command, &ui),
        Command::Cache(command) => cache::run(command, &ui),
    }
}
