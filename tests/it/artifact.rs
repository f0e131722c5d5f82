//! `artifact ls|show|path|analyze`.

use super::support::Project;

const STAGES: &str = r#"
[stages.count]
run = "cat in.txt"
inputs = ["in.txt"]
metric = { name = "lines", regex = '(\d+)' }
[stages.other]
run = "echo 7"
inputs = []
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
    project.args(["artifact", "ls"]).run().code(0).says("lines 4").says("/count\n");
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
    assert_eq!((&json[0]["version"], &json[0]["metrics"]["lines"]), (&2.into(), &4.0.into()));
}

const KEEP: [&str; 6] =
    ["artifact", "analyze", "last", "--decision", "keep", "--summary=-3 % and no outlier"];

/// The path of the last artifact's analyses.
fn analyses_of_last(project: &Project) -> String {
    let path = project.args(["artifact", "path"]).run().code(0).stdout;
    path.trim().replace(".json", ".analysis.jsonl")
}

fn fits(text: &str) {
    let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
    assert_eq!(wide, Vec::<&str>::new());
}

#[test]
fn an_analysis_is_appended_and_what_was_measured_stays_as_it_is() {
    let project = project();
    let artifact = project.args(["artifact", "path"]).run().code(0).stdout.trim().to_owned();
    let before = std::fs::read(&artifact).expect("an artifact");
    project.args(KEEP).run().code(0).says("KEEP ").says("/count");
    let more = [
        "artifact",
        "analyze",
        &artifact,
        "--decision",
        "REVERT",
        "--summary",
        "slower after all",
        "--feedback",
        "two outliers",
        "--feedback",
        "turbo was on",
        "--next-step",
        "unroll",
        "--by",
        "someone",
        "--format",
        "json",
    ];
    let line = project.args(more).run().code(0).json().remove(0);
    assert_eq!((&line["event"], &line["version"]), (&"analysis".into(), &1.into()));
    assert_eq!(std::fs::read(&artifact).expect("an artifact"), before);
    assert_eq!(line["artifact"], optloop::digest::Digest::of(&before).hex());

    let shown = project.args(["artifact", "show"]).run().code(0);
    fits(&shown.stdout);
    let shown = shown.says("-3 % and no outlier").says("turbo was on").says("by someone");
    let place = |part: &str| shown.stdout.find(part).unwrap_or_else(|| panic!("{}", shown.all()));
    assert!(place("numbers") < place("KEEP, ") && place("KEEP, ") < place("REVERT, "));
    let json = project.args(["artifact", "show", "--format", "json"]).run().code(0).json();
    let decisions: Vec<&str> = json[1..].iter().filter_map(|l| l["decision"].as_str()).collect();
    assert_eq!((decisions.as_slice(), &json[2]), (&["KEEP", "REVERT"][..], &line));

    let listed = project.args(["artifact", "ls"]).run().code(0);
    fits(&listed.stdout);
    assert_eq!(listed.stdout.matches("REVERT").count(), 1, "{}", listed.all());
    let json = project.args(["artifact", "ls", "--format", "json"]).run().code(0).json();
    let last = json.last().expect("artifacts");
    assert_eq!((&last["decision"], &last["analyses"]), (&"REVERT".into(), &2.into()));
    assert_eq!(json[1]["decision"], serde_json::Value::Null);
}

#[test]
fn an_analysis_without_words_or_with_another_decision_is_refused() {
    let project = project();
    for (decision, summary, says) in [
        ("reverted", "fine", "did you mean REVERT?"),
        ("maybe", "fine", "there are KEEP, REVERT, UNDECIDED"),
        ("KEEP", " ", "it is empty"),
        ("KEEP", "--feedback", "reads like an option"),
    ] {
        let call = ["artifact", "analyze", "last", "--decision", decision, "--summary", summary];
        project.args(call).run().code(2).says(says);
    }
    project.args(["artifact", "analyze", "last", "--decision", "KEEP"]).run().code(2);
    project.write("odd.json", "{}");
    let odd = ["artifact", "analyze", "odd.json", "--decision", "KEEP", "--summary", "fine"];
    project.args(odd).run().code(1).says("is not an artifact");
    assert!(!project.path("odd.analysis.jsonl").exists());
    assert!(!std::path::Path::new(&analyses_of_last(&project)).exists());
}

#[test]
fn a_changed_artifact_makes_its_analyses_doubtful() {
    let project = project();
    project.args(KEEP).run().code(0);
    let path = project.args(["artifact", "path"]).run().code(0).stdout.trim().to_owned();
    let text = std::fs::read_to_string(&path).expect("an artifact") + "\n";
    std::fs::write(&path, text).expect("written");
    let shown = project.args(["artifact", "show"]).run().code(0);
    fits(&shown.stdout);
    shown.says("has changed since 1 of its 1 analyses").says("(of other numbers");
    project.args(["artifact", "ls"]).run().code(0).says("KEEP?").says("has changed since");
    let json = project.args(["artifact", "show", "--format", "json"]).run().code(0).json();
    assert_eq!(json[1]["stale"], true);
}

#[test]
fn a_torn_end_is_left_out_and_a_damaged_line_is_refused_by_its_number() {
    let project = project();
    project.args(KEEP).run().code(0);
    let path = analyses_of_last(&project);
    let whole = std::fs::read_to_string(&path).expect("analyses");
    std::fs::write(&path, format!("{whole}{}", &whole[..40])).expect("written");
    let torn = project.args(["artifact", "show"]).run().code(0);
    torn.says("-3 % and no outlier").says("line 2 of").says("is torn and left out");
    project.args(KEEP).run().code(0).says("is torn and left out");
    assert_eq!(std::fs::read_to_string(&path).expect("analyses").lines().count(), 2);
    std::fs::write(&path, format!("x{whole}{whole}")).expect("written");
    project.args(["artifact", "show"]).run().code(1).says("lines  4").says("line 1 of");
    project.args(["artifact", "ls"]).run().code(0).says("damaged").says("line 1 of");
    project.args(KEEP).run().code(1).says("line 1 of");
}

#[test]
fn kernels_that_were_checked_and_measured_are_shown_with_pictures_and_analysed() {
    let project = Project::new().kernels();
    let quick = ["--repeats", "12"];
    project.args(["pipeline", "candidate.toml"].into_iter().chain(quick)).run().code(0);
    let listed = project.args(["artifact", "ls", "--format", "json"]).run().code(0).json();
    let mut kinds = Vec::new();
    for line in &listed[1..] {
        let name = line["name"].as_str().expect("a name");
        let call = ["artifact", "analyze", name, "--decision", "undecided", "--summary", "a look"];
        project.args(call).run().code(0);
        let ascii = project.args(["artifact", "show", name]).run().code(0).says("UNDECIDED, ");
        fits(&ascii.stdout);
        assert!(ascii.stdout.is_ascii(), "{}", ascii.all());
        let show =
            project.args(["artifact", "show", name]).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
        let unicode = show.run().code(0);
        fits(&unicode.stdout);
        let kind = line["kind"].as_str().expect("a kind").to_owned();
        let drawn = unicode.stdout.contains("a mark a launch") && unicode.stdout.contains('█');
        assert_eq!(drawn, kind == "bench", "{}", unicode.all());
        kinds.push(kind);
    }
    assert!(kinds.contains(&"check".into()) && kinds.contains(&"bench".into()), "{kinds:?}");
    let dumb = project
        .args(["artifact", "show", "--ascii"])
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .run();
    assert!(dumb.code(0).stdout.is_ascii());
}

#[test]
fn a_result_without_its_artifact_is_measured_again_where_it_is_asked_for() {
    let project = super::keep::project();
    project.run().code(0);
    let artifacts = || {
        let runs = std::fs::read_dir(project.path(".optloop/runs")).expect("listed").flatten();
        let files = runs.map(|run| run.path().join("candidate.json"));
        files.filter(|file| file.exists()).collect::<Vec<_>>()
    };
    let first = artifacts();
    assert_eq!(first.len(), 1);
    // As after a kill between the result and its artifact.
    std::fs::remove_file(&first[0]).expect("removed");
    project.write("k.c", super::keep::kernel(1000));
    let told = project.args(["explain", "pipeline.toml", "candidate"]).run().code(0);
    drop(told.says("candidate.json is gone"));
    project.run().code(0);
    assert_eq!(artifacts().len(), 1, "it was measured again");
}
