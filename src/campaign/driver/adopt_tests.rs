use super::*;
use crate::campaign::file::OnMoved;

/// What the user commits meanwhile: files of the project.
type Commit<'a> = &'a [(&'a str, &'a str)];

/// The value in its last line, so that both sides may change the file.
const KERNEL: &str = "a\nb\nc\n// 100\n";

fn better(value: u32) -> String {
    format!("a\nb\nc\n// {value}\n")
}

/// A campaign that was left after its first iteration, which was kept.
fn left_after_one() -> (World, Settings) {
    let (first, second) = (better(90), better(80));
    let world = World::new(&[&[("k.c", &first)], &[("k.c", &second)]]);
    world.write("project/k.c", KERNEL);
    let rules = Rules { on_moved: OnMoved::Adopt, anchor: Some(9), ..Rules::default() };
    let settings = world.settings(rules);
    let (_, events) = world.drive("before", &settings);
    let ended = events.iter().position(|event| matches!(event, Event::Ended { .. }));
    let kept = ended.expect("an end") + 1;
    let cutter = Cutter { dir: world.dir.path(), count: Cell::new(0), cuts: &|at| at == kept };
    world.watched("whole", &settings, &cutter);
    fs::rename(world.at(&format!("cut-{kept}")), world.at("left")).expect("moved");
    (world, settings)
}

impl World {
    fn commit(&self, files: Commit<'_>) {
        for (name, text) in files {
            self.write(&format!("project/{name}"), text);
        }
    }

    /// Takes up a campaign while this commit is checked out.
    fn taken_up(
        &self,
        folder: &str,
        settings: &Settings,
        head: &str,
        seen: &dyn Observer,
    ) -> Result<History, DriverError> {
        let env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
        let (folder, project) = (self.at(folder), self.at("project"));
        let mut agent = agent::of(&settings.agent, Surroundings::default());
        let parts = Parts {
            settings,
            folder: &folder,
            source: source(&project),
            copies: &folder.join("trees"),
            agent: &mut *agent,
            judge: &mut Numbers { folder: &folder, trouble: 0 },
            observer: seen,
            env: &env,
            launcher: None,
            secrets: &Secrets::default(),
            cancel: &Cancel::default(),
        };
        let (mut driver, _) = Driver::resume(parts)?;
        driver.look_at_head(Some(head))?;
        assert_eq!(driver.run()?, Ran::ToItsEnd);
        Ok(driver.history().clone())
    }
}

#[test]
fn commands_run_where_they_ran_when_the_campaign_began() {
    let (world, mut settings) = left_after_one();
    settings.compute.launcher = vec!["ssh".to_owned(), "host".to_owned()];
    let seen = Seen::default();
    let refused = world.taken_up("left", &settings, "one", &seen).expect_err("another place");
    assert!(matches!(refused, DriverError::OtherPlace), "{refused}");
    settings.compute.launcher.clear();
    let history = world.taken_up("left", &settings, "one", &seen).expect("it runs");
    assert_eq!(value(&history), Some(80.0));
}

fn value(history: &History) -> Option<f64> {
    history.best.as_ref().map(|best| best.value)
}

#[test]
fn an_adopted_commit_gets_the_kept_changes_a_baseline_an_anchor_and_guards_of_its_own() {
    let (world, settings) = left_after_one();
    world.commit(&[("tests/u.sh", "exit 0\n"), ("k.c", "A\nb\nc\n// 100\n")]);
    copy(&world.at("left"), &world.at("adopted"));
    let seen = Seen::default();
    let history = world.taken_up("adopted", &settings, "two", &seen).expect("it runs");
    let events = seen.0.into_inner();
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Moved { .. } => Some("moved"),
            Event::Adopted(_) => Some("adopted"),
            Event::Baseline(_) => Some("baseline"),
            Event::MergedJudged { .. } => Some("judged"),
            Event::MergedKept => Some("kept"),
            Event::Anchored(_) => Some("anchored"),
            Event::Opened { .. } => Some("opened"),
            _ => None,
        })
        .collect();
    let begin = ["moved", "adopted", "baseline", "judged", "kept", "anchored", "opened"];
    assert_eq!(kinds[..7], begin, "{kinds:?}");
    // The second version is the whole file, and takes the user's first line back.
    assert_eq!((statuses(&history), value(&history)), (vec!["kept", "kept"], Some(80.0)));
    let guards = history.baseline.as_ref().map(|baseline| baseline.guards.clone());
    assert_eq!(guards, Some(vec![Some("2".to_owned())]), "the harness is the new one");
    assert_eq!((history.epoch(), history.epochs[0].until), (2, 1));
    let begun = history.begun.expect("begun");
    assert_eq!(begun.head.as_deref(), Some("two"));
    assert!(world.at("adopted/best/tests/u.sh").exists());
}

#[test]
fn an_adoption_cut_off_after_any_event_ends_as_the_unbroken_one() {
    let (world, settings) = left_after_one();
    world.commit(&[("tests/u.sh", "exit 0\n"), ("k.c", "A\nb\nc\n// 100\n")]);
    fs::remove_dir_all(world.at("whole")).expect("removed");
    fs::rename(world.at("left"), world.at("whole")).expect("moved");
    let cutter = Cutter { dir: world.dir.path(), count: Cell::new(0), cuts: &|_| true };
    let whole = world.taken_up("whole", &settings, "two", &cutter).expect("it runs");
    for kept in 1..cutter.count.get() {
        let name = format!("cut-{kept}");
        let seen = Seen::default();
        let history = world.taken_up(&name, &settings, "two", &seen).expect("it runs");
        assert_eq!(statuses(&history), statuses(&whole), "{kept}");
        let known = |history: &History| (history.epoch(), value(history), history.end);
        assert_eq!(known(&history), known(&whole), "{kept}");
        let text = |name: &str| fs::read_to_string(world.at(name).join("best/k.c")).expect("there");
        assert_eq!(text(&name), text("whole"), "{kept}");
        assert!(world.at(&name).join("best/tests/u.sh").exists(), "{kept}");
    }
}

#[test]
fn changes_that_do_not_fit_the_new_commit_stop_it_until_that_is_mended() {
    let (world, settings) = left_after_one();
    world.commit(&[("k.c", "a\nb\nc\n// 95\n")]);
    let seen = Seen::default();
    let stopped = world.taken_up("left", &settings, "two", &seen).expect_err("a conflict");
    assert!(matches!(&stopped, DriverError::Conflict { files, .. } if files == "k.c"), "{stopped}");
    assert!(stopped.to_string().contains("on_moved = \"ignore\""), "{stopped}");
    // The user goes back.
    world.commit(&[("k.c", KERNEL)]);
    let history = world.taken_up("left", &settings, "one", &seen).expect("it runs");
    assert_eq!((history.epoch(), value(&history)), (1, Some(80.0)));
}

#[test]
fn kept_changes_that_gain_nothing_on_the_new_commit_are_dropped() {
    let (world, settings) = left_after_one();
    // The first number counts.
    world.commit(&[("k.c", "// 50\nb\nc\n// 100\n")]);
    let seen = Seen::default();
    let history = world.taken_up("left", &settings, "two", &seen).expect("it runs");
    assert_eq!((statuses(&history), value(&history)), (vec!["kept", "reverted"], Some(50.0)));
    assert_eq!(history.best.expect("a best").iteration, 0);
    let text = fs::read_to_string(world.at("left/best/k.c")).expect("there");
    assert_eq!(text, "// 50\nb\nc\n// 100\n");
}

#[test]
fn kept_changes_that_break_the_new_commit_wait_for_one_that_mends_it() {
    let (world, mut settings) = left_after_one();
    let script = "! { test -e x && grep -q 90 k.c; } && echo Ran 1 tests";
    settings.guards[0].run = ["sh", "-c", script].map(str::to_owned).to_vec();
    world.commit(&[("x", "x\n")]);
    let seen = Seen::default();
    let stopped = world.taken_up("left", &settings, "two", &seen).expect_err("it breaks");
    assert!(matches!(stopped, DriverError::Merged(_)), "{stopped}");
    fs::remove_file(world.at("project/x")).expect("removed");
    let history = world.taken_up("left", &settings, "three", &seen).expect("it runs");
    assert_eq!((history.epoch(), value(&history)), (3, Some(80.0)));
    let merged = history.merged.expect("merged");
    assert!(merged.is_kept && merged.iteration == 1);
}
