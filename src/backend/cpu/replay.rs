//! A kernel launched alone, for tools that count what a process does: no judge, no clock, no
//! socket, in the process that the tool watches.
#![expect(unsafe_code, reason = "opens and calls foreign code")]

use std::ffi::{CString, OsString, c_void};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use serde::{Deserialize, Serialize};

use super::super::{Argument, LAUNCH_SYMBOL};
use crate::process::sandbox::{self, Confinement};

/// The argument that makes this executable a replay.
pub const REPLAY_COMMAND: &str = "__replay";

/// What a replay needs, as it lies in its file.
#[derive(Debug, Serialize, Deserialize)]
struct Recipe {
    library: PathBuf,
    launches: u32,
    arguments: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Kept {
    Scalar(Vec<u8>),
    Buffer(Vec<u8>),
}

/// What is to be launched, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Replay<'a> {
    /// The executable that answers to [`REPLAY_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// The built kernel: an absolute path.
    pub library: &'a Path,
    /// One set of arguments.
    pub arguments: &'a [Argument<'a>],
    /// How often.
    pub launches: u32,
}

/// Writes down one set of arguments, and gives the command line that launches the kernel on it so
/// often.
///
/// # Errors
/// When the file cannot be written.
pub fn prepare(replay: &Replay<'_>, file: &Path) -> io::Result<Vec<OsString>> {
    let Replay { program, library, launches, .. } = *replay;
    let keep = |argument: &Argument<'_>| match *argument {
        Argument::Scalar(bytes) => Kept::Scalar(bytes.to_vec()),
        Argument::In(bytes) | Argument::Inout(bytes) => Kept::Buffer(bytes.to_vec()),
        Argument::Drawn(draw) | Argument::DrawnInout(draw) => Kept::Buffer(draw.to_vec()),
        Argument::Out(bytes) => Kept::Buffer(vec![0; bytes]),
    };
    let arguments = replay.arguments.iter().map(keep).collect();
    let recipe = Recipe { library: library.to_owned(), launches, arguments };
    fs::write(file, postcard::to_stdvec(&recipe).map_err(io::Error::other)?)?;
    Ok(vec![program.into(), REPLAY_COMMAND.into(), file.into()])
}

/// Launches what the file named by the second argument of the command line says. As confined as
/// a worker, where the system can.
pub fn main() -> ExitCode {
    match std::env::args_os().nth(2).map(|file| replay(Path::new(&file))) {
        Some(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

type Launch = unsafe extern "C" fn(*const *mut c_void);

fn replay(file: &Path) -> io::Result<()> {
    let recipe: Recipe = postcard::from_bytes(&fs::read(file)?).map_err(io::Error::other)?;
    let spec = Confinement { reads: vec![recipe.library.clone()], writes: Vec::new() };
    // A simulated processor knows neither Landlock nor seccomp; what runs under it is what was
    // checked and measured in a confined worker before.
    drop(sandbox::confine(&spec));
    let mut buffers: Vec<Aligned> = recipe.arguments.iter().map(Aligned::of).collect();
    let pointers: Vec<*mut c_void> = buffers.iter_mut().map(Aligned::pointer).collect();
    // SAFETY: runs the candidate's constructors, in a process that is there for it.
    let library = unsafe { Library::open(Some(&recipe.library), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(io::Error::other)?;
    let name = CString::new(LAUNCH_SYMBOL).expect("a constant without NUL");
    // SAFETY: the trampoline that every built kernel holds declares it with this type.
    let launch = *unsafe { library.get::<Launch>(name.as_c_str()) }.map_err(io::Error::other)?;
    for _ in 0..recipe.launches {
        // SAFETY: one pointer per argument of the problem; the process is the candidate's alone.
        unsafe { launch(pointers.as_ptr()) };
    }
    // Not unloaded: the candidate's destructors are none of a tool's business.
    std::mem::forget(library);
    Ok(())
}

/// Bytes that start on a cache line, with a line to spare on both sides.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    const LINE: usize = 64;

    fn of(kept: &Kept) -> Self {
        let (Kept::Scalar(content) | Kept::Buffer(content)) = kept;
        let mut bytes = vec![0; content.len() + 3 * Self::LINE];
        let start = Self::LINE + bytes[Self::LINE..].as_ptr().align_offset(Self::LINE);
        bytes[start..start + content.len()].copy_from_slice(content);
        Self { bytes, start }
    }

    fn pointer(&mut self) -> *mut c_void {
        self.bytes[self.start..].as_mut_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_a_cache_line_and_hold_their_bytes() {
        for length in [0, 1, 63, 64, 1000] {
            let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut aligned = Aligned::of(&Kept::Buffer(content.clone()));
            assert_eq!(aligned.pointer() as usize % Aligned::LINE, 0);
            assert_eq!(aligned.bytes[aligned.start..aligned.start + length], content);
        }
    }
}
