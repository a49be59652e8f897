//! The whole story against a gate that follows a script.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::controller::{Phase, Stage, Verdict};
use crate::encode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::BTreeMap;

const ORIGIN: u64 = 1_700_000_000_000_000_000;

/// Answers Proceed to `admit`; to `advance` Halt for the bad candidate and Proceed for the good one, after 5 s.
/// Counts entry spans as anybody would who only sees the wire.
#[derive(Default)]
struct Script {
    bad: String,
    log: Vec<String>,
    counts: BTreeMap<(String, String, u64), (u64, u64)>,
    spans: u64,
    health_checks: u64,
    last: u64,
    bytes: u64,
    digest: u64,
}

fn text(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let found = attributes.iter().find(|pair| pair.key == key);
    match found.and_then(|pair| pair.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

impl Script {
    fn see(&mut self, at: u64) {
        assert!(at >= self.last);
        self.last = at;
    }
}

impl Sink for Script {
    fn request(&mut self, at: u64, request: &[u8]) {
        self.see(at);
        self.bytes += request.len() as u64;
        self.digest = request.iter().fold(self.digest, |digest, byte| {
            crate::random::mix(digest ^ u64::from(*byte))
        });
        let request = ExportTraceServiceRequest::decode(request).unwrap();
        for group in &request.resource_spans {
            let resource = &group.resource.as_ref().unwrap().attributes;
            for span in &group.scope_spans[0].spans {
                self.spans += 1;
                let is_probe = text(&span.attributes, "http.route") == "/healthz"
                    || text(&span.attributes, "rpc.service") == "grpc.health.v1.Health";
                self.health_checks += u64::from(is_probe);
                if span.kind != 2 || is_probe {
                    continue;
                }
                let cell = (
                    text(resource, "service.name"),
                    text(resource, "service.version"),
                    span.end_time_unix_nano / 1_000_000_000,
                );
                let counts = self.counts.entry(cell).or_default();
                counts.0 += 1;
                counts.1 += u64::from(span.status.as_ref().is_some_and(|status| status.code == 2));
            }
        }
    }

    fn event(&mut self, at: u64, event: &serde_json::Value) {
        self.see(at);
        let kind = event["type"].as_str().unwrap();
        self.log.push(format!(
            "{} {kind}",
            event["data"]["service"].as_str().unwrap()
        ));
    }

    fn tick(&mut self, at: u64) {
        self.see(at);
    }

    fn gate(&mut self, at: u64, question: &Question) -> GateReply {
        self.see(at);
        let is_bad = question.subject.service == self.bad;
        let (verdict, code) = match (question.phase, at > ORIGIN + 10_000_000_000, is_bad) {
            (Phase::Admit, _, _) => ("proceed", "ADMITTED"),
            (Phase::Advance, false, _) => ("wait", "LOW_TRAFFIC"),
            (Phase::Advance, true, true) => ("halt", "REGRESSION_ERRORS"),
            (Phase::Advance, true, false) => ("proceed", "EVIDENCE"),
        };
        GateReply::from_body(serde_json::json!({"verdict": verdict, "code": code}))
    }
}

fn play(seed: u64) -> (Script, Outcome) {
    let scenario = Scenario::new(seed);
    let mut script = Script {
        bad: scenario.topology.services[scenario.bad.service]
            .name
            .to_owned(),
        ..Script::default()
    };
    let outcome = run(&scenario, ORIGIN, 60, &mut script);
    (script, outcome)
}

/// Scenario: the demo's story with a gate that decides after ten seconds.
/// Guarantees: the wire carries exactly what the truth counted, second by second; the bad revision gets no traffic
/// after the halt, the good one all of it.
#[test]
fn what_is_sent_is_what_happened() {
    let (script, outcome) = play(1);
    assert!(outcome.is_right());
    assert_eq!(outcome.dropped_spans, 0);
    assert_eq!(script.spans, outcome.truth.spans);
    assert_eq!(script.health_checks, outcome.truth.health_checks);
    let truth: BTreeMap<_, _> = outcome
        .truth
        .cells()
        .map(|(cell, requests)| {
            let key = (cell.service.to_owned(), cell.version.clone(), cell.second);
            (key, (requests.total, requests.failed))
        })
        .collect();
    assert_eq!(script.counts, truth);
    let expected = [
        "checkout rollout.started",
        "checkout rollout.weight",
        "catalog rollout.started",
        "catalog rollout.weight",
        "checkout rollout.weight",
        "checkout rollout.finished",
        "catalog rollout.weight",
        "catalog rollout.finished",
    ];
    assert_eq!(script.log, expected);

    let halted = ORIGIN / 1_000_000_000 + outcome.bad.finished_secs.unwrap() as u64;
    let late = |service: &str, version: &str| {
        let cells = outcome.truth.cells();
        cells
            .filter(|(cell, _)| cell.service == service && cell.version == version)
            .filter(|(cell, _)| cell.second > halted + 1)
            .map(|(_, requests)| requests.total)
            .sum::<u64>()
    };
    assert_eq!(late("checkout", "v2"), 0);
    assert!(late("checkout", "v1") > 50);
    let canary = outcome.truth.of_revision("checkout", "v2");
    assert!(
        canary.failed * 2 > canary.total / 2 && canary.total > 20,
        "{canary:?}"
    );
    let fleet = outcome.truth.of_service("checkout");
    assert!(fleet.failed * 25 < fleet.total, "{fleet:?}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let (first, second, other) = (play(7).0, play(7).0, play(8).0);
    assert_eq!((first.digest, first.log), (second.digest, second.log));
    assert_ne!(first.digest, other.digest);
}

#[test]
fn an_unanswered_story_ends_at_its_limit() {
    struct Silent;
    impl Sink for Silent {
        fn request(&mut self, _: u64, request: &[u8]) {
            assert!(encode::partial_success(request).is_some());
        }
        fn event(&mut self, _: u64, _: &serde_json::Value) {}
        fn tick(&mut self, _: u64) {}
        fn gate(&mut self, _: u64, _: &Question) -> GateReply {
            GateReply::unreachable()
        }
    }
    let outcome = run(&Scenario::new(1), ORIGIN, 10, &mut Silent);
    assert_eq!(
        (outcome.bad.stage, outcome.good.stage),
        (Stage::Admitting, Stage::Admitting)
    );
    assert_eq!(
        outcome.bad.reply.as_ref().unwrap().verdict,
        Verdict::Unknown
    );
    assert!(!outcome.is_right());
}
