//! `Snapshot`: the immutable view that every reader uses. Derived rows only; published by atomic swap at Ticks.
//!
//! Rows that did not change are shared with the previous snapshot (`Arc`). Readers take one snapshot per request
//! and never ask the engine. Ratios are computed here for showing; what decides are the integer counts beside them.

use crate::cascade::row::IncidentRow;
use crate::delta::Counter;
use crate::gate::answer::{Answer, ServiceGate};
use crate::graph::GraphView;
use crate::hand::{HandRow, RolloutRow};
use crate::identity::{Revision, RevisionId, ServiceId, ServiceKey};
use crate::input::{Gap, Problem};
use crate::items::Signal;
use crate::metric::Instrument;
use crate::slo::{Severity, Sli, Slo, SloId};
use crate::source::{Sampling, SourceRow};
use crate::standing::Standings;
use crate::store::StoreView;
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::traffic::TrafficRow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Good and bad events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Good events.
    pub good: u64,
    /// Bad events.
    pub bad: u64,
}

impl Counts {
    /// All events.
    pub const fn total(&self) -> u64 {
        self.good + self.bad
    }

    /// Bad share; `None` without events: silence is not health.
    pub fn bad_ratio(&self) -> Option<f64> {
        (self.total() > 0).then(|| self.bad as f64 / self.total() as f64)
    }
}

/// The word for a burn window's state on pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BurnState {
    /// Both windows of the tier burn.
    Critical,
    /// Long window still burns, the short one no longer.
    Recovering,
    /// Short window burns, the long one not yet.
    Increasing,
    /// Neither.
    Acceptable,
}

/// One tier of one SLO as evaluated at the last Tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierRow {
    /// Policy name.
    pub name: String,
    /// Page or ticket.
    pub severity: Severity,
    /// Threshold, thousandths.
    pub factor_milli: u64,
    /// Long window, s.
    pub long_secs: u64,
    /// Short window, s.
    pub short_secs: u64,
    /// Burn over the long window; `None` without events.
    pub long_burn: Option<f64>,
    /// Burn over the short window; `None` without events.
    pub short_burn: Option<f64>,
    /// State in a word.
    pub state: BurnState,
    /// True when both windows burn and the guard for low traffic and young SLOs keeps it from firing
    /// ([`crate::burn_rate`]).
    pub is_guarded: bool,
    /// Share of the period's budget that the long window has burned, weighted by real traffic.
    pub budget_share: Option<f64>,
}

/// Counts of one window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    /// Window, s.
    pub window_secs: u64,
    /// Events in it.
    pub counts: Counts,
    /// Burn rate (1.0 spends the budget exactly over the period); `None` without events.
    pub burn: Option<f64>,
}

/// One revision's slice of an SLO (the last 6 h).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceRow {
    /// Revision.
    pub revision: RevisionId,
    /// Events of the last 5 min, 1 h and 6 h.
    pub windows: Vec<WindowRow>,
}

/// A point of a chart: bucket start, and its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Bucket start.
    pub at: Timestamp,
    /// Its events.
    pub counts: Counts,
}

/// A metric SLO whose metric arrives with another type than its definition declares: TYPE_MISMATCH.
///
/// Points of a wrong type are never counted, those of a declared type always. It holds from the first wrong point until
/// a right one comes and no wrong one has come for 3 min; while it holds the SLO's windows are incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeMismatch {
    /// The type that arrives.
    pub arriving: Instrument,
    /// Logical time of the first such point.
    pub since: Timestamp,
    /// Logical time of the last one.
    pub last: Timestamp,
}

impl TypeMismatch {
    /// What is wrong, and how to mend it.
    pub fn words(&self, slo: &Slo) -> String {
        let declared: Vec<&str> = slo.sli.instruments().iter().map(|one| one.name()).collect();
        format!(
            "TYPE_MISMATCH: its metric is declared as {} and arrives as {}, which is not counted; declare what is sent, or send what is declared",
            declared.join(" or "),
            self.arriving.name()
        )
    }
}

/// One SLO as published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloRow {
    /// Definition.
    pub slo: Arc<Slo>,
    /// Events over the period: the budget's arithmetic is on these integers.
    pub period: Counts,
    /// Remaining budget: `1 - bad / (total * (1 - target))`, signed, never clamped; `None` without events.
    pub budget_remaining: Option<f64>,
    /// Bad events the budget still allows at the events seen so far (negative when overspent), rounded toward -inf.
    pub bad_allowed: i64,
    /// Windows, ascending: those of the tiers and the slices (5 min, 1 h, 6 h) plus the period.
    pub windows: Vec<WindowRow>,
    /// Tiers.
    pub tiers: Vec<TierRow>,
    /// Alert state.
    pub alert: Option<Arc<AlertRow>>,
    /// Seconds until the rest of the budget is gone at the 1 h burn rate; `None` when it does not burn.
    pub exhausted_in_secs: Option<u64>,
    /// Event time of the first event counted; how much of the period was observed follows from it.
    pub observed_since: Timestamp,
    /// Event time of the last event counted.
    pub last_event: Timestamp,
    /// True when no event arrived for 5 min: the state is carried.
    pub is_stale: bool,
    /// Bad events of the period that may be good: a histogram's bucket holds the threshold. The measurement error.
    pub in_doubt: u64,
    /// That its metric has another type than declared.
    pub mismatch: Option<TypeMismatch>,
    /// Slices, newest revision first.
    pub slices: Vec<SliceRow>,
    /// Per-minute points of the last 6 h for the charts, oldest first; shared while unchanged.
    pub history: Arc<Vec<Point>>,
}

impl SloRow {
    /// Seconds of the period that were observed, as of `now`: 0 before the first event.
    pub fn observed_secs(&self, now: Timestamp) -> u64 {
        if self.observed_since == Timestamp::EPOCH {
            return 0;
        }
        let observed = now.since(self.observed_since) / NANOS_PER_SEC;
        observed.min(self.slo.period_secs)
    }
}

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertState {
    /// Nothing burns.
    Inactive,
    /// Condition holds, `for` not yet over.
    Pending,
    /// Firing.
    Firing,
    /// Was firing, the condition ended.
    Resolved,
}

impl AlertState {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// The alert of one SLO: one, with escalation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Stable id of this occurrence: BLAKE3-128 of (SLO, start).
    pub id: u128,
    /// SLO.
    pub slo_id: SloId,
    /// SLO name.
    pub slo: String,
    /// Service.
    pub service: ServiceKey,
    /// Owning team; empty when unknown.
    pub team: String,
    /// State.
    pub state: AlertState,
    /// Highest severity that holds (or held, when resolved).
    pub severity: Severity,
    /// Tier that decides it.
    pub tier: String,
    /// When the condition began, logical time.
    pub since: Timestamp,
    /// When it fired.
    pub fired_at: Option<Timestamp>,
    /// When it resolved.
    pub resolved_at: Option<Timestamp>,
    /// Logical time of the last transition; late data changes numbers, never past transitions.
    pub as_of: Timestamp,
    /// The burn in words: "at this rate the 30-day budget is gone in 2 h 10 min; 64 % left".
    pub text: String,
    /// Burn over the tier's long window at `as_of`.
    pub long_burn: f64,
    /// Burn over the tier's short window at `as_of`.
    pub short_burn: f64,
    /// Budget remaining at `as_of`.
    pub budget_remaining: f64,
}

/// A recorded gate decision: a link of the hash chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// BLAKE3-128 of everything below: also the link's hash.
    pub id: u128,
    /// Id of the decision recorded before it (0 for the first).
    pub previous: u128,
    /// Position in the log of decisions, from 1.
    pub number: u64,
    /// The answer, with its evidence.
    pub answer: Answer,
    /// True when this decision latched a Halt.
    pub latched: bool,
    /// Clearing reason when a latch was cleared by a person.
    pub cleared_reason: String,
}

/// One revision as published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// Revision.
    pub revision: Revision,
    /// Logical time it was first seen.
    pub first_seen: Timestamp,
    /// Logical time it was last seen.
    pub last_seen: Timestamp,
    /// Spans folded in the last 60 s.
    pub spans_last_minute: u64,
    /// Resources (instances) seen in the last 60 s.
    pub instances: u64,
    /// Whether it counts as live (seen within 60 s).
    pub is_live: bool,
    /// Whether it is known good.
    pub is_known_good: bool,
    /// Least (receive - end) over 60 s, s; negative when its clock runs ahead.
    pub lag_secs: f64,
    /// How its telemetry arrives, by signal, in the order of [`crate::items::Signal::ALL`].
    pub sources: Vec<SourceRow>,
    /// SDKs that sent it: language and version.
    pub sdks: Vec<String>,
}

impl RevisionRow {
    /// How its spans arrive; `None` before the first.
    pub fn spans(&self) -> Option<&SourceRow> {
        let mut sources = self.sources.iter();
        sources.find(|row| row.signal == Signal::Traces)
    }
}

/// One service as published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Id.
    pub id: ServiceId,
    /// Key.
    pub key: ServiceKey,
    /// Policy (maturity, team), and whether it is implicit.
    pub policy: crate::slo::ServicePolicy,
    /// Revisions, newest first, at most [`REVISIONS_MAX`].
    pub revisions: Vec<RevisionRow>,
    /// Its SLOs.
    pub slos: Vec<SloId>,
    /// Logical time the service was first seen; the epoch when only a file names it.
    pub first_seen: Timestamp,
    /// Logical time of the last span.
    pub last_seen: Timestamp,
}

impl ServiceRow {
    /// The worst sampling of its spans of late: what an SLO on them is worth.
    pub fn sampling(&self) -> Sampling {
        let revisions = self.revisions.iter();
        let spans = revisions.filter_map(RevisionRow::spans);
        spans.map(|row| row.sampling).max().unwrap_or_default()
    }
}

/// Most revisions kept per service; the oldest are folded together beyond it.
pub const REVISIONS_MAX: usize = 8;
/// Most services kept; later ones are folded into one overflow service.
pub const SERVICES_MAX: usize = 10_000;

/// One line of the event list: what happened, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Logical time.
    pub at: Timestamp,
    /// `revision.first_seen`, `rollout.started`, `alert.firing`, `gate.halt`, `definitions.loaded`, ...
    pub kind: String,
    /// Service name; empty for engine-wide events.
    pub service: String,
    /// Words.
    pub text: String,
}

/// Health of the engine itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Counters since the start of the state (kept across restarts).
    pub counters: BTreeMap<Counter, u64>,
    /// Generation of the definitions in force.
    pub definitions_generation: u64,
    /// Problems of the last load; errors mean that older definitions are in force.
    pub problems: Vec<Problem>,
    /// Logical time of the last successful load.
    pub definitions_loaded_at: Timestamp,
    /// Times for which counts are missing.
    pub gaps: Vec<Gap>,
    /// Dedup window in force, s.
    pub dedup_window_secs: u64,
    /// Resources tracked.
    pub resources: u64,
    /// Notifications not yet delivered.
    pub pending_effects: u64,
    /// Spans of open traces.
    pub open_spans: u64,
}

/// The published view.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts up at every publication.
    pub generation: u64,
    /// Logical time of the last Tick; the epoch before the first.
    pub as_of: Timestamp,
    /// True until a checkpoint, if there is one, is loaded and the first Tick passed.
    pub is_recovering: bool,
    /// Services by id.
    pub services: BTreeMap<ServiceId, Arc<ServiceRow>>,
    /// SLOs by id, implicit ones included.
    pub slos: BTreeMap<SloId, Arc<SloRow>>,
    /// Gate by service.
    pub gates: BTreeMap<ServiceId, Arc<ServiceGate>>,
    /// Newest decisions, newest first, at most 1,000.
    pub decisions: Vec<Arc<Decision>>,
    /// Alerts that are not inactive, newest transition first; resolved ones for 24 h.
    pub alerts: Vec<Arc<AlertRow>>,
    /// Incidents, newest first; resolved ones for 24 h.
    pub incidents: Vec<Arc<IncidentRow>>,
    /// What stands, for receivers that are shown it again and again.
    pub standings: Arc<Standings>,
    /// Newest events, newest first, at most 1,000.
    pub events: Arc<Vec<EventRow>>,
    /// The engine itself.
    pub status: Arc<EngineStatus>,
    /// Traffic observed of late, by service; refreshed every few seconds.
    pub traffic: Arc<BTreeMap<ServiceId, Arc<TrafficRow>>>,
    /// Who calls whom; made anew once a second.
    pub graph: Arc<GraphView>,
    /// Workloads of the cluster, in the order of their objects.
    pub rollouts: Arc<Vec<Arc<RolloutRow>>>,
    /// The hand that halts them.
    pub hand: Arc<HandRow>,
    /// The hot store's chunks.
    pub store: StoreView,
}

impl Snapshot {
    /// Whether the spans that `slo` counts are sampled. What is measured by other signals is not.
    pub fn sampling_of(&self, slo: &Slo) -> Sampling {
        let is_of_spans = matches!(slo.sli, Sli::Availability { .. } | Sli::Latency { .. });
        let service = self.services.get(&slo.service_id);
        let service = service.filter(|_| is_of_spans);
        service.map_or(Sampling::None, |row| row.sampling())
    }
}
