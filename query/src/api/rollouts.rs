//! Rollouts of the cluster, and the question of an Argo analysis.

use super::ApiState;
use crate::problem::Problem;
use crate::wire::{ArgoBody, RolloutsBody};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::hand::{ArgoQuestion, RolloutRow, ask_argo};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which rollouts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RolloutFilter {
    /// Service name; all when absent.
    #[serde(default)]
    service: String,
}

/// Rollouts of the cluster with phase, step, verdict and what the hand did; and the hand.
#[utoipa::path(get, path = "/v1/rollouts", params(RolloutFilter), responses((status = 200, body = RolloutsBody)))]
pub(super) async fn rollouts(
    State(state): State<ApiState>,
    Query(filter): Query<RolloutFilter>,
) -> Json<RolloutsBody> {
    let is_wanted = |row: &RolloutRow| {
        let name = row
            .service
            .as_ref()
            .map_or(&row.service_name, |key| &key.name);
        filter.service.is_empty() || *name == filter.service
    };
    Json(RolloutsBody::of(&state.snapshot(), is_wanted))
}

/// The question of an Argo analysis.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ArgoParameters {
    /// Kubernetes namespace of the Rollout.
    namespace: String,
    /// Its name.
    rollout: String,
    /// Its newest pod template hash.
    hash: String,
    /// Its `status.currentStepIndex`.
    step: String,
}

/// May this Rollout leave this step? Proceed only from evidence of the step; Wait while the watch has not seen it.
#[utoipa::path(get, path = "/v1/gate/argo", params(ArgoParameters), responses(
    (status = 200, body = ArgoBody, description = "every verdict"),
    (status = 400, description = "a parameter is missing or unknown"),
    (status = 503, body = ArgoBody, description = "recovering"),
))]
pub(super) async fn argo(
    State(state): State<ApiState>,
    Query(asked): Query<ArgoParameters>,
) -> Result<Response, Problem> {
    // A Rollout without a step yet has none to leave: that is Wait, not a mistake.
    let step = match asked.step.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            let detail = format!("step: expected a whole number, got `{text}`");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?),
    };
    let question = ArgoQuestion {
        namespace: asked.namespace,
        rollout: asked.rollout,
        hash: asked.hash,
        step,
    };
    let answer = ask_argo(&state.snapshot(), &question);
    let body = Json(ArgoBody::of(answer.as_ref()));
    if answer.is_none() {
        let again = [(header::RETRY_AFTER, "1")];
        return Ok((StatusCode::SERVICE_UNAVAILABLE, again, body).into_response());
    }
    Ok(body.into_response())
}
