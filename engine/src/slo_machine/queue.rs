//! Work that may wait a little: each member once, first come first served.

use std::collections::VecDeque;

/// A queue of slot numbers without doubles.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    order: VecDeque<u32>,
    is_queued: Vec<bool>,
}

impl Queue {
    /// Adds `at` unless it waits already.
    pub(super) fn push(&mut self, at: usize) {
        if self.is_queued.len() <= at {
            self.is_queued.resize(at + 1, false);
        }
        if !self.is_queued[at] {
            self.is_queued[at] = true;
            self.order.push_back(at as u32);
        }
    }

    /// The one that waits for longest.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let at = self.order.pop_front()? as usize;
        self.is_queued[at] = false;
        Some(at)
    }
}
