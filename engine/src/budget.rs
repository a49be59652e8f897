//! The error budget: how many bad events a target allows, and how many were used. Integers decide.
//!
//! With `N` events, `x` of them bad, and a target `T`, the budget is `N (1 - T)` bad events. `T` is held in parts per
//! billion, so every comparison is between integers (`i128`, exact below 2^63 events); ratios are for showing.
//! Method: OpenSLO "Occurrences". Source: slo.md 3, Google SRE Workbook ch. 5.

#[cfg(test)]
mod tests;

use crate::slo::{RATIO_ONE, Ratio};
use crate::snapshot::Counts;

/// The budget of one SLO over its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Events over the period.
    pub counts: Counts,
    /// Target ratio of good events.
    pub target: Ratio,
}

impl Budget {
    /// Allowed bad events times [`RATIO_ONE`].
    fn allowed_scaled(self) -> i128 {
        i128::from(self.counts.total()) * i128::from(self.target.complement().parts_per_billion)
    }

    /// Used bad events times [`RATIO_ONE`].
    fn used_scaled(self) -> i128 {
        i128::from(self.counts.bad) * i128::from(RATIO_ONE)
    }

    /// Whether more was used than allowed: exactly `bad > total * (1 - target)`.
    pub fn is_overspent(self) -> bool {
        self.used_scaled() > self.allowed_scaled()
    }

    /// Whether nothing is left: exactly `bad >= total * (1 - target)` with at least one bad event.
    pub fn is_exhausted(self) -> bool {
        self.counts.bad > 0 && self.used_scaled() >= self.allowed_scaled()
    }

    /// Bad events still allowed at the events seen so far, rounded toward negative infinity; negative when overspent.
    pub fn bad_allowed(self) -> i64 {
        let left = (self.allowed_scaled() - self.used_scaled()).div_euclid(i128::from(RATIO_ONE));
        left.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// `1 - bad / (total * (1 - target))`: signed, never clamped; 1.0 is untouched, 0.0 spent, -1.0 spent twice.
    /// `None` without events, and when the target allows no bad event at all but there is one.
    pub fn remaining(self) -> Option<f64> {
        let allowed = self.allowed_scaled();
        if self.counts.total() == 0 {
            None
        } else if self.counts.bad == 0 {
            Some(1.0)
        } else {
            // One division of exact integers: no rounding error adds up.
            (allowed > 0).then(|| (allowed - self.used_scaled()) as f64 / allowed as f64)
        }
    }

    /// Share of the whole budget that `bad` events are: the true, traffic-weighted cost of a window.
    /// `None` when there is no budget to share.
    pub fn share(self, bad: u64) -> Option<f64> {
        let allowed = self.allowed_scaled();
        (allowed > 0).then(|| (i128::from(bad) * i128::from(RATIO_ONE)) as f64 / allowed as f64)
    }

    /// Seconds until the rest is gone at `burn` (1.0 spends it in exactly `period_secs`): `remaining * period / burn`.
    /// 0 when it is spent, `None` when it does not burn or there are no events. Source: slo.md 3.
    pub fn exhausted_in_secs(self, burn: Option<f64>, period_secs: u64) -> Option<u64> {
        let burn = burn.filter(|burn| *burn > 0.0)?;
        let remaining = self.remaining()?;
        Some((remaining.max(0.0) * period_secs as f64 / burn) as u64)
    }
}
