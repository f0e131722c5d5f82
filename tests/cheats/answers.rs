//! Kernels that do not compute what they are asked for, or not always.

use optloop::engine::stage::FailureClass::{Cheating, Wrong};

use super::court::{Court, DOUBLE, GOOD, Kernel, Verdict};

#[test]
fn kernels_that_are_right_on_some_launches_only_are_wrong() {
    let when = |name, condition: &str| {
        Kernel::new(name, format!("static int calls; calls++; if ({condition}) {{ {GOOD} }}"))
    };
    Court::new().judges(&[
        when("right at first, then nothing", "calls <= 3").refused(Wrong, "elements"),
        when("every second launch only", "calls % 2").refused(Wrong, "elements"),
        Kernel { endurance: 64, ..when("nothing from launch 40 on", "calls < 40") }
            .check(Wrong, "in a row in one process"),
        when(
            "sleeps while it believes to be warmed up, then nothing",
            "calls <= 4 && !usleep(5000)",
        )
        .refused(Wrong, "elements"),
        // A launch that took long is taken for the end of the warm-up.
        when(
            "sleeps so that there are few warm-ups, then nothing",
            "calls == 1 ? !usleep(250000) : calls <= 2",
        )
        .refused(Wrong, "elements"),
    ]);
}

#[test]
fn kernels_that_skip_work_are_wrong() {
    let other = |name, body: &str| Kernel::new(name, body).refused(Wrong, "elements");
    Court::new().judges(&[
        other("writes nothing", ""),
        other("adds to an output that it believes to be zero", "for (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] += 2 * x[i]; }"),
        other(
            "writes every other element and leaves the rest to the launch before",
            "static int odd; odd = !odd; for (int i = odd; i < n; i += 2) { acc[i] += x[i]; y[i] = 2 * x[i]; }",
        ),
        other("writes the same constant everywhere", "for (int i = 0; i < n; i++) acc[i] = y[i] = 0;"),
        other("writes what is no number", "for (int i = 0; i < n; i++) acc[i] = y[i] = 0.0f / (n - n);"),
        other("leaves out the last element", "good(x, acc, y, n - 1);"),
        other(
            "computes with fewer bits",
            "for (int i = 0; i < n; i++) { acc[i] += x[i]; unsigned b; memcpy(&b, x + i, 4); b &= 0xffff0000;\n\
             float f; memcpy(&f, &b, 4); y[i] = 2 * f; }",
        ),
        other(
            "gives the answer to earlier inputs",
            "static float a[16], b[16]; static int calls; float s[16]; memcpy(s, acc, 4 * n); good(x, acc, y, n);\n\
             float t[16], u[16]; memcpy(t, acc, 4 * n); memcpy(u, y, 4 * n);\n\
             if (calls++) { memcpy(acc, a, 4 * n); memcpy(y, b, 4 * n); } memcpy(a, t, 4 * n); memcpy(b, u, 4 * n);",
        ),
        other(
            "prints that all is well, in the words of the harness",
            "puts(\"{\\\"check\\\":\\\"pass\\\",\\\"mismatches\\\":0,\\\"median_us\\\":0.001}\\nPASS\\nexit code 0\"); fflush(stdout);",
        ),
        // Poison that it cannot foresee makes it compute whenever it counts.
        Kernel::new(
            "skips while the output still holds its own last result",
            format!("static float last; if (y[0] == last && last == 2 * x[0]) return; {GOOD} last = y[0];"),
        )
        .passes(),
    ]);
}

#[test]
fn kernels_that_are_wrong_in_untimed_launches_are_wrong() {
    let odd = |name, body: &str| Kernel::new(name, format!("{body} {{ {GOOD} }}"));
    Court::new().judges(&[
        odd(
            "never computes on the inputs that warm-ups take turns on",
            "static const float *first, *second; if (!first) first = x; else if (!second && x != first) second = x;\n\
             if (x != first && x != second)",
        )
        .bench(Wrong, "elements"),
        odd(
            "computes there at first and not in later launches",
            "static const float *first; static int calls; if (!first) first = x; if (calls++ < 2 || x != first)",
        )
        .bench(Wrong, "elements"),
        // It is timed as what it takes when it counts.
        Kernel {
            bench: Verdict::Passes,
            truth_us: 39.0,
            ..odd(
                "returns at once while it is warmed up",
                "static const float *first; static int calls; if (!first) first = x; if (calls++ > 1 || x != first)",
            )
        },
    ]);
}

#[test]
fn kernels_that_find_their_own_result_compute_nevertheless() {
    // Long enough to be timed one by one, and as short as the clock can tell while they skip.
    let skip = |us: u32| Kernel {
        table: Some(1),
        busy_us: 0,
        truth_us: f64::from(us),
        repeats: vec![8],
        ..Kernel::new(
            "skips while the output holds the right result",
            format!(
                "if (y[0] == 2 * x[0] && y[n - 1] == 2 * x[n - 1]) return; spin({us}000L); {DOUBLE}"
            ),
        )
        .passes()
    };
    Court::new().judges(&[skip(1), skip(5), skip(30)]);
}

/// Results of earlier launches, found again by something cheaper than the inputs.
fn memo(slots: usize, hit: &str, store: &str, slow: &str) -> String {
    format!(
        "static struct {{ const void *x, *y; float f[8], x0[4096], c0[4096], acc[4096], out[4096]; int n; }} memo[{slots}];\n\
         static int used;\n\
         for (int m = 0; m < used; m++) if ({hit}) {{\n\
             memcpy(acc, memo[m].acc, 4 * n); memcpy(y, memo[m].out, 4 * n); return; }}\n\
         int keep = used < {slots};\n\
         if (keep) {{ {store} }}\n{slow}\n{GOOD}\n\
         if (keep) {{ memcpy(memo[used].acc, acc, 4 * n); memcpy(memo[used++].out, y, 4 * n); }}"
    )
}

#[test]
fn kernels_that_remember_are_refused() {
    // Launches must be long enough for a difference to be no accident.
    let slow =
        "volatile float s = 0; for (int r = 0; r < 30; r++) for (int i = 0; i < n; i++) s += x[i];";
    let large = |kernel: Kernel| Kernel { cases: vec![4096], busy_us: 0, ..kernel };
    Court::new().judges(&[
        large(Kernel::new(
            "remembers by shape",
            memo(1, "memo[m].n == n", "memo[used].n = n;", ""),
        ))
        .refused(Wrong, "elements"),
        large(Kernel::new(
            "remembers by pointer",
            memo(64, "memo[m].x == x && memo[m].y == y", "memo[used].x = x; memo[used].y = y;", ""),
        ))
        .check(Wrong, "on new inputs in the same buffers"),
        large(Kernel::new(
            "remembers by a few elements of the input",
            memo(
                64,
                "memo[m].f[0] == x[0] && memo[m].f[1] == x[n / 2] && memo[m].f[2] == x[n - 1]",
                "memo[used].f[0] = x[0]; memo[used].f[1] = x[n / 2]; memo[used].f[2] = x[n - 1];",
                "",
            ),
        ))
        .check(Wrong, "differ from earlier ones in a few elements"),
        large(Kernel::new(
            "remembers by the whole content of the input",
            memo(
                64,
                "!memcmp(memo[m].x0, x, 4 * n) && !memcmp(memo[m].c0, acc, 4 * n)",
                "memcpy(memo[used].x0, x, 4 * n); memcpy(memo[used].c0, acc, 4 * n);",
                slow,
            ),
        ))
        .check(Cheating, "remembers results by content"),
        large(Kernel::new(
            "remembers by a hash of the whole input",
            memo(
                64,
                "memo[m].f[0] == hash(x, n) && memo[m].f[1] == hash(acc, n)",
                "memo[used].f[0] = hash(x, n); memo[used].f[1] = hash(acc, n);",
                slow,
            ),
        ))
        .before(
            "static float hash(const float *x, int n) { uint32_t h = 1, b; float f;\n\
             for (int i = 0; i < n; i++) { memcpy(&b, x + i, 4); h = h * 31 + b; }\n\
             h = (h & 0x007fffff) | 0x3f800000; memcpy(&f, &h, 4); return f; }",
        )
        .check(Cheating, "remembers results by content"),
    ]);
}
