//! The OpenTelemetry SDKs, unmodified, each over every transport it speaks.
//!
//! Every client takes `PROTOCOL ENDPOINT SERVICE SPANS POINTS LOGS` and sends exactly that: server spans, four fifths
//! of version v1 and one fifth of v2, every tenth of v2 failed; data points, half of a counter and half of a
//! histogram, one a series, in one export; log records. The counts that Tidegate shows must be the counts sent.

use crate::server::{Server, tidegate};
use crate::{file, finish, place, rust_sdk};
use serde_json::{Value, json};
use std::process::Command;

/// What a run sends.
pub(crate) struct Counts {
    pub(crate) spans: u64,
    pub(crate) points: u64,
    pub(crate) logs: u64,
}

const COUNTS: Counts = Counts {
    spans: 5_000,
    points: 600,
    logs: 1_000,
};

/// Sends with `send(protocol, endpoint, service)` over `protocol` and compares the counts.
fn check(language: &str, protocol: &str, send: impl FnOnce(&str, &str, &str)) {
    let server = Server::start(&[]);
    let service = format!("shop-{language}");
    let endpoint = if protocol == "grpc" {
        &server.grpc
    } else {
        &server.http
    };
    send(protocol, endpoint, &service);

    check_counts(&server, &service, &COUNTS);
}

/// Waits for `counts` of `service`, and compares what `tidegate status` says with them.
pub(crate) fn check_counts(server: &Server, service: &str, counts: &Counts) {
    let none = json!({"spans": 0, "points": 0, "records": 0});
    let all = json!({"spans": counts.spans, "points": counts.points, "records": counts.logs});
    server.wait("/v1/status", |status| status["accepted"] == all);
    let (code, printed, _) = tidegate(&["status", "-o", "json", "--server", &server.api]);
    assert_eq!(code, 0);
    let status: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(status["accepted"], all);
    assert_eq!(status["rejected"], none);
    assert_eq!(status["dropped"], none);
    assert_eq!(status["counters"]["duplicate"], none);

    #[cfg(feature = "sql")]
    for (table, count) in [
        ("spans", counts.spans),
        ("metrics", counts.points),
        ("logs", counts.logs),
    ] {
        let query = format!("SELECT count(*) AS items FROM {table} WHERE service = '{service}'");
        let (code, rows, stderr) =
            tidegate(&["query", "-o", "csv", &query, "--server", &server.api]);
        assert_eq!(
            (code, rows),
            (0, format!("items\r\n{count}\r\n")),
            "{stderr}"
        );
    }

    let budgets = server.get(&format!("/v1/budgets?service={service}"));
    assert_eq!(budgets[0]["counts"]["total"], counts.spans);
    assert_eq!(budgets[0]["counts"]["bad"], counts.spans / 5 / 10);
    let services = server.get(&format!("/v1/services?service={service}"));
    let revisions = services[0]["revisions"].as_array().unwrap();
    let mut revisions: Vec<&str> = revisions
        .iter()
        .map(|revision| revision["revision"].as_str().unwrap())
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, ["v1", "v2"]);
}

/// The same with a program of its own.
fn check_program(language: &str, protocol: &str, mut program: Command) {
    check(language, protocol, |protocol, endpoint, service| {
        program.args([protocol, endpoint, service]);
        let counts = [COUNTS.spans, COUNTS.points, COUNTS.logs];
        finish(program.args(counts.map(|count| count.to_string())));
    });
}

fn python() -> Command {
    let mut command = Command::new(place("PYTHON"));
    command.arg(file("tests/peers/python/client.py"));
    command
}

fn node() -> Command {
    let mut command = Command::new("node");
    command
        .env("NODE_PATH", place("NODE"))
        .arg(file("tests/peers/node/client.cjs"));
    command
}

fn java() -> Command {
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(place("JAVA").join("*"))
        .arg(file("tests/peers/java/Client.java"));
    command
}

/// Scenario: the SDK for Python exports over gRPC.
/// Guarantees: every item is counted once, failures and revisions are told apart, nothing is lost.
#[test]
fn python_over_grpc() {
    check_program("python", "grpc", python());
}

/// Scenario: the SDK for Python exports over HTTP.
/// Guarantees: as above.
#[test]
fn python_over_http() {
    check_program("python", "http/protobuf", python());
}

/// Scenario: the SDK for Python exports over HTTP as JSON.
/// Guarantees: as above.
#[test]
fn python_over_json() {
    check_program("python", "http/json", python());
}

/// Scenario: the SDK for Node exports over gRPC.
/// Guarantees: as above.
#[test]
fn node_over_grpc() {
    check_program("node", "grpc", node());
}

/// Scenario: the SDK for Node exports over HTTP.
/// Guarantees: as above.
#[test]
fn node_over_http() {
    check_program("node", "http/protobuf", node());
}

/// Scenario: the SDK for Node exports over HTTP as JSON.
/// Guarantees: as above.
#[test]
fn node_over_json() {
    check_program("node", "http/json", node());
}

/// Scenario: the SDK for Go exports over gRPC.
/// Guarantees: as above.
#[test]
fn go_over_grpc() {
    check_program("go", "grpc", Command::new(place("GO")));
}

/// Scenario: the SDK for Go exports over HTTP.
/// Guarantees: as above.
#[test]
fn go_over_http() {
    check_program("go", "http/protobuf", Command::new(place("GO")));
}

/// Scenario: the SDK for Java exports over gRPC.
/// Guarantees: as above.
#[test]
fn java_over_grpc() {
    check_program("java", "grpc", java());
}

/// Scenario: the SDK for Java exports over HTTP.
/// Guarantees: as above.
#[test]
fn java_over_http() {
    check_program("java", "http/protobuf", java());
}

/// Scenario: the SDK for Rust exports over gRPC.
/// Guarantees: as above.
#[test]
fn rust_over_grpc() {
    check("rust", "grpc", |protocol, endpoint, service| {
        rust_sdk::send(protocol, endpoint, service, &COUNTS);
    });
}

/// Scenario: the SDK for Rust exports over HTTP.
/// Guarantees: as above.
#[test]
fn rust_over_http() {
    check("rust", "http/protobuf", |protocol, endpoint, service| {
        rust_sdk::send(protocol, endpoint, service, &COUNTS);
    });
}

/// Scenario: the SDK for Rust exports over HTTP as JSON.
/// Guarantees: as above.
#[test]
fn rust_over_json() {
    check("rust", "http/json", |protocol, endpoint, service| {
        rust_sdk::send(protocol, endpoint, service, &COUNTS);
    });
}
