use super::*;
use crate::diagnostic::render;
use crate::host::MemoryHost;
use crate::pipeline::{Overrides, load};
use crate::plan::build::{Request, build};
use crate::plan::{Definition, Plan, PlanNode};
use crate::problem;

const PROBLEM: &str = "name = \"f\"\nentry = \"f\"\ncases = [ { n = 4 } ]\n\
    [[args]]\nname = \"y\"\ndtype = \"f32\"\nshape = [\"n\"]\nrole = \"out\"\n\
    [reference]\nsource = \"ref.c\"\n[tolerance]\nrtol = 0.1\natol = 0.1\n";

/// The plan of a kernel with these lines under `[compile]`, with the CUDA toolkit there or not.
fn plan(kernel: &str, compile: &str, has_toolkit: bool) -> Result<Plan, String> {
    let text = format!(
        "name = \"p\"\nkernel = \"{kernel}\"\nproblem = \"problem.toml\"\n[compile]\n{compile}\n\
         [stages.smoke]\n"
    );
    let mut machine = MemoryHost::with_files([
        ("/r/p.toml", text),
        ("/r/problem.toml", PROBLEM.to_owned()),
        ("/r/ref.c", String::new()),
        ("/r/k.cu", String::new()),
        ("/r/k.ptx", String::new()),
        ("/bin/cc", String::new()),
    ]);
    if has_toolkit {
        machine.files.insert("/kit/lib64/libnvrtc.so.13".into(), String::new());
        machine.files.insert("/bin/nvcc".into(), String::new());
    }
    let machine = machine.and_var("PATH", "/bin").and_var("CUDA_HOME", "/kit");
    let loaded = load(Path::new("/r/p.toml"), &Overrides::default(), &machine);
    let pipeline = loaded.pipeline.expect("a pipeline without mistakes");
    let problem = problem::load(Path::new("/r/problem.toml"), &machine).problem;
    let (root, incumbents) = (Path::new("/r"), &crate::plan::incumbent::Nowhere);
    let request = Request {
        pipeline: &pipeline,
        problem: problem.as_ref(),
        root,
        host: &machine,
        incumbents,
    };
    build(request).map_err(|found| render(&found))
}

fn compile_of(plan: &Plan) -> &PlanNode {
    plan.nodes.iter().find(|node| node.name == "compile").expect("the kernel's compile")
}

#[test]
fn each_way_to_compile_depends_on_its_tool_and_on_the_device_it_asks() {
    let file = |name: &str| (Kind::File, name.to_owned());
    let nvrtc = file("/kit/lib64/libnvrtc.so.13");
    let home = (Kind::Env, "CUDA_HOME".to_owned());
    let device = (Kind::Device, "cuda:0".to_owned());
    let nvcc = (Kind::Tool, "/bin/nvcc".to_owned());
    for (kernel, compile, expected) in [
        ("k.cu", "", vec![file("k.cu"), nvrtc.clone(), home.clone(), device]),
        ("k.cu", "arch = \"sm_90a\"", vec![file("k.cu"), nvrtc, home]),
        ("k.cu", "cc = \"nvcc\"\narch = \"sm_90a\"", vec![file("k.cu"), nvcc.clone()]),
        ("k.cu", "host = true\narch = \"sm_90a\"", vec![file("k.cu"), nvcc]),
        ("k.ptx", "", vec![file("k.ptx")]),
    ] {
        let plan = plan(kernel, compile, true).unwrap();
        let node = compile_of(&plan);
        assert_eq!(node.inputs, expected, "{kernel} {compile}");
        assert_eq!(node.outputs, [".optloop/build/p/compile.cuda"], "{kernel} {compile}");
        let Definition::Compile(compile) = &node.stored.definition else { panic!("a compile") };
        assert!(compile.work.flags.is_empty(), "C's flags are not CUDA's");
    }
}

#[test]
fn the_reference_stays_in_c_on_the_processor() {
    let plan = plan("k.cu", "", true).unwrap();
    let node = plan.nodes.iter().find(|node| node.name == "reference").expect("a reference");
    assert_eq!(node.inputs[1], (Kind::Tool, "/bin/cc".to_owned()));
    assert_eq!(node.outputs, [".optloop/build/p/reference.so"]);
}

#[test]
fn a_missing_tool_is_told_with_what_to_do() {
    let told = plan("k.cu", "cc = \"nvcc\"", false).unwrap_err();
    assert!(told.contains("no compiler `nvcc` on the PATH"), "{told}");
    assert!(plan("k.ptx", "", false).is_ok(), "nothing is compiled");
}

#[test]
fn without_nvrtc_there_is_a_plan_that_is_made_anew_once_it_is_there() {
    let plan = plan("k.cu", "", false).unwrap();
    let Definition::Compile(compile) = &compile_of(&plan).stored.definition else { panic!() };
    assert_eq!(compile.compiler, "");
    let looked_for = (Kind::File, "/kit/lib64/libnvrtc.so.13".to_owned());
    assert!(plan.made_from.contains(&looked_for), "{:?}", plan.made_from);
}
