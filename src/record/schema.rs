//! The JSON schemas of what this module writes: artifacts, analyses, the ledger, boards.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
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

/// Of what is read: what has a default may be missing.
fn of<T: JsonSchema>(title: &str) -> Value {
    made(SchemaSettings::default(), title, SchemaGenerator::into_root_schema_for::<T>)
}

/// The schema of what is written, to the last key.
pub fn written<T: JsonSchema>(title: &str) -> Value {
    made(
        SchemaSettings::default().for_serialize(),
        title,
        SchemaGenerator::into_root_schema_for::<T>,
    )
}

fn made(settings: SchemaSettings, title: &str, root: fn(SchemaGenerator) -> Schema) -> Value {
    let mut schema = root(settings.into_generator()).to_value();
    schema["title"] = title.into();
    schema
}
