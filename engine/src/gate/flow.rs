//! `Flow`: how the telemetry of one revision arrives: how far it is complete, how late it is, how its clock stands.
//!
//! Exporters batch (5 s by default) and stall, clocks differ. Before strata may close, both arms must have
//! delivered them; what tells that is the least watermark of an arm's resources and the ages its items recently
//! arrived with. All from counts per 5 s slot of the last minute: 12 slots a revision.

use crate::delta::ResourceDelta;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most resources (instances) whose watermark is tracked per revision; later ones do not hold strata back.
pub const SOURCES_MAX: usize = 1_024;
/// A resource that sent nothing for this long no longer holds the watermark back.
pub const IDLE_NANOS: u64 = 30 * NANOS_PER_SEC;

const SLOTS: usize = 12;
const SLOT_NANOS: u64 = 5 * NANOS_PER_SEC;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Slot {
    number: u64,
    spans: u64,
    units: i64,
    failed: i64,
    lag_min: i64,
    age_max: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Source {
    end_max: Timestamp,
    active: Timestamp,
}

/// Telemetry of one revision.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Flow {
    sources: BTreeMap<u128, Source>,
    slots: [Slot; SLOTS],
    /// Units ever, and how many of them failed.
    pub(crate) units: i64,
    pub(crate) failed: i64,
    /// Logical time of the first and of the latest unit.
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Timestamp,
    /// Latest event time of any span.
    pub(crate) end_max: Timestamp,
}

impl Flow {
    fn slot(&mut self, now: Timestamp) -> &mut Slot {
        let number = now.0 / SLOT_NANOS;
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot {
                number,
                lag_min: i64::MAX,
                ..Slot::default()
            };
        }
        slot
    }

    fn minute(&self, now: Timestamp) -> impl Iterator<Item = &Slot> {
        let newest = now.0 / SLOT_NANOS;
        self.slots
            .iter()
            .filter(move |slot| slot.number + SLOTS as u64 > newest && slot.number <= newest)
    }

    /// A resource of this revision sent something.
    pub(crate) fn heard(&mut self, now: Timestamp, row: &ResourceDelta) {
        let slot = self.slot(now);
        slot.spans += row.items;
        slot.lag_min = slot.lag_min.min(row.lag_min);
        self.end_max = self.end_max.max(row.end_max);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&row.hash) {
            self.sources
                .retain(|_, source| now.since(source.active) <= IDLE_NANOS);
            if self.sources.len() >= SOURCES_MAX {
                return;
            }
        }
        let source = self.sources.entry(row.hash).or_insert(Source {
            end_max: row.end_max,
            active: now,
        });
        source.end_max = source.end_max.max(row.end_max);
        source.active = now;
    }

    /// Units that ended in `second` arrived (or were taken back).
    pub(crate) fn counted(&mut self, now: Timestamp, second: u64, units: i64, failed: i64) {
        let age = now.since(Timestamp::from_secs(second + 1));
        let slot = self.slot(now);
        slot.units += units;
        slot.failed += failed;
        if units > 0 {
            slot.age_max = slot.age_max.max(age);
        }
        self.units += units;
        self.failed += failed;
        if units > 0 {
            self.first.get_or_insert(now);
            self.last = now;
        }
    }

    /// Event time up to which every active resource has delivered; `None` while none is active.
    pub(crate) fn watermark(&self, now: Timestamp) -> Option<Timestamp> {
        self.sources
            .values()
            .filter(|source| now.since(source.active) <= IDLE_NANOS)
            .map(|source| source.end_max)
            .min()
    }

    /// Units of the last minute, never negative.
    pub(crate) fn units_last_minute(&self, now: Timestamp) -> u64 {
        let units: i64 = self.minute(now).map(|slot| slot.units).sum();
        units.max(0) as u64
    }

    /// Spans of the last minute.
    pub(crate) fn spans_last_minute(&self, now: Timestamp) -> u64 {
        self.minute(now).map(|slot| slot.spans).sum()
    }

    /// How long silence is natural: ten times the mean time between units so far, ns.
    pub(crate) fn patience_nanos(&self) -> u64 {
        let between = self.first.map_or(0, |first| self.last.since(first));
        match self.units {
            2.. => (between / self.units as u64).saturating_mul(10),
            _ => 0,
        }
    }

    /// Seconds of the last minute in which units could have arrived, at least 1.
    pub(crate) fn observed_secs(&self, now: Timestamp) -> u64 {
        let observed = self.first.map_or(0, |first| now.since(first)) / NANOS_PER_SEC;
        observed.clamp(1, 60)
    }

    /// Least (receive - end) of the last minute, ns; `None` without spans.
    pub(crate) fn lag_min(&self, now: Timestamp) -> Option<i64> {
        self.minute(now)
            .filter(|slot| slot.spans > 0)
            .map(|slot| slot.lag_min)
            .min()
    }

    /// How long after the end of its second the latest unit of the last minute arrived, ns.
    pub(crate) fn age_max(&self, now: Timestamp) -> u64 {
        self.minute(now).map(|slot| slot.age_max).max().unwrap_or(0)
    }
}

/// Units of one arm that arrived in the last minute, and how many of them came after their stratum had closed.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Lateness {
    slots: [(u64, u64, u64); SLOTS],
}

/// Below this many units in a minute a late share says nothing.
const LATE_UNITS_MIN: u64 = 20;

impl Lateness {
    pub(crate) fn note(&mut self, now: Timestamp, units: u64, is_late: bool) {
        let number = now.0 / SLOT_NANOS;
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.0 != number {
            *slot = (number, 0, 0);
        }
        slot.1 += units;
        if is_late {
            slot.2 += units;
        }
    }

    /// (late, all) units of the last minute.
    pub(crate) fn last_minute(&self, now: Timestamp) -> (u64, u64) {
        let newest = now.0 / SLOT_NANOS;
        self.slots
            .iter()
            .filter(|slot| slot.0 + SLOTS as u64 > newest && slot.0 <= newest)
            .fold((0, 0), |(late, all), slot| (late + slot.2, all + slot.1))
    }

    /// Late share of the last minute, 0 below [`LATE_UNITS_MIN`] units.
    pub(crate) fn share(&self, now: Timestamp) -> f64 {
        match self.last_minute(now) {
            (_, all) if all < LATE_UNITS_MIN => 0.0,
            (late, all) => late as f64 / all as f64,
        }
    }
}
