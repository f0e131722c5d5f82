//! `optloop loop`: where the copies of a project lie, and what reaches it from there.

use std::fs;
use std::path::PathBuf;

use super::keep::kernel;
use super::support::Project;

/// Says whether a tool that searches upwards from here finds the checkout.
const UPWARDS: &str = "d=$PWD\nwhile [ \"$d\" != / ]; do\n  d=$(dirname \"$d\")\n  \
                       [ ! -e \"$d/pyproject.toml\" ] || { echo \"found $d\"; exit 9; }\ndone\n";

const PIPELINE: &str = r#"
kernel = "k.c"
[stages.candidate]
run = "sh upwards.sh && cat k.c"
inputs = ["upwards.sh"]
incumbent = "best"
metric = { name = "cycles", regex = 'cycles: (\d+)', deterministic = true }
"#;

const CAMPAIGN: &str = r#"
name = "c"
goal = "Fewer cycles."
pipeline = "pipeline.toml"
[agent]
run = ["sh", "-c", "sh upwards.sh && echo '// cycles: 900' > k.c && echo better > .optloop-answer.md"]
[[guard]]
run = ["sh", "upwards.sh"]
[budget]
iterations = 1
"#;

fn project() -> Project {
    Project::new()
        .pipeline(PIPELINE)
        .file("k.c", kernel(1000))
        .file("upwards.sh", UPWARDS)
        .file("pyproject.toml", "[tool.pytest]\n")
        .file("campaign.toml", CAMPAIGN)
}

/// Where all copies lie.
fn copies(project: &Project) -> PathBuf {
    project.root().join("../home/.local/state/optloop/trees")
}

fn entries(folder: &std::path::Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn nothing_that_searches_upwards_from_a_copy_finds_the_checkout_and_no_copy_is_left() {
    let project = project();
    project.args(["loop", "start", "campaign.toml"]).run().code(10).says("1: kept");
    assert_eq!(entries(&copies(&project)), 0, "in {}", copies(&project).display());
    let all = fs::read_dir(project.path(".optloop/campaigns")).expect("a folder");
    let folder = all.flatten().next().expect("a campaign").path();
    assert!(folder.join("trees").symlink_metadata().is_err());
    project.args(["loop", "log", "lint"]).run().code(0).says("0 errors, 0 warnings");
}

#[test]
fn the_trees_of_a_command_lie_outside_of_the_checkout_until_the_cache_is_cleared() {
    let project = project();
    project.run().code(0);
    project.write("k.c", kernel(900));
    project.run().code(0).says("KEEP");
    let link = project.path(".optloop/trees");
    let home = fs::read_link(&link).expect("a link");
    assert_eq!(home.parent().and_then(|base| base.canonicalize().ok()), {
        copies(&project).canonicalize().ok()
    });
    assert!(entries(&home) > 1);
    project.args(["cache", "gc", "--all"]).run().code(0);
    assert!(!home.exists() && link.symlink_metadata().is_err());
}
