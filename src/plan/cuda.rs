//! What compiles a CUDA kernel, and what its build depends on.

use std::path::{Path, PathBuf};

use super::builder::Builder;
use crate::backend::cuda::compiler::prototype::Form;
use crate::backend::cuda::compiler::{ToolKind, is_cuda, tool_kind};
use crate::backend::cuda::find::{Library, Places, Sight, VARIABLES};
use crate::cache::Kind;
use crate::pipeline::{CompileWork, DeviceRequest, Stage};

/// The device that `device = "auto"` means for a CUDA kernel.
const FIRST: &str = "cuda:0";

/// What compiles a kernel.
pub(super) struct Tool {
    /// See [`super::Compile::compiler`].
    pub(super) compiler: String,
    /// What the build depends on beside its sources.
    pub(super) inputs: Vec<(Kind, String)>,
}

/// Whether the pipeline's kernel is for CUDA.
pub(super) fn is_for(builder: &Builder<'_>) -> bool {
    are_cuda(&builder.request.pipeline.kernel)
}

/// Whether these sources are.
pub(super) fn are_cuda(sources: &[String]) -> bool {
    sources.first().is_some_and(|source| is_cuda(Path::new(source)))
}

/// The tool for a kernel, or an error at the stage.
pub(super) fn tool(
    builder: &mut Builder<'_>,
    stage: &Stage,
    work: &CompileWork,
    sources: &[String],
) -> Option<Tool> {
    let form = if work.host { Form::Host } else { Form::Device };
    let paths: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
    let kind = match tool_kind(&work.cc, form, &paths) {
        Ok(kind) => kind,
        Err(why) => {
            builder.error("bad-kernel", why.to_string(), stage);
            return None;
        }
    };
    let mut tool = match kind {
        ToolKind::None => return Some(Tool { compiler: String::new(), inputs: Vec::new() }),
        ToolKind::Nvrtc => nvrtc(builder),
        ToolKind::Nvcc(name) => nvcc(builder, stage, name)?,
    };
    if work.arch.is_empty() {
        let device = match &builder.request.pipeline.device {
            DeviceRequest::Cuda(name) => format!("cuda:{name}"),
            _ => FIRST.to_owned(),
        };
        tool.inputs.push((Kind::Device, device));
    }
    Some(tool)
}

/// The library counts by its content: there is no version to ask for without loading it. Where there
/// is none the plan stands all the same, for it can be looked at; only the compile fails.
fn nvrtc(builder: &mut Builder<'_>) -> Tool {
    builder.made_from.extend(VARIABLES.map(|name| (Kind::Env, name.to_owned())));
    let host = builder.request.host;
    let sight = Sight {
        exists: &|path| host.exists(path),
        list: &|folder| host.list(folder),
        real: &|path| host.real(path),
    };
    let places = Places::of(host);
    // The headers may come from there.
    let home = (Kind::Env, "CUDA_HOME".to_owned());
    let Some(library) = places.find_seen(Library::Nvrtc, sight) else {
        // Once it is installed the plan is another one.
        let looked_for = places.candidates(Library::Nvrtc, sight).into_iter();
        let files = looked_for.map(|c| (Kind::File, c.path.to_string_lossy().into_owned()));
        builder.made_from.extend(files.filter(|(_, path)| path.starts_with('/')));
        return Tool { compiler: String::new(), inputs: vec![home] };
    };
    let compiler = library.path.to_string_lossy().into_owned();
    Tool { inputs: vec![(Kind::File, compiler.clone()), home], compiler }
}

fn nvcc(builder: &mut Builder<'_>, stage: &Stage, name: &str) -> Option<Tool> {
    let found = if name.contains('/') { Some(builder.relative(name)) } else { builder.tool(name) };
    let Some(compiler) = found else {
        let message = format!("there is no compiler `{name}` on the PATH");
        builder.error("no-compiler", message, stage).help = Some(
            "install the CUDA toolkit, or leave `cc` out for NVRTC, which needs no host code"
                .to_owned(),
        );
        return None;
    };
    Some(Tool { inputs: vec![(Kind::Tool, compiler.clone())], compiler })
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
