//! `${name}` in the strings of a pipeline.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::findings::{Findings, did_you_mean};
use super::values::Scalar;
use crate::diagnostic::{Entries, Spanned, nearest};
use crate::host::Host;

/// Names that always mean something.
const FIXED: [&str; 4] = ["kernel", "problem", "stage", "dir"];

/// What the variables of a pipeline stand for.
pub(super) struct Variables<'a> {
    pub(super) host: &'a dyn Host,
    /// `[vars]`, with the variables in them put in.
    pub(super) own: BTreeMap<String, String>,
    /// Those that are made from the kernel or the problem, which are not known yet.
    later: Vec<(String, Spanned<String>)>,
    pub(super) kernel: Vec<String>,
    pub(super) problem: Option<String>,
    pub(super) dir: String,
    /// Every `${env.NAME}` that was read.
    pub(super) env_read: BTreeSet<String>,
}

/// Where a string stands: some variables only mean something there.
#[derive(Clone, Copy, Default)]
pub(super) struct Scope<'a> {
    pub(super) stage: Option<&'a str>,
    /// `define.BLOCK` and its value, for `${matrix.define.BLOCK}`; `vars.x` also for `${x}`.
    pub(super) matrix: &'a [(String, String)],
    pub(super) quoting: Quoting,
}

/// Whether paths are put in as one shell word each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Quoting {
    #[default]
    Plain,
    Shell,
    /// For a flag: paths are written from [`DIR`], which stays as it is until the place of the
    /// project is known.
    Flag,
}

impl Quoting {
    /// A path as it is put in.
    fn path(self, path: &str) -> String {
        match self {
            Self::Plain => path.to_owned(),
            Self::Shell => shell_word(path).into_owned(),
            Self::Flag if path.starts_with('/') => path.to_owned(),
            Self::Flag => format!("{DIR}/{path}"),
        }
    }
}

/// The pipeline's folder in the flags of a compiler, whose key is not to depend on where the project
/// lies.
pub const DIR: &str = "${dir}";

impl<'a> Variables<'a> {
    pub(super) fn new(host: &'a dyn Host, dir: String) -> Self {
        Self {
            host,
            own: BTreeMap::new(),
            later: Vec::new(),
            kernel: Vec::new(),
            problem: None,
            dir,
            env_read: BTreeSet::new(),
        }
    }

    /// Takes in `[vars]`. A variable may use those above it; one that is made from the kernel or the
    /// problem waits until these are known.
    pub(super) fn define(&mut self, vars: &Entries<Spanned<Scalar>>, findings: &mut Findings) {
        for (name, value) in vars {
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            if FIXED.contains(&name.as_str()) || name.is_empty() || !is_name {
                let text = "not a name for a variable";
                findings
                    .at("bad-name", format!("bad variable name `{}`", name.value), &name.span, text)
                    .help(format!(
                        "use letters, digits, `-` and `_`, but none of: {}",
                        FIXED.join(", ")
                    ));
                continue;
            }
            let text = Spanned::new(value.0.clone(), value.span.clone());
            if self.waits(&text) {
                self.later.push((name.value.clone(), text));
                continue;
            }
            let text = self.expand(&text, Scope::default(), findings);
            self.own.insert(name.value.clone(), text);
        }
    }

    /// Takes in what waited for the kernel and the problem.
    pub(super) fn define_rest(&mut self, findings: &mut Findings) {
        for (name, text) in std::mem::take(&mut self.later) {
            let text = self.expand(&text, Scope::default(), findings);
            self.own.insert(name, text);
        }
    }

    fn waits(&self, text: &str) -> bool {
        let mut waits = false;
        let is_later = |name: &str| self.later.iter().any(|(later, _)| later == name);
        // One that is never closed is reported when it is put in.
        drop(substitute(text, |name| {
            waits |= ["kernel", "problem"].contains(&name) || is_later(name);
            None
        }));
        waits
    }

    /// The string with its variables put in. What cannot be is reported, and left out.
    pub(super) fn expand(
        &mut self,
        text: &Spanned<String>,
        scope: Scope<'_>,
        findings: &mut Findings,
    ) -> String {
        if text.contains('\0') {
            let message = "a NUL character cannot be part of a path, command or variable";
            findings.at("nul", message, &text.span, "remove the \\u0000");
            return text.replace('\0', "");
        }
        if !text.contains('$') {
            return text.value.clone();
        }
        let result = substitute(text, |name| {
            let value = self.look_up(name, scope);
            if value.is_none() {
                self.unknown(name, text, scope, findings);
            }
            value
        });
        if let Err(Unclosed(from)) = result.as_ref() {
            let span = findings.within(&text.span, &text[*from..]);
            let help = "close it with `}`, or write `$$` for a dollar";
            findings.at("unclosed-variable", "`${` without `}`", &span, "starts here").help(help);
        }
        result.unwrap_or_default().into_owned()
    }

    /// Like [`Self::expand`] for each string; one that is just `${kernel}` becomes one for each
    /// kernel source.
    pub(super) fn expand_all(
        &mut self,
        texts: &[Spanned<String>],
        scope: Scope<'_>,
        findings: &mut Findings,
    ) -> Vec<Spanned<String>> {
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            if text.value == "${kernel}" && !self.kernel.is_empty() {
                let parts = self.kernel.iter().map(|part| scope.quoting.path(part));
                all.extend(parts.map(|part| Spanned::new(part, text.span.clone())));
            } else {
                let value = self.expand(text, scope, findings);
                all.push(Spanned::new(value, text.span.clone()));
            }
        }
        all
    }

    fn look_up(&mut self, name: &str, scope: Scope<'_>) -> Option<String> {
        let path = |path: &str| scope.quoting.path(path);
        if let Some(key) = name.strip_prefix("matrix.") {
            let value = scope.matrix.iter().find(|(known, _)| known == key);
            return value.map(|(_, value)| value.clone());
        }
        if let Some(name) = name.strip_prefix("env.") {
            self.env_read.insert(name.to_owned());
            return self.host.text_var(name);
        }
        let from_matrix =
            scope.matrix.iter().find(|(key, _)| key.strip_prefix("vars.") == Some(name));
        match name {
            "kernel" if !self.kernel.is_empty() => {
                Some(self.kernel.iter().map(|part| path(part)).collect::<Vec<_>>().join(" "))
            }
            "problem" => self.problem.as_deref().map(path),
            "stage" => scope.stage.map(str::to_owned),
            "dir" if scope.quoting == Quoting::Flag => Some(DIR.to_owned()),
            "dir" => Some(path(&self.dir)),
            _ => match from_matrix {
                Some((_, value)) => Some(value.clone()),
                None => self.own.get(name).cloned(),
            },
        }
    }

    fn unknown(
        &self,
        name: &str,
        text: &Spanned<String>,
        scope: Scope<'_>,
        findings: &mut Findings,
    ) {
        let span = findings.within(&text.span, &format!("${{{name}}}"));
        if let Some(variable) = name.strip_prefix("env.") {
            if self.host.var(variable).is_some() {
                let message = format!("the environment variable `{variable}` is not text");
                let label = "its value is not UTF-8";
                let help = format!("`pass_env = [\"{variable}\"]` hands it to a command as it is");
                findings.at("environment-not-text", message, &span, label).help(help);
                return;
            }
            let message = format!("the environment variable `{variable}` is not set");
            findings.at("unset-environment", message, &span, "read here");
            return;
        }
        if self.later.iter().any(|(later, _)| later == name) {
            let message = format!("`${{{name}}}` has no value here");
            let label = "it is made from the kernel or the problem, and these from it";
            findings.at("unknown-variable", message, &span, label);
            return;
        }
        if FIXED.contains(&name) {
            let message = format!("`${{{name}}}` has no value here");
            let label = match name {
                "stage" => "this is not part of a stage".to_owned(),
                _ => format!("the pipeline names no {name}"),
            };
            findings.at("unknown-variable", message, &span, label);
            return;
        }
        let matrix = scope.matrix.iter().map(|(key, _)| format!("matrix.{key}"));
        let names: Vec<String> = self.own.keys().cloned().chain(matrix).collect();
        let known = || names.iter().map(String::as_str).chain(FIXED);
        let label = did_you_mean(name, known(), "not defined");
        let message = format!("unknown variable `{name}`");
        let help = if nearest(name, known()).is_some() || name.contains("matrix.") {
            format!("known: {}, and env.NAME", known().collect::<Vec<_>>().join(", "))
        } else {
            let is_simple = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let plain = if is_simple { format!("`${name}` or ") } else { String::new() };
            format!(
                "define it under [vars]; for the shell to see it, write {plain}`$${{{name}}}` \
                 (known here: {}, and env.NAME)",
                known().collect::<Vec<_>>().join(", ")
            )
        };
        findings.at("unknown-variable", message, &span, label).help(help);
    }
}

/// A `${` that is never closed, and where.
#[derive(Debug, PartialEq, Eq)]
struct Unclosed(usize);

/// Puts what `look_up` says for each `${name}`; `$$` is a dollar, any other `$` stays.
fn substitute(
    text: &str,
    mut look_up: impl FnMut(&str) -> Option<String>,
) -> Result<Cow<'_, str>, Unclosed> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = &from[1..];
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
        } else if let Some(inner) = after.strip_prefix('{') {
            let offset = text.len() - from.len();
            let (name, more) = inner.split_once('}').ok_or(Unclosed(offset))?;
            out.push_str(look_up(name).as_deref().unwrap_or_default());
            rest = more;
        } else {
            out.push('$');
            rest = after;
        }
    }
    if out.is_empty() && rest.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// A path as one word for `sh`.
fn shell_word(path: &str) -> Cow<'_, str> {
    let is_plain = !path.is_empty()
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./+:,@%=".contains(&b));
    if is_plain {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("'{}'", path.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(text: &str) -> Result<String, Unclosed> {
        substitute(text, |name| Some(format!("<{name}>"))).map(Cow::into_owned)
    }

    #[test]
    fn dollars_mean_what_the_manual_says() {
        for (text, want) in [
            ("a ${b} c", "a <b> c"),
            ("${a}${b}", "<a><b>"),
            ("$$", "$"),
            ("$${a}", "${a}"),
            ("$$${a}", "$<a>"),
            ("$HOME $ x$", "$HOME $ x$"),
            ("${}", "<>"),
            ("100$$ ${a.b}", "100$ <a.b>"),
        ] {
            assert_eq!(put(text).as_deref(), Ok(want), "{text}");
        }
        assert_eq!(put("ab ${c"), Err(Unclosed(3)));
        assert_eq!(put("$${c"), Ok("${c".to_owned()));
    }

    #[test]
    fn shell_words_survive_the_shell() {
        for (path, want) in [
            ("a/b.c", "a/b.c"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(shell_word(path), want);
        }
    }

    proptest! {
        #[test]
        fn text_without_dollars_is_borrowed(text in "[^$]{0,20}") {
            let same = matches!(substitute(&text, |_| None), Ok(Cow::Borrowed(same)) if same == text);
            prop_assert!(same);
        }

        #[test]
        fn escaping_every_dollar_gives_the_text_back(text in "[a${}]{0,20}") {
            prop_assert_eq!(put(&text.replace('$', "$$")), Ok(text));
        }

        #[test]
        fn a_variable_is_found_between_any_texts(before in "[^$]{0,9}", after in "[^$]{0,9}") {
            prop_assert_eq!(put(&format!("{before}${{x}}{after}")), Ok(format!("{before}<x>{after}")));
        }
    }
}
