//! What a request must decode to: the rules of the product in their plainest form, over `prost`'s view of it.

use engine::anomaly;
use engine::hash::HashSeed;
use engine::items::ValueKind;
use engine::span::DURATION_UNKNOWN;
use ingest::otlp::{DecodeLimits, RejectReason};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::collections::BTreeMap;

pub(crate) const SEED: HashSeed = HashSeed(7, 11);
/// 2026-01-01T00:00:00Z.
pub(crate) const RECEIVED: u64 = 1_767_225_600_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// One stored value: its kind and canonical bytes.
pub(crate) type Stored = (ValueKind, Vec<u8>);

/// One decoded span, every column of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub ids: (u128, u64, u64),
    pub times: (u64, u64, u64),
    pub kind: u8,
    pub status: u8,
    pub flags: u16,
    pub anomalies: u16,
    pub shard: u8,
    pub weight: u32,
    pub name: String,
    pub status_message: Option<String>,
    pub trace_state: Option<String>,
    pub resource: Vec<u8>,
    pub resource_attributes: Vec<(String, Stored)>,
    pub service: String,
    pub scope: (String, String),
    pub attributes: BTreeMap<String, Stored>,
    pub events: Vec<(u64, String, Vec<Vec<u8>>)>,
    pub links: Vec<(u128, u64, u32)>,
}

/// All of a request: rows, and how many spans were rejected for each reason.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Outcome {
    pub rows: Vec<Row>,
    pub rejected: BTreeMap<RejectReason, u64>,
}

pub(crate) fn expected(request: &ExportTraceServiceRequest, limits: &DecodeLimits) -> Outcome {
    let mut outcome = Outcome::default();
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.clone().unwrap_or_default();
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.clone().unwrap_or_default();
            for span in &scope_spans.spans {
                match row(span, &resource, &scope, limits) {
                    Ok(row) => outcome.rows.push(row),
                    Err(reason) => *outcome.rejected.entry(reason).or_default() += 1,
                }
            }
        }
    }
    outcome
}

fn row(
    span: &Span,
    resource: &Resource,
    scope: &InstrumentationScope,
    limits: &DecodeLimits,
) -> Result<Row, RejectReason> {
    let mut odd = 0u16;
    let trace_id = number(&span.trace_id, 16).filter(|id| *id != 0);
    let trace_id = trace_id.ok_or(RejectReason::BadTraceId)?;
    let span_id = number(&span.span_id, 8).filter(|id| *id != 0);
    let span_id = span_id.ok_or(RejectReason::BadSpanId)?;
    let mut parent = number(&span.parent_span_id, 8).unwrap_or(0);
    if !span.parent_span_id.is_empty() && span.parent_span_id.len() != 8 {
        odd |= anomaly::BAD_PARENT;
    }
    if parent == span_id {
        odd |= anomaly::SELF_PARENT;
        parent = 0;
    }
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    let times = times(start, end, &mut odd)?;
    let code = span.status.as_ref().map_or(0, |status| status.code);
    if !(0..=2).contains(&code) {
        odd |= anomaly::UNKNOWN_STATUS;
    }
    let message = span.status.as_ref().map_or("", |status| &status.message);
    let (trace_state, weight) = match span.trace_state.as_str() {
        "" => (None, 1),
        long if long.len() > limits.trace_state_bytes_max => {
            odd |= anomaly::DROPPED_FIELDS;
            (None, 1)
        }
        short => (Some(short.to_owned()), weight(short)),
    };
    let resource_attributes = resource_attributes(resource, limits, &mut odd);
    Ok(Row {
        ids: (trace_id, span_id as u64, parent as u64),
        times,
        kind: if (0..255).contains(&span.kind) {
            span.kind as u8
        } else {
            255
        },
        status: if (0..=2).contains(&code) {
            code as u8
        } else {
            0
        },
        flags: (span.flags % 1024) as u16,
        shard: SEED.shard(trace_id),
        weight,
        name: shorten(&span.name, limits, &mut odd),
        status_message: Some(shorten(message, limits, &mut odd)).filter(|text| !text.is_empty()),
        trace_state,
        resource: resource.encode_to_vec(),
        service: service(&resource_attributes),
        resource_attributes,
        scope: (
            shorten(&scope.name, limits, &mut odd),
            shorten(&scope.version, limits, &mut odd),
        ),
        attributes: attributes(&span.attributes, limits, &mut odd),
        events: events(span, limits, &mut odd),
        links: links(span, limits, &mut odd),
        anomalies: odd,
    })
}

fn number(bytes: &[u8], len: usize) -> Option<u128> {
    (bytes.len() == len).then(|| bytes.iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

/// Start, end and duration.
fn times(start: u64, end: u64, odd: &mut u16) -> Result<(u64, u64, u64), RejectReason> {
    if start > i64::MAX as u64 || end > i64::MAX as u64 {
        return Err(RejectReason::TimeOutOfRange);
    }
    if start == 0 && end == 0 {
        return Err(RejectReason::NoTime);
    }
    let known = start != 0 && end >= start;
    let event = if end >= start { end } else { start };
    if event > RECEIVED + 3_600 * SECOND {
        return Err(RejectReason::TooFarInFuture);
    }
    if event < RECEIVED - 400 * 86_400 * SECOND {
        return Err(RejectReason::TooOld);
    }
    if !known {
        *odd |= anomaly::NEGATIVE_DURATION;
    }
    if event > RECEIVED + 60 * SECOND {
        *odd |= anomaly::FUTURE;
    }
    Ok((
        start,
        event,
        if known { end - start } else { DURATION_UNKNOWN },
    ))
}

fn weight(trace_state: &str) -> u32 {
    let Some(ot) = trace_state
        .split(',')
        .map(str::trim)
        .find(|m| m.starts_with("ot="))
    else {
        return 1;
    };
    let Some(th) = ot[3..].split(';').find(|entry| entry.starts_with("th:")) else {
        return 1;
    };
    let digits = &th[3..];
    if digits.is_empty() || digits.len() > 14 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return 1;
    }
    let threshold = u128::from_str_radix(&format!("{digits:0<14}"), 16).unwrap();
    let kept = (1u128 << 56) - threshold;
    let doubled = (1u128 << 57) / kept;
    u32::try_from(doubled.div_ceil(2)).unwrap_or(u32::MAX)
}

fn shorten(text: &str, limits: &DecodeLimits, odd: &mut u16) -> String {
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

fn attributes(sent: &[KeyValue], limits: &DecodeLimits, odd: &mut u16) -> BTreeMap<String, Stored> {
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

fn events(span: &Span, limits: &DecodeLimits, odd: &mut u16) -> Vec<(u64, String, Vec<Vec<u8>>)> {
    if span.events.len() > limits.events_per_span {
        *odd |= anomaly::DROPPED_FIELDS;
    }
    let mut kept = Vec::new();
    for event in span.events.iter().take(limits.events_per_span) {
        if event.attributes.len() > limits.attributes_per_span {
            *odd |= anomaly::DROPPED_FIELDS;
        }
        let mut attributes = Vec::new();
        for attribute in event.attributes.iter().take(limits.attributes_per_span) {
            let mut attribute = attribute.clone();
            if attribute.encoded_len() > limits.value_bytes_max {
                let Some(Value::StringValue(text)) =
                    attribute.value.as_mut().and_then(|any| any.value.as_mut())
                else {
                    *odd |= anomaly::DROPPED_FIELDS;
                    continue;
                };
                if attribute.key.len() > limits.key_bytes_max {
                    *odd |= anomaly::DROPPED_FIELDS;
                    continue;
                }
                *text = shorten(text, limits, odd);
                attribute.key_strindex = 0;
            }
            attributes.push(attribute.encode_to_vec());
        }
        kept.push((
            event.time_unix_nano,
            shorten(&event.name, limits, odd),
            attributes,
        ));
    }
    kept
}

fn links(span: &Span, limits: &DecodeLimits, odd: &mut u16) -> Vec<(u128, u64, u32)> {
    if span.links.len() > limits.links_per_span {
        *odd |= anomaly::DROPPED_FIELDS;
    }
    let mut kept = Vec::new();
    for link in span.links.iter().take(limits.links_per_span) {
        let (trace, span) = (number(&link.trace_id, 16), number(&link.span_id, 8));
        match (trace.unwrap_or(0), span.unwrap_or(0)) {
            (0, _) | (_, 0) => *odd |= anomaly::DROPPED_FIELDS,
            (trace, span) => kept.push((trace, span as u64, link.flags)),
        }
    }
    kept
}
