//! The OpenTelemetry SDK for Python, unmodified, over both transports it speaks.

use crate::server::Server;
use std::path::Path;
use std::process::Command;

/// Spans of each run: 80 % of v1, 20 % of v2, every tenth of v2 failed.
const SPANS: u64 = 5_000;

fn send(protocol: &str, endpoint: &str) {
    let python = std::env::var("TIDEGATE_PEERS_PYTHON")
        .expect("cargo xtask test --peers sets TIDEGATE_PEERS_PYTHON");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/sdk.py");
    let output = Command::new(python)
        .arg(script)
        .args([protocol, endpoint, &SPANS.to_string()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn check(protocol: &str, server: &Server) {
    let service = format!("shop-{protocol}");
    let status = server.wait("/v1/status", |status| status["accepted"]["spans"] == SPANS);
    assert_eq!(status["rejected"]["spans"], 0);
    assert_eq!(status["dropped"]["spans"], 0);
    let budgets = server.get(&format!("/v1/budgets?service={service}"));
    assert_eq!(budgets[0]["counts"]["total"], SPANS);
    assert_eq!(budgets[0]["counts"]["bad"], SPANS / 5 / 10);
    let services = server.get(&format!("/v1/services?service={service}"));
    let mut revisions: Vec<&str> = services[0]["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|revision| revision["revision"].as_str().unwrap())
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, ["v1", "v2"]);
}

/// Scenario: two versions of a service send spans through the SDK's gRPC exporter.
/// Guarantees: every span is counted once, failures and revisions are told apart.
#[test]
fn over_grpc() {
    let server = Server::start(&[]);
    send("grpc", &server.grpc);
    check("grpc", &server);
}

/// Scenario: the same through the HTTP exporter.
/// Guarantees: as above.
#[test]
fn over_http() {
    let server = Server::start(&[]);
    send("http", &server.http);
    check("http", &server);
}
