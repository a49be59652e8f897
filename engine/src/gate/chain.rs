//! The decision log: every change of a verdict as a link of a hash chain (DESIGN 2.4, 10).
//!
//! A past decision is a fact. It is verified from its own record, never recomputed by newer code: a link's id is
//! the BLAKE3-128 of its canonical bytes, which hold the id of the link before it. Canonical bytes are the postcard
//! encoding of (previous, number, answer with `decision_id` 0, latched, cleared_reason).

use crate::gate::answer::Answer;
use crate::hash::blake3_128;
use crate::snapshot::Decision;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most decisions kept in memory; older ones leave, the chain goes on.
pub const DECISIONS_MAX: usize = 1_000;

/// Why [`verify`] refused a list of decisions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A record's content is not what its id was computed from.
    #[error("decision {number} was altered: its id does not match its content")]
    Altered {
        /// Number of the record.
        number: u64,
    },
    /// A record does not follow the one before it.
    #[error(
        "decision {number} does not follow decision {previous}: one is missing, reordered or forged"
    )]
    Broken {
        /// Number of the record before.
        previous: u64,
        /// Number of the record.
        number: u64,
    },
}

/// Checks that `decisions` (oldest first, any contiguous part of the log) are unaltered and linked.
///
/// # Errors
/// The first record that was altered or does not follow its predecessor.
pub fn verify<'a>(decisions: impl IntoIterator<Item = &'a Decision>) -> Result<(), ChainError> {
    let mut before: Option<&Decision> = None;
    for decision in decisions {
        let number = decision.number;
        if link_id(decision) != decision.id {
            return Err(ChainError::Altered { number });
        }
        if let Some(before) = before
            && (decision.previous != before.id || number != before.number + 1)
        {
            let previous = before.number;
            return Err(ChainError::Broken { previous, number });
        }
        before = Some(decision);
    }
    Ok(())
}

/// The id a decision must have.
fn link_id(decision: &Decision) -> u128 {
    let mut answer = decision.answer.clone();
    answer.decision_id = 0;
    let record = (
        decision.previous,
        decision.number,
        &answer,
        decision.latched,
        &decision.cleared_reason,
    );
    // Encoding into memory has no way to fail for these types.
    let bytes = postcard::to_stdvec(&record).unwrap_or_default();
    blake3_128("decision", &[&bytes])
}

/// The newest decisions and the end of the chain.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Chain {
    last: u128,
    count: u64,
    kept: VecDeque<Arc<Decision>>,
}

impl Chain {
    /// Appends a decision and returns it with its id filled in.
    pub(crate) fn append(
        &mut self,
        answer: Answer,
        latched: bool,
        cleared_reason: String,
    ) -> Arc<Decision> {
        self.count += 1;
        let mut decision = Decision {
            id: 0,
            previous: self.last,
            number: self.count,
            answer,
            latched,
            cleared_reason,
        };
        decision.id = link_id(&decision);
        decision.answer.decision_id = decision.id;
        self.last = decision.id;
        let decision = Arc::new(decision);
        self.kept.push_back(decision.clone());
        while self.kept.len() > DECISIONS_MAX {
            self.kept.pop_front();
        }
        decision
    }

    /// Decisions kept, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Arc<Decision>> {
        self.kept.iter().rev()
    }
}
