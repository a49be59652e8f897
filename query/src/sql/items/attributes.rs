//! Attributes as columns: one key, whatever the chunk stores it as, and all of them as JSON text.

use super::Rows;
use super::arrays::{attribute_texts, codes_of, gather, texts};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, UInt16Array, new_null_array,
};
use datafusion::arrow::datatypes::DataType;
use engine::batch::Batch;
use engine::items::{AttributeColumn, ColumnData, ItemColumns, Resource, Value, ValueKind};
use engine::value_json::{write_plain, write_text, write_value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whose attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// The item's own.
    Item,
    /// Its resource's.
    Resource,
}

/// The SQL type of a key: that of all its values, or text when they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AttributeType {
    /// Text, or several types, or a type SQL has no name for.
    Text,
    /// Integers.
    Int,
    /// Floats.
    Double,
    /// True or false.
    Bool,
}

impl AttributeType {
    /// Its Arrow type.
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }

    const fn kind(self) -> ValueKind {
        match self {
            Self::Text => ValueKind::Text,
            Self::Int => ValueKind::Int,
            Self::Double => ValueKind::Double,
            Self::Bool => ValueKind::Bool,
        }
    }
}

/// An attribute column of a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Whose.
    pub(crate) scope: Scope,
    /// Which.
    pub(crate) key: Arc<str>,
    /// Read as this type.
    pub(crate) kind: AttributeType,
}

/// The type of `key` over the chunks of a view. O(chunks x log keys).
pub(crate) fn attribute_type<'a>(
    chunks: impl Iterator<Item = &'a Batch>,
    scope: Scope,
    key: &str,
) -> AttributeType {
    let mut kinds = BTreeSet::new();
    for chunk in chunks {
        let items = chunk.items();
        match scope {
            Scope::Item => kinds.extend(items.columns(key).map(|column| column.kind)),
            Scope::Resource => kinds.extend(
                (items.resources.iter())
                    .filter_map(|resource| find(resource, key).map(|(kind, _)| kind)),
            ),
        }
    }
    let mut kinds = kinds.into_iter();
    match (kinds.next(), kinds.next()) {
        (Some(ValueKind::Int), None) => AttributeType::Int,
        (Some(ValueKind::Double), None) => AttributeType::Double,
        (Some(ValueKind::Bool), None) => AttributeType::Bool,
        _ => AttributeType::Text,
    }
}

impl Key {
    /// The key's values in the rows of a chunk.
    pub(crate) fn read(&self, chunk: &Batch, rows: &Rows) -> ArrayRef {
        let items = chunk.items();
        match self.scope {
            Scope::Resource => self.of_resources(items, rows),
            Scope::Item => {
                let mut columns = items.columns(&self.key);
                match (columns.next(), columns.next()) {
                    (None, _) => new_null_array(&self.kind.arrow(), rows.len()),
                    (Some(column), None) if column.kind == self.kind.kind() => {
                        self.of_column(column, rows)
                    }
                    _ => texts(rows, |row| items.attribute(row, &self.key).map(plain)),
                }
            }
        }
    }

    fn of_resources(&self, items: &ItemColumns, rows: &Rows) -> ArrayRef {
        let values: Vec<Option<Value<'_>>> = items
            .resources
            .iter()
            .map(|resource| find(resource, &self.key).map(|(kind, bytes)| Value::read(kind, bytes)))
            .collect();
        gather(&self.array(&values), &codes_of(&items.resource, rows, None))
    }

    fn of_column(&self, column: &AttributeColumn, rows: &Rows) -> ArrayRef {
        match (&column.data, self.kind) {
            (data, AttributeType::Text) => attribute_texts(data, &column.present, rows),
            (ColumnData::Codes { codes, values }, _) => {
                let distinct: Vec<_> = (0..values.len())
                    .map(|index| Some(Value::read(column.kind, values.get(index))))
                    .collect();
                let codes: UInt16Array = codes_of(codes, rows, Some(&column.present));
                gather(&self.array(&distinct), &codes)
            }
            (ColumnData::Raw(_), _) => {
                let values: Vec<_> = rows.iter().map(|row| column.get(row)).collect();
                self.array(&values)
            }
        }
    }

    /// Values as an array of this key's type; a value of another type is NULL, which the planner's choice excludes.
    fn array(&self, values: &[Option<Value<'_>>]) -> ArrayRef {
        let values = values.iter();
        match self.kind {
            AttributeType::Text => {
                let all: Vec<Option<String>> = values.map(|value| value.map(plain)).collect();
                texts(&Rows::All(all.len()), |row| all[row].as_deref())
            }
            AttributeType::Int => Arc::new(
                values
                    .map(|value| match value {
                        Some(Value::Int(int)) => Some(*int),
                        _ => None,
                    })
                    .collect::<Int64Array>(),
            ),
            AttributeType::Double => Arc::new(
                values
                    .map(|value| match value {
                        Some(Value::Double(double)) => Some(*double),
                        _ => None,
                    })
                    .collect::<Float64Array>(),
            ),
            AttributeType::Bool => Arc::new(
                values
                    .map(|value| match value {
                        Some(Value::Bool(flag)) => Some(*flag),
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
        }
    }
}

fn plain(value: Value<'_>) -> String {
    let mut text = String::new();
    write_plain(value, &mut text);
    text
}

fn find<'a>(resource: &'a Resource, key: &str) -> Option<(ValueKind, &'a [u8])> {
    let mut attributes = resource.attributes.iter();
    attributes
        .find(|(name, ..)| name == key)
        .map(|(_, kind, bytes)| (*kind, &bytes[..]))
}

/// The items' attributes as JSON objects, keys in order.
pub(super) fn items_json(items: &ItemColumns, rows: &Rows) -> ArrayRef {
    let mut out = String::new();
    let all = rows.iter().map(|row| {
        out.clear();
        out.push('{');
        for column in &items.attributes {
            if let Some(value) = column.get(row) {
                entry(&column.key, value, &mut out);
            }
        }
        out.push('}');
        Some(out.clone())
    });
    Arc::new(all.collect::<datafusion::arrow::array::StringViewArray>())
}

/// The resources' attributes as JSON objects, keys in order.
pub(super) fn resources_json(items: &ItemColumns, rows: &Rows) -> ArrayRef {
    let distinct = items
        .resources
        .iter()
        .map(|resource| Some(resource_json(resource)));
    let distinct: datafusion::arrow::array::StringViewArray = distinct.collect();
    gather(&distinct, &codes_of(&items.resource, rows, None))
}

fn resource_json(resource: &Resource) -> String {
    let mut attributes: Vec<_> = resource.attributes.iter().collect();
    attributes.sort_by(|left, right| left.0.cmp(&right.0));
    let mut out = String::from("{");
    for (key, kind, bytes) in attributes {
        entry(key, Value::read(*kind, bytes), &mut out);
    }
    out.push('}');
    out
}

fn entry(key: &str, value: Value<'_>, out: &mut String) {
    if out.len() > 1 {
        out.push(',');
    }
    write_text(key, out);
    out.push(':');
    write_value(value, out);
}
