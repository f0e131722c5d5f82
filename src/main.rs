//! The `optloop` command: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    optloop::cli::main()
}
