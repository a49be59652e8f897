//! OTLP/JSON that nobody here wrote: every request of the corpus decodes, and as many items as a naive count finds.

use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoder, Format};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Later than everything in the files, and not too late for the oldest.
const LONG_AGO_SECS: u64 = 1_750_000_000;

fn corpus() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    std::env::var_os("TIDEGATE_CORPUS").map_or(default, PathBuf::from)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The requests of a file: one, or one a line where a line is a document.
fn requests(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    match text.lines().next() {
        Some(first) if is_json(first) => text
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => vec![text],
    }
}

/// Which signals the top level names, in the spelling of OTLP/JSON.
fn signals(request: &Value) -> Vec<Signal> {
    let named = [
        ("resourceSpans", Signal::Traces),
        ("resourceMetrics", Signal::Metrics),
        ("resourceLogs", Signal::Logs),
    ];
    let found = named
        .into_iter()
        .filter(|(name, _)| request.get(*name).is_some());
    found.map(|(_, signal)| signal).collect()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// Spans, data points or records, counted by hand.
fn count(request: &Value, signal: Signal) -> u64 {
    let [resources, scopes, items] = match signal {
        Signal::Traces => ["resourceSpans", "scopeSpans", "spans"],
        Signal::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
        Signal::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
    };
    let items = list(request, resources)
        .flat_map(|resource| list(resource, scopes))
        .flat_map(|scope| list(scope, items));
    let points = |metric: &Value| {
        let kinds = [
            "gauge",
            "sum",
            "histogram",
            "exponentialHistogram",
            "summary",
        ];
        let points = kinds.map(|kind| list(&metric[kind], "dataPoints").count() as u64);
        points.iter().sum::<u64>()
    };
    match signal {
        Signal::Metrics => items.map(points).sum(),
        Signal::Traces | Signal::Logs => items.count() as u64,
    }
}

/// Whether an enum is spelled by its name somewhere, as proto3 JSON allows and OTLP/JSON forbids.
fn names_an_enum(value: &Value) -> bool {
    let enums = ["kind", "severityNumber", "aggregationTemporality", "code"];
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| {
            let is_name = member.as_str().is_some_and(|text| text.contains('_'));
            (enums.contains(&key.as_str()) && is_name) || names_an_enum(member)
        }),
        Value::Array(elements) => elements.iter().any(names_an_enum),
        _ => false,
    }
}

/// What must be refused, and with which words: files that others keep for that, and files in plain proto3 JSON, which has
/// names of enum values and often ids in base64.
fn refusal(path: &str, value: &Value) -> Option<&'static [&'static str]> {
    let refused: [(&str, &[&str]); 6] = [
        ("invalid/malformed.json", &["JSON"]),
        ("invalid/trace_invalid_kind.json", &["names of enum values"]),
        (
            "invalid/metrics_invalid_temporality.json",
            &["names of enum values"],
        ),
        (
            "invalid/log_invalid_severity.json",
            &["names of enum values"],
        ),
        ("invalid/trace_invalid_base64.json", &["hexadecimal"]),
        ("invalid/trace_mixed_encoding.json", &["hexadecimal"]),
    ];
    let found = refused.iter().find(|(name, _)| path.ends_with(name));
    match found {
        Some((_, words)) => Some(words),
        None if signals(value).is_empty() => None,
        None => names_an_enum(value).then_some(&["names of enum values", "hexadecimal"]),
    }
}

#[test]
fn every_request_decodes_and_its_items_are_counted() {
    let root = corpus().join("otlp");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.retain(|path| {
        let extension = path.extension().unwrap_or_default();
        extension == "json" || extension == "jsonl"
    });
    paths.sort();
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut totals = [0u64; 3];
    let mut not_requests = Vec::new();
    for path in &paths {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        for text in requests(path) {
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            let signals = match refusal(&name, &value) {
                Some(_) => vec![Signal::Traces, Signal::Metrics, Signal::Logs],
                None => signals(&value),
            };
            if signals.is_empty() {
                not_requests.push(name.clone());
            }
            let mut errors = Vec::new();
            for signal in signals {
                let now = Timestamp::from_secs(LONG_AGO_SECS);
                let decoded =
                    decoder.decode((signal, Format::Json), text.as_bytes(), now, HashSeed(1, 2));
                match decoded {
                    Ok(decoded) => {
                        assert_eq!(
                            decoded.items_seen,
                            count(&value, signal),
                            "{name} {signal:?}"
                        );
                        totals[signal as usize] += decoded.items_seen;
                    }
                    Err(DecodeError::Malformed { .. }) if refusal(&name, &value).is_some() => {
                        errors.push(decoded.unwrap_err().to_string());
                    }
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            if let Some(words) = refusal(&name, &value) {
                println!("{name}: {errors:?}");
                assert!(
                    errors
                        .iter()
                        .any(|error| words.iter().any(|word| error.contains(word))),
                    "{name}: {errors:?}"
                );
            }
        }
    }
    println!(
        "{totals:?} items of {} files; no requests: {not_requests:#?}",
        paths.len()
    );
    assert!(totals.iter().all(|total| *total > 0));
    // Answers of Jaeger's API, and snake_case, which OTLP/JSON does not have.
    assert!(not_requests.iter().all(|name| {
        ["snapshots/", "servicegraphprocessor/", "payload.json"]
            .iter()
            .any(|part| name.contains(part))
    }));
}
