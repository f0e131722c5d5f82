//! What follows a new best.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when another commit is checked out while a campaign is interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMoved {
    /// It goes on with the project as it was at the beginning.
    #[default]
    Ignore,
    /// It ends.
    Stop,
    /// It goes on with that commit: the kept changes are merged with it, and must be better than it.
    Adopt,
}

/// Where kept changes go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// Nowhere.
    #[default]
    None,
    /// To commits on a branch `optloop/ID` of the user's repository.
    Branch,
    /// The same, and the branch that is checked out is moved there where nothing stands in the way.
    Merge,
}
