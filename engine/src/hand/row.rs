//! What is shown of the hand: one row a workload, and one of the hand itself. The same words everywhere.

use crate::gate::answer::{Code, Verdict};
use crate::hand::seen::{Disarmed, Level, ObjectKey, Phase};
use crate::identity::{RevisionId, ServiceKey};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the hand does about one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HandState {
    /// Nothing is halted.
    Watching,
    /// It would halt it; the level does not allow it.
    Advising,
    /// It wants to halt it and cannot: not armed, or disarmed.
    Blocked,
    /// The action is on its way.
    Acting,
    /// The API server took the action.
    Done,
    /// The object is seen halted.
    Halted,
    /// A person let it go on after that: respected until the Halt is cleared and latched anew.
    Resumed,
    /// Halted in words only: there is nothing that could be done.
    Powerless,
    /// The action failed.
    Failed,
}

impl HandState {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Advising => "advising",
            Self::Blocked => "blocked",
            Self::Acting => "acting",
            Self::Done => "done",
            Self::Halted => "halted",
            Self::Resumed => "resumed",
            Self::Powerless => "powerless",
            Self::Failed => "failed",
        }
    }
}

/// One workload as published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRow {
    /// Object.
    pub object: ObjectKey,
    /// Its service; `None` while its spans are not recognized.
    pub service: Option<ServiceKey>,
    /// What the object calls its service.
    pub service_name: String,
    /// Newest template's hash.
    pub candidate: String,
    /// Stable template's hash; empty when there is none.
    pub stable: String,
    /// The revision that the newest template is in telemetry.
    pub revision: Option<RevisionId>,
    /// Its name for people; empty while unbound.
    pub revision_name: String,
    /// Where it stands.
    pub phase: Phase,
    /// Index of the step it is in.
    pub step: Option<u32>,
    /// Number of steps.
    pub steps: u32,
    /// Share of traffic, 1/100 of a percent.
    pub weight: Option<u32>,
    /// Logical time at which this template or step was first seen.
    pub step_since: Timestamp,
    /// Level in force.
    pub level: Level,
    /// The gate's verdict on the newest template.
    pub verdict: Verdict,
    /// Its code.
    pub code: Code,
    /// Its recorded decision; 0 when there is none.
    pub decision_id: u128,
    /// Its first reason, or why there is no answer.
    pub reason: String,
    /// What the hand does.
    pub hand: HandState,
    /// The same in words; empty while it only watches.
    pub words: String,
    /// Logical time of the last change of `hand`.
    pub hand_since: Timestamp,
}

/// The hand itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HandRow {
    /// Whether a cluster is watched.
    pub is_watching: bool,
    /// Whether the watch has seen everything there is.
    pub is_synced: bool,
    /// Highest level of any service.
    pub max_level: Level,
    /// Whether actions would be taken.
    pub is_armed: bool,
    /// Why not; empty when armed.
    pub why: String,
    /// That it was disarmed, by a person or by itself.
    pub disarmed: Option<Disarmed>,
    /// Workloads watched.
    pub workloads: u64,
    /// Workloads beyond the bound, which are not watched.
    pub unwatched: u64,
    /// Actions planned in the last 10 min.
    pub actions_recent: u64,
}

impl HandRow {
    /// "armed", or why not, in one line.
    pub fn words(&self) -> String {
        if let Some(disarmed) = &self.disarmed {
            return format!("disarmed: {}", disarmed.why);
        }
        if !self.is_watching {
            return "no cluster is watched".to_owned();
        }
        if self.is_armed {
            "armed".to_owned()
        } else {
            format!("not armed: {}", self.why)
        }
    }
}
