//! One alert as Alertmanager's API v2 takes it: labels are who it is, annotations what it says.
//!
//! Labels never change while the alert stands: a changed label would be another alert, and the old one would hang until its
//! time is over. What changes (burn, tier, evidence) is in the annotations. Sloth's label names stand beside our own, so
//! that routes and inhibit rules written for Sloth go on working.

use super::Alertmanager;
use engine::hash::blake3_128;
use engine::identity::ServiceKey;
use engine::inert::visible;
use engine::input::Subject;
use engine::standing::Standing;
use engine::time::{NANOS_PER_MILLI, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// `alertname` of an SLO's alert.
pub const BURN: &str = "ErrorBudgetBurn";
/// `alertname` of a latched Halt.
pub const HALT: &str = "RolloutHalted";
/// `alertname` of a hand that needs looking at: disarmed by itself, or not armed when it is needed.
pub const HAND: &str = "TidegateHandBlocked";
/// `alertname` of an incident that reaches several services.
pub const INCIDENT: &str = "Incident";
/// Labels that Tidegate writes itself; a configured label of such a name is refused.
pub const OWN_LABELS: [&str; 13] = [
    "incident",
    "alertname",
    "severity",
    "service",
    "namespace",
    "environment",
    "slo",
    "team",
    "revision",
    "sloth_id",
    "sloth_service",
    "sloth_severity",
    "sloth_slo",
];

/// Longest label value, bytes; a longer one is cut and told apart by its hash.
const LABEL_BYTES_MAX: usize = 256;
/// Longest annotation, bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The JSON of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Identity.
    pub labels: BTreeMap<String, String>,
    /// Words and links.
    pub annotations: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: String,
    /// Until when it is to be believed without hearing more; when it ended, if it did.
    pub ends_at: String,
    /// Its page.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
}

impl Alert {
    /// `standing` as it is told at `now`.
    pub fn of(standing: &Standing, to: &Alertmanager, now: Timestamp) -> Self {
        let ends_at = standing
            .ended
            .unwrap_or_else(|| now.plus(u64::try_from(to.hold.as_nanos()).unwrap_or(u64::MAX / 2)));
        Self {
            labels: labels(standing, to),
            annotations: annotations(standing, to),
            starts_at: rfc3339(standing.began),
            ends_at: rfc3339(ends_at),
            generator_url: page(standing, to),
        }
    }
}

fn labels(standing: &Standing, to: &Alertmanager) -> BTreeMap<String, String> {
    let severity = standing.severity.name();
    let mut own: Vec<(&str, String)> = vec![
        ("severity", severity.to_owned()),
        ("team", standing.team.clone()),
    ];
    match &standing.subject {
        Subject::Alert(row) => {
            let service = row.service.name.as_str();
            own.extend([
                ("alertname", BURN.to_owned()),
                ("slo", row.slo.clone()),
                ("sloth_id", format!("{service}-{}", row.slo)),
                ("sloth_service", service.to_owned()),
                ("sloth_slo", row.slo.clone()),
                ("sloth_severity", severity.to_owned()),
            ]);
            own.extend(place(&row.service));
        }
        Subject::Decision(decision) => {
            let answer = &decision.answer;
            own.extend([
                ("alertname", HALT.to_owned()),
                ("revision", answer.candidate.clone()),
            ]);
            own.extend(place(&answer.service));
        }
        Subject::Rollout(_) | Subject::Hand(_) => own.push(("alertname", HAND.to_owned())),
        Subject::Incident(row) => {
            own.extend([
                ("alertname", INCIDENT.to_owned()),
                ("incident", format!("{:032x}", row.id)),
            ]);
        }
    }
    let own = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), label(&value)));
    let mut all = to.labels.clone();
    // An empty label is no label.
    all.extend(own.filter(|(_, value)| !value.is_empty()));
    all
}

fn place(service: &ServiceKey) -> [(&'static str, String); 3] {
    [
        ("service", service.name.clone()),
        ("namespace", service.namespace.clone()),
        ("environment", service.environment.clone()),
    ]
}

fn annotations(standing: &Standing, to: &Alertmanager) -> BTreeMap<String, String> {
    let mut all = vec![
        ("summary", standing.title.clone()),
        ("description", standing.text.clone()),
        ("dashboard", page(standing, to)),
    ];
    match &standing.subject {
        Subject::Alert(row) => all.extend([
            ("alert_id", format!("{:032x}", row.id)),
            ("tier", row.tier.clone()),
            ("long_burn_rate", format!("{:.2}", row.long_burn)),
            ("short_burn_rate", format!("{:.2}", row.short_burn)),
            ("budget_remaining", format!("{:.4}", row.budget_remaining)),
        ]),
        Subject::Decision(decision) => all.extend([
            ("decision_id", format!("{:032x}", decision.id)),
            ("code", decision.answer.code.name().to_owned()),
        ]),
        Subject::Rollout(_) | Subject::Hand(_) => {}
        Subject::Incident(row) => all.extend([
            ("incident_id", format!("{:032x}", row.id)),
            ("scope", row.scope.name().to_owned()),
            (
                "culprit",
                row.culprit()
                    .map_or(String::new(), |culprit| culprit.who.service.name.clone()),
            ),
        ]),
    }
    all.into_iter()
        .map(|(name, value)| (name.to_owned(), words(&value)))
        .collect()
}

/// The page that shows it.
fn page(standing: &Standing, to: &Alertmanager) -> String {
    let base = to.pages.trim_end_matches('/');
    match &standing.subject {
        Subject::Alert(row) => format!("{base}/slo/{:032x}", row.slo_id.0),
        Subject::Decision(decision) => format!("{base}/gate/{:032x}", decision.id),
        Subject::Rollout(_) | Subject::Hand(_) => format!("{base}/rollouts"),
        Subject::Incident(row) => format!("{base}/incident/{:032x}", row.id),
    }
}

/// A label's value: inert, and short enough for any receiver; names that were cut stay different.
fn label(value: &str) -> String {
    let shown: String = value.chars().map(visible).collect();
    if shown.len() <= LABEL_BYTES_MAX {
        return shown;
    }
    let hash = blake3_128("label", &[value.as_bytes()]) >> 96;
    format!("{}…{hash:08x}", cut(&shown, LABEL_BYTES_MAX - 16))
}

/// Text: inert but for line breaks, cut.
fn words(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| if c == '\n' { c } else { visible(c) })
        .collect();
    cut(&shown, TEXT_BYTES_MAX).to_owned()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn rfc3339(time: Timestamp) -> String {
    let millis = i64::try_from(time.0 / NANOS_PER_MILLI).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}
