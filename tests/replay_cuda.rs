//! A CUDA kernel launched alone over the stand-in driver, and under tools that are scripts here. What
//! is shown is how command lines, answers and refusals are handled; nothing here is a measurement.
#![expect(clippy::unwrap_used, reason = "a helper of tests stops at the first surprise")]

mod cuda;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cuda::{Folder, StandIn};
use optloop::backend::cuda::inspect::ncu::Bottleneck;
use optloop::backend::cuda::inspect::replay::{self, Replay};
use optloop::backend::cuda::{Bundle, ImageKind, LaunchLines};
use optloop::backend::{Argument, Grid, Mode};
use optloop::engine::account::ProfileRecord;
use optloop::engine::stage::check::sanitize::cuda::{DeviceSanitize, DeviceSanitized, run};
use optloop::engine::stage::profile::cuda::{DeviceLook, look};
use optloop::engine::stage::replayed::DeviceCase;
use optloop::engine::stage::{Failure, FailureClass, StageContext};
use optloop::host::MemoryHost;
use optloop::process::{self, Cancel, CommandSpec, Exit};
use tempfile::TempDir;

const N: usize = 100;
const GRID: Grid = Grid { blocks: [4, 1, 1], threads: [32, 1, 1], shared_bytes: 0 };

/// A stand-in driver, a built kernel, and tools that are scripts.
struct Stand {
    dir: TempDir,
    driver: Folder,
    input: Vec<u8>,
    cancel: Cancel,
}

impl Stand {
    /// With the kernel `add`, which adds its first argument to its second and says what came out, and
    /// a script beyond it.
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("kernel add add.so add\n{script}\n");
        let driver = StandIn::build().at(&dir.path().join("lib"), &script);
        let seen = dir.path().join("seen");
        let code = format!(
            "#include <stdio.h>\nvoid add(void **p) {{\n\
             const float *x = *(float **)p[0]; float *y = *(float **)p[1], *z = *(float **)p[2];\n\
             int n = *(int *)p[3]; double sum = 0;\n\
             for (int i = 0; i < n; i++) {{ sum += z[i]; y[i] += x[i]; z[i] = y[i]; sum += y[i]; }}\n\
             FILE *f = fopen(\"{}\", \"a\"); fprintf(f, \"%d %g\\n\", n, sum); fclose(f); }}\n",
            seen.display()
        );
        driver.library("add.so", &code);
        let input = (0..N).flat_map(|i| (i as f32).to_ne_bytes()).collect();
        Self { dir, driver, input, cancel: Cancel::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, kind: ImageKind, image: Vec<u8>) -> PathBuf {
        let (entry, arch) = ("add".to_owned(), "sm_90".to_owned());
        let bundle = Bundle { kind, entry, arch, launch: LaunchLines::default(), image };
        fs::write(self.path("add.cuda"), bundle.to_bytes()).unwrap();
        self.path("add.cuda")
    }

    /// The kernel as host code that launches, or as device code.
    fn bundle(&self) -> PathBuf {
        if let Ok(image) = fs::read(self.driver.path().join("host.so")) {
            return self.write(ImageKind::Shared, image);
        }
        let params = ["u64", "u64", "u64", "u32"].map(|kind| format!(".param .{kind} p"));
        let params = params.join(", ");
        let image =
            format!(".version 7.0\n.target sm_90\n.visible .entry add({params})\n{{ret;}}\n");
        self.write(ImageKind::Ptx, image.into_bytes())
    }

    /// `x`, `y` which is added to, `z`, `n`.
    fn arguments(&self) -> [Argument<'_>; 4] {
        const COUNT: [u8; 4] = (N as i32).to_ne_bytes();
        let x = Argument::In(&self.input);
        [x, Argument::Inout(&self.input), Argument::Out(4 * N), Argument::Scalar(&COUNT)]
    }

    /// A replay's exit code, and what it said.
    fn replay(&self, device: &str, launches: u32) -> (Exit, String) {
        let (bundle, arguments) = (self.bundle(), self.arguments());
        let replay = Replay {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            device,
            bundle: &bundle,
            grid: GRID,
            arguments: &arguments,
            launches,
        };
        let line = replay::prepare(&replay, &self.path("recipe")).unwrap();
        let marker = self.dir.path().display().to_string();
        let mut spec = CommandSpec::new(Path::new(&line[0]), self.dir.path(), marker);
        spec.args = line[1..].to_vec();
        spec.env = vec![self.driver.env()];
        spec.timeout = Some(Duration::from_secs(20));
        let finished = process::run(&spec, &self.cancel).unwrap();
        let said = [finished.stdout, finished.stderr].concat();
        (finished.exit, String::from_utf8_lossy(&said).into_owned())
    }

    /// Puts a script in a tool's place.
    fn tool(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(
            &path,
            format!(
                "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{}'\n{script}\n",
                self.path("calls").display()
            ),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What every launch found and left: the sum over `z` before and `y` afterwards.
    fn seen(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("seen")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn with<T>(&self, go: impl FnOnce(&StageContext<'_>, DeviceCase<'_>) -> T) -> T {
        let (_, lib) = self.driver.env();
        let vars = [("LD_LIBRARY_PATH", lib), ("PATH", "/usr/bin:/bin".into())];
        let program = PathBuf::from(env!("CARGO_BIN_EXE_optloop"));
        let host = MemoryHost { program, ..MemoryHost::with_vars(vars) };
        let scratch = self.path("scratch");
        let context = StageContext {
            name: "profile",
            dir: self.dir.path(),
            scratch: &scratch,
            state: self.dir.path(),
            marker: &self.dir.path().display().to_string(),
            host: &host,
            cancel: &self.cancel,
            progress: &|_, _| {},
            looked: &|_| {},
        };
        let (bundle, arguments) = (self.bundle(), self.arguments());
        let case = DeviceCase {
            label: "n=100",
            device: "0",
            bundle: &bundle,
            grid: GRID,
            arguments: &arguments,
        };
        go(&context, case)
    }

    fn look(&self, tool: Result<&Path, &str>) -> ProfileRecord {
        self.with(|ctx, case| {
            look(&DeviceLook {
                ctx,
                case,
                mode: Mode::Cold,
                tool,
                report: &self.path("kept/profile.ncu-rep"),
                roofline: "n=100: bound by DRAM",
                occupancy: Some("occupancy 50 %, by registers"),
            })
        })
    }

    fn sanitize(&self, tool: Result<&Path, &str>) -> (DeviceSanitized, Option<Failure>, String) {
        self.with(|ctx, case| {
            let mut log = Vec::new();
            let end = Instant::now() + Duration::from_secs(30);
            let asked = DeviceSanitize { ctx, tool, cases: &[case, case], end };
            let (done, failure) = run(&asked, &mut log);
            (done, failure, String::from_utf8(log).unwrap())
        })
    }
}

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
"0","add","12.5","88.0","1,500"
END
"#;

/// As `compute-sanitizer` without its words: runs what it is given.
const WATCH: &str = r#"
check=$2
while [ $# -gt 0 ]; do case "$1" in --*) shift 2;; *) break;; esac; done
echo "========= COMPUTE-SANITIZER"
"$@"; code=$?
"#;

#[test]
fn a_replay_launches_so_often_each_time_on_the_same_arguments_and_leaves_nothing() {
    let stand = Stand::new("");
    let (exit, said) = stand.replay("0", 3);
    assert_eq!((exit, said.as_str()), (Exit::Code(0), ""));
    let sum: usize = (0..N).map(|i| 2 * i).sum();
    // The first finds zeros in `z`; later ones what the one before has left, as outputs are.
    let first = format!("{N} {sum}");
    let later = format!("{N} {}", 2 * sum);
    assert_eq!(stand.seen(), [first, later.clone(), later]);
    assert_eq!((stand.driver.count("launch add"), stand.driver.count("init")), (3, 1));
    assert_eq!(stand.driver.leaks(), Vec::<String>::new());
}

#[test]
fn a_replay_that_cannot_says_why_and_whose_fault_it_is() {
    for (script, device, code, word) in [
        ("fail_launch add 700", "0", replay::EXIT_KERNEL, "CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("", "7", replay::EXIT_DEVICE, "no device cuda:7"),
        ("function add 0 16", "0", replay::EXIT_DEVICE, "32 threads a block"),
        ("fail cuMemAlloc_v2 2", "0", replay::EXIT_DEVICE, "OUT_OF_MEMORY"),
        ("fail cuInit 100", "0", replay::EXIT_DEVICE, "NO_DEVICE"),
    ] {
        let (exit, said) = Stand::new(script).replay(device, 1);
        assert_eq!(exit, Exit::Code(i32::from(code)), "{script}: {said}");
        assert!(said.starts_with("optloop: ") && said.contains(word), "{script}: {said}");
    }
}

#[test]
fn a_kernel_is_looked_into_behind_its_warm_up_and_the_raw_report_is_kept() {
    let stand = Stand::new("");
    let ncu = stand.tool("ncu", NCU);
    let detail = stand.look(Ok(&ncu));
    assert_eq!(stand.seen().len(), 4, "three launches before the one that counts");
    assert!(detail.verdict.starts_with("n=100: bound by memory: DRAM at 88 %"), "{detail:?}");
    assert_eq!(detail.ncu.and_then(|ncu| ncu.duration_ns), Some(1500.0));
    assert_eq!((detail.report.as_deref(), detail.no_ncu), (Some("profile.ncu-rep"), None));
    assert!(stand.path("kept/profile.ncu-rep").is_file());
    let lines = detail.lines.join("\n");
    for part in ["bound by DRAM", "occupancy 50 %", "DRAM of peak"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let calls = stand.calls();
    assert!(calls[0].contains("--kernel-name add --launch-skip 3 --launch-count 1"), "{calls:?}");
    assert!(calls[1].starts_with("--import") && calls[1].contains("--csv --page raw"), "{calls:?}");
    assert_eq!(stand.driver.leaks(), Vec::<String>::new());
}

#[test]
fn host_code_is_launched_by_itself_and_all_that_it_launches_is_looked_at() {
    let stand = Stand::new("");
    let code = format!(
        "#include <stdio.h>\nvoid optloop_launch(void *const *a, void *stream) {{ (void)stream;\n\
         const float *x = a[0]; float *y = a[1]; double sum = 0;\n\
         for (int i = 0; i < *(const int *)a[3]; i++) sum += y[i] += x[i];\n\
         FILE *f = fopen(\"{}\", \"a\"); if (f) {{ fprintf(f, \"%g\\n\", sum); fclose(f); }} }}\n",
        stand.path("seen").display()
    );
    stand.driver.library("host.so", &code);
    assert_eq!(stand.replay("0", 2), (Exit::Code(0), String::new()));
    assert_eq!(stand.seen(), ["9900", "9900"]);
    let ncu = stand.tool("ncu", NCU);
    let detail = stand.look(Ok(&ncu));
    assert_eq!(detail.bottleneck, Some(Bottleneck::Memory), "{detail:?}");
    let calls = stand.calls();
    assert!(!calls[0].contains("--launch") && !calls[0].contains("--kernel-name"), "{calls:?}");
}

#[test]
fn metrics_that_an_ncu_does_not_know_are_left_out_and_named() {
    let stand = Stand::new("");
    let refuses = "case \"$2\" in *dram__bytes.sum*)\n\
        echo '==ERROR== Failed to find metric regex:^dram__bytes\\.sum$'; exit 1;; esac\n";
    let ncu = stand.tool("ncu", &format!("{refuses}{NCU}"));
    let detail = stand.look(Ok(&ncu));
    assert_eq!(detail.bottleneck, Some(Bottleneck::Memory), "{detail:?}");
    assert!(detail.lines.join("\n").contains("does not know dram__bytes.sum"), "{detail:?}");
    assert_eq!(stand.calls().len(), 3);
}

#[test]
fn without_counters_the_roofline_stands_and_a_word_says_what_to_do() {
    let denied = "echo '==ERROR== ERR_NVGPUCTRPERM - The user does not have permission'; exit 1";
    let stand = Stand::new("fail_launch add 719");
    for (script, part) in [
        (denied, "counters are for administrators only here"),
        ("exit 0", "left no report"),
        (NCU, "CUDA_ERROR_LAUNCH_FAILED"),
    ] {
        let ncu = stand.tool("ncu", script);
        let detail = stand.look(Ok(&ncu));
        assert!(detail.no_ncu.as_ref().is_some_and(|why| why.contains(part)), "{detail:?}");
        assert_eq!(detail.verdict, "n=100: bound by DRAM");
        assert!(detail.lines.join("\n").contains(part), "{detail:?}");
    }
    let detail = stand.look(Err("ncu was not found; install Nsight Compute"));
    let why = detail.no_ncu.unwrap_or_default();
    assert!(why.starts_with("no ncu: ncu was not found"), "{why}");
    let detail = stand.look(Ok(&stand.path("absent")));
    let why = detail.no_ncu.unwrap_or_default();
    assert!(why.contains("cannot start"), "{why}");
}

#[test]
fn clean_kernels_go_through_both_checks_at_every_case() {
    let stand = Stand::new("");
    let tool = stand.tool(
        "compute-sanitizer",
        &format!(
            "{WATCH}[ $check = racecheck ] && \
             echo '========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)' && exit\n\
             echo '========= ERROR SUMMARY: 0 errors'"
        ),
    );
    let (done, failure, log) = stand.sanitize(Ok(&tool));
    let clean = DeviceSanitized {
        ran: true,
        memcheck: true,
        racecheck: true,
        cases: 2,
        ..DeviceSanitized::default()
    };
    assert_eq!((done, failure), (clean, None));
    assert_eq!(log, "", "what is clean needs no banners");
    assert_eq!(stand.driver.count("launch add"), 4);
    let calls = stand.calls();
    assert!(calls[0].starts_with("--tool memcheck") && calls[1].starts_with("--tool racecheck"));
}

#[test]
fn what_is_found_is_the_kernels_crash() {
    let memory = "echo '========= Invalid __global__ write of size 4 bytes'\n\
        echo '=========     at add(const float *)+0x90 in /src/add.cu:9'\n\
        echo '=========     by thread (1,0,0) in block (2,0,0)'\n\
        echo '========= ERROR SUMMARY: 1 error'; exit 86";
    let race = "if [ $check = memcheck ]; then echo '========= ERROR SUMMARY: 0 errors'; exit; fi\n\
        echo '========= Error: Race reported between Write access at add(int)+0x1 in add.cu:3'\n\
        echo '=========     and Read access at add(int)+0x9 in add.cu:4 [8 hazards]'\n\
        echo '========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)'; exit 86";
    for (script, words) in [
        (memory, "memcheck: Invalid __global__ write of size 4 bytes at add.cu:9 (in add, thread"),
        (race, "racecheck: race between a write at add.cu:3 and a read at add.cu:4"),
    ] {
        let stand = Stand::new("");
        let tool = stand.tool("compute-sanitizer", &format!("{WATCH}{script}"));
        let (done, failure, _) = stand.sanitize(Ok(&tool));
        let failure = failure.unwrap();
        assert_eq!(failure.class, FailureClass::Crashed);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert!(failure.message.starts_with("case n=100: the kernel"), "{}", failure.message);
        assert!(done.found.unwrap().contains(words));
    }
}

#[test]
fn a_check_that_could_not_be_made_is_a_word_and_no_failure() {
    let stand = Stand::new("fail_launch add 719");
    let broken = "echo '========= Error: Device not supported'; exit 1";
    let quiet = "exit $code";
    for (script, word) in [(broken, "Device not supported"), (quiet, "CUDA_ERROR_LAUNCH_FAILED")] {
        let tool = stand.tool("compute-sanitizer", &format!("{WATCH}{script}"));
        let (done, failure, _) = stand.sanitize(Ok(&tool));
        assert_eq!((done.ran, failure), (false, None));
        assert!(done.why.as_ref().unwrap().contains(word), "{done:?}");
    }
    let (done, failure, _) = stand.sanitize(Err("not found; install it"));
    assert_eq!((done.ran, failure), (false, None));
    assert_eq!(done.why.as_deref(), Some("no compute-sanitizer: not found; install it"));
}
