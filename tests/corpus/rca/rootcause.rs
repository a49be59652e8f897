//! RootCauseBench: small made-up incidents with deployments, flags and decoys.

use super::{Case, Change, Record, Set, folder};
use engine::hash::blake3_128;
use engine::items::Resource;
use engine::log_rows::LogRow;
use engine::span::{kind, status};
use engine::span_rows::{SpanRow, resource};
use engine::time::{NANOS_PER_MILLI, NANOS_PER_SEC, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Every incident as a set of its own, by name.
pub(super) fn incidents() -> impl Iterator<Item = Set> {
    let entries = std::fs::read_dir(folder("rootcausebench")).unwrap();
    let mut folders: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().map(|folder| incident(&folder))
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap();
    let time: jiff::Timestamp = text.parse().unwrap();
    Timestamp(u64::try_from(time.as_nanosecond()).unwrap())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn incident(folder: &Path) -> Set {
    let data = folder.join("environment/data");
    let mut services = HashMap::new();
    let mut records = spans(&json(&data.join("traces.json")), &mut services);
    let logs = std::fs::read_to_string(data.join("logs.ndjson")).unwrap();
    for (key, line) in (1u64..).zip(logs.lines().filter(|line| !line.trim().is_empty())) {
        let log = serde_json::from_str(line).unwrap();
        records.push(Record::Log(record(&log, key, &mut services)));
    }
    let mut changes: Vec<Change> = Vec::new();
    for (file, is_flag, name) in [("deploys", false, "commit_sha"), ("flags", true, "flag")] {
        let list = json(&data.join(format!("context/{file}.json")));
        changes.extend(list.as_array().unwrap().iter().map(|change| Change {
            time: time(&change["timestamp"]),
            is_flag,
            service: text(&change["service"]),
            name: text(&change[name]),
        }));
    }
    changes.sort_by_key(|change| change.time);
    let truth = json(&folder.join("tests/ground_truth.json"));
    let fired = time(&json(&data.join("alert.json"))["fired_at"]);
    let commit = Some(text(&truth["root_cause_commit"])).filter(|commit| commit != "none");
    let last = records.iter().map(Record::time).max().unwrap_or_default();
    let victims = truth["blast_radius"].as_array().unwrap();
    Set {
        name: text(&truth["scenario"]),
        records,
        cases: vec![Case {
            name: text(&truth["scenario"]),
            fault: text(&truth["remediation"]),
            service: text(&truth["first_failing_service"]),
            commit: commit.unwrap_or_default(),
            victims: victims.iter().map(text).collect(),
            from: fired.minus(600 * NANOS_PER_SEC),
            to: last.max(fired).plus(1),
        }],
        changes,
    }
}

fn resource_of(services: &mut HashMap<String, Arc<Resource>>, name: &str) -> Arc<Resource> {
    let made = || resource(&[("service.name", name), ("service.version", "1")]);
    services.entry(name.to_owned()).or_insert_with(made).clone()
}

/// Ids are short and repeat from trace to trace; kinds are not given: they follow from who calls whom.
fn spans(traces: &Value, services: &mut HashMap<String, Arc<Resource>>) -> Vec<Record> {
    let list = traces.as_array().unwrap();
    let id = |span: &Value, key: &str| match span[key].as_str() {
        Some(id) => blake3_128("span", &[id.as_bytes()]) as u64,
        None => 0,
    };
    let trace = |span: &Value| blake3_128("trace", &[text(&span["trace_id"]).as_bytes()]);
    let rows = list.iter().map(|span| {
        let parent = |other: &&Value| {
            other["trace_id"] == span["trace_id"] && other["span_id"] == span["parent_id"]
        };
        let caller = list.iter().find(parent);
        let is_entry = caller.is_none_or(|caller| caller["service"] != span["service"]);
        let start = time(&span["start"]).0;
        let millis = span["duration_ms"].as_f64().unwrap();
        let end = start + (millis * NANOS_PER_MILLI as f64) as u64;
        let resource = resource_of(services, &text(&span["service"]));
        let kind = if is_entry {
            kind::SERVER
        } else {
            kind::INTERNAL
        };
        let mut row = SpanRow::new(
            &resource,
            (trace(span), id(span, "span_id")),
            (start, end),
            kind,
        )
        .named(&text(&span["name"]));
        row.parent_id = id(span, "parent_id");
        if span["status"] == "ERROR" {
            row = row.with_status(status::ERROR);
        }
        Record::Span(row)
    });
    rows.collect()
}

fn record(log: &Value, key: u64, services: &mut HashMap<String, Arc<Resource>>) -> LogRow {
    let severity = text(&log["severity_text"]);
    let number = match &*severity {
        "FATAL" | "CRITICAL" => 21,
        "ERROR" => 17,
        "WARN" => 13,
        "INFO" => 9,
        _ => 5,
    };
    let resource = resource_of(services, &text(&log["service"]));
    LogRow::new(&resource, key, time(&log["timestamp"]).0)
        .of_severity(number, &severity)
        .saying(&*text(&log["msg"]))
}
