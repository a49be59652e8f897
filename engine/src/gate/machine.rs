//! `GateMachine`: the gate of every service, fed by deltas and ticked by the Decider.

use crate::delta::Delta;
use crate::gate::answer::ServiceGate;
use crate::gate::chain::Chain;
use crate::gate::facts::{GateFacts, GateTransition};
use crate::identity::{RevisionId, ServiceId};
use crate::input::RolloutEvent;
use crate::snapshot::Decision;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The gate of all services. Serializable: it survives a restart inside the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GateMachine {
    chain: Chain,
    #[serde(skip)]
    rows: BTreeMap<ServiceId, Arc<ServiceGate>>,
}

impl GateMachine {
    /// An empty gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in units, watermarks and lags. Changes no verdict. O(rows log cells).
    pub fn apply(&mut self, _now: Timestamp, _delta: &Delta) {}

    /// Takes in a rollout event. `candidate` is the revision it names, resolved by the Decider, or `None` when no
    /// revision matches yet: then the event is kept and tried again at Ticks.
    pub fn rollout(
        &mut self,
        _now: Timestamp,
        _service: ServiceId,
        _event: &RolloutEvent,
        _candidate: Option<RevisionId>,
    ) {
    }

    /// A person clears a latched Halt. The test starts anew, the alpha it spent is noted. `None` when nothing was
    /// latched or the reason is empty.
    pub fn clear_latch(
        &mut self,
        _now: Timestamp,
        _service: ServiceId,
        _revision: RevisionId,
        _reason: &str,
        _author: &str,
    ) -> Option<GateTransition> {
        None
    }

    /// Logical time passes: strata close and are folded, answers are updated. Returns the decisions recorded.
    pub fn tick(&mut self, _now: Timestamp, _facts: GateFacts<'_>) -> Vec<GateTransition> {
        Vec::new()
    }

    /// The answers of every service; rows are shared while unchanged.
    pub fn rows(&self) -> BTreeMap<ServiceId, Arc<ServiceGate>> {
        self.rows.clone()
    }

    /// Services whose answers can change without new telemetry (they have candidates): the Decider must pass
    /// their facts at every Tick.
    pub fn active(&self) -> impl Iterator<Item = ServiceId> + '_ {
        self.rows.keys().copied()
    }

    /// Whether `revision` is known good.
    pub fn is_known_good(&self, _service: ServiceId, _revision: RevisionId) -> bool {
        false
    }

    /// Recorded decisions, newest first, at most [`crate::gate::chain::DECISIONS_MAX`].
    pub fn decisions(&self) -> Vec<Arc<Decision>> {
        self.chain.newest_first()
    }
}
