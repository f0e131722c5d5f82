//! The user's repository as something begins with it: what of its history may be taken over, and its
//! files as a checkout would have them. Nothing of it is written.

use std::fs;
use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::error::Purpose;
use super::program::{self, Program, pieces};
use super::{Error, Outside};

/// Repositories whose objects take more are not copied.
const MAX_BYTES: u64 = 1 << 30;
/// How many references are made by their trees.
const MAX_REFS: &str = "--count=8";
/// Not even objects that are missing are asked of a server: that would write them.
const LOCAL: &str = "GIT_NO_LAZY_FETCH";

/// The repository around a project.
pub struct Origin {
    git: Program,
    private: PathBuf,
    common: PathBuf,
    /// The project's root below the checkout.
    prefix: PathBuf,
    head: String,
    branch: Option<String>,
}

/// What the index says of files that are not simply there. All paths are below the project's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unusual {
    /// Files that a sparse checkout leaves out.
    pub left_out: Vec<PathBuf>,
    /// Folders of other repositories.
    pub submodules: Vec<PathBuf>,
    /// Files that git tracks although a `.gitignore` names them.
    pub ignored: Vec<PathBuf>,
}

/// A reference of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its full name.
    pub name: String,
    /// Its commit.
    pub commit: String,
    /// It has the very files of HEAD.
    pub is_head: bool,
}

impl Origin {
    /// The repository around `root`; none where there is none, or nothing was committed yet.
    ///
    /// # Errors
    /// When there is one and it cannot be read.
    pub fn find(root: &Path, outside: &Outside) -> Result<Option<Self>, Error> {
        let checkout = match Checkout::open(root, outside) {
            Err(Error::NoRepository { .. }) => return Ok(None),
            opened => opened?,
        };
        let head = checkout.repository.reader.head()?;
        let Some(commit) = head.commit else { return Ok(None) };
        let because = "its files are compared with the last commit".to_owned();
        let missing = || Error::NoProgram { purpose: Purpose::Read { because } };
        let git = Program::find(&checkout.work, outside).ok_or_else(missing)?;
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let prefix = root.strip_prefix(&checkout.work).unwrap_or(Path::new("")).to_owned();
        Ok(Some(Self {
            git: git.with(LOCAL, "1"),
            private: checkout.repository.private.clone(),
            common: checkout.repository.common.clone(),
            prefix,
            head: commit,
            branch: head.branch,
        }))
    }

    /// The commit that is checked out.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The branch that is checked out, by its short name; none when HEAD is detached.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()?.strip_prefix("refs/heads/")
    }

    /// Why the history cannot be copied as it is; none where it can.
    pub fn unfit(&self) -> Option<&'static str> {
        let line = |words: &[&str]| self.git.read(words, &[]).unwrap_or_default();
        let says = |words: &[&str]| line(words).trim_ascii_end().to_owned();
        let settings = line(&["config", "--list", "--name-only", "-z"]);
        let is_promised = |name: &[u8]| {
            let name = name.to_ascii_lowercase();
            name == b"extensions.partialclone" || name.ends_with(b".promisor")
        };
        if !self.prefix.as_os_str().is_empty() {
            Some("the project is a folder of its repository")
        } else if says(&["rev-parse", "--is-shallow-repository"]) != b"false" {
            Some("the repository is a shallow clone")
        } else if pieces(&settings).any(is_promised) {
            Some("the repository is a partial clone")
        } else if says(&["rev-parse", "--show-object-format"]) != b"sha1" {
            Some("the repository uses SHA-256")
        } else if !line(&["replace", "--list"]).is_empty() {
            Some("the repository replaces objects")
        } else if size_of(&self.common.join("objects")) > MAX_BYTES {
            Some("the history takes more than 1 GiB")
        } else {
            None
        }
    }

    /// Copies HEAD's history, tags and the branches of `origin` into a bare repository, with HEAD at
    /// `refs/optloop/head`.
    ///
    /// # Errors
    /// When an object is missing or the repository cannot be written.
    pub fn fetch_into(&self, repository: &Path) -> Result<(), Error> {
        let git = self.git.clone().at(repository).with("GIT_DIR", repository);
        let git = git.set("core.hooksPath=/dev/null").set("fetch.unpackLimit=1");
        let from = self.private.to_string_lossy().into_owned();
        let words = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &from];
        let all = [
            "+HEAD:refs/optloop/head",
            "+refs/tags/*:refs/tags/*",
            "+refs/remotes/origin/*:refs/remotes/origin/*",
        ];
        let said = git.run(&[&words[..], &all].concat(), &[])?;
        if said.is_fine() { Ok(()) } else { Err(said.blocked("fetch")) }
    }

    /// What the index says of unusual files.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn unusual(&self) -> Result<Unusual, Error> {
        let mut found = Unusual::default();
        // `TAG MODE ID STAGE<tab>PATH`
        let listed = self.git.read(&["ls-files", "-t", "--stage", "-z"], &[])?;
        for piece in pieces(&listed) {
            let Some(tab) = piece.iter().position(|byte| *byte == b'\t') else { continue };
            let Some(name) = self.below(&piece[tab + 1..]) else { continue };
            if piece.get(2..).is_some_and(|rest| rest.starts_with(b"160000 ")) {
                found.submodules.push(name);
            } else if piece.starts_with(b"S ") {
                found.left_out.push(name);
            }
        }
        let words = ["ls-files", "--cached", "--ignored", "--exclude-standard", "-z"];
        let ignored = self.git.read(&words, &[])?;
        found.ignored = pieces(&ignored).filter_map(|name| self.below(name)).collect();
        Ok(found)
    }

    /// Those of the checkout's paths that are the project's, below its root.
    pub fn own(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        let below = |path: &PathBuf| path.strip_prefix(&self.prefix).ok().map(Path::to_owned);
        paths.iter().filter_map(below).collect()
    }

    fn below(&self, name: &[u8]) -> Option<PathBuf> {
        program::path(name).strip_prefix(&self.prefix).ok().map(Path::to_owned)
    }

    /// Branches of `origin` and tags, later ones first: at most eight.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn references(&self) -> Result<Vec<Reference>, Error> {
        let format = "--format=%(objectname) %(*objectname) %(refname)";
        let words = ["for-each-ref", "--sort=-creatordate", MAX_REFS, format];
        let listed = self.git.read(&words, &["refs/remotes/origin".into(), "refs/tags".into()])?;
        let own = self.tree(&self.head);
        let one = |line: &str| {
            let mut words = line.split(' ');
            let (object, peeled, name) = (words.next()?, words.next()?, words.next()?);
            let commit = if peeled.is_empty() { object } else { peeled }.to_owned();
            let is_head = own.is_some() && self.tree(&commit) == own;
            Some(Reference { name: name.to_owned(), commit, is_head })
        };
        Ok(String::from_utf8_lossy(&listed).lines().filter_map(one).collect())
    }

    /// The id of a commit's files, as far as they are the project's.
    fn tree(&self, commit: &str) -> Option<Vec<u8>> {
        let name = program::object(commit, &self.prefix);
        let id = self.git.read(&["rev-parse", "--verify", "--quiet"], &[name]).ok()?;
        (!id.is_empty()).then_some(id)
    }

    /// Writes the project's files of a commit, as a checkout would have them, into the folder
    /// `scratch`; where its root lies there.
    ///
    /// # Errors
    /// When an object is missing, or the folder cannot be written.
    pub fn check_out(&self, commit: &str, scratch: &Path) -> Result<PathBuf, Error> {
        let made = scratch.join("files");
        let doing = format!("writing `{}`", made.display());
        fs::create_dir_all(&made).map_err(Error::failed(doing))?;
        let git = self.git.clone().at(&made);
        let git = git.with("GIT_DIR", &self.private).with("GIT_WORK_TREE", &made);
        let git = git.with("GIT_INDEX_FILE", scratch.join("index"));
        let git = git.set("core.hooksPath=/dev/null").set("core.sparseCheckout=false");
        let git = git.set("core.splitIndex=false").set("core.fsmonitor=false");
        let whole = self.prefix.as_os_str().is_empty();
        let part = if whole { PathBuf::from(".") } else { self.prefix.clone() };
        let said = git.run(&["checkout", "--quiet", commit, "--"], &[part])?;
        if said.is_fine() { Ok(made.join(&self.prefix)) } else { Err(said.blocked("checkout")) }
    }
}

fn size_of(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
