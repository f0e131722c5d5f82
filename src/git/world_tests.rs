//! Made-up repositories, and all there is to say about one, to be compared before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use git2::{Index, Repository};

use super::{Committed, Error, Message, Outside, commit_only};
use crate::process::Cancel;

/// A repository with one commit, in a folder that goes with it.
pub(super) struct World {
    dir: tempfile::TempDir,
    pub(super) root: PathBuf,
}

impl World {
    /// Without a commit.
    pub(super) fn unborn() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("path").join("repo");
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        let repository = Repository::init_opts(&root, &options).expect("init");
        let mut config = repository.config().expect("config");
        for (name, value) in [("user.name", "Test"), ("user.email", "test@example.org")] {
            config.set_str(name, value).expect("set");
        }
        for (name, value) in [("core.autocrlf", "false"), ("commit.gpgsign", "false")] {
            config.set_str(name, value).expect("set");
        }
        Self { dir, root }
    }

    /// With these files in its first commit.
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let world = Self::unborn();
        for (path, text) in files {
            world.write(path, text);
            world.stage(path);
        }
        world.commit_index("first");
        world
    }

    pub(super) fn repository(&self) -> Repository {
        Repository::open(&self.root).expect("open")
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A folder beside the repository.
    pub(super) fn beside(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("path")
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    pub(super) fn executable(&self, path: &str) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).expect("set");
    }

    pub(super) fn stage(&self, path: &str) {
        self.edit_index(|index| index.add_path(Path::new(path)).expect("add"));
    }

    pub(super) fn edit_index(&self, edit: impl FnOnce(&mut Index)) {
        // An index lives as long as its repository.
        let repository = self.repository();
        let mut index = repository.index().expect("index");
        edit(&mut index);
        index.write().expect("written");
    }

    pub(super) fn config(&self, name: &str, value: &str) {
        self.repository().config().expect("config").set_str(name, value).expect("set");
    }

    pub(super) fn commit_index(&self, message: &str) -> git2::Oid {
        let repository = self.repository();
        let tree = repository.index().expect("index").write_tree().expect("tree");
        let tree = repository.find_tree(tree).expect("tree");
        let who = git2::Signature::now("t", "t@example.org").expect("who");
        let parent = repository.head().ok().map(|h| h.peel_to_commit().expect("commit"));
        let parents: Vec<_> = parent.iter().collect();
        repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).expect("commit")
    }

    /// A hook that is this shell script.
    pub(super) fn hook(&self, name: &str, script: &str) {
        let path = format!(".git/hooks/{name}");
        self.write(&path, &format!("#!/bin/sh\n{script}\n"));
        self.executable(&path);
    }

    pub(super) fn commit(&self, files: &[&str]) -> Result<Committed, Error> {
        self.commit_from(&self.root, files)
    }

    pub(super) fn commit_from(&self, root: &Path, files: &[&str]) -> Result<Committed, Error> {
        let files: Vec<PathBuf> = files.iter().map(|f| self.at(f)).collect();
        keep(root, &files)
    }

    pub(super) fn facts(&self) -> Facts {
        Facts::of(&self.repository())
    }

    /// The content of `path` in the last commit.
    pub(super) fn committed(&self, path: &str) -> Option<String> {
        let repository = self.repository();
        let tree = repository.head().ok()?.peel_to_tree().ok()?;
        let entry = tree.get_path(Path::new(path)).ok()?;
        let blob = entry.to_object(&repository).ok()?.peel_to_blob().ok()?;
        Some(String::from_utf8_lossy(blob.content()).into_owned())
    }

    /// What the `git` program prints.
    pub(super) fn git(&self, args: &[&str]) -> String {
        git(&self.root, args)
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests ask git itself")]
pub(super) fn git(root: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "core.quotepath=off"]).args(args).current_dir(root);
    let output = command.output().expect("these tests need git");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "git {args:?}: {out}{err}");
    out.into_owned()
}

pub(super) fn message() -> Message {
    Message {
        title: "softmax: 12 % faster".to_owned(),
        body: "Wider loads.".to_owned(),
        trailers: vec![("Optloop-Artifact".to_owned(), "runs/1/candidate.json".to_owned())],
    }
}

/// This process's own environment, so that the `git` program is found.
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    #[expect(clippy::disallowed_methods, reason = "a test stands where `cli` stands")]
    let env = std::env::vars_os();
    env.collect()
}

pub(super) fn outside() -> Outside {
    Outside { env: environment(), cancel: Cancel::default() }
}

pub(super) fn keep(root: &Path, files: &[PathBuf]) -> Result<Committed, Error> {
    commit_only(root, files, &message(), &outside())
}

/// Everything of a repository that a commit could disturb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Path and stage to id, mode and flags.
    pub(super) index: BTreeMap<(String, u16), (String, u32, u16, u16)>,
    /// Path to content and permissions.
    pub(super) files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
    pub(super) references: BTreeMap<String, String>,
    /// What lies in git's folder beside objects, references and logs.
    pub(super) private: BTreeSet<String>,
}

impl Facts {
    pub(super) fn of(repository: &Repository) -> Self {
        let index = Index::open(&repository.path().join("index")).expect("index");
        let index = index.iter().map(|e| {
            let stage = (e.flags >> 12) & 3;
            let text = String::from_utf8_lossy(&e.path).into_owned();
            // 0xf000: all but the length of the name. 0x2000 and 0x4000: what is kept on disk.
            let flags = (e.flags & 0x8000, e.flags_extended & 0x6000);
            ((text, stage), (e.id.to_string(), e.mode, flags.0, flags.1))
        });
        let references = repository.references().expect("references").flatten().map(|r| {
            let id = r.resolve().ok().and_then(|r| r.target()).map(|id| id.to_string());
            (r.name().expect("name").to_owned(), id.unwrap_or_default())
        });
        Self {
            index: index.collect(),
            files: files(repository.workdir().expect("workdir")),
            references: references.collect(),
            private: fs::read_dir(repository.path())
                .expect("listed")
                .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
                .filter(|name| !matches!(name.as_str(), "index" | "logs" | "COMMIT_EDITMSG"))
                .collect(),
        }
    }

    /// Without what a commit of `paths` on `branch` may change.
    pub(super) fn but(mut self, branch: &str, paths: &[&str]) -> Self {
        self.references.remove(branch);
        self.index.retain(|(path, _), _| !paths.contains(&path.as_str()));
        self
    }
}

fn files(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let walk = walkdir::WalkDir::new(root).into_iter().filter_entry(|e| e.file_name() != ".git");
    walk.map(|e| e.expect("entry"))
        .filter(|e| !e.file_type().is_dir())
        .map(|e| {
            let metadata = e.metadata().expect("metadata");
            let content = if e.file_type().is_symlink() {
                fs::read_link(e.path()).expect("link").as_os_str().as_bytes().to_vec()
            } else {
                fs::read(e.path()).expect("read")
            };
            (e.path().to_owned(), (content, metadata.permissions().mode()))
        })
        .collect()
}
