//! What `keep`, `revert` and `compare --anchor` print: the schemas of these lines.

use serde_json::{Value, json};

use super::{Keys, list, maybe, string, whole};
use crate::cli::keep::VERSION;

/// What all of them say.
fn all() -> Keys {
    vec![
        ("version", json!({"const": VERSION, "description": "Of these lines."})),
        ("problem", string("What is computed.")),
        ("device", string("What it was measured on.")),
        ("metric", string("What decides.")),
        ("gain", number("1 less the ratio of the times, or a difference in the metric's unit.")),
        ("lower", number("Lower end of its 95 % interval; null without one.")),
        ("upper", number("Upper end.")),
        ("pairs", maybe("integer", "Pairs measured.")),
        ("artifact", string("The artifact, relative to the state folder.")),
        ("line", whole("Number of the ledger's line.")),
    ]
}

fn decided(word: &[&str]) -> Keys {
    let mut keys = all();
    keys.push(("decision", json!({"enum": word, "description": "What was decided."})));
    keys.push(("reason", maybe("string", "The verdict's reason, or the failure's class.")));
    keys
}

/// Of `keep`.
pub(super) fn kept() -> Keys {
    let mut keys = decided(&["KEEP"]);
    keys.push(("incumbent", string("The folder with all that is kept of it.")));
    keys.push(("files", list(&string("A path."), "Its files, relative to the root.")));
    keys.push(("commit", maybe("string", "The commit that holds them; null without one.")));
    keys
}

/// Of `revert`.
pub(super) fn reverted() -> Keys {
    let mut keys = decided(&["REVERT", "UNDECIDED"]);
    keys.push(("restored", list(&string("A path."), "Files that were put back.")));
    keys.push(("kept", maybe("string", "Where the candidate's files are kept.")));
    keys
}

/// Of `compare --anchor`.
pub(super) fn anchored() -> Keys {
    let product = "How many times better the kept steps say it is; null for differences.";
    let short = "The whole interval lies below what the steps say.";
    let mut keys = all();
    keys.push(("product_of_steps", number(product)));
    keys.push(("falls_short", json!({"type": "boolean", "description": short})));
    keys
}

/// A number that may be whole or missing.
fn number(words: &str) -> Value {
    json!({"type": ["number", "integer", "null"], "description": words})
}

/// Lines as they are printed.
#[cfg(test)]
pub(super) fn samples() -> Vec<Value> {
    use crate::campaign::standing::{Anchor, Kept, Reverted};
    use crate::cli::{compare, keep};
    use crate::digest::Digest;
    use crate::record::Place;
    use crate::record::ledger::{Line, What};
    let place = || Place { problem: "p".into(), device: "d".into(), metric: "m".into() };
    let line = |event| Line::new(event, place(), Digest::of(b"k"), String::new());
    let full = |event| Line {
        gain: Some(0.5),
        lower: Some(0.25),
        upper: Some(0.75),
        pairs: Some(8),
        reason: Some("faster".into()),
        commit: Some("abc".into()),
        ..line(event)
    };
    let reverted =
        |line, kept| Reverted { line, restored: vec!["k.c".into()], kept, warnings: vec![] };
    let mut all = Vec::new();
    for line in [line(What::Keep), full(What::Keep)] {
        let (warnings, anchor_is_due) = (vec![], false);
        all.push(keep::kept_json(&Kept { line, folder: "f".into(), warnings, anchor_is_due }));
    }
    all.push(keep::reverted_json(&reverted(full(What::Revert), Some("f".into()))));
    all.push(keep::reverted_json(&reverted(line(What::Undecided), None)));
    for (line, product) in [(line(What::Anchor), None), (full(What::Anchor), Some(2.0))] {
        all.push(compare::anchor::told(&Anchor { line, product }));
    }
    all
}
