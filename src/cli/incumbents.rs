//! Where incumbents lie: the store of the best, git, the pipeline itself.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::session::{self, Refusal};
use super::world::{Disk, Located};
use crate::cache::World as _;
use crate::campaign::worktree;
use crate::digest::Digest;
use crate::pipeline::{self, Overrides, Pipeline, Stage, Target, Work};
use crate::plan::build::relative;
use crate::plan::incumbent::{Found, Standing};
use crate::record::incumbent::{self, Incumbent};
use crate::record::ledger::Place;

/// The incumbents of a pipeline.
pub(super) struct Incumbents<'a> {
    pub(super) located: &'a Located,
    pub(super) overrides: &'a Overrides,
}

/// What the best of a problem by a metric on this machine is filed under.
pub(super) fn place(problem: &str, metric: &str, target: &Target) -> Place {
    Place { problem: problem.to_owned(), device: device(target), metric: metric.to_owned() }
}

/// A target in a word: times of one do not hold for another.
fn device(target: &Target) -> String {
    let kind = if target.cuda().is_some() { "cuda" } else { "cpu" };
    let identity = Disk.device(&target.device());
    format!("{kind}-{}", &Digest::of(identity.as_bytes()).hex()[..8])
}

impl Incumbents<'_> {
    fn state(&self) -> PathBuf {
        self.located.root.join(".optloop")
    }

    /// The pipeline's kernel files, below the root.
    pub(super) fn kernel(&self) -> Option<Vec<String>> {
        let pipeline = pipeline::load(&self.located.file, self.overrides, &Disk).pipeline?;
        let below = |path: &String| relative(&self.located.root, &self.located.dir, path);
        Some(pipeline.kernel.iter().map(below).collect()).filter(|k: &Vec<String>| !k.is_empty())
    }

    /// The file of the `best` or the `baseline` of what a stage measures.
    pub(super) fn kept(&self, which: &str, stage: &str) -> Result<PathBuf, Refusal> {
        let place = self.place(stage)?;
        let state = self.state();
        let found = match which {
            "baseline" => incumbent::baseline(&state, &place),
            _ => incumbent::current(&state, &place),
        };
        let words = |what: String, hint: Option<String>| Refusal::Words(what, hint, Exit::User);
        let Some(kept) = found.map_err(|why| words(why, None))? else {
            let (problem, metric) = (&place.problem, &place.metric);
            let what = format!("there is no {which} of {problem} by {metric} yet");
            let hint = "the first run of the pipeline sets the baseline".to_owned();
            return Err(words(what, Some(hint)));
        };
        let mut files = kept.sources().map(|(_, path)| path);
        match (files.next(), files.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(words(format!("the {which} has several files"), None)),
        }
    }

    /// What a stage's results are filed under; `NAME[LABEL]` is a point of a stage's matrix.
    pub(super) fn place(&self, stage: &str) -> Result<Place, Refusal> {
        let pipeline = self.pipeline()?;
        let stage = stage.split('[').next().unwrap_or(stage);
        let found = pipeline.stages.iter().find(|s| s.name == stage);
        self.filed(&pipeline, stage, found.and_then(metric))
    }

    /// What the results of the stage that decides about a stage's kernel are filed under: its own,
    /// or the first that compares with the best.
    pub(super) fn decided_by(&self, stage: &str) -> Result<Place, Refusal> {
        let pipeline = self.pipeline()?;
        let stage = stage.split('[').next().unwrap_or(stage);
        let found = pipeline.stages.iter().find(|s| s.name == stage);
        let scores = |s: &&Stage| s.variants.first().is_some_and(|v| v.work.scores());
        let decides = found.and_then(metric);
        let decides = decides.or_else(|| metric(pipeline.stages.iter().find(scores)?));
        self.filed(&pipeline, stage, decides)
    }

    /// The stages that compare with the best.
    pub(super) fn scoring(&self) -> Vec<String> {
        let Ok(pipeline) = self.pipeline() else { return Vec::new() };
        let scores = |s: &&Stage| s.variants.first().is_some_and(|v| v.work.scores());
        pipeline.stages.iter().filter(scores).map(|s| s.name.clone()).collect()
    }

    fn pipeline(&self) -> Result<Pipeline, Refusal> {
        let loaded = pipeline::load(&self.located.file, self.overrides, &Disk);
        loaded.pipeline.ok_or(Refusal::Diagnostics(loaded.diagnostics))
    }

    fn filed(
        &self,
        pipeline: &Pipeline,
        stage: &str,
        metric: Option<String>,
    ) -> Result<Place, Refusal> {
        let Some(metric) = metric else {
            let what = format!("this pipeline has no stage `{stage}` that measures");
            let hint = Some("name one: --stage NAME".to_owned());
            return Err(Refusal::Words(what, hint, Exit::User));
        };
        let mut mistakes = Vec::new();
        let problem = session::load_problem(self.located, pipeline, &mut mistakes);
        let name = problem.as_ref().map_or(&pipeline.name, |p| &p.name);
        Ok(place(name, &metric, &pipeline.target()))
    }

    /// A kept kernel, and the name that says which it is.
    fn standing(&self, name: &str, place: &Place, kept: Option<Incumbent>) -> Standing {
        let watch = vec![self.below(&place.folder(&self.state()).join(name))];
        let found = kept.map(|kept| Found {
            binary: kept.binary().map(|path| self.below(&path)),
            sources: kept.sources().map(|(_, path)| self.below(&path)).collect(),
            watch: Vec::new(),
        });
        Standing { watch, found }
    }

    fn below(&self, path: &Path) -> String {
        relative(&self.located.root, Path::new(""), &path.to_string_lossy())
    }
}

/// What a stage measures.
fn metric(stage: &Stage) -> Option<String> {
    match &stage.variants.first()?.work {
        Work::Bench(bench) => Some(bench.metric.clone()),
        Work::Command(command) => command.metric.as_ref().map(|m| m.name.clone()),
        Work::Check(_) => None,
    }
}

impl crate::plan::incumbent::Incumbents for Incumbents<'_> {
    fn best(&self, problem: &str, metric: &str, target: &Target) -> Standing {
        let (state, place) = (self.state(), place(problem, metric, target));
        // One that cannot be read is told by the commands that keep and revert; what is measured
        // without it is measured alone.
        let best = incumbent::current(&state, &place).ok().flatten();
        self.standing("current", &place, best)
    }

    fn baseline(&self, problem: &str, metric: &str, target: &Target) -> Standing {
        let (state, place) = (self.state(), place(problem, metric, target));
        let baseline = incumbent::baseline(&state, &place).ok().flatten();
        self.standing("baseline", &place, baseline)
    }

    fn revision(&self, revision: &str, kernel: &[String]) -> Result<Found, String> {
        let files: Vec<PathBuf> = kernel.iter().map(|k| self.located.root.join(k)).collect();
        let exported = worktree::export(&self.located.root, &self.state(), revision, &files)?;
        Ok(Found {
            binary: None,
            sources: exported.files.iter().map(|path| self.below(path)).collect(),
            watch: exported.watch.iter().map(|path| self.below(path)).collect(),
        })
    }

    fn with_kernel(&self, kernel: &str) -> Option<Pipeline> {
        let kernel = session::from_below(self.located, kernel);
        let overrides = Overrides { kernel: Some(kernel), ..self.overrides.clone() };
        let mut pipeline = pipeline::load(&self.located.file, &overrides, &Disk).pipeline?;
        pipeline.dir.clone_from(&self.located.dir);
        Some(pipeline)
    }
}
