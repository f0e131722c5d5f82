//! With how many threads and how much shared memory a kernel is launched.

use std::path::Path;

use super::super::super::args::ResourcesArgs;
use super::super::super::refusal::Refusal;
use super::super::build;
use super::call::Call;
use crate::backend::cuda::LaunchLines;
use crate::backend::cuda::compiler::directives;
use crate::diagnostic;
use crate::problem::{Case, CudaLaunch, Problem, expr, geometry};

/// One way in which it is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    /// The first case that is launched so; empty when all are.
    pub(super) case: String,
    /// Threads of a block.
    pub(super) threads: u32,
    /// Bytes of dynamic shared memory.
    pub(super) shared_bytes: u32,
}

/// All ways in which it is launched over the problem's cases: as the command line says, else as the
/// kernel's own lines do, else as the problem does.
///
/// # Errors
/// Why that is not known.
pub(super) fn launches(
    args: &ResourcesArgs,
    call: &Call<'_>,
    source: &Path,
) -> Result<Vec<Launch>, String> {
    let beside = match &call.recipe.problem {
        Some(_) => None,
        None => beside(&call.kernel)?,
    };
    let problem = call.recipe.problem.as_ref().or(beside.as_ref());
    let launch = together(args, launch_lines(source)?, problem)?;
    let nothing = [Case { label: String::new(), sizes: [].into() }];
    let cases = problem.map_or(&nothing[..], |p| &p.cases);
    let mut ways: Vec<Launch> = Vec::new();
    for case in cases {
        let found = geometry(&launch, case, None).map_err(|e| e.to_string())?;
        let threads = found.block.iter().product();
        let shared_bytes = found.shared_bytes;
        if !ways.iter().any(|w| (w.threads, w.shared_bytes) == (threads, shared_bytes)) {
            ways.push(Launch { case: case.label.clone(), threads, shared_bytes });
        }
    }
    if let [only] = &mut ways[..] {
        only.case.clear();
    }
    Ok(ways)
}

/// The problem that lies beside the kernel.
fn beside(kernel: &Path) -> Result<Option<Problem>, String> {
    let path = kernel.with_file_name("problem.toml");
    if !path.is_file() {
        return Ok(None);
    }
    match build::load(&path) {
        Ok(problem) => Ok(Some(problem)),
        Err(Refusal::Words(what, ..)) => Err(what),
        Err(_) => Err("the problem.toml beside the kernel does not load".to_owned()),
    }
}

fn together(
    args: &ResourcesArgs,
    own: LaunchLines,
    problem: Option<&Problem>,
) -> Result<CudaLaunch, String> {
    let theirs = problem.and_then(|p| p.cuda.as_ref());
    let given = args.block.as_ref().map(|b| b.iter().map(u32::to_string).collect());
    let block = given.or(own.block).or_else(|| Some(theirs?.block.clone()));
    let Some(block) = block else {
        return Err("say how many threads a block has with --block".to_owned());
    };
    let one = || vec!["1".to_owned()];
    // Of the grid only its part in the expression of the shared memory matters.
    let grid = own.grid.or_else(|| Some(theirs?.grid.clone())).unwrap_or_else(one);
    let given = args.shared.map(|s| s.to_string());
    let shared = given.or(own.shared).or_else(|| Some(theirs?.shared.clone()));
    let shared = shared.unwrap_or_else(|| "0".to_owned());
    let grid = if args.shared.is_some() { one() } else { grid };
    Ok(CudaLaunch { grid, block, shared })
}

/// The kernel's own lines; a cubin is no text and has none.
fn launch_lines(source: &Path) -> Result<LaunchLines, String> {
    if source.extension().is_some_and(|extension| extension == "cubin") {
        return Ok(LaunchLines::default());
    }
    let text = std::fs::read(source).unwrap_or_default();
    let check = |expression: &str| expr::parse(expression).map(drop).map_err(|e| e.to_string());
    directives::parse(source, &String::from_utf8_lossy(&text), &check)
        .map_err(|found| diagnostic::render(&found).trim_end().to_owned())
}
