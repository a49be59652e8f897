//! Random trace requests.

use super::{id, key_value, resource, scope, text, time};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn trace_state() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just(String::new()),
        1 => "(a=b,)?( )?ot=(rv:1;)?th:[0-9a-f]{0,15}(;x:y)?",
        1 => text(),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), vec(key_value(), 0..4), 0u32..3).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (
        id(16),
        id(8),
        trace_state(),
        vec(key_value(), 0..2),
        any::<u32>(),
    )
        .prop_map(|(trace_id, span_id, trace_state, attributes, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count: 0,
            flags,
        })
}

fn status() -> impl Strategy<Value = Status> {
    let code = prop_oneof![8 => 0i32..3, 1 => any::<i32>()];
    (prop_oneof![Just(String::new()), text()], code)
        .prop_map(|(message, code)| Status { message, code })
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), prop_oneof![Just(Vec::new()), id(8)]);
    let kind = prop_oneof![8 => 0i32..6, 1 => any::<i32>()];
    let own = (trace_state(), any::<u32>(), text(), kind, time(), time());
    let children = (
        vec(key_value(), 0..8),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(event(), 0..4)],
        prop_oneof![3 => Just(Vec::new()), 1 => vec(link(), 0..4)],
        option::of(status()),
        0u32..2,
    );
    (ids, own, children).prop_map(
        |(
            (trace_id, span_id, parent_span_id),
            (trace_state, flags, name, kind, start_time_unix_nano, end_time_unix_nano),
            (attributes, events, links, status, dropped),
        )| Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count: dropped,
            events,
            dropped_events_count: dropped,
            links,
            dropped_links_count: dropped,
            status,
        },
    )
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    (option::of(scope()), vec(span(), 0..6), text()).prop_map(|(scope, spans, schema_url)| {
        ScopeSpans {
            scope,
            spans,
            schema_url,
        }
    })
}

/// A request of up to a few dozen spans.
pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let resource_spans = (option::of(resource()), vec(scope_spans(), 0..3), text()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        },
    );
    vec(resource_spans, 0..4)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}
