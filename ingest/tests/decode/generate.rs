//! Random requests: mostly what senders send, with every oddity mixed in.

use crate::model::RECEIVED;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["GET", "POST", "/cart", "200", "503", "", "ünï", "日本"])
            .prop_map(str::to_owned),
        2 => vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
        1 => (any::<char>(), 10usize..200).prop_map(|(c, n)| std::iter::repeat_n(c, n).collect()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "http.request.method", "http.route", "http.response.status_code", "url.path", "user.id",
            "service.name", "service.version", "deployment.environment.name", "k", "",
        ]).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        8 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        3 => prop_oneof![0i64..600, any::<i64>()].prop_map(Value::IntValue),
        1 => any::<f64>().prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..20).prop_map(Value::BytesValue),
        1 => any::<i32>().prop_map(Value::StringValueStrindex),
    ];
    let leaf = option::weighted(0.95, leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 12, 3, |inner| {
        let entry = (key(), option::of(inner.clone())).prop_map(|(key, value)| KeyValue {
            key,
            value,
            key_strindex: 0,
        });
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(entry, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_value() -> impl Strategy<Value = KeyValue> {
    let index = prop_oneof![9 => Just(0), 1 => any::<i32>()];
    (key(), option::weighted(0.95, any_value()), index).prop_map(|(key, value, key_strindex)| {
        KeyValue {
            key,
            value,
            key_strindex,
        }
    })
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), len),
        4 => (1u8..4).prop_map(move |last| {
            let mut id = vec![0; len];
            id[len - 1] = last;
            id
        }),
        1 => Just(vec![0; len]),
        1 => vec(any::<u8>(), 0..len + 3),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    const SECOND: u64 = 1_000_000_000;
    prop_oneof![
        12 => (0..30 * SECOND).prop_map(|ago| RECEIVED - ago),
        1 => (0..7_200 * SECOND).prop_map(|ahead| RECEIVED + ahead),
        1 => (0..500u64).prop_map(|days| RECEIVED - days * 86_400 * SECOND),
        1 => prop::sample::select(vec![0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX,
            RECEIVED + 60 * SECOND, RECEIVED + 60 * SECOND + 1, RECEIVED + 3_600 * SECOND,
            RECEIVED + 3_600 * SECOND + 1, RECEIVED - 34_560_000 * SECOND,
            RECEIVED - 34_560_000 * SECOND - 1]),
    ]
}

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

fn resource() -> impl Strategy<Value = Resource> {
    let entity =
        (text(), text(), vec(text(), 0..2)).prop_map(|(schema_url, kind, id_keys)| EntityRef {
            schema_url,
            r#type: kind,
            description_keys: id_keys.clone(),
            id_keys,
        });
    (vec(key_value(), 0..6), 0u32..2, vec(entity, 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    )
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope = (text(), text(), vec(key_value(), 0..2), 0u32..2).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    (option::of(scope), vec(span(), 0..6), text()).prop_map(|(scope, spans, schema_url)| {
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
