//! Events in: CloudEvents 1.0 in structured mode, rollout progress and cleared latches.

use super::ApiState;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use engine::hand::Steering;
use engine::input::{Input, LatchCleared, RolloutChange, RolloutEvent};
use engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A CloudEvent (1.0, structured mode).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: String,
    /// Unique with `source`: the same event sent twice counts once.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// `rollout.started`, `rollout.weight`, `rollout.paused`, `rollout.resumed`, `rollout.finished`, `latch.cleared`,
    /// `hand.disarmed`, `hand.armed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// RFC 3339; the time of arrival when absent.
    pub time: Option<String>,
    /// What it is about.
    pub data: EventData,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct EventData {
    /// Service name; not for `hand.*`.
    #[serde(default)]
    pub service: String,
    /// Namespace; empty when the name is unique.
    #[serde(default)]
    pub namespace: String,
    /// Environment; empty when the name is unique.
    #[serde(default)]
    pub environment: String,
    /// Candidate: any attribute value of the revision; not for `hand.*`.
    #[serde(default)]
    pub candidate: String,
    /// `rollout.started`: explicit baseline.
    #[serde(default)]
    pub baseline: String,
    /// `rollout.weight`: candidate's share of traffic, percent.
    pub weight_percent: Option<f64>,
    /// `rollout.finished`: true when the candidate now takes all traffic.
    pub promoted: Option<bool>,
    /// `latch.cleared`, `hand.disarmed`, `hand.armed`: why; required there.
    #[serde(default)]
    pub reason: String,
    /// The same: who.
    #[serde(default)]
    pub author: String,
}

/// Take note of a rollout's progress, or clear a latched Halt.
#[utoipa::path(post, path = "/v1/events", request_body = CloudEvent, responses(
    (status = 202, description = "taken; it counts from the next tick on"),
    (status = 400, description = "not a CloudEvent, or a field is missing"),
    (status = 503, description = "the engine's queue is full: send it again"),
))]
pub(super) async fn post_event(
    State(state): State<ApiState>,
    event: Result<Json<CloudEvent>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(event) = event.map_err(|rejection| {
        Problem::new(
            rejection.status(),
            format!("expected a CloudEvent 1.0 as JSON: {rejection}"),
        )
    })?;
    let input =
        event_input(event).map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, detail))?;
    state.control.try_send(input).map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine's queue is full: send the event again",
        )
    })?;
    Ok(StatusCode::ACCEPTED)
}

/// Reads an event as an engine input.
///
/// # Errors
/// Says which field is wrong, what was expected and what was given.
pub fn event_input(event: CloudEvent) -> Result<Input, String> {
    if event.specversion != "1.0" {
        return Err(format!(
            "specversion: expected `1.0`, got `{}`",
            event.specversion
        ));
    }
    if event.kind.starts_with("hand.") {
        return steering(event);
    }
    for (field, value) in [
        ("id", &event.id),
        ("data.service", &event.data.service),
        ("data.candidate", &event.data.candidate),
    ] {
        if value.is_empty() || value.len() > 512 {
            return Err(format!(
                "{field}: expected 1 to 512 bytes, got {}",
                value.len()
            ));
        }
    }
    let id = format!("{}/{}", event.source, event.id);
    let time = match &event.time {
        None => Timestamp::EPOCH,
        Some(text) => parse_time(text)?,
    };
    let data = event.data;
    let change = match event.kind.as_str() {
        "rollout.started" => RolloutChange::Started {
            baseline: data.baseline.clone(),
        },
        "rollout.weight" => RolloutChange::Weight {
            basis_points: basis_points(data.weight_percent)?,
        },
        "rollout.paused" => RolloutChange::Paused,
        "rollout.resumed" => RolloutChange::Resumed,
        "rollout.finished" => RolloutChange::Finished {
            promoted: data
                .promoted
                .ok_or("data.promoted: expected true or false, it is missing")?,
        },
        "latch.cleared" => {
            if data.reason.trim().is_empty() {
                return Err("data.reason: a latch is cleared only with a reason".to_owned());
            }
            return Ok(Input::Override(LatchCleared {
                id,
                service: data.service,
                namespace: data.namespace,
                environment: data.environment,
                candidate: data.candidate,
                reason: data.reason,
                author: data.author,
            }));
        }
        other => {
            return Err(format!(
                "type: expected rollout.started, rollout.weight, rollout.paused, rollout.resumed, rollout.finished, latch.cleared, hand.disarmed or hand.armed, got `{other}`"
            ));
        }
    };
    Ok(Input::Rollout(RolloutEvent {
        id,
        service: data.service,
        namespace: data.namespace,
        environment: data.environment,
        candidate: data.candidate,
        time,
        change,
    }))
}

/// A person disarms or arms the hand.
fn steering(event: CloudEvent) -> Result<Input, String> {
    let arm = match event.kind.as_str() {
        "hand.armed" => true,
        "hand.disarmed" => false,
        other => {
            return Err(format!(
                "type: expected hand.disarmed or hand.armed, got `{other}`"
            ));
        }
    };
    if event.id.is_empty() || event.id.len() > 512 {
        let size = event.id.len();
        return Err(format!("id: expected 1 to 512 bytes, got {size}"));
    }
    if event.data.reason.trim().is_empty() {
        return Err("data.reason: the hand is disarmed and armed only with a reason".to_owned());
    }
    Ok(Input::Steer(Steering {
        id: format!("{}/{}", event.source, event.id),
        arm,
        reason: event.data.reason,
        author: event.data.author,
    }))
}

fn basis_points(percent: Option<f64>) -> Result<u32, String> {
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 100.0).round() as u32),
        Some(percent) => Err(format!(
            "data.weight_percent: expected 0 to 100, got {percent}"
        )),
        None => Err("data.weight_percent: expected 0 to 100, it is missing".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("time: expected RFC 3339, got `{text}`"))?;
    let nanos = u64::try_from(time.as_nanosecond())
        .map_err(|_| format!("time: expected a time after 1970, got `{text}`"))?;
    Ok(Timestamp(nanos))
}
