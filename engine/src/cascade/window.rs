//! What traces told in a stretch of event time, summed: the input of localisation.
//!
//! Sums are a commutative group like the Deltas they come from, so a window does not depend on arrival order. Peers stay
//! as their clients told them; they are resolved when the sums are read.

use super::node::{Aliases, Node};
use crate::delta::{
    BlameDelta, Callee, EdgeDelta, EdgeKey, LogErrorDelta, LogMoments, Party, WorkDelta,
};
use crate::identity::ServiceId;
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Length of one block, s: what "normal" is learned of, and the grain of an incident's window.
pub const BLOCK_SECS: u64 = 10;
/// Most rows of one kind in a block; later keys are left out and counted in [`WindowSums::left_out`].
pub const ROWS_MAX: usize = 16_384;

/// One edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EdgeSum {
    /// Requests by [`FailureClass`] number.
    pub requests: [i64; FailureClass::COUNT],
    /// Logical calls.
    pub logical: i64,
    /// Requests with both halves.
    pub paired: i64,
    /// Requests whose server half outlived the client half.
    pub wasted: i64,
    /// Client minus server durations.
    pub gap: LogMoments,
}

impl EdgeSum {
    /// All requests.
    pub fn total(&self) -> i64 {
        self.requests.iter().sum()
    }

    /// Failed requests.
    pub fn failed(&self) -> i64 {
        self.total() - self.requests[FailureClass::Ok as usize]
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        for (count, more) in self.requests.iter_mut().zip(other.requests) {
            *count += more;
        }
        self.logical += other.logical;
        self.paired += other.paired;
        self.wasted += other.wasted;
        self.gap.add(other.gap);
    }
}

/// The spans of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkSum {
    /// Spans.
    pub spans: i64,
    /// Failed ones.
    pub failed: i64,
    /// Exclusive time by its logarithm.
    pub exclusive: LogMoments,
    /// Child spans.
    pub children: i64,
}

impl WorkSum {
    pub(super) const fn absorb(&mut self, other: &Self) {
        self.spans += other.spans;
        self.failed += other.failed;
        self.exclusive.add(other.exclusive);
        self.children += other.children;
    }
}

/// Blame without its second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlameOf {
    /// Service of the root.
    pub root: ServiceId,
    /// Origin of the error, or the caller of a blamed edge.
    pub origin: Party,
    /// The callee of a blamed edge.
    pub callee: Option<Callee>,
    /// How it failed.
    pub class: FailureClass,
    /// Whether it made the root fail.
    pub fatal: bool,
}

impl BlameOf {
    /// Who is blamed: the callee that could not be reached or was late, else the origin.
    pub fn blamed(&self, aliases: &Aliases) -> Node {
        self.callee
            .map_or(Node::Service(self.origin.service), |callee| {
                aliases.node(callee)
            })
    }
}

/// Sums over some blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowSums {
    /// Blocks with data that were summed.
    pub blocks: u64,
    /// By edge.
    pub edges: BTreeMap<EdgeKey, EdgeSum>,
    /// By operation of a party.
    pub work: BTreeMap<(Party, u64), WorkSum>,
    /// Shares ([`crate::delta::BLAME_SHARES`] a trace).
    pub blame: BTreeMap<BlameOf, i64>,
    /// Error records by place of a party.
    pub logs: BTreeMap<(Party, u64), i64>,
    /// Rows that found no room.
    pub left_out: u64,
}

impl WindowSums {
    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
            && self.work.is_empty()
            && self.blame.is_empty()
            && self.logs.is_empty()
    }

    /// Adds an edge's row.
    pub fn add_edge(&mut self, row: &EdgeDelta) {
        let sum = EdgeSum {
            requests: row.requests,
            logical: row.logical,
            paired: row.paired,
            wasted: row.wasted,
            gap: row.gap,
        };
        self.left_out += put(&mut self.edges, row.key, |into| into.absorb(&sum));
    }

    /// Adds a work row.
    pub fn add_work(&mut self, row: &WorkDelta) {
        let sum = WorkSum {
            spans: row.spans,
            failed: row.failed,
            exclusive: row.exclusive,
            children: row.children,
        };
        let key = (row.key.party, row.key.route);
        self.left_out += put(&mut self.work, key, |into| into.absorb(&sum));
    }

    /// Adds a blame row.
    pub fn add_blame(&mut self, row: &BlameDelta) {
        let key = &row.key;
        let of = BlameOf {
            root: key.root,
            origin: key.origin,
            callee: key.callee,
            class: key.class,
            fatal: key.fatal,
        };
        self.left_out += put(&mut self.blame, of, |into| *into += row.shares);
    }

    /// Adds error records.
    pub fn add_logs(&mut self, row: &LogErrorDelta) {
        let key = (row.key.party, row.key.place);
        self.left_out += put(&mut self.logs, key, |into| *into += row.records);
    }

    /// Adds another window. O(n log n).
    pub fn absorb(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.left_out += other.left_out;
        for (key, sum) in &other.edges {
            self.edges.entry(*key).or_default().absorb(sum);
        }
        for (key, sum) in &other.work {
            self.work.entry(*key).or_default().absorb(sum);
        }
        for (key, shares) in &other.blame {
            *self.blame.entry(*key).or_default() += shares;
        }
        for (key, records) in &other.logs {
            *self.logs.entry(*key).or_default() += records;
        }
    }

    /// How much happened: spans of work, or requests where no trace has settled yet. What counts are compared by.
    pub fn exposure(&self) -> f64 {
        let spans: i64 = self.work.values().map(|sum| sum.spans).sum();
        let requests: i64 = self.edges.values().map(EdgeSum::total).sum();
        spans.max(requests).max(0) as f64
    }
}

/// 1 when there was no room for a new key.
fn put<K: Ord, V: Default>(rows: &mut BTreeMap<K, V>, key: K, add: impl FnOnce(&mut V)) -> u64 {
    if rows.len() >= ROWS_MAX && !rows.contains_key(&key) {
        return 1;
    }
    add(rows.entry(key).or_default());
    0
}
