//! A staged case on a device, launched alone under a tool that looks into kernels.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StageContext;
use crate::backend::cuda::DEVICE_ORDER;
use crate::backend::cuda::inspect::replay::{self, Replay};
use crate::backend::{Argument, Grid};
use crate::plan::kernel::WORKER_ENV;
use crate::process::{self, Capture, CommandSpec, Exit, Finished, SpawnError};

/// What the tools and the driver below them look at, besides what workers are given.
const TOOL_ENV: [&str; 7] = [
    "PATH",
    "HOME",
    "CUDA_HOME",
    "CUDA_PATH",
    "CONDA_PREFIX",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
];

/// Why a tool could not be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// There is no place for it.
    #[error("cannot make {}: {source}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// What it is to launch cannot be written down.
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    /// It does not start.
    #[error("cannot start {}: {source}", .tool.display())]
    Start { tool: PathBuf, source: SpawnError },
}

/// One case, ready to be launched.
#[derive(Debug, Clone, Copy)]
pub struct DeviceCase<'a> {
    /// The case's name.
    pub label: &'a str,
    /// The device: its number, or `GPU-` and its UUID.
    pub device: &'a str,
    /// The built kernel: an absolute path.
    pub bundle: &'a Path,
    /// The launch's geometry.
    pub grid: Grid,
    /// One set of arguments.
    pub arguments: &'a [Argument<'a>],
}

impl DeviceCase<'_> {
    /// The command that launches the case so often; its arguments go to a file in `folder`.
    pub(super) fn command(
        &self,
        ctx: &StageContext<'_>,
        folder: &Path,
        launches: u32,
    ) -> Result<Vec<OsString>, ToolError> {
        fs::create_dir_all(folder)
            .map_err(|source| ToolError::Folder { path: folder.to_owned(), source })?;
        // What leads to this very program leads to the tool in the tool's process.
        let program =
            fs::read_link(ctx.host.program()).unwrap_or_else(|_| ctx.host.program().to_owned());
        let replay = Replay {
            program: &program,
            device: self.device,
            bundle: self.bundle,
            grid: self.grid,
            arguments: self.arguments,
            launches,
        };
        let file = folder.join("replayed");
        let prepared = replay::prepare(&replay, &file);
        prepared.map_err(|source| ToolError::Write { path: file, source })
    }
}

/// A tool with what it is told.
pub(super) struct ToolCall<'a> {
    pub(super) tool: &'a Path,
    pub(super) args: Vec<OsString>,
    /// Where it runs, and what it may write to.
    pub(super) folder: &'a Path,
    /// Tells it from the stage's other processes.
    pub(super) part: &'a str,
    pub(super) timeout: Duration,
}

/// Runs a tool.
pub(super) fn run_tool(call: ToolCall<'_>, ctx: &StageContext<'_>) -> Result<Finished, ToolError> {
    let ToolCall { tool, args, folder, part, timeout } = call;
    let mut spec = CommandSpec::new(tool, folder, format!("{}.{part}", ctx.marker));
    spec.args = args;
    spec.env = ctx.inherited(&TOOL_ENV);
    spec.env.extend(ctx.inherited(&WORKER_ENV));
    if !spec.env.iter().any(|(name, _)| name == DEVICE_ORDER.0) {
        // The device's number is the one that workers have it by.
        spec.env.push((DEVICE_ORDER.0.into(), DEVICE_ORDER.1.into()));
    }
    // Numbers with points; and locks and temporary files of their own, for the system's folder may
    // hold those of another user.
    spec.env.extend([("LC_ALL".into(), "C".into()), ("TMPDIR".into(), folder.into())]);
    spec.capture = Capture::Split;
    spec.timeout = Some(timeout);
    let ran = process::run(&spec, ctx.cancel);
    ran.map_err(|source| ToolError::Start { tool: tool.to_owned(), source })
}

/// Everything that was printed, as text.
pub(super) fn printed(finished: &Finished) -> String {
    let all = [&finished.stdout[..], &finished.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// How it ended, when it did not pass; with the replay's own word where it said one.
pub(super) fn ended(finished: &Finished, printed: &str) -> Option<String> {
    let how = match finished.exit {
        Exit::Code(0) => return None,
        Exit::Code(code) => format!("it exited with {code}"),
        Exit::Signal(signal) => format!("it was ended by signal {signal}"),
        Exit::TimedOut => "it took too long and was ended".to_owned(),
        Exit::Cancelled => "interrupted".to_owned(),
    };
    let said = printed.lines().find_map(|line| line.strip_prefix("optloop: "));
    Some(said.map_or(how, str::to_owned))
}
