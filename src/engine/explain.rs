//! Why a node would run: what a run would decide, found out without running, locking or writing
//! anything.
//!
//! [`Forecast::of`] walks the nodes in order as a run would. What an upstream stage would write
//! anew is not known yet, so whoever reads it *waits*: it runs when that turns out different.
//! Outputs that would be put back are reckoned with as if they were in place already.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::condition;
use super::error::EngineError;
pub use super::explanation::{Answer, Cause, Counts, Explanation, Field, Link, Why};
use super::fate::{Fate, Step};
use super::own;
use super::state::State;
use super::subject::{Eyes, Hit, Job, Known, Readable, lost_artifact};
use crate::cache::index::flag;
use crate::cache::{EntryId, Kind, NodeId, PerNode, Status};
use crate::digest::Digest;
use crate::host::Host;
use crate::plan::key::{Change, Walk};

/// What a run would do with every selected node.
pub struct Forecast<'a> {
    pub(super) state: &'a State,
    host: &'a dyn Host,
    /// `None` for nodes that are not selected.
    pub(super) fates: PerNode<Option<Fate>>,
    /// Files that would be put back.
    pub(super) given: HashMap<String, (Digest, u32)>,
    /// Entries that would be written anew, and by whom.
    pub(super) written: HashMap<EntryId, NodeId>,
}

impl<'a> Forecast<'a> {
    /// Makes the forecast for the nodes that are `selected`, which must hold what they need.
    ///
    /// # Errors
    /// When the stage definitions are damaged.
    pub fn of(
        state: &'a State,
        host: &'a dyn Host,
        selected: &PerNode<bool>,
    ) -> Result<Self, EngineError> {
        let fates = PerNode::new(None, state.index.nodes.len());
        let (given, written) = (HashMap::new(), HashMap::new());
        let mut forecast = Self { state, host, fates, given, written };
        for node in state.index.node_ids().filter(|&n| selected[n]) {
            let mut fate = forecast.one(node)?;
            forecast.given.extend(std::mem::take(&mut fate.given));
            if fate.moves() {
                let outputs = state.index.outputs(node);
                forecast.written.extend(outputs.iter().map(|&e| (e, node)));
            }
            forecast.fates[node] = Some(fate);
        }
        Ok(forecast)
    }

    /// Selected nodes of which a run would do more than say that they are known.
    pub fn notable(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.fates.iter().filter_map(|(node, fate)| {
            let known = fate.as_ref().is_none_or(|f| f.answer == Answer::Known);
            (!known).then_some(node)
        })
    }

    /// How many there are of each answer.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for fate in self.fates.values().flatten() {
            *match fate.answer {
                Answer::Known => &mut counts.known,
                Answer::PutBack { .. } => &mut counts.put_back,
                Answer::Runs { .. } => &mut counts.run,
                Answer::Waits => &mut counts.may_run,
                Answer::Skipped { .. } => &mut counts.skipped,
                Answer::Fails { .. } => &mut counts.fail,
            } += 1;
        }
        counts
    }

    /// The whole explanation of a selected node.
    pub fn explanation(&self, node: NodeId) -> Explanation {
        Explanation { causes: self.causes(node), ..self.brief(node) }
    }

    /// The explanation of a selected node without its causes, which take long to find for many.
    pub fn brief(&self, node: NodeId) -> Explanation {
        let index = &self.state.index;
        let n = index.node(node);
        let fate = self.fates[node].clone();
        let fate = fate.unwrap_or_else(|| Fate::of(Answer::Known, n.key));
        Explanation {
            stage: self.name(node),
            implicit: n.has(flag::IMPLICIT),
            causes: Vec::new(),
            answer: fate.answer,
            changes: fate.changes,
            provided: fate.provided.iter().map(|&p| self.name(p)).collect(),
            condition: fate.condition,
            finished_ms: if n.key.is_none() { 0 } else { n.finished_ms },
        }
    }

    /// The stage upstream with which the first chain to a node begins.
    pub fn first_cause(&self, node: NodeId) -> Option<String> {
        let first = |n: NodeId| self.steps(n).first().map(|s| s.from);
        let root = std::iter::successors(Some(node), |&n| first(n)).last()?;
        (root != node).then(|| self.name(root))
    }

    /// The fields of the key under which a node's result is kept, when it is.
    pub fn key_fields(&self, node: NodeId) -> Option<Vec<(String, String)>> {
        let fate = self.fates[node].as_ref()?;
        self.state.store.action(&fate.key).map(|action| action.fields)
    }

    /// What an entry would hold after the run; `None` when a stage would write it anew.
    pub fn content_of(&self, entry: EntryId) -> Option<Digest> {
        if self.written.contains_key(&entry) {
            return None;
        }
        let index = &self.state.index;
        let (_, name) = index.entry_name(entry);
        let there = index.entries.get(entry.place()).map(|e| e.digest);
        self.given.get(name).map(|(digest, _)| *digest).or(there).filter(|digest| !digest.is_none())
    }

    fn steps(&self, node: NodeId) -> &[Step] {
        self.fates[node].as_ref().map_or(&[], |f| &f.steps)
    }

    fn name(&self, node: NodeId) -> String {
        self.state.index.node_name(node).to_owned()
    }

    /// Every stage upstream that moves by itself, each with the shortest chain from it.
    fn causes(&self, node: NodeId) -> Vec<Cause> {
        let mut found = BTreeMap::new();
        let mut seen = HashSet::from([node]);
        let mut next = std::collections::VecDeque::from([(node, Vec::new())]);
        while let Some((at, chain)) = next.pop_front() {
            let steps = self.steps(at);
            if steps.is_empty() && at != node {
                found.insert(at, chain);
                continue;
            }
            for step in steps.iter().filter(|s| seen.insert(s.from)) {
                let mut longer = vec![Link { stage: self.name(at), reads: step.reads.clone() }];
                longer.extend(chain.iter().cloned());
                next.push_back((step.from, longer));
            }
        }
        found.into_iter().filter_map(|(root, chain)| self.cause(root, chain)).collect()
    }

    fn cause(&self, root: NodeId, chain: Vec<Link>) -> Option<Cause> {
        let fate = self.fates[root].as_ref()?;
        let Answer::Runs { why } = &fate.answer else {
            return None;
        };
        let (why, changes) = (why.clone(), fate.changes.clone());
        Some(Cause { stage: self.name(root), why, changes, chain })
    }

    fn one(&self, node: NodeId) -> Result<Fate, EngineError> {
        let n = self.state.index.node(node);
        let skipped = self.skipped(node).map(|by| Answer::Skipped { because: self.name(by) });
        if let Some(answer) = skipped {
            return Ok(Fate::of(answer, n.key));
        }
        if n.status() == Status::Passed && !n.has(flag::ALWAYS) && !self.touched(node) {
            let provided = self.provided(node, &[]);
            return Ok(Fate { provided, ..Fate::of(Answer::Known, n.key) });
        }
        let stored = self.state.definition(node)?;
        let when = stored.when.clone();
        let steps = self.upstream(node, when.as_deref());
        let provided = self.provided(node, &steps);
        let mut fate = match when.map(|w| self.condition(node, w, &steps)) {
            Some(Some(fate)) => fate,
            Some(None) | None => self.look_up(Job::of(&self.state.index, node, stored), &steps),
        };
        (fate.steps, fate.provided) = (steps, provided);
        Ok(fate)
    }

    /// The needed node whose skipping it follows.
    fn skipped(&self, node: NodeId) -> Option<NodeId> {
        let n = self.state.index.node(node);
        let needs = self.state.index.needs(node);
        let skipped = |n: &&NodeId| {
            let fate = self.fates[**n].as_ref();
            fate.is_some_and(|f| matches!(f.answer, Answer::Skipped { .. }))
        };
        if n.has(flag::FOLLOWS) {
            return needs.iter().all(|n| skipped(&n)).then(|| needs.first().copied())?;
        }
        needs.iter().find(skipped).copied()
    }

    /// Whether anything a passed node reads or follows would be other than it is.
    fn touched(&self, node: NodeId) -> bool {
        let index = &self.state.index;
        let n = index.node(node);
        let given = |e: EntryId| {
            let (kind, name) = index.entry_name(e);
            kind == Kind::File
                && self.given.get(name).is_some_and(|(d, _)| *d != index.entry(e).digest)
        };
        if index.reads(node).any(|e| self.written.contains_key(&e) || given(e)) {
            return true;
        }
        n.has(flag::WHEN | flag::FOLLOWS)
            && index.needs(node).iter().any(|&need| {
                let fate = self.fates[need].as_ref();
                fate.is_some_and(|f| f.moves() || f.key != index.node(need).key)
            })
    }

    /// What the node reads, files or results, of nodes that would run.
    fn upstream(&self, node: NodeId, when: Option<&str>) -> Vec<Step> {
        let index = &self.state.index;
        let n = index.node(node);
        let mut reads: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        for entry in index.reads(node) {
            if let Some(&writer) = self.written.get(&entry).filter(|w| **w != node) {
                reads.entry(writer).or_default().push(index.entry_name(entry).1.to_owned());
            }
        }
        let asked = when.map(condition::stages_read).unwrap_or_default();
        for &need in index.needs(node) {
            let asks = asked.contains(&index.node_name(need).replace('-', "_"));
            let moves = self.fates[need].as_ref().is_some_and(Fate::moves);
            if moves && (n.has(flag::FOLLOWS) || asks) {
                reads.entry(need).or_default();
            }
        }
        reads.into_iter().map(|(from, reads)| Step { from, reads }).collect()
    }

    /// Needed nodes that would run without being read.
    fn provided(&self, node: NodeId, steps: &[Step]) -> Vec<NodeId> {
        let needs = self.state.index.needs(node);
        let moves = |n: &NodeId| self.fates[*n].as_ref().is_some_and(Fate::moves);
        let read = |n: &NodeId| steps.iter().any(|s| s.from == *n);
        needs.iter().copied().filter(|n| moves(n) && !read(n)).collect()
    }

    /// What the condition makes of a node; `None` when it holds.
    fn condition(&self, node: NodeId, when: String, steps: &[Step]) -> Option<Fate> {
        let index = &self.state.index;
        let key = index.node(node).key;
        let asked = condition::stages_read(&when);
        let read = |s: &Step| asked.contains(&index.node_name(s.from).replace('-', "_"));
        if steps.iter().any(read) {
            return Some(Fate { condition: Some(when), ..Fate::of(Answer::Waits, key) });
        }
        let result = |other: NodeId| {
            let n = index.node(other);
            let recorded = (n.status() == Status::Passed, n.key);
            self.fates[other].as_ref().map_or(recorded, |fate| (fate.passed(), fate.key))
        };
        let readable = Readable { index, store: &self.state.store, result: &result };
        match readable.holds(node, &when) {
            Ok(true) => None,
            Ok(false) => Some(Fate::of(Answer::Skipped { because: when }, key)),
            Err(why) => Some(Fate::of(Answer::Fails { message: why.to_string() }, key)),
        }
    }

    fn eyes(&self) -> Eyes<'_> {
        let root_fd = self.state.root_fd();
        Eyes { root_fd, host: self.host, clock: None, given: Some(&self.given) }
    }

    /// Makes the key, as far as it can be made yet, and looks for its result.
    fn look_up(&self, mut job: Job, steps: &[Step]) -> Fate {
        let (index, store) = (&self.state.index, &self.state.store);
        let eyes = self.eyes();
        let is_open = |k: &Known| steps.iter().any(|s| s.reads.contains(&k.name));
        for known in job.inputs.iter_mut().filter(|k| !is_open(k)) {
            if let Err(error) = eyes.look_again(known) {
                let message = error.to_string();
                return Fate::of(Answer::Fails { message }, job.old_key);
            }
        }
        if job.flags & flag::FOLLOWS != 0 {
            let needs = index.needs(job.node);
            let passed = needs.iter().filter_map(|&need| {
                let fate = self.fates[need].as_ref().filter(|f| f.passed())?;
                Some((self.name(need), fate.key))
            });
            job.members = passed.collect();
        }
        let declared = job.declared_walk();
        if !steps.is_empty() {
            return self.open(&job, &declared, &is_open);
        }
        let always = job.flags & flag::ALWAYS != 0;
        if let Some(hit) = own::known(&job, &declared, store, &eyes).filter(|_| !always) {
            return self.hit(&job, &declared, &hit);
        }
        let (why, changes) = Why::of(job.why(&declared, store, &eyes));
        let fate = Fate::of(Answer::Runs { why }, job.old_key);
        let all = || job.changes(&declared, store, &eyes).unwrap_or_default();
        let changes = if changes.is_empty() { all() } else { changes };
        Fate { changes: self.fields(&job, changes), ..fate }
    }

    /// A node of whose key some fields are not known yet.
    fn open(&self, job: &Job, declared: &Walk, is_open: &dyn Fn(&Known) -> bool) -> Fate {
        let (why, mut changes) = Why::of(job.why(declared, &self.state.store, &self.eyes()));
        if changes.is_empty() {
            let all = job.changes(declared, &self.state.store, &self.eyes());
            changes = all.unwrap_or_default();
        }
        let declared = job.inputs.iter().enumerate().filter(|(_, k)| is_open(k));
        let mut hidden: HashSet<String> =
            declared.map(|(i, k)| format!("{}:{}", k.kind.word(), job.role(i))).collect();
        let discovered = job.discovered.iter().filter(|k| is_open(k));
        hidden.extend(discovered.map(|k| format!("{}:{}", k.kind.word(), k.name)));
        changes.retain(|c| !hidden.contains(&c.field) && !c.field.starts_with("member:"));
        let answer = match why {
            Why::Changed if changes.is_empty() => Answer::Waits,
            Why::NotPassed => Answer::Waits,
            why => Answer::Runs { why },
        };
        Fate { changes: self.fields(job, changes), ..Fate::of(answer, job.old_key) }
    }

    /// A node with a kept result: what a run would put back.
    fn hit(&self, job: &Job, declared: &Walk, hit: &Hit) -> Fate {
        let store = &self.state.store;
        let changes = if hit.key == job.old_key {
            Vec::new()
        } else {
            job.changes(declared, store, &self.eyes()).unwrap_or_default()
        };
        let changes = self.fields(job, changes);
        let lost = |file: &str| {
            let why = Why::OutputLost { file: file.to_owned() };
            Fate::of(Answer::Runs { why }, job.old_key)
        };
        if hit.action.outputs.len() != job.outputs.len() {
            return Fate { changes, ..lost(&job.name) };
        }
        if let Some(file) = lost_artifact(&hit.action, &self.state.paths.state) {
            return Fate { changes, ..lost(&file) };
        }
        let (mut files, mut given) = (Vec::new(), Vec::new());
        for (known, output) in job.outputs.iter().zip(&hit.action.outputs) {
            let link = std::fs::read_link(self.state.paths.root.join(&known.name)).ok();
            if !output.is(&known.digest, &known.stat, link.as_deref()) {
                if !store.has_blob(&output.digest) {
                    return Fate { changes, ..lost(&known.name) };
                }
                files.push(known.name.clone());
                given.push((known.name.clone(), (output.digest, output.mode)));
            }
        }
        let known = files.is_empty() && hit.key == job.old_key;
        let answer = if known { Answer::Known } else { Answer::PutBack { files } };
        Fate { changes, given, ..Fate::of(answer, hit.key) }
    }

    /// Changes with the files they stand for.
    fn fields(&self, job: &Job, changes: Vec<Change>) -> Vec<Field> {
        let roles = job.inputs.iter().enumerate().map(|(i, k)| (job.role(i), k));
        let all = roles.chain(job.discovered.iter().map(|k| (k.name.as_str(), k)));
        let files: HashMap<String, &Known> = all
            .filter(|(_, k)| matches!(k.kind, Kind::File | Kind::Tool))
            .map(|(role, k)| (format!("{}:{role}", k.kind.word()), k))
            .collect();
        let field = |change: Change| {
            let file = files.get(&change.field);
            let old: Option<Digest> = change.old.as_ref().and_then(|o| o.parse().ok());
            let new = file.filter(|k| !k.stat.is_missing()).map(|k| k.stat.size);
            Field {
                path: file.map(|k| k.name.clone()),
                old_bytes: file.and_then(|_| self.state.size_of(&old?)),
                new_bytes: new,
                change,
            }
        };
        changes.into_iter().map(field).collect()
    }
}
