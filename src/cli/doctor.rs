//! `optloop doctor`: what this machine has, what is missing, what that costs, what mends it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::json;

use super::args::Format;
use super::devices;
use super::exit::Exit;
use super::ui::Ui;
use super::world;
use crate::backend::cpu::{CpuIdentity, identity};
use crate::backend::cuda::{CudaProbe, probe};
use crate::process::{self, Cancel, CommandSpec};

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// As it should be.
    Ok,
    /// Measurements or some commands suffer.
    Weak,
    /// The main job cannot run.
    Missing,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Weak => "weak",
            Self::Missing => "MISSING",
        }
    }
}

/// One line of the answer.
#[derive(Debug)]
struct Check {
    name: &'static str,
    standing: Standing,
    found: String,
    /// What it costs, when it is not as it should be.
    cost: &'static str,
    /// The command that mends it.
    mend: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        let (cost, mend) = ("", String::new());
        Self { name, standing: Standing::Ok, found: found.into(), cost, mend }
    }

    fn weak(name: &'static str, found: impl Into<String>, cost: &'static str, mend: &str) -> Self {
        Self { standing: Standing::Weak, cost, mend: mend.to_owned(), ..Self::ok(name, found) }
    }

    fn missing(
        name: &'static str,
        found: impl Into<String>,
        cost: &'static str,
        mend: &str,
    ) -> Self {
        Self { standing: Standing::Missing, ..Self::weak(name, found, cost, mend) }
    }
}

/// Looks at everything; the exit code says whether the main job can run here.
pub(super) fn run(ui: &Ui) -> Exit {
    let checks = checks();
    if ui.format == Format::Json {
        for check in &checks {
            ui.json(&json!({
                "version": 1, "check": check.name, "standing": check.standing.word().to_lowercase(),
                "found": check.found, "cost": check.cost, "mend": check.mend,
            }));
        }
    } else {
        ui.text(&in_words(&checks));
    }
    verdict(&checks)
}

fn verdict(checks: &[Check]) -> Exit {
    let stuck = checks.iter().any(|c| c.standing == Standing::Missing);
    if stuck { Exit::User } else { Exit::Ok }
}

fn checks() -> Vec<Check> {
    let cpu = identity();
    let mut all = vec![
        compiler("cc", "c"),
        cpp(compiler("c++", "c++")),
        state(Path::new(".")),
        cores(&cpu),
        load(std::fs::read_to_string("/proc/loadavg").ok().as_deref(), cpu.cores),
        governor(&cpu.governor),
        turbo(cpu.turbo),
    ];
    all.extend(TOOLS.iter().map(tool));
    all.push(cuda(&probe()));
    all
}

fn find(name: &str) -> Option<PathBuf> {
    let path = world::text_variable("PATH").unwrap_or_default();
    let here = std::env::current_dir().ok()?;
    process::resolve(OsStr::new(name), &here, OsStr::new(&path))
}

/// The compiler, its version, and whether a shared object comes out of it.
fn compiler(name: &'static str, language: &str) -> Check {
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
fn cpp(check: Check) -> Check {
    match check.standing {
        Standing::Ok => check,
        _ => Check { standing: Standing::Weak, cost: "no C++ kernels", ..check },
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

/// What a command printed, or what went wrong with it.
fn call(program: &Path, args: &[&str], dir: &Path) -> Result<String, String> {
    let mut spec = CommandSpec::new(program, dir, "doctor");
    spec.args = args.iter().map(Into::into).collect();
    let path = world::text_variable("PATH").unwrap_or_default();
    spec.env = vec![("PATH".into(), path.into()), ("LC_ALL".into(), "C".into())];
    if let Some(home) = world::text_variable("HOME") {
        spec.env.push(("HOME".into(), home.into()));
    }
    spec.timeout = Some(Duration::from_secs(20));
    let done = process::run(&spec, &Cancel::default()).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    match done.exit {
        process::Exit::Code(0) => Ok(text),
        _ => Err(text.lines().next().unwrap_or("it failed without a word").to_owned()),
    }
}

/// Where `.optloop/` is or would be made.
fn state(dir: &Path) -> Check {
    let there = dir.join(".optloop");
    let place = if there.is_dir() { there } else { dir.to_owned() };
    let shown = std::path::absolute(&place).unwrap_or(place.clone()).display().to_string();
    match rustix::fs::access(&place, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Check::ok("state folder", shown),
        Err(e) => {
            let mend = format!("chown -R \"$USER\" {shown}");
            Check::missing("state folder", format!("{shown}: {e}"), "no result can be kept", &mend)
        }
    }
}

fn cores(cpu: &CpuIdentity) -> Check {
    let found = format!("{} usable, {}", cpu.cores, cpu.model);
    if cpu.cores > 1 {
        return Check::ok("cores", found);
    }
    let cost = "judge and kernel share one core, so times are noisier";
    Check::weak("cores", found, cost, "give the machine or the container more than one")
}

fn load(loadavg: Option<&str>, cores: u32) -> Check {
    let one = loadavg.and_then(|t| t.split_whitespace().next()?.parse::<f64>().ok());
    match one {
        None => Check::ok("load", "not told"),
        Some(load) if load <= f64::from(cores) / 2.0 => Check::ok("load", format!("{load:.2}")),
        Some(load) => {
            let found = format!("{load:.2} on {cores} cores");
            Check::weak("load", found, "times are noisier", "end what else is running: top")
        }
    }
}

fn governor(governor: &str) -> Check {
    match governor {
        "" => Check::ok("governor", "not told"),
        "performance" => Check::ok("governor", governor),
        other => {
            let mend = "cpupower frequency-set -g performance";
            Check::weak("governor", other, "the clock follows the load: times vary", mend)
        }
    }
}

fn turbo(turbo: Option<bool>) -> Check {
    let found = devices::turbo_in_words(turbo);
    if turbo != Some(true) {
        return Check::ok("turbo", found);
    }
    let mend = "echo 0 > /sys/devices/system/cpu/cpufreq/boost \
                (intel_pstate: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo)";
    Check::weak("turbo", found, "the clock follows the temperature: times vary", mend)
}

/// Tools that some work is better with: name, cost, package.
const TOOLS: [(&str, &str, &str); 5] = [
    ("git", "artifacts do not name a commit", "apt install git"),
    ("make", "no Makefile integration", "apt install make"),
    ("just", "no justfile integration", "pip install rust-just (or cargo install just)"),
    ("perf", "command stages cannot count cycles", "apt install linux-perf"),
    ("valgrind", "command stages cannot look for memory errors", "apt install valgrind"),
];

fn tool((name, cost, mend): &(&'static str, &'static str, &'static str)) -> Check {
    match find(name) {
        Some(path) => Check::ok(name, path.display().to_string()),
        None => Check::weak(name, "not in PATH", cost, mend),
    }
}

fn cuda(probe: &CudaProbe) -> Check {
    let found = devices::words_of(probe);
    match devices::cuda_hint(probe) {
        None => Check::ok("cuda", found),
        Some(hint) => Check::weak("cuda", found, "nothing yet: kernels run on the CPU only", &hint),
    }
}

fn in_words(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for check in checks {
        table.add_row([check.standing.word(), check.name, &check.found]);
        if check.standing != Standing::Ok {
            table.add_row(["", "", &format!("costs: {}", check.cost)]);
            table.add_row(["", "", &format!("mend:  {}", check.mend)]);
        }
    }
    let mut text = devices::plain(&mut table);
    text += match verdict(checks) {
        Exit::Ok => "\nkernels can be built and measured here\n",
        _ => "\nkernels cannot be measured here until what is MISSING is mended\n",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_keeps_the_main_job_from_running() {
        let ok = || Check::ok("a", "found");
        let weak = || Check::weak("b", "slow", "noise", "be quick");
        let missing = || Check::missing("c", "nothing", "everything", "install it");
        assert_eq!(verdict(&[ok(), weak()]), Exit::Ok);
        assert_eq!(verdict(&[ok(), missing()]), Exit::User);
        assert_eq!(cpp(missing()).standing, Standing::Weak);
        let text = in_words(&[ok(), weak(), missing()]);
        assert!(text.contains("costs: noise") && text.contains("mend:  install it"), "{text}");
        assert!(text.contains("cannot be measured") && !text.contains("costs: \n"), "{text}");
    }

    #[test]
    fn a_busy_machine_is_weak_and_one_that_does_not_tell_is_not() {
        for (loadavg, standing) in [
            (None, Standing::Ok),
            (Some("odd"), Standing::Ok),
            (Some("0.50 0.1 0.1 1/10 99"), Standing::Ok),
            (Some("3.00 0.1 0.1 1/10 99"), Standing::Weak),
        ] {
            assert_eq!(load(loadavg, 4).standing, standing, "{loadavg:?}");
        }
        assert_eq!(governor("powersave").standing, Standing::Weak);
        assert_eq!(governor("performance").standing, Standing::Ok);
        assert_eq!(turbo(Some(true)).standing, Standing::Weak);
        assert_eq!(turbo(None).standing, Standing::Ok);
    }

    #[test]
    fn a_compiler_is_tried_and_not_only_found() {
        assert!(build(Path::new("/bin/false"), "c").is_err());
        assert_eq!(build(Path::new("/bin/true"), "c"), Err("it wrote nothing".to_owned()));
        let cc = find("cc").expect("the tests need a C compiler");
        assert_eq!(build(&cc, "c"), Ok(()));
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_hold_state() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(state(dir.path()).standing, Standing::Ok);
        assert_eq!(state(&dir.path().join("gone")).standing, Standing::Missing);
    }
}
