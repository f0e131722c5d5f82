//! Which call ended a confined process.
#![expect(unsafe_code, reason = "a signal handler that reads what the kernel says of the call")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use nix::libc;

static PLACE: AtomicPtr<i64> = AtomicPtr::new(null_mut());
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);

/// `siginfo_t` as the kernel fills it for `SIGSYS`; the C library's type hides these fields.
#[repr(C)]
struct TrapInfo {
    signal: libc::c_int,
    error: libc::c_int,
    code: libc::c_int,
    address: *mut libc::c_void,
    number: libc::c_int,
}

/// From `asm-generic/siginfo.h`: the signal comes from a filter.
const FROM_A_FILTER: libc::c_int = 1;

/// From now on a trapped call writes its number plus 1 to `place` and ends the process with
/// `exit_code`; 0 stays there when nothing was trapped. [`super::syscall_name`] names the number.
///
/// A process that dies by `SIGSYS` itself has blocked that signal before a trapped call, as C
/// libraries do while they start a process, or has made a call of another architecture: it has
/// no number to show.
///
/// # Errors
/// When the handler cannot be set, as after [`super::confine`].
///
/// # Safety
/// `place` must stay valid for writes as long as the process lives.
pub unsafe fn watch_traps(place: *mut i64, exit_code: i32) -> io::Result<()> {
    PLACE.store(place, Ordering::SeqCst);
    EXIT_CODE.store(exit_code, Ordering::SeqCst);
    // SAFETY: zeroes are a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let handler: extern "C" fn(libc::c_int, *const TrapInfo, *mut libc::c_void) = on_trap;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the type that `SA_SIGINFO` says and is async-signal-safe.
    match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What a process that was ended by the filter did, in words; `noted` is what it left in the place
/// that [`watch_traps`] was given.
pub fn trapped_call(noted: i64) -> String {
    if noted == 0 {
        return "a system call with all signals blocked, as in starting a process".to_owned();
    }
    let number = noted.wrapping_sub(1);
    match super::syscall_name(number) {
        Some(name) => format!("`{name}`"),
        None => format!("system call {number}"),
    }
}

/// Two atomic loads, a store and `_exit`: nothing that locks or allocates.
extern "C" fn on_trap(_signal: libc::c_int, info: *const TrapInfo, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t`, which begins with these fields.
    let info = unsafe { &*info };
    let place = PLACE.load(Ordering::SeqCst);
    if info.code == FROM_A_FILTER && !place.is_null() {
        // SAFETY: valid for writes, by the contract of `watch_traps`.
        unsafe { place.write_volatile(i64::from(info.number) + 1) };
    }
    // SAFETY: ends the process at once; nothing of it runs any more.
    unsafe { libc::_exit(EXIT_CODE.load(Ordering::SeqCst)) }
}
