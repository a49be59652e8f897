//! One SLO at work: its counts, its slices, its alert, and the row made of them.

use super::SloFacts;
use super::coverage::Coverage;
use super::doubts::Doubts;
use super::slices::{SLICE_WINDOWS, Slices};
use crate::alert::{Alert, AlertTransition, Step};
use crate::budget::Budget;
use crate::delta::{DoubtDelta, InstrumentDelta, SliDelta};
use crate::ring::{Ring, Tally, WINDOW_SECS_MAX, WindowAt, window_start};
use crate::slo::Slo;
use crate::snapshot::{AlertRow, Point, SloRow, TypeMismatch};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// Windows every SLO has beside its tiers' and its period, s: the slices' ones, for comparing them side by side.
const SHOWN_WINDOWS: [u64; 3] = SLICE_WINDOWS;
/// Silence after which a state is carried, s.
const STALE_SECS: u64 = 300;

/// A type mismatch ends when no point of a wrong type came for so long: three exports.
const MISMATCH_NANOS: u64 = 180 * NANOS_PER_SEC;

/// Seconds of one group of deltas that are looked at for joining revisions.
const JOINED_MAX: usize = 8;

/// Where the windows lie in the ring. Derived from the definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Ascending.
    pub(super) windows: Vec<(u64, WindowAt)>,
    /// What a tick reads of every tier.
    pub(super) tiers: Vec<TierPlan>,
    /// Longest window, s.
    longest: u64,
    pub(super) hour: WindowAt,
    pub(super) period: WindowAt,
}

/// Where a tier's windows lie, and its factor once more: ten thousand definitions are too many to be read at every tick.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct TierPlan {
    pub(super) factor_milli: u64,
    pub(super) long: WindowAt,
    pub(super) short: WindowAt,
}

/// What a visit changed.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// The row's numbers.
    pub(super) row: bool,
    /// The chart.
    pub(super) history: bool,
    /// The alert's state: the row cannot wait.
    pub(super) alert: bool,
    /// What to tell.
    pub(super) transition: Option<AlertTransition>,
}

/// State of one SLO.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) slo: Arc<Slo>,
    pub(super) ring: Ring,
    pub(super) plan: Plan,
    pub(super) alert: Alert,
    pub(super) slices: Slices,
    /// First and last event second; `None` before the first event.
    pub(super) observed: Option<(u64, u64)>,
    pub(super) doubts: Doubts,
    pub(super) mismatch: Option<TypeMismatch>,
    #[serde(skip)]
    row: Option<Arc<SloRow>>,
    #[serde(skip)]
    row_at: Timestamp,
    #[serde(skip)]
    was_stale: bool,
    #[serde(skip)]
    pub(super) history: Arc<Vec<Point>>,
}

impl Slot {
    pub(super) fn new(slo: Slo, now: Timestamp) -> Self {
        let ring = Ring::new(&windows_of(&slo), now.secs());
        let mut alert = Alert::default();
        alert.set_tiers(&slo.tiers);
        let mut slot = Self {
            plan: Plan::of(&slo, &ring),
            slo: Arc::new(slo),
            ring,
            alert,
            slices: Slices::default(),
            observed: None,
            doubts: Doubts::default(),
            mismatch: None,
            row: None,
            row_at: now,
            was_stale: true,
            history: Arc::default(),
        };
        slot.row = Some(Arc::new(slot.build_row(now)));
        slot
    }

    /// Takes a changed definition with the same SLI: counts stay.
    pub(super) fn redefine(&mut self, slo: &Slo, now: Timestamp) {
        if *self.slo == *slo {
            return;
        }
        self.ring.advance(now.secs());
        let windows = windows_of(slo);
        if windows != windows_of(&self.slo) {
            self.ring = self.ring.reshape(&windows);
        }
        // What fell out of a shorter period was not kept, so a longer one starts there.
        let kept = window_start(now.secs(), self.slo.period_secs);
        self.observed = self
            .observed
            .map(|(first, last)| (first.max(kept.min(last)), last));
        self.doubts.reshape(window_of(slo.period_secs));
        self.plan = Plan::of(slo, &self.ring);
        self.alert.set_tiers(&slo.tiers);
        self.slo = Arc::new(slo.clone());
        self.row = Some(Arc::new(self.build_row(now)));
    }

    /// Counts deltas of this SLO whose seconds are not after `second`. `slices` is the number of slices of all SLOs.
    pub(super) fn count(&mut self, second: u64, deltas: &[SliDelta], slices: &mut u32) {
        self.ring.advance(second);
        // Revisions of the same second are joined first: the ring is the expensive part.
        let mut joined: SmallVec<[(u64, Tally); JOINED_MAX]> = SmallVec::new();
        for delta in deltas {
            let change = Tally {
                good: delta.good,
                bad: delta.bad,
            };
            let same = joined
                .iter()
                .take(JOINED_MAX)
                .position(|(at, _)| *at == delta.second);
            match same {
                Some(at) => joined[at].1 = joined[at].1.plus(change),
                None => joined.push((delta.second, change)),
            }
            self.slices
                .add(second, delta.revision, delta.second, change, slices);
            if delta.good > 0 || delta.bad > 0 {
                let (first, last) = self.observed.unwrap_or((delta.second, delta.second));
                self.observed = Some((first.min(delta.second), last.max(delta.second)));
            }
        }
        for (at, change) in joined {
            self.ring.add(at, change);
        }
    }

    /// Counts events whose side is not known.
    pub(super) fn count_doubts(&mut self, now: u64, deltas: &[DoubtDelta]) {
        self.doubts
            .count(now, window_of(self.slo.period_secs), deltas);
    }

    /// Takes note of the types that its points had.
    pub(super) fn see_types(&mut self, now: Timestamp, seen: &InstrumentDelta) {
        if let Some(arriving) = seen.wrong {
            let since = self.mismatch.map_or(now, |known| known.since);
            self.mismatch = Some(TypeMismatch {
                arriving,
                since,
                last: now,
            });
        } else if seen.right
            && let Some(known) = self.mismatch
            && now.since(known.last) > MISMATCH_NANOS
        {
            self.mismatch = None;
        }
    }

    /// Slides the windows to `now` and moves the alert.
    pub(super) fn visit(
        &mut self,
        coverage: &Coverage<'_>,
        facts: &SloFacts,
        slices: &mut u32,
    ) -> Visit {
        let now = coverage.now;
        let slid = self.ring.advance(now.secs());
        self.doubts.advance(now.secs());
        let step = self.step(coverage);
        if step != Step::Same {
            self.slices.settle(now.secs(), slices);
        }
        let is_stale = self.is_stale(now.secs());
        let mut visit = Visit {
            row: slid.sums || is_stale != self.was_stale,
            history: slid.minute && self.observed.is_some(),
            alert: step != Step::Same,
            transition: self.enter(step, now, facts),
        };
        self.was_stale = is_stale;
        visit.alert |= self.alert.forget(now);
        visit
    }

    /// The budget over the period.
    pub(super) fn budget(&self) -> Budget {
        Budget {
            counts: self.ring.sum(self.plan.period).counts(),
            target: self.slo.target,
        }
    }

    /// How long events have been observed, s.
    pub(super) fn observed_secs(&self, second: u64) -> u64 {
        self.observed
            .map_or(0, |(first, _)| (second + 1).saturating_sub(first))
    }

    /// Whether nothing happened lately.
    pub(super) fn is_stale(&self, second: u64) -> bool {
        self.observed
            .is_none_or(|(_, last)| last + STALE_SECS < second)
    }

    /// The next second at which something can change although nothing arrives: the next bucket that ends at the finest
    /// level which still holds events. Later than any second while nothing can.
    pub(super) fn next_due(&self, second: u64) -> u64 {
        if self.alert.is_active() {
            return second + 1;
        }
        let forgotten = self
            .alert
            .forgotten_at()
            .map_or(u64::MAX, |at| at.secs() + 1);
        let Some((_, last)) = self.observed else {
            return forgotten;
        };
        let horizons = [
            (1, 3_600),
            (60, 6 * 3_600),
            (600, 3 * 86_400),
            (3_600, self.plan.longest),
        ];
        let busy = horizons
            .iter()
            .find(|(width, reach)| second <= last + reach + width)
            .map_or(u64::MAX, |(width, _)| (second / width + 1) * width);
        busy.min(forgotten)
    }

    /// The published row.
    pub(super) const fn row(&self) -> Option<&Arc<SloRow>> {
        self.row.as_ref()
    }

    /// The occurrence that is pending or firing.
    pub(super) const fn active_alert(&self) -> Option<&Arc<AlertRow>> {
        self.alert.current()
    }

    /// Rebuilds the row unless that was done at `now` already.
    pub(super) fn refresh_row(&mut self, now: Timestamp, slices: &mut u32) {
        if self.row.is_none() || self.row_at != now {
            self.slices.settle(now.secs(), slices);
            self.row_at = now;
            self.row = Some(Arc::new(self.build_row(now)));
        }
    }

    /// Rebuilds the chart, and with it the row.
    pub(super) fn refresh_history(&mut self, now: Timestamp, slices: &mut u32) {
        let Some((first, _)) = self.observed else {
            return;
        };
        let point = |(second, tally): (u64, Tally)| Point {
            at: Timestamp::from_secs(second),
            counts: tally.counts(),
        };
        self.history = Arc::new(self.ring.minutes(first).map(point).collect());
        self.row_at = Timestamp::EPOCH;
        self.refresh_row(now, slices);
    }

    /// Heap bytes of the counts, slices left out.
    pub(super) fn byte_size(&self) -> usize {
        self.ring.byte_size()
    }
}

impl Plan {
    fn of(slo: &Slo, ring: &Ring) -> Self {
        let windows: Vec<(u64, WindowAt)> = windows_of(slo)
            .into_iter()
            .filter_map(|secs| Some((secs, ring.find(secs)?)))
            .collect();
        let fallback = windows.last().map(|(_, at)| *at).unwrap_or_default();
        let at = |secs: u64| ring.find(window_of(secs)).unwrap_or(fallback);
        Self {
            tiers: slo
                .tiers
                .iter()
                .map(|tier| TierPlan {
                    factor_milli: tier.factor_milli,
                    long: at(tier.long_secs),
                    short: at(tier.short_secs),
                })
                .collect(),
            hour: at(3_600),
            period: at(slo.period_secs),
            longest: windows.last().map_or(0, |(secs, _)| *secs),
            windows,
        }
    }
}

fn window_of(secs: u64) -> u64 {
    secs.clamp(1, WINDOW_SECS_MAX)
}

/// Every window of an SLO, ascending.
fn windows_of(slo: &Slo) -> Vec<u64> {
    let tiers = slo
        .tiers
        .iter()
        .flat_map(|tier| [tier.long_secs, tier.short_secs]);
    let mut windows: Vec<u64> = tiers
        .chain([slo.period_secs])
        .map(window_of)
        .chain(SHOWN_WINDOWS)
        .collect();
    windows.sort_unstable();
    windows.dedup();
    windows
}
