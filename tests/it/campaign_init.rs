//! `optloop init --campaign`, and settings from command line and environment.

use serde_json::Value;

use super::campaign::project;
use super::keep::{PIPELINE, kernel};
use super::support::Project;

fn bare() -> Project {
    Project::new().pipeline(PIPELINE).file("k.c", kernel(1000))
}

fn statuses(project: &Project) -> Vec<Value> {
    let ran = project.args(["loop", "results", "--format", "json"]).run().code(0);
    ran.json().iter().skip(1).map(|record| record["status"].clone()).collect()
}

#[test]
fn a_campaign_file_is_written_for_the_pipeline_that_is_there_and_runs_as_it_is() {
    let project = bare();
    let ran = project.args(["init", "--campaign"]).run().code(0);
    drop(ran.says("wrote    campaign.toml").says("versions/01-as-it-is/k.c").says("--dry-run"));
    let dry = project.args(["loop", "start", "--dry-run"]).run().code(0);
    drop(dry.says("Make k.c faster").says("replays versions").says("pipeline.toml"));
    drop(project.args(["loop", "start"]).run().code(0).says("no further version"));
    assert_eq!(statuses(&project), ["no-op"]);
    project.write("versions/02-better/k.c", kernel(900));
    drop(project.args(["loop", "start"]).run().code(0));
    assert_eq!(statuses(&project), ["no-op", "kept"]);

    // One that is there is never touched.
    let before = project.read("campaign.toml");
    let again = project.args(["init", "--campaign", "--agent", "sh -c 'exit 0'"]).run().code(1);
    drop(again.says("there is a campaign file already").says("move it away"));
    assert_eq!(project.read("campaign.toml"), before);
    project.remove("campaign.toml");
    let args = ["init", "--campaign", "--agent", "sh -c 'exit 0'", "--pipeline", "pipeline.toml"];
    drop(project.args(args).run().code(0));
    drop(project.args(["loop", "start", "--iterations", "1"]).run().code(10));
    assert_eq!(statuses(&project), ["no-op"]);
}

#[test]
fn without_a_pipeline_that_compares_no_campaign_file_is_written() {
    let project = bare();
    project.write_pipeline(&PIPELINE.replace("incumbent = \"best\"\n", ""));
    let refused = |args: &[&str], code: i32, text: &str| {
        drop(project.args(args.iter().copied()).run().code(code).says(text));
        assert!(!project.path("campaign.toml").exists(), "{text}");
    };
    refused(&["init", "--campaign"], 1, "write incumbent = \"best\"");
    let named = ["init", "--campaign", "--pipeline", "pipeline.toml"];
    refused(&named, 1, "no stage of pipeline.toml compares");
    let missing = ["init", "--campaign", "--pipeline", "elsewhere.toml"];
    refused(&missing, 1, "elsewhere.toml");
    refused(&["init", "--campaign", "--agent", "my-agent 'open"], 2, "a quote is open");
    refused(&["init", "--agent", "my-agent"], 2, "--campaign");
}

#[test]
fn the_command_line_counts_more_than_the_environment_and_both_more_than_the_file() {
    let project = project();
    let dry = project.args(["loop", "start", "--dry-run", "--iterations", "2"]);
    let dry = dry.env("OPTLOOP_ITERATIONS", "5").env("OPTLOOP_GOAL", "Even fewer.").run().code(0);
    let dry = dry.says("budget.iterations = 2  (command line)").says("(environment)");
    drop(dry.says("dirty = \"fail\"  (default)").says("# Iteration 1 of 2\n\nEven fewer."));
    let wrong = project.args(["loop", "start"]).env("OPTLOOP_HOURS", "soon").run().code(2);
    drop(wrong.says("OPTLOOP_HOURS is `soon`").says("unset OPTLOOP_HOURS"));
    drop(project.args(["loop", "start", "--name", "a b"]).run().code(2).says("letters, digits"));

    let start = project.args(["loop", "start", "--name", "mine", "--iterations", "1"]);
    drop(start.env("OPTLOOP_ITERATIONS", "5").run().code(10));
    let mut folders = std::fs::read_dir(project.path(".optloop/campaigns")).expect("campaigns");
    let folder = folders.next().expect("one").expect("an entry").path();
    assert!(folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mine-")));
    let about = std::fs::read_to_string(folder.join("campaign.json")).expect("there");
    let about: Value = serde_json::from_str(&about).expect("it is JSON");
    let settings = about["settings"].as_array().expect("settings");
    let of = |key: &str| settings.iter().find(|setting| setting["key"] == key).expect("a setting");
    assert_eq!(of("budget.iterations")["source"], "command-line");
    assert_eq!(of("goal")["source"], "file");
}

#[test]
fn what_is_replayed_need_not_be_committed() {
    let project = project();
    project.edit("campaign.toml", "replay = \"versions\"", "replay = \"mine\"");
    project.write("mine/01-better/k.c", kernel(900));
    drop(project.args(["loop", "start"]).run().code(0));
    assert_eq!(statuses(&project), ["kept"]);
    project.write("other.txt", "x");
    drop(project.args(["loop", "start"]).run().code(1).says("not committed: other.txt"));
}
