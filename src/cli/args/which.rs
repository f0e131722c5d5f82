//! Which pipeline, and how its stages are run.

use std::path::PathBuf;

use clap::Args;

/// Which pipeline, and what the command line changes about it.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Which {
    /// The pipeline file; a bare name is also looked for below `pipelines/`.
    pub(in crate::cli) file: String,
    /// Measure this kernel instead of the pipeline's.
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) kernel: Option<PathBuf>,
    /// What to compare with: best, baseline, none, `file:PATH` or `git:REVISION`.
    #[arg(long, value_name = "I")]
    pub(in crate::cli) incumbent: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) tuning: Tuning,
}

/// How stages are run.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct Tuning {
    /// Where to run: auto, cpu, cpu:N, cpu:all, cuda:N or cuda:GPU-UUID.
    #[arg(long)]
    pub(in crate::cli) device: Option<String>,
    /// Set a variable of [vars], or a dotted key such as stages.candidate.warmup.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::cli) set: Vec<(String, String)>,
    /// Launches per case of measuring stages, or pairs of comparing ones, in one look.
    #[arg(long, value_name = "N", conflicts_with = "stage_repeats")]
    pub(in crate::cli) repeats: Option<u32>,
    /// Launches per case, or pairs, after each look, rising.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub(in crate::cli) stage_repeats: Option<Vec<u32>>,
    /// Give a measurement up once it is surely above this.
    #[arg(long, value_name = "US")]
    pub(in crate::cli) early_stop_us: Option<f64>,
    /// Time limit of each stage.
    #[arg(long, value_name = "S")]
    pub(in crate::cli) timeout_seconds: Option<f64>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}
