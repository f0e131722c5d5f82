//! Kernels that lie about time.

use optloop::engine::stage::FailureClass::{Cheating, Wrong};

use super::court::{Court, GOOD, Kernel, Verdict};

/// Where the worker's control page is. Its first line is the judge's (the order at 0), its second
/// the worker's answer (at 128 the order that is done, at 136 the nanoseconds).
const CONTROL: &str = r#"
static volatile char *control(void) {
    static volatile char *found; if (found) return found;
    FILE *f = fopen("/proc/self/maps", "r"); char line[512]; unsigned long at = 0;
    while (f && fgets(line, sizeof line, f)) if (strstr(line, "optloop-control")) sscanf(line, "%lx", &at);
    if (f) fclose(f);
    return found = (void *)at;
}
static void *overwrite(void *none) {
    for (;;) *(volatile long *)(control() + 136) = 100000;
    return none;
}
"#;

/// A clock that goes at so many tenths of its speed, in the place of the system's.
const SLOW_CLOCK: &str = r#"
#include <link.h>
#include <sys/auxv.h>
static long base;
static int slow(int id, struct timespec *t) {
    (void)id; long v = base + (real() - base) * SPEED / 10;
    t->tv_sec = v / 1000000000L; t->tv_nsec = v % 1000000000L; return 0;
}
static char *find(const char *name) {
    char *base = (char *)getauxval(AT_SYSINFO_EHDR); if (!base) return 0;
    ElfW(Ehdr) *e = (void *)base; ElfW(Phdr) *p = (void *)(base + e->e_phoff); ElfW(Dyn) *d = 0;
    for (int i = 0; i < e->e_phnum; i++) if (p[i].p_type == PT_DYNAMIC) d = (void *)(base + p[i].p_offset);
    ElfW(Sym) *symbols = 0; char *names = 0; unsigned *hash = 0;
    for (; d && d->d_tag; d++) {
        if (d->d_tag == DT_SYMTAB) symbols = (void *)(base + d->d_un.d_ptr);
        if (d->d_tag == DT_STRTAB) names = base + d->d_un.d_ptr;
        if (d->d_tag == DT_HASH) hash = (void *)(base + d->d_un.d_ptr);
    }
    for (unsigned i = 0; hash && symbols && names && i < hash[1]; i++)
        if (!strcmp(names + symbols[i].st_name, name)) return base + symbols[i].st_value;
    return 0;
}
static char *clock_at; static int patched;
static int replace(struct dl_phdr_info *info, size_t size, void *none) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_W)) continue;
        char *from = (char *)(((uintptr_t)info->dlpi_addr + p->p_vaddr) & ~4095ul);
        char *to = (char *)info->dlpi_addr + p->p_vaddr + p->p_memsz;
        mprotect(from, to - from, PROT_READ | PROT_WRITE);
        for (char **at = (char **)from; (char *)(at + 1) <= to; at++)
            if (*at == clock_at && at != &clock_at) { *at = (char *)slow; patched = 1; }
    }
    return 0;
}
static void patch(void) {
    static int done; if (done) return; done = 1; base = real();
    clock_at = find("__vdso_clock_gettime");
    if (!clock_at) abort();
    char *page = (char *)((uintptr_t)clock_at & ~4095ul);
    if (!mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) {
        void *to = (void *)slow; patched = 1;
        memcpy(clock_at, "\x48\xb8", 2); memcpy(clock_at + 2, &to, 8); memcpy(clock_at + 10, "\xff\xe0", 2);
    }
    // Newer systems seal that page; then what points to it is put elsewhere.
    else dl_iterate_phdr(replace, 0);
    if (!patched) abort();
}
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn a_clock_that_is_made_slow_is_contradicted_or_does_not_pay() {
    let patched = |name, us: u32, speed: u32| Kernel {
        repeats: vec![16],
        busy_us: us,
        truth_us: f64::from(us) - 1.0,
        ..Kernel::new(name, format!("patch(); {GOOD}"))
            .before(format!("#define SPEED {speed}\n{SLOW_CLOCK}"))
    };
    let word = "reported as shorter";
    Court::new().judges(&[
        patched("makes the system's clock ten times as slow", 200, 1).bench(Cheating, word),
        // So little that it could be the way to the judge.
        Kernel {
            bench: Verdict::PassesOr(Cheating, word),
            ..patched("makes the system's clock a little slower", 14, 7)
        },
        Kernel {
            bench: Verdict::PassesOr(Cheating, word),
            ..patched("makes the system's clock almost as fast as it was", 50, 9)
        },
    ]);
}

#[test]
fn durations_that_are_written_over_are_contradicted() {
    let early = format!(
        "volatile char *c = control(); {GOOD} spin(200000); *(volatile long *)(c + 136) = 100000;\n\
         *(volatile int *)(c + 128) = *(volatile int *)c; spin(300000);"
    );
    let by_thread = format!(
        "static int started; if (!started) {{ pthread_t t; started = 1; pthread_create(&t, 0, overwrite, 0); }}\n\
         spin(200000); {GOOD}"
    );
    Court::new().judges(&[
        Kernel {
            repeats: vec![8],
            // The judge can have looked at the output while the kernel still wrote it.
            bench: Verdict::RefusedAs(&[(Cheating, "reported as shorter"), (Wrong, "elements")]),
            ..Kernel::new("answers for the worker before it returns", early)
        }
        .before(CONTROL),
        Kernel {
            repeats: vec![8],
            flags: vec!["-O1", "-pthread"],
            truth_us: 190.0,
            bench: Verdict::PassesOr(Cheating, "reported as shorter"),
            ..Kernel::new("has a thread write over durations", by_thread).before(CONTROL)
        },
    ]);
}

#[test]
fn answers_before_the_work_is_done_are_wrong() {
    let first = format!(
        "volatile char *c = control(); *(volatile long *)(c + 136) = 100;\n\
         *(volatile int *)(c + 128) = *(volatile int *)c; spin(200000); {GOOD}"
    );
    Court::new().judges(&[Kernel::new("answers for the worker and works afterwards", first)
        .before(CONTROL)
        .bench(Wrong, "elements")]);
}

#[test]
fn work_that_is_finished_later_is_refused() {
    let later = "job.x = x; job.acc = acc; job.y = y; job.n = n;\n\
        pthread_t t; pthread_create(&t, 0, work, 0); pthread_detach(t);";
    let thread = |name, pause: &str| {
        let before = format!(
            "static struct {{ const float *x; float *acc, *y; int n; }} job;\n\
             static void *work(void *none) {{ {pause} good(job.x, job.acc, job.y, job.n); return none; }}"
        );
        let kernel = Kernel { flags: vec!["-O1", "-pthread"], ..Kernel::new(name, later) };
        kernel.before(before)
    };
    Court::new().judges(&[
        thread("leaves its work to a thread", "usleep(3000);")
            .check(Cheating, "finished after the launch had returned")
            .bench(Wrong, "elements"),
        thread("leaves its work to a thread that takes its time", "usleep(300000);")
            .refused(Wrong, "elements"),
    ]);
}

#[test]
fn a_clock_of_its_own_deceives_only_itself() {
    let own = "int clock_gettime(clockid_t id, struct timespec *t) { (void)id; t->tv_sec = t->tv_nsec = 0; return 0; }";
    Court::new().judges(&[Kernel::new("defines a clock of its own", GOOD).before(own).passes()]);
}
