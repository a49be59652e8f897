//! Who calls whom of late: the graph along which failures spread, as far as cascades need it.

use super::node::{Aliases, Node};
use crate::delta::Delta;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A call that was not made for so long is forgotten, s.
const KEEP_SECS: u64 = 1_800;
/// Most pairs kept.
const PAIRS_MAX: usize = 65_536;

/// Pairs of nodes with the latest event second of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    by_caller: BTreeMap<Node, BTreeMap<Node, u64>>,
    by_callee: BTreeMap<Node, BTreeSet<Node>>,
    pairs: usize,
}

impl Calls {
    pub(super) fn apply(&mut self, delta: &Delta, aliases: &Aliases) {
        for row in &delta.edges {
            let Some(caller) = row.key.caller else {
                continue;
            };
            let (caller, callee) = (Node::Service(caller.service), aliases.node(row.key.callee));
            if caller == callee || self.pairs >= PAIRS_MAX {
                continue;
            }
            let last = self.by_caller.entry(caller).or_default().entry(callee);
            self.pairs += usize::from(matches!(
                last,
                std::collections::btree_map::Entry::Vacant(_)
            ));
            let last = last.or_default();
            *last = (*last).max(row.second);
            self.by_callee.entry(callee).or_default().insert(caller);
        }
    }

    /// Forgets pairs without calls since [`KEEP_SECS`] before `second`.
    pub(super) fn forget(&mut self, second: u64) {
        let oldest = second.saturating_sub(KEEP_SECS);
        self.by_callee.clear();
        self.pairs = 0;
        for (caller, callees) in &mut self.by_caller {
            callees.retain(|_, last| *last >= oldest);
            self.pairs += callees.len();
            for callee in callees.keys() {
                self.by_callee.entry(*callee).or_default().insert(*caller);
            }
        }
        self.by_caller.retain(|_, callees| !callees.is_empty());
    }

    fn callees(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        self.by_caller
            .get(&node)
            .into_iter()
            .flat_map(|callees| callees.keys().copied())
    }

    fn callers(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        self.by_callee.get(&node).into_iter().flatten().copied()
    }

    /// All that `nodes` call, directly and indirectly, and themselves.
    pub fn below(&self, nodes: impl IntoIterator<Item = Node>) -> BTreeSet<Node> {
        closure(nodes, |node| self.callees(node).collect())
    }

    /// All that call `nodes`, directly and indirectly, and themselves.
    pub fn above(&self, nodes: impl IntoIterator<Item = Node>) -> BTreeSet<Node> {
        closure(nodes, |node| self.callers(node).collect())
    }

    /// Whether one of the two calls the other.
    pub fn is_call(&self, one: Node, other: Node) -> bool {
        let calls = |from: Node, to: Node| self.callees(from).any(|callee| callee == to);
        calls(one, other) || calls(other, one)
    }

    /// Whether one of the two reaches the other by calls.
    pub fn is_path(&self, one: Node, other: Node) -> bool {
        self.below([one]).contains(&other) || self.below([other]).contains(&one)
    }

    /// Groups of `nodes` that are connected by calls among themselves.
    pub fn groups(&self, nodes: &BTreeSet<Node>) -> Vec<BTreeSet<Node>> {
        let mut left = nodes.clone();
        let mut groups = Vec::new();
        while let Some(first) = left.pop_first() {
            let group = closure([first], |node| {
                let neighbors = self.callees(node).chain(self.callers(node));
                neighbors.filter(|next| nodes.contains(next)).collect()
            });
            left = &left - &group;
            groups.push(group);
        }
        groups
    }
}

fn closure(
    nodes: impl IntoIterator<Item = Node>,
    next: impl Fn(Node) -> Vec<Node>,
) -> BTreeSet<Node> {
    let mut reached: BTreeSet<Node> = nodes.into_iter().collect();
    let mut open: Vec<Node> = reached.iter().copied().collect();
    while let Some(node) = open.pop() {
        for neighbor in next(node) {
            if reached.insert(neighbor) {
                open.push(neighbor);
            }
        }
    }
    reached
}
