//! The few protobuf messages a receiver sends: `google.rpc.Status` with its details, and the OTLP export response.
//!
//! They are five fields in all, so they are written by hand: a generated crate would be the larger thing to trust.
//! Sources: `google/rpc/status.proto`, `google/rpc/error_details.proto`, OTLP `*_service.proto`.

use base64::Engine as _;
use engine::items::Signal;

/// Longest message of a status, bytes: it travels in HTTP/2 headers, which clients cap at 8 to 16 KiB.
pub(crate) const STATUS_MESSAGE_BYTES_MAX: usize = 1024;
/// Longest `partial_success.error_message`, bytes: some exporters retry for ever on responses beyond 64 KiB.
pub(crate) const PARTIAL_MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What the client is told beside code and message; at most one of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// `google.rpc.RetryInfo.retry_delay`, whole seconds: the client may try the same request again.
    pub(crate) retry_secs: Option<u32>,
    /// `google.rpc.BadRequest`: (field, description) of the one violation.
    pub(crate) violation: Option<(String, String)>,
}

/// An encoded `google.rpc.Status`.
pub(crate) fn status(code: u8, message: &str, details: &Details) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + message.len());
    put_uint(&mut out, 1, u64::from(code));
    put_bytes(&mut out, 2, message.as_bytes());
    if let Some(secs) = details.retry_secs {
        let mut duration = Vec::new();
        put_uint(&mut duration, 1, u64::from(secs));
        put_any(&mut out, "google.rpc.RetryInfo", &nested(1, &duration));
    }
    if let Some((field, description)) = &details.violation {
        let mut violation = nested(1, field.as_bytes());
        put_bytes(&mut violation, 2, description.as_bytes());
        put_any(&mut out, "google.rpc.BadRequest", &nested(1, &violation));
    }
    out
}

/// The same status in the protobuf JSON mapping.
pub(crate) fn status_json(code: u8, message: &str, details: &Details) -> Vec<u8> {
    let mut list = Vec::new();
    if let Some(secs) = details.retry_secs {
        list.push(serde_json::json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{secs}s"),
        }));
    }
    if let Some((field, description)) = &details.violation {
        list.push(serde_json::json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": description}],
        }));
    }
    serde_json::json!({"code": code, "message": message, "details": list})
        .to_string()
        .into_bytes()
}

/// An encoded `Export*ServiceResponse`: empty (`partial_success` unset) when nothing was rejected and nothing is to be said.
pub(crate) fn export_response(rejected: u64, message: &str) -> Vec<u8> {
    if rejected == 0 && message.is_empty() {
        return Vec::new();
    }
    let mut partial = Vec::with_capacity(16 + message.len());
    put_uint(&mut partial, 1, rejected);
    put_bytes(
        &mut partial,
        2,
        cut(message, PARTIAL_MESSAGE_BYTES_MAX).as_bytes(),
    );
    nested(1, &partial)
}

/// The same response in the protobuf JSON mapping. The count is a number: every parser of 64-bit integers must take one,
/// and the Rust exporter takes nothing else.
pub(crate) fn export_response_json(signal: Signal, rejected: u64, message: &str) -> Vec<u8> {
    if rejected == 0 && message.is_empty() {
        return b"{}".to_vec();
    }
    let count = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    let message = cut(message, PARTIAL_MESSAGE_BYTES_MAX);
    serde_json::json!({"partialSuccess": {count: rejected, "errorMessage": message}})
        .to_string()
        .into_bytes()
}

/// The longest prefix of `text` that is at most `bytes` long and ends at a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Base64 without padding, as gRPC asks for binary metadata.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

/// Percent-encoding of `grpc-message`: everything but printable ASCII, and `%` itself.
pub(crate) fn percent_encode(message: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

fn put_any(out: &mut Vec<u8>, message: &str, value: &[u8]) {
    let mut any = nested(1, format!("type.googleapis.com/{message}").as_bytes());
    put_bytes(&mut any, 2, value);
    put_bytes(out, 3, &any);
}

fn nested(field: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 6);
    put_bytes(&mut out, field, bytes);
    out
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field << 3));
    put_varint(out, value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
