//! Where incumbents lie: the store of the best, git, the pipeline itself.

use std::path::PathBuf;

use super::problem::load_problem;
use super::{Project, ProjectError, copies};
use crate::digest::Digest;
use crate::git::{Export, Exported, Wanted};
use crate::host::Host;
use crate::pipeline::{self, CacheMode, Overrides, Pipeline, Target, Variant};
use crate::plan::Question;
use crate::plan::build::relative;
use crate::plan::incumbent::{Found, Standing};
use crate::plan::question::{Asked, Asking};
use crate::record::incumbent::{self, Incumbent};
use crate::record::ledger::Place;

/// The incumbents of a pipeline.
pub(super) struct Incumbents<'a> {
    pub(super) project: &'a Project<'a>,
    pub(super) overrides: &'a Overrides,
}

/// A kernel that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Best,
    Baseline,
}

impl Kept {
    /// The one that people call so.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Best, Self::Baseline].into_iter().find(|kept| kept.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Baseline => "baseline",
        }
    }
}

/// What the best answer to a question is filed under on this machine.
pub(super) fn place(host: &dyn Host, question: &Question) -> Place {
    let mode = match question.mode {
        Some(CacheMode::Hot) => "hot",
        Some(CacheMode::Cold) => "cold",
        None => "",
    };
    Place {
        problem: question.problem.clone(),
        question: question.digest,
        device: device(host, &question.target),
        metric: question.metric.clone(),
        mode: mode.to_owned(),
    }
}

/// A target in a word, such as `cpu-e499f0dd` or `cpu-all-e499f0dd`: times of one do not hold for
/// another.
fn device(host: &dyn Host, target: &Target) -> String {
    let identity = host.device(&target.device()).to_string();
    let asked = target.to_string().replace(':', "-");
    format!("{asked}-{}", &Digest::of(identity.as_bytes()).hex()[..8])
}

impl Project<'_> {
    /// The pipeline's kernel files, below the root; none where it names none.
    pub fn kernel(&self, overrides: &Overrides) -> Option<Vec<String>> {
        Incumbents { project: self, overrides }.kernel()
    }

    /// The pipeline's stages that compare with the best; none where it cannot be read.
    pub fn scoring(&self, overrides: &Overrides) -> Vec<String> {
        Incumbents { project: self, overrides }.scoring()
    }
}

impl Incumbents<'_> {
    /// The pipeline's kernel files, below the root.
    pub(super) fn kernel(&self) -> Option<Vec<String>> {
        let pipeline =
            pipeline::load(&self.project.file, self.overrides, self.project.host).pipeline?;
        let below = |path: &String| relative(&self.project.root, &self.project.dir, path);
        Some(pipeline.kernel.iter().map(below).collect()).filter(|k: &Vec<String>| !k.is_empty())
    }

    /// The files of the best, or the baseline, of what a stage measures.
    pub(super) fn kept(&self, which: Kept, stage: &str) -> Result<Vec<PathBuf>, ProjectError> {
        let place = self.place(stage)?;
        let state = self.project.state();
        let found = match which {
            Kept::Baseline => incumbent::baseline(&state, &place),
            Kept::Best => incumbent::current(&state, &place),
        };
        let kept = found.map_err(ProjectError::Unreadable)?;
        let kept = kept.ok_or_else(|| ProjectError::NothingKept {
            which: which.word(),
            place: Box::new(place),
        })?;
        Ok(kept.sources().map(|(_, path)| path).collect())
    }

    /// What a stage's results are filed under; `NAME[LABEL]` is a point of a stage's matrix.
    pub(super) fn place(&self, stage: &str) -> Result<Place, ProjectError> {
        let pipeline = self.pipeline()?;
        self.filed(&pipeline, stage, variant(&pipeline, stage))
    }

    /// What the results of the stage that decides about a stage's kernel are filed under: its own,
    /// or the first that compares with the best.
    pub(super) fn decided_by(&self, stage: &str) -> Result<Place, ProjectError> {
        let pipeline = self.pipeline()?;
        let scores = |v: &&Variant| v.work.scores();
        let own = variant(&pipeline, stage).filter(|v| v.work.measures());
        let mut first = pipeline.stages.iter().filter_map(|s| s.variants.first());
        let decides = own.or_else(|| first.find(scores));
        self.filed(&pipeline, stage, decides)
    }

    /// The stages that compare with the best.
    pub(super) fn scoring(&self) -> Vec<String> {
        let Ok(pipeline) = self.pipeline() else { return Vec::new() };
        let scores = |s: &&pipeline::Stage| s.variants.first().is_some_and(|v| v.work.scores());
        pipeline.stages.iter().filter(scores).map(|s| s.name.clone()).collect()
    }

    fn pipeline(&self) -> Result<Pipeline, ProjectError> {
        let loaded = pipeline::load(&self.project.file, self.overrides, self.project.host);
        let mut pipeline = loaded.pipeline.ok_or(ProjectError::Mistakes(loaded.diagnostics))?;
        pipeline.dir.clone_from(&self.project.dir);
        Ok(pipeline)
    }

    fn filed(
        &self,
        pipeline: &Pipeline,
        stage: &str,
        decides: Option<&Variant>,
    ) -> Result<Place, ProjectError> {
        let mut mistakes = Vec::new();
        let problem = load_problem(self.project, pipeline, &mut mistakes);
        let asked = Asked::of(&Asking {
            pipeline,
            problem: problem.as_ref(),
            dir: self.dir(),
            host: self.project.host,
        });
        let question = decides.and_then(|variant| asked.by(variant));
        let place = question.as_ref().map(|question| place(self.project.host, question));
        place.ok_or_else(|| ProjectError::NotMeasuring { stage: stage.to_owned() })
    }

    /// The pipeline's folder, relative to the root.
    fn dir(&self) -> String {
        match relative(&self.project.root, &self.project.dir, "") {
            root if root == "." => String::new(),
            below => below,
        }
    }

    /// The kernel that the pipeline file names, whatever the command line says.
    fn own_kernel(&self) -> Option<Vec<String>> {
        let overrides = Overrides { kernel: None, ..self.overrides.clone() };
        Incumbents { overrides: &overrides, ..*self }.kernel()
    }

    /// Files below the root, or of copies of them, as they are at a revision, with what they include.
    fn exported(&self, revision: &str, kernel: &[String]) -> Result<Exported, String> {
        let root = &self.project.root;
        let original = |path: &String| match copies::of(self.project.host, &self.project.root, path)
        {
            Some(copied) => root.join(copied.original),
            None => root.join(path),
        };
        let files: Vec<PathBuf> = kernel.iter().map(original).collect();
        let include_dirs = self.include_dirs();
        let wanted = Wanted { files: &files, include_dirs: &include_dirs };
        let (state, git) = (self.project.state(), self.project.git());
        let export = Export { root, state: &state, outside: &git };
        export.write(revision, wanted).map_err(|why| why.to_string())
    }

    /// Where any of the pipeline's stages looks for headers.
    fn include_dirs(&self) -> Vec<PathBuf> {
        let Ok(pipeline) = self.pipeline() else { return Vec::new() };
        let variants = pipeline.stages.iter().flat_map(|stage| &stage.variants);
        let compiles = variants.filter_map(|variant| variant.work.compile());
        let dirs = compiles.flat_map(|compile| &compile.include_dirs);
        let (root, dir) = (&self.project.root, &self.project.dir);
        dirs.map(|path| root.join(relative(root, dir, path))).collect()
    }

    /// A kept kernel, and the name that says which it is.
    fn standing(&self, name: &str, place: &Place, kept: Option<Incumbent>) -> Standing {
        let watch = vec![self.project.below_root(&place.folder(&self.project.state()).join(name))];
        let found = kept.map(|kept| Found {
            binary: kept.binary().map(|path| self.project.below_root(&path)),
            sources: kept.sources().map(|(_, path)| self.project.below_root(&path)).collect(),
            measured: Some(kept.key).filter(|key| !key.is_none()),
            watch: Vec::new(),
        });
        Standing { watch, found }
    }
}

/// The point of a stage's matrix that a name means, or the stage's first.
fn variant<'a>(pipeline: &'a Pipeline, name: &str) -> Option<&'a Variant> {
    let (stage, label) = name.split_once('[').unwrap_or((name, ""));
    let found = pipeline.stages.iter().find(|s| s.name == stage)?;
    let label = label.strip_suffix(']').unwrap_or(label);
    found.variants.iter().find(|v| v.label == label).or_else(|| found.variants.first())
}

impl crate::plan::incumbent::Incumbents for Incumbents<'_> {
    fn best(&self, question: &Question) -> Standing {
        let (state, place) = (self.project.state(), place(self.project.host, question));
        // One that cannot be read is reported by the commands that keep and revert; what is measured
        // without it is measured alone.
        let best = incumbent::current(&state, &place).ok().flatten();
        self.standing("current", &place, best)
    }

    fn baseline(&self, question: &Question) -> Standing {
        let (state, place) = (self.project.state(), place(self.project.host, question));
        let baseline = incumbent::baseline(&state, &place).ok().flatten();
        self.standing("baseline", &place, baseline)
    }

    fn revision(&self, revision: &str, kernel: &[String]) -> Result<Found, String> {
        let exported = self.exported(revision, kernel).or_else(|why| {
            // A file of another name beside the pipeline's own kernel as it was.
            let own = self.own_kernel().filter(|own| own != kernel).ok_or_else(|| why.clone())?;
            self.exported(revision, &own).map_err(|_| why)
        })?;
        Ok(Found {
            binary: None,
            measured: None,
            sources: exported.files.iter().map(|path| self.project.below_root(path)).collect(),
            watch: exported.watch.iter().map(|path| self.project.below_root(path)).collect(),
        })
    }

    fn copy(&self, path: &str) -> Option<String> {
        copies::of(self.project.host, &self.project.root, path).map(|copied| copied.folder)
    }
}
