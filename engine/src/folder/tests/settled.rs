//! What settled traces say, against the same said of whole traces at once.

use super::*;
use crate::blame::{Blame, Called, Examiner, Rows, Work};
use crate::delta::{
    BlameDelta, BlameKey, Callee, Connection, LogMoments, Party, WorkDelta, WorkKey,
};
use crate::folder::{PATIENCE_SECS, ROOTLESS_SECS};
use crate::hash::FixedMap;
use crate::peer::{Claim, ClaimKind, PeerName};
use crate::trace::{FailureClass, trace_flag};
use std::collections::BTreeMap;

/// A span of the test and what the Folder must see in it.
#[derive(Debug, Clone)]
struct Sample {
    row: SpanRow,
    actor: u32,
    failed: bool,
    has_peer: bool,
    excluded: bool,
    /// Seconds until it arrives, and until its copy does.
    delays: (u64, Option<u64>),
}

fn services() -> [Arc<Resource>; 4] {
    ["a", "b", "c", "d"].map(|name| resource(&[("service.name", name), ("service.version", "1")]))
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let ids = (1u128..5, 1u64..14, 0u64..16);
    let times = (0u64..2_000, 0u64..2_000);
    let said = (0u32..4, 0u8..6, prop::bool::weighted(0.3), any::<bool>());
    let excluded = prop::bool::weighted(0.05);
    let delays = (0u64..60, prop::option::weighted(0.2, 0u64..60));
    (ids, times, said, excluded, delays).prop_map(|(ids, times, said, excluded, delays)| {
        let (actor, kind, failed, has_peer) = said;
        let start = NOW.plus(times.0 * 1_000_000).0;
        let end = start + times.1 * 1_000_000;
        let sender = &services()[actor as usize];
        let mut row = SpanRow::new(sender, (ids.0, ids.1), (start, end), kind);
        row.parent_id = if ids.2 == ids.1 { 0 } else { ids.2 };
        row = row
            .named("work")
            .with("http.status_code", if failed { 503 } else { 200 });
        if has_peer {
            row = row.with("server.address", "db");
        }
        if excluded {
            row = row.with("url.path", "/healthz");
        }
        Sample {
            row,
            actor,
            failed,
            has_peer,
            excluded,
            delays,
        }
    })
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec(any_sample(), 1..50).prop_map(|mut samples| {
        let id = |sample: &Sample| (sample.row.trace_id, sample.row.span_id, sample.row.kind);
        samples.sort_by_key(id);
        samples.dedup_by_key(|sample| id(sample));
        samples
    })
}

/// The rows of whole traces, with the keys that Deltas have.
#[derive(Default)]
struct Oracle(Delta);

fn party(actor: u32) -> Party {
    let identity = services()[actor as usize].identity.clone();
    Party {
        service: identity.service_id,
        revision: identity.revision.id,
    }
}

fn peer() -> PeerName {
    let claim = Claim {
        kind: ClaimKind::Address,
        text: "db".to_owned(),
    };
    PeerName::new(Connection::Call, "", "", vec![claim])
}

impl Rows for Oracle {
    fn work(&mut self, work: Work) {
        self.0.work.push(WorkDelta {
            key: WorkKey {
                party: party(work.actor),
                route: work.route.into(),
                second: work.second,
            },
            spans: 1,
            failed: work.failed.into(),
            exclusive_nanos: work.exclusive.unwrap() as i64,
            exclusive: LogMoments::of(work.exclusive.unwrap().max(1)),
            critical_nanos: work.critical as i64,
            children: work.children.into(),
        });
    }

    fn blame(&mut self, blame: Blame) {
        self.0.blame.push(BlameDelta {
            key: BlameKey {
                root: party(blame.root).service,
                origin: party(blame.origin),
                callee: blame.callee.map(|callee| match callee {
                    Called::Actor(actor) => Callee::Service(party(actor)),
                    Called::Peer(_) => Callee::Peer(peer().id),
                }),
                class: blame.class,
                fatal: blame.fatal,
                second: blame.second,
            },
            shares: blame.shares,
        });
    }
}

fn trace_span(sample: &Sample) -> TraceSpan {
    let row = &sample.row;
    TraceSpan {
        span_id: row.span_id,
        parent_id: row.parent_id,
        start: row.start,
        end: row.end,
        actor: sample.actor,
        peer: sample.has_peer.into(),
        route: route_number(SEED, &row.name),
        kind: row.kind,
        class: match sample.failed {
            true => FailureClass::Server5xx,
            false => FailureClass::Ok,
        },
        flags: match sample.excluded {
            true => trace_flag::EXCLUDED,
            false => 0,
        },
    }
}

/// What the traces of `samples` say.
fn naive(samples: &[Sample]) -> Delta {
    let mut traces: BTreeMap<u128, Vec<TraceSpan>> = BTreeMap::new();
    for sample in samples {
        let trace = traces.entry(sample.row.trace_id).or_default();
        trace.push(trace_span(sample));
    }
    let mut oracle = Oracle::default();
    for spans in traces.values_mut() {
        spans.sort_by_key(|span| (span.start, span.span_id, span.kind));
        Examiner::default().settle(spans, &mut oracle);
    }
    oracle.0.normalize();
    oracle.0
}

/// What `folders` folders say of them, in requests of at most `cut` spans.
fn folded(samples: &[Sample], folders: usize, cut: usize) -> Delta {
    let mut arrivals: BTreeMap<u64, Vec<SpanRow>> = BTreeMap::new();
    for Sample { row, delays, .. } in samples {
        for delay in std::iter::once(delays.0).chain(delays.1) {
            arrivals.entry(delay + 2).or_default().push(row.clone());
        }
    }
    let mut all = Delta::default();
    for first in 0..folders {
        let shards = (first..64).step_by(folders).map(|shard| shard as u8);
        let mut folder = Folder::new(SEED, shards, FolderLimits::default());
        for second in 0..160 {
            let now = NOW.plus(second * NANOS_PER_SEC);
            for rows in arrivals
                .get(&second)
                .into_iter()
                .flat_map(|it| it.chunks(cut))
            {
                folder.fold_spans(&batch(SEED, now, rows));
            }
            all.merge(folder.flush(now));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Scenario: traces in which anything may be below anything; every span delayed by up to a minute, some repeated, in
    /// requests cut anywhere, through 1, 2, 7 and 64 folders.
    /// Guarantees: the sums of work and blame are those of whole traces.
    #[test]
    fn the_sums_are_those_of_whole_traces(
        samples in any_samples(),
        folders in prop::sample::select(vec![1usize, 2, 7, 64]),
        cut in 1usize..9,
    ) {
        let (wanted, found) = (naive(&samples), folded(&samples, folders, cut));
        prop_assert_eq!(&wanted.work, &found.work);
        prop_assert_eq!(&wanted.blame, &found.blame);
    }
}

/// A call that failed: the root, the call, and the callee's half.
fn call() -> [SpanRow; 3] {
    let [a, b, ..] = services();
    let span = |sender: &Arc<Resource>, ids: (u64, u64), kind: u8| {
        let mut row = SpanRow::new(sender, (1, ids.0), (NOW.0, NOW.0 + 100), kind);
        row.parent_id = ids.1;
        row.with("http.status_code", 503)
    };
    [
        span(&a, (1, 0), kind::SERVER),
        span(&a, (2, 1), kind::CLIENT).with("server.address", "db"),
        span(&b, (3, 2), kind::SERVER),
    ]
}

/// Blamed callees and origins of `delta`, with shares.
fn blamed(delta: &Delta) -> FixedMap<(Party, Option<Callee>), i64> {
    let rows = delta.blame.iter();
    rows.map(|row| ((row.key.origin, row.key.callee), row.shares))
        .collect()
}

/// Scenario: the root and its call come at once, the callee's half 20 s later.
/// Guarantees: nothing is said before 5 s; then the edge is blamed; 5 s after the late half that is taken back and the
/// callee is blamed.
#[test]
fn a_late_span_takes_back_and_says_anew() {
    let mut folder = whole();
    let at = |second: u32| NOW.plus(u64::from(second) * NANOS_PER_SEC);
    let rows = call();
    let [root, client, server] = &rows;
    folder.fold_spans(&batch(SEED, at(0), &[root.clone(), client.clone()]));
    assert!(folder.flush(at(PATIENCE_SECS - 1)).blame.is_empty());
    let edge = (party(0), Some(Callee::Peer(peer().id)));
    let first = folder.flush(at(PATIENCE_SECS));
    assert_eq!(blamed(&first), [(edge, 2_520)].into_iter().collect());
    folder.fold_spans(&batch(SEED, at(20), &[server.clone(), server.clone()]));
    assert!(folder.flush(at(20 + PATIENCE_SECS - 1)).blame.is_empty());
    let second = folder.flush(at(20 + PATIENCE_SECS));
    let wanted = [(edge, -2_520), ((party(1), None), 2_520)];
    assert_eq!(blamed(&second), wanted.into_iter().collect());
    let spans: i64 = first
        .work
        .iter()
        .chain(&second.work)
        .map(|row| row.spans)
        .sum();
    assert_eq!(spans, 3);
    folder.fold_spans(&batch(SEED, at(30), &rows));
    let copies = folder.flush(at(60));
    assert!(copies.blame.is_empty() && copies.work.is_empty());
}

/// Scenario: the root never comes.
/// Guarantees: the rest is settled 60 s after its first span.
#[test]
fn a_trace_without_a_root_waits_a_minute() {
    let mut folder = whole();
    let [_, client, server] = call();
    folder.fold_spans(&batch(SEED, NOW, &[client, server]));
    let last = NOW.plus(u64::from(ROOTLESS_SECS) * NANOS_PER_SEC);
    assert!(folder.flush(last.minus(NANOS_PER_SEC)).work.is_empty());
    assert_eq!(folder.flush(last).work.len(), 2);
}

/// Scenario: the log jumps by an hour while a trace waits.
/// Guarantees: it is settled before it leaves.
#[test]
fn a_trace_that_leaves_is_settled() {
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &call()));
    let delta = folder.flush(NOW.plus(3_600 * NANOS_PER_SEC));
    assert_eq!(delta.blame.len(), 1);
    assert_eq!(folder.open_spans(), 0);
}
