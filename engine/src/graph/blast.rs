//! Blast radius: who is hit when a node fails, and on whom it leans.
//!
//! The share of a caller's requests that reach the node is estimated from counts: calls on an edge over requests that
//! came in, at most 1, and several ways as if they were independent. Traces prove more; counts are always there.

use super::ask::Answer;
use crate::cascade::node::Node;
use std::collections::BTreeMap;

/// Rounds in which shares spread: paths of up to so many edges count.
const ROUNDS: usize = 16;

/// One node that is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// Which.
    pub node: Node,
    /// Edges in between, at least.
    pub hops: u32,
    /// Estimated share of the affected one's requests that reach the failing one.
    pub share: f64,
    /// Requests on the edges towards it in the window.
    pub requests: u64,
}

/// Both ways.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Blast {
    /// Who is hit when it fails: callers, callers of these, and so on; the most affected first.
    pub affected: Vec<Reach>,
    /// On whom it leans, likewise.
    pub dependencies: Vec<Reach>,
}

/// One edge: from, to, requests.
type Flow = (Node, Node, u64);

/// The blast radius of `center` in `answer`, which holds the whole graph. O(edges x rounds).
pub fn blast(answer: &Answer, center: &[Node]) -> Blast {
    let mut inbound: BTreeMap<Node, u64> = BTreeMap::new();
    let mut most_out: BTreeMap<Node, u64> = BTreeMap::new();
    let mut flows: Vec<Flow> = Vec::new();
    for edge in &answer.edges {
        let requests = edge.cell.total();
        *inbound.entry(edge.target).or_default() += requests;
        if let Some(source) = edge.source.filter(|source| *source != edge.target) {
            let most = most_out.entry(source).or_default();
            *most = (*most).max(requests);
            flows.push((source, edge.target, requests));
        }
    }
    // Requests that come in from outside are entries, on no edge: then the busiest call stands for them.
    let demand = |node: Node| {
        let seen = inbound.get(&node).copied().unwrap_or(0);
        seen.max(most_out.get(&node).copied().unwrap_or(0)).max(1)
    };
    let parts: Vec<(Flow, f64)> = flows
        .iter()
        .map(|flow| (*flow, (flow.2 as f64 / demand(flow.0) as f64).min(1.0)))
        .collect();
    let back: Vec<(Flow, f64)> = parts
        .iter()
        .map(|(flow, part)| ((flow.1, flow.0, flow.2), *part))
        .collect();
    Blast {
        affected: spread(&parts, center),
        dependencies: spread(&back, center),
    }
}

/// Spreads from `center` against the direction of `parts`.
fn spread(parts: &[(Flow, f64)], center: &[Node]) -> Vec<Reach> {
    let mut shares: BTreeMap<Node, (u32, f64)> =
        center.iter().map(|node| (*node, (0, 1.0))).collect();
    for round in 1..=ROUNDS as u32 {
        let mut misses: BTreeMap<Node, f64> = BTreeMap::new();
        for ((source, target, _), part) in parts {
            if let Some((_, share)) = shares.get(target) {
                *misses.entry(*source).or_insert(1.0) *= 1.0 - part * share;
            }
        }
        let mut changed = false;
        for (node, miss) in misses {
            if center.contains(&node) {
                continue;
            }
            let known = shares.entry(node).or_insert((round, 0.0));
            changed |= 1.0 - miss > known.1 + 1e-9;
            known.1 = known.1.max(1.0 - miss);
        }
        if !changed {
            break;
        }
    }
    let mut reached: Vec<Reach> = shares
        .into_iter()
        .filter(|(_, (hops, _))| *hops > 0)
        .map(|(node, (hops, share))| Reach {
            node,
            hops,
            share,
            requests: parts
                .iter()
                .filter(|((source, _, _), _)| *source == node)
                .map(|((_, _, requests), _)| requests)
                .sum(),
        })
        .collect();
    reached.sort_by(|one, other| {
        let order = other.share.total_cmp(&one.share);
        order
            .then(one.hops.cmp(&other.hops))
            .then(one.node.cmp(&other.node))
    });
    reached
}
