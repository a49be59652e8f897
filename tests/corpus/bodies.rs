//! Every OTLP request of the corpus, posted to the real binary and counted in SQL.

use crate::corpus;
use crate::server::Server;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A signal: the last part of its path, its table, its names in JSON from the top to an item.
struct Signal {
    path: &'static str,
    table: &'static str,
    names: [&'static str; 3],
    rejected: &'static str,
    status: &'static str,
}

const SIGNALS: [Signal; 3] = [
    Signal {
        path: "traces",
        table: "spans",
        names: ["resourceSpans", "scopeSpans", "spans"],
        rejected: "rejectedSpans",
        status: "spans",
    },
    Signal {
        path: "metrics",
        table: "metrics",
        names: ["resourceMetrics", "scopeMetrics", "metrics"],
        rejected: "rejectedDataPoints",
        status: "points",
    },
    Signal {
        path: "logs",
        table: "logs",
        names: ["resourceLogs", "scopeLogs", "logRecords"],
        rejected: "rejectedLogRecords",
        status: "records",
    },
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The requests of a file: one, or one a line where a line is a document.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    match serde_json::from_str(&text) {
        Ok(one) => vec![one],
        Err(_) => text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// Spans, data points or records of a request, counted by hand.
fn count(request: &Value, signal: &Signal) -> u64 {
    let [resources, scopes, items] = signal.names;
    let points = |metric: &Value| -> u64 {
        let kinds = metric.as_object().into_iter().flatten();
        kinds
            .map(|(_, data)| list(data, "dataPoints").count() as u64)
            .sum()
    };
    list(request, resources)
        .flat_map(|resource| list(resource, scopes))
        .flat_map(|scope| list(scope, items))
        .map(|item| match signal.path {
            "metrics" => points(item),
            _ => 1,
        })
        .sum()
}

/// The same of a request in protobuf, and which signal it is: the file's name says.
fn protobuf(name: &str, bytes: &[u8]) -> (&'static Signal, u64) {
    if name.starts_with("trace") {
        let request = ExportTraceServiceRequest::decode(bytes).unwrap();
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        return (&SIGNALS[0], scopes.map(|s| s.spans.len() as u64).sum());
    }
    if name.starts_with("log") {
        let request = ExportLogsServiceRequest::decode(bytes).unwrap();
        let scopes = request.resource_logs.iter().flat_map(|r| &r.scope_logs);
        return (
            &SIGNALS[2],
            scopes.map(|s| s.log_records.len() as u64).sum(),
        );
    }
    let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let resources = request.resource_metrics.iter();
    let metrics = resources
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    (&SIGNALS[1], metrics.map(points).sum())
}

fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
        None => 0,
    };
    points as u64
}

/// Calls `change` with every time of a request.
fn times(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.ends_with("nixNano") {
                    true => change(member),
                    false => times(member, change),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|one| times(one, change)),
        _ => {}
    }
}

fn nanos(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or(value.as_u64()).unwrap_or_default()
}

/// Moves the times of a request so that its latest is now; their distances stay.
fn moved(mut request: Value) -> Value {
    let mut latest = 0;
    times(&mut request, &mut |time| latest = latest.max(nanos(time)));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let by = (now.as_nanos() as u64).saturating_sub(latest);
    times(&mut request, &mut |time| match nanos(time) {
        0 => {}
        nanos => *time = json!((nanos + by).to_string()),
    });
    request
}

/// What was sent of each signal, and how many of them the answers rejected.
#[derive(Debug, Default)]
struct Sent {
    items: [u64; 3],
    rejected: [u64; 3],
    /// Files with a request that was refused: broken on purpose, or plain proto3 JSON.
    refused: BTreeSet<String>,
}

impl Sent {
    fn post(
        &mut self,
        server: &Server,
        signal: &Signal,
        kind: &str,
        name: &str,
        request: (Vec<u8>, u64),
    ) {
        let (body, items) = request;
        let url = format!("{}/v1/{}", server.http, signal.path);
        let (status, answer) = server.block_on(async {
            let client = reqwest::Client::new().post(url);
            let sent = client.header("content-type", kind).body(body).send().await;
            let response = sent.unwrap();
            (response.status().as_u16(), response.bytes().await.unwrap())
        });
        let index = SIGNALS.iter().position(|one| one.path == signal.path);
        match status {
            200 => {
                let index = index.unwrap();
                self.items[index] += items;
                self.rejected[index] += rejected(signal, kind, &answer);
            }
            400 => drop(self.refused.insert(name.to_owned())),
            other => panic!("{name}: {other}"),
        }
    }
}

fn rejected(signal: &Signal, kind: &str, answer: &[u8]) -> u64 {
    if kind == "application/json" {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        return nanos(&answer["partialSuccess"][signal.rejected]);
    }
    // The three answers are the same message on the wire.
    let partial = ExportTraceServiceResponse::decode(answer)
        .unwrap()
        .partial_success;
    partial.map_or(0, |partial| partial.rejected_spans as u64)
}

fn rows(server: &Server, table: &str) -> u64 {
    let query = format!("SELECT count(*) FROM {table}");
    let answer: Value = server.block_on(async {
        let client = reqwest::Client::new().post(format!("{}/v1/sql", server.api));
        let response = client.json(&json!({"query": query})).send().await.unwrap();
        response.json().await.unwrap()
    });
    answer["rows"][0][0].as_u64().unwrap()
}

/// Scenario: every request of the corpus as it is, which is mostly older than 400 days, and every JSON one once more with
/// its times moved to now.
/// Guarantees: what was sent is a row of SQL or was rejected by the answer, item by item; a refused request leaves none.
#[test]
fn every_body_is_rows_or_was_rejected() {
    let root = corpus().join("otlp");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.sort();
    let server = Server::start(&[]);
    let (mut all, mut fresh) = (Sent::default(), Sent::default());
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pb") => {
                let bytes = std::fs::read(path).unwrap();
                let (signal, items) = protobuf(&name, &bytes);
                let request = (bytes, items);
                all.post(&server, signal, "application/x-protobuf", &name, request);
            }
            Some("json" | "jsonl") => {
                for document in documents(path) {
                    for signal in SIGNALS
                        .iter()
                        .filter(|s| document.get(s.names[0]).is_some())
                    {
                        let items = count(&document, signal);
                        let request = (document.to_string().into_bytes(), items);
                        all.post(&server, signal, "application/json", &name, request);
                        let request = (moved(document.clone()).to_string().into_bytes(), items);
                        fresh.post(&server, signal, "application/json", &name, request);
                    }
                }
            }
            _ => {}
        }
    }
    println!("as they are: {all:?}\nmoved: {fresh:?}");
    for (index, signal) in SIGNALS.iter().enumerate() {
        let sent = all.items[index] + fresh.items[index];
        let rejected = all.rejected[index] + fresh.rejected[index];
        let status = server.wait("/v1/status", |status| {
            status["accepted"][signal.status] == sent - rejected
        });
        assert_eq!(status["rejected"][signal.status], rejected);
        let evicted = status["store"]["evicted"][signal.status].as_u64().unwrap();
        assert_eq!(
            rows(&server, signal.table) + evicted,
            sent - rejected,
            "{}",
            signal.table
        );
        assert!(fresh.items[index] > fresh.rejected[index]);
    }
    assert_eq!(all.refused, fresh.refused);
}
