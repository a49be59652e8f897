//! The doctor: what is wrong with the telemetry of every source, and what mends it. A pure function of the snapshot.
//!
//! A finding says what and where, and has a `fix` to paste. Names come from telemetry: whoever shows them makes them
//! inert ([`crate::inert`]), and a name that is no plain word never gets into a fix. O(services x revisions).

mod fixes;
mod tell;

pub use fixes::FAN_OUT_LINE;

use crate::identity::ServiceKey;
use crate::input::Problem;
use crate::items::Signal;
use crate::registry::OVERFLOW_SERVICE;
use crate::snapshot::{RevisionRow, ServiceRow, Snapshot};
use crate::source::SourceRow;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Good to know: nothing is wrong.
    Info,
    /// Numbers are less than they could be.
    Warning,
    /// Verdicts or budgets cannot be had, or not be trusted.
    Error,
}

impl Level {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// SCREAMING_SNAKE_CASE.
    pub code: &'static str,
    /// How bad.
    pub level: Level,
    /// What and where, in words with numbers.
    pub message: String,
    /// What mends it, to be pasted: lines of an environment, of a Collector's configuration, or a command.
    pub fix: String,
}

/// One signal of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignalReport {
    /// Signal.
    pub signal: Signal,
    /// Items of the last minute, all revisions together.
    pub items_last_minute: u64,
    /// Least (receive - event time) over that minute, s; `None` without items.
    pub lag_secs: Option<f64>,
}

/// One source: a service. The one with an empty name is Tidegate itself.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceReport {
    /// Who.
    pub service: ServiceKey,
    /// Revisions seen within a minute, newest first.
    pub revisions: Vec<String>,
    /// What it sends.
    pub signals: Vec<SignalReport>,
    /// By which SDKs.
    pub sdks: Vec<String>,
    /// Logical time of the last item; the epoch when nothing came.
    pub last_seen: Timestamp,
    /// Findings, worst first.
    pub findings: Vec<Finding>,
}

/// Where telemetry is received, as `host:port` that a sender can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// OTLP over gRPC.
    pub grpc: String,
    /// OTLP over HTTP.
    pub http: String,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            grpc: "127.0.0.1:4317".to_owned(),
            http: "127.0.0.1:4318".to_owned(),
        }
    }
}

/// Examines everything: Tidegate itself first, if there is something to say of it, then every service by its key.
pub fn examine(snapshot: &Snapshot, endpoints: &Endpoints) -> Vec<SourceReport> {
    let mut reports = Vec::new();
    let findings = sorted(tell::own(snapshot, endpoints));
    if !findings.is_empty() {
        reports.push(SourceReport {
            service: ServiceKey::default(),
            revisions: Vec::new(),
            signals: Vec::new(),
            sdks: Vec::new(),
            last_seen: Timestamp::EPOCH,
            findings,
        });
    }
    let mut services: Vec<&ServiceRow> = snapshot.services.values().map(AsRef::as_ref).collect();
    services.sort_by(|one, other| one.key.cmp(&other.key));
    reports.extend(services.into_iter().map(|row| SourceReport {
        service: row.key.clone(),
        revisions: live(row).map(|row| row.revision.label()).collect(),
        signals: signals(row),
        sdks: sdks(row),
        last_seen: row.last_seen,
        findings: sorted(tell::service(snapshot, row, endpoints)),
    }));
    reports
}

/// The worst of what was found; `None` when there is nothing.
pub fn worst(reports: &[SourceReport]) -> Option<Level> {
    let findings = reports.iter().flat_map(|report| &report.findings);
    findings.map(|finding| finding.level).max()
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.level), finding.code));
    findings
}

fn live(row: &ServiceRow) -> impl Iterator<Item = &RevisionRow> {
    row.revisions.iter().filter(|row| row.is_live)
}

fn sdks(row: &ServiceRow) -> Vec<String> {
    let mut sdks: Vec<String> = live(row).flat_map(|row| row.sdks.iter().cloned()).collect();
    sdks.sort_unstable();
    sdks.dedup();
    sdks
}

fn signals(row: &ServiceRow) -> Vec<SignalReport> {
    let of = |signal: Signal| {
        let sources: Vec<&SourceRow> = row
            .revisions
            .iter()
            .flat_map(|row| &row.sources)
            .filter(|row| row.signal == signal)
            .collect();
        let lag = sources.iter().filter_map(|row| row.lag_nanos).min();
        (!sources.is_empty()).then(|| SignalReport {
            signal,
            items_last_minute: sources.iter().map(|row| row.items_last_minute).sum(),
            lag_secs: lag.map(|nanos| nanos as f64 / NANOS_PER_SEC as f64),
        })
    };
    Signal::ALL.into_iter().filter_map(of).collect()
}

fn is_overflow(row: &ServiceRow) -> bool {
    row.key.name == OVERFLOW_SERVICE
}

fn errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.is_error).count()
}

#[cfg(test)]
mod tests;
