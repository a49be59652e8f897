//! `LogBatch`: log records as columns, one row a record.

use crate::items::{ItemColumns, Value, ValueKind, ValueTable};
use arrow_buffer::ScalarBuffer;

/// The bodies of log records: any kind of value, one per row.
#[derive(Debug)]
pub struct Bodies {
    /// Kind of each row's body; [`ValueKind::Empty`] when there is none.
    pub kinds: Vec<ValueKind>,
    /// The values, as [`Value::read`] reads them.
    pub values: ValueTable,
}

impl Bodies {
    /// The body of `row`.
    pub fn get(&self, row: usize) -> Value<'_> {
        let kind = self.kinds.get(row).copied().unwrap_or(ValueKind::Empty);
        Value::read(kind, self.values.get(row))
    }
}

/// Up to [`ROWS_MAX`](crate::items::ROWS_MAX) log records as columns. All row columns have `len()` entries.
#[derive(Debug)]
pub struct LogBatch {
    /// Where the records came from, and their attributes.
    pub items: ItemColumns,
    /// Event time, ns since the epoch: the record's time, else its observed time, else when it was received.
    pub time: ScalarBuffer<u64>,
    /// When the record was seen by a collector, ns since the epoch; 0 = not sent.
    pub observed_time: ScalarBuffer<u64>,
    /// Trace it belongs to; 0 = none.
    pub trace_id: ScalarBuffer<u128>,
    /// Span it belongs to; 0 = none.
    pub span_id: ScalarBuffer<u64>,
    /// OTLP severity number, 0 = unspecified; numbers that do not exist are kept.
    pub severity_number: ScalarBuffer<u8>,
    /// Distinct severity texts that `severity_text` points into.
    pub severity_texts: ValueTable,
    /// Index into `severity_texts`.
    pub severity_text: ScalarBuffer<u16>,
    /// Distinct event names that `event_name` points into.
    pub event_names: ValueTable,
    /// Index into `event_names`; the empty name when the record is no event.
    pub event_name: ScalarBuffer<u16>,
    /// The bodies.
    pub bodies: Bodies,
    /// Trace flags, W3C bits.
    pub flags: ScalarBuffer<u8>,
    /// Bits of [`crate::anomaly`].
    pub anomalies: ScalarBuffer<u16>,
    /// Item key: keyed SipHash of resource, scope and encoded record, and of how many equal records of the request came
    /// before it. Records repeat lawfully; a request that is sent again does not.
    pub key: ScalarBuffer<u64>,
    /// Virtual shard, `0..SHARDS`: of the trace, or of the key where there is none.
    pub shard: ScalarBuffer<u8>,
}

impl LogBatch {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes held. Used by the store's byte budget.
    pub fn byte_size(&self) -> usize {
        const ROW_BYTES: usize = 16 + 8 * 4 + 2 * 3 + 4;
        self.len() * ROW_BYTES
            + self.items.byte_size()
            + self.severity_texts.byte_size()
            + self.event_names.byte_size()
            + self.bodies.values.byte_size()
    }
}
