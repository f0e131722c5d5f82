use super::*;
use crate::campaign::file::{DirectivePreset, PromptBy};

const WHOLE: &str = r#"
name = "softmax"
goal = "faster"
pipeline = "candidate.toml"
target = 5.0
[scope]
edit = ["k.c"]
protect = ["tests/**"]
[agent]
run = ["my-agent", "--headless"]
timeout = "30m"
first_event = "2m"
idle = "15m"
env = ["MY_TOKEN"]
deny = ["popcorn-cli"]
keep_free_gb = 0.5
template = "mine.j2"
directives = ["no fast-math"]
directive_files = ["house.md"]
presets = ["structural"]
[[guard]]
run = ["make", "test"]
expect = 'Ran (\d+) tests'
[budget]
iterations = 20
hours = 1.5
failures = 3
[stop]
no_gain = 8
"#;

fn loaded(text: &str) -> Loaded {
    load(Path::new("campaign.toml"), text.to_owned())
}

fn mistakes(text: &str) -> Vec<(&'static str, String)> {
    let told = loaded(text).diagnostics;
    told.into_iter().map(|told| (told.code, told.message)).collect()
}

#[test]
fn every_key_reaches_its_setting() {
    let settings = loaded(WHOLE).settings.expect("it is whole");
    assert_eq!((&settings.name[..], &settings.goal[..]), ("softmax", "faster"));
    assert_eq!(settings.patterns.protect, ["tests/**"]);
    let run = vec!["my-agent".to_owned(), "--headless".to_owned()];
    assert_eq!(settings.agent.kind, AgentKind::Command { run, prompt: PromptBy::Stdin });
    assert_eq!(settings.agent.timeout, Duration::from_mins(30));
    let silences = (settings.agent.first_event, settings.agent.idle);
    assert_eq!(silences, (Some(Duration::from_mins(2)), Some(Duration::from_mins(15))));
    assert_eq!(settings.agent.env, ["MY_TOKEN"]);
    assert_eq!(settings.agent.deny, ["popcorn-cli"]);
    assert_eq!(settings.agent.keep_free, Some(500_000_000));
    assert_eq!(settings.agent.template.as_deref(), Some("mine.j2"));
    assert_eq!(settings.agent.directives, ["no fast-math"]);
    assert_eq!(settings.agent.directive_files, ["house.md"]);
    assert_eq!(settings.agent.presets, [DirectivePreset::Structural]);
    assert_eq!(settings.guards.len(), 1);
    let rules = Rules {
        iterations: Some(20),
        seconds: Some(5400.0),
        failures: Some(3),
        no_gain: Some(8),
        target: Some(5.0),
        anchor: Some(10),
    };
    assert_eq!(settings.rules, rules);
}

#[test]
fn all_mistakes_are_reported_at_once_at_their_places() {
    let text = WHOLE
        .replace("\"softmax\"", "\"soft max\"")
        .replace("\"k.c\"", "\"../k.c\", \"a[\"")
        .replace("\"30m\"", "\"soon\"")
        .replace("\"MY_TOKEN\"", "\"MY_TOKEN=1\"")
        .replace("\"popcorn-cli\"", "\"bin/popcorn-cli\"")
        .replace("0.5", "-1.0")
        .replace(r"(\d+)", r"(\d+");
    let told = loaded(&text).diagnostics;
    let lines: Vec<usize> = told.iter().filter_map(|t| Some(t.location()?.line)).collect();
    assert_eq!(lines, [2, 7, 7, 11, 14, 15, 16, 23], "{told:?}");
}

#[test]
fn what_is_missing_or_contradicts_itself_is_refused() {
    let without = |key: &str| {
        let kept: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with(key)).collect();
        kept.join("\n")
    };
    for key in ["name", "goal", "pipeline", "run = [\"my"] {
        assert_eq!(mistakes(&without(key)).len(), 1, "{key}");
    }
    let endless = without("iterations").replace("hours = 1.5\n", "");
    assert_eq!(mistakes(&endless)[0].0, "missing-key");
    let unlimited = format!("unlimited = true\n{endless}");
    assert!(mistakes(&unlimited).is_empty());
    assert_eq!(mistakes(&format!("unlimited = true\n{WHOLE}"))[0].0, "conflict");
    let replayed = WHOLE.replace("[agent]\n", "[agent]\nreplay = \"versions\"\n");
    assert_eq!(mistakes(&replayed)[0].0, "conflict");
    let replayed = without("run = [\"my").replace("[agent]\n", "[agent]\nreplay = \"v\"\n");
    let no_effect = ("no-effect", "this key has no effect here".to_owned());
    assert_eq!(mistakes(&replayed), vec![no_effect; 10]);
    assert_eq!(mistakes(&format!("colour = 1\n{WHOLE}"))[0].0, "unknown-key");
}
