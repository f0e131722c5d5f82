//! Pipelines on a CUDA device, over the stand-in driver: what is kept and asked for, and what each
//! fault of a device ends in. Nothing here is a measurement.
#![expect(clippy::disallowed_methods, reason = "looks for a compiler as the program does")]

use std::fs;

use optloop::backend::cuda::find::{Library, Places};
use optloop::host::MemoryHost;

use crate::driver::{Folder, StandIn};
use crate::support::{Project, Ran};

/// `y = 2 x`, as PTX: what it does on a device the stand-in does by `twice`.
const KERNEL: &str = "// optloop: block = [64]\n\
    .version 7.0\n.target sm_75\n.address_size 64\n\
    .visible .entry scale(.param .u64 x, .param .u64 y, .param .u32 n)\n{ ret; }\n";

const TWICE: &str = "void twice(void **p) { const float *x = *(float **)p[0]; float *y = *(float **)p[1];\n\
    for (int i = 0; i < *(int *)p[2]; i++) y[i] = 2 * x[i]; }\n\
    void thrice(void **p) { twice(p); (*(float **)p[1])[*(int *)p[2] - 1] += 1; }\n";

const PROBLEM: &str = "name = \"scale\"\nentry = \"scale\"\ncases = [{ n = 64 }, { n = 1000 }]\n\
    [[args]]\nname = \"x\"\ndtype = \"f32\"\nshape = [\"n\"]\nfill = { normal = { mean = 0.0, std = 1.0 } }\n\
    [[args]]\nname = \"y\"\ndtype = \"f32\"\nshape = [\"n\"]\nrole = \"out\"\n\
    [[args]]\nname = \"n\"\ndtype = \"i32\"\nvalue = \"n\"\n\
    [reference]\nsource = \"reference.c\"\n[tolerance]\nrtol = 1e-6\natol = 0.0\n\
    [launch.cuda]\ngrid = [\"ceil_div(n, block.x)\"]\nblock = [256]\n";

const REFERENCE: &str = "void scale(const float *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = 2 * x[i]; }\n";

const PIPELINE: &str = "kernel = \"scale.ptx\"\nproblem = \"problem.toml\"\n\
    device = \"cuda:0\"\n[stages.smoke]\ntimeout = \"20s\"\nlaunches = 2\nendurance = 20\n\
    [stages.candidate]\nneeds = [\"smoke\"]\nrepeats = [4]\nwarmup = 2\nincumbent = \"none\"\n";

/// A project whose device is the stand-in's.
struct Bench {
    project: Project,
    driver: Folder,
}

impl Bench {
    fn new(script: &str) -> Self {
        Self::with(PIPELINE, script)
    }

    fn with(pipeline: &str, script: &str) -> Self {
        let project = Project::new()
            .pipeline(pipeline)
            .file("scale.ptx", KERNEL)
            .file("problem.toml", PROBLEM)
            .file("reference.c", REFERENCE);
        let script = format!(
            "l2 1000000\nmemory 100000000\nkernel scale twice.so twice 8 8 4\nns scale 20000\n{script}\n"
        );
        let driver = StandIn::build().at(&project.path("driver"), &script);
        driver.library("twice.so", TWICE);
        Self { project, driver }
    }

    fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Ran {
        let path = self.driver.path().display().to_string();
        self.project.args(args).env("LD_LIBRARY_PATH", &path).run()
    }

    fn pipeline(&self) -> Ran {
        self.run(["pipeline", "pipeline.toml"])
    }
}

#[test]
fn a_pipeline_runs_on_a_device_leaves_nothing_there_and_is_known_then() {
    let bench = Bench::new("");
    let ran = bench.pipeline().code(0).says("correct");
    ran.says_nothing_of("throttled");
    // The judge's process keeps the management library open to its end.
    let leaks = bench.driver.leaks();
    assert!(leaks.iter().all(|leak| leak.starts_with("nvml")), "{leaks:?}");
    assert!(bench.driver.count("free") > 0 && bench.driver.count("dirty") == 0, "freed, not wiped");
    bench.project.expect_no_processes();
    let artifact = bench.run(["artifact", "show", "last", "--format", "json"]).code(0);
    let shown = artifact.all();
    assert!(shown.contains("\"cuda:0\"") && shown.contains("device_conditions"), "{shown}");
    // Nobody opens the driver for what is known: this one would not survive it.
    let trap = "__attribute__((constructor)) static void boom(void) { __builtin_trap(); }\n";
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        fs::remove_file(bench.driver.path().join(name)).expect("removed");
        bench.driver.library(name, trap);
    }
    for args in [&["pipeline", "pipeline.toml"][..], &["explain", "pipeline.toml"]] {
        bench.run(args.iter().copied()).code(0);
    }
    let json = bench.run(["pipeline", "pipeline.toml", "--format", "json"]).code(0);
    assert!(json.outcomes().values().all(|outcome| outcome == "cached"), "{:?}", json.outcomes());
}

#[test]
fn a_kernel_that_is_wrong_or_writes_beside_its_buffers_fails_for_that() {
    for (script, words) in [
        ("kernel scale twice.so thrice 8 8 4", "differ"),
        ("scribble scale 1 256 4", "argument 2"),
        ("scribble scale 0 0 4", "argument 1, which is an input, was changed"),
    ] {
        let bench = Bench::new(script);
        bench.pipeline().code(3).says(words);
    }
}

#[test]
fn every_fault_of_a_device_ends_in_its_own_class_and_frees_the_device() {
    for (script, code, words) in [
        ("devices 0", 4, "no device"),
        ("version 11040", 4, "is of 11.4"),
        ("fail cuInit 803", 4, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        ("fail cuMemAlloc_v2 2 after 6", 75, "out of memory"),
        ("fail_launch scale 719 after 3", 3, "CUDA_ERROR_LAUNCH_FAILED"),
        ("fail_launch scale 700", 3, "CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("fail_launch scale 214", 75, "ECC"),
        ("fail_launch scale 999 after 2", 75, "the device was lost"),
        ("function scale 0 32", 3, "64 threads a block"),
        ("fail cuModuleGetFunction 500 after 7", 3, "CUDA_ERROR_NOT_FOUND"),
        ("hang scale after 2", 3, "deadline"),
        ("late scale 400000", 3, "tampered with the measurement"),
    ] {
        let patience = if script.starts_with("hang") { "2s" } else { "5m" };
        let short = PIPELINE
            .replace("20s", patience)
            .replace("[stages.smoke]", "[stages.smoke]\nretries = 0");
        let bench = Bench::with(&short, script);
        let ran = bench.pipeline();
        assert!(ran.all().contains(words), "{script}: {}", ran.all());
        ran.code(code);
        bench.project.expect_no_processes();
        // Nobody holds the device any more.
        bench.driver.script("l2 1000000\nmemory 100000000\nkernel scale twice.so twice 8 8 4\n");
        bench.run(["pipeline", "pipeline.toml", "smoke", "--no-wait"]).code(0);
    }
}

#[test]
fn two_kernels_take_turns_in_one_worker_until_it_is_decided() {
    let paired = PIPELINE.replace("[4]", "[4, 8]").replace("incumbent = \"none\"\n", "");
    let bench = Bench::with(&paired, "");
    let with = |ns: u32| format!("// stand-in ns {ns}\n{KERNEL}");
    for (name, ns) in [("plain", 60_000), ("fast", 40_000), ("slow", 180_000)] {
        bench.project.write(&format!("{name}.ptx"), with(ns));
    }
    for (name, words, code, contexts) in [("fast", "KEEP", 0, 4), ("slow", "grossly slower", 3, 1)]
    {
        let before = bench.driver.count("init");
        let kernel = format!("{name}.ptx");
        let args = ["compare", "plain.ptx", &kernel, "--pipeline", "pipeline.toml"];
        bench.run(args).code(code).says(words);
        // One for the driver's look, two for the check; the rest are the comparison's.
        let began = bench.driver.count("init") - before;
        assert!(began <= 6 + contexts, "{name}: {began} processes");
        let leaks = bench.driver.leaks();
        assert!(leaks.iter().all(|leak| leak.starts_with("nvml")), "{leaks:?}");
    }
}

/// The shipped kernels, with how many buffers and then how many integers they take.
const SHIPPED: [(&str, usize, usize); 5] = [
    ("vector_add", 3, 1),
    ("reduce_sum", 2, 1),
    ("softmax", 2, 2),
    ("sgemm", 3, 3),
    ("stencil2d", 2, 2),
];

/// The shipped kernel in C as the stand-in runs the one in CUDA.
fn stand_in_of(project: &Project, (name, buffers, integers): (&str, usize, usize)) -> String {
    let source = project.path(&format!("kernels/{name}/{name}.c"));
    let pointers = (0..buffers).map(|i| format!("*(float **)p[{i}]"));
    let values = (buffers..buffers + integers).map(|i| format!("*(int *)p[{i}]"));
    let arguments: Vec<String> = pointers.chain(values).collect();
    format!(
        "#include \"{}\"\nvoid launch_{name}(void **p) {{ {name}({}); }}\n",
        source.display(),
        arguments.join(", ")
    )
}

#[test]
fn every_shipped_kernel_goes_the_whole_way_from_its_source() {
    let Some(nvrtc) = Places::of(&MemoryHost::with_vars(std::env::vars_os())).find(Library::Nvrtc)
    else {
        let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|r| r == "nvrtc"), "OPTLOOP_REQUIRE: there is no NVRTC");
        println!("skipped: no nvrtc");
        return;
    };
    for shipped in SHIPPED {
        let (name, buffers, integers) = shipped;
        let sizes = [vec!["8"; buffers], vec!["4"; integers]].concat().join(" ");
        let script = format!("kernel {name} launch.so launch_{name} {sizes}");
        let bench = Bench::new(&script);
        let project = Project::new().kernels();
        bench.driver.library("launch.so", &stand_in_of(&project, shipped));
        for version in ["", "_fast"] {
            let pipeline = PIPELINE
                .replace("scale.ptx", &format!("kernels/{name}/{name}{version}.cu"))
                .replace("problem.toml", &format!("kernels/{name}/problem.toml"));
            project.write_pipeline(&pipeline);
            let libraries = nvrtc.path.parent().expect("a folder").display();
            let path = format!("{}:{libraries}", bench.driver.path().display());
            let call = project.args(["pipeline", "pipeline.toml"]).env("LD_LIBRARY_PATH", &path);
            call.run().code(0).says("correct");
        }
    }
}

#[test]
fn throttled_slots_are_taken_again_and_a_slow_first_launch_is_nobodys_time() {
    let bench = Bench::new("throttle 64 from 1 to 2\nfirst_ns scale 30000000");
    bench.pipeline().code(0);
    let json = bench.run(["artifact", "show", "last", "--format", "json"]).code(0).json();
    let result = &json[0]["result"];
    assert_eq!(result["device_conditions"]["throttled_slots"], 2, "{result}");
    assert_eq!(result["discarded_throttled"].as_u64(), Some(8), "{result}");
    // The first launch of each process took 30 ms.
    assert!(result["value_us"].as_f64().is_some_and(|us| us < 5_000.0), "{result}");
    let text = bench.run(["artifact", "show", "last"]).code(0);
    text.says("throttle HW thermal slowdown").says("throttled slots 2");
}
