//! What a compile depends on beyond what it declares: everything that compiler, assembler and
//! linker opened, and everything that they looked for and did not find. They are watched while
//! they run, for they know best: a list of rules about `-I`, `-L`, `@file`, `.incbin` and
//! `__has_include` would always be one rule short.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::super::StageContext;
use super::def::CompileDef;
use crate::engine::stage::Failure;
use crate::paths;
use crate::process::audit::{self, AuditError, Look, LookKind, Watched};
use crate::process::{self, CommandSpec, Finished};

/// Where systems keep programs and libraries. What a compiler asks there without opening it (is
/// there an `as` beside me?) is how it finds its own parts, which are in its version.
const SYSTEM: [&str; 6] = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];

/// What says how messages read, where libraries of programs lie and what the machine is like, and
/// nothing about what is built.
const NO_MATTER: [&str; 9] = [
    "/proc",
    "/sys",
    "/dev",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/usr/share/locale",
    "/usr/lib/locale",
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/usr/lib64/gconv",
];

/// What the steps of a compile looked at.
#[derive(Default)]
pub(super) struct Reads {
    looks: RefCell<BTreeSet<Look>>,
    unseen: RefCell<Option<String>>,
}

impl Reads {
    /// Runs a step, watched where that is allowed.
    pub(super) fn run(
        &self,
        spec: &CommandSpec,
        ctx: &StageContext<'_>,
    ) -> Result<Finished, Failure> {
        match audit::watch(spec, ctx.cancel) {
            Ok(Watched { finished, looks, complete }) => {
                self.looks.borrow_mut().extend(looks);
                if !complete {
                    let why = "some of its calls could not be followed";
                    self.unseen.borrow_mut().get_or_insert_with(|| why.to_owned());
                }
                Ok(finished)
            }
            Err(AuditError::Broken { source, .. }) => {
                Err(Failure::of_io("watching the compiler", &source))
            }
            Err(
                AuditError::NotPermitted { source }
                | AuditError::Spawn(process::SpawnError::Start { source, .. }),
            ) => {
                // What cannot start at all says so once more, in its own words.
                let finished = process::run(spec, ctx.cancel).map_err(|e| Failure::of_spawn(&e))?;
                let why = format!("tracing is not permitted here ({source})");
                self.unseen.borrow_mut().get_or_insert(why);
                Ok(finished)
            }
            Err(AuditError::Spawn(e)) => Err(Failure::of_spawn(&e)),
        }
    }

    /// Why it cannot be told what the compile depends on; `None` when it can.
    pub(super) fn unknowable(&self) -> Option<String> {
        let why = self.unseen.borrow();
        why.as_ref().map(|why| {
            format!("what the compiler reads and looks for cannot be known: {why}; so it compiles each time")
        })
    }

    /// The files, and folders with a `/` at the end: what was read, and what was missing.
    pub(super) fn found(&self, def: &CompileDef, ctx: &StageContext<'_>) -> BTreeSet<PathBuf> {
        let own = [Some(ctx.scratch), def.output.parent()];
        let is_own = |path: &Path| own.iter().flatten().any(|folder| path.starts_with(folder));
        let looks = self.looks.borrow();
        let plain = looks.iter().filter_map(|look| Some((spelling(&look.path)?, look.kind)));
        plain
            .filter(|(path, _)| !is_own(path) && !is_below(path, &NO_MATTER))
            .filter_map(|(path, kind)| matter(path, kind))
            .collect()
    }
}

/// The path without `.` and `..`, where that is the same file; else the file's own name.
fn spelling(path: &Path) -> Option<PathBuf> {
    let is_plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::RootDir);
    if path.components().all(is_plain) {
        // Doubled slashes go, and what is left is the same path.
        return Some(path.components().collect());
    }
    let clean = paths::plain(path);
    match (path.canonicalize(), clean.canonicalize()) {
        (Ok(real), Ok(same)) if real == same => Some(clean),
        (Ok(real), _) => Some(real),
        // Behind a link `..` is not what it seems; a folder that is there says where it leads.
        (Err(_), _) => match path.parent().map(Path::canonicalize) {
            Some(Ok(folder)) => Some(folder.join(path.file_name()?)),
            _ => Some(clean),
        },
    }
}

/// What the key has to depend on for one look; `None` for nothing.
fn matter(path: PathBuf, kind: LookKind) -> Option<PathBuf> {
    let system = is_below(&path, &SYSTEM);
    match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => {
            let counts = kind == LookKind::Open || !system;
            counts.then_some(path)
        }
        Ok(found) if found.is_dir() && kind == LookKind::List => Some(path.join("")),
        Ok(_) => None,
        Err(_) if system && kind == LookKind::Ask && path.extension().is_none() => None,
        Err(_) => Some(highest_missing(&path)),
    }
}

/// As long as a folder is not there, nothing in it is: one entry stands for all.
fn highest_missing(path: &Path) -> PathBuf {
    let parents = path.ancestors().skip(1).take_while(|p| !p.exists());
    parents.last().unwrap_or(path).to_owned()
}

fn is_below(path: &Path, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}
