//! `SpanBatch`: the columns that are the contract between `ingest` (which fills them) and everything after.
//!
//! One request decodes into one or more batches of at most [`ROWS_MAX`](crate::items::ROWS_MAX) rows.

use crate::items::{ItemColumns, SparseText, ValueTable};
use arrow_buffer::ScalarBuffer;

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

/// Up to [`ROWS_MAX`](crate::items::ROWS_MAX) spans as columns. All row columns have `len()` entries.
#[derive(Debug)]
pub struct SpanBatch {
    /// Where the spans came from, and their attributes.
    pub items: ItemColumns,
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
    /// Index into `names`.
    pub name: ScalarBuffer<u16>,
    /// Span kind ([`kind`]).
    pub kind: ScalarBuffer<u8>,
    /// Status code ([`status`]).
    pub status: ScalarBuffer<u8>,
    /// OTLP span flags, low 16 bits (bits 0-7 W3C, 8 remote known, 9 remote).
    pub flags: ScalarBuffer<u16>,
    /// Bits of [`crate::anomaly`].
    pub anomalies: ScalarBuffer<u16>,
    /// Virtual shard of the trace, `0..SHARDS`.
    pub shard: ScalarBuffer<u8>,
    /// Adjusted count from a sampling threshold (`ot=th:`); 1 when unsampled. Tests never use it.
    pub weight: ScalarBuffer<u32>,
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

    /// The span name of `row`.
    pub fn name_of(&self, row: usize) -> &str {
        self.names.text(usize::from(self.name[row]))
    }

    /// Heap bytes held. Used by the store's byte budget.
    pub fn byte_size(&self) -> usize {
        const ROW_BYTES: usize = 16 + 8 * 5 + 2 * 3 + 3 + 4;
        let text = |sparse: &SparseText| -> usize {
            sparse.values.iter().map(|v| v.len() + 28).sum::<usize>()
        };
        let events: usize = self
            .events
            .iter()
            .map(|e| e.name.len() + e.attributes.len() + 64)
            .sum();
        self.len() * ROW_BYTES
            + self.items.byte_size()
            + self.names.byte_size()
            + text(&self.status_message)
            + text(&self.trace_state)
            + events
            + self.links.len() * size_of::<SpanLink>()
    }
}
