//! `inspect`: the compilers' own code, read and compared.
#![expect(clippy::disallowed_methods, reason = "a test makes a repository as a user does")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use optloop::backend::cuda::find::{Library, Places, Tool};
use optloop::host::MemoryHost;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::support::{Project, Ran};

const KERNEL: &str = "\
#include \"scale.h\"
static float twice(float x) { return 2.0f * x; }
__attribute__((noinline)) static float third(float x) { return x / 3.0f; }
void scale(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = third(twice(x[i])) + BIAS;
}
";

/// A kernel with a header beside it and a pipeline that compiles it with flags of its own.
fn project() -> Project {
    Project::new()
        .file("k/scale.c", KERNEL)
        .file("k/scale.h", "#ifndef BIAS\n#define BIAS 1.0f\n#endif\n")
        .file("k/reference.c", "void scale(const float *x, float *y, int n) { }\n")
        .file("k/problem.toml", PROBLEM)
        .pipeline(PIPELINE)
}

const PIPELINE: &str = r#"
kernel = "k/other.c"
problem = "k/problem.toml"
[compile]
flags = ["-O1"]
[compile.defines]
BIAS = "8.0f"
[stages.candidate]
"#;

const PROBLEM: &str = r#"
name = "scale"
entry = "scale"
cases = [{ n = 64 }]
[[args]]
name = "x"
dtype = "f32"
shape = ["n"]
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
rtol = 1e-5
"#;

fn inspect<'a>(project: &Project, more: impl IntoIterator<Item = &'a str>) -> Ran {
    project.args(["inspect", "asm"].into_iter().chain(more)).run()
}

fn functions(ran: &Ran) -> Vec<Value> {
    ran.json().into_iter().filter(|v| v["event"] == "function").collect()
}

#[test]
fn the_entry_comes_first_beside_its_source_lines() {
    let project = project();
    let ran = inspect(&project, ["k/scale.c"])
        .code(0)
        .says("k/scale.c: cc -falign-functions=64 -falign-loops=64 -O3 -march=native");
    let ran = ran.says("# scale.c:7: y[i] = third(twice(x[i])) + BIAS;");
    assert!(ran.stdout.lines().all(|l| l.chars().count() <= 80), "{}", ran.all());
    let names: Vec<&str> = ran.stdout.lines().filter(|l| l.contains(" (scale.c:")).collect();
    assert!(names.len() == 2 && names[0].starts_with("scale ("), "{}", ran.all());
    assert!(!project.path(".optloop").exists(), "it leaves something behind");
}

#[test]
fn counts_are_given_for_each_loop() {
    let ran = inspect(&project(), ["k/scale.c", "--format", "json", "--", "-O1"]).code(0);
    let all = functions(&ran);
    let scale = &all[0];
    assert_eq!((&scale["name"], scale["line"].as_u64()), (&Value::from("scale"), Some(5)));
    let inner = &scale["loops"][0];
    assert_eq!((inner["depth"].as_u64(), inner["innermost"].as_bool()), (Some(1), Some(true)));
    assert_eq!(inner["counts"]["calls"].as_u64(), Some(1), "{}", ran.all());
    assert_eq!(all[1]["counts"]["scalar_fp"].as_u64(), Some(1), "{}", ran.all());
}

#[test]
fn a_pipeline_gives_flags_and_entry() {
    let ran = inspect(&project(), ["k/scale.c", "--pipeline", "pipeline.toml"]).code(0);
    let ran = ran.says("cc -falign-functions=64 -falign-loops=64 -O1 -DBIAS=8.0f");
    // A file by another name: the problem knows the entry.
    let project = project();
    project.write("k/other.c", format!("void before(void) {{}}\n{KERNEL}"));
    let other = inspect(&project, ["k/other.c", "--pipeline", "pipeline.toml"]).code(0);
    for ran in [ran, other] {
        let first = ran.stdout.lines().find(|l| l.contains(".c:") && l.contains('('));
        assert!(first.is_some_and(|l| l.starts_with("scale (")), "{}", ran.all());
    }
}

#[test]
fn a_comparison_shows_what_changed_and_nothing_else() {
    let project = project();
    project.write("k/new.c", KERNEL.replace("+ BIAS", "+ BIAS + x[i]"));
    project.write(
        "k/same.c",
        KERNEL
            .replace("int i", "int index")
            .replace("[i]", "[index]")
            .replace("i < n; i++", "index < n; index++"),
    );
    let flags = ["--", "-O1"];
    inspect(&project, ["k/same.c", "--diff", "k/scale.c"].into_iter().chain(flags))
        .code(0)
        .says("the instructions are the same")
        .says_nothing_of("@@");
    let ran = inspect(&project, ["k/new.c", "--diff", "k/scale.c"].into_iter().chain(flags));
    let ran = ran.code(0).says("--- k/scale.c\n+++ k/new.c").says("@@ -");
    let added = ran.stdout.lines().filter(|l| l.starts_with("+ ")).count();
    assert!((1..12).contains(&added), "{}", ran.all());
    // Another constant is another program, although its label is the same.
    project.write("k/more.c", KERNEL.replace("3.0f", "5.0f"));
    inspect(&project, ["k/more.c", "--diff", "k/scale.c"]).code(0).says("@@ -");
}

/// Commits everything.
fn commit(project: &Project) {
    let git = |args: &[&str]| {
        let set = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
        let done = std::process::Command::new("git")
            .args(set)
            .args(args)
            .current_dir(project.root())
            .output();
        assert!(done.expect("git is here").status.success(), "git {args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "first"]);
}

#[test]
fn an_older_version_comes_from_git() {
    let project = project();
    commit(&project);
    project.edit("k/scale.c", "x / 3.0f", "x - 3.0f");
    let diff = |of: &str| inspect(&project, ["k/scale.c", "--diff", of, "--", "-O1"]);
    diff("git:HEAD").code(0).says("--- git:HEAD").says("third").says("@@ -");
    diff("git:nowhere").code(1).says("git has no scale.c at `nowhere`");
}

#[test]
fn an_older_version_of_a_linked_kernel_is_that_of_the_file_behind_the_link() {
    let project = project();
    std::os::unix::fs::symlink("scale.c", project.path("k/link.c")).expect("linked");
    commit(&project);
    project.edit("k/scale.c", "x / 3.0f", "x - 3.0f");
    let diff = inspect(&project, ["k/link.c", "--diff", "git:HEAD", "--", "-O1"]).code(0);
    diff.says("--- git:HEAD").says("third").says("@@ -");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let project = project().file("k/k.cu", "").file("k/k.txt", "").file("k/bad.c", "int f( {\n");
    for (args, code, words) in [
        (&["k/none.c"][..], 1, "there is no kernel `k/none.c`"),
        (&["k/k.cu"], 1, "`inspect ptx`, `inspect sass` and `inspect resources` are for these"),
        (&["k/k.txt"], 1, "neither C (.c) nor C++"),
        (&["k/bad.c"], 3, "k/bad.c:1:8: error:"),
        (&["k/scale.c", "--entry", "scala"], 1, "did you mean `scale`?"),
        (&["k/scale.c", "--diff", "k/none.c"], 1, "there is no kernel `k/none.c`"),
        (&["k/scale.c", "--pipeline", "none"], 1, "there is no pipeline `none`"),
        (&["k/scale.c", "--pipeline", "p", "--", "-O1"], 2, "cannot be used with"),
        (&[], 2, "<KERNEL>"),
    ] {
        let ran = inspect(&project, args.iter().copied()).code(code).says(words);
        assert_eq!(ran.stdout, "", "{}", ran.all());
    }
}

/// A kernel that says how many registers the stand-in below uses for it.
const CUDA: &str = "// registers 40\n// optloop: block = [256]\n\
                    extern \"C\" __global__ void scale(float *y) { }\n";

/// What ptxas makes of nothing much.
const PTX: &str = ".version 8.0\n.target sm_80\n.address_size 64\n// a comment\n\
                   .visible .entry scale(\n.param .u64 y\n)\n{\n.reg .b32 %r<2>;\n\
                   mov.u32 %r1, %tid.x; // thread\nret;\n}\n";

/// nvcc by its arguments and words alone: the real one is asked where there is one.
const NVCC: &str = "#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in *.cu) source=$1 ;; -o) shift; echo > \"$1\" ;; esac
    shift
done
read -r slashes word registers < \"$source\"
[ \"$word\" = registers ] || { echo \"$source(1): error: no registers\"; exit 2; }
echo \"ptxas info    : Compiling entry function 'scale' for 'sm_90'\"
echo \"ptxas info    : Function properties for scale\"
echo \"    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\"
echo \"ptxas info    : Used $registers registers, used 1 barriers, 9472 bytes smem\"
";

/// A project with kernels for CUDA devices, and the stand-in below `cuda/`.
fn cuda_project() -> Project {
    let project = Project::new()
        .file("k/scale.cu", CUDA)
        .file("k/scale.ptx", PTX)
        .file("k/scale.cubin", "machine code")
        .file("cuda/bin/nvcc", NVCC);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path("cuda/bin/nvcc"), executable).expect("set");
    project
}

/// `optloop inspect …` where no tool is on the PATH.
fn alone<'a>(project: &'a Project, words: &str) -> super::support::Call<'a> {
    let words: Vec<&str> = std::iter::once("inspect").chain(words.split(' ')).collect();
    project.args(words).env("PATH", "/nowhere")
}

/// What `alone` leaves to be found: a toolkit and libraries of the system.
fn of_the_system() -> Places {
    Places::of(&MemoryHost::with_vars([("PATH", "/nowhere")]))
}

/// Whether that is nothing; said aloud when it is not.
fn is_bare() -> bool {
    let places = of_the_system();
    let is_bare = Tool::ALL.into_iter().all(|tool| places.tool(tool).is_err())
        && places.find(Library::Nvrtc).is_none();
    if !is_bare {
        println!("skipped: the system has a CUDA toolkit");
    }
    is_bare
}

#[test]
fn a_missing_cuda_tool_is_an_answer_with_a_way_to_get_it() {
    if !is_bare() {
        return;
    }
    let project = cuda_project();
    for (words, tool, wheel) in [
        ("ptx k/scale.cu", "nvcc", "nvidia-cuda-nvcc"),
        ("resources k/scale.cu", "nvcc", "nvidia-cuda-nvcc"),
        ("resources k/scale.ptx", "ptxas", "nvidia-cuda-nvcc"),
        ("resources k/scale.cubin", "cuobjdump", "nvidia-cuda-cuobjdump"),
        ("sass k/scale.ptx", "nvdisasm", "nvidia-cuda-nvdisasm"),
    ] {
        let ran = alone(&project, words).run().code(1);
        let ran = ran.says(&format!("there is no {tool} here")).says(wheel);
        assert_eq!(ran.stdout, "", "{}", ran.all());
    }
}

/// A pipeline for the kernel, and its problem.
fn with_pipeline(project: Project, compile: &str) -> Project {
    let pipeline = format!(
        "name = \"p\"\nkernel = \"k/scale.cu\"\nproblem = \"problem.toml\"\n[compile]\n{compile}\n\
         [stages.smoke]\n"
    );
    let problem = "name = \"f\"\nentry = \"scale\"\ncases = [ { n = 4 } ]\n[[args]]\nname = \"y\"\n\
                   dtype = \"f32\"\nshape = [\"n\"]\nrole = \"out\"\n[reference]\nsource = \"ref.c\"\n\
                   [tolerance]\nrtol = 0.1\natol = 0.1\n";
    project.file("p.toml", pipeline).file("problem.toml", problem).file("ref.c", "")
}

#[test]
fn a_pipeline_says_what_a_cuda_kernel_is_built_for() {
    if !is_bare() {
        return;
    }
    let project = with_pipeline(cuda_project(), "arch = \"sm_80\"");
    let cuda = project.path("cuda").to_string_lossy().into_owned();
    let ran = |words: &str| alone(&project, words).env("CUDA_HOME", &cuda).run().code(0);
    ran("resources k/scale.cu --pipeline p.toml").says("k/scale.cu: nvcc -arch=sm_80\n");
    ran("resources k/scale.cu --pipeline p.toml --arch sm_90").says(": nvcc -arch=sm_90\n");
    ran("resources k/scale.cu").says(": nvcc -arch=sm_90a\n");
}

#[test]
fn a_mistake_in_a_kernels_own_lines_is_told_at_its_place() {
    if !is_bare() {
        return;
    }
    let project = cuda_project();
    project.edit("k/scale.cu", "block =", "blok =");
    let cuda = project.path("cuda").to_string_lossy().into_owned();
    let ran = alone(&project, "resources k/scale.cu").env("CUDA_HOME", &cuda).run().code(0);
    ran.says("no occupancy: ").says("scale.cu:2:13").says("did you mean `block`?");
}

#[test]
fn nvrtc_alone_compiles_cuda_kernels() {
    let here = Places::of(&MemoryHost::with_vars(std::env::vars_os())).find(Library::Nvrtc);
    let Some(library) = here.filter(|_| of_the_system().tool(Tool::Nvcc).is_err()) else {
        let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|r| r == "nvrtc"), "OPTLOOP_REQUIRE: there is no nvrtc");
        println!("skipped: no nvrtc, or an nvcc that is always found");
        return;
    };
    let project = cuda_project();
    project.write("k/twice.h", "#define TWICE 2.0f\n");
    let code = "y[threadIdx.x] *= TWICE;";
    project.write("k/scale.cu", CUDA.replace("{ }", &format!("{{\n{code} }}")));
    let folder = library.path.parent().expect("a folder").to_string_lossy().into_owned();
    let ran = |words: &str| alone(&project, words).env("LD_LIBRARY_PATH", &folder).run();
    ran("ptx k/scale.cu").code(3).says("k/scale.cu(4): error:").says("without nvcc").says("TWICE");
    project.edit("k/scale.cu", "extern", "#include \"twice.h\"\nextern");
    let ptx = ran("ptx k/scale.cu --arch sm_80").code(0).says("NVRTC -arch=compute_80 (sm_80)");
    ptx.says(".visible .entry scale(").says(&format!("# scale.cu:5: {code}"));
    let used = ran("resources k/scale.cu --arch sm_80 -- -DX=1").code(0);
    let used = used.says(": NVRTC -arch=sm_80 -DX=1\n").says("scale, 256 threads: occupancy");
    let row =
        used.stdout.lines().find(|line| line.trim().starts_with("scale ")).unwrap_or_default();
    let row: Vec<&str> = row.split_whitespace().collect();
    // Registers are some; neither stack nor shared memory nor spills.
    assert!(row.len() > 4 && row[1] != "?" && row[2..5] == ["0", "0", "-"], "{}", used.all());
}

#[test]
fn what_cannot_be_shown_of_a_cuda_kernel_is_said() {
    if !is_bare() {
        return;
    }
    let project = cuda_project().file("k/scale.c", "").file("k/k.txt", "");
    project.write("k/bad.cu", "int x;\n");
    let cuda = project.path("cuda");
    for (words, code, said) in [
        ("ptx k/scale.cubin", 1, "is machine code, and holds no PTX"),
        ("ptx k/scale.cu --arch sm_91", 1, "did you mean `sm_90` or `sm_100`?"),
        ("sass k/scale.c", 1, "`inspect asm` is for these"),
        ("sass k/none.cu", 1, "there is no kernel `k/none.cu`"),
        ("sass k/k.txt", 1, "neither CUDA C++ (.cu) nor PTX"),
        ("ptx k/scale.ptx --entry scala", 1, "did you mean `scale`?"),
        ("ptx k/bad.cu", 3, "k/bad.cu(1): error: no registers"),
        ("resources k/scale.cu --block 1,2,x", 2, "invalid value"),
        ("resources k/scale.cu --pipeline p -- -O1", 2, "cannot be used with"),
    ] {
        let call = alone(&project, words).env("CUDA_HOME", &cuda.to_string_lossy());
        let ran = call.run().code(code).says(said);
        assert_eq!(ran.stdout, "", "{}", ran.all());
    }
}

#[test]
fn ptx_is_shown_and_compared_as_it_is() {
    let project = cuda_project();
    let ran = alone(&project, "ptx k/scale.ptx").run().code(0);
    let ran = ran.says("as it is (sm_80)").says("scale: 2 instructions");
    let ran = ran.says("mov.u32          %r1, %tid.x;").says_nothing_of("thread");
    ran.says_nothing_of(".version");
    alone(&project, "ptx k/scale.ptx --all").run().code(0).says(".version 8.0");
    project.write("k/other.ptx", PTX.replace("%tid.x", "%tid.y").replace("a comment", "another"));
    let ran = alone(&project, "ptx k/other.ptx --diff k/scale.ptx").run().code(0);
    let changes: Vec<&str> = ran.stdout.lines().filter(|l| l.contains("%tid")).collect();
    assert!(changes.len() == 2 && changes[0].starts_with('-'), "{}", ran.all());
    assert!(changes[1].starts_with('+'), "{}", ran.all());
}

#[test]
fn registers_and_occupancy_of_two_versions_are_compared() {
    if !is_bare() {
        return;
    }
    let project = cuda_project();
    project.write("k/scale_more.cu", CUDA.replace("40", "48"));
    let cuda = project.path("cuda").to_string_lossy().into_owned();
    let ran = |words: &str| alone(&project, words).env("CUDA_HOME", &cuda).run();
    let one = ran("resources k/scale.cu --arch sm_90").code(0).says("no cuobjdump here");
    let one = one.says("scale, 256 threads: occupancy 75 %: 6 blocks");
    assert!(one.stdout.lines().all(|l| l.chars().count() <= 80), "{}", one.all());
    ran("resources k/scale.cu --block 16,4").code(0).says("scale, 64 threads: occupancy 69 %");
    ran("resources k/scale.cu --shared 240000").code(0).says("one block does not fit");
    let both = "resources k/scale_more.cu --diff k/scale.cu";
    let table = ran(both).code(0);
    let row = table.stdout.lines().find(|l| l.starts_with("  registers")).unwrap_or_default();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["registers", "40", "48", "+8"]);
    table.says("8 more registers: occupancy 75 % -> 62 %");
    commit(&project);
    project.edit("k/scale.ptx", "%tid.x", "%tid.z");
    let older = project.args(["inspect", "ptx", "k/scale.ptx", "--diff", "git:HEAD"]).run();
    older.code(0).says("--- git:HEAD\n+++ k/scale.ptx").says("+          mov.u32");
    let json = ran(&format!("{both} --format json")).code(0).json();
    assert_eq!(json[0]["event"], "inspect_resources_diff");
    assert_eq!(json[1]["new"]["occupancy"][0]["limits"], serde_json::json!(["registers"]));
    // What a block is like nobody says.
    project.write("k/scale.cu", CUDA.replace("optloop:", ""));
    ran("resources k/scale.cu").code(0).says("no occupancy: say how many threads");
}

/// Whether NVIDIA's compiler is here; said aloud when it is not and nobody requires it.
fn has_nvcc() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["nvcc", "nvdisasm", "cuobjdump"]
        .iter()
        .all(|tool| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()));
    if !found {
        let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|r| r == "nvcc"), "OPTLOOP_REQUIRE: there is no nvcc");
        println!("skipped: no nvcc");
    }
    found
}

#[test]
fn real_tools_are_understood() {
    if !has_nvcc() {
        return;
    }
    let project = Project::new().kernels();
    let run = |words: &str| project.args(words.split(' ')).run().code(0);
    let ptx = run("inspect ptx kernels/vector_add/vector_add.cu");
    ptx.says(".visible .entry vector_add(").says("ld.global.f32").says("# vector_add.cu:6: out[i]");
    let sass = run("inspect sass kernels/vector_add/vector_add.cu --arch sm_80");
    let sass = sass.says("# vector_add.cu:6: out[i] = a[i] + b[i];").says("FADD");
    assert!(!sass.stdout.contains("/*") && !sass.stdout.contains("NOP"), "{}", sass.all());
    let same = run("inspect sass kernels/sgemm/sgemm.cu --diff kernels/sgemm/sgemm.cu");
    same.says("the instructions are the same");
    let json = run("inspect resources kernels/sgemm/sgemm_fast.cu --format json").json();
    assert_eq!((&json[0]["arch"], &json[1]["name"]), (&"sm_90a".into(), &"sgemm".into()));
    let entry = &json[1];
    assert_eq!(entry["shared_bytes"], 4 * (16 * (64 + 4) + 16 * 64), "{entry}");
    assert_eq!((&entry["barriers"], &entry["local_bytes"]), (&1.into(), &0.into()), "{entry}");
    assert!(entry["instructions"].as_u64() > Some(100), "{entry}");
    assert_eq!(entry["occupancy"][0]["threads"], 256, "{entry}");
    run("inspect resources kernels/sgemm/sgemm_fast.cu --diff kernels/sgemm/sgemm.cu")
        .says("more bytes of shared memory");
}
