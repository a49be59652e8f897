//! One virtual shard: its item keys, its units, and the items whose time has not come.

use super::generations::Generations;
use super::keys::{ItemKey, Keys};
use super::settle::Agenda;
use super::streams::{Placed, Streams};
use super::traces::Traces;
use super::units::{Unit, Units};
use super::{FolderLimits, WINDOW_NANOS};
use crate::delta::LogErrorKey;
use crate::hash::SHARDS;
use crate::identity::{RevisionId, ServiceId};
use crate::items::Signal;
use crate::slo::SloId;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// An item of the future: all that will be counted of it, decided when it came.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) signal: Signal,
    pub(super) service: ServiceId,
    pub(super) revision: RevisionId,
    /// (slo, bad).
    pub(super) events: Vec<(SloId, bool)>,
    /// Its unit and the unit's key, when it is an entry span.
    pub(super) unit: Option<(u64, Unit)>,
    /// What it adds to streams, when it is a metric point.
    pub(super) placed: Vec<Placed>,
    /// Where it is counted as an error, when it is an error record.
    pub(super) error: Option<LogErrorKey>,
}

/// The state of one shard.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) keys: Generations<Keys>,
    pub(super) units: Generations<Units>,
    held: BTreeMap<(Timestamp, ItemKey), Held>,
    /// Streams of metric SLIs.
    pub(super) streams: Streams,
    /// Open traces.
    pub(super) traces: Traces,
    /// When they are to be settled.
    pub(super) agenda: Agenda,
    /// Generation of the last flush; `None` before the first.
    generation: Option<u64>,
}

impl Shard {
    /// Holds an item until `due`. Returns the one with the latest `due` when that cost it its place: which items stay
    /// does not depend on the order in which they came.
    pub(super) fn hold(
        &mut self,
        due: Timestamp,
        key: ItemKey,
        held: Held,
        max: usize,
    ) -> Option<Held> {
        self.held.insert((due, key), held);
        if self.held.len() <= max {
            return None;
        }
        self.held.pop_last().map(|(_, latest)| latest)
    }

    /// An item whose time has come, with its time.
    pub(super) fn release(&mut self, now: Timestamp) -> Option<(Timestamp, Held)> {
        let first = self.held.first_entry()?;
        let (due, _) = *first.key();
        (due <= now).then(|| (due, first.remove()))
    }

    /// Makes room for one more key and unit; returns how many entries left before their window ended.
    pub(super) fn make_room(&mut self, limits: &FolderLimits, now: Timestamp) -> u64 {
        self.keys.make_room(limits.keys_per_shard / 2, now)
            + self.units.make_room(limits.units_per_shard / 2, now)
    }

    /// Lets old generations leave: how many boundaries were passed, and how many entries left before their window
    /// ended. Shard `number` has its boundaries a 64th of the window before those of its neighbor, so that the work
    /// spreads over Ticks.
    pub(super) fn advance(&mut self, number: u8, now: Timestamp) -> (u64, u64) {
        let offset = WINDOW_NANOS / SHARDS as u64 * u64::from(number);
        let generation = now.plus(offset).0 / WINDOW_NANOS;
        let last = self.generation.unwrap_or(generation);
        let steps = generation.saturating_sub(last);
        self.generation = Some(generation.max(last));
        let evicted = self.keys.advance(steps, now) + self.units.advance(steps, now);
        if steps > 0 {
            self.streams.expire(now);
        }
        (steps, evicted)
    }
}
