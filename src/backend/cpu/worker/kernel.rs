//! Opening a candidate's shared object.
#![expect(unsafe_code, reason = "opens foreign code")]

use std::ffi::{CString, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nix::libc;

use crate::backend::LAUNCH_SYMBOL;
use crate::backend::link::control::Control;
use crate::backend::link::protocol::Reply;

/// What a built kernel exports: it takes one pointer per argument.
pub(super) type Launch = unsafe extern "C" fn(*const *mut c_void);

/// Opens a built kernel and says in the control page where it lies.
pub(super) fn open(library: &[u8], control: &Control) -> Result<Launch, Reply> {
    let path = OsStr::from_bytes(library);
    let unloadable = |e: libloading::Error| Reply::Unloadable(describe(&e));
    // SAFETY: runs the candidate's constructors, in the process that is there for it.
    let library =
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(unloadable)?;
    let name = CString::new(LAUNCH_SYMBOL).expect("a constant without NUL");
    // SAFETY: the trampoline that every built kernel holds declares it with this type.
    let launch = *unsafe { library.get::<Launch>(name.as_c_str()) }.map_err(unloadable)?;
    // Unloading would run the candidate's destructors before the judge is done.
    std::mem::forget(library);
    control.places.object.store(base_of(launch), Ordering::Relaxed);
    Ok(launch)
}

/// Where the object that holds this function is loaded; 0 when that is not known.
fn base_of(launch: Launch) -> u64 {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is looked up, never followed, and `info` has room for the answer.
    let found = unsafe { libc::dladdr(launch as *const c_void, info.as_mut_ptr()) };
    if found == 0 {
        return 0;
    }
    // SAFETY: `dladdr` has filled it.
    unsafe { info.assume_init() }.dli_fbase as u64
}

/// The loader's own words, which `libloading` keeps as the source.
fn describe(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
