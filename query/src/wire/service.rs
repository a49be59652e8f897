//! Services, revisions, events and the engine's own status.

use super::doctor::{self, NoticeBody};
use super::{hex, rfc3339};
use engine::anomaly;
use engine::delta::Counter;
use engine::delta::Fate;
use engine::input::Problem;
use engine::items::Signal;
use engine::snapshot::{EventRow, RevisionRow, ServiceRow, SloRow, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One revision of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionBody {
    /// Id.
    pub id: String,
    /// Value of the attribute that tells it; empty when nothing does.
    pub revision: String,
    /// What a person calls it: `service.version` with the value that identifies it.
    pub label: String,
    /// The attribute that tells it.
    pub source: String,
    /// Every revision attribute: `--candidate` takes any of these values.
    pub attributes: BTreeMap<String, String>,
    /// `release`, `intercept` or `branch`.
    pub kind: String,
    /// First span.
    pub first_seen: String,
    /// Last span.
    pub last_seen: String,
    /// Spans of the last minute.
    pub spans_last_minute: u64,
    /// Live instances.
    pub instances: u64,
    /// Seen within a minute.
    pub live: bool,
    /// Served well before.
    pub known_good: bool,
    /// Least (receive - end) of the last minute, s.
    pub lag_seconds: f64,
}

impl From<&RevisionRow> for RevisionBody {
    fn from(row: &RevisionRow) -> Self {
        use engine::identity::RevisionKind;
        Self {
            id: hex(row.revision.id.0),
            revision: row.revision.value.clone(),
            label: row.revision.label(),
            source: row.revision.source.attribute().to_owned(),
            attributes: row
                .revision
                .attributes
                .iter()
                .map(|(source, value)| (source.attribute().to_owned(), value.clone()))
                .collect(),
            kind: match row.revision.kind {
                RevisionKind::Release => "release",
                RevisionKind::Intercept => "intercept",
                RevisionKind::Branch => "branch",
            }
            .to_owned(),
            first_seen: rfc3339(row.first_seen),
            last_seen: rfc3339(row.last_seen),
            spans_last_minute: row.spans_last_minute,
            instances: row.instances,
            live: row.is_live,
            known_good: row.is_known_good,
            lag_seconds: row.lag_secs,
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceBody {
    /// Id.
    pub id: String,
    /// Name.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
    /// Maturity.
    pub maturity: String,
    /// Team.
    pub team: String,
    /// True when no file names the service.
    pub implicit: bool,
    /// Ids of its SLOs.
    pub slos: Vec<String>,
    /// Revisions, newest first.
    pub revisions: Vec<RevisionBody>,
    /// First span; empty when none came yet.
    pub first_seen: String,
    /// Last span.
    pub last_seen: String,
}

impl From<&ServiceRow> for ServiceBody {
    fn from(row: &ServiceRow) -> Self {
        Self {
            id: hex(row.id.0),
            service: row.key.name.clone(),
            namespace: row.key.namespace.clone(),
            environment: row.key.environment.clone(),
            maturity: row.policy.maturity.name().to_owned(),
            team: row.policy.team.clone(),
            implicit: row.policy.implicit,
            slos: row.slos.iter().map(|id| hex(id.0)).collect(),
            revisions: row.revisions.iter().map(Into::into).collect(),
            first_seen: rfc3339(row.first_seen),
            last_seen: rfc3339(row.last_seen),
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventBody {
    /// When.
    pub at: String,
    /// Kind.
    pub kind: String,
    /// Service; empty for engine-wide events.
    pub service: String,
    /// Words.
    pub text: String,
}

impl From<&EventRow> for EventBody {
    fn from(row: &EventRow) -> Self {
        Self {
            at: rfc3339(row.at),
            kind: row.kind.clone(),
            service: row.service.clone(),
            text: row.text.clone(),
        }
    }
}

/// Counts of items by signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ItemsBody {
    /// Spans.
    pub spans: u64,
    /// Metric points.
    pub points: u64,
    /// Log records.
    pub records: u64,
}

impl ItemsBody {
    /// The counts of `of`, signal by signal.
    fn each(of: impl Fn(Signal) -> u64) -> Self {
        Self {
            spans: of(Signal::Traces),
            points: of(Signal::Metrics),
            records: of(Signal::Logs),
        }
    }
}

/// A time for which counts are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapBody {
    /// From.
    pub from: String,
    /// To.
    pub to: String,
}

/// A problem in a definitions file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// `file:line:column`.
    pub place: String,
    /// Field path.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: String,
    /// `error` or `warning`.
    pub severity: String,
}

impl From<&Problem> for ProblemBody {
    fn from(problem: &Problem) -> Self {
        Self {
            place: problem.place.clone(),
            field: problem.field.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            severity: if problem.is_error { "error" } else { "warning" }.to_owned(),
        }
    }
}

/// The hot store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct StoreBody {
    /// Items held.
    pub held: ItemsBody,
    /// Bytes held.
    pub bytes: u64,
    /// Byte budget.
    pub bytes_max: u64,
    /// Items that left because of the budget.
    pub evicted: ItemsBody,
}

/// What the folders counted beside SLIs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CountersBody {
    /// Left out of SLIs by the exclusion rule (health checks).
    pub excluded: ItemsBody,
    /// Seen before.
    pub duplicate: ItemsBody,
    /// Of intercepts and branch deployments.
    pub outside_budget: ItemsBody,
    /// Older than the allowed lateness.
    pub late: ItemsBody,
    /// Waiting because they lie in the future.
    pub future: ItemsBody,
    /// Joined a unit judged earlier.
    pub collapsed_spans: u64,
    /// Table entries evicted by a cap.
    pub evicted_keys: u64,
    /// By kind of anomaly.
    pub anomalies: BTreeMap<String, u64>,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusBody {
    /// Version of the program.
    pub version: String,
    /// `ready` or `recovering`.
    pub state: String,
    /// Logical time of the last tick.
    pub as_of: String,
    /// Accepted and folded.
    pub accepted: ItemsBody,
    /// Rejected by partial success.
    pub rejected: ItemsBody,
    /// Accepted but not counted because a cap was reached.
    pub dropped: ItemsBody,
    /// Further counters.
    pub counters: CountersBody,
    /// Services seen or defined.
    pub services: u64,
    /// SLOs.
    pub slos: u64,
    /// Tracked resources (instances).
    pub resources: u64,
    /// Services with live spans that nothing tells the revision of.
    pub revision_unknown: Vec<String>,
    /// Errors and warnings of all sources, errors first, at most 100; `/v1/doctor` has all, with their fixes.
    pub findings: Vec<NoticeBody>,
    /// SLOs whose metric arrives with another type than declared, in words.
    pub type_mismatch: Vec<String>,
    /// Generation of the definitions in force.
    pub definitions_generation: u64,
    /// When they were loaded.
    pub definitions_loaded_at: String,
    /// Problems of the last load; errors mean that older definitions are in force.
    pub problems: Vec<ProblemBody>,
    /// Times for which counts are missing.
    pub gaps: Vec<GapBody>,
    /// Dedup window in force, s.
    pub dedup_window_seconds: u64,
    /// Notifications not yet delivered.
    pub pending_notifications: u64,
    /// The hot store.
    pub store: StoreBody,
}

impl StatusBody {
    /// The status of `snapshot`.
    pub fn of(snapshot: &Snapshot) -> Self {
        let status = &snapshot.status;
        let count = |counter| status.counters.get(&counter).copied().unwrap_or(0);
        let items = |fate| ItemsBody::each(|signal| count(Counter::Items(signal, fate)));
        let anomalies = anomaly::NAMES
            .iter()
            .enumerate()
            .map(|(index, (_, name))| ((*name).to_owned(), count(Counter::Anomaly(index as u8))))
            .filter(|(_, count)| *count > 0)
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: if snapshot.is_recovering {
                "recovering"
            } else {
                "ready"
            }
            .to_owned(),
            as_of: rfc3339(snapshot.as_of),
            accepted: items(Fate::Accepted),
            rejected: items(Fate::Rejected),
            dropped: items(Fate::Dropped),
            counters: CountersBody {
                excluded: items(Fate::Excluded),
                duplicate: items(Fate::Duplicate),
                outside_budget: items(Fate::OutsideBudget),
                late: items(Fate::Late),
                future: items(Fate::Future),
                collapsed_spans: count(Counter::CollapsedSpans),
                evicted_keys: count(Counter::EvictedKeys),
                anomalies,
            },
            services: snapshot.services.len() as u64,
            slos: snapshot.slos.len() as u64,
            resources: status.resources,
            revision_unknown: revision_unknown(snapshot),
            findings: doctor::notices(snapshot),
            type_mismatch: type_mismatch(snapshot),
            definitions_generation: status.definitions_generation,
            definitions_loaded_at: rfc3339(status.definitions_loaded_at),
            problems: status.problems.iter().map(Into::into).collect(),
            gaps: status
                .gaps
                .iter()
                .map(|gap| GapBody {
                    from: rfc3339(gap.from),
                    to: rfc3339(gap.to),
                })
                .collect(),
            dedup_window_seconds: status.dedup_window_secs,
            pending_notifications: status.pending_effects,
            store: StoreBody {
                held: ItemsBody::each(|signal| snapshot.store.held.of(signal)),
                bytes: snapshot.store.bytes,
                bytes_max: snapshot.store.bytes_max,
                evicted: ItemsBody::each(|signal| snapshot.store.evicted.of(signal)),
            },
        }
    }
}

fn type_mismatch(snapshot: &Snapshot) -> Vec<String> {
    let words = |row: &SloRow| {
        let words = row.mismatch?.words(&row.slo);
        Some(format!(
            "{} {}: {words}",
            row.slo.service.name, row.slo.name
        ))
    };
    let rows = snapshot.slos.values();
    rows.filter_map(|row| words(row)).collect()
}

fn revision_unknown(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .services
        .values()
        .filter(|service| {
            let mut live = service.revisions.iter().filter(|row| row.is_live);
            live.any(|row| engine::registry::is_revision_unknown(&row.revision))
        })
        .map(|service| service.key.name.clone())
        .collect()
}
