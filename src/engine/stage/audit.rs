//! The audit mode: what a command opens, held against what it declares.

use std::path::{Path, PathBuf};

use super::command::Setting;
use super::{Failure, FailureClass, StageOutcome};
use crate::process::audit::{AccessKind, trace};
use crate::process::{CommandSpec, Finished};

/// Folders of the system: a command that reads there reads its tools.
const SYSTEM: [&str; 12] = [
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run", "/opt",
    "/var/lib",
];

/// Runs the command under trace; undeclared reads and writes are a failure that names them.
pub(super) fn run(
    spec: &CommandSpec,
    setting: &Setting<'_>,
    conclude: impl FnOnce(Finished) -> StageOutcome,
) -> StageOutcome {
    let audited = match trace(spec, setting.ctx.cancel) {
        Ok(audited) => audited,
        Err(e) => return StageOutcome::failed(FailureClass::Infrastructure, e.to_string()),
    };
    let mut outcome = conclude(audited.finished);
    let root = setting.shared.root;
    let absolute = |names: &[crate::engine::subject::Known]| -> Vec<PathBuf> {
        names.iter().map(|k| root.join(&k.name)).collect()
    };
    let mut readable = absolute(&setting.job.inputs);
    let writable = absolute(&setting.job.outputs);
    readable.extend(writable.iter().cloned());
    readable.extend(outcome.discovered.iter().cloned());
    let mut lines = Vec::new();
    for access in audited.accesses {
        let (word, allowed, key) = match access.kind {
            AccessKind::Read | AccessKind::Exec => ("reads", &readable, "inputs"),
            AccessKind::Write => ("writes", &writable, "outputs"),
            AccessKind::Missing => continue,
        };
        if !is_fine(&access.path, allowed, root) {
            let name = access.path.strip_prefix(root).unwrap_or(&access.path);
            lines.push(format!("it {word} {}, which is not in its `{key}`", name.display()));
        }
    }
    lines.sort();
    lines.dedup();
    if outcome.failure.is_none() && !lines.is_empty() {
        let message = lines.join("\n");
        outcome.failure = Some(Failure { class: FailureClass::Failed, message });
    }
    outcome
}

fn is_fine(path: &Path, declared: &[PathBuf], root: &Path) -> bool {
    let same = |d: &PathBuf| d == path || d.canonicalize().is_ok_and(|d| d == path);
    let temporary = path.starts_with(std::env::temp_dir()) && !path.starts_with(root);
    path.is_dir()
        || temporary
        || declared.iter().any(same)
        || (SYSTEM.iter().any(|s| path.starts_with(s)) && !path.starts_with(root))
}
