//! `[compute]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Spanned;

/// Where command stages and guards run. Kernel stages always run here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputeFile {
    /// `local`: as they are; `docker`: in a container that reads the project and has no network.
    #[serde(rename = "use")]
    pub preset: Option<Spanned<ComputePreset>>,
    /// A command that all of them are run through, in place of a preset: it stands before their own
    /// words. `{tree}` is the copy of the project, `{cwd}` the folder that they run in, `{scratch}` a
    /// folder that they may write to, `{user}` is who runs optloop, and a word `{env}` becomes `--env NAME` for each of their
    /// variables.
    #[schemars(length(min = 1))]
    pub run: Option<Spanned<Vec<String>>>,
    /// A command that must succeed before the campaign begins or goes on; `docker info` for `docker`.
    #[schemars(length(min = 1))]
    pub check: Option<Spanned<Vec<String>>>,
    /// The container's image; `python:3.12-slim` without it.
    pub image: Option<Spanned<String>>,
    /// The container's network; `none` without it.
    pub network: Option<Spanned<String>>,
    /// A regular expression that what `device_command` prints must match, before each measurement.
    pub device: Option<Spanned<String>>,
    /// A command that names the device there; it is run as the others are.
    #[schemars(length(min = 1))]
    pub device_command: Option<Spanned<Vec<String>>>,
}

/// Ways to run commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComputePreset {
    /// On this machine.
    Local,
    /// In a container.
    Docker,
}
