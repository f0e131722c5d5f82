//! What a confined process can and cannot do. There is no way back from confinement, so every
//! trial is this test binary again, as a child that tries one thing and ends.
#![expect(clippy::disallowed_methods, reason = "a child is told by its environment what to try")]
#![expect(unsafe_code, reason = "tries what code in a worker would")]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "each trial hands constants or living paths to one call of the C library"
)]

use std::ffi::{CString, OsString, c_void};
use std::fs::{self, File};
use std::io::{ErrorKind, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use super::super::tests::unique;
use super::super::{Cancel, CommandSpec, Exit, run};
use super::*;

const TRIAL: &str = "OPTLOOP_SANDBOX_TRIAL";
const WORLD: &str = "OPTLOOP_SANDBOX_WORLD";
const TRAPPED: i32 = 77;
const AS_EXPECTED: i32 = 33;
const OTHERWISE: i32 = 34;

/// Folders of one trial: `inside` is private to the child, `given` it may read.
struct World {
    root: PathBuf,
}

impl World {
    fn inside(&self) -> PathBuf {
        self.root.join("inside")
    }

    fn outside(&self) -> PathBuf {
        self.root.join("outside")
    }

    fn given(&self) -> PathBuf {
        self.root.join("given")
    }

    fn listed(&self) -> PathBuf {
        self.root.join("listed")
    }

    fn spot(&self) -> PathBuf {
        self.root.join("spot")
    }

    fn make() -> (tempfile::TempDir, Self) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let world = Self { root: dir.path().canonicalize().expect("it exists") };
        for folder in [world.inside(), world.outside(), world.given(), world.listed()] {
            fs::create_dir(&folder).expect("made");
            fs::write(folder.join("file"), "text").expect("written");
        }
        fs::write(world.spot(), [0; 8]).expect("written");
        (dir, world)
    }

    fn confinement(&self) -> Confinement {
        let reads = vec![self.given(), self.root.join("not there")];
        Confinement { reads, writes: vec![self.inside()] }
    }
}

/// How a trial's child ends.
#[derive(Debug, PartialEq)]
enum End {
    /// What it tried went as the trial says.
    AsExpected,
    Trapped(Option<&'static str>),
    Other(Exit),
}

/// One thing to try, and whether it went as expected when it came back at all.
type Trial = (&'static str, fn(&World) -> bool);

/// The child's half: tries what it was told to try, when this is the child.
fn attempt(trials: &[Trial], confine: fn(&World) -> bool) -> bool {
    let Ok(name) = std::env::var(TRIAL) else {
        return false;
    };
    let world = World { root: std::env::var_os(WORLD).expect("given with the trial").into() };
    let (_, what) = trials.iter().find(|(known, _)| *known == name).expect("a known trial");
    let expected = confine(&world) && what(&world);
    // SAFETY: ends the child at once; the test harness around it has nothing left to do.
    unsafe { libc::_exit(if expected { AS_EXPECTED } else { OTHERWISE }) }
}

/// The parent's half: how the child of the test `test` ends that tries `trial`.
fn end_of(test: &str, trial: &str) -> End {
    let (_dir, world) = World::make();
    end_in(&world, test, trial)
}

fn end_in(world: &World, test: &str, trial: &str) -> End {
    let this = std::env::current_exe().expect("a test binary");
    let mut spec = CommandSpec::new(this, "/", unique("sandbox"));
    let name = format!("process::sandbox::tests::{test}");
    spec.args = ["-q", "--nocapture", "--exact", &name].map(OsString::from).to_vec();
    spec.env = vec![
        (TRIAL.into(), trial.into()),
        (WORLD.into(), world.root.clone().into()),
        ("LD_LIBRARY_PATH".into(), world.listed().into()),
        ("HOME".into(), std::env::var_os("HOME").unwrap_or_default()),
    ];
    spec.timeout = Some(Duration::from_secs(20));
    let finished = run(&spec, &Cancel::default()).expect("the child starts");
    let spot = fs::read(world.spot()).expect("readable");
    let number = i64::from_ne_bytes(spot.try_into().expect("eight bytes"));
    match finished.exit {
        Exit::Code(TRAPPED) if number > 0 => End::Trapped(syscall_name(number - 1)),
        Exit::Code(AS_EXPECTED) if number == 0 => End::AsExpected,
        exit => End::Other(exit),
    }
}

/// As a worker does it: first the handler, then everything else.
fn wholly(world: &World) -> bool {
    let file = File::options().read(true).write(true).open(world.spot()).expect("it was made");
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a new mapping, which is never unmapped.
    unsafe {
        let place = mmap(std::ptr::null_mut(), 8, protection, flags, &file, 0).expect("mapped");
        watch_traps(place.cast(), TRAPPED).expect("set");
    }
    confine(&world.confinement()).expect("the kernel keeps its word").is_full()
}

fn all_end(test: &str, trials: &[Trial], expected: impl Fn(&str) -> End) {
    for (name, _) in trials {
        assert_eq!(end_of(test, name), expected(name), "{name}");
    }
}

fn refused<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// For calls that answer 0, or -1 and a reason.
fn not_permitted(answer: libc::c_long) -> bool {
    answer == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL in it")
}

#[test]
fn files_outside_the_private_folder_cannot_be_read_or_changed() {
    const NAME: &str = "files_outside_the_private_folder_cannot_be_read_or_changed";
    const TRIALS: &[Trial] = &[
        ("write a new file", |w| refused(fs::write(w.outside().join("new"), "x"))),
        ("write an old file", |w| refused(fs::write(w.outside().join("file"), "x"))),
        ("truncate", |w| {
            let path = c_path(&w.outside().join("file"));
            // SAFETY: a path that lives through the call.
            not_permitted(unsafe { libc::truncate(path.as_ptr(), 0) }.into())
        }),
        ("read", |w| refused(fs::read(w.outside().join("file")))),
        ("list", |w| refused(fs::read_dir(w.outside()))),
        ("unlink", |w| refused(fs::remove_file(w.outside().join("file")))),
        ("make a folder", |w| refused(fs::create_dir(w.outside().join("new")))),
        ("move out", |w| fs::rename(w.inside().join("file"), w.outside().join("new")).is_err()),
        ("read by a link", |w| {
            let link = w.inside().join("link");
            std::os::unix::fs::symlink(w.outside().join("file"), &link).expect("made inside");
            refused(fs::read(link))
        }),
        ("read by proc", |w| {
            let inner = w.outside().join("file");
            let inner = inner.strip_prefix("/").expect("absolute");
            refused(fs::read(Path::new("/proc/self/root").join(inner)))
        }),
        ("change what is only read", |w| refused(fs::write(w.given().join("file"), "x"))),
        ("read the parent's memory map", |_| {
            refused(fs::read(format!("/proc/{}/maps", std::os::unix::process::parent_id())))
        }),
        ("list what is not the system's", |_| {
            let home = std::env::var("HOME").unwrap_or_default();
            let folders = ["/", "/tmp", "/run", "/var", "/home", "/root", "/dev", &home];
            folders.iter().all(|folder| fs::read_dir(folder).is_err())
        }),
    ];
    if attempt(TRIALS, wholly) {
        return;
    }
    all_end(NAME, TRIALS, |_| End::AsExpected);
}

#[test]
fn a_confined_process_can_do_what_honest_kernels_do() {
    const NAME: &str = "a_confined_process_can_do_what_honest_kernels_do";
    const TRIALS: &[Trial] = &[
        ("write inside", |w| {
            let (file, moved) = (w.inside().join("new"), w.inside().join("moved"));
            fs::write(&file, "x").is_ok()
                && fs::rename(&file, &moved).is_ok()
                && fs::read(&moved).is_ok_and(|text| text == b"x")
                && fs::remove_file(&moved).is_ok()
        }),
        ("read what was given", |w| fs::read(w.given().join("file")).is_ok()),
        ("read the library path", |w| fs::read(w.listed().join("file")).is_ok()),
        ("read the system", |_| {
            let files = ["/etc/ld.so.cache", "/proc/self/maps", "/proc/cpuinfo", "/proc/stat"];
            fs::read_dir("/usr/lib").is_ok() && files.iter().all(|file| File::open(file).is_ok())
        }),
        ("use devices", |_| {
            fs::write("/dev/null", "x").is_ok() && File::open("/dev/urandom").is_ok()
        }),
        ("start threads", |_| {
            let threads = [1, 2, 3].map(|n| std::thread::spawn(move || n));
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum::<i32>() == 6
        }),
        ("allocate", |_| {
            let block = vec![1_u8; 100 << 20];
            let flags = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
            // SAFETY: a new mapping.
            let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), 1 << 20, flags.0, flags.1) };
            block[50 << 20] == 1 && mapped.is_ok()
        }),
        ("load a library", |_| {
            // SAFETY: parts of the C library, whose constructors are harmless.
            ["libm.so.6", "libresolv.so.2"]
                .iter()
                .all(|name| unsafe { libloading::Library::new(*name) }.is_ok())
        }),
        ("read its limits", |_| {
            rustix::process::getrlimit(rustix::process::Resource::Stack).current != Some(0)
        }),
        ("ask for its cores", |_| std::thread::available_parallelism().is_ok()),
        ("handle its own signals", |_| {
            // SAFETY: asks for a signal to be ignored, then sends it to this process.
            unsafe {
                libc::signal(libc::SIGUSR1, libc::SIG_IGN) != libc::SIG_ERR
                    && libc::raise(libc::SIGUSR1) == 0
                    && libc::kill(libc::getpid(), libc::SIGUSR1) == 0
            }
        }),
        ("name a thread and make a memory file", |_| {
            // SAFETY: constant strings.
            unsafe {
                libc::prctl(libc::PR_SET_NAME, c"worker".as_ptr()) == 0
                    && libc::memfd_create(c"x".as_ptr(), 0) >= 0
            }
        }),
    ];
    if attempt(TRIALS, wholly) {
        return;
    }
    all_end(NAME, TRIALS, |_| End::AsExpected);
}

#[test]
fn what_honest_runtimes_can_live_without_is_refused_quietly() {
    const NAME: &str = "what_honest_runtimes_can_live_without_is_refused_quietly";
    const TRIALS: &[Trial] = &[
        ("move to another core", |_| unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(0, &mut set);
            not_permitted(libc::sched_setaffinity(0, size_of_val(&set), &raw const set).into())
        }),
        ("chmod outside", |w| unsafe {
            not_permitted(libc::chmod(c_path(&w.outside().join("file")).as_ptr(), 0o777).into())
        }),
        ("chmod by the newest call", |w| unsafe {
            let path = c_path(&w.outside().join("file"));
            let nothing = std::ptr::null::<c_void>();
            not_permitted(libc::syscall(452, libc::AT_FDCWD, path.as_ptr(), 0o777, nothing))
        }),
        ("set times", |w| unsafe {
            let path = c_path(&w.outside().join("file"));
            let now = std::ptr::null();
            not_permitted(libc::utimensat(libc::AT_FDCWD, path.as_ptr(), now, 0).into())
        }),
        ("choose memory", |_| unsafe {
            not_permitted(libc::syscall(libc::SYS_set_mempolicy, 0, 0_usize, 0_usize))
        }),
        ("change the personality but read it", |_| unsafe {
            libc::personality(0xffff_ffff) >= 0 && not_permitted(libc::personality(0x4_0000).into())
        }),
        ("take the handler away", |_| unsafe {
            libc::signal(libc::SIGSYS, libc::SIG_IGN) == libc::SIG_ERR
        }),
        ("have signals sent to the parent", |_| unsafe {
            not_permitted(libc::fcntl(1, libc::F_SETOWN, libc::getppid()).into())
        }),
    ];
    if attempt(TRIALS, wholly) {
        return;
    }
    all_end(NAME, TRIALS, |_| End::AsExpected);
}

#[test]
fn what_no_kernel_needs_ends_the_process_and_is_named() {
    const NAME: &str = "what_no_kernel_needs_ends_the_process_and_is_named";
    const TRIALS: &[Trial] = &[
        ("fork", |_| unsafe { libc::fork() == 0 }),
        ("execve", |_| unsafe {
            let nothing = [std::ptr::null()];
            libc::execve(c"/bin/true".as_ptr(), nothing.as_ptr(), nothing.as_ptr()) == 0
        }),
        ("socket for TCP", |_| std::net::TcpListener::bind("127.0.0.1:0").is_ok()),
        ("socket for UDP", |_| std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("socketpair", |_| std::os::unix::net::UnixStream::pair().is_ok()),
        ("kill the parent", |_| unsafe { libc::kill(libc::getppid(), libc::SIGTERM) == 0 }),
        ("kill the group", |_| unsafe { libc::kill(0, libc::SIGCONT) == 0 }),
        ("pidfd_open", |_| unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getppid(), 0) >= 0 }),
        ("ptrace the parent", |_| unsafe {
            libc::ptrace(libc::PTRACE_ATTACH, libc::getppid(), 0, 0) == 0
        }),
        ("process_vm_readv", |_| unsafe {
            libc::process_vm_readv(libc::getppid(), std::ptr::null(), 0, std::ptr::null(), 0, 0)
                == 0
        }),
        ("setpriority", |_| unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -5) == 0 }),
        ("setpriority by nice", |_| unsafe { libc::nice(-5) == -5 }),
        ("sched_setscheduler", |_| unsafe {
            let param: libc::sched_param = std::mem::zeroed();
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const param) == 0
        }),
        ("prlimit64", |_| unsafe {
            let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
            libc::setrlimit(libc::RLIMIT_CPU, &raw const limit) == 0
        }),
        ("shmget", |_| unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o600) >= 0 }),
        ("mq_open", |_| unsafe { libc::mq_open(c"/x".as_ptr(), libc::O_CREAT) >= 0 }),
        ("prctl against dying", |_| unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) == 0 }),
        ("prctl against the clock", |_| unsafe { libc::prctl(libc::PR_SET_TSC, 2) == 0 }),
        ("seccomp", |_| unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, 0) == 0 }),
        ("io_uring_setup", |_| unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, 0) == 0 }),
        ("unshare", |_| unsafe { libc::unshare(libc::CLONE_NEWUSER) == 0 }),
        ("setuid", |_| unsafe { libc::setuid(libc::getuid()) == 0 }),
        ("socket on a thread", |_| {
            let thread = std::thread::spawn(|| std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
            thread.join().is_ok()
        }),
    ];
    if attempt(TRIALS, wholly) {
        return;
    }
    for (name, _) in TRIALS {
        let call = name.split(' ').next();
        assert_eq!(end_of(NAME, name), End::Trapped(call), "{name}");
    }
}

#[test]
fn a_process_may_end_itself_by_a_signal_and_cannot_hide_a_trapped_call() {
    const NAME: &str = "a_process_may_end_itself_by_a_signal_and_cannot_hide_a_trapped_call";
    const TRIALS: &[Trial] = &[
        ("abort", |_| std::process::abort()),
        ("crash", |_| {
            // SAFETY: the fault is what is tried.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
            true
        }),
        ("block the signal", |_| {
            let mut signals = nix::sys::signal::SigSet::empty();
            signals.add(nix::sys::signal::Signal::SIGSYS);
            // SAFETY: what is tried does not come back.
            signals.thread_block().is_ok() && unsafe { libc::fork() } == 0
        }),
        ("run a command", |_| std::process::Command::new("/bin/true").spawn().is_ok()),
        ("run a shell", |_| {
            // SAFETY: a constant string; what is tried does not come back.
            unsafe { libc::system(c"true".as_ptr()) == 0 }
        }),
        ("use other numbers", |_| {
            // SAFETY: `getpid` by its x32 number where such exist.
            unsafe { libc::syscall(0x4000_0000 + libc::SYS_getpid) > 0 }
        }),
    ];
    if attempt(TRIALS, wholly) {
        return;
    }
    let table = [
        ("abort", End::Other(Exit::Signal(libc::SIGABRT))),
        ("crash", End::Other(Exit::Signal(libc::SIGSEGV))),
        ("block the signal", End::Other(Exit::Signal(libc::SIGSYS))),
        ("run a command", End::Other(Exit::Signal(libc::SIGSYS))),
        ("run a shell", End::Other(Exit::Signal(libc::SIGSYS))),
    ];
    for (name, expected) in table {
        assert_eq!(end_of(NAME, name), expected, "{name}");
    }
    if cfg!(target_arch = "x86_64") {
        assert_eq!(end_of(NAME, "use other numbers"), End::Trapped(None));
    }
}

#[test]
fn landlock_alone_refuses_programs_and_what_newer_kernels_let_it() {
    const NAME: &str = "landlock_alone_refuses_programs_and_what_newer_kernels_let_it";
    const TRIALS: &[Trial] = &[
        ("execute", |_| refused(std::process::Command::new("/bin/true").status())),
        ("signal the parent", |_| {
            // SAFETY: signal 0 only asks.
            files::abi() < 6 || not_permitted(unsafe { libc::kill(libc::getppid(), 0) }.into())
        }),
        ("listen", |_| files::abi() < 4 || refused(std::net::TcpListener::bind("127.0.0.1:0"))),
    ];
    let files_only = |world: &World| {
        files::abi() > 0
            && files::confine(&world.confinement(), &crate::process::trace::hold()).is_ok()
    };
    if attempt(TRIALS, files_only) {
        return;
    }
    all_end(NAME, TRIALS, |_| End::AsExpected);
}

#[test]
fn a_shared_object_with_openmp_loads_and_runs_its_threads() {
    const NAME: &str = "a_shared_object_with_openmp_loads_and_runs_its_threads";
    const SOURCE: &str = "#include <omp.h>\n\
        int sum(void) {\n  int s = 0;\n  omp_set_num_threads(3);\n\
        #pragma omp parallel reduction(+ : s)\n  s += 1 + omp_get_thread_num();\n  return s;\n}\n";
    const TRIALS: &[Trial] = &[("sum", |w| {
        type Sum = unsafe extern "C" fn() -> i32;
        // SAFETY: the object below, whose function has this type.
        unsafe {
            let library = libloading::Library::new(w.given().join("sum.so")).expect("it loads");
            let sum = library.get::<Sum>(c"sum").expect("it is there");
            sum() == 6
        }
    })];
    if attempt(TRIALS, wholly) {
        return;
    }
    let (_dir, world) = World::make();
    fs::write(world.given().join("sum.c"), SOURCE).expect("written");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-fopenmp", "sum.c", "-o", "sum.so"]).current_dir(world.given());
    assert!(cc.status().is_ok_and(|status| status.success()), "a C compiler with OpenMP");
    assert_eq!(end_in(&world, NAME, "sum"), End::AsExpected);
}

#[test]
fn what_is_required_is_not_replaced_by_less() {
    let level = |landlock_abi, seccomp| SandboxLevel { landlock_abi, seccomp };
    let table = [
        (level(7, true), "landlock abi 7, seccomp", true),
        (level(1, false), "landlock abi 1", false),
        (level(0, true), "seccomp", false),
        (level(0, false), "none", false),
    ];
    for (level, text, full) in table {
        assert_eq!((level.describe().as_str(), level.is_full()), (text, full));
        assert_eq!(SandboxMode::Required.accept(level).is_ok(), full);
        assert!(SandboxMode::Auto.accept(level).is_ok() && SandboxMode::Off.accept(level).is_ok());
    }
    let refusal = SandboxMode::Required.accept(level(0, true)).expect_err("half is not all");
    assert!(refusal.to_string().contains("offers: seccomp; use"), "{refusal}");
}

#[test]
fn a_trapped_call_is_told_in_words() {
    let table = [
        (libc::SYS_clone + 1, "`fork`"),
        (libc::SYS_socket + 1, "`socket`"),
        (999 + 1, "system call 999"),
        (0, "a system call with all signals blocked, as in starting a process"),
    ];
    for (noted, words) in table {
        assert_eq!(trapped_call(noted), words);
    }
}

#[test]
fn modes_are_written_in_lower_case() {
    for (mode, text) in [
        (SandboxMode::Auto, "\"auto\""),
        (SandboxMode::Required, "\"required\""),
        (SandboxMode::Off, "\"off\""),
    ] {
        assert_eq!(serde_json::to_string(&mode).expect("it is a word"), text);
        assert_eq!(serde_json::from_str::<SandboxMode>(text).expect("it is a mode"), mode);
    }
}
