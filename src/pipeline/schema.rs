//! The JSON schemas of the files of this module, for editors.

use serde_json::Value;

use super::file::{PipelineFile, StageFile};

/// Each schema with the name of what it describes.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("pipeline", schemars::schema_for!(PipelineFile).to_value()),
        ("stage", schemars::schema_for!(StageFile).to_value()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description() {
        for (name, schema) in schemas() {
            let definitions = schema["$defs"].as_object().into_iter().flatten();
            let tables = definitions.map(|(_, table)| table).chain([&schema]);
            for table in tables {
                for (key, value) in table["properties"].as_object().into_iter().flatten() {
                    assert!(value["description"].is_string(), "{name}: {key}: {value}");
                }
            }
        }
    }
}
