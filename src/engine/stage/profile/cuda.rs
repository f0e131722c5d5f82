//! Where a CUDA kernel's time goes: by `ncu` where there is one that may count, by its roofline and
//! its occupancy otherwise. Nothing here decides anything.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::StageContext;
use super::super::replayed::{DeviceCase, ToolCall, ended, printed, run_tool};
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
    let seen = asked.tool.map_err(|why| format!("no ncu: {why}")).and_then(|ncu| {
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
        Err(why) => lines.push(why.clone()),
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
        no_ncu: seen.as_ref().err().cloned(),
        occupancy: asked.occupancy.map(str::to_owned),
        lines,
        ..ProfileRecord::default()
    }
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

fn count(asked: &DeviceLook<'_>, ncu: &Path) -> Result<Seen, String> {
    let bundle = Bundle::read(asked.case.bundle)
        .map_err(|e| format!("no ncu: {}: {e}", asked.case.bundle.display()))?;
    let metrics = ncu::metrics();
    let Err((why, said)) = collect(asked, ncu, &bundle, &metrics) else {
        return read(asked, ncu, Vec::new());
    };
    let unknown = ncu::unknown(&said, &metrics);
    if unknown.is_empty() {
        return Err(why);
    }
    let known: Vec<String> = metrics.into_iter().filter(|m| !unknown.contains(m)).collect();
    collect(asked, ncu, &bundle, &known).map_err(|(why, _)| why)?;
    read(asked, ncu, vec![format!("this ncu does not know {}", unknown.join(", "))])
}

/// Has `ncu` make its report; else why not, and all that it said.
fn collect(
    asked: &DeviceLook<'_>,
    ncu: &Path,
    bundle: &Bundle,
    metrics: &[String],
) -> Result<(), (String, String)> {
    let silent = |why: String| (format!("no counters: {why}"), String::new());
    let folder = asked.ctx.scratch.join("ncu");
    // Host code may launch several kernels by names that only it knows: all of one call are seen.
    let device_only = bundle.kind != ImageKind::Shared;
    let skip = if device_only { WARM_UPS } else { 0 };
    let command = asked.case.command(asked.ctx, &folder, skip + 1).map_err(silent)?;
    if let Some(kept) = asked.report.parent() {
        fs::create_dir_all(kept)
            .map_err(|e| silent(format!("cannot make {}: {e}", kept.display())))?;
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
    let finished = run_tool(call, asked.ctx).map_err(silent)?;
    let said = printed(&finished);
    let why = match finished.exit {
        Exit::Cancelled => Some("interrupted".to_owned()),
        _ => ncu::trouble(&said).or_else(|| ended(&finished, &said)),
    };
    if let Some(why) = why {
        return Err((format!("no counters: {why}"), said));
    }
    if asked.report.is_file() { Ok(()) } else { Err(silent("ncu left no report".to_owned())) }
}

/// Has `ncu` print its report, and reads that.
fn read(asked: &DeviceLook<'_>, ncu: &Path, mut notes: Vec<String>) -> Result<Seen, String> {
    let folder = asked.ctx.scratch.join("ncu");
    let args = ncu::print(asked.report);
    let call = ToolCall { tool: ncu, args, folder: &folder, part: "import", timeout: PATIENCE };
    let finished = run_tool(call, asked.ctx)?;
    let said = String::from_utf8_lossy(&finished.stdout);
    let all = ncu::parse(&said).map_err(|why| {
        let why = ncu::trouble(&printed(&finished)).unwrap_or(why);
        format!("no counters: {why}")
    })?;
    let count = all.len();
    let longest = all
        .into_iter()
        .max_by(|a, b| a.duration_ns.unwrap_or(0.0).total_cmp(&b.duration_ns.unwrap_or(0.0)));
    let report = longest.ok_or("no counters: ncu saw no launch of the kernel")?;
    if count > 1 {
        notes.push(format!(
            "{count} kernels were launched; the longest, {}, is shown",
            report.kernel
        ));
    }
    Ok(Seen { report, notes })
}
