//! The audit mode: what a command opens, held against what it declares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::command::CommandRequest;
use super::{Failure, FailureClass, StageOutcome};
use crate::process::audit::{Access, AccessKind, trace};
use crate::process::{CommandSpec, Finished};

/// Folders of the system: a command that reads there reads its tools.
const SYSTEM: [&str; 12] = [
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run", "/opt",
    "/var/lib",
];

/// Runs the command under trace; undeclared reads and writes are a failure that names them.
pub(super) fn run(
    spec: &CommandSpec,
    request: &CommandRequest<'_>,
    conclude: impl FnOnce(Finished) -> StageOutcome,
) -> StageOutcome {
    let audited = match trace(spec, request.ctx.cancel) {
        Ok(audited) => audited,
        Err(e) if e.lasts() => return StageOutcome::failed(FailureClass::Setup, e.to_string()),
        Err(e) => return StageOutcome::failed(FailureClass::Infrastructure, e.to_string()),
    };
    let mut outcome = conclude(audited.finished);
    let root = request.place();
    let absolute = |names: &[crate::engine::subject::Known]| -> Vec<PathBuf> {
        names.iter().map(|k| root.join(&k.name)).collect()
    };
    let mut readable = absolute(&request.job.inputs);
    let writable = absolute(&request.job.outputs);
    readable.extend(writable.iter().cloned());
    let below = |path: &PathBuf| path.strip_prefix(request.root).map(|name| root.join(name));
    readable.extend(outcome.discovered.iter().map(|path| below(path).unwrap_or(path.clone())));
    let tools = tools(&audited.accesses, root, request);
    let mut faults = BTreeSet::new();
    for access in audited.accesses {
        let (fault, allowed) = match access.kind {
            AccessKind::Read | AccessKind::Exec => (Fault::Reads, &readable),
            AccessKind::Write => (Fault::Writes, &writable),
            AccessKind::Missing => continue,
        };
        let of_a_tool = fault == Fault::Reads && tools.iter().any(|t| access.path.starts_with(t));
        let temporary = request.temporary().is_some_and(|folder| access.path.starts_with(folder));
        if !of_a_tool && !temporary && !is_fine(&access.path, allowed, root) {
            faults.insert((fault, access.path));
        }
    }
    if outcome.failure.is_none() && !faults.is_empty() {
        let message = told(&faults, root, home(request).as_deref());
        outcome.failure = Some(Failure { class: FailureClass::Failed, message });
    }
    outcome
}

/// What a command does without having said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Reads,
    Writes,
}

impl Fault {
    /// The word for it, and where it should have been said.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Reads => ("reads", "inputs"),
            Self::Writes => ("writes", "outputs"),
        }
    }
}

fn home(request: &CommandRequest<'_>) -> Option<PathBuf> {
    Some(PathBuf::from(request.ctx.host.var("HOME")?)).filter(|home| home.is_absolute())
}

/// Where programs that were run are installed: what they read there are their own parts. Programs
/// of the project are none.
fn tools(accesses: &[Access], root: &Path, request: &CommandRequest<'_>) -> BTreeSet<PathBuf> {
    let home = home(request).unwrap_or_else(|| root.to_owned());
    let installed = |program: &Path| {
        let folder = program.parent()?;
        let is_bin = ["bin", "sbin", "shims", "libexec"].iter().any(|name| folder.ends_with(name));
        Some(if is_bin { folder.parent()? } else { folder }.to_owned())
    };
    let programs = accesses.iter().filter(|a| a.kind == AccessKind::Exec);
    let folders = programs.filter(|a| !a.path.starts_with(root)).filter_map(|a| installed(&a.path));
    folders.filter(|folder| !root.starts_with(folder) && !home.starts_with(folder)).collect()
}

/// A line for each file of the project, then one for each place elsewhere.
fn told(faults: &BTreeSet<(Fault, PathBuf)>, root: &Path, home: Option<&Path>) -> String {
    let mut lines = Vec::new();
    let mut elsewhere: BTreeMap<(String, Fault), Vec<&Path>> = BTreeMap::new();
    for (fault, path) in faults {
        let (word, key) = fault.words();
        match path.strip_prefix(root) {
            Ok(name) => {
                lines.push(format!("it {word} {}, which is not in its `{key}`", name.display()));
            }
            Err(_) => elsewhere.entry((place(path, home), *fault)).or_default().push(path),
        }
    }
    for ((place, fault), paths) in elsewhere {
        let (word, key) = fault.words();
        lines.push(match paths[..] {
            [path] => format!("it {word} {}, which is not in its `{key}`", path.display()),
            _ => format!("it {word} {place}/...: {} files, not in its `{key}`", paths.len()),
        });
    }
    lines.join("\n")
}

/// The folder that stands for all below it: the first below the user's own, or the first two.
fn place(path: &Path, home: Option<&Path>) -> String {
    let first = |path: &Path, count| path.components().take(count).collect::<PathBuf>();
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) => format!("~/{}", first(below, 1).display()),
        None => first(path, 3).display().to_string(),
    }
}

fn is_fine(path: &Path, declared: &[PathBuf], root: &Path) -> bool {
    let same = |d: &PathBuf| d == path || d.canonicalize().is_ok_and(|d| d == path);
    let temporary = path.starts_with(std::env::temp_dir()) && !path.starts_with(root);
    path.is_dir()
        || temporary
        || declared.iter().any(same)
        || (SYSTEM.iter().any(|s| path.starts_with(s)) && !path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_project_come_first_and_places_elsewhere_are_one_line_each() {
        let reads =
            ["/people/u/.pyenv/lib/a.py", "/people/u/.pyenv/lib/b.py", "/data/set/one", "/p/b.py"];
        let mut faults: BTreeSet<_> =
            reads.iter().map(|path| (Fault::Reads, PathBuf::from(path))).collect();
        faults.insert((Fault::Writes, "/p/out/log".into()));
        let lines = told(&faults, Path::new("/p"), Some(Path::new("/people/u")));
        assert_eq!(
            lines,
            "it reads b.py, which is not in its `inputs`\n\
             it writes out/log, which is not in its `outputs`\n\
             it reads /data/set/one, which is not in its `inputs`\n\
             it reads ~/.pyenv/...: 2 files, not in its `inputs`"
        );
    }
}
