//! The pipeline for kernels that lie beside a `problem.toml`: it is written below `.optloop/`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::find::root_for;
use super::{Project, ProjectError};
use crate::cache::index::replace;
use crate::host::Host;
use crate::plan::build::relative;

impl<'h> Project<'h> {
    /// The project of two kernels, of which one is a file beside a `problem.toml`.
    ///
    /// # Errors
    /// When neither is, or the pipeline cannot be written.
    pub fn of_kernels(a: &str, b: &str, host: &'h dyn Host) -> Result<Self, ProjectError> {
        let problem = [b, a].iter().find_map(|name| {
            let problem = Path::new(name).parent()?.join("problem.toml");
            (Path::new(name).is_file() && problem.is_file()).then_some(problem)
        });
        let problem = real(&problem.ok_or(ProjectError::NoProblem)?)?;
        let kernel = real(Path::new(if Path::new(b).is_file() { b } else { a }))?;
        let folder = problem.parent().unwrap_or(Path::new("/"));
        let root = root_for(folder, host);
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = root.join(".optloop/pipelines").join(format!("{name}.toml"));
        write(&path, &text(&name, &seen(&root, &kernel), &seen(&root, &problem)))?;
        Self::find(&super::shown(&path).to_string_lossy(), host)
    }
}

fn real(path: &Path) -> Result<PathBuf, ProjectError> {
    path.canonicalize().map_err(|source| ProjectError::Unwritable { path: path.to_owned(), source })
}

/// A file as a pipeline below `.optloop/pipelines/` names it.
fn seen(root: &Path, file: &Path) -> String {
    let below = relative(root, Path::new(""), &file.to_string_lossy());
    if below.starts_with('/') { below } else { format!("../../{below}") }
}

fn text(name: &str, kernel: &str, problem: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = String::from("# Written by `optloop compare`; it may be removed.\n");
    let _infallible = write!(
        text,
        "name = {}\nkernel = {}\nproblem = {}\n\n[stages.smoke]\n\n[stages.candidate]\nneeds = \
         [\"smoke\"]\n",
        quoted(name),
        quoted(kernel),
        quoted(problem),
    );
    text
}

/// Writes a file unless it holds that already: its time enters plans.
fn write(path: &Path, text: &str) -> Result<(), ProjectError> {
    if std::fs::read_to_string(path).ok().as_deref() == Some(text) {
        return Ok(());
    }
    let cannot = |path: &Path, source| ProjectError::Unwritable { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|e| cannot(folder, e))?;
    replace(path, |file| file.write_all(text.as_bytes())).map_err(|e| cannot(path, e))
}
