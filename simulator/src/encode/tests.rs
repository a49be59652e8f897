//! Our bytes against the official types: `opentelemetry-proto` decodes what we wrote, field by field.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::shop::Shop;
use crate::span::{Role, Span};
use crate::topology::Topology;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;

fn attribute(attributes: &[KeyValue], key: &str) -> Option<Any> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    found.value.clone()?.value
}

#[test]
fn every_field_of_a_template_decodes() {
    let spec = SpanSpec {
        name: "GET /x".to_owned(),
        kind: 3,
        attributes: vec![
            Attribute::text("text", "t"),
            Attribute::int("int", -5),
            Attribute::new("double", Value::Double(0.5)),
            Attribute::new("bool", Value::Bool(true)),
            Attribute::new("list", Value::List("element".to_owned())),
            Attribute::marked("mark", "user-"),
        ],
        status: 2,
        message: "broken".to_owned(),
        has_parent: true,
    };
    let ids = Ids {
        trace_id: 0x0102,
        span_id: 3,
        parent_id: 4,
        start: 5,
        end: 6,
        mark: 0xabc,
    };
    let mut spans = Vec::new();
    SpanTemplate::new(&spec).write(&ids, &mut spans);
    let mut bytes = Vec::new();
    let origin = Origin::new(&[Attribute::text("service.name", "s")], "scope", "1");
    let at = origin.wrap(&spans, &mut bytes);
    assert_eq!(&bytes[at..], spans);

    let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
    let group = &request.resource_spans[0];
    let resource = &group.resource.as_ref().unwrap().attributes;
    assert_eq!(
        attribute(resource, "service.name"),
        Some(Any::StringValue("s".to_owned()))
    );
    let scope = group.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!(
        (scope.name.as_str(), scope.version.as_str()),
        ("scope", "1")
    );
    let span = &group.scope_spans[0].spans[0];
    assert_eq!(span.trace_id, 0x0102_u128.to_be_bytes());
    assert_eq!(span.span_id, 3_u64.to_be_bytes());
    assert_eq!(span.parent_span_id, 4_u64.to_be_bytes());
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5, 6));
    assert_eq!(
        (span.name.as_str(), span.kind, span.flags),
        ("GET /x", 3, 0x101)
    );
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "broken"));
    let get = |key| attribute(&span.attributes, key);
    assert_eq!(get("text"), Some(Any::StringValue("t".to_owned())));
    assert_eq!(get("int"), Some(Any::IntValue(-5)));
    assert_eq!(get("double"), Some(Any::DoubleValue(0.5)));
    assert_eq!(get("bool"), Some(Any::BoolValue(true)));
    assert_eq!(
        get("mark"),
        Some(Any::StringValue("user-0000000000000abc".to_owned()))
    );
    assert!(matches!(get("list"), Some(Any::ArrayValue(list)) if list.values.len() == 1));
    // Nothing was written that the official types do not know: encoding again gives the same length.
    assert_eq!(request.encoded_len(), bytes.len());
}

/// Scenario: ten seconds of the whole shop.
/// Guarantees: every request decodes to exactly the spans that went in, with the ids, times and kinds they had.
#[test]
fn the_shop_decodes_to_what_happened() {
    let origin = 1_700_000_000_000_000_000;
    let mut shop = Shop::new(Topology::shop(), 3, origin, 100.0);
    let mut dresser = Dresser::new(Topology::shop());
    let mut spans = Vec::new();
    shop.advance(origin + 10_000_000_000, &mut spans);
    assert!(spans.len() > 5_000);
    for (index, pod) in shop.pods().iter().enumerate() {
        let own: Vec<Span> = spans
            .iter()
            .filter(|(at, _)| *at == index)
            .map(|(_, span)| *span)
            .collect();
        let bytes = dresser.request(index, pod, &own);
        let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(request.encoded_len(), bytes.len());
        let decoded = &request.resource_spans[0].scope_spans[0].spans;
        assert_eq!(decoded.len(), own.len());
        for (got, want) in decoded.iter().zip(&own) {
            assert_eq!(got.trace_id, want.trace_id.to_be_bytes());
            assert_eq!(got.span_id, want.span_id.to_be_bytes());
            assert_eq!(got.parent_span_id.is_empty(), want.parent_id == 0);
            assert_eq!(
                (got.start_time_unix_nano, got.end_time_unix_nano),
                (want.start, want.end)
            );
            let kind = if matches!(want.shape.role, Role::Client(_)) {
                3
            } else {
                2
            };
            assert_eq!(got.kind, kind);
            let code = got.status.as_ref().map_or(0, |status| status.code);
            if matches!(want.shape.role, Role::Server) {
                assert_eq!(code == 2, want.shape.outcome.is_failed());
            }
        }
    }
}

#[test]
fn partial_success_is_read() {
    assert_eq!(partial_success(&[]), Some(PartialSuccess::default()));
    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 300,
            error_message: "invalid ids".to_owned(),
        }),
    };
    let read = partial_success(&answer.encode_to_vec()).unwrap();
    assert_eq!(
        (read.rejected_spans, read.error_message.as_str()),
        (300, "invalid ids")
    );
    assert_eq!(partial_success(b"<html>"), None);
}
