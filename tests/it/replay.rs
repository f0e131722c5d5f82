//! `optloop replay`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::support::Project;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/decision.json")).expect("the vectors")
}

#[test]
fn the_published_vectors_are_decided_as_they_say() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().expect("cases");
    let mut lines = String::new();
    for (id, case) in cases.iter().enumerate() {
        let line = json!({ "id": id, "d": case["d"], "rule": vectors["config"] });
        writeln!(lines, "{line}").expect("a text");
    }
    let project = Project::new().file("d.jsonl", &lines);
    let answers = project.args(["replay", "d.jsonl", "--jsonl"]).run().code(0).json();
    assert_eq!(answers.len(), cases.len());
    for (id, (answer, case)) in answers.iter().zip(cases).enumerate() {
        let expect = &case["expect"];
        let (decision, reason) = match expect["verdict"].as_str().expect("a word") {
            "keep_pending_confirm" => ("undecided", "faster"),
            "no_worthwhile_gain" => ("revert", "no_worthwhile_difference"),
            "inconclusive" => ("undecided", "inconclusive"),
            reason => ("revert", reason),
        };
        assert_eq!(answer["id"], id);
        assert_eq!((&answer["decision"], &answer["reason"]), (&decision.into(), &reason.into()));
        assert_eq!(answer["pairs"], expect["pairs"], "{answer}");
        if reason == "grossly_slower" {
            continue;
        }
        for (ours, theirs) in [("estimate", "hl"), ("lower", "lo"), ("upper", "up")] {
            let near = match (answer[ours].as_f64(), expect[theirs].as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9,
                (a, b) => a.is_none() && b.is_none(),
            };
            assert!(near, "{ours}: {answer} {expect}");
        }
    }
}

#[test]
fn a_bad_line_is_named_and_the_others_are_answered() {
    let lines = "{\"id\":\"a\",\"d\":[0,0,0,0]}\n{\"id\":\"b\",\"d\":[0,\nnonsense\n\
                 {\"id\":\"c\",\"d\":[0],\"rule\":{\"gros\":0}}\n{\"id\":\"d\",\"d\":[-1,-1]}";
    let project = Project::new().file("d.jsonl", lines);
    let run = project.args(["replay", "--jsonl", "d.jsonl"]).run().code(1);
    let answers = run.json();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0]["reason"], "no_worthwhile_difference");
    assert_eq!((&answers[1]["line"], &answers[2]["line"]), (&2.into(), &3.into()));
    assert_eq!((&answers[3]["id"], &answers[3]["line"]), (&"c".into(), &4.into()));
    assert!(answers[3]["error"].as_str().expect("a text").contains("did you mean `gross`?"));
    assert_eq!(answers[4]["reason"], "grossly_slower");
}

#[test]
fn thousands_of_decisions_are_answered_in_their_order() {
    let d: Vec<f64> = (0..64).map(|i| 0.001 * f64::from(i % 7) - 0.002).collect();
    let mut lines = String::new();
    for id in 0..5000 {
        writeln!(lines, "{}", json!({ "id": id, "d": d })).expect("a text");
    }
    let project = Project::new().file("d.jsonl", &lines);
    let answers = project.args(["replay", "d.jsonl", "--jsonl"]).run().code(0).json();
    assert!(answers.iter().enumerate().all(|(id, answer)| answer["id"] == id));
    assert_eq!(answers.len(), 5000);
}

#[test]
fn what_cannot_be_replayed_says_what_can() {
    let project = Project::new().file("a.json", "{}");
    project.args(["replay", "none.jsonl", "--jsonl"]).run().code(1).says("cannot read none.jsonl");
    project.args(["replay", "a.json"]).run().code(1).says("is not an artifact");
}
