//! A latch is on disk before anybody sees it.

use crate::canary::{Traffic, wait_for_halt, wait_until_known};
use crate::endpoint::{Endpoint, Reply, configuration};
use crate::server::{Server, until};
use serde_json::Value;

/// Scenario: a canary is halted and the server is killed (-9) in the very moment in which the halt can be seen; then the
/// next service's canary, again and again with one data directory.
/// Guarantees: whoever saw a halt sees the same decision after every restart, and until then Unknown, never another
/// verdict; every kill is shown as a gap; every halt's webhook arrives, and again under the same id when it is repeated.
#[test]
fn a_latch_is_durable_before_anybody_sees_it() {
    let is_long = std::env::var_os("TIDEGATE_LONG").is_some();
    let rounds = if is_long { 20 } else { 3 };
    let services: Vec<String> = (1..=rounds)
        .map(|round| format!("service-{round}"))
        .collect();
    let oncall = Endpoint::start("oncall", |_| Reply::Status(204));
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &[&oncall]);
    let data = folder.path().join("data");
    let arguments = [
        "--config",
        file.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let mut server = Server::start(&arguments);
    let traffic = Traffic::start(&server.http, &services);
    wait_until_known(&server, &services);
    let mut seen: Vec<(&String, Value)> = Vec::new();
    for service in &services {
        traffic.release(service);
        seen.push((service, wait_for_halt(&server, service)));
        server.kill();
        server = Server::start(&arguments);
        for (service, halt) in &seen {
            let kept = first_verdict(&server, service);
            assert_eq!(kept["verdict"], "halt", "{service}: {kept:#}");
            assert_eq!(kept["decision_id"], halt["decision_id"], "{service}");
        }
        let gaps = server.get("/v1/status")["gaps"].as_array().map(Vec::len);
        assert_eq!(gaps, Some(seen.len()), "every kill is a gap");
        traffic.redirect(&server.http);
    }
    for (service, halt) in &seen {
        let told = until(
            || Some(oncall.about("gate.halt", service)).filter(|told| !told.is_empty()),
            || format!("nobody heard of the halt of {service}"),
        );
        for one in &told {
            assert!(one.is_signed, "{one:?}");
            assert_eq!(one.id, told[0].id, "{service}");
            assert_eq!(one.message["data"]["decision_id"], halt["decision_id"]);
        }
    }
}

/// The first answer that is not Unknown, however early it is asked for.
fn first_verdict(server: &Server, service: &str) -> Value {
    let question = format!("/v1/gate?service={service}&candidate=v2");
    let verdict = || {
        let (status, body) = server.ask(&question);
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        assert!(
            status == 200 || status == 503 && answer["code"] == "RECOVERING",
            "{status}: {body}"
        );
        (answer["verdict"] != "unknown").then_some(answer)
    };
    until(verdict, || format!("no verdict: {}", server.get(&question)))
}
