//! The number in what a command printed.

use regex::Regex;
use serde_json::Value;

use crate::pipeline::{CommandMetric, MetricSource, MetricStream, TimeUnit};

/// A metric that nobody called deterministic is taken for it only if its values have so many
/// steps: coarse ones are equal by chance.
const STEPS: f64 = 1000.0;

/// A number that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// In the metric's unit, where it has one.
    pub(super) value: f64,
    /// How often the metric was found; the last one counts.
    pub(super) matches: usize,
    /// The unit that stands at the number and that the metric says nothing of.
    pub(super) unread: Option<TimeUnit>,
}

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    /// The other stream has what the metric looks for.
    #[error("{why}; {on} has one, {text}: add stream = \"{stream}\" to the metric")]
    OtherStream {
        /// What the metric's own stream lacks.
        why: Box<Self>,
        /// Where it is.
        on: &'static str,
        /// As it is printed there.
        text: String,
        /// What to write into the metric.
        stream: &'static str,
    },
    /// What was found is something else.
    #[error("`{name}` on its {on} is `{text}`, not a number")]
    NoNumber { name: String, on: &'static str, text: String },
    /// It is in a unit that has no place here.
    #[error("`{name}` is printed in `{unit}`, which is none of ns, us, ms and s")]
    UnknownUnit { name: String, unit: String },
    /// The regular expression matches nowhere.
    #[error("nothing on its {on} matches /{pattern}/")]
    NoMatch { on: &'static str, pattern: String },
    /// It matches without a character.
    #[error("an empty match")]
    EmptyMatch,
    /// There is no JSON.
    #[error("its {on} holds no JSON document")]
    NoDocument { on: &'static str },
    /// The JSON lacks the place.
    #[error("the JSON on its {on} has nothing at {path}")]
    NothingThere { on: &'static str, path: String },
    /// The path leads to more than one value.
    #[error("{0}")]
    Several(String),
    /// The pipeline checks that it compiles.
    #[error(transparent)]
    Pattern(#[from] regex::Error),
    /// The pipeline checks that it can be understood.
    #[error(transparent)]
    Path(#[from] serde_json_path::ParseError),
}

/// What a command printed.
#[derive(Clone, Copy)]
pub(super) struct Printed<'a> {
    pub(super) stdout: &'a [u8],
    pub(super) stderr: &'a [u8],
}

impl Printed<'_> {
    fn on(&self, stream: MetricStream) -> String {
        String::from_utf8_lossy(match stream {
            MetricStream::Stdout => self.stdout,
            MetricStream::Stderr => self.stderr,
        })
        .into_owned()
    }
}

/// A number as it is printed.
struct Found {
    text: String,
    matches: usize,
    /// What the group `unit` read.
    unit: Option<String>,
    /// What stands behind the number.
    behind: String,
}

/// Reads the number.
///
/// # Errors
/// What there is in its place.
pub(super) fn read(metric: &CommandMetric, printed: &Printed<'_>) -> Result<Reading, ReadingError> {
    let found = find(metric, &printed.on(metric.stream)).map_err(|why| {
        let (other, stream) = metric.stream.other();
        match find(metric, &printed.on(other)) {
            Ok(found) => {
                let (on, text, why) = (other.words(), found.text, Box::new(why));
                ReadingError::OtherStream { why, on, text, stream }
            }
            Err(_) => why,
        }
    })?;
    let value = found.text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| {
        let (name, text) = (metric.name.clone(), found.text.clone());
        ReadingError::NoNumber { name, on: metric.stream.words(), text }
    })?;
    in_unit(metric, value, &found)
}

/// The value in the unit of its metric.
fn in_unit(metric: &CommandMetric, value: f64, found: &Found) -> Result<Reading, ReadingError> {
    let matches = found.matches;
    let behind = found.behind.trim_start_matches([' ', '\t']);
    let end = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
    let beside = TimeUnit::read(&behind[..end]);
    let Some(unit) = metric.unit else {
        return Ok(Reading { value, matches, unread: beside });
    };
    let printed = match &found.unit {
        Some(text) => Some(TimeUnit::read(text).ok_or_else(|| ReadingError::UnknownUnit {
            name: metric.name.clone(),
            unit: text.clone(),
        })?),
        None => beside,
    };
    let value = printed.map_or(value, |printed| printed.to(unit, value));
    Ok(Reading { value, matches, unread: None })
}

fn find(metric: &CommandMetric, text: &str) -> Result<Found, ReadingError> {
    let on = metric.stream.words();
    match &metric.from {
        MetricSource::Regex(pattern) => by_regex(pattern, text, on),
        MetricSource::JsonPath(path) => by_json(path, text, on),
    }
}

fn by_regex(pattern: &str, text: &str, on: &'static str) -> Result<Found, ReadingError> {
    // The pipeline has checked that it compiles.
    let regex = Regex::new(pattern)?;
    let unnamed = regex.capture_names().enumerate().skip(1);
    let first = unnamed.filter(|(_, name)| *name != Some("unit")).map(|(at, _)| at).next();
    let (mut matches, mut last) = (0, None);
    for captures in regex.captures_iter(text) {
        matches += 1;
        last = Some(captures);
    }
    let last = last.ok_or_else(|| ReadingError::NoMatch { on, pattern: pattern.to_owned() })?;
    let number = last.name("value").or_else(|| first.and_then(|at| last.get(at)));
    let number = number.or_else(|| last.get(0)).ok_or(ReadingError::EmptyMatch)?;
    Ok(Found {
        text: number.as_str().to_owned(),
        matches,
        unit: last.name("unit").map(|unit| unit.as_str().to_owned()),
        behind: text[number.end()..].chars().take(16).collect(),
    })
}

/// The last line or text from the first brace that is a JSON document.
fn by_json(path: &str, text: &str, on: &'static str) -> Result<Found, ReadingError> {
    let parsed = serde_json_path::JsonPath::parse(path)?;
    let document = text
        .lines()
        .rev()
        .filter(|l| l.trim_start().starts_with(['{', '[']))
        .find_map(|l| serde_json::from_str::<Value>(l).ok())
        .or_else(|| {
            let start = text.find(['{', '['])?;
            serde_json::from_str(&text[start..]).ok()
        })
        .ok_or(ReadingError::NoDocument { on })?;
    match parsed.query(&document).all()[..] {
        [value] => {
            let text = match value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            let number = text.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
            let behind = text[number.len()..].to_owned();
            let is_time = TimeUnit::read(&behind).is_some();
            let (text, behind) = if is_time { (number, behind) } else { (text, String::new()) };
            Ok(Found { text, matches: 1, unit: None, behind })
        }
        [] => Err(ReadingError::NothingThere { on, path: path.to_owned() }),
        ref several => Err(ReadingError::Several(too_many(path, several, on))),
    }
}

/// Several values are not one number.
fn too_many(path: &str, values: &[&Value], on: &str) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<String> = values.iter().take(SHOWN).map(|value| short(value)).collect();
    if values.len() > SHOWN {
        shown.push("…".to_owned());
    }
    let one = path.replacen("[*]", "[0]", 1);
    let one = if one == path { "$.results[0].time".to_owned() } else { one };
    let filter = path.replacen("[*]", "[?@.name==\"mean\"]", 1);
    let or = if filter == path { String::new() } else { format!(", or by its name: {filter}") };
    format!(
        "the JSON on its {on} has {} values at {path} ({}): name one, as in {one}{or}",
        values.len(),
        shown.join(", ")
    )
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 24;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Whole numbers of some size: cycles, instructions, bytes.
pub(super) fn has_many_steps(value: f64) -> bool {
    value.abs() >= STEPS && value.fract() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Direction, MetricScale};

    fn metric(from: MetricSource) -> CommandMetric {
        CommandMetric {
            name: "m".to_owned(),
            from,
            stream: MetricStream::Stdout,
            unit: None,
            better: Direction::Lower,
            scale: MetricScale::Ratio,
            deterministic: None,
        }
    }

    fn regex(pattern: &str) -> CommandMetric {
        metric(MetricSource::Regex(pattern.to_owned()))
    }

    fn json(path: &str) -> CommandMetric {
        metric(MetricSource::JsonPath(path.to_owned()))
    }

    fn on_stdout(metric: &CommandMetric, text: &str) -> Result<Reading, ReadingError> {
        read(metric, &Printed { stdout: text.as_bytes(), stderr: b"" })
    }

    fn check(metric: &CommandMetric, text: &str, expected: Result<(f64, usize), &str>) {
        match (on_stdout(metric, text), expected) {
            (Ok(got), Ok((value, matches))) => {
                assert!((got.value / value - 1.0).abs() < 1e-12, "{text}: {got:?}");
                assert_eq!(got.matches, matches, "{text}");
            }
            (Err(got), Err(part)) => assert!(got.to_string().contains(part), "{got}"),
            (got, want) => panic!("{text}: {got:?}, wanted {want:?}"),
        }
    }

    #[test]
    fn the_last_match_of_a_regex_counts_and_all_are_counted() {
        let cycles = regex(r"CYCLES: (\d+)");
        check(&cycles, "CYCLES: 12\nCYCLES: 34\n", Ok((34.0, 2)));
        check(&cycles, "nothing", Err("nothing on its standard output matches"));
        check(&regex("[a-z]+"), "abc", Err("not a number"));
        check(&regex(r"\d+\.\d+"), "t 1.5 s", Ok((1.5, 1)));
        check(&regex(r"(\w+): (?<value>\d+)"), "a: 7", Ok((7.0, 1)));
    }

    #[test]
    fn a_json_path_reads_the_last_document() {
        let mean = json("$.results[0].mean");
        let two = "noise\n{\"results\":[{\"mean\":1}]}\n{\"results\":[{\"mean\":2.5}]}\n";
        check(&mean, two, Ok((2.5, 1)));
        check(&mean, "log\n{\n \"results\": [{\"mean\": \"7\"}]\n}\n", Ok((7.0, 1)));
        check(&mean, "{\"results\":[]}", Err("has nothing at $.results[0].mean"));
        check(&mean, "plain", Err("standard output holds no JSON"));
    }

    #[test]
    fn several_nodes_of_a_json_path_are_no_number() {
        let text = r#"{"b":[{"name":"mean","t":1.5},{"name":"cv","t":0.0054}]}"#;
        check(&json("$.b[*].t"), text, Err("has 2 values at $.b[*].t (1.5, 0.0054)"));
        check(&json("$.b[*].t"), text, Err("as in $.b[0].t"));
        check(&json("$.b[?@.name==\"mean\"].t"), text, Ok((1.5, 1)));
    }

    #[test]
    fn standard_error_is_read_when_it_is_named_and_hinted_at_when_it_is_not() {
        let time = regex(r"time: (\d+)");
        let printed = Printed { stdout: b"hello\n", stderr: b"time: 99 us\n" };
        let why = read(&time, &printed).expect_err("not on standard output");
        let why = why.to_string();
        assert!(why.contains("standard error has one, 99: add stream = \"stderr\""), "{why}");
        let there = CommandMetric { stream: MetricStream::Stderr, ..time };
        let got = read(&there, &printed).expect("on standard error");
        assert!((got.value - 99.0).abs() < 1e-12, "{got:?}");
    }

    #[test]
    fn times_are_read_in_one_unit() {
        let us = |pattern: &str| CommandMetric { unit: Some(TimeUnit::Us), ..regex(pattern) };
        let grouped = us(r"time: ([0-9.]+) ?(?<unit>\S+)");
        check(&grouped, "time: 930.1 us", Ok((930.1, 1)));
        check(&grouped, "time: 1.302 ms", Ok((1302.0, 1)));
        check(&grouped, "time: 7 \u{b5}s", Ok((7.0, 1)));
        check(&grouped, "time: 7 MB", Err("`m` is printed in `MB`"));
        // Without a group what stands behind the number counts, if anything does.
        let plain = us("time: ([0-9.]+)");
        check(&plain, "time: 1.302 ms", Ok((1302.0, 1)));
        check(&plain, "time: 1.302ms (p50)", Ok((1302.0, 1)));
        check(&plain, "time: 930.1", Ok((930.1, 1)));
        let quoted = CommandMetric { unit: Some(TimeUnit::Us), ..json("$.t") };
        check(&quoted, r#"{"t":"1.302 ms"}"#, Ok((1302.0, 1)));
    }

    #[test]
    fn a_unit_that_nobody_asked_for_is_noticed() {
        let unread =
            |text: &str| on_stdout(&regex("time: ([0-9.]+)"), text).expect("a number").unread;
        assert_eq!(unread("time: 930.1 us"), Some(TimeUnit::Us));
        assert_eq!(unread("time: 1.302ms"), Some(TimeUnit::Ms));
        assert_eq!(unread("time: 5 steps"), None);
        assert_eq!(unread("time: 5"), None);
    }
}
