//! How a command's number is read: what is written, checked.

use super::checked::Form;
use super::resolver::Resolver;
use crate::diagnostic::Spanned;
use crate::pipeline::values::PrintedMetric;
use crate::pipeline::{
    CommandMetric, Direction, MetricScale, MetricSource, MetricStream, TimeUnit,
};

/// The group of a metric's regular expression that reads a unit.
const UNIT_GROUP: &str = "unit";

impl Resolver<'_> {
    /// How a command's number is read.
    pub(super) fn printed_metric(
        &mut self,
        metric: &PrintedMetric,
        all: &Spanned<()>,
    ) -> CommandMetric {
        let name = &metric.name;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || ["passed", "seconds"].contains(&name.as_str()) {
            let label = if is_name { "every stage has this one" } else { "not a name" };
            self.findings
                .at("bad-name", format!("bad metric name `{}`", name.value), &name.span, label)
                .help("use letters, digits and `_`: `when` reads it as STAGE.NAME");
        }
        let from = match (&metric.regex, &metric.json) {
            (Some(regex), None) => self.metric_source(Form::Regex, regex),
            (None, Some(path)) => self.metric_source(Form::JsonPath, path),
            (Some(regex), Some(path)) => {
                let message = "a metric is read either way, not both";
                self.findings
                    .at("bad-metric", message, &path.span, "`json` here")
                    .and(&regex.span, "`regex` here")
                    .help("remove one of the two");
                MetricSource::Regex(regex.value.clone())
            }
            (None, None) if self.findings.any_in_table(&all.span) => {
                MetricSource::Regex(String::new())
            }
            (None, None) => {
                let help = "give a `regex` or a `json` path";
                let message = "the metric does not say how it is read";
                self.findings
                    .at("bad-metric", message, &all.span, "neither `regex` nor `json`")
                    .help(help);
                MetricSource::Regex(String::new())
            }
        };
        let better = metric.better.unwrap_or(Direction::Lower);
        let scale = metric.scale.unwrap_or(MetricScale::Ratio);
        let deterministic = metric.deterministic;
        let stream = metric.stream.unwrap_or(MetricStream::Stdout);
        let unit = metric.unit.or_else(|| TimeUnit::of_name(name));
        if let Some(regex) = &metric.regex {
            self.unit_group(regex, unit);
        }
        let unit = unit.filter(|_| metric.unit.is_some() || reads_unit(&from));
        let name = name.value.clone();
        CommandMetric { name, from, stream, unit, better, scale, deterministic }
    }

    fn metric_source(&mut self, form: Form, text: &Spanned<String>) -> MetricSource {
        if let Err(label) = self.checked.check(form, text) {
            let (code, what, help) = match form {
                Form::JsonPath => {
                    ("bad-json-path", "JSON path", "a path starts with `$`: $.time.median")
                }
                _ => (
                    "bad-regex",
                    "regular expression",
                    "in TOML, '…' keeps backslashes as they are",
                ),
            };
            let message = format!("bad {what} `{}`", text.value);
            self.findings.at(code, message, &text.span, label).help(help);
        }
        match form {
            Form::JsonPath => MetricSource::JsonPath(text.value.clone()),
            _ => MetricSource::Regex(text.value.clone()),
        }
    }

    /// A unit is read beside a number, and turned into a unit that is known.
    fn unit_group(&mut self, regex: &Spanned<String>, unit: Option<TimeUnit>) {
        let groups = groups(regex);
        let is_unit = |name: &Option<String>| name.as_deref() == Some(UNIT_GROUP);
        if !groups.iter().any(is_unit) {
            return;
        }
        if groups.iter().all(is_unit) {
            let message = "the metric reads a unit and no number";
            self.findings
                .at("bad-metric", message, &regex.span, "only the group `unit`")
                .help(r"give the number a group as well: 'time: ([0-9.]+) ?(?<unit>\w+)'");
        }
        if unit.is_none() {
            let message = "the metric reads a unit, and does not say what it is given in";
            self.findings
                .at("bad-metric", message, &regex.span, "the group `unit`")
                .help("add unit = \"us\" (or ns, ms, s) to the metric");
        }
    }
}

/// Whether a unit is read with the number.
fn reads_unit(from: &MetricSource) -> bool {
    matches!(from, MetricSource::Regex(pattern) if groups(pattern).contains(&Some(UNIT_GROUP.to_owned())))
}

/// The names of the groups, from the first one on; nothing where it does not compile.
fn groups(pattern: &str) -> Vec<Option<String>> {
    let Ok(regex) = regex::Regex::new(pattern) else { return Vec::new() };
    regex.capture_names().skip(1).map(|name| name.map(str::to_owned)).collect()
}
