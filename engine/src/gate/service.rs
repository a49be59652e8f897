//! `ServiceState`: the gate of one service: which revisions are known good, which serve as the baseline, which are
//! candidates, and which are halted.

use crate::delta::{ResourceDelta, UnitDelta};
use crate::gate::answer::{Answer, Code, Verdict};
use crate::gate::candidate::{Arms, Candidate};
use crate::gate::facts::ServiceFacts;
use crate::gate::flow::Flow;
use crate::gate::strata::{Cells, KEEP_SECS};
use crate::identity::{RevisionId, RevisionKind};
use crate::input::{Gap, RolloutChange, RolloutEvent};
use crate::registry::is_revision_unknown;
use crate::slo::{Maturity, RATIO_ONE};
use crate::snapshot::{REVISIONS_MAX, RevisionRow};
use crate::stats::rollout::TestPolicy;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most candidates tracked per service; the one that appeared first leaves.
pub const CANDIDATES_MAX: usize = REVISIONS_MAX;
/// Most revisions whose telemetry flow is kept per service; those heard longest ago leave.
pub const FLOWS_MAX: usize = 2 * REVISIONS_MAX;
/// Most known-good revisions, and most latches, remembered per service; the oldest leave.
pub const REMEMBERED_MAX: usize = 64;
/// Most rollout events kept for revisions that were not seen yet; the oldest leave.
pub const ANNOUNCED_MAX: usize = 32;
/// A service seen for less than this has no candidates but announced ones: who is new cannot be told yet.
pub const COLD_START_NANOS: u64 = 10 * NANOS_PER_SEC;
/// A candidate that sent nothing for this long is no longer tracked (its latch stays).
pub const FORGET_NANOS: u64 = 600 * NANOS_PER_SEC;

/// A revision that was there first and served nothing for this long, while another one served, comes back as a candidate.
pub const INCUMBENT_NANOS: u64 = 3_600 * NANOS_PER_SEC;

/// A latched Halt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latch {
    pub(crate) at: Timestamp,
    /// The answer that latched it, with the evidence of that moment.
    pub(crate) answer: Answer,
}

/// The one revision that takes all traffic, on its way to known good.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Sole {
    revision: RevisionId,
    since: Timestamp,
    units: i64,
    failed: i64,
}

/// What was recorded last about a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) verdict: Verdict,
    pub(crate) code: Code,
    pub(crate) decision: u128,
}

/// The gate of one service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ServiceState {
    pub(crate) flows: BTreeMap<RevisionId, Flow>,
    pub(crate) cells: Cells,
    pub(crate) candidates: BTreeMap<RevisionId, Candidate>,
    /// Since when each known-good revision is one.
    pub(crate) known_good: BTreeMap<RevisionId, Timestamp>,
    pub(crate) latches: BTreeMap<RevisionId, Latch>,
    pub(crate) recorded: BTreeMap<RevisionId, Recorded>,
    /// Revisions that were there first and are not known good yet.
    incumbents: BTreeSet<RevisionId>,
    /// Whether the revisions of the first start have got their roles.
    is_warm: bool,
    /// Whether a role changed since the row was published last.
    has_moved: bool,
    sole: Option<Sole>,
    announced: VecDeque<RolloutEvent>,
}

impl ServiceState {
    pub(crate) fn heard(&mut self, now: Timestamp, row: &ResourceDelta) {
        self.flow(row.identity.revision.id).heard(now, row);
    }

    pub(crate) fn counted(&mut self, now: Timestamp, row: &UnitDelta) {
        let (revision, second) = (row.key.revision, row.key.second);
        self.flow(revision)
            .counted(now, second, row.units, row.failed);
        self.cells.add(row);
        if row.units > 0 {
            for (id, candidate) in &mut self.candidates {
                let is_candidate = *id == revision;
                if is_candidate || candidate.baseline.binary_search(&revision).is_ok() {
                    candidate.arrived(now, is_candidate, second, row.units as u64);
                }
            }
        }
    }

    fn flow(&mut self, revision: RevisionId) -> &mut Flow {
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&revision) {
            let oldest = self.flows.iter().min_by_key(|(id, flow)| (flow.last, **id));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.flows.remove(&oldest);
            }
        }
        self.flows.entry(revision).or_default()
    }

    /// A controller reports. Events for a revision that was not seen yet wait for it.
    pub(crate) fn announce(
        &mut self,
        now: Timestamp,
        event: &RolloutEvent,
        revision: Option<RevisionId>,
    ) {
        let Some(revision) = revision else {
            if self.announced.len() >= ANNOUNCED_MAX {
                self.announced.pop_front();
            }
            self.announced.push_back(event.clone());
            return;
        };
        if let RolloutChange::Finished { promoted: true } = event.change {
            if !self.latches.contains_key(&revision) {
                self.promote(now, revision);
            }
            return;
        }
        if self.known_good.contains_key(&revision) {
            return;
        }
        // The policy is put in force at the next Tick, before anything is folded.
        let candidate = self.candidates.entry(revision).or_insert_with(|| {
            let policy = TestPolicy::for_maturity(Maturity::default(), RATIO_ONE / 100);
            Candidate::new(now, Vec::new(), policy)
        });
        self.incumbents.remove(&revision);
        match &event.change {
            RolloutChange::Started { baseline } => {
                candidate.named_baseline.clone_from(baseline);
                candidate.is_aborted = false;
            }
            RolloutChange::Weight { basis_points } => {
                candidate.weights.note(event.time, *basis_points);
            }
            RolloutChange::Paused | RolloutChange::Resumed => {}
            RolloutChange::Finished { .. } => candidate.is_aborted = true,
        }
    }

    fn promote(&mut self, now: Timestamp, revision: RevisionId) {
        self.has_moved = true;
        self.candidates.remove(&revision);
        self.recorded.remove(&revision);
        self.incumbents.remove(&revision);
        self.known_good.entry(revision).or_insert(now);
        forget_oldest(&mut self.known_good, |since| *since);
    }

    /// Brings roles up to date, closes what may close and folds it. Returns whether a second closed.
    pub(crate) fn advance(&mut self, now: Timestamp, facts: &ServiceFacts, gaps: &[Gap]) -> bool {
        let mut has_closed = false;
        self.resolve_announced(now, facts);
        self.recognize(now, facts);
        self.watch_sole(now, facts);
        self.forget_gone(now, facts);
        let policy = test_policy(facts);
        let ids: Vec<RevisionId> = self.candidates.keys().copied().collect();
        for id in ids {
            let (baseline, is_assumed) = self.baseline_of(now, id, facts);
            let Some(candidate) = self.candidates.get_mut(&id) else {
                continue;
            };
            (candidate.baseline, candidate.is_assumed) = (baseline, is_assumed);
            if *candidate.test.policy() != policy {
                let is_untouched = candidate.test.total().candidate.units == 0;
                candidate.restart(policy.clone());
                candidate.restarts -= u32::from(is_untouched);
            }
            let arms = arms(&self.flows, id, &candidate.baseline);
            has_closed |= candidate.sweep(now, id, &self.cells, &arms, gaps);
        }
        let keep = now.secs().saturating_sub(KEEP_SECS);
        self.cells.forget_before(keep);
        has_closed
    }

    /// Whether a role changed since this was asked last.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    fn resolve_announced(&mut self, now: Timestamp, facts: &ServiceFacts) {
        for event in std::mem::take(&mut self.announced) {
            let named = facts
                .row
                .revisions
                .iter()
                .find(|row| row.revision.matches(&event.candidate));
            self.announce(now, &event, named.map(|row| row.revision.id));
        }
    }

    /// Gives every live release a role: known good, there first, or candidate.
    fn recognize(&mut self, now: Timestamp, facts: &ServiceFacts) {
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
    fn baseline_of(
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
    fn watch_sole(&mut self, now: Timestamp, facts: &ServiceFacts) {
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

    fn forget_gone(&mut self, now: Timestamp, facts: &ServiceFacts) {
        let row_of = |id: &RevisionId| {
            let rows = &facts.row.revisions;
            rows.iter().find(|row| row.revision.id == *id)
        };
        let latches = &self.latches;
        let before = self.candidates.len();
        self.candidates.retain(|id, candidate| match row_of(id) {
            // Announced, not seen yet.
            None => now.since(candidate.since) <= FORGET_NANOS,
            Some(row) if row.is_live || latches.contains_key(id) => true,
            Some(row) => !candidate.is_aborted && now.since(row.last_seen) <= FORGET_NANOS,
        });
        self.has_moved |= self.candidates.len() != before;
        let candidates = &self.candidates;
        self.recorded
            .retain(|id, _| candidates.contains_key(id) || latches.contains_key(id));
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

    pub(crate) fn latch(&mut self, now: Timestamp, id: RevisionId, answer: Answer) {
        self.latches.insert(id, Latch { at: now, answer });
        forget_oldest(&mut self.latches, |latch| latch.at);
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

/// The arms of a candidate.
pub(crate) fn arms<'a>(
    flows: &'a BTreeMap<RevisionId, Flow>,
    candidate: RevisionId,
    baseline: &[RevisionId],
) -> Arms<'a> {
    Arms {
        candidate: flows.get(&candidate),
        baseline: baseline.iter().filter_map(|id| flows.get(id)).collect(),
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

fn test_policy(facts: &ServiceFacts) -> TestPolicy {
    let budget = facts.budget.error_budget.parts_per_billion;
    TestPolicy {
        latency_threshold_nanos: facts.budget.latency_threshold_nanos,
        ..TestPolicy::for_maturity(facts.row.policy.maturity, budget)
    }
}

fn is_release(row: &RevisionRow) -> bool {
    row.revision.kind == RevisionKind::Release && !is_revision_unknown(&row.revision)
}

fn releases(facts: &ServiceFacts) -> impl Iterator<Item = &RevisionRow> {
    facts.row.revisions.iter().filter(|row| is_release(row))
}

fn forget_oldest<V>(map: &mut BTreeMap<RevisionId, V>, age: impl Fn(&V) -> Timestamp) {
    while map.len() > REMEMBERED_MAX {
        let oldest = map.iter().min_by_key(|(id, value)| (age(value), **id));
        let Some(oldest) = oldest.map(|(id, _)| *id) else {
            return;
        };
        map.remove(&oldest);
    }
}
