//! What a point says as one SLO needs it: how many events, and between which bounds how many of them are up to the
//! SLO's threshold.
//!
//! Values are integers of a millionth of an event: counters may be floats, and sums of floats drift. A cumulative value
//! is converted once and integers are subtracted; whole events are the difference of the rounded-down values, so that
//! no fraction is ever lost or counted twice.

use super::exponential::{Threshold, rungs};
use crate::metric::{ExponentialHistogram, Histogram, Number};
use std::sync::Arc;

/// One event, in the units of [`Reading::micro`].
pub const MICRO: i128 = 1_000_000;

/// A change in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// All events.
    pub events: i64,
    /// Those surely up to the threshold; all of them when there is none.
    pub low: i64,
    /// Those that may be.
    pub high: i64,
}

impl Count {
    /// Events of which all are up to the threshold, or of which none was asked for.
    pub fn undivided(events: i128) -> Self {
        let events = clamp(events);
        Self {
            events,
            low: events,
            high: events,
        }
    }

    /// The difference, saturating.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_sub(other.events),
            low: self.low.saturating_sub(other.low),
            high: self.high.saturating_sub(other.high),
        }
    }
}

fn clamp(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Events up to the threshold: surely, and at most.
pub type Bounds = (u64, u64);

/// How many of the events are up to the threshold.
#[derive(Debug, Clone, PartialEq)]
enum Share {
    /// There is no threshold.
    All,
    /// By explicit buckets with these bounds.
    Classic { bounds: Arc<[f64]>, below: Bounds },
    /// By exponential buckets: at `scale`, and at each coarser one.
    Exponential {
        scale: i32,
        /// Width of the zero bucket when the threshold lies in it: then it decides, and a change of it is no difference.
        zero: Option<f64>,
        rungs: Box<[Bounds]>,
    },
}

/// What a point says; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// All events, in millionths.
    pub micro: i128,
    share: Share,
}

impl Reading {
    /// Of a counter's value; `None` when it has none.
    pub fn of_number(number: Number) -> Option<Self> {
        let micro = match number {
            Number::None => return None,
            Number::Int(int) => i128::from(int) * MICRO,
            Number::Double(double) => micros(double),
        };
        Some(Self {
            micro,
            share: Share::All,
        })
    }

    /// Of a classic histogram's buckets. Bounds are inclusive and compared with the threshold as doubles.
    pub fn of_histogram(histogram: &Histogram, threshold: Option<f64>) -> Self {
        let share = threshold.map_or(Share::All, |threshold| {
            let bounds = &histogram.bounds;
            // Buckets whose upper bound is at most the threshold, and the one that holds it beyond them.
            let whole = bounds.partition_point(|bound| *bound <= threshold);
            let is_edge = whole > 0 && bounds[whole - 1] == threshold;
            let sum = |buckets: usize| {
                let counts = histogram.counts.iter().take(buckets);
                counts.fold(0u64, |sum, count| sum.saturating_add(*count))
            };
            let low = sum(whole);
            let high = match (histogram.counts.is_empty(), is_edge) {
                (true, _) => histogram.count,
                (false, true) => low,
                (false, false) => sum(whole + 1),
            };
            Share::Classic {
                bounds: Arc::clone(bounds),
                below: (low, high),
            }
        });
        Self {
            micro: i128::from(histogram.count) * MICRO,
            share,
        }
    }

    /// Of an exponential histogram's buckets.
    pub fn of_exponential(histogram: &ExponentialHistogram, threshold: Option<f64>) -> Self {
        let share = threshold.map_or(Share::All, |threshold| {
            let is_in_zero = threshold < histogram.zero_threshold;
            Share::Exponential {
                scale: histogram.scale,
                zero: is_in_zero.then_some(histogram.zero_threshold),
                rungs: rungs(histogram, Threshold::new(threshold)),
            }
        });
        Self {
            micro: i128::from(histogram.count) * MICRO,
            share,
        }
    }

    /// Whether no threshold divides it.
    pub fn is_undivided(&self) -> bool {
        self.share == Share::All
    }

    /// Which of two readings that claim the same time stays: an order that does not depend on which came first.
    pub fn is_more_than(&self, other: &Self) -> bool {
        let rank = |reading: &Self| (reading.micro, reading.below());
        rank(self) > rank(other)
    }

    fn below(&self) -> Bounds {
        match &self.share {
            Share::All => (0, 0),
            Share::Classic { below, .. } => *below,
            Share::Exponential { rungs, .. } => rungs.first().copied().unwrap_or_default(),
        }
    }

    /// The events since zero.
    pub fn whole(&self) -> Count {
        let events = self.micro.max(0).div_euclid(MICRO);
        match &self.share {
            Share::All => Count::undivided(events),
            Share::Classic { .. } | Share::Exponential { .. } => {
                let (low, high) = self.below();
                counted(events, i128::from(low), i128::from(high))
            }
        }
    }

    /// The events since `earlier`, of the same run; `None` when it fell: the run began again.
    ///
    /// Histograms that have no buckets in common (bounds were changed) give the widest bounds that both allow.
    pub fn since(&self, earlier: &Self) -> Option<Count> {
        if self.micro < earlier.micro {
            return None;
        }
        let events = self.micro.div_euclid(MICRO) - earlier.micro.div_euclid(MICRO);
        let (now, then) = match (&self.share, &earlier.share) {
            (Share::All, Share::All) => return Some(Count::undivided(events)),
            (
                Share::Classic { bounds, below },
                Share::Classic {
                    bounds: old,
                    below: then,
                },
            ) if bounds == old => (*below, *then),
            (
                Share::Exponential { scale, zero, rungs },
                Share::Exponential {
                    scale: old_scale,
                    zero: old_zero,
                    rungs: old,
                },
            ) if zero == old_zero => {
                let common = (*scale).min(*old_scale);
                (rung(*scale, rungs, common), rung(*old_scale, old, common))
            }
            _ => {
                let ((low, high), (low_then, high_then)) = (self.below(), earlier.below());
                let least = i128::from(low) - i128::from(high_then);
                let most = i128::from(high) - i128::from(low_then);
                return Some(counted(events, least.max(0), most.min(events)));
            }
        };
        let low = now.0.checked_sub(then.0)?;
        let between = (now.1 - now.0).checked_sub(then.1 - then.0)?;
        let high = i128::from(low) + i128::from(between);
        (high <= events).then(|| counted(events, i128::from(low), high))
    }
}

/// The bounds at a coarser scale; the coarsest one kept stands for those beyond.
fn rung(scale: i32, rungs: &[Bounds], at: i32) -> Bounds {
    let steps = usize::try_from(i64::from(scale) - i64::from(at)).unwrap_or(0);
    rungs
        .get(steps.min(rungs.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// A count within which both bounds lie, whatever a sender's buckets add up to.
fn counted(events: i128, low: i128, high: i128) -> Count {
    let low = low.clamp(0, events);
    Count {
        events: clamp(events),
        low: clamp(low),
        high: clamp(high.clamp(low, events)),
    }
}

/// Millionths of `value`, to the nearest; whole numbers are exact.
fn micros(value: f64) -> i128 {
    let whole = value.trunc();
    let fraction = libm::rint((value - whole) * 1e6) as i128;
    (whole as i128)
        .saturating_mul(MICRO)
        .saturating_add(fraction)
}
