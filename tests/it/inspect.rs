//! `inspect asm`: the compiler's own code, read and compared.
#![expect(clippy::disallowed_methods, reason = "a test makes a repository as a user does")]

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
    let ran = inspect(&project, ["k/scale.c"]).code(0).says("k/scale.c: cc -O3 -march=native");
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
    let ran = ran.says("cc -O1 -DBIAS=8.0f");
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

#[test]
fn an_older_version_comes_from_git() {
    let project = project();
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
    project.edit("k/scale.c", "x / 3.0f", "x - 3.0f");
    let diff = |of: &str| inspect(&project, ["k/scale.c", "--diff", of, "--", "-O1"]);
    diff("git:HEAD").code(0).says("--- git:HEAD").says("third").says("@@ -");
    diff("git:nowhere").code(1).says("git has no scale.c at `nowhere`");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let project = project().file("k/k.cu", "").file("k/k.txt", "").file("k/bad.c", "int f( {\n");
    for (args, code, words) in [
        (&["k/none.c"][..], 1, "there is no kernel `k/none.c`"),
        (&["k/k.cu"], 1, "`inspect ptx` and `inspect sass` come with CUDA devices"),
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
