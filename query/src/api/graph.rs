//! `/v1/graph` and `/v1/blast`.

use super::ApiState;
use crate::problem::Problem;
use crate::wire::{BlastBody, GraphBody};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use engine::cascade::node::Node;
use engine::graph::GraphView;
use engine::graph::ask::{Direction, Question, ask};
use engine::graph::blast::blast;
use engine::graph::history::MINUTES;
use serde::Deserialize;
use utoipa::IntoParams;

/// Most edges of one answer.
const EDGES_MAX: usize = 10_000;
/// Most hops.
const HOPS_MAX: u8 = 16;

/// Which part of the graph, and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GraphQuestion {
    /// Around this node (service, database, topic or peer, by name); the whole graph when absent.
    #[serde(default)]
    service: String,
    /// Namespace, when several services have the name.
    #[serde(default)]
    namespace: String,
    /// Environment, when several services have the name.
    #[serde(default)]
    environment: String,
    /// Edges away from it, 1..=16, default 1.
    hops: Option<u8>,
    /// `both` (default), `callers` or `callees`.
    #[serde(default)]
    direction: String,
    /// Length of the window, s, default 300; at most 6 h.
    window: Option<u64>,
    /// Last moment of the window (RFC 3339); now when absent, at most 6 h ago.
    #[serde(default)]
    at: String,
    /// At most so many edges, the busiest; default 1000.
    limit: Option<usize>,
}

impl GraphQuestion {
    fn read(&self, view: &GraphView) -> Result<Question, Problem> {
        let refuse = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
        let direction = match self.direction.as_str() {
            "" | "both" => Direction::Both,
            "callers" => Direction::Callers,
            "callees" => Direction::Callees,
            other => {
                return Err(refuse(format!(
                    "direction: expected `both`, `callers` or `callees`, got `{other}`"
                )));
            }
        };
        let to = match self.at.as_str() {
            "" => view.as_of.secs(),
            text => {
                let at: jiff::Timestamp = text
                    .parse()
                    .map_err(|_| refuse(format!("at: expected an RFC 3339 time, got `{text}`")))?;
                u64::try_from(at.as_second()).unwrap_or(0)
            }
        };
        let hops = self.hops.unwrap_or(1);
        if !(1..=HOPS_MAX).contains(&hops) {
            return Err(refuse(format!(
                "hops: expected 1 to {HOPS_MAX}, got {hops}"
            )));
        }
        let window_secs = self.window.unwrap_or(300);
        if !(1..=MINUTES).contains(&window_secs) {
            return Err(refuse(format!(
                "window: expected 1 to {MINUTES} seconds, got {window_secs}"
            )));
        }
        Ok(Question {
            focus: self.focus(view)?,
            hops,
            direction,
            to,
            window_secs,
            edges_max: self.limit.unwrap_or(1_000).min(EDGES_MAX),
        })
    }

    fn focus(&self, view: &GraphView) -> Result<Vec<Node>, Problem> {
        if self.service.is_empty() {
            return Ok(Vec::new());
        }
        let found = view.find(&self.service, &self.namespace, &self.environment);
        if found.is_empty() {
            let detail = format!(
                "no node is called `{}`: see /v1/graph without `service`",
                self.service
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        Ok(found)
    }
}

/// Who calls whom: now, or at any moment of the last six hours.
#[utoipa::path(get, path = "/v1/graph", params(GraphQuestion), responses(
    (status = 200, body = GraphBody),
    (status = 400, description = "a parameter that cannot be read"),
    (status = 404, description = "no such node"),
))]
pub(super) async fn graph(
    State(state): State<ApiState>,
    Query(asked): Query<GraphQuestion>,
) -> Result<Json<GraphBody>, Problem> {
    let snapshot = state.snapshot();
    let answer = ask(&snapshot.graph, &asked.read(&snapshot.graph)?);
    Ok(Json(GraphBody::of(&snapshot, &answer)))
}

/// Who is hit when a node fails, and on whom it leans. `service` is required; `hops`, `direction` and `limit` have no
/// meaning here.
#[utoipa::path(get, path = "/v1/blast", params(GraphQuestion), responses(
    (status = 200, body = BlastBody),
    (status = 400, description = "a parameter that cannot be read"),
    (status = 404, description = "no such node"),
))]
pub(super) async fn blast_radius(
    State(state): State<ApiState>,
    Query(asked): Query<GraphQuestion>,
) -> Result<Json<BlastBody>, Problem> {
    if asked.service.is_empty() {
        let detail = "service: say which node fails";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let snapshot = state.snapshot();
    let view = &snapshot.graph;
    let question = asked.read(view)?;
    let whole = Question {
        focus: Vec::new(),
        edges_max: usize::MAX,
        ..question.clone()
    };
    let answer = ask(view, &whole);
    let blast = blast(&answer, &question.focus);
    Ok(Json(BlastBody::of(view, &answer, &asked.service, &blast)))
}
