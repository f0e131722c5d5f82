//! Settings from the command line and the environment, which count more than the file, and where
//! each setting comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::campaign::file::CampaignFile;
use crate::diagnostic::Spanned;

/// Where a setting comes from, the weakest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Nobody named it.
    Default,
    /// The campaign file.
    File,
    /// A variable.
    Environment,
    /// The command line.
    CommandLine,
}

impl Source {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        }
    }
}

/// A value that somebody gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Of<T> {
    /// The value.
    pub value: T,
    /// Who gave it.
    pub source: Source,
}

/// What the command line and the environment give.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Given {
    /// The campaign's name.
    pub name: Option<Of<String>>,
    /// What is to be reached, in words.
    pub goal: Option<Of<String>>,
    /// The metric that is enough.
    pub target: Option<Of<f64>>,
    /// The most iterations.
    pub iterations: Option<Of<u32>>,
    /// The most time, h.
    pub hours: Option<Of<f64>>,
}

/// A setting, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its key, tables before their keys: `budget.hours`.
    pub key: String,
    /// Its value, as TOML writes it.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

fn placed<T>(value: T) -> Spanned<T> {
    Spanned { value, span: 0..0 }
}

impl Given {
    /// The same, but for what somebody gave later.
    #[must_use]
    pub fn or_earlier(self, earlier: Self) -> Self {
        Self {
            name: self.name.or(earlier.name),
            goal: self.goal.or(earlier.goal),
            target: self.target.or(earlier.target),
            iterations: self.iterations.or(earlier.iterations),
            hours: self.hours.or(earlier.hours),
        }
    }

    /// Why it cannot be taken; nothing where it can.
    pub fn mistake(&self) -> Option<&'static str> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = self.name.as_ref().map(|of| &of.value);
        if name.is_some_and(|name| name.is_empty() || !name.chars().all(is_fit)) {
            return Some("a campaign's name has letters, digits, `-` and `_` only");
        }
        if self.goal.as_ref().is_some_and(|of| of.value.trim().is_empty()) {
            return Some("the goal is empty");
        }
        if self.target.as_ref().is_some_and(|of| !of.value.is_finite()) {
            return Some("a target is a number");
        }
        if self.hours.as_ref().is_some_and(|of| of.value.is_nan() || of.value <= 0.0) {
            return Some("hours are more than 0");
        }
        let no_iterations = self.iterations.as_ref().is_some_and(|of| of.value == 0);
        no_iterations.then_some("there is at least one iteration")
    }

    /// Puts what was given in the place of what the file says.
    pub(super) fn over(&self, file: &mut CampaignFile) {
        let text = |of: &Of<String>| placed(of.value.clone());
        let number = |of: &Of<f64>| placed(of.value);
        file.name = self.name.as_ref().map(text).or(file.name.take());
        file.goal = self.goal.as_ref().map(text).or(file.goal.take());
        file.target = self.target.as_ref().map(number).or(file.target.take());
        file.budget.hours = self.hours.as_ref().map(number).or(file.budget.hours.take());
        file.budget.iterations =
            self.iterations.as_ref().map(|of| of.value).or(file.budget.iterations);
    }

    fn settings(&self) -> Vec<Setting> {
        let text = |of: &Of<String>| (Value::String(of.value.clone()), of.source);
        let number = |of: &Of<f64>| (Value::Float(of.value), of.source);
        let given = [
            ("name", self.name.as_ref().map(text)),
            ("goal", self.goal.as_ref().map(text)),
            ("target", self.target.as_ref().map(number)),
            (
                "budget.iterations",
                self.iterations.as_ref().map(|of| (Value::Integer(of.value.into()), of.source)),
            ),
            ("budget.hours", self.hours.as_ref().map(number)),
        ];
        let named = given.into_iter().filter_map(|(key, of)| Some((key, of?)));
        named
            .map(|(key, (value, source))| Setting {
                key: key.to_owned(),
                value: value.to_string(),
                source,
            })
            .collect()
    }
}

/// Keys that have a value where nobody names one.
const DEFAULTS: [(&str, &str); 2] =
    [("dirty", r#""fail""#), ("scope.edit", "the pipeline's kernel files")];

/// Every setting with its source, sorted by their keys.
pub fn settings(text: &str, given: &Given) -> Vec<Setting> {
    let mut all = given.settings();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let mut filed = Vec::new();
    flatten("", &Value::Table(table), &mut filed);
    let defaults = DEFAULTS.map(|(key, value)| Setting {
        key: key.to_owned(),
        value: value.to_owned(),
        source: Source::Default,
    });
    for setting in filed.into_iter().chain(defaults) {
        if all.iter().all(|known| known.key != setting.key) {
            all.push(setting);
        }
    }
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

/// Tables and lists of tables become keys with dots.
fn flatten(key: &str, value: &Value, into: &mut Vec<Setting>) {
    let below = |name: &str| {
        if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
    };
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                flatten(&below(name), value, into);
            }
        }
        Value::Array(all) if all.iter().any(Value::is_table) => {
            for (at, value) in all.iter().enumerate() {
                flatten(&below(&(at + 1).to_string()), value, into);
            }
        }
        _ => into.push(Setting {
            key: key.to_owned(),
            value: value.to_string(),
            source: Source::File,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::settings::load_with;

    const FILE: &str = r#"
name = "softmax"
pipeline = "candidate.toml"
target = 5.0
[agent]
run = ["my-agent"]
[[guard]]
run = ["make", "test"]
[budget]
iterations = 20
"#;

    fn given() -> Given {
        Given {
            goal: Some(Of { value: "faster".to_owned(), source: Source::Environment }),
            target: Some(Of { value: 4.0, source: Source::CommandLine }),
            iterations: Some(Of { value: 3, source: Source::Environment }),
            ..Given::default()
        }
    }

    #[test]
    fn what_is_given_counts_more_than_the_file_and_mends_what_it_lacks() {
        let load = |given: &Given| {
            load_with(std::path::Path::new("campaign.toml"), FILE.to_owned(), given).settings
        };
        assert!(load(&Given::default()).is_none(), "there is no goal");
        let settings = load(&given()).expect("it is whole");
        assert_eq!(settings.goal, "faster");
        assert_eq!((settings.rules.target, settings.rules.iterations), (Some(4.0), Some(3)));
        let later = Given {
            iterations: Some(Of { value: 9, source: Source::CommandLine }),
            ..Given::default()
        };
        let both = load(&later.or_earlier(given())).expect("it is whole");
        assert_eq!((both.rules.iterations, both.rules.target), (Some(9), Some(4.0)));
    }

    #[test]
    fn each_setting_names_its_source() {
        let all = settings(FILE, &given());
        let lines = all.iter().map(|s| format!("{} = {} ({})", s.key, s.value, s.source.words()));
        let lines: Vec<String> = lines.collect();
        let wanted = [
            "agent.run = [\"my-agent\"] (file)",
            "budget.iterations = 3 (environment)",
            "dirty = \"fail\" (default)",
            "goal = \"faster\" (environment)",
            "guard.1.run = [\"make\", \"test\"] (file)",
            "name = \"softmax\" (file)",
            "pipeline = \"candidate.toml\" (file)",
            "scope.edit = the pipeline's kernel files (default)",
            "target = 4.0 (command line)",
        ];
        assert_eq!(lines, wanted);
    }
}
