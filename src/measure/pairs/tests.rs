//! Decisions about scripted kernels on a virtual clock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::*;
use crate::backend::fake::{FakeSession, Script, World};
use crate::backend::{Argument, LaunchLimit, Launched, Order, Session, Timer, Trouble};
use crate::pipeline::Guard;
use crate::stats::{Combine, Direction, Metric, Next, Reason, Rule, Scale, Statistic};

/// A process of one side: a fake session per case, the loaded one active.
struct Process {
    cases: Vec<FakeSession>,
    active: usize,
    /// It leaves the work of all but every fourth launch after its warm-ups to that one.
    lazy: bool,
    /// Per set, its latest launch.
    launched: BTreeMap<u32, u32>,
    launches: u32,
}

impl Process {
    /// Whether a lazy kernel has not done a set's work yet.
    fn owes(&self, set: u32) -> bool {
        let done = self.launches.saturating_sub(2) / 4 * 4 + 2;
        self.lazy && self.launched.get(&set).is_some_and(|&at| at >= done && at >= 2)
    }
}

impl Session for Process {
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        // The case travels as the value of the first argument.
        if let Some([Argument::Scalar(bytes)]) = sets.first().map(Vec::as_slice) {
            self.active = bytes[0] as usize;
        }
        (self.launches, self.launched) = (0, BTreeMap::new());
        self.cases[self.active].load(sets)
    }
    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        for set in order.first..order.first + order.count {
            self.launched.insert(set, self.launches);
        }
        self.launches += 1;
        self.cases[self.active].launch(order)
    }
    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        if self.owes(set) {
            return Ok(vec![vec![0]]);
        }
        self.cases[self.active].outputs(set)
    }
    fn disturbed(&mut self) -> Option<String> {
        self.cases[self.active].disturbed()
    }
    fn pause(&mut self) -> Result<(), Fault> {
        self.cases[self.active].pause()
    }
    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.cases.iter_mut().for_each(|case| case.limit(launch));
    }
    fn timer(&self) -> Timer {
        self.cases[self.active].timer()
    }
    fn finish(&mut self) -> Vec<u8> {
        self.cases[self.active].finish()
    }
}

/// How the times of fresh processes are made.
type Times = dyn FnMut(Side, &mut Script);

/// Scripted kernels on both sides; their events begin with `incumbent` or `candidate`.
struct Match {
    world: World,
    incumbent: Vec<Script>,
    candidate: Vec<Script>,
    lazy: bool,
    /// Sets that memory holds at a time.
    memory: u32,
    times: Box<Times>,
    renewals: Rc<RefCell<u32>>,
}

impl Match {
    fn new(incumbent: Vec<Script>, candidate: Vec<Script>) -> Self {
        Self {
            world: World::default(),
            incumbent,
            candidate,
            lazy: false,
            memory: 1 << 20,
            times: Box::new(|_, _| {}),
            renewals: Rc::default(),
        }
    }

    /// The same kernel on both sides, but for the factor in time; every process has a speed of its
    /// own, and every launch is late by chance.
    fn noisy(us: f64, factor: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (process, launch) = (Normal::new(0.0, 0.004).unwrap(), Normal::new(0.0, 0.01).unwrap());
        let mut fight = Self::new(vec![script("a", 0)], vec![script("a", 0)]);
        fight.times = Box::new(move |side, script| {
            let factor = if side == Side::Candidate { factor } else { 1.0 };
            let speed: f64 = process.sample(&mut rng);
            let mut one = || {
                let late = if rng.random_range(0..10) == 0 { 0.3 } else { 0.0 };
                let noise: f64 = launch.sample(&mut rng);
                (1e3 * us * factor * (speed + noise + late).exp()) as u64
            };
            script.durations_ns = (0..24).map(|_| one()).collect();
        });
        fight
    }
}

impl Contest for Match {
    fn labels(&self) -> Vec<String> {
        self.incumbent.iter().map(|s| s.name.clone()).collect()
    }
    fn renew(&mut self) {
        *self.renewals.borrow_mut() += 1;
    }
    fn start(&mut self, side: Side) -> Result<Box<dyn Session>, Fault> {
        let scripts = match side {
            Side::Incumbent => self.incumbent.clone(),
            Side::Candidate => self.candidate.clone(),
        };
        let cases = scripts.into_iter().map(|mut script| {
            (self.times)(side, &mut script);
            script.name = format!("{} {}", side.name(), script.name);
            FakeSession::new(&self.world, script)
        });
        let cases = cases.collect();
        let lazy = self.lazy && side == Side::Candidate;
        let launched = BTreeMap::new();
        Ok(Box::new(Process { cases, active: 0, lazy, launched, launches: 0 }))
    }
    fn load(
        &mut self,
        _side: Side,
        session: &mut dyn Session,
        case: usize,
        wanted: u32,
    ) -> Result<u32, Fault> {
        let sets = wanted.min(self.memory);
        let name = [case as u8];
        let set = vec![Argument::Scalar(&name)];
        session.load(&vec![set; sets as usize])?;
        Ok(sets)
    }
    fn compare(&mut self, _: Side, _: usize, _: u32, outputs: &[Vec<u8>]) -> Result<(), String> {
        if outputs == [vec![1]] { Ok(()) } else { Err(format!("got {outputs:?}")) }
    }
    fn finish(&mut self, _: Side, mut session: Box<dyn Session>) {
        session.finish();
    }
}

fn script(name: &str, us: u64) -> Script {
    let timer = Timer { step_ns: 20.0, overhead_ns: 0.0, handover_ns: 200.0, ..Timer::default() };
    let durations_ns = (0..7).map(|i| us * 1000 + i * 10).collect();
    Script { name: name.into(), durations_ns, outputs: vec![vec![1]], timer, ..Script::default() }
}

fn spent(launches: u64, processes: u64) -> Spent {
    Spent { launches, processes, discarded_throttled: 0 }
}

fn terms() -> Terms {
    let (rule, scoring) = (Rule::default(), Scoring::default());
    Terms { rule, scoring, seed: 1, budget: None, guard: Guard::Off }
}

/// A decision about `fight`, with what was heard, and how the candidate did by itself.
fn decided(
    terms: &Terms,
    fight: &mut Match,
    plan: SlotPlan,
) -> (Result<Comparison, Stop>, Vec<Heard>) {
    let world = fight.world.clone();
    let heard: RefCell<Vec<Heard>> = RefCell::default();
    let mut pairs = KernelPairs::new(fight, plan);
    let elapsed = || Duration::from_nanos(world.now_ns());
    let comparison = decide(terms, &mut pairs, &elapsed, &|said| {
        heard.borrow_mut().push(said.clone());
    });
    (comparison, heard.into_inner())
}

fn comparison(fight: &mut Match) -> Comparison {
    decided(&terms(), fight, SlotPlan::default()).0.unwrap()
}

fn stopped(fight: &mut Match) -> Stop {
    decided(&terms(), fight, SlotPlan::default()).0.unwrap_err()
}

/// Events of a process, without its name: (whose, which case, what).
fn events(world: &World) -> Vec<(Side, String, String)> {
    let read = |event: &String| {
        let (name, what) = event.split_once(": ").unwrap();
        let (side, case) = name.split_once(' ').unwrap();
        let side = if side == "incumbent" { Side::Incumbent } else { Side::Candidate };
        (side, case.to_owned(), what.to_owned())
    };
    world.events().iter().map(read).collect()
}

#[test]
fn nobody_runs_while_the_other_is_at_work() {
    let mut fight =
        Match::new(vec![script("a", 100), script("b", 1)], vec![script("a", 99), script("b", 1)]);
    comparison(&mut fight);
    let mut awake = None;
    let mut turns = 0;
    for (side, case, what) in events(&fight.world) {
        match what.as_str() {
            "pause" => awake = None,
            "finish" => {}
            _ => {
                assert!(awake.is_none_or(|other| other == side), "{side:?} {case} {what}");
                turns += u32::from(awake.is_none());
                awake = Some(side);
            }
        }
    }
    assert!(turns > 100, "{turns}");
}

#[test]
fn both_sides_are_timed_on_the_same_sets_each_once() {
    let mut fight = Match::new(vec![script("a", 100)], vec![script("a", 200)]);
    let found = comparison(&mut fight);
    assert_eq!(found.verdict.reason, Reason::GrosslySlower);
    for side in Side::BOTH {
        let of_side = events(&fight.world).into_iter().filter(|(whose, ..)| *whose == side);
        let launches: Vec<String> =
            of_side.map(|(.., what)| what).filter(|what| what.contains("..")).collect();
        // Two warm-ups; of each slot the first does not count.
        assert_eq!(
            launches,
            ["0..1", "1..2", "0..1", "2..3", "3..4", "4..5", "0..1", "5..6", "6..7", "7..8"]
        );
    }
}

#[test]
fn twice_slower_is_given_up_after_20_launches_of_two_processes() {
    let found = comparison(&mut Match::noisy(100.0, 2.0, 1));
    assert_eq!((found.verdict.reason, found.verdict.pairs), (Reason::GrosslySlower, 2));
    assert_eq!(found.spent, spent(20, 2));
}

#[test]
fn long_launches_are_timed_singly() {
    let found = comparison(&mut Match::noisy(12_000.0, 2.0, 1));
    assert_eq!(found.spent, spent(8, 2));
    let case = &found.pairs[0].cases[0];
    assert_eq!((case.incumbent.len(), case.candidate.len()), (1, 1));
}

#[test]
fn short_launches_are_timed_in_the_same_loops_on_both_sides() {
    // Looped for the shorter side, which is the candidate's.
    let mut fight = Match::new(vec![script("a", 2)], vec![script("a", 1)]);
    let plan = SlotPlan::default();
    let mut pairs = KernelPairs::new(&mut fight, plan);
    let found = decide(&terms(), &mut pairs, &|| Duration::ZERO, &|_| {}).unwrap();
    assert!(found.verdict.is_keep());
    for (side, us) in [(Side::Incumbent, 2.03), (Side::Candidate, 1.03)] {
        let measured = pairs.measurement(side).unwrap();
        assert_eq!(measured.cases[0].looped, 10, "{side:?}");
        let value = measured.metric.interval.value;
        assert!((value - us).abs() < 0.02, "{side:?}: {value}");
    }
    assert!(events(&fight.world).iter().any(|(.., what)| what == "52..62"));
}

#[test]
fn untimed_launches_are_compared_too() {
    for memory in [1 << 20, 5] {
        let mut candidate = script("a", 50);
        candidate.outputs_from = [(0, vec![vec![0]]), (2, vec![vec![1]])].into();
        let mut fight = Match::new(vec![script("a", 100)], vec![candidate]);
        fight.memory = memory;
        let stop = stopped(&mut fight);
        assert_eq!(stop.side, Some(Side::Candidate));
        assert!(matches!(stop.halt, Halt::Wrong { case: 0, .. }), "{stop:?}");
    }
}

#[test]
fn what_a_candidate_takes_untimed_does_not_choose_how_it_is_timed() {
    // Two warm-ups that return at once, or that take their time; then as long as the incumbent.
    for (untimed, us) in [(10, 100), (100_000, 100), (10, 1), (100_000, 1)] {
        let mut candidate = script("a", us);
        let timed = candidate.durations_ns[0];
        candidate.durations_ns = [untimed; 2].into_iter().chain(vec![timed; 4000]).collect();
        let mut fight = Match::new(vec![script("a", us)], vec![candidate]);
        let mut pairs = KernelPairs::new(&mut fight, SlotPlan::default());
        decide(&terms(), &mut pairs, &|| Duration::ZERO, &|_| {}).unwrap();
        let looped = if us == 1 { 10 } else { 1 };
        let measured = pairs.measurement(Side::Candidate).unwrap();
        assert_eq!(measured.cases[0].looped, looped, "{untimed} ns untimed, {us} us");
    }
}

#[test]
fn where_memory_is_short_a_case_is_loaded_anew_with_other_inputs() {
    let slow = |us| vec![script("a", us)];
    for (memory, each, renewals) in [(5, 3, 2), (3, 1, 2), (8, 3, 1)] {
        let mut fight = Match::new(slow(100), slow(200));
        fight.memory = memory;
        let found = comparison(&mut fight);
        assert_eq!(found.verdict.reason, Reason::GrosslySlower);
        assert_eq!(found.pairs[1].cases[0].incumbent.len(), each, "{memory}");
        assert_eq!(*fight.renewals.borrow(), renewals, "{memory}");
    }
    let mut fight = Match::new(slow(100), slow(200));
    fight.memory = 1;
    let stop = stopped(&mut fight);
    assert!(stop.side.is_none() && format!("{stop:?}").contains("two launches"), "{stop:?}");
}

#[test]
fn a_gain_is_confirmed_in_fresh_processes() {
    let mut fight = Match::noisy(100.0, 0.9, 3);
    let found = comparison(&mut fight);
    assert!(found.verdict.is_keep(), "{:?}", found.verdict);
    let groups = |pairs: &[Pair]| pairs.iter().map(|pair| pair.group).collect::<Vec<_>>();
    assert_eq!(groups(&found.pairs), [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(groups(&found.confirm), [4, 4, 5, 5, 6, 6, 7, 7]);
    assert_eq!(found.spent, spent(160, 16));
    assert_eq!(*fight.renewals.borrow(), 8);
    let gain = 1.0 - (-found.verdict.estimate().unwrap()).exp();
    assert!((gain - 0.1).abs() < 0.01, "{gain}");
}

#[test]
fn orders_are_drawn_from_the_seed_and_recorded() {
    let found = |seed| {
        let terms = Terms { seed, ..terms() };
        let mut fight = Match::noisy(100.0, 1.0, 5);
        (decided(&terms, &mut fight, SlotPlan::default()).0.unwrap(), fight.world.events())
    };
    let (one, again, other) = (found(1), found(1), found(2));
    assert_eq!(one, again);
    assert_ne!(one.1, other.1);
    let firsts: Vec<Side> = one.0.pairs.iter().map(|pair| pair.cases[0].first).collect();
    for side in Side::BOTH {
        assert!(firsts.contains(&side), "{firsts:?}");
    }
}

#[test]
fn whoever_fails_is_named_with_its_case() {
    let fault = Fault::Crashed { signal: 11, place: String::new() };
    let crashing = Script { faults: BTreeMap::from([(4, fault.clone())]), ..script("b", 10) };
    let wrong = Script { outputs_from: BTreeMap::from([(6, vec![vec![2]])]), ..script("b", 20) };
    let forged = Script { forged_by: 10, ..script("b", 100) };
    for (script_b, said) in [(crashing, "Crashed"), (wrong, "got [[2]]"), (forged, "Cheating")] {
        let honest = || vec![script("a", 100), script("b", 100)];
        let failing = || vec![script("a", 100), script_b.clone()];
        for (mut fight, side) in [
            (Match::new(honest(), failing()), Side::Candidate),
            (Match::new(failing(), honest()), Side::Incumbent),
        ] {
            let stop = stopped(&mut fight);
            assert_eq!(stop.side, Some(side), "{stop:?}");
            let (Halt::Fault { case, .. } | Halt::Wrong { case, .. }) = &stop.halt;
            assert_eq!(*case, 1, "{stop:?}");
            assert!(format!("{stop:?}").contains(said), "{stop:?}");
            let finished = fight.world.events().iter().filter(|e| e.ends_with("finish")).count();
            assert_eq!(finished, 2, "both processes are given back");
        }
    }
}

#[test]
fn a_candidate_that_hangs_is_ended_by_what_the_incumbent_takes() {
    for at in 0..10 {
        let mut durations_ns = vec![1_000_000; 24];
        // Three milliseconds and a second.
        durations_ns[at] = 1_010_000_000;
        let hanging = Script { durations_ns, ..script("a", 1000) };
        let stop = stopped(&mut Match::new(vec![script("a", 1000)], vec![hanging]));
        assert_eq!(stop.side, Some(Side::Candidate));
        let Halt::Fault { case: 0, fault } = &stop.halt else { panic!("{at}: {stop:?}") };
        let words = fault.to_string();
        assert!(words.contains("the incumbent takes 1.0ms"), "{at}: {words}");
    }
}

#[test]
fn a_kernel_that_leaves_its_work_to_the_last_launch_of_a_slot_is_found() {
    for seed in 0..20 {
        let mut fight = Match::noisy(100.0, 0.5, seed);
        fight.lazy = true;
        let terms = Terms { seed, ..terms() };
        let stop = decided(&terms, &mut fight, SlotPlan::default()).0.unwrap_err();
        assert!(matches!(stop.halt, Halt::Wrong { case: 0, .. }), "{stop:?}");
    }
}

#[test]
fn no_look_is_begun_that_would_end_too_late() {
    let whole = |seed| comparison(&mut Match::noisy(100.0, 1.0, seed));
    let long = (0..20).map(|seed| (seed, whole(seed))).find(|(_, c)| c.verdict.pairs > 8);
    let (seed, whole) = long.expect("some decisions are not easy");
    assert_eq!(whole.cut, None);
    let seconds = whole.seconds / f64::from(whole.verdict.pairs) * 9.0;
    let budget = Some(Duration::from_secs_f64(seconds));
    let mut fight = Match::noisy(100.0, 1.0, seed);
    let cut = decided(&Terms { budget, ..terms() }, &mut fight, SlotPlan::default()).0.unwrap();
    assert_eq!(cut.cut, Some(Cut::OutOfTime));
    assert_eq!((cut.verdict.reason, cut.verdict.pairs), (Reason::Inconclusive, 8));
    assert!(cut.seconds <= seconds);
    assert_eq!(cut.pairs[..], whole.pairs[..8]);
}

#[test]
fn surely_too_slow_ends_it_whatever_the_incumbent_takes() {
    for (limit, pairs, cut) in
        [(50.0, 2, Some(Cut::TooSlow)), (80.0, 4, Some(Cut::TooSlow)), (150.0, 8, None)]
    {
        let plan = SlotPlan { early_stop_us: Some(limit), ..SlotPlan::default() };
        let found = decided(&terms(), &mut Match::noisy(100.0, 0.95, 2), plan).0.unwrap();
        assert_eq!((found.pairs.len(), found.cut), (pairs, cut), "{limit}");
        assert_eq!(found.verdict.is_keep(), cut.is_none());
    }
}

#[test]
fn what_is_heard_is_each_group_and_each_look() {
    let (found, heard) = decided(&terms(), &mut Match::noisy(100.0, 0.9, 3), SlotPlan::default());
    let looks: Vec<_> = heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Look { look, next } => Some((*look, *next)),
            _ => None,
        })
        .collect();
    let verdict = found.unwrap().verdict;
    assert_eq!(looks.iter().map(|(look, _)| *look).collect::<Vec<_>>(), verdict.looks);
    assert_eq!(looks[0].1, Next::GoOn { until: 8 });
    assert_eq!(looks[1].1, Next::Confirm { pairs: 8 });
    assert_eq!(heard[0], Heard::Pairs { pairs: 2, until: 4 });
    assert_eq!(heard.last(), Some(&Heard::Confirming { pairs: 8, of: 8 }));
}

#[test]
fn a_record_comes_back_bit_for_bit_and_says_the_same_again() {
    for (factor, budget) in [(0.9, None), (1.0, None), (2.0, None), (1.0, Some(Duration::ZERO))] {
        let terms = Terms { budget, ..terms() };
        let mut fight = Match::noisy(0.7, factor, 3);
        let found = decided(&terms, &mut fight, SlotPlan::default()).0.unwrap();
        assert!(found.holds(&found.again().unwrap()));
        let text = serde_json::to_string(&found).unwrap();
        let back: Comparison = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert_eq!(back, found);
        let bits = |c: &Comparison| c.again().unwrap().verdict.estimate().map(f64::to_bits);
        assert_eq!(bits(&back), found.verdict.estimate().map(f64::to_bits), "{factor}");
        assert_eq!(found.d_by_case().unwrap(), [found.d().unwrap()]);
    }
}

#[test]
fn the_same_kernel_is_all_but_never_kept_and_a_faster_one_all_but_always() {
    let kept = |factor: f64, decisions: u64| {
        let mut kept = 0;
        let mut launches = 0;
        for seed in 0..decisions {
            let mut fight = Match::noisy(100.0, factor, 1000 + seed);
            let terms = Terms { seed, ..terms() };
            let found = decided(&terms, &mut fight, SlotPlan::default()).0.unwrap();
            kept += u64::from(found.verdict.is_keep());
            launches += found.spent.launches;
        }
        (kept as f64 / decisions as f64, launches as f64 / decisions as f64)
    };
    let (same, launches) = kept(1.0, 500);
    assert!(same < 0.01, "{same}");
    assert!(launches < 300.0, "{launches}");
    let (faster, _) = kept(0.95, 100);
    assert!(faster > 0.95, "{faster}");
}

#[test]
fn higher_is_better_and_differences_go_through_the_scoring() {
    let pair = Pair {
        group: 0,
        cases: vec![CasePair {
            first: Side::Candidate,
            incumbent: vec![2.0, 4.0, 100.0],
            candidate: vec![8.0, 1.0, 9.0],
        }],
    };
    let scored = |statistic, better, scale| {
        let metric = Metric { better, scale, combine: Combine::default() };
        Scoring { statistic, metric }.d(&pair).unwrap()
    };
    for (statistic, better, scale, expected) in [
        (Statistic::Median, Direction::Lower, Scale::Difference, -4.0),
        (Statistic::Median, Direction::Higher, Scale::Difference, 4.0),
        (Statistic::Min, Direction::Lower, Scale::Log, 2f64.ln()),
        (Statistic::Min, Direction::Higher, Scale::Log, -2f64.ln()),
    ] {
        let d = scored(statistic, better, scale);
        assert!((d - expected).abs() < 1e-12, "{statistic:?} {better:?} {scale:?}: {d}");
    }
    let nothing =
        Pair { cases: vec![CasePair { candidate: Vec::new(), ..pair.cases[0].clone() }], ..pair };
    let error = Scoring::default().d(&nothing).unwrap_err();
    assert!(error.to_string().contains("case 0 of the candidate"), "{error}");
}

#[test]
fn a_source_that_gives_fewer_pairs_than_asked_is_an_error() {
    struct Empty;
    impl Pairs for Empty {
        fn group(&mut self, _: u32, _: &mut ChaCha8Rng) -> Result<Vec<Pair>, Stop> {
            Ok(Vec::new())
        }
        fn per_group(&self) -> u32 {
            4
        }
        fn spent(&self) -> Spent {
            Spent::default()
        }
    }
    let stop = decide(&terms(), &mut Empty, &|| Duration::ZERO, &|_| {}).unwrap_err();
    assert!(format!("{stop:?}").contains("2 pairs were asked for"), "{stop:?}");
}

/// A comparison in which either side's first process is disturbed in these slots.
fn throttled(side: Side, slots: std::ops::Range<u64>) -> (Result<Comparison, Stop>, Match) {
    let mut fight = Match::new(vec![script("a", 100)], vec![script("a", 100)]);
    let mut first = true;
    fight.times = Box::new(move |of, script| {
        if of == side && std::mem::take(&mut first) {
            script.disturbed = slots.clone();
        }
    });
    let terms = Terms { rule: Rule::with_looks(&[4]), ..terms() };
    (decided(&terms, &mut fight, SlotPlan::default()).0, fight)
}

#[test]
fn a_pair_in_which_either_side_was_disturbed_is_taken_again() {
    let quiet = throttled(Side::Candidate, 0..0).0.unwrap();
    for side in Side::BOTH {
        let (found, fight) = throttled(side, 0..3);
        let found = found.unwrap();
        assert_eq!(found.spent.discarded_throttled, 3, "{side:?}");
        assert_eq!(found.pairs.len(), quiet.pairs.len());
        // Each time another six timed slots, a launch before each, and what brings in new inputs.
        assert!(found.spent.launches >= quiet.spent.launches + 3 * 8, "{:?}", found.spent);
        assert!(*fight.renewals.borrow() > 2, "what was launched on is not fresh any more");
    }
}

#[test]
fn a_device_that_stays_disturbed_is_nobodys_fault() {
    let stop = throttled(Side::Incumbent, 0..9).0.unwrap_err();
    assert_eq!(stop.side, None);
    let Halt::Fault { fault: Fault::Device { trouble, what }, .. } = stop.halt else {
        panic!("{:?}", stop.halt);
    };
    assert_eq!((trouble, what.as_str()), (Trouble::Throttled, "hot and slow, 9 times in a row"));
    assert!(throttled(Side::Incumbent, 0..8).0.is_ok());
}
