//! From the exact image to a [`Pipeline`]: presets merged, variables put in, matrices multiplied
//! out, everything checked.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{CompileFile, Kind, PipelineFile, StageFile};
use super::findings::{Findings, did_you_mean};
use super::overlay::{self, StageOverrides};
use super::paths::Claims;
use super::preset::Presets;
use super::validate;
use super::variables::{Scope, Variables};
use super::{DeviceRequest, Loaded, Loader, Overrides, Pipeline, Stage};
use crate::diagnostic::{Diagnostic, Entries, Source, Spanned, document};

/// Reads the pipeline at `path` and everything it names, and reports every mistake found.
pub fn load(path: &Path, overrides: &Overrides, loader: &dyn Loader) -> Loaded {
    let text = match loader.read(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            let help = "give the path of a pipeline file; `optloop init` writes an example";
            let found = Diagnostic::new("unreadable", message).help(help);
            return Loaded {
                pipeline: None,
                diagnostics: vec![found],
            };
        }
    };
    let source = Arc::new(Source::new(path, text));
    let mut findings = Findings::default();
    let Findings { map, list } = &mut findings;
    let document = document::read_overlaid::<PipelineFile>(&source, map, |table| {
        overlay::documents(table, overrides, list)
    });
    findings.list.extend(document.diagnostics);
    let Some(file) = document.value else {
        return Loaded {
            pipeline: None,
            diagnostics: findings.finish(),
        };
    };
    let over = overlay::stage_overrides(overrides, &mut findings);
    let mut resolver = Resolver::new(&source, loader, findings, over);
    let pipeline = Some(resolver.pipeline(file));
    Loaded {
        pipeline,
        diagnostics: resolver.findings.finish(),
    }
}

/// Everything that is needed along the way.
pub(super) struct Resolver<'a> {
    pub(super) findings: Findings,
    pub(super) variables: Variables<'a>,
    pub(super) claims: Claims,
    pub(super) loader: &'a dyn Loader,
    pub(super) dir: PathBuf,
    pub(super) checked: validate::Checked,
    /// The pipeline's `[compile]`.
    pub(super) compile: CompileFile,
    source: Arc<Source>,
    presets: Presets<'a>,
    over: StageOverrides,
    kernel_span: Option<Range<usize>>,
    problem_span: Option<Range<usize>>,
    /// A stage that needs a kernel or a problem was already told so.
    told_kernel: bool,
}

/// A stage on its way: what is checked once all stages are known.
pub(super) struct Draft {
    pub(super) name: Spanned<String>,
    pub(super) needs: Vec<Spanned<String>>,
    pub(super) when: Option<Spanned<String>>,
    /// `None` when it cannot be told what it does.
    pub(super) stage: Option<Stage>,
}

impl<'a> Resolver<'a> {
    fn new(
        source: &Arc<Source>,
        loader: &'a dyn Loader,
        findings: Findings,
        over: StageOverrides,
    ) -> Self {
        let dir = match source.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        // Commands start in the folder: a relative path from elsewhere would miss it.
        let shown = if dir.is_absolute() {
            dir.to_string_lossy().into_owned()
        } else {
            ".".into()
        };
        Self {
            findings,
            variables: Variables::new(loader, shown),
            claims: Claims::default(),
            loader,
            checked: validate::Checked::default(),
            compile: CompileFile::default(),
            source: Arc::clone(source),
            presets: Presets::new(&dir, loader),
            over,
            kernel_span: None,
            problem_span: None,
            told_kernel: false,
            dir,
        }
    }

    fn pipeline(&mut self, file: PipelineFile) -> Pipeline {
        self.variables.define(&file.vars, &mut self.findings);
        self.compile = file.compile.unwrap_or_default();
        let device = self.device(file.device.as_ref());
        self.kernel(file.kernel.as_ref(), &device);
        self.problem(file.problem.as_ref());
        let drafts = self.drafts(file.stages.unwrap_or_default());
        let stages = self.finish(drafts);
        let mut sources = vec![self.source.path.clone()];
        sources.append(&mut self.presets.paths);
        Pipeline {
            name: file.name.map(|name| name.value).unwrap_or_default(),
            path: self.source.path.clone(),
            dir: self.dir.clone(),
            source: Arc::clone(&self.source),
            kernel: self.variables.kernel.clone(),
            problem: self
                .variables
                .problem
                .clone()
                .zip(self.problem_span.clone()),
            device,
            stages,
            sources,
            preset_dir: self.presets.dir.clone(),
            env_read: self.variables.env_read.iter().cloned().collect(),
        }
    }

    fn device(&mut self, device: Option<&Spanned<String>>) -> DeviceRequest {
        let Some(device) = device else {
            return DeviceRequest::Auto;
        };
        let text = self
            .variables
            .expand(device, Scope::default(), &mut self.findings);
        text.parse().unwrap_or_else(|label: String| {
            self.findings
                .at(
                    "bad-device",
                    format!("bad device `{text}`"),
                    &device.span,
                    label,
                )
                .help("a device is auto, cpu, cpu:3, cuda:0 or cuda:GPU-<uuid>");
            DeviceRequest::Auto
        })
    }

    fn kernel(
        &mut self,
        kernel: Option<&super::values::OneOrMany<String>>,
        device: &DeviceRequest,
    ) {
        let Some(kernel) = kernel else { return };
        let span = kernel.span();
        if kernel.as_slice().is_empty() {
            self.findings.at(
                "empty",
                "`kernel` must not be empty",
                &span,
                "an empty list",
            );
        }
        let sources =
            self.variables
                .expand_all(kernel.as_slice(), Scope::default(), &mut self.findings);
        self.check_kernel(&sources, device);
        self.variables.kernel = sources.into_iter().map(|source| source.value).collect();
        self.kernel_span = Some(span);
    }

    fn problem(&mut self, problem: Option<&Spanned<String>>) {
        let Some(problem) = problem else { return };
        let path = self
            .variables
            .expand(problem, Scope::default(), &mut self.findings);
        self.must_exist("problem file", &path, &problem.span);
        // Later rooms know only the pipeline's own text.
        let is_own = self.findings.map.is_first(&problem.span);
        self.problem_span = Some(if is_own { problem.span.clone() } else { 0..0 });
        self.claims.fixed("problem", &path, &problem.span);
        self.variables.problem = Some(path);
    }

    fn drafts(&mut self, stages: Entries<StageFile>) -> Vec<Draft> {
        if stages.is_empty() && self.findings.list.is_empty() {
            let help = "add one, such as [stages.smoke]";
            let message = "the pipeline has no stages";
            self.findings
                .at("no-stages", message, &(0..0), "")
                .help(help);
        }
        let mut starts: Vec<usize> = stages
            .iter()
            .map(|(name, _)| name.span.start)
            .skip(1)
            .collect();
        starts.push(self.source.text.len());
        let mut drafts = Vec::with_capacity(stages.0.len());
        for ((name, file), end) in stages.0.into_iter().zip(starts) {
            self.stage_name(&name);
            // A key that was taken out as wrong may have been the one that says what it does.
            let is_whole = !self
                .findings
                .any_within(&(name.span.start..end.max(name.span.start)));
            drafts.push(self.draft(name, file, is_whole));
        }
        drafts
    }

    fn stage_name(&mut self, name: &Spanned<String>) {
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let is_name = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        if !starts_well || !is_name {
            let message = format!("bad stage name `{}`", name.value);
            self.findings
                .at("bad-name", message, &name.span, "not a name for a stage")
                .help("use letters, digits, `-` and `_`, and start with a letter or digit");
        }
    }

    fn draft(&mut self, name: Spanned<String>, mut file: StageFile, is_whole: IsWhole) -> Draft {
        let preset = self.lay_over_preset(&name, &mut file, is_whole);
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
        let needs = file
            .needs
            .take()
            .map(|needs| needs.value)
            .unwrap_or_default();
        let when = file.when.take();
        let stage = kind.map(|kind| self.stage(&name, &file, kind, preset));
        Draft {
            name,
            needs,
            when,
            stage,
        }
    }

    /// Fills in what the stage's preset gives; returns the preset's name.
    fn lay_over_preset(
        &mut self,
        name: &Spanned<String>,
        file: &mut StageFile,
        is_whole: IsWhole,
    ) -> Option<String> {
        let named = file.preset.take();
        let stands_alone = file.run.is_some() || file.kind.is_some();
        let wanted = match &named {
            Some(named) => named,
            None if stands_alone => return None,
            None => name,
        };
        match self.presets.get(wanted, &mut self.findings) {
            Ok(preset) => {
                if let Some(preset) = preset {
                    file.lay_over(preset);
                    if file.kind.is_none() && file.run.is_none() {
                        let message =
                            format!("the preset `{}` does not say what it does", wanted.value);
                        self.findings
                            .at("missing-key", message, &wanted.span, "used here")
                            .help("give the preset a `kind` or a `run`");
                    }
                }
                Some(wanted.value.clone())
            }
            Err(()) if named.is_some() || is_whole => {
                self.unknown_preset(wanted, named.is_some());
                None
            }
            Err(()) => None,
        }
    }

    fn unknown_preset(&mut self, wanted: &Spanned<String>, is_named: bool) {
        let near = self.presets.nearest(wanted);
        let label = near.map_or_else(
            || "no such preset".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let message = if is_named {
            format!("unknown preset `{}`", wanted.value)
        } else {
            format!(
                "stage `{0}` has no `run`, and there is no preset `{0}`",
                wanted.value
            )
        };
        let names = self.presets.names().join(", ");
        let help = if is_named {
            format!("presets: {names}")
        } else {
            format!("give it a `run`, or `use` one of the presets: {names}")
        };
        self.findings
            .at("unknown-preset", message, &wanted.span, label)
            .help(help);
    }

    /// Says once that a stage lacks the kernel or the problem that its kind works on.
    pub(super) fn need_kernel(&mut self, name: &Spanned<String>, kind: Kind) {
        let lacks = match (&self.variables.problem, self.kernel_span.is_some()) {
            (Some(_), true) => return,
            (None, true) => "problem",
            (Some(_), false) => "kernel",
            (None, false) => "kernel and problem",
        };
        if std::mem::replace(&mut self.told_kernel, true) {
            return;
        }
        let message = format!("stage `{}` needs a {lacks}", name.value);
        let label = format!("a {} stage works on both", kind.name());
        let help = "add `kernel = \"…\"` and `problem = \"…\"` at the top of the file";
        self.findings
            .at("missing-kernel", message, &name.span, label)
            .help(help);
    }

    /// The checks that take all stages together.
    fn finish(&mut self, drafts: Vec<Draft>) -> Vec<Stage> {
        self.clashing_names(&drafts);
        let names: HashMap<&str, usize> = drafts
            .iter()
            .enumerate()
            .map(|(index, draft)| (draft.name.value.as_str(), index))
            .collect();
        let needs: Vec<Vec<usize>> = drafts
            .iter()
            .map(|draft| self.needs(draft, &names))
            .collect();
        let graph = validate::Upstream::new(&needs);
        let conditions: Vec<Option<String>> = (0..drafts.len())
            .map(|index| self.when(index, &drafts, &graph))
            .collect();
        self.check_paths(&drafts, &graph);
        let known: Vec<Vec<(String, Range<usize>)>> = drafts
            .iter()
            .zip(&needs)
            .map(|(draft, needs)| self.known_needs(draft, needs, &drafts))
            .collect();
        let stages = drafts.into_iter().zip(conditions).zip(known);
        stages
            .filter_map(|((draft, when), needs)| {
                Some(Stage {
                    when,
                    needs,
                    ..draft.stage?
                })
            })
            .collect()
    }

    fn known_needs(
        &self,
        draft: &Draft,
        needs: &[usize],
        drafts: &[Draft],
    ) -> Vec<(String, Range<usize>)> {
        let built = needs
            .iter()
            .map(|index| &drafts[*index])
            .filter(|need| need.stage.is_some());
        built
            .map(|need| {
                let name = need.name.value.clone();
                let place = draft.needs.iter().find(|written| written.value == name);
                let span = place
                    .map(|place| &place.span)
                    .filter(|s| self.findings.map.is_first(s));
                (name, span.unwrap_or(&draft.name.span).clone())
            })
            .collect()
    }

    /// The stages that `draft` needs; those it cannot have are told and left out.
    fn needs(&mut self, draft: &Draft, names: &HashMap<&str, usize>) -> Vec<usize> {
        let mut needs = Vec::with_capacity(draft.needs.len());
        for (position, need) in draft.needs.iter().enumerate() {
            let first = draft.needs[..position]
                .iter()
                .find(|other| other.value == need.value);
            if need.value == draft.name.value {
                let message = format!("stage `{}` needs itself", need.value);
                self.findings
                    .at("self-need", message, &need.span, "remove this");
            } else if let Some(first) = first {
                let message = format!("`{}` is needed twice", need.value);
                self.findings
                    .at("duplicate-need", message, &need.span, "again here")
                    .and(&first.span, "first here");
            } else if let Some(index) = names.get(need.value.as_str()) {
                needs.push(*index);
            } else {
                let label = did_you_mean(need, names.keys().copied(), "no such stage");
                let message = format!(
                    "stage `{}` needs unknown `{}`",
                    draft.name.value, need.value
                );
                let found = self
                    .findings
                    .at("unknown-stage", message, &need.span, label);
                let mut all: Vec<&str> = names.keys().copied().collect();
                all.sort_unstable();
                if all.len() <= 12 {
                    found.help(format!("stages: {}", all.join(", ")));
                }
            }
        }
        needs
    }

    /// In `when`, a dash reads as an underscore: two such names would be one.
    fn clashing_names(&mut self, drafts: &[Draft]) {
        let mut seen: BTreeMap<String, &Spanned<String>> = BTreeMap::new();
        for draft in drafts
            .iter()
            .filter(|draft| draft.name.contains(['-', '_']))
        {
            let plain = draft.name.replace('-', "_");
            if let Some(first) = seen.insert(plain, &draft.name) {
                let message = format!(
                    "stages `{}` and `{}` have the same name",
                    first.value, draft.name.value
                );
                self.findings
                    .at(
                        "duplicate-name",
                        message,
                        &draft.name.span,
                        "the same name to `when`",
                    )
                    .and(&first.span, "first here")
                    .help("`when` reads `-` as `_`: rename one");
            }
        }
    }
}

/// False when some of a stage was already refused.
type IsWhole = bool;
