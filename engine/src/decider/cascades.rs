//! Incidents: what the cascade machine is told at a tick, and what people are told of it.

use super::Decider;
use crate::cascade::change::Change;
use crate::cascade::forecast::SloFact;
use crate::cascade::incident::{Incident, Scope};
use crate::cascade::machine::{CascadeFacts, FALSE_ALARM_SECS, IncidentChange, IncidentTransition};
use crate::cascade::node::Node;
use crate::cascade::row::IncidentRow;
use crate::gate::IncidentFacts;
use crate::identity::{RevisionId, ServiceId};
use crate::input::{Effect, Notification, Subject};
use crate::slo::Sli;
use crate::slo_machine::{AlertChange, AlertTransition};
use crate::snapshot::AlertState;
use crate::time::Timestamp;
use std::sync::Arc;

impl Decider {
    /// Looks for cascades, and tells what changed. Called after the SLOs, before the gate.
    pub(super) fn tick_cascades(&mut self, effects: &mut Vec<Effect>) {
        let alerts: Vec<_> = self
            .slos
            .alerts()
            .into_iter()
            .filter(|row| row.state == AlertState::Firing)
            .collect();
        let slos = if self.cascade.has_open() {
            self.slo_facts()
        } else {
            Vec::new()
        };
        let facts = CascadeFacts {
            false_alarm_secs: match self.definitions.false_alarm_secs {
                0 => FALSE_ALARM_SECS,
                secs => secs,
            },
            services: self.registry.services(),
            alerts: &alerts,
            slos: &slos,
        };
        let transitions = self.cascade.tick(self.now, facts);
        self.refresh_incidents();
        for transition in transitions {
            self.incident_changed(transition, effects);
        }
    }

    fn slo_facts(&self) -> Vec<SloFact> {
        let rows = self.slos.rows();
        rows.values()
            .filter(|row| matches!(row.slo.sli, Sli::Availability { .. }))
            .filter_map(|row| {
                Some(SloFact {
                    service: row.slo.service_id,
                    name: format!("{}/{}", row.slo.service.name, row.slo.name),
                    remaining: row.budget_remaining?,
                    period_secs: row.slo.period_secs,
                    allowed: row.slo.target.complement().parts_per_billion as f64 / 1e9,
                })
            })
            .collect()
    }

    /// Rows of incidents; one that came out equal keeps its `Arc`.
    fn refresh_incidents(&mut self) {
        let services = self.registry.services();
        let rows = self.cascade.incidents().map(|incident| {
            let over = self.incidents.iter().find(|row| row.id == incident.id);
            if let Some(over) = over
                && !incident.is_open()
                && !over.is_open()
            {
                return Arc::clone(over);
            }
            let row = self.cascade.row(self.now, incident, services);
            let known = self.incidents.iter().find(|known| known.id == row.id);
            match known {
                Some(known) if **known == row => Arc::clone(known),
                _ => Arc::new(row),
            }
        });
        let mut rows: Vec<Arc<IncidentRow>> = rows.collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.opened_at), row.id));
        self.incidents = rows;
    }

    fn incident_changed(&mut self, transition: IncidentTransition, effects: &mut Vec<Effect>) {
        let found = self.incidents.iter().find(|row| row.id == transition.id);
        let Some(row) = found.cloned() else { return };
        let (kind, is_told) = match transition.change {
            IncidentChange::Opened => ("incident.opened", false),
            IncidentChange::Spread => ("incident.spread", true),
            IncidentChange::Revised => ("incident.revised", false),
            IncidentChange::Resolved => ("incident.resolved", row.is_told),
            IncidentChange::Reopened => ("incident.reopened", row.is_told),
        };
        let service = row
            .culprit()
            .map_or(String::new(), |culprit| culprit.who.service.name.clone());
        self.event(kind, &service, row.title.clone());
        if !is_told {
            return;
        }
        if row.is_open() {
            self.stand_incident(&row);
        }
        let notification = of_incident(transition.change, &row, self.now);
        let cause = [
            &row.id.to_le_bytes()[..],
            notification.event.as_bytes(),
            &self.now.0.to_le_bytes()[..],
        ]
        .concat();
        self.notify(&cause, &[], notification, effects);
    }

    /// Whether an alert's change is told by an incident that people know of.
    pub(super) fn is_child(&mut self, transition: &AlertTransition) -> bool {
        let row = &transition.row;
        if transition.change == AlertChange::Resolved {
            return self.children.remove(&row.id);
        }
        let told = self.cascade.concerning(row.service.id());
        if told.is_some_and(|incident| incident.is_told) {
            self.children.insert(row.id);
        }
        self.children.contains(&row.id)
    }

    /// What the gate of `service` has to know of incidents.
    pub(super) fn incident_facts(&self, service: ServiceId) -> Option<IncidentFacts> {
        let node = Node::Service(service);
        let open = self
            .cascade
            .incidents()
            .filter(|incident| incident.is_open());
        let mut found: Vec<(u8, &Incident)> = open
            .filter(|incident| incident.scope != Scope::Isolated)
            .filter_map(|incident| {
                let is_cause = incident.causes.iter().any(|cause| cause.service == service);
                let rank = if is_cause {
                    0
                } else if incident.is_culprit(node) {
                    2
                } else if incident.concerns(node) {
                    1
                } else if self.cascade.is_neighbor(service, incident) {
                    3
                } else {
                    return None;
                };
                Some((rank, incident))
            })
            .collect();
        found.sort_by_key(|(rank, incident)| (*rank, incident.opened_at, incident.id));
        let (rank, incident) = found.first()?;
        let row = self.incidents.iter().find(|row| row.id == incident.id)?;
        Some(IncidentFacts {
            id: incident.id,
            causes: incident
                .causes
                .iter()
                .filter(|cause| cause.service == service)
                .map(|cause| cause.revision)
                .collect(),
            is_victim: *rank == 1,
            title: row.title.clone(),
        })
    }

    /// A reported change, for attribution.
    pub(super) fn note_change(
        &mut self,
        kind: &str,
        text: &str,
        service: ServiceId,
        revision: Option<RevisionId>,
        at: Timestamp,
    ) {
        let at = if at == Timestamp::EPOCH { self.now } else { at };
        self.cascade.changed(Change {
            kind: kind.to_owned(),
            text: text.to_owned(),
            service,
            revision,
            at,
        });
    }
}

/// What people are told of an incident.
pub fn of_incident(change: IncidentChange, row: &Arc<IncidentRow>, at: Timestamp) -> Notification {
    let (event, verb) = match change {
        IncidentChange::Opened | IncidentChange::Spread => ("incident.opened", "incident"),
        IncidentChange::Revised => ("incident.revised", "incident, another culprit"),
        IncidentChange::Resolved => ("incident.resolved", "incident over"),
        IncidentChange::Reopened => ("incident.reopened", "incident again"),
    };
    Notification {
        event: event.to_owned(),
        severity: row.severity,
        title: format!("{verb}: {}", row.title),
        text: row.text.clone(),
        at,
        subject: Subject::Incident(Arc::clone(row)),
    }
}
