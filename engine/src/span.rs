//! `SpanBatch`: the columns that are the contract between `ingest` (which fills them) and everything after.
//!
//! One request decodes into one or more batches of at most [`ROWS_MAX`] rows. Columns are Arrow buffers, so the
//! store keeps them and SQL reads them without a copy. Attributes live in one column per (key, kind): a presence
//! bitmap and `u16` codes into a value table, or, beyond [`DICTIONARY_MAX`] distinct values, one value per row in
//! a raw arena. Predicates are therefore evaluated once per distinct code, not once per row.

use crate::identity::Identity;
use crate::time::Timestamp;
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use std::sync::Arc;

/// Most rows of one batch.
pub const ROWS_MAX: usize = 8_192;
/// Most distinct values an attribute column keeps as a dictionary.
pub const DICTIONARY_MAX: usize = 512;
/// `duration` of a span whose duration cannot be known (no end, end before start).
pub const DURATION_UNKNOWN: u64 = u64::MAX;

/// Span kind, OTLP numbering; unknown numbers are kept and are never SERVER.
pub mod kind {
    /// Unspecified (treated as INTERNAL).
    pub const UNSPECIFIED: u8 = 0;
    /// Internal operation.
    pub const INTERNAL: u8 = 1;
    /// Server side of a synchronous call.
    pub const SERVER: u8 = 2;
    /// Client side of a synchronous call.
    pub const CLIENT: u8 = 3;
    /// Sender of a message.
    pub const PRODUCER: u8 = 4;
    /// Receiver of a message.
    pub const CONSUMER: u8 = 5;
}

/// Span status code, OTLP numbering; anything else is stored as UNSET.
pub mod status {
    /// Not set.
    pub const UNSET: u8 = 0;
    /// Explicitly fine.
    pub const OK: u8 = 1;
    /// Explicitly failed.
    pub const ERROR: u8 = 2;
}

/// Bits of the `anomalies` column: what was odd about a span that was accepted all the same.
pub mod anomaly {
    /// End before start, or start or end missing: duration unknown, counts for availability, not for latency.
    pub const NEGATIVE_DURATION: u16 = 1;
    /// Ends more than 60 s after it was received: outside SLO math until its time comes.
    pub const FUTURE: u16 = 1 << 1;
    /// Its parent is itself; treated as a root.
    pub const SELF_PARENT: u16 = 1 << 2;
    /// Parent id of a wrong length; treated as a root.
    pub const BAD_PARENT: u16 = 1 << 3;
    /// One key twice; the last value won.
    pub const DUPLICATE_ATTRIBUTE: u16 = 1 << 4;
    /// Status code that does not exist; treated as UNSET.
    pub const UNKNOWN_STATUS: u16 = 1 << 5;
    /// An attribute value was cut to the limit.
    pub const TRUNCATED_VALUE: u16 = 1 << 6;
    /// Attributes, events or links beyond the limit, empty or oversized keys, or an oversized tracestate were dropped.
    pub const DROPPED_FIELDS: u16 = 1 << 7;
    /// Older than the allowed lateness.
    pub const LATE: u16 = 1 << 8;
    /// Same ids as another span, other content.
    pub const ID_CONFLICT: u16 = 1 << 9;
    /// Every anomaly with its metric label, in bit order.
    pub const NAMES: &[(u16, &str)] = &[
        (NEGATIVE_DURATION, "negative_duration"),
        (FUTURE, "future"),
        (SELF_PARENT, "self_parent"),
        (BAD_PARENT, "bad_parent"),
        (DUPLICATE_ATTRIBUTE, "dup_attr"),
        (UNKNOWN_STATUS, "unknown_status"),
        (TRUNCATED_VALUE, "truncated_value"),
        (DROPPED_FIELDS, "dropped_fields"),
        (LATE, "late"),
        (ID_CONFLICT, "id_conflict"),
    ];
}

/// The type of an attribute value; one key with two types is two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueKind {
    /// UTF-8 text.
    Text,
    /// Signed 64-bit integer, stored little-endian.
    Int,
    /// 64-bit float, stored as little-endian bits.
    Double,
    /// One byte, 0 or 1.
    Bool,
    /// Raw bytes.
    Bytes,
    /// An array or key-value list, stored as its encoded `AnyValue`.
    Nested,
    /// An empty value.
    Empty,
}

/// One attribute value, borrowed from a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Signed integer.
    Int(i64),
    /// Float.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Encoded `AnyValue` of an array or key-value list.
    Nested(&'a [u8]),
    /// Empty value.
    Empty,
}

impl<'a> Value<'a> {
    /// Reads `bytes` as a value of `kind`. Text that is not UTF-8 (never produced by `ingest`) reads as bytes.
    pub fn read(kind: ValueKind, bytes: &'a [u8]) -> Self {
        let word = || bytes.first_chunk::<8>().copied().unwrap_or_default();
        match kind {
            ValueKind::Text => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text),
                Err(_) => Self::Bytes(bytes),
            },
            ValueKind::Int => Self::Int(i64::from_le_bytes(word())),
            ValueKind::Double => Self::Double(f64::from_le_bytes(word())),
            ValueKind::Bool => Self::Bool(bytes.first().is_some_and(|byte| *byte != 0)),
            ValueKind::Bytes => Self::Bytes(bytes),
            ValueKind::Nested => Self::Nested(bytes),
            ValueKind::Empty => Self::Empty,
        }
    }

    /// The value as an integer, also when it was sent as text or as a whole float (Envoy sends `"503"`).
    pub fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(int),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Double(double) if double == double.trunc() && double.abs() < 9.0e15 => {
                Some(double as i64)
            }
            _ => None,
        }
    }

    /// Text when it is text.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A table of byte strings: value `i` is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone)]
pub struct ValueTable {
    /// `len + 1` ascending offsets.
    pub offsets: ScalarBuffer<u32>,
    /// The values, end to end.
    pub bytes: Buffer,
}

impl ValueTable {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index`; empty when out of range.
    pub fn get(&self, index: usize) -> &[u8] {
        match (self.offsets.get(index), self.offsets.get(index + 1)) {
            (Some(start), Some(end)) => self
                .bytes
                .as_slice()
                .get(*start as usize..*end as usize)
                .unwrap_or_default(),
            _ => &[],
        }
    }

    /// Value `index` as text; empty when it is not UTF-8.
    pub fn text(&self, index: usize) -> &str {
        std::str::from_utf8(self.get(index)).unwrap_or_default()
    }

    /// Heap bytes held.
    pub fn byte_size(&self) -> usize {
        self.offsets.len() * 4 + self.bytes.len()
    }
}

impl<V: AsRef<[u8]>> FromIterator<V> for ValueTable {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        let mut offsets = vec![0u32];
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend_from_slice(value.as_ref());
            offsets.push(bytes.len() as u32);
        }
        Self {
            offsets: offsets.into(),
            bytes: Buffer::from_vec(bytes),
        }
    }
}

/// How a column stores its values.
#[derive(Debug, Clone)]
pub enum ColumnData {
    /// Row `r` holds `values[codes[r]]` where present.
    Codes {
        /// One code a row (0 where absent).
        codes: ScalarBuffer<u16>,
        /// The distinct values, at most [`DICTIONARY_MAX`].
        values: ValueTable,
    },
    /// Row `r` holds value `r` of the table (empty where absent).
    Raw(ValueTable),
}

/// One attribute column: all values of one key that have one kind.
#[derive(Debug, Clone)]
pub struct AttributeColumn {
    /// Attribute key.
    pub key: Arc<str>,
    /// Type of every value in it.
    pub kind: ValueKind,
    /// Which rows have the attribute.
    pub present: BooleanBuffer,
    /// The values.
    pub data: ColumnData,
}

impl AttributeColumn {
    /// The value at `row`, if present.
    pub fn get(&self, row: usize) -> Option<Value<'_>> {
        if row >= self.present.len() || !self.present.value(row) {
            return None;
        }
        let bytes = match &self.data {
            ColumnData::Codes { codes, values } => values.get(usize::from(codes[row])),
            ColumnData::Raw(values) => values.get(row),
        };
        Some(Value::read(self.kind, bytes))
    }

    /// Heap bytes held.
    pub fn byte_size(&self) -> usize {
        let data = match &self.data {
            ColumnData::Codes { codes, values } => codes.len() * 2 + values.byte_size(),
            ColumnData::Raw(values) => values.byte_size(),
        };
        data + self.present.len().div_ceil(8) + size_of::<Self>()
    }
}

/// A resource as it was sent, and who it turned out to be. Shared between batches that carry the same one.
#[derive(Debug)]
pub struct Resource {
    /// BLAKE3-128 of `encoded`.
    pub hash: u128,
    /// The encoded OTLP `Resource` message.
    pub encoded: Vec<u8>,
    /// Its attributes: key, kind, value bytes (last of a repeated key).
    pub attributes: Vec<(String, ValueKind, Vec<u8>)>,
    /// Service and revision.
    pub identity: Arc<Identity>,
}

/// An instrumentation scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Scope name.
    pub name: String,
    /// Scope version.
    pub version: String,
}

/// A text value that few rows have (status message, tracestate), rows ascending.
#[derive(Debug, Clone, Default)]
pub struct SparseText {
    /// Rows that have one.
    pub rows: Vec<u32>,
    /// Their values.
    pub values: Vec<String>,
}

impl SparseText {
    /// The value at `row`, if any.
    pub fn get(&self, row: usize) -> Option<&str> {
        let index = self.rows.binary_search(&(row as u32)).ok()?;
        self.values.get(index).map(String::as_str)
    }
}

/// One event of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanEvent {
    /// Row of its span.
    pub row: u32,
    /// When, ns since the epoch.
    pub time: u64,
    /// Event name.
    pub name: String,
    /// Its attributes, as the encoded `KeyValue` messages, each length-delimited.
    pub attributes: Vec<u8>,
}

/// One link of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanLink {
    /// Row of its span.
    pub row: u32,
    /// Linked trace.
    pub trace_id: u128,
    /// Linked span.
    pub span_id: u64,
    /// Link flags.
    pub flags: u32,
}

/// Up to [`ROWS_MAX`] spans as columns. All row columns have `len()` entries.
#[derive(Debug)]
pub struct SpanBatch {
    /// When the request was received.
    pub received: Timestamp,
    /// Resources that `resource` points into.
    pub resources: Vec<Arc<Resource>>,
    /// Scopes that `scope` points into.
    pub scopes: Vec<Arc<Scope>>,
    /// Distinct span names that `name` points into.
    pub names: ValueTable,
    /// Trace id, big-endian value of the 16 bytes.
    pub trace_id: ScalarBuffer<u128>,
    /// Span id, big-endian value of the 8 bytes.
    pub span_id: ScalarBuffer<u64>,
    /// Parent span id; 0 = root.
    pub parent_id: ScalarBuffer<u64>,
    /// Start, ns since the epoch (0 = unknown).
    pub start: ScalarBuffer<u64>,
    /// Duration, ns; [`DURATION_UNKNOWN`] when it cannot be known.
    pub duration: ScalarBuffer<u64>,
    /// Event time: the end, ns since the epoch (start when the end is missing or before it).
    pub end: ScalarBuffer<u64>,
    /// Index into `resources`.
    pub resource: ScalarBuffer<u16>,
    /// Index into `scopes`.
    pub scope: ScalarBuffer<u16>,
    /// Index into `names`.
    pub name: ScalarBuffer<u16>,
    /// Span kind ([`kind`]).
    pub kind: ScalarBuffer<u8>,
    /// Status code ([`status`]).
    pub status: ScalarBuffer<u8>,
    /// OTLP span flags, low 16 bits (bits 0-7 W3C, 8 remote known, 9 remote).
    pub flags: ScalarBuffer<u16>,
    /// Bits of [`anomaly`].
    pub anomalies: ScalarBuffer<u16>,
    /// Virtual shard of the trace, `0..SHARDS`.
    pub shard: ScalarBuffer<u8>,
    /// Adjusted count from a sampling threshold (`ot=th:`); 1 when unsampled. Tests never use it.
    pub weight: ScalarBuffer<u32>,
    /// Attribute columns, sorted by (key, kind).
    pub attributes: Vec<AttributeColumn>,
    /// Status messages.
    pub status_message: SparseText,
    /// W3C tracestate.
    pub trace_state: SparseText,
    /// Events, by row.
    pub events: Vec<SpanEvent>,
    /// Links, by row.
    pub links: Vec<SpanLink>,
}

impl SpanBatch {
    /// Number of spans.
    pub fn len(&self) -> usize {
        self.trace_id.len()
    }

    /// Whether there are no spans.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All columns of `key` (one per kind).
    pub fn columns<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a AttributeColumn> + 'a {
        let start = self.attributes.partition_point(|column| &*column.key < key);
        self.attributes[start..]
            .iter()
            .take_while(move |column| &*column.key == key)
    }

    /// The attribute `key` of `row`, whatever its kind.
    pub fn attribute<'a>(&'a self, row: usize, key: &'a str) -> Option<Value<'a>> {
        self.columns(key).find_map(|column| column.get(row))
    }

    /// The resource of `row`.
    pub fn resource_of(&self, row: usize) -> &Arc<Resource> {
        &self.resources[usize::from(self.resource[row])]
    }

    /// The span name of `row`.
    pub fn name_of(&self, row: usize) -> &str {
        self.names.text(usize::from(self.name[row]))
    }

    /// Heap bytes held, shared resources counted once per batch. Used by the store's byte budget.
    pub fn byte_size(&self) -> usize {
        const ROW_BYTES: usize = 16 + 8 * 5 + 2 * 5 + 3 + 4;
        let resources: usize = self.resources.iter().map(|r| r.encoded.len() * 2).sum();
        let attributes: usize = self.attributes.iter().map(AttributeColumn::byte_size).sum();
        let text = |sparse: &SparseText| -> usize {
            sparse.values.iter().map(|v| v.len() + 28).sum::<usize>()
        };
        let events: usize = self
            .events
            .iter()
            .map(|e| e.name.len() + e.attributes.len() + 64)
            .sum();
        self.len() * ROW_BYTES
            + resources
            + attributes
            + self.names.byte_size()
            + text(&self.status_message)
            + text(&self.trace_state)
            + events
            + self.links.len() * size_of::<SpanLink>()
    }
}
