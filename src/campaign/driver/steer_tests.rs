use super::*;
use crate::campaign::event::Steered;

/// In its first iteration somebody leaves three requests, of which one can be followed.
const SCRIPT: &str = r#"
if [ ! -e ../../inbox ]; then
  mkdir ../../inbox
  echo '{"say": "be bold", "iterations": 2, "stretch": 50}' > ../../inbox/1.json
  echo '{"approve": ["k.c"]}' > ../../inbox/2.json
  echo '{"say": 5' > ../../inbox/3.json
fi
echo '// 90' > k.c
"#;

fn steered(events: &[Event]) -> Vec<&Steered> {
    let steered = events.iter().filter_map(|event| match event {
        Event::Steered(steered) => Some(steered),
        _ => None,
    });
    steered.collect()
}

fn log(world: &World, name: &str) -> Vec<Event> {
    let text = fs::read_to_string(world.at(name).join("events.jsonl")).expect("a log");
    let entry = |line| serde_json::from_str::<Entry>(line).expect("an entry");
    text.lines().map(|line| entry(line).event).collect()
}

fn requests(world: &World, name: &str) -> usize {
    let files = fs::read_dir(world.at(name).join("inbox")).expect("an inbox");
    files.flatten().filter(|file| file.path().extension().is_some()).count()
}

#[test]
fn requests_are_answered_once_before_the_next_iteration_also_after_a_kill() {
    let world = World::new(&VERSIONS[..1]);
    let settings = Settings {
        rules: Rules { iterations: Some(9), ..Rules::default() },
        ..command(&world, SCRIPT, Duration::from_secs(20))
    };
    let (history, events) = world.drive("whole", &settings);
    assert_eq!((statuses(&history), history.end), (vec!["kept", "no-op"], Some(End::Budget)));
    let answers = steered(&events);
    let refused: Vec<Option<&str>> = answers.iter().map(|one| one.refused.as_deref()).collect();
    assert_eq!((refused.len(), refused[0]), (3, None));
    assert!(refused[1].expect("refused").contains("`scope.approve`"), "{refused:?}");
    assert!(refused[2].expect("refused").contains("it is no request"), "{refused:?}");
    let prompt = |number: u32| {
        let file = world.at("whole").join(format!("iterations/{number:04}/prompt.md"));
        fs::read_to_string(file).expect("a prompt")
    };
    assert!(!prompt(1).contains("be bold"));
    assert!(prompt(2).contains("- be bold\n") && prompt(2).contains("stretch target: 50"));
    assert_eq!(requests(&world, "whole"), 0);

    let lines = fs::read_to_string(world.at("whole/events.jsonl")).expect("a log");
    let lines: Vec<&str> = lines.lines().collect();
    for kept in 3..lines.len() {
        let name = format!("cut-{kept}");
        copy(&world.at("whole"), &world.at(&name));
        let cut = lines[..kept].join("\n") + "\n";
        fs::write(world.at(&name).join("events.jsonl"), cut).expect("written");
        fs::write(world.at(&name).join("incumbent"), incumbent(&events[..kept]).to_string())
            .expect("written");
        // As a kill before their removal leaves them.
        for (at, text) in [(1, r#"{"iterations": 2}"#), (2, "{}"), (3, "no")] {
            let request = world.at(&name).join(format!("inbox/{at}.json"));
            fs::write(request, text).expect("written");
        }
        let (history, _) = world.drive(&name, &settings);
        assert_eq!(statuses(&history), ["kept", "no-op"], "after {kept}");
        let all = log(&world, &name);
        let names: Vec<&str> = steered(&all).iter().map(|one| &one.request[..]).collect();
        assert_eq!(names, ["1.json", "2.json", "3.json"], "after {kept}");
        assert_eq!(requests(&world, &name), 0);
    }
}

#[test]
fn an_approval_opens_a_file_and_a_target_that_is_set_later_ends_it() {
    let world = World::new(&VERSIONS[..1]);
    let script = "[ -e ../../inbox ] || { mkdir ../../inbox; \
                  echo '{\"approve\": [\"k.c\"], \"target\": 90.0}' > ../../inbox/1.json; }\n\
                  echo '// 90' > k.c";
    let mut settings = command(&world, script, Duration::from_secs(20));
    settings.rules = Rules::default();
    settings.patterns.approve = vec!["*.c".to_owned()];
    let (history, _) = world.drive("c", &settings);
    assert_eq!((statuses(&history), history.end), (vec!["invalid", "kept"], Some(End::Target)));
    assert_eq!(history.best.expect("a best").confirmations, 2);
}

#[test]
fn why_the_driver_could_not_go_on_is_in_the_log_until_it_goes_on() {
    let world = World::new(&VERSIONS[..1]);
    let mut settings = world.settings(Rules::default());
    settings.guards[0].expect = Some(regex::Regex::new("Ran 9 tests").expect("an expression"));
    world.begin("c", &settings, 0, |mut driver| {
        let error = driver.run().expect_err("the guard says no").to_string();
        assert_eq!(driver.history().halted, Some(error));
    });
    let (history, events) = world.drive("c", &world.settings(Rules::default()));
    assert_eq!((statuses(&history), history.halted), (vec!["kept"], None));
    assert_eq!(events[0], Event::Resumed);
}
