//! The metric streams of one shard, and since when each SLO looks at them.

use super::{FolderLimits, POINTS_AT_BOUND};
use crate::hash::FixedMap;
use crate::identity::RevisionId;
use crate::items::Signal;
use crate::slo::{Definitions, LATENESS_NANOS, Side, Sli, SloId};
use crate::stream::{Changes, Observed, POINTS_MAX, Point, Stream};
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;

/// How long points are kept beyond the allowed lateness: a request is received a little before it is folded.
const SLACK_NANOS: u64 = 30 * NANOS_PER_SEC;
/// A stream that was silent for so long is forgotten. If it comes back its first value is a baseline again.
const IDLE_NANOS: u64 = 3_600 * NANOS_PER_SEC;

/// A point on its way into a stream of one SLO.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) slo: SloId,
    pub(super) stream: u128,
    pub(super) revision: RevisionId,
    /// Whether its increments are among all events, among the part's.
    pub(super) is_total: bool,
    pub(super) is_part: bool,
    pub(super) side: Side,
    pub(super) point: Point,
    /// For deltas: whether the item keys know it.
    pub(super) is_repeated: bool,
}

/// What a stream made of a point.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken in.
    Observed(Observed),
    /// There is no room for its stream.
    Dropped,
}

/// The streams of one shard, by stream and SLO.
#[derive(Debug, Default)]
pub(super) struct Streams {
    map: FixedMap<(u128, SloId), Stream>,
    /// Points kept in all.
    points: usize,
    /// Latest start of a stream that was forgotten: one that starts up to then may have been counted before.
    forgotten: u64,
}

impl Streams {
    /// Takes a point in; `since` is when its SLO began. Returns what became of it, and how many points left before
    /// their time to make room.
    pub(super) fn observe(
        &mut self,
        placed: &Placed,
        since: Timestamp,
        (now, received): (Timestamp, Timestamp),
        limits: &FolderLimits,
        changes: &mut Changes,
    ) -> (Outcome, u64) {
        let key = (placed.stream, placed.slo);
        if self.map.len() >= limits.streams_per_shard && !self.map.contains_key(&key) {
            return (Outcome::Dropped, 0);
        }
        let since = since.max(Timestamp(self.forgotten.saturating_add(1)));
        let stream = self.map.entry(key).or_insert_with(|| Stream::new(since));
        let before = stream.len();
        let is_full = self.points >= limits.points_per_shard;
        let most = if is_full { POINTS_AT_BOUND } else { POINTS_MAX };
        let horizon = now.minus(LATENESS_NANOS + SLACK_NANOS);
        let early = stream.settle(horizon.0, most - 1);
        let observed = stream.observe(placed.point.clone(), changes);
        if observed == Observed::Late && placed.is_repeated {
            changes.clear();
            return (Outcome::Observed(Observed::Duplicate), early);
        }
        stream.heard = stream.heard.max(received);
        self.points = (self.points + stream.len()).saturating_sub(before);
        (Outcome::Observed(observed), early)
    }

    /// Forgets the streams of SLOs that are gone.
    pub(super) fn forget(&mut self, gone: &[SloId]) {
        if !gone.is_empty() {
            self.map
                .retain(|(_, slo), _| gone.binary_search(slo).is_err());
            self.points = self.map.values().map(Stream::len).sum();
        }
    }

    /// Forgets streams that fell silent. O(streams).
    pub(super) fn expire(&mut self, now: Timestamp) {
        let mut forgotten = self.forgotten;
        self.map.retain(|_, stream| {
            let is_idle = now.since(stream.heard) > IDLE_NANOS;
            if is_idle {
                forgotten = forgotten.max(stream.newest_start());
            }
            !is_idle
        });
        self.forgotten = forgotten;
        self.points = self.map.values().map(Stream::len).sum();
    }
}

/// Since when each SLO of increments is observed: a cumulative value that starts before is a baseline.
#[derive(Debug, Default)]
pub(super) struct Observation {
    since: BTreeMap<SloId, (Sli, Timestamp)>,
}

impl Observation {
    /// Takes new definitions at `now`: an SLI that did not change goes on. Returns the SLOs that ended or changed, sorted.
    pub(super) fn define(&mut self, definitions: &Definitions, now: Timestamp) -> Vec<SloId> {
        let mut old = std::mem::take(&mut self.since);
        for slo in definitions.slos.values() {
            if slo.sli.signal() != Signal::Metrics {
                continue;
            }
            let known = match old.remove(&slo.id) {
                Some((sli, since)) if sli == slo.sli => (sli, since),
                Some(changed) => {
                    old.insert(slo.id, changed);
                    (slo.sli.clone(), now)
                }
                None => (slo.sli.clone(), now),
            };
            self.since.insert(slo.id, known);
        }
        old.into_keys().collect()
    }

    /// The first input came at `now`.
    pub(super) fn begin(&mut self, now: Timestamp) {
        for (_, since) in self.since.values_mut() {
            *since = now;
        }
    }

    /// Since when `slo` is observed; `None` when it is not.
    pub(super) fn of(&self, slo: SloId) -> Option<Timestamp> {
        self.since.get(&slo).map(|(_, since)| *since)
    }
}
