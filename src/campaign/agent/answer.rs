//! What an agent says of its change, in a file that it leaves in its copy.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::campaign::proposal::Account;
use crate::campaign::secrets::Secrets;
use crate::campaign::spent::Usage;

/// The file in which an agent describes its change, in a sentence.
pub const ANSWER: &str = ".optloop-answer.md";
/// The file in which it says more than that, as JSON; it counts before the other.
pub const ANSWER_JSON: &str = ".optloop-answer.json";

/// No answer is longer, bytes.
const MAX_BYTES: u64 = 256 << 10;
/// A description is one sentence.
const MAX_DESCRIPTION: usize = 400;
/// Other texts are a paragraph.
const MAX_TEXT: usize = 4000;
/// Of a list.
const MAX_ITEMS: usize = 20;
/// Of what could not be understood.
const MAX_NOTES: usize = 10;

/// An answer that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    /// The change, in a sentence.
    pub(super) description: String,
    /// The rest.
    pub(super) account: Account,
}

/// What the agent wrote of its change, without secrets. Nothing that it wrote can fail; the files are
/// no part of the change.
pub(super) fn read(lane: &Path, secrets: &Secrets) -> Said {
    let (json, plain) = (taken(lane, ANSWER_JSON), taken(lane, ANSWER));
    let mut said = json.map(|text| understood(&secrets.redact(&text))).unwrap_or_default();
    if said.description.is_empty() {
        said.description = first_line(&secrets.redact(&plain.unwrap_or_default()));
    }
    said
}

/// The text of a plain file, which is gone then.
fn taken(lane: &Path, name: &str) -> Option<String> {
    let place = lane.join(name);
    let is_file = fs::symlink_metadata(&place).ok()?.is_file();
    let mut text = Vec::new();
    if is_file {
        File::open(&place).ok()?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    }
    // What stays is a stray, and as such does no harm.
    drop(fs::remove_file(&place));
    is_file.then(|| String::from_utf8_lossy(&text).into_owned())
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    cut(line.unwrap_or_default(), MAX_DESCRIPTION)
}

fn cut(text: &str, most: usize) -> String {
    text.trim().chars().take(most).collect()
}

fn understood(text: &str) -> Said {
    let mut said = Said::default();
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(keys)) => Reader { said: &mut said }.keys(&keys),
        Ok(_) => said.account.notes.push(format!("{ANSWER_JSON} holds no object")),
        Err(error) => said.account.notes.push(format!("{ANSWER_JSON} is no JSON: {error}")),
    }
    said
}

struct Reader<'a> {
    said: &'a mut Said,
}

impl Reader<'_> {
    fn keys(&mut self, keys: &Map<String, Value>) {
        for (key, value) in keys.iter().filter(|(_, value)| !value.is_null()) {
            self.key(key, value);
        }
    }

    fn key(&mut self, key: &str, value: &Value) {
        match key {
            "description" => self.said.description = first_line(&self.text(key, value)),
            "confidence" => self.said.account.confidence = self.confidence(value),
            "reasoning" => self.said.account.reasoning = self.text(key, value),
            "next_step" => self.said.account.next_step = self.text(key, value),
            "feedback" => self.said.account.feedback = self.text(key, value),
            "family" => self.said.account.family = cut(&self.text(key, value), MAX_DESCRIPTION),
            "alternatives" => self.said.account.alternatives = self.list(key, value),
            "sources" => self.said.account.sources = self.list(key, value),
            "modifiers" => self.said.account.modifiers = self.list(key, value),
            "files" | "files_modified" => self.said.account.files = self.list(key, value),
            "usage" => self.said.account.usage = self.usage(value),
            "veto" => self.said.account.veto = self.veto(value),
            other => {
                let key = cut(other, 40);
                self.note(format!("`{key}` is not known and was ignored"));
            }
        }
    }

    fn note(&mut self, note: String) {
        let notes = &mut self.said.account.notes;
        if notes.len() < MAX_NOTES {
            notes.push(note);
        }
    }

    fn text(&mut self, key: &str, value: &Value) -> String {
        let Value::String(text) = value else {
            self.note(format!("`{key}` is no text"));
            return String::new();
        };
        cut(text, MAX_TEXT)
    }

    fn list(&mut self, key: &str, value: &Value) -> Vec<String> {
        let items = match value {
            Value::Array(items) => &items[..],
            one @ Value::String(_) => std::slice::from_ref(one),
            _ => {
                self.note(format!("`{key}` is no list of texts"));
                &[]
            }
        };
        let texts = items.iter().take(MAX_ITEMS).map(|item| match item {
            Value::String(text) => cut(text, MAX_DESCRIPTION),
            other => cut(&other.to_string(), MAX_DESCRIPTION),
        });
        texts.collect()
    }

    fn confidence(&mut self, value: &Value) -> Option<f64> {
        let number = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
        if number.is_none() {
            self.note("`confidence` is no number from 0 to 1".to_owned());
        }
        number
    }

    /// What the call cost: no number is taken that is none, or less than nothing.
    fn usage(&mut self, value: &Value) -> Usage {
        let dollars = value.get("dollars").filter(|one| !one.is_null());
        let tokens = value.get("tokens").filter(|one| !one.is_null());
        let cost = dollars.and_then(Value::as_f64).filter(|cost| cost.is_finite() && *cost >= 0.0);
        let count = tokens.and_then(Value::as_u64);
        if !value.is_object() || cost.is_some() != dollars.is_some() {
            self.note("`usage` has no `dollars` that are a number, 0 or more".to_owned());
        }
        if count.is_some() != tokens.is_some() {
            self.note("`usage` has no `tokens` that are a whole number, 0 or more".to_owned());
        }
        Usage { dollars: cost, tokens: count }
    }

    /// A veto that cannot be understood is none: only what the engine measured keeps a change.
    fn veto(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::Bool(false) => None,
            Value::Bool(true) => Some("the agent gives no reason".to_owned()),
            Value::String(why) => Some(cut(why, MAX_DESCRIPTION)).filter(|why| !why.is_empty()),
            _ => {
                self.note("`veto` is no sentence".to_owned());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(files: &[(&str, &str)]) -> Said {
        let lane = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(lane.path().join(name), text).expect("written");
        }
        let said = read(lane.path(), &Secrets::of([("MY_KEY", "sesame-open")]));
        assert_eq!(fs::read_dir(lane.path()).expect("listed").count(), 0);
        said
    }

    #[test]
    fn a_whole_answer_reaches_every_field_without_secrets() {
        let text = r#"{"description": "Tiles of 32.\nMore.", "confidence": 0.75,
            "reasoning": "it waits for memory", "next_step": "vectors", "feedback": "sesame-open",
            "alternatives": ["unroll", 7], "sources": "the manual", "family": "memory",
            "usage": {"dollars": 0.12, "tokens": 3400},
            "modifiers": ["tiles"], "files_modified": ["k.c"], "veto": "only for n = 64"}"#;
        let said = said(&[(ANSWER_JSON, text), (ANSWER, "not this\n")]);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let account = Account {
            confidence: Some(0.75),
            usage: Usage { dollars: Some(0.12), tokens: Some(3400) },
            reasoning: "it waits for memory".to_owned(),
            alternatives: words(&["unroll", "7"]),
            next_step: "vectors".to_owned(),
            feedback: "[redacted: MY_KEY]".to_owned(),
            sources: words(&["the manual"]),
            family: "memory".to_owned(),
            modifiers: words(&["tiles"]),
            files: words(&["k.c"]),
            veto: Some("only for n = 64".to_owned()),
            notes: Vec::new(),
        };
        assert_eq!(said, Said { description: "Tiles of 32.".to_owned(), account });
    }

    #[test]
    fn nonsense_is_noted_and_the_plain_description_counts() {
        let long = format!("{{\"description\": \"{}", "x".repeat(1 << 20));
        for (text, note) in [
            ("not json", "is no JSON"),
            ("[1]", "holds no object"),
            (&long, "is no JSON"),
            ("", "is no JSON"),
            (r#"{"confidence": 7}"#, "`confidence` is no number from 0 to 1"),
            (r#"{"confidence": "high"}"#, "`confidence` is no number from 0 to 1"),
            (r#"{"description": ["a"]}"#, "`description` is no text"),
            (r#"{"sources": {"a": 1}}"#, "`sources` is no list of texts"),
            (r#"{"usage": 3}"#, "`usage` has no `dollars`"),
            (r#"{"usage": {"dollars": -1}}"#, "`usage` has no `dollars`"),
            (r#"{"usage": {"tokens": 1.5}}"#, "`usage` has no `tokens`"),
            (r#"{"veto": 3}"#, "`veto` is no sentence"),
            (r#"{"decision": "KEEP"}"#, "`decision` is not known and was ignored"),
        ] {
            let said = said(&[(ANSWER_JSON, text), (ANSWER, "\n plain \nmore\n")]);
            assert_eq!(said.description, "plain");
            let notes = &said.account.notes;
            assert!(notes.len() == 1 && notes[0].contains(note), "{text:.40}: {notes:?}");
            let rest = Account { notes: Vec::new(), ..said.account };
            assert_eq!(rest, Account::default());
        }
        let many: Vec<String> = (0..99).map(|n| format!("\"k{n}\": 1")).collect();
        let said = said(&[(ANSWER_JSON, &format!("{{{}}}", many.join(",")))]);
        assert_eq!(said.account.notes.len(), MAX_NOTES);
    }

    #[test]
    fn links_fifos_and_absent_files_say_nothing() {
        let lane = tempfile::tempdir().expect("a folder");
        fs::write(lane.path().join("other"), "{\"description\": \"stolen\"}").expect("written");
        std::os::unix::fs::symlink("other", lane.path().join(ANSWER_JSON)).expect("linked");
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, lane.path().join(ANSWER), fifo, mode, 0).expect("one");
        assert_eq!(read(lane.path(), &Secrets::default()), Said::default());
        assert_eq!(read(lane.path(), &Secrets::default()), Said::default());
    }
}
