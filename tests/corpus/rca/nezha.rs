//! Nezha (Yu et al., FSE 2023): Online Boutique and TrainTicket on Kubernetes, with faults put in.

use super::feed::pod;
use super::parquet::Table;
use super::{Case, Record, Set, folder};
use engine::items::Resource;
use engine::log_rows::LogRow;
use engine::span::kind;
use engine::span_rows::SpanRow;
use engine::time::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// OTLP severity numbers.
const WARN: u8 = 13;
const ERROR: u8 = 17;

/// Online Boutique, 2022-08-22; a fault lasts three minutes.
pub(super) fn boutique() -> Set {
    let folder = folder("nezha-online-boutique");
    let mut records = Vec::new();
    read_spans(&folder.join("spans_2022-08-22.parquet"), &mut records);
    Set {
        name: "nezha-online-boutique".to_owned(),
        records,
        cases: read_cases(&folder, 180),
        changes: Vec::new(),
    }
}

/// TrainTicket, 2023-01-29, with the error records of its logs; a fault lasts two minutes.
pub(super) fn train_ticket() -> Set {
    let folder = folder("nezha-train-ticket");
    let mut records = Vec::new();
    let starts = read_spans(&folder.join("spans_2023-01-29.parquet"), &mut records);
    read_logs(
        &folder.join("log_errors_2023-01-29.parquet"),
        &starts,
        &mut records,
    );
    Set {
        name: "nezha-train-ticket".to_owned(),
        records,
        cases: read_cases(&folder, 120),
        changes: Vec::new(),
    }
}

fn hex(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap()
}

/// Appends the spans; returns when each trace began.
fn read_spans(path: &Path, records: &mut Vec<Record>) -> HashMap<u128, u64> {
    let table = Table::read(path);
    let text = |name: &str, row: usize| table.column(name).text(row);
    let ids: Vec<(u128, u64, u64)> = (0..table.rows)
        .map(|row| {
            let parent = text("parent_span_id", row).map_or(0, hex);
            let span = hex(text("span_id", row).unwrap());
            (
                hex(text("trace_id", row).unwrap()),
                span as u64,
                parent as u64,
            )
        })
        .collect();
    let rows = ids.iter().enumerate();
    let by_id: HashMap<(u128, u64), usize> = rows.map(|(row, id)| ((id.0, id.1), row)).collect();
    let pod_of = |row: usize| text("pod", row).unwrap();
    // A span with a child in another pod is a client span, that child a server span.
    let mut kinds = vec![kind::INTERNAL; table.rows];
    for (row, id) in ids.iter().enumerate() {
        if let Some(parent) = by_id.get(&(id.0, id.2)).copied() {
            if pod_of(parent) != pod_of(row) {
                kinds[row] = kind::SERVER;
                kinds[parent] = kind::CLIENT;
            }
        } else if id.2 == 0 {
            kinds[row] = kind::SERVER;
        }
    }
    let mut pods = HashMap::new();
    let mut starts: HashMap<u128, u64> = HashMap::new();
    for (row, id) in ids.iter().enumerate() {
        let service = text("service", row).unwrap();
        let resource = resource_of(&mut pods, service, pod_of(row));
        let times = (
            table.column("start_ns").number(row) as u64,
            table.column("end_ns").number(row) as u64,
        );
        let mut span = SpanRow::new(&resource, (id.0, id.1), times, kinds[row])
            .named(text("operation", row).unwrap());
        span.parent_id = id.2;
        let start = starts.entry(id.0).or_insert(times.0);
        *start = times.0.min(*start);
        records.push(Record::Span(span));
    }
    starts
}

fn resource_of(
    pods: &mut HashMap<String, Arc<Resource>>,
    service: &str,
    name: &str,
) -> Arc<Resource> {
    let known = pods.get(name).cloned();
    known.unwrap_or_else(|| {
        let made = pod(service, name);
        pods.insert(name.to_owned(), made.clone());
        made
    })
}

/// Appends the log records. A time before the epoch is none: then the record is of the time of its trace.
fn read_logs(path: &Path, starts: &HashMap<u128, u64>, records: &mut Vec<Record>) {
    let table = Table::read(path);
    let text = |name: &str, row: usize| table.column(name).text(row).unwrap();
    let mut pods = HashMap::new();
    let mut key = 0;
    for row in 0..table.rows {
        let pod = text("pod", row);
        // `ts-food-service-f5756978c-k8vqf`: the pod's name is the service's with two more parts.
        let service = pod.rsplitn(3, '-').last().unwrap();
        let resource = resource_of(&mut pods, service, pod);
        let trace = hex(text("trace_id", row));
        let stated = u64::try_from(table.column("first_ts_ns").number(row)).ok();
        let Some(time) = stated.or_else(|| starts.get(&trace).copied()) else {
            continue;
        };
        let (severity, location) = (text("level", row), text("code_location", row));
        let (logger, line) = location.rsplit_once('#').unwrap_or((location, "0"));
        for _ in 0..table.column("count").number(row) {
            key += 1;
            let number = if severity == "ERROR" { ERROR } else { WARN };
            let mut record = LogRow::new(&resource, key, time)
                .of_severity(number, severity)
                .with("code.namespace", logger)
                .with("code.lineno", line.parse::<i64>().unwrap_or(0));
            record.trace_id = trace;
            records.push(Record::Log(record));
        }
    }
}

fn read_cases(folder: &Path, seconds: u64) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("faults.json")).unwrap();
    let faults: Vec<Value> = serde_json::from_str(&text).unwrap();
    let cases = faults.iter().map(|fault| {
        let text = |key: &str| fault[key].as_str().unwrap().to_owned();
        let from = fault["inject_unix"].as_u64().unwrap();
        Case {
            name: text("case"),
            fault: text("fault_type"),
            service: text("service"),
            commit: String::new(),
            victims: Vec::new(),
            from: Timestamp::from_secs(from),
            to: Timestamp::from_secs(from + seconds),
        }
    });
    cases.collect()
}
