//! Kernels that reach out of their process: other processes, the network, priorities, files.

use optloop::engine::stage::FailureClass::{Cheating, Wrong};

use super::court::{Court, GOOD, Kernel};

#[test]
fn other_processes_and_the_network_are_out_of_reach() {
    let call = |name, body: &str, word| {
        Kernel::new(name, format!("{GOOD}\n{body}")).confined(Cheating, word)
    };
    Court::new().judges(&[
        call("forks", "if (!fork()) for (;;) pause();", "`fork`"),
        call(
            "forks behind the C library's back",
            "syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);",
            "`fork`",
        ),
        call(
            "starts another program",
            "char *a[] = { \"true\", 0 }; execve(\"/bin/true\", a, a + 1);",
            "`execve`",
        ),
        call("runs a shell", "system(\"true\");", "starting a process"),
        call("opens a socket", "socket(AF_UNIX, SOCK_STREAM, 0);", "`socket`"),
        call(
            "connects",
            "struct sockaddr a = { AF_UNIX, \"/tmp/x\" }; connect(2, &a, sizeof a);",
            "`connect`",
        ),
        call("kills the judge", "kill(getppid(), SIGKILL);", "`kill`"),
        call("traces the judge", "ptrace(PTRACE_ATTACH, getppid(), 0, 0);", "`ptrace`"),
        call(
            "reads the judge's memory",
            "char b[8]; struct iovec i = { b, 8 }; process_vm_readv(getppid(), &i, 1, &i, 1, 0);",
            "`process_vm_readv`",
        ),
        call("keeps memory that outlives it", "shmget(7, 4096, IPC_CREAT | 0600);", "`shmget`"),
    ]);
}

#[test]
fn priorities_are_out_of_reach() {
    let call = |name, body: &str, word| {
        Kernel::new(name, format!("{GOOD}\n{body}")).confined(Cheating, word)
    };
    Court::new().judges(&[
        call("raises its priority", "setpriority(PRIO_PROCESS, 0, -10);", "`setpriority`"),
        call("is less nice", "nice(-5);", "`setpriority`"),
        call(
            "asks for a place before all others",
            "struct sched_param p = { 1 }; sched_setscheduler(0, SCHED_FIFO, &p);",
            "`sched_setscheduler`",
        ),
        Kernel {
            confined: true,
            ..Kernel::new(
                "changes its core",
                format!(
                    "{GOOD} cpu_set_t s; CPU_ZERO(&s); for (int i = 0; i < 64; i++) CPU_SET(i, &s);\n\
                     if (sched_setaffinity(0, sizeof s, &s) == 0) y[0] += 1;"
                ),
            )
        }
        .passes(),
    ]);
}

#[test]
fn timers_that_would_go_off_in_the_other_sides_time_are_out_of_reach() {
    let refused = |name, got: &str| Kernel {
        confined: true,
        ..Kernel::new(name, format!("{GOOD}\nif ({got}) y[0] += 1;")).passes()
    };
    Court::new().judges(&[
        refused(
            "has a timer wake it",
            "({ struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT }; timer_t t;\n\
             timer_create(CLOCK_MONOTONIC, &e, &t) == 0; })",
        ),
        refused("has descriptors of timers", "timerfd_create(CLOCK_MONOTONIC, 0) >= 0"),
        refused(
            "has an alarm in a moment",
            "({ struct itimerval i = { { 0, 1000 }, { 0, 1000 } }; setitimer(ITIMER_REAL, &i, 0) == 0; })",
        ),
        refused("waits for all cores", "syscall(SYS_membarrier, 1, 0, 0) == 0"),
    ]);
}

#[test]
fn closed_descriptors_are_noticed() {
    let close = |name, deed: &str| {
        let body = format!("for (int i = 3; i < 1024; i++) {deed}; {GOOD}");
        Kernel::new(name, body)
    };
    Court::new().judges(&[
        close("closes every descriptor", "close(i)").refused(Cheating, "descriptors"),
        close(
            "closes every descriptor and stays",
            "{ close(i); if (i == 1023) for (;;) pause(); }",
        )
        .refused(Cheating, "went on"),
        close("answers for the worker", "write(i, \"forged\", 6)").refused(Cheating, "no message"),
    ]);
}

#[test]
fn answers_are_not_to_be_had_from_files() {
    let court = Court::apart();
    let path = court.reference().display().to_string();
    let source = path.replace(".so", ".c");
    court.judges(&[
        Kernel::new(
            "has the reference do its work",
            format!(
                "void *r = dlopen(\"{path}\", RTLD_NOW); void *args[] = {{ (void *)x, acc, y, &n }};\n\
                 if (r) ((void (*)(void **))dlsym(r, \"optloop_launch\"))(args);"
            ),
        )
        .confined(Wrong, "elements"),
        Kernel::new(
            "reads how the answer is computed",
            format!("int f = open(\"{source}\", O_RDONLY); if (f >= 0) {{ {GOOD} }}"),
        )
        .confined(Wrong, "elements"),
        Kernel::new(
            "rewrites the reference",
            format!("int f = open(\"{path}\", O_WRONLY | O_TRUNC); if (f >= 0) {{ {GOOD} }}"),
        )
        .confined(Wrong, "elements"),
        Kernel::new(
            "reads the judge's memory as a file",
            format!(
                "char p[64]; sprintf(p, \"/proc/%d/mem\", getppid()); int f = open(p, O_RDONLY);\n\
                 if (f >= 0) {{ {GOOD} }}"
            ),
        )
        .confined(Wrong, "elements"),
    ]);
}

/// Answers from a file that another process left, if there is one: then it is wrong on purpose, so
/// that a pass says that there was none. `DIR` stands for the folder.
const FILE_MEMO: &str = r#"
    uint64_t key = 1469598103934665603u; uint32_t bits;
    for (int i = 0; i < n; i++) { memcpy(&bits, x + i, 4); key = (key ^ bits) * 1099511628211u; }
    char path[512]; snprintf(path, sizeof path, "%s/optloop-memo-%lx", DIR, (unsigned long)key);
    pid_t who = 0; int f = open(path, O_RDONLY);
    if (f >= 0) { if (read(f, &who, sizeof who) != sizeof who) who = 0; close(f); }
    good(x, acc, y, n);
    if (who && who != getpid()) { y[0] += 1; return; }
    f = open(path, O_WRONLY | O_CREAT, 0600); who = getpid();
    if (f >= 0) { if (write(f, &who, sizeof who) < 0) y[0] += 1; close(f); }
"#;

#[test]
fn no_file_carries_answers_from_process_to_process() {
    let court = Court::apart();
    let left = court.reference().parent().unwrap().display().to_string();
    let memo = |name, dir: &str| {
        let kernel = Kernel::new(name, FILE_MEMO.replace("DIR", dir));
        // Long beside making a file, which is slower than finding one.
        Kernel { confined: true, repeats: vec![8], busy_us: 1000, ..kernel }.passes()
    };
    court.judges(&[
        memo("leaves answers in /tmp", "\"/tmp\""),
        memo("leaves answers in shared memory", "\"/dev/shm\""),
        memo("leaves answers in its folder", "\".\""),
        memo("leaves answers above its folder", "\"..\""),
        memo("leaves answers where temporary files go", "getenv(\"TMPDIR\")"),
        memo("leaves answers at home", "getenv(\"HOME\")"),
        memo("leaves answers beside the kernel", &format!("\"{left}\"")),
    ]);
    for dir in ["/tmp", "/dev/shm", left.as_str()] {
        let entries = std::fs::read_dir(dir).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        assert_eq!(names.filter(|name| name.starts_with("optloop-memo")).count(), 0, "{dir}");
    }
}
