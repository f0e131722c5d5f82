//! From a pipeline to a plan: names become edges, patterns become files, kernels get the compiles
//! they need.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::graph::Graph;
use super::incumbent::{self, Incumbents};
use super::question::Asked;
use super::{Best, Definition, Origin, Plan, PlanNode, StoredNode, glob, kernel};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::diagnostic::{Diagnostic, nearest};
use crate::host::Host;
use crate::paths::plain;
use crate::pipeline::{CommandWork, Pipeline, Reuse, Run, Stage, Target, Variant, Work};
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

/// Makes the plan.
///
/// # Errors
/// Cycles, tools that are not there and patterns that match nothing, all of them.
pub fn build(request: Request<'_>) -> Result<Plan, Vec<Diagnostic>> {
    let mut builder = Builder::new(request);
    for stage in &request.pipeline.stages {
        builder.stage(stage);
    }
    builder.connect();
    builder.finish()
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

/// The plan while it is made. Shared with [`kernel`].
pub(super) struct Builder<'a> {
    pub(super) request: Request<'a>,
    pub(super) nodes: Vec<PlanNode>,
    /// For each node, where the file says it: for drawing cycles.
    spans: Vec<std::ops::Range<usize>>,
    by_name: HashMap<String, usize>,
    pub(super) made_from: BTreeSet<(Kind, String)>,
    pub(super) errors: Vec<Diagnostic>,
    tools: BTreeMap<String, Option<String>>,
    /// Every declared output, for patterns and implied edges.
    outputs: HashMap<String, usize>,
    /// What the pipeline asks; found when the first stage wants to know.
    pub(super) asked: Option<Asked>,
}

impl<'a> Builder<'a> {
    fn new(request: Request<'a>) -> Self {
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

    fn stage(&mut self, stage: &Stage) {
        let matrix = stage.variants.len() > 1 || !stage.variants[0].label.is_empty();
        let mut members = Vec::new();
        for variant in &stage.variants {
            let name = if matrix {
                format!("{}[{}]", stage.name, variant.label)
            } else {
                stage.name.clone()
            };
            let node = match &variant.work {
                Work::Command(work) => Some(self.command(stage, name, (variant, work))),
                Work::Check(_) | Work::Bench(_) => self.kernel_node(stage, name, variant),
            };
            members.extend(node.map(|n| self.add(n, stage.span.clone())));
        }
        if matrix {
            self.best(stage, members);
        }
    }

    fn best(&mut self, stage: &Stage, members: Vec<usize>) {
        let (by, better) = stage.best_by.clone();
        let definition = Definition::Best(Best { by, better });
        let mut node = self.bare(stage, stage.name.clone(), definition);
        node.flags |= flag::RESULT | flag::FOLLOWS;
        node.needs = members;
        self.add(node, stage.span.clone());
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

    fn command(
        &mut self,
        stage: &Stage,
        name: String,
        (variant, work): (&Variant, &CommandWork),
    ) -> PlanNode {
        let question = work.metric.as_ref().and_then(|_| incumbent::question(self, variant));
        let mut work = work.clone();
        if work.compares() {
            work.kernel = incumbent::kernel_files(self, stage);
            work.opponent = incumbent::opponent(self, stage, &work, question.as_ref());
        }
        let work = &work;
        let mut node = self.bare(stage, name, Definition::Command(work.clone()));
        node.stored.question = question;
        node.flags |= first(&variant.work, work.opponent.is_some());
        if let Some(tool) = self.command_tool(stage, work) {
            node.inputs.push((Kind::File, tool));
        }
        node.inputs.extend(work.pass_env.iter().map(|n| (Kind::Env, n.clone())));
        // Patterns may match outputs of later stages, so they wait for `connect`.
        let names = work.inputs.iter().filter(|i| !self.is_pattern(i));
        node.inputs.extend(names.map(|i| (Kind::File, self.relative(i))));
        let theirs = work.opponent.iter().flat_map(|opponent| &opponent.kernel);
        for file in work.kernel.iter().map(|kernel| &kernel.file).chain(theirs) {
            let input = (Kind::File, file.clone());
            if !node.inputs.contains(&input) {
                node.inputs.push(input);
            }
        }
        node.outputs = work.outputs.iter().map(|o| self.relative(o)).collect();
        node.flags |= if work.cache == Reuse::Yes { 0 } else { flag::ALWAYS };
        node.flags |= if work.metric.is_some() { flag::RESULT } else { 0 };
        node.flags |= if work.exclusive { flag::ALONE } else { 0 };
        node.flags |= if work.depfile.is_some() { flag::DISCOVERS } else { 0 };
        node
    }

    /// The program a command starts, whose content counts in its key.
    fn command_tool(&mut self, stage: &Stage, work: &CommandWork) -> Option<String> {
        match &work.run {
            Run::Shell(_) => Some("/bin/sh".to_owned()),
            Run::Argv(argv) if argv[0].contains('/') => Some(self.relative(&argv[0])),
            Run::Argv(argv) => {
                let found = self.tool(&argv[0]);
                if found.is_none() {
                    let message = format!("there is no program `{}` on the PATH", argv[0]);
                    self.error("no-program", message, stage).help =
                        Some("install it, or give its path with a `/` in it".to_owned());
                }
                found
            }
        }
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

    fn origin(&self) -> Origin {
        let pipeline = self.request.pipeline;
        let target = pipeline.target();
        let problem = pipeline.problem.as_ref().map(|(problem, _)| self.relative(problem));
        Origin {
            kernel: pipeline.kernel.iter().map(|path| self.relative(path)).collect(),
            problem: problem.unwrap_or_default(),
            device: match target {
                Target::Cpu(_) => pipeline.device.to_string(),
                Target::Cuda(_) => target.to_string(),
            },
            identity: target.device(),
        }
    }

    fn kernel_node(&mut self, stage: &Stage, name: String, variant: &Variant) -> Option<PlanNode> {
        kernel::node(self, stage, name, variant)
    }

    /// Edges: what `needs` names, and whoever writes what a node reads.
    fn connect(&mut self) {
        for stage in &self.request.pipeline.stages {
            self.patterns(stage);
        }
        let stages: HashMap<&str, &Stage> =
            self.request.pipeline.stages.iter().map(|s| (s.name.as_str(), s)).collect();
        for id in 0..self.nodes.len() {
            let mut needs: BTreeSet<usize> = self.nodes[id].needs.iter().copied().collect();
            let best = matches!(self.nodes[id].stored.definition, Definition::Best(_));
            if let Some(stage) = stages.get(self.nodes[id].stored.stage.as_str()).filter(|_| !best)
            {
                // Unknown names were reported when the pipeline was read.
                needs.extend(stage.needs.iter().filter_map(|(n, _)| self.node(n)));
            }
            let writers = self.nodes[id].inputs.iter().filter(|(k, _)| *k == Kind::File);
            needs.extend(
                writers.filter_map(|(_, path)| self.outputs.get(path)).filter(|&&w| w != id),
            );
            self.nodes[id].needs = needs.into_iter().collect();
        }
    }

    /// A pattern, and no file that is there under this very name. A star is always one.
    fn is_pattern(&self, input: &str) -> bool {
        let there = || self.request.host.exists(&self.request.root.join(self.relative(input)));
        glob::is_pattern(input) && (input.contains('*') || !there())
    }

    /// Resolves the patterns of a stage's commands against the disk and all declared outputs.
    fn patterns(&mut self, stage: &Stage) {
        if !stage.variants.iter().any(|v| has_patterns(&v.work)) {
            return;
        }
        let ids: Vec<usize> =
            (0..self.nodes.len()).filter(|&i| self.nodes[i].stored.stage == stage.name).collect();
        for id in ids {
            let Definition::Command(work) = &self.nodes[id].stored.definition else {
                continue;
            };
            let inputs = work.inputs.clone();
            for pattern in &inputs {
                if self.is_pattern(pattern) {
                    self.pattern(stage, id, pattern);
                }
            }
        }
    }

    fn pattern(&mut self, stage: &Stage, id: usize, pattern: &str) {
        let (root, host) = (self.request.root, self.request.host);
        let folders = glob::Folders {
            list: &|dir| host.list(&root.join(dir)),
            real: &|dir| host.real(&root.join(dir)),
            exists: &|path| host.exists(&root.join(path)),
        };
        let joined = self.relative(pattern);
        let Ok((mut found, glob)) = glob::resolve(&joined, folders) else {
            return; // reported when the pipeline was read
        };
        for name in std::mem::take(&mut found.unnamed) {
            let message = format!("`{pattern}` takes in `{name}`, whose name is not UTF-8");
            self.error("bad-name", message, stage).help = Some(
                "rename it, or name the inputs without it: what is read is kept under its name, \
                 which is text"
                    .to_owned(),
            );
        }
        let own: BTreeSet<String> = self.nodes[id].outputs.iter().cloned().collect();
        found.files.extend(self.outputs.keys().filter(|o| glob.is_match(o)).cloned());
        if found.files.is_empty() {
            let message = format!("`{pattern}` matches no file and no stage's output");
            self.error("no-match", message, stage);
        }
        self.made_from.extend(found.folders.into_iter().map(|f| (Kind::Listing, f)));
        let inputs = found.files.into_iter().filter(|f| !own.contains(f));
        let known = &mut self.nodes[id].inputs;
        let named: BTreeSet<(Kind, String)> = known.iter().cloned().collect();
        let inputs = inputs.map(|file| (Kind::File, file)).filter(|input| !named.contains(input));
        known.extend(inputs);
    }

    fn finish(mut self) -> Result<Plan, Vec<Diagnostic>> {
        let needs: Vec<Vec<usize>> = self.nodes.iter().map(|n| n.needs.clone()).collect();
        match Graph::new(&needs).order() {
            Ok(order) if self.errors.is_empty() => Ok(self.ordered(&order)),
            Ok(_) => Err(self.errors),
            Err(cycles) => {
                let drawn: Vec<_> = cycles.iter().map(|c| self.draw_cycle(c)).collect();
                self.errors.extend(drawn);
                Err(self.errors)
            }
        }
    }

    fn ordered(self, order: &[usize]) -> Plan {
        let mut place = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        let origin = self.origin();
        let mut nodes: Vec<Option<PlanNode>> = self.nodes.into_iter().map(Some).collect();
        let nodes = order.iter().filter_map(|&old| nodes[old].take()).map(|mut node| {
            node.needs = node.needs.iter().map(|&n| place[n]).collect();
            node
        });
        Plan {
            title: self.request.pipeline.name.clone(),
            nodes: nodes.collect(),
            made_from: self.made_from.into_iter().collect(),
            origin,
        }
    }

    /// A label on each `needs` of the way round.
    fn draw_cycle(&self, cycle: &[usize]) -> Diagnostic {
        let pipeline = self.request.pipeline;
        let names: Vec<&str> = cycle.iter().map(|&n| self.nodes[n].name.as_str()).collect();
        let round = format!("{} → {}", names.join(" → "), names[0]);
        let mut error = Diagnostic::new("cycle", format!("stages need each other: {round}"));
        for (i, &node) in cycle.iter().enumerate() {
            let next = names[(i + 1) % names.len()];
            let stage = pipeline.stages.iter().find(|s| s.name == self.nodes[node].stored.stage);
            let needs = stage.and_then(|s| {
                let stage_of_next = next.split('[').next().unwrap_or(next);
                s.needs.iter().find(|(n, _)| n == stage_of_next)
            });
            let (span, text) = match needs {
                Some((_, span)) => (span.clone(), format!("`{}` needs `{next}`", names[i])),
                None => {
                    (self.spans[node].clone(), format!("`{}` reads what `{next}` writes", names[i]))
                }
            };
            error = error.at(&pipeline.source, span, text);
        }
        error.help("remove one of these so that some stage can start".to_owned())
    }
}

/// The flag of a stage that is to be compared with the best of which there is none yet.
pub(super) fn first(work: &Work, is_compared: bool) -> u32 {
    if work.scores() && !is_compared { flag::FIRST } else { 0 }
}

fn has_patterns(work: &Work) -> bool {
    matches!(work, Work::Command(c) if c.inputs.iter().any(|i| glob::is_pattern(i)))
}

/// Positions of the wanted stages and everything they need; all nodes when none is named.
///
/// # Errors
/// One error per name that is no stage, with the nearest that is.
pub fn select(
    names: &[String],
    wanted: &[String],
    needs: &[Vec<usize>],
) -> Result<Vec<usize>, Vec<Diagnostic>> {
    if wanted.is_empty() {
        return Ok((0..names.len()).collect());
    }
    let mut errors = Vec::new();
    let mut found = Vec::new();
    for name in wanted {
        let prefix = format!("{name}[");
        let hits = (0..names.len()).filter(|&i| names[i] == *name || names[i].starts_with(&prefix));
        let before = found.len();
        found.extend(hits);
        if found.len() == before {
            let mut error = Diagnostic::new("unknown-stage", format!("there is no stage `{name}`"));
            let all = names.iter().map(String::as_str);
            error.help = Some(match nearest(name, all.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("stages are: {}", all.collect::<Vec<_>>().join(", ")),
            });
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok(Graph::new(needs).with_ancestors(&found)) } else { Err(errors) }
}
