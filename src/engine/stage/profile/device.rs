//! A profile on a CUDA device: the case is staged anew, what the kernel takes of the device is asked
//! of the driver, and `ncu` is looked for.

use super::super::bench::{BenchDef, Trial, mode};
use super::super::judge::{self, Bench, Judge};
use super::super::replayed::DeviceCase;
use super::super::{StageContext, judge::Built};
use super::cuda::{DeviceLook, look as look_into};
use crate::backend::cuda::find::{Places, Tool};
use crate::backend::cuda::inspect::resources::{Arch, Occupancy, Resources, occupancy};
use crate::backend::{Fault, Grid, Session};
use crate::digest::Digest;
use crate::engine::account::ProfileRecord;
use crate::engine::device;
use crate::problem;

/// Where raw reports are kept, below the state folder.
const PROFILES: &str = "profiles";

/// Why a kernel, or what it takes of a device, cannot be looked at.
#[derive(Debug, thiserror::Error)]
enum NoLook {
    #[error("there is no case")]
    NoCase,
    /// How the kernel is launched is not known.
    #[error("{0}")]
    Kernel(String),
    /// Its inputs cannot be drawn.
    #[error(transparent)]
    Inputs(#[from] problem::CaseError),
    #[error("{what}; {hint}")]
    NoDevice { what: String, hint: String },
    #[error("{0}")]
    UnknownArch(String),
    /// It does not run.
    #[error("{0}")]
    Launch(Fault),
    #[error("the driver does not tell what the kernel takes")]
    Untold,
}

/// Looks at a case of a kernel on a device, of which `roofline` is known.
pub(super) fn look(trial: Trial<'_>, device: &str, case: usize, roofline: &str) -> ProfileRecord {
    let Trial { def, ctx, .. } = trial;
    let bench = trial.bench();
    let looked = staged(def, &bench, case).map(|(staged, built)| {
        let arguments = judge::arguments(&staged);
        let case = DeviceCase {
            label: &def.problem.cases[case].label,
            device,
            bundle: &def.kernel,
            grid: built.grid(case),
            arguments: &arguments,
        };
        let occupancy = built.is_device_only().then(|| occupancy_line(&bench, &case));
        let found = Places::of(ctx.host).tool(Tool::Ncu);
        let found = found.map(|tool| tool.path).map_err(|why| format!("{why}; {}", why.hint));
        look_into(&DeviceLook {
            ctx,
            case,
            mode: mode(def.work.mode),
            tool: found.as_deref().map_err(String::as_str),
            report: &ctx.state.join(PROFILES).join(format!("{}.ncu-rep", file_name(ctx.name))),
            roofline,
            occupancy: occupancy.as_deref(),
        })
    });
    looked.unwrap_or_else(|why| ProfileRecord {
        verdict: roofline.to_owned(),
        lines: vec![roofline.to_owned(), why.to_string()],
        ..ProfileRecord::default()
    })
}

/// One set of the case, and how the kernel is launched.
fn staged(
    def: &BenchDef,
    bench: &Bench<'_>,
    case: usize,
) -> Result<(problem::Staged, Built), NoLook> {
    let chosen = def.problem.cases.get(case).ok_or(NoLook::NoCase)?;
    let seed = judge::seed(None);
    let built = Judge::new(&def.problem, &def.reference, seed, bench).built(&def.kernel);
    let built = built.map_err(|failure| NoLook::Kernel(failure.message))?;
    let staged = problem::stage(&def.problem, chosen, seed)?;
    Ok((staged, built))
}

/// How full the kernel's resources let a multiprocessor be, or why that is not known.
fn occupancy_line(bench: &Bench<'_>, case: &DeviceCase<'_>) -> String {
    let known = arch(bench.ctx, case.device).and_then(|arch| {
        let resources = resources(bench, case)?;
        let found = occupancy(arch.limits, resources.block(&case.grid));
        Ok(in_words(&found, &resources, &case.grid))
    });
    known.unwrap_or_else(|why| format!("no occupancy: {why}"))
}

fn arch(ctx: &StageContext<'_>, device: &str) -> Result<Arch, NoLook> {
    let found = device::find(device, ctx.host)
        .map_err(|missing| NoLook::NoDevice { what: missing.what, hint: missing.hint })?;
    Arch::parse(&found.arch()).map_err(|e| NoLook::UnknownArch(e.to_string()))
}

/// What the driver says of the kernel, once it is loaded.
fn resources(bench: &Bench<'_>, case: &DeviceCase<'_>) -> Result<Resources, NoLook> {
    (bench.ctx.progress)(0.2, "occupancy");
    let opened = bench.open_cuda(case.device, case.bundle);
    let mut session = opened.map_err(NoLook::Launch)?;
    session.shape(case.grid);
    let loaded = session.load(&[case.arguments.to_vec()]);
    let resources = session.resources();
    session.finish();
    loaded.map_err(NoLook::Launch)?;
    resources.ok_or(NoLook::Untold)
}

/// `occupancy 75 %: 6 blocks of 256 threads on a multiprocessor, 48 of 64 warps, …`.
fn in_words(found: &Occupancy, resources: &Resources, grid: &Grid) -> String {
    let block = resources.block(grid);
    let limits: Vec<&str> = found.limits.iter().map(|limit| limit.word()).collect();
    let mut line = format!(
        "occupancy {:.0} %: {} block{} of {} threads on a multiprocessor, {} of {} warps, limited by \
         {}; {} registers a thread",
        found.percent(),
        found.blocks,
        if found.blocks == 1 { "" } else { "s" },
        block.threads,
        found.warps,
        found.most_warps,
        limits.join(" and "),
        resources.registers,
    );
    if block.shared_bytes > 0 {
        line += &format!(", {} bytes of shared memory a block", block.shared_bytes);
    }
    if resources.local_bytes > 0 {
        line += &format!(", {} bytes of local memory a thread", resources.local_bytes);
    }
    line
}

/// A node's name as a file's. One that had to be altered gets a part of its digest, so that no two
/// share a report.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.len() <= LONGEST && name.chars().all(plain) {
        return name.to_owned();
    }
    let cleaned: String =
        name.chars().take(LONGEST).map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{cleaned}-{}", Digest::of(name.as_bytes()).short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_full_a_multiprocessor_is_what_is_short_and_what_is_taken() {
        let grid = |threads, shared_bytes| Grid {
            blocks: [9, 1, 1],
            threads: [threads, 1, 1],
            shared_bytes,
        };
        for (registers, static_shared_bytes, local_bytes, grid, words) in [
            (
                40,
                0,
                0,
                grid(256, 0),
                "occupancy 75 %: 6 blocks of 256 threads on a multiprocessor, 48 of 64 warps, \
                 limited by registers; 40 registers a thread",
            ),
            (
                32,
                1024,
                16,
                grid(1024, 120_000),
                "occupancy 50 %: 1 block of 1024 threads on a multiprocessor, 32 of 64 warps, \
                 limited by shared memory; 32 registers a thread, 121024 bytes of shared memory a \
                 block, 16 bytes of local memory a thread",
            ),
        ] {
            let resources = Resources { registers, static_shared_bytes, local_bytes };
            let arch = Arch::parse("sm_90").unwrap();
            let found = occupancy(arch.limits, resources.block(&grid));
            assert_eq!(in_words(&found, &resources, &grid), words);
        }
    }

    #[test]
    fn reports_of_different_stages_never_share_a_file() {
        assert_eq!(file_name("profile"), "profile");
        let names = ["a[n=1]", "a[n=2]", "a_n_1_", "../a", "a/b", &"x".repeat(65), &"x".repeat(66)];
        let files: std::collections::BTreeSet<String> =
            names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
        for file in &files {
            assert!(!file.contains(['/', '.', '[']) && file.len() < 100, "{file}");
        }
    }
}
