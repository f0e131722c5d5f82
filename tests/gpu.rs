//! What only a CUDA device can show: the worker over the real driver, and the program on top of it.
//!
//! Where there is no device every such test is ignored and says so; `OPTLOOP_REQUIRE=gpu` makes that
//! a failure. The kernels are PTX, so that nothing but the driver is needed for them.
#![expect(clippy::unwrap_used, reason = "a helper of tests stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "reads switches, starts programs")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Trial};
use optloop::backend::cuda::{Bundle, CudaOptions, CudaSession, ImageKind, LaunchLines};
use optloop::backend::{
    Allowance, Argument, Fault, Grid, LaunchLimit, Launched, Mode, Model, Order, Session, Trouble,
};
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxMode;
use optloop::verify::{Dtype, Tolerance};
use serde_json::Value;
use tempfile::TempDir;

const OPTLOOP: &str = env!("CARGO_BIN_EXE_optloop");
const KERNELS: [&str; 5] = ["reduce_sum", "sgemm", "softmax", "stencil2d", "vector_add"];
const MIB: u64 = 1 << 20;

/// Device memory of this size is a rounding error of the driver's.
const NOISE_BYTES: u64 = 32 * MIB;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One device: two tests at a time would see each other's memory.
    arguments.test_threads = Some(1);
    let missing = missing();
    if let Some(why) = &missing {
        println!("no device: {why}");
    }
    let mut trials = vec![
        Trial::ignorable_test("acceptance_script_checks_itself", || Ok(script_checks_itself())),
        Trial::ignorable_test("acceptance_script_without_a_device_ends_with_4", || {
            Ok(script_without())
        }),
        Trial::ignorable_test("acceptance_projects_are_ones_that_load", || Ok(script_projects())),
    ];
    let sessions: [(&str, fn()); 12] = [
        ("probe_lists_a_device", probe_lists),
        ("sets_have_their_own_buffers_and_come_back_right", right),
        ("comparison_on_the_device_is_the_host_s", agrees),
        ("several_launches_are_replayed_as_one_graph", graph),
        ("a_wrong_output_is_seen", wrong),
        ("a_write_beside_a_buffer_is_seen", beside),
        ("a_write_to_an_input_is_seen", spoilt),
        ("a_kernel_that_never_ends_is_ended_in_time", endless),
        ("an_illegal_address_is_a_crash_of_the_kernel_s", crashes),
        ("what_the_device_does_not_take_is_refused", refused),
        ("too_little_memory_is_told_as_that", out_of_memory),
        ("workers_leave_no_memory_behind", memory_comes_back),
    ];
    for (name, test) in sessions {
        trials.push(on_device(name.to_owned(), missing.clone(), test));
    }
    for kernel in KERNELS {
        for source in [kernel.to_owned(), format!("{kernel}_fast")] {
            let name = format!("pipeline_smoke_{source}");
            trials.push(on_device(name, missing.clone(), move || smoke(kernel, &source)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Why there is no device; `None` where there is one.
fn missing() -> Option<String> {
    let devices = devices();
    if devices.iter().any(is_cuda) {
        return None;
    }
    let told = devices.iter().find_map(|line| line["missing"].as_str());
    Some(told.unwrap_or("no reason is given").to_owned())
}

fn devices() -> Vec<Value> {
    let ran = Command::new(OPTLOOP).args(["devices", "--format", "json"]).output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_cuda(line: &Value) -> bool {
    line["device"].as_str().is_some_and(|name| name.starts_with("cuda:"))
}

fn requires(what: &str) -> bool {
    let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
    required.split(',').any(|word| word == what)
}

fn on_device(name: String, missing: Option<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match missing {
        Some(why) if requires("gpu") => Err(format!("OPTLOOP_REQUIRE: no device: {why}").into()),
        Some(_) => Ok(Completion::ignored_with("no device")),
        None => {
            test();
            Ok(Completion::Completed)
        }
    })
}

/// `ENTRY(x, y, z, n)`, with the addresses of element `%i` in `%x`, `%y` and `%z`; `%i` is below `n`,
/// and `%v` the sum.
fn ptx(entry: &str, body: &str) -> Vec<u8> {
    format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n\
         .visible .entry {entry}(.param .u64 px, .param .u64 py, .param .u64 pz, .param .u32 pn)\n{{\n\
         .reg .u64 %x, %y, %z, %at;\n.reg .u32 %t, %b, %w, %i, %n;\n.reg .f32 %v, %f;\n\
         .reg .pred %out, %p;\n\
         ld.param.u64 %x, [px];\nld.param.u64 %y, [py];\nld.param.u64 %z, [pz];\n\
         ld.param.u32 %n, [pn];\nmov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmov.u32 %w, %ntid.x;\n\
         mad.lo.u32 %i, %b, %w, %t;\nsetp.ge.u32 %out, %i, %n;\n@%out bra DONE;\n\
         mul.wide.u32 %at, %i, 4;\nadd.u64 %x, %x, %at;\nadd.u64 %y, %y, %at;\n\
         add.u64 %z, %z, %at;\nld.f32 %v, [%x];\nld.f32 %f, [%y];\nadd.f32 %v, %v, %f;\n\
         {body}\nDONE:\nret;\n}}\n"
    )
    .into_bytes()
}

const STORE: &str = "st.f32 [%z], %v;";

/// Behind the last element and its alignment.
const BESIDE: &str = "st.f32 [%z], %v;\nsetp.ne.u32 %p, %i, 0;\n@%p bra DONE;\n\
    mul.wide.u32 %at, %n, 4;\nadd.u64 %z, %z, %at;\nst.f32 [%z+600], %v;";

const SPOIL: &str = "st.f32 [%z], %v;\nst.f32 [%x], %v;";
const DIFFERENT: &str = "add.f32 %v, %v, %v;\nst.f32 [%z], %v;";
const ENDLESS: &str = "AGAIN:\nld.volatile.f32 %v, [%x];\nbra AGAIN;";
const NOWHERE: &str = "mov.u64 %at, 64;\nst.f32 [%at], %v;";
const TRAP: &str = "trap;";

/// What a kernel with host code exports, around statements about `cuda(NAME)`.
fn host_code(body: &str) -> String {
    format!(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stddef.h>\n\
         typedef unsigned long long u64;\n\
         static void *cuda(const char *name) {{\n\
         void *driver = dlopen(\"libcuda.so.1\", RTLD_NOW | RTLD_NOLOAD);\n\
         return dlsym(driver ? driver : RTLD_DEFAULT, name); }}\n\
         void optloop_launch(void *const *a, void *stream) {{\n(void)stream;\n\
         int (*info)(size_t *, size_t *) = (int (*)(size_t *, size_t *))cuda(\"cuMemGetInfo_v2\");\n\
         int (*take)(u64 *, size_t) = (int (*)(u64 *, size_t))cuda(\"cuMemAlloc_v2\");\n\
         int (*put)(u64, const void *, size_t) =\n\
         (int (*)(u64, const void *, size_t))cuda(\"cuMemcpyHtoD_v2\");\n\
         size_t unused = 0, all = 0; u64 at = 0; (void)at; (void)take; (void)put;\n{body}\n}}\n"
    )
}

/// How much memory the device has left, as the output.
const FREE: &str = "info(&unused, &all);\nput((u64)a[2], &unused, sizeof unused);";

/// Takes all but 1 GiB of it.
const HOG: &str = "while (info(&unused, &all) == 0 && unused > (size_t)1 << 30)\n\
    if (take(&at, (unused - ((size_t)1 << 30)) / 2 + (1 << 20))) break;";

/// A folder for workers.
struct Place {
    dir: TempDir,
    cancel: Cancel,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), cancel: Cancel::default() }
    }

    fn bundle(&self, entry: &str, kind: ImageKind, image: Vec<u8>) -> PathBuf {
        let launch = LaunchLines::default();
        let bundle = Bundle { kind, entry: entry.to_owned(), arch: String::new(), launch, image };
        let path = self.dir.path().join(format!("{entry}.cuda"));
        fs::write(&path, bundle.to_bytes()).unwrap();
        path
    }

    /// A worker with host code of these statements.
    fn host(&self, entry: &str, body: &str) -> CudaSession {
        let (source, library) = (format!("{entry}.c"), format!("{entry}.so"));
        fs::write(self.dir.path().join(&source), host_code(body)).unwrap();
        let flags = ["-O1", "-shared", "-fPIC", "-o", &library, &source, "-ldl"];
        let built = Command::new("cc").args(flags).current_dir(self.dir.path()).status().unwrap();
        assert!(built.success());
        let image = fs::read(self.dir.path().join(library)).unwrap();
        self.start(&[self.bundle(entry, ImageKind::Shared, image)]).unwrap().pop().unwrap()
    }

    fn device_only(&self, entry: &str, body: &str) -> CudaSession {
        let bundle = self.bundle(entry, ImageKind::Ptx, ptx(entry, body));
        self.start(&[bundle]).unwrap().pop().unwrap()
    }

    fn start(&self, bundles: &[PathBuf]) -> Result<Vec<CudaSession>, Fault> {
        let names = ["PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"];
        let set = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
        CudaSession::start(&CudaOptions {
            program: Path::new(OPTLOOP),
            env: names.into_iter().filter_map(set).collect(),
            marker: &self.dir.path().display().to_string(),
            device: "0",
            kernels: &bundles.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
            allowance: Allowance::new(Some(Duration::from_mins(1))),
            sandbox: SandboxMode::Off,
            dir: self.dir.path(),
            journal: None,
            cancel: &self.cancel,
        })
    }
}

/// Inputs of some sets, with what must come out.
struct Sets {
    inputs: Vec<(Vec<u8>, Vec<u8>)>,
    n: usize,
}

impl Sets {
    fn new(sets: usize, n: usize) -> Self {
        let of = |from: usize| (0..n).flat_map(|i| ((i + from) as f32).to_ne_bytes()).collect();
        Self { inputs: (0..sets).map(|set| (of(set), of(10 * set))).collect(), n }
    }

    fn grid(&self) -> Grid {
        Grid { blocks: [self.n.div_ceil(128) as u32, 1, 1], threads: [128, 1, 1], shared_bytes: 0 }
    }

    fn load(&self, session: &mut CudaSession, grid: Grid) -> Result<(), Fault> {
        session.shape(grid);
        let n = (self.n as i32).to_ne_bytes();
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

    fn staged(&self, session: &mut CudaSession) {
        self.load(session, self.grid()).unwrap();
    }

    fn sums(&self, set: usize) -> Vec<f32> {
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_ne_bytes(b)).collect()
        };
        let (x, y) = &self.inputs[set];
        floats(x).iter().zip(floats(y)).map(|(x, y)| x + y).collect()
    }

    fn answer(&self, set: usize) -> Vec<u8> {
        bytes_of(&self.sums(set))
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn once(session: &mut CudaSession, set: u32, mode: Mode) -> Result<Launched, Fault> {
    session.launch(Order { first: set, count: 1, mode })
}

/// What a kernel's first launch ends with.
fn fault(body: &str) -> Fault {
    let (place, sets) = (Place::new(), Sets::new(2, 100));
    let mut session = place.device_only("subject", body);
    sets.staged(&mut session);
    let (takes, more) = (Duration::ZERO, Duration::from_secs(1));
    session.limit(Some(LaunchLimit { model: Model::Reference, takes, times: 1, more }));
    let looked = once(&mut session, 0, Mode::Hot).and_then(|_| session.outputs(0));
    looked.expect_err("a fault")
}

fn probe_lists() {
    let found: Vec<Value> = devices().into_iter().filter(is_cuda).collect();
    for device in &found {
        assert!(device["uuid"].as_str().is_some_and(|uuid| uuid.starts_with("GPU-")), "{device}");
        assert!(device["memory_bytes"].as_u64().is_some_and(|bytes| bytes > MIB), "{device}");
        assert!(device["multiprocessors"].as_u64().is_some_and(|count| count > 0), "{device}");
    }
    println!("{found:?}");
}

fn right() {
    let place = Place::new();
    let mut session = place.device_only("add", STORE);
    for (count, n) in [(3, 100), (2, 1 << 20), (40, 33)] {
        let sets = Sets::new(count, n);
        sets.staged(&mut session);
        for mode in [Mode::Hot, Mode::Cold] {
            for set in 0..count {
                let launched = once(&mut session, set as u32, mode).unwrap();
                assert!(launched.reported_ns > 0, "{launched:?}");
                assert!(launched.reported_ns <= launched.judged_ns, "{launched:?}");
                assert_eq!(session.outputs(set as u32).unwrap(), [sets.answer(set)], "{set}");
            }
        }
    }
    let timer = session.timer();
    println!("empty pair {} ns, step {} ns", timer.empty_ns, timer.step_ns);
    assert!(timer.empty_ns > 0.0 && timer.empty_ns < 1e5 && timer.step_ns < 1e4, "{timer:?}");
}

fn agrees() {
    let (place, sets) = (Place::new(), Sets::new(1, 5000));
    let mut session = place.device_only("add", STORE);
    sets.staged(&mut session);
    once(&mut session, 0, Mode::Cold).unwrap();
    let like = |rtol, atol| [(Dtype::F32, Tolerance { rtol, atol, equal_nan: false })];
    let with = |at: usize, value: f32| {
        let mut sums = sets.sums(0);
        sums[at] = value;
        bytes_of(&sums)
    };
    let last = sets.sums(0)[4999];
    for (want, like, expected) in [
        (sets.answer(0), like(0.0, 0.0), true),
        (with(4999, last + 1.0), like(0.0, 0.0), false),
        (with(4999, last + 1.0), like(0.0, 1.0), true),
        (with(4999, last + 1.0), like(0.0, 0.5), false),
        (with(4999, last * 1.001), like(1e-2, 0.0), true),
        (with(0, f32::NAN), like(1.0, 1.0), false),
        (with(0, f32::INFINITY), like(1.0, 1.0), false),
    ] {
        // Nothing is said where kernels reach the host's memory: then answers stay with the judge.
        let said = session.agrees(0, &[want], &like).unwrap();
        assert!(said.is_none_or(|said| said == expected), "{like:?}: {said:?}");
    }
    assert_eq!(session.outputs(0).unwrap(), [sets.answer(0)]);
}

fn graph() {
    let (place, sets) = (Place::new(), Sets::new(34, 4096));
    let mut session = place.device_only("add", STORE);
    sets.staged(&mut session);
    let single = once(&mut session, 0, Mode::Hot).unwrap();
    let launched = session.launch(Order { first: 2, count: 32, mode: Mode::Hot }).unwrap();
    println!("one launch {} ns, 32 as a graph {} ns", single.reported_ns, launched.reported_ns);
    assert!(launched.reported_ns > single.reported_ns, "{launched:?}");
    for set in 2..34 {
        assert_eq!(session.outputs(set as u32).unwrap(), [sets.answer(set)], "set {set}");
    }
}

fn wrong() {
    let (place, sets) = (Place::new(), Sets::new(1, 100));
    let mut session = place.device_only("subject", DIFFERENT);
    sets.staged(&mut session);
    once(&mut session, 0, Mode::Hot).unwrap();
    let exact = [(Dtype::F32, Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false })];
    assert_ne!(session.agrees(0, &[sets.answer(0)], &exact).unwrap(), Some(true));
    assert_ne!(session.outputs(0).unwrap(), [sets.answer(0)]);
}

fn beside() {
    let fault = fault(BESIDE);
    assert!(matches!(&fault, Fault::Stray { what } if what.contains("argument 3")), "{fault:?}");
}

fn spoilt() {
    let fault = fault(SPOIL);
    assert!(matches!(&fault, Fault::Stray { what } if what.contains("input")), "{fault:?}");
}

fn endless() {
    let started = Instant::now();
    assert!(matches!(fault(ENDLESS), Fault::Overlong { .. }));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // The device is there for the next.
    right();
}

fn crashes() {
    for body in [NOWHERE, TRAP] {
        let fault = fault(body);
        let crashed = matches!(&fault, Fault::Device { trouble: Trouble::Crashed, .. });
        assert!(crashed, "{body}: {fault:?}");
    }
    right();
}

fn refused() {
    let (place, sets) = (Place::new(), Sets::new(1, 100));
    for (threads, shared_bytes) in [([1024, 2, 1], 0), ([32, 1, 1], 512 << 10)] {
        let mut session = place.device_only("add", STORE);
        let grid = Grid { blocks: [1, 1, 1], threads, shared_bytes };
        let refused = sets.load(&mut session, grid);
        let Err(Fault::Device { trouble: Trouble::Refused, what }) = &refused else {
            panic!("{threads:?}, {shared_bytes}: {refused:?}");
        };
        assert!(!what.is_empty());
    }
}

/// Device memory that is free.
fn free_bytes() -> u64 {
    let (place, sets) = (Place::new(), Sets::new(1, 64));
    let mut session = place.host("free", FREE);
    sets.staged(&mut session);
    once(&mut session, 0, Mode::Hot).unwrap();
    let output = session.outputs(0).unwrap().remove(0);
    u64::from_ne_bytes(output[..8].try_into().unwrap())
}

fn out_of_memory() {
    let before = free_bytes();
    let (hogging, small) = (Place::new(), Sets::new(1, 64));
    let mut hog = hogging.host("hog", HOG);
    small.staged(&mut hog);
    once(&mut hog, 0, Mode::Hot).unwrap();
    let place = Place::new();
    let bundle = place.bundle("add", ImageKind::Ptx, ptx("add", STORE));
    let loaded = place.start(&[bundle]).and_then(|mut sessions| {
        let (n, one) = (64_i32.to_ne_bytes(), &small.inputs[0]);
        let large = Argument::Out(3 << 29);
        let set = vec![Argument::In(&one.0), Argument::In(&one.1), large, Argument::Scalar(&n)];
        sessions[0].shape(small.grid());
        sessions[0].load(&[set])
    });
    let Err(Fault::Device { trouble: Trouble::OutOfMemory, .. }) = loaded else {
        panic!("{loaded:?}");
    };
    hog.finish();
    let after = free_bytes();
    assert!(after + NOISE_BYTES > before, "{before} bytes were free, and now {after}");
}

fn memory_comes_back() {
    let before = free_bytes();
    for _ in 0..2 {
        let (place, sets) = (Place::new(), Sets::new(4, 1 << 22));
        let mut session = place.device_only("add", STORE);
        sets.staged(&mut session);
        once(&mut session, 3, Mode::Cold).unwrap();
        session.finish();
    }
    let after = free_bytes();
    assert!(after + NOISE_BYTES > before, "{before} bytes were free, and now {after}");
}

/// A shipped kernel through the program.
fn smoke(kernel: &str, source: &str) {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(kernel);
    for file in ["problem.toml", "reference.c", &format!("{source}.cu")] {
        fs::copy(shipped.join(file), dir.path().join(file)).unwrap();
    }
    let text = format!(
        "name = \"{source}\"\nkernel = \"{source}.cu\"\nproblem = \"problem.toml\"\n\
         device = \"cuda:0\"\n[stages.smoke]\ntimeout = \"120s\"\n"
    );
    fs::write(dir.path().join("smoke.toml"), text).unwrap();
    let mut command = Command::new(OPTLOOP);
    let ran = command.args(["pipeline", "smoke.toml"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

/// The acceptance script, where there is a Python to run it.
fn script(arguments: &[&str], device: &str) -> Option<Output> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    let mut command = Command::new("python3");
    command.arg("-B").arg(tools.join("gpu_accept.py")).args(arguments);
    command.env("CUDA_VISIBLE_DEVICES", device).env("OPTLOOP", OPTLOOP);
    let ran = command.output().ok();
    if ran.is_none() {
        assert!(!requires("python3"), "OPTLOOP_REQUIRE: there is no python3");
        println!("skipped: no python3");
    }
    ran
}

fn script_checks_itself() -> Completion {
    let Some(ran) = script(&["--self-test"], "") else {
        return Completion::ignored_with("no python3");
    };
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    Completion::Completed
}

fn script_without() -> Completion {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().display().to_string();
    // A device that nobody may see is none, on machines that have one too.
    let Some(ran) = script(&["--out", &place, "--quick"], "-1") else {
        return Completion::ignored_with("no python3");
    };
    assert_eq!(ran.status.code(), Some(4), "{}", said(&ran));
    assert!(said(&ran).contains("no CUDA device"), "{}", said(&ran));
    let written = fs::read_to_string(out.path().join("gpu-accept.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&written["passed"], &written["device"]), (&Value::Bool(false), &Value::Null));
    Completion::Completed
}

/// Every project that the script would run is one that this program takes; only a device or a
/// compiler may be missing.
fn script_projects() -> Completion {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = script(&["--write", &folder.path().display().to_string()], "") else {
        return Completion::ignored_with("no python3");
    };
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let project = entry.unwrap().path();
        let mut command = Command::new(OPTLOOP);
        let ran = command.args(["graph", "accept.toml"]).current_dir(&project).output().unwrap();
        let told = said(&ran);
        let mut errors = told.lines().filter(|line| line.starts_with("error"));
        let missing = errors.all(|line| line.starts_with("error[no-compiler]"));
        let takes = matches!(ran.status.code(), Some(0 | 4)) || missing;
        assert!(takes, "{}: {told}", project.display());
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    Completion::Completed
}
