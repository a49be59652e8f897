//! Batching like the SDKs' `BatchSpanProcessor`: a bounded queue, a schedule delay, a largest batch.
//!
//! It decides when spans become visible, so it is part of the simulated world: a pure machine in virtual time.
//! Source: OpenTelemetry specification, trace/sdk.md "Batching processor" (defaults 5 s, 512, 2,048).

use crate::span::Span;
use std::collections::VecDeque;

/// How a process ships its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Longest wait of a span, ns; 0 = at once.
    pub delay_nanos: u64,
    /// Most spans of a batch; a full batch leaves without waiting.
    pub batch_max: usize,
    /// Most spans waiting; beyond it new spans are dropped and counted.
    pub queue_max: usize,
}

impl BatchPolicy {
    /// The SDKs' defaults.
    pub const SDK: Self = Self {
        delay_nanos: 5_000_000_000,
        batch_max: 512,
        queue_max: 2_048,
    };

    /// The SDKs' sizes with another delay; 0 = at once.
    pub const fn every(delay_nanos: u64) -> Self {
        Self {
            delay_nanos,
            ..Self::SDK
        }
    }
}

/// The queue of one process.
#[derive(Debug)]
pub struct Batcher {
    policy: BatchPolicy,
    queue: VecDeque<Span>,
    next_flush: u64,
    dropped: u64,
}

impl Batcher {
    /// An empty queue whose timer started at `started` (processes start at different moments).
    pub fn new(policy: BatchPolicy, started: u64) -> Self {
        Self {
            policy,
            queue: VecDeque::new(),
            next_flush: started + policy.delay_nanos,
            dropped: 0,
        }
    }

    /// Queues a span, or drops it when the queue is full.
    pub fn offer(&mut self, span: Span) {
        if self.queue.len() < self.policy.queue_max {
            self.queue.push_back(span);
        } else {
            self.dropped += 1;
        }
    }

    /// The next batch that must leave by `now`, oldest spans first; call until `None`.
    pub fn due(&mut self, now: u64) -> Option<Vec<Span>> {
        let is_full = self.queue.len() >= self.policy.batch_max;
        if !is_full && now < self.next_flush {
            return None;
        }
        if self.queue.len() <= self.policy.batch_max {
            self.next_flush = now + self.policy.delay_nanos.max(1);
        }
        self.flush()
    }

    /// The next batch whatever the time: what a process does when it ends.
    pub fn flush(&mut self) -> Option<Vec<Span>> {
        let count = self.queue.len().min(self.policy.batch_max);
        (count > 0).then(|| self.queue.drain(..count).collect())
    }

    /// Spans dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
