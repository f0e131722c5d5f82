//! What the command line changes, as little TOML documents laid over the pipeline's: so it is
//! checked like everything else, and blamed by the flag's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::file::StageFile;
use super::findings::{Findings, did_you_mean};
use super::remeasure::{KernelFiles, Remeasure};
use crate::diagnostic::{Diagnostic, Source, document};

/// What the command line changes about a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Overrides {
    /// `--set key=value`: variables of `[vars]` and dotted paths such as `stages.candidate.repeats`.
    pub set: BTreeMap<String, String>,
    /// `--kernel PATH`, already relative to the pipeline's folder or absolute.
    pub kernel: Option<KernelFiles>,
    /// `--device D`.
    pub device: Option<String>,
    /// `--stage-repeats 8,16,32` or `--repeats 32`.
    pub repeats: Option<Vec<u32>>,
    /// `--early-stop-us T`.
    pub early_stop_us: Option<f64>,
    /// `--timeout-seconds S`.
    pub timeout_s: Option<f64>,
    /// `--incumbent I`, for the stages that score.
    pub incumbent: Option<String>,
    /// Presets to add as stages of their own names, unless the file has such stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Stages that are planned, with what they need; all when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// A stage that is measured whatever is cached, for a comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remeasure: Option<Remeasure>,
}

/// Keys of the file that `--set` reaches without a dot, in addition to the variables.
const TOP_KEYS: [&str; 4] = ["name", "kernel", "problem", "device"];

/// The documents for `--set`, `--kernel` and `--device`, in view of what the file defines.
pub(super) fn documents(
    table: &DeTable<'_>,
    overrides: &Overrides,
    found: &mut Vec<Diagnostic>,
) -> Vec<Arc<Source>> {
    let mut documents = Vec::new();
    let settings = overrides.remeasure.as_ref().map(Remeasure::settings).unwrap_or_default();
    let is_free = |key: &String| settings.iter().all(|(setting, _)| setting != key);
    let set = overrides.set.iter().filter(|(key, _)| is_free(key));
    let set = set.map(|(key, value)| (key, toml_value(value)));
    for (key, value) in set.chain(settings.iter().map(|(key, value)| (key, (*value).to_owned()))) {
        match full_path(table, key) {
            Ok(path) => documents.push(document("--set", &path, &value)),
            Err(diagnostic) => found.push(diagnostic),
        }
    }
    if let Some(kernel) = &overrides.kernel {
        documents.push(document("--kernel", "kernel", &kernel.toml()));
    }
    if let Some(device) = &overrides.device {
        documents.push(document("--device", "device", &quoted(device)));
    }
    for preset in &overrides.add {
        let there = table.get("stages").and_then(|s| s.get_ref().as_table()?.get(preset.as_str()));
        if there.is_none() {
            documents.push(document("optloop", &format!("stages.{preset}.use"), &quoted(preset)));
        }
    }
    documents
}

/// What `--repeats`, `--early-stop-us`, `--incumbent` and `--timeout-seconds` say about every stage they fit.
pub(super) struct StageOverrides {
    pub(super) any: StageFile,
    pub(super) bench: StageFile,
}

pub(super) fn stage_overrides(overrides: &Overrides, findings: &mut Findings) -> StageOverrides {
    let mut bench = StageFile::default();
    if let Some(repeats) = &overrides.repeats {
        bench.repeats = one("--repeats", "repeats", &format!("{repeats:?}"), findings).repeats;
    }
    if let Some(limit) = overrides.early_stop_us {
        let read = one("--early-stop-us", "early_stop_us", &format!("{limit:?}"), findings);
        bench.early_stop_us = read.early_stop_us;
    }
    if let Some(incumbent) = &overrides.incumbent {
        bench.incumbent = one("--incumbent", "incumbent", &quoted(incumbent), findings).incumbent;
    }
    let any = overrides.timeout_s.map_or_else(StageFile::default, |seconds| {
        let text = format!("\"{}ms\"", (seconds * 1000.0).round());
        one("--timeout-seconds", "timeout", &text, findings)
    });
    StageOverrides { any, bench }
}

fn one(flag: &str, key: &str, value: &str, findings: &mut Findings) -> StageFile {
    let source = document(flag, key, value);
    let document = document::read_overlaid::<StageFile>(&source, &mut findings.map, |_| Vec::new());
    findings.list.extend(document.diagnostics);
    document.value.unwrap_or_default()
}

fn document(flag: &str, path: &str, value: &str) -> Arc<Source> {
    Arc::new(Source::new(flag, format!("{path} = {value}")))
}

/// The dotted path that a `--set` key means, or why it means none.
fn full_path(table: &DeTable<'_>, key: &str) -> Result<String, Diagnostic> {
    let sub = |name: &str| table.get(name).and_then(|value| value.get_ref().as_table());
    let names = |name: &str| -> Vec<String> {
        sub(name).into_iter().flatten().map(|(key, _)| key.get_ref().to_string()).collect()
    };
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        [one] if sub("vars").is_some_and(|vars| vars.contains_key(*one)) => {
            Ok(format!("vars.{}", key_text(one)))
        }
        [one] if TOP_KEYS.contains(one) => Ok((*one).to_owned()),
        [one] => {
            let names = names("vars");
            let known = names.iter().map(String::as_str).chain(TOP_KEYS);
            Err(wrong_set(format!("`--set {key}=…` names no variable"), one, known))
        }
        ["stages", stage, _, ..] if !sub("stages").is_some_and(|s| s.contains_key(*stage)) => {
            let names = names("stages");
            let known = names.iter().map(String::as_str);
            Err(wrong_set(format!("`--set {key}=…` names no stage"), stage, known))
        }
        [_, ..] if parts.iter().all(|part| !part.is_empty()) => {
            Ok(parts.iter().map(|part| key_text(part)).collect::<Vec<_>>().join("."))
        }
        _ => Err(wrong_set(format!("`--set {key}=…` is not a path"), key, std::iter::empty())),
    }
}

fn wrong_set<'a>(
    message: String,
    word: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let listed: Vec<&str> = known.clone().take(20).collect();
    let near = did_you_mean(word, known, "give a variable of [vars], or a path into the file");
    let known = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    let help = format!("{near} (known: {known}; a path is such as stages.candidate.repeats)");
    Diagnostic::new("unknown-set", message).help(help)
}

fn key_text(part: &str) -> String {
    let is_bare = part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if is_bare { part.to_owned() } else { quoted(part) }
}

/// As it is when it is a TOML value, else as a string: `[4, 8]` and `true`, but also `30s`.
fn toml_value(value: &str) -> String {
    let is_value = matches!(DeValue::parse(value), Ok(parsed) if !parsed.get_ref().is_datetime());
    if is_value { value.to_owned() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_paths_and_values_become_toml() {
        let text = "[vars]\nblock = 1\n[stages.a-b]\n";
        let (table, _) = DeTable::parse_recoverable(text);
        let path = |key: &str| full_path(table.get_ref(), key).map_err(|found| found.message);
        assert_eq!(path("block"), Ok("vars.block".to_owned()));
        assert_eq!(path("device"), Ok("device".to_owned()));
        assert_eq!(path("stages.a-b.repeats"), Ok("stages.a-b.repeats".to_owned()));
        assert_eq!(path("compile.defines.A b"), Ok("compile.defines.\"A b\"".to_owned()));
        for key in ["blok", "stages.ab.repeats", "a..b", "", "."] {
            assert!(path(key).is_err(), "{key}");
        }
        for (value, want) in [
            ("[4, 8]", "[4, 8]"),
            ("true", "true"),
            ("30s", "\"30s\""),
            ("a\nb = 1", "\"\"\"\na\nb = 1\"\"\""),
            ("1979-05-27", "\"1979-05-27\""),
            ("", "\"\""),
        ] {
            assert_eq!(toml_value(value), want, "{value}");
        }
    }
}
