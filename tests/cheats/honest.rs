//! Kernels that are odd and honest, and must never be refused.

use std::sync::atomic::{AtomicBool, Ordering};

use optloop::pipeline::Cores;
use optloop::problem::Fill;

use super::court::{self, Court, GOOD, Kernel};

fn all() -> Vec<Kernel> {
    let threads = "pthread_t t; struct job j = { x, acc, y, n / 2 };\n\
        pthread_create(&t, 0, half, &j);\n\
        good(x + n / 2, acc + n / 2, y + n / 2, n - n / 2); pthread_join(t, 0);";
    let job = "struct job { const float *x; float *acc, *y; int n; };\n\
        static void *half(void *p) { struct job *j = p; good(j->x, j->acc, j->y, j->n); return 0; }";
    let vectors = "int i = 0; for (; i + 4 <= n; i += 4) {\n\
        __m128 v = _mm_loadu_ps(x + i); _mm_storeu_ps(acc + i, _mm_add_ps(_mm_loadu_ps(acc + i), v));\n\
        _mm_storeu_ps(y + i, _mm_add_ps(v, v)); }\n\
        for (; i < n; i++) { acc[i] += x[i]; y[i] = 2 * x[i]; }";
    let aligned = "typedef float line __attribute__((vector_size(64)));\n\
        if (((uintptr_t)x | (uintptr_t)acc | (uintptr_t)y) % 64) abort();\n\
        for (int i = 0; i < n / 16; i++) { line v = ((const line *)x)[i]; ((line *)acc)[i] += v; ((line *)y)[i] = v + v; }";
    let mut kernels = vec![
        // Measured in loops of many launches: one sample says it all.
        Kernel { cases: vec![1], busy_us: 0, repeats: vec![1], ..Kernel::new("very short", GOOD) },
        Kernel { cases: vec![1, 2, 3], ..Kernel::new("tiny cases", GOOD) },
        Kernel::new(
            "slow to start",
            format!("static int ready; if (!ready) {{ usleep(50000); ready = 1; }} {GOOD}"),
        ),
        Kernel {
            cases: vec![4096],
            flags: vec!["-O1", "-pthread"],
            ..Kernel::new("two threads", threads).before(job)
        },
        Kernel {
            cases: vec![4096],
            flags: vec!["-O2", "-fopenmp"],
            ..Kernel::new(
                "OpenMP",
                "\n#pragma omp parallel for\nfor (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] = 2 * x[i]; }",
            )
        },
        Kernel {
            cases: vec![1024],
            flags: vec!["-O1", "-Wno-psabi"],
            ..Kernel::new("in need of alignment", aligned)
        },
        Kernel { fill: Fill::Adversarial, cases: vec![512], ..Kernel::new("odd numbers", GOOD) },
        Kernel {
            fill: Fill::Uniform { low: -1e-38, high: 1e-38 },
            cases: vec![512],
            ..Kernel::new("subnormal numbers", GOOD)
        },
        Kernel::new(
            "in place",
            "for (int i = n; i-- > 0; ) { float t = x[i]; y[i] = t; y[i] *= 2; acc[i] += t; }",
        ),
        Kernel::new(
            "writes its output twice",
            "for (int i = 0; i < n; i++) y[i] = -1; good(x, acc, y, n);",
        ),
        Kernel::new(
            "allocates each time",
            "float *t = malloc(4 * n); memcpy(t, x, 4 * n); good(t, acc, y, n); free(t);",
        ),
        Kernel::new("prints a line each time", format!("printf(\"launch of %d\\n\", n); {GOOD}")),
    ];
    // Threads that may be on every core come in the way of the judge.
    for name in ["two threads", "OpenMP"] {
        let on_one = kernels.iter().find(|k| k.name == name).cloned().unwrap();
        let name =
            if name == "OpenMP" { "OpenMP on every core" } else { "two threads on every core" };
        kernels.push(Kernel { name, cores: Cores::All, ..on_one });
    }
    if cfg!(target_arch = "x86_64") {
        kernels.push(Kernel {
            cases: vec![1000],
            flags: vec!["-O3", "-march=native"],
            ..Kernel::new("vectorised", vectors).before("#include <immintrin.h>")
        });
    }
    kernels.into_iter().map(Kernel::passes).collect()
}

/// 8 MiB are read and a quarter of one is written: more than the caches next to a core hold.
fn large() -> Kernel {
    let body = "for (int i = 0; i < n; i++) { float s = 0; for (int j = 0; j < 31; j++) s += acc[31L * i + j];\n\
        y[i] = 2 * x[i] + s; }";
    Kernel {
        cases: vec![1 << 16],
        table: Some(31),
        busy_us: 0,
        launches: 1,
        endurance: 0,
        repeats: vec![2],
        ..Kernel::new("large", body).passes()
    }
}

/// The kernels with these numbers modulo two: halves that tests on two threads share.
fn half(kernels: Vec<Kernel>, which: usize) -> Vec<Kernel> {
    let numbered = kernels.into_iter().enumerate();
    numbered.filter(|(number, _)| number % 2 == which).map(|(_, kernel)| kernel).collect()
}

#[test]
fn honest_kernels_pass() {
    Court::new().judges(&half(all(), 0));
}

#[test]
fn further_honest_kernels_pass() {
    Court::new().judges(&half(all(), 1));
}

#[test]
fn a_large_honest_kernel_passes() {
    Court::new().judges(&[large()]);
}

/// Those for whom it matters that other work is going on: that are short, that start or wait for
/// threads, that are slow at first. What the others compute is as odd on a quiet machine.
const HURRIED: [&str; 8] = [
    "very short",
    "slow to start",
    "two threads",
    "OpenMP",
    "two threads on every core",
    "OpenMP on every core",
    "vectorised",
    "prints a line each time",
];

#[test]
fn honest_kernels_pass_beside_busy_loops() {
    let everything = court::rounds() > 1;
    let mut kernels = all();
    kernels.retain(|kernel| everything || HURRIED.contains(&kernel.name));
    assert!(kernels.len() + 1 >= HURRIED.len(), "a name of HURRIED is no kernel's");
    kernels.push(large());
    let stop = AtomicBool::new(false);
    let spin = || {
        while !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(spin);
        scope.spawn(spin);
        let judged = std::panic::catch_unwind(|| Court::new().judges_times(&kernels, 1));
        stop.store(true, Ordering::Relaxed);
        if let Err(surprise) = judged {
            std::panic::resume_unwind(surprise);
        }
    });
}
