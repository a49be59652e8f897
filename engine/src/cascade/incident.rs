//! An incident: one failure, who began it, whom it reached, and what is told of it.

use super::node::Node;
use super::rank::{Candidate, Channel};
use super::storm::Storm;
use crate::delta::Party;
use crate::hash::blake3_128;
use crate::identity::RevisionId;
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Quiet for so long, it is resolved.
pub const QUIET_NANOS: u64 = 300 * NANOS_PER_SEC;
/// Hot again within so long after it was resolved, it is reopened.
pub const REOPEN_NANOS: u64 = 900 * NANOS_PER_SEC;
/// No new node for so long: contained.
const CONTAINED_NANOS: u64 = 60 * NANOS_PER_SEC;
/// Told to people so long after it opened: alarms of one failure come within seconds of each other, from several places.
pub const SETTLE_NANOS: u64 = 3 * NANOS_PER_SEC;
/// Most suspects kept.
pub const CANDIDATES_MAX: usize = 5;
/// Most nodes kept; what is hit beyond them is counted in no list.
pub const NODES_MAX: usize = 1_000;

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// It began.
    Opened,
    /// It reached more nodes within the last minute.
    Growing,
    /// It goes on where it is.
    Contained,
    /// Quiet for five minutes.
    Resolved,
}

impl State {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Growing => "growing",
            Self::Contained => "contained",
            Self::Resolved => "resolved",
        }
    }
}

/// How far it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Only the culprit itself.
    Isolated,
    /// Others suffer from it.
    Cascade,
    /// Several culprits at one moment, without a way between them.
    CommonCause,
}

impl Scope {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Cascade => "cascade",
            Self::CommonCause => "common_cause",
        }
    }
}

/// What set it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// A change of the culprit itself.
    Change,
    /// More requests than before.
    Surge,
    /// Something that sends no telemetry of its own.
    Dependency,
    /// Something that several culprits share.
    Infrastructure,
    /// Nothing says.
    Unknown,
}

impl Trigger {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Surge => "surge",
            Self::Dependency => "dependency",
            Self::Infrastructure => "infrastructure",
            Self::Unknown => "unknown",
        }
    }
}

/// A node that the incident reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Event second in which it began there.
    pub onset: u64,
    /// Logical time of its last alarm or hot second.
    pub last_hot: Timestamp,
}

/// The culprit as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Culprit {
    /// Who.
    pub node: Node,
    /// Which revision of it, when one stands out or only one serves.
    pub revision: Option<RevisionId>,
    /// What is wrong with it.
    pub channel: Channel,
    /// How its failures end.
    pub class: FailureClass,
    /// Its share of all suspicion, 0..=1.
    pub score: f64,
}

/// A change that may be behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikelyChange {
    /// `revision`, `rollout.started`, `rollout.weight`, `deploy`, `flag` or `config`.
    pub kind: String,
    /// What changed.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// The revision it brought, where it is known.
    pub revision: Option<RevisionId>,
}

/// Who is hit, and how much of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Blast {
    /// Traces whose root failed by the culprit, in the incident's window.
    pub traces_failed: u64,
    /// Requests that entered the system meanwhile.
    pub entries: u64,
    /// Services that reach the culprit through their calls: all that it could hit.
    pub potential: u64,
}

/// When the first budget is gone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// The service and SLO whose budget is gone first; empty when none burns.
    pub slo: String,
    /// Earliest, s from `as_of`; `None`: none burns.
    pub earliest_secs: Option<u64>,
    /// Latest, s; `None`: may be never.
    pub latest_secs: Option<u64>,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// BLAKE3-128 of (environment, first alarming key, opening tick).
    pub id: u128,
    /// Where it is.
    pub state: State,
    /// How far it reaches.
    pub scope: Scope,
    /// What set it off.
    pub trigger: Trigger,
    /// The failure feeds itself: its trigger is gone, and it stays.
    pub sustained: Option<Storm>,
    /// Who did it; several for a common cause, most suspect first.
    pub culprits: Vec<Culprit>,
    /// Other suspects, most suspect first.
    pub candidates: Vec<Culprit>,
    /// Nodes reached.
    pub nodes: BTreeMap<Node, Reached>,
    /// Roots that failed by it without being watched themselves.
    pub victims: Vec<Node>,
    /// Revisions proven to be behind it: worse than the others of their service, or calling the culprit more.
    pub causes: Vec<Party>,
    /// Changes that may be behind it, most likely first.
    pub changes: Vec<LikelyChange>,
    /// Whom it hits.
    pub blast: Blast,
    /// What comes next.
    pub forecast: Forecast,
    /// Its children: alerts of services it reached.
    pub alerts: Vec<u128>,
    /// Logical time it opened.
    pub opened_at: Timestamp,
    /// Event second in which it began.
    pub onset: u64,
    /// Logical time it was hot last.
    pub last_hot: Timestamp,
    /// Logical time it reached its last node.
    pub grew_at: Timestamp,
    /// Logical time it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Times it was opened again.
    pub reopened: u32,
    /// The incident it became part of.
    pub merged_into: Option<u128>,
    /// Times its culprit changed.
    pub revised: u32,
    /// Whether every alarm so far rests on assumed bounds.
    pub is_learning: bool,
    /// Whether its opening was said.
    pub(super) is_said: bool,
    /// Whether people were told: it reached others.
    pub is_told: bool,
}

impl Incident {
    pub(super) fn open(now: Timestamp, environment: &str, first: Node, onset: u64) -> Self {
        let id = blake3_128(
            "incident",
            &[
                environment.as_bytes(),
                &first.number().to_le_bytes(),
                &now.0.to_le_bytes(),
            ],
        );
        Self {
            id,
            state: State::Opened,
            scope: Scope::Isolated,
            trigger: Trigger::Unknown,
            sustained: None,
            culprits: Vec::new(),
            candidates: Vec::new(),
            nodes: BTreeMap::new(),
            victims: Vec::new(),
            causes: Vec::new(),
            changes: Vec::new(),
            blast: Blast::default(),
            forecast: Forecast::default(),
            alerts: Vec::new(),
            opened_at: now,
            onset,
            last_hot: now,
            grew_at: now,
            resolved_at: None,
            reopened: 0,
            merged_into: None,
            revised: 0,
            is_learning: true,
            is_said: false,
            is_told: false,
        }
    }

    /// Whether it goes on.
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Resolved) && self.merged_into.is_none()
    }

    /// Whether a failure there again is this incident again.
    pub fn may_reopen(&self, now: Timestamp) -> bool {
        self.merged_into.is_none()
            && self
                .resolved_at
                .is_some_and(|at| now.since(at) <= REOPEN_NANOS)
    }

    /// Whether `node` is one of its culprits.
    pub fn is_culprit(&self, node: Node) -> bool {
        self.culprits.iter().any(|culprit| culprit.node == node)
    }

    /// Whether it reached `node`, or is blamed on it.
    pub fn concerns(&self, node: Node) -> bool {
        self.nodes.contains_key(&node) || self.is_culprit(node) || self.victims.contains(&node)
    }

    pub(super) fn reach(&mut self, now: Timestamp, node: Node, onset: u64) {
        self.last_hot = self.last_hot.max(now);
        self.onset = self.onset.min(onset);
        if let Some(known) = self.nodes.get_mut(&node) {
            known.last_hot = now;
            known.onset = known.onset.min(onset);
        } else if self.nodes.len() < NODES_MAX {
            let last_hot = now;
            self.nodes.insert(node, Reached { onset, last_hot });
            self.grew_at = now;
        }
    }

    /// Moves its state on. Returns whether it was resolved now.
    pub(super) fn step(&mut self, now: Timestamp) -> bool {
        if !self.is_open() {
            return false;
        }
        let is_quiet = now.since(self.last_hot) >= QUIET_NANOS;
        let has_grown = self.grew_at > self.opened_at || self.reopened > 0;
        self.state = if is_quiet {
            self.resolved_at = Some(now);
            self.sustained = None;
            State::Resolved
        } else if now.since(self.grew_at) >= CONTAINED_NANOS {
            State::Contained
        } else if has_grown {
            State::Growing
        } else {
            State::Opened
        };
        is_quiet
    }

    pub(super) fn reopen(&mut self, now: Timestamp) {
        self.state = State::Opened;
        self.resolved_at = None;
        self.reopened += 1;
        self.grew_at = now;
        self.last_hot = now;
    }

    /// Takes over what a younger incident had.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (node, reached) in &other.nodes {
            self.reach(reached.last_hot, *node, reached.onset);
        }
        self.onset = self.onset.min(other.onset);
        for alert in &other.alerts {
            if !self.alerts.contains(alert) {
                self.alerts.push(*alert);
            }
        }
        self.is_learning &= other.is_learning;
        self.is_told |= other.is_told;
        self.is_said |= other.is_said;
    }

    /// Takes the suspects of a ranking. Returns whether the culprit is another one now.
    pub(super) fn accuse(&mut self, culprits: Vec<Culprit>, candidates: Vec<Culprit>) -> bool {
        let first = |culprits: &[Culprit]| culprits.first().map(|one| one.node);
        let is_other = first(&self.culprits).is_some() && first(&culprits) != first(&self.culprits);
        self.culprits = culprits;
        self.candidates = candidates;
        if is_other {
            self.revised += 1;
        }
        is_other
    }

    /// Nodes in the order in which it reached them.
    pub fn order(&self) -> Vec<(Node, u64)> {
        let mut order: Vec<(Node, u64)> = self
            .nodes
            .iter()
            .map(|(node, reached)| (*node, reached.onset))
            .collect();
        order.sort_by_key(|(node, onset)| (*onset, !self.is_culprit(*node), *node));
        order
    }
}

/// A suspect as an incident keeps it; `all` is the sum of all scores.
pub(super) fn culprit(candidate: &Candidate, all: f64, revision: Option<RevisionId>) -> Culprit {
    Culprit {
        node: candidate.node,
        revision,
        channel: candidate.strongest(),
        class: candidate.class,
        score: if all > 0.0 {
            candidate.score / all
        } else {
            0.0
        },
    }
}
