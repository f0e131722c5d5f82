//! With how many threads and how much shared memory a kernel is launched.

use std::path::Path;

use super::super::super::args::ResourcesArgs;
use super::super::super::session::Refusal;
use super::super::build;
use super::Call;
use crate::backend::cuda::LaunchLines;
use crate::problem::{Case, CudaLaunch, Problem, geometry};

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
    let text = std::fs::read(source).unwrap_or_default();
    let own = launch_lines(&String::from_utf8_lossy(&text))?;
    let launch = together(args, own, problem)?;
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

/// A kernel's `// optloop: block = [256]` lines.
fn launch_lines(text: &str) -> Result<LaunchLines, String> {
    let mut lines = LaunchLines::default();
    for (at, line) in text.lines().enumerate() {
        let Some(rest) = line.trim().strip_prefix("// optloop:") else { continue };
        let bad = || format!("line {} is not of the form `// optloop: block = [256]`", at + 1);
        let table: toml::Table = rest.parse().map_err(|_| bad())?;
        for (key, value) in table {
            match key.as_str() {
                "grid" => lines.grid = Some(list(&value).ok_or_else(bad)?),
                "block" => lines.block = Some(list(&value).ok_or_else(bad)?),
                "shared" => lines.shared = Some(expression(&value).ok_or_else(bad)?),
                _ => return Err(bad()),
            }
        }
    }
    Ok(lines)
}

fn list(value: &toml::Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(expression).collect()
}

fn expression(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_own_lines_are_read() {
        let text = "// k\n// optloop: grid = [\"ceil_div(n, 4)\"]\n  // optloop: block = [16, \"2\"]\n\
                    // optloop: shared = 64\nint x;\n";
        let lines = launch_lines(text).expect("they are right");
        let expected = LaunchLines {
            grid: Some(vec!["ceil_div(n, 4)".into()]),
            block: Some(vec!["16".into(), "2".into()]),
            shared: Some("64".into()),
        };
        assert_eq!(lines, expected);
        for wrong in ["// optloop: block", "// optloop: block = 16", "// optloop: blocks = [1]"] {
            let said = launch_lines(&format!("\n{wrong}\n")).expect_err(wrong);
            assert!(said.starts_with("line 2 "), "{said}");
        }
    }
}
