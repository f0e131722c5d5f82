//! Compiles that kernel stages need, shared where sources and flags are the same.

use super::builder::Builder;
use super::cuda;
use super::{Compile, Definition, PlanNode, StoredNode};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::pipeline::{CompileWork, DIR, Stage};
use crate::problem::{Problem, Role};
use crate::verify::Tolerance;

/// The root in the flags of a compiler: where it lies does not count.
pub const ROOT: &str = "${root}";

/// A compile that a stage needs.
pub(super) struct Wanted {
    /// Preferred name, and one for when another compile has it.
    pub(super) names: [String; 2],
    pub(super) sources: Vec<String>,
    pub(super) problem: Problem,
    pub(super) work: CompileWork,
}

/// The output of the compile that is wanted: an existing node's, or a new one's.
pub(super) fn binary(builder: &mut Builder<'_>, stage: &Stage, wanted: Wanted) -> Option<String> {
    let is_cuda = cuda::are_cuda(&wanted.sources);
    let tool = if is_cuda {
        cuda::tool(builder, stage, &wanted.work, &wanted.sources)?
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

pub(super) fn compiler(
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

/// The path of the reference is the judge's business; what counts is what it compiles to.
pub(super) fn without_paths(problem: &Problem) -> Problem {
    Problem { reference: std::path::PathBuf::new(), ..problem.clone() }
}

/// What a compile needs to know of the problem: the signature.
pub(super) fn signature_only(problem: &Problem) -> Problem {
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

/// Where headers are looked for. A kernel in a copy of the project finds those of the copy, where it
/// has them.
pub(super) fn include_dirs(
    builder: &Builder<'_>,
    work: &CompileWork,
    sources: &[String],
) -> Vec<String> {
    let request = &builder.request;
    let copy = sources.first().and_then(|source| request.incumbents.copy(source));
    let place = |dir: &String| {
        let dir = builder.relative(dir);
        let copied = copy.as_ref().map(|copy| format!("{copy}/{dir}"));
        copied.filter(|copied| request.host.exists(&request.root.join(copied))).unwrap_or(dir)
    };
    work.include_dirs.iter().map(place).collect()
}

/// Flags in which the pipeline's folder is named from the root.
pub(super) fn flags(builder: &Builder<'_>, work: &CompileWork) -> Vec<String> {
    let dir = match builder.relative("").as_str() {
        "." => ROOT.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        below => format!("{ROOT}/{below}"),
    };
    work.flags.iter().map(|flag| flag.replace(DIR, &dir)).collect()
}
