//! One stage after the other: its preset, its kind, its variants.

use super::resolver::Resolver;
use crate::diagnostic::{Entries, Spanned};
use crate::pipeline::file::{Kind, StageFile};
use crate::pipeline::{Purpose, Stage};

/// A stage on its way: what is checked once all stages are known.
pub(super) struct Draft {
    pub(super) name: Spanned<String>,
    pub(super) needs: Vec<Spanned<String>>,
    pub(super) when: Option<Spanned<String>>,
    /// `None` when it cannot be told what it does.
    pub(super) stage: Option<Stage>,
}

/// Whether all that is written about a stage was understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Whole,
    /// Some of it was refused.
    Torn,
}

impl Resolver<'_> {
    /// Makes what can be made of each stage by itself.
    pub(super) fn drafts(&mut self, stages: Entries<StageFile>) -> Vec<Draft> {
        if stages.is_empty() && self.findings.list.is_empty() {
            let help = "add one, such as [stages.smoke]";
            let message = "the pipeline has no stages";
            self.findings.at("no-stages", message, &(0..0), "").help(help);
        }
        let mut starts: Vec<usize> =
            stages.iter().map(|(name, _)| name.span.start).skip(1).collect();
        starts.push(self.source.text.len());
        let mut drafts = Vec::with_capacity(stages.0.len());
        for ((name, file), end) in stages.0.into_iter().zip(starts) {
            self.stage_name(&name);
            // A key that was taken out as wrong may have been the one that says what it does.
            let span = name.span.start..end.max(name.span.start);
            let table = if self.findings.any_within(&span) { Table::Torn } else { Table::Whole };
            drafts.push(self.draft(name, file, table));
        }
        drafts
    }

    fn stage_name(&mut self, name: &Spanned<String>) {
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        if !starts_well || !is_name {
            let message = format!("bad stage name `{}`", name.value);
            self.findings
                .at("bad-name", message, &name.span, "not a name for a stage")
                .help("use letters, digits, `-` and `_`, and start with a letter or digit");
        }
    }

    fn draft(&mut self, name: Spanned<String>, mut file: StageFile, table: Table) -> Draft {
        let preset = self.lay_over_preset(&name, &mut file, table);
        file.timeout = self.over.any.timeout.clone().or(file.timeout);
        let kind = match (&file.kind, &file.run) {
            (Some(kind), _) => Some(kind.value),
            (None, Some(_)) => Some(Kind::Command),
            (None, None) => None,
        };
        if kind == Some(Kind::Bench) {
            file.repeats = self.over.bench.repeats.clone().or(file.repeats);
            file.early_stop_us = self.over.bench.early_stop_us.clone().or(file.early_stop_us);
        }
        if compares(kind, &file) {
            file.incumbent = self.over.bench.incumbent.clone().or(file.incumbent);
        }
        let needs = file.needs.take().map(|needs| needs.value).unwrap_or_default();
        let when = file.when.take();
        let stage = kind.map(|kind| self.stage(&name, &file, kind, preset));
        Draft { name, needs, when, stage }
    }

    /// Fills in what the stage's preset gives; returns the preset's name.
    fn lay_over_preset(
        &mut self,
        name: &Spanned<String>,
        file: &mut StageFile,
        table: Table,
    ) -> Option<String> {
        let named = file.preset.take();
        let stands_alone = file.run.is_some() || file.kind.is_some();
        let wanted = match &named {
            Some(named) => named,
            None if stands_alone => return None,
            None => name,
        };
        let Ok(preset) = self.presets.get(wanted, &mut self.findings) else {
            self.no_preset(name, named.as_ref(), table);
            return None;
        };
        if let Some(preset) = preset {
            file.lay_over(preset);
            if file.kind.is_none() && file.run.is_none() {
                let message = format!("the preset `{}` does not say what it does", wanted.value);
                self.findings
                    .at("missing-key", message, &wanted.span, "used here")
                    .help("give the preset a `kind` or a `run`");
            }
        }
        Some(wanted.value.clone())
    }

    /// Tells of a preset that is not there: the one that `stage` names, or the one of its own name.
    fn no_preset(
        &mut self,
        stage: &Spanned<String>,
        named: Option<&Spanned<String>>,
        table: Table,
    ) {
        let (wanted, message, advice) = match named {
            Some(named) => (named, format!("unknown preset `{}`", named.value), "presets"),
            None if table == Table::Whole => {
                let name = &stage.value;
                let message =
                    format!("stage `{name}` has no `run`, and there is no preset `{name}`");
                (stage, message, "give it a `run`, or `use` one of the presets")
            }
            // What was refused may have been its `run`.
            None => return,
        };
        let near = self.presets.nearest(wanted);
        let label = near
            .map_or_else(|| "no such preset".to_owned(), |near| format!("did you mean `{near}`?"));
        let help = format!("{advice}: {}", self.presets.names().join(", "));
        self.findings.at("unknown-preset", message, &wanted.span, label).help(help);
    }

    /// Says once that a stage lacks the kernel or the problem that its kind works on.
    pub(super) fn need_kernel(&mut self, name: &Spanned<String>, kind: Kind) {
        // One that is there with a mistake, in its name say, is reported already.
        let told = |key: &str| self.findings.list.iter().any(|f| f.meant.as_deref() == Some(key));
        let problem = self.variables.problem.is_some() || told("problem");
        let kernel = self.kernel_span.is_some() || told("kernel");
        let lacks = match (problem, kernel) {
            (true, true) => return,
            (false, true) => "problem",
            (true, false) => "kernel",
            (false, false) => "kernel and problem",
        };
        if std::mem::replace(&mut self.told_kernel, true) {
            return;
        }
        let message = format!("stage `{}` needs a {lacks}", name.value);
        let label = format!("a {} stage needs both", kind.name());
        let help = "add `kernel = \"…\"` and `problem = \"…\"` at the top of the file";
        self.findings.at("missing-kernel", message, &name.span, label).help(help);
    }
}

/// Whether a stage is one that scores: what `--incumbent` speaks of.
fn compares(kind: Option<Kind>, file: &StageFile) -> bool {
    match kind {
        Some(Kind::Bench) => {
            let purpose = file.purpose.as_ref().map_or(Purpose::Candidate, |p| p.value);
            matches!(purpose, Purpose::Candidate | Purpose::Final) && file.matrix.is_none()
        }
        Some(Kind::Command) => file.metric.is_some(),
        _ => false,
    }
}
