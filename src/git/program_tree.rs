//! The files of a commit through the `git` program.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::program::{Program, object, path, pieces};
use super::tree::{Kind, Tree, attributes, within_limits};

/// The tree of one commit.
pub(super) struct Listed<'p> {
    program: &'p Program,
    private: &'p Path,
    commit: String,
    files: BTreeMap<PathBuf, Kind>,
}

impl<'p> Listed<'p> {
    pub(super) fn new(
        program: &'p Program,
        private: &'p Path,
        commit: &str,
    ) -> Result<Self, Error> {
        let output = program.read(&["ls-tree", "-r", "-z", "--full-tree", commit], &[])?;
        // `MODE TYPE ID<tab>PATH`
        let file = |piece: &[u8]| {
            let tab = piece.iter().position(|byte| *byte == b'\t')?;
            let plain = piece.starts_with(b"100644 ") || piece.starts_with(b"100755 ");
            let kind = if plain { Kind::File } else { Kind::Other };
            Some((path(&piece[tab + 1..]), kind))
        };
        let files = pieces(&output).filter_map(file).collect();
        Ok(Self { program, private, commit: commit.to_owned(), files })
    }

    /// Refuses parts that are too large. Their sizes are asked for only now: where blobs are fetched
    /// one by one, those of a whole repository would be.
    fn weigh(&self, part: &Path) -> Result<(), Error> {
        let words = ["ls-tree", "-r", "-l", "-z", "--full-tree", &self.commit, "--"];
        let whole = part.as_os_str().is_empty();
        let paths: &[PathBuf] = if whole { &[] } else { &[part.to_owned()] };
        let output = self.program.read(&words, paths)?;
        // `MODE TYPE ID SIZE<tab>PATH`
        let size = |piece: &[u8]| -> Option<u64> {
            let tab = piece.iter().position(|byte| *byte == b'\t')?;
            let text = std::str::from_utf8(&piece[..tab]).ok()?;
            text.split_whitespace().nth(3)?.parse().ok()
        };
        let sizes: Vec<u64> = pieces(&output).filter_map(size).collect();
        within_limits(part, sizes.iter().sum(), sizes.len())
    }

    /// Checks the paths out below `scratch`, with an index of its own.
    fn check_out(&self, paths: &[PathBuf], scratch: &Path) -> Result<PathBuf, Error> {
        let made = scratch.join("files");
        let doing = || format!("writing `{}`", made.display());
        fs::create_dir(&made).map_err(Error::failed(doing()))?;
        let git = self.program.clone().at(&made);
        let git = git.with("GIT_DIR", self.private).with("GIT_WORK_TREE", &made);
        let git = git.with("GIT_INDEX_FILE", scratch.join("index"));
        // The hooks are for what the user checks out.
        let git = git.set("core.hooksPath=/dev/null").set("core.sparseCheckout=false");
        let git = git.set("core.splitIndex=false").set("core.fsmonitor=false");
        let said = git.run(&["checkout", "--quiet", &self.commit, "--"], paths)?;
        if said.is_fine() { Ok(made) } else { Err(said.blocked("checkout")) }
    }
}

impl Tree for Listed<'_> {
    fn kind(&self, path: &Path) -> Option<Kind> {
        let below = self.files.range(path.to_owned()..).next();
        let (first, kind) = below.filter(|(first, _)| first.starts_with(path))?;
        Some(if first == path { *kind } else { Kind::Folder })
    }

    fn text(&self, path: &Path) -> Option<String> {
        let object = object(&self.commit, path);
        let content = self.program.read(&["cat-file", "blob"], &[object]).ok()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    fn named(&self, name: &[u8]) -> Option<PathBuf> {
        let has = |file: &&PathBuf| file.file_name().is_some_and(|own| own.as_bytes() == name);
        self.files.keys().find(has).cloned()
    }

    fn write(&self, parts: &[PathBuf], _kernel: &[PathBuf], dir: &Path) -> Result<(), Error> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for part in parts {
            self.weigh(part)?;
            let is_there = |path: &PathBuf| self.files.contains_key(path);
            paths.extend(attributes(part).filter(is_there));
            paths.push(if part.as_os_str().is_empty() { ".".into() } else { part.clone() });
        }
        let doing = || format!("writing `{}`", dir.display());
        let parent = dir.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(Error::failed(doing()))?;
        let scratch = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
        let scratch = scratch.map_err(Error::failed(doing()))?;
        let made = self.check_out(&paths, scratch.path())?;
        put(&made, dir, &scratch.path().join("old")).map_err(Error::failed(doing()))
    }
}

/// Puts a folder in the place of another, unless both hold the same.
fn put(made: &Path, dir: &Path, old: &Path) -> io::Result<()> {
    if !dir.is_dir() {
        return fs::rename(made, dir);
    }
    if content(made)? == content(dir)? {
        return Ok(());
    }
    fs::rename(dir, old)?;
    fs::rename(made, dir)
}

pub(super) type Content = BTreeMap<PathBuf, (bool, Vec<u8>)>;

/// What lies in a folder: by path, whether it is executable, and its bytes.
pub(super) fn content(folder: &Path) -> io::Result<Content> {
    let mut content = Content::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let bytes = if entry.file_type().is_symlink() {
            fs::read_link(entry.path())?.as_os_str().as_bytes().to_vec()
        } else {
            fs::read(entry.path())?
        };
        let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        content.insert(path.to_owned(), (executable, bytes));
    }
    Ok(content)
}
