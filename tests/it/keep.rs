//! `keep`, `revert`, baselines and anchors: the life of a kernel.

use std::fs;
use std::path::PathBuf;

use git2::{Repository, Signature, StatusOptions};
use serde_json::Value;

use super::support::{Project, Ran};

pub(crate) const PIPELINE: &str = r#"
kernel = "k.c"
[stages.candidate]
run = "cat ${kernel}"
inputs = ["${kernel}"]
incumbent = "best"
metric = { name = "cycles", regex = 'cycles: (\d+)', deterministic = true }
"#;

/// A kernel that says how many cycles it takes.
pub(crate) fn kernel(cycles: u32) -> String {
    format!("// cycles: {cycles}\n")
}

/// A checkout with a kernel, a file that is staged, one that is changed and one that git does not
/// know.
pub(crate) fn project() -> Project {
    let project = Project::new().pipeline(PIPELINE).file("k.c", kernel(1000));
    checkout(&project);
    project
}

pub(crate) fn checkout(project: &Project) {
    for name in ["staged.txt", "changed.txt"] {
        project.write(name, "as committed\n");
    }
    let repository = Repository::init(project.root()).expect("a repository");
    let mut config = repository.config().expect("a configuration");
    config.set_str("user.name", "Tess Ter").expect("set");
    config.set_str("user.email", "tess@example.org").expect("set");
    let mut index = repository.index().expect("an index");
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).expect("added");
    index.write().expect("written");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("a tree");
    let who = Signature::now("Tess Ter", "tess@example.org").expect("a name");
    repository.commit(Some("HEAD"), &who, &who, "first", &tree, &[]).expect("a commit");
    project.write("staged.txt", "as staged\n");
    index.add_path("staged.txt".as_ref()).expect("staged");
    index.write().expect("written");
    project.write("changed.txt", "as changed\n");
    project.write("unknown.txt", "unknown\n");
}

pub(crate) fn repository(project: &Project) -> Repository {
    Repository::open(project.root()).expect("a repository")
}

/// What `git status` says of everything but the kernel.
fn others(project: &Project) -> Vec<(String, git2::Status)> {
    let repository = repository(project);
    let mut options = StatusOptions::new();
    options.include_untracked(true);
    let statuses = repository.statuses(Some(&mut options)).expect("statuses");
    let all = statuses.iter().map(|s| (s.path().expect("a path").to_owned(), s.status()));
    all.filter(|(path, _)| path != "k.c").collect()
}

pub(crate) fn head(project: &Project) -> (String, String) {
    let repository = repository(project);
    let commit = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
    (commit.id().to_string(), commit.message().expect("a message").to_owned())
}

/// The files in which the last commit differs from the one before.
pub(crate) fn committed(project: &Project) -> Vec<String> {
    let repository = repository(project);
    let commit = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
    let before = commit.parent(0).expect("a parent").tree().expect("a tree");
    let tree = commit.tree().expect("a tree");
    let diff = repository.diff_tree_to_tree(Some(&before), Some(&tree), None).expect("a diff");
    let path = |d: git2::DiffDelta<'_>| d.new_file().path().expect("a path").display().to_string();
    diff.deltas().map(path).collect()
}

pub(crate) fn keep(project: &Project) -> Ran {
    project.args(["keep", "--summary", "fewer cycles"]).run()
}

pub(crate) fn revert(project: &Project) -> Ran {
    project.args(["revert", "--summary", "more cycles"]).run()
}

/// What the ledger says, in a word each.
pub(crate) fn events(project: &Project) -> Vec<String> {
    let events = ledger(project).into_iter().map(|l| l["event"].as_str().unwrap_or("?").to_owned());
    events.collect()
}

pub(crate) fn ledger(project: &Project) -> Vec<Value> {
    let text = project.read(".optloop/ledger.jsonl");
    text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

/// A project that has a baseline and has measured a kernel of so many cycles.
pub(crate) fn measured(cycles: u32) -> Project {
    let project = project();
    project.run().code(0);
    project.write("k.c", kernel(cycles));
    let code = if cycles < 1000 { 0 } else { 3 };
    project.run().code(code);
    project
}

fn last_artifact(project: &Project) -> PathBuf {
    project.args(["artifact", "path"]).run().code(0).stdout.trim().into()
}

#[test]
fn the_first_kernel_is_the_baseline_and_nothing_runs_again_for_it() {
    let project = project();
    project.run().code(0).says("test by cycles: this kernel is the baseline");
    assert_eq!(events(&project), ["baseline"]);
    for _ in 0..2 {
        project.run().code(0).says("everything is up to date").says_nothing_of("baseline");
    }
    let kept = project.args(["keep", "--summary", "x"]).run().code(1);
    kept.says("this was measured alone");
    assert_eq!(events(&project), ["baseline"]);
}

#[test]
fn a_better_kernel_is_kept_and_exactly_its_file_is_committed() {
    let project = measured(900);
    let before = (others(&project), head(&project).0);
    let args = [
        "keep",
        "--summary",
        "fewer cycles\n\nOptloop-Decision: REVERT",
        "--feedback",
        "one",
        "--feedback",
        "two",
        "--next-step",
        "even fewer",
    ];
    let kept = project.args(args).run().code(0);
    kept.says("KEEP test by cycles: better than the best so far: gain 10.00 %").says(" of k.c");
    assert_eq!(others(&project), before.0);
    assert_eq!(committed(&project), ["k.c"]);
    let (id, message) = head(&project);
    assert_ne!(id, before.1);
    let line = ledger(&project).remove(1);
    let artifact = line["artifact"].as_str().expect("an artifact");
    for part in [
        "test: 10.0 % faster (cycles, ",
        "Optloop-Decision: KEEP\n",
        "Optloop-Gain: 10.0 % (10.0 .. 10.0)\n",
        &format!("Optloop-Artifact: {artifact}\n"),
        "Optloop-Baseline-Artifact: runs/",
        "Optloop-Previous-Artifact: runs/",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    assert!(!message.contains("\nOptloop-Decision: REVERT"), "{message}");
    assert_eq!((&line["event"], &line["commit"]), (&"keep".into(), &id.into()));
    assert_eq!((&line["reason"], &line["value"]), (&"faster".into(), &900.0.into()));
    let shown = project.args(["artifact", "show"]).run().code(0);
    shown.says("KEEP, ").says("even fewer");
    // What is kept is what the next run compares with, and is nothing new itself.
    project.run().code(0).says("identical");
    project.run().code(0).says("everything is up to date");
}

#[test]
fn a_worse_kernel_goes_and_the_best_comes_back() {
    let project = measured(1100);
    let before = (others(&project), head(&project));
    keep(&project).code(3).says("the verdict is REVERT");
    assert_eq!(events(&project), ["baseline"]);
    let reverted = revert(&project).code(0);
    reverted.says("REVERT test by cycles: worse").says("put back   k.c");
    assert_eq!(project.read("k.c"), kernel(1000));
    assert_eq!((others(&project), head(&project)), before);
    let kept = ledger(&project).remove(1);
    assert_eq!((&kept["event"], &kept["reason"]), (&"revert".into(), &"slower".into()));
    let files = walkdir::WalkDir::new(project.path(".optloop/reverted")).into_iter();
    let kept = files.flatten().find(|e| e.file_name() == "k.c").expect("the candidate");
    assert_eq!(fs::read_to_string(kept.path()).expect("a file"), kernel(1100));
    revert(&project).code(0).says("put back   nothing");
    assert_eq!(events(&project), ["baseline", "revert", "revert"]);
    project.run().code(0).says("everything is up to date");
}

#[test]
fn a_better_kernel_may_go_all_the_same_and_a_keep_is_then_too_late() {
    let project = measured(900);
    revert(&project).code(0).says("put back   k.c");
    assert_eq!(project.read("k.c"), kernel(1000));
    keep(&project).code(1).says("k.c has changed since");
    project.write("k.c", kernel(900));
    project.run().code(0).says("everything is up to date");
    keep(&project).code(0);
}

#[test]
fn what_was_not_measured_is_not_decided_on() {
    let project = measured(900);
    project.write("k.c", kernel(900) + "// and more\n");
    for command in ["keep", "revert"] {
        let run = project.args([command, "--summary", "x"]).run().code(1);
        run.says("k.c has changed since").says("run `optloop pipeline pipeline.toml` again");
    }
    assert_eq!(project.read("k.c"), kernel(900) + "// and more\n");
    project.write("k.c", kernel(900));
    project.write_pipeline(&PIPELINE.replace("[stages.candidate]", "[stages.other]"));
    keep(&project).code(1).says("has no stage `candidate` any more");
    assert_eq!(events(&project), ["baseline"]);
}

#[test]
fn what_was_compared_with_an_older_incumbent_is_not_decided_on() {
    let project = measured(900);
    let older = last_artifact(&project).display().to_string();
    project.write("k.c", kernel(800));
    project.run().code(0);
    keep(&project).code(0);
    project.write("k.c", kernel(900));
    for command in ["keep", "revert"] {
        let run = project.args([command, &older, "--summary", "x"]).run().code(1);
        run.says("was compared with another incumbent");
    }
    assert_eq!(events(&project), ["baseline", "keep"]);
    assert_eq!(project.read("k.c"), kernel(900));
}

type Tamper<'a> = &'a dyn Fn(&mut Value);

#[test]
fn an_artifact_that_was_changed_is_refused_however_it_was_changed() {
    let slower = || measured(1100);
    let verdict = |a: &mut Value| {
        a["status"] = "passed".into();
        a["result"]["comparison"]["record"]["verdict"]["reason"] = "faster".into();
    };
    let launches = |a: &mut Value| {
        verdict(a);
        let record = &mut a["result"]["comparison"]["record"];
        for pair in record["pairs"].as_array_mut().expect("pairs") {
            pair["cases"][0]["candidate"] = serde_json::json!([900.0]);
        }
        let d = 1000.0_f64.ln() - 900.0_f64.ln();
        for name in ["estimate", "lower", "upper"] {
            record["verdict"]["looks"][0][name] = d.into();
        }
    };
    let status = |a: &mut Value| a["status"] = "passed".into();
    let cases: [(Tamper<'_>, &str); 3] = [
        (&verdict, "its launches say `slower`, and its verdict, `faster`, is not made of them"),
        (&status, "its launches say REVERT, and it says that it passed"),
        (&launches, "it has changed since its run"),
    ];
    for (tamper, why) in cases {
        let project = slower();
        let path = last_artifact(&project);
        let mut artifact: Value =
            serde_json::from_slice(&fs::read(&path).expect("read")).expect("an artifact");
        tamper(&mut artifact);
        fs::write(&path, artifact.to_string()).expect("written");
        keep(&project).code(1).says(why);
        assert_eq!(events(&project), ["baseline"]);
    }
}

#[test]
fn nothing_is_decided_where_nothing_was_measured() {
    let project = project();
    keep(&project).code(1).says("there is no .optloop/");
    project.write_pipeline("[stages.s]\nrun = \"echo 1\"\n");
    project.run().code(0);
    keep(&project).code(1).says("there is no artifact of a stage that scores yet");
    keep_without_a_summary(&project);
}

fn keep_without_a_summary(project: &Project) {
    project.args(["keep"]).run().code(2).says("--summary");
    project.args(["revert", "--summary", " "]).run().code(2).says("say something");
}

#[test]
fn without_a_repository_or_a_commit_a_kernel_is_kept_all_the_same() {
    let project = Project::new().pipeline(PIPELINE).file("k.c", kernel(1000));
    project.run().code(0);
    project.write("k.c", kernel(900));
    project.run().code(0);
    keep(&project).code(0).says("lies in no git repository").says("commit     none");
    assert_eq!(ledger(&project)[1]["commit"], Value::Null);
    let project = measured(900);
    let before = head(&project);
    project.args(["keep", "--summary", "x", "--no-commit"]).run().code(0).says("commit     none");
    assert_eq!(head(&project), before);
    assert_eq!(events(&project), ["baseline", "keep"]);
}

#[test]
fn a_kernel_is_kept_in_a_repository_that_the_library_refuses() {
    let project = measured(900);
    let before = (others(&project), head(&project).0);
    let mut config = repository(&project).config().expect("a configuration");
    config.set_str("core.repositoryFormatVersion", "1").expect("set");
    config.set_str("extensions.partialClone", "origin").expect("set");
    assert!(Repository::open(project.root()).is_err());
    keep(&project).code(0).says(" of k.c").says_nothing_of("warning");
    project.run().code(0).says("identical").says_nothing_of("not in this history");
    let config = project.read(".git/config");
    let plain = config.lines().filter(|line| !line.contains("partialClone"));
    project.write(".git/config", plain.collect::<Vec<_>>().join("\n"));
    assert_ne!(head(&project).0, before.1);
    assert_eq!(committed(&project), ["k.c"]);
    assert_eq!(others(&project), before.0);
}

#[test]
fn a_commit_that_is_refused_leaves_everything_as_it_was() {
    let project = measured(900);
    let repository = repository(&project);
    let commit = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
    repository.set_head_detached(commit.id()).expect("detached");
    let (before, state) = (others(&project), project.path(".optloop/best"));
    let listed = || walkdir::WalkDir::new(&state).into_iter().flatten().count();
    let files = listed();
    let refused = keep(&project).code(1);
    refused.says("HEAD is detached").says("so it is not kept").says("--no-commit");
    assert_eq!((events(&project), listed()), (vec!["baseline".to_owned()], files));
    assert_eq!((others(&project), project.read("k.c")), (before, kernel(900)));
    project.args(["keep", "--summary", "x", "--no-commit"]).run().code(0);
}

#[test]
fn decisions_are_told_as_json() {
    let project = measured(900);
    let args = ["keep", "--summary", "x", "--format", "json"];
    let line = project.args(args).run().code(0).json().remove(0);
    assert_eq!((&line["event"], &line["version"]), (&"kept".into(), &1.into()));
    assert_eq!((&line["decision"], &line["reason"]), (&"KEEP".into(), &"faster".into()));
    assert_eq!((&line["line"], &line["files"][0]), (&2.into(), &"k.c".into()));
    assert_eq!(line["commit"].as_str(), Some(head(&project).0.as_str()));
    assert!(fs::exists(line["incumbent"].as_str().expect("a folder")).expect("asked"));
    project.write("k.c", kernel(950));
    project.run().code(3);
    let args = ["keep", "--summary", "x", "--format", "json"];
    let refused = project.args(args).run().code(3).json().remove(0);
    assert_eq!((&refused["event"], &refused["exit"]), (&"error".into(), &3.into()));
    let args = ["revert", "--summary", "x", "--format", "json"];
    let line = project.args(args).run().code(0).json().remove(0);
    assert_eq!((&line["event"], &line["version"]), (&"reverted".into(), &1.into()));
    assert_eq!((&line["decision"], &line["restored"][0]), (&"REVERT".into(), &"k.c".into()));
}

#[test]
fn what_the_numbers_leave_open_is_undecided_and_goes() {
    // The second kernel is better in one run and worse in the next.
    let run = "test -s ${kernel} || exit 1; k=$(tr -dc 0-9 < ${kernel}); echo x >> n$k; c=$(($(wc -l < n$k) % 2)); \
               echo cycles: $((1000 + (k - 1) * (100 - 200 * c)))";
    let noisy = PIPELINE
        .replace(", deterministic = true", ", deterministic = false")
        .replace("\"cat ${kernel}\"", &format!("'{run}'"))
        + "repeats = [4]\n";
    let project = Project::new().pipeline(&noisy).file("k.c", kernel(1));
    project.run().code(0);
    project.write("k.c", kernel(2));
    project.run().code(5).says("inconclusive");
    keep(&project).code(5).says("the verdict is UNDECIDED");
    revert(&project).code(0).says("UNDECIDED test by cycles");
    assert_eq!(project.read("k.c"), kernel(1));
    assert_eq!(events(&project), ["baseline", "undecided"]);
}

#[test]
fn every_tenth_keep_holds_the_best_against_the_baseline() {
    let project = Project::new().pipeline(PIPELINE).file("k.c", kernel(2000));
    project.run().code(0);
    for step in 1..=10 {
        project.write("k.c", kernel(2000 - 100 * step));
        project.run().code(0);
        let kept = keep(&project).code(0);
        assert_eq!(kept.stdout.contains("ANCHOR"), step == 10, "{}", kept.all());
    }
    assert_eq!(events(&project).last().map(String::as_str), Some("anchor"));
    let anchor = ["compare", "--anchor", "--pipeline", "pipeline.toml"];
    project.args(anchor).run().code(0).says("2.000 x; the steps that were kept say 2.000 x");
    let json = project.args(anchor.into_iter().chain(["--format", "json"])).run().code(0).json();
    let line = json.last().expect("a line");
    assert_eq!((&line["event"], &line["falls_short"]), (&"anchored".into(), &false.into()));
    // The kernel on the way to something else is not the best.
    project.write("k.c", kernel(5));
    project.args(anchor).run().code(0).says("gain 50.00 %");
    assert_eq!(project.read("k.c"), kernel(5));
    // An anchor is nothing to decide on.
    project.run().code(0);
    keep(&project).code(0);
}

#[test]
fn an_anchor_needs_a_baseline() {
    let project = project();
    let run = project.args(["compare", "--anchor", "--pipeline", "pipeline.toml"]).run().code(1);
    run.says("there is no best of test by cycles yet");
}

/// A kernel that optloop builds, of two files.
fn built(factor: u32) -> Project {
    let project = super::kernel::project(super::kernel::GOOD);
    project.edit("pipeline.toml", "kernel = \"k.c\"", "kernel = [\"k.c\", \"more.c\"]");
    project.edit(
        "pipeline.toml",
        "incumbent = \"none\"\nrepeats = [4, 8]",
        "repeats = [8, 16, 32, 64]\nrule = { confirm_fewest = 2 }",
    );
    slow(&project, factor);
    project
}

/// Writes the kernel, slower by work that nobody can leave out.
fn slow(project: &Project, factor: u32) {
    let body = format!(
        "more(n); for (volatile int i = 0; i < {}; i++) ; {}",
        factor * 5_000,
        super::kernel::GOOD
    );
    let source = super::kernel::source(&body);
    project.write("k.c", source.replace("void scale", "void more(int n);\nvoid scale"));
    project.write("more.c", format!("void more(int n) {{ (void)n; /* {factor} */ }}\n"));
}

#[test]
fn a_kernel_of_two_files_is_kept_and_put_back_whole() {
    let project = built(8);
    project.run().code(0).says("scale by median_us: this kernel is the baseline");
    project.run().code(0).says("everything is up to date");
    let baseline = (project.read("k.c"), project.read("more.c"));
    slow(&project, 64);
    project.run().code(3).says("REVERT");
    project.write("more.c", "void more(int n) { (void)n; }\nint other;\n");
    revert(&project).code(1).says("has changed since");
    slow(&project, 64);
    revert(&project).code(0).says("put back   k.c, more.c");
    assert_eq!((project.read("k.c"), project.read("more.c")), baseline);
    project.run().code(0).says("everything is up to date");
    slow(&project, 1);
    project.run().code(0).says("KEEP");
    keep(&project).code(0).says("KEEP scale by median_us: faster");
    project.run().code(0).says("identical");
    let anchor = ["compare", "--anchor", "--pipeline", "pipeline.toml", "--set"];
    let quick = ["stages.candidate.rule.timed=1"];
    project.args(anchor.into_iter().chain(quick)).run().code(0).says("ANCHOR scale by median_us");
    assert_eq!(events(&project), ["baseline", "revert", "keep", "anchor"]);
}

#[test]
fn what_was_cut_off_is_ended_by_the_next_command_which_says_so() {
    use optloop::digest::Digest;
    use optloop::record::incumbent::{self, Change, Commit, Content, Install};
    use optloop::record::ledger::{self, Line, What};
    for (event, says, kernel_is, goes_on) in [
        (What::Revert, "a revert of test by cycles was cut off; it is done now", 1000, true),
        (What::Keep, "a keep of test by cycles was cut off before its commit", 1100, false),
    ] {
        for next in [&["pipeline", "pipeline.toml"][..], &["keep", "--summary", "x"]] {
            let project = measured(1100);
            let state = project.path(".optloop");
            let known = ledger::read(&state).expect("a ledger").lines.remove(0);
            let line = Line::new(event, known.place, Digest::of(b"x"), known.at);
            let source = Content { path: "k.c".to_owned(), bytes: b"x".to_vec() };
            let change = match event {
                What::Revert => Change::Revert(Box::new(line)),
                _ => Change::Install(Box::new(Install {
                    line,
                    binary: None,
                    sources: vec![source],
                    headers: Vec::new(),
                    build: None,
                    metrics: optloop::stats::Metrics::default(),
                    key: Digest::default(),
                    commit: Commit::Wanted,
                    commits: vec!["k.c".to_owned()],
                })),
            };
            incumbent::begin(&state, &change).expect("begun");
            project.args(next.iter().copied()).run().says(says);
            assert_eq!(project.read("k.c"), kernel(kernel_is));
            let ended = if goes_on { vec!["baseline", "revert"] } else { vec!["baseline"] };
            assert_eq!(events(&project), ended);
            project.args(next.iter().copied()).run().says_nothing_of("cut off");
        }
    }
}
