//! Whether a compiler has sanitizers, and what a process needs to hold code built with them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::super::super::{StageContext, compile};
use crate::backend::cpu::compiler::SANITIZE_FLAGS;
use crate::process::{self, CommandSpec, Exit};

/// What the sanitizers are told to exit with.
pub(super) const EXIT: i32 = 95;

/// Long enough for any compiler to build nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What code built with sanitizers needs.
#[derive(Debug, Clone)]
pub(super) struct Runtime {
    /// The library that must be there before everything else.
    pub(super) preload: PathBuf,
    /// Flags besides [`SANITIZE_FLAGS`].
    pub(super) link: Vec<String>,
}

/// Why a compiler has no sanitizers.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoSanitizers {
    /// The compiler itself did not answer.
    #[error(transparent)]
    Compiler(#[from] ProbeError),
    /// Their library is not installed.
    #[error("{compiler} has no {library} (for example from {package})")]
    NoLibrary { compiler: String, library: String, package: &'static str },
    /// Nothing can be linked with them.
    #[error("{compiler} cannot build with sanitizers: {why}")]
    NoBuild { compiler: String, why: ProbeError },
}

/// Why a call of a compiler gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum ProbeError {
    /// It could not be started, or given anything to build.
    #[error("{0}")]
    System(String),
    /// It failed; its first line.
    #[error("{0}")]
    Failed(String),
}

type Known = BTreeMap<PathBuf, Result<Runtime, NoSanitizers>>;

/// What was found out about each compiler, once in a process.
static KNOWN: Mutex<Known> = Mutex::new(Known::new());

/// The sanitizers of a compiler, or why there are none.
pub(super) fn of(compiler: &Path, ctx: &StageContext<'_>) -> Result<Runtime, NoSanitizers> {
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = known.get(compiler) {
        return found.clone();
    }
    let found = probe(&Asked { compiler, ctx });
    if !ctx.cancel.is_set() {
        known.insert(compiler.to_owned(), found.clone());
    }
    found
}

struct Asked<'a> {
    compiler: &'a Path,
    ctx: &'a StageContext<'a>,
}

fn probe(asked: &Asked<'_>) -> Result<Runtime, NoSanitizers> {
    let name = asked.compiler.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_clang = asked.run(&["--version".into()])?.contains("clang");
    let arch = std::env::consts::ARCH;
    let libraries = if is_clang {
        vec![format!("libclang_rt.asan-{arch}.so"), "libclang_rt.asan.so".to_owned()]
    } else {
        vec!["libasan.so".to_owned()]
    };
    let preload = libraries.iter().find_map(|library| asked.file(library)).ok_or_else(|| {
        let package = if is_clang { "libclang-rt-dev" } else { "libasan" };
        let (compiler, library) = (name.clone(), libraries[0].clone());
        NoSanitizers::NoLibrary { compiler, library, package }
    })?;
    let link: Vec<String> = if is_clang { vec!["-shared-libasan".to_owned()] } else { Vec::new() };
    asked.build(&link).map_err(|why| NoSanitizers::NoBuild { compiler: name, why })?;
    Ok(Runtime { preload, link })
}

impl Asked<'_> {
    /// What the compiler prints, when it exits with 0.
    fn run(&self, args: &[OsString]) -> Result<String, ProbeError> {
        let marker = format!("{}.probe", self.ctx.marker);
        let mut spec = CommandSpec::new(self.compiler, self.ctx.scratch, marker);
        spec.args = args.to_vec();
        spec.env = compile::environment(self.ctx);
        spec.timeout = Some(PATIENCE);
        let finished =
            process::run(&spec, self.ctx.cancel).map_err(|e| ProbeError::System(e.to_string()))?;
        let text = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
        if finished.exit == Exit::Code(0) {
            return Ok(text);
        }
        let first = text.lines().next().unwrap_or("it failed without a word");
        Err(ProbeError::Failed(first.to_owned()))
    }

    /// Compiles and links a shared object of nothing.
    fn build(&self, link: &[String]) -> Result<(), ProbeError> {
        let (source, output) =
            (self.ctx.scratch.join("empty.c"), self.ctx.scratch.join("empty.so"));
        fs::write(&source, "").map_err(|e| ProbeError::System(e.to_string()))?;
        let mut args: Vec<OsString> = SANITIZE_FLAGS.iter().map(OsString::from).collect();
        args.extend(link.iter().map(OsString::from));
        args.extend(["-fPIC", "-shared", "-Wl,-z,defs", "-x", "c"].map(OsString::from));
        args.extend([source.into_os_string(), "-o".into(), output.into_os_string()]);
        self.run(&args).map(drop)
    }

    /// A library of the compiler's, which may be a linker script that names it.
    fn file(&self, library: &str) -> Option<PathBuf> {
        let found = PathBuf::from(self.run(&[format!("-print-file-name={library}").into()]).ok()?);
        let bytes = found.is_absolute().then(|| fs::read(&found).ok()).flatten()?;
        if bytes.starts_with(b"\x7fELF") { Some(found) } else { scripted(&bytes) }
    }
}

/// The shared object that a linker script names: `INPUT ( /usr/lib64/libasan.so.8.0.0 )`.
fn scripted(script: &[u8]) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(script);
    let named = text.split_whitespace().find(|word| word.starts_with('/') && word.contains(".so"));
    named.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linker_script_names_the_library() {
        let script = b"/* GNU ld script */\nINPUT ( /usr/lib64/libasan.so.8.0.0 )\n";
        assert_eq!(scripted(script), Some("/usr/lib64/libasan.so.8.0.0".into()));
        assert_eq!(scripted(b"nothing"), None);
    }
}
