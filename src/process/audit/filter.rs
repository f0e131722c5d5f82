//! The filter by which a watched command stops at calls with a path, and nowhere else.

use std::io;

use nix::libc;
use seccompiler::{BpfProgram, Error, SeccompAction, apply_filter, sock_filter};

use super::call::NATIVE;
use super::looks::CALLS;

/// Where the number and the architecture of a call lie in what a filter is given.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Stops at the calls of [`CALLS`], and at any call of another architecture, whose numbers mean
/// something else.
pub(super) fn paths() -> BpfProgram {
    let load = |at| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let stop = || statement(libc::BPF_RET, SeccompAction::Trace(0).into());
    let mut program = vec![load(ARCH), skip(NATIVE, 1, 0), stop(), load(NUMBER)];
    for (number, _) in CALLS {
        program.extend([skip(*number as u32, 0, 1), stop()]);
    }
    program.push(statement(libc::BPF_RET, SeccompAction::Allow.into()));
    program
}

/// Makes this process and its children stop. Allocates nothing, for it runs between fork and exec.
pub(super) fn install(program: &BpfProgram) -> io::Result<()> {
    apply_filter(program).map_err(|error| match error {
        Error::Prctl(why) | Error::Seccomp(why) => why,
        _ => io::ErrorKind::InvalidInput.into(),
    })
}

/// Skips so many instructions when what was loaded is `value`, and so many when it is not.
fn skip(value: u32, when: u8, otherwise: u8) -> sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    sock_filter { code, jt: when, jf: otherwise, k: value }
}

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}
