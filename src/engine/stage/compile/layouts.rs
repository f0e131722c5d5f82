//! The same objects linked once more at each further layout, into the one file of the built kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;

use super::super::{Failure, FailureClass};
use super::def::Build;
use super::steps::{cannot, environment};
use crate::backend::cpu::layouts::{self, MOST};
use crate::backend::cpu::{Compilation, Step};
use crate::digest::Digest;
use crate::engine::account::CompiledLayouts;
use crate::process::{self, CommandSpec, Exit};

/// Appends the further layouts to `built`, the kernel as it was linked by the plan; how many there
/// are now with the digest of each, and why there are no more.
///
/// # Errors
/// When a link was stopped or could not be started. What a linker does not want to link again has
/// one layout.
pub(super) fn add(
    build: Build<'_>,
    plan: &Compilation,
    built: &Path,
) -> Result<CompiledLayouts, Failure> {
    let ctx = build.ctx;
    let read = |path: &Path| fs::read(path).map_err(|e| cannot("reading what was built", &e));
    let mut parts = vec![read(built)?];
    let mut why = None;
    let objects = Objects::new(plan, ctx.scratch).map_err(Trouble::Refused);
    match objects.and_then(|objects| link_all(build, plan, &objects)) {
        Ok(outputs) => {
            for output in outputs {
                parts.push(read(&output)?);
            }
        }
        // One layout is all that a linker can be had to make, and not all that a full disk has room for.
        Err(Trouble::Refused(reason)) => {
            let said = reason.to_string();
            let folders = [ctx.scratch.to_owned()];
            let refused = Failure { class: FailureClass::Failed, message: said.clone() };
            let refused = refused.unless_full(&said, &folders);
            if refused.class != FailureClass::Failed {
                return Err(refused);
            }
            why = Some(refused.message);
        }
        Err(Trouble::Failed(failure)) => return Err(failure),
    }
    // What the padding did not move is no layout of its own.
    let mut seen = Vec::new();
    parts.retain(|part| {
        let digest = Digest::of(part);
        let is_new = !seen.contains(&digest);
        seen.push(digest);
        is_new
    });
    if parts.len() > 1 {
        fs::write(built, layouts::join(&parts))
            .map_err(|e| cannot(&format!("writing {}", built.display()), &e))?;
    } else if why.is_none() {
        why = Some("this linker puts it at the same place whatever stands before it".to_owned());
    }
    let digests: Vec<String> = parts.iter().map(|part| Digest::of(part).hex()).collect();
    Ok(CompiledLayouts { count: parts.len(), digests, why })
}

/// The kernel's objects as they are linked again.
struct Objects {
    loosened: Vec<PathBuf>,
    /// The first, as it was compiled.
    like: Vec<u8>,
}

impl Objects {
    fn new(plan: &Compilation, scratch: &Path) -> Result<Self, Refused> {
        let mut objects = Self { loosened: Vec::new(), like: Vec::new() };
        for (number, path) in plan.objects.iter().enumerate() {
            let object = fs::read(path).map_err(Refused::Read)?;
            // Code that must stay where the compiler puts it in a line is moved by whole lines.
            let path = match layouts::loosened(&object) {
                None => path.clone(),
                Some(loosened) => {
                    let copy = scratch.join(format!("{number}.loosened.o"));
                    fs::write(&copy, loosened).map_err(Refused::Copy)?;
                    copy
                }
            };
            objects.loosened.push(path);
            if number == 0 {
                objects.like = object;
            }
        }
        Ok(objects)
    }

    /// The link of one layout.
    fn step(&self, plan: &Compilation, scratch: &Path, number: u32) -> Result<Step, Refused> {
        let padding = layouts::padding(number, &self.like).ok_or(Refused::Immovable)?;
        let path = scratch.join(format!("padding.{number}.o"));
        fs::write(&path, padding).map_err(Refused::Padding)?;
        let objects: Vec<PathBuf> =
            std::iter::once(path).chain(self.loosened.iter().cloned()).collect();
        plan.link_again(&objects, &output(scratch, number)).ok_or(Refused::Immovable)
    }
}

fn output(scratch: &Path, number: u32) -> PathBuf {
    scratch.join(format!("layout.{number}.so"))
}

/// Why a kernel is not linked once more.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("its objects cannot be read: {0}")]
    Read(io::Error),
    #[error("its objects cannot be copied: {0}")]
    Copy(io::Error),
    #[error("padding cannot be written: {0}")]
    Padding(io::Error),
    /// They are no objects that padding can stand before.
    #[error("its objects are of a kind that cannot be moved")]
    Immovable,
    /// The linker's first line.
    #[error("it cannot be linked again: {0}")]
    Linker(String),
    #[error("linking it again takes too long")]
    TimedOut,
}

/// Why a layout could not be had: it is refused, or the stage stops.
enum Trouble {
    Refused(Refused),
    Failed(Failure),
}

/// What was linked; links do not wait for each other.
fn link_all(
    build: Build<'_>,
    plan: &Compilation,
    objects: &Objects,
) -> Result<Vec<PathBuf>, Trouble> {
    let scratch = build.ctx.scratch;
    let numbers = 1..build.def.compile.layouts.min(MOST);
    let link = |number: u32| {
        let step = objects.step(plan, scratch, number).map_err(Trouble::Refused)?;
        link_one(build, &step, number)?;
        Ok(output(scratch, number))
    };
    let linked: Vec<Result<PathBuf, Trouble>> = numbers.into_par_iter().map(link).collect();
    linked.into_iter().collect()
}

fn link_one(build: Build<'_>, step: &Step, number: u32) -> Result<(), Trouble> {
    let Build { def, ctx } = build;
    let marker = format!("{}.layout{number}", ctx.marker);
    let mut spec = CommandSpec::new(&step.program, ctx.scratch, marker);
    spec.args.clone_from(&step.args);
    spec.env = environment(ctx);
    let limit = Duration::from_millis(def.compile.timeout_ms);
    spec.timeout = (!limit.is_zero()).then_some(limit);
    let failed = |failure| Err(Trouble::Failed(failure));
    let finished =
        process::run(&spec, ctx.cancel).map_err(|e| Trouble::Failed(Failure::of_spawn(&e)))?;
    match finished.exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(_) => {
            let said = String::from_utf8_lossy(&finished.stdout);
            let said = said.lines().next().unwrap_or("the linker says nothing");
            Err(Trouble::Refused(Refused::Linker(said.to_owned())))
        }
        Exit::TimedOut => Err(Trouble::Refused(Refused::TimedOut)),
        Exit::Signal(signal) => {
            let message = format!("a linker was ended from outside: signal {signal}");
            failed(Failure { class: FailureClass::Infrastructure, message })
        }
        Exit::Cancelled => {
            failed(Failure { class: FailureClass::Interrupted, message: "interrupted".to_owned() })
        }
    }
}
