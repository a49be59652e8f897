//! The hand: what is done to real rollouts in a real cluster, planned purely (DESIGN 11).
//!
//! Observations of workloads come in ([`ClusterReport`]), each is bound to the revision that its spans name (`bind.rs`), and
//! where the gate has latched a Halt of that revision, what can be done is planned (`plan.rs`) as an [`Action`]. Executors
//! carry it out without choosing and report how it ended.
//!
//! **When the hand is wrong, blind, restarted or unsure, it does nothing:**
//! - one action per (object, template, decision): repeated only under the same id, planned anew at most
//!   [`REPLANS_MAX`] times when the object had changed meanwhile;
//! - what a person does afterwards is respected: a rollout that goes on again is not halted again for the same decision;
//! - at most [`ACTIONS_MAX`] actions in [`ACTIONS_WINDOW_NANOS`], fleet-wide; the next one disarms the hand and pages;
//! - nothing at all before a dry run has shown that it would be taken, and nothing below level `act`;
//! - a template that no revision is called by is not judged: REVISION_UNKNOWN, Wait.
//!
//! Limits: [`WORKLOADS_MAX`] workloads; later ones are counted and not watched.

mod action;
mod argo;
mod bind;
mod plan;
mod row;
mod seen;
mod trial;
mod words;

pub use action::{Action, ActionKind, ClusterEvent, Refusal};
pub use argo::{ArgoAnswer, ArgoQuestion, ask_argo};
pub use plan::{HandFacts, Planned};
pub use row::{HandRow, HandState, RolloutRow};
pub use seen::{
    ClusterReport, Disarmed, Level, NAMES_MAX, ObjectKey, Phase, Readiness, ServiceSeen, Steering,
    TEMPLATES_MAX, TemplateSeen, WorkloadKind, WorkloadSeen,
};

use crate::identity::{RevisionId, ServiceId};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use trial::Trial;

/// Most workloads watched; later ones are counted and not watched.
pub const WORKLOADS_MAX: usize = 10_000;
/// Most actions in [`ACTIONS_WINDOW_NANOS`]; wanting one more disarms.
pub const ACTIONS_MAX: usize = 3;
/// The time over which actions are counted, ns.
pub const ACTIONS_WINDOW_NANOS: u64 = 600 * NANOS_PER_SEC;
/// How often an action is planned anew because its object had changed.
pub const REPLANS_MAX: u32 = 3;

/// What the gate was told of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Told {
    revision: Option<RevisionId>,
    is_started: bool,
    weight: Option<u32>,
    is_held: bool,
    is_finished: bool,
}

/// One workload.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Workload {
    seen: WorkloadSeen,
    /// Counts the observations that differed.
    version: u64,
    /// Logical time at which this template or step was first seen.
    step_since: Timestamp,
    bound: Option<(ServiceId, RevisionId)>,
    /// Why it is not bound; empty when it is.
    unbound: String,
    told: Told,
    trial: Option<Trial>,
    /// What was done to the template before: shown while there is nothing newer to say.
    note: String,
    /// Whether something changed since it was considered last.
    #[serde(skip, default = "dirty")]
    is_dirty: bool,
}

const fn dirty() -> bool {
    true
}

/// The planning machine. Serializable: it survives a restart inside the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hand {
    workloads: BTreeMap<ObjectKey, Workload>,
    /// Objects beyond the bound.
    unwatched: BTreeSet<ObjectKey>,
    /// When actions were planned, oldest first.
    actions: VecDeque<Timestamp>,
    disarmed: Option<Disarmed>,
    /// Whether somebody was paged because the hand is not armed.
    is_unarmed_paged: bool,
    /// Counts what must be on disk before anybody acts on it.
    fence: u64,
    /// What may be done; a restart asks again.
    #[serde(skip)]
    readiness: Option<Readiness>,
    /// Kinds whose list is complete; a restart lists again.
    #[serde(skip)]
    synced: BTreeSet<WorkloadKind>,
    #[serde(skip)]
    rows: BTreeMap<ObjectKey, Arc<RolloutRow>>,
    /// Logical time of the last plan.
    #[serde(skip)]
    planned: Timestamp,
}

impl Hand {
    /// Takes in what the watch reports. Changes no verdict. O(log workloads), and O(workloads) for a list.
    pub fn observe(&mut self, now: Timestamp, report: ClusterReport) {
        match report {
            ClusterReport::Seen(seen) => self.see(now, *seen),
            ClusterReport::Gone(object) => self.forget(&object),
            ClusterReport::Listed { kind, objects } => {
                let all: BTreeSet<ObjectKey> = objects.into_iter().collect();
                let known = self.workloads.keys().chain(&self.unwatched);
                let gone: Vec<ObjectKey> = known
                    .filter(|object| object.kind == kind && !all.contains(object))
                    .cloned()
                    .collect();
                for object in gone {
                    self.forget(&object);
                }
                self.synced.insert(kind);
            }
            ClusterReport::Readiness(readiness) => self.ready(readiness),
        }
    }

    fn see(&mut self, now: Timestamp, mut seen: WorkloadSeen) {
        seen.templates.truncate(TEMPLATES_MAX);
        let has_room = self.workloads.len() < WORKLOADS_MAX;
        let Some(known) = self.workloads.get_mut(&seen.object) else {
            if has_room {
                let workload = Workload::new(now, seen);
                self.workloads
                    .insert(workload.seen.object.clone(), workload);
            } else if self.unwatched.len() < WORKLOADS_MAX {
                self.unwatched.insert(seen.object);
            }
            return;
        };
        if known.seen != seen {
            known.update(now, seen);
        }
    }

    fn forget(&mut self, object: &ObjectKey) {
        self.workloads.remove(object);
        self.unwatched.remove(object);
        self.rows.remove(object);
    }

    fn ready(&mut self, readiness: Readiness) {
        if self.readiness.as_ref() == Some(&readiness) {
            return;
        }
        if readiness.is_armed {
            self.is_unarmed_paged = false;
        }
        self.readiness = Some(readiness);
        self.touch();
    }

    /// A person steers. Returns whether anything changed.
    pub fn steer(&mut self, now: Timestamp, steering: &Steering) -> bool {
        let who = if steering.author.is_empty() {
            steering.reason.clone()
        } else {
            format!("{} ({})", steering.reason, steering.author)
        };
        let has_changed = steering.arm == self.disarmed.is_some();
        if steering.arm {
            self.disarmed = None;
            // Somebody looked: what was done before says nothing about what comes.
            self.actions.clear();
        } else if self.disarmed.is_none() {
            self.disarmed = Some(Disarmed {
                at: now,
                why: who,
                is_automatic: false,
            });
        }
        self.fence += u64::from(has_changed);
        self.touch();
        has_changed
    }

    /// Everything is considered again.
    fn touch(&mut self) {
        for workload in self.workloads.values_mut() {
            workload.is_dirty = true;
        }
    }

    /// Whether nothing is done until somebody arms again.
    pub const fn disarmed(&self) -> Option<&Disarmed> {
        self.disarmed.as_ref()
    }

    /// Counts up whenever something was decided that must be durable before anybody acts on it.
    pub const fn fence(&self) -> u64 {
        self.fence
    }

    /// Rows of all workloads, shared while unchanged.
    pub fn rows(&self) -> Vec<Arc<RolloutRow>> {
        self.rows.values().cloned().collect()
    }

    /// The hand itself.
    pub fn row(&self) -> HandRow {
        let readiness = self.readiness.as_ref();
        let is_armed = readiness.is_some_and(|one| one.is_armed) && self.disarmed.is_none();
        HandRow {
            is_watching: readiness.is_some() || !self.synced.is_empty(),
            is_synced: self.synced.len() == 2,
            max_level: readiness.map(|one| one.max_level).unwrap_or_default(),
            is_armed,
            why: readiness.map_or_else(
                || "the dry run has not been made yet".to_owned(),
                |one| one.why.clone(),
            ),
            disarmed: self.disarmed.clone(),
            workloads: self.workloads.len() as u64,
            unwatched: self.unwatched.len() as u64,
            actions_recent: self.actions.len() as u64,
        }
    }
}

impl Workload {
    fn new(now: Timestamp, seen: WorkloadSeen) -> Self {
        Self {
            seen,
            version: 1,
            step_since: now,
            bound: None,
            unbound: String::new(),
            told: Told::default(),
            trial: None,
            note: String::new(),
            is_dirty: true,
        }
    }

    fn update(&mut self, now: Timestamp, seen: WorkloadSeen) {
        let is_other = seen.uid != self.seen.uid;
        // While the status is behind, what it says of template and step is old.
        let is_new_template =
            is_other || seen.phase != Phase::Unknown && seen.current != self.seen.current;
        if is_new_template {
            self.note = match &self.trial {
                Some(trial) if !is_other => trial.epitaph(),
                _ => String::new(),
            };
            self.trial = None;
            self.bound = None;
            self.told = Told::default();
        }
        if is_new_template || seen.step != self.seen.step {
            self.step_since = now;
        }
        let previous = std::mem::replace(&mut self.seen, seen);
        if self.seen.phase == Phase::Unknown {
            // The spec is new, the status old: what was known of template and step stays.
            self.seen.current = previous.current;
            self.seen.stable = previous.stable;
            self.seen.step = previous.step;
        }
        self.version += 1;
        self.is_dirty = true;
    }
}
