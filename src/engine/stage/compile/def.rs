//! What is to be compiled.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::backend::cpu::{Param, ParamKind, Signature};
use crate::engine::stage::StageContext;
use crate::pipeline::CompileWork;
use crate::problem::{ArgKind, Problem, Role};

/// What is to be compiled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompileDef {
    /// Absolute paths; the first holds the entry.
    pub sources: Vec<PathBuf>,
    /// The function's name.
    pub entry: String,
    /// What its signature comes from: names, types and roles of the arguments.
    pub problem: Problem,
    /// How it is compiled; its include folders start from the stage's folder.
    pub compile: CompileWork,
    /// The compiler, when it is known already; else it is looked up in `PATH`. Where NVRTC
    /// compiles, its library.
    pub compiler: Option<PathBuf>,
    /// What the device's code is built for, such as `sm_90`, where there is a CUDA device to ask;
    /// it counts where the pipeline names no architecture.
    pub arch: Option<String>,
    /// The built kernel: an absolute path. It appears whole or not at all.
    pub output: PathBuf,
}

/// A kernel about to be compiled.
#[derive(Clone, Copy)]
pub(super) struct Build<'a> {
    pub(super) def: &'a CompileDef,
    pub(super) ctx: &'a StageContext<'a>,
}

/// The function that the problem asks for.
pub(in crate::engine::stage) fn signature(def: &CompileDef) -> Signature {
    let param = |arg: &crate::problem::Arg| Param {
        name: arg.name.clone(),
        dtype: arg.dtype,
        kind: match &arg.kind {
            ArgKind::Scalar(_) => ParamKind::Value,
            ArgKind::Buffer { role: Role::In, .. } if arg.is_const => ParamKind::Read,
            ArgKind::Buffer { .. } => ParamKind::Write,
        },
    };
    Signature { entry: def.entry.clone(), params: def.problem.args.iter().map(param).collect() }
}
