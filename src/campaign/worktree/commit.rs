//! Commits exactly some files, as `git commit --only` does, and leaves all else alone.
//!
//! What happens, in this order: objects are written (git sees none of them), the new index is made
//! beside the old one, git's lock is taken, the branch moves if it is where it was, the new index
//! takes its place. A kill before the branch moves leaves the state before; a kill after it is
//! completed by whatever is called next (see [`super::index`]). Hooks, signatures and filters that
//! only the `git` program can run make it do the commit instead.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use git2::build::TreeUpdateBuilder;
use git2::{Commit, ErrorCode, FileMode, IndexEntry, IndexTime, Oid, Signature, Tree};

use super::checkout::{Checkout, Head, Named};
use super::index::{Outcome, PATIENCE, PAUSE, Snapshot, recover};
use super::{Refused, program};
use crate::process::Cancel;

/// How often a repository that changes under our hands is looked at anew.
const ATTEMPTS: u32 = 5;
/// How far back a commit of ours is looked for.
const ANCESTORS: usize = 64;

/// A commit message in its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub title: String,
    /// Paragraphs; may be empty.
    pub body: String,
    /// `Key: value` lines at the end, which programs read.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The message as git keeps it.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title.trim());
        if !self.body.trim().is_empty() {
            text.push_str(&format!("\n{}\n", self.body.trim_end()));
        }
        if !self.trailers.is_empty() {
            text.push('\n');
        }
        for (key, value) in &self.trailers {
            text.push_str(&format!("{key}: {value}\n"));
        }
        text
    }
}

/// What the `git` program gets when it must be asked.
pub struct Outside<'a> {
    /// The environment that optloop was started in.
    pub env: &'a [(OsString, OsString)],
    /// Ends the program, and with it the commit.
    pub cancel: &'a Cancel,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// There is a new commit.
    Done {
        /// Its id.
        commit: String,
        /// What it stands on; none when it is the first.
        parent: Option<String>,
        /// The branch, `refs/heads/…`.
        branch: String,
        /// Files (below the repository) that a hook or filter changed on the way: the commit holds
        /// other bytes than the checkout did, or more files than were named.
        altered: Vec<PathBuf>,
    },
    /// The files are in the last commit as they are; nothing was done.
    Nothing {
        /// That commit.
        head: String,
    },
}

/// Commits the present content of `files` (absolute) on top of HEAD, and nothing else.
///
/// The entries of these files in the user's index become those of the commit. Every other entry,
/// conflict, file, branch and stash stays as it is.
///
/// # Errors
/// When that is not possible; then nothing has changed.
pub fn commit_only(
    root: &Path,
    files: &[PathBuf],
    message: &Message,
    outside: &Outside<'_>,
) -> Result<Committed, Refused> {
    for _attempt in 0..ATTEMPTS {
        let checkout = Checkout::open(root)?;
        recover(&checkout)?;
        checkout.at_rest()?;
        let head = checkout.head()?;
        let attempt = Attempt { named: checkout.named(files)?, checkout, head };
        if let Some(committed) = attempt.run(message, outside)? {
            return Ok(committed);
        }
    }
    Err(Refused::Changing)
}

/// Brings the index entries of `files` up to the last commit where a kill left them behind: those
/// that are still as in the commit before it while the file itself is as in the last one.
///
/// # Errors
/// When the index cannot be read or written.
pub fn settle_index(root: &Path, files: &[PathBuf]) -> Result<(), Refused> {
    for _attempt in 0..ATTEMPTS {
        let checkout = Checkout::open(root)?;
        recover(&checkout)?;
        let head = checkout.head()?;
        let attempt = Attempt { named: checkout.named(files)?, checkout, head };
        if attempt.settle()? == Outcome::Done {
            return Ok(());
        }
    }
    Err(Refused::Changing)
}

/// The newest commit on HEAD's first-parent line that carries this trailer; looks at a few dozen.
pub fn find_commit_with_trailer(root: &Path, key: &str, value: &str) -> Option<String> {
    let repository = git2::Repository::discover(root).ok()?;
    let mut commit = repository.head().ok()?.peel_to_commit().ok()?;
    for _ in 0..ANCESTORS {
        let trailers = git2::message_trailers_bytes(commit.message_bytes()).ok();
        let carries = trailers.is_some_and(|trailers| {
            trailers.iter().any(|(k, v)| k == key.as_bytes() && v == value.as_bytes())
        });
        if carries {
            return Some(commit.id().to_string());
        }
        commit = commit.parent(0).ok()?;
    }
    None
}

/// Whether a commit can hold a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Here,
    /// It need not: another repository, or the file that a link leads to, has it committed as it is.
    Elsewhere,
    /// It cannot, and why.
    No(String),
}

/// Whether a commit of the checkout around `root` can hold each of these files (absolute) as it is.
pub fn fits(root: &Path, files: &[PathBuf]) -> Vec<Fit> {
    let Ok(checkout) = Checkout::open(root) else { return vec![Fit::Here; files.len()] };
    let head = checkout.repository.head().ok().and_then(|head| head.peel_to_tree().ok());
    let is_ignored = |path: &Path| {
        let known = head.as_ref().is_some_and(|tree| tree.get_path(path).is_ok());
        !known && checkout.repository.is_path_ignored(path).unwrap_or(false)
    };
    let fit = |file: &PathBuf| match checkout.named(std::slice::from_ref(file)) {
        Ok(named) if named.iter().any(|named| is_ignored(&named.path)) => {
            Fit::No("it is ignored by a .gitignore: run `git add -f` for it once".to_owned())
        }
        Ok(_) => Fit::Here,
        Err(_) if is_committed(file) => Fit::Elsewhere,
        Err(Refused::File { why, .. }) => Fit::No(why),
        Err(refused) => Fit::No(refused.to_string()),
    };
    files.iter().map(fit).collect()
}

/// Whether a file is what the last commit of its own repository holds.
fn is_committed(file: &Path) -> bool {
    let status = || {
        let file = file.canonicalize().ok()?;
        let repository = git2::Repository::discover(file.parent()?).ok()?;
        let work = repository.workdir()?.canonicalize().ok()?;
        repository.status_file(file.strip_prefix(work).ok()?).ok()
    };
    status() == Some(git2::Status::CURRENT)
}

/// The files in which a commit differs from the one before it, below `root` where they lie there.
pub fn changed_in(root: &Path, commit: &str) -> Vec<String> {
    let files = || -> Result<Vec<PathBuf>, git2::Error> {
        let repository = git2::Repository::discover(root)?;
        let commit = repository.find_commit(commit.parse()?)?;
        let before = commit.parent(0).ok().map(|parent| parent.tree()).transpose()?;
        let diff = repository.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), None)?;
        Ok(diff.deltas().filter_map(|d| d.new_file().path().map(Path::to_owned)).collect())
    };
    let prefix = super::below_checkout(root).unwrap_or_default();
    let shown = |path: PathBuf| path.strip_prefix(&prefix).unwrap_or(&path).display().to_string();
    files().unwrap_or_default().into_iter().map(shown).collect()
}

/// One look at the repository, and what is to be done if it holds still.
pub(super) struct Attempt {
    pub(super) checkout: Checkout,
    pub(super) head: Head,
    pub(super) named: Vec<Named>,
}

/// A file's content as git keeps it.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) id: Oid,
    mode: u32,
    stat: fs::Metadata,
}

impl Attempt {
    /// `None`: something changed meanwhile, look again.
    fn run(&self, message: &Message, outside: &Outside<'_>) -> Result<Option<Committed>, Refused> {
        let before = self.head_tree()?;
        for file in &self.named {
            Self::vet_tree(file, before.as_ref())?;
        }
        let snapshot = match Snapshot::take(&self.checkout)? {
            Ok(snapshot) => snapshot,
            Err(unreadable) => {
                return program::commit(self, &program::Why::Index(unreadable), message, outside);
            }
        };
        for file in &self.named {
            self.vet_entry(file, &snapshot, before.as_ref())?;
        }
        if let Some(why) = program::filter(self)? {
            return program::commit_with(self, &why, &snapshot, message, outside);
        }
        let Some(blobs) = self.blobs(&snapshot, before.as_ref())? else { return Ok(None) };
        let tree = self.tree(before.as_ref(), &blobs)?;
        if let (Some(before), Some(head)) = (&before, self.head.commit)
            && before.id() == tree
        {
            return Ok(Some(Committed::Nothing { head: head.to_string() }));
        }
        if let Some(why) = program::needed(&self.checkout)? {
            return program::commit_with(self, &why, &snapshot, message, outside);
        }
        self.commit(snapshot, &blobs, tree, &Words { message, outside })
    }

    fn head_commit(&self) -> Result<Option<Commit<'_>>, Refused> {
        let find = |id| self.checkout.repository.find_commit(id);
        self.head.commit.map(find).transpose().map_err(Refused::failed("reading the last commit"))
    }

    fn head_tree(&self) -> Result<Option<Tree<'_>>, Refused> {
        let commit = self.head_commit()?;
        let tree = commit.map(|commit| commit.tree()).transpose();
        tree.map_err(Refused::failed("reading the last commit's tree"))
    }

    /// Writes the files' content as git keeps it; `None` when one changed meanwhile.
    pub(super) fn blobs(
        &self,
        snapshot: &Snapshot,
        tree: Option<&Tree<'_>>,
    ) -> Result<Option<Vec<Blob>>, Refused> {
        let mut blobs = Vec::new();
        for file in &self.named {
            let look = || fs::symlink_metadata(&file.absolute);
            let failed = |error: io::Error| file.refused(error.to_string());
            let stat = look().map_err(failed)?;
            let id = self.checkout.repository.blob_path(&file.absolute);
            let id = id.map_err(|error| file.refused(error.message()))?;
            if !same(&stat, &look().map_err(failed)?) {
                return Ok(None);
            }
            blobs.push(Blob { id, mode: self.mode(file, &stat, snapshot, tree), stat });
        }
        Ok(Some(blobs))
    }

    /// Where the file system's executable bit means nothing, git's own stays.
    fn mode(
        &self,
        file: &Named,
        stat: &fs::Metadata,
        snapshot: &Snapshot,
        tree: Option<&Tree<'_>>,
    ) -> u32 {
        let believed = self.checkout.repository.config().and_then(|c| c.get_bool("core.filemode"));
        let executable = if believed.unwrap_or(true) {
            stat.permissions().mode() & 0o100 != 0
        } else {
            let known = snapshot.entry(&file.path).map(|entry| entry.mode).or_else(|| {
                tree.and_then(|t| t.get_path(&file.path).ok()).map(|e| e.filemode() as u32)
            });
            known.is_some_and(|mode| mode & 0o100 != 0)
        };
        if executable { 0o100_755 } else { 0o100_644 }
    }

    fn tree(&self, before: Option<&Tree<'_>>, blobs: &[Blob]) -> Result<Oid, Refused> {
        let repository = &self.checkout.repository;
        let mut update = TreeUpdateBuilder::new();
        for (file, blob) in self.named.iter().zip(blobs) {
            let executable = blob.mode & 0o100 != 0;
            let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
            update.upsert(file.bytes(), blob.id, mode);
        }
        let mut write = || {
            let Some(before) = before else {
                let empty = repository.treebuilder(None)?.write()?;
                return update.create_updated(repository, &repository.find_tree(empty)?);
            };
            update.create_updated(repository, before)
        };
        write().map_err(Refused::failed("writing the commit's tree"))
    }

    fn commit(
        &self,
        snapshot: Snapshot,
        blobs: &[Blob],
        tree: Oid,
        words: &Words<'_>,
    ) -> Result<Option<Committed>, Refused> {
        let doing = "writing the commit";
        let repository = &self.checkout.repository;
        let tree = repository.find_tree(tree).map_err(Refused::failed(doing))?;
        let (author, committer) = words.who(&self.checkout)?;
        let parent = self.head_commit()?;
        let parents: Vec<&Commit<'_>> = parent.iter().collect();
        let text = words.message.text();
        let id = repository
            .commit(None, &author, &committer, &text, &tree, &parents)
            .map_err(Refused::failed(doing))?;
        let title = words.message.title.trim();
        let entries: Vec<IndexEntry> =
            self.named.iter().zip(blobs).map(|(file, blob)| entry(file, blob)).collect();
        let outcome = snapshot.replace(id, &entries, || self.advance(id, title))?;
        Ok((outcome == Outcome::Done).then(|| Committed::Done {
            commit: id.to_string(),
            parent: self.head.commit.map(|id| id.to_string()),
            branch: self.head.branch.clone(),
            altered: Vec::new(),
        }))
    }

    /// Moves the branch, if it is still where it was and still checked out.
    fn advance(&self, id: Oid, title: &str) -> Result<Outcome, Refused> {
        // A second handle: the first one remembers what it has read.
        let fresh = Checkout::open(&self.checkout.work)?;
        if fresh.head()? != self.head {
            return Ok(Outcome::Moved);
        }
        fresh.at_rest()?;
        let (old, kind) = match self.head.commit {
            Some(old) => (old, "commit"),
            None => (Oid::ZERO_SHA1, "commit (initial)"),
        };
        let log = format!("{kind}: {title}");
        let started = Instant::now();
        loop {
            let moved = fresh.repository.reference_matching(&self.head.branch, id, true, old, &log);
            let Err(error) = moved else { return Ok(Outcome::Done) };
            match error.code() {
                ErrorCode::Modified => return Ok(Outcome::Moved),
                ErrorCode::Locked if started.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                ErrorCode::Locked => {
                    return Err(Refused::Locked { lock: fresh.branch_lock(&self.head.branch) });
                }
                _ => return Err(Refused::failed(format!("moving `{}`", self.head.branch))(error)),
            }
        }
    }

    fn settle(&self) -> Result<Outcome, Refused> {
        let Some(head) = self.head_commit()? else { return Ok(Outcome::Done) };
        let doing = "reading the last commits";
        let now = head.tree().map_err(Refused::failed(doing))?;
        let before = head.parent(0).and_then(|parent| parent.tree()).ok();
        let Ok(snapshot) = Snapshot::take(&self.checkout)? else { return Ok(Outcome::Done) };
        let Some(blobs) = self.blobs(&snapshot, Some(&now))? else { return Ok(Outcome::Moved) };
        let of = |tree: Option<&Tree<'_>>, path: &Path| {
            tree.and_then(|t| t.get_path(path).ok()).map(|e| (e.id(), e.filemode() as u32))
        };
        let late = self.named.iter().zip(&blobs).filter(|(file, blob)| {
            let staged = snapshot.entry(&file.path).map(|e| (e.id, e.mode));
            let conflict = (1..=3).any(|s| snapshot.index.get_path(&file.path, s).is_some());
            let committed = of(Some(&now), &file.path);
            !conflict
                && staged != committed
                && staged == of(before.as_ref(), &file.path)
                && committed == Some((blob.id, blob.mode))
        });
        let late: Vec<IndexEntry> = late.map(|(file, blob)| entry(file, blob)).collect();
        if late.is_empty() {
            return Ok(Outcome::Done);
        }
        snapshot.replace(head.id(), &late, || {
            let held = Checkout::open(&self.checkout.work)?.head()? == self.head;
            Ok(if held { Outcome::Done } else { Outcome::Moved })
        })
    }
}

/// The message and who signs it.
struct Words<'a> {
    message: &'a Message,
    outside: &'a Outside<'a>,
}

impl Words<'_> {
    /// Author and committer, from the environment or the configuration, as git takes them.
    fn who(
        &self,
        checkout: &Checkout,
    ) -> Result<(Signature<'static>, Signature<'static>), Refused> {
        let config = checkout.repository.config().and_then(|mut c| c.snapshot());
        let config = config.map_err(Refused::failed("reading git's configuration"))?;
        let env = |name: String| {
            let found = self.outside.env.iter().find(|(n, _)| *n == *name)?;
            found.1.to_str().map(str::to_owned)
        };
        let known = |name: &str| config.get_string(name).ok();
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let one = |role: &str| {
            let upper = role.to_uppercase();
            let part = |part: &str| {
                filled(env(format!("GIT_{upper}_{}", part.to_uppercase())))
                    .or_else(|| filled(known(&format!("{role}.{part}"))))
                    .or_else(|| filled(known(&format!("user.{part}"))))
            };
            let email = part("email").or_else(|| filled(env("EMAIL".to_owned())));
            let (name, email) = part("name").zip(email).ok_or(Refused::NoIdentity)?;
            Signature::now(&name, &email).map_err(|_| Refused::NoIdentity)
        };
        Ok((one("author")?, one("committer")?))
    }
}

fn entry(file: &Named, blob: &Blob) -> IndexEntry {
    let time = |seconds: i64, nanos: i64| IndexTime::new(seconds as i32, nanos as u32);
    let stat = &blob.stat;
    IndexEntry {
        ctime: time(stat.ctime(), stat.ctime_nsec()),
        mtime: time(stat.mtime(), stat.mtime_nsec()),
        dev: stat.dev() as u32,
        ino: stat.ino() as u32,
        mode: blob.mode,
        uid: stat.uid(),
        gid: stat.gid(),
        file_size: stat.size() as u32,
        id: blob.id,
        flags: 0,
        flags_extended: 0,
        path: file.bytes(),
    }
}

fn same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    let key = |m: &fs::Metadata| {
        (m.dev(), m.ino(), m.size(), m.mode(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
    };
    key(a) == key(b)
}
