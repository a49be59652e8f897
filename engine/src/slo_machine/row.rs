//! The row of one SLO as readers see it. Integers first, ratios made from them once.

use super::slices::window_row;
use super::slot::Slot;
use crate::budget::Budget;
use crate::burn_rate::{Measure, burn, guard_allows};
use crate::snapshot::{SloRow, TierRow};
use crate::time::Timestamp;
use std::sync::Arc;

impl Slot {
    /// Builds the row at logical time `now`; slices are as they were settled. O(windows + tiers + slices).
    pub(super) fn build_row(&self, now: Timestamp) -> SloRow {
        let target = self.slo.target;
        let budget = self.budget();
        let hour = burn(self.ring.sum(self.plan.hour).counts(), target);
        let (first, last) = self.observed.unwrap_or_default();
        SloRow {
            slo: Arc::clone(&self.slo),
            period: budget.counts,
            budget_remaining: budget.remaining(),
            bad_allowed: budget.bad_allowed(),
            windows: self
                .plan
                .windows
                .iter()
                .map(|(secs, at)| window_row(*secs, self.ring.sum(*at).counts(), target))
                .collect(),
            tiers: self.tier_rows(budget, now),
            alert: self.alert.shown().cloned(),
            exhausted_in_secs: budget.exhausted_in_secs(hour, self.slo.period_secs),
            observed_since: Timestamp::from_secs(first),
            last_event: Timestamp::from_secs(last),
            is_stale: self.is_stale(now.secs()),
            in_doubt: self.doubts.in_doubt(),
            mismatch: self.mismatch,
            slices: self.slices.rows(target),
            history: Arc::clone(&self.history),
        }
    }

    fn tier_rows(&self, budget: Budget, now: Timestamp) -> Vec<TierRow> {
        let target = self.slo.target;
        let observed = self.observed_secs(now.secs());
        let pairs = self.slo.tiers.iter().zip(&self.plan.tiers);
        pairs
            .map(|(tier, plan)| {
                let (long, short) = (self.ring.sum(plan.long), self.ring.sum(plan.short));
                let measure = Measure::of(tier, target, long, short);
                TierRow {
                    name: tier.name.clone(),
                    severity: tier.severity,
                    factor_milli: tier.factor_milli,
                    long_secs: tier.long_secs,
                    short_secs: tier.short_secs,
                    long_burn: burn(long.counts(), target),
                    short_burn: burn(short.counts(), target),
                    state: measure.state(),
                    is_guarded: measure.burns()
                        && !guard_allows(tier, target, long.counts(), observed),
                    budget_share: budget.share(long.counts().bad),
                }
            })
            .collect()
    }
}
