//! Kernel stages: the compiles they need, shared where sources and flags are the same.

use std::path::Path;

use super::build::Builder;
use super::cuda;
use super::incumbent;
use super::{Bench, Check, Compile, Definition, PlanNode, Sources, StoredNode};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::host::SANDBOX;
use crate::pipeline::{CompileWork, DIR, Purpose, SandboxMode, Stage, Target, Variant, Work};
use crate::problem::{Problem, Role};
use crate::verify::Tolerance;

/// What a kernel's worker gets of the environment: where libraries lie, and what a threaded runtime
/// reads. The former counts in the key of what is checked and measured as far as it leads to a
/// library that is loaded, the latter as it is.
pub const WORKER_ENV: [&str; 6] = [
    LIBRARY_PATH,
    "OMP_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_SCHEDULE",
    "OMP_WAIT_POLICY",
];

/// Where the host looks for libraries before it looks where the system has them.
pub const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// What a worker on a CUDA device gets besides: which devices there are, and in what order.
pub const CUDA_ENV: [&str; 2] = ["CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"];

/// The node of a check or bench stage; its compiles are added on the way.
pub(super) fn node(
    builder: &mut Builder<'_>,
    stage: &Stage,
    name: String,
    variant: &Variant,
) -> Option<PlanNode> {
    // Without a problem there was an error already.
    let problem = builder.request.problem?;
    let compile = match &variant.work {
        Work::Check(work) => &work.compile,
        Work::Bench(work) => &work.compile,
        Work::Command(_) => return None,
    };
    let kernel = kernel_binary(builder, stage, variant, compile)?;
    let reference = reference_binary(builder, stage, problem)?;
    let target = builder.request.pipeline.target();
    let (device, on_cpu) = (target.device(), matches!(target, Target::Cpu(_)));
    let (mut question, mut beside) = (None, None);
    if let Work::Bench(work) = &variant.work {
        question = incumbent::question(builder, variant);
        let sought = (&work.incumbent, question.as_ref());
        let built = (compile, signature_only(problem));
        beside = incumbent::beside(builder, stage, sought, built);
    }
    let problem = without_paths(problem);
    let (definition, flags) = match &variant.work {
        Work::Check(work) => {
            // Sanitizers of C compilers know nothing of devices.
            let sanitize = work.sanitize && !cuda::is_for(builder);
            let build = sanitize.then(|| sources(builder, stage, compile)).flatten();
            let work = work.clone();
            // On a CUDA device nothing else may run: it would disturb what is measured there.
            let alone = if on_cpu { 0 } else { flag::ALONE };
            (Definition::Check(Check { problem, work, target, build }), flag::RESULT | alone)
        }
        Work::Bench(work) => {
            let looks_into = work.purpose == Purpose::Profile && !cuda::is_for(builder);
            let build = looks_into.then(|| sources(builder, stage, compile)).flatten();
            let always = if work.cache { 0 } else { flag::ALWAYS };
            let work = work.clone();
            let flags = flag::RESULT | flag::ALONE | always;
            let against = beside.as_ref().map(|beside| beside.name.clone());
            let measured = beside.as_ref().and_then(|beside| beside.measured);
            (Definition::Bench(Bench { problem, work, target, build, against, measured }), flags)
        }
        Work::Command(_) => return None,
    };
    let measures = matches!(definition, Definition::Bench(_));
    let mut node = builder.bare(stage, name, definition);
    node.stored.question = question;
    node.flags |= super::build::first(&variant.work, beside.is_some());
    let binaries = [kernel, reference].into_iter().chain(beside.map(|beside| beside.binary));
    let binaries: Vec<String> = binaries.collect();
    node.inputs = binaries.iter().map(|binary| (Kind::File, binary.clone())).collect();
    node.inputs.extend(binaries.into_iter().map(|binary| (Kind::Loads, binary)));
    let read = WORKER_ENV.iter().filter(|name| **name != LIBRARY_PATH);
    node.inputs.extend(read.map(|name| (Kind::Env, (*name).to_owned())));
    if !on_cpu {
        node.inputs.extend(CUDA_ENV.map(|name| (Kind::Env, name.to_owned())));
    }
    if measures || !on_cpu {
        node.inputs.push((Kind::Device, device));
    }
    let confined = match &variant.work {
        Work::Check(work) => work.sandbox != SandboxMode::Off,
        Work::Bench(work) => work.sandbox != SandboxMode::Off,
        Work::Command(_) => false,
    };
    if confined {
        node.inputs.push((Kind::Device, SANDBOX.to_owned()));
    }
    node.flags |= flags | flag::DISCOVERS;
    Some(node)
}

/// The path of the reference is the judge's business; what counts is what it compiles to.
fn without_paths(problem: &Problem) -> Problem {
    Problem { reference: std::path::PathBuf::new(), ..problem.clone() }
}

/// What a compile needs to know of the problem: the signature.
fn signature_only(problem: &Problem) -> Problem {
    let mut reduced = without_paths(problem);
    reduced.cases.clear();
    reduced.holdout = None;
    reduced.tolerance = Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false };
    (reduced.growth, reduced.deterministic) = (None, false);
    (reduced.flops, reduced.bytes, reduced.cuda) = (None, None, None);
    for arg in &mut reduced.args {
        if let crate::problem::ArgKind::Buffer { shape, fill, role } = &mut arg.kind {
            shape.clear();
            *fill = crate::problem::Fill::Zeros;
            if *role == Role::Inout {
                *role = Role::Out;
            }
        }
    }
    reduced
}

fn kernel_binary(
    builder: &mut Builder<'_>,
    stage: &Stage,
    variant: &Variant,
    work: &CompileWork,
) -> Option<String> {
    let pipeline = builder.request.pipeline;
    let sources: Vec<String> = pipeline.kernel.iter().map(|k| builder.relative(k)).collect();
    let problem = signature_only(builder.request.problem?);
    let preferred = if variant.label.is_empty() {
        "compile".to_owned()
    } else {
        format!("compile[{}]", variant.label)
    };
    let fallback = format!("compile({})", stage.name);
    compile(
        builder,
        stage,
        Wanted { names: [preferred, fallback], sources, problem, work: work.clone() },
    )
}

/// What a stage needs to build the kernel once more with other flags.
fn sources(builder: &mut Builder<'_>, stage: &Stage, work: &CompileWork) -> Option<Sources> {
    let pipeline = builder.request.pipeline;
    let sources: Vec<String> = pipeline.kernel.iter().map(|k| builder.relative(k)).collect();
    let compiler = compiler(builder, stage, &work.cc, &sources)?;
    let include_dirs = include_dirs(builder, work, &sources);
    Some(Sources {
        sources,
        compiler,
        flags: flags(builder, work),
        defines: work.defines.clone(),
        include_dirs,
    })
}

/// Where headers are looked for. A kernel in a copy of the project finds those of the copy, where it
/// has them.
fn include_dirs(builder: &Builder<'_>, work: &CompileWork, sources: &[String]) -> Vec<String> {
    let request = &builder.request;
    let copy = sources.first().and_then(|source| request.incumbents.copy(source));
    let place = |dir: &String| {
        let dir = builder.relative(dir);
        let copied = copy.as_ref().map(|copy| format!("{copy}/{dir}"));
        copied.filter(|copied| request.host.exists(&request.root.join(copied))).unwrap_or(dir)
    };
    work.include_dirs.iter().map(place).collect()
}

/// The root in the flags of a compiler: where it lies does not count.
pub const ROOT: &str = "${root}";

/// Flags in which the pipeline's folder is named from the root.
fn flags(builder: &Builder<'_>, work: &CompileWork) -> Vec<String> {
    let dir = match builder.relative("").as_str() {
        "." => ROOT.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        below => format!("{ROOT}/{below}"),
    };
    work.flags.iter().map(|flag| flag.replace(DIR, &dir)).collect()
}

/// What the compile of a problem's reference is called, in front of its stage where there are several.
pub const REFERENCE: &str = "reference";

fn reference_binary(builder: &mut Builder<'_>, stage: &Stage, problem: &Problem) -> Option<String> {
    let root = builder.request.root;
    let source = super::build::relative(root, Path::new(""), &problem.reference.to_string_lossy());
    let work = CompileWork {
        cc: String::new(),
        // No flags that trade exactness for speed, and none that tie it to this machine.
        flags: vec!["-O2".to_owned(), "-ffp-contract=off".to_owned()],
        defines: std::collections::BTreeMap::new(),
        include_dirs: Vec::new(),
        arch: String::new(),
        host: false,
        layouts: 1,
        timeout_ms: 120_000,
    };
    let names = [REFERENCE.to_owned(), format!("{REFERENCE}({})", stage.name)];
    let problem = signature_only(problem);
    compile(builder, stage, Wanted { names, sources: vec![source], problem, work })
}

pub(super) struct Wanted {
    /// Preferred name, and one for when another compile has it.
    pub(super) names: [String; 2],
    pub(super) sources: Vec<String>,
    pub(super) problem: Problem,
    pub(super) work: CompileWork,
}

/// The output of the compile that is wanted: an existing node's, or a new one's.
pub(super) fn compile(builder: &mut Builder<'_>, stage: &Stage, wanted: Wanted) -> Option<String> {
    let is_cuda = cuda::are_cuda(&wanted.sources);
    let tool = if is_cuda {
        cuda::tool(builder, stage, (&wanted.work, &wanted.sources))?
    } else {
        let compiler = compiler(builder, stage, &wanted.work.cc, &wanted.sources)?;
        cuda::Tool { inputs: vec![(Kind::Tool, compiler.clone())], compiler }
    };
    let include_dirs = include_dirs(builder, &wanted.work, &wanted.sources);
    let definition = Definition::Compile(Compile {
        sources: wanted.sources.clone(),
        problem: wanted.problem,
        work: CompileWork { flags: flags(builder, &wanted.work), ..wanted.work },
        compiler: tool.compiler,
        include_dirs,
    });
    let same = builder.nodes.iter().find(|n| n.stored.definition == definition);
    if let Some(node) = same {
        return node.outputs.first().cloned();
    }
    let [preferred, fallback] = wanted.names;
    let name = if builder.node(&preferred).is_none() { preferred } else { fallback };
    let name = if builder.node(&name).is_none() { name } else { format!("{name}'") };
    let native = matches!(&definition, Definition::Compile(c) if !is_cuda
        && c.work.flags.iter().any(|f| f.ends_with("=native")));
    let mut inputs: Vec<_> = wanted.sources.into_iter().map(|s| (Kind::File, s)).collect();
    inputs.extend(tool.inputs);
    if native {
        inputs.push((Kind::Device, "cpu".to_owned()));
    }
    let output = output_path(builder, &name, if is_cuda { "cuda" } else { "so" });
    let (stage_name, dir) = (name.clone(), String::new());
    let stored = StoredNode { stage: stage_name, dir, when: None, definition, question: None };
    let node = PlanNode {
        name,
        stored,
        needs: Vec::new(),
        inputs,
        outputs: vec![output.clone()],
        flags: flag::IMPLICIT | flag::DISCOVERS,
    };
    builder.add(node, stage.span.clone());
    Some(output)
}

/// `.optloop/build/PIPELINE/NODE.so`, or `.cuda` for a bundle.
fn output_path(builder: &Builder<'_>, name: &str, extension: &str) -> String {
    let pipeline = builder.request.pipeline.path.file_stem();
    let pipeline = pipeline.map_or_else(|| "pipeline".into(), |s| s.to_string_lossy());
    let clean = |c: char| {
        if c.is_alphanumeric() || "=.-_,".contains(c) { c } else { '_' }
    };
    let file: String = name.chars().map(clean).collect();
    format!(".optloop/build/{pipeline}/{file}.{extension}")
}

fn compiler(
    builder: &mut Builder<'_>,
    stage: &Stage,
    cc: &str,
    sources: &[String],
) -> Option<String> {
    let plus = sources.iter().any(|s| [".cc", ".cpp", ".cxx"].iter().any(|e| s.ends_with(e)));
    let name = match (cc, plus) {
        ("", true) => "c++",
        ("", false) => "cc",
        (given, _) => given,
    };
    if name.contains('/') {
        return Some(builder.relative(name));
    }
    let found = builder.tool(name);
    if found.is_none() {
        let message = format!("there is no compiler `{name}` on the PATH");
        builder.error("no-compiler", message, stage).help =
            Some("install a C compiler (for example gcc), or set `cc` under [compile]".to_owned());
    }
    found
}
