//! What a stage is compared with, as inputs of its node.

use std::path::{Path, PathBuf};

use super::Question;
use super::builder::{Builder, Request, relative};
use super::compile::{self, Wanted};
pub use super::incumbents::{Found, Incumbents, Nowhere, Standing};
use super::question::{Asked, Asking};
use crate::cache::Kind;
use crate::digest::Digest;
use crate::pipeline::{CommandWork, CompileWork, Incumbent, KernelFile, Opponent, Stage, Variant};
use crate::problem::Problem;

/// What a stage's numbers answer. What that is read from is what the plan is made from.
pub(super) fn question(builder: &mut Builder<'_>, variant: &Variant) -> Option<Question> {
    if builder.asked.is_none() {
        let Request { pipeline, problem, host, root, .. } = builder.request;
        let asked = Asked::of(&Asking { pipeline, problem, host, dir: builder.dir() });
        let below = |path: &PathBuf| relative(root, Path::new(""), &path.to_string_lossy());
        builder.made_from.extend(asked.read.iter().map(|path| (Kind::File, below(path))));
        builder.asked = Some(asked);
    }
    builder.asked.as_ref()?.by(variant)
}

/// How people call it; files by their paths below the root.
fn name(builder: &Builder<'_>, incumbent: &Incumbent) -> String {
    match incumbent {
        Incumbent::None => "nothing".to_owned(),
        Incumbent::Best => "the best so far".to_owned(),
        Incumbent::Baseline => "the baseline".to_owned(),
        Incumbent::File(path) => builder.relative(path),
        Incumbent::Git(revision) => format!("git:{revision}"),
    }
}

/// Finds it; mistakes are put to the builder.
fn find(
    builder: &mut Builder<'_>,
    stage: &Stage,
    incumbent: &Incumbent,
    question: Option<&Question>,
) -> Option<Found> {
    let pipeline = builder.request.pipeline;
    let incumbents = builder.request.incumbents;
    let found = match incumbent {
        Incumbent::None => return None,
        Incumbent::Best | Incumbent::Baseline => {
            let question = question?;
            let Standing { watch, found } = match incumbent {
                Incumbent::Best => incumbents.best(question),
                _ => incumbents.baseline(question),
            };
            builder.made_from.extend(watch.into_iter().map(|path| (Kind::File, path)));
            found?
        }
        Incumbent::File(path) => {
            let sources = vec![builder.relative(path)];
            Found { sources, ..Found::default() }
        }
        Incumbent::Git(revision) => {
            let kernel: Vec<String> = pipeline.kernel.iter().map(|k| builder.relative(k)).collect();
            match incumbents.revision(revision, &kernel) {
                Ok(found) => found,
                Err(why) => {
                    let message = format!("stage `{}`: {why}", stage.name);
                    builder.error("no-incumbent", message, stage).help = Some(
                        "name another revision, or write incumbent = \"best\" or \"none\"".into(),
                    );
                    return None;
                }
            }
        }
    };
    builder.made_from.extend(found.watch.iter().map(|path| (Kind::File, path.clone())));
    Some(found)
}

/// What a measurement is compared with.
pub(super) struct Beside {
    /// How people call it.
    pub(super) name: String,
    /// Its binary, as an input.
    pub(super) binary: String,
    /// Under which key it was measured itself.
    pub(super) measured: Option<Digest>,
}

/// An incumbent that is looked for, and how it is built where no binary of it is kept.
pub(super) struct Sought<'a> {
    pub(super) incumbent: &'a Incumbent,
    pub(super) question: Option<&'a Question>,
    pub(super) compile: &'a CompileWork,
    /// The signature.
    pub(super) problem: Problem,
}

/// What a measurement is compared with.
pub(super) fn beside(
    builder: &mut Builder<'_>,
    stage: &Stage,
    sought: Sought<'_>,
) -> Option<Beside> {
    let Sought { incumbent, question, compile, problem } = sought;
    let Found { binary, sources, measured, .. } = find(builder, stage, incumbent, question)?;
    let binary = binary.or_else(|| {
        let names = ["incumbent".to_owned(), format!("incumbent({})", stage.name)];
        let wanted = Wanted { names, sources, problem, work: compile.clone() };
        compile::binary(builder, stage, wanted)
    })?;
    Some(Beside { name: name(builder, incumbent), binary, measured })
}

/// The kernel's files of a command that compares, and where they lie for it.
pub(super) fn kernel_files(builder: &mut Builder<'_>, stage: &Stage) -> Vec<KernelFile> {
    let pipeline = builder.request.pipeline;
    let (own, usual) = (&pipeline.kernel, &pipeline.usual_kernel);
    let usual: &[String] = if usual.len() == own.len() { usual } else { own };
    let mut files = Vec::with_capacity(own.len());
    for (file, usual) in own.iter().zip(usual) {
        let mut places = vec![builder.real(usual), builder.real(file)];
        places.dedup();
        if let Some(outside) = places.iter().find(|place| place.starts_with('/')) {
            let message = format!("stage `{}` compares {outside}, outside the project", stage.name);
            builder.error("outside-project", message, stage).help = Some(
                "each side runs in a copy of the project, and its kernel lies in that: move it below \
                 the project's root"
                    .into(),
            );
            return Vec::new();
        }
        files.push(KernelFile { file: builder.relative(file), places });
    }
    files
}

/// What takes the place of the kernel's files on the incumbent's side.
pub(super) fn opponent(
    builder: &mut Builder<'_>,
    stage: &Stage,
    work: &CommandWork,
    question: Option<&Question>,
) -> Option<Opponent> {
    let found = find(builder, stage, &work.incumbent, question)?;
    let called = name(builder, &work.incumbent);
    if found.sources.len() != work.kernel.len() {
        let (theirs, ours) = (found.sources.len(), work.kernel.len());
        let message = format!("stage `{}` compares {ours} kernel files with {theirs}", stage.name);
        builder.error("no-incumbent", message, stage).help =
            Some(format!("{called} has to have the files that `kernel` names, one for one"));
        return None;
    }
    Some(Opponent { kernel: found.sources, called, measured: found.measured })
}
