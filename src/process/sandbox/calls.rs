//! Which system calls a confined process may not make, and what they are called.

use nix::libc;

/// Calls by their kernel numbers, with the names of the constants.
type Table = &'static [(i64, &'static str)];

macro_rules! table {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// What no kernel needs and a cheat does: other processes, the network, priorities, shared
/// memory that outlives the process, and the machine itself. They end the process by `SIGSYS`.
///
/// Those that [`condition`] knows are refused only with some arguments.
pub(super) const TRAPPED: Table = table! {
    SYS_clone SYS_execve SYS_execveat SYS_setsid SYS_setpgid
    SYS_socket SYS_socketpair SYS_connect SYS_bind SYS_listen SYS_accept SYS_accept4
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_kcmp
    SYS_kill SYS_tkill SYS_tgkill SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo
    SYS_pidfd_open SYS_pidfd_getfd SYS_pidfd_send_signal
    SYS_setpriority SYS_sched_setscheduler SYS_sched_setparam SYS_sched_setattr SYS_ioprio_set
    SYS_prlimit64 SYS_prctl SYS_seccomp
    SYS_shmget SYS_shmat SYS_shmctl SYS_semget SYS_semop SYS_semctl SYS_semtimedop
    SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink
    SYS_add_key SYS_request_key SYS_keyctl
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_fanotify_init SYS_open_by_handle_at
    SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_unshare SYS_setns SYS_move_mount
    SYS_open_tree SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_kexec_file_load
    SYS_reboot SYS_swapon SYS_swapoff SYS_acct SYS_quotactl SYS_quotactl_fd
    SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid
    SYS_setfsuid SYS_setfsgid SYS_setgroups SYS_capset
    SYS_clock_settime SYS_clock_adjtime SYS_adjtimex SYS_settimeofday
    SYS_sethostname SYS_setdomainname SYS_vhangup
};

/// Those of one architecture only.
#[cfg(target_arch = "x86_64")]
pub(super) const TRAPPED_HERE: Table =
    table! { SYS_fork SYS_vfork SYS_setrlimit SYS_iopl SYS_ioperm };
#[cfg(not(target_arch = "x86_64"))]
pub(super) const TRAPPED_HERE: Table = &[];

/// What honest runtimes try and can live without; the answer is `EPERM`. Landlock knows nothing
/// of modes, owners, times and attributes, nor of truncation before Linux 6.2. Timers go off on the
/// core of the other side, also while their owner is stopped; a thread in `membarrier` keeps its
/// process from being stopped.
pub(super) const DENIED: Table = table! {
    SYS_sched_setaffinity SYS_set_mempolicy SYS_set_mempolicy_home_node SYS_mbind
    SYS_migrate_pages SYS_move_pages SYS_personality SYS_syslog
    SYS_madvise SYS_process_madvise SYS_process_mrelease
    SYS_truncate SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_utimensat
    SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr
    SYS_fcntl SYS_rt_sigaction
    SYS_timer_create SYS_timer_settime SYS_timerfd_create SYS_timerfd_settime SYS_setitimer
    SYS_membarrier
};

/// Those of one architecture only.
#[cfg(target_arch = "x86_64")]
pub(super) const DENIED_HERE: Table =
    table! { SYS_chmod SYS_chown SYS_lchown SYS_utime SYS_utimes SYS_futimesat SYS_alarm };
#[cfg(not(target_arch = "x86_64"))]
pub(super) const DENIED_HERE: Table = &[];

/// Numbers that are the same everywhere and that not every C library knows yet.
pub(super) const DENIED_LATER: Table = &[
    (452, "SYS_fchmodat2"),
    (463, "SYS_setxattrat"),
    (466, "SYS_removexattrat"),
    (469, "SYS_file_setattr"),
];

/// Answered with `ENOSYS`, as by an old kernel: its flags lie in memory, which a filter cannot
/// read, and C libraries fall back to `clone`.
pub(super) const UNKNOWN: i64 = libc::SYS_clone3;

/// What an argument must be for a call to be refused; arguments are 32 bits, pointers 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// Equals the value.
    Is(u8, u32),
    /// Differs from the value.
    IsNot(u8, u32),
    /// Has none of these bits.
    Lacks(u8, u32),
    /// Is a pointer that points somewhere.
    Given(u8),
}

/// Choices of `prctl` by which a process leaves its judge, or comes between it and the clock.
const FORBIDDEN_OPTIONS: &[i32] = &[
    libc::PR_SET_PDEATHSIG,
    libc::PR_SET_CHILD_SUBREAPER,
    libc::PR_SET_SECCOMP,
    libc::PR_SET_TSC,
    libc::PR_SET_MM,
    // PR_SET_SYSCALL_USER_DISPATCH
    59,
];

/// When a call is refused: when one of the lists holds entirely. No lists: always.
pub(super) fn condition(number: i64, me: u32) -> Vec<Vec<Test>> {
    match number {
        libc::SYS_clone => vec![vec![Test::Lacks(0, libc::CLONE_THREAD as u32)]],
        // A process may end itself, as `abort` does.
        libc::SYS_kill
        | libc::SYS_tkill
        | libc::SYS_tgkill
        | libc::SYS_rt_sigqueueinfo
        | libc::SYS_rt_tgsigqueueinfo => vec![vec![Test::IsNot(0, me)]],
        // Reading limits and the personality is harmless.
        libc::SYS_prlimit64 => vec![vec![Test::Given(2)]],
        libc::SYS_personality => vec![vec![Test::IsNot(0, u32::MAX)]],
        libc::SYS_prctl => {
            FORBIDDEN_OPTIONS.iter().map(|&option| vec![Test::Is(0, option as u32)]).collect()
        }
        // The kernel's own signals to whoever owns a descriptor; hints that stay with a file.
        libc::SYS_fcntl => {
            // F_SETOWN_EX, F_SET_RW_HINT, F_SET_FILE_RW_HINT
            const MORE: [u32; 3] = [15, 1036, 1038];
            let refused = [libc::F_SETOWN as u32].into_iter().chain(MORE);
            refused.map(|command| vec![Test::Is(1, command)]).collect()
        }
        // Inputs are the other side's too: nobody sends them away from its memory.
        libc::SYS_madvise => {
            let away = [libc::MADV_COLD, libc::MADV_PAGEOUT];
            away.iter().map(|&advice| vec![Test::Is(2, advice as u32)]).collect()
        }
        // The handler that names a trapped call stays.
        libc::SYS_rt_sigaction => vec![vec![Test::Is(0, libc::SIGSYS as u32), Test::Given(1)]],
        _ => Vec::new(),
    }
}

/// The name of a call that ends a confined process, by the number that its handler was given.
///
/// `clone` is called `fork`: with the flags of a thread it is allowed.
pub fn syscall_name(number: i64) -> Option<&'static str> {
    if number == libc::SYS_clone {
        return Some("fork");
    }
    let (_, name) = TRAPPED.iter().chain(TRAPPED_HERE).find(|(known, _)| *known == number)?;
    name.strip_prefix("SYS_")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_call_stands_in_one_table_once() {
        let all = [TRAPPED, TRAPPED_HERE, DENIED, DENIED_HERE, DENIED_LATER].concat();
        let mut seen = HashSet::from([UNKNOWN]);
        for (number, name) in all {
            assert!(name.starts_with("SYS_"), "{name}");
            assert!(seen.insert(number), "{name} stands twice");
        }
    }

    #[test]
    fn trapped_calls_have_names_and_others_do_not() {
        let table = [
            (libc::SYS_clone, Some("fork")),
            (libc::SYS_socket, Some("socket")),
            (libc::SYS_tgkill, Some("tgkill")),
            (libc::SYS_read, None),
            (libc::SYS_sched_setaffinity, None),
            (-1, None),
        ];
        for (number, expected) in table {
            assert_eq!(syscall_name(number), expected, "{number}");
        }
    }

    #[test]
    fn only_calls_that_stand_in_a_table_have_conditions() {
        let known = [TRAPPED, TRAPPED_HERE, DENIED, DENIED_HERE, DENIED_LATER].concat();
        let known: HashSet<i64> = known.into_iter().map(|(number, _)| number).collect();
        let conditional: Vec<i64> = (0..1000).filter(|&n| !condition(n, 1).is_empty()).collect();
        assert!(conditional.len() > 8);
        assert!(conditional.iter().all(|number| known.contains(number)), "{conditional:?}");
    }
}
