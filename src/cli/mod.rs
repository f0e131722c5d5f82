//! argv to one call to text or JSON to an exit code; the only room that prints.

use std::process::ExitCode;

/// Runs the command line.
pub fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(crate::backend::cpu::session::WORKER_COMMAND) {
        return crate::backend::worker::main();
    }
    ExitCode::SUCCESS
}
