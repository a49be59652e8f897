//! What a table and a column are: one list that the planner, the scan and `docs/sql.md` all read.

use super::items::{Read, Scope};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use engine::items::Signal;
use std::collections::HashMap;
use std::sync::Arc;

/// Time zone of every time.
pub(super) const UTC: &str = "+00:00";
/// Metadata key of a column that can be asked by key; its value is [`keyed_marker`].
pub(super) const KEYED: &str = "tidegate.keyed";

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Time in UTC, nanoseconds.
    Time,
    /// 64-bit integer.
    Int,
    /// 64-bit float.
    Float,
    /// True or false.
    Bool,
}

impl Kind {
    /// Its Arrow type.
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// The name of a type for people: in answers and in the reference.
pub(super) fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Timestamp(..) => "time".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// A column of an item table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Name.
    pub(super) name: &'static str,
    /// Type.
    pub(super) kind: Kind,
    /// What it is, for the reference.
    pub(super) doc: &'static str,
    /// How it is read from a chunk.
    pub(super) read: Read,
    /// Whether `column['key']` works, and what the keys are of.
    pub(super) keyed: Option<Scope>,
}

/// A table over the store's chunks of one signal.
#[derive(Debug)]
pub(super) struct ItemTable {
    /// Name.
    pub(super) name: &'static str,
    /// What a row is, for the reference.
    pub(super) doc: &'static str,
    /// Which chunks it reads.
    pub(super) signal: Signal,
    /// Its columns, in order.
    pub(super) columns: Vec<Column>,
}

impl ItemTable {
    /// Its Arrow schema.
    pub(super) fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| {
            let field = Field::new(column.name, column.kind.arrow(), true);
            match column.keyed {
                Some(scope) => field.with_metadata(HashMap::from([(
                    KEYED.to_owned(),
                    keyed_marker(self.signal, scope).to_owned(),
                )])),
                None => field,
            }
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// What [`KEYED`] says of a column.
pub(super) const fn keyed_marker(signal: Signal, scope: Scope) -> &'static str {
    match (signal, scope) {
        (Signal::Traces, Scope::Item) => "traces/item",
        (Signal::Traces, Scope::Resource) => "traces/resource",
        (Signal::Metrics, Scope::Item) => "metrics/item",
        (Signal::Metrics, Scope::Resource) => "metrics/resource",
        (Signal::Logs, Scope::Item) => "logs/item",
        (Signal::Logs, Scope::Resource) => "logs/resource",
    }
}

/// The signal and scope of a [`keyed_marker`].
pub(super) fn read_marker(marker: &str) -> Option<(Signal, Scope)> {
    Signal::ALL.into_iter().find_map(|signal| {
        [Scope::Item, Scope::Resource]
            .into_iter()
            .find(|scope| keyed_marker(signal, *scope) == marker)
            .map(|scope| (signal, scope))
    })
}
