//! Which libraries the system's loader will load with a built kernel, without loading anything:
//! what the object asks for, what those ask for in turn, and where each is found.
//!
//! A result hangs on them as much as on the kernel itself, a worker has to be allowed to read
//! them, and `LD_LIBRARY_PATH` counts only as far as it leads to one of them.

mod cache;
mod elf;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::backend::cuda::{Bundle, ImageKind};
use elf::Object;

/// Where every loader looks last.
const USUAL: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// Folders below a folder of libraries in which variants for newer processors are looked for.
#[cfg(target_arch = "x86_64")]
const VARIANTS: &[&str] =
    &["glibc-hwcaps/x86-64-v4", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v2"];
#[cfg(not(target_arch = "x86_64"))]
const VARIANTS: &[&str] = &[];

/// What `$LIB` stands for in a search path: one of these.
const LIB: [&str; 3] = ["lib64", "lib", MULTIARCH];
#[cfg(target_arch = "x86_64")]
const MULTIARCH: &str = "lib/x86_64-linux-gnu";
#[cfg(target_arch = "aarch64")]
const MULTIARCH: &str = "lib/aarch64-linux-gnu";

/// The driver's library, which is loaded with every kernel for a CUDA device.
const CUDA_DRIVER: &str = "libcuda.so.1";

/// A library that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The name by which it is asked for.
    pub name: OsString,
    /// Where it is found: the folder that decides, and variants of the library in it. Empty when
    /// it is nowhere.
    pub files: Vec<PathBuf>,
    /// It is found where the system keeps its libraries, and nowhere before.
    pub is_system: bool,
}

/// The libraries that are loaded with a built kernel, in the order in which they are asked for;
/// `None` where there is no such file. `library_path` is a worker's `LD_LIBRARY_PATH`.
pub fn needed(object: &Path, library_path: &[u8]) -> Option<Vec<Library>> {
    let mut search = Search { library_path: folders(library_path), ..Search::default() };
    match Object::read(object) {
        Some(root) => {
            search.ask_for(&root, &Asked { origin: origin(object), inherited: Vec::new() });
        }
        None => search.bundle(object)?,
    }
    search.settle();
    Some(search.found)
}

/// The files whose content a result hangs on: all of [`needed`], but for a CUDA driver, which is
/// part of what its device is.
pub fn contents(libraries: Vec<Library>) -> impl Iterator<Item = PathBuf> {
    libraries.into_iter().filter(|l| l.name != CUDA_DRIVER).flat_map(|library| library.files)
}

/// Where [`needed`] found what is not among the system's libraries, or did not find it: a line for
/// each, with what lies below `root` named from there.
pub fn describe(libraries: &[Library], root: &Path) -> String {
    let shown = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let line = |library: &Library| {
        let files: Vec<String> = library.files.iter().map(shown).collect();
        format!("{} {}\n", library.name.display(), files.join(" "))
    };
    libraries.iter().filter(|library| !library.is_system).map(line).collect()
}

/// The absolute folders of a library path. What is relative to the current folder is left out, as
/// the sandbox leaves it out.
fn folders(value: &[u8]) -> Vec<PathBuf> {
    let parts = value.split(|&byte| matches!(byte, b':' | b';'));
    parts.map(|part| PathBuf::from(OsStr::from_bytes(part))).filter(|p| p.is_absolute()).collect()
}

fn origin(object: &Path) -> PathBuf {
    let real = object.canonicalize().unwrap_or_else(|_| object.to_owned());
    real.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Who asks: where it lies, and the search paths that it has from those who loaded it.
#[derive(Clone, Default)]
struct Asked {
    origin: PathBuf,
    inherited: Vec<PathBuf>,
}

/// A name that is looked for.
struct Wish {
    name: OsString,
    first: Vec<PathBuf>,
    after: Vec<PathBuf>,
    system: bool,
    asked: Asked,
}

/// Names are settled in the order in which they are asked for, each once.
#[derive(Default)]
struct Search {
    library_path: Vec<PathBuf>,
    wishes: std::collections::VecDeque<Wish>,
    known: HashSet<OsString>,
    found: Vec<Library>,
}

impl Search {
    /// Host code that is packed with a CUDA kernel, and what every one of those needs.
    fn bundle(&mut self, path: &Path) -> Option<()> {
        let bytes = std::fs::read(path).ok()?;
        let driver = Object { needed: vec![CUDA_DRIVER.into()], ..Object::default() };
        self.ask_for(&driver, &Asked::default());
        if let Ok(Bundle { kind: ImageKind::Shared, image, .. }) = Bundle::from_bytes(&bytes)
            && let Some(object) = Object::parse(&image[..])
        {
            self.ask_for(&object, &Asked::default());
        }
        Some(())
    }

    fn ask_for(&mut self, object: &Object, asked: &Asked) {
        let expand = |path: &[u8]| expanded(path, &asked.origin);
        let run_path: Vec<PathBuf> = object.run_path.iter().flat_map(|p| expand(p)).collect();
        // One that has the newer kind of path has done with the older, and with its loaders'.
        let old: Vec<PathBuf> = match object.run_path {
            Some(_) => Vec::new(),
            None => object
                .old_path
                .iter()
                .flat_map(|p| expand(p))
                .chain(asked.inherited.clone())
                .collect(),
        };
        for name in &object.needed {
            if self.known.insert(name.clone()) {
                self.wishes.push_back(Wish {
                    name: name.clone(),
                    first: old.clone(),
                    after: run_path.clone(),
                    system: !object.own_folders_only,
                    asked: Asked { origin: PathBuf::new(), inherited: old.clone() },
                });
            }
        }
    }

    fn settle(&mut self) {
        while let Some(wish) = self.wishes.pop_front() {
            let (files, is_system) = self.places(&wish);
            if let Some((path, object)) =
                files.first().and_then(|path| Some((path, Object::read(path)?)))
            {
                let asked = Asked { origin: origin(path), ..wish.asked };
                self.ask_for(&object, &asked);
            }
            self.found.push(Library { name: wish.name, files, is_system });
        }
    }

    fn places(&self, wish: &Wish) -> (Vec<PathBuf>, bool) {
        if wish.name.as_bytes().contains(&b'/') {
            return (usable(PathBuf::from(&wish.name)).into_iter().collect(), false);
        }
        let own = wish.first.iter().chain(&self.library_path).chain(&wish.after);
        let mut own = own.map(|folder| in_folder(folder, &wish.name));
        match own.find(|files| !files.is_empty()) {
            Some(files) => (files, false),
            None => Self::system(wish).map_or((Vec::new(), false), |files| (files, true)),
        }
    }

    fn system(wish: &Wish) -> Option<Vec<PathBuf>> {
        let cached = || {
            let files: Vec<PathBuf> =
                cache::places(&wish.name).into_iter().filter_map(usable).collect();
            (wish.system && !files.is_empty()).then_some(files)
        };
        cached().or_else(|| {
            let all = USUAL.iter().map(|folder| in_folder(Path::new(folder), &wish.name));
            all.into_iter().find(|files| !files.is_empty())
        })
    }
}

/// The library in a folder: variants first, as the loader prefers them.
fn in_folder(folder: &Path, name: &OsStr) -> Vec<PathBuf> {
    let variants = VARIANTS.iter().map(|variant| folder.join(variant));
    variants.chain([folder.to_owned()]).filter_map(|f| usable(f.join(name))).collect()
}

/// Of another architecture, the loader passes it by.
fn usable(path: PathBuf) -> Option<PathBuf> {
    elf::is_native(&path).then_some(path)
}

/// The folders of a search path in an object, with what stands for its own place put in.
fn expanded(path: &[u8], origin: &Path) -> Vec<PathBuf> {
    let text = String::from_utf8_lossy(path);
    let put = |text: String, name: &str, value: &str| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    };
    let mut all = Vec::new();
    for part in text.split(':').filter(|part| !part.is_empty()) {
        let part = put(part.to_owned(), "ORIGIN", &origin.to_string_lossy());
        let part = put(part, "PLATFORM", std::env::consts::ARCH);
        if part.contains("$LIB") || part.contains("${LIB}") {
            all.extend(LIB.map(|lib| PathBuf::from(put(part.clone(), "LIB", lib))));
        } else {
            all.push(PathBuf::from(part));
        }
    }
    all.retain(|folder| folder.is_absolute());
    // Where a link may stand before it, `..` is asked of the disk.
    let plain = |folder: PathBuf| {
        let is_plain = folder.components().all(|c| c != Component::ParentDir);
        if is_plain { folder } else { folder.canonicalize().unwrap_or(folder) }
    };
    all.into_iter().map(plain).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
