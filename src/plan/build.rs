//! From a pipeline to a plan: names become edges, patterns become files, kernels get the compiles
//! they need.

use std::collections::{BTreeSet, HashMap};

use super::builder::{Builder, baseline};
pub use super::builder::{Request, relative};
use super::graph::Graph;
use super::{Best, Definition, Origin, Plan, PlanNode, glob, incumbent, kernel};
use crate::cache::Kind;
use crate::cache::index::flag;
use crate::diagnostic::{Diagnostic, nearest};
use crate::pipeline::{CommandWork, Reuse, Run, Stage, Target, Variant, Work};

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

impl Builder<'_> {
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
                Work::Command(_) => self.command(stage, name, variant),
                Work::Check(_) | Work::Bench(_) => kernel::node(self, stage, name, variant),
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

    /// The node of a command; none where the stage is something else.
    fn command(&mut self, stage: &Stage, name: String, variant: &Variant) -> Option<PlanNode> {
        let Work::Command(work) = &variant.work else { return None };
        let question = work.metric.as_ref().and_then(|_| incumbent::question(self, variant));
        let mut work = work.clone();
        if work.compares() {
            work.kernel = incumbent::kernel_files(self, stage);
            work.opponent = incumbent::opponent(self, stage, &work, question.as_ref());
        }
        let work = &work;
        let mut node = self.bare(stage, name, Definition::Command(work.clone()));
        node.stored.question = question;
        node.flags |= if work.opponent.is_none() { baseline(&variant.work) } else { 0 };
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
        Some(node)
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
