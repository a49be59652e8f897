//! The Decider: exactly one. Deltas, definitions and events in; budgets, alerts, gate answers, effects and the
//! snapshot out (DESIGN 4).
//!
//! `apply` never fails and never blocks. Span data changes verdicts only at [`Input::Tick`]; everything that happens
//! there happens in one fixed order: registry, SLOs, graph, cascades, gate, then what follows from them.

pub mod cascades;
mod hand;
pub mod notify;
mod publish;
mod stand;

use crate::cascade::machine::CascadeMachine;
use crate::cascade::row::IncidentRow;
use crate::delta::{Counter, Delta};
use crate::gate::{GateFacts, GateMachine};
use crate::graph::Graph;
use crate::hand::Hand;
use crate::identity::{RevisionId, ServiceId};
use crate::input::{
    DefinitionsLoaded, Effect, EffectDone, EffectKind, Gap, Input, LatchCleared, Problem,
    RolloutChange, RolloutEvent,
};
use crate::registry::{Discovery, Registry};
use crate::slo::Definitions;
use crate::slo_machine::{SloFacts, SloMachine};
use crate::snapshot::{Decision, EventRow, ServiceRow};
use crate::standing::Standings;
use crate::time::Timestamp;
use crate::traffic::Traffic;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Most events, decisions and gaps kept for showing.
const LISTED_MAX: usize = 1_000;
/// Ids of CloudEvents remembered, so that a repeated event counts once.
const EVENT_IDS_MAX: usize = 10_000;
/// Undelivered effects kept; beyond it one is given up, and the event list says so.
const OUTBOX_MAX: usize = 10_000;

/// The deciding machine and all its state; serializes as the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Decider {
    now: Timestamp,
    generation: u64,
    #[serde(skip)]
    has_ticked: bool,
    definitions: Arc<Definitions>,
    definitions_loaded_at: Timestamp,
    problems: Vec<Problem>,
    registry: Registry,
    slos: SloMachine,
    graph: Graph,
    cascade: CascadeMachine,
    gate: GateMachine,
    hand: Hand,
    events: VecDeque<EventRow>,
    outbox: BTreeMap<u128, Effect>,
    standings: Arc<Standings>,
    counters: BTreeMap<Counter, u64>,
    gaps: Vec<Gap>,
    event_ids: VecDeque<String>,
    /// Alerts that are told by their incident.
    children: BTreeSet<u128>,
    #[serde(skip)]
    incidents: Vec<Arc<IncidentRow>>,
    #[serde(skip)]
    rows: BTreeMap<ServiceId, Arc<ServiceRow>>,
    dedup_window_secs: u64,
    #[serde(skip)]
    open_spans: u64,
    /// For showing: nothing decides by it.
    #[serde(skip)]
    traffic: Traffic,
}

impl Decider {
    /// Definitions in force.
    pub const fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// Logical time of the last input.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Effects that were planned and not yet reported done, oldest first by id; a restarted shell executes them again.
    pub fn pending_effects(&self) -> impl Iterator<Item = &Effect> {
        self.outbox.values()
    }

    /// Recorded decisions, newest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.gate.decisions().map(AsRef::as_ref)
    }

    /// Tells the decider which dedup window the folders really hold, s.
    pub const fn set_dedup_window_secs(&mut self, secs: u64) {
        self.dedup_window_secs = secs;
    }

    /// Tells the decider how many spans of open traces the folders hold.
    pub const fn set_open_spans(&mut self, spans: u64) {
        self.open_spans = spans;
    }

    /// Takes one input. Time that runs backwards is read as standing still.
    pub fn apply(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        match input {
            Input::Delta(delta) => self.count(&delta),
            Input::Definitions(loaded) => self.define(loaded),
            Input::Rollout(event) => self.rollout(&event),
            Input::Override(cleared) => self.clear_latch(&cleared, effects),
            Input::EffectDone(done) => self.effect_done(&done),
            Input::Gap(gap) => self.gap(gap),
            Input::Cluster(report) => self.hand.observe(self.now, report),
            Input::Steer(steering) => self.steer(&steering, effects),
            Input::Tick => self.tick(effects),
        }
    }

    fn count(&mut self, delta: &Delta) {
        for (counter, count) in &delta.counters {
            *self.counters.entry(*counter).or_default() += count;
        }
        for discovery in self.registry.apply(self.now, &delta.resources) {
            self.discovered(discovery);
        }
        self.slos.apply(self.now, &delta.sli);
        for (slo, mismatch) in self.slos.note(self.now, &delta.doubts, &delta.instruments) {
            let text = match mismatch {
                Some(mismatch) => format!("{}: {}", slo.name, mismatch.words(&slo)),
                None => format!("{}: its metric has the declared type again", slo.name),
            };
            self.event("slo.type_mismatch", &slo.service.name, text);
        }
        self.graph.apply(self.now, delta, self.registry.services());
        self.cascade.apply(self.now, delta);
        self.gate.apply(self.now, delta);
        self.traffic.apply(self.now, delta);
    }

    fn discovered(&mut self, discovery: Discovery) {
        let services = self.registry.services();
        match discovery {
            Discovery::Service(id) => {
                let Some(key) = services.get(&id).map(|service| service.key.clone()) else {
                    return;
                };
                if self.definitions.slos_of(id).next().is_none() {
                    self.slos.ensure_implicit(self.now, &key);
                }
                self.event(
                    "service.first_seen",
                    &key.name,
                    "first item of this service".to_owned(),
                );
            }
            Discovery::Revision(id, revision) => {
                let Some(service) = services.get(&id) else {
                    return;
                };
                let Some(state) = service.revisions.get(&revision) else {
                    return;
                };
                let text = match state.revision.value.as_str() {
                    "" => {
                        "first item of a revision that nothing names: REVISION_UNKNOWN".to_owned()
                    }
                    _ => format!("first item of revision {}", state.revision.label()),
                };
                let name = service.key.name.clone();
                self.event("revision.first_seen", &name, text);
            }
        }
    }

    fn define(&mut self, loaded: DefinitionsLoaded) {
        self.problems = loaded.problems;
        let errors = self
            .problems
            .iter()
            .filter(|problem| problem.is_error)
            .count();
        let Some(mut definitions) = loaded.definitions else {
            let text = format!(
                "{errors} errors: generation {} stays in force",
                self.definitions.generation
            );
            return self.event("definitions.refused", "", text);
        };
        Arc::make_mut(&mut definitions).generation = self.definitions.generation + 1;
        self.slos.set_definitions(self.now, &definitions);
        for (id, service) in self.registry.services() {
            if definitions.slos_of(*id).next().is_none() {
                self.slos.ensure_implicit(self.now, &service.key);
            }
        }
        let text = format!(
            "generation {}: {} SLOs of {} services",
            definitions.generation,
            definitions.slos.len(),
            definitions
                .slos
                .values()
                .map(|slo| slo.service_id)
                .collect::<BTreeSet<_>>()
                .len()
        );
        self.definitions = definitions;
        self.definitions_loaded_at = self.now;
        self.redirect_standing();
        self.event("definitions.loaded", "", text);
    }

    fn is_repeated(&mut self, id: &str) -> bool {
        if self.event_ids.iter().any(|known| known == id) {
            return true;
        }
        self.event_ids.push_back(id.to_owned());
        if self.event_ids.len() > EVENT_IDS_MAX {
            self.event_ids.pop_front();
        }
        false
    }

    fn rollout(&mut self, event: &RolloutEvent) {
        if self.is_repeated(&event.id) {
            return;
        }
        let (kind, detail) = told(&event.candidate, &event.change);
        self.event(kind, &event.service, detail.clone());
        let Some(service) = self.the_service(&event.service, &event.namespace, &event.environment)
        else {
            return;
        };
        let named = self.registry.revisions_named(service, &event.candidate);
        let candidate = if let [only] = named.as_slice() {
            Some(*only)
        } else {
            None
        };
        self.note_change(kind, &detail, service, candidate, event.time);
        self.gate.rollout(self.now, service, event, candidate);
    }

    /// The one service that a name, a namespace and an environment mean. None or several: the event is listed as
    /// such and changes nothing (`staging` never halts `production`).
    fn the_service(&mut self, name: &str, namespace: &str, environment: &str) -> Option<ServiceId> {
        let found = self.registry.find(name, namespace, environment);
        if let [only] = found.as_slice() {
            return Some(*only);
        }
        let text = match found.len() {
            0 => "no span of this service has been seen yet: the event changes nothing".to_owned(),
            many => format!(
                "{many} services have this name: give namespace and environment; the event changes nothing"
            ),
        };
        self.event("event.unmatched", name, text);
        None
    }

    fn clear_latch(&mut self, cleared: &LatchCleared, effects: &mut Vec<Effect>) {
        if self.is_repeated(&cleared.id) {
            return;
        }
        let Some(service) =
            self.the_service(&cleared.service, &cleared.namespace, &cleared.environment)
        else {
            return;
        };
        for revision in self.registry.revisions_named(service, &cleared.candidate) {
            let transition = self.gate.clear_latch(
                self.now,
                service,
                revision,
                &cleared.reason,
                &cleared.author,
            );
            if let Some(transition) = transition {
                self.decided(&transition, effects);
            }
        }
    }

    fn effect_done(&mut self, done: &EffectDone) {
        let Some(effect) = self.outbox.remove(&done.id) else {
            return;
        };
        match effect.kind {
            EffectKind::Act(action) => self.hand.done(self.now, done, &action),
            EffectKind::Notify { .. } if !done.delivered => {
                let text = format!(
                    "webhook given up after {} attempts: {}",
                    done.attempts, done.detail
                );
                self.event("webhook.dead_letter", "", text);
            }
            EffectKind::Tell(event) if !done.delivered => {
                let text = format!("{}: the Event was not taken: {}", event.object, done.detail);
                self.event("hand.untold", "", text);
            }
            EffectKind::Notify { .. } | EffectKind::Tell(_) => {}
        }
    }

    fn gap(&mut self, gap: Gap) {
        self.slos.gap(gap);
        self.gaps.push(gap);
        if self.gaps.len() > LISTED_MAX {
            self.gaps.remove(0);
        }
        let seconds = gap.to.since(gap.from).div_ceil(crate::time::NANOS_PER_SEC);
        self.event(
            "gap",
            "",
            format!(
                "counts of up to {seconds} s are missing: the process was not running or lost them"
            ),
        );
    }

    fn tick(&mut self, effects: &mut Vec<Effect>) {
        self.registry.expire(self.now);
        let watermarks = self.registry.watermarks();
        let teams = self
            .definitions
            .services
            .iter()
            .map(|(id, policy)| (*id, policy.team.clone()))
            .collect();
        let facts = SloFacts {
            watermarks,
            teams,
            revision_names: self.revision_names(),
        };
        for transition in self.slos.tick(self.now, &facts) {
            self.alert_changed(&transition, effects);
        }
        self.tick_cascades(effects);
        self.refresh_rows();
        self.bind_rollouts();
        let services = self.service_facts();
        let facts = GateFacts {
            services: &services,
            gaps: &self.gaps,
            is_recovering: false,
        };
        for transition in self.gate.tick(self.now, facts) {
            self.decided(&transition, effects);
        }
        self.plan_rollouts(effects);
        self.stand();
        self.has_ticked = true;
        self.generation += 1;
    }

    fn revision_names(&self) -> BTreeMap<RevisionId, String> {
        let revisions = self
            .registry
            .services()
            .values()
            .flat_map(|service| service.revisions.iter());
        revisions
            .map(|(id, state)| (*id, state.revision.label()))
            .collect()
    }

    fn event(&mut self, kind: &str, service: &str, text: String) {
        self.events.push_front(EventRow {
            at: self.now,
            kind: kind.to_owned(),
            service: service.to_owned(),
            text,
        });
        self.events.truncate(LISTED_MAX);
    }
}

/// Kind and words of the event list's line about a rollout.
fn told(candidate: &str, change: &RolloutChange) -> (&'static str, String) {
    match change {
        RolloutChange::Started { .. } => ("rollout.started", candidate.to_owned()),
        RolloutChange::Weight { basis_points } => (
            "rollout.weight",
            format!(
                "{candidate}: weight {}.{:02} %",
                basis_points / 100,
                basis_points % 100
            ),
        ),
        RolloutChange::Paused => ("rollout.paused", candidate.to_owned()),
        RolloutChange::Resumed => ("rollout.resumed", candidate.to_owned()),
        RolloutChange::Finished { promoted: true } => {
            ("rollout.finished", format!("{candidate}: promoted"))
        }
        RolloutChange::Finished { promoted: false } => {
            ("rollout.finished", format!("{candidate}: aborted"))
        }
    }
}
