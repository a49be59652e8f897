//! The snapshot: derived rows for readers, and the facts the gate decides on, from the machines' rows.

use super::Decider;
use crate::gate::{BudgetFacts, ServiceFacts};
use crate::identity::ServiceId;
use crate::slo::{RATIO_ONE, Severity, Sli, SloId};
use crate::snapshot::{AlertState, EngineStatus, ServiceRow, SloRow, Snapshot};
use crate::store::StoreView;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Decider {
    /// The view to publish. Rows of services and SLOs are shared while unchanged.
    pub(crate) fn publish(&mut self, store: StoreView) -> Snapshot {
        Snapshot {
            generation: self.generation,
            as_of: self.now,
            is_recovering: !self.has_ticked,
            services: self.rows.clone(),
            slos: self.slos.rows(),
            gates: self.gate.rows(),
            decisions: self.gate.decisions().cloned().collect(),
            alerts: self.slos.alerts(),
            incidents: self.incidents.clone(),
            standings: Arc::clone(&self.standings),
            events: Arc::new(self.events.iter().cloned().collect()),
            status: Arc::new(self.status()),
            traffic: self.traffic.rows(self.now),
            graph: self.graph.publish(self.now, self.registry.services()),
            rollouts: Arc::new(self.hand.rows()),
            hand: Arc::new(self.hand.row()),
            store,
        }
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            counters: self.counters.clone(),
            definitions_generation: self.definitions.generation,
            problems: self.problems.clone(),
            definitions_loaded_at: self.definitions_loaded_at,
            gaps: self.gaps.clone(),
            dedup_window_secs: self.dedup_window_secs,
            resources: self.registry.resource_count(),
            pending_effects: self.outbox.len() as u64,
            open_spans: self.open_spans,
        }
    }

    /// Rebuilds the service rows; a row that came out equal keeps its `Arc`.
    pub(super) fn refresh_rows(&mut self) {
        let mut slos: BTreeMap<ServiceId, Vec<SloId>> = BTreeMap::new();
        for (id, service) in self.slos.services() {
            slos.entry(service).or_default().push(id);
        }
        let instances = self.registry.instances();
        let mut rows = BTreeMap::new();
        for (id, state) in self.registry.services() {
            let row = ServiceRow {
                id: *id,
                key: state.key.clone(),
                policy: self.definitions.policy_of(&state.key),
                revisions: self
                    .registry
                    .revision_rows(self.now, *id, &instances, |revision| {
                        self.gate.is_known_good(*id, revision)
                    }),
                slos: slos.remove(id).unwrap_or_default(),
                first_seen: state.first_seen,
                last_seen: state.last_seen,
            };
            rows.insert(*id, self.shared(*id, row));
        }
        // Services that only a file names: they are shown too, so that a typing error in a name is seen.
        for (id, slo_ids) in slos {
            let Some(key) = slo_ids
                .first()
                .and_then(|slo| self.definitions.slos.get(slo))
                .map(|slo| slo.service.clone())
            else {
                continue;
            };
            let row = ServiceRow {
                id,
                policy: self.definitions.policy_of(&key),
                key,
                revisions: Vec::new(),
                slos: slo_ids,
                first_seen: Timestamp::EPOCH,
                last_seen: Timestamp::EPOCH,
            };
            rows.insert(id, self.shared(id, row));
        }
        self.rows = rows;
    }

    fn shared(&self, id: ServiceId, row: ServiceRow) -> Arc<ServiceRow> {
        match self.rows.get(&id) {
            Some(known) if **known == row => Arc::clone(known),
            _ => Arc::new(row),
        }
    }

    /// What the gate asks about every service.
    pub(super) fn service_facts(&self) -> BTreeMap<ServiceId, ServiceFacts> {
        self.rows
            .iter()
            .map(|(id, row)| {
                let of_service: Vec<&Arc<SloRow>> = row
                    .slos
                    .iter()
                    .filter_map(|slo| self.slos.row(*slo))
                    .collect();
                (
                    *id,
                    ServiceFacts {
                        row: Arc::clone(row),
                        budget: budget_facts(self.now, &of_service),
                        incident: self.incident_facts(*id),
                    },
                )
            })
            .collect()
    }
}

/// The budget side of a service: its worst SLO, its strictest targets, what fires.
fn budget_facts(now: Timestamp, rows: &[&Arc<SloRow>]) -> BudgetFacts {
    let mut facts = BudgetFacts::default();
    let worst = rows
        .iter()
        .filter(|row| row.budget_remaining.is_some())
        .min_by(|left, right| {
            left.budget_remaining
                .partial_cmp(&right.budget_remaining)
                .unwrap_or(std::cmp::Ordering::Equal)
        });
    if let Some(row) = worst.or(rows.first()) {
        facts.slo.clone_from(&row.slo.name);
        facts.remaining = row.budget_remaining;
    }
    facts.is_implicit = rows.iter().all(|row| row.slo.implicit);
    facts.is_exhausted = rows.iter().any(|row| is_exhausted(now, row));
    let availability = rows
        .iter()
        .filter(|row| matches!(row.slo.sli, Sli::Availability { .. }));
    if let Some(budget) = availability.map(|row| row.slo.target.complement()).min() {
        facts.error_budget = budget;
    }
    facts.latency_threshold_nanos = rows
        .iter()
        .filter_map(|row| match row.slo.sli {
            Sli::Latency {
                threshold_nanos, ..
            } => Some(threshold_nanos),
            _ => None,
        })
        .min();
    facts.page_alert = rows.iter().find_map(|row| {
        let alert = row.alert.as_ref()?;
        let is_paging = alert.state == AlertState::Firing && alert.severity == Severity::Page;
        is_paging.then(|| format!("{}: {}", alert.slo, alert.text))
    });
    facts
}

/// Whether the period's budget is spent: more bad events than it allows at the traffic seen so far, taken over the
/// whole period. A budget seconds old is not spent by its first failure: `bad > (1 - target) * total * period / observed`.
fn is_exhausted(now: Timestamp, row: &SloRow) -> bool {
    let observed_secs = now
        .secs()
        .saturating_sub(row.observed_since.secs())
        .clamp(1, row.slo.period_secs.max(1));
    let budget = u128::from(row.slo.target.complement().parts_per_billion);
    let spent = u128::from(row.period.bad) * u128::from(RATIO_ONE) * u128::from(observed_secs);
    spent > budget * u128::from(row.period.total()) * u128::from(row.slo.period_secs)
}
