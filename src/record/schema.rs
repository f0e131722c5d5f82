//! The JSON schemas of what this room writes: artifacts, analyses, the ledger, boards.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use super::artifact::Artifact;
use super::{Analysis, board, ledger};

/// Each schema with the name of what it describes.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("artifact", of::<Artifact>("optloop artifact")),
        ("analysis", of::<Analysis>("optloop analysis: a line of STAGE.analysis.jsonl")),
        ("ledger", of::<ledger::Line>("optloop ledger: a line of ledger.jsonl")),
        ("board", of::<board::Entry>("optloop board: a line of boards/PROBLEM.jsonl")),
    ]
}

fn of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = schema_for!(T).to_value();
    schema["title"] = title.into();
    schema
}
