//! A span encoded once, with the places where each copy differs.

use super::writer::{
    FIXED64, LENGTH_DELIMITED, field_bytes, field_fixed32, field_fixed64, field_varint, put_key,
    put_varint,
};

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Integer.
    Int(i64),
    /// Float.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// Text before 16 hexadecimal digits that differ from span to span (spans only; a resource shows zeros).
    Marked(String),
    /// A list of one text.
    List(String),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Key, never empty.
    pub key: String,
    /// Value.
    pub value: Value,
}

impl Attribute {
    /// A text attribute.
    pub fn text(key: &str, value: impl Into<String>) -> Self {
        Self::new(key, Value::Text(value.into()))
    }

    /// An integer attribute.
    pub fn int(key: &str, value: i64) -> Self {
        Self::new(key, Value::Int(value))
    }

    /// A text attribute that ends in 16 hexadecimal digits of high cardinality.
    pub fn marked(key: &str, prefix: impl Into<String>) -> Self {
        Self::new(key, Value::Marked(prefix.into()))
    }

    /// An attribute of any type.
    pub fn new(key: &str, value: Value) -> Self {
        Self {
            key: key.to_owned(),
            value,
        }
    }
}

/// What a template is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSpec {
    /// Span name.
    pub name: String,
    /// OTLP kind: 2 server, 3 client.
    pub kind: u8,
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// OTLP status code: 0 unset, 2 error.
    pub status: u8,
    /// Status message; empty for none.
    pub message: String,
    /// Whether there is room for a parent id.
    pub has_parent: bool,
}

/// What differs from span to span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ids {
    /// Trace.
    pub trace_id: u128,
    /// Span.
    pub span_id: u64,
    /// Parent; ignored by templates without one.
    pub parent_id: u64,
    /// Start, Unix ns.
    pub start: u64,
    /// End, Unix ns.
    pub end: u64,
    /// The number behind the marked attributes.
    pub mark: u64,
}

/// One encoded span field with its patch offsets.
#[derive(Debug, Clone)]
pub struct SpanTemplate {
    bytes: Vec<u8>,
    trace: usize,
    span: usize,
    parent: Option<usize>,
    start: usize,
    end: usize,
    marks: Vec<usize>,
}

/// W3C flags: sampled, parent's remoteness known, and whether it is remote (for servers with a parent).
const fn flags(kind: u8, has_parent: bool) -> u32 {
    if kind == 2 && has_parent {
        0x301
    } else {
        0x101
    }
}

impl SpanTemplate {
    /// Encodes `spec` as field 2 of `ScopeSpans`.
    pub fn new(spec: &SpanSpec) -> Self {
        let mut body = Vec::new();
        let mut marks = Vec::new();
        let trace = put_hole(&mut body, 1, 16);
        let span = put_hole(&mut body, 2, 8);
        let parent = spec.has_parent.then(|| put_hole(&mut body, 4, 8));
        field_bytes(&mut body, 5, spec.name.as_bytes());
        field_varint(&mut body, 6, u64::from(spec.kind));
        put_key(&mut body, 7, FIXED64);
        let start = body.len();
        body.extend_from_slice(&[0; 8]);
        field_fixed64(&mut body, 8, 0);
        let end = body.len() - 8;
        for attribute in &spec.attributes {
            let mark = put_attribute(&mut body, 9, attribute);
            marks.extend(mark);
        }
        put_status(&mut body, spec);
        field_fixed32(&mut body, 16, flags(spec.kind, spec.has_parent));
        let mut bytes = Vec::new();
        field_bytes(&mut bytes, 2, &body);
        let shift = bytes.len() - body.len();
        Self {
            trace: trace + shift,
            span: span + shift,
            parent: parent.map(|at| at + shift),
            start: start + shift,
            end: end + shift,
            marks: marks.into_iter().map(|at| at + shift).collect(),
            bytes,
        }
    }

    /// Encoded length, always the same.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true: a span has ids at least.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends a copy with `ids` patched in.
    pub fn write(&self, ids: &Ids, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&self.bytes);
        self.patch(&mut out[at..], ids);
    }

    /// Overwrites what differs in `copy`, an earlier [`Self::write`] of this template.
    pub fn patch(&self, copy: &mut [u8], ids: &Ids) {
        put(copy, self.trace, &ids.trace_id.to_be_bytes());
        put(copy, self.span, &ids.span_id.to_be_bytes());
        if let Some(parent) = self.parent {
            put(copy, parent, &ids.parent_id.to_be_bytes());
        }
        put(copy, self.start, &ids.start.to_le_bytes());
        put(copy, self.end, &ids.end.to_le_bytes());
        if !self.marks.is_empty() {
            let digits = hexadecimal(ids.mark);
            self.marks.iter().for_each(|at| put(copy, *at, &digits));
        }
    }
}

fn put(copy: &mut [u8], at: usize, bytes: &[u8]) {
    copy[at..at + bytes.len()].copy_from_slice(bytes);
}

fn hexadecimal(value: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 16];
    for (index, digit) in digits.iter_mut().enumerate() {
        *digit = DIGITS[(value >> (60 - 4 * index)) as usize & 15];
    }
    digits
}

fn put_hole(out: &mut Vec<u8>, field: u32, width: usize) -> usize {
    field_bytes(out, field, &vec![0; width]);
    out.len() - width
}

fn put_status(out: &mut Vec<u8>, spec: &SpanSpec) {
    let mut status = Vec::new();
    if !spec.message.is_empty() {
        field_bytes(&mut status, 2, spec.message.as_bytes());
    }
    if spec.status != 0 {
        field_varint(&mut status, 3, u64::from(spec.status));
    }
    if !status.is_empty() {
        field_bytes(out, 15, &status);
    }
}

/// Appends a `KeyValue` as `field`; returns where the digits of a marked value stand.
pub(super) fn put_attribute(out: &mut Vec<u8>, field: u32, attribute: &Attribute) -> Option<usize> {
    let mut value = Vec::new();
    let is_marked = put_value(&mut value, &attribute.value);
    let mut pair = Vec::new();
    field_bytes(&mut pair, 1, attribute.key.as_bytes());
    field_bytes(&mut pair, 2, &value);
    field_bytes(out, field, &pair);
    is_marked.then(|| out.len() - 16)
}

fn put_value(out: &mut Vec<u8>, value: &Value) -> bool {
    match value {
        Value::Text(text) => field_bytes(out, 1, text.as_bytes()),
        Value::Bool(truth) => field_varint(out, 2, u64::from(*truth)),
        Value::Int(number) => field_varint(out, 3, number.cast_unsigned()),
        Value::Double(number) => field_fixed64(out, 4, number.to_bits()),
        Value::Marked(prefix) => {
            put_key(out, 1, LENGTH_DELIMITED);
            put_varint(out, prefix.len() as u64 + 16);
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(&[b'0'; 16]);
            return true;
        }
        Value::List(text) => {
            let mut element = Vec::new();
            field_bytes(&mut element, 1, text.as_bytes());
            let mut list = Vec::new();
            field_bytes(&mut list, 1, &element);
            field_bytes(out, 5, &list);
        }
    }
    false
}
