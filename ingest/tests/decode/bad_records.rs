//! The listed bad log records, one by one, among good ones that must count.

use crate::model::{RECEIVED, SECOND, SEED};
use engine::anomaly;
use engine::items::{Signal, Value};
use engine::log_record::LogBatch;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoded, Decoder, Format, Problem, RejectReason};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use std::collections::BTreeSet;

const HOUR: u64 = 3_600 * SECOND;

fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    let kind = (Signal::Logs, Format::Protobuf);
    Decoder::new(DecodeLimits::default()).decode(kind, body, Timestamp(RECEIVED), SEED)
}

fn records(decoded: &Decoded) -> &LogBatch {
    match &decoded.batches[0] {
        engine::batch::Batch::Logs(batch) => batch,
        other => panic!("a batch of {}", other.signal().name()),
    }
}

fn body(value: Sent) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn good() -> LogRecord {
    LogRecord {
        time_unix_nano: RECEIVED - SECOND,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: body(Sent::StringValue("hello".to_owned())),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..LogRecord::default()
    }
}

fn scoped(name: &str, log_records: Vec<LogRecord>) -> ScopeLogs {
    ScopeLogs {
        scope: Some(InstrumentationScope {
            name: name.to_owned(),
            ..InstrumentationScope::default()
        }),
        log_records,
        ..ScopeLogs::default()
    }
}

fn encode(scope_logs: Vec<ScopeLogs>) -> Vec<u8> {
    let resource_logs = vec![ResourceLogs {
        scope_logs,
        ..ResourceLogs::default()
    }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// Decodes a good record, the one under test, and another good record.
fn among_good(record: LogRecord) -> Decoded {
    decode(&encode(vec![scoped("s", vec![good(), record, good()])])).unwrap()
}

/// The record under test is accepted; its anomalies.
fn anomalies(record: LogRecord) -> u16 {
    let decoded = among_good(record);
    assert_eq!((decoded.items_accepted(), decoded.items_seen), (3, 3));
    let odd = &records(&decoded).anomalies;
    assert_eq!((odd[0], odd[2]), (0, 0));
    odd[1]
}

/// The record under test is rejected with its place, and the good ones count; the reason.
fn rejected(record: LogRecord) -> RejectReason {
    let decoded = among_good(record);
    assert_eq!((decoded.items_accepted(), decoded.items_rejected()), (2, 1));
    let message = decoded.error_message();
    assert!(message.contains("record 2 of the request"), "{message}");
    decoded.rejected[0].reason
}

#[test]
fn empty_requests_and_envelopes_are_accepted() {
    for body in [
        Vec::new(),
        encode(Vec::new()),
        encode(vec![scoped("s", Vec::new())]),
    ] {
        let decoded = decode(&body).unwrap();
        assert_eq!((decoded.items_seen, decoded.batches.len()), (0, 0));
    }
}

/// An id that is none leaves the record without a trace; it is never a reason to reject it.
#[test]
fn ids_that_are_none_are_not_associated() {
    for (trace_id, span_id, odd) in [
        (vec![], vec![], 0),
        (vec![0; 16], vec![0; 8], 0),
        (vec![1; 15], vec![2; 8], anomaly::BAD_TRACE_ID),
        (vec![1; 32], vec![], anomaly::BAD_TRACE_ID),
        (vec![1; 16], vec![2; 9], anomaly::BAD_TRACE_ID),
    ] {
        let record = LogRecord {
            trace_id: trace_id.clone(),
            span_id: span_id.clone(),
            ..good()
        };
        assert_eq!(anomalies(record.clone()), odd, "{trace_id:?} {span_id:?}");
        let decoded = among_good(record);
        let batch = records(&decoded);
        assert_eq!(batch.trace_id[1] != 0, trace_id == [1; 16]);
        assert_eq!(batch.span_id[1] != 0, span_id == [2; 8]);
    }
    // Records of a trace go where its spans go.
    let decoded = among_good(good());
    let trace = u128::from_be_bytes([1; 16]);
    assert_eq!(records(&decoded).shard[1], SEED.shard(trace));
}

#[test]
fn a_record_without_time_happened_when_it_was_observed_or_received() {
    for (time, observed, event) in [
        (RECEIVED - 5, RECEIVED - 3, RECEIVED - 5),
        (0, RECEIVED - 3, RECEIVED - 3),
        (0, 0, RECEIVED),
    ] {
        let decoded = among_good(LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            ..good()
        });
        let batch = records(&decoded);
        assert_eq!((batch.time[1], batch.observed_time[1]), (event, observed));
        assert_eq!(batch.anomalies[1], 0);
    }
}

#[test]
fn cases_54_to_56_times() {
    let at = |time_unix_nano: u64| LogRecord {
        time_unix_nano,
        ..good()
    };
    assert_eq!(rejected(at(u64::MAX)), RejectReason::TimeOutOfRange);
    assert_eq!(anomalies(at(RECEIVED + 60 * SECOND)), 0);
    assert_eq!(anomalies(at(RECEIVED + 60 * SECOND + 1)), anomaly::FUTURE);
    assert_eq!(
        rejected(at(RECEIVED + HOUR + 1)),
        RejectReason::TooFarInFuture
    );
    assert_eq!(
        rejected(at(RECEIVED - 400 * 24 * HOUR - 1)),
        RejectReason::TooOld
    );
    let observed = LogRecord {
        observed_time_unix_nano: u64::MAX,
        ..good()
    };
    assert_eq!(rejected(observed), RejectReason::TimeOutOfRange);
}

#[test]
fn severities_and_flags() {
    for (sent, kept) in [
        (0, 0),
        (24, 24),
        (25, 25),
        (255, 255),
        (256, 255),
        (-1, 255),
    ] {
        let decoded = among_good(LogRecord {
            severity_number: sent,
            ..good()
        });
        assert_eq!(records(&decoded).severity_number[1], kept);
    }
    let decoded = among_good(LogRecord {
        flags: 0xffff_ff01,
        event_name: "session.end".to_owned(),
        ..good()
    });
    let batch = records(&decoded);
    assert_eq!(batch.flags[1], 1);
    let names = |row: usize| batch.event_names.text(usize::from(batch.event_name[row]));
    assert_eq!([names(0), names(1), names(2)], ["", "session.end", ""]);
    let level = usize::from(batch.severity_text[1]);
    assert_eq!(batch.severity_texts.text(level), "INFO");
}

/// Case 38: long bodies are cut; a list, which cannot be cut and stay one, is dropped and marked.
#[test]
fn bodies_of_every_kind() {
    let list = |len: usize| {
        let element = AnyValue {
            value: Some(Sent::IntValue(1)),
        };
        Sent::ArrayValue(ArrayValue {
            values: vec![element; len],
        })
    };
    let encoded = AnyValue {
        value: Some(list(2)),
    }
    .encode_to_vec();
    let long = format!("x{}", "é".repeat(1 << 19));
    let cut = format!("x{}", "é".repeat(8_191));
    for (sent, kept, odd) in [
        (None, Value::Empty, 0),
        (Some(AnyValue { value: None }), Value::Empty, 0),
        (body(Sent::IntValue(-3)), Value::Int(-3), 0),
        (body(Sent::DoubleValue(0.5)), Value::Double(0.5), 0),
        (body(Sent::BoolValue(true)), Value::Bool(true), 0),
        (body(Sent::BytesValue(vec![7])), Value::Bytes(&[7]), 0),
        (body(list(2)), Value::Nested(&encoded), 0),
        (
            body(Sent::StringValue(long)),
            Value::Text(&cut),
            anomaly::TRUNCATED_VALUE,
        ),
        (body(list(9_000)), Value::Empty, anomaly::TRUNCATED_VALUE),
    ] {
        let decoded = among_good(LogRecord {
            body: sent,
            ..good()
        });
        let batch = records(&decoded);
        assert_eq!(batch.bodies.get(1), kept);
        assert_eq!(batch.anomalies[1], odd);
        assert_eq!(batch.bodies.get(2), Value::Text("hello"));
    }
}

/// Equal records of one request count each; the same request sent again has the same keys.
#[test]
fn keys_tell_equal_records_apart_and_repeated_requests_not() {
    let request = encode(vec![
        scoped("a", vec![good(); 100]),
        scoped("b", vec![good(); 100]),
        scoped("a", vec![good(); 100]),
    ]);
    let keys = |decoded: &Decoded| records(decoded).key.to_vec();
    let once = keys(&decode(&request).unwrap());
    assert_eq!(once.iter().collect::<BTreeSet<_>>().len(), 300);
    assert_eq!(once, keys(&decode(&request).unwrap()));
    // In another order of scopes the same records have the same keys.
    let other = encode(vec![
        scoped("b", vec![good(); 100]),
        scoped("a", vec![good(); 200]),
    ]);
    let set = |keys: Vec<u64>| keys.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(once), set(keys(&decode(&other).unwrap())));
}

#[test]
fn case_33_every_string_must_be_utf8() {
    let at = "resource_logs[0].scope_logs[0].log_records[0]";
    for (fields, name) in [
        (&[0x1a, 1, 0xff][..], "severity_text"),
        (&[0x62, 1, 0xff], "event_name"),
        (&[0x62, 1, 0xff, 0x62, 0], "event_name"),
        (&[0x2a, 3, 0x0a, 1, 0xff], "body.string_value"),
        (&[0x32, 3, 0x0a, 1, 0xff], "attributes[0].key"),
    ] {
        // Also in a record that is rejected: its time lies in the far future.
        for time in [
            &[][..],
            &[0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            let mut encoded = [fields, time].concat();
            for tag in [0x12, 0x12, 0x0a] {
                encoded.splice(0..0, [tag, encoded.len() as u8]);
            }
            match decode(&encoded) {
                Err(DecodeError::Malformed { problem, path, .. }) => {
                    assert_eq!(problem, Problem::InvalidUtf8);
                    assert_eq!(path, format!("{at}.{name}"));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
