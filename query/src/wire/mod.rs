//! The JSON shapes of `/v1`: the third and last conversion of data (snapshot to JSON).
//!
//! Times are RFC 3339, ratios 0..1, durations seconds, ids 32 hex digits. The OpenAPI document is generated from
//! these types; the command line reads them back.

mod doctor;
mod gate;
mod graph;
mod incident;
mod rollout;
mod service;
mod slo;

pub use doctor::{
    DoctorBody, FindingBody, LatencyBody, NoticeBody, RouteBody, SignalBody, SourceBody,
    TrafficBody,
};
pub use gate::{ArmBody, DecisionBody, EvidenceBody, GateBody, NeedBody, ProcessBody};
pub use graph::{
    BlastBody, EdgeBody, GraphBody, LedgerBody, NodeBody, ReachBody, RevisionEdgeBody, SideBody,
    SpanOfTimeBody, UNKNOWN,
};
pub use incident::{
    ChangeBody, ForecastBody, HitBody, IncidentBody, IncidentEvidenceBody, OnsetBody, StormBody,
    SuspectBody, WhoBody,
};
pub use rollout::{ArgoBody, ArgoGateBody, HandBody, RolloutBody, RolloutsBody};
pub use service::{
    CountersBody, EventBody, GapBody, ItemsBody, ProblemBody, RevisionBody, ServiceBody,
    StatusBody, StoreBody,
};
pub use slo::{
    AlertBody, BudgetBody, BurnRateBody, CountsBody, SliceBody, SloBody, TierBody, WindowBody,
};

#[cfg(feature = "sql")]
pub(crate) use slo::sli_kind;

use engine::time::Timestamp;

/// RFC 3339 with milliseconds; empty for "never".
pub fn rfc3339(time: Timestamp) -> String {
    if time == Timestamp::EPOCH {
        return String::new();
    }
    let millis = i64::try_from(time.0 / engine::time::NANOS_PER_MILLI).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}

/// 32 hex digits.
pub fn hex(id: u128) -> String {
    format!("{id:032x}")
}
