//! The lines of `explain` and of `pipeline --dry-run`.

use serde_json::{Value, json};

use super::{Keys, change, line, list, maybe, object, string, whole};

/// All of them.
pub(super) fn lines() -> Vec<Value> {
    let mut lines = vec![
        line("explain_started", "What follows is about these stages.", &started()),
        line("dry_run_started", "What a run of these stages would do.", &started()),
    ];
    for answer in answers() {
        let mut keys = explained(answer.clone());
        keys.push(("causes", list(&cause(), "Where upstream it begins, first causes first.")));
        lines.push(line("explanation", "What a run would do with a stage, and why.", &keys));
        let mut keys = explained(answer);
        keys.push(("after", maybe("string", "The stage that it follows from.")));
        lines.push(line("would", "What a run would do with a stage that is not known.", &keys));
    }
    lines.push(line("dry_run_finished", "How many stages there are of each answer.", &counts()));
    lines
}

fn started() -> Keys {
    vec![
        (
            "version",
            json!({"const": crate::cli::explain::VERSION, "description": "Of these lines."}),
        ),
        ("pipeline", string("The pipeline's name.")),
        ("stages", whole("How many there are.")),
    ]
}

fn counts() -> Keys {
    vec![
        ("run", whole("Would run.")),
        ("may_run", whole("Would run if something upstream turns out different.")),
        ("put_back", whole("Known, with files to put back.")),
        ("known", whole("Known.")),
        ("skipped", whole("Skipped.")),
        ("fail", whole("Would fail before they start.")),
    ]
}

/// What each answer says of itself.
fn answers() -> Vec<Keys> {
    let named = |name: &str, more: Keys| -> Keys {
        let mut keys = vec![("answer", json!({ "const": name }))];
        keys.extend(more);
        keys
    };
    let mut all = vec![
        named("known", Vec::new()),
        named("put_back", vec![("files", list(&string("A file."), "Files to be put back."))]),
        named("waits", Vec::new()),
        named("skipped", vec![("because", string("The condition, or the stage."))]),
        named("fails", vec![("message", string("Why."))]),
    ];
    all.extend(reasons().into_iter().map(|why| named("runs", why)));
    all
}

/// Why a result is not known.
fn reasons() -> [Keys; 2] {
    let plain = json!({
        "enum": ["never_ran", "always", "no_inputs", "unfinished", "not_passed", "changed"],
        "description": "Why its result is not known.",
    });
    let lost = json!({"const": "output_lost", "description": "What it wrote is gone or damaged."});
    [vec![("why", plain)], vec![("why", lost), ("file", string("Which file."))]]
}

fn explained(answer: Keys) -> Keys {
    let mut keys = vec![
        ("stage", string("Its name.")),
        ("implicit", json!({"type": "boolean", "description": "Made by the plan."})),
    ];
    keys.extend(answer);
    keys.extend([
        ("changes", list(&field(), "Fields of its key that changed.")),
        ("provided", list(&string("A stage."), "Stages that would run before it.")),
        ("condition", maybe("string", "One that can only be asked when others have run.")),
        ("finished_ms", whole("When its last good result was made; 0 for never.")),
    ]);
    keys
}

fn field() -> Value {
    let mut schema = change();
    let more = object(&[
        ("path", maybe("string", "The file, for fields that are one.")),
        ("old_bytes", maybe("integer", "Its size then, where that is known.")),
        ("new_bytes", maybe("integer", "Its size now; null when it is gone.")),
    ]);
    for part in ["properties", "required"] {
        match (&mut schema[part], &more[part]) {
            (Value::Object(all), Value::Object(more)) => all.extend(more.clone()),
            (Value::Array(all), Value::Array(more)) => all.extend(more.iter().cloned()),
            _ => {}
        }
    }
    schema
}

fn cause() -> Value {
    let link = object(&[
        ("stage", string("The stage.")),
        (
            "reads",
            list(&string("A file."), "What it reads of the one before; empty for its result."),
        ),
    ]);
    let one_of = reasons().map(|why| {
        let mut keys = vec![("stage", string("Its name."))];
        keys.extend(why);
        keys.push(("changes", list(&field(), "What changed there.")));
        keys.push(("chain", list(&link, "From the stage after it down to the one explained.")));
        object(&keys)
    });
    json!({ "oneOf": one_of })
}
