//! From the exact image to a [`Pipeline`]: presets merged, variables put in, matrices multiplied
//! out, everything checked.

mod checked;
mod claims;
mod command;
mod compile;
mod condition;
mod draft;
mod kernel;
mod metric;
mod paths;
mod resolver;
mod stage;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::file::PipelineFile;
use super::findings::{Findings, did_you_mean};
use super::upstream::Upstream;
use super::values::OneOrMany;
use super::variables::Scope;
use super::{DeviceError, DeviceRequest, Overrides, Pipeline, Stage, overlay};
use crate::diagnostic::{Diagnostic, Source, Spanned, document};
use crate::host::Host;

use draft::Draft;
use resolver::Resolver;

/// What [`load`] found: the pipeline as far as it could be made, and everything wrong.
#[derive(Debug)]
pub struct Loaded {
    /// Present whenever enough was understood for later modules to look for more mistakes.
    pub pipeline: Option<Pipeline>,
    /// All mistakes; empty means the pipeline is good.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the pipeline at `path` and everything it names, and reports every mistake found.
pub fn load(path: &Path, overrides: &Overrides, host: &dyn Host) -> Loaded {
    let text = match host.read(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            let help = "give the path of a pipeline file; `optloop init` writes an example";
            let found = Diagnostic::new("unreadable", message).help(help);
            return Loaded { pipeline: None, diagnostics: vec![found] };
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
        return Loaded { pipeline: None, diagnostics: findings.finish() };
    };
    let over = overlay::stage_overrides(overrides, &mut findings);
    let is_other = overrides.kernel.is_some() || overrides.set.contains_key("kernel");
    let usual = || document::read::<PipelineFile>(&source).value?.kernel;
    let usual = is_other.then(usual).flatten();
    let mut resolver = Resolver::new(&source, host, findings, over);
    let mut pipeline = resolver.pipeline(file);
    if let Some(usual) = usual {
        // Mistakes in it are of no interest where another kernel is named.
        let (variables, mut unread) = (&mut resolver.variables, Findings::default());
        let usual = variables.expand_all(usual.as_slice(), Scope::default(), &mut unread);
        pipeline.usual_kernel = usual.into_iter().map(|source| source.value).collect();
    }
    let pipeline = Some(pipeline);
    Loaded { pipeline, diagnostics: resolver.findings.finish() }
}

impl Resolver<'_> {
    fn pipeline(&mut self, file: PipelineFile) -> Pipeline {
        self.variables.define(&file.vars, &mut self.findings);
        self.compile = file.compile.unwrap_or_default();
        let device = self.device(file.device.as_ref());
        self.kernel(file.kernel.as_ref(), file.problem.as_ref(), &device);
        self.problem(file.problem.as_ref());
        self.variables.define_rest(&mut self.findings);
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
            usual_kernel: self.variables.kernel.clone(),
            problem: self.variables.problem.clone().zip(self.problem_span.clone()),
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
        let text = self.variables.expand(device, Scope::default(), &mut self.findings);
        text.parse().unwrap_or_else(|error: DeviceError| {
            self.findings
                .at("bad-device", format!("bad device `{text}`"), &device.span, error.to_string())
                .help("a device is auto, cpu, cpu:3, cuda:0 or cuda:GPU-<uuid>");
            DeviceRequest::Auto
        })
    }

    fn kernel(
        &mut self,
        kernel: Option<&OneOrMany<String>>,
        problem: Option<&Spanned<String>>,
        device: &DeviceRequest,
    ) {
        let Some(kernel) = kernel else { return };
        let span = kernel.span();
        if kernel.as_slice().is_empty() {
            self.findings.at("empty", "`kernel` must not be empty", &span, "an empty list");
        }
        let before = self.findings.list.len();
        let sources =
            self.variables.expand_all(kernel.as_slice(), Scope::default(), &mut self.findings);
        if self.findings.list.len() == before {
            self.check_kernel(&sources, device, problem);
        }
        self.variables.kernel = sources.into_iter().map(|source| source.value).collect();
        self.kernel_span = Some(span);
    }

    fn problem(&mut self, problem: Option<&Spanned<String>>) {
        let Some(problem) = problem else { return };
        let path = self.variables.expand(problem, Scope::default(), &mut self.findings);
        self.must_exist("problem file", &path, &problem.span);
        // Later modules know only the pipeline's own text.
        let is_own = self.findings.map.is_first(&problem.span);
        self.problem_span = Some(if is_own { problem.span.clone() } else { 0..0 });
        self.claims.fixed("problem", &path, &problem.span);
        self.variables.problem = Some(path);
    }

    /// The checks that take all stages together.
    fn finish(&mut self, drafts: Vec<Draft>) -> Vec<Stage> {
        self.clashing_names(&drafts);
        let names: HashMap<&str, usize> = drafts
            .iter()
            .enumerate()
            .map(|(index, draft)| (draft.name.value.as_str(), index))
            .collect();
        let needs: Vec<Vec<usize>> = drafts.iter().map(|draft| self.needs(draft, &names)).collect();
        let graph = Upstream::new(&needs);
        let conditions: Vec<Option<String>> =
            (0..drafts.len()).map(|index| self.when(index, &drafts, &graph)).collect();
        self.check_paths(&drafts, &graph);
        let known: Vec<Vec<(String, Range<usize>)>> = drafts
            .iter()
            .zip(&needs)
            .map(|(draft, needs)| self.known_needs(draft, needs, &drafts))
            .collect();
        let stages = drafts.into_iter().zip(conditions).zip(known);
        stages
            .filter_map(|((draft, when), needs)| Some(Stage { needs, when, ..draft.stage? }))
            .collect()
    }

    fn known_needs(
        &self,
        draft: &Draft,
        needs: &[usize],
        drafts: &[Draft],
    ) -> Vec<(String, Range<usize>)> {
        let built = needs.iter().map(|index| &drafts[*index]).filter(|need| need.stage.is_some());
        built
            .map(|need| {
                let name = need.name.value.clone();
                let place = draft.needs.iter().find(|written| written.value == name);
                let span = place.map(|place| &place.span).filter(|s| self.findings.map.is_first(s));
                (name, span.unwrap_or(&draft.name.span).clone())
            })
            .collect()
    }

    /// The stages that `draft` needs; those it cannot have are reported and left out.
    fn needs(&mut self, draft: &Draft, names: &HashMap<&str, usize>) -> Vec<usize> {
        let mut needs = Vec::with_capacity(draft.needs.len());
        for (position, need) in draft.needs.iter().enumerate() {
            let first = draft.needs[..position].iter().find(|other| other.value == need.value);
            if need.value == draft.name.value {
                let message = format!("stage `{}` needs itself", need.value);
                self.findings.at("self-need", message, &need.span, "remove this");
            } else if let Some(first) = first {
                let message = format!("`{}` is needed twice", need.value);
                self.findings
                    .at("duplicate-need", message, &need.span, "again here")
                    .and(&first.span, "first here");
            } else if let Some(index) = names.get(need.value.as_str()) {
                needs.push(*index);
            } else {
                let label = did_you_mean(need, names.keys().copied(), "no such stage");
                let message =
                    format!("stage `{}` needs unknown `{}`", draft.name.value, need.value);
                let found = self.findings.at("unknown-stage", message, &need.span, label);
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
        for draft in drafts.iter().filter(|draft| draft.name.contains(['-', '_'])) {
            let plain = draft.name.replace('-', "_");
            if let Some(first) = seen.insert(plain, &draft.name) {
                let message = format!(
                    "stages `{}` and `{}` have the same name",
                    first.value, draft.name.value
                );
                self.findings
                    .at("duplicate-name", message, &draft.name.span, "the same name to `when`")
                    .and(&first.span, "first here")
                    .help("`when` reads `-` as `_`: rename one");
            }
        }
    }
}
