//! Builds a kernel: C and C++ to a shared object, CUDA to a bundle.

mod cuda;
mod def;
mod layouts;
mod reads;
mod steps;

use std::fs;

pub use self::def::CompileDef;
pub(super) use self::def::signature;
pub(super) use self::steps::{commands, environment, find_compiler, run_steps};

use self::def::Build;
use self::reads::Reads;
use self::steps::{
    Words, cannot, command_line, discover, failed, message, plan_by, prepare_output, run_all,
};
use super::{Failure, StageContext, StageOutcome};
use crate::backend::cpu::compiler;
use crate::engine::account::{CompileRecord, StageRecord};
use crate::stats::Metrics;

/// Compiles.
pub fn run(def: &CompileDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    if let Err(failure) = try_run(Build { def, ctx }, &mut outcome) {
        outcome.failure = Some(failure);
    }
    outcome
}

fn try_run(build: Build<'_>, outcome: &mut StageOutcome) -> Result<(), Failure> {
    let Build { def, ctx } = build;
    (ctx.progress)(0.0, "compiling");
    if cuda::is_for(def) {
        return cuda::try_run(build, outcome);
    }
    let compiler = find_compiler(def, ctx)?;
    let unfinished = prepare_output(&def.output)?;
    let plan = plan_by(build, &compiler, &unfinished, compiler::plan)?;
    let (path, text) = &plan.trampoline;
    fs::write(path, text).map_err(|e| cannot(&format!("writing {}", path.display()), &e))?;
    let mut record = CompileRecord {
        compiler: Some(compiler.display().to_string()),
        commands: plan.steps.iter().map(command_line).collect(),
        ..CompileRecord::default()
    };
    outcome.detail = Some(StageRecord::Compile(record.clone()));
    let reads = Reads::default();
    let words = Words {
        log: &str::to_owned,
        failure: &|_, output| failed(message(def, output)),
        reads: Some(&reads),
    };
    let ran = run_all(build, &plan.steps, outcome, &words);
    // Headers are known even when the code is wrong, and a change of one may mend it.
    discover(build, &plan.depfiles, &reads, outcome);
    ran?;
    if let Ok(metadata) = fs::metadata(&unfinished) {
        outcome.metrics.set(Metrics::BYTES, metadata.len() as f64);
    }
    if def.compile.layouts > 1 {
        record.layouts = Some(layouts::add(build, &plan, &unfinished)?);
        outcome.detail = Some(StageRecord::Compile(record));
    }
    fs::rename(&unfinished, &def.output)
        .map_err(|e| cannot(&format!("writing {}", def.output.display()), &e))
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
