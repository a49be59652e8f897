//! `Delta`: what a Folder tells the Decider at a Tick. Integer counts under stable 128-bit keys.
//!
//! Counts are a commutative group (a later span may take back what an earlier one said: entries may be negative);
//! maxima and minima are monoids. Merging the deltas of any number of folders in any order gives the same Delta.
//! All lists are sorted by their key and hold each key once: `Delta`s are compared and hashed byte for byte.

use crate::identity::{Identity, RevisionId, ServiceId};
use crate::items::Signal;
use crate::metric::Instrument;
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

/// What doctors look for in the items of one source, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mark {
    /// Spans of kind SERVER or CONSUMER: what SLIs count.
    Entry,
    /// Spans of kind CLIENT or PRODUCER.
    Call,
    /// HTTP entry spans without `http.route`.
    NoRoute,
    /// HTTP entry spans with neither a status code nor a span status: a failure would not show.
    NoOutcome,
    /// Items that a head sampler left over (`ot=th:` below 1, or Jaeger's `sampler.type`).
    HeadSampled,
    /// Items that a tail sampler left over ([`crate::items::TAIL_SAMPLERS`]).
    TailSampled,
    /// Older than the allowed lateness.
    Late,
    /// End more than a minute after they were received.
    Future,
    /// Seen before.
    Duplicate,
    /// Accepted but not counted, because a cap was reached.
    Dropped,
    /// Of a resource without any instance attribute.
    NoInstance,
}

impl Mark {
    /// Number of marks.
    pub const COUNT: usize = 11;
}

/// Counts by [`Mark`]. Merge: sum (saturating).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks([u32; Mark::COUNT]);

impl Marks {
    /// How many items bear `mark`.
    pub const fn of(&self, mark: Mark) -> u64 {
        self.0[mark as usize] as u64
    }

    /// Adds `items` to `mark`.
    pub const fn add(&mut self, mark: Mark, items: u32) {
        let count = &mut self.0[mark as usize];
        *count = count.saturating_add(items);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }
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
    /// What was remarkable, counted.
    pub marks: Marks,
    /// Bits of [`crate::anomaly`] that any of the items bears.
    pub odd: u16,
}

impl ResourceDelta {
    /// Adds what was said of the same resource and signal elsewhere.
    pub fn absorb(&mut self, other: &Self) {
        self.items += other.items;
        self.end_max = self.end_max.max(other.end_max);
        self.lag_min = self.lag_min.min(other.lag_min);
        self.marks.merge(&other.marks);
        self.odd |= other.odd;
    }
}

/// The name behind a route number: for showing, nothing decides by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteName {
    /// Service.
    pub service: ServiceId,
    /// Number, as in [`UnitKey::route`].
    pub route: u64,
    /// Name; the least one where several share a number.
    pub name: String,
}

/// Most route names a service may have in a Delta: those with the least numbers.
pub const ROUTE_NAMES_MAX: usize = 256;

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

/// Events of one SLI in one second whose side cannot be told, because a histogram's bucket holds the threshold. They are
/// counted in [`SliDelta`] on the side that costs budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoubtDelta {
    /// The SLO measured.
    pub slo: SloId,
    /// Event second.
    pub second: u64,
    /// Change in such events.
    pub events: i64,
}

/// Which types the points selected by a metric SLI had. Merge: least, or.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentDelta {
    /// The SLO.
    pub slo: SloId,
    /// A type that its definition does not allow, if one arrived; such points are not counted.
    pub wrong: Option<Instrument>,
    /// Whether points of an allowed type arrived.
    pub right: bool,
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
    /// By (slo, second).
    pub doubts: Vec<DoubtDelta>,
    /// By slo.
    pub instruments: Vec<InstrumentDelta>,
    /// By key.
    pub units: Vec<UnitDelta>,
    /// Names of routes, told every few seconds.
    pub routes: Vec<RouteName>,
    /// Counters that changed.
    pub counters: BTreeMap<Counter, u64>,
}

impl Delta {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
            && self.sli.is_empty()
            && self.doubts.is_empty()
            && self.instruments.is_empty()
            && self.units.is_empty()
            && self.routes.is_empty()
            && self.counters.is_empty()
    }

    /// Adds `other` to `self`; commutative and associative. O((n + m) log (n + m)).
    pub fn merge(&mut self, other: Self) {
        for (counter, count) in other.counters {
            *self.counters.entry(counter).or_default() += count;
        }
        self.resources.extend(other.resources);
        self.sli.extend(other.sli);
        self.doubts.extend(other.doubts);
        self.instruments.extend(other.instruments);
        self.units.extend(other.units);
        self.routes.extend(other.routes);
        self.normalize();
    }

    /// Sorts every list by key, joins equal keys and drops rows that came to nothing.
    pub fn normalize(&mut self) {
        self.resources.sort_by_key(|row| (row.hash, row.signal));
        self.resources.dedup_by(|row, into| {
            let same = (row.hash, row.signal) == (into.hash, into.signal);
            if same {
                into.absorb(row);
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
        self.doubts.sort_by_key(|row| (row.slo, row.second));
        self.doubts.dedup_by(|row, into| {
            let same = (row.slo, row.second) == (into.slo, into.second);
            if same {
                into.events += row.events;
            }
            same
        });
        self.doubts.retain(|row| row.events != 0);
        self.instruments.sort_by_key(|row| row.slo);
        self.instruments.dedup_by(|row, into| {
            let same = row.slo == into.slo;
            if same {
                into.wrong = [into.wrong, row.wrong].into_iter().flatten().min();
                into.right |= row.right;
            }
            same
        });
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
        self.name_routes();
        self.counters.retain(|_, count| *count != 0);
    }

    /// One name per route, at most [`ROUTE_NAMES_MAX`] per service.
    fn name_routes(&mut self) {
        self.routes.sort_unstable();
        self.routes
            .dedup_by(|row, into| (row.service, row.route) == (into.service, into.route));
        let mut of_service = (None, 0);
        self.routes.retain(|row| {
            if of_service.0 != Some(row.service) {
                of_service = (Some(row.service), 0);
            }
            of_service.1 += 1;
            of_service.1 <= ROUTE_NAMES_MAX
        });
    }
}
