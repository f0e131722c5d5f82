//! The plan while it is made: what all who add nodes to it need.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::incumbents::Incumbents;
use super::question::Asked;
use super::{Definition, PlanNode, StoredNode};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::paths::plain;
use crate::pipeline::{Pipeline, Stage, Work};
use crate::problem::Problem;

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Its problem, where it has one.
    pub problem: Option<&'a Problem>,
    /// The root that names are relative to; absolute.
    pub root: &'a Path,
    /// Files and environment.
    pub host: &'a dyn Host,
    /// What there is to compare with.
    pub incumbents: &'a dyn Incumbents,
}

/// A path relative to the root where it lies below it, else absolute; `.` and `..` resolved by
/// their text.
pub fn relative(root: &Path, dir: &Path, path: &str) -> String {
    let clean = plain(&root.join(dir).join(path));
    let below = clean.strip_prefix(root).unwrap_or(&clean);
    if below.as_os_str().is_empty() {
        return ".".to_owned();
    }
    below.to_string_lossy().into_owned()
}

/// The plan while it is made.
pub(super) struct Builder<'a> {
    pub(super) request: Request<'a>,
    pub(super) nodes: Vec<PlanNode>,
    /// For each node, where the file says it: for drawing cycles.
    pub(super) spans: Vec<std::ops::Range<usize>>,
    by_name: HashMap<String, usize>,
    pub(super) made_from: BTreeSet<(Kind, String)>,
    pub(super) errors: Vec<Diagnostic>,
    tools: BTreeMap<String, Option<String>>,
    /// Every declared output, for patterns and implied edges.
    pub(super) outputs: HashMap<String, usize>,
    /// What the pipeline asks; found when the first stage wants to know.
    pub(super) asked: Option<Asked>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(request: Request<'a>) -> Self {
        let mut made_from = BTreeSet::new();
        let pipeline = request.pipeline;
        for path in &pipeline.sources {
            made_from.insert((
                Kind::File,
                relative(request.root, Path::new(""), &path.to_string_lossy()),
            ));
        }
        if let Some((problem, _)) = &pipeline.problem {
            made_from.insert((Kind::File, relative(request.root, &pipeline.dir, problem)));
        }
        let presets = pipeline.preset_dir.to_string_lossy();
        made_from.insert((Kind::Listing, relative(request.root, Path::new(""), &presets)));
        made_from.extend(pipeline.env_read.iter().map(|n| (Kind::Env, n.clone())));
        Self {
            request,
            nodes: Vec::with_capacity(pipeline.stages.len()),
            spans: Vec::new(),
            by_name: HashMap::new(),
            made_from,
            errors: Vec::new(),
            tools: BTreeMap::new(),
            outputs: HashMap::new(),
            asked: None,
        }
    }

    pub(super) fn relative(&self, path: &str) -> String {
        relative(self.request.root, &self.request.pipeline.dir, path)
    }

    /// The same, of what a link leads to.
    pub(super) fn real(&self, path: &str) -> String {
        let root = self.request.root;
        let real = self.request.host.real(&root.join(self.relative(path)));
        relative(root, Path::new(""), &real.to_string_lossy())
    }

    pub(super) fn add(&mut self, node: PlanNode, span: std::ops::Range<usize>) -> usize {
        let id = self.nodes.len();
        self.by_name.insert(node.name.clone(), id);
        for output in &node.outputs {
            self.outputs.insert(output.clone(), id);
        }
        self.nodes.push(node);
        self.spans.push(span);
        id
    }

    pub(super) fn node(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A node without inputs, outputs or needs.
    pub(super) fn bare(&self, stage: &Stage, name: String, definition: Definition) -> PlanNode {
        let when = stage.when.clone();
        PlanNode {
            name,
            needs: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            flags: if when.is_some() { flag::WHEN } else { 0 },
            stored: StoredNode {
                stage: stage.name.clone(),
                dir: self.dir(),
                when,
                definition,
                question: None,
            },
        }
    }

    pub(super) fn dir(&self) -> String {
        let dir = self.relative("");
        if dir == "." { String::new() } else { dir }
    }

    /// Looks a program up on the PATH, which the plan then depends on.
    pub(super) fn tool(&mut self, name: &str) -> Option<String> {
        if let Some(known) = self.tools.get(name) {
            return known.clone();
        }
        self.made_from.insert((Kind::Env, "PATH".to_owned()));
        let host = self.request.host;
        let path =
            host.text_var("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let found = path
            .split(':')
            .filter(|d| d.starts_with('/'))
            .map(|d| Path::new(d).join(name))
            .find(|p| host.exists(p))
            .map(|p| p.to_string_lossy().into_owned());
        self.tools.insert(name.to_owned(), found.clone());
        found
    }

    /// Records an error at a stage's name; the caller may add help.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        message: String,
        stage: &Stage,
    ) -> &mut Diagnostic {
        let source = &self.request.pipeline.source;
        let error = Diagnostic::new(code, message).at(source, stage.span.clone(), "in this stage");
        self.errors.push(error);
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }
}

/// The flag of a stage that is compared with nothing: what passes first is the baseline, where it
/// scores.
pub(super) fn baseline(work: &Work) -> u32 {
    if work.scores() { flag::FIRST } else { 0 }
}
