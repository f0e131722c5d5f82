//! The protocol on scripted kernels and a virtual clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::backend::fake::{FakeSession, Script, World};
use crate::backend::{Fault, Mode, Session, Timer, Trouble};

/// A scripted kernel per case; each process starts its scripts anew.
struct Scripted {
    world: World,
    scripts: Vec<Script>,
    /// Sets that memory holds at a time.
    memory: u32,
    renewals: u32,
    seconds: f64,
}

/// One process: a fake session per case, the loaded one active.
struct Process {
    cases: Vec<FakeSession>,
    active: usize,
}

impl Session for Process {
    fn load(&mut self, sets: &[Vec<crate::backend::Argument<'_>>]) -> Result<(), Fault> {
        // The case travels as the value of the first argument.
        if let Some([crate::backend::Argument::Scalar(bytes)]) = sets.first().map(Vec::as_slice) {
            self.active = bytes[0] as usize;
        }
        self.cases[self.active].load(sets)
    }
    fn launch(&mut self, order: crate::backend::Order) -> Result<crate::backend::Launched, Fault> {
        self.cases[self.active].launch(order)
    }
    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        self.cases[self.active].outputs(set)
    }
    fn disturbed(&mut self) -> Option<String> {
        self.cases[self.active].disturbed()
    }
    fn timer(&self) -> Timer {
        self.cases[self.active].timer()
    }
    fn finish(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

impl Subject for Scripted {
    fn labels(&self) -> Vec<String> {
        self.scripts.iter().map(|s| s.name.clone()).collect()
    }
    fn start(&mut self) -> Result<Box<dyn Session>, Fault> {
        let cases = self.scripts.iter().map(|s| FakeSession::new(&self.world, s.clone())).collect();
        Ok(Box::new(Process { cases, active: 0 }))
    }
    fn load(&mut self, session: &mut dyn Session, case: usize, wanted: u32) -> Result<u32, Fault> {
        let sets = wanted.min(self.memory);
        let name = [case as u8];
        let set = vec![crate::backend::Argument::Scalar(&name)];
        session.load(&vec![set; sets as usize])?;
        Ok(sets)
    }
    fn check(&mut self, _: usize, set: u32, session: &mut dyn Session) -> Result<(), SlotEnd> {
        let outputs = session.outputs(set)?;
        if outputs == [vec![1]] { Ok(()) } else { Err(SlotEnd::Wrong(format!("got {outputs:?}"))) }
    }
    fn renew(&mut self) {
        self.renewals += 1;
    }
    fn elapsed(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
    fn finish(&mut self, _: Box<dyn Session>) {}
}

fn script(name: &str, us: u64) -> Script {
    let timer = Timer { step_ns: 20.0, overhead_ns: 0.0, handover_ns: 200.0, ..Timer::default() };
    let durations_ns = (0..7).map(|i| us * 1000 + i * 10).collect();
    Script { name: name.into(), durations_ns, outputs: vec![vec![1]], timer, ..Script::default() }
}

fn protocol() -> Protocol {
    Protocol {
        looks: vec![8, 16, 32],
        per_process: 4,
        warmup: 3,
        early_stop_us: None,
        precision: None,
        budget: None,
        statistic: Statistic::Median,
        mode: Mode::Hot,
        seed: 1,
    }
}

fn run(protocol: &Protocol, scripts: Vec<Script>) -> (Result<Measurement, Halt>, Vec<String>) {
    let world = World::default();
    let mut subject =
        Scripted { world: world.clone(), scripts, memory: 1 << 20, renewals: 0, seconds: 0.0 };
    let measured = measure(protocol, &mut subject, &|_, _| {});
    (measured, world.events())
}

fn measured(protocol: &Protocol, scripts: Vec<Script>) -> Measurement {
    run(protocol, scripts).0.unwrap()
}

#[test]
fn each_process_gives_a_slot_of_every_case_on_fresh_inputs() {
    let protocol = Protocol { looks: vec![8], ..protocol() };
    let (measured, events) = run(&protocol, vec![script("a", 100), script("b", 400)]);
    let measured = measured.unwrap();
    assert_eq!((measured.processes, measured.launches), (2, 16));
    assert!((measured.metric.interval.value - 200.0).abs() < 0.2, "{:?}", measured.metric);
    let of_a: Vec<&str> = events.iter().filter_map(|e| e.strip_prefix("a: ")).collect();
    // Two sets for warm-ups, four that are launched once; a pause to look at outputs is followed
    // by a launch that does not count.
    assert_eq!(of_a[..4], ["load 6", "0..1", "1..2", "0..1"]);
    let timed: Vec<&&str> =
        of_a.iter().filter(|e| e.ends_with("..3") || e.ends_with("..6")).collect();
    assert_eq!(timed.len(), 4, "{of_a:?}");
    assert_eq!(measured.cases[0].processes.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn short_launches_are_timed_in_loops_of_500_steps() {
    let measured = measured(&protocol(), vec![script("a", 1)]);
    assert_eq!(measured.cases[0].looped, 10);
    assert!((measured.metric.interval.value - 1.03).abs() < 0.01, "{:?}", measured.metric);
}

#[test]
fn untimed_launches_are_compared_too() {
    let mut wrong = script("a", 100);
    wrong.outputs_from = [(1, vec![vec![0]]), (2, vec![vec![1]])].into();
    let (measured, _) = run(&protocol(), vec![wrong]);
    assert!(matches!(measured, Err(Halt::Wrong { case: 0, .. })), "{measured:?}");
}

#[test]
fn what_a_kernel_takes_untimed_does_not_choose_how_it_is_timed() {
    // Three warm-ups that return at once, or that take their time; then launches of that length.
    for (untimed, us, looped) in [(10, 100, 1), (100_000, 100, 1), (10, 1, 10), (100_000, 1, 10)] {
        let mut odd = script("a", us);
        let timed = odd.durations_ns[0];
        odd.durations_ns = [untimed; 3].into_iter().chain(vec![timed; 4000]).collect();
        let (measured, _) = run(&protocol(), vec![odd]);
        assert_eq!(measured.unwrap().cases[0].looped, looped, "{untimed} ns untimed, {us} us");
    }
}

#[test]
fn where_memory_is_short_inputs_rotate_and_stay_fresh() {
    let world = World::default();
    let scripts = vec![script("a", 100)];
    let mut subject =
        Scripted { world: world.clone(), scripts, memory: 3, renewals: 0, seconds: 0.0 };
    let measured = measure(&protocol(), &mut subject, &|_, _| {}).unwrap();
    assert_eq!((measured.cases[0].ring, measured.launches), (3, 32));
    let loads = world.events().iter().filter(|e| *e == "a: load 3").count();
    // One timed launch per load.
    assert_eq!(loads, 32);
}

#[test]
fn no_look_is_begun_that_would_end_too_late() {
    let looks = |budget_s: f64| {
        let budget = Some(Duration::from_secs_f64(budget_s));
        let protocol = Protocol { budget, ..protocol() };
        let world = World::default();
        let scripts = vec![script("a", 100)];
        let mut subject = Scripted { world, scripts, memory: 3, renewals: 0, seconds: 3.0 };
        let measured = measure(&protocol, &mut subject, &|_, _| {}).unwrap();
        (measured.launches, measured.stopped)
    };
    // Looks at 8, 16 and 32, and three seconds at each.
    assert_eq!(looks(5.9), (8, Some(Stopped::OutOfTime)));
    assert_eq!(looks(6.1), (32, None));
}

#[test]
fn a_set_that_is_timed_was_never_launched_before() {
    for memory in [2, 3, 6] {
        let world = World::default();
        let scripts = vec![script("a", 100)];
        let mut subject =
            Scripted { world: world.clone(), scripts, memory, renewals: 0, seconds: 0.0 };
        let protocol = Protocol { looks: vec![4], ..protocol() };
        let measured = measure(&protocol, &mut subject, &|_, _| {}).unwrap();
        assert_eq!(measured.launches, 4);
        let warm = if memory == 2 { 1 } else { 2 };
        let events = world.events();
        let mut last: Vec<String> = Vec::new();
        for event in events.iter().filter_map(|event| event.strip_prefix("a: ")) {
            if event.starts_with("load") {
                last.clear();
            } else if let Some((first, _)) = event.split_once("..") {
                let timed = first.parse::<u32>().unwrap() >= warm;
                assert!(!timed || !last.contains(&event.to_owned()), "{memory}: {event} twice");
                last.push(event.to_owned());
            }
        }
    }
}

#[test]
fn twice_too_slow_is_given_up_after_the_first_process() {
    let protocol = Protocol { early_stop_us: Some(100.0), ..protocol() };
    let measured = measured(&protocol, vec![script("a", 200), script("b", 200)]);
    assert_eq!(measured.stopped, Some(Stopped::GrosslySlow));
    assert_eq!((measured.launches, measured.saved_launches), (8, 56));
}

#[test]
fn surely_too_slow_is_given_up_at_a_look_and_near_the_limit_never() {
    for (limit, stopped) in [(90.0, Some(Stopped::TooSlow)), (100.05, None)] {
        let protocol = Protocol { early_stop_us: Some(limit), ..protocol() };
        assert_eq!(measured(&protocol, vec![script("a", 100)]).stopped, stopped, "{limit}");
    }
}

#[test]
fn narrow_enough_stops_and_says_what_was_saved() {
    let protocol = Protocol { precision: Some(0.01), ..protocol() };
    let measured = measured(&protocol, vec![script("a", 100)]);
    assert_eq!(measured.stopped, Some(Stopped::Precise));
    assert!(measured.looks_used < 3);
    assert_eq!(measured.launches + measured.saved_launches, 32);
}

#[test]
fn a_wrong_output_is_found_whichever_launch_left_it() {
    // Launch 0..3 warm up; a process then makes at most ten more.
    for launch in 3..9 {
        let wrong =
            Script { outputs_from: BTreeMap::from([(launch, vec![vec![2]])]), ..script("b", 20) };
        let (halt, _) = run(&protocol(), vec![script("a", 20), wrong]);
        assert_eq!(halt, Err(Halt::Wrong { case: 1, report: "got [[2]]".into() }), "{launch}");
    }
}

#[test]
fn a_fault_ends_the_measurement_with_its_case() {
    let fault = Fault::Crashed { signal: 11, place: String::new() };
    let crashing = Script { faults: BTreeMap::from([(4, fault.clone())]), ..script("b", 10) };
    let (halt, _) = run(&protocol(), vec![script("a", 10), crashing]);
    assert_eq!(halt, Err(Halt::Fault { case: 1, fault }));
}

#[test]
fn forged_times_are_cheating() {
    let forged = Script { forged_by: 10, ..script("a", 100) };
    let (halt, _) = run(&protocol(), vec![forged]);
    let Err(Halt::Fault { fault: Fault::Cheating { what }, .. }) = halt else {
        panic!("{halt:?}");
    };
    assert!(what.contains("10.0 µs against 100.0 µs"), "{what}");
}

#[test]
fn nothing_to_measure_is_an_infrastructure_fault() {
    let (halt, _) = run(&protocol(), Vec::new());
    let infrastructure =
        |h: &Halt| matches!(h, Halt::Fault { fault: Fault::Infrastructure { .. }, .. });
    assert!(infrastructure(halt.as_ref().unwrap_err()), "{halt:?}");
}

#[test]
fn every_statistic_has_an_interval_around_it() {
    let measured = measured(&protocol(), vec![script("a", 100)]);
    for statistic in Statistic::ALL {
        let metric = measured.geometric_mean(statistic).unwrap().interval;
        assert!(metric.lower <= metric.value && metric.value <= metric.upper, "{statistic:?}");
        assert_eq!(Statistic::of_metric(statistic.metric()), Some(statistic));
    }
}

/// Each process is disturbed in these of its slots of `b`.
fn throttled(slots: std::ops::Range<u64>) -> (Result<Measurement, Halt>, u32) {
    let hot = Script { disturbed: slots, ..script("b", 100) };
    let (world, scripts) = (World::default(), vec![script("a", 100), hot]);
    let mut subject = Scripted { world, scripts, memory: 1 << 20, renewals: 0, seconds: 0.0 };
    let protocol = Protocol { looks: vec![8], ..protocol() };
    let measured = measure(&protocol, &mut subject, &|_, _| {});
    (measured, subject.renewals)
}

#[test]
fn disturbed_slots_are_taken_again_on_new_inputs_and_counted() {
    let (measured, renewals) = throttled(0..2);
    let measured = measured.unwrap();
    // Two processes, in each of which two slots of four do not count.
    assert_eq!((measured.launches, measured.discarded_throttled, renewals), (16, 16, 4));
    assert_eq!(measured.cases[1].processes.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
    assert_eq!(throttled(0..0).0.unwrap().discarded_throttled, 0);
    assert!(throttled(0..8).0.is_ok());
}

#[test]
fn a_device_that_stays_disturbed_is_given_up() {
    let (halt, renewals) = throttled(0..9);
    let what = "hot and slow, 9 times in a row".to_owned();
    let fault = Fault::Device { trouble: Trouble::Throttled, what };
    assert_eq!((halt, renewals), (Err(Halt::Fault { case: 1, fault }), 8));
}
