//! SHOWS. Pages over the snapshot: the fleet, one service, one SLO, the service graph, gate decisions, incidents, alerts, events, own health.
//!
//! - **In / out**: [`query::api::ApiState`] in; HTML out.
//! - **Does not know**: how anything was decided; no state of its own, no script, nothing loaded from elsewhere.
//! - **Owns**: one stylesheet.
//! - **Limits**: lists show at most [`ROWS_MAX`] rows; names are cut at [`text::NAME_CHARS_MAX`] characters.
//! - **Sources**: WCAG 2.2 (landmarks, names, color never alone), CSP Level 3.
//! - **Read next**: [`page`], [`fleet`], [`slo`], [`service`], [`decisions`], [`incidents`], [`lists`], [`mod@graph`], [`health`], [`chart`].

pub mod chart;
pub mod decisions;
pub mod fleet;
pub mod graph;
pub mod health;
pub mod incidents;
pub mod lists;
pub mod page;
pub mod rollouts;
pub mod service;
pub mod slo;
#[cfg(test)]
mod tests;
pub mod text;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use engine::identity::ServiceId;
use engine::slo::SloId;
use engine::snapshot::Snapshot;
use maud::Markup;
use query::api::ApiState;
use query::problem::Problem;

/// Most rows of a list on one page.
pub const ROWS_MAX: usize = 200;

/// Nothing may be loaded or run but our own stylesheet.
const CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All pages.
pub fn pages(state: ApiState) -> Router {
    Router::new()
        .route("/", get(|State(state): State<ApiState>| async move { html(fleet::page(&state.snapshot(), &state.endpoints)) }))
        .route("/service/{id}", get(service_page))
        .route("/slo/{id}", get(slo_page))
        .route("/graph", get(|State(state): State<ApiState>| async move { graph_page(&state.snapshot(), None) }))
        .route("/graph/{id}", get(|State(state): State<ApiState>, Path(id): Path<String>| async move { graph_page(&state.snapshot(), Some(&id)) }))
        .route("/gate", get(|State(state): State<ApiState>| async move { html(decisions::list(&state.snapshot())) }))
        .route("/gate/{id}", get(decision_page))
        .route("/rollouts", get(|State(state): State<ApiState>| async move { html(rollouts::page(&state.snapshot())) }))
        .route("/incidents", get(|State(state): State<ApiState>| async move { html(incidents::list(&state.snapshot())) }))
        .route("/incident/{id}", get(incident_page))
        .route("/alerts", get(|State(state): State<ApiState>| async move { html(lists::alerts(&state.snapshot())) }))
        .route("/events", get(|State(state): State<ApiState>| async move { html(lists::events(&state.snapshot())) }))
        .route("/health", get(|State(state): State<ApiState>| async move { html(health::page(&state.snapshot(), &state.endpoints)) }))
        .route("/assets/tidegate.css", get(stylesheet))
        .route("/{*path}", any(nothing_here))
        .with_state(state)
}

async fn stylesheet() -> Response {
    (
        [
            (header::CONTENT_TYPE, "text/css; charset=utf-8"),
            // Pages come again every 5 s; the stylesheet need not.
            (header::CACHE_CONTROL, "private, max-age=60"),
        ],
        include_str!("tidegate.css"),
    )
        .into_response()
}

fn html(markup: Markup) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CSP),
    ];
    (headers, markup.into_string()).into_response()
}

fn or_missing(snapshot: &Snapshot, found: Option<Markup>) -> Response {
    match found {
        Some(markup) => html(markup),
        None => (StatusCode::NOT_FOUND, html(page::missing(snapshot))).into_response(),
    }
}

/// An address that is neither a page nor an endpoint: a page for browsers, problem details for programs.
async fn nothing_here(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT);
    let is_browser = accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accepted| accepted.contains("text/html"));
    if is_browser {
        return or_missing(&state.snapshot(), None);
    }
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such page or endpoint: see /v1/openapi.json",
    )
    .into_response()
}

fn parse_id(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok()
}

async fn service_page(State(state): State<ApiState>, Path(id): Path<String>) -> Response {
    let snapshot = state.snapshot();
    or_missing(
        &snapshot,
        parse_id(&id).and_then(|id| service::page(&snapshot, ServiceId(id))),
    )
}

fn graph_page(snapshot: &Snapshot, id: Option<&str>) -> Response {
    let found = match id.map(parse_id) {
        Some(None) => None,
        focus => graph::page(snapshot, focus.flatten()),
    };
    or_missing(snapshot, found)
}

async fn slo_page(State(state): State<ApiState>, Path(id): Path<String>) -> Response {
    let snapshot = state.snapshot();
    or_missing(
        &snapshot,
        parse_id(&id).and_then(|id| slo::page(&snapshot, SloId(id))),
    )
}

async fn incident_page(State(state): State<ApiState>, Path(id): Path<String>) -> Response {
    let snapshot = state.snapshot();
    or_missing(
        &snapshot,
        parse_id(&id).and_then(|id| incidents::page(&snapshot, id)),
    )
}

async fn decision_page(State(state): State<ApiState>, Path(id): Path<String>) -> Response {
    let snapshot = state.snapshot();
    or_missing(
        &snapshot,
        parse_id(&id).and_then(|id| decisions::page(&snapshot, id)),
    )
}
