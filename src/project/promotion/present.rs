//! Whether an artifact is about what the kernel files hold now.

use std::fs;

use super::made::{self, Made};
use super::{DecisionContext, Measured, PromotionError, Stale};
use crate::cache::{EntryId, Kind, NodeId, PerNode, Status};
use crate::digest::Digest;
use crate::engine::StageRecord;
use crate::engine::explain::{Answer, Forecast, Why};
use crate::plan::{Definition, InputRole};
use crate::record::incumbent::{Build, Content};

/// The candidate as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Of the built kernel; of the file where only a command builds it.
    pub digest: Digest,
    /// The built kernel.
    pub binary: Option<Content>,
    /// Its files.
    pub sources: Vec<Content>,
    /// The project's other files that it is built from.
    pub headers: Vec<Content>,
    /// How it is built.
    pub build: Option<Build>,
}

/// Whether what the stage needs must hold as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The files and what they are compiled to are what was measured.
    Content,
    /// And every stage before the measurement passes on it, as things are now.
    Passed,
}

/// The candidate, if the kernel files still hold what the artifact is about.
pub(super) fn candidate(
    context: &DecisionContext<'_>,
    measured: &Measured,
    proof: Proof,
) -> Result<Candidate, PromotionError> {
    let (stage, state) = (context.stage, context.state);
    let node = state
        .index
        .find_node(stage)
        .ok_or_else(|| stale(Stale::NoStage(stage.to_owned()), measured))?;
    let stored = state.definition(node).map_err(PromotionError::State)?;
    let look = Look { context, measured, node };
    let candidate = match stored.definition {
        Definition::Bench(_) | Definition::Check(_) => look.kernel()?,
        Definition::Command(_) => look.command()?,
        _ => return Err(PromotionError::NotMeasuring { stage: stage.to_owned() }),
    };
    if proof == Proof::Passed {
        look.needs()?;
    }
    Ok(candidate)
}

/// How the kernel that the artifact is about is built now, where that is known.
pub(super) fn build(context: &DecisionContext<'_>, measured: &Measured) -> Option<Build> {
    let node = context.state.index.find_node(&measured.artifact.stage)?;
    let look = Look { context, measured, node };
    let (compile, _) = look.compile()?;
    let (forecast, _) = look.forecast(compile).ok()?;
    made::of(context, &forecast, compile).ok().map(|made| made.build)
}

fn stale(what: Stale, measured: &Measured) -> PromotionError {
    PromotionError::Stale {
        what,
        artifact: measured.name.clone(),
        pipeline: measured.artifact.provenance.pipeline.clone(),
    }
}

struct Look<'a> {
    context: &'a DecisionContext<'a>,
    measured: &'a Measured,
    node: NodeId,
}

impl Look<'_> {
    fn stale(&self, what: Stale) -> PromotionError {
        stale(what, self.measured)
    }

    /// What a run would do with a node, and with what it needs.
    fn forecast(&self, node: NodeId) -> Result<(Forecast<'_>, Vec<NodeId>), PromotionError> {
        let state = self.context.state;
        let mut selected = PerNode::new(false, state.index.nodes.len());
        let mut chosen = vec![node];
        let mut at = 0;
        while let Some(&next) = chosen.get(at) {
            if !std::mem::replace(&mut selected[next], true) {
                chosen.extend(state.index.needs(next));
            }
            at += 1;
        }
        let forecast =
            Forecast::of(state, self.context.host, &selected).map_err(PromotionError::State)?;
        let needs = state.index.node_ids().filter(|&n| selected[n] && n != node);
        Ok((forecast, needs.collect()))
    }

    /// The stages before it would all pass as they did.
    fn needs(&self) -> Result<(), PromotionError> {
        let index = &self.context.state.index;
        let (forecast, needs) = self.forecast(self.node)?;
        for need in needs {
            let explanation = forecast.brief(need);
            let passed = index.node(need).status() == Status::Passed;
            match explanation.answer {
                Answer::Known | Answer::PutBack { .. } | Answer::Skipped { .. } => {}
                Answer::Runs { why: Why::Always | Why::NoInputs } if passed => {}
                _ => return Err(self.stale(Stale::NotPassed(explanation.stage))),
            }
        }
        Ok(())
    }

    /// The node that builds the kernel, and the entry of what it builds.
    fn compile(&self) -> Option<(NodeId, EntryId)> {
        let index = &self.context.state.index;
        let inputs = index.inputs(self.node);
        let entry = inputs.first().copied()?;
        let builds = |n: &NodeId| index.outputs(*n).contains(&entry);
        Some((index.node_ids().find(builds)?, entry))
    }

    /// A kernel that optloop builds.
    fn kernel(&self) -> Result<Candidate, PromotionError> {
        let state = self.context.state;
        let index = &state.index;
        let (compile, entry) = self.compile().ok_or_else(|| self.stale(Stale::NotBuilt))?;
        let (forecast, _) = self.forecast(compile)?;
        let built = forecast.content_of(entry).filter(|_| {
            matches!(forecast.brief(compile).answer, Answer::Known | Answer::PutBack { .. })
        });
        let changed = || self.stale(Stale::Kernel);
        let digest = built.ok_or_else(changed)?;
        let hex = digest.hex();
        let recorded = match &self.measured.artifact.result {
            Some(StageRecord::Bench(bench)) => Some(bench.kernel_digest.as_str()),
            _ => None,
        };
        if self.measured.field(InputRole::Kernel.field()) != Some(&hex)
            || recorded.is_some_and(|r| r != hex)
        {
            return Err(changed());
        }
        let sources = self.sources(index.inputs(compile))?;
        let Made { headers, build } = made::of(self.context, &forecast, compile)
            .map_err(|why| why.map_or_else(changed, |path| self.stale(Stale::File(path))))?;
        let (_, name) = index.entry_name(entry);
        let bytes = state.store.bytes(&digest).or_else(|| {
            let there = fs::read(self.context.root().join(name)).ok();
            there.filter(|bytes| Digest::of(bytes) == digest)
        });
        let bytes = bytes.ok_or_else(|| self.stale(Stale::Binary))?;
        let binary = Some(Content { path: name.to_owned(), bytes });
        Ok(Candidate { digest, binary, sources, headers, build: Some(build) })
    }

    /// A kernel that only a command knows.
    fn command(&self) -> Result<Candidate, PromotionError> {
        let index = &self.context.state.index;
        let sources = self.sources(index.inputs(self.node))?;
        for (read, source) in self.context.kernel.iter().zip(&sources) {
            let digest = Digest::of(&source.bytes).hex();
            if self.measured.field(&format!("input:{read}")) != Some(&digest) {
                return Err(self.stale(Stale::File(source.path.clone())));
            }
        }
        let opponents = self.measured.opponents();
        let named = |name: &str| {
            self.context.kernel.iter().any(|read| read == name)
                || opponents.iter().any(|o| o == name)
        };
        for (field, digest) in &self.measured.artifact.key_fields {
            let Some(path) = field.strip_prefix("input:").filter(|path| !named(path)) else {
                continue;
            };
            let now = Digest::of_file(&self.context.root().join(path)).map(|d| d.hex());
            if now.unwrap_or_else(|_| "absent".to_owned()) != *digest {
                return Err(self.stale(Stale::Input(path.to_owned())));
            }
        }
        let [one] = &sources[..] else {
            return Err(PromotionError::SeveralFiles { stage: self.context.stage.to_owned() });
        };
        let digest = Digest::of(&one.bytes);
        Ok(Candidate { digest, binary: None, sources, headers: Vec::new(), build: None })
    }

    /// The kernel's files, each of them read by the node and as it was seen.
    fn sources(&self, reads: &[EntryId]) -> Result<Vec<Content>, PromotionError> {
        let index = &self.context.state.index;
        let one = |path: &String| {
            // What was measured of a copy that optloop made is no file of the user's.
            let own = self
                .context
                .own(path)
                .ok_or_else(|| PromotionError::Copy { artifact: self.measured.name.clone() })?;
            let seen = reads.iter().find(|&&e| index.entry_name(e) == (Kind::File, path));
            let seen = seen.ok_or_else(|| PromotionError::NotAnInput {
                stage: self.context.stage.to_owned(),
                path: path.clone(),
            })?;
            let bytes = fs::read(self.context.root().join(path))
                .map_err(|e| self.stale(Stale::Unreadable(path.clone(), e.to_string())))?;
            if Digest::of(&bytes) != index.entry(*seen).digest {
                return Err(self.stale(Stale::File(path.clone())));
            }
            Ok(Content { path: own.to_owned(), bytes })
        };
        self.context.kernel.iter().map(one).collect()
    }
}
