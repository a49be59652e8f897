//! How much more evidence a Wait needs, in requests of the candidate: an estimate to show, never to decide on.
//!
//! Each process gains some nats a request at the rates seen so far; what is missing divided by that is the need. A
//! rate that would never pass (or no data at all) is answered as if the candidate behaved like the baseline and the
//! service like its target, so that there is always a number as long as traffic could settle it.

use super::absolute;
use super::exact;
use super::latency::Claim;
use super::pass;
use super::rollout::{ALPHA_ABSOLUTE, ALPHA_ERRORS, Counts, RolloutTest};
use super::share::{bet, tilted};

/// Requests of the candidate still needed, at the rates seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forecast {
    /// Until a pass; 0 when it has passed.
    pub pass: u64,
    /// Until a halt if the candidate goes on failing as it does; `None` when it does not fail too much.
    pub halt: Option<u64>,
}

/// Gains below this (nats a request) are no progress.
const GAIN_MIN: f64 = 1e-12;
/// Nats a stratum the latency claim gains when nothing is known yet.
const LATENCY_GAIN: f64 = 0.12;
/// Strata in which the latency edge is chosen.
const CHOOSING_STRATA: f64 = 3.0;
/// Strata before a measured gain is believed.
const STRATA_MIN: u64 = 5;

impl RolloutTest {
    /// What a Wait still needs.
    pub fn need(&self) -> Forecast {
        Forecast {
            pass: requests(self.until_pass()),
            halt: self.until_halt().map(requests),
        }
    }

    fn until_pass(&self) -> f64 {
        let seen = Seen::of(if self.epoch.strata > 0 {
            &self.epoch
        } else {
            &self.total
        });
        let relative = self.relative_left().and_then(|left| {
            let gain = seen.relative_gain(self.policy.w1?)?;
            Some(left.max(0.0) / gain)
        });
        let absolute = self.absolute_left().max(0.0) / seen.absolute_gain(self.policy.budget_rate);
        let errors = relative.map_or(absolute, |relative| relative.min(absolute));
        errors.max(self.until_latency(&seen))
    }

    fn until_latency(&self, seen: &Seen) -> f64 {
        let Some(left) = self.latency_left() else {
            return 0.0;
        };
        if self.total.strata == 0 {
            // Nobody knows yet whether there are durations at all.
            return 0.0;
        }
        let strata = self.latency_pass.strata_tested();
        let measured = self.latency_pass.current().nats() / strata.max(1) as f64;
        let gain = if strata >= STRATA_MIN && measured > 0.01 {
            measured
        } else {
            LATENCY_GAIN
        };
        let choosing = if self.latency_pass.claim() == Claim::Choosing {
            CHOOSING_STRATA
        } else {
            0.0
        };
        (left.max(0.0) / gain + choosing) * seen.candidate_per_stratum
    }

    fn until_halt(&self) -> Option<f64> {
        let seen = Seen::of(&self.total);
        [
            self.until_halt_errors(&seen),
            self.until_halt_absolute(&seen),
        ]
        .into_iter()
        .flatten()
        .min_by(f64::total_cmp)
    }

    fn until_halt_errors(&self, seen: &Seen) -> Option<f64> {
        let w0 = self.policy.w0;
        if !seen.has_baseline || seen.ratio <= w0 {
            return None;
        }
        let target = self.threshold(ALPHA_ERRORS).nats();
        let left = |log_e: f64| (target - log_e).max(0.0);
        let grid = exact::GRID.map(|multiple| multiple * w0);
        let per_failure = seen.growth(seen.ratio, w0, &grid);
        let strata_share = left(self.errors_share.supremum().nats())
            / (per_failure * seen.failed_per_stratum.min(1.0));
        let harm = absolute_growth(seen.rate, self.policy.budget_rate);
        let parts = [
            left(self.errors_exact.supremum().nats()) / (per_failure * seen.failures_per_request),
            strata_share * seen.candidate_per_stratum,
            left(self.harm_floor.supremum().nats()) / harm * seen.candidate_per_stratum,
        ];
        (per_failure > GAIN_MIN && harm > GAIN_MIN).then(|| parts.into_iter().fold(0.0, f64::max))
    }

    fn until_halt_absolute(&self, seen: &Seen) -> Option<f64> {
        let gain = absolute_growth(seen.rate, absolute::halting_rate(self.policy.budget_rate));
        let left = self.threshold(ALPHA_ABSOLUTE).nats() - self.burn.alone().current().nats();
        (gain > GAIN_MIN && seen.is_real).then(|| left.max(0.0) / gain * seen.candidate_per_stratum)
    }
}

/// Rates seen so far; those that are divided by are shrunk by half a failure.
struct Seen {
    is_real: bool,
    has_baseline: bool,
    /// Candidate's share of units.
    theta: f64,
    /// Candidate's failure rate, baseline's odds ratio to it.
    rate: f64,
    ratio: f64,
    /// Failures of both arms per candidate request.
    failures_per_request: f64,
    candidate_per_stratum: f64,
    failed_per_stratum: f64,
}

impl Seen {
    fn of(counts: &Counts) -> Self {
        let (c, b) = (counts.candidate, counts.baseline);
        let odds =
            |failed: u64, units: u64| (failed as f64 + 0.5) / ((units - failed) as f64 + 0.5);
        let units = (c.units + b.units).max(1) as f64;
        let candidate = c.units.max(1) as f64;
        let strata = counts.candidate_strata.max(1) as f64;
        let failed = (c.failed + b.failed) as f64;
        Self {
            is_real: c.units > 0,
            has_baseline: b.units > 0,
            theta: (candidate / units).min(1.0 - 1.0 / (units + 1.0)),
            rate: c.failed as f64 / candidate,
            ratio: odds(c.failed, c.units) / odds(b.failed, b.units),
            failures_per_request: (failed + 0.5) / candidate,
            candidate_per_stratum: candidate / strata,
            failed_per_stratum: (failed + 0.5) / strata,
        }
    }

    /// Expected nats per failure of the best of `grid` against `null` when the true ratio is `ratio`.
    fn growth(&self, ratio: f64, null: f64, grid: &[f64]) -> f64 {
        let share = tilted(self.theta, ratio);
        let (one, zero) = (tilted(self.theta, null), |w: f64| tilted(self.theta, w));
        grid.iter()
            .map(|w| growth(share, one, zero(*w)))
            .fold(0.0, f64::max)
    }

    /// Nats a candidate request earns for "ratio < w1".
    fn relative_gain(&self, w1: f64) -> Option<f64> {
        let grid = pass::ratios_below(w1);
        let seen = self.growth(self.ratio.max(0.4), w1, &grid);
        let alike = self.growth(1.0, w1, &grid);
        let gain = if self.ratio < w1 && seen > alike / 10.0 {
            seen
        } else {
            alike
        };
        (self.has_baseline && gain > GAIN_MIN).then_some(gain * self.failures_per_request)
    }

    /// Nats a candidate request earns for "rate < budget".
    fn absolute_gain(&self, budget: f64) -> f64 {
        let gain = |rate: f64| {
            absolute::PARTS
                .iter()
                .map(|part| growth(rate, budget, part * budget))
                .fold(0.0, f64::max)
        };
        let (seen, healthy) = (gain(self.rate.min(budget)), gain(budget / 10.0));
        // When it would never pass: as if it were healthy from now on.
        if seen > healthy / 10.0 { seen } else { healthy }.max(GAIN_MIN)
    }
}

/// Expected nats of the two-point bet when the mean is `mean`.
fn growth(mean: f64, null: f64, alternative: f64) -> f64 {
    mean * libm::log(bet(1.0, null, alternative))
        + (1.0 - mean) * libm::log(bet(0.0, null, alternative))
}

/// Expected nats a stratum earns for "rate > p0".
fn absolute_growth(rate: f64, p0: f64) -> f64 {
    absolute::rates_above(p0)
        .iter()
        .map(|p1| libm::log(bet(rate, p0, *p1)))
        .fold(0.0, f64::max)
}

fn requests(value: f64) -> u64 {
    libm::ceil(value.max(0.0)) as u64
}
