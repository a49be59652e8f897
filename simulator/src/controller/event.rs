//! What a controller reports: CloudEvents 1.0 in JSON (DESIGN 18). Source: cloudevents.io, json-format 1.0.2.

use super::Subject;
use serde_json::{Value, json};

/// What happened to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It began.
    Started,
    /// The candidate's share changed, 1/100 of a percent.
    Weight(u32),
    /// It waits for people or evidence.
    Paused,
    /// It goes on.
    Resumed,
    /// It ended.
    Finished {
        /// True when the candidate has all traffic now.
        promoted: bool,
    },
}

impl EventKind {
    /// CloudEvents `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "rollout.started",
            Self::Weight(_) => "rollout.weight",
            Self::Paused => "rollout.paused",
            Self::Resumed => "rollout.resumed",
            Self::Finished { .. } => "rollout.finished",
        }
    }
}

/// The CloudEvent. Its id is that of the rollout (service, candidate, begin) and a number, so that a repeated
/// post is the same event and a rollout of tomorrow is another.
pub fn rollout_event(
    subject: &Subject,
    kind: EventKind,
    at: u64,
    started: u64,
    number: u64,
) -> Value {
    let mut data = json!({
        "service": subject.service,
        "namespace": subject.namespace,
        "environment": subject.environment,
        "candidate": subject.candidate,
    });
    match kind {
        EventKind::Started if !subject.baseline.is_empty() => {
            data["baseline"] = json!(subject.baseline);
        }
        EventKind::Weight(basis_points) => {
            data["weight_percent"] = json!(f64::from(basis_points) / 100.0);
        }
        EventKind::Finished { promoted } => data["promoted"] = json!(promoted),
        EventKind::Started | EventKind::Paused | EventKind::Resumed => {}
    }
    json!({
        "specversion": "1.0",
        "id": format!("{}-{}-{started}-{number}", subject.service, subject.candidate),
        "source": "/simulator/rollout-controller",
        "type": kind.name(),
        "time": rfc3339(at),
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// Unix nanoseconds as RFC 3339 in UTC; the epoch for times jiff cannot hold (none that fit `u64`).
fn rfc3339(nanos: u64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .unwrap_or_default()
        .to_string()
}
