//! What a Collector would have sent, on virtual time.
//!
//! Every pod exports each 5 s what ended since, as the SDKs do. The spans of one export are one request.

use super::Set;
use engine::batch::Batch;
use engine::delta::Delta;
use engine::folder::{Folder, FolderLimits};
use engine::hash::{HashSeed, SHARDS};
use engine::items::{ROWS_MAX, Resource, Signal};
use engine::log_rows::{self, LogRow};
use engine::span_rows::{self, SpanRow, resource};
use engine::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a pod exports (OpenTelemetry's batch span processor).
const EXPORT_NANOS: u64 = 5 * NANOS_PER_SEC;
/// How often counts are collected.
const TICK_NANOS: u64 = NANOS_PER_SEC;
/// Silence beyond which virtual time jumps, ticking this long after the last request first.
const QUIET_NANOS: u64 = 150 * NANOS_PER_SEC;

/// As in decoded recordings: shards rest on it.
const SEED: HashSeed = HashSeed(1, 2);

/// One item as it was recorded.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// A span.
    Span(SpanRow),
    /// A log record.
    Log(LogRow),
}

impl Record {
    fn resource(&self) -> &Arc<Resource> {
        match self {
            Self::Span(row) => &row.resource,
            Self::Log(row) => &row.resource,
        }
    }

    /// Name of the service that it is of.
    pub(crate) fn service(&self) -> &str {
        &self.resource().identity.service.name
    }

    /// When it became known to its process: a span's end, a record's time.
    pub(crate) fn time(&self) -> Timestamp {
        match self {
            Self::Span(row) => Timestamp(row.end),
            Self::Log(row) => Timestamp(row.time),
        }
    }
}

/// The resource of a pod of `service`, as the Kubernetes attributes processor fills it in.
pub(super) fn pod(service: &str, pod: &str) -> Arc<Resource> {
    let replica_set = pod.rsplit_once('-').map_or(pod, |(set, _)| set);
    resource(&[
        ("service.name", service),
        ("k8s.pod.name", pod),
        ("k8s.replicaset.name", replica_set),
    ])
}

impl Set {
    /// The exports in order of receipt: when, of what, and the records in it. Each pod exports at its own phase of 5 s.
    pub(super) fn exports(&self) -> impl Iterator<Item = (Timestamp, Signal, Vec<usize>)> {
        let mut exports: BTreeMap<(u64, u128, bool), Vec<usize>> = BTreeMap::new();
        for (index, record) in self.records.iter().enumerate() {
            let hash = record.resource().hash;
            let phase = (hash % u128::from(EXPORT_NANOS)) as u64;
            let sent = (record.time().0 + phase).next_multiple_of(EXPORT_NANOS) - phase;
            let is_log = matches!(record, Record::Log(_));
            exports.entry((sent, hash, is_log)).or_default().push(index);
        }
        exports.into_iter().map(|((sent, _, is_log), members)| {
            let signal = if is_log { Signal::Logs } else { Signal::Traces };
            (Timestamp(sent), signal, members)
        })
    }

    /// The requests in order of receipt.
    pub(crate) fn requests(&self) -> Vec<(Timestamp, Batch)> {
        let requests = self.exports().flat_map(|(sent, signal, members)| {
            let parts = members.chunks(ROWS_MAX).map(|part| match signal {
                Signal::Logs => (sent, self.log_batch(sent, part)),
                _ => (sent, self.span_batch(sent, part)),
            });
            parts.collect::<Vec<_>>()
        });
        requests.collect()
    }

    fn span_batch(&self, sent: Timestamp, members: &[usize]) -> Batch {
        let rows = members
            .iter()
            .filter_map(|index| match &self.records[*index] {
                Record::Span(row) => Some(row.clone()),
                Record::Log(_) => None,
            });
        Batch::Spans(span_rows::batch(SEED, sent, &rows.collect::<Vec<_>>()))
    }

    fn log_batch(&self, sent: Timestamp, members: &[usize]) -> Batch {
        let rows = members
            .iter()
            .filter_map(|index| match &self.records[*index] {
                Record::Log(row) => Some(row.clone()),
                Record::Span(_) => None,
            });
        Batch::Logs(log_rows::batch(SEED, sent, &rows.collect::<Vec<_>>()))
    }

    /// The Deltas of the whole set, as [`deltas`] gives them.
    pub(crate) fn feed(&self) -> impl Iterator<Item = (Timestamp, Delta)> {
        deltas(self.requests())
    }
}

/// The Deltas that `requests` lead to, in order of virtual time, one a second, empty ones left out.
///
/// Feed them to whatever the Decider would feed: they are what it gets, with all 64 shards in one Folder.
pub(crate) fn deltas(
    requests: Vec<(Timestamp, Batch)>,
) -> impl Iterator<Item = (Timestamp, Delta)> {
    let mut folder = Folder::new(SEED, 0..SHARDS as u8, FolderLimits::default());
    let mut requests = requests.into_iter().peekable();
    let mut now = requests.peek().map_or(0, |(sent, _)| sent.0);
    let mut heard = now;
    std::iter::from_fn(move || {
        loop {
            now = (now + 1).next_multiple_of(TICK_NANOS);
            while let Some((sent, batch)) = requests.next_if(|(sent, _)| sent.0 <= now) {
                heard = sent.0;
                folder.fold(&batch);
            }
            let delta = folder.flush(Timestamp(now));
            let at = Timestamp(now);
            if now > heard + QUIET_NANOS {
                match requests.peek() {
                    Some((sent, _)) => now = now.max(sent.0 - 1),
                    None if delta.is_empty() => return None,
                    None => {}
                }
            }
            if !delta.is_empty() {
                return Some((at, delta));
            }
        }
    })
}
