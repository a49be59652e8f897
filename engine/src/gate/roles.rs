//! Roles of revisions: there first, candidate, known good; and which of them are the baseline of a candidate.
//!
//! A release seen later than the others is a candidate by itself. It is compared with the known-good revisions that
//! serve beside it; until one is known good, with those that were live when it appeared (at a first start: the largest),
//! marked BASELINE_ASSUMED. Known good: promoted by its controller, or served alone for the bake time within its budget.
//! Intercepts, branches and revisions that nothing names have no role.

use crate::gate::candidate::Candidate;
use crate::gate::facts::ServiceFacts;
use crate::gate::service::{
    CANDIDATES_MAX, COLD_START_NANOS, FORGET_NANOS, INCUMBENT_NANOS, ServiceState, forget_oldest,
    test_policy,
};
use crate::identity::{RevisionId, RevisionKind};
use crate::registry::is_revision_unknown;
use crate::slo::{Maturity, RATIO_ONE};
use crate::snapshot::RevisionRow;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};

/// The one revision that takes all traffic, on its way to known good.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sole {
    revision: RevisionId,
    since: Timestamp,
    units: i64,
    failed: i64,
}

impl ServiceState {
    pub(super) fn promote(&mut self, now: Timestamp, revision: RevisionId) {
        self.has_moved = true;
        self.candidates.remove(&revision);
        self.recorded.remove(&revision);
        self.incumbents.remove(&revision);
        self.known_good.entry(revision).or_insert(now);
        forget_oldest(&mut self.known_good, |since| *since);
    }

    /// Gives every live release a role: known good, there first, or candidate.
    pub(super) fn recognize(&mut self, now: Timestamp, facts: &ServiceFacts) {
        let live = self.serving(now, facts);
        let Some(first_seen) = releases(facts).map(|row| row.first_seen).min() else {
            return;
        };
        let others_serve = live
            .iter()
            .any(|row| !self.incumbents.contains(&row.revision.id));
        if others_serve {
            // Who stayed away for long was not there first when it comes back.
            let is_recent = |row: &RevisionRow| now.since(row.last_seen) <= INCUMBENT_NANOS;
            self.incumbents
                .retain(|id| releases(facts).any(|row| row.revision.id == *id && is_recent(row)));
        }
        let newcomers: Vec<RevisionId> = live
            .iter()
            .map(|row| row.revision.id)
            .filter(|id| !self.has_role(*id))
            .collect();
        let is_cold = now.since(first_seen) < COLD_START_NANOS && self.candidates.is_empty();
        if newcomers.is_empty() || is_cold {
            return;
        }
        let is_first = !self.is_warm && self.known_good.is_empty();
        self.is_warm = true;
        if is_first {
            let largest = newcomers
                .iter()
                .max_by_key(|id| (self.flows.get(id).map_or(0, |flow| flow.units), **id));
            self.incumbents.extend(largest.copied());
        }
        self.has_moved = true;
        let policy = test_policy(facts);
        for id in newcomers {
            if !self.has_role(id) {
                let assumed = self.live_others(id, &live);
                let candidate = Candidate::new(now, assumed, policy.clone());
                self.candidates.insert(id, candidate);
            }
        }
        while self.candidates.len() > CANDIDATES_MAX {
            let oldest = self
                .candidates
                .iter()
                .min_by_key(|(id, candidate)| (candidate.since, **id));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.candidates.remove(&oldest);
            }
        }
    }

    /// Releases that serve: live ones, and ones whose traffic is so low that they cannot be expected to be heard yet.
    fn serving<'a>(&self, now: Timestamp, facts: &'a ServiceFacts) -> Vec<&'a RevisionRow> {
        let is_serving = |row: &&RevisionRow| {
            let patience = self
                .flows
                .get(&row.revision.id)
                .map_or(0, |flow| flow.patience_nanos());
            row.is_live || now.since(row.last_seen) <= patience.min(FORGET_NANOS)
        };
        releases(facts).filter(is_serving).collect()
    }

    fn has_role(&self, id: RevisionId) -> bool {
        self.known_good.contains_key(&id)
            || self.incumbents.contains(&id)
            || self.candidates.contains_key(&id)
    }

    fn live_others(&self, id: RevisionId, live: &[&RevisionRow]) -> Vec<RevisionId> {
        live.iter()
            .map(|row| row.revision.id)
            .filter(|other| *other != id && !self.latches.contains_key(other))
            .filter(|other| self.has_role(*other))
            .collect()
    }

    /// The baseline of `id`, ascending, and whether it is assumed: the one its controller named; else the known-good
    /// revisions that serve; else those that were live when it appeared.
    pub(super) fn baseline_of(
        &self,
        now: Timestamp,
        id: RevisionId,
        facts: &ServiceFacts,
    ) -> (Vec<RevisionId>, bool) {
        let Some(candidate) = self.candidates.get(&id) else {
            return (Vec::new(), true);
        };
        let live = self.serving(now, facts);
        let serving = |wanted: &dyn Fn(RevisionId) -> bool| -> Vec<RevisionId> {
            let mut ids: Vec<RevisionId> = live
                .iter()
                .map(|row| row.revision.id)
                .filter(|other| *other != id && wanted(*other))
                .collect();
            ids.sort_unstable();
            ids
        };
        if !candidate.named_baseline.is_empty() {
            let named = live.iter().find(|row| {
                row.revision.id != id && row.revision.matches(&candidate.named_baseline)
            });
            if let Some(named) = named {
                let named = named.revision.id;
                return (vec![named], !self.known_good.contains_key(&named));
            }
        }
        let good = serving(&|other| self.known_good.contains_key(&other));
        if !good.is_empty() {
            return (good, false);
        }
        let not_latched = |other: RevisionId| !self.latches.contains_key(&other);
        let assumed = serving(&|other| candidate.assumed.contains(&other) && not_latched(other));
        if assumed.is_empty() {
            // Announced before anything was seen: those that were there first.
            (serving(&|other| self.incumbents.contains(&other)), true)
        } else {
            (assumed, true)
        }
    }

    /// A revision that took all traffic for the bake time within its budget is known good.
    pub(super) fn watch_sole(&mut self, now: Timestamp, facts: &ServiceFacts) {
        let serving = self.serving(now, facts);
        let [only] = serving.as_slice() else {
            self.sole = None;
            return;
        };
        let only = only.revision.id;
        if self.known_good.contains_key(&only) || self.latches.contains_key(&only) {
            self.sole = None;
            return;
        }
        let (units, failed) = self
            .flows
            .get(&only)
            .map_or((0, 0), |flow| (flow.units, flow.failed));
        let fresh = Sole {
            revision: only,
            since: now,
            units,
            failed,
        };
        let Some(sole) = self.sole.filter(|sole| sole.revision == only) else {
            self.sole = Some(fresh);
            return;
        };
        if now.since(sole.since) < bake_nanos(facts.row.policy.maturity) {
            return;
        }
        let (units, failed) = (units - sole.units, failed - sole.failed);
        if units <= 0 {
            return;
        }
        let budget = i128::from(facts.budget.error_budget.parts_per_billion);
        if i128::from(failed) * i128::from(RATIO_ONE) <= i128::from(units) * budget {
            self.promote(now, only);
            self.sole = None;
        } else {
            self.sole = Some(fresh);
        }
    }

    /// Seconds until the revision that serves alone is known good, if there is one on its way.
    pub(crate) fn known_good_in(
        &self,
        now: Timestamp,
        id: RevisionId,
        maturity: Maturity,
    ) -> Option<u64> {
        let sole = self.sole.filter(|sole| sole.revision == id)?;
        let left = bake_nanos(maturity).saturating_sub(now.since(sole.since));
        Some(left.div_ceil(NANOS_PER_SEC))
    }

    /// What new revisions would be compared with now, ascending.
    pub(crate) fn default_baseline(&self, facts: &ServiceFacts) -> Vec<RevisionId> {
        let live = || releases(facts).filter(|row| row.is_live);
        let pick = |wanted: &dyn Fn(RevisionId) -> bool| -> Vec<RevisionId> {
            let mut ids: Vec<RevisionId> = live()
                .map(|row| row.revision.id)
                .filter(|id| wanted(*id))
                .collect();
            ids.sort_unstable();
            ids
        };
        let good = pick(&|id| self.known_good.contains_key(&id));
        if good.is_empty() {
            pick(&|id| self.incumbents.contains(&id))
        } else {
            good
        }
    }
}

/// How long a revision must serve alone within its budget to be known good, ns.
pub(crate) const fn bake_nanos(maturity: Maturity) -> u64 {
    match maturity {
        Maturity::Prototype => 0,
        Maturity::Growth => 15 * 60 * NANOS_PER_SEC,
        Maturity::MissionCritical => 60 * 60 * NANOS_PER_SEC,
    }
}

fn is_release(row: &RevisionRow) -> bool {
    row.revision.kind == RevisionKind::Release && !is_revision_unknown(&row.revision)
}

fn releases(facts: &ServiceFacts) -> impl Iterator<Item = &RevisionRow> {
    facts.row.revisions.iter().filter(|row| is_release(row))
}
