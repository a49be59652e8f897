//! What is wrong with every source, and what was observed of its traffic.

use super::rfc3339;
use engine::doctor::{Endpoints, Finding, Level, SignalReport, SourceReport, examine};
use engine::snapshot::{ServiceRow, Snapshot};
use engine::time::NANOS_PER_SEC;
use engine::traffic::{RouteRow, TrafficRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most findings in `/v1/status`; `/v1/doctor` has all.
const STATUS_FINDINGS_MAX: usize = 100;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingBody {
    /// What, such as `LATE_INPUT`.
    pub code: String,
    /// `error` (verdicts or budgets cannot be had or trusted), `warning` or `info`.
    pub severity: String,
    /// What and where, in words.
    pub message: String,
    /// What mends it, to be pasted.
    pub fix: String,
}

impl From<&Finding> for FindingBody {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.to_owned(),
            severity: finding.level.name().to_owned(),
            message: finding.message.clone(),
            fix: finding.fix.clone(),
        }
    }
}

/// One signal of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignalBody {
    /// `traces`, `metrics` or `logs`.
    pub signal: String,
    /// Items of the last minute.
    pub items_last_minute: u64,
    /// Least (receive - event time) of the last minute, s; absent without items.
    pub lag_seconds: Option<f64>,
}

impl From<&SignalReport> for SignalBody {
    fn from(report: &SignalReport) -> Self {
        Self {
            signal: report.signal.name().to_owned(),
            items_last_minute: report.items_last_minute,
            lag_seconds: report.lag_secs,
        }
    }
}

/// One source: a service; the one with an empty name is Tidegate itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceBody {
    /// Service name.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
    /// Revisions seen within a minute, newest first.
    pub revisions: Vec<String>,
    /// What it sends.
    pub signals: Vec<SignalBody>,
    /// SDKs that send it: language and version.
    pub sdks: Vec<String>,
    /// Last item; empty when none came.
    pub last_seen: String,
    /// Findings, worst first.
    pub findings: Vec<FindingBody>,
}

impl From<&SourceReport> for SourceBody {
    fn from(report: &SourceReport) -> Self {
        Self {
            service: report.service.name.clone(),
            namespace: report.service.namespace.clone(),
            environment: report.service.environment.clone(),
            revisions: report.revisions.clone(),
            signals: report.signals.iter().map(Into::into).collect(),
            sdks: report.sdks.clone(),
            last_seen: rfc3339(report.last_seen),
            findings: report.findings.iter().map(Into::into).collect(),
        }
    }
}

/// `GET /v1/doctor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoctorBody {
    /// Logical time of the last tick.
    pub as_of: String,
    /// Every source.
    pub sources: Vec<SourceBody>,
}

impl DoctorBody {
    /// What is found in `snapshot`.
    pub fn of(snapshot: &Snapshot, endpoints: &Endpoints) -> Self {
        Self {
            as_of: rfc3339(snapshot.as_of),
            sources: examine(snapshot, endpoints)
                .iter()
                .map(Into::into)
                .collect(),
        }
    }
}

/// A finding in `/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoticeBody {
    /// Service name; empty for Tidegate itself.
    pub service: String,
    /// What, such as `LATE_INPUT`.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// What and where, in words.
    pub message: String,
}

/// Errors and warnings of all sources, errors first.
pub(super) fn notices(snapshot: &Snapshot) -> Vec<NoticeBody> {
    let reports = examine(snapshot, &Endpoints::default());
    let mut found: Vec<(&str, &Finding)> = Vec::new();
    for report in &reports {
        let findings = report.findings.iter();
        let findings = findings.filter(|finding| finding.level > Level::Info);
        found.extend(findings.map(|finding| (report.service.name.as_str(), finding)));
    }
    found.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.level));
    let notice = |(service, finding): &(&str, &Finding)| NoticeBody {
        service: (*service).to_owned(),
        code: finding.code.to_owned(),
        severity: finding.level.name().to_owned(),
        message: finding.message.clone(),
    };
    found.iter().take(STATUS_FINDINGS_MAX).map(notice).collect()
}

/// Requests that took at most so long, and longer than the entry before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyBody {
    /// Upper edge, s; absent beyond the last one.
    pub le_seconds: Option<f64>,
    /// Requests.
    pub count: u64,
}

/// One route of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteBody {
    /// `http.route`, `rpc.method` or the span's name; pieces with digits read `*`.
    pub route: String,
    /// Requests: retries and several entries of one trace count once.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// By latency, ascending.
    pub latency: Vec<LatencyBody>,
}

impl From<&RouteRow> for RouteBody {
    fn from(row: &RouteRow) -> Self {
        let latency = row.latency.iter().map(|(edge, count)| LatencyBody {
            le_seconds: (*edge != u64::MAX).then(|| *edge as f64 / NANOS_PER_SEC as f64),
            count: *count,
        });
        Self {
            route: row.name.clone(),
            requests: row.requests,
            failed: row.failed,
            latency: latency.collect(),
        }
    }
}

/// The observed traffic of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficBody {
    /// Service name.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
    /// How long it was observed, s: at most an hour, and since the process started.
    pub observed_seconds: u64,
    /// `head` or `tail` when samplers left only some of it; empty when nothing says so.
    pub sampled: String,
    /// True when a file has an SLO for it already.
    pub defined: bool,
    /// Routes, busiest first.
    pub routes: Vec<RouteBody>,
}

impl TrafficBody {
    /// What `snapshot` has observed of `row`.
    pub fn of(snapshot: &Snapshot, row: &ServiceRow, traffic: &TrafficRow) -> Self {
        let mut slos = row.slos.iter().filter_map(|id| snapshot.slos.get(id));
        Self {
            service: row.key.name.clone(),
            namespace: row.key.namespace.clone(),
            environment: row.key.environment.clone(),
            observed_seconds: snapshot.as_of.since(traffic.since) / NANOS_PER_SEC,
            sampled: row.sampling().name().to_owned(),
            defined: slos.any(|row| !row.slo.implicit),
            routes: traffic.routes.iter().map(Into::into).collect(),
        }
    }
}
