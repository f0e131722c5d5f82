//! The natural loops of a function: what goes back to a block that all ways into it pass.
//!
//! Dominators as in Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (2001); natural
//! loops as in Aho, Lam, Sethi, Ullman, "Compilers", 2nd edition, section 9.6.6. Blocks that a
//! compiler moved away from their loop are thereby still counted in it, and a rarely taken path
//! that jumps back is not taken for a loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::counts::{Flow, flow};
use super::line::{Architecture, Line, Place};

/// One loop of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// The label it begins at.
    pub label: String,
    /// Where the branch that closes it comes from: usually the line of the `for`.
    pub place: Option<Place>,
    /// Positions of its lines in the function, those of loops inside it too.
    pub lines: BTreeSet<usize>,
    /// 1 for an outermost loop.
    pub depth: usize,
    /// It has no loop inside.
    pub innermost: bool,
}

/// Finds the loops, outer ones before inner ones, else in the order of the function.
pub(super) fn find(architecture: Architecture, lines: &[Line]) -> Vec<Loop> {
    let graph = Graph::of(architecture, lines);
    let dominators = graph.dominators();
    let mut bodies: BTreeMap<usize, (usize, BTreeSet<usize>)> = BTreeMap::new();
    for (tail, next) in graph.next.iter().enumerate() {
        for &head in next.iter().filter(|&&head| dominates(&dominators, head, tail)) {
            let (last, body) = bodies.entry(head).or_insert((tail, BTreeSet::from([head])));
            *last = tail.max(*last);
            graph.add_body(tail, body);
        }
    }
    let all: Vec<BTreeSet<usize>> = bodies.values().map(|(_, body)| body.clone()).collect();
    let mut loops: Vec<Loop> = bodies
        .iter()
        .map(|(&head, (last, body))| Loop {
            label: match lines.get(graph.blocks[head].0) {
                Some(Line::Label(name)) => name.clone(),
                _ => String::new(),
            },
            place: graph.last_place(*last, lines),
            lines: body.iter().flat_map(|&b| graph.blocks[b].0..graph.blocks[b].1).collect(),
            depth: all
                .iter()
                .filter(|other| other.contains(&head) && body.is_subset(other))
                .count(),
            innermost: !all.iter().any(|other| other != body && other.is_subset(body)),
        })
        .collect();
    loops.sort_by_key(|l| (l.lines.first().copied(), l.depth));
    loops
}

/// Blocks as ranges of lines, and where each leads.
struct Graph {
    blocks: Vec<(usize, usize)>,
    next: Vec<Vec<usize>>,
    previous: Vec<Vec<usize>>,
}

impl Graph {
    fn of(architecture: Architecture, lines: &[Line]) -> Self {
        let blocks = blocks(architecture, lines);
        let at: HashMap<&str, usize> = blocks
            .iter()
            .enumerate()
            .filter_map(|(block, &(first, _))| match &lines[first] {
                Line::Label(name) => Some((name.as_str(), block)),
                Line::Instruction(_) => None,
            })
            .collect();
        let mut graph = Self { next: vec![Vec::new(); blocks.len()], previous: Vec::new(), blocks };
        for block in 0..graph.blocks.len() {
            let last = lines[graph.blocks[block].1 - 1].instruction();
            let (target, falls) = match last.map(|i| flow(architecture, i)) {
                Some(Flow::Jump(target)) => (Some(target), false),
                Some(Flow::Branch(target)) => (Some(target), true),
                Some(Flow::End) => (None, false),
                Some(Flow::Next) | None => (None, true),
            };
            graph.next[block].extend(target.and_then(|t| at.get(t)));
            if falls && block + 1 < graph.blocks.len() {
                graph.next[block].push(block + 1);
            }
        }
        graph.connect();
        graph
    }

    /// Blocks that nothing leads to are reached through tables of jumps, from anywhere.
    fn connect(&mut self) {
        let reached: BTreeSet<usize> = self.next.iter().flatten().copied().collect();
        let lost: Vec<usize> = (1..self.next.len()).filter(|b| !reached.contains(b)).collect();
        if let Some(entry) = self.next.first_mut() {
            entry.extend(lost);
        }
        self.previous = vec![Vec::new(); self.next.len()];
        for (block, next) in self.next.iter().enumerate() {
            for &to in next {
                self.previous[to].push(block);
            }
        }
    }

    /// Reverse postorder of what the first block leads to.
    fn order(&self) -> Vec<usize> {
        let (mut order, mut seen) = (Vec::new(), vec![false; self.next.len()]);
        let mut stack: Vec<(usize, usize)> = Vec::new();
        if let Some(first) = seen.first_mut() {
            *first = true;
            stack.push((0, 0));
        }
        while let Some((block, child)) = stack.pop() {
            let Some(&to) = self.next[block].get(child) else {
                order.push(block);
                continue;
            };
            stack.push((block, child + 1));
            if !std::mem::replace(&mut seen[to], true) {
                stack.push((to, 0));
            }
        }
        order.reverse();
        order
    }

    /// The immediate dominator of each block; none for what is not reached.
    fn dominators(&self) -> Vec<Option<usize>> {
        let order = self.order();
        let mut rank = vec![usize::MAX; self.next.len()];
        for (position, &block) in order.iter().enumerate() {
            rank[block] = position;
        }
        let mut of: Vec<Option<usize>> = vec![None; self.next.len()];
        if let Some(entry) = of.first_mut() {
            *entry = Some(0);
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &block in order.iter().skip(1) {
                let known = self.previous[block].iter().copied().filter(|&p| of[p].is_some());
                let new = known.reduce(|a, b| meet(&of, &rank, a, b));
                changed |= new != of[block];
                of[block] = new;
            }
        }
        of
    }

    /// Everything that reaches `tail` without passing what is in `body` already.
    fn add_body(&self, tail: usize, body: &mut BTreeSet<usize>) {
        let mut open = vec![tail];
        while let Some(block) = open.pop() {
            if body.insert(block) {
                open.extend(&self.previous[block]);
            }
        }
    }

    fn last_place(&self, block: usize, lines: &[Line]) -> Option<Place> {
        let (first, end) = self.blocks[block];
        lines[first..end].iter().rev().find_map(|l| l.instruction()?.place)
    }
}

fn meet(of: &[Option<usize>], rank: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        let higher = if rank[a] > rank[b] { &mut a } else { &mut b };
        // Both are known, so the way up ends at the entry.
        *higher = of[*higher].unwrap_or(0);
    }
    a
}

fn dominates(of: &[Option<usize>], head: usize, mut block: usize) -> bool {
    loop {
        match of[block] {
            _ if block == head => return of[block].is_some(),
            Some(up) if up != block => block = up,
            _ => return false,
        }
    }
}

/// A block begins at a label and after an instruction that may go elsewhere.
fn blocks(architecture: Architecture, lines: &[Line]) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let mut first = 0;
    for (at, line) in lines.iter().enumerate() {
        let end = match line {
            Line::Label(_) => at,
            Line::Instruction(i) if flow(architecture, i) != Flow::Next => at + 1,
            Line::Instruction(_) => continue,
        };
        if end > first {
            blocks.push((first, end));
            first = end;
        }
    }
    if first < lines.len() {
        blocks.push((first, lines.len()));
    }
    blocks
}
