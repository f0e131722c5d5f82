//! `optloop schema`: JSON schemas of the files that people write, of the lines that
//! `pipeline --format json` prints, and of what is recorded about runs.

use std::path::Path;

use serde_json::Value;

use super::args::SchemaArgs;
use super::exit::Exit;
use super::lines::Line;
use super::refusal::Refusal;
use super::ui::Ui;
use crate::diagnostic::nearest;
use crate::engine::Event;
use crate::engine::event::EVENT_VERSION;
use crate::problem::file::ProblemFile;
use crate::record;

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
    all.extend(record::schemas());
    all.extend(crate::campaign::schemas());
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

/// One line of any command that tells what happens.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is made: the parts are printed by themselves")]
enum Told {
    /// What happens during a run.
    Run(Event),
    /// What else there is to say.
    Other(Line),
}

fn event() -> Value {
    let mut schema = record::written::<Told>("optloop event");
    schema["description"] = format!(
        "One line of `--format json` of any command, but for the artifact itself in `artifact show`; \
         the events of a run are of version {EVENT_VERSION}. Readers leave out events and keys that \
         they do not know."
    )
    .into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Some(
                "there are pipeline, preset, problem, event, artifact, analysis, ledger, board, \
                 campaign, campaign_event, experiment, campaign_state"
            )
        );
    }
}
