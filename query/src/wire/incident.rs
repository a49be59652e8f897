//! Incidents.

use super::{hex, rfc3339};
use engine::cascade::row::{IncidentRow, Named, SuspectRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A service, or a peer known by what its clients say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhoBody {
    /// `service` or `peer`.
    pub kind: String,
    /// Id.
    pub id: String,
    /// Name.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
}

impl From<&Named> for WhoBody {
    fn from(named: &Named) -> Self {
        Self {
            kind: named.kind().to_owned(),
            id: hex(named.node.number()),
            service: named.service.name.clone(),
            namespace: named.service.namespace.clone(),
            environment: named.service.environment.clone(),
        }
    }
}

/// A suspect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuspectBody {
    /// Who.
    #[serde(flatten)]
    pub who: WhoBody,
    /// Which revision; empty when none stands out.
    pub revision: String,
    /// What is wrong with it: `errors`, `tolerated_errors`, `failing_calls`, `unreachable`, `late`, `slow`, `network`,
    /// `overloaded`, `incomplete` or `log_errors`.
    pub class: String,
    /// How its failures end: `ok`, `server_5xx`, `timeout`, ...
    pub failure: String,
    /// Its share of all suspicion, 0..1.
    pub score: f64,
}

impl From<&SuspectRow> for SuspectBody {
    fn from(row: &SuspectRow) -> Self {
        Self {
            who: (&row.who).into(),
            revision: row.revision.clone(),
            class: row.channel.name().to_owned(),
            failure: row.class.name().to_owned(),
            score: row.score,
        }
    }
}

/// When a node was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OnsetBody {
    /// Who.
    #[serde(flatten)]
    pub who: WhoBody,
    /// Event time of the first sign.
    pub at: String,
    /// Until when it was seen.
    pub until: String,
    /// Whether it is a culprit.
    pub culprit: bool,
}

/// A change that may be behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeBody {
    /// `revision`, `rollout.started`, `deploy`, ...
    pub kind: String,
    /// In words.
    pub text: String,
    /// When.
    pub at: String,
    /// The revision it brought; empty when it is of the service as a whole.
    pub revision: String,
}

/// How much it hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HitBody {
    /// Requests from outside that failed by it.
    pub traces_failed: u64,
    /// Requests from outside meanwhile.
    pub entries: u64,
    /// Services that could be hit: all that reach the culprit.
    pub potential: u64,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForecastBody {
    /// The SLO whose budget is gone first; empty when none burns.
    pub slo: String,
    /// Earliest, s; absent when none burns.
    pub exhausted_in_seconds_earliest: Option<u64>,
    /// Latest, s; absent when it may be never.
    pub exhausted_in_seconds_latest: Option<u64>,
}

/// The storm that keeps it going.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StormBody {
    /// Since when.
    pub since: String,
    /// Attempts per logical call.
    pub attempts_per_call: f64,
    /// Share of answers nobody waits for.
    pub wasted: f64,
    /// Good answers per logical call.
    pub goodput: f64,
    /// Share of the attempts to turn away.
    pub shed: f64,
}

/// Proof.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct IncidentEvidenceBody {
    /// Example traces; empty when none is known.
    pub trace_ids: Vec<String>,
}

/// An incident: one failure, however many services suffer from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentBody {
    /// Id.
    pub id: String,
    /// `opened`, `growing`, `contained` or `resolved`.
    pub state: String,
    /// `isolated`, `cascade` or `common_cause`.
    pub scope: String,
    /// `change`, `surge`, `dependency`, `infrastructure` or `unknown`.
    pub trigger: String,
    /// Whether it feeds itself: its trigger is gone, and it stays.
    pub sustained: bool,
    /// How, when it does.
    pub storm: Option<StormBody>,
    /// `page` or `ticket`.
    pub severity: String,
    /// The culprit; absent while it is not known.
    pub culprit: Option<SuspectBody>,
    /// Further culprits of a common cause.
    pub accomplices: Vec<SuspectBody>,
    /// Suspects, most suspect first.
    pub candidates: Vec<SuspectBody>,
    /// Whom it hits.
    pub victims: Vec<WhoBody>,
    /// In which order it reached them.
    pub onset: Vec<OnsetBody>,
    /// Likely changes, most likely first.
    pub changes: Vec<ChangeBody>,
    /// How much it hits.
    pub blast: HitBody,
    /// What comes next.
    pub forecast: ForecastBody,
    /// Proof.
    pub evidence: IncidentEvidenceBody,
    /// Ids of alerts that are its children.
    pub alerts: Vec<String>,
    /// When it opened.
    pub opened_at: String,
    /// Event time it began.
    pub began_at: String,
    /// When it was resolved; empty while it goes on.
    pub resolved_at: String,
    /// Times it was opened again.
    pub reopened: u32,
    /// Times its culprit changed.
    pub revised: u32,
    /// The incident it became part of; empty when it stands by itself.
    pub merged_into: String,
    /// Whether it rests on assumed bounds alone: its detectors are still learning.
    pub learning: bool,
    /// One line.
    pub title: String,
    /// In words.
    pub text: String,
    /// When it last changed.
    pub as_of: String,
}

impl From<&IncidentRow> for IncidentBody {
    fn from(row: &IncidentRow) -> Self {
        Self {
            id: hex(row.id),
            state: row.state.name().to_owned(),
            scope: row.scope.name().to_owned(),
            trigger: row.trigger.name().to_owned(),
            sustained: row.sustained.is_some(),
            storm: row.sustained.map(|storm| StormBody {
                since: rfc3339(storm.since),
                attempts_per_call: storm.attempts,
                wasted: storm.wasted,
                goodput: storm.goodput,
                shed: storm.shed,
            }),
            severity: row.severity.name().to_owned(),
            culprit: row.culprit().map(Into::into),
            accomplices: row.culprits.iter().skip(1).map(Into::into).collect(),
            candidates: row.candidates.iter().map(Into::into).collect(),
            victims: row.victims.iter().map(Into::into).collect(),
            onset: row
                .onset
                .iter()
                .map(|onset| OnsetBody {
                    who: (&onset.who).into(),
                    at: rfc3339(onset.at),
                    until: rfc3339(onset.until),
                    culprit: onset.is_culprit,
                })
                .collect(),
            changes: row
                .changes
                .iter()
                .map(|change| ChangeBody {
                    kind: change.kind.clone(),
                    text: change.text.clone(),
                    at: rfc3339(change.at),
                    revision: change.revision.clone(),
                })
                .collect(),
            blast: HitBody {
                traces_failed: row.blast.traces_failed,
                entries: row.blast.entries,
                potential: row.blast.potential,
            },
            forecast: ForecastBody {
                slo: row.forecast.slo.clone(),
                exhausted_in_seconds_earliest: row.forecast.earliest_secs,
                exhausted_in_seconds_latest: row.forecast.latest_secs,
            },
            evidence: IncidentEvidenceBody {
                trace_ids: row.trace_ids.iter().map(|id| hex(*id)).collect(),
            },
            alerts: row.alerts.iter().map(|id| hex(*id)).collect(),
            opened_at: rfc3339(row.opened_at),
            began_at: rfc3339(row.began_at),
            resolved_at: row.resolved_at.map(rfc3339).unwrap_or_default(),
            reopened: row.reopened,
            revised: row.revised,
            merged_into: row.merged_into.map(hex).unwrap_or_default(),
            learning: row.is_learning,
            title: row.title.clone(),
            text: row.text.clone(),
            as_of: rfc3339(row.as_of),
        }
    }
}
