//! Kernels that crash, leave or do not come back, and kernels that write where they must not.

use optloop::engine::stage::FailureClass::{Crashed, TimedOut, Wrong};

use super::court::{Court, GOOD, Kernel};

#[test]
fn one_element_too_many_is_found_on_either_side() {
    let at = |name, n, deed: &str| Kernel {
        cases: vec![n],
        ..Kernel::new(name, format!("{GOOD} {deed}"))
    };
    Court::new().judges(&[
        // 16 floats fill a cache line, so that the buffer ends at its guard page.
        at("writes one element behind a full line", 16, "y[n] = 1;")
            .refused(Crashed, "just behind"),
        at("writes one element behind", 10, "y[n] = 1;").refused(Wrong, "just behind argument"),
        at("writes one element before", 10, "y[-1] = 1;").refused(Wrong, "just before argument"),
        at("writes one element before a full line", 16, "y[-1] = 1;")
            .refused(Wrong, "just before argument"),
        at("writes one element behind what it updates", 10, "acc[n] = 1;")
            .refused(Wrong, "just behind argument"),
        at("reads one element behind a full line", 16, "y[0] += 0 * x[n];")
            .refused(Crashed, "just behind"),
        at("changes its input", 16, "((volatile float *)x)[0] = 1;").refused(Crashed, "only read"),
    ]);
}

#[test]
fn crashes_and_exits_are_told_apart_from_wrong_results() {
    let deed = |name, body: &str| Kernel::new(name, body);
    Court::new().judges(&[
        deed("exits", "exit(0);").refused(Crashed, "exit code 0"),
        deed("exits at once", "good(x, acc, y, n); _exit(3);").refused(Crashed, "exit code 3"),
        deed("exits as a worker does that could not be set up", "_exit(97);")
            .refused(Crashed, "exit code 97"),
        deed("exits when it is loaded", GOOD)
            .before("__attribute__((constructor)) static void first(void) { _exit(97); }")
            .refused(Crashed, "exit code 97"),
        deed("aborts", "abort();").refused(Crashed, "SIGABRT"),
        deed("reads a null pointer", "y[0] = *(volatile int *)8;").refused(Crashed, "SIGSEGV"),
        deed("calls a null pointer", "((void (*volatile)(void))0)();").refused(Crashed, "SIGSEGV"),
        deed("overflows its stack", "volatile int a[1] = { n }; y[0] = deep(a);")
            .before(
                "__attribute__((noinline)) static int deep(volatile int *a) { volatile int b[64];\n\
                 b[0] = a[0] + 1; return deep(b) + b[1]; }",
            )
            .refused(Crashed, "stack overflow"),
        deed("ends itself by a signal", "raise(SIGKILL);").refused(Crashed, "SIGKILL"),
    ]);
}

#[test]
fn kernels_that_never_come_back_are_ended_in_time() {
    let hang = |name, body: &str| {
        Kernel { limit_ms: 1_000, ..Kernel::new(name, body) }.check(TimedOut, "deadline")
    };
    Court::new().judges(&[
        hang("loops for ever", "for (;;) {}").bench(TimedOut, "deadline"),
        hang(
            "waits for ever and hears no signal",
            "sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); for (;;) pause();",
        ),
    ]);
}

#[test]
fn memory_without_end_is_a_crash() {
    // Touched in one place each, so that it is the limit that ends it and not the machine.
    Court::new().judges(&[
        Kernel::new(
            "allocates without end",
            "for (;;) { volatile char *p = malloc(1 << 26); p[0] = 1; }",
        )
        .refused(Crashed, "null pointer"),
        Kernel::new(
            "maps without end",
            "for (;;) { volatile char *p = mmap(0, 1 << 26, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n\
             if (p == MAP_FAILED) abort(); p[0] = 1; }",
        )
        .refused(Crashed, "SIGABRT"),
    ]);
}
