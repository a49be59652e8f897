//! The HTTP API under `/v1`, generated OpenAPI document included.
//!
//! Handlers read one snapshot, convert rows to [`crate::wire`] shapes and answer. What changes state (events,
//! reload) is handed to the engine's input queue and answered 202.

mod events;
mod graph;
mod read;
mod rollouts;
mod sql;
mod stream;
#[cfg(test)]
mod tests;

pub use events::{CloudEvent, EventData, event_input};
pub use sql::{ARROW_STREAM, SqlAnswer, SqlBody, SqlColumn};

use crate::metrics::{self, Sample};
use crate::problem::Problem;
use crate::sql::Sql;
use arc_swap::ArcSwap;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use engine::doctor::Endpoints;
use engine::input::Input;
use engine::snapshot::Snapshot;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::Instrument;
use tracing::field::Empty;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Most bytes of a posted event.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// What the API needs from the program.
#[derive(Clone)]
pub struct ApiState {
    /// The last published snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The engine's input queue.
    pub control: mpsc::Sender<Input>,
    /// Asks for a reload of the definitions.
    pub reload: mpsc::Sender<()>,
    /// What the receivers count, read at each scrape.
    pub receivers: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// Answers `/v1/sql`.
    pub sql: Sql,
    /// Bearer token before every endpoint but health; `None` = open.
    pub token: Option<Arc<str>>,
    /// Where senders reach the receivers.
    pub endpoints: Arc<Endpoints>,
}

impl ApiState {
    /// The snapshot to answer one request from.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Tidegate",
    description = "SLOs per revision and rollout gates with evidence. Times are RFC 3339, ratios 0..1, durations seconds; errors are RFC 9457 problem details."
))]
struct Document;

fn documented() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(read::status))
        .routes(routes!(read::doctor))
        .routes(routes!(read::traffic))
        .routes(routes!(read::services))
        .routes(routes!(read::slos))
        .routes(routes!(read::budgets))
        .routes(routes!(read::burn_rates))
        .routes(routes!(graph::graph))
        .routes(routes!(graph::blast_radius))
        .routes(routes!(read::gate))
        .routes(routes!(rollouts::argo))
        .routes(routes!(rollouts::rollouts))
        .routes(routes!(read::decisions))
        .routes(routes!(read::alerts))
        .routes(routes!(read::incidents))
        .routes(routes!(read::incident))
        .routes(routes!(stream::stream))
        .routes(routes!(read::events, events::post_event))
        .routes(routes!(sql::post_sql))
}

/// The OpenAPI document, generated from the handlers.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().split_for_parts().1
}

/// The whole API: `/v1`, `/metrics` and health; `pages` are merged in behind the same token.
pub fn router(state: ApiState, pages: Router) -> Router {
    let (api, document) = documented().split_for_parts();
    let document = Arc::new(document);
    let guarded = api
        .route(
            "/v1/openapi.json",
            get(move || async move { Json(document.as_ref().clone()) }),
        )
        .route("/metrics", get(scrape))
        .route("/-/reload", post(reload))
        .with_state(state.clone())
        .merge(pages)
        .layer(middleware::from_fn_with_state(state.clone(), check_token))
        .layer(middleware::from_fn(trace));
    Router::new()
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .with_state(state)
        .merge(guarded)
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "no such page or endpoint: see /v1/openapi.json",
            )
        })
        .layer(axum::extract::DefaultBodyLimit::max(EVENT_BYTES_MAX))
        .layer(middleware::from_fn(harden))
}

/// One span a request, for Tidegate's own traces. It is called after the route: a path from outside makes no new name.
async fn trace(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", MatchedPath::as_str);
    let method = request.method();
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

async fn check_token(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let Some(token) = &state.token else {
        return next.run(request).await;
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let given = given
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .unwrap_or_default();
    if is_same(given, token.as_bytes()) {
        return next.run(request).await;
    }
    let mut response = Problem::new(
        StatusCode::UNAUTHORIZED,
        "send `Authorization: Bearer` with the server's token",
    )
    .into_response();
    let _ = response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        header::HeaderValue::from_static("Bearer"),
    );
    response
}

/// Constant time in the content: compares digests, not prefixes.
fn is_same(given: &[u8], expected: &[u8]) -> bool {
    let digest = |bytes: &[u8]| engine::hash::blake3_128("token", &[bytes]);
    (digest(given) ^ digest(expected)) == 0
}

async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let set = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in set {
        let _ = headers
            .entry(name)
            .or_insert(header::HeaderValue::from_static(value));
    }
    response
}

async fn ready(State(state): State<ApiState>) -> Response {
    if state.snapshot().is_recovering {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "recovering: the state is being loaded",
        )
        .into_response();
    }
    "ready\n".into_response()
}

async fn reload(State(state): State<ApiState>) -> Result<(StatusCode, &'static str), Problem> {
    state
        .reload
        .try_send(())
        .map(|()| {
            (
                StatusCode::ACCEPTED,
                "reload asked for: problems are in /v1/status\n",
            )
        })
        .or(Ok((
            StatusCode::ACCEPTED,
            "a reload is already under way\n",
        )))
}

async fn scrape(State(state): State<ApiState>) -> Result<Response, Problem> {
    let text = metrics::render(&state.snapshot(), &(state.receivers)()).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
