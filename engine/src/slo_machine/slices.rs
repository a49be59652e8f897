//! Revision slices: the same counts once more per revision, for 6 h, so that a canary's failures are not diluted.
//!
//! A 1 % canary that fails completely is a burn of 10 in the fleet's number and of 1,000 in its own slice.
//! Slices are rings of the SLO's own resolution (so slices add up to the SLO exactly) without levels beyond 6 h, and
//! hold bytes only for runs of buckets that have events. They slide when somebody looks, not at every tick: until then
//! deltas wait in a short list.
//!
//! Limits: [`SLICES_PER_SLO`] revisions; at one more the one silent for longest is folded into
//! [`OLDER_REVISIONS`]. [`SLICES_MAX`] in all: at the limit new revisions are counted there at once.

use crate::identity::RevisionId;
use crate::ring::{Ring, Tally};
use crate::slo::Ratio;
use crate::snapshot::{Counts, REVISIONS_MAX, SliceRow, WindowRow};
use serde::{Deserialize, Serialize};

/// Slices kept per SLO, the folded one not counted.
pub const SLICES_PER_SLO: usize = REVISIONS_MAX;
/// Slices kept in all.
pub const SLICES_MAX: u32 = 100_000;
/// The id under which revisions beyond the limits are shown together.
pub const OLDER_REVISIONS: RevisionId = RevisionId(0);
/// Windows of a slice, s.
pub const SLICE_WINDOWS: [u64; 3] = [300, 3_600, SLICE_SECS];
/// How long a slice lives after its last event, s.
const SLICE_SECS: u64 = 6 * 3_600;
/// Deltas that wait, at most, until the slices are settled.
const WAITING_MAX: usize = 64;
/// Newest waiting deltas that are looked at for joining those of one revision and second.
const JOINED_MAX: usize = 16;
/// Folded revisions remembered, so that what they still send stays folded.
const FOLDED_MAX: usize = 64;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slice {
    revision: RevisionId,
    first_event: u64,
    last_event: u64,
    ring: Ring,
}

/// The slices of one SLO.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Slices {
    list: Vec<Slice>,
    waiting: Vec<(RevisionId, u64, Tally)>,
    folded: Vec<RevisionId>,
}

impl Slices {
    /// Slices held.
    pub(super) fn len(&self) -> u32 {
        self.list.len() as u32
    }

    /// Counts `change` of `revision` at event second `second`, not after logical second `now`. `all` is the number of
    /// slices of all SLOs.
    pub(super) fn add(
        &mut self,
        now: u64,
        revision: RevisionId,
        second: u64,
        change: Tally,
        all: &mut u32,
    ) {
        let same = |waits: &&mut (RevisionId, u64, Tally)| (waits.0, waits.1) == (revision, second);
        match self.waiting.iter_mut().rev().take(JOINED_MAX).find(same) {
            Some((_, _, sum)) => *sum = sum.plus(change),
            None => self.waiting.push((revision, second, change)),
        }
        if self.waiting.len() >= WAITING_MAX {
            self.settle(now, all);
        }
    }

    /// Counts what waits, lets time pass and drops slices whose last event is older than 6 h.
    pub(super) fn settle(&mut self, now: u64, all: &mut u32) {
        let others = *all - self.len();
        for (revision, second, change) in std::mem::take(&mut self.waiting) {
            if second + SLICE_SECS < now {
                continue;
            }
            let at = self.place(now, revision, second, others + self.len() < SLICES_MAX);
            let slice = &mut self.list[at];
            slice.ring.advance(now);
            slice.ring.add(second, change);
            slice.first_event = slice.first_event.min(second);
            slice.last_event = slice.last_event.max(second);
        }
        self.list
            .retain(|slice| slice.last_event + SLICE_SECS >= now);
        if self.list.is_empty() {
            self.folded.clear();
        }
        for slice in &mut self.list {
            slice.ring.advance(now);
        }
        *all = others + self.len();
    }

    fn place(&mut self, now: u64, revision: RevisionId, second: u64, has_room: bool) -> usize {
        if let Some(at) = self.find(revision) {
            return at;
        }
        if !has_room || self.folded.contains(&revision) {
            return self.find_or_new(now, OLDER_REVISIONS, second);
        }
        let at = self.find_or_new(now, revision, second);
        let named = |slice: &&Slice| slice.revision != OLDER_REVISIONS;
        if self.list.iter().filter(named).count() <= SLICES_PER_SLO {
            return at;
        }
        self.fold_oldest(now, revision);
        self.find_or_new(now, revision, second)
    }

    fn find(&self, revision: RevisionId) -> Option<usize> {
        self.list
            .iter()
            .position(|slice| slice.revision == revision)
    }

    fn find_or_new(&mut self, now: u64, revision: RevisionId, second: u64) -> usize {
        self.find(revision).unwrap_or_else(|| {
            self.list.push(Slice {
                revision,
                first_event: second,
                last_event: second,
                ring: Ring::new(&SLICE_WINDOWS, now),
            });
            self.list.len() - 1
        })
    }

    /// Folds the slice that has been silent for longest; never `newcomer`.
    fn fold_oldest(&mut self, now: u64, newcomer: RevisionId) {
        let oldest = (0..self.list.len())
            .filter(|at| ![newcomer, OLDER_REVISIONS].contains(&self.list[*at].revision))
            .min_by_key(|at| {
                let slice = &self.list[*at];
                (slice.last_event, slice.first_event, slice.revision)
            });
        let Some(oldest) = oldest else { return };
        let gone = self.list.remove(oldest);
        self.folded.push(gone.revision);
        if self.folded.len() > FOLDED_MAX {
            self.folded.remove(0);
        }
        let at = self.find_or_new(now, OLDER_REVISIONS, gone.last_event);
        let into = &mut self.list[at];
        into.first_event = into.first_event.min(gone.first_event);
        into.last_event = into.last_event.max(gone.last_event);
        into.ring.merge(gone.ring);
    }

    /// As published, newest revision first, [`OLDER_REVISIONS`] last.
    pub(super) fn rows(&self, target: Ratio) -> Vec<SliceRow> {
        let mut order: Vec<&Slice> = self.list.iter().collect();
        order.sort_by_key(|slice| {
            let is_older = slice.revision == OLDER_REVISIONS;
            (
                is_older,
                std::cmp::Reverse(slice.first_event),
                slice.revision,
            )
        });
        order
            .into_iter()
            .map(|slice| SliceRow {
                revision: slice.revision,
                windows: SLICE_WINDOWS
                    .iter()
                    .map(|secs| window_row(*secs, slice.counts(*secs), target))
                    .collect(),
            })
            .collect()
    }

    /// Revisions with events in the last `secs` (one of [`SLICE_WINDOWS`]).
    pub(super) fn serving(&self, secs: u64) -> Vec<(RevisionId, Counts)> {
        self.list
            .iter()
            .map(|slice| (slice.revision, slice.counts(secs)))
            .filter(|(_, counts)| counts.total() > 0)
            .collect()
    }
}

impl Slice {
    fn counts(&self, secs: u64) -> Counts {
        let at = self.ring.find(secs);
        at.map_or_else(Counts::default, |at| self.ring.sum(at).counts())
    }
}

/// A window as published.
pub(super) fn window_row(window_secs: u64, counts: Counts, target: Ratio) -> WindowRow {
    WindowRow {
        window_secs,
        counts,
        burn: crate::burn_rate::burn(counts, target),
    }
}
