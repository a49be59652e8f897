//! `Action`: one thing to be done to one object, complete: executors choose nothing.

use crate::hand::seen::ObjectKey;
use crate::hash::blake3_128;
use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionKind {
    /// Argo Rollouts: `status.abort`, which gives all traffic back to the stable template.
    Abort {
        /// `spec.paused` is set and must be taken away first: a paused Rollout does not scale its canary down.
        unpause: bool,
    },
    /// `spec.paused`: no more pods of the new template come; those that are there stay.
    Pause,
    /// Back to an older template, and not paused, in one patch.
    Undo {
        /// ReplicaSet that has the template.
        replica_set: String,
        /// Its hash.
        hash: String,
    },
}

impl ActionKind {
    /// `abort`, `pause` or `undo`.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Abort { .. } => "abort",
            Self::Pause => "pause",
            Self::Undo { .. } => "undo",
        }
    }

    /// `aborted`, `paused` or `undone`.
    pub const fn past(&self) -> &'static str {
        match self {
            Self::Abort { .. } => "aborted",
            Self::Pause => "paused",
            Self::Undo { .. } => "undone",
        }
    }
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What.
    pub kind: ActionKind,
    /// To which object.
    pub object: ObjectKey,
    /// Its uid: it must still be this object.
    pub uid: String,
    /// Pod template hash that is halted: it must still be the newest.
    pub hash: String,
    /// `metadata.generation` as seen: patches of the spec are refused when it is another one by now.
    pub generation: u64,
    /// The decision that latched the Halt.
    #[serde(with = "crate::hash::hex128")]
    pub decision: u128,
    /// Why, for people.
    pub reason: String,
}

impl Action {
    /// Stable id of the `attempt`th plan (from 0) of this action. `onset` is the generation at which it was wanted first.
    pub fn id(&self, onset: u64, attempt: u32) -> u128 {
        let parts = [
            self.uid.as_bytes(),
            self.hash.as_bytes(),
            &self.decision.to_le_bytes(),
            &onset.to_le_bytes(),
            &attempt.to_le_bytes(),
            self.kind.verb().as_bytes(),
        ];
        blake3_128("action", &parts)
    }
}

/// Why an action was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The object changed since it was seen: plan anew.
    Moved,
    /// The object is no more.
    Gone,
    /// Not permitted.
    Forbidden,
    /// The API server did not take it, again and again.
    Failed,
}

/// A Kubernetes Event about one object, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEvent {
    /// The object it is about.
    pub object: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// `reason`: CamelCase word.
    pub reason: String,
    /// `note`: the words.
    pub text: String,
    /// True for `Warning`, false for `Normal`.
    pub is_warning: bool,
    /// Logical time.
    pub at: crate::time::Timestamp,
}
