//! The hand's words: the same on the page, on the command line, in webhooks and in Kubernetes Events.

use super::{ACTIONS_MAX, ACTIONS_WINDOW_NANOS};
use crate::hand::action::ActionKind;
use crate::hand::row::{HandState, RolloutRow};
use crate::hand::seen::{Level, WorkloadKind, WorkloadSeen};
use crate::time::NANOS_PER_SEC;

/// "Rollout default/checkout 7f9c6d: HALT (REGRESSION_ERRORS) v2 failed ...; aborted: ...".
pub(super) fn line(row: &RolloutRow) -> String {
    format!(
        "{} {}: {} ({}) {}; {}",
        row.object,
        row.candidate,
        row.verdict.name(),
        row.code.name(),
        row.reason,
        row.words
    )
}

/// One line for a notification.
pub(super) fn title(row: &RolloutRow) -> String {
    format!("{} {}: {}", row.object, row.candidate, row.words)
}

pub(super) fn would(kind: &ActionKind, level: Level) -> String {
    format!(
        "would {} it, but its level is {}",
        kind.verb(),
        level.name()
    )
}

pub(super) fn acting(kind: &ActionKind) -> String {
    match kind {
        ActionKind::Undo { hash, .. } => format!("going back to {hash}"),
        other => format!("{} on its way", other.verb()),
    }
}

pub(super) fn done(kind: &ActionKind, halted: &str) -> String {
    match kind {
        ActionKind::Undo { hash, .. } => format!("undone by Tidegate: {halted} back to {hash}"),
        other => format!("{} by Tidegate", other.past()),
    }
}

pub(super) fn already(seen: &WorkloadSeen) -> String {
    match seen.object.kind {
        WorkloadKind::ArgoRollout => "aborted already".to_owned(),
        WorkloadKind::Deployment => "paused already".to_owned(),
    }
}

pub(super) fn resumed() -> String {
    "somebody let it go on: that is respected until the halt is cleared and latched anew".to_owned()
}

pub(super) fn kept_moving(kind: &ActionKind) -> String {
    format!(
        "{} was not done: the object changed each time it was tried",
        kind.verb()
    )
}

pub(super) fn too_many() -> String {
    let minutes = ACTIONS_WINDOW_NANOS / NANOS_PER_SEC / 60;
    format!(
        "more than {ACTIONS_MAX} rollouts were to be halted in {minutes} min: either something larger is wrong, or the \
         telemetry is; `tidegate arm --reason ...` lets it act again"
    )
}

/// Kind of the event list's line.
pub(super) const fn event(state: HandState) -> &'static str {
    match state {
        HandState::Watching => "hand.watching",
        HandState::Advising => "hand.advising",
        HandState::Blocked => "hand.blocked",
        HandState::Acting => "hand.acting",
        HandState::Done => "rollout.acted",
        HandState::Halted => "rollout.halted",
        HandState::Resumed => "hand.resumed",
        HandState::Powerless => "hand.powerless",
        HandState::Failed => "hand.failed",
    }
}

/// `reason` of the Kubernetes Event.
pub(super) const fn reason(state: HandState) -> &'static str {
    match state {
        HandState::Watching | HandState::Advising => "TidegateWouldHalt",
        HandState::Blocked => "TidegateBlocked",
        HandState::Acting => "TidegateHalting",
        HandState::Done | HandState::Halted => "TidegateHalted",
        HandState::Resumed => "TidegateResumed",
        HandState::Powerless => "TidegatePowerless",
        HandState::Failed => "TidegateFailed",
    }
}
