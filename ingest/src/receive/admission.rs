//! Admission: bytes are reserved from one budget before they are buffered, so memory is bounded by a setting, not by luck.
//!
//! A poll of the heap notices too late what has been read already. Here a request owns a [`Reservation`] from its
//! first byte until the engine is done with its columns; when the budget is spent the next request is refused at once
//! (retryable) instead of queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of requests that are in flight: received, being decoded, or waiting for the engine.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// Bytes reserved now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more would fit at this moment; reserves nothing.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit
    }

    fn take(&self, bytes: usize) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }
}

/// A request's share of the [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// An empty share of `budget`.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows to at least `total` bytes; false, and unchanged, when the budget is spent.
    pub(crate) fn ensure(&mut self, total: usize) -> bool {
        let missing = total.saturating_sub(self.bytes);
        let granted = missing == 0 || self.budget.take(missing);
        if granted {
            self.bytes += missing;
        }
        granted
    }

    /// Becomes exactly `total` bytes, even beyond the limit: for memory that exists already and must be counted.
    pub(crate) fn settle(&mut self, total: usize) {
        if total >= self.bytes {
            self.budget
                .used
                .fetch_add(total - self.bytes, Ordering::Relaxed);
        } else {
            self.budget
                .used
                .fetch_sub(self.bytes - total, Ordering::Relaxed);
        }
        self.bytes = total;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle(0);
    }
}

#[cfg(test)]
mod tests;
