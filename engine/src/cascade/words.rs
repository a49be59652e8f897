//! An incident in words, and the row that is published.

use super::incident::{Culprit, Incident, Scope};
use super::machine::CascadeMachine;
use super::node::Node;
use super::rank::Channel;
use super::row::{ChangeRow, IncidentRow, Named, OnsetRow, SuspectRow};
use super::window::BLOCK_SECS;
use crate::gate::words::{count, duration, list, percent};
use crate::identity::{RevisionId, ServiceId, ServiceKey};
use crate::registry::ServiceState;
use crate::slo::Severity;
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;

/// Most names said in a sentence.
const NAMES_MAX: usize = 6;
/// Most victims and onsets in a row.
const ROWS_MAX: usize = 200;

impl CascadeMachine {
    /// The published row of `incident`.
    pub fn row(
        &self,
        now: Timestamp,
        incident: &Incident,
        services: &BTreeMap<ServiceId, ServiceState>,
    ) -> IncidentRow {
        let names = Names {
            machine: self,
            services,
        };
        let mut row = IncidentRow {
            id: incident.id,
            state: incident.state,
            scope: incident.scope,
            trigger: incident.trigger,
            sustained: incident.sustained,
            severity: severity(incident),
            culprits: names.suspects(&incident.culprits),
            candidates: names.suspects(&incident.candidates),
            victims: incident
                .victims
                .iter()
                .take(ROWS_MAX)
                .map(|node| names.of(*node))
                .collect(),
            onset: names.onset(incident),
            changes: names.changes(incident),
            blast: incident.blast,
            forecast: incident.forecast.clone(),
            trace_ids: Vec::new(),
            alerts: incident.alerts.clone(),
            opened_at: incident.opened_at,
            began_at: Timestamp::from_secs(incident.onset),
            resolved_at: incident.resolved_at,
            reopened: incident.reopened,
            revised: incident.revised,
            merged_into: incident.merged_into,
            is_learning: incident.is_learning,
            is_told: incident.is_told,
            title: String::new(),
            text: String::new(),
            as_of: incident.resolved_at.unwrap_or(incident.last_hot).min(now),
        };
        row.title = title(&row);
        row.text = text(&row);
        row
    }
}

/// A failure that reaches roots, or that an SLO pages for, is a page.
fn severity(incident: &Incident) -> Severity {
    let is_felt = incident.blast.traces_failed > 0 || !incident.victims.is_empty();
    if is_felt && !incident.is_learning || !incident.alerts.is_empty() {
        Severity::Page
    } else {
        Severity::Ticket
    }
}

struct Names<'a> {
    machine: &'a CascadeMachine,
    services: &'a BTreeMap<ServiceId, ServiceState>,
}

impl Names<'_> {
    fn of(&self, node: Node) -> Named {
        let service = match node {
            Node::Service(id) => match self.services.get(&id) {
                Some(state) => state.key.clone(),
                None => ServiceKey {
                    name: format!("{:08x}", id.0 >> 96),
                    ..ServiceKey::default()
                },
            },
            Node::Peer(peer) => ServiceKey {
                name: self.machine.aliases().name(peer).to_owned(),
                ..ServiceKey::default()
            },
        };
        Named { node, service }
    }

    fn revision(&self, revision: RevisionId) -> String {
        let states = self.services.values();
        states
            .filter_map(|service| service.revisions.get(&revision))
            .map(|state| state.revision.label())
            .next()
            .unwrap_or_default()
    }

    fn suspects(&self, suspects: &[Culprit]) -> Vec<SuspectRow> {
        suspects
            .iter()
            .map(|suspect| SuspectRow {
                who: self.of(suspect.node),
                revision_id: suspect.revision,
                revision: suspect
                    .revision
                    .map(|revision| self.revision(revision))
                    .unwrap_or_default(),
                channel: suspect.channel,
                class: suspect.class,
                score: suspect.score,
            })
            .collect()
    }

    fn onset(&self, incident: &Incident) -> Vec<OnsetRow> {
        let order = incident.order().into_iter().take(ROWS_MAX);
        order
            .map(|(node, onset)| OnsetRow {
                who: self.of(node),
                at: Timestamp::from_secs(onset),
                until: incident
                    .nodes
                    .get(&node)
                    .map_or(incident.last_hot, |reached| reached.last_hot),
                is_culprit: incident.is_culprit(node),
            })
            .collect()
    }

    fn changes(&self, incident: &Incident) -> Vec<ChangeRow> {
        incident
            .changes
            .iter()
            .map(|change| ChangeRow {
                kind: change.kind.clone(),
                text: change.text.clone(),
                at: change.at,
                revision: change
                    .revision
                    .map(|revision| self.revision(revision))
                    .unwrap_or_default(),
            })
            .collect()
    }
}

/// `checkout v2`.
fn named(suspect: &SuspectRow) -> String {
    match suspect.revision.as_str() {
        "" => suspect.who.service.name.clone(),
        revision => format!("{} {revision}", suspect.who.service.name),
    }
}

fn wrong(suspect: &SuspectRow) -> &'static str {
    match suspect.channel {
        Channel::Errors | Channel::Failing => "fails",
        Channel::Tolerated => "fails, callers cope with it",
        Channel::Unreachable => "cannot be reached",
        Channel::Late => "answers too late",
        Channel::Slow => "works slower than before",
        Channel::Network => "is slow to reach",
        Channel::Overloaded => "works for callers that have gone (retry storm)",
        Channel::Incomplete => "leaves out parts of its work",
        Channel::Logs => "logs errors",
    }
}

fn title(row: &IncidentRow) -> String {
    let Some(first) = row.culprit() else {
        return "a failure, its culprit is not known yet".to_owned();
    };
    let who = if row.scope == Scope::CommonCause {
        let names: Vec<String> = row.culprits.iter().map(named).collect();
        format!("{} together: {}", list(&names, NAMES_MAX), wrong(first))
    } else {
        format!("{} {}", named(first), wrong(first))
    };
    match row.victims.len() {
        0 => who,
        1 => format!("{who}, {} suffers", row.victims[0].service.name),
        many => format!("{who}, {} services suffer", count(many as u64)),
    }
}

fn text(row: &IncidentRow) -> String {
    let mut lines = Vec::new();
    if let Some(first) = row.culprit() {
        let class = if first.class.is_failure() {
            format!(" ({})", first.class.name())
        } else {
            String::new()
        };
        lines.push(format!(
            "culprit: {} {}{class}; {} of all suspicion",
            named(first),
            wrong(first),
            percent(first.score)
        ));
    }
    if row.victims.is_empty() {
        lines.push("nobody else suffers from it".to_owned());
    } else {
        let names: Vec<String> = row
            .victims
            .iter()
            .map(|victim| victim.service.name.clone())
            .collect();
        lines.push(format!("victims: {}", list(&names, NAMES_MAX)));
    }
    if let Some(began) = row.onset.first().map(|first| first.at) {
        let order: Vec<String> = row
            .onset
            .iter()
            .map(|reached| {
                let after = reached.at.since(began) / NANOS_PER_SEC;
                format!("{} +{after} s", reached.who.service.name)
            })
            .collect();
        lines.push(format!("order: {}", list(&order, NAMES_MAX)));
    }
    if row.blast.traces_failed > 0 {
        lines.push(format!(
            "{} requests failed by it, of {} that came in",
            count(row.blast.traces_failed),
            count(row.blast.entries)
        ));
    }
    match row.changes.first() {
        Some(change) => lines.push(format!("likely change: {} ({})", change.text, change.kind)),
        None => lines.push("no change of the culprit is known to be behind it".to_owned()),
    }
    if let Some(storm) = &row.sustained {
        lines.push(format!(
            "it feeds itself: {:.1} attempts per call, {} of the answers are to callers that have gone; turn away {} of the attempts",
            storm.attempts,
            percent(storm.wasted),
            percent(storm.shed)
        ));
    }
    if let Some(earliest) = row.forecast.earliest_secs {
        let latest = row
            .forecast
            .latest_secs
            .map_or_else(String::new, |latest| format!(" to {}", duration(latest)));
        lines.push(format!(
            "the budget of {} is gone in {}{latest} at this rate",
            row.forecast.slo,
            duration(earliest)
        ));
    }
    if row.is_learning {
        lines.push(format!(
            "LEARNING: it was noticed by bounds that are assumed until enough blocks of {BLOCK_SECS} s were seen"
        ));
    }
    lines.join("\n")
}
