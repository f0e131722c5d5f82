//! The campaign that the repository ships: twelve versions of a matrix product, each of which ends as it
//! is meant to.

use serde_json::Value;

use super::campaign::{commit_all, users_files};
use super::support::Project;

/// How a small gain may end: which of them is found depends on the machine.
const SMALL: &[&str] = &["kept", "reverted", "undecided"];
/// How no gain may end.
const NONE: &[&str] = &["reverted", "undecided"];

/// What must be said of each version, whatever the machine.
const ENDS: [(&str, &[&str], &str); 12] = [
    ("01-loops-interchanged", &["kept"], "faster than the best so far"),
    ("02-one-pass-less", SMALL, " pairs, "),
    ("03-two-passes-less", SMALL, " pairs, "),
    ("04-no-pass-left", SMALL, " pairs, "),
    ("05-another-function", SMALL, " pairs, "),
    // The file of the second: nothing to propose where that one is the best.
    ("06-two-passes-more", &["kept", "reverted", "undecided", "no-op"], "06-two-passes-more"),
    ("07-last-product-forgotten", &["failed"], " differ (rtol 1e-5"),
    ("08-writes-through-null", &["failed"], "crashed with SIGSEGV"),
    ("09-easier-problem", &["invalid"], "kernels/sgemm/problem.toml is protected"),
    ("10-assembly", &["guard"], "`sh kernels/sgemm/campaign/guard.sh` failed"),
    ("11-comment-only", SMALL, "the best"),
    ("12-slow-for-one-case", NONE, " pairs, "),
];

#[test]
fn twelve_versions_of_a_matrix_product_end_as_they_are_meant_to() {
    let project = Project::new().kernels().file(".gitignore", ".optloop\n");
    // As many pairs as tell much better from the same; small gains may stay undecided.
    let (pipeline, stage) = ("kernels/sgemm/campaign/pipeline.toml", "needs = [\"smoke\"]");
    project.edit(pipeline, stage, &format!("{stage}\nrepeats = [4, 8]"));
    // And sizes that unoptimised code compares soon; the last version is slow where m is 97.
    let sizes = "{ m = 128, n = 128, k = 128 }, { m = 97, n = 131, k = 65 }";
    project.edit("kernels/sgemm/problem.toml", sizes, "{ m = 97, n = 31, k = 33 }");
    drop(commit_all(&project));
    let before = users_files(&project.root());
    let campaign = "kernels/sgemm/campaign/campaign.toml";
    let ran = project.args(["loop", "start", campaign]).run().code(0);
    let all = project.args(["loop", "results", "--format", "json"]).run().code(0).json();
    let [baseline, attempts @ ..] = &all[..] else { panic!("{}", ran.all()) };
    assert!(baseline["metric"].as_f64().is_some_and(|us| us > 0.0), "{baseline}");
    assert_eq!(attempts.len(), ENDS.len(), "{}", ran.all());
    for (attempt, (name, statuses, words)) in attempts.iter().zip(ENDS) {
        let status = attempt["status"].as_str().expect("a status");
        assert!(statuses.contains(&status), "{name}: {status}\n{}", ran.all());
        let line = ran.stdout.lines().find(|line| line.contains(&format!(": {name}")));
        let line = line.unwrap_or_else(|| panic!("{name}\n{}", ran.all()));
        assert!(line.contains(words), "{line}");
        let has_commit = !matches!(status, "invalid" | "no-op");
        assert_eq!(attempt["commit"] != Value::Null, has_commit, "{attempt}");
    }
    // These do what the fourth does, or more: a gain only where that one was not found.
    if attempts[3]["status"] == "kept" {
        assert_ne!(attempts[4]["status"], "kept", "{}", ran.all());
        assert_ne!(attempts[5]["status"], "kept", "{}", ran.all());
        assert_eq!(attempts[10]["status"], "reverted", "{}", ran.all());
        assert!(ran.stdout.contains("11-comment-only (it builds to the very code of the best)"));
    }
    // A much better one: what is said at the end holds it.
    drop(ran.says("the best beside the baseline, in pairs: +"));
    assert_eq!(users_files(&project.root()), before);
}
