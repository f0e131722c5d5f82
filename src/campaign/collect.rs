//! What an agent changed in its copy of the project.
//!
//! The copy is looked at as the agent left it: no link is followed, no FIFO opened, and what may be
//! taken over is copied out of it before anything else reads it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::event::{Changed, How, Rule, Violation};
use super::scope::{Meaning, Origin, Scope};
use crate::tree::Stat;

/// No source file is larger.
const MAX_BYTES: u64 = 10 << 20;
/// How many strays are named.
const MAX_STRAYS: usize = 100;
/// What belongs to the copy and not to the project.
const OWN: [&str; 2] = [".git", ".optloop"];

/// Where things lie.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The project as the agent got it.
    pub project: &'a Path,
    /// The agent's copy.
    pub lane: &'a Path,
    /// Where the changed files are kept, by their paths.
    pub kept: &'a Path,
}

/// What the agent got.
#[derive(Debug)]
pub struct Project<'a> {
    /// Its files by the bytes of their names, as they lay in its copy.
    pub copies: HashMap<&'a [u8], Stat>,
    /// Paths that are not the project's: what lies there is nobody's change.
    pub carry: &'a [String],
}

impl Project<'_> {
    fn is_carried(&self, name: &Path) -> bool {
        self.carry.iter().any(|path| name.starts_with(path))
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Changes that may be judged; those files that are not removed lie among the kept ones.
    pub files: Vec<Changed>,
    /// New files elsewhere.
    pub strays: Vec<String>,
    /// What makes the proposal invalid.
    pub violations: Vec<Violation>,
}

/// Holds the agent's copy against the project, and keeps what may be judged.
///
/// # Errors
/// When the copy cannot be read or the kept files cannot be written.
pub fn collect(places: Places<'_>, project: &Project<'_>, scope: &Scope) -> io::Result<Collected> {
    let mut found = Collected::default();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let walk = walkdir::WalkDir::new(places.lane).follow_links(false).min_depth(1);
    let own = |entry: &walkdir::DirEntry| {
        !(entry.depth() == 1 && OWN.iter().any(|own| entry.file_name() == *own))
    };
    for entry in walk.into_iter().filter_entry(own) {
        let entry = entry?;
        let name = entry.path().strip_prefix(places.lane).unwrap_or(entry.path());
        if entry.file_type().is_dir() || project.is_carried(name) {
            continue;
        }
        seen.insert(name.as_os_str().as_bytes().to_owned());
        let metadata = fs::symlink_metadata(entry.path())?;
        let known = project.copies.get(name.as_os_str().as_bytes());
        let origin = if known.is_some() { Origin::Project } else { Origin::New };
        // What nobody touched since it was copied need not be read.
        let is_untouched = known.is_some_and(|stat| *stat == Stat::of(&metadata));
        if is_untouched
            || origin == Origin::Project
                && is_same(&places.project.join(name), entry.path(), &metadata)?
        {
            continue;
        }
        found.take(places, name, &Seen { origin, metadata }, scope)?;
    }
    for name in project.copies.keys().filter(|name| !seen.contains(**name)) {
        let name = Path::new(OsStr::from_bytes(name));
        if !project.is_carried(name) {
            found.take_removed(name, scope);
        }
    }
    found.files.sort();
    found.strays.sort();
    found.strays.truncate(MAX_STRAYS);
    found.violations.sort();
    Ok(found)
}

/// A file that differs.
struct Seen {
    origin: Origin,
    metadata: Metadata,
}

impl Collected {
    fn take(
        &mut self,
        places: Places<'_>,
        name: &Path,
        seen: &Seen,
        scope: &Scope,
    ) -> io::Result<()> {
        let path = name.to_string_lossy().into_owned();
        let rule = match scope.meaning(&path, seen.origin) {
            Meaning::Stray => {
                self.strays.push(path);
                return Ok(());
            }
            Meaning::Forbidden(rule) => Some(rule),
            Meaning::Proposed if !seen.metadata.is_file() || name.to_str().is_none() => {
                Some(Rule::NotAFile)
            }
            Meaning::Proposed if seen.metadata.len() > MAX_BYTES => Some(Rule::TooLarge),
            Meaning::Proposed => keep(&places.lane.join(name), &places.kept.join(name))?,
        };
        let how = if seen.origin == Origin::New { How::Added } else { How::Edited };
        match rule {
            Some(rule) => self.violations.push(Violation { path, rule }),
            None => self.files.push(Changed { path, how }),
        }
        Ok(())
    }

    fn take_removed(&mut self, name: &Path, scope: &Scope) {
        let path = name.to_string_lossy().into_owned();
        match scope.meaning(&path, Origin::Project) {
            Meaning::Forbidden(rule) => self.violations.push(Violation { path, rule }),
            Meaning::Proposed | Meaning::Stray => {
                self.files.push(Changed { path, how: How::Removed });
            }
        }
    }
}

/// Whether a file of the copy is what the project has there.
fn is_same(project: &Path, copy: &Path, metadata: &Metadata) -> io::Result<bool> {
    let own = fs::symlink_metadata(project)?;
    if own.file_type() != metadata.file_type() {
        return Ok(false);
    }
    if metadata.is_symlink() {
        return Ok(fs::read_link(project)? == fs::read_link(copy)?);
    }
    if !metadata.is_file()
        || own.len() != metadata.len()
        || is_executable(&own) != is_executable(metadata)
    {
        return Ok(false);
    }
    let (Some(one), Some(other)) = (open(project)?, open(copy)?) else { return Ok(false) };
    same_bytes(one, other)
}

fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o100 != 0
}

/// Opens a plain file; none where something else took its place meanwhile.
fn open(path: &Path) -> io::Result<Option<File>> {
    // Neither follows a link nor waits for the other end of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Ok(None),
        opened => File::from(opened?),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

fn same_bytes(mut one: File, mut other: File) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (a, b) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if left[..a] != right[..b] {
            return Ok(false);
        }
        if a == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

/// Copies a file out of the lane; the rule that it breaks, if it does after all.
fn keep(from: &Path, to: &Path) -> io::Result<Option<Rule>> {
    let Some(file) = open(from)? else { return Ok(Some(Rule::NotAFile)) };
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Some(Rule::TooLarge));
    }
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::write(to, bytes)?;
    let mode = if metadata.mode() & 0o100 != 0 { 0o755 } else { 0o644 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::campaign::scope::Patterns;

    struct Lane {
        dir: tempfile::TempDir,
    }

    const FILES: [(&str, &str); 4] =
        [("k.c", "one\n"), ("lib/a.c", "a\n"), ("tests/t.py", "t\n"), ("run.sh", "r\n")];

    impl Lane {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            for (name, text) in FILES {
                for side in ["project", "lane"] {
                    let path = dir.path().join(side).join(name);
                    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                    fs::write(path, text).expect("written");
                }
            }
            Self { dir }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join("lane").join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::create_dir_all(self.at(name).parent().expect("a folder")).expect("made");
            fs::write(self.at(name), text).expect("written");
        }

        fn found(&self) -> Collected {
            let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
            let patterns = Patterns {
                edit: words(&["k.c", "lib", "run.sh"]),
                protect: words(&["tests"]),
                ..Patterns::default()
            };
            // Of other files: each is compared by its bytes.
            let copies = FILES.iter().map(|(name, _)| (name.as_bytes(), Stat::default()));
            let handed = Project { copies: copies.collect(), carry: &["env".to_owned()] };
            let (project, lane) = (self.dir.path().join("project"), self.dir.path().join("lane"));
            let kept = self.dir.path().join("kept");
            let places = Places { project: &project, lane: &lane, kept: &kept };
            collect(places, &handed, &Scope::new(&patterns).expect("patterns")).expect("collected")
        }
    }

    fn files(found: &Collected) -> Vec<(&str, How)> {
        found.files.iter().map(|file| (&file.path[..], file.how)).collect()
    }

    fn broken(found: &Collected) -> Vec<(&str, Rule)> {
        found.violations.iter().map(|broken| (&broken.path[..], broken.rule)).collect()
    }

    #[test]
    fn an_untouched_copy_holds_nothing_to_judge() {
        let lane = Lane::new();
        lane.write(".git/config", "planted");
        // Written anew with the same bytes.
        lane.write("k.c", "one\n");
        assert_eq!(lane.found(), Collected::default());
    }

    #[test]
    fn edits_additions_removals_and_modes_are_found_and_kept() {
        let lane = Lane::new();
        lane.write("k.c", "two\n");
        lane.write("lib/deep/new.c", "n\n");
        fs::remove_file(lane.at("lib/a.c")).expect("removed");
        fs::set_permissions(lane.at("run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
        lane.write("notes.txt", "x");
        let found = lane.found();
        let wanted = [
            ("k.c", How::Edited),
            ("lib/a.c", How::Removed),
            ("lib/deep/new.c", How::Added),
            ("run.sh", How::Edited),
        ];
        assert_eq!(files(&found), wanted);
        assert_eq!(found.strays, ["notes.txt"]);
        assert!(found.violations.is_empty());
        let kept = |name: &str| lane.dir.path().join("kept").join(name);
        assert_eq!(fs::read_to_string(kept("k.c")).expect("kept"), "two\n");
        assert!(is_executable(&fs::metadata(kept("run.sh")).expect("kept")));
    }

    #[test]
    fn what_is_protected_outside_or_no_file_makes_it_invalid() {
        let lane = Lane::new();
        lane.write("tests/t.py", "passes\n");
        lane.write("tests/more.py", "x\n");
        fs::remove_file(lane.at("k.c")).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", lane.at("k.c")).expect("linked");
        let fifo = lane.at("lib/pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .expect("a FIFO");
        lane.write("lib/large", "");
        File::options()
            .write(true)
            .open(lane.at("lib/large"))
            .expect("open")
            .set_len(MAX_BYTES + 1)
            .expect("grown");
        let found = lane.found();
        let wanted = [
            ("k.c", Rule::NotAFile),
            ("lib/large", Rule::TooLarge),
            ("lib/pipe", Rule::NotAFile),
            ("tests/more.py", Rule::Protected),
            ("tests/t.py", Rule::Protected),
        ];
        assert_eq!(broken(&found), wanted);
        assert!(found.files.is_empty());
    }
}
