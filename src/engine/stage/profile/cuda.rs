//! Where a CUDA kernel's time goes: by `ncu` where there is one that may count, by its roofline and
//! its occupancy otherwise. Nothing here decides anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::StageContext;
use super::super::replayed::{DeviceCase, ToolCall, ToolError, ended, printed, run_tool};
use crate::backend::Mode;
use crate::backend::cuda::inspect::ncu::{self, Collect, NcuReport};
use crate::backend::cuda::{Bundle, ImageKind};
use crate::engine::account::ProfileRecord;
use crate::process::Exit;

/// Launches before the one that is looked into: code is loaded and caches are as in the middle of a
/// slot.
const WARM_UPS: u32 = 3;

/// Each counter group is a launch of its own, with all memory saved and restored around it.
const PATIENCE: Duration = Duration::from_mins(2);

/// Reasons for stalls that are told.
const TOLD: usize = 3;

/// What is to be looked into, and what is known already.
#[derive(Clone, Copy)]
pub struct DeviceLook<'a> {
    /// The stage.
    pub ctx: &'a StageContext<'a>,
    /// The case.
    pub case: DeviceCase<'a>,
    /// How the caches are before a launch.
    pub mode: Mode,
    /// Where `ncu` is; or that there is none, with what to do.
    pub tool: Result<&'a Path, &'a str>,
    /// Where the raw report is kept; its name ends with `.ncu-rep`.
    pub report: &'a Path,
    /// The roofline's verdict.
    pub roofline: &'a str,
    /// The occupancy that the kernel's resources allow, in a line.
    pub occupancy: Option<&'a str>,
}

/// Looks.
pub fn look(asked: &DeviceLook<'_>) -> ProfileRecord {
    let seen = asked.tool.map_err(|why| NoNcu::Missing(why.to_owned())).and_then(|ncu| {
        (asked.ctx.progress)(0.3, "ncu");
        count(asked, ncu)
    });
    let verdict = match &seen {
        Ok(seen) => format!("{}: {}", asked.case.label, seen.report.verdict()),
        Err(_) => asked.roofline.to_owned(),
    };
    let mut lines = vec![verdict.clone()];
    if seen.is_ok() {
        lines.push(asked.roofline.to_owned());
    }
    lines.extend(asked.occupancy.map(str::to_owned));
    match &seen {
        Ok(seen) => lines.extend(seen.lines()),
        Err(why) => lines.push(why.to_string()),
    }
    // Records are shared between machines: no place of this one stands in them.
    let kept = seen.as_ref().ok().and_then(|_| asked.report.file_name());
    let kept = kept.map(|name| name.to_string_lossy().into_owned());
    let folder = asked.report.parent().and_then(Path::file_name).unwrap_or_default();
    lines.extend(kept.as_ref().map(|name| {
        format!("all of ncu's figures: {}/{name} below the state folder", folder.display())
    }));
    let report = seen.as_ref().ok().map(|seen| &seen.report);
    ProfileRecord {
        verdict,
        case: Some(asked.case.label.to_owned()),
        ncu: report.cloned(),
        bottleneck: report.map(NcuReport::bottleneck),
        report: kept,
        no_ncu: seen.as_ref().err().map(ToString::to_string),
        occupancy: asked.occupancy.map(str::to_owned),
        lines,
        ..ProfileRecord::default()
    }
}

/// Why `ncu` showed nothing.
#[derive(Debug, thiserror::Error)]
enum NoNcu {
    /// It is not installed; with what to do about it.
    #[error("no ncu: {0}")]
    Missing(String),
    /// The kernel's own file.
    #[error("no ncu: {}: {source}", .path.display())]
    Kernel { path: PathBuf, source: io::Error },
    /// It could not be run.
    #[error("no counters: {0}")]
    Tool(#[from] ToolError),
    /// It could not be run once more, to print what it saw.
    #[error("{0}")]
    Import(ToolError),
    /// It did not do what it was asked for.
    #[error("no counters: {why}")]
    Refused {
        why: String,
        /// All of its words.
        said: String,
    },
    /// It passed without a report.
    #[error("no counters: ncu left no report")]
    NoReport,
    /// The report is empty.
    #[error("no counters: ncu saw no launch of the kernel")]
    NoLaunch,
}

/// What `ncu` told.
struct Seen {
    report: NcuReport,
    notes: Vec<String>,
}

impl Seen {
    fn lines(&self) -> Vec<String> {
        let table = self.report.table().into_iter();
        let mut lines: Vec<String> =
            table.map(|(name, value)| format!("{name:<24} {value:>12}")).collect();
        let stalls = self.report.stalls.iter().filter(|stall| stall.cycles > 0.0).take(TOLD);
        lines.extend(stalls.map(|stall| {
            format!("stall: {} ({}), {:.1} cycles", stall.reason, stall.words(), stall.cycles)
        }));
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

fn count(asked: &DeviceLook<'_>, ncu: &Path) -> Result<Seen, NoNcu> {
    let bundle = Bundle::read(asked.case.bundle)
        .map_err(|source| NoNcu::Kernel { path: asked.case.bundle.to_owned(), source })?;
    let metrics = ncu::metrics();
    let Err(why) = collect(asked, ncu, &bundle, &metrics) else {
        return read(asked, ncu, Vec::new());
    };
    let unknown = match &why {
        NoNcu::Refused { said, .. } => ncu::unknown(said, &metrics),
        _ => Vec::new(),
    };
    if unknown.is_empty() {
        return Err(why);
    }
    let known: Vec<String> = metrics.into_iter().filter(|m| !unknown.contains(m)).collect();
    collect(asked, ncu, &bundle, &known)?;
    read(asked, ncu, vec![format!("this ncu does not know {}", unknown.join(", "))])
}

/// Has `ncu` make its report.
fn collect(
    asked: &DeviceLook<'_>,
    ncu: &Path,
    bundle: &Bundle,
    metrics: &[String],
) -> Result<(), NoNcu> {
    let folder = asked.ctx.scratch.join("ncu");
    // Host code may launch several kernels by names that only it knows: all of one call are seen.
    let device_only = bundle.kind != ImageKind::Shared;
    let skip = if device_only { WARM_UPS } else { 0 };
    let command = asked.case.command(asked.ctx, &folder, skip + 1)?;
    if let Some(kept) = asked.report.parent() {
        fs::create_dir_all(kept)
            .map_err(|source| ToolError::Folder { path: kept.to_owned(), source })?;
    }
    let _absent = fs::remove_file(asked.report);
    let args = ncu::collect(&Collect {
        report: asked.report,
        kernel: device_only.then_some(bundle.entry.as_str()),
        skip,
        mode: asked.mode,
        metrics,
        command: &command,
    });
    let call = ToolCall { tool: ncu, args, folder: &folder, part: "ncu", timeout: PATIENCE };
    let finished = run_tool(call, asked.ctx)?;
    let said = printed(&finished);
    let why = match finished.exit {
        Exit::Cancelled => Some("interrupted".to_owned()),
        _ => ncu::trouble(&said).or_else(|| ended(&finished, &said)),
    };
    if let Some(why) = why {
        return Err(NoNcu::Refused { why, said });
    }
    if asked.report.is_file() { Ok(()) } else { Err(NoNcu::NoReport) }
}

/// Has `ncu` print its report, and reads that.
fn read(asked: &DeviceLook<'_>, ncu: &Path, mut notes: Vec<String>) -> Result<Seen, NoNcu> {
    let folder = asked.ctx.scratch.join("ncu");
    let args = ncu::print(asked.report);
    let call = ToolCall { tool: ncu, args, folder: &folder, part: "import", timeout: PATIENCE };
    let finished = run_tool(call, asked.ctx).map_err(NoNcu::Import)?;
    let said = String::from_utf8_lossy(&finished.stdout);
    let all = ncu::parse(&said).map_err(|why| {
        let why = ncu::trouble(&printed(&finished)).unwrap_or_else(|| why.to_string());
        NoNcu::Refused { why, said: said.clone().into_owned() }
    })?;
    let count = all.len();
    let longest = all
        .into_iter()
        .max_by(|a, b| a.duration_ns.unwrap_or(0.0).total_cmp(&b.duration_ns.unwrap_or(0.0)));
    let report = longest.ok_or(NoNcu::NoLaunch)?;
    if count > 1 {
        notes.push(format!(
            "{count} kernels were launched; the longest, {}, is shown",
            report.kernel
        ));
    }
    Ok(Seen { report, notes })
}
