use super::*;
use crate::campaign::agent::Answer;
use crate::campaign::event::{
    Baseline, Begun, Changed, Event, How, Judgement, Outcome, Proposal, Status,
};
use crate::campaign::settings;

const FILE: &str = r#"
name = "softmax"
goal = "faster"
pipeline = "candidate.toml"
target = 5.0
[scope]
edit = ["k.c", "lib/**"]
protect = ["tests/**"]
[agent]
run = ["my-agent"]
directives = ["No fast-math.", "Two\nlines."]
directive_files = ["house.md"]
presets = ["structural"]
[budget]
iterations = 20
"#;

fn loaded(file: &str, template: Option<&str>) -> Result<Settings, AskingError> {
    let loaded = settings::load("campaign.toml".as_ref(), file.to_owned());
    let mut settings = loaded.settings.expect("it is whole");
    let read = |path: &std::path::Path| match path.to_str() {
        Some("/p/house.md") => Ok("Use the house style.\n".to_owned()),
        Some("/p/mine.j2") => {
            template.map(str::to_owned).ok_or(std::io::ErrorKind::NotFound.into())
        }
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    settings.asking = Asking::load(&settings.agent, "/p".as_ref(), &read)?;
    Ok(settings)
}

/// A baseline of 100, then an iteration for each outcome, with these values.
fn history(outcomes: &[(Outcome, f64, &str)]) -> History {
    let mut history = History::default();
    let mut apply = |event| history.apply(&event).expect("it follows");
    apply(Event::Begun(Begun {
        id: "c".to_owned(),
        goal: "g".to_owned(),
        pipeline: "p.toml".to_owned(),
        base: "0123abcd".to_owned(),
        head: None,
        ..Begun::default()
    }));
    apply(Event::Baseline(Baseline {
        metric: "median_us".to_owned(),
        value: 100.0,
        device: Some("Xeon 6".to_owned()),
        bounds: vec!["n=64: 7 µs at least (memory)".to_owned()],
        ..Baseline::default()
    }));
    for (iteration, (outcome, value, reason)) in (1..).zip(outcomes) {
        let changed = Changed { path: "k.c".to_owned(), how: How::Edited };
        let said = Answer { description: format!("change {iteration}"), ..Answer::default() };
        let proposal =
            Proposal { description: said.description, files: vec![changed], ..Proposal::default() };
        let judgement = Judgement {
            value: Some(*value),
            gain: Some(0.1),
            reason: (*reason).to_owned(),
            ..Judgement::of(*outcome)
        };
        apply(Event::Opened { iteration });
        apply(Event::Proposed { iteration, proposal });
        apply(Event::Committed { iteration, commit: format!("c{iteration}"), lines: 1 });
        apply(Event::Judged { iteration, judgement });
        let status: Status = outcome.status();
        apply(Event::Ended { iteration, status, seconds: 1.0 });
    }
    history
}

#[test]
fn a_first_prompt_holds_goal_rules_and_directives_and_no_numbers() {
    let settings = loaded(FILE, None).expect("it loads");
    let text = Brief { settings: &settings, history: &History::default(), iteration: 1 }.text();
    for part in [
        "# Iteration 1 of 20\n\nfaster\n",
        "- You may change: `k.c`, `lib/**`.\n- You must not change: `tests/**`.\n",
        "`.optloop-answer.md`",
        "## Directives\n\nThey are mandatory.\n\n- Before you change anything, write down three",
        "- No fast-math.\n- Two\n  lines.\n- Use the house style.\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    assert!(!text.contains("Where it stands") && !text.contains("none"), "{text}");
    assert!(!text.contains("\n\n\n"), "{text}");
}

#[test]
fn a_later_prompt_tells_the_numbers_the_trend_and_the_last_failures() {
    let settings = loaded(FILE, None).expect("it loads");
    let long = format!("smoke: it does not build\nk.c:1: error\n{}", "more\n".repeat(100));
    let mut outcomes: Vec<(Outcome, f64, &str)> =
        (0..8).map(|n| (Outcome::Better, 90.0 - f64::from(n), "better")).collect();
    outcomes.push((Outcome::Failed, 0.0, &long));
    outcomes.push((Outcome::Worse, 95.0, "worse"));
    outcomes.push((Outcome::Guard, 95.0, "`make test` failed: 3 of 9"));
    let history = history(&outcomes);
    let text = Brief { settings: &settings, history: &history, iteration: 12 }.text();
    for part in [
        "- measured on: Xeon 6\n- bound: n=64: 7 µs at least (memory)\n",
        "- median_us at the beginning: 100; lower is better\n",
        "- best median_us, of iteration 8: 83 (+17.00 %)\n",
        "- last median_us that was measured: 95\n- target: 5\n",
        "- last gains that were kept: +10.00 % (iteration 4), ",
        "+10.00 % (iteration 8)\n",
        "- 2: kept: change 2 (better)\n",
        "- 11: guard: change 11 (failed: `make test` failed: 3 of 9)\n",
        "## Why iteration 9 failed\n\n```text\nsmoke: it does not build\nk.c:1: error\nmore\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    assert!(!text.contains("- 1: kept"), "the last ten only:\n{text}");
    assert_eq!(text.matches("\nmore").count(), 18, "20 lines of a failure:\n{text}");
    assert!(!text.contains("Why iteration 11"), "one line says it all:\n{text}");
    assert!(!text.contains("\n\n\n"), "{text}");
}

#[test]
fn a_template_of_the_project_takes_the_place_of_the_built_in_one() {
    let file = FILE.replace("directives =", "template = \"mine.j2\"\ndirectives =");
    let mine = "{{ goal }} from {{ base }}, {{ iteration }} of {{ total }}:\n\
                {% for one in directives %}\n* {{ one }}\n{% endfor %}\n";
    let settings = loaded(&file, Some(mine)).expect("it loads");
    let text = Brief { settings: &settings, history: &history(&[]), iteration: 1 }.text();
    assert!(text.starts_with("faster from 0123abcd, 1 of 20:\n* Before you"), "{text}");
    assert!(text.ends_with("\n* Use the house style.\n"), "{text}");
    match loaded(&file, Some("{{ goal }}\n{{ gaol }}\n")) {
        Err(AskingError::Template(told)) => assert_eq!(told[0].location().expect("one").line, 2),
        other => panic!("{other:?}"),
    }
    let absent = loaded(&file, None).expect_err("it is not there").to_string();
    assert!(absent.contains("cannot read /p/mine.j2, which [agent] names"), "{absent}");
}
