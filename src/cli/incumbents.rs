//! Where incumbents lie: the store of the best, git, the pipeline itself.

use super::session;
use super::world::{Disk, Located};
use crate::pipeline::{self, Overrides, Pipeline};
use crate::plan::incumbent::{Found, Standing};

/// The incumbents of a pipeline.
pub(super) struct Incumbents<'a> {
    pub(super) located: &'a Located,
    pub(super) overrides: &'a Overrides,
}

impl crate::plan::incumbent::Incumbents for Incumbents<'_> {
    fn best(&self, _problem: &str, _metric: &str) -> Standing {
        Standing::default()
    }

    fn revision(&self, _revision: &str, _kernel: &[String]) -> Result<Found, String> {
        Err("not yet".to_owned())
    }

    fn with_kernel(&self, kernel: &str) -> Option<Pipeline> {
        let kernel = session::from_below(self.located, kernel);
        let overrides = Overrides { kernel: Some(kernel), ..self.overrides.clone() };
        let mut pipeline = pipeline::load(&self.located.file, &overrides, &Disk).pipeline?;
        pipeline.dir.clone_from(&self.located.dir);
        Some(pipeline)
    }
}
