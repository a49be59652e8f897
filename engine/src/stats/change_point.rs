//! The change-point mixture: evidence that does not pay for a healthy past.
//!
//! A plain mixture multiplies over all strata, so every healthy hour has to be outweighed before a late fault (a leak,
//! a load limit) can halt: 202 s instead of 26 s after half an hour. Here half of the wealth is bet at once and the rest
//! is put in stratum by stratum: per component `A_t = e_t (A_{t-1} + pi_t)`, `A_0 = 1/2`, the `pi_t` fixed in advance
//! with `sum pi_t <= 1/2`, and `E_t = mean_g A_t + (1/2 - sum_{s<=t} pi_s)`. `E_t` starts at 1 and is a supermartingale
//! when each `e_t` has conditional expectation at most 1. Source: statistics notes (a), late onset debt.
//!
//! A stratum that says nothing (`e_t = 1`) is free: `A_{t-1} + pi_t` is a sum, so its mass is added with the next one.

use super::PerPoint;
use super::logfix::{LogE, sum};
use serde::{Deserialize, Serialize};

/// Wealth 1 in units of mass.
const ONE: u64 = 1 << 62;
/// All that is ever put in later: half.
const POOL: u64 = ONE / 2;
/// Of the pool: three quarters evenly over the planned horizon, an eighth at weight steps, an eighth for ever after.
const EVEN: u64 = POOL / 4 * 3;
const AT_STEPS: u64 = POOL / 8;
const AFTERWARDS: u64 = POOL / 8;

/// The `pi_t`, shared by all processes of a rollout. Integers, so their sum is exact and at most one half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    horizon: u64,
    strata: u64,
    at_steps_left: u64,
    spent: u64,
}

impl Schedule {
    /// Evenly over `horizon_strata` (at least 1), then thinning out as `1/t^2` for ever.
    pub fn new(horizon_strata: u64) -> Self {
        Self {
            horizon: horizon_strata.max(1),
            strata: 0,
            at_steps_left: AT_STEPS,
            spent: 0,
        }
    }

    /// Before a stratum is folded: puts in its share.
    pub fn advance(&mut self) {
        self.strata += 1;
        let (t, horizon) = (u128::from(self.strata), u128::from(self.horizon));
        self.spent += if t <= horizon {
            EVEN / self.horizon
        } else {
            // Telescopes: sum over t > H of H / (t (t - 1)) = 1.
            (u128::from(AFTERWARDS) * horizon / (t * (t - 1))) as u64
        };
    }

    /// Mass put in so far, 0..=0.5: the probability that the change came by now, under the alternative it bets on.
    pub fn put_in(&self) -> f64 {
        self.spent as f64 / ONE as f64
    }

    /// At a weight step: a quarter of what is kept for steps goes in with the next stratum.
    pub fn weight_step(&mut self) {
        let extra = self.at_steps_left / 4;
        self.at_steps_left -= extra;
        self.spent += extra;
    }
}

/// One e-process over a grid of alternatives, and its supremum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePoint {
    components: PerPoint<LogE>,
    /// Mass of the schedule already inside the components.
    put_in: u64,
    current: LogE,
    supremum: LogE,
}

impl ChangePoint {
    /// With `points` alternatives (at least one).
    pub fn new(points: usize) -> Self {
        Self {
            components: PerPoint::from_elem(mass(ONE - POOL), points.max(1)),
            put_in: 0,
            current: LogE::ZERO,
            supremum: LogE::ZERO,
        }
    }

    /// Folds one stratum in which the alternatives earned `log_e`. `schedule` has advanced for it. O(points).
    pub fn fold(&mut self, schedule: &Schedule, log_e: &[LogE]) {
        debug_assert_eq!(log_e.len(), self.components.len());
        if log_e.iter().all(|e| *e == LogE::ZERO) {
            return;
        }
        let fresh = mass(schedule.spent - self.put_in);
        for (component, e) in self.components.iter_mut().zip(log_e) {
            *component = component.plus(fresh).times(*e);
        }
        self.put_in = schedule.spent;
        self.current = mean(&self.components).plus(mass(POOL - self.put_in));
        self.supremum = self.supremum.max(self.current);
    }

    /// `ln E_t` now.
    pub fn current(&self) -> LogE {
        self.current
    }

    /// The largest `ln E_t` so far, at least 0: what a halting process is judged by. Never averaged or multiplied.
    pub fn supremum(&self) -> LogE {
        self.supremum
    }
}

/// Mean of e-values, rounded down.
pub fn mean(parts: &[LogE]) -> LogE {
    sum(parts.iter().copied()).times(LogE::of(1.0 / parts.len() as f64))
}

fn mass(units: u64) -> LogE {
    // Division by a power of two is exact.
    LogE::of(units as f64 / ONE as f64)
}
