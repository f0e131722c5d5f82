//! A kernel as assembly: the commands that write it, and the text read into functions, source
//! places, loops and counts.
//!
//! Runs nothing itself. Loops are the natural loops of each function's control flow; spills are
//! those that the compiler's own comments name (GCC `%sfp`, clang `Spill` and `Reload`), so that
//! arrays on the stack are not taken for them.

mod counts;
mod line;
mod loops;
mod names;
mod reader;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::compiler::{self, Compilation, CompileError, CompileRequest, Step};

pub use counts::Counts;
pub use line::{Architecture, Instruction, Line, Place, Spill};
pub use loops::Loop;
pub use names::{is_of, plain_name};
pub use reader::{Assembly, Function, parse};

/// What stands around the kernel while it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// The trampoline of a real build: the signature is checked.
    Trampoline,
    /// Nothing: for a kernel whose signature is not known.
    Nothing,
}

/// Plans the compile steps of a real build, but for assembly: one `.s` file for each source, named
/// last in its step, and no link.
///
/// # Errors
/// As [`compiler::plan`].
pub fn plan(request: &CompileRequest<'_>, around: Around) -> Result<Compilation, CompileError> {
    let mut plan = compiler::plan(request)?;
    plan.steps.pop();
    let intel = request.flags.iter().any(|f| f == "-masm=intel");
    // Only one of them is read here.
    let syntax = intel.then_some("-masm=att");
    for step in &mut plan.steps {
        *step = listing_step(step, syntax);
    }
    if let (Around::Nothing, Some(first)) = (around, request.sources.first()) {
        plan.trampoline.1 = format!("#include \"{}\"\n", first.display());
    }
    Ok(plan)
}

/// The file that a listing step writes.
pub fn listing(step: &Step) -> PathBuf {
    step.args.last().map(PathBuf::from).unwrap_or_default()
}

fn listing_step(step: &Step, syntax: Option<&str>) -> Step {
    // Real paths instead of mapped ones, to find the source lines by.
    let mapped = |arg: &OsString| arg.to_string_lossy().starts_with("-ffile-prefix-map=");
    let mut args: Vec<OsString> = step.args.iter().filter(|a| !mapped(a)).cloned().collect();
    let object = args.pop().unwrap_or_default();
    if let Some(kind) = args.iter_mut().find(|a| *a == "-c") {
        *kind = "-S".into();
    }
    let output = args.pop();
    // With link-time optimisation the file would hold no instructions.
    args.extend(["-g1", "-fno-asynchronous-unwind-tables", "-fno-lto"].map(OsString::from));
    // Its comments say which stack accesses are spills.
    args.push("-fverbose-asm".into());
    args.extend(syntax.map(OsString::from));
    args.extend(output);
    args.push(Path::new(&object).with_extension("s").into());
    Step { program: step.program.clone(), args }
}

#[cfg(test)]
mod tests;
