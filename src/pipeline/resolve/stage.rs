//! What each variant of a stage does, and what stages of several kinds have in common.

use std::ops::Range;

use super::resolver::Resolver;
use crate::diagnostic::Spanned;
use crate::pipeline::file::{Kind, StageFile, Strings};
use crate::pipeline::matrix::{self, Point};
use crate::pipeline::values::OneOrMany;
use crate::pipeline::variables::{Quoting, Scope};
use crate::pipeline::{
    CommandWork, Direction, Incumbent, Limits, RuleWork, Run, Stage, Variant, Work,
};

/// What holds where neither stage, preset nor pipeline says otherwise.
mod default {
    pub(super) const REPEATS: [u32; 8] = [4, 8, 12, 16, 24, 32, 48, 64];
    pub(super) const RETRIES: u32 = 1;
    pub(super) const GRACE_MS: u64 = 2000;
    pub(super) const KERNEL_TIMEOUT_MS: u64 = 60_000;
}

/// A variant being made.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a StageFile,
    pub(super) point: &'a Point,
    pub(super) limits: Limits,
}

impl<'a> Making<'a> {
    pub(super) fn scope(self) -> Scope<'a> {
        let matrix = &self.point.values;
        Scope { stage: Some(self.name), matrix, quoting: Quoting::Plain }
    }
}

impl Resolver<'_> {
    /// The stage with its variants; needs and condition come later.
    pub(super) fn stage(
        &mut self,
        name: &Spanned<String>,
        file: &StageFile,
        kind: Kind,
        preset: Option<String>,
    ) -> Stage {
        self.fitting_keys(name, file, kind);
        if kind != Kind::Command {
            self.need_kernel(name, kind);
        }
        let limits = self.limits(file, kind);
        let points = matrix::points(file.matrix.as_ref(), &mut self.findings);
        self.claims.stage();
        let mut variants = Vec::with_capacity(points.len());
        for point in &points {
            self.claims.variant(&point.label);
            let making = Making { name, file, point, limits };
            let work = match kind {
                Kind::Command => Work::Command(self.command(name, making)),
                Kind::Check => Work::Check(self.check(making)),
                Kind::Bench => Work::Bench(self.bench(making)),
            };
            variants.push(Variant { label: point.label.clone(), work });
        }
        Stage {
            name: name.value.clone(),
            span: name.span.clone(),
            preset,
            needs: Vec::new(),
            when: None,
            best_by: best_by(&variants),
            variants,
        }
    }

    fn limits(&mut self, file: &StageFile, kind: Kind) -> Limits {
        let otherwise = if kind == Kind::Command { 0 } else { default::KERNEL_TIMEOUT_MS };
        Limits {
            timeout_ms: self.findings.timeout(file.timeout.as_ref(), otherwise),
            grace_ms: self.findings.duration("grace", file.grace.as_ref(), default::GRACE_MS),
            retries: file.retries.as_ref().map_or(default::RETRIES, |retries| retries.value),
        }
    }

    /// Tells of keys that stages of this kind do not have.
    pub(super) fn fitting_keys(&mut self, name: &str, file: &StageFile, kind: Kind) {
        for (key, span, fits) in file.particular_keys().filter(|(_, _, fits)| !fits.has(kind)) {
            let message = format!("`{key}` does not fit `{name}`, a {} stage", kind.name());
            let label = format!("only {} have it", fits.describe());
            self.findings.at("misplaced-key", message, &span, label);
        }
    }

    /// A command as it stands under `key`.
    pub(super) fn command_line(
        &mut self,
        key: &str,
        written: &OneOrMany<String>,
        making: Making<'_>,
    ) -> Run {
        let nothing = |span: &Range<usize>, resolver: &mut Self| {
            let help = "write the program and its arguments, or a line for the shell";
            resolver
                .findings
                .at("empty", format!("`{key}` must not be empty"), span, "nothing to run")
                .help(help);
        };
        match written {
            OneOrMany::One(line) => {
                let scope = Scope { quoting: Quoting::Shell, ..making.scope() };
                if line.trim().is_empty() {
                    nothing(&line.span, self);
                }
                Run::Shell(self.variables.expand(line, scope, &mut self.findings))
            }
            OneOrMany::Many(words) => {
                let argv = self.variables.expand_all(words, making.scope(), &mut self.findings);
                if words.first().is_none_or(|program| program.trim().is_empty()) {
                    nothing(&words.span, self);
                }
                Run::Argv(argv.into_iter().map(|word| word.value).collect())
            }
        }
    }

    pub(super) fn expand_list(
        &mut self,
        list: Option<&Strings>,
        scope: Scope<'_>,
    ) -> Vec<Spanned<String>> {
        let Some(list) = list else { return Vec::new() };
        self.variables.expand_all(list, scope, &mut self.findings)
    }

    pub(super) fn rule(&mut self, making: Making<'_>) -> RuleWork {
        let looks = self.repeats(making).len();
        self.findings.rule(making.file.rule.as_deref(), looks)
    }

    pub(super) fn incumbent(&mut self, written: &Spanned<String>, making: Making<'_>) -> Incumbent {
        let text = self.variables.expand(written, making.scope(), &mut self.findings);
        let incumbent = self.findings.incumbent(&Spanned::new(text, written.span.clone()));
        if let Incumbent::File(path) = &incumbent {
            self.must_exist("incumbent", path, &written.span);
            self.claims.fixed("incumbent", path, &written.span);
        }
        incumbent
    }

    pub(super) fn repeats(&mut self, making: Making<'_>) -> Vec<u32> {
        if let Some(looks) = &making.point.repeats {
            let placed = looks.iter().map(|look| Spanned::new(*look, looks.span.clone()));
            self.findings.repeats(&placed.collect::<Vec<_>>(), &looks.span);
            return looks.value.clone();
        }
        let Some(repeats) = &making.file.repeats else {
            return default::REPEATS.to_vec();
        };
        self.findings.repeats(repeats.as_slice(), &repeats.span());
        repeats.as_slice().iter().map(|look| look.value).collect()
    }
}

/// The number that says which variant is best.
fn best_by(variants: &[Variant]) -> (String, Direction) {
    match variants.first().map(|variant| &variant.work) {
        Some(Work::Bench(bench)) => (bench.metric.clone(), Direction::Lower),
        Some(Work::Command(CommandWork { metric: Some(metric), .. })) => {
            (metric.name.clone(), metric.better)
        }
        _ => ("seconds".to_owned(), Direction::Lower),
    }
}
