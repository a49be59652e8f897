//! The OpenTelemetry demo as `otel-tui` captured it (`otlp/ymtdzzz+otel-tui`): a real Envoy, cartservice really down.
//!
//! The expected numbers were counted by a script that knows only parent ids and CLIENT spans.

use crate::corpus;
use engine::decider::Decider;
use engine::delta::Outcome;
use engine::folder::FolderLimits;
use engine::graph::GraphView;
use engine::graph::ask::{Answer, Question, ask};
use engine::graph::ledger::Ledger;
use engine::hash::{HashSeed, blake3_128};
use engine::items::Signal;
use engine::machine::{Engine, EngineConfig};
use engine::snapshot::Snapshot;
use engine::time::Timestamp;
use ingest::otlp::{DecodeLimits, Decoder, Format};
use serde_json::Value;
use std::sync::Arc;

const SEED: HashSeed = HashSeed(21, 34);

/// Services of the capture, those that are parts of others' names last.
const SERVICES: [&str; 9] = [
    "recommendationservice",
    "productcatalogservice",
    "checkoutservice",
    "frontend-proxy",
    "loadgenerator",
    "cartservice",
    "adservice",
    "frontend",
    "flagd",
];

/// The trace exports of the capture.
fn capture() -> Vec<Value> {
    let path = corpus().join("otlp/ymtdzzz+otel-tui/test_data.json");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line.get("resourceSpans").is_some())
        .collect()
}

fn service_of(resource_spans: &Value) -> &str {
    let attributes = resource_spans["resource"]["attributes"].as_array().unwrap();
    let name = attributes.iter().find(|one| one["key"] == "service.name");
    name.unwrap()["value"]["stringValue"].as_str().unwrap()
}

/// The capture as if `service` had sent nothing.
fn without(service: &str) -> Vec<Value> {
    let mut lines = capture();
    for line in &mut lines {
        let list = line["resourceSpans"].as_array_mut().unwrap();
        list.retain(|one| service_of(one) != service);
    }
    lines
}

/// A word that nobody knows.
fn word(text: &str, seed: u8) -> String {
    let hash = blake3_128("rename", &[text.as_bytes(), &[seed]]);
    let letters = (0..9).map(|place| (b'a' + (hash >> (place * 8)) as u8 % 26) as char);
    letters.collect()
}

/// Renames services, addresses and ids everywhere.
fn renamed(value: &mut Value, seed: u8) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| renamed(one, seed)),
        Value::Object(fields) => {
            for (key, one) in fields.iter_mut() {
                match (key.as_str(), one) {
                    ("traceId" | "spanId" | "parentSpanId", Value::String(id))
                        if !id.is_empty() =>
                    {
                        let other = blake3_128("id", &[id.as_bytes(), &[seed]]);
                        *id = format!("{other:032x}")[..id.len()].to_owned();
                    }
                    ("key", _) => {}
                    (_, one) => renamed(one, seed),
                }
            }
        }
        Value::String(text) => {
            for service in SERVICES {
                *text = text.replace(service, &word(service, seed));
            }
            *text = text
                .replace("oteldemo", &word("oteldemo", seed))
                .replace("172.25", "10.9");
        }
        _ => {}
    }
}

/// Feeds `lines`, `at_once` of them between two ticks, and lets all traces end.
fn snapshot(lines: &[Value], folders: usize, at_once: usize) -> (Snapshot, Snapshot) {
    let config = EngineConfig {
        seed: SEED,
        folders,
        limits: FolderLimits::default(),
        store_bytes: 1 << 20,
    };
    let mut engine = Engine::new(&config, Decider::default());
    let mut decoder = Decoder::new(DecodeLimits::default());
    // A few seconds after the last span ended.
    let mut now = last_end(lines).plus(2_000_000_000);
    let mut effects = Vec::new();
    for some in lines.chunks(at_once) {
        for line in some {
            let body = line.to_string();
            let decoded = decoder
                .decode((Signal::Traces, Format::Json), body.as_bytes(), now, SEED)
                .unwrap();
            for batch in decoded.batches {
                engine.fold(Arc::new(batch));
            }
        }
        now = now.plus(250_000_000);
        engine.tick(now, &mut effects);
    }
    let open = engine.tick(now.plus(1_000_000_000), &mut effects);
    let ended = engine.tick(now.plus(100_000_000_000), &mut effects);
    (open, ended)
}

fn last_end(lines: &[Value]) -> Timestamp {
    let resources = lines
        .iter()
        .flat_map(|line| line["resourceSpans"].as_array().unwrap());
    let scopes = resources.flat_map(|one| one["scopeSpans"].as_array().unwrap());
    let spans = scopes.flat_map(|one| one["spans"].as_array().unwrap());
    let ends = spans.map(|span| span["endTimeUnixNano"].as_str().unwrap().parse().unwrap());
    Timestamp(ends.max().unwrap())
}

fn everything(view: &GraphView) -> Answer {
    ask(
        view,
        &Question {
            focus: Vec::new(),
            hops: 1,
            direction: engine::graph::ask::Direction::Both,
            to: view.as_of.secs(),
            window_secs: 6 * 3_600,
            edges_max: 1_000,
        },
    )
}

/// Edges, those with paired requests, and (requests, failed) with a caller and without.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    edges: usize,
    paired: usize,
    called: (u64, u64),
    unknown: (u64, u64),
}

fn seen(snapshot: &Snapshot) -> Seen {
    let answer = everything(&snapshot.graph);
    let known: Vec<_> = answer
        .edges
        .iter()
        .filter(|edge| edge.source.is_some())
        .collect();
    let sum = |is_known: bool| {
        let edges = answer
            .edges
            .iter()
            .filter(|edge| edge.source.is_some() == is_known);
        edges.fold((0, 0), |sum, edge| {
            (sum.0 + edge.cell.total(), sum.1 + edge.cell.failed())
        })
    };
    Seen {
        edges: known.len(),
        paired: known.iter().filter(|edge| edge.cell.paired > 0).count(),
        called: sum(true),
        unknown: sum(false),
    }
}

fn names(view: &GraphView) -> Vec<String> {
    let answer = everything(view);
    let name = |node| view.nodes.get(&node).map_or("?", |row| row.name.as_str());
    let edges = answer
        .edges
        .iter()
        .filter_map(|edge| Some(format!("{} > {}", name(edge.source?), name(edge.target))));
    edges.collect()
}

/// Scenario: the capture as it came.
/// Guarantees: 11 edges of which 9 are paired, 254 requests, 85 failed, all under a name; cartservice, which sent
/// nothing, is one node whatever its callers call it.
#[test]
fn every_call_of_the_capture_is_counted_and_attributed() {
    let (open, ended) = snapshot(&capture(), 1, 7);
    let wanted = Seen {
        edges: 11,
        paired: 9,
        called: (254, 85),
        unknown: (1, 0),
    };
    assert_eq!(seen(&open), wanted, "{:#?}", names(&open.graph));
    assert_eq!(seen(&ended), wanted);
    let edges = names(&open.graph);
    for caller in ["frontend", "checkoutservice"] {
        let edge = format!("{caller} > cartservice:7070");
        assert!(edges.contains(&edge), "{edges:#?}");
    }
    let ledger = Ledger::of(&ended.status);
    assert_eq!(
        (ledger.accepted, ledger.open, ledger.interrupted),
        (547, 0, 0)
    );
    assert_eq!(ledger.outcomes.iter().sum::<u64>(), 547);
    assert_eq!(ledger.outcomes[Outcome::ServerOnly as usize], 1);
    let calls = ended.graph.counters.values();
    let (requests, failed) = calls.fold((0, 0), |sum, call| {
        (sum.0 + call.requests, sum.1 + call.failed)
    });
    assert_eq!((requests, failed), (255, 85));
}

/// Scenario: the same with one service's spans removed, as if it was dead or not instrumented.
/// Guarantees: every call to it is still counted; only what it called itself is not seen.
#[test]
fn a_service_that_sends_nothing_hides_only_its_own_calls() {
    let table = [
        ("adservice", (250, 85), None),
        ("checkoutservice", (250, 81), None),
        ("flagd", (254, 85), None),
        ("productcatalogservice", (254, 85), None),
        ("recommendationservice", (246, 85), None),
        ("frontend", (185, 65), Some((54, 4))),
        ("frontend-proxy", (168, 63), Some((76, 20))),
        ("loadgenerator", (160, 44), Some((76, 20))),
    ];
    for (service, called, unknown) in table {
        let (_, ended) = snapshot(&without(service), 1, 50);
        let seen = seen(&ended);
        assert_eq!(
            seen.called,
            called,
            "without {service}: {:#?}",
            names(&ended.graph)
        );
        if let Some(unknown) = unknown {
            assert_eq!(seen.unknown, unknown, "without {service}");
        }
    }
}

/// Scenario: services, addresses and ids carry other names.
/// Guarantees: the same graph: nothing was recognized by what it is called.
#[test]
fn the_graph_does_not_depend_on_names() {
    for seed in 0..3 {
        let mut lines = capture();
        lines.iter_mut().for_each(|line| renamed(line, seed));
        let (_, ended) = snapshot(&lines, 7, 3);
        let wanted = Seen {
            edges: 11,
            paired: 9,
            called: (254, 85),
            unknown: (1, 0),
        };
        assert_eq!(seen(&ended), wanted, "{:#?}", names(&ended.graph));
    }
}
