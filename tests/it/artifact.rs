//! `artifact ls|show|path`.

use super::support::Project;

const STAGES: &str = r#"
[stages.count]
run = "cat in.txt"
inputs = ["in.txt"]
metric = { name = "lines", regex = '(\d+)' }
[stages.other]
run = "echo 7"
metric = { name = "seven", regex = '(\d+)' }
"#;

fn project() -> Project {
    let project = Project::new().pipeline(STAGES).file("in.txt", "3\n");
    project.run_with(["-j1"]).code(0);
    project.write("in.txt", "4\n");
    project.run().code(0);
    project
}

#[test]
fn artifacts_are_listed_oldest_first_and_by_stage() {
    let project = project();
    let run = project.args(["artifact", "ls", "--format", "json"]).run().code(0);
    let lines = run.json();
    assert_eq!((&lines[0]["version"], &lines[0]["count"]), (&1.into(), &3.into()));
    let of = |stage: &str| {
        project.args(["artifact", "ls", "--stage", stage, "--format", "json"]).run().code(0).json()
    };
    let counts: Vec<f64> =
        of("count")[1..].iter().filter_map(|l| l["metrics"]["lines"].as_f64()).collect();
    assert_eq!(counts, [3.0, 4.0]);
    assert_eq!(of("other").len(), 2);
    project.args(["artifact", "ls"]).run().code(0).says("lines 4").says("count.json");
}

#[test]
fn an_artifact_is_found_by_run_stage_path_and_as_the_last() {
    let project = project();
    let path = |what: &str| {
        let run = project.args(["artifact", "path", what]).run().code(0);
        run.stdout.trim().to_owned()
    };
    let last = path("last");
    assert!(last.ends_with("/count.json"), "{last}");
    assert_eq!(path(&last), last);
    let run = last.split('/').rev().nth(1).expect("a run").to_owned();
    assert_eq!(path(&run), last);
    assert_eq!(path(&format!("{run}/count")), last);
    let near = project.args(["artifact", "show", &format!("{run}/cuont")]).run().code(1);
    near.says(&format!("did you mean `{run}/count`?"));
}

#[test]
fn an_artifact_is_shown_whole_and_as_it_is_in_json() {
    let project = project();
    let run = project.args(["artifact", "show"]).run().code(0);
    let run = run.says("count (command): passed").says("lines  4").says("input:in.txt");
    let wide: Vec<&str> = run.stdout.lines().filter(|l| l.chars().count() > 80).collect();
    assert_eq!(wide, Vec::<&str>::new());
    let json = project.args(["artifact", "show", "--format", "json"]).run().code(0).json();
    assert_eq!((&json[0]["version"], &json[0]["metrics"]["lines"]), (&1.into(), &4.0.into()));
}
