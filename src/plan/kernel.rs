//! Kernel stages: their nodes, and what these are made of.

use std::path::Path;

use super::builder::{Builder, baseline, relative};
pub use super::compile::ROOT;
use super::compile::{self, Wanted, signature_only, without_paths};
use super::cuda;
use super::incumbent::{self, Sought};
use super::{Bench, Check, Definition, PlanNode, Sources};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::host::SANDBOX;
use crate::pipeline::{CompileWork, Purpose, Stage, Target, Variant};
use crate::problem::Problem;

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
    let compile = variant.work.compile()?;
    let kernel = kernel_binary(builder, stage, variant, compile)?;
    let reference = reference_binary(builder, stage, problem)?;
    let target = builder.request.pipeline.target();
    let (device, on_cpu) = (target.device(), matches!(target, Target::Cpu(_)));
    let (mut question, mut beside) = (None, None);
    if let Some(work) = variant.work.bench() {
        question = incumbent::question(builder, variant);
        let (problem, incumbent) = (signature_only(problem), &work.incumbent);
        let sought = Sought { incumbent, question: question.as_ref(), compile, problem };
        beside = incumbent::beside(builder, stage, sought);
    }
    let problem = without_paths(problem);
    let (definition, flags) = match variant.work.bench() {
        None => {
            let work = variant.work.check()?.clone();
            // Sanitizers of C compilers know nothing of devices.
            let sanitize = work.sanitize && !cuda::is_for(builder);
            let build = sanitize.then(|| sources(builder, stage, compile)).flatten();
            // On a CUDA device nothing else may run: it would disturb what is measured there.
            let alone = if on_cpu { 0 } else { flag::ALONE };
            (Definition::Check(Check { problem, work, target, build }), flag::RESULT | alone)
        }
        Some(work) => {
            let looks_into = work.purpose == Purpose::Profile && !cuda::is_for(builder);
            let build = looks_into.then(|| sources(builder, stage, compile)).flatten();
            let always = if work.cache { 0 } else { flag::ALWAYS };
            let work = work.clone();
            let flags = flag::RESULT | flag::ALONE | always;
            let against = beside.as_ref().map(|beside| beside.name.clone());
            let measured = beside.as_ref().and_then(|beside| beside.measured);
            (Definition::Bench(Bench { problem, work, target, build, against, measured }), flags)
        }
    };
    let measures = matches!(definition, Definition::Bench(_));
    let mut node = builder.bare(stage, name, definition);
    node.stored.question = question;
    node.flags |= if beside.is_none() { baseline(&variant.work) } else { 0 };
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
    if variant.work.is_confined() {
        node.inputs.push((Kind::Device, SANDBOX.to_owned()));
    }
    node.flags |= flags | flag::DISCOVERS;
    Some(node)
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
    let names = [preferred, fallback];
    compile::binary(builder, stage, Wanted { names, sources, problem, work: work.clone() })
}

/// What a stage needs to build the kernel once more with other flags.
fn sources(builder: &mut Builder<'_>, stage: &Stage, work: &CompileWork) -> Option<Sources> {
    let pipeline = builder.request.pipeline;
    let sources: Vec<String> = pipeline.kernel.iter().map(|k| builder.relative(k)).collect();
    let compiler = compile::compiler(builder, stage, &work.cc, &sources)?;
    let include_dirs = compile::include_dirs(builder, work, &sources);
    Some(Sources {
        sources,
        compiler,
        flags: compile::flags(builder, work),
        defines: work.defines.clone(),
        include_dirs,
    })
}

/// What the compile of a problem's reference is called, in front of its stage where there are several.
pub const REFERENCE: &str = "reference";

fn reference_binary(builder: &mut Builder<'_>, stage: &Stage, problem: &Problem) -> Option<String> {
    let root = builder.request.root;
    let source = relative(root, Path::new(""), &problem.reference.to_string_lossy());
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
    compile::binary(builder, stage, Wanted { names, sources: vec![source], problem, work })
}
