//! What a campaign begins with, as its log says it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a campaign begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    /// Its name and the time of its start.
    pub id: String,
    /// What it is to reach.
    pub goal: String,
    /// The pipeline that judges, below the project's root.
    pub pipeline: String,
    /// The commit of the campaign's repository that holds the project as it was.
    pub base: String,
    /// The commit of the user's repository, where there is one.
    pub head: Option<String>,
    /// What came along of the user's repository.
    #[serde(default)]
    pub ancestry: Ancestry,
    /// Paths below the project's root that each tree gets beside the commit, read-only.
    #[serde(default)]
    pub carry: Vec<String>,
    /// The project's root; none in campaigns that carry nothing.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// What command stages and guards are run through; empty where they run here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compute: Vec<String>,
}

impl Begun {
    /// The commit `head`, where it is another than the one at the beginning.
    pub(super) fn moved_to(&self, head: &str) -> Option<String> {
        (self.head.as_deref() != Some(head)).then(|| head.to_owned())
    }
}

/// A campaign takes up the commit that the user has checked out meanwhile: a new epoch begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Adopted {
    /// Which epoch this is; the first one begins with the campaign.
    pub epoch: u32,
    /// The commit of the user's repository.
    pub head: String,
    /// The commit of the campaign's repository that holds the project as it is now.
    pub base: String,
    /// The same with the kept changes merged in; `base` itself where there are none.
    pub merged: String,
    /// What came along of the user's repository.
    #[serde(default)]
    pub ancestry: Ancestry,
    /// Paths below the project's root that each tree gets beside the commit, read-only.
    #[serde(default)]
    pub carry: Vec<String>,
}

/// What a campaign's trees have of the user's repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ancestry {
    /// Nothing: one commit.
    #[default]
    None,
    /// All commits up to the one that is checked out, tags and the branches of `origin`.
    Whole,
    /// No commits before the first; tags and branches of `origin` whose files are here.
    References {
        /// Why no more.
        because: String,
    },
}
