//! The seccomp filter that holds the tables of calls.
#![expect(unsafe_code, reason = "asks the kernel whether it can trap calls")]

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
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
pub(super) fn install(me: u32) -> Result<(), Error> {
    apply_filter(&program(me)?)
}

/// Calls per block of the program; a jump in it reaches no farther than 255.
const BLOCK: usize = 16;

/// All tables in one program, sorted by number, in blocks of calls that are skipped together.
///
/// When a filter is installed the kernel compiles it, and walks through it once for every call
/// there is, to learn which are always allowed and need no look later
/// (`seccomp_cache_prepare`, since Linux 5.11). One filter for each answer, each a list of five
/// instructions a call, takes longer than all the rest of the sandbox. So only what depends on
/// arguments is left to the crate.
fn program(me: u32) -> Result<BpfProgram, BackendError> {
    let all: Vec<(i64, Answer)> = answers().into_iter().collect();
    let plain = |number: i64| calls::condition(number, me).is_empty();
    let alike = all.chunk_by(|one, other| one.1 == other.1 && plain(one.0) && plain(other.0));
    let mut program = head()?;
    for block in alike.flat_map(|calls| calls.chunks(BLOCK)) {
        let (first, answer) = block[0];
        if plain(first) {
            program.extend(always(block));
            continue;
        }
        let rules = Rules::from([(first, alternatives(first, me)?)]);
        let body = compile(rules, answer.action())?;
        program.push(compare(libc::BPF_JEQ, first as u32, 1, 0));
        program.push(statement(libc::BPF_JMP | libc::BPF_JA, body.len() as u32));
        program.extend(body);
    }
    program.push(give(&SeccompAction::Allow));
    Ok(program)
}

/// Calls with one answer, whatever their arguments.
fn always(block: &[(i64, Answer)]) -> BpfProgram {
    let (last, answer) = block[block.len() - 1];
    let count = block.len() as u8;
    let mut program = vec![compare(libc::BPF_JGT, last as u32, count + 2, 0)];
    let found = |(to_come, (number, _)): (u8, &(i64, Answer))| {
        compare(libc::BPF_JEQ, *number as u32, to_come + 1, 0)
    };
    program.extend((0..count).rev().zip(block).map(found));
    program.extend([give(&SeccompAction::Allow), give(&answer.action())]);
    program
}

/// Refuses calls of other architectures and loads the number.
fn head() -> Result<BpfProgram, BackendError> {
    const X32_BIT: u32 = 0x4000_0000;
    const NUMBER_OFFSET: u32 = 0;
    let mut head = compile(Rules::new(), SeccompAction::Trap)?;
    let _allow = head.pop();
    head.push(statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER_OFFSET));
    // The second set of numbers that x86-64 kernels may serve: no table names them.
    head.push(compare(libc::BPF_JGE, X32_BIT, 0, 1));
    head.push(give(&SeccompAction::Trap));
    Ok(head)
}

/// Skips so many instructions when the number compares, and so many when it does not.
fn compare(how: u32, value: u32, skip: u8, otherwise: u8) -> sock_filter {
    let code = (libc::BPF_JMP | how | libc::BPF_K) as u16;
    sock_filter { code, jt: skip, jf: otherwise, k: value }
}

fn give(action: &SeccompAction) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action.clone().into())
}

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

fn compile(rules: Rules, action: SeccompAction) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()
}

/// What is said to a call that stands in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Trapped,
    Denied,
    Unknown,
}

impl Answer {
    fn action(self) -> SeccompAction {
        match self {
            Self::Trapped => SeccompAction::Trap,
            Self::Denied => SeccompAction::Errno(libc::EPERM as u32),
            Self::Unknown => SeccompAction::Errno(libc::ENOSYS as u32),
        }
    }
}

fn answers() -> BTreeMap<i64, Answer> {
    let trapped = calls::TRAPPED.iter().chain(calls::TRAPPED_HERE);
    let denied = calls::DENIED.iter().chain(calls::DENIED_HERE).chain(calls::DENIED_LATER);
    trapped
        .map(|&(number, _)| (number, Answer::Trapped))
        .chain(denied.map(|&(number, _)| (number, Answer::Denied)))
        .chain([(calls::UNKNOWN, Answer::Unknown)])
        .collect()
}

/// One rule per list of conditions, any of which refuses; no rule at all refuses always.
fn alternatives(number: i64, me: u32) -> Result<Vec<SeccompRule>, BackendError> {
    let lists = calls::condition(number, me);
    let rule = |list: &Vec<Test>| {
        SeccompRule::new(list.iter().copied().map(condition).collect::<Result<_, _>>()?)
    };
    lists.iter().map(rule).collect()
}

fn condition(test: Test) -> Result<SeccompCondition, BackendError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 4242;

    /// What the program says to a call: the kernel's part, as far as these programs need it.
    fn answer(program: &[sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = [number, arch, 0, 0].to_vec();
        data.extend(args.iter().flat_map(|&arg| [arg as u32, (arg >> 32) as u32]));
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let holds = match u32::from(code) & !libc::BPF_JMP {
                libc::BPF_JEQ => value == k,
                libc::BPF_JGT => value > k,
                libc::BPF_JGE => value >= k,
                _ => false,
            };
            match u32::from(code) & 0x07 {
                libc::BPF_LD => value = data[k as usize / 4],
                libc::BPF_ALU => value &= k,
                libc::BPF_RET => return k,
                _ if u32::from(code) == libc::BPF_JMP | libc::BPF_JA => at += k as usize,
                _ => at += usize::from(if holds { jt } else { jf }),
            }
        }
    }

    fn arch() -> u32 {
        compile(Rules::new(), SeccompAction::Trap).expect("a known architecture")[1].k
    }

    #[test]
    fn the_program_answers_as_the_tables_say() {
        let program = program(ME).expect("it compiles");
        let answers = answers();
        let ask = |number: i64| answer(&program, arch(), number as u32, [0; 6]);
        let plain = (0..1000).filter(|&number| calls::condition(number, ME).is_empty());
        let mut refused = 0;
        for number in plain {
            let expected = answers.get(&number).map_or(SeccompAction::Allow, |a| a.action());
            refused += u32::from(expected != SeccompAction::Allow);
            assert_eq!(ask(number), u32::from(expected), "call {number}");
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn arguments_decide_where_the_tables_say_so() {
        let program = program(ME).expect("it compiles");
        let (me, other) = (u64::from(ME), u64::from(ME) + 1);
        let (trap, deny) = (libc::SECCOMP_RET_TRAP, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        let allow = libc::SECCOMP_RET_ALLOW;
        let (thread, high) = (libc::CLONE_THREAD as u64 | 0x3d_0f00, 1 << 32);
        let table = [
            (libc::SYS_clone, [thread, 0, 0], allow),
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0], trap),
            (libc::SYS_clone, [high, 0, 0], trap),
            (libc::SYS_tgkill, [me, 7, 6], allow),
            (libc::SYS_tgkill, [other, 7, 6], trap),
            (libc::SYS_kill, [high + me, 9, 0], allow),
            (libc::SYS_kill, [u64::MAX, 9, 0], trap),
            (libc::SYS_prlimit64, [0, 3, 0], allow),
            (libc::SYS_prlimit64, [0, 3, high], trap),
            (libc::SYS_prctl, [libc::PR_SET_NAME as u64, 1, 0], allow),
            (libc::SYS_prctl, [59, 1, 0], trap),
            (libc::SYS_prctl, [high + 59, 1, 0], trap),
            (libc::SYS_personality, [0xffff_ffff, 0, 0], allow),
            (libc::SYS_personality, [0, 0, 0], deny),
            (libc::SYS_rt_sigaction, [libc::SIGSYS as u64, 0, 1], allow),
            (libc::SYS_rt_sigaction, [libc::SIGSYS as u64, high, 0], deny),
            (libc::SYS_rt_sigaction, [libc::SIGSEGV as u64, high, 0], allow),
            (libc::SYS_fcntl, [1, libc::F_GETFL as u64, 0], allow),
            (libc::SYS_fcntl, [1, libc::F_SETOWN as u64, other], deny),
            (libc::SYS_fcntl, [1, 1036, 1], deny),
            (libc::SYS_madvise, [1, 1, libc::MADV_PAGEOUT as u64], deny),
            (libc::SYS_madvise, [1, 1, libc::MADV_DONTNEED as u64], allow),
        ];
        for (number, [first, second, third], expected) in table {
            let given = answer(&program, arch(), number as u32, [first, second, third, 0, 0, 0]);
            assert_eq!(given, expected, "call {number} with {first:#x} {second:#x} {third:#x}");
        }
    }

    #[test]
    fn numbers_of_another_architecture_are_never_allowed() {
        let program = program(ME).expect("it compiles");
        for number in 0..600 {
            let other = answer(&program, arch() ^ 1, number, [0; 6]);
            let second_set = answer(&program, arch(), number | 0x4000_0000, [0; 6]);
            assert_eq!(
                (other, second_set),
                (libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_TRAP)
            );
        }
    }
}
