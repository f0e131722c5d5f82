//! What is recorded of a command that has a metric.

use serde::{Deserialize, Serialize};

use super::{ComparisonRecord, IdenticalRecord, LayoutsRecord};
use crate::pipeline::{Purpose, TimeUnit};

/// A command's number, and what it was compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommandRecord {
    /// The number's name.
    pub metric: String,
    /// Its unit, where it is a time.
    pub unit: Option<TimeUnit>,
    /// How often the output had it; the last one counts.
    pub matches: usize,
    /// The same of the incumbent's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent_matches: Option<usize>,
    /// Why it is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// What it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonRecord>,
    /// Where its code lies is the command's own affair: one layout on each side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layouts: Option<LayoutsRecord>,
    /// What is said of that, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What people should know beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The copies of the project that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trees: Option<TreesRecord>,
    /// That it is the incumbent's very code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<IdenticalRecord>,
}

impl CommandRecord {
    /// That of one run.
    pub fn of_number(metric: &str, unit: Option<TimeUnit>, matches: usize) -> Self {
        Self {
            metric: metric.to_owned(),
            unit,
            matches,
            incumbent_matches: None,
            purpose: None,
            comparison: None,
            layouts: None,
            words: None,
            warnings: Vec::new(),
            trees: None,
            identical: None,
        }
    }
}

/// The copies of the project that two sides ran in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TreesRecord {
    /// The incumbent's, below the root.
    pub incumbent: String,
    /// The candidate's, below the root.
    pub candidate: String,
    /// Files of the project in each.
    pub files: usize,
    /// What their paths have in common.
    pub place: String,
}
