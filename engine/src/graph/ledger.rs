//! The loss ledger: every accepted span is accounted for, exactly once.

use crate::delta::{Counter, Fate, Outcome};
use crate::items::Signal;
use crate::snapshot::EngineStatus;

/// Accepted spans = copies + open + interrupted + the sum of `outcomes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Spans accepted.
    pub accepted: u64,
    /// Copies of spans that their trace held already.
    pub copies: u64,
    /// Spans of open traces: their outcome may still change.
    pub open: u64,
    /// Spans of traces that were open when the process was stopped.
    pub interrupted: u64,
    /// Spans by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
}

impl Ledger {
    /// The ledger as counted.
    pub fn of(status: &EngineStatus) -> Self {
        let count = |counter| status.counters.get(&counter).copied().unwrap_or(0);
        let outcomes = Outcome::ALL.map(|outcome| count(Counter::Traced(outcome)));
        let accepted = count(Counter::Items(Signal::Traces, Fate::Accepted));
        let copies = count(Counter::TracedCopies);
        let ended = copies + outcomes.iter().sum::<u64>();
        let rest = accepted.saturating_sub(ended);
        Self {
            accepted,
            copies,
            open: status.open_spans.min(rest),
            interrupted: rest.saturating_sub(status.open_spans),
            outcomes,
        }
    }
}
