use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::campaign::agent::{self, Surroundings};
use crate::campaign::anchored::Anchored;
use crate::campaign::event::{Better, End, Judgement, Outcome};
use crate::campaign::file::{AgentSandbox, Dirty, OnInfra, PromptBy, Publish};
use crate::campaign::keep::KeepRules;
use crate::campaign::prompt::Asking;
use crate::campaign::scope::Patterns;
use crate::campaign::settings::{AgentKind, AgentSettings, Guard, Retry};
use crate::campaign::step::Rules;
use crate::git::Outside;

/// Judges by the number that the kernel holds. What the incumbent is lies in a file, as it does with
/// a real one.
struct Numbers<'a> {
    folder: &'a Path,
    /// So many judgements say "infrastructure" first.
    trouble: u32,
}

impl Numbers<'_> {
    fn value(tree: &Path) -> Option<f64> {
        let text = fs::read_to_string(tree.join("k.c")).expect("a kernel");
        text.lines().find_map(|line| line.strip_prefix("// ")?.parse().ok())
    }

    fn incumbent(&self) -> f64 {
        let text = fs::read_to_string(self.folder.join("incumbent")).expect("an incumbent");
        text.parse().expect("a number")
    }

    fn set(&self, value: f64) {
        fs::write(self.folder.join("incumbent"), value.to_string()).expect("written");
    }
}

impl Judge for Numbers<'_> {
    fn baseline(&mut self, tree: &Path) -> Result<Baseline, Blocked> {
        let message = "it does not run".to_owned();
        let value = Self::value(tree).ok_or(Blocked::Refused { message })?;
        self.set(value);
        Ok(Baseline {
            stage: "count".to_owned(),
            metric: "cycles".to_owned(),
            better: Better::Lower,
            value,
            artifact: "a".to_owned(),
            ..Baseline::default()
        })
    }

    fn judge(&mut self, tree: &Path, _: &Baseline) -> Result<Judgement, Blocked> {
        let best = self.incumbent();
        let value = Self::value(tree);
        let outcome = match value {
            _ if self.trouble > 0 => {
                self.trouble -= 1;
                Outcome::Infrastructure
            }
            None => Outcome::Failed,
            Some(value) if value < best => Outcome::Better,
            Some(value) if value > best => Outcome::Worse,
            Some(_) => Outcome::Undecided,
        };
        let gain = value.map(|value| 1.0 - value / best);
        let reason = "counted".to_owned();
        Ok(Judgement { value, gain, share: gain, reason, ..Judgement::of(outcome) })
    }

    fn promote(&mut self, tree: &Path, _: &Judgement) -> Result<(), Blocked> {
        self.set(Self::value(tree).expect("a value"));
        Ok(())
    }

    fn confirm(&mut self, tree: &Path, _: &Baseline) -> Result<f64, Blocked> {
        Ok(Self::value(tree).expect("a value"))
    }

    fn anchor(&mut self, tree: &Path, baseline: &Baseline) -> Result<Anchored, Blocked> {
        let gain = Self::value(tree).map(|value| 1.0 - value / baseline.value);
        Ok(Anchored { gain, ..Anchored::default() })
    }
}

/// Remembers what happened.
#[derive(Default)]
struct Seen(RefCell<Vec<Event>>);

impl Observer for Seen {
    fn event(&self, entry: &Entry, _: &History) {
        self.0.borrow_mut().push(entry.event.clone());
    }
}

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new(versions: &[&[(&str, &str)]]) -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a folder") };
        world.write("project/k.c", "// 100\n");
        world.write("project/tests/t.sh", "exit 0\n");
        for (at, version) in versions.iter().enumerate() {
            for (name, text) in *version {
                world.write(&format!("versions/{:02}-v/{name}", at + 1), text);
            }
        }
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at(name).parent().expect("a folder")).expect("made");
        fs::write(self.at(name), text).expect("written");
    }

    fn settings(&self, rules: Rules) -> Settings {
        Settings {
            name: "c".to_owned(),
            goal: "fewer cycles".to_owned(),
            pipeline: "p.toml".to_owned(),
            dirty: Dirty::Fail,
            carry: Vec::new(),
            patterns: Patterns {
                edit: vec!["k.c".to_owned(), "lib/**".to_owned()],
                protect: vec!["tests".to_owned()],
                ..Patterns::default()
            },
            agent: AgentSettings {
                sandbox: AgentSandbox::None,
                ..AgentSettings::of(AgentKind::Replay(self.at("versions")))
            },
            guards: vec![Guard {
                run: [
                    "sh",
                    "-c",
                    "test ! -e lib/bad && ! grep bad k.c && echo Ran $(ls tests | wc -w) tests",
                ]
                .map(str::to_owned)
                .to_vec(),
                expect: Some(regex::Regex::new(r"Ran (\d+) tests").expect("an expression")),
                timeout: Duration::from_secs(20),
            }],
            rules,
            asking: Asking::default(),
            retry: Retry { judge: 1, ..Retry::default() },
            compute: crate::campaign::settings::Compute::default(),
            hold: None,
            publish: Publish::None,
            on_best: Vec::new(),
        }
    }

    /// Begins a campaign whose machine fails so often.
    fn begin<R>(
        &self,
        folder: &str,
        settings: &Settings,
        trouble: u32,
        then: impl FnOnce(Driver<'_>) -> R,
    ) -> R {
        let (folder, project) = (self.at(folder), self.at("project"));
        let mut agent = agent::of(&settings.agent, Surroundings::default());
        let parts = Parts {
            settings,
            folder: &folder,
            source: source(&project),
            copies: &folder.join("trees"),
            agent: &mut *agent,
            judge: &mut Numbers { folder: &folder, trouble },
            observer: &Seen::default(),
            env: &[("PATH".into(), "/usr/bin:/bin".into())],
            launcher: None,
            secrets: &Secrets::default(),
            cancel: &Cancel::default(),
        };
        then(Driver::begin(parts, begun()).expect("begun"))
    }

    fn drive(&self, folder: &str, settings: &Settings) -> (History, Vec<Event>) {
        let seen = Seen::default();
        (self.watched(folder, settings, &seen), seen.0.into_inner())
    }

    fn watched(&self, folder: &str, settings: &Settings, seen: &dyn Observer) -> History {
        let env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
        let (folder, project) = (self.at(folder), self.at("project"));
        let surroundings = Surroundings { env: env.clone(), ..Surroundings::default() };
        let mut agent = agent::of(&settings.agent, surroundings);
        let mut judge = Numbers { folder: &folder, trouble: 0 };
        let parts = Parts {
            settings,
            folder: &folder,
            source: source(&project),
            copies: &folder.join("trees"),
            agent: &mut *agent,
            judge: &mut judge,
            observer: seen,
            env: &env,
            launcher: None,
            secrets: &Secrets::default(),
            cancel: &Cancel::default(),
        };
        let mut driver = if folder.exists() {
            Driver::resume(parts).expect("resumed").0
        } else {
            Driver::begin(parts, begun()).expect("begun")
        };
        assert_eq!(driver.run().expect("it runs"), Ran::ToItsEnd);
        driver.history().clone()
    }

    /// Drives a campaign, and copies its folder as it is after each event; how many there are.
    fn cut_everywhere(&self, settings: &Settings) -> (History, usize) {
        let cutter = Cutter { dir: self.dir.path(), count: Cell::new(0), cuts: &|_| true };
        (self.watched("whole", settings, &cutter), cutter.count.get())
    }

    /// Drives what was left after so many events to its end.
    fn ends_the_same(&self, settings: &Settings, whole: &History, kept: usize) {
        let name = format!("cut-{kept}");
        let log = fs::read_to_string(self.at(&name).join("events.jsonl")).expect("a log");
        let at = format!("after {kept}: {}", log.lines().last().unwrap_or_default());
        let (history, _) = self.drive(&name, settings);
        assert_eq!(statuses(&history), statuses(whole), "{at}");
        let best = |history: &History| history.best.as_ref().map(|b| (b.iteration, b.value));
        assert_eq!(best(&history), best(whole), "{at}");
        assert_eq!(history.end, whole.end, "{at}");
        let calls = |history: &History| {
            let calls = history.iterations.iter().map(|one| (one.sent_back.len(), one.lines));
            calls.collect::<Vec<_>>()
        };
        assert_eq!(calls(&history), calls(whole), "{at}");
        let text = |name: &str| fs::read_to_string(self.at(name).join("best/k.c")).expect("there");
        assert_eq!(text(&name), text("whole"), "{at}");
    }
}

/// Copies the campaign's folder after each event, as a kill would leave it.
struct Cutter<'a> {
    dir: &'a Path,
    count: Cell<usize>,
    /// After which events it copies.
    cuts: &'a dyn Fn(usize) -> bool,
}

impl Observer for Cutter<'_> {
    fn event(&self, _: &Entry, _: &History) {
        self.count.set(self.count.get() + 1);
        if (self.cuts)(self.count.get()) {
            copy(&self.dir.join("whole"), &self.dir.join(format!("cut-{}", self.count.get())));
        }
    }
}

fn source(root: &Path) -> Source<'_> {
    static OUTSIDE: std::sync::LazyLock<Outside> = std::sync::LazyLock::new(Outside::default);
    Source { root, dirty: Dirty::Fail, carry: &[], outside: &OUTSIDE }
}

fn begun() -> Begun {
    Begun {
        id: "c-1".to_owned(),
        goal: "fewer cycles".to_owned(),
        pipeline: "p.toml".to_owned(),
        head: Some("one".to_owned()),
        ..Begun::default()
    }
}

fn statuses(history: &History) -> Vec<&'static str> {
    let ended = history.iterations.iter().filter_map(|iteration| iteration.status);
    ended.map(Status::word).collect()
}

const VERSIONS: [&[(&str, &str)]; 9] = [
    &[("k.c", "// 90\n")],
    &[("k.c", "// 95\n")],
    &[("k.c", "// 90 again\n// 90\n")],
    &[("k.c", "crash\n")],
    &[("k.c", "// 10\n"), ("tests/t.sh", "exit 0 # now it passes\n")],
    &[("k.c", "// 10\n"), ("lib/bad", "x\n")],
    &[("notes.md", "nothing but a stray\n")],
    &[("k.c", "// 80\n"), ("lib/new.h", "x\n")],
    &[("k.c", "// 79\n")],
];

#[test]
fn a_replayed_campaign_ends_each_version_as_it_deserves() {
    let world = World::new(&VERSIONS);
    let (history, _) = world.drive("c", &world.settings(Rules::default()));
    let wanted =
        ["kept", "reverted", "undecided", "failed", "invalid", "guard", "no-op", "kept", "kept"];
    assert_eq!(statuses(&history), wanted);
    assert_eq!(history.end, Some(End::Exhausted));
    let best = history.best.expect("a best");
    assert_eq!((best.iteration, best.value), (9, 79.0));
    // Kept changes add up, and nothing else got in.
    let text = |name: &str| fs::read_to_string(world.at("c/best").join(name));
    assert_eq!(text("k.c").expect("there"), "// 79\n");
    assert!(text("lib/new.h").is_ok() && text("lib/bad").is_err() && text("notes.md").is_err());
    assert_eq!(text("tests/t.sh").expect("there"), "exit 0\n");
    let report = fs::read_to_string(world.at("c/report.md")).expect("a report");
    assert!(report.contains("tests/t.sh is protected"), "{report}");
    assert_eq!(
        fs::read_to_string(world.at("c/experiments.jsonl")).expect("there").lines().count(),
        10
    );
    // The user's project is as it was.
    assert_eq!(fs::read_to_string(world.at("project/k.c")).expect("there"), "// 100\n");
    assert!(!world.at("project/lib").exists());
}

#[test]
fn a_campaign_cut_off_after_any_event_ends_as_the_unbroken_one() {
    let world = World::new(&VERSIONS);
    let settings = world.settings(Rules { target: Some(80.0), ..Rules::default() });
    let (whole, events) = world.cut_everywhere(&settings);
    assert_eq!(whole.end, Some(End::Target));
    for kept in 1..events {
        world.ends_the_same(&settings, &whole, kept);
    }
}

/// Better ones that a guard refuses: mended, never mended, mended at the second time, and worse.
fn refused_by_a_guard() -> World {
    let world = World::new(&[
        &[("k.c", "// 90\n// bad\n")],
        &[("k.c", "// 80\n// bad\n")],
        &[("k.c", "// 70\n// bad\n")],
        &[("k.c", "// 95\n// bad\n")],
        &[("k.c", "// 60\n// bad\n")],
    ]);
    world.write("versions/01-v.rework1/k.c", "// 91\n");
    world.write("versions/03-v.rework1/k.c", "// 71\n// bad\n");
    world.write("versions/03-v.rework2/k.c", "// 72\n");
    for rework in 1..4 {
        let text = format!("// 6{rework}\n// bad\n");
        world.write(&format!("versions/05-v.rework{rework}/k.c"), &text);
    }
    world
}

#[test]
fn a_better_candidate_that_a_guard_refuses_goes_back_to_the_agent_twice_at_most() {
    let world = refused_by_a_guard();
    let (history, _) = world.drive("whole", &world.settings(Rules::default()));
    assert_eq!(statuses(&history), ["kept", "guard", "kept", "guard", "guard"]);
    let sent: Vec<usize> = history.iterations.iter().map(|one| one.sent_back.len()).collect();
    assert_eq!(sent, [1, 1, 2, 0, 2]);
    assert_eq!(history.best.map(|best| best.value.to_string()).as_deref(), Some("72"));
    let prompt = world.at("whole/iterations/0003/rework2/prompt.md");
    let prompt = fs::read_to_string(prompt).expect("a prompt");
    assert!(prompt.contains("A guard refuses your last change"), "{prompt}");
    assert!(prompt.contains("// bad"), "what the guard printed is in it: {prompt}");
    let report = fs::read_to_string(world.at("whole/report.md")).expect("a report");
    assert!(report.contains("| 2 | guard | 80 |"), "{report}");

    let once = KeepRules { rework: 1, ..KeepRules::default() };
    let (history, _) =
        world.drive("once", &world.settings(Rules { keep: once, ..Rules::default() }));
    assert_eq!(statuses(&history), ["kept", "guard", "guard", "guard", "guard"]);
    let never = KeepRules { rework: 0, ..once };
    let (history, _) =
        world.drive("never", &world.settings(Rules { keep: never, ..Rules::default() }));
    assert_eq!(statuses(&history), ["guard"; 5]);
    let judged = history.iterations[0].judgement.as_ref().expect("judged");
    assert_eq!(judged.value, None, "nothing is compared where nothing could go back");
}

#[test]
fn a_mending_cut_off_after_any_event_ends_as_the_unbroken_one() {
    let world = World::new(&[&[("k.c", "// 90\n// bad\n")], &[("k.c", "// 80\n// bad\n")]]);
    world.write("versions/01-v.rework1/k.c", "// 91\n// bad\n");
    world.write("versions/01-v.rework2/k.c", "// 92\n");
    let settings = world.settings(Rules::default());
    let (whole, events) = world.cut_everywhere(&settings);
    for kept in 1..events {
        world.ends_the_same(&settings, &whole, kept);
    }
}

#[test]
fn a_tiny_gain_by_many_lines_is_reverted_with_that_reason() {
    let world = World::new(&[
        &[("k.c", &format!("// 99.95\n{}", "line\n".repeat(60)))],
        &[("k.c", "// 99.94\n")],
        &[("k.c", &format!("// 90\n{}", "line\n".repeat(60)))],
    ]);
    let (history, _) = world.drive("c", &world.settings(Rules::default()));
    assert_eq!(statuses(&history), ["reverted", "kept", "kept"]);
    let report = fs::read_to_string(world.at("c/report.md")).expect("a report");
    assert!(report.contains("0.050 % is too small for 62 changed lines"), "{report}");
}

/// What the judge's incumbent was after these events.
fn incumbent(events: &[Event]) -> f64 {
    let mut history = History::default();
    for event in events {
        history.apply(event).expect("it follows");
    }
    history.best.map_or(100.0, |best| best.value)
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("an entry");
        let place = to.join(entry.path().strip_prefix(from).expect("below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(place).expect("made");
        } else if entry.file_type().is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            std::os::unix::fs::symlink(target, place).expect("linked");
        } else {
            fs::copy(entry.path(), place).expect("copied");
        }
    }
}

#[test]
fn infrastructure_is_tried_again_and_never_blamed_on_the_candidate() {
    let world = World::new(&VERSIONS[..2]);
    let settings = world.settings(Rules { failures: Some(0), ..Rules::default() });
    for (trouble, wanted, end) in
        [(1, vec!["kept", "reverted"], End::Exhausted), (2, vec!["infrastructure"], End::Blocked)]
    {
        world.begin(&format!("c{trouble}"), &settings, trouble, |mut driver| {
            assert_eq!(driver.run().expect("it runs"), Ran::ToItsEnd);
            assert_eq!(statuses(driver.history()), wanted);
            assert_eq!(driver.history().end, Some(end));
        });
    }
}

#[test]
fn a_candidate_that_waits_for_the_machine_is_judged_when_the_campaign_is_resumed() {
    let world = World::new(&VERSIONS[..2]);
    let rules = Rules { on_infra: OnInfra::KeepPending, ..Rules::default() };
    let settings = world.settings(rules);
    world.begin("c", &settings, 2, |mut driver| {
        let stopped = driver.run().expect_err("the machine fails");
        assert!(matches!(stopped, DriverError::Pending(_)), "{stopped}");
    });
    let (history, events) = world.drive("c", &settings);
    assert_eq!(statuses(&history), ["kept", "reverted"]);
    let asked = events.iter().filter(|event| matches!(event, Event::Proposed { .. }));
    assert_eq!(asked.count(), 1, "the first proposal was not asked for again");
}

#[test]
fn an_agent_knows_what_is_left_and_may_not_take_longer() {
    let world = World::new(&[]);
    let script = "echo \"$OPTLOOP_BUDGET_SECONDS $OPTLOOP_ITERATIONS_LEFT\" > .optloop-answer.md";
    let mut settings = command(&world, script, Duration::from_secs(20));
    settings.rules = Rules { iterations: Some(2), seconds: Some(3600.0), ..Rules::default() };
    let (history, _) = world.drive("c", &settings);
    let said = |at: usize| history.iterations[at].proposal.clone().expect("made").description;
    assert!(said(0).starts_with("35") && said(0).ends_with(" 1"), "{}", said(0));
    assert!(said(1).ends_with(" 0"), "{}", said(1));

    let mut settings = command(&world, "exec sleep 60", Duration::from_mins(1));
    settings.rules = Rules { seconds: Some(0.5), ..Rules::default() };
    let (history, _) = world.drive("late", &settings);
    assert_eq!((statuses(&history), history.end), (vec!["agent-failed"], Some(End::Budget)));
    assert!(history.iterations[0].seconds < 20.0, "{:?}", history.iterations);
}

#[test]
fn an_agent_knows_what_it_may_spend_and_a_spent_budget_ends_the_campaign() {
    let world = World::new(&[]);
    let script = r#"[ -z "$OPTLOOP_BUDGET_DOLLARS" ] && exit 9
        echo "{\"description\": \"$OPTLOOP_BUDGET_DOLLARS $OPTLOOP_BUDGET_TOKENS\",
            \"usage\": {\"dollars\": 0.75, \"tokens\": 400}}" > .optloop-answer.json"#;
    let run = |folder: &str, dollars, tokens| {
        let mut settings = command(&world, script, Duration::from_secs(20));
        let iterations = Some(9);
        settings.rules = Rules { iterations, dollars, tokens, ..Rules::default() };
        world.drive(folder, &settings).0
    };
    let history = run("money", Some(1.5), Some(10_000));
    assert_eq!((history.iterations.len(), history.end), (2, Some(End::Budget)));
    let said = |at: usize| history.iterations[at].proposal.clone().expect("made").description;
    assert_eq!((&said(0)[..], &said(1)[..]), ("1.5000 10000", "0.7500 9600"));
    assert_eq!(history.spent.words(), "$1.50, 800 tokens");
    let report = fs::read_to_string(world.at("money/report.md")).expect("a report");
    assert!(report.contains("- costs: $1.50, 800 tokens\n"), "{report}");
    let history = run("tokens", Some(100.0), Some(1000));
    assert_eq!((history.iterations.len(), history.end), (3, Some(End::Budget)));
}

fn command(world: &World, script: &str, timeout: Duration) -> Settings {
    let mut settings = world.settings(Rules { iterations: Some(1), ..Rules::default() });
    let run = ["sh", "-c", script].map(str::to_owned).to_vec();
    let kind = AgentKind::Command { run, prompt: PromptBy::Stdin };
    settings.agent =
        AgentSettings { timeout, sandbox: AgentSandbox::None, ..AgentSettings::of(kind) };
    settings
}

#[test]
fn agents_end_as_documented_whatever_they_do() {
    for (script, status) in [
        (
            "grep -q 'fewer cycles' && echo '// 90' > k.c && echo better > .optloop-answer.md",
            "kept",
        ),
        ("cat > /dev/null; echo '// 90' > k.c; exit 3", "kept"),
        ("exit 3", "agent-failed"),
        ("exit 0", "no-op"),
        ("yes | head -c 50000000; echo '// 90' > k.c", "kept"),
        ("exec sleep 60", "agent-failed"),
        ("echo '// 90' > k.c; git commit -qam better", "kept"),
        ("rm -rf .git; echo '// 90' > k.c", "kept"),
        ("printf '[core]\\n\\thooksPath = /tmp\\n' > .git/config; echo '// 90' > k.c", "kept"),
        ("rm k.c; mkfifo k.c", "invalid"),
        ("ln -sf /etc/passwd k.c", "invalid"),
        ("echo x > tests/t.sh; git stash -q; git push -q origin main", "agent-failed"),
        ("(setsid sh -c 'sleep 300' &) ; echo '// 90' > k.c", "kept"),
        ("echo '// 90' > k.c; chmod 0 k.c tests .", "kept"),
        ("rm -rf \"$PWD\"", "invalid"),
        ("cd ..; rm -rf lane; ln -s / lane", "invalid"),
        ("cd ..; rm -rf lane; echo file > lane", "invalid"),
    ] {
        let world = World::new(&[]);
        let settings = command(&world, script, Duration::from_secs(2));
        let (history, _) = world.drive("c", &settings);
        let told = || format!("{script}: {:?}", history.iterations);
        assert_eq!(statuses(&history), [status], "{}", told());
        assert_eq!(history.end, Some(End::Budget));
        if script.contains("better >") {
            let proposal = history.iterations[0].proposal.clone().expect("a proposal");
            assert_eq!(proposal.description, "better");
            assert!(proposal.strays.is_empty(), "{:?}", proposal.strays);
        }
    }
}

#[test]
fn silence_of_an_agent_ends_it_long_before_its_time_is_up() {
    let (short, long) = (Some(Duration::from_millis(300)), Duration::from_mins(1));
    let silent = |(script, first_event, idle, wanted): (&str, _, _, &str)| {
        let world = World::new(&[]);
        let mut settings = command(&world, script, long);
        (settings.agent.first_event, settings.agent.idle) = (first_event, idle);
        let (history, _) = world.drive("c", &settings);
        assert_eq!(statuses(&history), ["agent-failed"], "{script}");
        let end = history.iterations[0].proposal.clone().expect("a proposal").agent;
        assert!(end.message().is_some_and(|message| message.contains(wanted)), "{end:?}");
        assert!(history.seconds() < 10.0);
    };
    // They wait, and do it at the same time.
    std::thread::scope(|scope| {
        for case in [
            ("exec sleep 60", short, None, "it printed nothing within 0.3 s"),
            ("echo working; exec sleep 60", short, short, "it printed nothing more for 0.3 s"),
            ("trap '' INT TERM; echo a; sleep 60; sleep 60", None, short, "nothing more for 0.3 s"),
        ] {
            scope.spawn(move || silent(case));
        }
        scope.spawn(|| prints_all_the_time(long));
    });
}

/// And is left alone.
fn prints_all_the_time(long: Duration) {
    let world = World::new(&[]);
    let script = "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done; echo '// 90' > k.c";
    let mut settings = command(&world, script, long);
    (settings.agent.first_event, settings.agent.idle) = (Some(long), Some(long / 60));
    let (history, _) = world.drive("c", &settings);
    assert_eq!(statuses(&history), ["kept"]);
    let log = world.at("c/iterations/0001").join(agent::LOG);
    assert_eq!(fs::read_to_string(log).expect("a log"), "1\n2\n3\n4\n5\n");
}

#[test]
fn what_an_agent_says_is_kept_and_its_veto_counts_against_a_keep() {
    let world = World::new(&[]);
    let script = r#"n=$(tr -dc 0-9 < k.c); echo "// $((n - 1))" > k.c
        [ "$n" = 100 ] || exit 0
        echo '{"description": "less", "confidence": 0.5, "family": "schedule",
            "veto": "only for one size", "colour": 1}' > .optloop-answer.json"#;
    let mut settings = command(&world, script, Duration::from_secs(20));
    settings.rules.iterations = Some(2);
    let (history, _) = world.drive("c", &settings);
    // The second begins at 100 again, and vetoes again.
    assert_eq!(statuses(&history), ["vetoed", "vetoed"]);
    assert_eq!(history.best.expect("a best").iteration, 0);
    let records = fs::read_to_string(world.at("c/experiments.jsonl")).expect("there");
    let second = records.lines().nth(2).expect("a line");
    let record: serde_json::Value = serde_json::from_str(second).expect("JSON");
    let account = &record["account"];
    assert_eq!((&account["confidence"], &account["family"]), (&0.5.into(), &"schedule".into()));
    assert_eq!(account["notes"][0], "`colour` is not known and was ignored");
    assert_eq!((&record["description"], &record["metric"]), (&"less".into(), &99.0.into()));
    let report = fs::read_to_string(world.at("c/report.md")).expect("there");
    assert!(report.contains("the agent's veto: only for one size"), "{report}");
}

#[test]
fn a_denied_program_refuses_and_the_call_is_written_down() {
    let world = World::new(&[]);
    let script = "popcorn-cli submit 'k v.c' 2>said; [ $? = 126 ] || exit 9; grep -q deny said\
                  && rm said && sh -c raw-run; echo '// 90' > k.c";
    let mut settings = command(&world, script, Duration::from_secs(20));
    settings.agent.deny = ["popcorn-cli", "raw-run"].map(str::to_owned).to_vec();
    let (history, _) = world.drive("c", &settings);
    assert_eq!(statuses(&history), ["kept"]);
    let iteration = &history.iterations[0];
    let proposal = iteration.proposal.clone().expect("a proposal");
    assert_eq!(proposal.denied, ["popcorn-cli submit k v.c", "raw-run"]);
    let line = crate::campaign::prompt::one_line(iteration);
    assert!(line.contains("called `raw-run`, which is denied"), "{line}");
    let log = fs::read_to_string(world.at("c/iterations/0001").join(agent::DENIED));
    assert_eq!(log.expect("a log"), "popcorn-cli submit k v.c\nraw-run\n");
    assert!(!world.at("c/iterations/0001/denied").exists());
}

#[test]
fn an_agent_that_fills_the_disk_is_ended_while_there_is_room() {
    let world = World::new(&[]);
    let mut settings = command(&world, "exec sleep 60", Duration::from_mins(1));
    settings.agent.keep_free = Some(u64::MAX);
    let (history, _) = world.drive("c", &settings);
    assert_eq!(statuses(&history), ["agent-failed"]);
    let end = history.iterations[0].proposal.clone().expect("a proposal").agent;
    assert!(matches!(end, crate::campaign::event::AgentEnd::NoRoom { .. }), "{end:?}");
}

#[test]
fn planted_agent_settings_are_gone_in_the_next_iteration_and_those_of_the_project_are_protected() {
    let world = World::new(&[]);
    world.write("project/AGENTS.md", "original\n");
    let script = r#"grep -q original AGENTS.md && [ ! -e .claude ] && [ ! -e lib/CLAUDE.md ] || exit 9
        mkdir .claude lib; echo '{"hooks": 1}' > .claude/settings.json; echo evil > lib/CLAUDE.md
        n=$(tr -dc 0-9 < k.c); echo "// $((n - 1))" > k.c; [ -e ../../../third ] || exit 0
        echo evil > AGENTS.md"#;
    let mut settings = command(&world, script, Duration::from_secs(20));
    settings.patterns.edit = vec!["**".to_owned()];
    settings.rules.iterations = Some(2);
    let (history, _) = world.drive("c", &settings);
    assert_eq!(statuses(&history), ["kept", "kept"]);
    let proposal = history.iterations[1].proposal.clone().expect("a proposal");
    assert_eq!(proposal.strays, [".claude/settings.json", "lib/CLAUDE.md"]);
    world.write("third", "");
    settings.rules.iterations = Some(2);
    let (history, _) = world.drive("d", &settings);
    assert_eq!(statuses(&history), ["invalid", "invalid"]);
    let proposal = history.iterations[1].proposal.clone().expect("a proposal");
    assert_eq!(proposal.agent, crate::campaign::event::AgentEnd::Fine, "it found the original");
    assert!(!world.at("d/best/.claude").exists() && !world.at("d/trees/judge/lib").exists());
}

#[test]
fn a_request_to_stop_ends_it_before_the_next_iteration() {
    let world = World::new(&VERSIONS);
    let script = "echo '// 90' > k.c; mkdir -p ../../inbox; touch ../../inbox/stop";
    let settings =
        Settings { rules: Rules::default(), ..command(&world, script, Duration::from_secs(20)) };
    let (history, _) = world.drive("c", &settings);
    assert_eq!((statuses(&history), history.end), (vec!["kept"], Some(End::Stopped)));
}

#[test]
fn what_a_guard_prints_of_a_secret_is_not_written_down() {
    let world = World::new(&VERSIONS[..1]);
    let mut settings = world.settings(Rules::default());
    let script = "! grep -q 90 k.c || { echo the key is sesame-open; exit 1; }";
    settings.guards[0].run = ["sh", "-c", script].map(str::to_owned).to_vec();
    settings.guards[0].expect = None;
    let (folder, project) = (world.at("c"), world.at("project"));
    let env = [("PATH".into(), "/usr/bin:/bin".into())];
    let mut agent = agent::of(&settings.agent, Surroundings::default());
    let parts = Parts {
        settings: &settings,
        folder: &folder,
        source: source(&project),
        copies: &folder.join("trees"),
        agent: &mut *agent,
        judge: &mut Numbers { folder: &folder, trouble: 0 },
        observer: &Seen::default(),
        env: &env,
        launcher: None,
        secrets: &Secrets::of([("MY_KEY", "sesame-open")]),
        cancel: &Cancel::default(),
    };
    let mut driver = Driver::begin(parts, begun()).expect("begun");
    assert_eq!(driver.run().expect("it runs"), Ran::ToItsEnd);
    assert_eq!(statuses(driver.history()), ["guard"]);
    for file in ["events.jsonl", "report.md", "experiments.jsonl"] {
        let text = fs::read_to_string(folder.join(file)).expect("there");
        assert!(text.contains("[redacted: MY_KEY]") && !text.contains("sesame"), "{text}");
    }
}

/// A version, as a text of the kernel that is kept, reverted, refused by the guard or crashes, or as
/// another file.
fn version() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let kernel = |text: String| vec![("k.c", text)];
    prop_oneof![
        4 => (1..150_u32).prop_map(move |value| kernel(format!("// {value}\n"))),
        3 => (1..150_u32).prop_map(move |value| kernel(format!("// {value}\n// bad\n"))),
        1 => Just(kernel("crash\n".to_owned())),
        1 => Just(vec![("k.c", "// 1\n".to_owned()), ("tests/t.sh", "exit 0 # easier\n".to_owned())]),
        1 => Just(vec![("notes.md", "a stray\n".to_owned())]),
    ]
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let no_gain = proptest::option::of(1..4_u32);
    let target = proptest::option::of(20.0..100.0_f64);
    (0..3_u32, no_gain, target, 1..8_u32).prop_map(|(rework, no_gain, target, iterations)| Rules {
        keep: KeepRules { rework, ..KeepRules::default() },
        no_gain,
        target,
        iterations: Some(iterations),
        ..Rules::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Whatever is proposed, and wherever a campaign is cut off, it ends as the unbroken one.
    #[test]
    fn any_campaign_cut_off_anywhere_ends_as_the_unbroken_one(
        versions in proptest::collection::vec((version(), proptest::option::of(version())), 1..5),
        rules in some_rules(),
        cuts in proptest::collection::btree_set(1..30_usize, 2),
    ) {
        let world = World::new(&[]);
        for (at, (version, mend)) in versions.iter().enumerate() {
            for (name, text) in version {
                world.write(&format!("versions/{:02}-v/{name}", at + 1), text);
            }
            for (name, text) in mend.iter().flatten() {
                world.write(&format!("versions/{:02}-v.rework1/{name}", at + 1), text);
            }
        }
        let settings = world.settings(rules);
        let cutter = Cutter {
            dir: world.dir.path(),
            count: Cell::new(0),
            cuts: &|event| cuts.contains(&event),
        };
        let whole = world.watched("whole", &settings, &cutter);
        for cut in cuts.iter().filter(|cut| **cut < cutter.count.get()) {
            world.ends_the_same(&settings, &whole, *cut);
        }
    }
}

#[path = "driver/steer_tests.rs"]
mod steer;

#[path = "driver/adopt_tests.rs"]
mod adopt;
