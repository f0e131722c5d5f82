//! From a command line to a project and the changes to its pipeline.

use super::args::{Tuning, Which};
use crate::pipeline::{KernelFiles, Overrides};
use crate::project::host::Disk;
use crate::project::{Project, ProjectError};

impl Which {
    /// The project that is meant.
    pub(super) fn find(&self) -> Result<Project<'static>, ProjectError> {
        Project::find(&self.file, &Disk)
    }

    /// What the command line changes, with files as they are named from where this process is.
    pub(super) fn overrides(&self, project: &Project<'_>) -> Overrides {
        let kernel = self.kernel.as_deref().map(|path| KernelFiles::One(project.from_here(path)));
        let incumbent = self.incumbent.as_ref().map(|incumbent| {
            let file = incumbent.strip_prefix("file:").filter(|path| !path.is_empty());
            file.map_or_else(
                || incumbent.clone(),
                |path| format!("file:{}", project.from_here(path.as_ref())),
            )
        });
        Overrides { kernel, incumbent, ..self.tuning.overrides() }
    }
}

impl Tuning {
    /// What the command line changes about how stages are run.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.iter().cloned().collect(),
            device: self.device.clone(),
            repeats: self.stage_repeats.clone().or_else(|| self.repeats.map(|n| vec![n])),
            early_stop_us: self.early_stop_us,
            timeout_s: self.timeout_seconds,
            ..Overrides::default()
        }
    }
}
