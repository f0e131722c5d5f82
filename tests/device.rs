//! One CUDA worker, driven as the judge drives it, over the stand-in driver. What is shown is how
//! orders, faults and memory are handled; nothing here is a measurement.
#![expect(clippy::unwrap_used, reason = "a helper of tests stops at the first surprise")]

mod cuda;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cuda::{Folder, StandIn};
use optloop::backend::cuda::{Bundle, CudaOptions, CudaSession, ImageKind, Journal, LaunchLines};
use optloop::backend::{
    Allowance, Argument, Fault, Grid, LaunchLimit, Mode, Model, Order, Session, Trouble,
};
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxMode;
use optloop::verify::{Dtype, Tolerance};
use tempfile::TempDir;

/// `z = x + y`, as the stand-in runs it: a pointer to each value.
const ADD: &str = "void add(void **p) {\n\
    const float *x = *(float **)p[0], *y = *(float **)p[1];\n\
    float *z = *(float **)p[2];\n\
    for (int i = 0; i < *(int *)p[3]; i++) z[i] = x[i] + y[i];\n}\n\
    void spoil(void **p) { add(p); (*(float **)p[0])[1] = 7; }\n\
    void lazy(void **p) { (void)p; }\n";

const EXACT: [(Dtype, Tolerance); 1] =
    [(Dtype::F32, Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false })];

/// A stand-in, and what workers need.
struct Stand {
    dir: TempDir,
    driver: Folder,
    /// Of one test alone: a process opens the management library once.
    journal: Option<Journal>,
    cancel: Cancel,
    deadline: Duration,
}

impl Stand {
    /// With a script beyond the kernels `add`, `spoil` and `lazy`.
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kernels: String =
            ["add", "spoil", "lazy"].map(|name| format!("kernel {name} add.so {name}\n")).concat();
        let driver = StandIn::build()
            .at(&dir.path().join("lib"), &format!("l2 1000000\n{kernels}{script}\n"));
        driver.library("add.so", ADD);
        Self {
            dir,
            driver,
            journal: None,
            cancel: Cancel::default(),
            deadline: Duration::from_mins(5),
        }
    }

    fn bundle(&self, entry: &str) -> PathBuf {
        let params = ["u64", "u64", "u64", "u32"].map(|kind| format!(".param .{kind} p"));
        let params = params.join(", ");
        let image =
            format!(".version 7.0\n.target sm_90\n.visible .entry {entry}({params})\n{{ret;}}\n");
        self.write(entry, ImageKind::Ptx, image.into_bytes())
    }

    fn write(&self, entry: &str, kind: ImageKind, image: Vec<u8>) -> PathBuf {
        let (arch, launch) = ("sm_90".to_owned(), LaunchLines::default());
        let bundle = Bundle { kind, entry: entry.to_owned(), arch, launch, image };
        let path = self.dir.path().join(format!("{entry}.cuda"));
        fs::write(&path, bundle.to_bytes()).unwrap();
        path
    }

    fn start_on(&self, device: &str, entries: &[&str]) -> Result<Vec<CudaSession>, Fault> {
        let bundles: Vec<PathBuf> = entries.iter().map(|entry| self.bundle(entry)).collect();
        self.start_bundles(device, &bundles)
    }

    fn start_bundles(&self, device: &str, bundles: &[PathBuf]) -> Result<Vec<CudaSession>, Fault> {
        CudaSession::start(&CudaOptions {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            env: vec![self.driver.env()],
            marker: &self.dir.path().display().to_string(),
            device,
            kernels: &bundles.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
            allowance: Allowance::new(Some(self.deadline)),
            sandbox: SandboxMode::Auto,
            dir: self.dir.path(),
            journal: self.journal.as_ref(),
            cancel: &self.cancel,
        })
    }

    fn start(&self, entry: &str) -> CudaSession {
        self.start_on("0", &[entry]).unwrap().pop().unwrap()
    }

    /// The fault that a kernel's whole life ends with.
    fn fault(&self, entry: &str) -> Fault {
        let sets = Sets::new(2, 100);
        let mut session = match self.start_on("0", &[entry]) {
            Ok(mut sessions) => sessions.pop().unwrap(),
            Err(fault) => return fault,
        };
        if let Err(fault) = sets.load(&mut session) {
            return fault;
        }
        let more = Duration::from_secs(1);
        let (model, takes) = (Model::Reference, Duration::ZERO);
        session.limit(Some(LaunchLimit { model, takes, times: 1, more }));
        // A slow machine gives fewer launches to find out how long the way to the device is: those
        // that a script counts are made up here.
        let mut looked = || once(&mut session, 0).and_then(|_| session.outputs(0)).err();
        (0..1000).find_map(|_| looked()).expect("a fault")
    }
}

/// Inputs of some sets, with what must come out.
struct Sets {
    inputs: Vec<(Vec<u8>, Vec<u8>)>,
    n: i32,
}

impl Sets {
    fn new(sets: usize, n: usize) -> Self {
        let of = |from: usize| (0..n).flat_map(|i| ((i + from) as f32).to_ne_bytes()).collect();
        Self { inputs: (0..sets).map(|set| (of(set), of(10 * set))).collect(), n: n as i32 }
    }

    fn load(&self, session: &mut CudaSession) -> Result<(), Fault> {
        session.shape(Grid { blocks: [4, 1, 1], threads: [32, 1, 1], shared_bytes: 0 });
        let n = self.n.to_ne_bytes();
        let sets: Vec<Vec<Argument<'_>>> = self
            .inputs
            .iter()
            .map(|(x, y)| {
                let out = Argument::Out(x.len());
                vec![Argument::In(x), Argument::In(y), out, Argument::Scalar(&n)]
            })
            .collect();
        session.load(&sets)
    }

    /// What a set must give.
    fn sum(&self, set: usize) -> Vec<u8> {
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_ne_bytes(b)).collect()
        };
        let (x, y) = &self.inputs[set];
        floats(x).iter().zip(floats(y)).flat_map(|(x, y)| (x + y).to_ne_bytes()).collect()
    }
}

fn once(session: &mut CudaSession, set: u32) -> Result<optloop::backend::Launched, Fault> {
    session.launch(Order { first: set, count: 1, mode: Mode::Hot })
}

#[test]
fn every_set_has_its_own_buffers_and_nothing_is_left_behind() {
    let stand = Stand::new("");
    for (sets, n) in [(3, 100), (2, 5000), (40, 33)] {
        let sets_of = Sets::new(sets, n);
        let mut session = stand.start("add");
        sets_of.load(&mut session).unwrap();
        for mode in [Mode::Hot, Mode::Cold] {
            session.launch(Order { first: 0, count: sets as u32 - 1, mode }).unwrap();
        }
        for set in 0..sets - 1 {
            let want = vec![sets_of.sum(set)];
            assert_eq!(session.outputs(set as u32).unwrap(), want, "set {set} of {sets}");
            assert_eq!(session.agrees(set as u32, &want, &EXACT).unwrap(), Some(true));
        }
        // Never launched: poison, which agrees with nothing.
        let last = sets - 1;
        let want = vec![sets_of.sum(last)];
        assert_ne!(session.outputs(last as u32).unwrap(), want);
        assert_eq!(session.agrees(last as u32, &want, &EXACT).unwrap(), Some(false));
        assert!(session.outputs(sets as u32).is_err());
        session.finish();
    }
    assert_eq!(stand.driver.leaks(), Vec::<String>::new());
    // Nor anything to be found in memory that was given back.
    assert!(stand.driver.count("free") > 20 && stand.driver.count("dirty") == 0);
}

#[test]
fn two_kernels_share_a_worker_and_each_has_its_own() {
    let stand = Stand::new("ns add 50000\nns lazy 200000");
    let (sets, mut sessions) = (Sets::new(2, 64), stand.start_on("0", &["add", "lazy"]).unwrap());
    assert_eq!(stand.driver.count("init"), 1);
    for session in &mut sessions {
        sets.load(session).unwrap();
    }
    let times: Vec<u64> =
        sessions.iter_mut().map(|session| once(session, 0).unwrap().reported_ns).collect();
    assert!(times[0] >= 50_000 && times[1] >= 200_000, "{times:?}");
    let want = vec![sets.sum(0)];
    assert_eq!(sessions[0].agrees(0, &want, &EXACT).unwrap(), Some(true));
    assert_eq!(sessions[1].agrees(0, &want, &EXACT).unwrap(), Some(false));
    for mut session in sessions {
        session.finish();
    }
    assert_eq!(stand.driver.leaks(), Vec::<String>::new());
}

#[test]
fn several_launches_are_replayed_as_one_graph() {
    let stand = Stand::new("ns add 30000");
    let (sets, mut session) = (Sets::new(6, 64), stand.start("add"));
    sets.load(&mut session).unwrap();
    let launched = session.launch(Order { first: 1, count: 4, mode: Mode::Hot }).unwrap();
    assert!(launched.reported_ns >= 120_000, "{launched:?}");
    assert_eq!(stand.driver.count("graph"), 1);
    for set in 1..5 {
        assert_eq!(session.outputs(set as u32).unwrap(), [sets.sum(set)], "set {set}");
    }
    assert!(session.timer().empty_ns < 1e6 && session.timer().overhead_ns == 0.0);
    session.finish();
    assert_eq!(stand.driver.leaks(), Vec::<String>::new());
}

#[test]
fn what_is_written_beside_buffers_or_to_inputs_is_found() {
    for (script, entry, word) in [
        ("scribble add 2 400 4", "add", "argument 3"),
        ("scribble add 2 -9 4", "add", "before argument 3"),
        // Beyond what the judge sees of the output's own page: only the red zone tells.
        ("scribble add 2 600 8", "add", "8 bytes behind a buffer of argument 3"),
        ("scribble add 1 704 16", "add", "16 bytes behind a buffer of argument 2"),
        ("scribble add 0 8 4", "add", "argument 1, which is an input, was changed"),
        ("", "spoil", "argument 1, which is an input, was changed"),
    ] {
        let fault = Stand::new(script).fault(entry);
        let Fault::Stray { what } = &fault else { panic!("{script}: {fault:?}") };
        assert!(what.contains(word), "{script}: {what}");
    }
}

#[test]
fn every_fault_of_a_device_is_known_for_what_it_is() {
    for (script, expected) in [
        ("fail_launch add 700", Trouble::Crashed),
        ("fail_launch add 719", Trouble::Crashed),
        ("fail_launch add 214", Trouble::Memory),
        ("fail_launch add 999", Trouble::Lost),
        ("fail cuLaunchKernel 701 after 900", Trouble::Refused),
        ("memory 600000000\nl2 50000000\nfail cuMemAlloc_v2 2 after 4", Trouble::OutOfMemory),
        ("function add 0 16", Trouble::Refused),
        ("fail cuDevicePrimaryCtxRetain 46", Trouble::Lost),
    ] {
        let stand = Stand::new(script);
        let fault = stand.fault("add");
        let Fault::Device { trouble, what } = &fault else { panic!("{script}: {fault:?}") };
        assert_eq!((*trouble, what.is_empty()), (expected, false), "{script}: {what}");
    }
}

#[test]
fn a_kernel_that_never_ends_is_ended() {
    // By the limit of a launch: what the session may take is minutes.
    let fault = Stand::new("hang add").fault("add");
    assert!(matches!(fault, Fault::Overlong { .. }), "{fault:?}");
}

#[test]
fn work_that_the_events_do_not_see_is_time_all_the_same() {
    let stand = Stand::new("ns add 20000\nlate add 3000000");
    let (sets, mut session) = (Sets::new(2, 64), stand.start("add"));
    sets.load(&mut session).unwrap();
    let launched = once(&mut session, 0).unwrap();
    let timer = session.timer();
    assert!(launched.reported_ns < 2_000_000, "{launched:?}");
    let seen = launched.at_least_ns as f64 - timer.handover_ns;
    assert!(seen > 2_500_000.0, "{launched:?}, {timer:?}");
}

#[test]
fn a_throttled_device_is_told_and_noted_with_its_clocks() {
    let mut stand = Stand::new("throttle 64 from 1 to 2\ntemperature 91\nclock 1200");
    let journal = Journal::default();
    stand.journal = Some(journal.clone());
    let mut session = stand.start("add");
    let told: Vec<Option<String>> = (0..3).map(|_| session.disturbed()).collect();
    assert_eq!(told[2], None);
    assert!(told[..2].iter().flatten().all(|why| why.contains("HW thermal")), "{told:?}");
    let seen = journal.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[0].temperature_c, seen[0].sm_mhz), (Some(91), Some(1200)));
    assert!(seen[0].throttled() && !seen[2].throttled());
}

#[test]
fn devices_that_are_not_there_and_images_that_are_none_are_refused() {
    let stand = Stand::new("devices 2\nuuid 00112233-4455-6677-8899-aabbccddeeff");
    for device in ["2", "GPU-99", "x"] {
        let fault = stand.start_on(device, &["add"]).err().unwrap();
        assert!(
            matches!(&fault, Fault::Infrastructure { what } if what.contains(device)),
            "{fault}"
        );
    }
    for device in ["1", "GPU-00112233-4455-6677-8899-aabbccddeeff"] {
        assert!(stand.start_on(device, &["add"]).is_ok(), "{device}");
    }
    let unknown = stand.start_on("0", &["missing"]).err().unwrap();
    assert!(
        matches!(&unknown, Fault::Unloadable { what } if what.contains("missing")),
        "{unknown}"
    );
    let garbage = stand.write("garbage", ImageKind::Cubin, vec![1, 2, 3]);
    let fault = stand.start_bundles("0", &[garbage]).err().unwrap();
    assert!(matches!(fault, Fault::Unloadable { .. }), "{fault}");
}

#[test]
fn host_code_launches_by_itself_and_its_word_proves_nothing() {
    let stand = Stand::new("");
    // Device memory is the host's here, so that it can do the work by itself.
    let code = "void optloop_launch(void *const *a, void *stream) { (void)stream;\n\
        const float *x = a[0], *y = a[1]; float *z = a[2];\n\
        for (int i = 0; i < *(const int *)a[3]; i++) z[i] = x[i] + y[i]; }\n";
    stand.driver.library("host.so", code);
    let image = fs::read(stand.driver.path().join("host.so")).unwrap();
    let bundle = stand.write("host", ImageKind::Shared, image);
    let mut session = stand.start_bundles("0", &[bundle]).unwrap().pop().unwrap();
    let sets = Sets::new(2, 64);
    sets.load(&mut session).unwrap();
    once(&mut session, 1).unwrap();
    assert!(!session.is_device_only());
    assert_eq!(session.agrees(1, &[sets.sum(1)], &EXACT).unwrap(), None);
    assert_eq!(session.outputs(1).unwrap(), [sets.sum(1)]);
}

#[test]
fn host_code_that_leaves_its_work_to_a_thread_is_seen_unfinished() {
    let stand = Stand::new("");
    let code = "#include <pthread.h>\n#include <time.h>\n\
        static void *const *given;\n\
        static void *later(void *unused) { (void)unused;\n\
        struct timespec pause = {0, 20000000}; nanosleep(&pause, 0);\n\
        const float *x = given[0], *y = given[1]; float *z = given[2];\n\
        for (int i = 0; i < *(const int *)given[3]; i++) z[i] = x[i] + y[i];\nreturn 0; }\n\
        void optloop_launch(void *const *a, void *stream) { (void)stream; pthread_t thread;\n\
        given = a; pthread_create(&thread, 0, later, 0); pthread_detach(thread); }\n";
    stand.driver.library("late.so", code);
    let image = fs::read(stand.driver.path().join("late.so")).unwrap();
    let bundle = stand.write("late", ImageKind::Shared, image);
    let mut session = stand.start_bundles("0", &[bundle]).unwrap().pop().unwrap();
    let sets = Sets::new(2, 64);
    sets.load(&mut session).unwrap();
    once(&mut session, 0).unwrap();
    assert_ne!(session.outputs(0).unwrap(), [sets.sum(0)], "as soon as it has returned");
}

#[test]
fn no_answer_goes_where_device_code_could_find_it() {
    // 88 is `CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS`.
    for (script, expected) in [("attribute 88 1", None), ("attribute 88 0", Some(true))] {
        let stand = Stand::new(script);
        let (sets, mut session) = (Sets::new(2, 64), stand.start("add"));
        sets.load(&mut session).unwrap();
        once(&mut session, 0).unwrap();
        let want = [sets.sum(0)];
        assert_eq!(session.agrees(0, &want, &EXACT).unwrap(), expected, "{script}");
        assert_eq!(session.outputs(0).unwrap(), want);
    }
}
