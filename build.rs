//! How the program is linked.
#![expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|is| is == value);
    // At a fixed place the loader has none of the program's 25,000 addresses to write, which is a
    // seventh of a null run and of each worker's start (docs/measurements/runners.md). Kernels are
    // shared objects and lie where the loader likes.
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
