//! `serve`: every span is counted over every transport; what is refused is refused clearly.

use crate::canary::{post, resource_spans};
use crate::server::{Server, tidegate, until};
use crate::traffic::send;
use serde_json::Value;
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
        let (code, stdout, _) = tidegate(&["status", "-o", "json", "--server", &server.api]);
        let printed: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(code, 0);
        for outcome in ["accepted", "rejected", "dropped"] {
            assert_eq!(printed[outcome]["spans"], status[outcome]["spans"]);
        }
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
    for wire in [Wire::Grpc, Wire::Http] {
        let refused = send(&server, wire, 500.0, None);
        assert_eq!(refused.acked, 0, "{wire:?}");
        let accepted = send(&server, wire, 500.0, Some("s3cret"));
        assert_eq!(accepted.acked, accepted.sent, "{wire:?}");
    }
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
    let spans = resource_spans(&[("service.name", "nameless")], 1, false);
    assert_eq!(server.block_on(post(&server.http, vec![spans])), 200);
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

/// Scenario: two revisions of one version; the gate is asked about one, about none that exists, and about both at once.
/// Guarantees: any attribute names a revision; none or several matches exit 30 with the live revisions listed.
#[test]
fn a_candidate_is_named_by_any_attribute_of_its_own() {
    let server = Server::start(&[]);
    let revisions = ["6d5f7c9b8", "7f9c8d6b5"].map(|hash| {
        let attributes = [
            ("service.name", "shop"),
            ("service.version", "1.0"),
            ("k8s.pod.label.pod-template-hash", hash),
        ];
        resource_spans(&attributes, 5, false)
    });
    let sent = server.block_on(post(&server.http, revisions.to_vec()));
    assert_eq!(sent, 200);
    server.wait("/v1/services", |services| {
        services[0]["revisions"].as_array().map(Vec::len) == Some(2)
    });
    let ask = |service: &str, candidate: &str| {
        let arguments = ["gate", service, "--candidate", candidate, "--server"];
        tidegate(&[&arguments[..], &[&server.api]].concat())
    };
    let (code, stdout, _) = ask("shop", "6d5f7c9b8");
    assert_eq!(code, 10, "{stdout}");
    for (candidate, words) in [
        ("v9", "no revision is called"),
        ("1.0", "2 revisions are called"),
    ] {
        let (code, stdout, _) = ask("shop", candidate);
        assert_eq!(code, 30, "{stdout}");
        for part in [words, "live: ", "=6d5f7c9b8", "=7f9c8d6b5"] {
            assert!(stdout.contains(part), "`{part}` is not in: {stdout}");
        }
    }
    let (code, stdout, _) = ask("shopp", "1.0");
    assert!(code == 30 && stdout.contains("services seen: "), "{stdout}");
}

/// Scenario: the OpenAPI document of a running server, followed.
/// Guarantees: it is served, and every path in it that can be read without parameters answers, one that can only be posted to says 405.
#[test]
fn the_openapi_document_is_true() {
    let server = Server::start(&[]);
    server.wait("/v1/status", |status| status["state"] == "ready");
    let document = server.get("/v1/openapi.json");
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 9, "{:?}", paths.keys());
    for (path, operations) in paths {
        let read = &operations["get"];
        let parameters = read["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.clone() {
            let place = parameter["in"].as_str().unwrap();
            assert!(["query", "path"].contains(&place), "{path}: {parameter}");
        }
        // A stream has no end.
        if !read["responses"]["200"]["content"]["text/event-stream"].is_null() {
            continue;
        }
        let words = [&read["summary"], &read["description"]];
        let mut words = words.iter().filter_map(|text| text.as_str());
        let is_said = words.any(|text| text.contains("is required"));
        let mut asked = parameters.clone().filter(|one| one["in"] == "query");
        let needs_some = is_said || asked.any(|one| one["required"] == true);
        let expected = match needs_some {
            _ if read.is_null() => 405,
            _ if path.contains('{') => 404,
            true => 400,
            false => 200,
        };
        let (status, body) = server.ask(&path.replace("{id}", &"0".repeat(32)));
        assert_eq!(status, expected, "{path}: {body}");
    }
}

/// Scenario: what commands print where nobody sees colors.
/// Guarantees: no escape sequence, with and without NO_COLOR.
#[test]
fn no_colors_in_a_pipe() {
    let server = Server::start(&[]);
    for (variable, value) in [("NO_COLOR", "1"), ("TERM", "xterm-256color")] {
        for arguments in [&["status"][..], &["gate", "shop"]] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
                .args(arguments)
                .args(["--server", &server.api])
                .env(variable, value)
                .output()
                .unwrap();
            assert!(!output.stdout.is_empty());
            assert!(!output.stdout.contains(&0x1b), "{arguments:?}");
        }
    }
}
