//! `Trial`: what the hand does about one template of one object that the gate has halted.

use crate::hand::action::ActionKind;
use crate::hand::row::HandState;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One decision about one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// The decision that latched the Halt.
    pub(super) decision: u128,
    /// `metadata.generation` at which an action was wanted first: a later rollout of the same template is another one.
    pub(super) onset: u64,
    /// Plans made so far.
    pub(super) attempt: u32,
    /// Plans that found another object than was seen.
    pub(super) moved: u32,
    /// Observation that the last plan was made from.
    pub(super) version: u64,
    /// The effect on its way, or done.
    pub(super) effect: u128,
    /// What was planned last.
    pub(super) kind: Option<ActionKind>,
    pub(super) state: HandState,
    /// State that was announced last.
    pub(super) said: HandState,
    pub(super) since: Timestamp,
    pub(super) words: String,
}

impl Trial {
    pub(super) fn new(now: Timestamp, decision: u128, onset: u64) -> Self {
        Self {
            decision,
            onset,
            attempt: 0,
            moved: 0,
            version: 0,
            effect: 0,
            kind: None,
            state: HandState::Watching,
            said: HandState::Watching,
            since: now,
            words: String::new(),
        }
    }

    /// Changes state and words.
    pub(super) fn enter(&mut self, now: Timestamp, state: HandState, words: String) {
        self.words = words;
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }

    /// Whether an action may still be planned for it.
    pub(super) const fn is_open(&self) -> bool {
        matches!(
            self.state,
            HandState::Watching | HandState::Advising | HandState::Blocked | HandState::Powerless
        )
    }

    /// What is said of it when another template has taken its place.
    pub(super) fn epitaph(&self) -> String {
        match self.state {
            HandState::Acting | HandState::Done | HandState::Halted => self.words.clone(),
            _ => String::new(),
        }
    }
}
