//! Rollouts of the cluster, the hand, and the answer to an Argo analysis.

use super::{hex, rfc3339};
use engine::hand::{ArgoAnswer, HandRow, RolloutRow};
use engine::inert::inert;
use engine::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reason in an answer to Argo, bytes: an AnalysisRun keeps ten of them, so each stays below 1 KB whatever is in it.
const REASON_BYTES_MAX: usize = 360;

/// The hand: whether rollouts are halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandBody {
    /// Whether a cluster is watched.
    pub watching: bool,
    /// Whether the watch has seen everything since the start.
    pub synced: bool,
    /// Highest level of any service: `observe`, `advise`, `gate` or `act`.
    pub max_level: String,
    /// Whether actions would be taken.
    pub armed: bool,
    /// Whether somebody, or Tidegate itself, disarmed it.
    pub disarmed: bool,
    /// When; empty while it is not.
    pub disarmed_at: String,
    /// `armed`, or why not.
    pub words: String,
    /// Rollouts watched.
    pub rollouts: u64,
    /// Rollouts beyond the bound, which are not watched.
    pub unwatched: u64,
    /// Actions of the last 10 min, fleet-wide.
    pub actions_last_10_minutes: u64,
}

impl From<&HandRow> for HandBody {
    fn from(row: &HandRow) -> Self {
        let disarmed = row.disarmed.as_ref();
        Self {
            watching: row.is_watching,
            synced: row.is_synced,
            max_level: row.max_level.name().to_owned(),
            armed: row.is_armed,
            disarmed: disarmed.is_some(),
            disarmed_at: disarmed.map_or_else(String::new, |one| rfc3339(one.at)),
            words: row.words(),
            rollouts: row.workloads,
            unwatched: row.unwatched,
            actions_last_10_minutes: row.actions_recent,
        }
    }
}

/// One workload of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutBody {
    /// `Deployment` or `Rollout` (Argo).
    pub kind: String,
    /// Kubernetes namespace.
    pub object_namespace: String,
    /// Name of the object.
    pub object: String,
    /// Service; what the object calls it while its spans are not recognized.
    pub service: String,
    /// Namespace of the service; empty when none.
    pub namespace: String,
    /// Environment of the service; empty when none.
    pub environment: String,
    /// Pod template hash of the newest template.
    pub candidate: String,
    /// Pod template hash of the stable one; empty when there is none.
    pub stable: String,
    /// What telemetry calls the newest template; empty while it is not recognized.
    pub revision: String,
    /// `stable`, `progressing`, `paused`, `aborted` or `unknown`.
    pub phase: String,
    /// Index of the step it is in.
    pub step: Option<u32>,
    /// Number of steps.
    pub steps: u32,
    /// Share of traffic of the newest template, percent.
    pub weight_percent: Option<f64>,
    /// Level in force.
    pub level: String,
    /// The gate's verdict.
    pub verdict: String,
    /// Its code.
    pub code: String,
    /// Its first reason.
    pub reason: String,
    /// Its recorded decision; empty when there is none.
    pub decision_id: String,
    /// What the hand does: `watching`, `advising`, `blocked`, `acting`, `done`, `halted`, `resumed`, `powerless`, `failed`.
    pub hand: String,
    /// The same in words; empty while it only watches.
    pub words: String,
    /// Since when; empty while it only watches.
    pub hand_since: String,
}

impl From<&RolloutRow> for RolloutBody {
    fn from(row: &RolloutRow) -> Self {
        let service = row.service.as_ref();
        let name = service.map_or(&row.service_name, |key| &key.name);
        Self {
            kind: row.object.kind.name().to_owned(),
            object_namespace: row.object.namespace.clone(),
            object: row.object.name.clone(),
            service: name.clone(),
            namespace: service.map_or_else(String::new, |key| key.namespace.clone()),
            environment: service.map_or_else(String::new, |key| key.environment.clone()),
            candidate: row.candidate.clone(),
            stable: row.stable.clone(),
            revision: row.revision_name.clone(),
            phase: row.phase.name().to_owned(),
            step: row.step,
            steps: row.steps,
            weight_percent: row.weight.map(|weight| f64::from(weight) / 100.0),
            level: row.level.name().to_owned(),
            verdict: row.verdict.name().to_owned(),
            code: row.code.name().to_owned(),
            reason: row.reason.clone(),
            decision_id: decision(row.decision_id),
            hand: row.hand.name().to_owned(),
            words: row.words.clone(),
            hand_since: rfc3339(row.hand_since),
        }
    }
}

fn decision(id: u128) -> String {
    if id == 0 { String::new() } else { hex(id) }
}

/// Answer of `GET /v1/rollouts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutsBody {
    /// Logical time the answer speaks of.
    pub as_of: String,
    /// The hand.
    pub hand: HandBody,
    /// Rollouts, by kind, namespace and name.
    pub rollouts: Vec<RolloutBody>,
}

impl RolloutsBody {
    /// The rollouts that `wanted` wants.
    pub fn of(snapshot: &Snapshot, wanted: impl Fn(&RolloutRow) -> bool) -> Self {
        let rows = snapshot.rollouts.iter().filter(|row| wanted(row));
        Self {
            as_of: rfc3339(snapshot.as_of),
            hand: HandBody::from(&*snapshot.hand),
            rollouts: rows.map(|row| RolloutBody::from(&**row)).collect(),
        }
    }
}

/// The part of an answer that an AnalysisRun keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArgoGateBody {
    /// `proceed`, `wait` or `halt`.
    pub verdict: String,
    /// Machine-readable reason.
    pub code: String,
    /// Why, in one line.
    pub reason: String,
    /// The recorded decision; empty while none is recorded.
    pub decision_id: String,
}

/// Answer of `GET /v1/gate/argo`: at most 1 KB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArgoBody {
    /// The answer.
    pub gate: ArgoGateBody,
}

impl ArgoBody {
    /// The answer; `None` while recovering.
    pub fn of(answer: Option<&ArgoAnswer>) -> Self {
        let gate = answer.map_or_else(
            || ArgoGateBody {
                verdict: "wait".to_owned(),
                code: "RECOVERING".to_owned(),
                reason: "the state is being loaded".to_owned(),
                decision_id: String::new(),
            },
            |answer| {
                let reason = inert(&answer.reason);
                ArgoGateBody {
                    verdict: answer.verdict.name().to_owned(),
                    code: answer.code.to_owned(),
                    reason: reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned(),
                    decision_id: decision(answer.decision_id),
                }
            },
        );
        Self { gate }
    }
}
