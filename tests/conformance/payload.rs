//! Small requests of every signal in both encodings. Every item is a new one, so that nothing is taken for a repetition.

use crate::target::Way;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

pub(crate) const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

impl Signal {
    /// Path over HTTP.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// Method over gRPC.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Traces => crate::wire::TRACES,
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// Names of the levels of a JSON request: resources, scopes, items.
    pub(crate) fn levels(self) -> [&'static str; 3] {
        match self {
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
            Self::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) signal: Signal,
    pub(crate) protobuf: Vec<u8>,
    pub(crate) json: String,
}

impl Payload {
    /// `good` items that must be accepted, and `bad` ones that must be rejected one by one.
    pub(crate) fn new(signal: Signal, good: usize, bad: usize) -> Self {
        let items: Vec<Item> = (0..good + bad)
            .map(|index| Item::next(index >= good))
            .collect();
        let of_json = items.iter().map(|item| item.json(signal));
        Self {
            signal,
            protobuf: protobuf(signal, &items),
            json: in_json(signal, &of_json.collect::<Vec<_>>().join(",")),
        }
    }

    pub(crate) fn body(&self, way: Way) -> &[u8] {
        match way {
            Way::Grpc | Way::Protobuf => &self.protobuf,
            Way::Json => self.json.as_bytes(),
        }
    }
}

/// A JSON request around the text of its items.
pub(crate) fn in_json(signal: Signal, items: &str) -> String {
    let [resources, scopes, list] = signal.levels();
    format!(r#"{{"{resources}":[{{"{scopes}":[{{"{list}":[{items}]}}]}}]}}"#)
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.as_nanos() as u64
}

static ITEMS: AtomicU64 = AtomicU64::new(1);

/// A number that no other item has.
pub(crate) fn serial() -> u64 {
    // Another process must not repeat them.
    let seed = u64::from(std::process::id()) << 40;
    seed | ITEMS.fetch_add(1, Ordering::Relaxed)
}

struct Item {
    serial: u64,
    time: u64,
    is_bad: bool,
}

impl Item {
    fn next(is_bad: bool) -> Self {
        Self {
            serial: serial(),
            time: now(),
            is_bad,
        }
    }

    fn trace_id(&self) -> u128 {
        match self.is_bad {
            true => 0,
            false => u128::from(self.serial) << 64 | 1,
        }
    }

    /// A point without a time is bad.
    fn point_time(&self) -> u64 {
        if self.is_bad { 0 } else { self.time }
    }

    /// A record of a time that no clock shows is bad.
    fn record_time(&self) -> u64 {
        if self.is_bad { u64::MAX } else { self.time }
    }

    fn json(&self, signal: Signal) -> String {
        let serial = self.serial;
        match signal {
            Signal::Traces => format!(
                r#"{{"traceId":"{:032x}","spanId":"{serial:016x}","name":"s{serial}","kind":2,"startTimeUnixNano":"{}","endTimeUnixNano":"{}"}}"#,
                self.trace_id(),
                self.time - 1_000,
                self.time
            ),
            Signal::Metrics => format!(
                r#"{{"name":"m{serial}","gauge":{{"dataPoints":[{{"timeUnixNano":"{}","asInt":"{serial}"}}]}}}}"#,
                self.point_time()
            ),
            Signal::Logs => format!(
                r#"{{"timeUnixNano":"{}","severityNumber":9,"body":{{"stringValue":"r{serial}"}}}}"#,
                self.record_time()
            ),
        }
    }

    fn span(&self) -> Span {
        Span {
            trace_id: self.trace_id().to_be_bytes().to_vec(),
            span_id: self.serial.to_be_bytes().to_vec(),
            name: format!("s{}", self.serial),
            kind: 2,
            start_time_unix_nano: self.time - 1_000,
            end_time_unix_nano: self.time,
            ..Span::default()
        }
    }

    fn metric(&self) -> Metric {
        let point = NumberDataPoint {
            time_unix_nano: self.point_time(),
            value: Some(number_data_point::Value::AsInt(self.serial as i64)),
            ..NumberDataPoint::default()
        };
        Metric {
            name: format!("m{}", self.serial),
            data: Some(Data::Gauge(Gauge {
                data_points: vec![point],
            })),
            ..Metric::default()
        }
    }

    fn record(&self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.record_time(),
            severity_number: 9,
            event_name: format!("r{}", self.serial),
            ..LogRecord::default()
        }
    }
}

fn protobuf(signal: Signal, items: &[Item]) -> Vec<u8> {
    match signal {
        Signal::Traces => traces(items.iter().map(Item::span).collect()),
        Signal::Metrics => metrics(items.iter().map(Item::metric).collect()),
        Signal::Logs => logs(items.iter().map(Item::record).collect()),
    }
}

/// A span that must be accepted.
pub(crate) fn good_span() -> Span {
    Item::next(false).span()
}

/// A metric with one point, a gauge, that must be accepted.
pub(crate) fn good_metric() -> Metric {
    Item::next(false).metric()
}

/// A log record that must be accepted.
pub(crate) fn good_record() -> LogRecord {
    Item::next(false).record()
}

pub(crate) fn traces(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

pub(crate) fn metrics(metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics {
        metrics,
        ..ScopeMetrics::default()
    }];
    let resource_metrics = vec![ResourceMetrics {
        scope_metrics,
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

pub(crate) fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs {
        log_records,
        ..ScopeLogs::default()
    }];
    let resource_logs = vec![ResourceLogs {
        scope_logs,
        ..ResourceLogs::default()
    }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// A length-delimited protobuf field.
pub(crate) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// `content` as the bytes of a request's only item: a span, a metric, a log record.
pub(crate) fn in_item(content: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, content)))
}
