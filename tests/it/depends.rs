//! What results depend on without anybody having said so: what compilers, linkers and loaders
//! find for themselves, what names may look like, and what a command leaves behind.
#![expect(clippy::disallowed_methods, reason = "libraries are built as a user builds them")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::kernel::{GOOD, project, source};
use super::support::{PROGRAM, Project, Ran};

const NOTHING: [&str; 0] = [];

/// A check alone, as cheap as there is.
const CHECK: &str = r#"
kernel = "k.c"
problem = "problem.toml"
compile.include_dirs = ["first", "second"]
compile.flags = FLAGS
[stages.smoke]
sanitize = false
endurance = 0
"#;

/// A kernel and what it is compiled with.
fn checked(head: &str, body: &str, flags: &[&str]) -> Project {
    let project = project(GOOD).file("first/none.h", "").file("second/none.h", "");
    project.write("k.c", head.to_owned() + &source(body));
    project.write_pipeline(&CHECK.replace("FLAGS", &format!("{flags:?}")));
    project
}

/// Builds a file from C that defines `gain`, with these arguments for the compiler.
fn build(project: &Project, output: &str, gain: f32, args: &[&str]) {
    let from = project.path("gain.c");
    fs::write(&from, format!("float gain(void) {{ return {gain:?}f; }}\n")).expect("written");
    let to = project.path(output);
    fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    let object = project.path("gain.o");
    let done = if to.extension() == Some(OsStr::new("a")) {
        let compiled = Command::new("cc").args(["-c", "-o"]).args([&object, &from]).status();
        assert!(compiled.expect("a C compiler").success());
        Command::new("ar").arg("crs").args([&to, &object]).status()
    } else {
        Command::new("cc").args(args).args(["-shared", "-o"]).args([&to, &from]).status()
    };
    assert!(done.expect("it starts").success());
}

/// The stages that ran.
fn ran(run: &Ran) -> Vec<String> {
    let outcomes = run.outcomes();
    outcomes.into_iter().filter(|(_, how)| how == "ran").map(|(stage, _)| stage).collect()
}

fn json(project: &Project) -> Ran {
    project.run_with(["--format", "json"])
}

#[test]
fn whatever_a_compile_reads_or_looks_for_makes_it_run_again() {
    let head = "#if __has_include(\"wish.h\")\n#include \"wish.h\"\n#endif\n#include \"found.h\"\n\
                __asm__(\".pushsection .rodata; .incbin \\\"\" DATA \"\\\"; .popsection\");\n\
                float gain(void);\n";
    let body = "for (int i = 0; i < n; i++) y[i] = gain() * x[i];";
    let flags = [
        "-O1",
        "@${dir}/more.rsp",
        "-DDATA=\"${dir}/data.bin\"",
        "-L${dir}/early",
        "-L${dir}/late",
        "-l:libgain.a",
    ];
    let project = checked(head, body, &flags)
        .file("second/found.h", "")
        .file("data.bin", "one")
        .file("early/none", "")
        .file("more.rsp", "@MORE\n")
        .file("deeper.rsp", "-DX=1\n");
    project.write("more.rsp", format!("@{}\n", project.path("deeper.rsp").display()));
    build(&project, "late/libgain.a", 2.0, &[]);
    assert_eq!(ran(&json(&project).code(0)), ["compile", "reference", "smoke"]);
    assert_eq!(ran(&json(&project).code(0)), NOTHING);
    for (path, text) in
        [("data.bin", "two"), ("deeper.rsp", "-DX=2\n"), ("wish.h", "\n"), ("first/found.h", "\n")]
    {
        project.write(path, text);
        let run = json(&project).code(0);
        assert!(ran(&run).contains(&"compile".to_owned()), "{path}: {}", run.all());
    }
    build(&project, "late/libgain.a", 3.0, &[]);
    let run = json(&project).code(3);
    assert!(run.all().contains("smoke"), "{}", run.all());
    // A library that appears in a folder that is looked in earlier.
    build(&project, "early/libgain.a", 2.0, &[]);
    assert!(ran(&json(&project).code(0)).contains(&"compile".to_owned()));
    assert_eq!(ran(&json(&project).code(0)), NOTHING);
}

#[test]
fn a_library_counts_from_where_the_loader_takes_it() {
    let body = "for (int i = 0; i < n; i++) y[i] = gain() * x[i];";
    let flags = ["-L${dir}/lib", "-lgain", "-Wl,-rpath,${dir}/lib"];
    let project = checked("float gain(void);\n", body, &flags);
    build(&project, "lib/libgain.so", 2.0, &[]);
    build(&project, "other/libgain.so", 3.0, &[]);
    fs::create_dir(project.path("unrelated")).expect("made");
    let with = |folder: &str| {
        let path = project.path(folder).display().to_string();
        let call = project.args(["pipeline", "pipeline.toml", "--format", "json"]);
        call.env("LD_LIBRARY_PATH", &path).run()
    };
    // The library lies where nothing else of the project may be read from.
    with("unrelated").code(0);
    // As after `cargo run`, which sets the variable.
    assert_eq!(ran(&json(&project).code(0)), NOTHING);
    // The newer kind of run path comes after the variable.
    let other = with("other").code(3);
    assert!(!other.outcomes().contains_key("compile"), "{}", other.all());
    assert_eq!(other.outcomes()["smoke"], "failed", "{}", other.all());
    assert_eq!(ran(&json(&project).code(0)), NOTHING);
    // Another content in the same place, with the very same kernel.
    build(&project, "lib/libgain.so", 3.0, &[]);
    assert_eq!(json(&project).code(3).outcomes()["smoke"], "failed");
    build(&project, "lib/libgain.so", 2.0, &[]);
    json(&project).code(0);
    assert_eq!(ran(&json(&project).code(0)), NOTHING);
}

#[test]
fn a_command_without_inputs_runs_every_time_and_says_why() {
    let stage = |more: &str| format!("[stages.a]\nrun = \"echo a >> ../ran\"\n{more}");
    let project = Project::new().pipeline(&stage(""));
    for _ in 0..2 {
        assert_eq!(project.pass(), ["a"]);
    }
    let told = "declares no inputs; name them, or write `inputs = []` or `cache = true`";
    project.args(["explain", "pipeline.toml", "a"]).run().code(0).says(told);
    project.run_with(["--explain"]).code(0).says(told);
    for more in ["inputs = []\n", "cache = true\n", "inputs = [\"pipeline.toml\"]\n"] {
        project.write_pipeline(&stage(more));
        project.pass();
        assert_eq!(project.pass(), NOTHING, "{more}");
    }
    project.write_pipeline(&stage("inputs = []\ncache = false\n"));
    project.pass();
    assert_eq!(project.pass(), ["a"]);
}

#[test]
fn a_name_that_is_there_is_that_file_whatever_characters_it_has() {
    let project = Project::new()
        .file("k[1].txt", "one")
        .file("k1.txt", "other")
        .file("d{a,b}/x?.txt", "x")
        .file("d{a,b}/y.txt", "y")
        .pipeline(
            "kernel = \"k[1].txt\"\n[stages.a]\nrun = 'echo a >> ../ran; cat ${kernel}'\n\
             inputs = [\"${kernel}\", \"d{a,b}/x?.txt\"]\n\
             [stages.b]\nrun = 'echo b >> ../ran'\ninputs = [\"d{a,b}/*.txt\"]\n",
        );
    assert_eq!(project.pass(), ["a", "b"]);
    project.write("k1.txt", "another");
    assert_eq!(project.pass(), NOTHING);
    project.write("k[1].txt", "two");
    assert_eq!(project.pass(), ["a"]);
    project.write("d{a,b}/x?.txt", "xx");
    assert_eq!(project.pass(), ["a", "b"]);
    project.write("d{a,b}/z.txt", "z");
    assert_eq!(project.pass(), ["b"]);
}

#[test]
fn links_in_a_circle_are_followed_once() {
    let project = Project::new()
        .file("src/a/k.c", "one")
        .file("out/l.c", "one")
        .pipeline("[stages.a]\nrun = 'echo a >> ../ran'\ninputs = [\"src/**/*.c\"]\n");
    for (to, link) in
        [("..", "src/a/up"), (".", "src/a/self"), ("../..", "src/root"), ("../out", "src/out")]
    {
        symlink(to, project.path(link)).expect("linked");
    }
    assert_eq!(project.pass(), ["a"]);
    for path in ["src/a/k.c", "out/l.c", "src/a/new.c"] {
        project.write(path, "two");
        assert_eq!(project.pass(), ["a"], "{path}");
    }
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_name_that_is_no_text_is_refused_and_never_passed_by() {
    let project = Project::new()
        .file("d/plain.txt", "")
        .pipeline("[stages.a]\nrun = \"true\"\ninputs = [\"d/*.txt\"]\n");
    project.run().code(0);
    let odd = project.path("d").join(OsStr::from_bytes(b"caf\xe9.txt"));
    fs::write(&odd, "one").expect("written");
    project.run().code(1).says("whose name is not UTF-8");
    fs::remove_file(&odd).expect("removed");
    project.run().code(0);
    let folder = project.path("").join(OsStr::from_bytes(b"p\xe9"));
    fs::create_dir(&folder).expect("made");
    fs::copy(project.path("pipeline.toml"), folder.join("pipeline.toml")).expect("copied");
    let run = project.args(["pipeline", "pipeline.toml"]).in_folder(&folder).run();
    run.code(1).says("is not UTF-8");
}

#[test]
fn links_and_the_right_to_run_are_part_of_an_output() {
    let project = Project::new().file("real.txt", "real").file("tool.sh", "echo tool\n").pipeline(
        "[stages.a]\nrun = \"echo a >> ../ran; ln -s ../real.txt out/link; cp tool.sh out/tool; \
         chmod 755 out/tool\"\ninputs = [\"tool.sh\", \"real.txt\"]\n\
         outputs = [\"out/link\", \"out/tool\"]\n",
    );
    assert_eq!(project.pass(), ["a"]);
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(project.path(path), fs::Permissions::from_mode(mode)).expect("set");
    };
    let is_executable = |path: &str| {
        fs::metadata(project.path(path)).expect("there").permissions().mode() & 0o100 != 0
    };
    project.remove("out/link");
    mode("out/tool", 0o644);
    assert_eq!(project.pass(), NOTHING, "put back");
    assert_eq!(fs::read_link(project.path("out/link")).expect("a link"), OsStr::new("../real.txt"));
    assert!(is_executable("out/tool"));
    // A command may run what it reads.
    mode("tool.sh", 0o755);
    assert_eq!(project.pass(), ["a"]);
    mode("tool.sh", 0o644);
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn an_old_output_is_nobodys_work() {
    let project = Project::new().file("in.txt", "one").pipeline(
        "[stages.a]\nrun = \"grep -q one in.txt && cp in.txt out.txt || test -e in.txt\"\n\
         inputs = [\"in.txt\"]\noutputs = [\"out.txt\"]\n",
    );
    project.run().code(0);
    project.write("in.txt", "two");
    // It passes and writes nothing, as it would in a fresh clone.
    project.run().code(1).says("did not write its declared output out.txt");
    assert!(!project.path("out.txt").exists());
}

#[test]
fn where_a_compile_cannot_be_watched_it_runs_each_time_and_says_why() {
    let inner = checked("", GOOD, &["-O1"]);
    let file = inner.path("pipeline.toml").display().to_string();
    let once = format!("{PROGRAM} pipeline {file} compile");
    let outer =
        Project::new().pipeline(&format!("[stages.a]\nrun = \"{once}; {once}\"\ninputs = []\n"));
    // What is traced already cannot be traced by anybody else.
    let run = outer.run_with(["--audit", "--format", "json"]);
    let log = run.stage("a")["log"].to_string();
    let told = "compile is not kept: what the compiler reads and looks for cannot be known: tracing is not permitted here";
    assert_eq!(log.matches(told).count(), 2, "{}", run.all());
    assert_eq!(log.matches("ran      compile").count(), 2, "{}", run.all());
    // Once it can be watched it is known.
    assert_eq!(ran(&json(&inner).code(0)).len(), 3);
    assert_eq!(ran(&json(&inner).code(0)), NOTHING);
}
