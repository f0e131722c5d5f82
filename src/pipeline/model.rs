//! A pipeline with everything known.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::device::Language;
use super::{Cores, DeviceRequest, Direction, Target, Work};
use crate::diagnostic::Source;

/// A pipeline with presets merged, variables put in and matrices multiplied out.
/// No `Option` here means "the default": defaults are filled in.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The pipeline file as it was given.
    pub path: PathBuf,
    /// The folder that relative paths and commands start from: the pipeline file's.
    pub dir: PathBuf,
    /// The text, for diagnostics of later modules.
    pub source: Arc<Source>,
    /// Kernel sources as written (relative to `dir`, or absolute); empty for command pipelines.
    pub kernel: Vec<String>,
    /// Kernel sources as the file names them, whatever the command line says.
    pub usual_kernel: Vec<String>,
    /// The problem file and where the pipeline names it.
    pub problem: Option<(String, Range<usize>)>,
    /// Where it is to run.
    pub device: DeviceRequest,
    /// Stages in file order.
    pub stages: Vec<Stage>,
    /// Every file that was read, so that a parsed pipeline can be kept: the pipeline, presets.
    pub sources: Vec<PathBuf>,
    /// The project's own preset folder was looked for here (whether or not it exists).
    pub preset_dir: PathBuf,
    /// Environment variables that `${env.NAME}` read.
    pub env_read: Vec<String>,
}

/// One `[stages.NAME]`.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Bytes of the name in the pipeline's source.
    pub span: Range<usize>,
    /// The preset it was made from, if any.
    pub preset: Option<String>,
    /// Stages that must pass first, each with its span.
    pub needs: Vec<(String, Range<usize>)>,
    /// Condition over upstream results, such as `candidate.median_us < 900`; checked to parse and
    /// to name only results that exist. Dashes in stage names are written as underscores.
    pub when: Option<String>,
    /// One per point of the matrix; exactly one with an empty label when there is no matrix.
    pub variants: Vec<Variant>,
    /// The metric that says which variant is best, and whether lower is better.
    pub best_by: (String, Direction),
}

/// One point of a stage's matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// `define.BLOCK=64,flags=-O2`; empty without a matrix.
    pub label: String,
    /// What it does.
    pub work: Work,
}

impl Pipeline {
    /// Where its kernel runs: what was left open is the first CUDA device for what only such a one
    /// can run, and else a core.
    pub fn target(&self) -> Target {
        let cuda = |file: &String| Language::of(file) == Some(Language::Cuda);
        match &self.device {
            DeviceRequest::Cpu(cores) => Target::Cpu(*cores),
            DeviceRequest::Cuda(name) => Target::Cuda(name.clone()),
            DeviceRequest::Auto if self.kernel.iter().any(cuda) => Target::Cuda("0".to_owned()),
            DeviceRequest::Auto => Target::Cpu(Cores::Picked),
        }
    }
}

impl Stage {
    /// Names of the numbers that it gives to `when` and to the result table.
    pub fn results(&self) -> Vec<&str> {
        let mut results = vec!["passed", "seconds"];
        results
            .extend(self.variants.first().into_iter().flat_map(|variant| variant.work.results()));
        results
    }
}
