//! Where a crash happened, written down for the judge before the process dies of it.
#![expect(unsafe_code, reason = "signal handlers and their stack")]

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use nix::libc::{self, c_int};

use super::super::link::control::{self, Control};

/// Large enough for the registers of every processor.
const STACK_BYTES: usize = 64 * 1024;

const SIGNALS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP];

static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());

/// From now on fatal signals are recorded in the control page. A candidate may set handlers of its
/// own; then nothing is recorded. A sanitizer says more of a crash than we do, and is left alone.
pub(super) fn install(control: &'static Control) -> io::Result<()> {
    CONTROL.store(from_ref(control).cast_mut(), Release);
    control.places.stack.store(stack_limit(), Relaxed);
    if has_sanitizer() {
        return Ok(());
    }
    let memory = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the memory is never given back.
    if unsafe { libc::sigaltstack(&raw const stack, null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = record;
    SIGNALS.iter().try_for_each(|&signal| set(signal, handler as usize, libc::SA_SIGINFO))
}

/// Whether an address sanitizer was loaded into this process before anything else.
fn has_sanitizer() -> bool {
    // SAFETY: the name ends in NUL, and what is found is not used.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__asan_init".as_ptr()) }.is_null()
}

fn set(signal: c_int, handler: usize, flags: c_int) -> io::Result<()> {
    // SAFETY: zeros are a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = flags | libc::SA_ONSTACK;
    // SAFETY: the handler is a function of the type that the flags announce, or the default.
    match unsafe { libc::sigaction(signal, &raw const action, null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Only what may be done in a signal handler: atomics, `sigaction`, `raise`.
extern "C" fn record(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: null, or the page that `install` was given, which stays mapped unless the candidate
    // unmaps it; then this process dies here, of the same signal.
    let control = unsafe { CONTROL.load(Acquire).as_ref() };
    if let Some(control) = control {
        let crash = &control.crash;
        let first = crash.state.compare_exchange(control::CRASH_NONE, 1, AcqRel, Relaxed);
        if first.is_ok() {
            // SAFETY: the system passes both to a handler that was set with SA_SIGINFO.
            let (address, registers) = unsafe { ((*info).si_addr() as u64, registers(context)) };
            let by_fault = !matches!(signal, libc::SIGABRT | libc::SIGTRAP);
            crash.signal.store(signal, Relaxed);
            crash.address.store(if by_fault { address } else { 0 }, Relaxed);
            crash.instruction.store(registers.0, Relaxed);
            crash.access.store(registers.1, Relaxed);
            crash.state.store(control::CRASH_WHOLE, Release);
        }
    }
    // Blocked until this handler returns, then it ends the process as if nobody had looked.
    let _default = set(signal, libc::SIG_DFL, 0);
    // SAFETY: takes no pointers.
    unsafe { libc::raise(signal) };
}

/// The instruction and what it tried to do.
///
/// # Safety
/// `context` is what the system passed to a signal handler.
#[cfg(target_arch = "x86_64")]
unsafe fn registers(context: *mut c_void) -> (u64, u32) {
    /// Bits of the processor's error code for page faults (Intel SDM volume 3, 4.7).
    const WRITE: i64 = 1 << 1;
    const FETCH: i64 = 1 << 4;
    // SAFETY: as above.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let error = registers[libc::REG_ERR as usize];
    let access = match error {
        _ if registers[libc::REG_TRAPNO as usize] != PAGE_FAULT => control::ACCESS_UNKNOWN,
        error if error & FETCH != 0 => control::ACCESS_EXECUTE,
        error if error & WRITE != 0 => control::ACCESS_WRITE,
        _ => control::ACCESS_READ,
    };
    (registers[libc::REG_RIP as usize] as u64, access)
}

/// The trap number of a page fault, the only one whose error code says what was tried.
#[cfg(target_arch = "x86_64")]
const PAGE_FAULT: i64 = 14;

/// The instruction; what it tried has a form that differs between kernels.
///
/// # Safety
/// `context` is what the system passed to a signal handler.
#[cfg(target_arch = "aarch64")]
unsafe fn registers(context: *mut c_void) -> (u64, u32) {
    // SAFETY: as above.
    let pc = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.pc };
    (pc, control::ACCESS_UNKNOWN)
}

/// Nothing is known of the registers here.
///
/// # Safety
/// None is needed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn registers(_context: *mut c_void) -> (u64, u32) {
    (0, control::ACCESS_UNKNOWN)
}

/// The lowest address that this thread's stack may grow to; 0 when that is not known.
fn stack_limit() -> u64 {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lowest, mut bytes) = (null_mut(), 0);
    // SAFETY: asks about this thread, with room for the answers; the attributes are given back.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return 0;
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut bytes);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    lowest as u64
}
