//! The seccomp filter that holds the tables of calls.
#![expect(unsafe_code, reason = "asks the kernel whether it can trap calls")]

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::calls::{self, Test};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// True when the kernel can trap calls, and this architecture's numbers are known.
pub(super) fn available() -> bool {
    let action = libc::SECCOMP_RET_TRAP;
    // SAFETY: the call reads the action and answers whether there is such a one.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            std::ptr::from_ref(&action),
        )
    };
    answer == 0 && TargetArch::try_from(std::env::consts::ARCH).is_ok()
}

/// Filters the calls of this process for good; `me` is its id.
///
/// One filter knows one answer, so there are several. All are asked, and the gravest answer
/// counts. The one that traps `seccomp` itself is the last.
pub(super) fn install(me: u32) -> Result<(), Error> {
    let unknown = Rules::from([(calls::UNKNOWN, Vec::new())]);
    apply(unknown, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let denied = rules(&[calls::DENIED, calls::DENIED_HERE, calls::DENIED_LATER], me)?;
    apply(denied, SeccompAction::Errno(libc::EPERM as u32))?;
    #[cfg(target_arch = "x86_64")]
    apply_filter(&foreign_numbers())?;
    let trapped = rules(&[calls::TRAPPED, calls::TRAPPED_HERE], me)?;
    apply(trapped, SeccompAction::Trap)
}

fn apply(rules: Rules, answer: SeccompAction) -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?;
    apply_filter(&BpfProgram::try_from(filter)?)
}

fn rules(tables: &[&[(i64, &str)]], me: u32) -> Result<Rules, BackendError> {
    let numbers = tables.iter().copied().flatten().map(|(number, _)| *number);
    numbers.map(|number| Ok((number, alternatives(number, me)?))).collect()
}

/// One rule per list of conditions, any of which refuses; no rule at all refuses always.
fn alternatives(number: i64, me: u32) -> Result<Vec<SeccompRule>, BackendError> {
    let lists = calls::condition(number, me);
    let rule = |list: &Vec<Test>| {
        SeccompRule::new(list.iter().copied().map(compile).collect::<Result<_, _>>()?)
    };
    lists.iter().map(rule).collect()
}

fn compile(test: Test) -> Result<SeccompCondition, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let (argument, length, operator, value) = match test {
        Test::Is(argument, value) => (argument, Dword, SeccompCmpOp::Eq, value),
        Test::IsNot(argument, value) => (argument, Dword, SeccompCmpOp::Ne, value),
        Test::Lacks(argument, bits) => {
            (argument, Dword, SeccompCmpOp::MaskedEq(u64::from(bits)), 0)
        }
        Test::Given(argument) => (argument, Qword, SeccompCmpOp::Ne, 0),
    };
    SeccompCondition::new(argument, length, operator, u64::from(value))
}

/// Traps the second set of numbers that x86-64 kernels may serve (x32): each call has one there
/// that no table above names.
#[cfg(target_arch = "x86_64")]
fn foreign_numbers() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    const NUMBER_OFFSET: u32 = 0;
    let step = |code: u32, jump_if_false: u8, value: u32| seccompiler::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_if_false,
        k: value,
    };
    vec![
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, NUMBER_OFFSET),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32_BIT),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_TRAP),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
