//! SLOs, budgets, burn rates and alerts.

use super::{hex, rfc3339};
use engine::slo::{RATIO_ONE, Sli};
use engine::snapshot::{AlertRow, BurnState, Counts, SloRow, Snapshot, TierRow, WindowRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Good and bad events.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CountsBody {
    /// Good events.
    pub good: u64,
    /// Bad events.
    pub bad: u64,
    /// All events.
    pub total: u64,
}

impl From<&Counts> for CountsBody {
    fn from(counts: &Counts) -> Self {
        Self {
            good: counts.good,
            bad: counts.bad,
            total: counts.total(),
        }
    }
}

/// One window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowBody {
    /// Window, s.
    pub window_seconds: u64,
    /// Events in it.
    pub counts: CountsBody,
    /// Burn rate; absent without events.
    pub burn_rate: Option<f64>,
}

impl From<&WindowRow> for WindowBody {
    fn from(row: &WindowRow) -> Self {
        Self {
            window_seconds: row.window_secs,
            counts: (&row.counts).into(),
            burn_rate: row.burn,
        }
    }
}

/// One alert tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TierBody {
    /// Policy.
    pub name: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// Threshold burn rate.
    pub factor: f64,
    /// Long window, s.
    pub long_seconds: u64,
    /// Short window, s.
    pub short_seconds: u64,
    /// Burn over the long window; absent without events.
    pub long_burn_rate: Option<f64>,
    /// Burn over the short window; absent without events.
    pub short_burn_rate: Option<f64>,
    /// `critical`, `recovering`, `increasing` or `acceptable`.
    pub state: String,
    /// True when too little traffic keeps it from firing.
    pub guarded: bool,
    /// Share of the period's budget that the long window burned.
    pub budget_share: Option<f64>,
}

/// What is measured, in a word.
pub(crate) const fn sli_kind(sli: &Sli) -> &'static str {
    match sli {
        Sli::Availability { .. } => "availability",
        Sli::Latency { .. } => "latency",
        Sli::Records { .. } | Sli::Increments { at_most: None, .. } => "ratio",
        Sli::Increments {
            at_most: Some(_), ..
        }
        | Sli::Level { .. } => "threshold",
    }
}

/// Lower-case word of a burn state.
pub(crate) const fn burn_state(state: BurnState) -> &'static str {
    match state {
        BurnState::Critical => "critical",
        BurnState::Recovering => "recovering",
        BurnState::Increasing => "increasing",
        BurnState::Acceptable => "acceptable",
    }
}

impl From<&TierRow> for TierBody {
    fn from(row: &TierRow) -> Self {
        Self {
            name: row.name.clone(),
            severity: row.severity.name().to_owned(),
            factor: row.factor_milli as f64 / 1000.0,
            long_seconds: row.long_secs,
            short_seconds: row.short_secs,
            long_burn_rate: row.long_burn,
            short_burn_rate: row.short_burn,
            state: burn_state(row.state).to_owned(),
            guarded: row.is_guarded,
            budget_share: row.budget_share,
        }
    }
}

/// One revision's slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SliceBody {
    /// Revision id.
    pub revision_id: String,
    /// Revision as a person names it.
    pub revision: String,
    /// Last 5 min, 1 h, 6 h.
    pub windows: Vec<WindowBody>,
}

/// One SLO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SloBody {
    /// Id.
    pub id: String,
    /// Name, unique per service.
    pub name: String,
    /// Display name.
    pub display_name: String,
    /// Service name.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
    /// What it is measured from: `traces`, `metrics` or `logs`.
    pub signal: String,
    /// `availability` or `latency` of spans; `ratio` of counters, histograms or records; `threshold` of gauges and
    /// histograms.
    pub kind: String,
    /// Latency threshold, s.
    pub threshold_seconds: Option<f64>,
    /// Threshold of a metric's values, in its own unit.
    pub threshold: Option<f64>,
    /// How far the counts may be off, when a histogram's bucket holds the threshold.
    pub measurement_error: Option<MeasurementErrorBody>,
    /// Why nothing is counted: the metric arrives with another type than declared.
    pub type_mismatch: Option<TypeMismatchBody>,
    /// Target, 0..1.
    pub target: f64,
    /// Period, s.
    pub period_seconds: u64,
    /// True when no file defines it.
    pub implicit: bool,
    /// `file:line:column`; empty for implicit ones.
    pub defined_at: String,
    /// Time of the first event: how much of the period was observed follows from it.
    pub observed_since: String,
    /// Seconds of the period that were observed: `3 h of 30 d`.
    pub observed_seconds: u64,
    /// `head` or `tail` when its spans are sampled: the budget is that of the sample; empty when nothing says so.
    pub sampled: String,
    /// Time of the last event.
    pub last_event: String,
    /// True when no event came for 5 min.
    pub stale: bool,
    /// Alert state: `inactive`, `pending`, `firing`, `resolved`.
    pub alert_state: String,
    /// Remaining budget, signed; absent without events.
    pub budget_remaining: Option<f64>,
}

/// Events whose side cannot be told, because a histogram's bucket holds the threshold: they count as bad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MeasurementErrorBody {
    /// Bad events of the period that may be good.
    pub events: u64,
    /// Their share of all events of the period, 0..1.
    pub ratio: f64,
}

impl MeasurementErrorBody {
    fn of(row: &SloRow) -> Option<Self> {
        (row.in_doubt > 0).then(|| Self {
            events: row.in_doubt,
            ratio: row.in_doubt as f64 / row.period.total().max(1) as f64,
        })
    }
}

/// A metric that arrives with another type than its SLO declares (TYPE_MISMATCH): such points are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TypeMismatchBody {
    /// Types that the definition allows.
    pub declared: Vec<String>,
    /// The type that arrives.
    pub arriving: String,
    /// First such point.
    pub since: String,
    /// In words.
    pub text: String,
}

impl TypeMismatchBody {
    fn of(row: &SloRow) -> Option<Self> {
        let mismatch = row.mismatch?;
        let declared = row.slo.sli.instruments().iter();
        Some(Self {
            declared: declared.map(|one| one.name().to_owned()).collect(),
            arriving: mismatch.arriving.name().to_owned(),
            since: rfc3339(mismatch.since),
            text: mismatch.words(&row.slo),
        })
    }
}

impl SloBody {
    /// `row` of `snapshot`.
    pub fn of(snapshot: &Snapshot, row: &SloRow) -> Self {
        let mut level = None;
        let threshold = match &row.slo.sli {
            Sli::Latency {
                threshold_nanos, ..
            } => Some(*threshold_nanos as f64 / 1e9),
            Sli::Increments {
                at_most: Some(threshold),
                ..
            }
            | Sli::Level { threshold, .. } => {
                level = Some(threshold.value());
                None
            }
            Sli::Availability { .. }
            | Sli::Records { .. }
            | Sli::Increments { at_most: None, .. } => None,
        };
        Self {
            id: hex(row.slo.id.0),
            name: row.slo.name.clone(),
            display_name: row.slo.display_name.clone(),
            service: row.slo.service.name.clone(),
            namespace: row.slo.service.namespace.clone(),
            environment: row.slo.service.environment.clone(),
            signal: row.slo.sli.signal().name().to_owned(),
            kind: sli_kind(&row.slo.sli).to_owned(),
            threshold_seconds: threshold,
            threshold: level,
            measurement_error: MeasurementErrorBody::of(row),
            type_mismatch: TypeMismatchBody::of(row),
            target: row.slo.target.as_f64(),
            period_seconds: row.slo.period_secs,
            implicit: row.slo.implicit,
            defined_at: row.slo.defined_at.clone(),
            observed_since: rfc3339(row.observed_since),
            observed_seconds: row.observed_secs(snapshot.as_of),
            sampled: snapshot.sampling_of(&row.slo).name().to_owned(),
            last_event: rfc3339(row.last_event),
            stale: row.is_stale,
            alert_state: row
                .alert
                .as_ref()
                .map_or("inactive", |alert| alert.state.name())
                .to_owned(),
            budget_remaining: row.budget_remaining,
        }
    }
}

/// The budget of one SLO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetBody {
    /// SLO id.
    pub slo_id: String,
    /// SLO name.
    pub slo: String,
    /// Service name.
    pub service: String,
    /// Period, s.
    pub period_seconds: u64,
    /// Target, 0..1.
    pub target: f64,
    /// Events over the period.
    pub counts: CountsBody,
    /// Bad events still allowed at the events seen so far; negative when overspent.
    pub bad_allowed: i64,
    /// Remaining budget, signed; absent without events.
    pub remaining: Option<f64>,
    /// Seconds until it is gone at the 1 h burn rate; absent when it does not burn.
    pub exhausted_in_seconds: Option<u64>,
    /// Time of the first event.
    pub observed_since: String,
    /// How far the counts may be off, when a histogram's bucket holds the threshold.
    pub measurement_error: Option<MeasurementErrorBody>,
}

impl From<&SloRow> for BudgetBody {
    fn from(row: &SloRow) -> Self {
        Self {
            slo_id: hex(row.slo.id.0),
            slo: row.slo.name.clone(),
            service: row.slo.service.name.clone(),
            period_seconds: row.slo.period_secs,
            target: row.slo.target.parts_per_billion as f64 / RATIO_ONE as f64,
            counts: (&row.period).into(),
            bad_allowed: row.bad_allowed,
            remaining: row.budget_remaining,
            exhausted_in_seconds: row.exhausted_in_secs,
            measurement_error: MeasurementErrorBody::of(row),
            observed_since: rfc3339(row.observed_since),
        }
    }
}

/// The burn rates of one SLO, fleet and per revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BurnRateBody {
    /// SLO id.
    pub slo_id: String,
    /// SLO name.
    pub slo: String,
    /// Service name.
    pub service: String,
    /// Windows of the fleet.
    pub windows: Vec<WindowBody>,
    /// Alert tiers.
    pub tiers: Vec<TierBody>,
    /// Per revision.
    pub revisions: Vec<SliceBody>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertBody {
    /// Id of this occurrence.
    pub id: String,
    /// SLO id.
    pub slo_id: String,
    /// SLO name.
    pub slo: String,
    /// Service name.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
    /// Owning team.
    pub team: String,
    /// `pending`, `firing` or `resolved`.
    pub state: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// Tier that decides it.
    pub tier: String,
    /// When the condition began.
    pub since: String,
    /// When it fired; empty when it has not.
    pub fired_at: String,
    /// When it resolved; empty when it has not.
    pub resolved_at: String,
    /// The burn in words.
    pub text: String,
    /// Burn over the tier's long window at the last transition.
    pub long_burn_rate: f64,
    /// Burn over the tier's short window at the last transition.
    pub short_burn_rate: f64,
    /// Remaining budget at the last transition.
    pub budget_remaining: f64,
    /// Time of the last transition.
    pub as_of: String,
}

impl From<&AlertRow> for AlertBody {
    fn from(row: &AlertRow) -> Self {
        Self {
            id: hex(row.id),
            slo_id: hex(row.slo_id.0),
            slo: row.slo.clone(),
            service: row.service.name.clone(),
            namespace: row.service.namespace.clone(),
            environment: row.service.environment.clone(),
            team: row.team.clone(),
            state: row.state.name().to_owned(),
            severity: row.severity.name().to_owned(),
            tier: row.tier.clone(),
            since: rfc3339(row.since),
            fired_at: row.fired_at.map(rfc3339).unwrap_or_default(),
            resolved_at: row.resolved_at.map(rfc3339).unwrap_or_default(),
            text: row.text.clone(),
            long_burn_rate: row.long_burn,
            short_burn_rate: row.short_burn,
            budget_remaining: row.budget_remaining,
            as_of: rfc3339(row.as_of),
        }
    }
}
