//! SLOs from every signal, end to end: the examples of `docs/slos.md`, fed over OTLP.

use crate::canary::{post, resource_spans};
use crate::server::{Server, tidegate, until};
use serde_json::{Value, json};

/// Every block of YAML of the page.
fn examples() -> String {
    let page = include_str!("../../docs/slos.md");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    blocks.join("---\n")
}

fn resource(service: &str) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]})
}

fn attributes(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}));
    pairs.collect()
}

/// Points of a delta counter, a delta histogram (its third bucket holds no edge of 2 s, its second ends there) and a gauge.
fn points(now: u64) -> Value {
    let times = |start: u64, time: u64| json!({"startTimeUnixNano": start.to_string(), "timeUnixNano": time.to_string()});
    let point = |mut times: Value, more: Value| {
        let into = times.as_object_mut().unwrap();
        into.extend(more.as_object().unwrap().clone());
        times
    };
    let mails = |outcome: &str, count: u64| {
        let more =
            json!({"asInt": count.to_string(), "attributes": attributes(&[("outcome", outcome)])});
        point(times(now - 1_000, now), more)
    };
    let durations = json!({
        "count": "110", "sum": 200.0, "bucketCounts": ["60", "40", "10"], "explicitBounds": [0.5, 2.0],
    });
    let lengths = (0..10u64).map(|n| {
        let more = json!({"asInt": if n < 3 { "1000" } else { "999" }});
        point(times(0, now - n), more)
    });
    let lengths: Vec<Value> = lengths.collect();
    json!({"resourceMetrics": [{"resource": resource("mailer"), "scopeMetrics": [{"metrics": [
        {"name": "mails.done", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints":
            [mails("sent", 90), mails("bounced", 7), mails("failed", 3)]}},
        {"name": "mail.duration", "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints":
            [point(times(now - 1_000, now), durations)]}},
        {"name": "queue.length", "gauge": {"dataPoints": lengths}},
    ]}]}]})
}

/// Access log records as Envoy sends them: every value is text.
fn records(now: u64) -> Value {
    let record = |number: usize, code: &str| {
        json!({
            "timeUnixNano": now.to_string(),
            "body": {"stringValue": format!("GET /{number}")},
            "attributes": attributes(&[("http.response.status_code", code)]),
        })
    };
    let records = (0..40).map(|n| record(n, if n < 6 { "503" } else { "200" }));
    let mut records: Vec<Value> = records.collect();
    records.push(json!({"timeUnixNano": now.to_string(), "body": {"stringValue": "no access"}}));
    json!({"resourceLogs": [{"resource": resource("edge"), "scopeLogs": [{"logRecords": records}]}]})
}

fn send(server: &Server, signal: &str, body: &Value) {
    let url = format!("{}/v1/{signal}", server.http);
    let answer = server.block_on(async {
        let answer = reqwest::Client::new().post(url).json(body).send().await;
        answer.unwrap().text().await.unwrap()
    });
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({}));
}

/// (SLO, events, bad events) of every budget that has events, by name.
fn counts(budgets: &Value) -> Vec<(String, u64, u64)> {
    let rows = budgets.as_array().into_iter().flatten();
    let mut counts: Vec<(String, u64, u64)> = rows
        .map(|row| {
            let number = |name: &str| row["counts"][name].as_u64().unwrap_or_default();
            let name = row["slo"].as_str().unwrap_or_default().to_owned();
            (name, number("total"), number("bad"))
        })
        .filter(|(_, total, _)| *total > 0)
        .collect();
    counts.sort();
    counts
}

/// Scenario: the SLOs of docs/slos.md; spans, points and records arrive, the latter two as OTLP/JSON, the points twice;
/// everything is recorded.
/// Guarantees: every SLO counts exactly the events sent, whatever its signal; a repeated export counts once; the recording
/// replays to the same counts, with the same bytes for any number of folders.
#[test]
fn slos_from_every_signal_count_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("slos.yaml"), examples()).unwrap();
    let definitions = folder.path().to_str().unwrap();
    let recordings = tempfile::tempdir().unwrap();
    let recording = recordings.path().join("recording");
    let recording = recording.to_str().unwrap();
    let mut server = Server::start(&["--definitions", definitions, "--record", recording]);
    let slos = server.wait("/v1/slos", |body| {
        body.as_array().is_some_and(|slos| slos.len() == 6)
    });
    assert!(slos.to_string().contains("mails-quick"), "{slos}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = now.as_nanos() as u64;
    send(&server, "metrics", &points(now));
    send(&server, "metrics", &points(now));
    send(&server, "logs", &records(now));
    let spans = vec![
        resource_spans(&[("service.name", "checkout")], 30, false),
        resource_spans(&[("service.name", "checkout")], 5, true),
    ];
    assert_eq!(server.block_on(post(&server.http, spans)), 200);
    let expected = [
        ("edge-answers", 40, 6),
        ("mails-quick", 110, 10),
        ("mails-sent", 100, 10),
        ("orders-quick", 35, 0),
        ("queue-short", 10, 3),
    ]
    .map(|(name, total, bad)| (name.to_owned(), total, bad));
    until(
        || (counts(&server.get("/v1/budgets")) == expected).then_some(()),
        || format!("{:#?}", counts(&server.get("/v1/budgets"))),
    );
    assert_eq!(server.terminate(), Some(0));
    let replay = |folders: &str| -> Value {
        let arguments = ["replay", recording, "-o", "json", "--folders", folders];
        let (code, stdout, stderr) = tidegate(&arguments);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let (one, seven) = (replay("1"), replay("7"));
    assert_eq!(one["requests_with_other_columns"], 0);
    assert_eq!(counts(&one["budgets"]), expected);
    assert_eq!(one["digest"], seven["digest"]);
}
