//! What a stage is compared with, as inputs of its node.

use std::path::{Path, PathBuf};

use super::build::{Builder, Request, relative};
use super::question::{Asked, Asking};
use super::{Question, kernel};
use crate::cache::Kind;
use crate::digest::Digest;
use crate::pipeline::{CommandWork, CompileWork, Incumbent, KernelFile, Opponent, Stage, Variant};
use crate::problem::Problem;

/// Where incumbents lie. The plan knows neither the store of the best nor git.
pub trait Incumbents {
    /// The best kept of what answers a question.
    fn best(&self, question: &Question) -> Standing;
    /// The first of it.
    fn baseline(&self, question: &Question) -> Standing;
    /// The kernel's files (below the root) as they are at a revision.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn revision(&self, revision: &str, kernel: &[String]) -> Result<Found, String>;
    /// Where a file lies in a copy of the project's files, such as those of a revision: the folder
    /// that stands for the root there. What it includes comes from that copy too.
    fn copy(&self, path: &str) -> Option<String>;
}

/// The best so far, if any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What changes when another becomes the best: plans are made anew then.
    pub watch: Vec<String>,
    /// The best.
    pub found: Option<Found>,
}

/// An incumbent on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its binary as it was kept; none: it is built.
    pub binary: Option<String>,
    /// Its sources, in the order of the kernel's.
    pub sources: Vec<String>,
    /// Under which key it was measured itself, where that is known.
    pub measured: Option<Digest>,
    /// What changes when this may have become another: plans are made anew then.
    pub watch: Vec<String>,
}

/// Where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Incumbents for Nowhere {
    fn best(&self, _: &Question) -> Standing {
        Standing::default()
    }
    fn baseline(&self, _: &Question) -> Standing {
        Standing::default()
    }
    fn revision(&self, _: &str, _: &[String]) -> Result<Found, String> {
        Err("no revisions can be had here".to_owned())
    }
    fn copy(&self, _: &str) -> Option<String> {
        None
    }
}

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

/// What a measurement is compared with; `compile` is how it is built where no binary is kept.
pub(super) fn beside(
    builder: &mut Builder<'_>,
    stage: &Stage,
    (incumbent, question): (&Incumbent, Option<&Question>),
    (compile, problem): (&CompileWork, Problem),
) -> Option<Beside> {
    let Found { binary, sources, measured, .. } = find(builder, stage, incumbent, question)?;
    let binary = binary.or_else(|| {
        let names = ["incumbent".to_owned(), format!("incumbent({})", stage.name)];
        let wanted = kernel::Wanted { names, sources, problem, work: compile.clone() };
        kernel::compile(builder, stage, wanted)
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
