//! What is normal: how every key behaved, block by block, while nothing was wrong.
//!
//! A window is judged by how far it lies outside what *blocks* did before, not what single spans did: ten thousand spans of
//! one block share the moment they ran in. Blocks fade with a memory of [`MEMORY_BLOCKS`].
//! Floors and priors keep a key that was seen in a few blocks from looking infinitely regular.

use super::node::{Aliases, Node};
use super::window::{WindowSums, WorkSum};
use crate::delta::{Connection, LogMoments};
use crate::identity::ServiceId;
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Blocks after which one counts 1/e: about 3 h.
pub const MEMORY_BLOCKS: f64 = 1_000.0;
/// Keys that weigh less are forgotten.
const FORGOTTEN: f64 = 0.02;
/// Blocks that a key must have been seen in before its own past is used.
const BLOCKS_LEAST: f64 = 3.0;
/// Weight of the prior deviation, in blocks.
const PRIOR_BLOCKS: f64 = 4.0;

/// A statistic's scale before much is known of it, and the least that is taken for different.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    prior: f64,
    floor: f64,
}

/// Of logarithms of durations, in 1/256 of log2: blocks differ by a factor 1.19; below 1.056 nothing is different.
pub(super) const LOG_TIME: Scale = Scale {
    prior: 64.0,
    floor: 20.0,
};
/// Of children a span.
pub(super) const CHILDREN: Scale = Scale {
    prior: 0.1,
    floor: 0.05,
};

/// Mean and deviation of a block's statistic (West's weighted moments).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usual {
    weight: f64,
    mean: f64,
    squares: f64,
}

impl Usual {
    fn take(&mut self, value: f64) {
        self.weight += 1.0;
        let off = value - self.mean;
        self.mean += off / self.weight;
        self.squares += off * (value - self.mean);
    }

    fn fade(&mut self, by: f64) {
        self.weight *= by;
        self.squares *= by;
    }

    /// The mean; `None` until enough blocks were seen.
    pub fn mean(&self) -> Option<f64> {
        (self.weight >= BLOCKS_LEAST).then_some(self.mean)
    }

    /// How many deviations `value` lies above the mean, as the mean of `blocks` blocks with `within / n` of its own noise.
    fn distance(&self, value: f64, blocks: f64, noise: f64, scale: Scale) -> Option<f64> {
        let mean = self.mean()?;
        let prior = PRIOR_BLOCKS * scale.prior * scale.prior;
        let variance = (prior + self.squares) / (PRIOR_BLOCKS + self.weight - 1.0);
        // Neighboring blocks are alike: n of them are worth sqrt(n).
        let of_mean = variance / blocks.max(1.0).sqrt();
        Some((value - mean) / (of_mean + noise + scale.floor * scale.floor).sqrt())
    }
}

/// Mean of a block's logarithms, and the spread of single values.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UsualTime {
    blocks: Usual,
    count: f64,
    sum: f64,
    squares: f64,
}

impl UsualTime {
    fn take(&mut self, moments: &LogMoments) {
        if moments.count <= 0 {
            return;
        }
        let (count, sum) = (moments.count as f64, moments.sum as f64);
        self.blocks.take(sum / count);
        self.count += count;
        self.sum += sum;
        self.squares += moments.squares as f64;
    }

    fn fade(&mut self, by: f64) {
        self.blocks.fade(by);
        self.count *= by;
        self.sum *= by;
        self.squares *= by;
    }

    /// How unusually long these are, in deviations of blocks.
    pub fn distance(&self, moments: &LogMoments, blocks: f64) -> Option<f64> {
        if moments.count <= 0 || self.count <= 1.0 {
            return None;
        }
        let count = moments.count as f64;
        let mean = self.sum / self.count;
        let within = (self.squares / self.count - mean * mean).max(0.0);
        let blocks = blocks.min(count);
        let value = moments.sum as f64 / count;
        self.blocks
            .distance(value, blocks, within / count, LOG_TIME)
    }
}

/// Counts a block, zero in blocks that do not tell of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UsualCount {
    sum: f64,
    squares: f64,
}

impl UsualCount {
    fn take(&mut self, count: f64) {
        self.sum += count;
        self.squares += count * count;
    }

    fn fade(&mut self, by: f64) {
        self.sum *= by;
        self.squares *= by;
    }
}

/// One operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UsualWork {
    /// Exclusive time.
    pub exclusive: UsualTime,
    /// Children a span.
    pub children: Usual,
}

impl UsualWork {
    /// How unusually few children these spans have, in deviations. `None` where there never are any.
    pub fn missing_children(&self, sum: &WorkSum, blocks: f64) -> Option<f64> {
        let usual = self.children.mean().filter(|mean| *mean > 0.3)?;
        if sum.spans <= 0 {
            return None;
        }
        let spans = sum.spans as f64;
        let value = sum.children as f64 / spans;
        let distance = self
            .children
            .distance(value, blocks.min(spans), usual / spans, CHILDREN)?;
        Some(-distance)
    }
}

/// Failures, attempts and waste of calls of a node.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UsualCalls {
    requests: f64,
    failed: f64,
    logical: f64,
    paired: f64,
    wasted: f64,
}

impl UsualCalls {
    /// Failed share, 0..=1; 0 before the first request.
    pub fn failed(&self) -> f64 {
        share(self.failed, self.requests)
    }

    /// Wasted share of requests whose both halves are known.
    pub fn wasted(&self) -> f64 {
        share(self.wasted, self.paired)
    }

    /// Attempts per logical call; 1 before the first.
    pub fn attempts(&self) -> f64 {
        if self.logical > 0.0 {
            (self.requests / self.logical).max(1.0)
        } else {
            1.0
        }
    }
}

/// Blame by who is blamed, how, and whether roots failed by it.
pub(super) type BlameGroup = (Node, FailureClass, bool);

/// All of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Normal {
    /// Blocks folded, faded.
    blocks: f64,
    exposure: f64,
    pub(super) work: BTreeMap<(ServiceId, u64), UsualWork>,
    /// By caller, callee and operation.
    pub(super) gaps: BTreeMap<(ServiceId, Node, u64), UsualTime>,
    pub(super) calls: BTreeMap<Node, UsualCalls>,
    pub(super) failing: BTreeMap<Node, UsualCount>,
    pub(super) blame: BTreeMap<BlameGroup, UsualCount>,
    pub(super) logs: BTreeMap<(ServiceId, u64), UsualCount>,
}

impl Normal {
    /// Blocks it rests on, faded.
    pub const fn blocks(&self) -> f64 {
        self.blocks
    }

    /// Logical calls of `node` in a block; `None` before any.
    pub fn calls_per_block(&self, node: Node) -> Option<f64> {
        let usual = self.calls.get(&node)?;
        (self.blocks >= BLOCKS_LEAST).then(|| usual.logical / self.blocks)
    }

    /// Learns one healthy block. O(keys).
    pub fn fold(&mut self, block: &WindowSums, aliases: &Aliases) {
        self.fade();
        self.blocks += 1.0;
        self.exposure += block.exposure();
        for (key, sum) in super::sums::work(block) {
            let usual = self.work.entry(key).or_default();
            usual.exclusive.take(&sum.exclusive);
            if sum.spans > 0 {
                usual.children.take(sum.children as f64 / sum.spans as f64);
            }
        }
        for (key, moments) in super::sums::gaps(block, aliases) {
            self.gaps.entry(key).or_default().take(&moments);
        }
        for (node, sum) in super::sums::calls(block, aliases) {
            let usual = self.calls.entry(node).or_default();
            usual.requests += sum.total() as f64;
            usual.failed += sum.failed() as f64;
            usual.logical += sum.logical as f64;
            usual.paired += sum.paired as f64;
            usual.wasted += sum.wasted as f64;
        }
        for (node, own) in super::sums::failing(block, aliases) {
            if own.calls > 0.0 {
                self.failing.entry(node).or_default().take(own.calls);
            }
        }
        for (group, traces) in super::sums::blame(block, aliases) {
            self.blame.entry(group).or_default().take(traces);
        }
        for (key, records) in super::sums::logs(block) {
            self.logs.entry(key).or_default().take(records as f64);
        }
    }

    fn fade(&mut self) {
        let by = 1.0 - 1.0 / MEMORY_BLOCKS;
        self.blocks *= by;
        self.exposure *= by;
        self.work.retain(|_, usual| {
            usual.exclusive.fade(by);
            usual.children.fade(by);
            usual.exclusive.blocks.weight > FORGOTTEN
        });
        self.gaps.retain(|_, usual| {
            usual.fade(by);
            usual.blocks.weight > FORGOTTEN
        });
        self.calls.retain(|_, usual| {
            for part in [
                &mut usual.requests,
                &mut usual.failed,
                &mut usual.logical,
                &mut usual.paired,
                &mut usual.wasted,
            ] {
                *part *= by;
            }
            usual.requests > FORGOTTEN
        });
        self.failing.retain(|_, usual| {
            usual.fade(by);
            usual.sum > FORGOTTEN
        });
        self.blame.retain(|_, usual| {
            usual.fade(by);
            usual.sum > FORGOTTEN
        });
        self.logs.retain(|_, usual| {
            usual.fade(by);
            usual.sum > FORGOTTEN
        });
    }

    /// How unusually many `count` events in a window of `blocks` blocks and `exposure` are: deviations above what the
    /// same exposure gave before, with the spread that blocks had.
    pub fn excess(&self, usual: Option<&UsualCount>, count: f64, window: &Window) -> f64 {
        let usual = usual.copied().unwrap_or_default();
        let per_block = share(usual.sum, self.blocks);
        let expected = if self.exposure > 0.0 && window.exposure > 0.0 {
            usual.sum / self.exposure * window.exposure
        } else {
            per_block * window.blocks
        };
        let variance = (usual.squares - usual.sum * per_block) / (self.blocks - 1.0).max(1.0);
        let spread = if per_block > 0.0 {
            (variance / per_block).max(1.0)
        } else {
            1.0
        };
        // Twice: what was learned is uncertain, too.
        (count - expected) / (2.0 * expected * spread + 1.0).sqrt()
    }
}

/// Size of the window that is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Blocks.
    pub blocks: f64,
    /// [`WindowSums::exposure`].
    pub exposure: f64,
}

fn share(part: f64, all: f64) -> f64 {
    if all > 0.0 {
        (part / all).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// Only pairs of synchronous calls have a gap that means something.
pub(super) const fn has_gap(connection: Connection) -> bool {
    !matches!(connection, Connection::Messaging)
}
