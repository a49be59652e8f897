//! An incident as it is published: names instead of ids, ready to be shown.

use super::incident::{Blast, Forecast, Scope, State, Trigger};
use super::node::Node;
use super::rank::Channel;
use super::storm::Storm;
use crate::identity::{RevisionId, ServiceKey};
use crate::slo::Severity;
use crate::time::Timestamp;
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};

/// A node by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Which.
    pub node: Node,
    /// The service; of a peer its name alone is filled in, as its clients call it.
    pub service: ServiceKey,
}

impl Named {
    /// `service`, or `peer`.
    pub const fn kind(&self) -> &'static str {
        match self.node {
            Node::Service(_) => "service",
            Node::Peer(_) => "peer",
        }
    }
}

/// A suspect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectRow {
    /// Who.
    pub who: Named,
    /// Which revision.
    pub revision_id: Option<RevisionId>,
    /// As a person names it; empty when none stands out.
    pub revision: String,
    /// What is wrong with it.
    pub channel: Channel,
    /// How its failures end.
    pub class: FailureClass,
    /// Its share of all suspicion, 0..=1.
    pub score: f64,
}

/// When a node was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnsetRow {
    /// Who.
    pub who: Named,
    /// Event time of the first sign.
    pub at: Timestamp,
    /// Until when it was seen, logical time.
    pub until: Timestamp,
    /// Whether it is a culprit.
    pub is_culprit: bool,
}

/// A change that may be behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// `revision`, `rollout.started`, `deploy`, ...
    pub kind: String,
    /// In words.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// The revision it brought; empty when it is of the service as a whole.
    pub revision: String,
}

/// An incident as published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentRow {
    /// Its id.
    pub id: u128,
    /// Where it is.
    pub state: State,
    /// How far it reaches.
    pub scope: Scope,
    /// What set it off.
    pub trigger: Trigger,
    /// The storm that keeps it going, when it feeds itself.
    pub sustained: Option<Storm>,
    /// Page or ticket.
    pub severity: Severity,
    /// Culprits, most suspect first; several for a common cause.
    pub culprits: Vec<SuspectRow>,
    /// Suspects, most suspect first.
    pub candidates: Vec<SuspectRow>,
    /// Whom it hits.
    pub victims: Vec<Named>,
    /// In which order it reached them.
    pub onset: Vec<OnsetRow>,
    /// Likely changes, most likely first.
    pub changes: Vec<ChangeRow>,
    /// How much it hits.
    pub blast: Blast,
    /// What comes next.
    pub forecast: Forecast,
    /// Example traces; empty when none is known.
    pub trace_ids: Vec<u128>,
    /// Alerts that are its children.
    pub alerts: Vec<u128>,
    /// Logical time it opened.
    pub opened_at: Timestamp,
    /// Event time it began.
    pub began_at: Timestamp,
    /// Logical time it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Times it was opened again.
    pub reopened: u32,
    /// Times its culprit changed.
    pub revised: u32,
    /// The incident it became part of.
    pub merged_into: Option<u128>,
    /// Whether it rests on assumed bounds alone.
    pub is_learning: bool,
    /// Whether people were told.
    pub is_told: bool,
    /// One line.
    pub title: String,
    /// The words: what, since when, whom, why, what next.
    pub text: String,
    /// Logical time it last changed.
    pub as_of: Timestamp,
}

impl IncidentRow {
    /// Whether it goes on.
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Resolved) && self.merged_into.is_none()
    }

    /// The first culprit.
    pub fn culprit(&self) -> Option<&SuspectRow> {
        self.culprits.first()
    }
}
