//! What a `[[guard]]` means.

use regex::Regex;

use super::{Checker, GUARD_TIMEOUT, Guard};
use crate::campaign::file::GuardFile;
use crate::diagnostic::Spanned;

impl Checker<'_> {
    pub(super) fn guard(&mut self, file: &Spanned<GuardFile>) -> Option<Guard> {
        let expect = match file.expect.as_ref().map(|text| (Regex::new(text), text)) {
            None => None,
            Some((Ok(expect), _)) => Some(expect),
            Some((Err(error), text)) => {
                let message = "this is no regular expression";
                self.tell("bad-regex", message, &text.span, &error.to_string());
                return None;
            }
        };
        Some(Guard {
            run: file.run.iter().map(|word| word.value.clone()).collect(),
            expect,
            timeout: self.duration(file.timeout.as_ref(), GUARD_TIMEOUT),
        })
    }
}
