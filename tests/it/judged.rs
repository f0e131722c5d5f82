//! Keep and revert touch exactly what was judged: in the nearest root, of the files that were
//! measured, headers and flags included.

use std::path::Path;

use super::keep::{PIPELINE, checkout, committed, head, keep, kernel, ledger, revert};
use super::support::{Project, Ran};

/// Runs the pipeline of a folder below the root.
fn run_in(project: &Project, folder: &str, more: &[&str]) -> Ran {
    let args = ["pipeline", "pipeline.toml"].into_iter().chain(more.iter().copied());
    project.args(args).in_folder(&project.path(folder)).run()
}

fn keep_in(project: &Project, folder: &str) -> Ran {
    project.args(["keep", "--summary", "x"]).in_folder(&project.path(folder)).run()
}

/// Commits everything below a folder of the project's.
pub(crate) fn commit_all(root: &Path) -> git2::Oid {
    let repository = git2::Repository::open(root).expect("a repository");
    let mut index = repository.index().expect("an index");
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).expect("added");
    index.write().expect("written");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("a tree");
    let who = git2::Signature::now("Tess Ter", "tess@example.org").expect("a name");
    let parent = repository.head().ok().map(|h| h.peel_to_commit().expect("a commit"));
    let parents: Vec<_> = parent.iter().collect();
    repository.commit(Some("HEAD"), &who, &who, "a step", &tree, &parents).expect("a commit")
}

#[test]
fn a_checkout_inside_a_folder_with_state_is_a_root_of_its_own() {
    let project = Project::new().file(".optloop/ledger.jsonl", "");
    project.write("inner/pipeline.toml", format!("name = \"test\"\n{PIPELINE}"));
    project.write("inner/k.c", kernel(1000));
    let inner = project.path("inner");
    let repository = git2::Repository::init(&inner).expect("a repository");
    let mut config = repository.config().expect("a configuration");
    config.set_str("user.name", "Tess Ter").expect("set");
    config.set_str("user.email", "tess@example.org").expect("set");
    let first = commit_all(&inner);
    run_in(&project, "inner", &[]).code(0);
    assert!(project.path("inner/.optloop/ledger.jsonl").is_file());
    project.write("inner/k.c", kernel(900));
    run_in(&project, "inner", &[]).code(0);
    keep_in(&project, "inner").code(0).says(" of k.c");
    let tip = repository.head().expect("HEAD").target().expect("a commit");
    assert_ne!(tip, first, "the keep is committed in the inner checkout");
    assert_eq!(project.read(".optloop/ledger.jsonl"), "", "the outer state is left alone");
}

#[test]
fn a_worktree_inside_the_checkout_is_reverted_in_place() {
    let project = Project::new().pipeline(PIPELINE).file("k.c", kernel(1000));
    checkout(&project);
    project.run().code(0);
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let path = project.path(".worktrees/exp");
    std::fs::create_dir_all(project.path(".worktrees")).expect("a folder");
    repository.worktree("exp", &path, None).expect("a worktree");
    project.write("k.c", kernel(1) + "// not measured\n");
    run_in(&project, ".worktrees/exp", &[]).code(0).says("this kernel is the baseline");
    project.write(".worktrees/exp/k.c", kernel(1100));
    run_in(&project, ".worktrees/exp", &[]).code(3);
    let args = ["revert", "--summary", "x"];
    project.args(args).in_folder(&path).run().code(0).says("put back   k.c");
    assert_eq!(project.read(".worktrees/exp/k.c"), kernel(1000));
    assert_eq!(project.read("k.c"), kernel(1) + "// not measured\n");
}

#[test]
fn a_file_that_was_not_measured_is_not_written_over() {
    let project = Project::new().pipeline(PIPELINE).file("k.c", kernel(1000));
    let project = project.file("other.c", kernel(1100));
    checkout(&project);
    project.run().code(0);
    let edited = kernel(1000) + "// an edit that nobody measured\n";
    project.write("k.c", &edited);
    project.run_with(["--kernel", "other.c"]).code(3).says("REVERT");
    let refused = revert(&project).code(1);
    refused.says("the candidate is other.c, and the best so far is k.c").says("copy it");
    assert_eq!((project.read("k.c"), project.read("other.c")), (edited, kernel(1100)));
    assert!(!project.path(".optloop/reverted").exists());
    // The decision can be written down where nothing has to be.
    project.write("k.c", kernel(1000));
    revert(&project).code(0).says("put back   nothing").says("artifact   .optloop/runs/");
    // From a folder that is no checkout it is the same.
    let plain = Project::new().pipeline(PIPELINE).file("k.c", kernel(1000));
    let plain = plain.file("other.c", kernel(1100));
    plain.run().code(0);
    plain.write("k.c", "mine\n");
    plain.run_with(["--kernel", "other.c"]).code(3);
    revert(&plain).code(1).says("nothing is written over");
    assert_eq!(plain.read("k.c"), "mine\n");
}

/// A kernel whose speed is a number in a header, or one that `-D` gives; with the header's folder.
pub(crate) fn tuned(folder: &str, spin: u32) -> Project {
    let body = format!("for (volatile int i = 0; i < SPIN; i++) ; {}", super::kernel::GOOD);
    let project = super::kernel::project("");
    project.write("k.c", format!("#include \"tune.h\"\n{}", super::kernel::source(&body)));
    tune(&project, folder, spin);
    project.edit("pipeline.toml", "[stages.smoke]", "[stages.smoke]\nsanitize = false");
    project.edit(
        "pipeline.toml",
        "incumbent = \"none\"\nrepeats = [4, 8]",
        "repeats = [8, 16, 32, 64]\nrule = { confirm_fewest = 2, pairs_per_process = 8 }",
    );
    if !folder.is_empty() {
        let flags = "compile.flags = [\"-O1\"]";
        let with = format!("{flags}\ncompile.include_dirs = [\"{folder}\"]");
        project.edit("pipeline.toml", flags, &with);
    }
    project
}

pub(crate) fn tune(project: &Project, folder: &str, spin: u32) {
    let path = Path::new(folder).join("tune.h").display().to_string();
    project.write(&path, format!("#ifndef SPIN\n#define SPIN {spin}\n#endif\n"));
}

pub(crate) const SLOW: u32 = 100_000;
pub(crate) const FAST: u32 = 100;

#[test]
fn a_header_that_made_the_difference_is_kept_committed_and_put_back() {
    let project = tuned("include", SLOW);
    checkout(&project);
    project.run().code(0).says("this kernel is the baseline");
    let before = head(&project).0;
    tune(&project, "include", FAST);
    let header = project.read("include/tune.h");
    project.run().code(0).says("KEEP");
    let kept = keep(&project).code(0);
    kept.says(" of include/tune.h").says("artifact   .optloop/runs/");
    assert_eq!(committed(&project), ["include/tune.h"]);
    let line = ledger(&project).remove(1);
    assert_ne!(line["commit"].as_str(), Some(before.as_str()), "{line}");
    assert_eq!(
        (&line["sources"][0]["path"], &line["headers"][0]["path"]),
        (&"k.c".into(), &"include/tune.h".into())
    );
    tune(&project, "include", 4 * SLOW);
    project.run().code(3).says("REVERT");
    revert(&project).code(0).says("put back   include/tune.h");
    assert_eq!(project.read("include/tune.h"), header);
    project.run().code(0).says("identical");
}

#[test]
fn a_header_that_was_not_measured_is_not_written_over() {
    let project = tuned("", SLOW);
    project.run().code(0).says("this kernel is the baseline");
    // The candidate no longer reads the header, and somebody edits it.
    let source = project.read("k.c").replace("#include \"tune.h\"", "#define SPIN 400000");
    project.write("k.c", &source);
    project.write("tune.h", "mine\n");
    project.run().code(3).says("REVERT");
    revert(&project).code(1).says("tune.h is not what the best so far was built with");
    assert_eq!((project.read("k.c"), project.read("tune.h")), (source, "mine\n".to_owned()));
    project.remove("tune.h");
    revert(&project).code(0).says("put back   k.c, tune.h");
    assert!(project.read("tune.h").contains(&SLOW.to_string()));
}

#[test]
fn what_the_pipeline_file_does_not_say_is_not_kept() {
    let project = tuned("", SLOW);
    checkout(&project);
    project.run().code(0);
    let before = head(&project).0;
    project.run_with(["--set", &format!("compile.defines.SPIN={FAST}")]).code(0).says("KEEP");
    let refused = keep(&project).code(1);
    refused.says(&format!("define.SPIN={FAST}, which pipeline.toml does not say"));
    keep(&project).says("write it there");
    assert_eq!((head(&project).0, ledger(&project).len()), (before, 1));
    // Written there it belongs to what is committed.
    let defines = format!("compile.defines = {{ SPIN = {FAST} }}\n[stages.smoke]");
    project.edit("pipeline.toml", "[stages.smoke]", &defines);
    project.run().code(0).says("KEEP");
    keep(&project).code(0).says(" of pipeline.toml");
    assert_eq!(committed(&project), ["pipeline.toml"]);
    // A revert puts files back, and says what they do not hold.
    project.edit("pipeline.toml", &format!("SPIN = {FAST}"), &format!("SPIN = {}", 4 * SLOW));
    project.run().code(3).says("REVERT");
    let reverted = revert(&project).code(0);
    reverted.says(&format!("was built with define.SPIN={FAST}, which pipeline.toml does not say"));
}

#[test]
fn a_header_that_no_commit_can_hold_is_named() {
    let project = tuned("", SLOW).file(".gitignore", "tune.h\n");
    checkout(&project);
    project.run().code(0);
    tune(&project, "", FAST);
    project.run().code(0).says("KEEP");
    let refused = keep(&project).code(1);
    refused.says("cannot be committed whole").says("tune.h: it is ignored by a .gitignore");
    project.args(["keep", "--summary", "x", "--no-commit"]).run().code(0);
    // What has not changed since stands in nobody's way.
    project.edit("k.c", "for (volatile", "if (0) for (volatile");
    let ran = project.run();
    if ran.all().contains("KEEP") {
        keep(&project).code(0).says(" of k.c");
    }
}

#[test]
fn what_is_known_again_is_what_is_decided_on() {
    let project = Project::new().pipeline(PIPELINE).file("k.c", kernel(1000));
    checkout(&project);
    project.run().code(0);
    project.write("k.c", kernel(900));
    project.run().code(0).says("to make it the best: optloop keep --summary '");
    project.write("k.c", kernel(1100));
    project.run().code(3).says_nothing_of("to make it the best");
    project.write("k.c", kernel(900));
    project.run().code(0).says("up to date").says("to make it the best: optloop keep");
    // A comparison of revisions is about no file of the user's, and stands in nobody's way.
    commit_all(&project.root());
    let compare = ["compare", "HEAD~1", "HEAD", "--pipeline", "pipeline.toml"];
    project.args(compare).run().code(0).says_nothing_of("to make it the best");
    let of_revision = project.args(["artifact", "path"]).run().code(0);
    let named = ["keep", of_revision.stdout.trim(), "--summary", "x"];
    let refused = project.args(named).run().code(1);
    refused.says("is about a git revision").says("optloop artifact ls");
    let kept = keep(&project).code(0);
    kept.says("was of a git revision").says("which holds k.c already");
    project.run().code(0).says_nothing_of("to make it the best");
}
