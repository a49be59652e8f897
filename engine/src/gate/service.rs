//! `ServiceState`: the gate of one service: which revisions are known good, which serve as the baseline, which are
//! candidates, and which are halted.

use crate::delta::{ResourceDelta, UnitDelta};
use crate::gate::answer::{Answer, Code, Verdict};
use crate::gate::candidate::{Arms, Candidate};
use crate::gate::facts::ServiceFacts;
use crate::gate::flow::Flow;
use crate::gate::roles::Sole;
use crate::gate::strata::{Cells, KEEP_SECS};
use crate::identity::RevisionId;
use crate::input::{Gap, RolloutChange, RolloutEvent};
use crate::slo::{Maturity, RATIO_ONE};
use crate::snapshot::REVISIONS_MAX;
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
    pub(super) incumbents: BTreeSet<RevisionId>,
    /// Whether the revisions of the first start have got their roles.
    pub(super) is_warm: bool,
    /// Whether a role changed since the row was published last.
    pub(super) has_moved: bool,
    pub(super) sole: Option<Sole>,
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

    pub(crate) fn latch(&mut self, now: Timestamp, id: RevisionId, answer: Answer) {
        self.latches.insert(id, Latch { at: now, answer });
        forget_oldest(&mut self.latches, |latch| latch.at);
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

pub(super) fn test_policy(facts: &ServiceFacts) -> TestPolicy {
    let budget = facts.budget.error_budget.parts_per_billion;
    TestPolicy {
        latency_threshold_nanos: facts.budget.latency_threshold_nanos,
        ..TestPolicy::for_maturity(facts.row.policy.maturity, budget)
    }
}

pub(super) fn forget_oldest<V>(map: &mut BTreeMap<RevisionId, V>, age: impl Fn(&V) -> Timestamp) {
    while map.len() > REMEMBERED_MAX {
        let oldest = map.iter().min_by_key(|(id, value)| (age(value), **id));
        let Some(oldest) = oldest.map(|(id, _)| *id) else {
            return;
        };
        map.remove(&oldest);
    }
}
