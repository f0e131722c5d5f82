//! The baseline: the first kernel that passes a stage which is to be compared with the best.

use super::Opened;
use super::incumbents;
use super::promotion::{self, DecisionContext, Former, Measured, PromotionError};
use crate::cache::index::{Index, flag};
use crate::cache::{Action, NodeId, PerNode, Status};
use crate::plan::layout;
use crate::record::Place;

/// A kernel that was to be the first of its place.
#[derive(Debug)]
pub struct Baseline {
    /// What it is filed under.
    pub place: Place,
    /// With the best of the same name that it leaves behind, if there is one; or why it is no
    /// baseline.
    pub result: Result<Option<Former>, PromotionError>,
}

impl Opened<'_> {
    /// Sets the baseline of each place that has none, from what passed now or is cached. The plan
    /// knows which stages these are, so the pipeline is not read for it.
    pub(super) fn set_baselines(&self, selected: &[NodeId]) -> Vec<Baseline> {
        let index = &self.state.index;
        let wanted = |n: &NodeId| selected.is_empty() || selected.contains(n);
        let due = index
            .node_ids()
            .filter(|&n| index.node(n).has(flag::FIRST) && wanted(&n) && passed(index, n));
        // The last word on a kernel comes from the last of its stages.
        due.rev().filter_map(|node| self.set_baseline(node)).collect()
    }

    /// The baseline of a node's place; `None` where there is one already, or nothing to set.
    fn set_baseline(&self, node: NodeId) -> Option<Baseline> {
        let known = self.state.store.action(&self.state.index.node(node).key)?;
        let question = self.state.definition(node).ok().and_then(|stored| stored.question)?;
        let place = incumbents::place(self.project.host, &question);
        let first = self.try_baseline(node, &known, &place).transpose()?;
        Some(Baseline { place, result: first.map(|first| first.former) })
    }

    fn try_baseline(
        &self,
        node: NodeId,
        known: &Action,
        place: &Place,
    ) -> Result<Option<First>, PromotionError> {
        let index = &self.state.index;
        let state = &self.state.paths.state;
        let context = DecisionContext {
            state: &self.state,
            host: self.project.host,
            stage: index.node_name(node),
            kernel: &layout::origin(index).kernel,
            place: place.clone(),
            copy: None,
            recipe: None,
            at: jiff::Timestamp::now().to_string(),
        };
        let measured = Measured::read(state, &state.join(&known.artifact))?;
        let former = promotion::former(&context, &measured);
        Ok(promotion::baseline(&context, &measured)?.map(|_| First { former }))
    }
}

/// A kernel that is the first of its place, and the best of the same name that it leaves behind.
struct First {
    former: Option<Former>,
}

/// Whether a node passed, and all that it needs.
fn passed(index: &Index, node: NodeId) -> bool {
    let mut seen = PerNode::new(false, index.nodes.len());
    let mut open = vec![node];
    while let Some(next) = open.pop() {
        let n = index.node(next);
        if !matches!(n.status(), Status::Passed | Status::Skipped) {
            return false;
        }
        if !std::mem::replace(&mut seen[next], true) {
            open.extend(index.needs(next));
        }
    }
    index.node(node).status() == Status::Passed
}
