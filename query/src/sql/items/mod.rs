//! The item tables (`spans`, `metrics`, `logs`): which columns they have, and how each is read from a chunk.

mod arrays;
mod attributes;
mod common;
mod logs;
mod metrics;
mod spans;

pub(super) use attributes::{AttributeType, Key, Scope, attribute_type};

use super::table::ItemTable;
use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use engine::batch::Batch;
use engine::items::ItemColumns;
use engine::log_record::LogBatch;
use engine::metric::MetricBatch;
use engine::span::SpanBatch;
use std::sync::LazyLock;

/// The rows of a chunk that are wanted, ascending.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    /// All of so many.
    All(usize),
    /// These.
    Some(UInt32Array),
}

impl Rows {
    /// The rows where `mask` is true (not NULL).
    pub(super) fn picked(mask: &BooleanArray) -> Self {
        let count = mask.true_count();
        if count == mask.len() {
            return Self::All(count);
        }
        let rows = (0..mask.len()).filter(|row| mask.is_valid_true(*row));
        Self::Some(rows.map(|row| row as u32).collect::<Vec<u32>>().into())
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::All(count) => *count,
            Self::Some(rows) => rows.values().len(),
        }
    }

    /// The same rows, at most the first `count`.
    pub(super) fn first(self, count: usize) -> Self {
        if self.len() <= count {
            return self;
        }
        Self::Some(
            self.iter()
                .take(count)
                .map(|row| row as u32)
                .collect::<Vec<u32>>()
                .into(),
        )
    }

    /// Row numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let (all, some) = match self {
            Self::All(count) => (0..*count, [].as_slice()),
            Self::Some(rows) => (0..0, &rows.values()[..]),
        };
        all.chain(some.iter().map(|row| *row as usize))
    }
}

trait IsTrue {
    fn is_valid_true(&self, row: usize) -> bool;
}

impl IsTrue for BooleanArray {
    fn is_valid_true(&self, row: usize) -> bool {
        use datafusion::arrow::array::Array;
        self.value(row) && self.is_valid(row)
    }
}

/// How a column is read from a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    /// From what every item has.
    Items(fn(&ItemColumns, &Rows) -> ArrayRef),
    /// From spans.
    Spans(fn(&SpanBatch, &Rows) -> ArrayRef),
    /// From metric points.
    Metrics(fn(&MetricBatch, &Rows) -> ArrayRef),
    /// From log records.
    Logs(fn(&LogBatch, &Rows) -> ArrayRef),
}

impl Read {
    /// The column's values in the rows of a chunk; `None` when the chunk is of another signal.
    pub(super) fn read(self, chunk: &Batch, rows: &Rows) -> Option<ArrayRef> {
        match (self, chunk) {
            (Self::Items(read), _) => Some(read(chunk.items(), rows)),
            (Self::Spans(read), Batch::Spans(batch)) => Some(read(batch, rows)),
            (Self::Metrics(read), Batch::Metrics(batch)) => Some(read(batch, rows)),
            (Self::Logs(read), Batch::Logs(batch)) => Some(read(batch, rows)),
            _ => None,
        }
    }
}

static TABLES: LazyLock<[ItemTable; 3]> =
    LazyLock::new(|| [spans::table(), metrics::table(), logs::table()]);

/// Every item table.
pub(super) fn tables() -> &'static [ItemTable] {
    &*TABLES
}

/// Trace ids of the rows of a chunk; `None` when its items have none.
pub(super) fn trace_ids(chunk: &Batch) -> Option<&[u128]> {
    match chunk {
        Batch::Spans(batch) => Some(&batch.trace_id),
        Batch::Metrics(_) => None,
        Batch::Logs(batch) => Some(&batch.trace_id),
    }
}
