//! Trials of the engine that times, sizes and luck must not decide.

use super::support::Project;

const ONE: &str = r#"
[stages.a]
run = "echo a >> ../ran; cat in.txt > out.txt"
inputs = ["in.txt"]
outputs = ["out.txt"]
"#;

#[test]
fn what_is_known_is_not_run_again() {
    let project = Project::new().pipeline(ONE).file("in.txt", "1\n");
    assert_eq!(project.pass(), ["a"]);
    assert_eq!(project.read("out.txt"), "1\n");
    assert_eq!(project.pass(), [""; 0]);
}
