//! What a stage is compared with, as inputs of its node.

use super::build::Builder;
use super::kernel;
use crate::cache::Kind;
use crate::pipeline::{
    CommandWork, CompileWork, Incumbent, Opponent, Pipeline, Stage, Target, Work,
};
use crate::problem::Problem;

/// Where incumbents lie. The plan knows neither the store of the best nor git.
pub trait Incumbents {
    /// The best kept of a problem by a metric, on a target.
    fn best(&self, problem: &str, metric: &str, target: &Target) -> Standing;
    /// The first of a problem by a metric, on a target.
    fn baseline(&self, problem: &str, metric: &str, target: &Target) -> Standing;
    /// The kernel's files (below the root) as they are at a revision.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn revision(&self, revision: &str, kernel: &[String]) -> Result<Found, String>;
    /// The same pipeline with another kernel, a path below the root.
    fn with_kernel(&self, kernel: &str) -> Option<Pipeline>;
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
    /// What changes when this may have become another: plans are made anew then.
    pub watch: Vec<String>,
}

/// Where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Incumbents for Nowhere {
    fn best(&self, _: &str, _: &str, _: &Target) -> Standing {
        Standing::default()
    }
    fn baseline(&self, _: &str, _: &str, _: &Target) -> Standing {
        Standing::default()
    }
    fn revision(&self, _: &str, _: &[String]) -> Result<Found, String> {
        Err("no revisions can be had here".to_owned())
    }
    fn with_kernel(&self, _: &str) -> Option<Pipeline> {
        None
    }
}

/// How people call it; files by their paths below the root.
pub(super) fn name(builder: &Builder<'_>, incumbent: &Incumbent) -> String {
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
    metric: &str,
) -> Option<Found> {
    let pipeline = builder.request.pipeline;
    let incumbents = builder.request.incumbents;
    let found = match incumbent {
        Incumbent::None => return None,
        Incumbent::Best | Incumbent::Baseline => {
            let problem = builder.request.problem.map_or(&pipeline.name, |p| &p.name);
            let target = pipeline.target();
            let Standing { watch, found } = match incumbent {
                Incumbent::Best => incumbents.best(problem, metric, &target),
                _ => incumbents.baseline(problem, metric, &target),
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

/// The binary that a measurement is compared with, as an input.
pub(super) fn binary(
    builder: &mut Builder<'_>,
    stage: &Stage,
    work: (&Incumbent, &str, &CompileWork),
    problem: Problem,
) -> Option<String> {
    let (incumbent, metric, compile) = work;
    let Found { binary, sources, .. } = find(builder, stage, incumbent, metric)?;
    if binary.is_some() {
        return binary;
    }
    let names = ["incumbent".to_owned(), format!("incumbent({})", stage.name)];
    let wanted = kernel::Wanted { names, sources, problem, work: compile.clone() };
    kernel::compile(builder, stage, wanted)
}

/// The same command on the incumbent.
pub(super) fn opponent(
    builder: &mut Builder<'_>,
    stage: &Stage,
    label: &str,
    work: &CommandWork,
) -> Option<Opponent> {
    let metric = work.metric.as_ref()?;
    let found = find(builder, stage, &work.incumbent, &metric.name)?;
    let [source] = &found.sources[..] else {
        let message = format!("stage `{}` compares kernels of several files", stage.name);
        builder.error("no-incumbent", message, stage).help =
            Some("a command is run on the incumbent through `${kernel}`, which is one file".into());
        return None;
    };
    let pipeline = builder.request.incumbents.with_kernel(source)?;
    let same = pipeline.stages.iter().find(|s| s.name == stage.name)?;
    let variant = same.variants.iter().find(|v| v.label == label)?;
    let Work::Command(theirs) = &variant.work else { return None };
    let called = name(builder, &work.incumbent);
    Some(Opponent { run: theirs.run.clone(), kernel: source.clone(), called })
}
