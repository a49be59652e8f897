//! Counters of the receivers: read by `/metrics` and `status`, never by anything that decides.

use super::refusal::Refusal;
use super::{Protocol, admission::Budget};
use engine::items::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What came in and what became of it, since the process started.
///
/// Every request that reached a receiver is counted once: accepted, or refused under one reason. Nothing that was
/// acknowledged is ever dropped here, so there is no counter for that.
#[derive(Debug)]
pub struct ReceiveStats {
    accepted_grpc: AtomicU64,
    accepted_http: AtomicU64,
    accepted_items: [AtomicU64; Signal::ALL.len()],
    rejected_items: [AtomicU64; Signal::ALL.len()],
    body_bytes: AtomicU64,
    refused: [AtomicU64; Refusal::LABELS.len()],
    connections: AtomicU64,
    connections_refused: AtomicU64,
    accept_errors: AtomicU64,
    budget: Arc<Budget>,
}

impl ReceiveStats {
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            accepted_grpc: AtomicU64::new(0),
            accepted_http: AtomicU64::new(0),
            accepted_items: Default::default(),
            rejected_items: Default::default(),
            body_bytes: AtomicU64::new(0),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            budget: Arc::clone(budget),
        })
    }

    /// Requests acknowledged over `protocol`.
    pub fn accepted_requests(&self, protocol: Protocol) -> u64 {
        read(self.accepted_counter(protocol))
    }

    /// Items of acknowledged requests of `signal` that were handed on.
    pub fn accepted_items(&self, signal: Signal) -> u64 {
        read(&self.accepted_items[signal as usize])
    }

    /// Items of acknowledged requests of `signal` that were rejected one by one (`partial_success`).
    pub fn rejected_items(&self, signal: Signal) -> u64 {
        read(&self.rejected_items[signal as usize])
    }

    /// Bytes of acknowledged bodies, as received.
    pub fn body_bytes(&self) -> u64 {
        read(&self.body_bytes)
    }

    /// Refused requests by reason, every reason, in a fixed order.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refusal::LABELS
            .into_iter()
            .zip(self.refused.iter().map(read))
    }

    /// Refused requests, all reasons.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().map(read).sum()
    }

    /// Connections open now.
    pub fn connections(&self) -> u64 {
        read(&self.connections)
    }

    /// Connections closed at once because the limit was reached.
    pub fn connections_refused(&self) -> u64 {
        read(&self.connections_refused)
    }

    /// Failures to accept a connection (out of file descriptors, mostly).
    pub fn accept_errors(&self) -> u64 {
        read(&self.accept_errors)
    }

    /// Bytes of requests in flight now: being received, decoded, or waiting for the engine.
    pub fn in_flight_bytes(&self) -> u64 {
        self.budget.used() as u64
    }

    pub(crate) fn count_accepted(
        &self,
        (protocol, signal): (Protocol, Signal),
        (accepted, rejected): (u64, u64),
        body: u64,
    ) {
        add(self.accepted_counter(protocol), 1);
        add(&self.accepted_items[signal as usize], accepted);
        add(&self.rejected_items[signal as usize], rejected);
        add(&self.body_bytes, body);
    }

    pub(crate) fn count_refused(&self, refusal: &Refusal) {
        add(&self.refused[refusal.row().index], 1);
    }

    pub(crate) fn count_accept_error(&self) {
        add(&self.accept_errors, 1);
    }

    pub(crate) fn count_connection_refused(&self) {
        add(&self.connections_refused, 1);
    }

    pub(crate) fn connection_opened(self: &Arc<Self>) -> OpenConnection {
        add(&self.connections, 1);
        OpenConnection(Arc::clone(self))
    }

    fn accepted_counter(&self, protocol: Protocol) -> &AtomicU64 {
        match protocol {
            Protocol::Grpc => &self.accepted_grpc,
            Protocol::Http => &self.accepted_http,
        }
    }
}

/// Counts a connection as open until dropped.
pub(crate) struct OpenConnection(Arc<ReceiveStats>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
