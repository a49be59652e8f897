//! Strata: where units of both arms are comparable, and how they are gathered until they close.
//!
//! A stratum is (event second or longer, weight epoch at span start, route and caller). Within it the traffic split
//! was one number, so a shared incident hits both arms alike; across strata nothing is compared. The epoch follows
//! the *start*: slow failures finish after a weight step and would otherwise be counted against the new split
//! (statistics.md (a) 1: false halt probability 1).

use crate::delta::UnitDelta;
use crate::identity::RevisionId;
use crate::latency::LATENCY_BUCKETS;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most routes told apart per service; later ones share [`OVERFLOW_ROUTE`].
pub const ROUTES_MAX: usize = 64;
/// The route of everything beyond [`ROUTES_MAX`].
pub const OVERFLOW_ROUTE: u64 = u64::MAX;
/// Most cells (second, start, route, revision) kept per service; units beyond it are counted as unplaced.
pub const CELLS_MAX: usize = 16_384;
/// A second closes at the latest this long after its end, complete or not.
pub const CLOSE_SECS: u64 = 10;
/// How long cells are kept where no candidate is on trial, so that one that appears finds its first seconds.
pub const KEEP_SECS: u64 = 20;
/// Length of an epoch where no weights are known, s.
pub const EPOCH_SECS: u64 = 10;
/// Most weight steps remembered per rollout, the newest.
pub const STEPS_MAX: usize = 64;
/// Most strata in one moment of a candidate; it closes early beyond it.
pub const STRATA_MAX: usize = 512;
/// A route not seen for this long makes room for another.
const ROUTE_IDLE_SECS: u64 = 600;

/// Where units are kept until their second closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CellKey {
    pub(crate) second: u64,
    pub(crate) started: u64,
    pub(crate) route: u64,
    pub(crate) revision: RevisionId,
}

/// Units of one arm; entries may be negative while corrections are on their way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) units: i64,
    pub(crate) failed: i64,
    /// Count per latency bucket, ascending by bucket.
    pub(crate) latency: Vec<(u8, i64)>,
}

impl Cell {
    pub(crate) fn add(&mut self, units: i64, failed: i64, latency: &[(u8, i64)]) {
        self.units += units;
        self.failed += failed;
        for (bucket, count) in latency {
            match self.latency.binary_search_by_key(bucket, |cell| cell.0) {
                Ok(index) => self.latency[index].1 += count,
                Err(index) if usize::from(*bucket) < LATENCY_BUCKETS => {
                    self.latency.insert(index, (*bucket, *count));
                }
                Err(_) => {}
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.add(other.units, other.failed, &other.latency);
    }

    fn is_empty(&self) -> bool {
        self.units == 0 && self.failed == 0 && self.latency.iter().all(|(_, count)| *count == 0)
    }
}

/// The open seconds of one service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cells {
    map: BTreeMap<CellKey, Cell>,
    routes: BTreeMap<u64, u64>,
    /// Units that found no place.
    pub(crate) unplaced: u64,
}

impl Cells {
    /// Adds the counts of `row`. O(log cells).
    pub(crate) fn add(&mut self, row: &UnitDelta) {
        let key = CellKey {
            second: row.key.second,
            started: row.key.started.min(row.key.second),
            route: self.route(row.key.route, row.key.second),
            revision: row.key.revision,
        };
        if self.map.len() >= CELLS_MAX && !self.map.contains_key(&key) {
            self.unplaced += row.units.max(0) as u64;
            return;
        }
        let cell = self.map.entry(key).or_default();
        cell.add(row.units, row.failed, &row.latency);
        if cell.is_empty() {
            self.map.remove(&key);
        }
    }

    fn route(&mut self, route: u64, second: u64) -> u64 {
        if self.routes.len() >= ROUTES_MAX && !self.routes.contains_key(&route) {
            self.routes
                .retain(|_, last| *last + ROUTE_IDLE_SECS >= second);
            if self.routes.len() >= ROUTES_MAX {
                return OVERFLOW_ROUTE;
            }
        }
        let last = self.routes.entry(route).or_default();
        *last = (*last).max(second);
        route
    }

    /// Everything that ended in `second`, in key order.
    pub(crate) fn of_second(&self, second: u64) -> impl Iterator<Item = (&CellKey, &Cell)> {
        let from = CellKey {
            second,
            started: 0,
            route: 0,
            revision: RevisionId(0),
        };
        self.map
            .range(from..)
            .take_while(move |(key, _)| key.second == second)
    }

    /// First second in which `revision` has units.
    pub(crate) fn first_second_of(&self, revision: RevisionId) -> Option<u64> {
        self.map
            .keys()
            .find(|key| key.revision == revision)
            .map(|key| key.second)
    }

    /// Forgets the seconds before `second`.
    pub(crate) fn forget_before(&mut self, second: u64) {
        let from = CellKey {
            second,
            started: 0,
            route: 0,
            revision: RevisionId(0),
        };
        if self
            .map
            .first_key_value()
            .is_some_and(|(key, _)| *key < from)
        {
            self.map = self.map.split_off(&from);
        }
    }
}

/// A time in which the traffic split did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Epoch {
    /// Weight steps before it.
    step: u32,
    /// Second or 10 s it is cut to, where the split inside a step is not known to be one; 0 otherwise.
    part: u64,
}

impl Epoch {
    /// Weight steps before it.
    pub(crate) const fn step(self) -> u32 {
        self.step
    }
}

/// The weight steps a controller reported, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Weights {
    steps: Vec<(Timestamp, u32)>,
    forgotten: u32,
}

/// A controller says when it asked for a weight; proxies follow within a few seconds. The seconds around a step
/// are epochs of their own.
const STEP_BEFORE_SECS: u64 = 1;
const STEP_AFTER_SECS: u64 = 5;

impl Weights {
    /// Takes in a reported weight; one that repeats the weight in force is no step.
    pub(crate) fn note(&mut self, at: Timestamp, basis_points: u32) {
        let index = self.steps.partition_point(|step| step.0 <= at);
        let is_repeated = index > 0 && self.steps[index - 1].1 == basis_points;
        if is_repeated {
            return;
        }
        self.steps.insert(index, (at, basis_points));
        if self.steps.len() > STEPS_MAX {
            self.steps.remove(0);
            self.forgotten += 1;
        }
    }

    /// Steps reported so far.
    pub(crate) fn count(&self) -> u32 {
        self.forgotten + self.steps.len() as u32
    }

    /// The newest weight, 1/100 of a percent.
    pub(crate) fn current(&self) -> Option<u32> {
        self.steps.last().map(|step| step.1)
    }

    /// The epoch of a span that started in `second`.
    pub(crate) fn epoch(&self, second: u64) -> Epoch {
        let before = self.steps.partition_point(|step| step.0.secs() <= second);
        let step = self.forgotten + before as u32;
        let is_near = self.steps.iter().any(|(at, _)| {
            (at.secs().saturating_sub(STEP_BEFORE_SECS)..=at.secs() + STEP_AFTER_SECS)
                .contains(&second)
        });
        let part = if is_near {
            second + 1
        } else if step == 0 {
            // No weight is known for this time.
            (second / EPOCH_SECS + 1) * EPOCH_SECS
        } else {
            0
        };
        Epoch { step, part }
    }
}

#[cfg(test)]
mod tests;
