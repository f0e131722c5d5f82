//! A command with what it runs in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::engine::stage::StageContext;
use crate::engine::subject::Job;
use crate::pipeline::CommandWork;
use crate::process::jobserver::Tokens;

/// A command that is to be run.
#[derive(Clone, Copy)]
pub(in crate::engine) struct CommandRequest<'a> {
    /// What the stage says.
    pub(in crate::engine) work: &'a CommandWork,
    /// Its node: names of inputs (the tool first) and outputs.
    pub(in crate::engine) job: &'a Job,
    pub(in crate::engine) ctx: StageContext<'a>,
    /// The project's root: absolute.
    pub(in crate::engine) root: &'a Path,
    /// The copy of the project that it runs in.
    pub(in crate::engine) copy: WorkingCopy<'a>,
    /// Job tokens, for commands that start others.
    pub(in crate::engine) tokens: &'a Tokens,
    /// Held while the copies of the project are in use that commands are compared in.
    pub(in crate::engine) trees: &'a Mutex<()>,
    /// Whether what it opens is held against what it declares.
    pub(in crate::engine) audit: bool,
}

/// The copy of the project that a command runs in.
#[derive(Clone, Copy)]
pub(in crate::engine) enum WorkingCopy<'a> {
    /// The user's own files.
    Project,
    /// A tree, with a folder for temporary files.
    Tree { place: &'a Path, temporary: &'a Path },
}

impl<'a> CommandRequest<'a> {
    /// What stands for the project's root.
    pub(in crate::engine::stage) fn place(&self) -> &'a Path {
        match self.copy {
            WorkingCopy::Project => self.root,
            WorkingCopy::Tree { place, .. } => place,
        }
    }

    /// The folder for temporary files that belongs to a tree.
    pub(in crate::engine::stage) fn temporary(&self) -> Option<&'a Path> {
        match self.copy {
            WorkingCopy::Project => None,
            WorkingCopy::Tree { temporary, .. } => Some(temporary),
        }
    }

    /// A file of the project that the command names by where it finds it.
    pub(super) fn of_project(&self, path: PathBuf) -> PathBuf {
        match path.strip_prefix(self.place()) {
            Ok(below) => self.root.join(below),
            Err(_) => path,
        }
    }

    /// Text of the pipeline in which the project's root stands for that of the command.
    pub(super) fn moved<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match (self.copy, self.root.to_str()) {
            (WorkingCopy::Tree { place, .. }, Some(root)) => {
                moved(text, root, &place.to_string_lossy())
            }
            _ => Cow::Borrowed(text),
        }
    }
}

/// Puts `place` for `root` where that is named as a path or as the beginning of one.
fn moved<'t>(text: &'t str, root: &str, place: &str) -> Cow<'t, str> {
    let is_path = |c: char| c.is_alphanumeric() || "_-./@".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(root) {
        let (before, from) = rest.split_at(at);
        let after = &from[root.len()..];
        out.push_str(before);
        // `-I/root` names the root, `/a/root` does not.
        let word = out.rsplit(|c: char| !is_path(c)).next().unwrap_or_default();
        let begins = word.is_empty() || word.starts_with(['-', '@']) && !word.contains('/');
        let ends = after.starts_with('/') || !after.starts_with(is_path);
        out.push_str(if begins && ends { place } else { root });
        rest = after;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn the_projects_own_folder_is_that_of_the_tree_wherever_it_is_named() {
        for (text, wanted) in [
            ("cd /p/x && make", "cd /t && make"),
            ("/p/x/bench.py", "/t/bench.py"),
            ("A=/p/x:/p/x/lib", "A=/t:/t/lib"),
            ("-I/p/x/include @/p/x/rsp", "-I/t/include @/t/rsp"),
            ("'/p/x'", "'/t'"),
            ("/p/xy /p/x-old /p/x.d", "/p/xy /p/x-old /p/x.d"),
            ("/a/p/x/b /p/x/p/x", "/a/p/x/b /t/p/x"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(moved(text, "/p/x", "/t"), wanted, "{text}");
        }
    }
}
