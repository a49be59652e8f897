//! Rows to columns: builds a [`SpanBatch`] from spans held one by one, for tests, examples and small tools.
//!
//! The way of real traffic is `ingest`'s decoder, which never holds a row; this one is plain and slow.

use crate::hash::{FixedMap, HashSeed, blake3_128};
use crate::identity::Identity;
use crate::items::{
    AttributeColumn, ColumnData, DICTIONARY_MAX, ItemColumns, Resource, Scope, SparseText,
    ValueKind, ValueTable,
};
use crate::span::{DURATION_UNKNOWN, SpanBatch};
use crate::time::Timestamp;
use arrow_buffer::BooleanBuffer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An attribute value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowValue {
    /// UTF-8 text.
    Text(String),
    /// Signed integer.
    Int(i64),
    /// Float.
    Double(f64),
    /// Boolean.
    Bool(bool),
}

impl RowValue {
    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Self::Text(_) => ValueKind::Text,
            Self::Int(_) => ValueKind::Int,
            Self::Double(_) => ValueKind::Double,
            Self::Bool(_) => ValueKind::Bool,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Int(int) => int.to_le_bytes().to_vec(),
            Self::Double(double) => double.to_le_bytes().to_vec(),
            Self::Bool(flag) => vec![u8::from(*flag)],
        }
    }
}

impl From<&str> for RowValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for RowValue {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<f64> for RowValue {
    fn from(double: f64) -> Self {
        Self::Double(double)
    }
}

impl From<bool> for RowValue {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

/// One span as a row.
#[derive(Debug, Clone)]
pub struct SpanRow {
    /// Trace id.
    pub trace_id: u128,
    /// Span id.
    pub span_id: u64,
    /// Parent span id; 0 = root.
    pub parent_id: u64,
    /// Start, ns since the epoch; 0 = unknown.
    pub start: u64,
    /// End, ns since the epoch; before the start = duration unknown.
    pub end: u64,
    /// Kind ([`crate::span::kind`]).
    pub kind: u8,
    /// Status ([`crate::span::status`]).
    pub status: u8,
    /// Anomaly bits ([`crate::anomaly`]).
    pub anomalies: u16,
    /// Span name.
    pub name: String,
    /// Who sent it.
    pub resource: Arc<Resource>,
    /// Attributes; of a repeated key and type the last one counts.
    pub attributes: Vec<(String, RowValue)>,
}

impl SpanRow {
    /// A span of `resource` with ids, times and kind; everything else empty.
    pub fn new(resource: &Arc<Resource>, ids: (u128, u64), times: (u64, u64), kind: u8) -> Self {
        Self {
            trace_id: ids.0,
            span_id: ids.1,
            parent_id: 0,
            start: times.0,
            end: times.1,
            kind,
            status: crate::span::status::UNSET,
            anomalies: 0,
            name: String::new(),
            resource: resource.clone(),
            attributes: Vec::new(),
        }
    }

    /// The same span with one more attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<RowValue>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    /// The same span with another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same span with another status.
    #[must_use]
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }
}

/// A resource of text attributes, identified as [`Identity::resolve`] does. Its encoded form stays empty and its
/// hash is taken over the attributes.
pub fn resource(attributes: &[(&str, &str)]) -> Arc<Resource> {
    let parts: Vec<&[u8]> = attributes
        .iter()
        .flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()])
        .collect();
    let find = |wanted: &str| {
        let found = attributes.iter().rfind(|(key, _)| *key == wanted);
        found.map(|(_, value)| *value)
    };
    Arc::new(Resource {
        hash: blake3_128("resource", &parts),
        encoded: Vec::new(),
        attributes: attributes
            .iter()
            .map(|(key, value)| {
                let bytes = value.as_bytes().to_vec();
                ((*key).to_owned(), ValueKind::Text, bytes)
            })
            .collect(),
        identity: Arc::new(Identity::resolve(find)),
    })
}

/// The columns of `rows` (at most [`crate::items::ROWS_MAX`]), received at `received`.
pub fn batch(seed: HashSeed, received: Timestamp, rows: &[SpanRow]) -> SpanBatch {
    let (name, names) = dictionary(rows.iter().map(|row| row.name.as_bytes()));
    let duration = |row: &SpanRow| {
        let known = row.start != 0 && row.end >= row.start;
        if known {
            row.end - row.start
        } else {
            DURATION_UNKNOWN
        }
    };
    let senders = rows.iter().map(|row| (&row.resource, &*row.attributes));
    SpanBatch {
        items: item_columns(received, senders),
        names,
        trace_id: rows.iter().map(|row| row.trace_id).collect(),
        span_id: rows.iter().map(|row| row.span_id).collect(),
        parent_id: rows.iter().map(|row| row.parent_id).collect(),
        start: rows.iter().map(|row| row.start).collect(),
        duration: rows.iter().map(duration).collect(),
        end: rows.iter().map(|row| row.end.max(row.start)).collect(),
        name: name.into(),
        kind: rows.iter().map(|row| row.kind).collect(),
        status: rows.iter().map(|row| row.status).collect(),
        flags: rows.iter().map(|_| 0u16).collect(),
        anomalies: rows.iter().map(|row| row.anomalies).collect(),
        shard: rows.iter().map(|row| seed.shard(row.trace_id)).collect(),
        weight: rows.iter().map(|_| 1u32).collect(),
        status_message: SparseText::default(),
        trace_state: SparseText::default(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

/// The attributes of a row.
type Attributes = [(String, RowValue)];

/// The columns that every item has, of rows of one scope.
pub(crate) fn item_columns<'a>(
    received: Timestamp,
    rows: impl Iterator<Item = (&'a Arc<Resource>, &'a Attributes)>,
) -> ItemColumns {
    let (senders, attributes): (Vec<&Arc<Resource>>, Vec<&Attributes>) = rows.unzip();
    let mut resources: Vec<Arc<Resource>> = Vec::new();
    let resource = senders
        .iter()
        .map(|sender| {
            let known = resources.iter().position(|held| held.hash == sender.hash);
            known.unwrap_or_else(|| {
                resources.push(Arc::clone(sender));
                resources.len() - 1
            }) as u16
        })
        .collect();
    ItemColumns {
        received,
        resources,
        scopes: vec![Arc::new(Scope::default())],
        resource,
        scope: senders.iter().map(|_| 0u16).collect(),
        attributes: columns(&attributes),
    }
}

fn columns(rows: &[&Attributes]) -> Vec<AttributeColumn> {
    let mut cells: BTreeMap<(&str, ValueKind), BTreeMap<usize, Vec<u8>>> = BTreeMap::new();
    for (index, attributes) in rows.iter().enumerate() {
        for (key, value) in *attributes {
            let column = cells.entry((key.as_str(), value.kind())).or_default();
            column.insert(index, value.bytes());
        }
    }
    cells
        .into_iter()
        .map(|((key, kind), values)| AttributeColumn {
            key: key.into(),
            kind,
            present: BooleanBuffer::collect_bool(rows.len(), |row| values.contains_key(&row)),
            data: column_data(rows.len(), &values),
        })
        .collect()
}

fn column_data(rows: usize, values: &BTreeMap<usize, Vec<u8>>) -> ColumnData {
    let (present, table) = dictionary(values.values().map(Vec::as_slice));
    if table.len() > DICTIONARY_MAX {
        let empty = Vec::new();
        let raw = (0..rows).map(|row| values.get(&row).unwrap_or(&empty));
        return ColumnData::Raw(raw.collect());
    }
    let mut codes = vec![0u16; rows];
    for (row, code) in values.keys().zip(present) {
        codes[*row] = code;
    }
    ColumnData::Codes {
        codes: codes.into(),
        values: table,
    }
}

/// One code a value, and the distinct values in order of appearance.
pub(crate) fn dictionary<'a>(values: impl Iterator<Item = &'a [u8]>) -> (Vec<u16>, ValueTable) {
    let mut index: FixedMap<&[u8], u16> = FixedMap::default();
    let mut distinct: Vec<&[u8]> = Vec::new();
    let codes = values
        .map(|value| {
            *index.entry(value).or_insert_with(|| {
                distinct.push(value);
                (distinct.len() - 1) as u16
            })
        })
        .collect();
    (codes, distinct.into_iter().collect())
}
