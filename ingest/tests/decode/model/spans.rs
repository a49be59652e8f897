//! Spans, as they must come out.

use super::{Outcome, Own, Row, SEED, attributes, event_time, number, origin, shorten};
use engine::anomaly;
use engine::span::DURATION_UNKNOWN;
use ingest::otlp::{DecodeLimits, RejectReason};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// The columns that only spans have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpanRow {
    pub ids: (u128, u64, u64),
    pub times: (u64, u64, u64),
    pub kind: u8,
    pub status: u8,
    pub flags: u16,
    pub weight: u32,
    pub name: String,
    pub status_message: Option<String>,
    pub trace_state: Option<String>,
    pub events: Vec<(u64, String, Vec<Vec<u8>>)>,
    pub links: Vec<(u128, u64, u32)>,
}

pub(crate) fn expected(request: &ExportTraceServiceRequest, limits: &DecodeLimits) -> Outcome {
    let mut outcome = Outcome::default();
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.clone().unwrap_or_default();
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.clone().unwrap_or_default();
            for span in &scope_spans.spans {
                outcome.add(row(span, &resource, &scope, limits));
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
    let origin = origin(resource, scope, limits, &mut odd);
    let own = SpanRow {
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
        weight,
        name: shorten(&span.name, limits, &mut odd),
        status_message: Some(shorten(message, limits, &mut odd)).filter(|text| !text.is_empty()),
        trace_state,
        events: events(span, limits, &mut odd),
        links: links(span, limits, &mut odd),
    };
    Ok(Row {
        origin,
        attributes: attributes(&span.attributes, limits, &mut odd),
        shard: SEED.shard(trace_id),
        own: Own::Span(own),
        anomalies: odd,
    })
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
    event_time(event, odd)?;
    if !known {
        *odd |= anomaly::NEGATIVE_DURATION;
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
