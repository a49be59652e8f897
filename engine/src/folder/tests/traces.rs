//! Traces to edges: each way in which spans call each other, and that neither order nor copies nor cuts matter.

use super::*;
use crate::delta::{Callee, Connection, EdgeDelta, Outcome};
use crate::folder::{HORIZON_SECS, SPAN_BYTES};
use crate::trace::FailureClass;

fn service(name: &str) -> Arc<Resource> {
    resource(&[("service.name", name), ("service.version", "v1")])
}

/// A span of `sender`: ids are (trace, span, parent), times are milliseconds after [`NOW`].
fn span(sender: &Arc<Resource>, ids: (u128, u64, u64), ms: (u64, u64), kind: u8) -> SpanRow {
    let at = |ms: u64| NOW.plus(ms * 1_000_000).0;
    let mut row = SpanRow::new(sender, (ids.0, ids.1), (at(ms.0), at(ms.1)), kind).named("work");
    row.parent_id = ids.2;
    row
}

fn client(sender: &Arc<Resource>, ids: (u128, u64, u64)) -> SpanRow {
    span(sender, ids, (0, 100), kind::CLIENT)
}

fn server(sender: &Arc<Resource>, ids: (u128, u64, u64)) -> SpanRow {
    span(sender, ids, (10, 90), kind::SERVER)
}

/// All that is said of `rows`, received at once, until all traces have ended.
fn said(rows: &[SpanRow]) -> Delta {
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, rows));
    let mut delta = folder.flush(NOW);
    delta.merge(folder.flush(NOW.plus(u64::from(HORIZON_SECS + 1) * NANOS_PER_SEC)));
    assert_eq!(folder.open_spans(), 0);
    delta
}

fn requests(row: &EdgeDelta) -> i64 {
    row.requests.iter().sum()
}

/// `caller > callee` of every edge with its requests, failed, logical and paired ones.
fn edges(delta: &Delta) -> Vec<(String, [i64; 4])> {
    let name = |id: ServiceId| {
        let names = ["a", "b", "c"];
        let found = names
            .iter()
            .find(|name| service(name).identity.service_id == id);
        (*found.unwrap_or(&"?")).to_owned()
    };
    let mut found: Vec<(String, [i64; 4])> = delta
        .edges
        .iter()
        .map(|row| {
            let caller = row
                .key
                .caller
                .map_or("-".to_owned(), |party| name(party.service));
            let callee = match row.key.callee {
                Callee::Service(party) => name(party.service),
                Callee::Peer(peer) => {
                    let told = delta.peers.iter().find(|told| told.id == peer);
                    let claims = told.map_or(&[][..], |told| &told.claims);
                    let texts: Vec<&str> = claims.iter().map(|claim| claim.text.as_str()).collect();
                    format!("({})", texts.join(", "))
                }
            };
            let failed = requests(row) - row.requests[FailureClass::Ok as usize];
            let counts = [requests(row), failed, row.logical, row.paired];
            (format!("{caller} > {callee}"), counts)
        })
        .collect();
    found.sort();
    found
}

fn outcomes(delta: &Delta) -> Vec<(&'static str, u64)> {
    let all = Outcome::ALL.into_iter();
    all.map(|outcome| (outcome.name(), counter(delta, Counter::Traced(outcome))))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// What edges `rows` make, and what becomes of the spans.
fn check(rows: &[SpanRow], wanted: &[(&str, [i64; 4])], fates: &[(&str, u64)]) {
    let delta = said(rows);
    let found = edges(&delta);
    let found: Vec<(&str, [i64; 4])> = found
        .iter()
        .map(|(name, counts)| (&**name, *counts))
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(outcomes(&delta), fates);
    let entered: u64 = delta.calls.iter().map(|row| row.requests).sum();
    assert_eq!(
        entered as i64,
        delta.edges.iter().map(requests).sum::<i64>()
    );
}

#[test]
fn two_halves_are_one_request() {
    let (a, b) = (service("a"), service("b"));
    let rows = [
        server(&a, (1, 1, 0)),
        client(&a, (1, 2, 1)).with("server.address", "b"),
        server(&b, (1, 3, 2)),
    ];
    check(
        &rows,
        &[("a > b", [1, 0, 1, 1])],
        &[("paired", 2), ("entry", 1)],
    );
    let delta = said(&rows);
    assert_eq!(delta.aliases.len(), 1);
    assert_eq!(
        delta.edges[0].client,
        [(crate::latency::bucket(100_000_000), 1)]
    );
    assert_eq!(
        delta.edges[0].server,
        [(crate::latency::bucket(80_000_000), 1)]
    );
}

#[test]
fn a_call_that_nobody_answers_is_counted_under_what_it_names() {
    let a = service("a");
    let dead = client(&a, (1, 2, 0))
        .with("server.address", "b")
        .with("server.port", 8080)
        .with("error.type", "ECONNREFUSED")
        .with_status(status::ERROR);
    let wanted = [("a > (b:8080)", [1, 1, 1, 0])];
    check(&[dead], &wanted, &[("client_only", 1)]);
}

#[test]
fn a_late_server_half_moves_the_call() {
    let (a, b) = (service("a"), service("b"));
    let mut folder = whole();
    folder.fold_spans(&batch(
        SEED,
        NOW,
        &[client(&a, (1, 2, 0)).with("server.address", "x")],
    ));
    let mut delta = folder.flush(NOW);
    assert_eq!(edges(&delta), [("a > (x)".to_owned(), [1, 0, 1, 0])]);
    let late = NOW.plus(60 * NANOS_PER_SEC);
    folder.fold_spans(&batch(SEED, late, &[server(&b, (1, 3, 2))]));
    delta.merge(folder.flush(late));
    assert_eq!(edges(&delta), [("a > b".to_owned(), [1, 0, 1, 1])]);
}

#[test]
fn one_call_that_several_answer_is_as_many_requests() {
    let (a, b) = (service("a"), service("b"));
    let rows = [
        client(&a, (1, 2, 0)),
        server(&b, (1, 3, 2)),
        server(&b, (1, 4, 2)),
    ];
    check(&rows, &[("a > b", [2, 0, 1, 2])], &[("paired", 3)]);
}

#[test]
fn internal_spans_of_the_caller_lie_in_between() {
    let (a, b) = (service("a"), service("b"));
    let rows = [
        client(&a, (1, 2, 0)),
        span(&a, (1, 3, 2), (1, 99), kind::INTERNAL),
        server(&b, (1, 4, 3)),
    ];
    check(
        &rows,
        &[("a > b", [1, 0, 1, 1])],
        &[("paired", 2), ("internal", 1)],
    );
}

#[test]
fn a_server_below_a_server_of_another_service_was_called_by_it() {
    let (a, b) = (service("a"), service("b"));
    let rows = [
        server(&a, (1, 1, 0)),
        server(&b, (1, 2, 1)).with_status(status::ERROR),
    ];
    check(
        &rows,
        &[("a > b", [1, 1, 1, 0])],
        &[("paired", 1), ("entry", 1)],
    );
}

#[test]
fn a_server_below_a_server_of_its_own_is_work_inside() {
    let a = service("a");
    let rows = [server(&a, (1, 1, 0)), server(&a, (1, 2, 1))];
    check(&rows, &[], &[("entry", 1), ("internal", 1)]);
}

#[test]
fn a_remote_parent_makes_an_entry_of_any_kind() {
    let a = service("a");
    let mut remote = batch(SEED, NOW, &[span(&a, (1, 2, 9), (0, 1), kind::INTERNAL)]);
    remote.flags = vec![0x300u16].into();
    let mut folder = whole();
    folder.fold_spans(&remote);
    assert_eq!(
        edges(&folder.flush(NOW)),
        [("- > a".to_owned(), [1, 0, 1, 0])]
    );
}

#[test]
fn a_client_below_a_client_of_another_service_is_both() {
    let (a, b, c) = (service("a"), service("b"), service("c"));
    let rows = [
        client(&a, (1, 1, 0)),
        client(&b, (1, 2, 1)),
        server(&c, (1, 3, 2)),
    ];
    let wanted = [("a > b", [1, 0, 1, 1]), ("b > c", [1, 0, 1, 1])];
    check(&rows, &wanted, &[("paired", 3)]);
}

#[test]
fn a_client_around_a_client_of_the_same_peer_is_a_wrapper() {
    let a = service("a");
    let outer = client(&a, (1, 1, 0)).with("server.address", "b");
    let attempt = |id, resends: i64| {
        let row = client(&a, (1, id, 1)).with("server.address", "b");
        row.with("http.request.resend_count", resends)
    };
    let rows = [outer, attempt(2, 0), attempt(3, 1)];
    check(
        &rows,
        &[("a > (b)", [2, 0, 1, 0])],
        &[("client_only", 2), ("wrapper", 1)],
    );
}

/// A call to a dead service that asks for a token first: the two name different peers, both are counted.
#[test]
fn a_call_inside_a_call_of_another_peer_is_no_wrapper() {
    let a = service("a");
    let rows = [
        client(&a, (1, 1, 0))
            .with("server.address", "b")
            .with_status(status::ERROR),
        client(&a, (1, 2, 1)).with("server.address", "c"),
    ];
    let wanted = [("a > (b)", [1, 1, 1, 0]), ("a > (c)", [1, 0, 1, 0])];
    check(&rows, &wanted, &[("client_only", 2)]);
}

#[test]
fn envoys_attempts_count_each_and_its_cluster_names_the_revision() {
    let (a, b) = (service("a"), resource(&[("service.name", "b")]));
    let attempt = |id, retry: &str| {
        let row = client(&a, (1, id, 1))
            .with("upstream_cluster", "b-v2")
            .with("http.status_code", "0")
            .with("response_flags", "UF")
            .with("error", "true");
        if retry.is_empty() {
            row
        } else {
            row.with("retry.count", retry)
        }
    };
    let answered = client(&a, (1, 4, 1))
        .with("upstream_cluster", "b-v2")
        .with("retry.count", "2");
    let rows = [
        server(&a, (1, 1, 0)),
        attempt(2, ""),
        attempt(3, "1"),
        answered,
        server(&b, (1, 5, 4)),
    ];
    let delta = said(&rows);
    let wanted = [
        ("a > (b-v2)".to_owned(), [2, 2, 1, 0]),
        ("a > b".to_owned(), [1, 0, 0, 1]),
    ];
    assert_eq!(edges(&delta), wanted);
    let revision = crate::identity::RevisionId::of_cluster(b.identity.service_id, "b-v2");
    assert!(delta.edges.iter().any(|row| {
        matches!(row.key.callee, Callee::Service(party) if party.revision == revision)
    }));
}

#[test]
fn a_health_check_is_left_out_by_either_half() {
    let (a, b) = (service("a"), service("b"));
    let rows = [
        client(&a, (1, 1, 0)),
        server(&b, (1, 2, 1)).with("http.route", "/healthz"),
    ];
    check(&rows, &[], &[("filtered", 2)]);
}

#[test]
fn a_message_is_paired_by_its_parent_and_told_by_its_links() {
    let (a, b) = (service("a"), service("b"));
    let sent = span(&a, (1, 1, 0), (0, 5), kind::PRODUCER)
        .with("messaging.system", "kafka")
        .with("messaging.destination.name", "orders");
    let received = span(&b, (1, 2, 1), (50, 60), kind::CONSUMER);
    let delta = said(&[sent.clone(), received]);
    assert_eq!(edges(&delta), [("a > b".to_owned(), [1, 0, 1, 1])]);
    assert_eq!(delta.edges[0].key.connection, Connection::Messaging);
    let mut linked = batch(
        SEED,
        NOW,
        &[sent, span(&b, (2, 7, 0), (50, 60), kind::CONSUMER)],
    );
    linked.links.push(crate::span::SpanLink {
        row: 1,
        trace_id: 1,
        span_id: 1,
        flags: 0,
    });
    let mut folder = whole();
    folder.fold_spans(&linked);
    let mut delta = folder.flush(NOW);
    assert_eq!(
        edges(&delta),
        [("a > (kafka/orders)".to_owned(), [1, 0, 1, 0])]
    );
    assert_eq!(delta.links.len(), 2);
    assert_eq!(delta.links[0].message, delta.links[1].message);
    delta.merge(folder.flush(NOW.plus(100 * NANOS_PER_SEC)));
    assert_eq!(outcomes(&delta), [("client_only", 1), ("link", 1)]);
}

#[test]
fn the_oldest_trace_makes_room_and_new_ones_are_never_refused() {
    let limits = FolderLimits {
        trace_bytes_per_shard: 8 * SPAN_BYTES,
        ..FolderLimits::default()
    };
    let a = service("a");
    let mut folder = Folder::new(SEED, 0..64, limits);
    let mut delta = Delta::default();
    for second in 0..40u64 {
        let now = NOW.plus(second * NANOS_PER_SEC);
        let rows: Vec<SpanRow> = (0..128)
            .map(|index| {
                client(&a, (u128::from(second * 128 + index), 1, 0)).with("server.address", "b")
            })
            .collect();
        folder.fold_spans(&batch(SEED, now, &rows));
        delta.merge(folder.flush(now));
    }
    assert!(folder.open_spans() <= 64 * 8);
    assert_eq!(delta.edges.iter().map(requests).sum::<i64>(), 40 * 128);
    let gone = counter(&delta, Counter::Traced(Outcome::Evicted));
    assert_eq!(gone as usize + folder.open_spans(), 40 * 128);
}

/// Spans of a few traces in which anything may be below anything, with the second each arrives in.
fn any_traces() -> impl Strategy<Value = Vec<(SpanRow, u64)>> {
    let one = (
        0u128..3,
        1u64..9,
        0u64..9,
        0u8..6,
        0usize..3,
        0u64..4,
        0u64..30,
    );
    proptest::collection::vec(one, 1..60).prop_map(|picks| {
        let services = ["a", "b", "c"].map(service);
        let rows = picks
            .into_iter()
            .map(|(trace, id, parent, kind, who, flavor, delay)| {
                let parent = if parent == id { 0 } else { parent };
                let row = span(&services[who], (trace, id, parent), (id, id * 3), kind);
                let row = match flavor {
                    0 => row.with("server.address", "b"),
                    1 => row.with("http.route", "/healthz"),
                    2 => row.with("http.status_code", 503),
                    _ => row
                        .with("messaging.system", "kafka")
                        .with("retry.count", "1"),
                };
                (row, delay)
            });
        rows.collect()
    })
}

/// Everything said of `rows` by `folders` folders, in the order and cut of `by`.
fn all_said(rows: &[(SpanRow, u64)], folders: usize, by: impl Fn(usize) -> u64) -> Delta {
    let mut machines: Vec<Folder> = (0..folders)
        .map(|first| {
            let shards = (first..64).step_by(folders).map(|shard| shard as u8);
            Folder::new(SEED, shards, FolderLimits::default())
        })
        .collect();
    let mut delta = Delta::default();
    for second in (0..=60).chain([155]) {
        let now = NOW.plus(second * NANOS_PER_SEC);
        let due: Vec<SpanRow> = rows
            .iter()
            .enumerate()
            .filter(|(at, _)| by(*at) == second)
            .map(|(_, (row, _))| row.clone())
            .collect();
        for machine in &mut machines {
            if !due.is_empty() {
                machine.fold_spans(&batch(SEED, now, &due));
            }
            delta.merge(machine.flush(now));
        }
    }
    delta
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Guarantees: edges, work, blame, aliases, counters of calls and outcomes do not depend on order, delays up to 60 s, copies or
    /// the number of folders; every span has one outcome.
    #[test]
    fn what_traces_say_does_not_depend_on_how_they_arrive(rows in any_traces(), folders in prop::sample::select(vec![1usize, 2, 7, 64]), twice in any::<bool>()) {
        let whole = all_said(&rows, 1, |_| 0);
        let mut other = rows.clone();
        other.reverse();
        if twice {
            other.extend(rows.iter().map(|(row, delay)| (row.clone(), 59 - delay)));
        }
        let spread = all_said(&other, folders, |at| other[at].1);
        prop_assert_eq!(&whole.edges, &spread.edges);
        prop_assert_eq!(&whole.aliases, &spread.aliases);
        prop_assert_eq!(&whole.work, &spread.work);
        prop_assert_eq!(&whole.blame, &spread.blame);
        prop_assert_eq!(outcomes(&whole), outcomes(&spread));
        let ended: u64 = outcomes(&spread).iter().map(|(_, count)| count).sum();
        let copies = counter(&spread, Counter::TracedCopies);
        prop_assert_eq!(ended + copies, other.len() as u64);
    }
}
