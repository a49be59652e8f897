//! Attribute values as JSON text, for showing: the store keeps arrays and key-value lists as they were encoded.
//!
//! Bytes are shown as hex, floats that JSON does not have (NaN, infinities) as text. What does not decode (never
//! produced by `ingest`) ends the list it stands in; nothing here fails.

use crate::items::Value;
use std::fmt::Write;

/// Lists within lists that are shown; deeper ones are shown as `null`.
const DEPTH_MAX: u32 = 64;

/// Writes `value` as JSON.
pub fn write_value(value: Value<'_>, out: &mut String) {
    write_nested(value, 0, out);
}

/// Writes the encoded `KeyValue` messages (each length-delimited) as a JSON object.
pub fn write_key_values(encoded: &[u8], out: &mut String) {
    out.push('{');
    let mut rest = encoded;
    let mut is_first = true;
    while let Some(message) = take_message(&mut rest) {
        write_entry(message, &mut is_first, 0, out);
    }
    out.push('}');
}

/// Writes `text` as a JSON string.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..index]);
        plain = index + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => put(out, format_args!("\\u{other:04x}")),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Writes `value` as plain text: text as it is, numbers in decimal, anything else as JSON.
pub fn write_plain(value: Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) => out.push_str(text),
        Value::Bytes(bytes) => write_hex(bytes, out),
        Value::Double(double) => put(out, format_args!("{double}")),
        Value::Empty => {}
        other => write_nested(other, 0, out),
    }
}

/// Writing to a string does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

fn write_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        put(out, format_args!("{byte:02x}"));
    }
}

fn write_nested(value: Value<'_>, depth: u32, out: &mut String) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::Int(int) => put(out, format_args!("{int}")),
        Value::Double(double) if double.is_finite() => put(out, format_args!("{double:?}")),
        Value::Double(double) => put(out, format_args!("\"{double}\"")),
        Value::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
        Value::Bytes(bytes) => {
            out.push('"');
            write_hex(bytes, out);
            out.push('"');
        }
        Value::Nested(encoded) => write_any_value(encoded, depth, out),
        Value::Empty => out.push_str("null"),
    }
}

/// Writes an encoded `AnyValue`; of several values in it the last one counts.
fn write_any_value(encoded: &[u8], depth: u32, out: &mut String) {
    let mut rest = encoded;
    let mut last = None;
    while let Some(field) = take_field(&mut rest) {
        last = Some(field);
    }
    match last {
        Some((1, Field::Bytes(text))) => write_text(&String::from_utf8_lossy(text), out),
        Some((2, Field::Varint(flag))) => write_nested(Value::Bool(flag != 0), depth, out),
        Some((3, Field::Varint(int))) => write_nested(Value::Int(int as i64), depth, out),
        Some((4, Field::Fixed64(bits))) => {
            write_nested(Value::Double(f64::from_bits(bits)), depth, out);
        }
        Some((5, Field::Bytes(list))) if depth < DEPTH_MAX => write_array(list, depth, out),
        Some((6, Field::Bytes(list))) if depth < DEPTH_MAX => write_object(list, depth, out),
        Some((7, Field::Bytes(bytes))) => write_nested(Value::Bytes(bytes), depth, out),
        _ => out.push_str("null"),
    }
}

fn write_array(list: &[u8], depth: u32, out: &mut String) {
    out.push('[');
    let mut rest = list;
    let mut is_first = true;
    while let Some(field) = take_field(&mut rest) {
        if let (1, Field::Bytes(element)) = field {
            if !std::mem::take(&mut is_first) {
                out.push(',');
            }
            write_any_value(element, depth + 1, out);
        }
    }
    out.push(']');
}

fn write_object(list: &[u8], depth: u32, out: &mut String) {
    out.push('{');
    let mut rest = list;
    let mut is_first = true;
    while let Some(field) = take_field(&mut rest) {
        if let (1, Field::Bytes(entry)) = field {
            write_entry(entry, &mut is_first, depth + 1, out);
        }
    }
    out.push('}');
}

fn write_entry(key_value: &[u8], is_first: &mut bool, depth: u32, out: &mut String) {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut rest = key_value;
    while let Some(field) = take_field(&mut rest) {
        match field {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if !std::mem::take(is_first) {
        out.push(',');
    }
    write_text(&String::from_utf8_lossy(key), out);
    out.push(':');
    write_any_value(value, depth, out);
}

enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = take_varint(rest)?;
    let field = match key & 7 {
        0 => Field::Varint(take_varint(rest)?),
        1 => Field::Fixed64(u64::from_le_bytes(*take(rest, 8)?.first_chunk()?)),
        2 => Field::Bytes(take_message(rest)?),
        5 => {
            let _ = take(rest, 4)?;
            Field::Fixed32
        }
        _ => return None,
    };
    Some((key >> 3, field))
}

fn take_message<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_varint(rest)?;
    take(rest, usize::try_from(length).ok()?)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
