//! Every JSON line that the tests have the program print, and every record that it leaves, is held
//! against what `optloop schema` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::support::{Project, optloop};

fn schemas() -> &'static BTreeMap<String, Value> {
    static ALL: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    ALL.get_or_init(|| {
        let printed = optloop().arg("schema").output().expect("the program starts").stdout;
        serde_json::from_slice(&printed).expect("schemas")
    })
}

/// Holds the lines of a call to the schema of events; `artifact show` begins with the artifact itself.
/// The last may be torn where the program was killed.
pub(crate) fn check_lines(args: &[String], stdout: &str) {
    if !args.windows(2).any(|pair| pair == ["--format", "json"]) {
        return;
    }
    let shows = args.windows(2).any(|pair| pair == ["artifact", "show"]);
    let own = match (&args[0][..], args.get(1).map(String::as_str)) {
        ("loop", Some("results")) => "experiment",
        ("loop", Some("log")) if args[2] == "show" => "experiment",
        ("loop", Some("start" | "resume")) => "campaign_event",
        _ => "event",
    };
    for (number, line) in stdout.split_inclusive('\n').enumerate() {
        let is_artifact = shows && number == 0 && !line.starts_with("{\"event\"");
        if line.ends_with('\n') {
            // A refusal is a line of its own, whatever the command prints else.
            let schema = match line {
                _ if is_artifact => "artifact",
                _ if line.starts_with(r#"{"event":"error"#) => "event",
                _ => own,
            };
            expect_valid(schema, line, &args.join(" "));
        }
    }
}

/// Holds what lies in a state folder to its schemas. What is no JSON at all was put there by a test
/// that wants to see it refused.
pub(crate) fn check_records(state: &Path) {
    let files = walkdir::WalkDir::new(state).into_iter().flatten();
    for path in files.map(walkdir::DirEntry::into_path).filter(|path| path.is_file()) {
        let below = path.strip_prefix(state).expect("below").to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lines = || text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
        let each = |schema: &str| lines().for_each(|line| expect_valid(schema, line, &below));
        match below.split('/').collect::<Vec<_>>()[..] {
            ["ledger.jsonl"] => each("ledger"),
            ["campaigns", _, "events.jsonl"] => each("campaign_event"),
            ["campaigns", _, "experiments.jsonl"] => each("experiment"),
            ["campaigns", _, "state.json"] => expect_valid("campaign_state", &text, &below),
            ["boards", _] => each("board"),
            ["runs", _, "events.jsonl"] => each("event"),
            ["runs", _, file] if file.ends_with(".analysis.jsonl") => each("analysis"),
            ["runs", _, _] if serde_json::from_str::<Value>(&text).is_ok() => {
                expect_valid("artifact", &text, &below);
            }
            _ => {}
        }
    }
}

/// Holds the names in a state folder to the table of `docs/cache.md`: whatever a run, a keep, a revert
/// or a comparison leaves behind is named there.
pub(crate) fn check_names(state: &Path) {
    let page = include_str!("../../docs/cache.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let named: Vec<Vec<&str>> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|name| name.split('/').filter(|part| !part.is_empty()).collect())
        .collect();
    for path in walkdir::WalkDir::new(state).min_depth(1).into_iter().flatten() {
        let below = path.path().strip_prefix(state).expect("below");
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let fits = named.iter().any(|name| {
            parts.iter().zip(name).all(|(part, named)| is_named(part, named))
                && (parts.len() >= name.len() || path.file_type().is_dir())
        });
        assert!(fits, "docs/cache.md does not name {}", below.display());
    }
}

/// What is written in capitals, or as `N`, stands for any name.
fn is_named(part: &str, named: &str) -> bool {
    let (stem, end) = named.split_once('.').unwrap_or((named, ""));
    let any = !stem.is_empty() && stem.chars().all(|c| c.is_ascii_uppercase() || "_-".contains(c));
    match end {
        "N" => part.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')),
        "" if any => true,
        _ if any && named != "CACHEDIR.TAG" => part.ends_with(&format!(".{end}")),
        _ => part == named,
    }
}

fn expect_valid(schema: &str, text: &str, whose: &str) {
    let value: Value =
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{whose}: {e}: {text}"));
    let root = &schemas()[schema];
    if let Err(why) = (Validator { root }).check(&value, root, schema) {
        panic!("{whose}: not valid by `optloop schema {schema}`: {why}\n{text}");
    }
}

/// As much of JSON Schema (2020-12) as these schemas use; a keyword that it does not know is an
/// error. Stricter in one thing: an object has no keys but those that are described, by the schema
/// itself or by what it takes in with `$ref`, `allOf`, `oneOf` and `anyOf`.
struct Validator<'a> {
    root: &'a Value,
}

/// The keys of an object that were described; none where nothing is said of its keys.
type Described = Option<BTreeSet<String>>;

fn both(one: Described, other: Described) -> Described {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.extend(other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

impl Validator<'_> {
    fn check(&self, value: &Value, schema: &Value, at: &str) -> Result<(), String> {
        let described = self.look(value, schema, at)?;
        let (Some(described), Some(object)) = (described, value.as_object()) else {
            return Ok(());
        };
        match object.keys().find(|key| !described.contains(*key)) {
            Some(key) => Err(format!("{at}: `{key}` is not described")),
            None => Ok(()),
        }
    }

    /// What is asked of a value, but for keys that nothing describes.
    fn look(&self, value: &Value, schema: &Value, at: &str) -> Result<Described, String> {
        let Some(rules) = schema.as_object() else {
            return if schema == &Value::Bool(true) {
                Ok(None)
            } else {
                Err(format!("{at}: not allowed"))
            };
        };
        let mut described = self.object(value, schema, at)?;
        for (keyword, rule) in rules {
            let more = match keyword.as_str() {
                "$ref" => self.look(value, self.definition(rule), at)?,
                "oneOf" | "anyOf" => self.one_of((keyword, items(rule)), value, at)?,
                "allOf" => items(rule).iter().try_fold(None, |all, s| {
                    Ok::<_, String>(both(all, self.look(value, s, at)?))
                })?,
                _ => self.rule((keyword, rule), value, at).map(|()| None)?,
            };
            described = both(described, more);
        }
        Ok(described)
    }

    fn definition(&self, rule: &Value) -> &Value {
        let name = rule.as_str().and_then(|r| r.strip_prefix("#/$defs/")).expect("a ref");
        &self.root["$defs"][name]
    }

    fn one_of(
        &self,
        (keyword, all): (&str, &[Value]),
        value: &Value,
        at: &str,
    ) -> Result<Described, String> {
        let looked: Vec<_> = all.iter().map(|schema| self.look(value, schema, at)).collect();
        let fits = looked.iter().filter(|looked| looked.is_ok()).count();
        if fits == 1 || (fits > 1 && keyword == "anyOf") {
            return Ok(looked.into_iter().flatten().fold(None, both));
        }
        // What stands under the same name says most.
        let tag = value.get("event").and_then(Value::as_str).unwrap_or_default();
        let named = all.iter().position(|s| s["properties"]["event"]["const"] == tag);
        let why: Vec<String> = looked.into_iter().filter_map(Result::err).collect();
        Err(match named.filter(|_| fits == 0) {
            Some(named) => why[named].clone(),
            None => format!("{at}: {fits} alternatives fit: {why:#?}"),
        })
    }

    fn rule(&self, (keyword, rule): (&str, &Value), value: &Value, at: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{at}: {value} {what} {rule}"));
        let list = || rule.as_array().map(Vec::as_slice).unwrap_or_default();
        match keyword {
            "const" if rule != value => wrong("is not"),
            "enum" if !list().contains(value) => wrong("is none of"),
            "type" => {
                let kinds = if rule.is_array() { list() } else { std::slice::from_ref(rule) };
                let fits = kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap_or_default()));
                if fits { Ok(()) } else { wrong("is no") }
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => wrong("is below"),
            "maximum" if value.as_f64() > rule.as_f64() && value.is_number() => wrong("is above"),
            "minItems" if (items(value).len() as u64) < rule.as_u64().unwrap_or(0) => {
                wrong("is shorter than")
            }
            "maxItems" if items(value).len() as u64 > rule.as_u64().unwrap_or(u64::MAX) => {
                wrong("is longer than")
            }
            "items" => {
                items(value).iter().try_for_each(|i| self.check(i, rule, &format!("{at}[]")))
            }
            "prefixItems" => list()
                .iter()
                .zip(items(value))
                .try_for_each(|(schema, item)| self.check(item, schema, &format!("{at}[]"))),
            "pattern" => {
                let regex =
                    regex::Regex::new(rule.as_str().unwrap_or_default()).expect("a pattern");
                if value.as_str().is_none_or(|v| regex.is_match(v)) {
                    Ok(())
                } else {
                    wrong("is not")
                }
            }
            // Those that hold here, those that are looked at elsewhere, and those that say nothing.
            "const"
            | "enum"
            | "minimum"
            | "maximum"
            | "minItems"
            | "maxItems"
            | "properties"
            | "required"
            | "additionalProperties"
            | "$schema"
            | "$defs"
            | "title"
            | "description"
            | "default"
            | "format" => Ok(()),
            other => panic!("the validator does not know `{other}` at {at}"),
        }
    }

    /// Keys that are required, and what is asked of those that are described.
    fn object(&self, value: &Value, schema: &Value, at: &str) -> Result<Described, String> {
        let Some(object) = value.as_object() else { return Ok(None) };
        for name in items(&schema["required"]).iter().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Err(format!("{at}: no `{name}`"));
            }
        }
        let (known, more) = (schema["properties"].as_object(), schema.get("additionalProperties"));
        let mut described = BTreeSet::new();
        for (key, inner) in object {
            let schema = known.and_then(|known| known.get(key)).or(more);
            if let Some(schema) = schema {
                self.check(inner, schema, &format!("{at}.{key}"))?;
                described.insert(key.clone());
            }
        }
        Ok((known.is_some() || more.is_some()).then_some(described))
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    }
}

#[test]
fn a_name_stands_for_itself_or_for_any() {
    for (part, named, fits) in [
        ("ledger.jsonl", "ledger.jsonl", true),
        ("ledger.json", "ledger.jsonl", false),
        ("pack.12", "pack.N", true),
        ("packs", "pack.N", false),
        ("anything", "RUN", true),
        ("softmax.jsonl", "PROBLEM.jsonl", true),
        ("softmax.json", "PROBLEM.jsonl", false),
        ("other", "CACHEDIR.TAG", false),
        (".gitignore", ".gitignore", true),
    ] {
        assert_eq!(is_named(part, named), fits, "{part} {named}");
    }
}

#[test]
fn each_line_of_what_looks_after_a_project_has_its_event_and_version() {
    let text = "[stages.a]\ninputs = []\nmetric = { name = \"n\", regex = 'n=(\\d+)' }\nrun = 'echo n=1'\n\
                [stages.b]\ninputs = []\nneeds = [\"a\"]\nrun = 'true'\n";
    let project = Project::new().pipeline(text);
    project.run().code(0);
    for (call, events) in [
        ("graph pipeline.toml", &["graph_stage", "graph_stage"][..]),
        ("artifact ls", &["artifacts", "artifact"]),
        ("artifact analyze last --decision keep --summary s --feedback f", &["analysis"]),
        ("cache stats", &["cache_stats"]),
        ("cache verify", &["cache_verified"]),
        ("cache gc", &["cache_collected"]),
        ("init example", &["init_file"; 11]),
    ] {
        let args = call.split(' ').chain(["--format", "json"]);
        let lines = project.args(args).run().code(0).json();
        let found: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
        assert_eq!(found, events, "{call}");
        assert_eq!(lines[0]["version"], 1, "{call}");
    }
    let graph = project.args(["graph", "pipeline.toml", "--format", "json"]).run().code(0).json();
    assert_eq!((&graph[1]["stage"], &graph[1]["needs"][0]), (&"b".into(), &"a".into()));
}

#[test]
fn the_validator_refuses_what_does_not_fit() {
    let root = &schemas()["event"];
    let check = |text: &str| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        (Validator { root }).check(&value, root, "event")
    };
    assert_eq!(check(r#"{"event":"notice","text":"x"}"#), Ok(()));
    for wrong in [
        r#"{"event":"notice"}"#,
        r#"{"event":"notice","text":1}"#,
        r#"{"event":"notice","text":"x","more":1}"#,
        r#"{"event":"unheard of","text":"x"}"#,
        r#"{"event":"error","message":"x","help":null,"exit":-1}"#,
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
