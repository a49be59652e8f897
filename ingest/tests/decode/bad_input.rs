//! The listed bad inputs, one by one (numbers: the catalogue of bad input in the project's conformance notes).

use crate::model::{RECEIVED, SEED};
use engine::anomaly;
use engine::items::{Signal, Value};
use engine::span::{DURATION_UNKNOWN, SpanBatch, status};
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoded, Decoder, Format, Problem, RejectReason};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// The first batch, which holds spans.
fn spans(decoded: &Decoded) -> &SpanBatch {
    decoded.batches[0].spans().unwrap()
}

fn decode_with(decoder: &mut Decoder, body: &[u8]) -> Result<Decoded, DecodeError> {
    let kind = (Signal::Traces, Format::Protobuf);
    decoder.decode(kind, body, Timestamp(RECEIVED), SEED)
}

fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    decode_with(&mut Decoder::new(DecodeLimits::default()), body)
}

fn good() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: RECEIVED - SECOND,
        end_time_unix_nano: RECEIVED,
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Sent::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Sent) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

fn encode(spans: Vec<Span>) -> Vec<u8> {
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

/// Decodes a good span, the span under test, and another good span.
fn among_good(span: Span) -> Decoded {
    decode(&encode(vec![good(), span, good()])).unwrap()
}

/// The span under test is accepted; its anomalies.
fn anomalies(span: Span) -> u16 {
    let decoded = among_good(span);
    assert_eq!((decoded.items_accepted(), decoded.items_seen), (3, 3));
    let odd = &spans(&decoded).anomalies;
    assert_eq!((odd[0], odd[2]), (0, 0));
    odd[1]
}

/// The span under test is rejected and the good ones count; the reason.
fn rejected(span: Span) -> RejectReason {
    let decoded = among_good(span);
    assert_eq!((decoded.items_accepted(), decoded.items_rejected()), (2, 1));
    assert!(decoded.error_message().contains("span 2 of the request"));
    decoded.rejected[0].reason
}

fn malformed(body: &[u8]) -> (Problem, String, usize) {
    match decode(body).unwrap_err() {
        DecodeError::Malformed {
            problem,
            path,
            offset,
        } => (problem, path, offset),
        other => panic!("{other}"),
    }
}

/// `field` around `content`.
fn wrap(field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

fn in_span(fields: &[u8]) -> Vec<u8> {
    wrap(1, &wrap(2, &wrap(2, fields)))
}

#[test]
fn empty_requests_and_envelopes_are_accepted() {
    for body in [vec![], wrap(1, &[]), wrap(1, &wrap(2, &[]))] {
        let decoded = decode(&body).unwrap();
        assert_eq!((decoded.items_seen, decoded.batches.len()), (0, 0));
    }
}

/// Protobuf allows any order, and parts of one message in several places.
#[test]
fn resources_and_scopes_may_stand_behind_their_spans() {
    let resource = |key: &str, value: &str| {
        let attributes = vec![text(key, value)];
        let resource = Resource {
            attributes,
            ..Resource::default()
        };
        wrap(1, &resource.encode_to_vec())
    };
    let span = wrap(2, &good().encode_to_vec());
    let scope = wrap(
        2,
        &[
            span.clone(),
            wrap(1, &wrap(1, b"name")),
            span,
            wrap(1, &wrap(2, b"2")),
        ]
        .concat(),
    );
    let (name, version) = (
        resource("service.name", "cart"),
        resource("service.version", "v7"),
    );
    let body = wrap(1, &[name, scope.clone(), version, scope].concat());
    let decoded = decode(&body).unwrap();
    assert_eq!(decoded.items_accepted(), 4);
    for row in 0..4 {
        let batch = spans(&decoded);
        let identity = &batch.items.resource_of(row).identity;
        assert_eq!(
            (&*identity.service.name, &*identity.revision.value),
            ("cart", "v7")
        );
        let scope = &batch.items.scopes[usize::from(batch.items.scope[row])];
        assert_eq!((&*scope.name, &*scope.version), ("name", "2"));
    }
}

/// Found by the fuzzer: joined, the two parts are one valid resource; apart, the first one is cut off.
#[test]
fn a_length_does_not_reach_into_the_next_part() {
    let (first, second) = ([0x0a, 3, 0x0a, 1], [b'k']);
    let whole = wrap(1, &[&first[..], &second].concat());
    decode(&wrap(1, &whole)).unwrap();
    let (one, other) = (wrap(1, &first), wrap(1, &second));
    let (problem, path, _) = malformed(&wrap(1, &[one, other].concat()));
    assert_eq!(problem, Problem::LengthBeyondEnd);
    assert_eq!(path, "resource_spans[0].resource.attributes[0]");
}

#[test]
fn case_1_random_bytes() {
    assert_eq!(malformed(b"\xde\xad\xbe\xef\x99").0, Problem::Truncated);
    malformed(b"{\"resourceSpans\":[]}");
    malformed(b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn cases_2_to_5_broken_wire_with_place() {
    let path = "resource_spans[0].scope_spans[0].spans[0]";
    for (fields, problem, field, at) in [
        (&[0x30, 0x80][..], Problem::Truncated, ".kind", 0),
        (&[0x0a, 5, 1], Problem::LengthBeyondEnd, ".trace_id", 0),
        (
            &[0x30, 1, 0x39, 1, 2],
            Problem::Truncated,
            ".start_time_unix_nano",
            2,
        ),
        (
            &[0x30, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            Problem::VarintTooLong,
            ".kind",
            0,
        ),
        (
            &[0x30, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            Problem::VarintTooLong,
            ".kind",
            0,
        ),
        (&[0x02, 0], Problem::BadKey, "", 0),
        (
            &[0x30, 1, 0x85, 0x80, 0x80, 0x80, 0x10],
            Problem::BadKey,
            "",
            2,
        ),
        (&[0xf6, 0x07], Problem::ReservedWireType, "", 0),
        (&[0xf7, 0x07], Problem::ReservedWireType, "", 0),
        (&[0x32, 0], Problem::WrongWireType, ".kind", 0),
    ] {
        let found = malformed(&in_span(fields));
        assert_eq!(
            found,
            (problem, format!("{path}{field}"), 6 + at),
            "{fields:?}"
        );
    }
    let attributes = [
        wrap(9, b"\x0a\x01k"),
        wrap(9, b"\x0a\x01k\x12\x03\x0a\x01\xff"),
    ]
    .concat();
    let (problem, place, offset) = malformed(&in_span(&attributes));
    assert_eq!(problem, Problem::InvalidUtf8);
    assert_eq!(place, format!("{path}.attributes[1].value.string_value"));
    assert_eq!(offset, 6 + 5 + 7);
}

#[test]
fn case_6_groups() {
    let mut fields = good().encode_to_vec();
    fields.extend_from_slice(&[0xfb, 0x07, 0x08, 1, 0x13, 0x14, 0xfc, 0x07]);
    assert_eq!(decode(&in_span(&fields)).unwrap().items_accepted(), 1);
    for broken in [
        &[0xfb, 0x07][..],
        &[0xfc, 0x07],
        &[0xfb, 0x07, 0x14],
        &[0xfb, 0x07, 0x13, 0xfc, 0x07],
    ] {
        assert_eq!(malformed(&in_span(broken)).0, Problem::UnbalancedGroup);
    }
}

#[test]
fn case_7_nesting() {
    // Span 3, key-value 4, value 5; each list is two messages more. Depth 64 is the last one allowed.
    let nested = |lists: usize, innermost: &[u8]| {
        let value = (0..lists).fold(innermost.to_vec(), |value, _| wrap(5, &wrap(1, &value)));
        let attribute = [wrap(1, b"k"), wrap(2, &value)].concat();
        [good().encode_to_vec(), wrap(9, &attribute)].concat()
    };
    let list = wrap(5, &[]);
    assert_eq!(
        decode(&in_span(&nested(29, &list)))
            .unwrap()
            .items_accepted(),
        1
    );
    assert_eq!(malformed(&in_span(&nested(30, &[]))).0, Problem::TooDeep);
    assert_eq!(malformed(&in_span(&nested(2_000, &[]))).0, Problem::TooDeep);
    let groups = [[0x9b, 0x06].repeat(100_000), [0x9c, 0x06].repeat(100_000)].concat();
    assert_eq!(malformed(&in_span(&groups)).0, Problem::TooDeep);
}

#[test]
fn budgets_are_for_the_whole_request() {
    let limits = DecodeLimits {
        items_max: 5,
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new(limits);
    // Resource spans, scope spans and three spans are five items.
    for (spans, fits) in [(3, true), (4, false)] {
        let body = encode(vec![good(); spans]);
        let result = decode_with(&mut decoder, &body);
        assert_eq!(result.is_ok(), fits);
    }
    let limits = DecodeLimits {
        bytes_max: 10_000,
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new(limits);
    for (spans, fits) in [(10, true), (200, false)] {
        let body = encode(vec![good(); spans]);
        match decode_with(&mut decoder, &body) {
            Ok(_) => assert!(fits),
            Err(error) => assert!(!fits && error.is_too_large(), "{error}"),
        }
    }
}

#[test]
fn large_requests_become_several_batches() {
    let decoded = decode(&encode(vec![good(); 20_000])).unwrap();
    let lens: Vec<usize> = decoded.batches.iter().map(|batch| batch.len()).collect();
    assert_eq!(lens, [8_192, 8_192, 3_616]);
    let resources = |index: usize| &decoded.batches[index].items().resources;
    assert!(std::sync::Arc::ptr_eq(&resources(0)[0], &resources(2)[0]));
}

/// Thousands of distinct keys must not cost rows times keys.
#[test]
fn many_distinct_keys_become_small_batches() {
    let mut spans = Vec::new();
    for number in 0..2_000 {
        let mut span = good();
        span.attributes = (0..20)
            .map(|k| text(&format!("k{number}.{k}"), "v"))
            .collect();
        spans.push(span);
    }
    let body = encode(spans);
    let decoded = decode(&body).unwrap();
    assert_eq!(decoded.items_accepted(), 2_000);
    let bytes: usize = decoded.batches.iter().map(|batch| batch.byte_size()).sum();
    assert!(
        bytes < 20 * body.len(),
        "{bytes} decoded from {}",
        body.len()
    );
}

#[test]
fn case_33_every_string_must_be_utf8() {
    let bad = b"\xc3\x28".as_slice();
    let attribute = wrap(1, bad);
    let list = wrap(5, &wrap(1, &wrap(1, bad)));
    let long = wrap(1, &[b"x".repeat(5_000), b"\xff".to_vec()].concat());
    let valid = good().encode_to_vec();
    for (name, fields) in [
        ("name", wrap(5, bad)),
        (
            "first of two names",
            [wrap(5, bad), wrap(5, b"good")].concat(),
        ),
        ("trace state", wrap(3, bad)),
        ("status message", wrap(15, &wrap(2, bad))),
        ("key", wrap(9, &attribute)),
        (
            "value",
            wrap(9, &[wrap(1, b"k"), wrap(2, &wrap(1, bad))].concat()),
        ),
        (
            "list element",
            wrap(9, &[wrap(1, b"k"), wrap(2, &list)].concat()),
        ),
        (
            "text that is cut",
            wrap(9, &[wrap(1, b"k"), wrap(2, &long)].concat()),
        ),
        ("value of a dropped key", wrap(9, &wrap(2, &wrap(1, bad)))),
        ("event name", wrap(11, &wrap(2, bad))),
        ("event attribute", wrap(11, &wrap(3, &attribute))),
        ("link trace state", wrap(13, &wrap(3, bad))),
    ] {
        let body = in_span(&[valid.clone(), fields.clone()].concat());
        assert_eq!(malformed(&body).0, Problem::InvalidUtf8, "{name}");
        // The same in a span that is rejected anyway.
        assert_eq!(
            malformed(&in_span(&fields)).0,
            Problem::InvalidUtf8,
            "{name}"
        );
    }
    for body in [
        wrap(1, &wrap(3, bad)),
        wrap(1, &wrap(1, &wrap(1, &attribute))),
        wrap(1, &wrap(2, &wrap(1, &wrap(1, bad)))),
        wrap(1, &wrap(2, &wrap(3, bad))),
    ] {
        assert_eq!(malformed(&body).0, Problem::InvalidUtf8);
    }
    // Beyond the limit on attributes, too.
    let mut span = good();
    span.attributes = (0..128).map(|n| text(&format!("k{n}"), "v")).collect();
    let body = in_span(&[span.encode_to_vec(), wrap(9, &attribute)].concat());
    assert_eq!(malformed(&body).0, Problem::InvalidUtf8);
}

#[test]
fn cases_35_and_37_odd_text_is_kept() {
    for name in ["a\0b\u{7}", "\u{202e}evil", "zero\u{200b}width", "раураl"] {
        let mut span = good();
        span.name = name.to_owned();
        assert_eq!(spans(&among_good(span)).name_of(1), name);
    }
}

#[test]
fn case_38_long_values_are_cut_between_characters() {
    let mut span = good();
    span.attributes = vec![
        text("text", &format!("x{}", "é".repeat(1 << 19))),
        attribute("bytes", Sent::BytesValue(vec![7; 1 << 20])),
    ];
    span.name = "n".repeat(5_000);
    let decoded = among_good(span);
    let batch = spans(&decoded);
    assert_eq!(batch.anomalies[1], anomaly::TRUNCATED_VALUE);
    let Some(Value::Text(kept)) = batch.items.attribute(1, "text") else {
        panic!("no text");
    };
    assert_eq!(kept, format!("x{}", "é".repeat(2_047)));
    assert_eq!(
        batch.items.attribute(1, "bytes"),
        Some(Value::Bytes(&[7; 4_096]))
    );
    assert_eq!(batch.name_of(1).len(), 4_096);
}

#[test]
fn cases_39_and_42_empty_and_long_keys_are_dropped() {
    for key in [String::new(), "k".repeat(1 << 20)] {
        let mut span = good();
        span.attributes = vec![text(&key, "v"), text("kept", "v")];
        let decoded = among_good(span);
        let batch = spans(&decoded);
        assert_eq!(batch.anomalies[1], anomaly::DROPPED_FIELDS);
        assert_eq!(batch.items.attributes.len(), 1);
        assert_eq!(batch.items.attribute(1, "kept"), Some(Value::Text("v")));
    }
}

#[test]
fn case_40_the_first_128_attributes_are_kept() {
    let mut span = good();
    span.attributes = (0..100_000)
        .map(|n| text(&format!("k{n:06}"), "v"))
        .collect();
    let decoded = among_good(span);
    let batch = spans(&decoded);
    assert_eq!(batch.anomalies[1], anomaly::DROPPED_FIELDS);
    assert_eq!(batch.items.attributes.len(), 128);
    assert_eq!(batch.items.attribute(1, "k000127"), Some(Value::Text("v")));
}

#[test]
fn case_41_the_last_of_a_repeated_key_wins() {
    let mut span = good();
    span.attributes = vec![
        text("k", "first"),
        attribute("k", Sent::IntValue(7)),
        text("k", "last"),
        text("other", "v"),
    ];
    let decoded = among_good(span);
    let batch = spans(&decoded);
    assert_eq!(batch.anomalies[1], anomaly::DUPLICATE_ATTRIBUTE);
    assert_eq!(batch.items.attribute(1, "k"), Some(Value::Text("last")));
    assert_eq!(batch.items.columns("k").count(), 1);
}

#[test]
fn case_48_ids() {
    for len in [0, 1, 15, 17, 32] {
        let trace_id = vec![1; len];
        assert_eq!(
            rejected(Span { trace_id, ..good() }),
            RejectReason::BadTraceId
        );
    }
    for len in [0, 1, 7, 9, 16] {
        let span_id = vec![1; len];
        assert_eq!(
            rejected(Span { span_id, ..good() }),
            RejectReason::BadSpanId
        );
    }
    let (trace_id, span_id) = (vec![0; 16], vec![0; 8]);
    assert_eq!(
        rejected(Span { trace_id, ..good() }),
        RejectReason::BadTraceId
    );
    assert_eq!(
        rejected(Span { span_id, ..good() }),
        RejectReason::BadSpanId
    );
    let parent_span_id = vec![9; 7];
    assert_eq!(
        anomalies(Span {
            parent_span_id,
            ..good()
        }),
        anomaly::BAD_PARENT
    );
}

/// Cases 51-53: availability counts them at their event time, latency cannot.
#[test]
fn cases_51_to_53_durations_that_cannot_be_known() {
    for (start, end, event) in [
        (RECEIVED, RECEIVED - 1, RECEIVED),
        (RECEIVED, 0, RECEIVED),
        (0, RECEIVED, RECEIVED),
    ] {
        let decoded = among_good(Span {
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            ..good()
        });
        let batch = spans(&decoded);
        assert_eq!(batch.anomalies[1], anomaly::NEGATIVE_DURATION);
        assert_eq!((batch.duration[1], batch.end[1]), (DURATION_UNKNOWN, event));
    }
    assert_eq!(
        rejected(Span {
            start_time_unix_nano: 0,
            end_time_unix_nano: 0,
            ..good()
        }),
        RejectReason::NoTime
    );
}

fn ending(end: u64) -> Span {
    Span {
        start_time_unix_nano: end - SECOND.min(end),
        end_time_unix_nano: end,
        ..good()
    }
}

#[test]
fn cases_54_to_57_times() {
    assert_eq!(rejected(ending(u64::MAX)), RejectReason::TimeOutOfRange);
    assert_eq!(anomalies(ending(RECEIVED + 60 * SECOND)), 0);
    assert_eq!(
        anomalies(ending(RECEIVED + 60 * SECOND + 1)),
        anomaly::FUTURE
    );
    assert_eq!(anomalies(ending(RECEIVED + HOUR)), anomaly::FUTURE);
    assert_eq!(
        rejected(ending(RECEIVED + HOUR + 1)),
        RejectReason::TooFarInFuture
    );
    assert_eq!(anomalies(ending(RECEIVED - 400 * DAY)), 0);
    assert_eq!(
        rejected(ending(RECEIVED - 400 * DAY - 1)),
        RejectReason::TooOld
    );
    let long = among_good(Span {
        start_time_unix_nano: RECEIVED - DAY,
        ..good()
    });
    assert_eq!(
        (spans(&long).end[1], spans(&long).duration[1]),
        (RECEIVED, DAY)
    );
}

#[test]
fn case_59_a_span_that_is_its_own_parent_is_a_root() {
    let parent_span_id = good().span_id;
    let decoded = among_good(Span {
        parent_span_id,
        ..good()
    });
    assert_eq!(spans(&decoded).anomalies[1], anomaly::SELF_PARENT);
    assert_eq!(spans(&decoded).parent_id[1], 0);
}

#[test]
fn case_63_a_missing_service_name_is_unknown() {
    let decoded = decode(&encode(vec![good()])).unwrap();
    let identity = &spans(&decoded).items.resources[0].identity;
    assert_eq!(identity.service.name, "unknown_service");
}

#[test]
fn case_64_the_first_128_events_and_links_are_kept() {
    let mut span = good();
    span.events = (0..100_000)
        .map(|n| Event {
            time_unix_nano: n,
            ..Event::default()
        })
        .collect();
    span.links = vec![
        Link {
            trace_id: vec![3; 16],
            span_id: vec![4; 8],
            ..Link::default()
        };
        100_000
    ];
    let decoded = among_good(span);
    let batch = spans(&decoded);
    assert_eq!(batch.anomalies[1], anomaly::DROPPED_FIELDS);
    assert_eq!((batch.events.len(), batch.links.len()), (128, 128));
    assert!(
        batch
            .events
            .iter()
            .all(|event| event.row == 1 && event.time < 128)
    );
}

#[test]
fn case_65_unknown_status_codes_count_as_unset() {
    for code in [7, -1, i32::MAX] {
        let status = Some(Status {
            code,
            ..Status::default()
        });
        let decoded = among_good(Span { status, ..good() });
        assert_eq!(spans(&decoded).anomalies[1], anomaly::UNKNOWN_STATUS);
        assert_eq!(spans(&decoded).status[1], status::UNSET);
    }
}

#[test]
fn case_66_status_codes_of_any_type_read_as_numbers() {
    for (sent, read) in [
        (Sent::StringValue("500".to_owned()), Some(500)),
        (Sent::DoubleValue(500.0), Some(500)),
        (Sent::IntValue(500), Some(500)),
        (Sent::StringValue("-".to_owned()), None),
    ] {
        let mut span = good();
        span.attributes = vec![attribute("http.response.status_code", sent)];
        let decoded = among_good(span);
        let value = spans(&decoded)
            .items
            .attribute(1, "http.response.status_code");
        assert_eq!(value.and_then(Value::as_int), read);
    }
}

#[test]
fn case_67_a_long_tracestate_is_dropped() {
    let trace_state = format!("ot=th:8,x={}", "y".repeat(64 << 10));
    let decoded = among_good(Span {
        trace_state,
        ..good()
    });
    let batch = spans(&decoded);
    assert_eq!(batch.anomalies[1], anomaly::DROPPED_FIELDS);
    assert_eq!((batch.trace_state.get(1), batch.weight[1]), (None, 1));
    let trace_state = "ot=th:c".to_owned();
    assert_eq!(
        spans(&among_good(Span {
            trace_state,
            ..good()
        }))
        .weight[1],
        4
    );
}

#[test]
fn kinds_flags_and_strindex() {
    for (sent, kept) in [
        (0, 0),
        (5, 5),
        (6, 6),
        (200, 200),
        (255, 255),
        (256, 255),
        (-1, 255),
        (258, 255),
    ] {
        let decoded = among_good(Span {
            kind: sent,
            ..good()
        });
        assert_eq!(spans(&decoded).kind[1], kept);
    }
    let decoded = among_good(Span {
        flags: u32::MAX,
        ..good()
    });
    assert_eq!(spans(&decoded).flags[1], 0x3ff);
    let mut span = good();
    span.attributes = vec![attribute("k", Sent::StringValueStrindex(3)), text("l", "v")];
    span.attributes[1].key_strindex = 9;
    let decoded = among_good(span);
    assert_eq!(spans(&decoded).items.attribute(1, "k"), Some(Value::Empty));
    assert_eq!(
        spans(&decoded).items.attribute(1, "l"),
        Some(Value::Text("v"))
    );
}

/// A column of more than 512 distinct values, and one that is nearly all new, keep every value.
#[test]
fn columns_of_many_values_keep_them_all() {
    let many = (0..3_000)
        .map(|n| {
            let mut span = good();
            span.attributes = vec![
                text("slow", &format!("{}", n / 4)),
                text("few", &format!("{}", n % 7)),
            ];
            if n % 3 != 1 {
                span.attributes.push(text("id", &format!("id-{n}")));
            }
            span
        })
        .collect();
    let decoded = decode(&encode(many)).unwrap();
    let batch = spans(&decoded);
    for n in 0..3_000 {
        let read = |key| batch.items.attribute(n, key).and_then(Value::as_text);
        assert_eq!(read("slow"), Some(&*format!("{}", n / 4)));
        assert_eq!(read("few"), Some(&*format!("{}", n % 7)));
        assert_eq!(
            read("id"),
            (n % 3 != 1).then(|| format!("id-{n}")).as_deref()
        );
    }
}
