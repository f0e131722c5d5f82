//! From a project's files to a plan: every mistake of all of them at once.

use std::path::{Path, PathBuf};

use super::incumbents::Incumbents;
use super::problem::load_problem;
use super::{Project, ProjectError};
use crate::diagnostic::Diagnostic;
use crate::engine::device;
use crate::pipeline::{self, Overrides, Target};
use crate::plan::{self, Plan};

/// Reads pipeline and problem and makes the plan.
///
/// # Errors
/// The mistakes in them; or that the device is not there, where only its compilers are missing.
pub(super) fn make(project: &Project<'_>, overrides: &Overrides) -> Result<Plan, ProjectError> {
    let mut mistakes = Vec::new();
    let loaded = pipeline::load(&project.file, overrides, project.host);
    mistakes.extend(loaded.diagnostics);
    let Some(mut pipeline) = loaded.pipeline else {
        return Err(ProjectError::Mistakes(mistakes));
    };
    pipeline.dir.clone_from(&project.dir);
    // The plan knows files from the root, not from where this process happens to be.
    for path in &mut pipeline.sources {
        *path = from_anywhere(path);
    }
    pipeline.preset_dir = from_anywhere(&pipeline.preset_dir);
    let problem = load_problem(project, &pipeline, &mut mistakes);
    plan::only::restrict(&mut pipeline, problem.as_ref(), &project.root, &overrides.only);
    let incumbents = Incumbents { project, overrides };
    let request = plan::build::Request {
        pipeline: &pipeline,
        problem: problem.as_ref(),
        root: &project.root,
        host: project.host,
        incumbents: &incumbents,
    };
    match plan::build::build(request) {
        Err(more) => {
            let only_compilers = more.iter().all(|mistake| mistake.code == "no-compiler");
            if mistakes.is_empty() && only_compilers {
                need_device(project, &pipeline.target(), &more)?;
            }
            mistakes.extend(more);
        }
        Ok(plan) if mistakes.is_empty() => return Ok(plan),
        Ok(_) => {}
    }
    Err(ProjectError::Mistakes(mistakes))
}

/// Without the device its compilers are of no use: that it is missing is said first.
fn need_device(
    project: &Project<'_>,
    target: &Target,
    compilers: &[Diagnostic],
) -> Result<(), ProjectError> {
    let Some(missing) = device::missing(target, project.host) else { return Ok(()) };
    let also = compilers.first().map(|mistake| format!("; and {}", mistake.message));
    Err(ProjectError::NoDevice { missing, also: also.unwrap_or_default() })
}

/// The same file or folder, named from the file system's root; links in its folder are followed.
fn from_anywhere(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().and_then(|p| p.canonicalize().ok()), absolute.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => absolute,
    }
}
