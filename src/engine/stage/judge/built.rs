//! A built kernel as launching it takes: its geometry at each case.

use std::path::Path;

use super::super::{Failure, FailureClass};
use super::bench::Bench;
use crate::backend::cuda::{Bundle, ImageKind, LaunchLines};
use crate::backend::{Fault, Grid, Session, Trouble};
use crate::pipeline::Target;
use crate::problem::{Case, CudaLaunch, LaunchError, Problem, geometry};

/// One to warm up on, and one that is fresh.
const FEWEST_SETS: u32 = 2;

/// How a kernel is launched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::engine::stage) struct Built {
    /// One per case; none where the kernel launches itself, and none on a processor.
    grids: Vec<Grid>,
    /// Whether none of its code runs on the host.
    device_only: bool,
}

impl Built {
    /// How a kernel is launched at `cases`: the problem's own, then those that are held out.
    ///
    /// # Errors
    /// The case at which there is no geometry that a device takes, and why.
    pub(super) fn of(
        bench: &Bench<'_>,
        problem: &Problem,
        cases: &[Case],
        kernel: &Path,
    ) -> Result<Self, Failure> {
        if matches!(bench.target, Target::Cpu(_)) {
            return Ok(Self::default());
        }
        let bundle = Bundle::read(kernel)
            .map_err(|e| Failure::of_io(&format!("cannot read {}", kernel.display()), &e))?;
        if bundle.kind == ImageKind::Shared {
            return Ok(Self::default());
        }
        let failed = |message| Failure { class: FailureClass::Failed, message };
        let launch = laid_over(problem, &bundle.launch).map_err(|why| failed(why.to_string()))?;
        let own = problem.cases.len();
        let grids = cases.iter().enumerate().map(|(number, case)| {
            let told = |why: LaunchError| (number < own).then(|| why.to_string());
            grid(&launch, case)
                .map_err(|why| failed(refusal(&launch, &case.label, told(why).as_deref())))
        });
        Ok(Self { grids: grids.collect::<Result<_, _>>()?, device_only: true })
    }

    /// Whether none of its code runs on the host.
    pub(in crate::engine::stage) fn is_device_only(&self) -> bool {
        self.device_only
    }

    /// The geometry of a case's launch; where the kernel launches itself, one that nobody uses.
    pub(in crate::engine::stage) fn grid(&self, case: usize) -> Grid {
        let unused = Grid { blocks: [1; 3], threads: [1; 3], shared_bytes: 0 };
        self.grids.get(case).copied().unwrap_or(unused)
    }

    /// Says how what is loaded next of a case is launched.
    pub(in crate::engine::stage) fn shape(&self, case: usize, session: &mut dyn Session) {
        if let Some(grid) = self.grids.get(case) {
            session.shape(*grid);
        }
    }
}

/// Loads at most `sets` sets, and fewer where a device has no memory for so many; how many it was.
pub(in crate::engine::stage) fn load_what_fits(
    mut sets: u32,
    load: &mut dyn FnMut(u32) -> Result<(), Fault>,
) -> Result<u32, Fault> {
    loop {
        match load(sets) {
            Ok(()) => return Ok(sets),
            Err(Fault::Device { trouble: Trouble::OutOfMemory, .. }) if sets > FEWEST_SETS => {
                sets = (sets / 2).max(FEWEST_SETS);
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// Neither problem nor kernel says how it is launched.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing says how kernel `{entry}` is launched: {missing} missing; write a table [launch.cuda] with \
     `grid` and `block` into problem `{problem}`, or lines such as `// optloop: block = [256]` into the \
     kernel"
)]
struct NoLaunch {
    entry: String,
    /// What is, or are, missing.
    missing: String,
    problem: String,
}

/// The problem's launch with the kernel's own lines in the place of its.
fn laid_over(problem: &Problem, lines: &LaunchLines) -> Result<CudaLaunch, NoLaunch> {
    let own = problem.cuda.as_ref();
    let axes = |line: &Option<Vec<String>>, of: fn(&CudaLaunch) -> &Vec<String>| {
        line.clone().or_else(|| own.map(|launch| of(launch).clone()))
    };
    let grid = axes(&lines.grid, |launch| &launch.grid);
    let block = axes(&lines.block, |launch| &launch.block);
    let shared = lines.shared.clone().or_else(|| own.map(|launch| launch.shared.clone()));
    let missing: Vec<&str> = [("grid", grid.is_none()), ("block", block.is_none())]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
    match (grid, block) {
        (Some(grid), Some(block)) => {
            Ok(CudaLaunch { grid, block, shared: shared.unwrap_or_else(|| "0".to_owned()) })
        }
        _ => Err(NoLaunch {
            entry: problem.entry.clone(),
            missing: match missing.as_slice() {
                [one] => format!("`{one}` is"),
                _ => "`grid` and `block` are".to_owned(),
            },
            problem: problem.name.clone(),
        }),
    }
}

fn grid(launch: &CudaLaunch, case: &Case) -> Result<Grid, LaunchError> {
    let found = geometry(launch, case, None)?;
    Ok(Grid { blocks: found.grid, threads: found.block, shared_bytes: found.shared_bytes })
}

/// Names the case and the expressions. Of a case that is held out no number is told, so `why` is none.
fn refusal(launch: &CudaLaunch, label: &str, why: Option<&str>) -> String {
    let CudaLaunch { grid, block, shared } = launch;
    let launch = format!(
        "the launch (grid = [{}], block = [{}], shared = {shared})",
        grid.join(", "),
        block.join(", ")
    );
    match why {
        Some(why) => format!("case {label}: {launch} is none that a device takes: {why}"),
        None => format!("{label} (sizes are withheld): {launch} is none that a device takes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Tolerance;

    fn problem(cuda: Option<CudaLaunch>) -> Problem {
        Problem {
            name: "double".into(),
            entry: "twice".into(),
            cases: Vec::new(),
            holdout: None,
            args: Vec::new(),
            reference: std::path::PathBuf::new(),
            tolerance: Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false },
            growth: None,
            deterministic: false,
            flops: None,
            bytes: None,
            cuda,
        }
    }

    fn launch() -> CudaLaunch {
        CudaLaunch {
            grid: vec!["ceil_div(n, block.x)".into()],
            block: vec!["256".into()],
            shared: "4*block.x".into(),
        }
    }

    fn list(line: &str) -> Vec<String> {
        vec![line.to_owned()]
    }

    #[test]
    fn a_kernels_lines_each_take_the_place_of_the_problems() {
        let case = Case { label: "n=1000".into(), sizes: [("n".to_owned(), 1000)].into() };
        let own = LaunchLines::default;
        for (lines, expected) in [
            (own(), (4, 256, 1024)),
            (LaunchLines { block: Some(list("n / 10")), ..own() }, (10, 100, 400)),
            (LaunchLines { grid: Some(list("7")), ..own() }, (7, 256, 1024)),
            (LaunchLines { shared: Some("n".into()), ..own() }, (4, 256, 1000)),
        ] {
            let launch = laid_over(&problem(Some(launch())), &lines).unwrap();
            let found = grid(&launch, &case).unwrap();
            assert_eq!((found.blocks[0], found.threads[0], found.shared_bytes), expected);
        }
        let all = LaunchLines { grid: Some(list("n")), block: Some(list("32")), shared: None };
        let found = grid(&laid_over(&problem(None), &all).unwrap(), &case).unwrap();
        assert_eq!(
            (found.blocks, found.threads, found.shared_bytes),
            ([1000, 1, 1], [32, 1, 1], 0)
        );
    }

    #[test]
    fn where_device_memory_is_short_fewer_sets_are_loaded() {
        let no_memory = || Fault::Device { trouble: Trouble::OutOfMemory, what: "x".into() };
        for (wanted, fits, expected) in
            [(10, 10, Some(10)), (10, 5, Some(5)), (10, 3, Some(2)), (10, 1, None), (1, 0, None)]
        {
            let mut load = |sets| if sets <= fits { Ok(()) } else { Err(no_memory()) };
            let loaded = load_what_fits(wanted, &mut load);
            assert_eq!(loaded, expected.ok_or_else(no_memory), "{wanted} where {fits} fit");
        }
        let mut lost = |_| Err(Fault::TimedOut);
        assert_eq!(load_what_fits(10, &mut lost), Err(Fault::TimedOut));
    }

    #[test]
    fn what_is_missing_is_said_with_where_to_write_it() {
        let grid = LaunchLines { grid: Some(list("n")), ..LaunchLines::default() };
        for (lines, words) in [
            (LaunchLines::default(), "`grid` and `block` are missing"),
            (grid, "`block` is missing"),
        ] {
            let why = laid_over(&problem(None), &lines).unwrap_err().to_string();
            assert!(why.contains(words) && why.contains("[launch.cuda]"), "{why}");
            assert!(why.contains("`twice`") && why.contains("`double`"), "{why}");
        }
    }

    #[test]
    fn a_launch_that_no_device_takes_names_its_case_and_no_secret_size() {
        let case = Case { label: "n=4096".into(), sizes: [("n".to_owned(), 4096)].into() };
        let wide = CudaLaunch { block: vec!["n".into()], ..launch() };
        let why = grid(&wide, &case).unwrap_err().to_string();
        let told = refusal(&wide, &case.label, Some(&why));
        assert!(told.contains("n=4096") && told.contains("block = [n]"), "{told}");
        assert!(told.contains("block.x is 4096"), "{told}");
        assert!(!refusal(&wide, "hold-out 2", None).contains("4096"));
    }
}
