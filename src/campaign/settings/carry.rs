//! What `[scope] carry` means.

use std::path::{Component, Path};

use super::Checker;
use crate::campaign::file::ScopeFile;

impl Checker<'_> {
    /// The paths that each copy of the project gets beside it, in their shortest form.
    pub(super) fn carry(&mut self, scope: &ScopeFile) -> Vec<String> {
        let mut carry = Vec::new();
        for path in &scope.carry {
            let parts = Path::new(&path.value).components();
            let parts: Vec<Component<'_>> =
                parts.filter(|part| *part != Component::CurDir).collect();
            let is_below = parts.iter().all(|part| matches!(part, Component::Normal(_)));
            if parts.is_empty() || !is_below {
                let label = "a file or folder below the project's folder";
                self.tell("bad-path", "this cannot be carried", &path.span, label);
            } else if path.split('/').any(|part| matches!(part, ".git" | ".optloop")) {
                let label = "each copy has one of its own";
                self.tell("bad-path", "this cannot be carried", &path.span, label);
            } else if path.contains('*') {
                let label = "name each file or folder: patterns mean nothing here";
                self.tell("bad-path", "this cannot be carried", &path.span, label);
            }
            let plain: std::path::PathBuf = parts.into_iter().collect();
            carry.push(plain.to_string_lossy().into_owned());
        }
        carry
    }
}
