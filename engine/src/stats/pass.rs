//! The passing side: evidence *for* a candidate, against "at least `w1` times worse" and "burns the budget".
//!
//! A halt is about ever having been bad, a pass about being good now. So passing processes are judged by their
//! current value, never its supremum, and start again at every weight step: evidence from 1 % of the traffic says
//! nothing about 50 %. Beta is split over the steps, step `j` (from 1) getting `beta / (j (j + 1))`, which sums to beta for
//! any number of steps.

use super::PerPoint;
use super::change_point::mean;
use super::logfix::LogE;
use serde::{Deserialize, Serialize};

/// Odds ratios a good candidate may have; those below `w1 / 1.15` are used.
const RATIOS: [f64; 10] = [0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.45, 1.75, 2.1, 2.6];
const CLEARANCE: f64 = 1.15;

/// Alternatives to "odds ratio >= w1", ascending, never empty.
pub fn ratios_below(w1: f64) -> PerPoint<f64> {
    let mut ratios: PerPoint<f64> = RATIOS
        .iter()
        .copied()
        .filter(|ratio| ratio * CLEARANCE <= w1)
        .collect();
    if ratios.is_empty() {
        ratios.push(w1 / 2.0);
    }
    ratios
}

/// The level of weight step `steps` (0 before the first), out of `share`.
pub fn level(share: f64, steps: u32) -> LogE {
    let step = f64::from(steps) + 1.0;
    LogE::threshold(share / (step * (step + 1.0)))
}

/// A plain mixture over a grid, judged by its current value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mixture {
    components: PerPoint<LogE>,
}

impl Mixture {
    /// With `points` alternatives (at least one).
    pub fn new(points: usize) -> Self {
        Self {
            components: PerPoint::from_elem(LogE::ZERO, points.max(1)),
        }
    }

    /// Folds one stratum.
    pub fn fold(&mut self, log_e: &[LogE]) {
        debug_assert_eq!(log_e.len(), self.components.len());
        for (component, e) in self.components.iter_mut().zip(log_e) {
            *component = component.times(*e);
        }
    }

    /// Starts again at no evidence.
    pub fn reset(&mut self) {
        self.components.fill(LogE::ZERO);
    }

    /// `ln E` now.
    pub fn current(&self) -> LogE {
        mean(&self.components)
    }
}
