//! Messages whose two halves are in different traces: joined by the links of the receiving span.
//!
//! A record of 15 minutes is kept for every message sent and every receipt that waits for its sender. What was sent is
//! counted on the edge to the topic when it is sent; each receipt adds a request on the edge from sender to receiver.

use crate::delta::{Callee, Connection, EdgeDelta, EdgeKey, LinkDelta, LinkHalf, Party};
use crate::hash::FixedMap;
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::collections::VecDeque;

/// How long halves wait for each other, s.
pub const WAIT_SECS: u64 = 900;
/// Most halves kept; beyond it the oldest leave.
pub const MESSAGES_MAX: usize = 1_000_000;

/// One receipt that waits.
type Receipt = LinkHalf;

/// The halves that wait.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    sent: FixedMap<u64, Party>,
    waiting: FixedMap<u64, Vec<Receipt>>,
    /// By arrival second.
    order: VecDeque<(u64, u64)>,
    /// Receipts whose sender never came.
    pub(super) unmatched: u64,
}

impl Messages {
    /// Takes halves; returns the rows that became whole. O(halves).
    pub(super) fn apply(&mut self, now: Timestamp, links: &[LinkDelta]) -> Vec<EdgeDelta> {
        let mut rows = Vec::new();
        for link in links {
            if link.halves <= 0 {
                continue;
            }
            match link.half {
                LinkHalf::Sent { sender, .. } => {
                    if self.sent.insert(link.message, sender).is_none() {
                        self.order.push_back((now.secs(), link.message));
                    }
                    for receipt in self.waiting.remove(&link.message).unwrap_or_default() {
                        rows.extend(row(sender, receipt));
                    }
                }
                receipt @ LinkHalf::Received { .. } => match self.sent.get(&link.message) {
                    Some(sender) => rows.extend(row(*sender, receipt)),
                    None => {
                        self.order.push_back((now.secs(), link.message));
                        self.waiting.entry(link.message).or_default().push(receipt);
                    }
                },
            }
        }
        self.forget(now);
        rows
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((second, message)) = self.order.front().copied()
            && (second + WAIT_SECS < now.0 / NANOS_PER_SEC || self.order.len() > MESSAGES_MAX)
        {
            self.order.pop_front();
            self.sent.remove(&message);
            if let Some(receipts) = self.waiting.remove(&message) {
                self.unmatched += receipts.len() as u64;
            }
        }
    }
}

fn row(sender: Party, receipt: Receipt) -> Option<EdgeDelta> {
    let LinkHalf::Received {
        receiver,
        second,
        class,
        latency,
        ..
    } = receipt
    else {
        return None;
    };
    let key = EdgeKey {
        caller: Some(sender),
        callee: Callee::Service(receiver),
        connection: Connection::Messaging,
        route: 0,
    };
    let mut row = EdgeDelta::new(key, second);
    row.requests[class as usize] = 1;
    row.logical = 1;
    row.paired = 1;
    if usize::from(latency) < crate::latency::LATENCY_BUCKETS {
        row.server.push((latency, 1));
    }
    Some(row)
}
