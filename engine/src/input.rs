//! `Input` and `Effect`: everything that can change a verdict, and everything the engine wants done.
//!
//! Both are closed. If something can change state it is an `Input`, and every `Input` is a record in the log;
//! an `Effect` carries an id, a generation and all that is needed to execute it without choosing.

use crate::cascade::row::IncidentRow;
use crate::delta::Delta;
use crate::hand::{Action, ClusterEvent, ClusterReport, HandRow, Refusal, RolloutRow, Steering};
use crate::slo::{Definitions, Severity};
use crate::snapshot::{AlertRow, Decision};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A problem in a definitions file or the configuration, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// `file:line:column`.
    pub place: String,
    /// Field path, such as `spec.objectives[0].target`.
    pub field: String,
    /// What is wrong: expected, then got.
    pub message: String,
    /// How to mend it; empty when unknown.
    pub hint: String,
    /// False for a warning.
    pub is_error: bool,
}

/// The outcome of reading the definitions directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionsLoaded {
    /// The new definitions, or `None` when there were errors: then the old ones stay.
    pub definitions: Option<Arc<Definitions>>,
    /// Every error and warning of every file.
    pub problems: Vec<Problem>,
}

/// What a rollout controller reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutChange {
    /// A rollout began; an explicit baseline revision may be named.
    Started {
        /// Baseline revision (any attribute value), empty = the engine's default rule.
        baseline: String,
    },
    /// The candidate's share of traffic changed, in 1/100 of a percent.
    Weight {
        /// 0..=10000.
        basis_points: u32,
    },
    /// Paused.
    Paused,
    /// Resumed.
    Resumed,
    /// Ended: `promoted` or aborted.
    Finished {
        /// True when the candidate now takes all traffic.
        promoted: bool,
    },
}

/// A rollout event of `POST /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutEvent {
    /// CloudEvents id: the same id twice is the same event.
    pub id: String,
    /// Service name.
    pub service: String,
    /// Namespace; empty matches any single service of that name.
    pub namespace: String,
    /// Environment; empty matches any single service of that name.
    pub environment: String,
    /// Candidate revision: any attribute value of it.
    pub candidate: String,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub change: RolloutChange,
}

/// A person's decision to clear a latched Halt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatchCleared {
    /// CloudEvents id.
    pub id: String,
    /// Service name.
    pub service: String,
    /// Namespace; empty matches any single service of that name.
    pub namespace: String,
    /// Environment; empty matches any single service of that name.
    pub environment: String,
    /// Candidate revision: any attribute value of it.
    pub candidate: String,
    /// Why; never empty.
    pub reason: String,
    /// Who, as sent; may be empty.
    pub author: String,
}

/// Counts that were lost: shown, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Logical time of the checkpoint that was loaded.
    pub from: Timestamp,
    /// When the engine was back.
    pub to: Timestamp,
}

/// How the execution of an effect ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectDone {
    /// The effect.
    #[serde(with = "crate::hash::hex128")]
    pub id: u128,
    /// Whether it was delivered; false = given up (dead letter).
    pub delivered: bool,
    /// Attempts made.
    pub attempts: u32,
    /// Last status or error, for people.
    pub detail: String,
    /// Why an action was not done; `None` when it was, and for messages.
    #[serde(default)]
    pub refusal: Option<Refusal>,
}

/// Everything the Decider can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Counts from the folders.
    Delta(Delta),
    /// Definitions were read.
    Definitions(DefinitionsLoaded),
    /// A rollout event.
    Rollout(RolloutEvent),
    /// A latch was cleared by a person.
    Override(LatchCleared),
    /// An effect was executed.
    EffectDone(EffectDone),
    /// Counts are missing for a time.
    Gap(Gap),
    /// The watch of a cluster reports.
    Cluster(ClusterReport),
    /// A person disarms or arms the hand.
    Steer(Steering),
    /// Logical time passes; the only moment at which span data changes verdicts.
    Tick,
}

/// What a notification is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Subject {
    /// An SLO's alert changed.
    Alert(Arc<AlertRow>),
    /// A gate decision that a person must hear of (Halt latched, latch cleared).
    Decision(Arc<Decision>),
    /// What was done to a workload, or could not be.
    Rollout(Arc<RolloutRow>),
    /// The hand itself: armed, disarmed, not armed.
    Hand(Arc<HandRow>),
    /// An incident that reaches others.
    Incident(Arc<IncidentRow>),
}

/// A message for people, complete: executors add nothing but signatures and transport.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// `alert.firing`, `alert.escalated`, `alert.resolved`, `incident.opened`,
    /// `incident.resolved`, `incident.reopened`, `gate.halt`, `gate.latch_cleared`, `rollout.acted`,
    /// `hand.disarmed`, `hand.armed`, `hand.not_armed` or `hand.failed`.
    pub event: String,
    /// Page or ticket.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The words: burn, budget, evidence, what to do.
    pub text: String,
    /// Logical time of the transition.
    pub at: Timestamp,
    /// The facts.
    pub subject: Subject,
}

/// Something the engine wants done. Idempotent by `id`; `generation` tells which snapshot planned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Stable id: BLAKE3-128 of what caused it. Also the `webhook-id`.
    #[serde(with = "crate::hash::hex128")]
    pub id: u128,
    /// Snapshot generation that planned it.
    pub generation: u64,
    /// What to do.
    pub kind: EffectKind,
}

/// Kinds of effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EffectKind {
    /// Tell people: one effect per endpoint, so that each has its own retries and its own outcome.
    Notify {
        /// Name of the configured webhook.
        endpoint: String,
        /// The message.
        notification: Arc<Notification>,
    },
    /// Do something to an object of the cluster.
    Act(Arc<Action>),
    /// Say something in the cluster.
    Tell(Arc<ClusterEvent>),
}
