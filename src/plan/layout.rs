//! A plan as the index that a null run reads, and as the `defs` file that runs read from.

use std::collections::{BTreeSet, HashMap};

use super::key::KEY_VERSION;
use super::{Origin, Plan, PlanNode};
use crate::cache::ACTION_VERSION;
use crate::cache::index::{Node, flag};
use crate::cache::{Entry, EntryId, Index, Kind, NodeId, Status};
use crate::digest::Digest;

/// Lays `plan` out. What `old` knew of entries and nodes of the same name is carried over; a node
/// whose definition, inputs or needs changed is one to look at again, its key kept so that
/// `explain` can say what changed.
pub fn lay_out(plan: &Plan, made_by: Digest, old: &Index) -> (Index, Vec<u8>) {
    let mut index = Index::default();
    (index.generation, index.plan) = (old.generation + 1, made_by);
    index.title = index.add_text(&plan.title);
    // Plain data always encodes.
    let origin = serde_json::to_string(&plan.origin).unwrap_or_default();
    index.origin = index.add_text(&origin);
    let entries = Carry::entries(plan, old);
    let ids = entries.fill(&mut index);
    let mut defs = Vec::new();
    let old_nodes: HashMap<&str, NodeId> = old.node_ids().map(|n| (old.node_name(n), n)).collect();
    for node in &plan.nodes {
        let known = old_nodes.get(node.name.as_str()).copied();
        add_node(&mut index, &mut defs, node, &ids, known.map(|n| (old, n)));
    }
    let made_from: Vec<EntryId> = plan.made_from.iter().map(|e| ids[e]).collect();
    index.plan_inputs = index.add_entries(&made_from);
    (index, defs)
}

/// Where the plan behind an index comes from.
pub fn origin(index: &Index) -> Origin {
    let text = index.text_of(index.origin);
    // An index is whole or counts as absent, so this is what was written, or there is no plan.
    serde_json::from_str(text).unwrap_or_default()
}

/// Entries sorted by name, so that files of one folder lie together.
struct Carry<'a> {
    wanted: BTreeSet<(String, Kind)>,
    known: HashMap<(Kind, &'a str), &'a Entry>,
}

type Ids = HashMap<(Kind, String), EntryId>;

impl<'a> Carry<'a> {
    fn entries(plan: &Plan, old: &'a Index) -> Self {
        let mut wanted = BTreeSet::new();
        let declared = plan.nodes.iter().flat_map(|n| {
            n.inputs.iter().cloned().chain(n.outputs.iter().map(|o| (Kind::File, o.clone())))
        });
        for (kind, name) in declared.chain(plan.made_from.iter().cloned()) {
            wanted.insert((name, kind));
        }
        let mut known = HashMap::new();
        for id in old.entry_ids() {
            known.insert(old.entry_name(id), old.entry(id));
        }
        // What was discovered stays known as long as its node does.
        let names: BTreeSet<&str> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
        for node in old.node_ids() {
            if names.contains(old.node_name(node)) {
                for &id in old.discovered(node) {
                    let (kind, name) = old.entry_name(id);
                    wanted.insert((name.to_owned(), kind));
                }
            }
        }
        Self { wanted, known }
    }

    fn fill(self, index: &mut Index) -> Ids {
        let mut ids = HashMap::new();
        for (name, kind) in self.wanted {
            let id = index.add_entry(kind, &name);
            if let Some(old) = self.known.get(&(kind, name.as_str())) {
                let entry = &mut index.entries[id.place()];
                (entry.stat, entry.digest) = (old.stat, old.digest);
                (entry.stamp_ns, entry.fresh) = (old.stamp_ns, old.fresh);
            }
            ids.insert((kind, name), id);
        }
        ids
    }
}

fn add_node(
    index: &mut Index,
    defs: &mut Vec<u8>,
    node: &PlanNode,
    ids: &Ids,
    known: Option<(&Index, NodeId)>,
) {
    // Writing plain data into memory cannot fail; an empty definition would only cost a replan.
    let mut bytes = postcard::to_stdvec(&node.stored).unwrap_or_default();
    // What is known by another recipe of keys is looked at again. No reader looks behind its end.
    bytes.extend(KEY_VERSION.to_le_bytes());
    bytes.extend(ACTION_VERSION.to_le_bytes());
    let name = index.add_text(&node.name);
    let inputs: Vec<EntryId> = node.inputs.iter().map(|e| ids[e]).collect();
    let outputs: Vec<EntryId> =
        node.outputs.iter().map(|o| ids[&(Kind::File, o.clone())]).collect();
    let needs: Vec<NodeId> = node.needs.iter().copied().map(NodeId::at).collect();
    let mut laid = Node {
        def_digest: Digest::of(&bytes),
        def_start: defs.len() as u64,
        def_len: bytes.len() as u32,
        name,
        flags: node.flags,
        inputs: index.add_entries(&inputs),
        outputs: index.add_entries(&outputs),
        needs: index.add_nodes(&needs),
        ..Node::default()
    };
    defs.extend_from_slice(&bytes);
    if let Some((old, id)) = known {
        carry_over(index, &mut laid, old, id, ids);
    }
    index.nodes.push(laid);
}

fn carry_over(index: &mut Index, node: &mut Node, old: &Index, id: NodeId, ids: &Ids) {
    let before = old.node(id);
    let still = |&entry: &EntryId| {
        let (kind, name) = old.entry_name(entry);
        ids.get(&(kind, name.to_owned())).copied()
    };
    let discovered: Vec<EntryId> = old.discovered(id).iter().filter_map(still).collect();
    node.discovered = index.add_entries(&discovered);
    node.key = before.key;
    node.duration_us = before.duration_us;
    node.finished_ms = before.finished_ms;
    node.flags |= before.flags & flag::LOG;
    let same = before.def_digest == node.def_digest
        && index.list_names(node.inputs).eq(old.list_names(before.inputs))
        && index.list_names(node.outputs).eq(old.list_names(before.outputs))
        && index.list_node_names(node.needs).eq(old.list_node_names(before.needs));
    node.status = if same { before.status } else { Status::Unknown as u32 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Direction;
    use crate::plan::{Best, Definition, StoredNode};

    fn node(name: &str, inputs: &[&str], needs: &[usize]) -> PlanNode {
        PlanNode {
            name: name.to_owned(),
            stored: StoredNode {
                stage: name.to_owned(),
                dir: String::new(),
                when: None,
                definition: Definition::Best(Best { by: "x".to_owned(), better: Direction::Lower }),
                question: None,
            },
            needs: needs.to_vec(),
            inputs: inputs.iter().map(|i| (Kind::File, (*i).to_owned())).collect(),
            outputs: vec![format!("out/{name}")],
            flags: 0,
        }
    }

    fn plan(nodes: Vec<PlanNode>) -> Plan {
        let made_from = vec![(Kind::File, "p.toml".to_owned())];
        let origin = Origin { kernel: vec!["k.c".to_owned()], ..Origin::default() };
        Plan { title: "t".to_owned(), nodes, made_from, origin }
    }

    #[test]
    fn a_plan_laid_out_again_keeps_what_is_known_and_doubts_only_what_changed() {
        let first = plan(vec![node("a", &["in/a"], &[]), node("b", &["in/b"], &[0])]);
        let (mut old, _) = lay_out(&first, Digest::of(b"v"), &Index::default());
        for n in &mut old.nodes {
            (n.status, n.key) = (Status::Passed as u32, Digest::of(b"key"));
        }
        for e in &mut old.entries {
            (e.digest, e.fresh) = (Digest::of(b"content"), 0);
        }
        let second = plan(vec![
            node("new", &["in/new"], &[]),
            node("a", &["in/a"], &[]),
            node("b", &["in/b", "in/c"], &[1]),
        ]);
        let (index, defs) = lay_out(&second, Digest::of(b"v"), &old);
        let status = |n: &str| index.node(index.find_node(n).expect("node")).status();
        assert_eq!(status("new"), Status::Unknown);
        assert_eq!(status("a"), Status::Passed);
        assert_eq!(status("b"), Status::Unknown);
        let b = index.node(index.find_node("b").expect("node"));
        assert_eq!(b.key, Digest::of(b"key"));
        let fresh: Vec<&str> = index
            .entry_ids()
            .filter(|&e| index.entry(e).fresh == 1)
            .map(|e| index.entry_name(e).1)
            .collect();
        assert_eq!(fresh, ["in/c", "in/new", "out/new"]);
        let range = b.def_start as usize..(b.def_start + u64::from(b.def_len)) as usize;
        let back: StoredNode = postcard::from_bytes(&defs[range]).expect("definition");
        assert_eq!(back, second.nodes[2].stored);
        let alone = Digest::of(&postcard::to_stdvec(&back).expect("bytes"));
        assert_ne!(b.def_digest, alone, "another recipe of keys is a change");
        assert_eq!(origin(&index), second.origin);
    }
}
