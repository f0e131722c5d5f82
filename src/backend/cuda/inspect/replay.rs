//! A kernel launched alone on a device, for tools that look into kernels: no judge, no clock, no
//! socket, in the process that the tool watches.
//!
//! Entered by `optloop __cuda_replay DEVICE BUNDLE ARGS LAUNCHES`; [`prepare`] writes the file of
//! arguments and gives that command line.

use std::ffi::{OsStr, OsString, c_void};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::cuda::bundle::{Bundle, ImageKind};
use crate::backend::cuda::driver::{self, Context, Memory, Stream};
use crate::backend::cuda::find::Places;
use crate::backend::cuda::kernel::Kernel;
use crate::backend::cuda::probe;
use crate::backend::cuda::worker::ordinal_of;
use crate::backend::link::protocol::Reply;
use crate::backend::{Argument, Grid, Trouble};
use crate::host::Host;
use crate::process::sandbox::{self, Confinement};

/// The argument that makes this executable a replay on a CUDA device.
pub const CUDA_REPLAY_COMMAND: &str = "__cuda_replay";

/// The exit code of a replay that cannot read what it was given.
pub const EXIT_UNREADABLE: u8 = 2;

/// The exit code of a replay that has no such device, or whose device does not take the kernel.
pub const EXIT_DEVICE: u8 = 3;

/// The exit code of a replay whose kernel failed on the device.
pub const EXIT_KERNEL: u8 = 4;

/// What is to be launched, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Replay<'a> {
    /// The executable that answers to [`CUDA_REPLAY_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// The device: its number, or `GPU-` and its UUID.
    pub device: &'a str,
    /// The built kernel, a [`Bundle`] by absolute path.
    pub bundle: &'a Path,
    /// The launch's geometry.
    pub grid: Grid,
    /// One set of arguments.
    pub arguments: &'a [Argument<'a>],
    /// How often; arguments that are read and written start afresh each time.
    pub launches: u32,
}

/// What a replay needs beyond its command line, as it lies in its file.
#[derive(Debug, Serialize, Deserialize)]
struct Recipe {
    grid: Grid,
    arguments: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Kept {
    Scalar(Vec<u8>),
    In(Vec<u8>),
    Inout(Vec<u8>),
    Out(u64),
}

/// Writes down one set of arguments, and gives the command line that launches the kernel on it.
///
/// # Errors
/// When the file cannot be written.
pub fn prepare(replay: &Replay<'_>, file: &Path) -> io::Result<Vec<OsString>> {
    let keep = |argument: &Argument<'_>| match *argument {
        Argument::Scalar(bytes) => Kept::Scalar(bytes.to_vec()),
        Argument::In(bytes) => Kept::In(bytes.to_vec()),
        Argument::Inout(bytes) => Kept::Inout(bytes.to_vec()),
        Argument::Drawn(draw) => Kept::In(draw.to_vec()),
        Argument::DrawnInout(draw) => Kept::Inout(draw.to_vec()),
        Argument::Out(bytes) => Kept::Out(bytes as u64),
    };
    let arguments = replay.arguments.iter().map(keep).collect();
    let recipe = Recipe { grid: replay.grid, arguments };
    fs::write(file, postcard::to_stdvec(&recipe).map_err(io::Error::other)?)?;
    Ok(vec![
        replay.program.into(),
        CUDA_REPLAY_COMMAND.into(),
        replay.device.into(),
        replay.bundle.into(),
        file.into(),
        replay.launches.to_string().into(),
    ])
}

/// Why a replay did not come to its end.
#[derive(Debug)]
pub struct Ended {
    /// The exit code that says so.
    pub exit: u8,
    /// What went wrong, in a line.
    pub what: String,
}

impl Ended {
    fn unreadable(what: impl fmt::Display) -> Self {
        Self { exit: EXIT_UNREADABLE, what: what.to_string() }
    }

    fn device(what: impl fmt::Display) -> Self {
        Self { exit: EXIT_DEVICE, what: what.to_string() }
    }

    /// A call of the driver's that failed once the kernel had been loaded.
    fn called(error: driver::Error) -> Self {
        let exit = match driver::trouble(error.code) {
            Trouble::Crashed => EXIT_KERNEL,
            _ => EXIT_DEVICE,
        };
        Self { exit, what: error.to_string() }
    }

    fn refused(reply: Reply) -> Self {
        Self::device(match reply {
            Reply::Failed(what) | Reply::Unloadable(what) | Reply::Refused(what) => what,
            Reply::Trouble { code, call } => format!("{call} said {} ({code})", driver::name(code)),
            _ => "the kernel cannot be loaded".to_owned(),
        })
    }
}

/// Launches what the command line says, `args` being everything behind [`CUDA_REPLAY_COMMAND`];
/// `env` is the environment, for where libraries lie.
///
/// # Errors
/// Why that did not come to its end, with the exit code for it.
pub fn run(args: &[OsString], host: &dyn Host) -> Result<(), Ended> {
    let [device, bundle, file, launches] = args else {
        return Err(Ended::unreadable(format!(
            "{CUDA_REPLAY_COMMAND} takes DEVICE BUNDLE ARGS LAUNCHES"
        )));
    };
    let launches: u32 = text(launches)?.parse().map_err(Ended::unreadable)?;
    let file = PathBuf::from(file);
    let bundle = read(Path::new(bundle), Bundle::from_bytes)?;
    let recipe: Recipe =
        read(&file, |bytes| postcard::from_bytes(bytes).map_err(io::Error::other))?;
    probe::ready(&Places::of(host)).map_err(Ended::device)?;
    let ordinal = ordinal_of(text(device)?).map_err(Ended::refused)?;
    let context = Context::of(ordinal).map_err(Ended::called)?;
    let work = Work { bundle: &bundle, recipe: &recipe, launches };
    replay(&work, context, file.parent().unwrap_or(Path::new(".")))
}

fn text(word: &OsStr) -> Result<&str, Ended> {
    word.to_str().ok_or_else(|| Ended::unreadable(format!("{}: no text", word.display())))
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> io::Result<T>) -> Result<T, Ended> {
    let content = fs::read(path).and_then(|bytes| parse(&bytes));
    content.map_err(|e| Ended::unreadable(format!("{}: {e}", path.display())))
}

/// What is launched, and how often.
struct Work<'a> {
    bundle: &'a Bundle,
    recipe: &'a Recipe,
    launches: u32,
}

fn replay(work: &Work<'_>, context: Context, folder: &Path) -> Result<(), Ended> {
    let Work { bundle, recipe, launches } = *work;
    let host_code = bundle.kind == ImageKind::Shared;
    if host_code {
        // As confined as a worker, where the system can: what cannot be had is no reason to refuse,
        // for what runs here ran in a confined worker before.
        let spec = Confinement { reads: Vec::new(), writes: vec![folder.to_owned()] };
        drop(sandbox::confine(&spec));
    }
    let kernel = Kernel::load(bundle, folder, 0).map_err(Ended::refused)?;
    if let Some(what) = kernel.refuse(&recipe.grid, context).map_err(Ended::called)? {
        return Err(Ended::device(what));
    }
    let stream = Stream::new().map_err(Ended::called)?;
    let staged = Staged::of(&recipe.arguments, bundle.kind)?;
    for _ in 0..launches {
        staged.restore(&recipe.arguments).map_err(Ended::called)?;
        kernel.launch(&recipe.grid, &staged.pointers, &stream).map_err(Ended::called)?;
        Context::wait().map_err(Ended::called)?;
    }
    if host_code {
        // The candidate may have threads that still use what would be given back.
        std::mem::forget((staged, stream, kernel));
        return Ok(());
    }
    drop((staged, stream, kernel));
    context.release().map_err(Ended::called)
}

/// A set of arguments on the device.
struct Staged {
    pointers: Vec<*mut c_void>,
    /// Each buffer with its argument's number.
    buffers: Vec<(usize, Memory)>,
    /// What `pointers` point to, but for buffers that host code gets by their addresses.
    #[expect(clippy::vec_box, reason = "a value stays in place while the list grows")]
    values: Vec<Box<[u64; 2]>>,
}

impl Staged {
    /// For a kernel of this kind.
    fn of(arguments: &[Kept], kind: ImageKind) -> Result<Self, Ended> {
        let host_code = kind == ImageKind::Shared;
        let mut staged = Self { pointers: Vec::new(), buffers: Vec::new(), values: Vec::new() };
        for (number, argument) in arguments.iter().enumerate() {
            let (value, is_buffer) = match argument {
                Kept::Scalar(bytes) => (scalar(bytes)?, false),
                Kept::In(bytes) | Kept::Inout(bytes) => (staged.buffer(number, bytes)?, true),
                Kept::Out(bytes) => {
                    let bytes = usize::try_from(*bytes).map_err(Ended::unreadable)?;
                    (staged.buffer(number, &vec![0; bytes])?, true)
                }
            };
            let mut value = Box::new(value);
            staged.pointers.push(if host_code && is_buffer {
                value[0] as *mut c_void
            } else {
                value.as_mut_ptr().cast()
            });
            staged.values.push(value);
        }
        Ok(staged)
    }

    fn buffer(&mut self, number: usize, bytes: &[u8]) -> Result<[u64; 2], Ended> {
        let memory = Memory::of(bytes.len()).map_err(Ended::called)?;
        memory.write(memory.at, bytes).map_err(Ended::called)?;
        let at = memory.at;
        self.buffers.push((number, memory));
        Ok([at, 0])
    }

    /// Writes what the kernel reads and writes anew: a second launch on its own results could go
    /// where the first cannot.
    fn restore(&self, arguments: &[Kept]) -> driver::Result<()> {
        for (number, memory) in &self.buffers {
            if let Some(Kept::Inout(bytes)) = arguments.get(*number) {
                memory.write(memory.at, bytes)?;
            }
        }
        Ok(())
    }
}

/// A value's bytes at the start of two words.
fn scalar(bytes: &[u8]) -> Result<[u64; 2], Ended> {
    let mut both = [0_u8; 16];
    let place = both.get_mut(..bytes.len());
    place.ok_or_else(|| Ended::unreadable("a value of more than 16 bytes"))?.copy_from_slice(bytes);
    let (words, _) = both.as_chunks::<8>();
    Ok([u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    const GRID: Grid = Grid { blocks: [7, 2, 1], threads: [32, 4, 1], shared_bytes: 64 };

    #[test]
    fn the_file_holds_what_a_launch_needs_and_the_command_line_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("recipe");
        let arguments = [
            Argument::In(&[1, 2]),
            Argument::Inout(&[3]),
            Argument::Out(9),
            Argument::Scalar(&[4, 0, 0, 0]),
        ];
        let (program, bundle) = (Path::new("/bin/optloop"), Path::new("/k.cuda"));
        let replay =
            Replay { program, device: "1", bundle, grid: GRID, arguments: &arguments, launches: 3 };
        let line = prepare(&replay, &file).unwrap();
        let words = ["/bin/optloop", "__cuda_replay", "1", "/k.cuda"];
        assert_eq!(line[..4], words.map(OsString::from));
        assert_eq!((line[4].as_os_str(), line[5].as_os_str()), (file.as_os_str(), "3".as_ref()));
        let recipe: Recipe = postcard::from_bytes(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(recipe.grid, GRID);
        let [Kept::In(x), Kept::Inout(y), Kept::Out(9), Kept::Scalar(n)] = &recipe.arguments[..]
        else {
            panic!("{recipe:?}");
        };
        assert_eq!((&x[..], &y[..], &n[..]), (&[1, 2][..], &[3][..], &[4, 0, 0, 0][..]));
    }

    #[test]
    fn what_cannot_be_read_is_said_before_any_device_is_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, file) = (dir.path().join("k"), dir.path().join("recipe"));
        fs::write(&bundle, "no bundle").unwrap();
        fs::write(&file, [200]).unwrap();
        let line = |bundle: &Path, launches: &str| -> Vec<OsString> {
            vec!["0".into(), bundle.into(), file.clone().into(), launches.into()]
        };
        for (args, word) in [
            (vec!["0".into()], "DEVICE BUNDLE ARGS LAUNCHES"),
            (line(&bundle, "many"), "invalid digit"),
            (line(&bundle, "1"), "no built CUDA kernel"),
            (line(&dir.path().join("absent"), "1"), "absent: No such file"),
        ] {
            let ended = run(&args, &MemoryHost::default()).expect_err("nothing to launch");
            assert_eq!(ended.exit, EXIT_UNREADABLE, "{ended:?}");
            assert!(ended.what.contains(word), "{}", ended.what);
        }
    }

    #[test]
    fn values_of_more_than_two_words_are_refused() {
        assert_eq!(scalar(&[5, 0, 0, 0]).unwrap()[0].to_ne_bytes()[0], 5);
        assert_eq!(scalar(&[0; 17]).unwrap_err().exit, EXIT_UNREADABLE);
    }
}
