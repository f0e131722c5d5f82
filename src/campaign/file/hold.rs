//! `[hold]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Spanned;

/// A device that is held from before the baseline until the program ends, however it ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldFile {
    /// Commands of which one takes a device: the first, or where that fails the next one. The last
    /// line that it prints is the device's name, which commands find in `OPTLOOP_HELD`.
    #[schemars(length(min = 1))]
    pub allocate: Spanned<Vec<Vec<String>>>,
    /// The command that gives it back, with its name in `OPTLOOP_HELD`.
    #[schemars(length(min = 1))]
    pub release: Spanned<Vec<String>>,
    /// How often all of them are tried; 1 without it.
    #[schemars(range(min = 1))]
    pub attempts: Option<u32>,
    /// The pause before they are tried again; `"30s"` without it.
    pub pause: Option<Spanned<String>>,
    /// How long one may take; ten minutes without it.
    pub timeout: Option<Spanned<String>>,
    /// `required`: without a device nothing begins; `best-effort`: it goes on without one.
    /// `required` without it.
    pub policy: Option<HoldPolicy>,
}

/// Whether a campaign goes on where no device could be held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HoldPolicy {
    /// It does not.
    #[default]
    Required,
    /// It does, with a warning.
    BestEffort,
}
