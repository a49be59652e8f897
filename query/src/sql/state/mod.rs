//! The engine's own rows as tables: services, revisions, SLOs, budgets, burn rates, decisions, alerts, events.

mod decisions;
mod services;
mod slos;

use super::table::{Kind, UTC};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringViewArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::error::ArrowError;
use engine::snapshot::Snapshot;
use engine::time::Timestamp;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// One value.
#[derive(Debug)]
enum Cell {
    Text(Option<String>),
    Time(Option<Timestamp>),
    Int(Option<i64>),
    Float(Option<f64>),
    Bool(bool),
}

/// A column of rows `R`.
struct Column<R> {
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    cell: fn(&R) -> Cell,
}

/// What the reference says of a column.
#[derive(Debug)]
pub(super) struct ColumnDoc {
    /// Name.
    pub(super) name: &'static str,
    /// Type.
    pub(super) kind: Kind,
    /// What it is.
    pub(super) doc: &'static str,
}

type Make = Box<dyn Fn(&Snapshot) -> Result<RecordBatch, ArrowError> + Send + Sync>;

/// A table over rows of the snapshot.
pub(super) struct StateTable {
    /// Name.
    pub(super) name: &'static str,
    /// What a row is, for the reference.
    pub(super) doc: &'static str,
    /// Its columns, in order.
    pub(super) columns: Vec<ColumnDoc>,
    make: Make,
}

impl fmt::Debug for StateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateTable").field(&self.name).finish()
    }
}

impl StateTable {
    /// Its rows.
    ///
    /// # Errors
    /// Never in practice: columns have the types that they are declared with.
    pub(super) fn batch(&self, snapshot: &Snapshot) -> Result<RecordBatch, ArrowError> {
        (self.make)(snapshot)
    }
}

static TABLES: LazyLock<[StateTable; 8]> = LazyLock::new(|| {
    [
        table(
            "services",
            "One row a service.",
            services::services,
            services::SERVICE,
        ),
        table(
            "revisions",
            "One row a revision that is known, at most 8 a service.",
            services::revisions,
            services::REVISION,
        ),
        table(
            "slos",
            "One row an SLO, implicit ones included.",
            slos::slos,
            slos::SLO,
        ),
        table(
            "budgets",
            "One row an SLO: the error budget of its period, in integers.",
            slos::slos,
            slos::BUDGET,
        ),
        table(
            "burn_rates",
            "One row an SLO, revision and window; `revision` is NULL for the whole service.",
            slos::burn_rates,
            slos::BURN_RATE,
        ),
        table(
            "decisions",
            "One row a recorded gate decision, the newest 1,000.",
            |snapshot| snapshot.decisions.clone(),
            decisions::DECISION,
        ),
        table(
            "alerts",
            "One row an alert that is not inactive; resolved ones for 24 h.",
            |snapshot| snapshot.alerts.clone(),
            slos::ALERT,
        ),
        table(
            "events",
            "One row an event, the newest 1,000.",
            |snapshot| snapshot.events.to_vec(),
            services::EVENT,
        ),
    ]
});

/// Every state table.
pub(super) fn tables() -> &'static [StateTable] {
    &*TABLES
}

fn table<R: 'static>(
    name: &'static str,
    doc: &'static str,
    rows: fn(&Snapshot) -> Vec<R>,
    columns: &'static [Column<R>],
) -> StateTable {
    let docs = columns.iter().map(|column| ColumnDoc {
        name: column.name,
        kind: column.kind,
        doc: column.doc,
    });
    StateTable {
        name,
        doc,
        columns: docs.collect(),
        make: Box::new(move |snapshot| batch(&rows(snapshot), columns)),
    }
}

fn batch<R>(rows: &[R], columns: &[Column<R>]) -> Result<RecordBatch, ArrowError> {
    let fields = columns
        .iter()
        .map(|column| Field::new(column.name, column.kind.arrow(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.iter().map(|column| array(rows, column)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options)
}

fn array<R>(rows: &[R], column: &Column<R>) -> ArrayRef {
    let cells = rows.iter().map(column.cell);
    match column.kind {
        Kind::Text => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => text,
                    _ => None,
                })
                .collect::<StringViewArray>(),
        ),
        Kind::Time => {
            let nanos = cells.map(|cell| match cell {
                Cell::Time(time) => time.and_then(|time| i64::try_from(time.0).ok()),
                _ => None,
            });
            Arc::new(
                nanos
                    .collect::<TimestampNanosecondArray>()
                    .with_timezone(UTC),
            )
        }
        Kind::Int => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Int(int) => int,
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        Kind::Float => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Float(float) => float,
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        Kind::Bool => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Bool(flag) => Some(flag),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
    }
}

const fn column<R>(
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    cell: fn(&R) -> Cell,
) -> Column<R> {
    Column {
        name,
        kind,
        doc,
        cell,
    }
}

/// Text, NULL when empty.
fn text(text: &str) -> Cell {
    Cell::Text(
        Some(text)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    )
}

fn word(word: &'static str) -> Cell {
    Cell::Text(Some(word.to_owned()))
}

fn hex(id: u128) -> Cell {
    Cell::Text(Some(crate::wire::hex(id)))
}

/// A time, NULL for "never".
fn time(time: Timestamp) -> Cell {
    Cell::Time(Some(time).filter(|time| *time != Timestamp::EPOCH))
}

fn int(count: u64) -> Cell {
    Cell::Int(i64::try_from(count).ok())
}
