//! Counters of calls that never fall, under the names in force when a call entered: what Prometheus scrapes.

use crate::delta::{CallDelta, Callee, Connection, Party};
use crate::identity::RevisionId;
use crate::latency::LATENCY_BUCKETS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most series; calls of further ones are counted under [`OVERFLOW`].
pub const SERIES_MAX: usize = 10_000;
/// Callee of the calls beyond [`SERIES_MAX`].
pub const OVERFLOW: &str = "__overflow__";

/// One side of a call, under the names it had when the call entered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Side {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Environment.
    pub environment: String,
    /// Whether it sends spans itself.
    pub is_service: bool,
}

/// Whose calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    /// Who called; `None` = unknown.
    pub client: Option<Side>,
    /// Who was called.
    pub server: Side,
    /// How.
    pub connection: Connection,
}

/// Calls since the process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCount {
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Requests by latency bucket of the client half, where it is known.
    pub client: [u64; LATENCY_BUCKETS],
    /// Likewise of the server half.
    pub server: [u64; LATENCY_BUCKETS],
    /// Sum of the client halves' durations, ns.
    pub client_nanos: u64,
    /// Likewise of the server halves'.
    pub server_nanos: u64,
}

impl Default for CallCount {
    fn default() -> Self {
        Self {
            requests: 0,
            failed: 0,
            client: [0; LATENCY_BUCKETS],
            server: [0; LATENCY_BUCKETS],
            client_nanos: 0,
            server_nanos: 0,
        }
    }
}

/// All counters.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub(super) series: Arc<BTreeMap<CallKey, Arc<CallCount>>>,
}

impl Counters {
    /// Adds what entered. `side` tells what a service or peer is called now.
    pub(super) fn apply(&mut self, calls: &[CallDelta], mut side: impl FnMut(Callee) -> Side) {
        if calls.is_empty() {
            return;
        }
        let series = Arc::make_mut(&mut self.series);
        for row in calls {
            let client = row.caller.map(|service| {
                side(Callee::Service(Party {
                    service,
                    revision: RevisionId(0),
                }))
            });
            let mut key = CallKey {
                client,
                server: side(row.callee),
                connection: row.connection,
            };
            if series.len() >= SERIES_MAX && !series.contains_key(&key) {
                key = CallKey {
                    client: None,
                    server: Side {
                        name: OVERFLOW.to_owned(),
                        ..Side::default()
                    },
                    connection: Connection::Call,
                };
            }
            let count = Arc::make_mut(series.entry(key).or_default());
            count.requests += row.requests;
            count.failed += row.failed;
            for (into, cells) in [
                (&mut count.client, &row.client),
                (&mut count.server, &row.server),
            ] {
                for (bucket, more) in cells {
                    into[usize::from(*bucket).min(LATENCY_BUCKETS - 1)] +=
                        more.max(&0).unsigned_abs();
                }
            }
            count.client_nanos = count.client_nanos.saturating_add(row.client_nanos);
            count.server_nanos = count.server_nanos.saturating_add(row.server_nanos);
        }
    }
}
