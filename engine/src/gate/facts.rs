//! What the Decider tells the gate at a Tick, and what it hears back.

use crate::identity::{RevisionId, ServiceId};
use crate::input::Gap;
use crate::slo::Ratio;
use crate::snapshot::{Decision, ServiceRow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The budget side of one service: what forbids starting and what the absolute test measures against.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetFacts {
    /// Name of the service's worst SLO (least budget remaining).
    pub slo: String,
    /// True when the only SLO is the implicit one.
    pub is_implicit: bool,
    /// Allowed bad share of the strictest availability SLO: `1 - target`.
    pub error_budget: Ratio,
    /// Threshold of its strictest latency SLO, ns, when it has one.
    pub latency_threshold_nanos: Option<u64>,
    /// Budget remaining of the worst SLO, signed ratio; `None` without events.
    pub remaining: Option<f64>,
    /// Whether the budget of any of its SLOs is spent.
    pub is_exhausted: bool,
    /// The page-severity alert that fires, in words; `None` while none does.
    pub page_alert: Option<String>,
}

impl Default for BudgetFacts {
    /// The implicit SLO: availability 99 %, nothing spent.
    fn default() -> Self {
        Self {
            slo: "implicit-availability".to_owned(),
            is_implicit: true,
            error_budget: Ratio::from_ppb(10_000_000),
            latency_threshold_nanos: None,
            remaining: None,
            is_exhausted: false,
            page_alert: None,
        }
    }
}

/// An open incident that reaches others, as one service's gate sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentFacts {
    /// Its id.
    pub id: u128,
    /// Revisions of this service that are proven to be behind it, sorted: worse than the others of the service at the same
    /// time, or calling the culprit more.
    pub causes: BTreeSet<RevisionId>,
    /// Whether the service suffers from another one.
    pub is_victim: bool,
    /// What happens, in a line.
    pub title: String,
}

/// Everything the gate asks about one service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFacts {
    /// Key, policy and revisions (newest first) as of this Tick; `is_known_good` is not read.
    pub row: Arc<ServiceRow>,
    /// Its budget.
    pub budget: BudgetFacts,
    /// The incident that concerns it most; `None` while none does.
    pub incident: Option<IncidentFacts>,
}

/// What the Decider knows at a Tick. A service that is not in the map keeps its last answers.
#[derive(Debug, Clone, Copy)]
pub struct GateFacts<'a> {
    /// By service.
    pub services: &'a BTreeMap<ServiceId, ServiceFacts>,
    /// Times for which counts are missing.
    pub gaps: &'a [Gap],
    /// True while a checkpoint is being loaded: nothing is decided.
    pub is_recovering: bool,
}

/// A decision that was recorded: a verdict or its code changed, a Halt was latched (`decision.latched`) or a
/// latch was cleared (`decision.cleared_reason`).
#[derive(Debug, Clone, PartialEq)]
pub struct GateTransition {
    /// Service.
    pub service: ServiceId,
    /// Candidate.
    pub revision: RevisionId,
    /// The recorded decision.
    pub decision: Arc<Decision>,
}
