//! Builds a CUDA kernel to a bundle.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::def::{Build, CompileDef, signature};
use super::reads::Reads;
use super::steps::{
    Words, cannot, command_line, discover, failed, prepare_output, run_all, shortened,
};
use crate::backend::cpu::Signature;
use crate::backend::cuda::compiler::nvrtc::{EXIT_MISUSED, EXIT_NO_NVRTC};
use crate::backend::cuda::compiler::prototype::{self, Form};
use crate::backend::cuda::compiler::{self, CudaBuild, CudaRequest, Tool, ToolKind};
use crate::backend::cuda::compiler::{directives, messages};
use crate::backend::cuda::find::{Library, Places};
use crate::backend::cuda::{Bundle, LaunchLines};
use crate::diagnostic;
use crate::engine::account::{CompileRecord, StageRecord};
use crate::engine::stage::{Failure, FailureClass, StageContext, StageOutcome};
use crate::problem::expr;
use crate::process;
use crate::stats::Metrics;

/// Whether this is how the sources are built.
pub(super) fn is_for(def: &CompileDef) -> bool {
    def.sources.first().is_some_and(|source| compiler::is_cuda(source))
}

pub(super) fn try_run(build: Build<'_>, outcome: &mut StageOutcome) -> Result<(), Failure> {
    let Build { def, ctx } = build;
    let form = if def.compile.host { Form::Host } else { Form::Device };
    let text = source_text(def)?;
    let tool = tool(def, ctx, form)?;
    let launch = launch_lines(def, &text)?;
    // What is built already says itself what it is for.
    let arch = match tool {
        Tool::None => String::new(),
        _ => compiler::architecture(&def.compile.arch, def.arch.as_deref())
            .map_err(|e| failed(e.to_string()))?,
    };
    let (signature, folders) = (signature(def), folders(def, ctx));
    let request = CudaRequest {
        sources: &def.sources,
        signature: &signature,
        tool: &tool,
        flags: &def.compile.flags,
        defines: &def.compile.defines,
        include_dirs: &folders,
        arch: &arch,
        scratch: ctx.scratch,
    };
    let plan = compiler::plan(&request).map_err(|e| failed(e.to_string()))?;
    let asked = Asked { def, text: &text, signature: &signature, form, tool: &tool };
    let record = record(&asked, &plan);
    outcome.detail = Some(StageRecord::Compile(record.clone()));
    run_build(&asked, ctx, &plan, outcome)?;
    let bundle = pack(&asked, &plan, &request, launch)?;
    let arch = Some(bundle.arch.clone());
    outcome.detail = Some(StageRecord::Compile(CompileRecord { arch, ..record }));
    outcome.metrics.set(Metrics::BYTES, bundle.image.len() as f64);
    write(&bundle, &def.output)
}

/// What is built, for messages.
struct Asked<'a> {
    def: &'a CompileDef,
    text: &'a str,
    signature: &'a Signature,
    form: Form,
    tool: &'a Tool,
}

fn source_text(def: &CompileDef) -> Result<String, Failure> {
    let Some(first) = def.sources.first() else { return Ok(String::new()) };
    let bytes = fs::read(first)
        .map_err(|e| failed(format!("cannot read the kernel {}: {e}", first.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn folders(def: &CompileDef, ctx: &StageContext<'_>) -> Vec<PathBuf> {
    def.compile.include_dirs.iter().map(|dir| ctx.dir.join(dir)).collect()
}

/// The kernel's own geometry; a cubin is no text and has none.
fn launch_lines(def: &CompileDef, text: &str) -> Result<LaunchLines, Failure> {
    let Some(first) = def.sources.first().filter(|s| s.extension() != Some(OsStr::new("cubin")))
    else {
        return Ok(LaunchLines::default());
    };
    let check = |expression: &str| expr::parse(expression).map(drop).map_err(|e| e.to_string());
    directives::parse(first, text, &check)
        .map_err(|found| failed(diagnostic::render(&found).trim_end().to_owned()))
}

/// The tool: the one that the plan found, or else looked for now.
fn tool(def: &CompileDef, ctx: &StageContext<'_>, form: Form) -> Result<Tool, Failure> {
    let kind = compiler::tool_kind(&def.compile.cc, form, &def.sources)
        .map_err(|e| failed(e.to_string()))?;
    match kind {
        ToolKind::None => Ok(Tool::None),
        ToolKind::Nvrtc => nvrtc(def, ctx),
        ToolKind::Nvcc(name) => {
            let known = def.compiler.clone();
            let nvcc = known.or_else(|| {
                let path = ctx.host.var("PATH").unwrap_or_default();
                process::resolve(OsStr::new(name), ctx.dir, &path)
            });
            let nvcc = nvcc.ok_or_else(|| {
                failed(format!(
                    "there is no compiler `{name}` on the PATH; install the CUDA toolkit, or \
                     leave `cc` out for NVRTC, which needs no host code"
                ))
            })?;
            Ok(if form == Form::Host { Tool::NvccHost(nvcc) } else { Tool::Nvcc(nvcc) })
        }
    }
}

fn nvrtc(def: &CompileDef, ctx: &StageContext<'_>) -> Result<Tool, Failure> {
    let places = Places::of(ctx.host);
    let found = || Some(places.find(Library::Nvrtc)?.path);
    let library = def.compiler.clone().or_else(found).ok_or_else(|| Failure {
        class: FailureClass::Setup,
        message: format!("NVRTC was not found: {}", compiler::without_nvrtc()),
    })?;
    let toolkit_dirs = places.headers(&library);
    Ok(Tool::Nvrtc { library, program: ctx.host.program().to_owned(), toolkit_dirs })
}

fn record(asked: &Asked<'_>, build: &CudaBuild) -> CompileRecord {
    let compiler = match asked.tool {
        Tool::None => None,
        Tool::Nvrtc { library, .. } => Some(library),
        Tool::Nvcc(nvcc) | Tool::NvccHost(nvcc) => Some(nvcc),
    };
    CompileRecord {
        compiler: compiler.map(|tool| tool.display().to_string()),
        commands: build.steps.iter().map(command_line).collect(),
        ..CompileRecord::default()
    }
}

fn run_build(
    asked: &Asked<'_>,
    ctx: &StageContext<'_>,
    plan: &CudaBuild,
    outcome: &mut StageOutcome,
) -> Result<(), Failure> {
    if let Some((path, text)) = &plan.generated {
        fs::write(path, text).map_err(|e| cannot(&format!("writing {}", path.display()), &e))?;
    }
    let shown = asked.def.sources.first().map_or_else(String::new, |s| s.display().to_string());
    let name = prototype::name(asked.signature, asked.form);
    let about = compiler::about(&shown, asked.text, name);
    let reads = Reads::default();
    let words = Words {
        log: &|output| messages::for_users(output, &about),
        failure: &|code, words| said(asked, code, words),
        reads: Some(&reads),
    };
    let build = Build { def: asked.def, ctx };
    let ran = run_all(build, &plan.steps, outcome, &words);
    // Headers are known even when the code is wrong, and a change of one may mend it.
    discover(build, &plan.depfiles, &reads, outcome);
    ran
}

/// A compiler's last words, which are for users already.
fn said(asked: &Asked<'_>, code: i32, words: &str) -> Failure {
    if matches!(asked.tool, Tool::Nvrtc { .. })
        && [EXIT_NO_NVRTC, EXIT_MISUSED].map(i32::from).contains(&code)
    {
        let message = format!("{}; {}", words.trim_end(), compiler::without_nvrtc());
        return Failure { class: FailureClass::Setup, message };
    }
    let mut message = shortened(words);
    if let Some(hint) = compiler::hint(words) {
        let _infallible = write!(message, "\n{hint}");
    }
    let name = prototype::name(asked.signature, asked.form);
    if words.contains(name) {
        let _infallible = write!(message, "\n{}", wanted(asked));
    }
    failed(message)
}

fn wanted(asked: &Asked<'_>) -> String {
    let declaration = prototype::declaration(asked.signature, asked.form);
    format!("problem `{}` asks for: {declaration}", asked.def.problem.name)
}

fn pack(
    asked: &Asked<'_>,
    plan: &CudaBuild,
    request: &CudaRequest<'_>,
    launch: LaunchLines,
) -> Result<Bundle, Failure> {
    let image = fs::read(&plan.image)
        .map_err(|e| cannot(&format!("reading {}", plan.image.display()), &e))?;
    compiler::pack(plan, request, image, launch)
        .map_err(|e| failed(format!("{e}\n{}", wanted(asked))))
}

fn write(bundle: &Bundle, output: &Path) -> Result<(), Failure> {
    let unfinished = prepare_output(output)?;
    fs::write(&unfinished, bundle.to_bytes())
        .and_then(|()| fs::rename(&unfinished, output))
        .map_err(|e| cannot(&format!("writing {}", output.display()), &e))
}
