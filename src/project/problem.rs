//! The problem that a pipeline's kernel must solve.

use std::path::Path;

use super::Project;
use crate::diagnostic::Diagnostic;
use crate::pipeline::Pipeline;
use crate::problem::{self, Problem};

/// The problem that a pipeline names; its mistakes go to `mistakes`.
pub(super) fn load_problem(
    project: &Project<'_>,
    pipeline: &Pipeline,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Problem> {
    let (name, _) = pipeline.problem.as_ref()?;
    let path = project.file.parent().unwrap_or(Path::new("")).join(name);
    if !path.is_file() {
        return None; // reported by the pipeline
    }
    let loaded = problem::load(&path, project.host);
    mistakes.extend(loaded.diagnostics);
    let mut problem = loaded.problem?;
    // The plan resolves names from the root, not from where this process happens to be.
    if let Ok(absolute) = problem.reference.canonicalize() {
        problem.reference = absolute;
    }
    Some(problem)
}
