//! What this executable is when it starts itself: the processes that kernels run in, and those that
//! do one thing for a judge.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use super::host::Disk;
use crate::backend::{cpu, cuda};
use crate::host::Host as _;
use crate::process::{hold, sandbox};

/// Serves as the child that the first argument names; `None` when it names none.
pub fn serve() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let word = args.next()?;
    Some(match word.to_str()? {
        cpu::WORKER_COMMAND => cpu::worker::main(),
        cpu::replay::REPLAY_COMMAND => cpu::replay::main(),
        cuda::CUDA_WORKER_COMMAND => cuda::worker::main(&Disk),
        cuda::inspect::replay::CUDA_REPLAY_COMMAND => replay(&args.collect::<Vec<_>>()),
        cuda::compiler::nvrtc::NVRTC_COMMAND => nvrtc(args),
        cuda::clocks::CLOCKS_COMMAND => cuda::clocks::main(args.next(), &Disk),
        hold::HOLD_COMMAND => hold::main(&args.collect::<Vec<_>>(), &Disk.vars()),
        sandbox::agent::AGENT_COMMAND => agent(&args.collect::<Vec<_>>()),
        _ => return None,
    })
}

/// Becomes an agent's command, whose writes are confined.
fn agent(args: &[OsString]) -> ExitCode {
    let why = sandbox::agent::main(args);
    let _unheard = writeln!(std::io::stderr(), "optloop: {why}");
    ExitCode::from(sandbox::agent::CANNOT_RUN)
}

/// Launches a kernel alone; the tool around it hands on what is said.
fn replay(args: &[OsString]) -> ExitCode {
    match cuda::inspect::replay::run(args, &Disk) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            let _unheard = writeln!(std::io::stderr(), "optloop: {}", ended.what);
            ExitCode::from(ended.exit)
        }
    }
}

/// Compiles by NVRTC for a judge.
fn nvrtc(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (words, code) = cuda::compiler::nvrtc::main(args);
    // The judge that would read it is gone when this fails.
    let _unheard = std::io::stderr().write_all(&words);
    ExitCode::from(code)
}
