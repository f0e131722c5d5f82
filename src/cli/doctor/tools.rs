//! Compilers and tools: found is not enough, each is tried.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::Check;
use crate::cli::host;
use crate::cli::lines::machine::CheckStanding;
use crate::process::{self, Cancel, CommandSpec};

pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = host::text_variable("PATH").unwrap_or_default();
    let here = std::env::current_dir().ok()?;
    process::resolve(OsStr::new(name), &here, OsStr::new(&path))
}

/// The compiler, its version, and whether a shared object comes out of it.
pub(super) fn compiler(name: &'static str, language: &str) -> Check {
    const COST: &str = "no kernel can be built";
    const MEND: &str = "apt install gcc g++ libc6-dev (or gcc gcc-c++ glibc-devel, clang, …)";
    let Some(path) = find(name) else {
        return Check::missing(name, "not in PATH", COST, MEND);
    };
    let version = call(&path, &["--version"], Path::new("/"));
    let first = version.unwrap_or_else(|e| e).lines().next().unwrap_or_default().to_owned();
    match build(&path, language) {
        Ok(()) => Check::ok(name, format!("{} ({first})", path.display())),
        Err(why) => {
            let found = format!("{} builds no shared object: {why}", path.display());
            Check::missing(name, found, COST, MEND)
        }
    }
}

/// Kernels in C do not need it.
pub(super) fn cpp(check: Check) -> Check {
    match check.standing {
        CheckStanding::Ok => check,
        _ => Check { standing: CheckStanding::Weak, cost: "no C++ kernels", ..check },
    }
}

fn build(compiler: &Path, language: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let source = dir.path().join("try.src");
    // The header and the library show that more than the bare compiler is installed.
    let text = "#include <math.h>\ndouble optloop_try(double x) { return exp(x); }\n";
    std::fs::write(&source, text).map_err(|e| e.to_string())?;
    let args = ["-x", language, "-shared", "-fPIC", "-o", "try.so", "try.src", "-lm"];
    call(compiler, &args, dir.path())?;
    if dir.path().join("try.so").is_file() { Ok(()) } else { Err("it wrote nothing".to_owned()) }
}

/// Whether the compiler's sanitizers compile, link and find their runtime.
pub(super) fn sanitizers() -> Check {
    let Some(compiler) = find("cc") else {
        return unsanitized("there is no cc");
    };
    match sanitized(&compiler) {
        Ok(()) => Check::ok("sanitizers", "address and undefined: built, linked and run"),
        Err(why) => unsanitized(&why),
    }
}

fn unsanitized(why: &str) -> Check {
    let cost = "checks do not see reads and writes out of bounds and undefined behaviour";
    let mend = "apt install gcc (Fedora: dnf install libasan libubsan; with clang: apt install \
                libclang-rt-dev)";
    Check::weak("sanitizers", why, cost, mend)
}

fn sanitized(compiler: &Path) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::write(dir.path().join("try.c"), "int main(void) { return 0; }\n")
        .map_err(|e| e.to_string())?;
    let args = ["-fsanitize=address,undefined", "-o", "try", "try.c"];
    call(compiler, &args, dir.path()).map_err(|why| format!("does not build: {why}"))?;
    let program = dir.path().join("try");
    call(&program, &[], dir.path()).map(drop).map_err(|why| format!("does not run: {why}"))
}

/// Tools that some work is better with.
pub(super) fn others() -> Vec<Check> {
    let mut all: Vec<Check> = TOOLS.iter().map(tool).collect();
    all.push(perf());
    all.push(valgrind());
    all
}

/// A program that is nice to have.
struct Tool {
    name: &'static str,
    /// What there is not without it.
    cost: &'static str,
    /// What installs it.
    mend: &'static str,
}

const TOOLS: [Tool; 3] = [
    Tool { name: "git", cost: "`keep` cannot commit", mend: "apt install git" },
    Tool { name: "make", cost: "no Makefile integration", mend: "apt install make" },
    Tool {
        name: "just",
        cost: "no justfile integration",
        mend: "pip install rust-just (or cargo install just)",
    },
];

fn tool(&Tool { name, cost, mend }: &Tool) -> Check {
    match find(name) {
        Some(path) => Check::ok(name, path.display().to_string()),
        None => Check::weak(name, "not in PATH", cost, mend),
    }
}

/// Whether it counts, which virtual machines and containers often forbid.
fn perf() -> Check {
    const COST: &str = "profiles count no instructions, cycles and cache misses";
    let Some(path) = find("perf") else {
        return Check::weak("perf", "not in PATH", COST, "apt install linux-perf");
    };
    let args = ["stat", "-x,", "-e", "instructions", "true"];
    let said = match attempt(&path, &args, Path::new("/")) {
        Ok((_, said)) => said,
        Err(why) => why,
    };
    match counted(&said) {
        Ok(()) => Check::ok("perf", format!("{}, and it counts", path.display())),
        Err((why, mend)) => {
            let found = format!("{} counts no instructions: {why}", path.display());
            Check::weak("perf", found, COST, mend)
        }
    }
}

/// What `perf stat -x,` printed: the count, or why there is none and what to do about it.
fn counted(said: &str) -> Result<(), (String, &'static str)> {
    let field = |line: &str| line.split(',').next().unwrap_or_default().trim().to_owned();
    let line = said.lines().find(|line| line.contains(",instructions"));
    let count = line.map(field).unwrap_or_default();
    if count.parse::<u64>().is_ok_and(|n| n > 0) {
        return Ok(());
    }
    if count.starts_with('<') {
        let mend = "a machine with hardware counters, or a virtual one that has them (qemu: -cpu \
                    host,pmu=on)";
        return Err((count.trim_matches(['<', '>']).to_owned(), mend));
    }
    let forbidden = ["paranoid", "ermission", "not permitted", "No access"];
    let mend = if forbidden.iter().any(|word| said.contains(word)) {
        "sysctl kernel.perf_event_paranoid=1 (in a container: --cap-add PERFMON)"
    } else {
        "apt install linux-perf (Ubuntu: linux-tools-$(uname -r))"
    };
    let first = said.lines().find(|line| !line.trim().is_empty());
    Err((first.unwrap_or("it failed without a word").trim().to_owned(), mend))
}

/// Its version shows that it starts; a run would take as long as all else here.
fn valgrind() -> Check {
    const COST: &str = "where perf does not count, profiles count nothing";
    const MEND: &str = "apt install valgrind";
    let Some(path) = find("valgrind") else {
        return Check::weak("valgrind", "not in PATH", COST, MEND);
    };
    match call(&path, &["--version"], Path::new("/")) {
        Ok(version) => Check::ok("valgrind", format!("{} ({})", path.display(), version.trim())),
        Err(why) => {
            let found = format!("{} does not start: {why}", path.display());
            Check::weak("valgrind", found, COST, MEND)
        }
    }
}

/// What a command printed, or what went wrong with it.
fn call(program: &Path, args: &[&str], dir: &Path) -> Result<String, String> {
    let (passed, text) = attempt(program, args, dir)?;
    if passed {
        return Ok(text);
    }
    Err(text.lines().next().unwrap_or("it failed without a word").to_owned())
}

/// Whether a command passed, and what it printed.
fn attempt(program: &Path, args: &[&str], dir: &Path) -> Result<(bool, String), String> {
    let mut spec = CommandSpec::new(program, dir, "doctor");
    spec.args = args.iter().map(Into::into).collect();
    let path = host::text_variable("PATH").unwrap_or_default();
    spec.env = vec![
        ("PATH".into(), path.into()),
        ("LC_ALL".into(), "C".into()),
        // Looking for leaks needs ptrace, which containers forbid.
        ("ASAN_OPTIONS".into(), "detect_leaks=0".into()),
    ];
    if let Some(home) = host::text_variable("HOME") {
        spec.env.push(("HOME".into(), home.into()));
    }
    spec.timeout = Some(Duration::from_secs(20));
    let done = process::run(&spec, &Cancel::default()).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    Ok((done.exit == process::Exit::Code(0), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_tried_and_not_only_found() {
        assert!(build(Path::new("/bin/false"), "c").is_err());
        assert_eq!(build(Path::new("/bin/true"), "c"), Err("it wrote nothing".to_owned()));
        let cc = find("cc").expect("the tests need a C compiler");
        assert_eq!(build(&cc, "c"), Ok(()));
    }

    #[test]
    fn sanitizers_must_build_and_run() {
        let why = |compiler: &str| sanitized(Path::new(compiler)).expect_err("no compiler");
        assert!(why("/bin/false").starts_with("does not build"));
        assert!(why("/bin/true").starts_with("does not run"));
    }

    #[test]
    fn perf_is_good_when_it_counts_and_each_reason_has_its_own_way_out() {
        assert_eq!(counted("123456,,instructions,1000,100.00,,\n"), Ok(()));
        assert_eq!(counted("warning\n99,,instructions:u,1,100.00,,\n"), Ok(()));
        for (said, why, mend) in [
            ("<not supported>,,instructions,0,100.00,,", "not supported", "pmu=on"),
            ("<not counted>,,instructions,0,0.00,,", "not counted", "pmu=on"),
            ("\nError:\nAccess: perf_event_paranoid is 4", "Error:", "perf_event_paranoid=1"),
            ("WARNING: perf not found for kernel 6.8", "WARNING: perf not", "uname -r"),
            ("0,,instructions,0,100.00,,", "0,,instructions", "linux-perf"),
            ("", "it failed without a word", "linux-perf"),
        ] {
            let (got, how) = counted(said).expect_err("nothing was counted");
            assert!(got.starts_with(why) && how.contains(mend), "{said}: {got} {how}");
        }
    }
}
