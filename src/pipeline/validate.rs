//! Checks of single values, and of what `when` says about other stages.

use std::collections::HashMap;

use super::draft::Draft;
use super::file::Kind;
use super::findings::{Findings, did_you_mean};
use super::resolve::Resolver;
use super::upstream::Upstream;
use super::values::BENCH_METRICS;
use super::variables::Scope;
use super::when::Condition;
use super::{Incumbent, Stage, Work, duration};
use crate::diagnostic::Spanned;
use crate::stats::Metrics;

/// JSON paths with brackets deeper than this take the parser twice as long for each level.
const DEEPEST_PATH: usize = 8;

/// Texts that were already compiled once, so that a thousand stages with one regex cost one.
#[derive(Default)]
pub(super) struct Checked {
    texts: HashMap<(Form, String), Result<(), String>>,
}

/// What a checked text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Regex,
    JsonPath,
    Glob,
}

impl Checked {
    /// Compiles `text` as `form`.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn check(&mut self, form: Form, text: &str) -> Result<(), String> {
        let key = (form, text.to_owned());
        self.texts.entry(key).or_insert_with(|| compile(form, text)).clone()
    }
}

fn compile(form: Form, text: &str) -> Result<(), String> {
    match form {
        Form::Regex => regex::Regex::new(text).map(|_| ()).map_err(|error| {
            // The last line says what; those above draw the pattern again.
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }),
        Form::JsonPath if depth(text) > DEEPEST_PATH => {
            Err(format!("brackets more than {DEEPEST_PATH} deep"))
        }
        Form::JsonPath => serde_json_path::JsonPath::parse(text)
            .map(|_| ())
            .map_err(|error| format!("at character {}: {}", error.position() + 1, error.message())),
        Form::Glob => globset::GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map(|_| ())
            .map_err(|error| error.kind().to_string()),
    }
}

/// How deep brackets of all kinds stand in each other.
fn depth(text: &str) -> usize {
    let mut depth: usize = 0;
    let mut deepest = 0;
    for c in text.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

impl Findings {
    /// Milliseconds of a duration; `otherwise` when it is not given or wrong.
    pub(super) fn duration(
        &mut self,
        key: &str,
        text: Option<&Spanned<String>>,
        otherwise: u64,
    ) -> u64 {
        let Some(text) = text else { return otherwise };
        match duration::parse(text) {
            Ok(ms) => ms,
            Err(label) => {
                let message = format!("bad duration `{}` for `{key}`", text.value);
                self.at("bad-duration", message, &text.span, label)
                    .help("a duration is a number and a unit: 500ms, 60s, 2m, 1h");
                otherwise
            }
        }
    }

    /// Like [`Self::duration`], where `none` is no limit and zero is refused.
    pub(super) fn timeout(&mut self, text: Option<&Spanned<String>>, otherwise: u64) -> u64 {
        match text {
            Some(text) if text.value == "none" => 0,
            Some(text) => {
                let ms = self.duration("timeout", Some(text), otherwise);
                if ms == 0 && duration::parse(text) == Ok(0) {
                    self.at(
                        "bad-duration",
                        "`timeout` must not be zero",
                        &text.span,
                        "no time at all",
                    )
                    .help("for no limit, write timeout = \"none\"");
                }
                ms
            }
            None => otherwise,
        }
    }

    /// Looks must rise, and start above zero.
    pub(super) fn repeats(&mut self, looks: &[Spanned<u32>], span: &std::ops::Range<usize>) {
        if looks.is_empty() {
            self.at("empty", "`repeats` must not be empty", span, "an empty list");
        }
        let mut before = 0;
        for look in looks {
            if look.value == 0 {
                let message = "`repeats` must be above zero";
                self.at("bad-repeats", message, &look.span, "no launch at all");
                return;
            }
            if look.value <= before {
                let label = format!("not above {before}");
                self.at("bad-repeats", "`repeats` must rise", &look.span, label)
                    .help("each number is the total of launches at that look: [8, 16, 32]");
                return;
            }
            before = look.value;
        }
    }
}

impl Resolver<'_> {
    /// The condition of a stage, checked against what the stages above it give.
    pub(super) fn when(
        &mut self,
        index: usize,
        drafts: &[Draft],
        graph: &Upstream<'_>,
    ) -> Option<String> {
        let draft = &drafts[index];
        let written = draft.when.as_ref()?;
        let scope = Scope { stage: Some(&draft.name), ..Scope::default() };
        let before = self.findings.list.len();
        let text = self.variables.expand(written, scope, &mut self.findings);
        if self.findings.list.len() > before {
            return None;
        }
        let condition = match Condition::parse(&text) {
            Ok(condition) => condition,
            Err(mistake) => {
                let span = self.findings.inside(&written.span, &text, &mistake.span);
                let message = format!("bad condition for `{}`", draft.name.value);
                self.findings
                    .at("bad-when", message, &span, mistake.to_string())
                    .help("a condition is such as `candidate.median_us < 900`");
                return None;
            }
        };
        if self.dashed_name(written, drafts) {
            return None;
        }
        for name in condition.names() {
            let span = self.findings.inside(&written.span, &text, &name.span);
            self.result_name(&Spanned::new(name.text, span), index, drafts, graph);
        }
        (self.findings.list.len() == before).then_some(text)
    }

    /// True when a stage is named with its dash, which reads as a minus; this is told.
    fn dashed_name(&mut self, written: &Spanned<String>, drafts: &[Draft]) -> bool {
        let dashed = drafts
            .iter()
            .map(|draft| draft.name.value.as_str())
            .find(|name| name.contains('-') && written.contains(&format!("{name}.")));
        let Some(name) = dashed else { return false };
        let span = self.findings.within(&written.span, name);
        let label = format!("reads as a difference: write `{}`", name.replace('-', "_"));
        self.findings
            .at("bad-when", format!("`{name}` has a dash"), &span, label)
            .help("in `when`, a `-` of a stage's name is written as `_`");
        true
    }

    fn result_name(
        &mut self,
        name: &Spanned<&str>,
        index: usize,
        drafts: &[Draft],
        graph: &Upstream<'_>,
    ) {
        let Spanned { value: name, span } = name;
        let (stage_name, result) = name.split_once('.').unwrap_or((*name, ""));
        let plain = |draft: &Draft| draft.name.replace('-', "_");
        let Some(other) = drafts.iter().position(|draft| plain(draft) == stage_name) else {
            let names: Vec<String> = drafts.iter().map(plain).collect();
            let label = did_you_mean(stage_name, names.iter().map(String::as_str), "no such stage");
            self.findings
                .at("unknown-stage", format!("`when` names unknown `{name}`"), span, label)
                .help("a result is STAGE.RESULT; write a `-` of a stage's name as `_`");
            return;
        };
        if !graph.reaches(index, other) {
            let needed = &drafts[other].name.value;
            let message = format!("`when` looks at `{needed}`, which may not have run yet");
            let label = format!("`{}` does not need `{needed}`", drafts[index].name.value);
            let help = format!("add \"{needed}\" to its `needs`");
            self.findings.at("not-upstream", message, span, label).help(help);
            return;
        }
        let Some(stage) = &drafts[other].stage else {
            return;
        };
        let results = stage.results();
        if !results.contains(&result) {
            let label = did_you_mean(result, results.iter().copied(), "no such result");
            let message = format!("stage `{}` has no result `{result}`", stage.name);
            self.findings.at("unknown-result", message, span, label).help(format!(
                "results of `{}`: {}",
                stage.name,
                results.join(", ")
            ));
        }
    }

    /// Tells of keys that stages of this kind do not have.
    pub(super) fn fitting_keys(&mut self, name: &str, file: &super::file::StageFile, kind: Kind) {
        for (key, span, fits) in file.particular_keys().filter(|(_, _, fits)| !fits.has(kind)) {
            let message = format!("`{key}` does not fit `{name}`, a {} stage", kind.name());
            let label = format!("only {} have it", fits.describe());
            self.findings.at("misplaced-key", message, &span, label);
        }
    }
}

/// What a comparison adds to a stage's results; all 0 where there was nothing to compare with.
pub const COMPARED: [&str; 4] =
    [Metrics::GAIN, Metrics::GAIN_LOWER, Metrics::GAIN_UPPER, Metrics::PAIRS];

impl Stage {
    /// Names of the numbers that it gives to `when` and to the result table.
    pub fn results(&self) -> Vec<&str> {
        let mut results = vec!["passed", "seconds"];
        match self.variants.first().map(|variant| &variant.work) {
            Some(Work::Bench(_)) => {
                results.extend(BENCH_METRICS);
                results.extend([
                    Metrics::LAUNCHES,
                    Metrics::PROCESSES,
                    "stopped_early",
                    "unstable",
                    Metrics::MEDIAN_LOWER_US,
                    Metrics::MEDIAN_UPPER_US,
                ]);
                results.extend(COMPARED);
            }
            Some(Work::Check(_)) => {
                results.extend([Metrics::CASES, Metrics::MISMATCHES, Metrics::MAX_ERROR]);
            }
            Some(Work::Command(command)) => {
                results.extend(command.metric.as_ref().map(|metric| metric.name.as_str()));
                if command.incumbent != Incumbent::None {
                    results.extend(COMPARED);
                }
            }
            None => {}
        }
        results
    }
}
