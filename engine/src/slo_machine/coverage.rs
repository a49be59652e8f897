//! Whether a window is complete: everything that will be in it has arrived, and nothing of it was lost.
//!
//! An incomplete window may fire an alert and never resolve one (DESIGN 5).

use crate::identity::ServiceId;
use crate::input::Gap;
use crate::items::Signal;
use crate::ring::window_start;
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;

/// How much of a window's end may be missing, s: a live instance may have been silent for 60 s (then it no longer counts
/// as live), and its batch may be on its way. More than a quarter of the window is never accepted, except that the
/// exporters' own batch delay always is.
const TAIL_SECS_MAX: u64 = 75;
const TAIL_SECS_MIN: u64 = 10;

/// Metric points come every 60 s at best, so that much of any window's end may be missing; of longer windows what an
/// instance that missed one export may hold back.
const METRICS_TAIL_SECS_MIN: u64 = 75;
const METRICS_TAIL_SECS_MAX: u64 = 165;

/// What is known about the completeness of counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coverage<'a> {
    /// Logical time.
    pub(super) now: Timestamp,
    /// Event time up to which the live resources of each service have reported each signal; absent when there are none.
    pub(super) watermarks: &'a BTreeMap<(ServiceId, Signal), Timestamp>,
    /// Times for which counts were lost.
    pub(super) gaps: &'a [Gap],
}

impl Coverage<'_> {
    /// Whether the window of `window_secs` that ends now is complete for `signal` of `service`.
    pub(super) fn is_complete(
        &self,
        (service, signal): (ServiceId, Signal),
        window_secs: u64,
    ) -> bool {
        let Some(&watermark) = self.watermarks.get(&(service, signal)) else {
            return false;
        };
        let (least, most) = match signal {
            Signal::Metrics => (METRICS_TAIL_SECS_MIN, METRICS_TAIL_SECS_MAX),
            Signal::Traces | Signal::Logs => (TAIL_SECS_MIN, TAIL_SECS_MAX),
        };
        let tail = (window_secs / 4).clamp(least, most);
        let start = Timestamp::from_secs(window_start(self.now.secs(), window_secs));
        let is_whole = |gap: &Gap| gap.to <= start || gap.from > self.now;
        self.now.since(watermark) <= tail * NANOS_PER_SEC && self.gaps.iter().all(is_whole)
    }
}
