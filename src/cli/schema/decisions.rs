//! What `keep`, `revert`, `compare --anchor` and `replay` print: the schemas of these lines.

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

/// Of `replay`.
pub(super) fn replayed() -> Keys {
    let d = "logarithm of the incumbent's time over the candidate's";
    vec![
        ("version", json!({"const": VERSION, "description": "Of these lines."})),
        ("run", string("The run of the artifact.")),
        ("stage", string("Its stage.")),
        (
            "decision",
            json!({"enum": ["keep", "revert", "undecided"], "description": "What follows."}),
        ),
        ("reason", string("The verdict's reason.")),
        ("pairs", whole("Pairs that were looked at.")),
        ("estimate", number(&format!("At the look that decided: {d}."))),
        ("lower", number("Its lower bound there; null where the pairs are too few.")),
        ("upper", number("Its upper bound there.")),
        ("confirm_pairs", whole("New pairs that confirm it.")),
        ("confirm_estimate", number("Their estimate; null without any.")),
        ("gain_pct", number("The gain, per cent.")),
        ("harmed", list(&string("A case."), "Surely slower, where the guard looks at cases.")),
        ("same", json!({"type": "boolean", "description": "As it was recorded."})),
    ]
}

/// What a line about the best says in any case.
fn of_best() -> Keys {
    vec![
        ("version", json!({"const": VERSION, "description": "Of these lines."})),
        ("problem", string("What is computed.")),
        ("device", string("What it was measured on.")),
        ("metric", string("What decides.")),
        ("best", maybe("string", "Digest of the built kernel; null when there is none.")),
    ]
}

/// Of `best show` and `best ls`.
pub(super) fn best() -> Keys {
    let files = "Its files and headers, relative to the root.";
    let mut keys = of_best();
    keys.push(("at", maybe("string", "Since when.")));
    keys.push(("how", maybe("string", "The event of the ledger that made it.")));
    keys.push(("gain", number("Over the one before.")));
    keys.push(("files", list(&string("A path."), files)));
    keys.push(("metrics", json!({"type": "object", "description": "As measured then."})));
    keys.push(("cases", list(&json!({"type": "object"}), "The same, case by case.")));
    keys.push(("commit", maybe("string", "The commit that holds it.")));
    keys.push(("not_in_history", maybe("string", "Why that is not in what is checked out.")));
    keys.push(("incumbent", maybe("string", "The folder with all that is kept of it.")));
    keys.push(("artifact", maybe("string", "Relative to the state folder.")));
    keys.push(("steps", whole("Keeps and sets since the baseline.")));
    keys.push(("line", maybe("integer", "Number of the ledger's line that made it.")));
    keys.push(("baseline", maybe("integer", "Number of the line that made the baseline.")));
    keys
}

/// Of `best set`.
pub(super) fn best_set() -> Keys {
    let mut keys = of_best();
    keys.push(("incumbent", string("The folder with all that is kept of it.")));
    keys.push(("files", list(&string("A path."), "Its files, relative to the root.")));
    keys.push(("commit", maybe("string", "The commit that it was taken from.")));
    keys.push(("artifact", string("Relative to the state folder.")));
    keys.push(("line", whole("Number of the ledger's line.")));
    keys
}

/// Of `best reset`, `best undo` and `keep --undo`.
pub(super) fn best_changed() -> Keys {
    let mut keys = of_best();
    keys.push(("undone", maybe("string", "The event that was taken back.")));
    keys.push(("commit", maybe("string", "The commit of that, which stays as it is.")));
    keys.push(("line", whole("Number of the ledger's line.")));
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
    use crate::cli::{best, compare, keep};
    use crate::digest::Digest;
    use crate::record::Place;
    use crate::record::ledger::{Line, What};
    let place = || Place {
        problem: "p".into(),
        question: Digest::of(b"q"),
        device: "d".into(),
        metric: "m".into(),
        mode: "hot".into(),
    };
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
        let committed = vec!["k.c".into()];
        let kept = Kept { line, folder: "f".into(), committed, warnings, anchor_is_due };
        all.push(keep::kept_json(&kept));
    }
    all.push(keep::reverted_json(&reverted(full(What::Revert), Some("f".into()))));
    all.extend(best::samples(&place()));
    all.push(keep::reverted_json(&reverted(line(What::Undecided), None)));
    for (line, product) in [(line(What::Anchor), None), (full(What::Anchor), Some(2.0))] {
        all.push(compare::anchor::told(&Anchor { line, product }));
    }
    all
}
