use super::*;
use crate::campaign::file::OnMoved;
use crate::campaign::file::{DirectivePreset, OnInfra, PromptBy};
use crate::campaign::keep::KeepRules;
use crate::campaign::spent::Reported;
use crate::campaign::step::Announce;

const WHOLE: &str = r#"
name = "softmax"
on_infra = "keep-pending"
on_moved = "stop"
publish = "branch"
on_best = ["sh", "-c", "x"]
goal = "faster"
pipeline = "candidate.toml"
target = 5.0
[scope]
edit = ["k.c"]
protect = ["tests/**"]
carry = [".venv", "./data/"]
[agent]
run = ["my-agent", "--headless"]
timeout = "30m"
first_event = "2m"
idle = "15m"
env = ["MY_TOKEN"]
usage = "partial"
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
device_minutes = 30
dollars = 15.0
tokens = 2000000
failures = 3
[stop]
no_gain = 8
[hold]
allocate = [["lab", "take"], ["other", "take"]]
release = ["lab", "give"]
attempts = 3
pause = "5s"
timeout = "1m"
policy = "best-effort"
[compute]
use = "docker"
image = "lab/python"
network = "bridge"
check = ["docker", "version"]
device = "^H200"
device_command = ["nvidia-smi"]
[keep]
rework = 1
min_gain = 0.002
max_lines = 80
[retry]
agent = 3
agent_pause = "1s"
judge = 4
judge_pause = "2s"
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
    assert_eq!(settings.carry, [".venv", "data"]);
    let run = vec!["my-agent".to_owned(), "--headless".to_owned()];
    assert_eq!(settings.agent.kind, AgentKind::Command { run, prompt: PromptBy::Stdin });
    assert_eq!(settings.agent.timeout, Duration::from_mins(30));
    let silences = (settings.agent.first_event, settings.agent.idle);
    assert_eq!(silences, (Some(Duration::from_mins(2)), Some(Duration::from_mins(15))));
    assert_eq!(settings.agent.env, ["MY_TOKEN"]);
    assert_eq!(settings.agent.usage, Reported::Partial);
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
        device_seconds: Some(1800.0),
        dollars: Some(15.0),
        tokens: Some(2_000_000),
        keep: KeepRules { rework: 1, min_gain: 0.002, max_lines: 80 },
        agent_retries: 3,
        on_infra: OnInfra::KeepPending,
        announce: Announce::EachBest,
        on_moved: OnMoved::Stop,
    };
    assert_eq!(settings.on_best, ["sh", "-c", "x"]);
    let hold = settings.hold.as_ref().expect("a device is held");
    assert_eq!((hold.pools.len(), hold.attempts, hold.policy), (2, 3, HoldPolicy::BestEffort));
    assert_eq!((hold.pause, hold.timeout), (Duration::from_secs(5), Duration::from_mins(1)));
    let compute = &settings.compute;
    assert_eq!(compute.check, ["docker", "version"]);
    let words = compute.launcher.join(" ");
    assert!(words.contains("--network bridge") && words.ends_with("{env} lab/python"), "{words}");
    let device = compute.device.as_ref().expect("a device is wanted");
    assert!(device.wanted.is_match("H200 NVL") && device.command == ["nvidia-smi"]);
    assert_eq!(settings.rules, rules);
    let retry = Retry {
        agent: 3,
        agent_pause: Duration::from_secs(1),
        judge: 4,
        judge_pause: Duration::from_secs(2),
    };
    assert_eq!(settings.retry, retry);
}

#[test]
fn all_mistakes_are_reported_at_once_at_their_places() {
    let text = WHOLE
        .replace("\"softmax\"", "\"soft max\"")
        .replace("\"k.c\"", "\"../k.c\", \"a[\"")
        .replace("\".venv\"", "\"/usr\", \"..\", \"*.so\", \".git\"")
        .replace("\"30m\"", "\"soon\"")
        .replace("\"MY_TOKEN\"", "\"MY_TOKEN=1\"")
        .replace("\"popcorn-cli\"", "\"bin/popcorn-cli\"")
        .replace("0.5", "-1.0")
        .replace(r"(\d+)", r"(\d+");
    let told = loaded(&text).diagnostics;
    let lines: Vec<usize> = told.iter().filter_map(|t| Some(t.location()?.line)).collect();
    assert_eq!(lines, [2, 11, 11, 13, 13, 13, 13, 16, 19, 21, 22, 29], "{told:?}");
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
    let endless = without("iterations").replace("hours = 1.5\ndevice_minutes = 30\n", "");
    assert!(mistakes(&endless).is_empty(), "what the agent reports ends it");
    let endless = endless.replace("usage = \"partial\"\n", "");
    assert_eq!(mistakes(&endless)[0].0, "missing-key");
    let unlimited = format!("unlimited = true\n{endless}");
    assert!(mistakes(&unlimited).is_empty());
    assert_eq!(mistakes(&format!("unlimited = true\n{WHOLE}"))[0].0, "conflict");
    let replayed = WHOLE.replace("[agent]\n", "[agent]\nreplay = \"versions\"\n");
    assert_eq!(mistakes(&replayed)[0].0, "conflict");
    let replayed = without("run = [\"my").replace("[agent]\n", "[agent]\nreplay = \"v\"\n");
    let no_effect = ("no-effect", "this key has no effect here".to_owned());
    // Keys of the agent, and both of its calls.
    assert_eq!(mistakes(&replayed), vec![no_effect; 13]);
    assert_eq!(mistakes(&format!("colour = 1\n{WHOLE}"))[0].0, "unknown-key");
}

#[test]
fn any_number_of_failures_is_written_in_one_of_two_ways() {
    let failures = |text: &str| {
        let loaded = loaded(&WHOLE.replace("failures = 3", &format!("failures = {text}")));
        loaded.settings.map(|settings| settings.rules.failures)
    };
    assert_eq!(failures("0"), Some(Some(0)));
    assert_eq!(failures("-1"), Some(None));
    assert_eq!(failures("\"unlimited\""), Some(None));
    for wrong in ["-2", "\"many\"", "true", "1.5"] {
        assert_eq!(failures(wrong), None, "{wrong}");
    }
}

#[test]
fn a_resilient_campaign_tries_again_more_often_unless_its_file_says_how_often() {
    let retry = |text: &str| loaded(text).settings.expect("it is whole").retry;
    let resilient = format!("preset = \"resilient\"\n{WHOLE}");
    assert_eq!(retry(&resilient).judge, 4, "a key of the file counts more");
    let (start, _) = resilient.split_once("[retry]").expect("a table");
    assert_eq!((retry(start).agent, retry(start).judge), (2, 2));
    let (start, _) = WHOLE.split_once("[retry]").expect("a table");
    assert_eq!((retry(start).agent, retry(start).judge), (0, 1));
    let wrong = WHOLE.replace("0.002", "2.0");
    assert_eq!(mistakes(&wrong), [("bad-gain", "this is no share".to_owned())]);
}

#[test]
fn where_commands_run_is_a_preset_or_a_command_whose_names_stand_for_something() {
    let (start, rest) = WHOLE.split_once("[compute]\n").expect("a table");
    let (_, rest) = rest.split_once("[keep]").expect("a table");
    let with = |keys: &str| format!("{start}[compute]\n{keys}\n[keep]{rest}");
    let own = loaded(&with("run = [\"ssh\", \"host\", \"cd {cwd} &&\"]"));
    let own = own.settings.expect("it is whole").compute;
    assert_eq!((own.launcher.len(), own.check.len()), (3, 0));
    assert!(loaded(&with("use = \"local\"")).settings.expect("whole").compute.launcher.is_empty());
    for (keys, code) in [
        ("use = \"docker\"\nrun = [\"ssh\"]", "conflict"),
        ("run = [\"ssh\"]\nimage = \"x\"", "no-effect"),
        ("use = \"local\"\nnetwork = \"none\"", "no-effect"),
        ("run = [\"ssh\", \"{folder}\"]", "bad-name"),
        ("run = []", "empty"),
        ("device = \"H200\"", "missing-key"),
        ("device_command = [\"x\"]", "no-effect"),
        ("device = \"(\"\ndevice_command = [\"x\"]", "bad-regex"),
    ] {
        let told = mistakes(&with(keys));
        assert_eq!(told.iter().map(|told| told.0).collect::<Vec<_>>(), [code], "{keys}");
    }
}
