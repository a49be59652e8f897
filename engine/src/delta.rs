//! `Delta`: what a Folder tells the Decider at a Tick. Integer counts under stable 128-bit keys.
//!
//! Counts are a commutative group (a later span may take back what an earlier one said: entries may be negative);
//! maxima and minima are monoids. Merging the deltas of any number of folders in any order gives the same Delta.
//! All lists are sorted by their key and hold each key once: `Delta`s are compared and hashed byte for byte.

use crate::identity::{Identity, RevisionId, ServiceId};
use crate::items::Signal;
use crate::slo::SloId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fate {
    /// Accepted and folded.
    Accepted,
    /// Rejected at decoding, by partial success.
    Rejected,
    /// Accepted but not counted, because a cap was reached.
    Dropped,
    /// Left out of SLIs by the exclusion rule.
    Excluded,
    /// Seen before (same ids and content) inside the dedup window.
    Duplicate,
    /// Of an intercept or branch deployment: outside the budget.
    OutsideBudget,
    /// Older than the allowed lateness, counted as a correction.
    Late,
    /// Waiting because it lies in the future.
    Future,
}

impl Fate {
    /// Every fate, in order.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Rejected,
        Self::Dropped,
        Self::Excluded,
        Self::Duplicate,
        Self::OutsideBudget,
        Self::Late,
        Self::Future,
    ];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
            Self::Excluded => "excluded",
            Self::Duplicate => "duplicate",
            Self::OutsideBudget => "outside_budget",
            Self::Late => "late",
            Self::Future => "future",
        }
    }
}

/// What is counted besides SLIs; exported as `tidegate_ingest_*_total` and in `/v1/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Counter {
    /// Items of a signal by what became of them.
    Items(Signal, Fate),
    /// Entry spans that joined a unit judged earlier (retries, several entries of one trace).
    CollapsedSpans,
    /// Unit or item-key table entries evicted by a cap before their window ended.
    EvictedKeys,
    /// One anomaly kind: index into [`crate::anomaly::NAMES`].
    Anomaly(u8),
}

/// What one resource sent of one signal during a tick. Merge: sum, max, min.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDelta {
    /// BLAKE3-128 of the encoded resource.
    pub hash: u128,
    /// Of which signal.
    pub signal: Signal,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Items folded.
    pub items: u64,
    /// Latest event time (of a span: its end) seen: its watermark.
    pub end_max: Timestamp,
    /// Least (receive - end), ns; negative when its clock runs ahead.
    pub lag_min: i64,
}

/// Events of one SLI in one second of event time, of one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliDelta {
    /// The SLO measured.
    pub slo: SloId,
    /// Revision the events belong to.
    pub revision: RevisionId,
    /// Event second (span end).
    pub second: u64,
    /// Change in good events.
    pub good: i64,
    /// Change in bad events.
    pub bad: i64,
}

/// Where a unit of assignment is counted for the gate's stratified tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitKey {
    /// Service.
    pub service: ServiceId,
    /// Event second: end of the unit's earliest entry span.
    pub second: u64,
    /// Second in which that span started; the Decider maps it to a weight epoch.
    pub started: u64,
    /// Fingerprint of (route or operation, caller).
    pub route: u64,
    /// Revision that served it.
    pub revision: RevisionId,
}

/// Units of assignment, (trace, service) collapsed to its earliest entry span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitDelta {
    /// Where.
    pub key: UnitKey,
    /// Change in units.
    pub units: i64,
    /// Change in failed units.
    pub failed: i64,
    /// Change per latency bucket ([`crate::latency`]), ascending by bucket; unknown durations are in none.
    pub latency: Vec<(u8, i64)>,
}

/// Everything the folders counted since the last Tick.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// By resource hash and signal.
    pub resources: Vec<ResourceDelta>,
    /// By (slo, revision, second).
    pub sli: Vec<SliDelta>,
    /// By key.
    pub units: Vec<UnitDelta>,
    /// Counters that changed.
    pub counters: BTreeMap<Counter, u64>,
}

impl Delta {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
            && self.sli.is_empty()
            && self.units.is_empty()
            && self.counters.is_empty()
    }

    /// Adds `other` to `self`; commutative and associative. O((n + m) log (n + m)).
    pub fn merge(&mut self, other: Self) {
        for (counter, count) in other.counters {
            *self.counters.entry(counter).or_default() += count;
        }
        self.resources.extend(other.resources);
        self.sli.extend(other.sli);
        self.units.extend(other.units);
        self.normalize();
    }

    /// Sorts every list by key, joins equal keys and drops rows that came to nothing.
    pub fn normalize(&mut self) {
        self.resources.sort_by_key(|row| (row.hash, row.signal));
        self.resources.dedup_by(|row, into| {
            let same = (row.hash, row.signal) == (into.hash, into.signal);
            if same {
                into.items += row.items;
                into.end_max = into.end_max.max(row.end_max);
                into.lag_min = into.lag_min.min(row.lag_min);
            }
            same
        });
        self.sli
            .sort_by_key(|row| (row.slo, row.revision, row.second));
        self.sli.dedup_by(|row, into| {
            let same =
                (row.slo, row.revision, row.second) == (into.slo, into.revision, into.second);
            if same {
                into.good += row.good;
                into.bad += row.bad;
            }
            same
        });
        self.sli.retain(|row| row.good != 0 || row.bad != 0);
        self.units.sort_by_key(|row| row.key);
        self.units.dedup_by(|row, into| {
            let same = row.key == into.key;
            if same {
                into.units += row.units;
                into.failed += row.failed;
                into.latency.append(&mut row.latency);
            }
            same
        });
        for row in &mut self.units {
            row.latency.sort_by_key(|(bucket, _)| *bucket);
            row.latency.dedup_by(|cell, into| {
                let same = cell.0 == into.0;
                if same {
                    into.1 += cell.1;
                }
                same
            });
            row.latency.retain(|(_, count)| *count != 0);
        }
        self.units
            .retain(|row| row.units != 0 || row.failed != 0 || !row.latency.is_empty());
        self.counters.retain(|_, count| *count != 0);
    }
}
