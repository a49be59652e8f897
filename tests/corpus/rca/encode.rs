//! Records as the OTLP requests that would have brought them.

use super::{Record, Set};
use crate::recording::Request;
use engine::items::{Resource, Signal, ValueKind};
use engine::log_rows::LogRow;
use engine::span_rows::{RowValue, SpanRow};
use engine::time::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

impl Set {
    /// The requests of [`Set::requests`] as bodies, for a log that the real binary replays
    /// ([`crate::recording::write_log`]).
    pub(crate) fn recorded(&self) -> impl Iterator<Item = Request> {
        self.exports().map(|(received, signal, members)| Request {
            received,
            signal,
            is_gzipped: false,
            body: match signal {
                Signal::Logs => self.logs_body(&members),
                _ => self.spans_body(&members),
            },
        })
    }

    fn spans_body(&self, members: &[usize]) -> Vec<u8> {
        let rows = members
            .iter()
            .filter_map(|index| match &self.records[*index] {
                Record::Span(row) => Some(row),
                Record::Log(_) => None,
            });
        let spans: Vec<&SpanRow> = rows.collect();
        let scope = ScopeSpans {
            spans: spans.iter().map(|row| span(row)).collect(),
            ..ScopeSpans::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: spans.first().map(|row| resource(&row.resource)),
                scope_spans: vec![scope],
                ..ResourceSpans::default()
            }],
        };
        request.encode_to_vec()
    }

    fn logs_body(&self, members: &[usize]) -> Vec<u8> {
        let rows = members
            .iter()
            .filter_map(|index| match &self.records[*index] {
                Record::Log(row) => Some(row),
                Record::Span(_) => None,
            });
        let logs: Vec<&LogRow> = rows.collect();
        let scope = ScopeLogs {
            log_records: logs.iter().map(|row| log(row)).collect(),
            ..ScopeLogs::default()
        };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: logs.first().map(|row| resource(&row.resource)),
                scope_logs: vec![scope],
                ..ResourceLogs::default()
            }],
        };
        request.encode_to_vec()
    }
}

fn resource(resource: &Resource) -> ProtoResource {
    let attributes = resource.attributes.iter().map(|(key, kind, bytes)| {
        assert_eq!(*kind, ValueKind::Text);
        let text = String::from_utf8(bytes.clone()).unwrap();
        key_value(key, Value::StringValue(text))
    });
    ProtoResource {
        attributes: attributes.collect(),
        ..ProtoResource::default()
    }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn value(value: &RowValue) -> Value {
    match value {
        RowValue::Text(text) => Value::StringValue(text.clone()),
        RowValue::Int(int) => Value::IntValue(*int),
        other => panic!("{other:?} is in no set"),
    }
}

fn attributes(list: &[(String, RowValue)]) -> Vec<KeyValue> {
    let pairs = list.iter();
    pairs.map(|(key, it)| key_value(key, value(it))).collect()
}

fn span(row: &SpanRow) -> Span {
    let parent = match row.parent_id {
        0 => Vec::new(),
        id => id.to_be_bytes().to_vec(),
    };
    Span {
        trace_id: row.trace_id.to_be_bytes().to_vec(),
        span_id: row.span_id.to_be_bytes().to_vec(),
        parent_span_id: parent,
        name: row.name.clone(),
        kind: row.kind.into(),
        start_time_unix_nano: row.start,
        end_time_unix_nano: row.end,
        attributes: attributes(&row.attributes),
        status: Some(Status {
            code: row.status.into(),
            ..Status::default()
        }),
        ..Span::default()
    }
}

fn log(row: &LogRow) -> LogRecord {
    let trace_id = match row.trace_id {
        0 => Vec::new(),
        id => id.to_be_bytes().to_vec(),
    };
    LogRecord {
        time_unix_nano: row.time,
        trace_id,
        severity_number: row.severity_number.into(),
        severity_text: row.severity_text.clone(),
        body: row.body.as_ref().map(|body| AnyValue {
            value: Some(value(body)),
        }),
        attributes: attributes(&row.attributes),
        ..LogRecord::default()
    }
}

/// Scenario: TrainTicket and the incidents of RootCauseBench as OTLP bodies, decoded again.
/// Guarantees: the Folder says the same of them as of the columns they were made from.
#[test]
fn bodies_say_what_columns_say() {
    use super::feed::deltas;
    use crate::recording::decode;
    use engine::delta::Delta;
    let sum = |list: &mut dyn Iterator<Item = (Timestamp, Delta)>| {
        let mut sum = Delta::default();
        for (_, delta) in list {
            sum.edges.extend(delta.edges);
            sum.work.extend(delta.work);
            sum.blame.extend(delta.blame);
            sum.log_errors.extend(delta.log_errors);
        }
        sum.normalize();
        sum
    };
    for set in super::sets().skip(1) {
        let columns = sum(&mut set.feed());
        let requests: Vec<Request> = set.recorded().collect();
        let bodies = sum(&mut deltas(decode(&requests)));
        assert!(!columns.work.is_empty());
        assert!(columns == bodies, "{}", set.name);
    }
}
