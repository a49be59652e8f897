//! The message as JSON: `{type, timestamp, data}` of Standard Webhooks.

use engine::cascade::row::IncidentRow;
use engine::hand::{HandRow, RolloutRow};
use engine::identity::ServiceKey;
use engine::inert::inert;
use engine::input::{Notification, Subject};
use engine::snapshot::{AlertRow, Decision};
use engine::time::{NANOS_PER_MILLI, Timestamp};
use serde_json::{Value, json};

/// Longest text sent; a message stays below the 20 KB that receivers are advised to accept.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Most victims named; the others are counted.
const VICTIMS_MAX: usize = 50;
const TITLE_BYTES_MAX: usize = 256;
const SENTENCE_BYTES_MAX: usize = 1024;

/// The body of a notification. Words may quote names from telemetry and are inert and short; the fields that say who
/// is meant are exact.
pub fn body(notification: &Notification) -> Vec<u8> {
    let subject = match &notification.subject {
        Subject::Alert(alert) => alert_json(alert),
        Subject::Decision(decision) => decision_json(decision),
        Subject::Rollout(row) => rollout_json(row),
        Subject::Hand(row) => hand_json(row),
        Subject::Incident(incident) => incident_json(incident),
    };
    let mut data = json!({
        "title": shown(&notification.title, TITLE_BYTES_MAX),
        "text": shown(&notification.text, TEXT_BYTES_MAX),
        "severity": notification.severity.name(),
    });
    if let (Value::Object(data), Value::Object(subject)) = (&mut data, subject) {
        data.extend(subject);
    }
    let message =
        json!({ "type": notification.event, "timestamp": rfc3339(notification.at), "data": data });
    message.to_string().into_bytes()
}

fn alert_json(alert: &AlertRow) -> Value {
    json!({
        "alert_id": format!("{:032x}", alert.id),
        "slo": alert.slo,
        "service": alert.service.name,
        "namespace": alert.service.namespace,
        "environment": alert.service.environment,
        "team": alert.team,
        "state": alert.state.name(),
        "tier": alert.tier,
        "since": rfc3339(alert.since),
        "long_burn_rate": alert.long_burn,
        "short_burn_rate": alert.short_burn,
        "budget_remaining": alert.budget_remaining,
    })
}

fn decision_json(decision: &Decision) -> Value {
    let answer = &decision.answer;
    json!({
        "decision_id": format!("{:032x}", decision.id),
        "service": answer.service.name,
        "namespace": answer.service.namespace,
        "environment": answer.service.environment,
        "candidate": answer.candidate,
        "baseline": answer.baseline,
        "verdict": answer.verdict.name(),
        "code": answer.code.name(),
        "reasons": sentences(&answer.reasons),
        "notes": sentences(&answer.notes),
        "counterfactual": shown(&answer.counterfactual, SENTENCE_BYTES_MAX),
        "latched": decision.latched,
        "cleared_reason": decision.cleared_reason,
        "candidate_units": answer.evidence.candidate.units,
        "candidate_failed": answer.evidence.candidate.failed,
        "baseline_units": answer.evidence.baseline.units,
        "baseline_failed": answer.evidence.baseline.failed,
    })
}

fn rollout_json(row: &RolloutRow) -> Value {
    let service = row.service.as_ref();
    json!({
        "kind": row.object.kind.name(),
        "object_namespace": row.object.namespace,
        "object": row.object.name,
        "service": service.map_or(row.service_name.as_str(), |key| &key.name),
        "namespace": service.map_or("", |key| &key.namespace),
        "environment": service.map_or("", |key| &key.environment),
        "candidate": row.candidate,
        "stable": row.stable,
        "revision": row.revision_name,
        "phase": row.phase.name(),
        "step": row.step,
        "steps": row.steps,
        "level": row.level.name(),
        "verdict": row.verdict.name(),
        "code": row.code.name(),
        "reason": shown(&row.reason, SENTENCE_BYTES_MAX),
        "decision_id": format!("{:032x}", row.decision_id),
        "hand": row.hand.name(),
        "words": shown(&row.words, SENTENCE_BYTES_MAX),
    })
}

fn hand_json(row: &HandRow) -> Value {
    json!({
        "armed": row.is_armed,
        "disarmed": row.disarmed.is_some(),
        "words": shown(&row.words(), SENTENCE_BYTES_MAX),
        "rollouts": row.workloads,
        "actions_last_10_minutes": row.actions_recent,
    })
}

fn incident_json(incident: &IncidentRow) -> Value {
    let culprit = incident.culprit();
    let service = culprit.map(|culprit| &culprit.who.service);
    let name = |key: &ServiceKey| key.name.clone();
    json!({
        "incident_id": format!("{:032x}", incident.id),
        "state": incident.state.name(),
        "scope": incident.scope.name(),
        "trigger": incident.trigger.name(),
        "sustained": incident.sustained.is_some(),
        "service": service.map(name).unwrap_or_default(),
        "namespace": service.map(|key| key.namespace.clone()).unwrap_or_default(),
        "environment": service.map(|key| key.environment.clone()).unwrap_or_default(),
        "revision": culprit.map(|culprit| culprit.revision.clone()).unwrap_or_default(),
        "class": culprit.map(|culprit| culprit.channel.name()).unwrap_or_default(),
        "failure": culprit.map(|culprit| culprit.class.name()).unwrap_or_default(),
        "victims": incident.victims.iter().take(VICTIMS_MAX).map(|victim| name(&victim.service)).collect::<Vec<_>>(),
        "victim_count": incident.victims.len(),
        "alert_ids": incident.alerts.iter().map(|id| format!("{id:032x}")).collect::<Vec<_>>(),
        "opened_at": rfc3339(incident.opened_at),
    })
}

fn sentences(of: &[String]) -> Vec<String> {
    of.iter()
        .map(|text| shown(text, SENTENCE_BYTES_MAX))
        .collect()
}

/// `text` inert but for line breaks, cut.
fn shown(text: &str, bytes_max: usize) -> String {
    let text = &text[..text.floor_char_boundary(bytes_max)];
    text.lines().map(inert).collect::<Vec<_>>().join("\n")
}

fn rfc3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.0 / NANOS_PER_MILLI).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
