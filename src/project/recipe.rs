//! What a pipeline's files say of how its kernel is built: as they are, and as they were committed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Project;
use super::promotion::Recipe;
use crate::git;
use crate::host::Host;
use crate::pipeline::{self, CompileWork, Overrides, Pipeline, Work};

/// For a stage, or a point of its matrix (`NAME[LABEL]`), measured with these changes.
pub(super) fn of(project: &Project<'_>, overrides: &Overrides, stage: &str) -> Recipe {
    // Which kernel it is decides on the flags where none are written.
    let set = overrides.set.iter().filter(|(key, _)| *key == "kernel");
    let plain = Overrides {
        set: set.map(|(key, value)| (key.clone(), value.clone())).collect(),
        kernel: overrides.kernel.clone(),
        device: overrides.device.clone(),
        ..Overrides::default()
    };
    let now = pipeline::load(&project.file, &plain, project.host);
    let files = now.pipeline.as_ref().map(|p| files(project, p)).unwrap_or_default();
    let then = pipeline::load(&project.file, &plain, &AtHead { project });
    let ways = |pipeline: Option<Pipeline>| pipeline.map(|p| ways(&p, stage)).unwrap_or_default();
    let committed = then.pipeline.filter(|_| then.diagnostics.is_empty());
    Recipe { files, written: ways(now.pipeline), committed: ways(committed) }
}

/// The files that a pipeline was read from, below the root; not those that optloop wrote.
fn files(project: &Project<'_>, pipeline: &Pipeline) -> Vec<String> {
    let named = pipeline.sources.iter().filter_map(|path| {
        let path = std::path::absolute(path).ok()?;
        let path = path.canonicalize().unwrap_or(path);
        Some(project.below_root(&path))
    });
    named.filter(|path| !path.starts_with('/') && !path.starts_with(".optloop/")).collect()
}

/// How the stage is compiled. A point of a matrix says of itself what no one else may: then what the
/// stages without a matrix say counts.
fn ways(pipeline: &Pipeline, stage: &str) -> Vec<CompileWork> {
    let plain = pipeline.stages.iter().filter_map(|stage| match &stage.variants[..] {
        [one] if one.label.is_empty() => Some((stage.name.as_str(), way(&one.work)?)),
        _ => None,
    });
    let plain: Vec<(&str, CompileWork)> = plain.collect();
    match plain.iter().find(|(name, _)| *name == stage) {
        Some((_, own)) => vec![own.clone()],
        None => plain.into_iter().map(|(_, way)| way).collect(),
    }
}

fn way(work: &Work) -> Option<CompileWork> {
    Some(CompileWork { timeout_ms: 0, ..work.compile()?.clone() })
}

/// Text as the last commit has it; all else as it is.
struct AtHead<'a> {
    project: &'a Project<'a>,
}

impl Host for AtHead<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        let real = path.canonicalize()?;
        let text = git::at_head(&self.project.root, &real, &self.project.git());
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.project.host.exists(path)
    }

    fn list(&self, dir: &Path) -> Vec<String> {
        self.project.host.list(dir)
    }

    fn var(&self, name: &str) -> Option<OsString> {
        self.project.host.var(name)
    }

    fn real(&self, path: &Path) -> PathBuf {
        self.project.host.real(path)
    }
}
