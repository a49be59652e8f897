//! What spans, metric points and log records share: where they came from, and their attributes, as columns.
//!
//! Attributes live in one column per (key, kind): a presence bitmap and `u16` codes into a value table, or, beyond
//! [`DICTIONARY_MAX`] distinct values, one value per row in a raw arena. Predicates are therefore evaluated once per
//! distinct code, not once per row. Columns are Arrow buffers: the store keeps them and SQL reads them without a copy.

use crate::identity::Identity;
use crate::time::Timestamp;
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most rows of one batch.
pub const ROWS_MAX: usize = 8_192;
/// Most distinct values an attribute column keeps as a dictionary.
pub const DICTIONARY_MAX: usize = 512;

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order shown.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The name in paths and labels: `traces`, `metrics`, `logs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// What one item is called: `spans`, `points`, `records`.
    pub const fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "points",
            Self::Logs => "records",
        }
    }
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

/// Attributes by which tail samplers say that they chose an item: the Collector's (feature gate `recordpolicy`, on the
/// scope) and Refinery's (on the span).
pub const TAIL_SAMPLERS: [&str; 6] = [
    "meta.refinery.reason",
    "meta.refinery.sample_rate",
    "meta.refinery.send_reason",
    "tailsampling.cached_decision",
    "tailsampling.composite_policy",
    "tailsampling.policy",
];

/// An instrumentation scope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Scope name.
    pub name: String,
    /// Scope version.
    pub version: String,
    /// Whether one of its attributes is in [`TAIL_SAMPLERS`].
    pub is_tail_sampled: bool,
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

/// The columns every item has, whatever its signal. All row columns have as many entries as the batch has rows.
#[derive(Debug)]
pub struct ItemColumns {
    /// When the request was received.
    pub received: Timestamp,
    /// Resources that `resource` points into.
    pub resources: Vec<Arc<Resource>>,
    /// Scopes that `scope` points into.
    pub scopes: Vec<Arc<Scope>>,
    /// Index into `resources`.
    pub resource: ScalarBuffer<u16>,
    /// Index into `scopes`.
    pub scope: ScalarBuffer<u16>,
    /// Attribute columns, sorted by (key, kind).
    pub attributes: Vec<AttributeColumn>,
}

impl ItemColumns {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.resource.len()
    }

    /// Whether there are no rows.
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

    /// Heap bytes held, shared resources counted once per batch.
    pub fn byte_size(&self) -> usize {
        let resources: usize = self.resources.iter().map(|r| r.encoded.len() * 2).sum();
        let attributes: usize = self.attributes.iter().map(AttributeColumn::byte_size).sum();
        self.len() * 4 + resources + attributes
    }
}
