//! The reading endpoints.

use super::ApiState;
use crate::problem::Problem;
use crate::wire::{
    AlertBody, BudgetBody, BurnRateBody, DecisionBody, DoctorBody, EventBody, GateBody,
    IncidentBody, ServiceBody, SliceBody, SloBody, StatusBody, TrafficBody, hex,
};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::cascade::row::IncidentRow;
use engine::gate::answer::{Code, Phase};
use engine::gate::{Question, ask};
use engine::identity::ServiceKey;
use engine::snapshot::{SloRow, Snapshot};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Filter by service.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ServiceFilter {
    /// Service name; all when absent.
    #[serde(default)]
    service: String,
    /// Namespace; any when absent.
    #[serde(default)]
    namespace: String,
    /// Environment; any when absent.
    #[serde(default)]
    environment: String,
}

impl ServiceFilter {
    fn matches(&self, key: &ServiceKey) -> bool {
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        fits(&self.service, &key.name)
            && fits(&self.namespace, &key.namespace)
            && fits(&self.environment, &key.environment)
    }
}

/// At most so many rows, newest first.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFilter {
    /// Service name; all when absent.
    #[serde(default)]
    service: String,
    /// 1..=1000, default 100.
    #[serde(default = "default_limit")]
    limit: usize,
}

const fn default_limit() -> usize {
    100
}

/// What arrived, what it was taken for, what is missing.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = StatusBody)))]
pub(super) async fn status(State(state): State<ApiState>) -> Json<StatusBody> {
    Json(StatusBody::of(&state.snapshot()))
}

/// What is wrong with every source, and what mends it.
#[utoipa::path(get, path = "/v1/doctor", responses((status = 200, body = DoctorBody)))]
pub(super) async fn doctor(State(state): State<ApiState>) -> Json<DoctorBody> {
    Json(DoctorBody::of(&state.snapshot(), &state.endpoints))
}

/// Traffic observed of late, route by route.
#[utoipa::path(get, path = "/v1/traffic", params(ServiceFilter), responses((status = 200, body = Vec<TrafficBody>)))]
pub(super) async fn traffic(
    State(state): State<ApiState>,
    Query(filter): Query<ServiceFilter>,
) -> Json<Vec<TrafficBody>> {
    let snapshot = state.snapshot();
    let rows = snapshot.services.values();
    let observed = rows
        .filter(|row| filter.matches(&row.key))
        .filter_map(|row| {
            let traffic = snapshot.traffic.get(&row.id)?;
            Some(TrafficBody::of(&snapshot, row, traffic))
        });
    Json(observed.collect())
}

/// Services with their revisions.
#[utoipa::path(get, path = "/v1/services", params(ServiceFilter), responses((status = 200, body = Vec<ServiceBody>)))]
pub(super) async fn services(
    State(state): State<ApiState>,
    Query(filter): Query<ServiceFilter>,
) -> Json<Vec<ServiceBody>> {
    let snapshot = state.snapshot();
    let rows = snapshot
        .services
        .values()
        .filter(|row| filter.matches(&row.key));
    Json(rows.map(|row| ServiceBody::from(&**row)).collect())
}

fn slo_rows<'a>(
    snapshot: &'a Snapshot,
    filter: &'a ServiceFilter,
) -> impl Iterator<Item = &'a Arc<SloRow>> {
    snapshot
        .slos
        .values()
        .filter(|row| filter.matches(&row.slo.service))
}

/// SLOs, implicit ones included.
#[utoipa::path(get, path = "/v1/slos", params(ServiceFilter), responses((status = 200, body = Vec<SloBody>)))]
pub(super) async fn slos(
    State(state): State<ApiState>,
    Query(filter): Query<ServiceFilter>,
) -> Json<Vec<SloBody>> {
    let snapshot = state.snapshot();
    let rows = slo_rows(&snapshot, &filter);
    Json(rows.map(|row| SloBody::of(&snapshot, row)).collect())
}

/// Error budgets: integers over the period, and what remains.
#[utoipa::path(get, path = "/v1/budgets", params(ServiceFilter), responses((status = 200, body = Vec<BudgetBody>)))]
pub(super) async fn budgets(
    State(state): State<ApiState>,
    Query(filter): Query<ServiceFilter>,
) -> Json<Vec<BudgetBody>> {
    Json(
        slo_rows(&state.snapshot(), &filter)
            .map(|row| BudgetBody::from(&**row))
            .collect(),
    )
}

/// Burn rates of the fleet and of each revision.
#[utoipa::path(get, path = "/v1/burn-rates", params(ServiceFilter), responses((status = 200, body = Vec<BurnRateBody>)))]
pub(super) async fn burn_rates(
    State(state): State<ApiState>,
    Query(filter): Query<ServiceFilter>,
) -> Json<Vec<BurnRateBody>> {
    let snapshot = state.snapshot();
    Json(
        slo_rows(&snapshot, &filter)
            .map(|row| burn_rate(&snapshot, row))
            .collect(),
    )
}

fn burn_rate(snapshot: &Snapshot, row: &SloRow) -> BurnRateBody {
    let service = snapshot.services.get(&row.slo.service_id);
    let name = |id| {
        let revision =
            service.and_then(|service| service.revisions.iter().find(|row| row.revision.id == id));
        revision
            .map(|row| row.revision.value.clone())
            .unwrap_or_default()
    };
    BurnRateBody {
        slo_id: hex(row.slo.id.0),
        slo: row.slo.name.clone(),
        service: row.slo.service.name.clone(),
        windows: row.windows.iter().map(Into::into).collect(),
        tiers: row.tiers.iter().map(Into::into).collect(),
        revisions: row
            .slices
            .iter()
            .map(|slice| SliceBody {
                revision_id: hex(slice.revision.0),
                revision: name(slice.revision),
                windows: slice.windows.iter().map(Into::into).collect(),
            })
            .collect(),
    }
}

/// The gate question.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GateQuestion {
    /// Service name.
    service: String,
    /// Namespace, when several services have the name.
    #[serde(default)]
    namespace: String,
    /// Environment, when several services have the name.
    #[serde(default)]
    environment: String,
    /// Candidate: any attribute value of a revision; the newest candidate when absent.
    #[serde(default)]
    candidate: String,
    /// Baseline the candidate is expected to be tested against.
    #[serde(default)]
    baseline: String,
    /// `admit` or `advance` (default).
    #[serde(default)]
    phase: String,
}

/// May this rollout go on? Pure: asking changes nothing.
#[utoipa::path(get, path = "/v1/gate", params(GateQuestion), responses(
    (status = 200, body = GateBody, description = "every verdict"),
    (status = 400, description = "unknown phase or parameter"),
    (status = 503, body = GateBody, description = "recovering: verdict unknown"),
))]
pub(super) async fn gate(
    State(state): State<ApiState>,
    Query(asked): Query<GateQuestion>,
) -> Result<Response, Problem> {
    let phase = match asked.phase.as_str() {
        "" | "advance" => Phase::Advance,
        "admit" => Phase::Admit,
        other => {
            let detail = format!("phase: expected `admit` or `advance`, got `{other}`");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let question = Question {
        service: asked.service,
        namespace: asked.namespace,
        environment: asked.environment,
        candidate: asked.candidate,
        baseline: asked.baseline,
        phase,
    };
    let answer = ask(&state.snapshot(), &question);
    let body = Json(GateBody::from(&answer));
    if answer.code == Code::Recovering {
        return Ok((
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            body,
        )
            .into_response());
    }
    Ok(body.into_response())
}

/// Recorded decisions, newest first: a hash chain.
#[utoipa::path(get, path = "/v1/decisions", params(ListFilter), responses((status = 200, body = Vec<DecisionBody>)))]
pub(super) async fn decisions(
    State(state): State<ApiState>,
    Query(filter): Query<ListFilter>,
) -> Json<Vec<DecisionBody>> {
    let snapshot = state.snapshot();
    let rows = snapshot
        .decisions
        .iter()
        .filter(|row| filter.service.is_empty() || row.answer.service.name == filter.service);
    Json(
        rows.take(filter.limit)
            .map(|row| DecisionBody::from(&**row))
            .collect(),
    )
}

/// Alerts that are pending, firing or resolved in the last 24 h.
#[utoipa::path(get, path = "/v1/alerts", params(ListFilter), responses((status = 200, body = Vec<AlertBody>)))]
pub(super) async fn alerts(
    State(state): State<ApiState>,
    Query(filter): Query<ListFilter>,
) -> Json<Vec<AlertBody>> {
    let snapshot = state.snapshot();
    let rows = snapshot
        .alerts
        .iter()
        .filter(|row| filter.service.is_empty() || row.service.name == filter.service);
    Json(
        rows.take(filter.limit)
            .map(|row| AlertBody::from(&**row))
            .collect(),
    )
}

/// Which incidents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentFilter {
    /// `open`, `resolved` or `all` (default).
    #[serde(default)]
    state: String,
    /// A service that is culprit or victim; any when absent.
    #[serde(default)]
    service: String,
    /// 1..=1000, default 100.
    #[serde(default = "default_limit")]
    limit: usize,
}

/// Incidents, newest first; resolved ones for 24 h. Those that became part of others are left out.
#[utoipa::path(get, path = "/v1/incidents", params(IncidentFilter), responses(
    (status = 200, body = Vec<IncidentBody>),
    (status = 400, description = "unknown state or parameter"),
))]
pub(super) async fn incidents(
    State(state): State<ApiState>,
    Query(filter): Query<IncidentFilter>,
) -> Result<Json<Vec<IncidentBody>>, Problem> {
    let wanted = match filter.state.as_str() {
        "" | "all" => None,
        "open" => Some(true),
        "resolved" => Some(false),
        other => {
            let detail = format!("state: expected `open`, `resolved` or `all`, got `{other}`");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let snapshot = state.snapshot();
    let is_wanted = |row: &&Arc<IncidentRow>| {
        let names = row.culprits.iter().map(|one| &one.who).chain(&row.victims);
        let mut names = names.map(|who| &who.service.name);
        row.merged_into.is_none()
            && wanted.is_none_or(|open| row.is_open() == open)
            && (filter.service.is_empty() || names.any(|name| *name == filter.service))
    };
    let rows = snapshot.incidents.iter().filter(is_wanted);
    Ok(Json(
        rows.take(filter.limit)
            .map(|row| IncidentBody::from(&**row))
            .collect(),
    ))
}

/// One incident, also one that became part of another.
#[utoipa::path(get, path = "/v1/incidents/{id}", params(("id" = String, Path, description = "32 hex digits")), responses(
    (status = 200, body = IncidentBody),
    (status = 404, description = "no such incident"),
))]
pub(super) async fn incident(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<IncidentBody>, Problem> {
    let snapshot = state.snapshot();
    let id = u128::from_str_radix(&id, 16).ok();
    let found = snapshot.incidents.iter().find(|row| Some(row.id) == id);
    found
        .map(|row| Json(IncidentBody::from(&**row)))
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such incident"))
}

/// What happened, newest first.
#[utoipa::path(get, path = "/v1/events", params(ListFilter), responses((status = 200, body = Vec<EventBody>)))]
pub(super) async fn events(
    State(state): State<ApiState>,
    Query(filter): Query<ListFilter>,
) -> Json<Vec<EventBody>> {
    let snapshot = state.snapshot();
    let rows = snapshot
        .events
        .iter()
        .filter(|row| filter.service.is_empty() || row.service == filter.service);
    Json(rows.take(filter.limit).map(EventBody::from).collect())
}
