//! Reading a repository through the `git` program.

use std::path::{Path, PathBuf};

use super::Error;
use super::name;
use super::program::{Program, object, path, pieces};
use super::program_tree::Listed;
use super::reader::{Head, Logged, Reader};
use super::tree::Tree;
use crate::process::Exit;

/// How patches look, whatever the user has set for their own eyes.
const PLAIN: &[&str] = &["--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"];

/// A repository that the program answers for.
pub(super) struct ByProgram {
    program: Program,
    private: PathBuf,
}

impl ByProgram {
    pub(super) fn new(program: Program, private: PathBuf) -> Self {
        let program = program.set("diff.noprefix=false").set("diff.mnemonicPrefix=false");
        Self { program, private }
    }

    fn line(&self, words: &[&str]) -> Result<String, Error> {
        let line = self.program.read(words, &[])?;
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    /// Whether a command ends with this code.
    fn is_so(&self, words: &[&str], paths: &[PathBuf]) -> bool {
        self.program.ask(words, paths).is_ok_and(|finished| finished.exit == Exit::Code(0))
    }

    /// What trees are compared with before there is a commit.
    fn base(&self) -> Result<String, Error> {
        match self.head()?.commit {
            Some(commit) => Ok(commit),
            None => self.line(&["hash-object", "-t", "tree", "/dev/null"]),
        }
    }

    /// A file that git does not track, as a patch that makes it.
    fn made(&self, file: PathBuf) -> Result<Vec<u8>, Error> {
        let words = [&["diff", "--no-index"][..], PLAIN, &["--", "/dev/null"]].concat();
        // They differ, which is what its exit code says.
        Ok(self.program.ask(&words, &[file])?.stdout)
    }

    fn log(&self, words: &[&str], most: usize) -> Result<Vec<Logged>, Error> {
        let most = format!("--max-count={most}");
        let fixed = ["log", "-z", "--no-show-signature", "--format=%H%n%B", most.as_str()];
        let output = self.program.read(&[&fixed[..], words].concat(), &[])?;
        let logged = |piece: &[u8]| {
            let end = piece.iter().position(|byte| *byte == b'\n').unwrap_or(piece.len());
            let id = String::from_utf8_lossy(&piece[..end]).into_owned();
            Logged { id, message: piece.get(end + 1..).unwrap_or_default().to_vec() }
        };
        Ok(pieces(&output).map(logged).collect())
    }
}

impl Reader for ByProgram {
    fn head(&self) -> Result<Head, Error> {
        let branch = self.line(&["symbolic-ref", "--quiet", "HEAD"]).ok();
        let commit = self.line(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]).ok();
        Ok(Head { branch, commit })
    }

    fn commit(&self, revision: &str) -> Result<String, Error> {
        name::vet(revision)?;
        let commit = format!("{revision}^{{commit}}");
        self.line(&["rev-parse", "--quiet", "--verify", "--end-of-options", &commit]).map_err(
            |_| Error::NoRevision {
                revision: revision.to_owned(),
                why: format!(
                    "there is no revision `{revision}` (`git log --oneline` lists those of what is \
                     checked out)"
                ),
            },
        )
    }

    fn file(&self, commit: &str, path: &Path) -> Option<Vec<u8>> {
        self.program.read(&["cat-file", "blob"], &[object(commit, path)]).ok()
    }

    fn diff(&self, paths: &[PathBuf]) -> Result<String, Error> {
        let base = self.base()?;
        let words = [&["diff"][..], PLAIN, &[base.as_str(), "--"]].concat();
        let mut patch = self.program.read(&words, paths)?;
        let words = ["ls-files", "-z", "--others", "--exclude-standard", "--"];
        for untracked in pieces(&self.program.read(&words, paths)?) {
            patch.extend(self.made(path(untracked))?);
        }
        Ok(String::from_utf8_lossy(&patch).into_owned())
    }

    fn is_ignored(&self, path: &Path) -> bool {
        let words = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"];
        let ignored = self.program.read(&words, &[path.to_owned()]);
        ignored.is_ok_and(|ignored| !ignored.is_empty())
    }

    fn is_unchanged(&self, path: &Path) -> bool {
        let path = &[path.to_owned()];
        let words = ["status", "--porcelain", "--ignored", "--"];
        self.is_so(&["ls-files", "--error-unmatch", "--"], path)
            && self.program.read(&words, path).is_ok_and(|changes| changes.is_empty())
    }

    fn changed_in(&self, commit: &str) -> Result<Vec<PathBuf>, Error> {
        let words = ["diff-tree", "-r", "-z", "--name-only", "--no-renames"];
        let before = format!("{commit}^1");
        let before = self.line(&["rev-parse", "--quiet", "--verify", &before]);
        let trees = match &before {
            Ok(before) => vec![before, commit],
            Err(_) => vec!["--root", "--no-commit-id", commit],
        };
        let output = self.program.read(&[&words[..], &trees].concat(), &[])?;
        Ok(pieces(&output).map(path).collect())
    }

    fn first_parents(&self, most: usize) -> Result<Vec<Logged>, Error> {
        self.log(&["--first-parent", "HEAD"], most)
    }

    fn since(&self, commit: &str, most: usize) -> Result<Vec<Logged>, Error> {
        self.log(&["--topo-order", "HEAD", &format!("^{commit}")], most)
    }

    fn has(&self, commit: &str) -> bool {
        self.is_so(&["merge-base", "--is-ancestor", commit, "HEAD"], &[])
    }

    fn stands_for(&self, reference: &str) -> Option<String> {
        self.line(&["symbolic-ref", "--quiet", reference]).ok()
    }

    fn tree<'r>(&'r self, commit: &str) -> Result<Box<dyn Tree + 'r>, Error> {
        Ok(Box::new(Listed::new(&self.program, &self.private, commit)?))
    }
}
