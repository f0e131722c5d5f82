//! A kernel that a CUDA worker has loaded.
#![expect(unsafe_code, reason = "calls a candidate's host code")]

use std::ffi::{CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::super::link::protocol::Reply;
use super::super::{Grid, LAUNCH_SYMBOL};
use super::bundle::{Bundle, ImageKind};
use super::driver::{self, Context, Function, Module, Stream};
use super::inspect::resources::Resources;

/// What a kernel with host code exports: arguments as a processor's kernel gets them, buffers by
/// their device addresses, and the stream.
type HostLaunch = unsafe extern "C" fn(*const *mut c_void, *mut c_void);

/// A loaded kernel.
pub(super) enum Kernel {
    /// Device code alone.
    Device {
        function: Function,
        /// What the function belongs to.
        _module: Module,
    },
    /// Host code that launches.
    Host(HostLaunch),
}

impl Kernel {
    /// Loads a bundle; one with host code is opened from a file in `private`.
    pub(super) fn load(bundle: &Bundle, private: &Path, seat: usize) -> Result<Self, Reply> {
        if bundle.kind == ImageKind::Shared {
            return Self::open(bundle, &private.join(format!("kernel{seat}.so")));
        }
        let module = Module::load(&bundle.image).map_err(|error| unloadable(bundle, error))?;
        let function = module.function(&bundle.entry).map_err(|error| unloadable(bundle, error))?;
        Ok(Self::Device { function, _module: module })
    }

    fn open(bundle: &Bundle, path: &Path) -> Result<Self, Reply> {
        std::fs::write(path, &bundle.image)
            .map_err(|e| Reply::Failed(format!("writing {}: {e}", path.display())))?;
        let wrong = |e: libloading::Error| Reply::Unloadable(e.to_string());
        let name = CString::new(LAUNCH_SYMBOL).expect("a constant without NUL");
        // SAFETY: runs the candidate's constructors, in the process that is there for it.
        let library = unsafe { Library::open(Some(path.as_os_str()), RTLD_NOW | RTLD_LOCAL) }
            .map_err(wrong)?;
        // SAFETY: the trampoline that every such kernel holds declares it with this type.
        let launch = *unsafe { library.get::<HostLaunch>(name.as_c_str()) }.map_err(wrong)?;
        std::mem::forget(library);
        Ok(Self::Host(launch))
    }

    /// What the device cannot give such a launch, in words.
    pub(super) fn refuse(&self, grid: &Grid, context: Context) -> driver::Result<Option<String>> {
        let Self::Device { function, .. } = self else { return Ok(None) };
        let threads: u64 = grid.threads.iter().map(|&axis| u64::from(axis)).product();
        let most = function.most_threads()?;
        if threads > most {
            let what =
                format!("{threads} threads a block, and with its registers there are {most}");
            return Ok(Some(what));
        }
        let (own, dynamic) = (function.own_shared_bytes()?, u64::from(grid.shared_bytes));
        let most = context.shared_bytes()?;
        if own + dynamic > most {
            let what = format!(
                "{dynamic} bytes of dynamic and {own} of static shared memory a block; the device \
                 has {most}"
            );
            return Ok(Some(what));
        }
        if dynamic > 0 {
            function.allow_shared(grid.shared_bytes)?;
        }
        Ok(None)
    }

    /// What it takes of the device; `None` for host code, whose kernels only it knows.
    pub(super) fn resources(&self) -> driver::Result<Option<Resources>> {
        let Self::Device { function, .. } = self else { return Ok(None) };
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Some(Resources {
            registers: word(function.registers()?),
            static_shared_bytes: word(function.own_shared_bytes()?),
            local_bytes: word(function.local_bytes()?),
        }))
    }

    /// Enqueues one launch.
    pub(super) fn launch(
        &self,
        grid: &Grid,
        pointers: &[*mut c_void],
        stream: &Stream,
    ) -> driver::Result<()> {
        match self {
            Self::Device { function, .. } => function.launch(grid, pointers, stream),
            Self::Host(launch) => {
                // SAFETY: as many pointers as the problem has arguments. What the candidate does
                // with them is contained by the process.
                unsafe { launch(pointers.as_ptr(), stream.raw()) };
                Ok(())
            }
        }
    }
}

fn unloadable(bundle: &Bundle, error: driver::Error) -> Reply {
    let built = match bundle.arch.as_str() {
        "" => String::new(),
        arch => format!("; it was built for {arch}"),
    };
    match error.code {
        200 | 209 | 218 | 222 | 500 => {
            Reply::Unloadable(format!("`{}`: {error}{built}", bundle.entry))
        }
        code => Reply::Trouble { code, call: error.call.to_owned() },
    }
}

/// A call that the driver did not carry out, as a reply to the judge.
pub(super) fn trouble(error: driver::Error) -> Reply {
    Reply::Trouble { code: error.code, call: error.call.to_owned() }
}

/// The bundle at a path of bytes.
pub(super) fn read_bundle(path: &[u8]) -> Result<Bundle, Reply> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    Bundle::read(path).map_err(|e| Reply::Unloadable(format!("{}: {e}", path.display())))
}
