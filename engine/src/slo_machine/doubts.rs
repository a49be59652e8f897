//! Events whose side is not known, over the period: the measurement error of an SLO from histograms.
//!
//! They are counted as bad; how many of them there are is shown beside the budget. Most SLOs have none and pay nothing.

use crate::delta::DoubtDelta;
use crate::ring::{Ring, Tally};
use serde::{Deserialize, Serialize};

/// The count; its ring has the period as its only window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Doubts(Option<Box<Ring>>);

impl Doubts {
    /// Counts `deltas` at logical second `now`; one that is ahead of time counts now.
    pub(super) fn count(&mut self, now: u64, period_secs: u64, deltas: &[DoubtDelta]) {
        let ring = self
            .0
            .get_or_insert_with(|| Box::new(Ring::new(&[period_secs], now)));
        ring.advance(now);
        for delta in deltas {
            let change = Tally {
                good: 0,
                bad: delta.events,
            };
            ring.add(delta.second.min(now), change);
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: u64) {
        if let Some(ring) = &mut self.0 {
            ring.advance(now);
        }
    }

    /// The period changed.
    pub(super) fn reshape(&mut self, period_secs: u64) {
        if let Some(ring) = &mut self.0 {
            **ring = ring.reshape(&[period_secs]);
        }
    }

    /// Events of the period whose side is not known.
    pub(super) fn in_doubt(&self) -> u64 {
        self.0.as_ref().map_or(0, |ring| {
            ring.sum(crate::ring::WindowAt::default()).counts().bad
        })
    }
}
