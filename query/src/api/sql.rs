//! `POST /v1/sql`.

use super::ApiState;
use crate::problem::Problem;
use crate::sql::{Answer, Encoding, Request};
use crate::wire::rfc3339;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Media type of an Arrow IPC stream.
pub const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// Rows of an answer when the request does not say.
const ROWS_DEFAULT: usize = 1_000;

/// A statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlBody {
    /// One SELECT statement.
    pub query: String,
    /// Most rows of the answer; 1,000 when absent, bounded by the server.
    pub max_rows: Option<usize>,
    /// Longest time, ms; bounded by the server, which is also the default.
    pub timeout_ms: Option<u64>,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SqlColumn {
    /// Name.
    pub name: String,
    /// `text`, `time`, `bigint`, `double`, `boolean`, `interval`, or Arrow's name of another type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An answer as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SqlAnswer {
    /// The columns, in order.
    pub columns: Vec<SqlColumn>,
    /// One array a row, values in the order of the columns. Times are RFC 3339 in UTC; numbers that JSON does not
    /// have (NaN, infinities) are text.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// True when there were more rows than the answer may have.
    pub truncated: bool,
    /// Logical time of the snapshot that was asked; `now()` in the statement.
    pub as_of: String,
}

/// Ask in SQL: one SELECT over the current snapshot. The tables are in `docs/sql.md`.
///
/// `Accept` chooses the form: JSON (default), `text/csv`, or `application/vnd.apache.arrow.stream`; those two carry
/// `truncated` and `as_of` in the headers `tidegate-truncated` and `tidegate-as-of`.
#[utoipa::path(post, path = "/v1/sql", request_body = SqlBody, responses(
    (status = 200, body = SqlAnswer),
    (status = 400, description = "no SELECT, not allowed, or too large: `code` and `position` say more"),
    (status = 422, description = "an unknown name, types that do not fit, too much memory, or too much time"),
    (status = 429, description = "too many queries at once: ask again"),
    (status = 501, description = "built without SQL"),
))]
pub(super) async fn post_sql(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Result<Json<SqlBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|rejection| {
        Problem::new(
            rejection.status(),
            format!("expected {{\"query\": \"SELECT ...\"}} as JSON: {rejection}"),
        )
    })?;
    let encoding = encoding(&headers);
    let request = Request {
        statement: body.query,
        rows: body.max_rows.unwrap_or(ROWS_DEFAULT),
        timeout: body.timeout_ms.map_or(Duration::MAX, Duration::from_millis),
        encoding,
    };
    let answer = state.sql.answer(state.snapshot(), request).await?;
    Ok(response(encoding, answer))
}

/// The first form in `Accept` that is known; JSON otherwise.
fn encoding(headers: &HeaderMap) -> Encoding {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let known = accept.split(',').find_map(|range| {
        match range.split(';').next().unwrap_or_default().trim() {
            "text/csv" => Some(Encoding::Csv),
            ARROW_STREAM => Some(Encoding::Arrow),
            "application/json" => Some(Encoding::Json),
            _ => None,
        }
    });
    known.unwrap_or_default()
}

fn response(encoding: Encoding, answer: Answer) -> Response {
    let kind = match encoding {
        Encoding::Json => "application/json",
        Encoding::Csv => "text/csv; charset=utf-8; header=present",
        Encoding::Arrow => ARROW_STREAM,
    };
    (
        [
            (header::CONTENT_TYPE.as_str(), kind.to_owned()),
            ("tidegate-truncated", answer.is_truncated.to_string()),
            ("tidegate-as-of", rfc3339(answer.as_of)),
        ],
        answer.body,
    )
        .into_response()
}
