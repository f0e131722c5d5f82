//! The graph of nodes: order, cycles, ancestors, drawings. The only place that knows petgraph.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt::Write;

use petgraph::Direction::{Incoming, Outgoing};
use petgraph::algo::tarjan_scc;
use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, Reversed};

/// A directed graph over positions 0..n; an edge runs from what is needed to what needs it.
#[derive(Debug, Clone)]
pub struct Graph {
    inner: DiGraph<(), (), u32>,
}

/// A cycle: each node needs the next, the last needs the first.
pub type Cycle = Vec<usize>;

impl Graph {
    /// `needs[i]` are the positions that node `i` needs.
    pub fn new(needs: &[Vec<usize>]) -> Self {
        let edges = needs.iter().map(Vec::len).sum();
        let mut inner = DiGraph::with_capacity(needs.len(), edges);
        for _ in needs {
            inner.add_node(());
        }
        for (node, needed) in needs.iter().enumerate() {
            for &n in needed {
                inner.add_edge(NodeIndex::new(n), NodeIndex::new(node), ());
            }
        }
        Self { inner }
    }

    /// An order in which everything comes after what it needs, and otherwise as given.
    ///
    /// # Errors
    /// One cycle for each knot of nodes that need each other.
    pub fn order(&self) -> Result<Vec<usize>, Vec<Cycle>> {
        let mut waiting: Vec<usize> = self
            .inner
            .node_indices()
            .map(|n| self.inner.neighbors_directed(n, Incoming).count())
            .collect();
        let free = waiting.iter().enumerate().filter(|&(_, &w)| w == 0);
        let mut ready: BinaryHeap<_> = free.map(|(i, _)| Reverse(i)).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for next in self.inner.neighbors_directed(NodeIndex::new(node), Outgoing) {
                waiting[next.index()] -= 1;
                if waiting[next.index()] == 0 {
                    ready.push(Reverse(next.index()));
                }
            }
        }
        if order.len() == waiting.len() { Ok(order) } else { Err(self.cycles()) }
    }

    fn cycles(&self) -> Vec<Cycle> {
        let mut cycles: Vec<Cycle> = tarjan_scc(&self.inner)
            .into_iter()
            .filter(|knot| knot.len() > 1 || self.inner.find_edge(knot[0], knot[0]).is_some())
            .map(|knot| self.cycle_in(&knot))
            .collect();
        cycles.sort();
        cycles
    }

    /// Walks along needs inside a knot, smallest position first, until a node comes again.
    fn cycle_in(&self, knot: &[NodeIndex]) -> Cycle {
        let members: BTreeSet<usize> = knot.iter().map(|n| n.index()).collect();
        let mut walk: Vec<usize> = members.iter().copied().take(1).collect();
        while let Some(&last) = walk.last() {
            let needed = self.inner.neighbors_directed(NodeIndex::new(last), Incoming);
            let Some(next) = needed.map(NodeIndex::index).filter(|n| members.contains(n)).min()
            else {
                break;
            };
            if let Some(again) = walk.iter().position(|&n| n == next) {
                return walk.split_off(again);
            }
            walk.push(next);
        }
        walk
    }

    /// The given nodes and everything they need, in rising order.
    pub fn with_ancestors(&self, wanted: &[usize]) -> Vec<usize> {
        let reversed = Reversed(&self.inner);
        let mut found = BTreeSet::new();
        for &start in wanted {
            let mut walk = Dfs::new(reversed, NodeIndex::new(start));
            while let Some(node) = walk.next(reversed) {
                found.insert(node.index());
            }
        }
        found.into_iter().collect()
    }

    /// Edges `(needed, needs it)` without those that follow from others, in a fixed order.
    fn reduced_edges(&self) -> Vec<(usize, usize)> {
        let Ok(order) = self.order() else {
            return Vec::new();
        };
        let order: Vec<NodeIndex> = order.into_iter().map(NodeIndex::new).collect();
        let (list, _) = dag_to_toposorted_adjacency_list::<_, u32>(&self.inner, &order);
        let (reduction, _) = dag_transitive_reduction_closure(&list);
        let mut edges: Vec<(usize, usize)> = reduction
            .edge_indices()
            .filter_map(|e| reduction.edge_endpoints(e))
            .map(|(a, b)| (order[a as usize].index(), order[b as usize].index()))
            .collect();
        edges.sort_unstable();
        edges
    }

    /// Graphviz text.
    pub fn dot(&self, title: &str, names: &[String]) -> String {
        let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(title));
        for name in names {
            let _ = writeln!(out, "  {};", quoted(name));
        }
        for (from, to) in self.reduced_edges() {
            let _ = writeln!(out, "  {} -> {};", quoted(&names[from]), quoted(&names[to]));
        }
        out.push_str("}\n");
        out
    }

    /// Mermaid text.
    pub fn mermaid(&self, names: &[String]) -> String {
        let mut out = "graph LR\n".to_owned();
        for (i, name) in names.iter().enumerate() {
            let _ = writeln!(out, "  n{i}[\"{}\"]", name.replace('"', "#quot;"));
        }
        for (from, to) in self.reduced_edges() {
            let _ = writeln!(out, "  n{from} --> n{to}");
        }
        out
    }

    /// A tree for terminals: what nothing else needs at the left, what it needs below it. A node
    /// that was drawn before is named again with `^` and not opened again.
    pub fn tree(&self, names: &[String]) -> String {
        let mut needs = vec![Vec::new(); names.len()];
        for (from, to) in self.reduced_edges() {
            needs[to].push(from);
        }
        let needed: BTreeSet<usize> = needs.iter().flatten().copied().collect();
        let mut tree = Tree { names, needs: &needs, drawn: BTreeSet::new(), out: String::new() };
        for root in (0..names.len()).filter(|n| !needed.contains(n)) {
            tree.draw(root, "", "");
        }
        tree.out
    }
}

struct Tree<'a> {
    names: &'a [String],
    needs: &'a [Vec<usize>],
    drawn: BTreeSet<usize>,
    out: String,
}

impl Tree<'_> {
    fn draw(&mut self, node: usize, first: &str, rest: &str) {
        let again = !self.drawn.insert(node) && !self.needs[node].is_empty();
        let mark = if again { " ^" } else { "" };
        let _ = writeln!(self.out, "{first}{}{mark}", self.names[node]);
        if again {
            return;
        }
        let needs = self.needs;
        for (i, &below) in needs[node].iter().enumerate() {
            let last = i + 1 == needs[node].len();
            let (branch, bar) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.draw(below, &format!("{rest}{branch}"), &format!("{rest}{bar}"));
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_follows_the_file_where_needs_leave_a_choice() {
        let graph = Graph::new(&[vec![2], vec![], vec![1], vec![]]);
        assert_eq!(graph.order().expect("acyclic"), [1, 2, 0, 3]);
    }

    #[test]
    fn each_knot_gives_one_cycle() {
        let graph = Graph::new(&[vec![1], vec![2], vec![0, 3], vec![4], vec![3], vec![5]]);
        let cycles = graph.order().expect_err("cyclic");
        assert_eq!(cycles, [vec![0, 1, 2], vec![3, 4], vec![5]]);
    }

    #[test]
    fn ancestors_are_what_a_node_needs_and_nothing_else() {
        let graph = Graph::new(&[vec![], vec![0], vec![1], vec![0]]);
        assert_eq!(graph.with_ancestors(&[2]), [0, 1, 2]);
    }

    #[test]
    fn drawings_leave_out_edges_that_follow_from_others() {
        let names = ["a", "b", "c\"d"].map(str::to_owned);
        let graph = Graph::new(&[vec![], vec![0], vec![0, 1]]);
        insta::assert_snapshot!(graph.dot("p", &names), @r#"
        digraph "p" {
          rankdir=LR;
          node [shape=box];
          "a";
          "b";
          "c\"d";
          "a" -> "b";
          "b" -> "c\"d";
        }
        "#);
        insta::assert_snapshot!(graph.mermaid(&names), @r#"
        graph LR
          n0["a"]
          n1["b"]
          n2["c#quot;d"]
          n0 --> n1
          n1 --> n2
        "#);
    }

    #[test]
    fn the_tree_opens_a_node_once() {
        let names = ["base", "left", "right", "top"].map(str::to_owned);
        let graph = Graph::new(&[vec![], vec![0], vec![0], vec![1, 2]]);
        insta::assert_snapshot!(graph.tree(&names), @r"
        top
        ├─ left
        │  └─ base
        └─ right
           └─ base
        ");
    }

    proptest! {
        #[test]
        fn any_order_puts_needs_first(edges in prop::collection::vec((0usize..30, 0usize..30), 0..80)) {
            let mut needs = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b { needs[a.max(b)].push(a.min(b)); }
            }
            let order = Graph::new(&needs).order().expect("acyclic by construction");
            let place: Vec<usize> = (0..30).map(|n| order.iter().position(|&o| o == n).expect("all")).collect();
            for (node, needed) in needs.iter().enumerate() {
                for &n in needed { prop_assert!(place[n] < place[node]); }
            }
        }

        #[test]
        fn a_reported_cycle_is_one(edges in prop::collection::vec((0usize..8, 0usize..8), 0..30)) {
            let mut needs = vec![Vec::new(); 8];
            for (a, b) in edges { needs[a].push(b); }
            if let Err(cycles) = Graph::new(&needs).order() {
                prop_assert!(!cycles.is_empty());
                for c in cycles {
                    for i in 0..c.len() {
                        prop_assert!(needs[c[i]].contains(&c[(i + 1) % c.len()]));
                    }
                }
            }
        }
    }
}
