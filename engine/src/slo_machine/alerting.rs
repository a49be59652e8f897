//! From the windows to the alert: readings, transitions, and the rows that record them.

use super::SloFacts;
use super::coverage::Coverage;
use super::slices::OLDER_REVISIONS;
use super::slot::{Slot, TierPlan};
use crate::alert::words::{Story, withdrawn};
use crate::alert::{AlertChange, AlertTransition, Reading, Step};
use crate::burn_rate::{Measure, burn, exceeds, guard_allows};
use crate::hash::blake3_128;
use crate::identity::RevisionId;
use crate::ring::Tally;
use crate::slo::{BurnTier, Slo};
use crate::snapshot::{AlertRow, AlertState, Counts};
use crate::time::{NANOS_PER_SEC, Timestamp};
use smallvec::SmallVec;
use std::sync::Arc;

/// Windows that are asked for a revision that stands out, s: the second one when nothing failed in the first.
const CULPRIT_WINDOWS: [u64; 2] = [300, 3_600];

impl Slot {
    /// Reads every tier and moves the alert's clocks.
    pub(super) fn step(&mut self, coverage: &Coverage<'_>) -> Step {
        let is_ticking = self.alert.is_ticking();
        let target = self.slo.target;
        let burns = |plan: &TierPlan| {
            exceeds(self.ring.sum(plan.long), target, plan.factor_milli)
                && exceeds(self.ring.sum(plan.short), target, plan.factor_milli)
        };
        if !is_ticking && !self.plan.tiers.iter().any(burns) {
            return Step::Same;
        }
        let readings: SmallVec<[Reading; 8]> = self
            .slo
            .tiers
            .iter()
            .zip(&self.plan.tiers)
            .enumerate()
            .map(|(at, (tier, plan))| self.read(at, tier, plan, coverage))
            .collect();
        self.alert.step(coverage.now, &self.slo.tiers, &readings)
    }

    fn read(
        &self,
        at: usize,
        tier: &BurnTier,
        plan: &TierPlan,
        coverage: &Coverage<'_>,
    ) -> Reading {
        let (long, short) = (self.ring.sum(plan.long), self.ring.sum(plan.short));
        let measure = Measure::of(tier, self.slo.target, long, short);
        if measure.burns() {
            let observed = self.observed_secs(coverage.now.secs());
            let may_fire = guard_allows(tier, self.slo.target, long.counts(), observed);
            return if may_fire {
                Reading::Burns
            } else {
                Reading::Open
            };
        }
        if !self.alert.clock_runs(at) {
            return Reading::Open;
        }
        let is_over = |burns: bool, tally: Tally, secs| {
            !burns
                && self.mismatch.is_none()
                && tally.counts().total() > 0
                && coverage.is_complete((self.slo.service_id, self.slo.sli.signal()), secs)
        };
        if is_over(measure.short_burns, short, tier.short_secs)
            || is_over(measure.long_burns, long, tier.long_secs)
        {
            Reading::Over
        } else {
            Reading::Open
        }
    }

    /// Makes the row of a new state, and what to tell of it.
    pub(super) fn enter(
        &mut self,
        step: Step,
        now: Timestamp,
        facts: &SloFacts,
    ) -> Option<AlertTransition> {
        let (state, tier, change) = match step {
            Step::Same => return None,
            Step::Dropped => {
                self.alert.drop_pending();
                return None;
            }
            Step::Pending(tier) => (AlertState::Pending, tier, None),
            Step::Fired(tier) => (AlertState::Firing, tier, Some(AlertChange::Fired)),
            Step::Escalated(tier) => (AlertState::Firing, tier, Some(AlertChange::Escalated)),
            Step::Eased(tier) => (AlertState::Firing, tier, None),
            Step::Resolved => {
                let decided = self.alert.current().map(|row| row.tier.clone());
                let tier = self
                    .slo
                    .tiers
                    .iter()
                    .position(|tier| Some(&tier.name) == decided.as_ref());
                let Some(tier) = tier else {
                    return self.withdraw(now);
                };
                (AlertState::Resolved, tier, Some(AlertChange::Resolved))
            }
        };
        let row = self.alert_row(state, tier, now, facts);
        let row = self.alert.enter(row);
        let slo = Arc::clone(&self.slo);
        change.map(|change| AlertTransition {
            change,
            row,
            targets: self.alert.targets(&slo.tiers, change),
        })
    }

    fn alert_row(
        &self,
        state: AlertState,
        tier: usize,
        now: Timestamp,
        facts: &SloFacts,
    ) -> AlertRow {
        let slo = Arc::clone(&self.slo);
        let story = self.story(&slo, tier, now, facts);
        let tier = story.tier;
        let since = self.alert.since(now);
        let current = self.alert.current();
        let fired_at = match state {
            AlertState::Pending | AlertState::Inactive => None,
            AlertState::Firing | AlertState::Resolved => {
                Some(current.and_then(|row| row.fired_at).unwrap_or(now))
            }
        };
        let text = match state {
            AlertState::Pending | AlertState::Inactive => story.pending(),
            AlertState::Firing => story.firing(),
            AlertState::Resolved => {
                let burned = now.since(since) / NANOS_PER_SEC;
                story.resolved(burned, self.alert.remaining_at_start())
            }
        };
        // What was a page until now ends as one.
        let held = current
            .filter(|_| state == AlertState::Resolved)
            .map(|row| row.severity);
        AlertRow {
            id: alert_id(&slo, since),
            slo_id: slo.id,
            slo: slo.name.clone(),
            service: slo.service.clone(),
            team: facts
                .teams
                .get(&slo.service_id)
                .cloned()
                .unwrap_or_default(),
            state,
            severity: held.unwrap_or(tier.severity),
            tier: tier.name.clone(),
            since,
            fired_at,
            resolved_at: (state == AlertState::Resolved).then_some(now),
            as_of: now,
            text,
            long_burn: burn(story.long, slo.target).unwrap_or(0.0),
            short_burn: burn(story.short, slo.target).unwrap_or(0.0),
            budget_remaining: story.budget.remaining().unwrap_or(1.0),
        }
    }

    fn story<'a>(&self, slo: &'a Slo, tier: usize, now: Timestamp, facts: &SloFacts) -> Story<'a> {
        let plan = self.plan.tiers[tier];
        let has_bad = |secs: &u64| {
            self.slices
                .serving(*secs)
                .iter()
                .any(|(_, counts)| counts.bad > 0)
        };
        let slices_secs = CULPRIT_WINDOWS
            .into_iter()
            .find(has_bad)
            .unwrap_or(CULPRIT_WINDOWS[0]);
        let named =
            |(revision, counts): (RevisionId, Counts)| (revision_name(revision, facts), counts);
        Story {
            slo,
            tier: &slo.tiers[tier],
            long: self.ring.sum(plan.long).counts(),
            short: self.ring.sum(plan.short).counts(),
            budget: self.budget(),
            observed_secs: self.observed_secs(now.secs()),
            slices: self
                .slices
                .serving(slices_secs)
                .into_iter()
                .map(named)
                .collect(),
            slices_secs,
        }
    }

    /// Ends a firing alert whose SLO is removed or changes its meaning; a pending one ends silently.
    pub(super) fn withdraw(&mut self, now: Timestamp) -> Option<AlertTransition> {
        let current = self.alert.current()?;
        if current.state != AlertState::Firing {
            self.alert.drop_pending();
            return None;
        }
        let row = AlertRow {
            state: AlertState::Resolved,
            resolved_at: Some(now),
            as_of: now,
            text: withdrawn(&self.slo),
            ..AlertRow::clone(current)
        };
        let row = self.alert.enter(row);
        Some(AlertTransition {
            change: AlertChange::Resolved,
            row,
            targets: self.alert.targets(&[], AlertChange::Resolved),
        })
    }
}

/// One id per occurrence: what it is about and when it began.
fn alert_id(slo: &Slo, since: Timestamp) -> u128 {
    blake3_128("alert", &[&slo.id.0.to_le_bytes(), &since.0.to_le_bytes()])
}

fn revision_name(revision: RevisionId, facts: &SloFacts) -> String {
    match facts.revision_names.get(&revision) {
        Some(name) => name.clone(),
        None if revision == OLDER_REVISIONS => "(older ones)".to_owned(),
        None => format!("{:08x}", revision.0 >> 96),
    }
}
