//! `GateMachine`: the gate of every service, fed by deltas and ticked by the Decider.

use crate::delta::Delta;
use crate::gate::answer::{Answer, Code, ServiceGate, Verdict};
use crate::gate::chain::Chain;
use crate::gate::facts::{BudgetFacts, GateFacts, GateTransition, IncidentFacts, ServiceFacts};
use crate::gate::judge::{self, Case};
use crate::gate::service::{Recorded, ServiceState};
use crate::identity::{RevisionId, ServiceId};
use crate::input::{Gap, RolloutEvent};
use crate::items::Signal;
use crate::slo::ServicePolicy;
use crate::snapshot::{Decision, RevisionRow, SERVICES_MAX};
use crate::source::Sampling;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The gate of all services. Serializable: it survives a restart inside the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GateMachine {
    services: BTreeMap<ServiceId, ServiceState>,
    chain: Chain,
    /// Units of services beyond [`SERVICES_MAX`], which have no gate.
    ungated: u64,
    /// Logical time of the last tick.
    ticked: Timestamp,
    /// Published rows with the facts they were made from; made anew after a restart.
    #[serde(skip)]
    rows: BTreeMap<ServiceId, Arc<ServiceGate>>,
    #[serde(skip)]
    seen: BTreeMap<ServiceId, Seen>,
}

/// The facts a row without candidates depends on.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    policy: ServicePolicy,
    budget: BudgetFacts,
    incident: Option<IncidentFacts>,
    live: Vec<RevisionId>,
    arrivals: Vec<(bool, Sampling)>,
}

impl Seen {
    /// Whether nothing changed that must be published at once: what remains of a budget moves with every request.
    fn is_same(&self, facts: &ServiceFacts) -> bool {
        let (was, is) = (&self.budget, &facts.budget);
        let budget = was.is_exhausted == is.is_exhausted
            && was.page_alert == is.page_alert
            && was.error_budget == is.error_budget
            && was.latency_threshold_nanos == is.latency_threshold_nanos
            && (was.is_implicit, &was.slo) == (is.is_implicit, &is.slo);
        budget
            && self.incident == facts.incident
            && self.policy == facts.row.policy
            && self.live.iter().copied().eq(live(facts))
            && self.arrivals.iter().copied().eq(arrivals(facts))
    }

    fn of(facts: &ServiceFacts) -> Self {
        Self {
            policy: facts.row.policy.clone(),
            budget: facts.budget.clone(),
            incident: facts.incident.clone(),
            live: live(facts).collect(),
            arrivals: arrivals(facts).collect(),
        }
    }
}

/// What answers note about how the spans of each revision arrive.
fn arrivals(facts: &ServiceFacts) -> impl Iterator<Item = (bool, Sampling)> + '_ {
    let revisions = facts.row.revisions.iter();
    let spans = revisions.filter_map(RevisionRow::spans);
    spans.map(|row| (row.is_late, row.sampling))
}

fn live(facts: &ServiceFacts) -> impl Iterator<Item = RevisionId> + '_ {
    let live = facts.row.revisions.iter().filter(|row| row.is_live);
    live.map(|row| row.revision.id)
}

impl GateMachine {
    /// An empty gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in units, watermarks and lags. Changes no verdict. O(rows log cells).
    pub fn apply(&mut self, now: Timestamp, delta: &Delta) {
        // Metrics and logs have exporters of their own: they say nothing of whether a span is still to come.
        let heard = delta.resources.iter();
        for row in heard.filter(|row| row.signal == Signal::Traces) {
            if let Some(state) = self.state(row.identity.service_id) {
                state.heard(now, row);
            }
        }
        for row in &delta.units {
            match self.state(row.key.service) {
                Some(state) => state.counted(now, row),
                None => self.ungated += row.units.max(0) as u64,
            }
        }
    }

    fn state(&mut self, service: ServiceId) -> Option<&mut ServiceState> {
        let has_room = self.services.len() < SERVICES_MAX;
        if !has_room && !self.services.contains_key(&service) {
            return None;
        }
        Some(self.services.entry(service).or_default())
    }

    /// Takes in a rollout event. `candidate` is the revision it names, resolved by the Decider, or `None` when no
    /// revision matches yet: then the event is kept and tried again at Ticks.
    pub fn rollout(
        &mut self,
        now: Timestamp,
        service: ServiceId,
        event: &RolloutEvent,
        candidate: Option<RevisionId>,
    ) {
        if let Some(state) = self.state(service) {
            state.announce(now, event, candidate);
        }
    }

    /// A person clears a latched Halt. The test starts anew, the alpha it spent is noted. `None` when nothing was
    /// latched or the reason is empty.
    pub fn clear_latch(
        &mut self,
        now: Timestamp,
        service: ServiceId,
        revision: RevisionId,
        reason: &str,
        author: &str,
    ) -> Option<GateTransition> {
        if reason.trim().is_empty() {
            return None;
        }
        let state = self.services.get_mut(&service)?;
        let latch = state.latches.remove(&revision)?;
        if let Some(candidate) = state.candidates.get_mut(&revision) {
            let policy = candidate.test.policy().clone();
            candidate.restart(policy);
        }
        let said = if author.is_empty() {
            reason.to_owned()
        } else {
            format!("{reason} ({author})")
        };
        let answer = Answer {
            verdict: Verdict::Wait,
            code: Code::LowTraffic,
            reasons: vec![
                format!("the halt of {} was cleared: {said}", latch.answer.candidate),
                "its test starts anew".to_owned(),
            ],
            notes: Vec::new(),
            counterfactual: String::new(),
            as_of: now,
            valid_until: now,
            ..latch.answer
        };
        let decision = self.chain.append(answer, false, said);
        let recorded = Recorded {
            verdict: Verdict::Wait,
            code: Code::LowTraffic,
            decision: decision.id,
        };
        state.recorded.insert(revision, recorded);
        self.seen.remove(&service);
        Some(GateTransition {
            service,
            revision,
            decision,
        })
    }

    /// Logical time passes: strata close and are folded, answers are updated. Returns the decisions recorded.
    /// O(services given + cells closed); services without candidates whose facts did not change cost one comparison.
    pub fn tick(&mut self, now: Timestamp, facts: GateFacts<'_>) -> Vec<GateTransition> {
        let mut transitions = Vec::new();
        if facts.is_recovering {
            return transitions;
        }
        for (id, service) in facts.services {
            let state = self.services.entry(*id).or_default();
            let is_same = self.seen.get(id).is_some_and(|seen| seen.is_same(service));
            // Every service has its own moment in each second, so that not all are published in one tick.
            let phase = id.0 as u64 % NANOS_PER_SEC;
            let is_due = now.plus(phase).secs() != self.ticked.plus(phase).secs();
            let is_quiet = is_same && !is_due && self.rows.contains_key(id);
            if is_quiet && state.candidates.is_empty() {
                continue;
            }
            // Between closing seconds an answer changes by the passing of time alone: once a second is enough.
            let has_closed = state.advance(now, service, facts.gaps);
            if is_quiet && !has_closed {
                continue;
            }
            let is_unmoved = is_same
                && !state.take_moved()
                && self
                    .seen
                    .get(id)
                    .is_some_and(|seen| seen.budget == service.budget);
            if is_unmoved && state.candidates.is_empty() && self.rows.contains_key(id) {
                continue;
            }
            let row = publish(
                now,
                state,
                service,
                facts.gaps,
                &mut self.chain,
                |revision, decision| {
                    transitions.push(GateTransition {
                        service: *id,
                        revision,
                        decision,
                    });
                },
            );
            let row = shared(self.rows.get(id), row);
            self.rows.insert(*id, row);
            if !is_unmoved {
                self.seen.insert(*id, Seen::of(service));
            }
        }
        self.ticked = now;
        transitions
    }

    /// The answers of every service; rows are shared while unchanged, `as_of` is when they last changed.
    pub fn rows(&self) -> BTreeMap<ServiceId, Arc<ServiceGate>> {
        self.rows.clone()
    }

    /// Services whose answers can change without new telemetry (they have candidates): the Decider must pass
    /// their facts at every Tick.
    pub fn active(&self) -> impl Iterator<Item = ServiceId> + '_ {
        let active = |(_, state): &(&ServiceId, &ServiceState)| !state.candidates.is_empty();
        self.services.iter().filter(active).map(|(id, _)| *id)
    }

    /// Whether `revision` is known good.
    pub fn is_known_good(&self, service: ServiceId, revision: RevisionId) -> bool {
        let state = self.services.get(&service);
        state.is_some_and(|state| state.known_good.contains_key(&revision))
    }

    /// Whether a Halt of `revision` is latched.
    pub fn is_latched(&self, service: ServiceId, revision: RevisionId) -> bool {
        let state = self.services.get(&service);
        state.is_some_and(|state| state.latches.contains_key(&revision))
    }

    /// The latched Halt of `revision`, with the evidence of that moment.
    pub fn halt(&self, service: ServiceId, revision: RevisionId) -> Option<&Answer> {
        let latch = self.services.get(&service)?.latches.get(&revision)?;
        Some(&latch.answer)
    }

    /// The present answer about `revision`; `None` while it is no candidate.
    pub fn answer(&self, service: ServiceId, revision: RevisionId) -> Option<&Answer> {
        let candidates = &self.rows.get(&service)?.candidates;
        candidates
            .iter()
            .find(|answer| answer.candidate_id == Some(revision))
    }

    /// What `revision` is compared with, ascending; empty while it is no candidate.
    pub fn baseline(&self, service: ServiceId, revision: RevisionId) -> Vec<RevisionId> {
        let state = self.services.get(&service);
        let candidate = state.and_then(|state| state.candidates.get(&revision));
        candidate.map_or_else(Vec::new, |candidate| candidate.baseline.clone())
    }

    /// Recorded decisions, newest first, at most [`crate::gate::chain::DECISIONS_MAX`].
    pub fn decisions(&self) -> impl Iterator<Item = &Arc<Decision>> {
        self.chain.newest_first()
    }

    /// Units that found no place in the gate's tables (too many services, or cells of one service).
    pub fn unplaced_units(&self) -> u64 {
        let cells: u64 = self
            .services
            .values()
            .map(|state| state.cells.unplaced)
            .sum();
        self.ungated + cells
    }
}

/// Judges every candidate of one service, records what changed, latches what halts.
fn publish(
    now: Timestamp,
    state: &mut ServiceState,
    facts: &ServiceFacts,
    gaps: &[Gap],
    chain: &mut Chain,
    mut record: impl FnMut(RevisionId, Arc<Decision>),
) -> ServiceGate {
    let ids: Vec<RevisionId> = state.candidates.keys().copied().collect();
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let case = Case {
            now,
            id,
            state,
            facts,
            gaps,
        };
        let Some(mut answer) = judge::advance(&case) else {
            continue;
        };
        let before = state.recorded.get(&id).copied();
        let changed =
            before.is_none_or(|was| (was.verdict, was.code) != (answer.verdict, answer.code));
        if changed {
            let latches = answer.verdict == Verdict::Halt && !state.latches.contains_key(&id);
            let decision = chain.append(answer.clone(), latches, String::new());
            answer.decision_id = decision.id;
            let (verdict, code) = (answer.verdict, answer.code);
            let recorded = Recorded {
                verdict,
                code,
                decision: decision.id,
            };
            state.recorded.insert(id, recorded);
            if latches {
                state.latch(now, id, answer.clone());
            }
            record(id, decision);
        } else if let Some(was) = before {
            answer.decision_id = was.decision;
        }
        answers.push((state.candidates.get(&id).map(|found| found.since), answer));
    }
    answers.sort_by_key(|(since, answer)| (std::cmp::Reverse(*since), answer.candidate_id));
    let case = Case {
        now,
        id: RevisionId(0),
        state,
        facts,
        gaps,
    };
    ServiceGate {
        service_id: facts.row.id,
        admit: judge::admit(&case),
        candidates: answers.into_iter().map(|(_, answer)| answer).collect(),
        live: live(facts).collect(),
        baseline: state.default_baseline(facts),
    }
}

/// `new`, or `old` when they differ in nothing but the time they were made at.
fn shared(old: Option<&Arc<ServiceGate>>, mut new: ServiceGate) -> Arc<ServiceGate> {
    let made_at = (new.admit.as_of, new.admit.valid_until);
    if let Some(old) = old {
        let answers = new.candidates.iter_mut().zip(&old.candidates);
        for (answer, was) in answers.chain([(&mut new.admit, &old.admit)]) {
            (answer.as_of, answer.valid_until) = (was.as_of, was.valid_until);
        }
        if new == **old {
            return Arc::clone(old);
        }
        for answer in new.candidates.iter_mut().chain([&mut new.admit]) {
            (answer.as_of, answer.valid_until) = made_at;
        }
    }
    Arc::new(new)
}
