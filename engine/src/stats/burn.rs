//! Does the candidate burn the budget *by itself*? Absolute evidence with the baseline as a witness.
//!
//! An absolute test alone halts innocent candidates in every shared outage: their failure rate is what it accuses. So
//! the process that can halt bets only on strata about which the baseline can testify that *it* did not burn. Leaving
//! strata out by the baseline's outcome is fair: given the moment, the arms fail independently of each other. The
//! baseline burns when its newest stratum or its newest ten units fail more often than the halting rate, or when its own
//! absolute e-process says so: the first two see an outage at once, the third remembers a noisy one. Strata of the
//! candidate alone wait for the next stratum with a baseline, unless there is no baseline any more.

use super::absolute;
use super::change_point::{ChangePoint, Schedule};
use super::exact::Table;
use super::logfix::LogE;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A baseline whose own absolute e-value is this large is no witness that the candidate burns alone.
const SUSPICION: f64 = 4.0;
/// Newest baseline units that are looked at.
const WITNESSES: u64 = 10;
/// Strata of the candidate alone that wait for a witness; after as many the baseline is taken to be gone.
const WAITING_MAX: usize = 60;

/// Absolute processes of both arms against the halting rate of a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Burn {
    rate: f64,
    /// The candidate in strata where the baseline does not burn: this one can halt.
    alone: ChangePoint,
    /// The candidate in all strata: tells "both burn" from "nothing burns".
    candidate: ChangePoint,
    baseline: ChangePoint,
    /// (units, failed) of the newest strata with a baseline, newest first.
    witnesses: SmallVec<[(u64, u64); WITNESSES as usize]>,
    /// (units, failed) of the candidate's strata since then.
    waiting: SmallVec<[(u64, u64); 4]>,
    is_latched: bool,
}

impl Burn {
    /// Against [`absolute::halting_rate`] of `budget_rate`.
    pub fn new(budget_rate: f64) -> Self {
        let rate = absolute::halting_rate(budget_rate);
        let process = ChangePoint::new(absolute::rates_above(rate).len());
        Self {
            rate,
            alone: process.clone(),
            candidate: process.clone(),
            baseline: process,
            witnesses: SmallVec::new(),
            waiting: SmallVec::new(),
            is_latched: false,
        }
    }

    /// Folds one stratum and latches when the candidate burns alone, at `threshold`.
    pub fn fold(&mut self, schedule: &Schedule, table: &Table, threshold: LogE) {
        let rates = absolute::rates_above(self.rate);
        let evidence = |units, failed| absolute::evidence(self.rate, &rates, units, failed);
        let candidate = evidence(table.candidate, table.candidate_failed);
        let baseline = evidence(table.baseline, table.baseline_failed);
        self.candidate.fold(schedule, &candidate);
        self.baseline.fold(schedule, &baseline);
        if table.candidate > 0 {
            self.waiting.push((table.candidate, table.candidate_failed));
        }
        if table.baseline > 0 {
            self.witnesses.truncate(WITNESSES as usize - 1);
            self.witnesses
                .insert(0, (table.baseline, table.baseline_failed));
        }
        let is_gone = self.witnesses.is_empty() || self.waiting.len() >= WAITING_MAX;
        if table.baseline > 0 || is_gone {
            self.hear(schedule, &rates, threshold);
        }
    }

    /// The waiting strata count, unless the baseline burns.
    fn hear(&mut self, schedule: &Schedule, rates: &[f64], threshold: LogE) {
        let waiting = std::mem::take(&mut self.waiting);
        if self.is_baseline_burning() {
            return;
        }
        for (units, failed) in waiting {
            self.alone.fold(
                schedule,
                &absolute::evidence(self.rate, rates, units, failed),
            );
        }
        // By the current value: what was earned before an outage is no evidence during it.
        self.is_latched |= self.alone.current() >= threshold;
    }

    /// The traffic split changed: the witness is heard anew (there may be none any more).
    pub fn weight_step(&mut self) {
        self.witnesses.clear();
        self.baseline = ChangePoint::new(absolute::rates_above(self.rate).len());
    }

    /// Whether the candidate was found burning while the baseline did not.
    pub fn is_candidate_alone(&self) -> bool {
        self.is_latched
    }

    /// Whether both arms burn now.
    pub fn do_both(&self, threshold: LogE) -> bool {
        self.candidate.current() >= threshold && self.is_baseline_burning()
    }

    fn is_baseline_burning(&self) -> bool {
        let burns = |units: u64, failed: u64| failed as f64 > self.rate * units as f64;
        let (mut units, mut failed) = (0, 0);
        for stratum in &self.witnesses {
            if units >= WITNESSES {
                break;
            }
            units += stratum.0;
            failed += stratum.1;
        }
        let newest = self
            .witnesses
            .first()
            .is_some_and(|newest| burns(newest.0, newest.1));
        newest || burns(units, failed) || self.baseline.current() >= Self::suspicion()
    }

    /// The candidate's process that can halt.
    pub fn alone(&self) -> &ChangePoint {
        &self.alone
    }

    /// `ln E` of the baseline now.
    pub fn baseline(&self) -> LogE {
        self.baseline.current()
    }

    /// What [`Burn::baseline`] is compared with.
    pub fn suspicion() -> LogE {
        LogE::of(SUSPICION)
    }
}
