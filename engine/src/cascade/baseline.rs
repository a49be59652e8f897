//! The bound a key is judged by: an upper confidence bound of its healthy mean, learned from it.
//!
//! A detector that is given the estimated mean instead raises hundreds of times the false alarms it promises (statistics
//! notes (e)). The bound is `max {p : n KL(k/n, p) <= ln 1/delta}`: by Chernoff it lies above the Clopper-Pearson bound, and
//! it holds for means of any variable in 0..=1. `n` is divided by the dispersion that blocks showed, since observations
//! of one block share a cause, and the bound is multiplied by [`DRIFT_MARGIN`]. *Proven*: with the dispersion known and the
//! mean not above the margin. *Measured only*: with the dispersion estimated, as here, and under drift (the simulated weeks
//! of `tests/healthy.rs`).

use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};

/// Probability that a bound lies below the mean it was learned from: 1e-7 for up to 1,000 keys re-estimated a hundred
/// times within a week.
const LN_ONE_OVER_DELTA: f64 = 16.12;
/// How far a mean may drift above what was learned.
pub const DRIFT_MARGIN: f64 = 1.25;
/// What was seen waits at least so long before it is learned: a failure that builds up is not learned as health.
const QUARANTINE_NANOS: u64 = 60 * NANOS_PER_SEC;
/// From so many healthy observations on, a bound is learned rather than assumed.
const OBSERVATIONS_LEAST: f64 = 1_000.0;
/// Likewise blocks.
const BLOCKS_LEAST: f64 = 30.0;
/// From so many on a key is no longer LEARNING.
pub const OBSERVATIONS_ARMED: f64 = 10_000.0;
/// At so many blocks the past is halved: what is learned is at most some hours old.
const BLOCKS_MAX: f64 = 3_000.0;
/// Bounds are never below.
const BOUND_LEAST: f64 = 1e-4;

/// Observations, hits, and how blocks spread.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Seen {
    observations: f64,
    hits: f64,
    /// Sum of hits^2 / observations over blocks.
    spread: f64,
    blocks: f64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.observations += other.observations;
        self.hits += other.hits;
        self.spread += other.spread;
        self.blocks += other.blocks;
    }

    fn halve(&mut self) {
        for part in [
            &mut self.observations,
            &mut self.hits,
            &mut self.spread,
            &mut self.blocks,
        ] {
            *part /= 2.0;
        }
    }

    /// Variance of block shares over that of independent observations, at least 1.
    fn dispersion(&self) -> f64 {
        let mean = self.hits / self.observations;
        let binomial = mean * (1.0 - mean) * (self.blocks - 1.0);
        if binomial <= 0.0 {
            return 1.0;
        }
        let spread = self.spread - self.hits * self.hits / self.observations;
        let most = (self.observations / self.blocks).max(1.0);
        (spread / binomial).clamp(1.0, most)
    }
}

/// A learned mean and its bound.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Learned {
    past: Seen,
    /// Seen before the last turn: as old as the quarantine when it is learned.
    waiting: Seen,
    fresh: Seen,
    since: Timestamp,
    bound: Option<f64>,
}

impl Learned {
    /// One healthy block that ended at `now`. O(1); once a minute the bound is computed anew.
    pub fn learn(&mut self, now: Timestamp, observations: f64, hits: f64) {
        if observations <= 0.0 {
            return;
        }
        if self.fresh.blocks == 0.0 {
            self.since = now;
        } else if now.since(self.since) >= QUARANTINE_NANOS {
            self.settle(now);
        }
        self.fresh.add(&Seen {
            observations,
            hits,
            spread: hits * hits / observations,
            blocks: 1.0,
        });
    }

    fn settle(&mut self, now: Timestamp) {
        self.past.add(&self.waiting);
        self.waiting = std::mem::take(&mut self.fresh);
        self.since = now;
        if self.past.blocks > BLOCKS_MAX {
            self.past.halve();
        }
        let is_enough =
            self.past.observations >= OBSERVATIONS_LEAST && self.past.blocks >= BLOCKS_LEAST;
        self.bound = is_enough.then(|| {
            let mean = self.past.hits / self.past.observations;
            let effective = self.past.observations / self.past.dispersion();
            let bound = upper_bound(mean, LN_ONE_OVER_DELTA / effective) * DRIFT_MARGIN;
            bound.clamp(BOUND_LEAST, 1.0)
        });
    }

    /// What was seen lately is not learned: something is wrong.
    pub fn forget_fresh(&mut self) {
        self.fresh = Seen::default();
        self.waiting = Seen::default();
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The bound, where enough was seen to have one.
    pub const fn bound(&self) -> Option<f64> {
        self.bound
    }

    /// Whether it rests on too little to halt anything.
    pub fn is_learning(&self) -> bool {
        self.bound.is_none() || self.past.observations < OBSERVATIONS_ARMED
    }
}

/// The largest `p` with `KL(mean, p) <= budget`, by bisection: 40 halvings, from above.
pub fn upper_bound(mean: f64, budget: f64) -> f64 {
    let mean = mean.clamp(0.0, 1.0);
    let (mut low, mut high) = (mean, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if divergence(mean, middle) > budget {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Kullback-Leibler divergence of two Bernoulli means, nats.
fn divergence(mean: f64, other: f64) -> f64 {
    let part = |of: f64, to: f64| {
        if of <= 0.0 {
            0.0
        } else if to <= 0.0 {
            f64::INFINITY
        } else {
            of * libm::log(of / to)
        }
    };
    part(mean, other) + part(1.0 - mean, 1.0 - other)
}

#[cfg(test)]
mod tests;
