//! Bits of the `anomalies` column: what was odd about an item that was accepted all the same.

/// End before start, or start or end missing: duration unknown, counts for availability, not for latency.
pub const NEGATIVE_DURATION: u16 = 1;
/// Lies more than 60 s after it was received: outside SLO math until its time comes.
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
/// A log record's trace or span id is no id; the record is not associated with a trace.
pub const BAD_TRACE_ID: u16 = 1 << 10;
/// A metric stream changed its temporality: it starts anew.
pub const TEMPORALITY_CHANGE: u16 = 1 << 11;
/// A metric of this name and resource exists with another type or unit: they are separate streams.
pub const IDENTITY_CONFLICT: u16 = 1 << 12;
/// Points of one metric stream overlap in time, as two writers make them: counted once.
pub const OVERLAP: u16 = 1 << 13;
/// A metric stream began anew after its last point: what happened between the two, no point carries.
pub const STREAM_GAP: u16 = 1 << 14;
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
    (BAD_TRACE_ID, "bad_trace_id"),
    (TEMPORALITY_CHANGE, "temporality_change"),
    (IDENTITY_CONFLICT, "identity_conflict"),
    (OVERLAP, "single_writer"),
    (STREAM_GAP, "stream_gap"),
];
