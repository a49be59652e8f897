//! `serve`: every span is counted over every transport; what is refused is refused clearly.

use crate::server::{Server, tidegate, until};
use crate::traffic::send;
use simulator::topology::Wire;

/// Scenario: the same load over gRPC and HTTP, plain and gzip.
/// Guarantees: accepted equals acknowledged, the SLO counts equal the generator's truth, nothing rejected or dropped.
#[test]
fn every_span_is_counted_over_every_transport() {
    for wire in [Wire::Grpc, Wire::GrpcGzip, Wire::Http, Wire::HttpGzip] {
        let mut server = Server::start(&[]);
        let report = send(&server, wire, 5_000.0, None);
        assert_eq!(
            report.acked, report.sent,
            "{wire:?}: {}",
            report.first_problem
        );
        let status = server.wait("/v1/status", |status| {
            status["accepted"]["spans"] == report.acked
        });
        assert_eq!(status["rejected"]["spans"], 0);
        assert_eq!(status["dropped"]["spans"], 0);
        for (service, truth) in &report.served {
            let budgets = server.get(&format!("/v1/budgets?service={service}"));
            assert_eq!(
                budgets[0]["counts"]["total"], truth.total,
                "{wire:?} {service}"
            );
            assert_eq!(
                budgets[0]["counts"]["bad"], truth.failed,
                "{wire:?} {service}"
            );
        }
        let (_, metrics) = server.ask("/metrics");
        for name in [
            "slo:sli_error:ratio_rate5m",
            "slo:period_error_budget_remaining:ratio",
            "tidegate_ingest_spans_total",
        ] {
            assert!(metrics.contains(name), "{name} is not in /metrics");
        }
        assert_eq!(server.terminate(), Some(0), "SIGTERM drains and ends well");
    }
}

/// Scenario: a server with a token.
/// Guarantees: everything but health asks for it, over OTLP too; the command line says what to do.
#[test]
fn a_token_guards_everything_but_health() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let path = file.to_str().unwrap();
    let server = Server::start(&["--token-file", path]);
    for page in ["/", "/v1/status", "/metrics", "/v1/gate?service=a"] {
        assert_eq!(server.ask(page).0, 401, "{page}");
        assert_ne!(server.ask_with(page, "s3cret").0, 401, "{page}");
    }
    assert_eq!(server.ask("/-/healthy").0, 200);
    let refused = send(&server, Wire::Grpc, 500.0, None);
    assert_eq!(refused.acked, 0);
    let accepted = send(&server, Wire::Http, 500.0, Some("s3cret"));
    assert_eq!(accepted.acked, accepted.sent);
    let (code, _, stderr) = tidegate(&["status", "--server", &server.api]);
    assert!(code == 30 && stderr.contains("--token-file"), "{stderr}");
    let (code, _, stderr) = tidegate(&["status", "--server", &server.api, "--token-file", path]);
    assert_eq!(code, 0, "{stderr}");
}

/// Scenario: a port that is taken, and an address that others can reach.
/// Guarantees: the message names the port, the flag and the Collector's exporter; without a token nothing is opened.
#[test]
fn what_cannot_be_listened_on_is_said_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) = tidegate(&["serve", "--grpc", &address]);
    assert_eq!(code, 1);
    for part in [address.as_str(), "--grpc", "exporters:", "otlp/tidegate"] {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
    let (code, _, stderr) = tidegate(&["serve", "--api", "0.0.0.0:0"]);
    assert_ne!(code, 0);
    assert!(stderr.contains("token"), "{stderr}");
}

/// Scenario: spans that nothing tells the revision of.
/// Guarantees: serve, status and gate say REVISION_UNKNOWN and print the line to paste; the gate exits 30.
#[test]
fn an_unknown_revision_is_said_everywhere() {
    let server = Server::start(&[]);
    server.block_on(async {
        let body = unnamed_span();
        let request = reqwest::Client::new()
            .post(format!("{}/v1/traces", server.http))
            .header("content-type", "application/x-protobuf");
        assert_eq!(request.body(body).send().await.unwrap().status(), 200);
    });
    server.wait("/v1/status", |status| {
        status["revision_unknown"][0] == "nameless"
    });
    let paste = "OTEL_RESOURCE_ATTRIBUTES";
    let (_, stdout, _) = tidegate(&["status", "--server", &server.api]);
    assert!(
        stdout.contains("REVISION_UNKNOWN") && stdout.contains(paste),
        "{stdout}"
    );
    let (code, stdout, _) = tidegate(&[
        "gate",
        "nameless",
        "--candidate",
        "v2",
        "--server",
        &server.api,
    ]);
    assert_eq!(code, 30, "{stdout}");
    assert!(
        stdout.contains("REVISION_UNKNOWN") && stdout.contains(paste),
        "{stdout}"
    );
    let has_notice = || {
        let printed = server.printed.lock().unwrap();
        printed
            .iter()
            .any(|line| line.contains("REVISION_UNKNOWN") && line.contains(paste))
            .then_some(())
    };
    until(has_notice, || "serve did not say it".to_owned());
}

/// One server span of a resource that has only a name.
fn unnamed_span() -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos() as u64;
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![7; 8],
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: now - 1_000_000,
        end_time_unix_nano: now,
        ..Span::default()
    };
    let name = KeyValue {
        key: "service.name".to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue("nameless".to_owned())),
        }),
        ..KeyValue::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![name],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec()
}

/// Scenario: Tidegate exports its own telemetry to its own receiver while it is being asked.
/// Guarantees: what it sends does not make more to send.
#[test]
fn its_own_telemetry_does_not_feed_itself() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let endpoint = format!("http://{free}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let server = Server::start_with(&["--grpc", &free], &environment);
    let before = server.get("/v1/status")["accepted"]["spans"]
        .as_u64()
        .unwrap();
    for _ in 0..200 {
        let _ = server.get("/v1/status");
    }
    let after = server.get("/v1/status")["accepted"]["spans"]
        .as_u64()
        .unwrap();
    assert!(after - before <= 200, "{before} to {after}");
}
