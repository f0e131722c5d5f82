//! From pipeline text to plan, through a host in memory.

use std::path::Path;

use super::build::{Request, build, relative, select};
use super::{Definition, Plan};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::diagnostic::{Diagnostic, render};
use crate::host::MemoryHost;
use crate::pipeline::{Overrides, load};
use crate::problem::Problem;
use crate::verify::Tolerance;

/// A machine with these files and the programs of `/bin`.
fn host(files: &[(&str, &str)]) -> MemoryHost {
    MemoryHost::with_files(files.iter().copied()).and_var("PATH", "/bin")
}

/// The plan of a kernel in `source` with a problem.
fn kernel_plan(text: &'static str) -> Plan {
    let files = [
        ("/r/p.toml", text),
        ("/r/k.c", ""),
        ("/r/k.cu", ""),
        ("/r/problem.toml", ""),
        ("/bin/cc", ""),
        ("/usr/local/cuda/lib64/libnvrtc.so.13", ""),
    ];
    let memory = host(&files);
    let loaded = load(Path::new("/r/p.toml"), &Overrides::default(), &memory);
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics));
    let pipeline = loaded.pipeline.expect("a pipeline without mistakes");
    let problem = Problem {
        name: "k".into(),
        entry: "k".into(),
        cases: Vec::new(),
        holdout: None,
        args: Vec::new(),
        reference: "/r/reference.c".into(),
        tolerance: Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false },
        growth: None,
        deterministic: false,
        flops: None,
        bytes: None,
        cuda: None,
    };
    let incumbents = &super::incumbent::Nowhere;
    let (problem, root) = (Some(&problem), Path::new("/r"));
    build(Request { pipeline: &pipeline, problem, root, host: &memory, incumbents })
        .expect("a plan")
}

#[test]
fn what_runs_on_a_cuda_device_depends_on_it_and_runs_alone() {
    const CPU: &str = "name = \"x\"\nkernel = \"k.c\"\nproblem = \"problem.toml\"\n\
        [stages.smoke]\n[stages.candidate]\n";
    const CUDA: &str = "name = \"x\"\nkernel = \"k.cu\"\nproblem = \"problem.toml\"\n\
        [stages.smoke]\n[stages.candidate]\n";
    let told = |text, stage: &str| {
        let plan = kernel_plan(text);
        let node = plan.nodes.iter().find(|n| n.name == stage).expect("planned");
        let has = |kind, name: &str| node.inputs.iter().any(|i| *i == (kind, name.to_owned()));
        let device = ["cpu", "cuda:0"].into_iter().filter(|name| has(Kind::Device, name));
        let visible = has(Kind::Env, "CUDA_VISIBLE_DEVICES");
        (device.collect::<Vec<_>>(), node.flags & flag::ALONE != 0, visible)
    };
    assert_eq!(told(CPU, "smoke"), (vec![], false, false));
    assert_eq!(told(CPU, "candidate"), (vec!["cpu"], true, false));
    assert_eq!(told(CUDA, "smoke"), (vec!["cuda:0"], true, true));
    assert_eq!(told(CUDA, "candidate"), (vec!["cuda:0"], true, true));
}

fn plan(text: &'static str) -> Result<Plan, Vec<Diagnostic>> {
    let files = [
        ("/r/p.toml", text),
        ("/r/a.txt", ""),
        ("/r/b.txt", ""),
        ("/r/deep/c.txt", ""),
        ("/bin/tool", ""),
        ("/bin/sh", ""),
    ];
    let memory = host(&files);
    let loaded = load(Path::new("/r/p.toml"), &Overrides::default(), &memory);
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics));
    let pipeline = loaded.pipeline.expect("a pipeline without mistakes");
    let incumbents = &super::incumbent::Nowhere;
    let root = Path::new("/r");
    build(Request { pipeline: &pipeline, problem: None, root, host: &memory, incumbents })
}

fn refused(text: &'static str) -> String {
    render(&plan(text).expect_err("a mistake"))
}

#[test]
fn a_cycle_is_drawn_over_the_needs_that_close_it() {
    insta::assert_snapshot!(refused(
        r#"name = "p"
[stages.a]
run = "true"
needs = ["b"]
[stages.b]
run = "true"
needs = ["c"]
[stages.c]
run = "true"
needs = ["a"]
"#
    ));
}

#[test]
fn tools_and_patterns_that_lead_nowhere_are_refused_together() {
    insta::assert_snapshot!(refused(
        r#"name = "p"
[stages.a]
run = ["no-such-tool", "x"]
[stages.b]
run = "true"
inputs = ["none/*.txt"]
"#
    ));
}

#[test]
fn reading_what_a_stage_writes_orders_the_two_and_patterns_see_outputs_and_files() {
    let plan = plan(
        r#"name = "p"
[stages.use]
run = ["tool", "x"]
inputs = ["*.txt"]
needs = ["make"]
[stages.make]
run = "echo > made.txt"
inputs = ["a.txt"]
outputs = ["made.txt"]
"#,
    )
    .expect("a plan");
    let names: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["make", "use"]);
    let inputs: Vec<&str> = plan.nodes[1].inputs.iter().map(|(_, n)| n.as_str()).collect();
    assert_eq!(inputs, ["/bin/tool", "a.txt", "b.txt", "made.txt"]);
    assert!(plan.made_from.contains(&(Kind::Listing, ".".to_owned())));
    assert!(plan.made_from.contains(&(Kind::Env, "PATH".to_owned())));
}

#[test]
fn a_matrix_is_a_node_per_point_and_one_for_the_best() {
    let plan = plan(
        r#"name = "p"
[stages.sweep]
run = "echo N=${matrix.vars.n}"
matrix = { vars.n = [1, 2] }
metric = { name = "n", regex = 'N=(\d+)', better = "lower" }
[stages.after]
run = "true"
needs = ["sweep"]
"#,
    )
    .expect("a plan");
    let names: Vec<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["sweep[vars.n=1]", "sweep[vars.n=2]", "sweep", "after"]);
    assert!(matches!(plan.nodes[2].stored.definition, Definition::Best(_)));
    assert_eq!((&plan.nodes[2].needs[..], &plan.nodes[3].needs[..]), (&[0, 1][..], &[2][..]));
}

#[test]
fn names_below_the_root_are_relative_to_it_whatever_the_way() {
    for (dir, path, expected) in [
        ("/r/pipelines", "../kernels/k.c", "kernels/k.c"),
        ("/r", "./x/../y", "y"),
        ("/r", "", "."),
        ("/r", "/other/z", "/other/z"),
        ("/r", "../z", "/z"),
    ] {
        assert_eq!(relative(Path::new("/r"), Path::new(dir), path), expected, "{dir} {path}");
    }
}

#[test]
fn a_stage_that_is_not_there_is_answered_with_the_nearest() {
    let names = ["smoke", "sweep[a=1]", "sweep"].map(str::to_owned);
    let needs = [vec![], vec![0], vec![1]];
    assert_eq!(select(&names, &["sweep".to_owned()], &needs).expect("stages"), [0, 1, 2]);
    let error = select(&names, &["smok".to_owned()], &needs).expect_err("unknown");
    assert_eq!(error[0].help.as_deref(), Some("did you mean `smoke`?"));
}

#[test]
fn paths_in_flags_are_named_from_the_root_wherever_that_lies() {
    let plan = kernel_plan(
        r#"name = "p"
kernel = "k.c"
problem = "problem.toml"
compile.flags = ["-L${dir}/lib", "-include", "${kernel}", "-O1"]
[stages.smoke]
"#,
    );
    let compile = plan.nodes.iter().find_map(|n| match &n.stored.definition {
        Definition::Compile(compile) if n.name == "compile" => Some(compile),
        _ => None,
    });
    let flags = &compile.expect("a compile").work.flags;
    assert_eq!(flags, &["-L${root}/lib", "-include", "${root}/k.c", "-O1"]);
}
