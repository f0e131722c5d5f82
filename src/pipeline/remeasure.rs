//! What a comparison changes about the pipeline that it runs through.

use serde::{Deserialize, Serialize};

/// A stage that is measured now, whatever is cached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Remeasure {
    /// Which.
    pub stage: String,
    /// By which rule it decides.
    pub rule: ComparisonRule,
}

/// By which rule two kernels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonRule {
    /// The stage's own.
    Stage,
    /// 64 pairs, 8 from each pair of processes, whatever the first ones say (decision-rule,
    /// section 5).
    Anchor,
}

impl Remeasure {
    /// By the stage's own rule.
    pub fn now(stage: &str) -> Self {
        Self { stage: stage.to_owned(), rule: ComparisonRule::Stage }
    }

    /// Dotted keys of the pipeline with their values, as TOML.
    pub(super) fn settings(&self) -> Vec<(String, &'static str)> {
        const NOW: &[(&str, &str)] = &[("cache", "false")];
        const ANCHOR: &[(&str, &str)] = &[
            ("repeats", "[64]"),
            ("rule.pairs_per_process", "8"),
            ("rule.gross", "0"),
            ("rule.confirm", "false"),
            ("rule.upper_levels", "[0.1]"),
            ("rule.lower_levels", "[0.004]"),
        ];
        let rule = match self.rule {
            ComparisonRule::Stage => &[],
            ComparisonRule::Anchor => ANCHOR,
        };
        let all = NOW.iter().chain(rule);
        all.map(|(key, value)| (format!("stages.{}.{key}", self.stage), *value)).collect()
    }
}

/// The files of a kernel, relative to the pipeline's folder or absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum KernelFiles {
    /// One.
    One(String),
    /// Several, in the order in which the pipeline names its own.
    Several(Vec<String>),
}

impl KernelFiles {
    /// These files.
    pub fn of(mut files: Vec<String>) -> Self {
        match files.len() {
            1 => Self::One(files.remove(0)),
            _ => Self::Several(files),
        }
    }

    /// In order.
    pub fn files(&self) -> &[String] {
        match self {
            Self::One(file) => std::slice::from_ref(file),
            Self::Several(files) => files,
        }
    }

    /// As TOML.
    pub(super) fn toml(&self) -> String {
        let text = |file: &String| toml::Value::String(file.clone());
        match self {
            Self::One(file) => text(file).to_string(),
            Self::Several(files) => {
                toml::Value::Array(files.iter().map(text).collect()).to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_written_as_text_and_several_as_a_list() {
        for (files, toml, json) in [
            (vec!["a.c"], "\"a.c\"", "\"a.c\""),
            (vec!["a.c", "b \"c\".c"], "[\"a.c\", 'b \"c\".c']", r#"["a.c","b \"c\".c"]"#),
        ] {
            let files = KernelFiles::of(files.into_iter().map(str::to_owned).collect());
            assert_eq!(files.toml(), toml);
            let written = serde_json::to_string(&files).unwrap();
            assert_eq!(written, json);
            assert_eq!(serde_json::from_str::<KernelFiles>(&written).unwrap(), files);
        }
    }
}
