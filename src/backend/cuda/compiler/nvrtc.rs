//! The child process that compiles by NVRTC: a compiler like any other to the one that starts it,
//! which can be given a deadline and ended, and whose crash is its own.
#![expect(unsafe_code, reason = "calls a library that is opened at run time")]

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::fmt;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, Symbol};

use super::includes::{self, Folders};

/// The argument that makes this executable NVRTC's compiler.
pub const NVRTC_COMMAND: &str = "__nvrtc";

/// Exit code: the source does not compile.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: it was called in a way that it does not know, or a file cannot be written.
pub const EXIT_MISUSED: u8 = 64;
/// Exit code: NVRTC cannot be loaded or is too old.
pub const EXIT_NO_NVRTC: u8 = 69;

/// What is to be compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// The library.
    pub library: PathBuf,
    /// The generated source.
    pub source: PathBuf,
    /// The user's source: where the includes start.
    pub kernel: PathBuf,
    /// The cubin; PTX where its name ends with `.ptx`.
    pub output: PathBuf,
    /// A dependency file.
    pub depfile: PathBuf,
    /// Where includes are looked for.
    pub include_dirs: Vec<PathBuf>,
    /// The toolkit's own folders, after them.
    pub toolkit_dirs: Vec<PathBuf>,
    /// Options, as NVRTC takes them.
    pub options: Vec<OsString>,
}

/// What the command line calls the fields.
const FIELDS: [&str; 7] =
    ["--library", "--source", "--kernel", "--output", "--depfile", "--include", "--toolkit"];

impl Order {
    /// The arguments that say it, without the program.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![NVRTC_COMMAND.into()];
        let single = [&self.library, &self.source, &self.kernel, &self.output, &self.depfile];
        for (name, path) in FIELDS.iter().zip(single) {
            args.extend([name.into(), path.into()]);
        }
        for (name, list) in FIELDS[5..].iter().zip([&self.include_dirs, &self.toolkit_dirs]) {
            args.extend(list.iter().flat_map(|path| [OsString::from(name), path.into()]));
        }
        args.push("--".into());
        args.extend_from_slice(&self.options);
        args
    }

    /// Reads them back; `args` begins behind the command's name.
    fn read(args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut order = Self::default();
        let mut args = args;
        while let Some(name) = args.next() {
            if name == "--" {
                order.options = args.collect();
                break;
            }
            let value = PathBuf::from(args.next()?);
            match FIELDS.iter().position(|field| name == *field)? {
                0 => order.library = value,
                1 => order.source = value,
                2 => order.kernel = value,
                3 => order.output = value,
                4 => order.depfile = value,
                5 => order.include_dirs.push(value),
                _ => order.toolkit_dirs.push(value),
            }
        }
        let needed = [&order.library, &order.source, &order.kernel, &order.output, &order.depfile];
        needed.iter().all(|path| !path.as_os_str().is_empty()).then_some(order)
    }
}

/// Serves one call of the command: what is to be printed, and the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> (Vec<u8>, u8) {
    let Some(order) = Order::read(args) else {
        return (b"this command is for optloop's own use\n".to_vec(), EXIT_MISUSED);
    };
    match compile(&order) {
        Ok(log) => (log, 0),
        Err(failure) => failure,
    }
}

type Failed = (Vec<u8>, u8);

fn failed(what: impl fmt::Display, code: u8) -> Failed {
    (format!("{what}\n").into_bytes(), code)
}

fn compile(order: &Order) -> Result<Vec<u8>, Failed> {
    let folders = Folders { own: &order.include_dirs, toolkit: &order.toolkit_dirs };
    let files =
        includes::walk(&order.kernel, folders).map_err(|error| failed(error, EXIT_FAILED))?;
    let misused = |error| failed(error, EXIT_MISUSED);
    fs::write(&order.depfile, depfile(&files)).map_err(misused)?;
    let text = fs::read(&order.source).map_err(misused)?;
    let nvrtc = Nvrtc::open(&order.library).map_err(|why| failed(why, EXIT_NO_NVRTC))?;
    let (log, built) = nvrtc.compile(&text, order).map_err(|why| failed(why, EXIT_MISUSED))?;
    let Some(image) = built else {
        return Err((log, EXIT_FAILED));
    };
    fs::write(&order.output, image).map_err(misused)?;
    Ok(log)
}

/// A rule as make reads it; see [`crate::backend::cpu::depfile`] for what is escaped.
fn depfile(files: &[PathBuf]) -> Vec<u8> {
    let mut text = b"kernel.cubin:".to_vec();
    for file in files {
        text.extend(b" \\\n ");
        let bytes = file.as_os_str().as_bytes();
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                b' ' | b'\t' => {
                    // Backslashes before a space would be read as escapes.
                    let before = bytes[..index].iter().rev().take_while(|&&b| b == b'\\').count();
                    text.extend(std::iter::repeat_n(b'\\', before + 1));
                }
                b'#' => text.push(b'\\'),
                b'$' => text.push(b'$'),
                _ => {}
            }
            text.push(byte);
        }
    }
    text.push(b'\n');
    text
}

/// `nvrtcProgram`.
type Program = *mut c_void;
/// `nvrtcResult`, as a number: newer libraries have values that no list has.
type Code = c_int;

const SUCCESS: Code = 0;
/// `NVRTC_ERROR_COMPILATION`.
const ERROR_COMPILATION: Code = 6;
/// `NVRTC_ERROR_INVALID_OPTION`.
const ERROR_INVALID_OPTION: Code = 5;

/// The functions that are used, from `nvrtc.h` of CUDA 12 and 13. They are called through
/// pointers of our own and not through `cudarc`, which chooses a library by its name and ends the
/// process where a function is missing: here it is this library or none.
struct Nvrtc {
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Code,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Code,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> Code,
    log: unsafe extern "C" fn(Program, *mut c_char) -> Code,
    cubin_size: unsafe extern "C" fn(Program, *mut usize) -> Code,
    cubin: unsafe extern "C" fn(Program, *mut c_char) -> Code,
    ptx_size: unsafe extern "C" fn(Program, *mut usize) -> Code,
    ptx: unsafe extern "C" fn(Program, *mut c_char) -> Code,
    error: unsafe extern "C" fn(Code) -> *const c_char,
    /// Never closed: the pointers above lead into it, and it lives as long as this process.
    _library: std::mem::ManuallyDrop<Library>,
}

impl Nvrtc {
    fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        preload_builtins(path);
        // SAFETY: runs the library's constructors, which is what loading a compiler means; this
        // process is for nothing else.
        let library = unsafe { Library::new(path) }.map_err(|error| {
            let why = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            format!("NVRTC cannot be loaded from {shown}: {why}")
        })?;
        let old =
            |name: &str| format!("{shown} has no `{name}`; NVRTC of CUDA 12 or newer is needed");
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: the type of the field is the one that `nvrtc.h` gives this function.
                let found: Result<Symbol<_>, _> = unsafe { library.get($name) };
                *found.map_err(|_| old($name))?
            }};
        }
        Ok(Self {
            create: function!("nvrtcCreateProgram"),
            compile: function!("nvrtcCompileProgram"),
            log_size: function!("nvrtcGetProgramLogSize"),
            log: function!("nvrtcGetProgramLog"),
            cubin_size: function!("nvrtcGetCUBINSize"),
            cubin: function!("nvrtcGetCUBIN"),
            ptx_size: function!("nvrtcGetPTXSize"),
            ptx: function!("nvrtcGetPTX"),
            error: function!("nvrtcGetErrorString"),
            _library: std::mem::ManuallyDrop::new(library),
        })
    }

    /// The log, and the image when it compiles.
    fn compile(&self, text: &[u8], order: &Order) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        let text = CString::new(text).map_err(|_| "the generated source holds a zero byte")?;
        let name = order.source.file_name().unwrap_or_default().as_bytes();
        let name = CString::new(name).map_err(|_| "a path holds a zero byte")?;
        let options = options(order)?;
        let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        let mut program: Program = std::ptr::null_mut();
        let none = std::ptr::null();
        // SAFETY: both texts end with a zero and outlive the program; there are no headers.
        let code =
            unsafe { (self.create)(&raw mut program, text.as_ptr(), name.as_ptr(), 0, none, none) };
        self.known("nvrtcCreateProgram", code)?;
        let count = c_int::try_from(pointers.len()).map_err(|_| "too many options")?;
        // SAFETY: the program was just made; as many options as there are pointers.
        let code = unsafe { (self.compile)(program, count, pointers.as_ptr()) };
        let log = self.bytes(program, self.log_size, self.log).unwrap_or_default();
        let log = log.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
        // The program is not given back: this process ends now.
        match code {
            SUCCESS => {}
            ERROR_COMPILATION | ERROR_INVALID_OPTION => return Ok((log, None)),
            _ => {
                let log = String::from_utf8_lossy(&log);
                return self
                    .known("nvrtcCompileProgram", code)
                    .map(|()| (Vec::new(), None))
                    .map_err(|why| format!("{log}{why}"));
            }
        }
        if order.output.extension().is_some_and(|e| e == "ptx") {
            let mut ptx = self.bytes(program, self.ptx_size, self.ptx)?;
            // It is given as a text of C.
            ptx.pop_if(|last| *last == 0);
            return Ok((log, Some(ptx)));
        }
        let cubin = self.bytes(program, self.cubin_size, self.cubin)?;
        Ok((log, Some(cubin)))
    }

    /// What two functions give: the size, then the bytes.
    fn bytes(
        &self,
        program: Program,
        size_of: unsafe extern "C" fn(Program, *mut usize) -> Code,
        get: unsafe extern "C" fn(Program, *mut c_char) -> Code,
    ) -> Result<Vec<u8>, String> {
        let mut size = 0_usize;
        // SAFETY: the program is alive, and the size is written to a number of ours.
        self.known("asking for a size", unsafe { size_of(program, &raw mut size) })?;
        let mut bytes = vec![0_u8; size];
        // SAFETY: as many bytes as the library just asked for.
        let code = unsafe { get(program, bytes.as_mut_ptr().cast()) };
        self.known("asking for a result", code)?;
        Ok(bytes)
    }

    fn known(&self, what: &str, code: Code) -> Result<(), String> {
        if code == SUCCESS {
            return Ok(());
        }
        // SAFETY: takes any number, and gives a text that lives as long as the library.
        let text = unsafe { CStr::from_ptr((self.error)(code)) };
        Err(format!("NVRTC failed in {what}: {}", text.to_string_lossy()))
    }
}

/// NVRTC opens its builtins by name when it first compiles. Where the folder is not one of the
/// loader's they are found by having been opened before.
fn preload_builtins(library: &Path) {
    let entries = library.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(b"libnvrtc-builtins.so") {
            // SAFETY: as for the library itself. Without it NVRTC says what it misses.
            let opened = unsafe { Library::new(entry.path()) };
            std::mem::forget(opened);
        }
    }
}

fn options(order: &Order) -> Result<Vec<CString>, String> {
    let folders = order.include_dirs.iter().chain(&order.toolkit_dirs);
    let folders = folders.map(|folder| {
        let mut option = OsString::from("--include-path=");
        option.push(folder);
        option
    });
    order
        .options
        .iter()
        .cloned()
        .chain(folders)
        .map(|option| {
            let shown = option.to_string_lossy().into_owned();
            CString::new(option.into_vec()).map_err(|_| format!("`{shown}` holds a zero byte"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::parse_depfile;

    fn order() -> Order {
        let path = |name: &str| PathBuf::from(name);
        Order {
            library: path("/l/libnvrtc.so.13"),
            source: path("/s/kernel.cu"),
            kernel: path("/k/my kernel.cu"),
            output: path("/s/kernel.cubin"),
            depfile: path("/s/0.d"),
            include_dirs: vec![path("/k"), path("/inc")],
            toolkit_dirs: vec![path("/cuda/include")],
            options: vec!["--gpu-architecture=sm_90a".into(), "--library".into()],
        }
    }

    #[test]
    fn an_order_reads_back_from_its_arguments() {
        let args = order().arguments();
        assert_eq!(args[0], NVRTC_COMMAND);
        assert_eq!(Order::read(args[1..].iter().cloned()), Some(order()));
        assert_eq!(Order::read(std::iter::empty()), None);
        assert_eq!(Order::read(["--what", "/x"].map(OsString::from).into_iter()), None);
        assert_eq!(Order::read(args[1..4].iter().cloned()), None);
    }

    #[test]
    fn paths_come_back_from_the_dependency_file() {
        let files = ["/k/my kernel.cu", "/k/a#1.h", "/k/$x.h", "/k/b\\ c.h"].map(PathBuf::from);
        let text = String::from_utf8(depfile(&files)).unwrap();
        assert_eq!(parse_depfile(&text), files);
    }

    #[test]
    fn a_library_that_is_none_is_an_answer() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("k.cu"), "").unwrap();
        fs::write(at("libnvrtc.so"), "no library").unwrap();
        for library in ["libnvrtc.so", "none.so"] {
            let order = Order {
                library: at(library),
                source: at("k.cu"),
                kernel: at("k.cu"),
                output: at("k.cubin"),
                depfile: at("k.d"),
                ..Order::default()
            };
            let (log, code) = main(order.arguments().into_iter().skip(1));
            assert_eq!(code, EXIT_NO_NVRTC);
            let log = String::from_utf8(log).unwrap();
            assert!(log.contains("NVRTC cannot be loaded") && log.contains(library), "{log}");
        }
    }
}
