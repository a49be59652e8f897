//! What the graph was in a window of time, whole or around one node.

use super::history::{EdgeCell, Slot, sum};
use super::view::{EdgeRow, GraphView, NodeRow};
use crate::cascade::node::Node;
use crate::delta::Connection;
use crate::identity::RevisionId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which way from the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Callers and callees.
    #[default]
    Both,
    /// Who calls it.
    Callers,
    /// Whom it calls.
    Callees,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Around these; the whole graph when there are none.
    pub focus: Vec<Node>,
    /// So many edges away from the focus.
    pub hops: u8,
    /// Which way.
    pub direction: Direction,
    /// Last second of the window.
    pub to: u64,
    /// Length of the window, s.
    pub window_secs: u64,
    /// At most so many edges: the busiest.
    pub edges_max: usize,
}

/// One edge of the answer, all revisions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeAnswer {
    /// Who calls; `None` = unknown.
    pub source: Option<Node>,
    /// Who is called.
    pub target: Node,
    /// How.
    pub connection: Connection,
    /// What happened.
    pub cell: EdgeCell,
    /// The same by (caller's, callee's) revision.
    pub revisions: Vec<(Option<RevisionId>, Option<RevisionId>, EdgeCell)>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// First second of the window, after rounding to whole minutes where only those are kept.
    pub from: u64,
    /// Last second.
    pub to: u64,
    /// Nodes at the edges, and the focus.
    pub nodes: Vec<NodeRow>,
    /// Edges by (source, target, connection).
    pub edges: Vec<EdgeAnswer>,
    /// Whether edges are left out.
    pub truncated: bool,
}

/// Answers `question`. O(edges of the window's minutes + edges of the answer x slots of the window).
pub fn ask(view: &GraphView, question: &Question) -> Answer {
    let (slots, from, to) = slots(view, question);
    let active = active(view, from, to);
    let chosen = choose(view, question, &active);
    let sums = sums(&slots, &chosen, active.len());
    let mut groups: BTreeMap<(Option<Node>, Node, Connection), EdgeAnswer> = BTreeMap::new();
    for (number, cell) in sums {
        let row = &view.edges[number as usize];
        let key = (row.source, row.target, row.connection);
        let group = groups.entry(key).or_insert_with(|| EdgeAnswer {
            source: row.source,
            target: row.target,
            connection: row.connection,
            cell: EdgeCell::default(),
            revisions: Vec::new(),
        });
        group.cell.add(&cell);
        group.add_revision(row, cell);
    }
    let mut edges: Vec<EdgeAnswer> = groups.into_values().collect();
    let truncated = edges.len() > question.edges_max;
    if truncated {
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.cell.total()));
        edges.truncate(question.edges_max);
        edges.sort_by_key(|edge| (edge.source, edge.target, edge.connection));
    }
    let mut nodes: BTreeSet<Node> = question.focus.iter().copied().collect();
    for edge in &edges {
        nodes.extend(edge.source);
        nodes.insert(edge.target);
    }
    let rows = nodes.iter().filter_map(|node| view.nodes.get(node));
    Answer {
        from,
        to,
        nodes: rows.cloned().collect(),
        edges,
        truncated,
    }
}

impl EdgeAnswer {
    fn add_revision(&mut self, row: &EdgeRow, cell: EdgeCell) {
        let key = (row.source_revision, row.target_revision);
        let known = self
            .revisions
            .iter_mut()
            .find(|known| (known.0, known.1) == key);
        match known {
            Some(known) => known.2.add(&cell),
            None => self.revisions.push((key.0, key.1, cell)),
        }
    }
}

/// The slots that make up the window, and the window they make: whole minutes inside, seconds at its ends while these
/// are kept.
fn slots<'a>(view: &'a GraphView, question: &Question) -> (Vec<&'a Arc<Slot>>, u64, u64) {
    let to = question.to;
    let from = (to + 1).saturating_sub(question.window_secs.max(1));
    if from < view.seconds_from {
        let minutes = view.minutes.range(from / 60..=to / 60);
        let slots = minutes.map(|(_, slot)| slot).collect();
        return (slots, from / 60 * 60, to / 60 * 60 + 59);
    }
    let (first, last) = (from.div_ceil(60), (to + 1) / 60);
    if first >= last {
        let seconds = view.seconds.range(from..=to);
        return (seconds.map(|(_, slot)| slot).collect(), from, to);
    }
    let before = view.seconds.range(from..first * 60);
    let after = view.seconds.range(last * 60..=to.max(last * 60));
    let after = after.filter(|(second, _)| **second <= to);
    let whole = view.minutes.range(first..last);
    let slots = before.chain(after).chain(whole).map(|(_, slot)| slot);
    (slots.collect(), from, to)
}

/// Edges that did something in the minutes of the window.
fn active(view: &GraphView, from: u64, to: u64) -> BTreeSet<u32> {
    let minutes = view.minutes.range(from / 60..=to / 60);
    let cells = minutes.flat_map(|(_, slot)| slot.iter());
    cells.map(|(number, _)| *number).collect()
}

/// The edges within the asked distance of the focus.
fn choose(view: &GraphView, question: &Question, active: &BTreeSet<u32>) -> BTreeSet<u32> {
    if question.focus.is_empty() {
        return active.clone();
    }
    let (mut callees, mut callers) = (BTreeMap::new(), BTreeMap::new());
    for number in active {
        let row = &view.edges[*number as usize];
        if let Some(source) = row.source {
            let known: &mut Vec<(u32, Option<Node>)> = callees.entry(source).or_default();
            known.push((*number, Some(row.target)));
        }
        let known: &mut Vec<(u32, Option<Node>)> = callers.entry(row.target).or_default();
        known.push((*number, row.source));
    }
    let mut chosen = BTreeSet::new();
    for (wanted, neighbors) in [
        (Direction::Callees, &callees),
        (Direction::Callers, &callers),
    ] {
        if question.direction != Direction::Both && question.direction != wanted {
            continue;
        }
        let mut seen: BTreeSet<Node> = question.focus.iter().copied().collect();
        let mut front: Vec<Node> = question.focus.clone();
        for _ in 0..question.hops {
            let mut next = Vec::new();
            for node in front {
                for (number, other) in neighbors.get(&node).into_iter().flatten() {
                    chosen.insert(*number);
                    next.extend(other.filter(|other| seen.insert(*other)));
                }
            }
            front = next;
        }
    }
    chosen
}

/// What happened on the chosen edges.
fn sums(slots: &[&Arc<Slot>], chosen: &BTreeSet<u32>, active: usize) -> Vec<(u32, EdgeCell)> {
    if chosen.len() * 8 < active {
        let of = |number: u32| {
            let cells = slots.iter().filter_map(|slot| {
                let at = slot.binary_search_by_key(&number, |cell| cell.0).ok()?;
                Some(&*slot[at].1)
            });
            Some((number, sum(cells)?))
        };
        return chosen.iter().filter_map(|number| of(*number)).collect();
    }
    let mut cells: BTreeMap<u32, Vec<&EdgeCell>> = BTreeMap::new();
    for slot in slots {
        for (number, cell) in slot.iter() {
            if chosen.contains(number) {
                cells.entry(*number).or_default().push(cell);
            }
        }
    }
    let sums = cells.into_iter();
    sums.filter_map(|(number, cells)| Some((number, sum(cells.into_iter())?)))
        .collect()
}
