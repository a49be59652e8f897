//! What a request must decode to: the rules of the product in their plainest form, over `prost`'s view of it.

use engine::anomaly;
use engine::hash::{HashSeed, blake3_128};
use engine::items::ValueKind;
use ingest::otlp::{DecodeLimits, RejectReason};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::collections::BTreeMap;

mod points;
mod records;
mod spans;

pub(crate) use points::{PointRow, Value as PointValue, expected as expected_points};
pub(crate) use records::{RecordRow, expected as expected_records};
pub(crate) use spans::{SpanRow, expected as expected_spans};

pub(crate) const SEED: HashSeed = HashSeed(7, 11);
/// 2026-01-01T00:00:00Z.
pub(crate) const RECEIVED: u64 = 1_767_225_600_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// One stored value: its kind and canonical bytes.
pub(crate) type Stored = (ValueKind, Vec<u8>);

/// What the rows of every signal say of where they came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Origin {
    pub resource: Vec<u8>,
    pub resource_attributes: Vec<(String, Stored)>,
    pub service: String,
    pub scope: (String, String),
}

/// One decoded item, every column of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub origin: Origin,
    pub attributes: BTreeMap<String, Stored>,
    pub anomalies: u16,
    pub shard: u8,
    pub own: Own,
}

/// The columns of one signal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Own {
    Span(SpanRow),
    Point(PointRow),
    Record(RecordRow),
}

/// All of a request: rows, and how many items were rejected for each reason.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Outcome {
    pub rows: Vec<Row>,
    pub rejected: BTreeMap<RejectReason, u64>,
}

impl Outcome {
    pub(crate) fn add(&mut self, row: Result<Row, RejectReason>) {
        match row {
            Ok(row) => self.rows.push(row),
            Err(reason) => *self.rejected.entry(reason).or_default() += 1,
        }
    }

    /// Without what is hashed from bytes as they were sent, which the oracle does not see when they are odd.
    pub(crate) fn without_hashes(mut self) -> Self {
        for row in &mut self.rows {
            match &mut row.own {
                Own::Span(_) => {}
                Own::Point(point) => (point.stream, row.shard) = (0, 0),
                Own::Record(record) => {
                    record.key = 0;
                    if record.ids.0 == 0 {
                        row.shard = 0;
                    }
                }
            }
        }
        self
    }
}

/// Where an item came from, and what was odd there.
pub(crate) fn origin(
    resource: &Resource,
    scope: &InstrumentationScope,
    limits: &DecodeLimits,
    odd: &mut u16,
) -> Origin {
    let resource_attributes = resource_attributes(resource, limits, odd);
    Origin {
        resource: resource.encode_to_vec(),
        service: service(&resource_attributes),
        resource_attributes,
        scope: (
            shorten(&scope.name, limits, odd),
            shorten(&scope.version, limits, odd),
        ),
    }
}

/// What tells one origin from another.
pub(crate) fn origin_hash(resource: &Resource, scope: &InstrumentationScope) -> u128 {
    let resource = blake3_128("resource", &[&resource.encode_to_vec()]);
    let scope = scope.encode_to_vec();
    blake3_128("origin", &[&resource.to_le_bytes(), &scope])
}

/// Whether something that happened at `event` can count.
pub(crate) fn event_time(event: u64, odd: &mut u16) -> Result<(), RejectReason> {
    if event > RECEIVED + 3_600 * SECOND {
        return Err(RejectReason::TooFarInFuture);
    }
    if event < RECEIVED - 400 * 86_400 * SECOND {
        return Err(RejectReason::TooOld);
    }
    if event > RECEIVED + 60 * SECOND {
        *odd |= anomaly::FUTURE;
    }
    Ok(())
}

pub(crate) fn number(bytes: &[u8], len: usize) -> Option<u128> {
    (bytes.len() == len).then(|| bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

pub(crate) fn shorten(text: &str, limits: &DecodeLimits, odd: &mut u16) -> String {
    if text.len() <= limits.value_bytes_max {
        return text.to_owned();
    }
    *odd |= anomaly::TRUNCATED_VALUE;
    let mut short = String::new();
    for character in text.chars() {
        if short.len() + character.len_utf8() > limits.value_bytes_max {
            break;
        }
        short.push(character);
    }
    short
}

/// A value as it is stored: cut to the limit, lists canonically encoded.
pub(crate) fn stored(value: Option<&AnyValue>, limits: &DecodeLimits, odd: &mut u16) -> Stored {
    let Some(value) = value.and_then(|any| any.value.as_ref()) else {
        return (ValueKind::Empty, Vec::new());
    };
    match value {
        Value::StringValue(text) => (ValueKind::Text, shorten(text, limits, odd).into_bytes()),
        Value::BoolValue(bool) => (ValueKind::Bool, vec![u8::from(*bool)]),
        Value::IntValue(int) => (ValueKind::Int, int.to_le_bytes().to_vec()),
        Value::DoubleValue(double) => (ValueKind::Double, double.to_bits().to_le_bytes().to_vec()),
        Value::BytesValue(bytes) => {
            let kept = bytes.len().min(limits.value_bytes_max);
            if kept < bytes.len() {
                *odd |= anomaly::TRUNCATED_VALUE;
            }
            (ValueKind::Bytes, bytes[..kept].to_vec())
        }
        Value::StringValueStrindex(_) => (ValueKind::Empty, Vec::new()),
        list @ (Value::ArrayValue(_) | Value::KvlistValue(_)) => {
            let any = AnyValue {
                value: Some(list.clone()),
            };
            let encoded = any.encode_to_vec();
            if encoded.len() > limits.value_bytes_max {
                *odd |= anomaly::TRUNCATED_VALUE;
                return (ValueKind::Empty, Vec::new());
            }
            (ValueKind::Nested, encoded)
        }
    }
}

pub(crate) fn attributes(
    sent: &[KeyValue],
    limits: &DecodeLimits,
    odd: &mut u16,
) -> BTreeMap<String, Stored> {
    let mut kept = BTreeMap::new();
    if sent.len() > limits.attributes_per_span {
        *odd |= anomaly::DROPPED_FIELDS;
    }
    for attribute in sent.iter().take(limits.attributes_per_span) {
        if attribute.key.is_empty() || attribute.key.len() > limits.key_bytes_max {
            *odd |= anomaly::DROPPED_FIELDS;
            continue;
        }
        let value = stored(attribute.value.as_ref(), limits, odd);
        if kept.insert(attribute.key.clone(), value).is_some() {
            *odd |= anomaly::DUPLICATE_ATTRIBUTE;
        }
    }
    kept
}

fn resource_attributes(
    resource: &Resource,
    limits: &DecodeLimits,
    odd: &mut u16,
) -> Vec<(String, Stored)> {
    let mut kept: Vec<(String, Stored)> = Vec::new();
    for attribute in &resource.attributes {
        if attribute.key.is_empty() || attribute.key.len() > limits.key_bytes_max {
            *odd |= anomaly::DROPPED_FIELDS;
            continue;
        }
        let value = stored(attribute.value.as_ref(), limits, odd);
        if let Some(earlier) = kept.iter_mut().find(|(key, _)| *key == attribute.key) {
            earlier.1 = value;
            *odd |= anomaly::DUPLICATE_ATTRIBUTE;
        } else if kept.len() < limits.attributes_per_span {
            kept.push((attribute.key.clone(), value));
        } else {
            *odd |= anomaly::DROPPED_FIELDS;
        }
    }
    kept
}

/// `service.name` in its text form.
fn service(attributes: &[(String, Stored)]) -> String {
    let found = attributes.iter().find(|(key, _)| key == "service.name");
    let text = found.and_then(|(_, (kind, bytes))| text_of(*kind, bytes));
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown_service".to_owned())
}

fn text_of(kind: ValueKind, bytes: &[u8]) -> Option<String> {
    let word = || bytes.try_into().unwrap();
    match kind {
        ValueKind::Text => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        ValueKind::Int => Some(i64::from_le_bytes(word()).to_string()),
        ValueKind::Double => Some(f64::from_le_bytes(word()).to_string()),
        ValueKind::Bool => Some((bytes[0] == 1).to_string()),
        ValueKind::Bytes | ValueKind::Empty => None,
        ValueKind::Nested => match AnyValue::decode(bytes).unwrap().value {
            Some(Value::ArrayValue(list)) => {
                let first = list.values.first()?;
                let limits = DecodeLimits::default();
                let (kind, bytes) = stored(Some(first), &limits, &mut 0);
                (kind != ValueKind::Nested).then(|| text_of(kind, &bytes))?
            }
            _ => None,
        },
    }
}
