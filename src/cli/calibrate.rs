//! `optloop calibrate`: how much identical code differs here.

use super::args::{CalibrateArgs, PipelineArgs};
use super::exit::Exit;
use super::pipeline;
use super::ui::Ui;

/// The stage that calibrates.
const STAGE: &str = "calibrate";

/// Runs the pipeline's `calibrate` stage, or the preset of that name.
pub(super) fn run(args: &CalibrateArgs, ui: Ui) -> Exit {
    let mut which = args.which.clone();
    which.add = vec![STAGE.to_owned()];
    pipeline::run(&PipelineArgs::of(which, &[STAGE]), ui)
}
