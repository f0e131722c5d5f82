//! What stages read and write, and one spelling for each path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use crate::diagnostic::Spanned;

/// What stages read and write, gathered while they are made.
#[derive(Default)]
pub(super) struct Claims {
    stages: usize,
    pub(super) variants: Vec<String>,
    pub(super) inputs: Vec<Claim>,
    pub(super) outputs: Vec<Claim>,
    /// Files that no stage may write: what they are, and where they are named.
    pub(super) fixed: HashMap<PathBuf, (&'static str, Range<usize>)>,
}

/// One path that a stage reads or writes.
pub(super) struct Claim {
    pub(super) stage: usize,
    /// Index into the labels of variants.
    pub(super) variant: usize,
    pub(super) path: String,
    pub(super) span: Range<usize>,
}

impl Claims {
    /// Another stage begins.
    pub(super) fn stage(&mut self) {
        self.stages += 1;
    }

    /// Another variant of it begins.
    pub(super) fn variant(&mut self, label: &str) {
        self.variants.push(label.to_owned());
    }

    pub(super) fn input(&mut self, path: &Spanned<String>) {
        let claim = self.claim(path);
        self.inputs.push(claim);
    }

    pub(super) fn output(&mut self, path: &Spanned<String>) {
        let claim = self.claim(path);
        self.outputs.push(claim);
    }

    pub(super) fn fixed(&mut self, what: &'static str, path: &str, span: &Range<usize>) {
        self.fixed.insert(normal(path).into_owned().into(), (what, span.clone()));
    }

    fn claim(&self, path: &Spanned<String>) -> Claim {
        let stage = self.stages.saturating_sub(1);
        let variant = self.variants.len().saturating_sub(1);
        Claim { stage, variant, path: path.value.clone(), span: path.span.clone() }
    }
}

/// The path without `.`, `..` and doubled slashes, as far as the text alone tells.
pub(super) fn normal(path: &str) -> Cow<'_, str> {
    let is_plain = !path.contains("./") && !path.contains("//") && !path.ends_with(['/', '.']);
    if is_plain {
        return Cow::Borrowed(path);
    }
    let mut parts = PathBuf::new();
    for part in Path::new(path).components() {
        let ends_in_name = matches!(parts.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if ends_in_name => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Cow::Owned(parts.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn the_same_file_has_one_spelling() {
        for (path, want) in [
            ("a/b.c", "a/b.c"),
            ("./a/b.c", "a/b.c"),
            ("a//b.c", "a/b.c"),
            ("a/../b.c", "b.c"),
            ("../b.c", "../b.c"),
            ("../../a/../b.c", "../../b.c"),
            ("/a/./b", "/a/b"),
            ("a/b/..", "a"),
        ] {
            assert_eq!(normal(path), want, "{path}");
        }
    }
}
