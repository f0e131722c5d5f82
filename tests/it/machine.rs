//! `doctor` and `devices`.

use serde_json::Value;

use super::support::Project;

fn fits(text: &str) {
    let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
    assert_eq!(wide, Vec::<&str>::new());
}

#[test]
fn colours_follow_the_flag_and_then_the_environment() {
    const NONE: &[(&str, &str)] = &[];
    let project = Project::new();
    for (flag, env, coloured) in [
        ("auto", NONE, false),
        ("always", &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
        ("never", &[("CLICOLOR_FORCE", "1")], false),
        ("auto", &[("CLICOLOR_FORCE", "1"), ("CI", "1")], true),
        ("auto", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ("auto", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], true),
    ] {
        let call = project.args(["pipeline", "missing.toml", "--color", flag]);
        let call = env.iter().fold(call, |call, (name, value)| call.env(name, value));
        let stderr = call.run().stderr;
        let expected = if coloured { "\x1b[1m\x1b[31merror:\x1b[0m " } else { "error" };
        assert!(stderr.starts_with(expected), "{flag} {env:?}: {stderr:?}");
    }
}

#[test]
fn the_doctor_looks_at_everything_and_names_a_way_out_of_what_is_weak() {
    let project = Project::new();
    let ran = project.args(["doctor"]).run().code(0).says("kernels can be built and measured");
    fits(&ran.stdout);
    let checks = project.args(["doctor", "--format", "json"]).run().code(0).json();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = checks.iter().map(|c| text(c, "check")).collect();
    for name in [
        "cc",
        "sanitizers",
        "cores",
        "smt",
        "caches",
        "governor",
        "turbo",
        "load",
        "steal time",
        "time source",
        "noise",
        "perf",
        "valgrind",
        "cuda",
        "nvrtc",
        "nvml",
        "nvcc",
        "cuobjdump",
        "nvdisasm",
        "ncu",
        "compute-sanitizer",
    ] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
    for check in &checks {
        assert_eq!(check["version"], 1);
        let sound = text(check, "standing") == "ok";
        assert_eq!(sound, text(check, "cost").is_empty(), "{check}");
        assert_eq!(sound, text(check, "mend").is_empty(), "{check}");
    }
    let noise = checks.iter().find(|c| c["check"] == "noise").expect("looked for above");
    // Nobody else of this test's own folder for leases measures.
    assert!(noise["values"]["sd_percent"].as_f64().is_some_and(f64::is_finite), "{noise}");
}

#[test]
fn without_a_compiler_the_doctor_says_that_nothing_can_be_measured() {
    let ran = Project::new().args(["doctor"]).env("PATH", "").run().code(1);
    fits(&ran.stdout);
    ran.says("MISSING cc").says("cannot be measured").says("apt install gcc");
}

#[test]
fn devices_tell_the_cores_that_kernels_may_run_on() {
    let project = Project::new();
    fits(&project.args(["devices"]).run().code(0).says("cores usable").stdout);
    let cpu = project.args(["devices", "--format", "json"]).run().code(0).json().remove(0);
    let cores = cpu["core_list"].as_array().expect("cores");
    assert_eq!(Some(cores.len() as u64), cpu["cores"].as_u64());
    assert!(cpu["caches"].is_array() && cpu["siblings"].is_array(), "{cpu}");
}
