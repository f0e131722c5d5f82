//! A pipeline on a CUDA device over the stand-in driver, with scripts in the place of NVIDIA's tools
//! and without them. What is shown is that stages ask for them and say what came of it; nothing here
//! is a measurement.
#![expect(clippy::disallowed_methods, reason = "a PATH without a machine's own tools")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::driver::{Folder, StandIn};
use super::support::{Call, Project, Ran};

const PROBLEM: &str = r#"
name = "scale"
entry = "scale"
cases = [{ n = 1000 }, { n = 16 }]
[[args]]
name = "x"
dtype = "f32"
shape = ["n"]
fill = { normal = { mean = 0.0, std = 1.0 } }
[[args]]
name = "y"
dtype = "f32"
shape = ["n"]
role = "out"
[[args]]
name = "n"
dtype = "i32"
value = "n"
[reference]
source = "reference.c"
[tolerance]
rtol = 1e-6
atol = 1e-6
[launch.cuda]
grid = ["ceil_div(n, block.x)"]
block = [256]
shared = "1024"
"#;

const PIPELINE: &str = r#"
kernel = "k.ptx"
problem = "problem.toml"
device = "cuda:0"
[stages.smoke]
launches = 1
endurance = 2
timeout = "20s"
[stages.profile]
needs = ["smoke"]
mode = "cold"
repeats = [2]
timeout = "20s"
"#;

/// What runs is a function of the stand-in's library.
const PTX: &str = ".version 7.0\n.target sm_90\n.address_size 64\n\
    .visible .entry scale(.param .u64 x, .param .u64 y, .param .u32 n)\n{\n    ret;\n}\n";

const REFERENCE: &str = "void scale(const float *x, float *y, int n) {\n\
    for (int i = 0; i < n; i++) y[i] = 2 * x[i]; }\n";

/// As device code, with a pointer to each value; and as host code, which launches nothing.
const KERNEL: &str = "void scale(void **p) { const float *x = *(float **)p[0];\n\
    float *y = *(float **)p[1]; for (int i = 0; i < *(int *)p[2]; i++) y[i] = 2 * x[i]; }\n\
    void optloop_launch(void *const *p, void *stream) { (void)stream;\n\
    void *there[] = {(void *)&p[0], (void *)&p[1], p[2]}; scale(there); }\n";

/// As `ncu`: runs what it is given, leaves a report, and prints a table of it.
const NCU: &str = r#"
if [ "$1" = --import ]; then cat "$2"; exit; fi
while [ $# -gt 0 ]; do case "$1" in
  --export) report=$2; shift 2;;
  --force-overwrite) shift;;
  --*) shift 2;;
  *) break;;
esac; done
"$@" || exit $?
cat > "$report" <<'END'
"ID","Kernel Name","sm__throughput.avg.pct_of_peak_sustained_elapsed","dram__throughput.avg.pct_of_peak_sustained_elapsed","gpu__time_duration.sum"
"","","%","%","ns"
"0","scale","12.5","88.0","1,500"
END
"#;

/// As `compute-sanitizer`: runs what it is given, and notes how much that is.
const WATCH: &str = r#"
check=$2
while [ $# -gt 0 ]; do case "$1" in --*) shift 2;; *) break;; esac; done
echo "$check of $(wc -c < "$5") bytes by $CUDA_DEVICE_ORDER" >> "$(dirname "$0")/sizes"
echo "========= COMPUTE-SANITIZER"
"$@"
"#;

const CLEAN: &str = "[ $check = racecheck ] && \
    echo '========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)' && exit\n\
    echo '========= ERROR SUMMARY: 0 errors'";

const FINDS: &str = "echo '========= Invalid __global__ write of size 4 bytes'\n\
    echo '=========     at scale(const float *)+0x90 in /src/scale.cu:9'\n\
    echo '=========     by thread (1,0,0) in block (2,0,0)'\n\
    echo '========= ERROR SUMMARY: 1 error'; exit 86";

/// A project on a device, and the folder of its driver.
struct Bench {
    project: Project,
    driver: Folder,
}

impl Bench {
    /// With more than usual in the driver's script.
    fn new(script: &str) -> Self {
        let project = Project::new()
            .file("problem.toml", PROBLEM)
            .file("reference.c", REFERENCE)
            .file("k.ptx", PTX)
            .pipeline(PIPELINE);
        let usual = "l2 1000000\nmemory 200000000\nkernel scale k.so scale\nfunction scale 4 40\n\
            function scale 1 512\nfunction scale 3 16\n";
        let folder = project.path("../driver");
        let driver = StandIn::build().at(&folder, &format!("{usual}{script}\n")).without_nvml();
        driver.library("k.so", KERNEL);
        Self { project, driver }
    }

    /// Puts a script in a tool's place; each call of it is noted.
    fn tool(&self, name: &str, script: &str) {
        let note = "printf '%s\\n' \"${0##*/} $*\" >> \"$(dirname \"$0\")/calls\"";
        self.project.write(&format!("../tools/{name}"), format!("#!/bin/sh\n{note}\n{script}\n"));
        let path = self.project.path(&format!("../tools/{name}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// What was noted beside the tools.
    fn noted(&self, file: &str) -> Vec<String> {
        self.project.read(&format!("../tools/{file}")).lines().map(str::to_owned).collect()
    }

    /// The program with these tools and none else, and with the stand-in driver.
    fn call(&self, args: &[&str]) -> Call<'_> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has_tools = |dir: &Path| {
            ["ncu", "compute-sanitizer", "nvcc"].iter().any(|tool| dir.join(tool).exists())
        };
        let others = std::env::split_paths(&path).filter(|dir| !has_tools(dir));
        let all = std::iter::once(self.project.path("../tools")).chain(others);
        let path = std::env::join_paths(all).expect("paths without colons");
        let (name, library) = self.driver.env();
        self.project
            .args(args.iter().copied())
            .env("PATH", &path.to_string_lossy())
            .env(&name.to_string_lossy(), &library.to_string_lossy())
    }

    fn run(&self) -> Ran {
        self.call(&["pipeline", "pipeline.toml", "--format", "json"]).run()
    }

    /// What `artifact show` says of a stage, with single blanks.
    fn shown(&self, run: &Ran, stage: &str) -> String {
        let artifact = run.stage(stage)["artifact"].as_str().unwrap_or_default().to_owned();
        let path = format!(".optloop/{artifact}");
        let shown = self.call(&["artifact", "show", &path]).run().code(0);
        shown.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A stage's record, and its lines for people.
fn record(run: &Ran, stage: &str, part: &str) -> (Value, String) {
    let record = run.stage(stage)["detail"][part].clone();
    let lines = record["lines"].as_array().into_iter().flatten();
    let lines: Vec<&str> = lines.filter_map(Value::as_str).collect();
    (record.clone(), lines.join("\n"))
}

const OCCUPANCY: &str = "occupancy 75 %: 6 blocks of 256 threads on a multiprocessor, 48 of 64 \
    warps, limited by registers; 40 registers a thread, 1536 bytes of shared memory a block, 16 \
    bytes of local memory a thread";

#[test]
fn a_check_is_watched_and_a_profile_counts_where_there_are_tools() {
    let bench = Bench::new("");
    bench.tool("compute-sanitizer", &format!("{WATCH}{CLEAN}"));
    bench.tool("ncu", NCU);
    let run = bench.run().code(0);
    let (told, lines) = record(&run, "smoke", "sanitizers");
    assert_eq!(lines, "compute-sanitizer: 2 cases, memcheck and racecheck", "{told}");
    assert_eq!(
        [&told["ran"], &told["memcheck"], &told["racecheck"]],
        [true, true, true].map(|yes| json!(yes)).each_ref()
    );
    let sizes = bench.noted("sizes");
    let size = |line: &str| line.split(' ').nth(2).and_then(|bytes| bytes.parse::<u64>().ok());
    assert!(size(&sizes[0]) < size(&sizes[3]), "the cheapest case comes first: {sizes:?}");
    assert!(sizes[0].ends_with("by PCI_BUS_ID"), "workers know devices so: {sizes:?}");
    let (profile, lines) = record(&run, "profile", "profile");
    let verdict = "n=1000: bound by memory: DRAM at 88 % of its peak";
    for part in [verdict, "no bound is known", OCCUPANCY, "profiles/profile.ncu-rep"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert_eq!((&profile["case"], &profile["bottleneck"]), (&json!("n=1000"), &json!("memory")));
    let report = bench.project.read(".optloop/profiles/profile.ncu-rep");
    assert!(report.contains("\"scale\",\"12.5\""), "{report}");
    let calls = bench.noted("calls");
    let counted = calls.iter().find(|call| call.starts_with("ncu")).expect("a call of ncu");
    assert!(counted.contains("--cache-control all"), "the stage is cold: {counted}");
    assert!(counted.contains("--kernel-name scale"), "{counted}");
    assert_eq!(bench.driver.leaks(), Vec::<String>::new());
    assert!(bench.shown(&run, "smoke").contains("sanitizers compute-sanitizer: 2 cases"));
    let shown = bench.shown(&run, "profile");
    for part in [verdict, OCCUPANCY, "DRAM of peak 88.0 %"] {
        assert_eq!(shown.matches(part).count(), 1, "{part}: {shown}");
    }
}

#[test]
fn without_tools_stages_pass_and_say_what_to_install() {
    if ["usr/local/cuda", "opt/nvidia"].iter().any(|dir| Path::new("/").join(dir).exists()) {
        println!("skipped: this machine may have ncu and compute-sanitizer");
        return;
    }
    let bench = Bench::new("");
    let run = bench.run().code(0);
    let (told, lines) = record(&run, "smoke", "sanitizers");
    assert_eq!((&told["ran"], &told["cases"]), (&json!(false), &json!(0)));
    assert!(lines.contains("compute-sanitizer was not found; install"), "{lines}");
    let (profile, lines) = record(&run, "profile", "profile");
    assert_eq!(profile["ncu"], Value::Null);
    for part in ["no bound is known", OCCUPANCY, "no ncu: ncu was not found; install Nsight"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert_eq!(bench.driver.leaks(), Vec::<String>::new());
    let table = bench.call(&["pipeline", "pipeline.toml"]).run().code(0);
    table.says(&format!("profile: {OCCUPANCY}")).says("profile: no ncu: ");
    assert!(bench.shown(&run, "smoke").contains("compute-sanitizer was not found; install"));
}

#[test]
fn what_the_sanitizer_finds_is_a_crash_and_explains_those_of_the_driver() {
    let finding = "memcheck: Invalid __global__ write of size 4 bytes at scale.cu:9";
    for (script, message) in [
        ("", "the kernel was stopped by a sanitizer: memcheck: Invalid"),
        ("fail_launch scale 700", "CUDA_ERROR_ILLEGAL_ADDRESS (700)\n  a sanitizer says: memcheck"),
    ] {
        let bench = Bench::new(script);
        bench.tool("compute-sanitizer", &format!("{WATCH}{FINDS}"));
        let run = bench.run().code(3);
        let failure = run.stage("smoke")["outcome"]["failure"].clone();
        assert_eq!(failure["class"], "crashed", "{failure}");
        let told = failure["message"].as_str().unwrap_or_default();
        assert!(told.contains(message) && told.contains(finding), "{told}");
        assert!(record(&run, "smoke", "sanitizers").1.contains(finding));
        assert_eq!(bench.noted("calls").len(), 1, "what is found ends it");
    }
}

#[test]
fn kernels_with_host_code_are_watched_and_counted_too() {
    let bench = Bench::new("");
    let text = PIPELINE.replace("k.ptx", "k.cu").replacen('\n', "\ncompile.cc = \"nvcc\"\n", 1);
    let text = text.replacen('\n', "\ncompile.host = true\ncompile.arch = \"sm_90\"\n", 1);
    bench.project.write_pipeline(&text);
    bench.project.write("k.cu", "// the compiler has it already\n");
    let copies = "while [ $# -gt 0 ]; do [ \"$1\" = -o ] && cp \"${0%/*}/../driver/k.so\" \"$2\"\n\
        shift; done; exit 0";
    bench.tool("nvcc", copies);
    bench.tool("compute-sanitizer", &format!("{WATCH}{CLEAN}"));
    bench.tool("ncu", NCU);
    let run = bench.run().code(0);
    let (_, lines) = record(&run, "smoke", "sanitizers");
    assert_eq!(lines, "compute-sanitizer: 2 cases, memcheck and racecheck");
    let (profile, lines) = record(&run, "profile", "profile");
    assert_eq!((&profile["bottleneck"], &profile["occupancy"]), (&json!("memory"), &Value::Null));
    assert!(!lines.contains("occupancy"), "{lines}");
    let calls = bench.noted("calls");
    let counted = calls.iter().find(|call| call.starts_with("ncu")).expect("a call of ncu");
    assert!(!counted.contains("--kernel-name"), "{counted}");
}
