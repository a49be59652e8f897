//! The first hour of a real user: what arrives is judged and mended, SLOs are proposed, names do nothing.

use crate::canary::{post, resource_spans};
use crate::server::{Server, tidegate};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::Value;

const WHOLE: [(&str, &str); 6] = [
    ("service.name", "checkout"),
    ("service.version", "1.4.2"),
    ("service.namespace", "shop"),
    ("deployment.environment.name", "production"),
    ("service.instance.id", "i-1"),
    ("telemetry.sdk.language", "go"),
];

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// Every finding of every source.
fn findings(doctor: &Value) -> Vec<&Value> {
    let sources = doctor["sources"].as_array().unwrap().iter();
    sources
        .flat_map(|source| source["findings"].as_array().unwrap())
        .collect()
}

/// The printed findings as JSON, and the exit code.
fn doctor(server: &Server) -> (i32, Value) {
    let (code, stdout, stderr) = tidegate(&["doctor", "-o", "json", "--server", &server.api]);
    let body = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    (code, body)
}

fn send(server: &Server, spans: Vec<ResourceSpans>) {
    assert_eq!(server.block_on(post(&server.http, spans)), 200);
}

/// Scenario: nothing has arrived; then a source that wants for nothing; then one that a tail sampler chose (the
/// Collector says so on the scope).
/// Guarantees: exit 1, 0, 1; the real ports and the fan-out are there to paste; status, health page and SLO say it too.
#[test]
fn the_doctor_says_what_is_wrong_and_what_mends_it() {
    let server = Server::start(&[]);
    server.wait("/v1/status", |status| status["state"] == "ready");
    let (code, body) = doctor(&server);
    let [nothing] = findings(&body)[..] else {
        panic!("{body}")
    };
    assert_eq!((code, &nothing["code"]), (1, &"NO_TELEMETRY".into()));
    let (grpc, http) = (
        server.grpc.replace("http://", ""),
        server.http.replace("http://", ""),
    );
    for part in [
        format!("endpoint: {grpc}"),
        format!("OTLP_ENDPOINT=http://{http}"),
    ] {
        assert!(
            nothing["fix"].as_str().unwrap().contains(&part),
            "{nothing}"
        );
    }
    let (_, page) = server.ask("/");
    assert!(page.contains(&grpc) && page.contains(&http), "{page}");

    send(&server, vec![resource_spans(&WHOLE, 5, false)]);
    server.wait("/v1/doctor", |body| {
        body["sources"][0]["service"] == "checkout"
    });
    let (code, body) = doctor(&server);
    assert_eq!((code, findings(&body).len()), (0, 0), "{body}");
    let source = &body["sources"][0];
    assert_eq!(source["revisions"][0], "1.4.2");
    assert_eq!(source["signals"][0]["items_last_minute"], 5);
    assert_eq!(source["sdks"][0], "go");

    let mut chosen = resource_spans(&WHOLE, 5, true);
    let mut scope = opentelemetry_proto::tonic::common::v1::InstrumentationScope::default();
    scope
        .attributes
        .push(attribute("tailsampling.policy", "keep-errors"));
    chosen.scope_spans[0].scope = Some(scope);
    send(&server, vec![chosen]);
    server.wait("/v1/doctor", |body| !findings(body).is_empty());
    let (code, body) = doctor(&server);
    assert_eq!(
        (code, &findings(&body)[0]["code"]),
        (1, &"TAIL_SAMPLED".into())
    );
    let fix = findings(&body)[0]["fix"].as_str().unwrap();
    assert!(
        fix.contains("traces/tidegate: {receivers: [otlp]") && fix.contains(&grpc),
        "{fix}"
    );
    let (_, stdout, _) = tidegate(&["doctor", "--server", &server.api]);
    assert!(
        stdout.contains("error TAIL_SAMPLED") && stdout.contains("    exporters:"),
        "{stdout}"
    );
    let (_, stdout, _) = tidegate(&["status", "--server", &server.api]);
    for part in [
        "TAIL_SAMPLED",
        "tidegate doctor",
        "metric points",
        "log records",
        " of 30 d",
        "(sampled)",
    ] {
        assert!(stdout.contains(part), "`{part}` is not in: {stdout}");
    }
    let slos = server.get("/v1/slos?service=checkout");
    assert_eq!(slos[0]["sampled"], "tail");
    assert!(server.ask("/health").1.contains("TAIL_SAMPLED"));
    server.wait("/v1/gate?service=checkout&phase=admit", |gate| {
        gate["notes"].to_string().contains("TAIL_SAMPLED")
    });
}

/// Scenario: nothing listens.
/// Guarantees: exit 30 and the reason.
#[test]
fn an_unreachable_server_is_said() {
    for command in [&["doctor"][..], &["init", "--from-traffic"]] {
        let (code, _, stderr) = tidegate(&[command, &["--server", "http://127.0.0.1:9"]].concat());
        assert_eq!(code, 30, "{stderr}");
        assert!(
            stderr.contains("is `tidegate serve` running there?"),
            "{stderr}"
        );
    }
}

/// Scenario: real traffic, then `init --from-traffic` twice.
/// Guarantees: files that `validate --strict` takes and a second server loads; the second time nothing is overwritten.
#[test]
fn init_proposes_what_validate_takes() {
    let server = Server::start(&[]);
    let output = tempfile::tempdir().unwrap();
    let folder = output.path().join("slos");
    let folder = folder.to_str().unwrap();
    let init = || {
        tidegate(&[
            "init",
            "--from-traffic",
            "--output",
            folder,
            "--server",
            &server.api,
        ])
    };
    let (code, _, stderr) = init();
    assert!(code == 1 && stderr.contains("tidegate doctor"), "{stderr}");
    send(
        &server,
        vec![
            resource_spans(&WHOLE, 3_000, false),
            resource_spans(&WHOLE, 2, true),
        ],
    );
    server.wait("/v1/traffic", |traffic| {
        traffic[0]["routes"][0]["route"] == "GET /"
    });
    let traffic = server.get("/v1/traffic");
    assert_eq!(traffic[0]["routes"][0]["requests"], 3_002);
    assert_eq!(traffic[0]["routes"][0]["failed"], 2);
    let (code, stdout, stderr) = init();
    assert!(
        code == 0 && stdout.contains("checkout.yaml"),
        "{stdout}{stderr}"
    );
    let text = std::fs::read_to_string(format!("{folder}/checkout.yaml")).unwrap();
    for part in [
        "# Observed: 3002 requests, 2 failed",
        "targetPercent: 99.5",
        "GET /",
        "tidegate.dev/environment: \"production\"",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let (code, _, stderr) = tidegate(&["validate", "--strict", folder]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = init();
    assert!(
        code == 1 && stderr.contains("nothing was written"),
        "{stderr}"
    );
    let other = Server::start(&["--definitions", folder]);
    other.wait("/v1/slos", |slos| slos.as_array().map(Vec::len) == Some(2));
    other.wait("/v1/doctor", |body| {
        findings(body)
            .iter()
            .any(|finding| finding["code"] == "NOT_SEEN")
    });
}

/// Scenario: services and versions called like markup, escape sequences, text that turns around, formulas, 10 kB.
/// Guarantees: no command prints, and no page or webhook text has, anything that does something.
#[test]
fn hostile_names_do_nothing_anywhere() {
    let long = "n".repeat(10_000);
    let names = [
        "<script>alert(1)</script>",
        "\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{8}",
        "\u{202e}txt.exe\u{2066}\u{200b}\u{feff}",
        "=HYPERLINK(\"http://evil\")",
        "🦑\u{e0041}\u{9b}31m",
        &long,
    ];
    let server = Server::start(&[]);
    let spans = names.map(|name| {
        let mut spans = resource_spans(
            &[("service.name", name), ("service.version", name)],
            30,
            true,
        );
        for span in &mut spans.scope_spans[0].spans {
            span.name = name.to_owned();
        }
        spans
    });
    send(&server, spans.to_vec());
    server.wait("/v1/traffic", |traffic| {
        let rows = traffic.as_array().unwrap();
        rows.len() == names.len()
            && rows
                .iter()
                .all(|row| row["routes"][0]["route"] != "(not told yet)")
    });
    let output = tempfile::tempdir().unwrap();
    let folder = output.path().join("slos");
    let folder = folder.to_str().unwrap();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["status"],
        vec!["doctor"],
        vec!["init", "--from-traffic", "--output", folder],
    ];
    // An argument holds no NUL and at most what the system allows; the names here are fine.
    commands.extend(
        names
            .iter()
            .map(|name| vec!["gate", "--candidate", name, "--", name]),
    );
    for command in &commands {
        let mut arguments = command.clone();
        arguments.splice(1..1, ["--server", &server.api]);
        let (_, stdout, stderr) = tidegate(&arguments);
        let printed = format!("{stdout}{stderr}");
        assert!(printed.len() > 20, "{command:?}");
        let is_shown = |letter: char| letter == '\n' || engine::inert::visible(letter) == letter;
        assert!(printed.chars().all(is_shown), "{command:?}: {printed:?}");
        assert!(!printed.contains(&"n".repeat(5_000)), "{command:?}");
    }
    for page in ["/", "/health", "/alerts", "/events", "/gate"] {
        let (_, html) = server.ask(page);
        for hostile in [
            "<script>alert",
            "\u{1b}",
            "\u{202e}",
            "\u{200b}",
            "\u{9b}",
            &"n".repeat(1_100),
        ] {
            assert!(!html.contains(hostile), "{page}: {hostile:?}");
        }
    }
    let (code, _, stderr) = tidegate(&["validate", "--strict", folder]);
    assert_eq!(code, 0, "{stderr}");
}
