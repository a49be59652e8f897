//! Names learned and applied, windows, messages and blast radius.

use super::ask::{Answer, Direction, Question, ask};
use super::blast::blast;
use super::*;
use crate::cascade::node::Node;
use crate::decider::Decider;
use crate::folder::FolderLimits;
use crate::hash::HashSeed;
use crate::items::Resource;
use crate::machine::{Engine, EngineConfig};
use crate::snapshot::Snapshot;
use crate::span::{SpanLink, kind};
use crate::span_rows::{SpanRow, batch, resource};
use crate::time::NANOS_PER_SEC;

const SEED: HashSeed = HashSeed(8, 13);
const NOW: Timestamp = Timestamp::from_secs(1_700_000_040);

fn service(name: &str) -> Arc<Resource> {
    resource(&[("service.name", name), ("service.version", "v1")])
}

fn engine() -> Engine {
    let config = EngineConfig {
        seed: SEED,
        folders: 1,
        limits: FolderLimits::default(),
        store_bytes: 1 << 20,
    };
    Engine::new(&config, Decider::default())
}

fn span(sender: &Arc<Resource>, ids: (u128, u64, u64), kind: u8) -> SpanRow {
    at(sender, ids, kind, NOW)
}

fn at(sender: &Arc<Resource>, ids: (u128, u64, u64), kind: u8, end: Timestamp) -> SpanRow {
    let mut row = SpanRow::new(sender, (ids.0, ids.1), (end.0 - 1_000_000, end.0), kind);
    row.parent_id = ids.2;
    row
}

fn folded(engine: &mut Engine, now: Timestamp, rows: &[SpanRow]) -> Snapshot {
    engine.fold(Arc::new(batch(SEED, now, rows).into()));
    engine.tick(now, &mut Vec::new())
}

fn whole(snapshot: &Snapshot, window_secs: u64) -> Answer {
    let question = Question {
        focus: Vec::new(),
        hops: 1,
        direction: Direction::Both,
        to: snapshot.graph.as_of.secs(),
        window_secs,
        edges_max: 100,
    };
    ask(&snapshot.graph, &question)
}

fn edges(snapshot: &Snapshot, answer: &Answer) -> Vec<(String, u64)> {
    let name = |node: Node| snapshot.graph.nodes[&node].name.clone();
    let edges = answer.edges.iter().map(|edge| {
        let source = edge.source.map_or_else(|| "-".to_owned(), name);
        (
            format!("{source} > {}", name(edge.target)),
            edge.cell.total(),
        )
    });
    edges.collect()
}

/// A pair teaches that `10.0.0.7:80` is `b`: calls of before and after mean `b`, and so does its RPC service.
#[test]
fn what_a_pair_teaches_holds_for_the_past_too() {
    let (a, b) = (service("a"), service("b"));
    let call = |trace| span(&a, (trace, 1, 0), kind::CLIENT).with("server.address", "10.0.0.7");
    let mut engine = engine();
    let before = folded(&mut engine, NOW, &[call(1)]);
    assert_eq!(
        edges(&before, &whole(&before, 60)),
        [("a > 10.0.0.7".to_owned(), 1)]
    );
    let later = NOW.plus(NANOS_PER_SEC);
    let rows = [
        call(2).with("rpc.service", "shop.B"),
        span(&b, (2, 2, 1), kind::SERVER),
        span(&a, (3, 1, 0), kind::CLIENT).with("rpc.service", "shop.B"),
    ];
    let after = folded(&mut engine, later, &rows);
    assert_eq!(edges(&after, &whole(&after, 60)), [("a > b".to_owned(), 3)]);
}

#[test]
fn a_name_that_several_answer_for_stays_a_peer() {
    let (a, b, c) = (service("a"), service("b"), service("c"));
    let call = |trace| span(&a, (trace, 1, 0), kind::CLIENT).with("server.address", "gateway");
    let rows = [
        call(1),
        span(&b, (1, 2, 1), kind::SERVER),
        call(2),
        span(&c, (2, 2, 1), kind::SERVER),
        call(3),
    ];
    let snapshot = folded(&mut engine(), NOW, &rows);
    let mut found = edges(&snapshot, &whole(&snapshot, 60));
    found.sort();
    let wanted = [("a > b", 1), ("a > c", 1), ("a > gateway", 1)];
    assert_eq!(found, wanted.map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn an_address_that_is_a_services_name_means_it() {
    let (a, b) = (service("a"), service("b"));
    let rows = [
        span(&a, (1, 1, 0), kind::CLIENT).with("http.url", "http://b:8080/x?y"),
        span(&a, (2, 1, 0), kind::CLIENT).with("server.address", "b.shop.svc.cluster.local"),
        span(&b, (3, 1, 0), kind::SERVER),
    ];
    let mut engine = engine();
    folded(&mut engine, NOW, &rows);
    let snapshot = folded(&mut engine, NOW.plus(NANOS_PER_SEC), &[]);
    assert_eq!(
        edges(&snapshot, &whole(&snapshot, 60)),
        [("a > b".to_owned(), 2)]
    );
}

/// Databases are told apart by system, name and address; topics are nodes.
#[test]
fn databases_and_topics_are_nodes() {
    let a = service("a");
    let rows = [
        span(&a, (1, 1, 0), kind::CLIENT)
            .with("db.system", "postgresql")
            .with("db.name", "orders")
            .with("server.address", "db1"),
        span(&a, (2, 1, 0), kind::PRODUCER)
            .with("messaging.system", "kafka")
            .with("messaging.destination.name", "mail"),
    ];
    let snapshot = folded(&mut engine(), NOW, &rows);
    let kinds: Vec<(&str, NodeKind)> = snapshot
        .graph
        .nodes
        .values()
        .filter(|row| row.kind != NodeKind::Service)
        .map(|row| (row.name.as_str(), row.kind))
        .collect();
    assert!(
        kinds.contains(&("postgresql/orders at db1", NodeKind::Database)),
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&("kafka/mail", NodeKind::Topic)),
        "{kinds:?}"
    );
}

/// A message of another trace, received ten minutes later.
#[test]
fn a_link_joins_the_halves_of_a_message() {
    let (a, b) = (service("a"), service("b"));
    let mut engine = engine();
    folded(&mut engine, NOW, &[span(&a, (1, 5, 0), kind::PRODUCER)]);
    let later = NOW.plus(600 * NANOS_PER_SEC);
    let mut received = batch(SEED, later, &[at(&b, (2, 6, 0), kind::CONSUMER, later)]);
    received.links.push(SpanLink {
        row: 0,
        trace_id: 1,
        span_id: 5,
        flags: 0,
    });
    engine.fold(Arc::new(received.into()));
    let snapshot = engine.tick(later, &mut Vec::new());
    let found = edges(&snapshot, &whole(&snapshot, 30));
    assert_eq!(found, [("a > b".to_owned(), 1)]);
}

/// Windows inside seconds, over whole minutes, and beyond the seconds that are kept, agree with what was sent.
#[test]
fn every_window_counts_what_lies_in_it() {
    let a = service("a");
    let mut engine = engine();
    let mut snapshot = Snapshot::default();
    for second in 0..1_200u64 {
        let now = NOW.plus(second * NANOS_PER_SEC);
        let row = at(&a, (u128::from(second) + 1, 1, 0), kind::CLIENT, now);
        snapshot = folded(&mut engine, now, &[row.with("server.address", "x")]);
    }
    for window in [1, 59, 60, 61, 300, 899] {
        let answer = whole(&snapshot, window);
        assert_eq!(answer.edges[0].cell.total(), window, "{window}");
        assert_eq!(answer.to + 1 - answer.from, window);
    }
    let long = whole(&snapshot, 1_100);
    assert_eq!((long.from % 60, long.to % 60), (0, 59));
    let last = snapshot.graph.as_of.secs();
    assert_eq!(long.edges[0].cell.total(), last + 1 - long.from);
}

#[test]
fn focus_hops_and_blast_radius() {
    let all = ["a", "b", "c", "d"].map(service);
    let mut rows = Vec::new();
    for (trace, (caller, callee)) in [(0, 1), (1, 2), (1, 3)].into_iter().enumerate() {
        for call in 0..4u64 {
            let trace = (trace as u64 * 10 + call + 1).into();
            rows.push(span(&all[caller], (trace, 1, 0), kind::CLIENT));
            rows.push(span(&all[callee], (trace, 2, 1), kind::SERVER));
        }
    }
    let snapshot = folded(&mut engine(), NOW, &rows);
    let node = |at: usize| Node::Service(all[at].identity.service_id);
    let ask_about = |hops, direction| {
        let question = Question {
            focus: vec![node(1)],
            hops,
            direction,
            to: NOW.secs(),
            window_secs: 60,
            edges_max: 100,
        };
        let answer = ask(&snapshot.graph, &question);
        let mut found = edges(&snapshot, &answer);
        found.sort();
        found.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(ask_about(1, Direction::Callers), ["a > b"]);
    assert_eq!(ask_about(2, Direction::Both), ["a > b", "b > c", "b > d"]);
    let radius = blast(&whole(&snapshot, 60), &[node(2)]);
    let hit: Vec<(Node, u32)> = radius
        .affected
        .iter()
        .map(|one| (one.node, one.hops))
        .collect();
    assert_eq!(hit, [(node(1), 1), (node(0), 2)]);
    assert!(
        radius
            .affected
            .iter()
            .all(|one| (one.share - 1.0).abs() < 1e-9)
    );
    let radius = blast(&whole(&snapshot, 60), &[node(1)]);
    assert_eq!(radius.dependencies.len(), 2);
}
