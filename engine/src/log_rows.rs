//! Rows to columns: builds a [`LogBatch`] from records held one by one, for tests, as [`crate::span_rows`] does for spans.

use crate::hash::HashSeed;
use crate::items::{Resource, ValueKind};
use crate::log_record::{Bodies, LogBatch};
use crate::span_rows::{RowValue, dictionary, item_columns};
use crate::time::Timestamp;
use std::sync::Arc;

/// One log record as a row.
#[derive(Debug, Clone)]
pub struct LogRow {
    /// Event time, ns since the epoch.
    pub time: u64,
    /// Trace id; 0 = none.
    pub trace_id: u128,
    /// Severity number; 0 = unspecified.
    pub severity_number: u8,
    /// Severity text.
    pub severity_text: String,
    /// Event name; empty = no event.
    pub event_name: String,
    /// Body; `None` = none.
    pub body: Option<RowValue>,
    /// Anomaly bits ([`crate::anomaly`]).
    pub anomalies: u16,
    /// Item key.
    pub key: u64,
    /// Who sent it.
    pub resource: Arc<Resource>,
    /// Attributes; of a repeated key and type the last one counts.
    pub attributes: Vec<(String, RowValue)>,
}

impl LogRow {
    /// A record of `resource` at `time` with the item key `key`; everything else empty.
    pub fn new(resource: &Arc<Resource>, key: u64, time: u64) -> Self {
        Self {
            time,
            trace_id: 0,
            severity_number: 0,
            severity_text: String::new(),
            event_name: String::new(),
            body: None,
            anomalies: 0,
            key,
            resource: Arc::clone(resource),
            attributes: Vec::new(),
        }
    }

    /// The same record with one more attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<RowValue>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    /// The same record with another body.
    #[must_use]
    pub fn saying(mut self, body: impl Into<RowValue>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same record with another severity.
    #[must_use]
    pub fn of_severity(mut self, number: u8, text: &str) -> Self {
        self.severity_number = number;
        text.clone_into(&mut self.severity_text);
        self
    }
}

/// The columns of `rows` (at most [`crate::items::ROWS_MAX`]), received at `received`.
pub fn batch(seed: HashSeed, received: Timestamp, rows: &[LogRow]) -> LogBatch {
    let senders = rows.iter().map(|row| (&row.resource, &*row.attributes));
    let (severity_text, severity_texts) =
        dictionary(rows.iter().map(|row| row.severity_text.as_bytes()));
    let (event_name, event_names) = dictionary(rows.iter().map(|row| row.event_name.as_bytes()));
    let shard = |row: &LogRow| match row.trace_id {
        0 => seed.shard(u128::from(row.key)),
        trace_id => seed.shard(trace_id),
    };
    let kind = |row: &LogRow| row.body.as_ref().map_or(ValueKind::Empty, RowValue::kind);
    let bytes = |row: &LogRow| row.body.as_ref().map(RowValue::bytes).unwrap_or_default();
    LogBatch {
        items: item_columns(received, senders),
        time: rows.iter().map(|row| row.time).collect(),
        observed_time: rows.iter().map(|row| row.time).collect(),
        trace_id: rows.iter().map(|row| row.trace_id).collect(),
        span_id: rows.iter().map(|_| 0u64).collect(),
        severity_number: rows.iter().map(|row| row.severity_number).collect(),
        severity_texts,
        severity_text: severity_text.into(),
        event_names,
        event_name: event_name.into(),
        bodies: Bodies {
            kinds: rows.iter().map(kind).collect(),
            values: rows.iter().map(bytes).collect(),
        },
        flags: rows.iter().map(|_| 0u8).collect(),
        anomalies: rows.iter().map(|row| row.anomalies).collect(),
        key: rows.iter().map(|row| row.key).collect(),
        shard: rows.iter().map(shard).collect(),
    }
}
