//! The e-detector of one series, by the clock: `M <- e (M + pi dt)`, alarm at `M >= T`.
//!
//! Source: Shin, Ramdas, Rinaldo, arXiv 2203.03532, in the form of the statistics notes (e). `pi` is the share of this
//! process in the whole system's allowance, `dt` the time since it was fed last, `T` the wanted time between false alarms of
//! the system. *Proven*: if every block's mean, given what came before, is at most the null, the expected number of false
//! alarms of all series together up to time t is at most t/T, for any dependence between series, while keys come and go
//! (`M + T N - sum pi dt` is a supermartingale). Time to the *first* false alarm is at least T/2 in the mean.
//!
//! One bounded observation a *block* is bet on, not one a request, and odd and even blocks are two processes: neighboring
//! blocks may depend on each other. *Measured only*: what longer dependence does.

use crate::stats::PerPoint;
use crate::stats::logfix::{LogE, sum};
use crate::stats::share;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};

/// Alternatives, as multiples of the null's odds.
const ALTERNATIVES: [f64; 4] = [2.5, 8.0, 40.0, 400.0];
/// Time that a process is given at most at once: after a pause it does not start with a heap of mass.
const DT_MAX_NANOS: u64 = 60 * NANOS_PER_SEC;

/// One of the two processes of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Half {
    components: PerPoint<LogE>,
    fed: Timestamp,
}

impl Default for Half {
    fn default() -> Self {
        Self {
            components: PerPoint::from_elem(LogE::NONE, ALTERNATIVES.len()),
            fed: Timestamp::EPOCH,
        }
    }
}

impl Half {
    fn fold(&mut self, now: Timestamp, rate: f64, log_e: &[LogE]) {
        let dt = if self.fed == Timestamp::EPOCH {
            NANOS_PER_SEC
        } else {
            now.since(self.fed).min(DT_MAX_NANOS)
        };
        self.fed = now;
        let each = rate / self.components.len() as f64;
        let mass = LogE::of(each * dt as f64 / NANOS_PER_SEC as f64);
        for (component, e) in self.components.iter_mut().zip(log_e) {
            *component = component.plus(mass).times(*e);
        }
    }

    fn total(&self) -> LogE {
        sum(self.components.iter().copied())
    }
}

/// The detector of one series.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Detector {
    halves: [Half; 2],
    is_odd: bool,
}

impl Detector {
    /// Folds a block's share of hits, 0..=1, against the null "its mean is at most `null`". `rate` is pi, 0..=1.
    pub fn fold(&mut self, now: Timestamp, share: f64, null: f64, rate: f64) {
        if !(null > 0.0 && null < 0.5) {
            return;
        }
        let bets: PerPoint<LogE> = ALTERNATIVES
            .iter()
            .map(|odds| {
                let alternative = share::tilted(null, *odds);
                LogE::of(share::bet(share, null, alternative))
            })
            .collect();
        self.fold_bets(now, &bets, rate);
    }

    /// Folds bets made elsewhere, one an alternative of [`Self::alternatives`].
    pub fn fold_bets(&mut self, now: Timestamp, bets: &[LogE], rate: f64) {
        // Each half has half of the allowance.
        self.halves[usize::from(self.is_odd)].fold(now, rate / 2.0, bets);
        self.is_odd = !self.is_odd;
    }

    /// Multiples of the null's odds that are bet on.
    pub const fn alternatives() -> &'static [f64] {
        &ALTERNATIVES
    }

    /// `ln M` (M in seconds) of the half that says more.
    pub fn evidence(&self) -> LogE {
        self.halves[0].total().max(self.halves[1].total())
    }

    /// Begins anew, as after an alarm.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
