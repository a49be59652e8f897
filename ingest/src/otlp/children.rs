//! Events and links of a span into their child tables.

use super::DecodeLimits;
use super::check::Check;
use super::error::Stop;
use super::rules::ids;
use super::schema::{EVENT, LINK, text};
use super::span::SPAN_DEPTH;
use super::value::{AnyValue, KeyValue, cut_text};
use super::wire::{BYTES, Wire, key};
use engine::anomaly;
use engine::items::ValueKind;
use engine::span::{SpanEvent, SpanLink};

/// Reads the encoded event of `row`; returns it and the anomalies met.
pub(super) fn event(
    bytes: &[u8],
    row: u32,
    limits: &DecodeLimits,
    check: &mut Check,
) -> Result<(SpanEvent, u16), Stop> {
    check.message(&EVENT, bytes, SPAN_DEPTH + 1)?;
    let mut event = SpanEvent {
        row,
        time: 0,
        name: String::new(),
        attributes: Vec::new(),
    };
    let (mut name, mut kept, mut anomalies) = ("", 0, 0);
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next_key()? {
        match field >> 3 {
            1 => event.time = wire.fixed64()?,
            2 => name = text(wire.bytes()?)?,
            3 if kept < limits.attributes_per_span => {
                kept += 1;
                let encoded = wire.bytes()?;
                anomalies |= keep_attribute(encoded, &mut event.attributes, limits, check)?;
            }
            3 => {
                wire.bytes()?;
                anomalies |= anomaly::DROPPED_FIELDS;
            }
            _ => wire.skip(field, SPAN_DEPTH + 1, check.depth_max)?,
        }
    }
    let short = cut_text(name.as_bytes(), limits.value_bytes_max);
    if short.len() < name.len() {
        anomalies |= anomaly::TRUNCATED_VALUE;
    }
    event.name = text(short)?.to_owned();
    Ok((event, anomalies))
}

/// Appends a valid, encoded `KeyValue`: as it is when small, with its text cut when that is what makes it large.
fn keep_attribute(
    encoded: &[u8],
    out: &mut Vec<u8>,
    limits: &DecodeLimits,
    check: &mut Check,
) -> Result<u16, Stop> {
    if encoded.len() <= limits.value_bytes_max {
        put_bytes(out, encoded);
        return Ok(0);
    }
    let entry = KeyValue::split(encoded, check, SPAN_DEPTH + 2)?;
    let value = AnyValue::read(&entry.value, check, SPAN_DEPTH + 3)?;
    if value.kind != ValueKind::Text || entry.key.len() > limits.key_bytes_max {
        return Ok(anomaly::DROPPED_FIELDS);
    }
    let cut = cut_text(value.stored(), limits.value_bytes_max);
    let mut any = vec![key(1, BYTES) as u8];
    put_bytes(&mut any, cut);
    let mut whole = vec![key(1, BYTES) as u8];
    put_bytes(&mut whole, entry.key);
    whole.push(key(2, BYTES) as u8);
    put_bytes(&mut whole, &any);
    put_bytes(out, &whole);
    match cut.len() < value.stored().len() {
        true => Ok(anomaly::TRUNCATED_VALUE),
        false => Ok(0),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

/// Reads the encoded link of `row`; `None` when its ids are invalid.
pub(super) fn link(bytes: &[u8], row: u32, check: &mut Check) -> Result<Option<SpanLink>, Stop> {
    check.message(&LINK, bytes, SPAN_DEPTH + 1)?;
    let (mut trace_id, mut span_id, mut flags): (&[u8], &[u8], u32) = (&[], &[], 0);
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next_key()? {
        match field >> 3 {
            1 => trace_id = wire.bytes()?,
            2 => span_id = wire.bytes()?,
            6 => flags = wire.fixed32()?,
            _ => wire.skip(field, SPAN_DEPTH + 1, check.depth_max)?,
        }
    }
    let (trace_id, span_id) = ids(trace_id, span_id);
    Ok((trace_id != 0 && span_id != 0).then_some(SpanLink {
        row,
        trace_id,
        span_id,
        flags,
    }))
}
