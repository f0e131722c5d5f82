//! What a problem file means and what is wrong with it, beyond its form.

mod args;
mod cases;
mod rest;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::case::CaseError;
use super::expr::ExprError;
use super::file::ProblemFile;
use super::{Arg, ArgKind, Problem, expr};
use crate::diagnostic::{Diagnostic, Source, Spanned, nearest};
use crate::expression::{Fault, Mistake};
use crate::host::Host;

/// Sizes at which every expression must have a value: the cases, and both ends of the hold-out.
struct Point {
    label: String,
    sizes: BTreeMap<String, i64>,
    span: Range<usize>,
}

pub(super) struct Checker<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) found: Vec<Diagnostic>,
    pub(super) reference_text: Option<String>,
    path: &'a Path,
    host: &'a dyn Host,
    /// Names of the sizes in file order; `None` when the cases could not be understood.
    sizes: Option<Vec<String>>,
    points: Vec<Point>,
    /// Where mistakes of form were told: what they leave behind is not told again.
    told: Vec<usize>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(source: &'a Arc<Source>, path: &'a Path, host: &'a dyn Host) -> Self {
        Self {
            source,
            found: Vec::new(),
            reference_text: None,
            path,
            host,
            sizes: None,
            points: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Remembers where the reading of the file already found mistakes.
    pub(super) fn take_note(&mut self, found: &[Diagnostic]) {
        let places = found.iter().filter_map(|diagnostic| diagnostic.labels.first());
        self.told.extend(places.map(|label| label.span.start));
    }

    /// Whether the table at `span` has a mistake of form, so that some of it was left out.
    fn is_torn(&self, span: &Range<usize>) -> bool {
        let text = &self.source.text;
        let header = text.get(span.clone()).is_some_and(|part| part.starts_with('['));
        let end = if header {
            // Only the header is the table's span: it reaches to the next one.
            text[span.end..].find("\n[").map_or(text.len(), |at| span.end + at)
        } else {
            span.end
        };
        self.told.iter().any(|at| (span.start..end).contains(at))
    }

    /// The problem, when every part of it could be made; [`Self::found`] says what is wrong.
    pub(super) fn problem(&mut self, file: &ProblemFile) -> Option<Problem> {
        let name = file.name.as_ref().map(|name| self.name(name));
        let entry = file.entry.as_ref().map(|entry| self.entry(entry));
        let cases = file.cases.as_ref().map(|cases| self.cases(cases));
        let holdout = file.holdout.as_ref().map(|holdout| self.holdout(holdout));
        let args = file.args.as_ref().map(|args| self.args(args, file.entry.as_ref()));
        self.memory(args.as_deref().unwrap_or_default());
        let reference = file.reference.as_ref().map(|reference| self.reference(reference));
        let tolerance = self.tolerance(&file.tolerance);
        if let Some(given) = &file.tolerance.equal_nan {
            self.equal_nan(given, args.as_deref().unwrap_or_default());
        }
        let growth = file.tolerance.growth.as_ref();
        let growth = growth.map(|growth| {
            let cases = cases.as_deref().unwrap_or_default();
            self.growth(growth, cases, args.as_deref().unwrap_or_default())
        });
        let (flops, bytes) =
            (self.work(file.work.flops.as_ref()), self.work(file.work.bytes.as_ref()));
        let cuda = file.launch.cuda.as_ref().map(|cuda| self.cuda(cuda));
        Some(Problem {
            name: name?,
            entry: entry?,
            cases: cases?,
            holdout: holdout.flatten(),
            args: args?.into_iter().map(|(arg, _)| arg).collect(),
            reference: reference?,
            tolerance,
            growth,
            deterministic: file.deterministic.unwrap_or(false),
            flops,
            bytes,
            cuda,
        })
    }

    /// Reports one mistake. The result is for [`Diagnostic::help`] and further labels.
    pub(super) fn tell(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: impl Into<String>,
    ) {
        self.found.push(Diagnostic::new(code, message).at(self.source, span, label));
    }

    /// Says what to do about the mistake told last.
    fn advise(&mut self, help: impl Into<String>) {
        if let Some(last) = self.found.last_mut() {
            last.help = Some(help.into());
        }
    }

    /// Shows a second place of the mistake told last.
    fn also(&mut self, span: Range<usize>, label: &str) {
        if let Some(last) = self.found.pop() {
            self.found.push(last.at(self.source, span, label));
        }
    }

    /// Checks that `text` parses and names only sizes and `extra`; true when it can be evaluated.
    fn expr(&mut self, text: &Spanned<String>, extra: &[&str]) -> bool {
        let expression = match expr::parse(text) {
            Ok(expression) => expression,
            Err(error) => {
                self.malformed(text, &error);
                return false;
            }
        };
        let Some(sizes) = self.sizes.clone() else {
            return false;
        };
        let known: Vec<&str> =
            sizes.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        let mut told: Vec<&str> = Vec::new();
        for name in expression.names() {
            if !known.contains(&name.text) && !told.contains(&name.text) {
                let name_there = Spanned::new(name.text, self.part(text, Some(name.span)));
                self.unknown("size", &name_there, &known);
                told.push(name.text);
            }
        }
        told.is_empty()
    }

    fn malformed(&mut self, text: &Spanned<String>, error: &ExprError) {
        let span = self.part(text, error.span());
        if let ExprError::Mistake(Mistake { fault: Fault::UnknownFunction(name), .. }) = error {
            self.unknown("function", &Spanned::new(name.as_str(), span), &expr::FUNCTIONS);
            return;
        }
        let message = format!("`{}` is not an expression", text.value);
        self.tell("bad-expression", message, span, error.to_string());
    }

    fn unknown(&mut self, what: &str, name: &Spanned<&str>, known: &[&str]) {
        let label = nearest(name.value, known.iter().copied())
            .map_or_else(|| format!("no such {what}"), |near| format!("did you mean `{near}`?"));
        let code = if what == "size" { "unknown-size" } else { "unknown-function" };
        self.tell(code, format!("unknown {what} `{}`", name.value), name.span.clone(), label);
        self.advise(format!("{what}s here: {}", known.join(", ")));
    }

    /// The values at every point, or the first failure there.
    fn at_points<T, E>(
        &self,
        evaluate: impl Fn(&BTreeMap<String, i64>) -> Result<T, E>,
    ) -> Result<Vec<T>, AtPoint<E>> {
        let values = self.points.iter().map(|point| {
            evaluate(&point.sizes).map_err(|error| AtPoint { label: point.label.clone(), error })
        });
        values.collect()
    }

    /// Reports that an expression has no value somewhere, under the part that has none.
    fn no_value(
        &mut self,
        code: &'static str,
        message: &str,
        text: &Spanned<String>,
        failure: &AtPoint<CaseError>,
    ) {
        let (part, why) = match &failure.error {
            // The expression itself stands above the label.
            CaseError::Expr { error, .. } => (error.span(), error.to_string()),
            error => (None, error.to_string()),
        };
        let label = format!("at {}: {why}", failure.label);
        self.tell(code, message, self.part(text, part), label);
    }

    /// The bytes of a part of an expression; of all of it without one.
    fn part(&self, text: &Spanned<String>, part: Option<Range<usize>>) -> Range<usize> {
        match part {
            Some(part) => self.source.inside(&text.span, &text.value, &part),
            None => text.span.clone(),
        }
    }
}

/// What failed, and with which sizes.
struct AtPoint<E> {
    label: String,
    error: E,
}

/// What is wrong with a name in C and C++, if anything.
fn not_a_c_name(name: &str) -> Option<&'static str> {
    const KEYWORDS: &str = " alignas alignof and and_eq asm auto bitand bitor bool break case catch \
        char class compl const constexpr const_cast continue decltype default delete do double \
        dynamic_cast else enum explicit export extern false float for friend goto if inline int \
        long main mutable namespace new noexcept not not_eq nullptr operator or or_eq private \
        protected public register reinterpret_cast restrict return short signed sizeof static \
        static_assert static_cast struct switch template this thread_local throw true try typedef \
        typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq ";
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !(name.starts_with(start) && name.chars().all(rest)) {
        Some("letters, digits and `_` make a C name, and it starts with no digit")
    } else if KEYWORDS.split_whitespace().any(|keyword| keyword == name) {
        Some("a word of C or C++ itself")
    } else {
        None
    }
}

/// `1.5 GiB`.
fn human(bytes: u128) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "bytes" {
                format!("{bytes} bytes")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// The buffers of checked arguments.
fn buffers(args: &[(Arg, Range<usize>)]) -> impl Iterator<Item = (&Arg, &[String])> {
    args.iter().filter_map(|(arg, _)| match &arg.kind {
        ArgKind::Buffer { shape, .. } => Some((arg, shape.as_slice())),
        ArgKind::Scalar(_) => None,
    })
}
