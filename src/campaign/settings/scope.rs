//! What `[scope]` means.

use std::path::Path;

use super::Checker;
use crate::campaign::file::CampaignFile;
use crate::campaign::scope::{Patterns, Scope};
use crate::diagnostic::Spanned;

impl Checker<'_> {
    pub(super) fn patterns(&mut self, file: &CampaignFile) -> Patterns {
        let scope = &file.scope;
        let edit = scope.edit.as_deref().unwrap_or_default();
        for pattern in edit.iter().chain(&scope.protect).chain(&scope.approve) {
            let one = Patterns { edit: vec![pattern.value.clone()], ..Patterns::default() };
            if let Err(error) = Scope::new(&one) {
                let message = "this is no pattern";
                self.tell("bad-pattern", message, &pattern.span, &error.kind().to_string());
            }
            if Path::new(&pattern.value).is_absolute() || pattern.split('/').any(|p| p == "..") {
                let label = "write it as it lies below the project's folder";
                self.tell("bad-pattern", "this lies outside the project", &pattern.span, label);
            }
        }
        let words = |all: &[Spanned<String>]| all.iter().map(|one| one.value.clone()).collect();
        Patterns {
            edit: words(edit),
            protect: words(&scope.protect),
            approve: words(&scope.approve),
            approved: Vec::new(),
        }
    }
}
