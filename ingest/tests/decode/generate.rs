//! Random requests: mostly what senders send, with every oddity mixed in.

use crate::model::RECEIVED;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

mod points;
mod records;
mod spans;

pub(crate) use points::request as points;
pub(crate) use records::request as records;
pub(crate) use spans::request as spans;

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

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), vec(key_value(), 0..2), 0u32..2).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}
