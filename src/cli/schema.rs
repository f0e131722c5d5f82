//! `optloop schema`: JSON schemas of the files that people write, of the lines that
//! `pipeline --format json` prints, and of what is recorded about runs.

mod decisions;
mod explain;

use std::path::Path;

use serde_json::{Value, json};

use super::args::SchemaArgs;
use super::exit::Exit;
use super::session::Refusal;
use super::ui::Ui;
use crate::diagnostic::nearest;
use crate::engine::event::EVENT_VERSION;
use crate::problem::file::ProblemFile;

/// Prints the one that is asked for, or all; or writes them into a folder.
pub(super) fn run(args: &SchemaArgs, ui: &Ui) -> Exit {
    let mut wanted = all();
    if let Some(name) = &args.name {
        wanted.retain(|(n, _)| n == name);
        if wanted.is_empty() {
            return ui.refuse(&unknown(name));
        }
    }
    match &args.out {
        Some(dir) => match write(dir, &wanted) {
            Ok(()) => Exit::Ok,
            Err(e) => {
                let words = format!("cannot write schemas to {}: {e}", dir.display());
                ui.refuse(&Refusal::Words(words, None, Exit::User))
            }
        },
        None if args.name.is_some() => {
            ui.line(&text(&wanted[0].1));
            Exit::Ok
        }
        None => {
            let map = wanted.into_iter().map(|(n, schema)| (n.to_owned(), schema)).collect();
            ui.line(&text(&Value::Object(map)));
            Exit::Ok
        }
    }
}

fn all() -> Vec<(&'static str, Value)> {
    let mut all: Vec<(&str, Value)> = crate::pipeline::schemas()
        .into_iter()
        .map(|(name, schema)| (if name == "stage" { "preset" } else { name }, schema))
        .collect();
    let mut problem = schemars::schema_for!(ProblemFile).to_value();
    problem["title"] = "optloop problem".into();
    all.push(("problem", problem));
    all.push(("event", event()));
    all.extend(crate::record::schemas());
    all
}

fn unknown(name: &str) -> Refusal {
    let names: Vec<&str> = all().into_iter().map(|(n, _)| n).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    Refusal::Words(format!("there is no schema `{name}`"), Some(hint), Exit::Usage)
}

fn text(schema: &Value) -> String {
    // Plain JSON values always encode.
    serde_json::to_string_pretty(schema).unwrap_or_default()
}

fn write(dir: &Path, schemas: &[(&str, Value)]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, schema) in schemas {
        std::fs::write(dir.join(format!("{name}.schema.json")), text(schema) + "\n")?;
    }
    Ok(())
}

/// Written by hand: `serde`'s view of the events is what is promised, and a test holds the two
/// together.
fn event() -> Value {
    let mut lines = vec![
        line("run_started", "Work is about to begin.", &run_started()),
        line(
            "waiting",
            "Something else holds what this run needs.",
            &[("what", string("What is waited for.")), ("holder", string("Who holds it."))],
        ),
        line("stage_started", "A stage starts.", &stage_started()),
        line(
            "look",
            "A comparison looked at its pairs.",
            &[("stage", string("Which stage.")), ("look", look())],
        ),
        line(
            "retrying",
            "An infrastructure failure is tried again.",
            &[("stage", string("Which stage.")), ("message", string("What went wrong."))],
        ),
        line(
            "input_changed",
            "Inputs changed while a stage read them: its result is not kept.",
            &[
                ("stage", string("Which stage.")),
                ("files", list(&string("A file."), "Which files.")),
            ],
        ),
        line("stage_finished", "A stage ended, or its result was known.", &stage_finished()),
        line("notice", "Anything else people should know.", &[("text", string("In words."))]),
        line("run_finished", "The run ended.", &run_finished()),
        line(
            "error",
            "Why nothing can be done.",
            &[
                ("message", string("What is wrong.")),
                ("help", maybe("string", "What to do about it.")),
                ("exit", whole("The exit code.")),
            ],
        ),
        line("diagnostic", "A mistake in a file.", &diagnostic()),
        line("kept", "A candidate is the incumbent now.", &decisions::kept()),
        line("reverted", "The incumbent's files are back.", &decisions::reverted()),
        line("best", "The best of a problem, or that there is none.", &decisions::best()),
        line("best_set", "A kernel was made the best.", &decisions::best_set()),
        line("best_reset", "There is no best any more.", &decisions::best_changed()),
        line(
            "best_undone",
            "The last change of the best was taken back.",
            &decisions::best_changed(),
        ),
        line("anchored", "The best was held against the baseline.", &decisions::anchored()),
        line(
            "replayed",
            "A verdict was found again from recorded launches.",
            &decisions::replayed(),
        ),
    ];
    lines.extend(explain::lines());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "optloop event",
        "description": format!(
            "One line of `--format json` of `optloop pipeline`, `compare`, `calibrate`, `keep`, \
             `revert`, `replay`, `best` and `explain`, version {EVENT_VERSION}. Readers leave out events and keys that they do not \
             know."
        ),
        "oneOf": lines,
    })
}

type Keys = Vec<(&'static str, Value)>;

fn run_started() -> Keys {
    vec![
        ("version", json!({"const": EVENT_VERSION, "description": "Of these lines."})),
        ("run", string("Unique name of this run: time and process.")),
        ("pipeline", string("The pipeline's name.")),
        ("at", string("When, RFC 3339.")),
        ("stages", whole("Stages asked for, with what they need.")),
        ("doubted", whole("Those that have to be looked at.")),
    ]
}

fn stage_started() -> Keys {
    vec![
        ("stage", string("Its name.")),
        ("kind", kind()),
        (
            "reason",
            tagged(
                "why",
                "Why its result is not known.",
                &[
                    ("never_ran", &[]),
                    ("forced", &[]),
                    ("always", &[]),
                    ("no_inputs", &[]),
                    ("unfinished", &[]),
                    ("not_passed", &[]),
                    ("changed", &[("changes", list(&change(), "Fields of its key that changed."))]),
                    ("output_lost", &[("file", string("Which file."))]),
                ],
            ),
        ),
        ("expected_us", whole("How long it took the last time, microseconds; 0 when unknown.")),
    ]
}

fn stage_finished() -> Keys {
    let numbers = json!({"type": "number"});
    vec![
        ("stage", string("Its name.")),
        ("kind", kind()),
        (
            "outcome",
            tagged(
                "how",
                "How it ended.",
                &[
                    ("ran", &[]),
                    ("cached", &[]),
                    (
                        "restored",
                        &[("files", list(&string("A file."), "Files that were put back."))],
                    ),
                    ("failed", &[("failure", failure())]),
                    (
                        "skipped",
                        &[("because", string("The condition, or the skipped stage it follows."))],
                    ),
                    ("blocked", &[("by", string("The stage that did not pass."))]),
                ],
            ),
        ),
        ("key", string("Its key in hexadecimal; all zero when it has none.")),
        (
            "metrics",
            json!({
                "type": "object", "additionalProperties": numbers, "description": "Named numbers.",
            }),
        ),
        ("detail", json!({"description": "The stage kind's own record."})),
        ("log", string("What it printed; of a known result, what it printed then.")),
        ("command", list(&string("A word."), "The exact command, for stages that run one.")),
        (
            "exit_code",
            json!({
                "type": ["integer", "null"],
                "description": "The exit code of its command, where one was seen to exit.",
            }),
        ),
        ("finished_ms", whole("When the result was made, ms since the epoch.")),
        ("duration_us", whole("How long that took, microseconds.")),
        ("artifact", string("The artifact, relative to the state folder; empty for none.")),
        (
            "implicit",
            json!({
                "type": "boolean", "description": "Made by the plan rather than named in the file.",
            }),
        ),
        (
            "fields",
            json!({
                "type": "array",
                "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
                "description": "What its key was made of: names and values.",
            }),
        ),
    ]
}

fn run_finished() -> Keys {
    vec![
        ("ran", whole("Stages that ran and passed.")),
        ("cached", whole("Stages whose result was known.")),
        ("failed", whole("Stages that did not pass.")),
        ("skipped", whole("Stages whose condition did not hold.")),
        ("blocked", whole("Stages that were kept from running.")),
        ("interrupted", json!({"type": "boolean", "description": "True after Ctrl-C."})),
        ("wall_ms", whole("Wall time, ms.")),
    ]
}

fn diagnostic() -> Keys {
    let span = json!({"type": "array", "items": {"type": "integer"}});
    let span = json!({"oneOf": [span, {"type": "null"}], "description": "Bytes: first and end."});
    vec![
        ("code", string("The mistake's short name.")),
        ("message", string("What is wrong.")),
        ("file", maybe("string", "Where.")),
        ("line", maybe("integer", "From 1.")),
        ("column", maybe("integer", "From 1.")),
        ("span", span),
        ("label", maybe("string", "What stands under the caret.")),
        ("help", maybe("string", "What to do about it.")),
    ]
}

fn look() -> Value {
    object(&[
        ("pairs", whole("Pairs so far.")),
        ("estimate", number("Logarithm of the incumbent's time over the candidate's.")),
        ("lower", maybe("number", "Its lower bound, where there are pairs enough.")),
        ("upper", maybe("number", "Its upper bound, where there are pairs enough.")),
        ("next", string("What follows from it.")),
    ])
}

fn kind() -> Value {
    json!({
        "enum": ["command", "compile", "check", "bench", "best"],
        "description": "What kind of stage it is.",
    })
}

fn change() -> Value {
    object(&[
        ("field", string("Its name.")),
        ("old", maybe("string", "What it was; null when it is new.")),
        ("new", maybe("string", "What it is; null when it is gone.")),
    ])
}

fn failure() -> Value {
    object(&[
        (
            "class",
            json!({
                "enum": [
                    "failed", "wrong", "crashed", "timed_out", "cheating", "too_slow", "not_better",
                    "inconclusive", "too_noisy", "incumbent", "implausible", "no_device",
                    "infrastructure", "setup", "defect", "interrupted", "problem",
                ],
                "description": "Only infrastructure failures are tried again.",
            }),
        ),
        ("message", string("What happened.")),
    ])
}

fn string(words: &str) -> Value {
    json!({"type": "string", "description": words})
}

fn maybe(kind: &str, words: &str) -> Value {
    json!({"type": [kind, "null"], "description": words})
}

fn number(words: &str) -> Value {
    json!({"type": "number", "description": words})
}

fn whole(words: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": words})
}

fn list(items: &Value, words: &str) -> Value {
    json!({"type": "array", "items": items, "description": words})
}

fn object(keys: &[(&'static str, Value)]) -> Value {
    let required: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    let keys: serde_json::Map<String, Value> =
        keys.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": keys, "required": required})
}

/// An object told apart from others by the word under `tag`.
fn tagged(tag: &'static str, words: &str, variants: &[(&str, &[(&'static str, Value)])]) -> Value {
    let one_of: Vec<Value> = variants
        .iter()
        .map(|(name, keys)| {
            let mut all = vec![(tag, json!({ "const": name }))];
            all.extend_from_slice(keys);
            object(&all)
        })
        .collect();
    json!({"oneOf": one_of, "description": words})
}

fn line(event: &str, words: &str, keys: &[(&'static str, Value)]) -> Value {
    let mut all = vec![("event", json!({ "const": event }))];
    all.extend_from_slice(keys);
    let mut schema = object(&all);
    schema["description"] = words.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{Reason, RunStarted, StageFinished};
    use crate::engine::stage::{Failure, FailureClass, Look};
    use crate::engine::{Event, Outcome, RunFinished};
    use crate::plan::StageKind;
    use crate::plan::key::Change;

    fn keys(value: &Value) -> Vec<String> {
        let mut keys: Vec<String> =
            value.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        keys.sort();
        keys
    }

    /// Holds a value to the small part of JSON Schema that the schema above uses.
    fn check(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
        if let Some(variants) = schema["oneOf"].as_array() {
            let fits: Vec<_> = variants.iter().map(|v| check(value, v, at)).collect();
            return match fits.iter().filter(|f| f.is_ok()).count() {
                1 => Ok(()),
                n => Err(format!("{at}: {n} of {} variants fit: {fits:?}", fits.len())),
            };
        }
        if let Some(constant) = schema.get("const") {
            return if constant == value { Ok(()) } else { Err(format!("{at}: not {constant}")) };
        }
        if let Some(choices) = schema["enum"].as_array() {
            let fits = choices.contains(value);
            return if fits {
                Ok(())
            } else {
                Err(format!("{at}: {value} is none of {choices:?}"))
            };
        }
        if schema["type"] == "object" && schema.get("properties").is_some() {
            if keys(value) != keys(&schema["properties"]) {
                return Err(format!(
                    "{at}: {:?} are not {:?}",
                    keys(value),
                    keys(&schema["properties"])
                ));
            }
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                check(&value[name], inner, &format!("{at}.{name}"))?;
            }
            return Ok(());
        }
        for item in value.as_array().into_iter().flatten() {
            if let Some(items) = schema.get("items") {
                check(item, items, &format!("{at}[]"))?;
            }
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let fits = match &schema["type"] {
            Value::Null => true,
            Value::String(t) => t == kind,
            types => types.as_array().is_some_and(|types| types.contains(&kind.into())),
        };
        if fits { Ok(()) } else { Err(format!("{at}: {kind} is not {}", schema["type"])) }
    }

    fn finished(outcome: Outcome) -> Event {
        Event::StageFinished(Box::new(StageFinished {
            fields: vec![("a".to_owned(), "b".to_owned())],
            ..StageFinished::empty(StageKind::Bench, outcome)
        }))
    }

    fn started(reason: Reason) -> Event {
        let (stage, kind) = ("s".to_owned(), StageKind::Check);
        Event::StageStarted { stage, kind, reason, expected_us: 3 }
    }

    fn look() -> Look {
        let next = "go on".to_owned();
        Look { pairs: 8, estimate: 0.1, lower: None, upper: Some(0.2), next }
    }

    fn samples() -> Vec<Event> {
        let text = || "x".to_owned();
        let change = Change { field: text(), old: None, new: Some(text()) };
        let classes = [
            FailureClass::Failed,
            FailureClass::Wrong,
            FailureClass::Crashed,
            FailureClass::TimedOut,
            FailureClass::Cheating,
            FailureClass::TooSlow,
            FailureClass::NotBetter,
            FailureClass::Inconclusive,
            FailureClass::TooNoisy,
            FailureClass::Incumbent,
            FailureClass::Implausible,
            FailureClass::NoDevice,
            FailureClass::Infrastructure,
            FailureClass::Setup,
            FailureClass::Defect,
            FailureClass::Interrupted,
            FailureClass::Problem,
        ];
        let failed = |class| Outcome::Failed { failure: Failure { class, message: text() } };
        let outcomes = [
            Outcome::Ran,
            Outcome::Cached,
            Outcome::Restored { files: vec![text()] },
            Outcome::Skipped { because: text() },
            Outcome::Blocked { by: text() },
        ];
        let reasons = [
            Reason::NeverRan,
            Reason::Forced,
            Reason::Always,
            Reason::NoInputs,
            Reason::Unfinished,
            Reason::NotPassed,
            Reason::Changed { changes: vec![change] },
            Reason::OutputLost { file: text() },
        ];
        let run = RunStarted {
            version: EVENT_VERSION,
            run: text(),
            pipeline: text(),
            at: text(),
            stages: 1,
            doubted: 1,
        };
        let mut all = vec![
            Event::RunStarted(run),
            Event::Waiting { what: text(), holder: text() },
            Event::Retrying { stage: text(), message: text() },
            Event::Look { stage: text(), look: look() },
            Event::InputChanged { stage: text(), files: vec![text()] },
            Event::Notice { text: text() },
            Event::RunFinished(RunFinished::default()),
        ];
        all.extend(reasons.map(started));
        all.extend(outcomes.map(finished));
        all.extend(classes.map(|class| finished(failed(class))));
        all
    }

    #[test]
    fn every_event_is_as_its_schema_says_to_the_last_key() {
        let schema = event();
        for sample in samples() {
            let value = serde_json::to_value(&sample).expect("encodes");
            check(&value, &schema, "event").unwrap_or_else(|e| panic!("{e}\n{value}"));
        }
        let odd = json!({"event": "notice", "text": "x", "more": 1});
        assert!(check(&odd, &schema, "event").is_err());
    }

    #[test]
    fn every_decision_is_as_its_schema_says() {
        for value in decisions::samples() {
            check(&value, &event(), "event").unwrap_or_else(|e| panic!("{e}\n{value}"));
        }
    }

    #[test]
    fn a_diagnostic_is_as_its_schema_says() {
        use crate::diagnostic::{Diagnostic, Source};
        let source = std::sync::Arc::new(Source::new("p.toml", "x = 1"));
        let bare = Diagnostic::new("code", "message");
        let whole = Diagnostic::new("code", "message").at(&source, 0..1, "here").help("do it");
        for diagnostic in [bare, whole] {
            let mut value = diagnostic.to_json();
            value["event"] = "diagnostic".into();
            check(&value, &event(), "event").unwrap_or_else(|e| panic!("{e}\n{value}"));
        }
    }

    #[test]
    fn there_is_a_schema_for_every_file_that_people_write() {
        for (name, key) in [
            ("pipeline", "stages"),
            ("preset", "repeats"),
            ("problem", "args"),
            ("artifact", "provenance"),
            ("analysis", "decision"),
            ("ledger", "problem"),
            ("board", "value_us"),
        ] {
            let all = all();
            let (_, schema) = all.iter().find(|(n, _)| *n == name).expect(name);
            assert!(schema["properties"].get(key).is_some(), "{name}");
            assert!(schema["title"].as_str().is_some_and(|t| t.starts_with("optloop ")), "{name}");
        }
    }

    #[test]
    fn an_unknown_schema_is_refused_with_the_nearest_name() {
        let Refusal::Words(_, hint, exit) = unknown("problme") else { panic!("diagnostics") };
        assert_eq!((hint.as_deref(), exit), (Some("did you mean `problem`?"), Exit::Usage));
        let Refusal::Words(_, hint, _) = unknown("zzzzzzzzzz") else { panic!("diagnostics") };
        assert_eq!(
            hint.as_deref(),
            Some("there are pipeline, preset, problem, event, artifact, analysis, ledger, board")
        );
    }
}
