//! The messages of the OTLP export requests: field numbers, names and types, as one table.
//!
//! Written from `opentelemetry-proto` 1.11. Everything that must know every field reads it: the check of what the
//! fast paths do not look into, the place of an error, and OTLP/JSON.

use super::error::{Problem, Stop};
use super::wire::{BYTES, FIXED32, FIXED64, VARINT};
use engine::items::Signal;

/// What a field holds: the types of protobuf, and what JSON needs to know beyond them.
pub(super) enum Holds {
    /// `bool`.
    Bool,
    /// `uint32`.
    Uint32,
    /// `int32`; never negative in a valid request but for indices of string tables.
    Int32,
    /// `sint32`: zigzag.
    Sint32,
    /// An enum; numbers that do not exist are kept.
    Enum,
    /// `uint64`.
    Uint64,
    /// `int64`.
    Int64,
    /// `fixed32`.
    Fixed32,
    /// `fixed64`.
    Fixed64,
    /// `sfixed64`.
    Sfixed64,
    /// `double`.
    Double,
    /// `bytes`: base64 in JSON.
    Bytes,
    /// `bytes` of a trace or span id: hexadecimal in JSON.
    Id,
    /// `string`.
    Text,
    /// A message.
    Message(&'static Message),
}

impl Holds {
    /// The wire type of one value.
    pub(super) const fn wire(&self) -> u32 {
        match self {
            Self::Bool
            | Self::Uint32
            | Self::Int32
            | Self::Sint32
            | Self::Enum
            | Self::Uint64
            | Self::Int64 => VARINT,
            Self::Fixed32 => FIXED32,
            Self::Fixed64 | Self::Sfixed64 | Self::Double => FIXED64,
            Self::Bytes | Self::Id | Self::Text | Self::Message(_) => BYTES,
        }
    }
}

pub(super) struct Field {
    pub(super) number: u32,
    /// Name in the `.proto` file; JSON writes it in lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    /// May come many times. Numbers are then packed, but are read unpacked as well.
    pub(super) repeated: bool,
    /// Member of the message's one `oneof`.
    pub(super) alternative: bool,
}

/// One message type.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

impl Message {
    /// Whether it has the field whose key this is, whatever its wire type.
    #[cold]
    pub(super) fn knows(&self, key: u32) -> bool {
        self.fields.iter().any(|field| field.number == key >> 3)
    }
}

const fn one(number: u32, name: &'static str, holds: Holds) -> Field {
    Field {
        number,
        name,
        holds,
        repeated: false,
        alternative: false,
    }
}

const fn many(number: u32, name: &'static str, holds: Holds) -> Field {
    Field {
        repeated: true,
        ..one(number, name, holds)
    }
}

const fn either(number: u32, name: &'static str, holds: Holds) -> Field {
    Field {
        alternative: true,
        ..one(number, name, holds)
    }
}

/// The export request of `signal`.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    }
}

// ---- common -------------------------------------------------------------------------------------------------------

/// `Resource`.
pub(super) static RESOURCE: Message = Message {
    fields: &[
        many(1, "attributes", Holds::Message(&KEY_VALUE)),
        one(2, "dropped_attributes_count", Holds::Uint32),
        many(3, "entity_refs", Holds::Message(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    fields: &[
        one(1, "schema_url", Holds::Text),
        one(2, "type", Holds::Text),
        many(3, "id_keys", Holds::Text),
        many(4, "description_keys", Holds::Text),
    ],
};

/// `InstrumentationScope`.
pub(super) static SCOPE: Message = Message {
    fields: &[
        one(1, "name", Holds::Text),
        one(2, "version", Holds::Text),
        many(3, "attributes", Holds::Message(&KEY_VALUE)),
        one(4, "dropped_attributes_count", Holds::Uint32),
    ],
};

/// `KeyValue`.
pub(super) static KEY_VALUE: Message = Message {
    fields: &[
        one(1, "key", Holds::Text),
        one(2, "value", Holds::Message(&ANY_VALUE)),
        one(3, "key_strindex", Holds::Int32),
    ],
};

/// `AnyValue`.
pub(super) static ANY_VALUE: Message = Message {
    fields: &[
        either(1, "string_value", Holds::Text),
        either(2, "bool_value", Holds::Bool),
        either(3, "int_value", Holds::Int64),
        either(4, "double_value", Holds::Double),
        either(5, "array_value", Holds::Message(&ARRAY_VALUE)),
        either(6, "kvlist_value", Holds::Message(&KEY_VALUE_LIST)),
        either(7, "bytes_value", Holds::Bytes),
        either(8, "string_value_strindex", Holds::Int32),
    ],
};

static ARRAY_VALUE: Message = Message {
    fields: &[many(1, "values", Holds::Message(&ANY_VALUE))],
};

static KEY_VALUE_LIST: Message = Message {
    fields: &[many(1, "values", Holds::Message(&KEY_VALUE))],
};

// ---- traces -------------------------------------------------------------------------------------------------------

static TRACES: Message = Message {
    fields: &[many(1, "resource_spans", Holds::Message(&RESOURCE_SPANS))],
};

static RESOURCE_SPANS: Message = Message {
    fields: &[
        one(1, "resource", Holds::Message(&RESOURCE)),
        many(2, "scope_spans", Holds::Message(&SCOPE_SPANS)),
        one(3, "schema_url", Holds::Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    fields: &[
        one(1, "scope", Holds::Message(&SCOPE)),
        many(2, "spans", Holds::Message(&SPAN)),
        one(3, "schema_url", Holds::Text),
    ],
};

/// `Span`.
pub(super) static SPAN: Message = Message {
    fields: &[
        one(1, "trace_id", Holds::Id),
        one(2, "span_id", Holds::Id),
        one(3, "trace_state", Holds::Text),
        one(4, "parent_span_id", Holds::Id),
        one(5, "name", Holds::Text),
        one(6, "kind", Holds::Enum),
        one(7, "start_time_unix_nano", Holds::Fixed64),
        one(8, "end_time_unix_nano", Holds::Fixed64),
        many(9, "attributes", Holds::Message(&KEY_VALUE)),
        one(10, "dropped_attributes_count", Holds::Uint32),
        many(11, "events", Holds::Message(&EVENT)),
        one(12, "dropped_events_count", Holds::Uint32),
        many(13, "links", Holds::Message(&LINK)),
        one(14, "dropped_links_count", Holds::Uint32),
        one(15, "status", Holds::Message(&STATUS)),
        one(16, "flags", Holds::Fixed32),
    ],
};

/// `Span.Event`.
pub(super) static EVENT: Message = Message {
    fields: &[
        one(1, "time_unix_nano", Holds::Fixed64),
        one(2, "name", Holds::Text),
        many(3, "attributes", Holds::Message(&KEY_VALUE)),
        one(4, "dropped_attributes_count", Holds::Uint32),
    ],
};

/// `Span.Link`.
pub(super) static LINK: Message = Message {
    fields: &[
        one(1, "trace_id", Holds::Id),
        one(2, "span_id", Holds::Id),
        one(3, "trace_state", Holds::Text),
        many(4, "attributes", Holds::Message(&KEY_VALUE)),
        one(5, "dropped_attributes_count", Holds::Uint32),
        one(6, "flags", Holds::Fixed32),
    ],
};

/// `Status`.
pub(super) static STATUS: Message = Message {
    fields: &[one(2, "message", Holds::Text), one(3, "code", Holds::Enum)],
};

// ---- metrics ------------------------------------------------------------------------------------------------------

static METRICS: Message = Message {
    fields: &[many(
        1,
        "resource_metrics",
        Holds::Message(&RESOURCE_METRICS),
    )],
};

static RESOURCE_METRICS: Message = Message {
    fields: &[
        one(1, "resource", Holds::Message(&RESOURCE)),
        many(2, "scope_metrics", Holds::Message(&SCOPE_METRICS)),
        one(3, "schema_url", Holds::Text),
    ],
};

static SCOPE_METRICS: Message = Message {
    fields: &[
        one(1, "scope", Holds::Message(&SCOPE)),
        many(2, "metrics", Holds::Message(&METRIC)),
        one(3, "schema_url", Holds::Text),
    ],
};

/// `Metric`.
pub(super) static METRIC: Message = Message {
    fields: &[
        one(1, "name", Holds::Text),
        one(2, "description", Holds::Text),
        one(3, "unit", Holds::Text),
        either(5, "gauge", Holds::Message(&GAUGE)),
        either(7, "sum", Holds::Message(&SUM)),
        either(9, "histogram", Holds::Message(&HISTOGRAM)),
        either(
            10,
            "exponential_histogram",
            Holds::Message(&EXPONENTIAL_HISTOGRAM),
        ),
        either(11, "summary", Holds::Message(&SUMMARY)),
        many(12, "metadata", Holds::Message(&KEY_VALUE)),
    ],
};

/// The message that holds the points of a metric, by the key of its field.
pub(super) fn data_of(key: u32) -> &'static Message {
    let found = METRIC.fields.iter().find(|field| field.number == key >> 3);
    match found.map(|field| &field.holds) {
        Some(Holds::Message(message)) => message,
        _ => &GAUGE,
    }
}

static GAUGE: Message = Message {
    fields: &[many(1, "data_points", Holds::Message(&NUMBER_POINT))],
};

static SUM: Message = Message {
    fields: &[
        many(1, "data_points", Holds::Message(&NUMBER_POINT)),
        one(2, "aggregation_temporality", Holds::Enum),
        one(3, "is_monotonic", Holds::Bool),
    ],
};

static HISTOGRAM: Message = Message {
    fields: &[
        many(1, "data_points", Holds::Message(&HISTOGRAM_POINT)),
        one(2, "aggregation_temporality", Holds::Enum),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        many(1, "data_points", Holds::Message(&EXPONENTIAL_POINT)),
        one(2, "aggregation_temporality", Holds::Enum),
    ],
};

static SUMMARY: Message = Message {
    fields: &[many(1, "data_points", Holds::Message(&SUMMARY_POINT))],
};

/// `NumberDataPoint`.
pub(super) static NUMBER_POINT: Message = Message {
    fields: &[
        one(2, "start_time_unix_nano", Holds::Fixed64),
        one(3, "time_unix_nano", Holds::Fixed64),
        either(4, "as_double", Holds::Double),
        many(5, "exemplars", Holds::Message(&EXEMPLAR)),
        either(6, "as_int", Holds::Sfixed64),
        many(7, "attributes", Holds::Message(&KEY_VALUE)),
        one(8, "flags", Holds::Uint32),
    ],
};

/// `HistogramDataPoint`.
pub(super) static HISTOGRAM_POINT: Message = Message {
    fields: &[
        one(2, "start_time_unix_nano", Holds::Fixed64),
        one(3, "time_unix_nano", Holds::Fixed64),
        one(4, "count", Holds::Fixed64),
        one(5, "sum", Holds::Double),
        many(6, "bucket_counts", Holds::Fixed64),
        many(7, "explicit_bounds", Holds::Double),
        many(8, "exemplars", Holds::Message(&EXEMPLAR)),
        many(9, "attributes", Holds::Message(&KEY_VALUE)),
        one(10, "flags", Holds::Uint32),
        one(11, "min", Holds::Double),
        one(12, "max", Holds::Double),
    ],
};

/// `ExponentialHistogramDataPoint`.
pub(super) static EXPONENTIAL_POINT: Message = Message {
    fields: &[
        many(1, "attributes", Holds::Message(&KEY_VALUE)),
        one(2, "start_time_unix_nano", Holds::Fixed64),
        one(3, "time_unix_nano", Holds::Fixed64),
        one(4, "count", Holds::Fixed64),
        one(5, "sum", Holds::Double),
        one(6, "scale", Holds::Sint32),
        one(7, "zero_count", Holds::Fixed64),
        one(8, "positive", Holds::Message(&BUCKETS)),
        one(9, "negative", Holds::Message(&BUCKETS)),
        one(10, "flags", Holds::Uint32),
        many(11, "exemplars", Holds::Message(&EXEMPLAR)),
        one(12, "min", Holds::Double),
        one(13, "max", Holds::Double),
        one(14, "zero_threshold", Holds::Double),
    ],
};

/// `ExponentialHistogramDataPoint.Buckets`.
pub(super) static BUCKETS: Message = Message {
    fields: &[
        one(1, "offset", Holds::Sint32),
        many(2, "bucket_counts", Holds::Uint64),
    ],
};

/// `SummaryDataPoint`.
pub(super) static SUMMARY_POINT: Message = Message {
    fields: &[
        one(2, "start_time_unix_nano", Holds::Fixed64),
        one(3, "time_unix_nano", Holds::Fixed64),
        one(4, "count", Holds::Fixed64),
        one(5, "sum", Holds::Double),
        many(6, "quantile_values", Holds::Message(&QUANTILE)),
        many(7, "attributes", Holds::Message(&KEY_VALUE)),
        one(8, "flags", Holds::Uint32),
    ],
};

/// `SummaryDataPoint.ValueAtQuantile`.
pub(super) static QUANTILE: Message = Message {
    fields: &[
        one(1, "quantile", Holds::Double),
        one(2, "value", Holds::Double),
    ],
};

/// `Exemplar`.
pub(super) static EXEMPLAR: Message = Message {
    fields: &[
        one(2, "time_unix_nano", Holds::Fixed64),
        either(3, "as_double", Holds::Double),
        one(4, "span_id", Holds::Id),
        one(5, "trace_id", Holds::Id),
        either(6, "as_int", Holds::Sfixed64),
        many(7, "filtered_attributes", Holds::Message(&KEY_VALUE)),
    ],
};

// ---- logs ---------------------------------------------------------------------------------------------------------

static LOGS: Message = Message {
    fields: &[many(1, "resource_logs", Holds::Message(&RESOURCE_LOGS))],
};

static RESOURCE_LOGS: Message = Message {
    fields: &[
        one(1, "resource", Holds::Message(&RESOURCE)),
        many(2, "scope_logs", Holds::Message(&SCOPE_LOGS)),
        one(3, "schema_url", Holds::Text),
    ],
};

static SCOPE_LOGS: Message = Message {
    fields: &[
        one(1, "scope", Holds::Message(&SCOPE)),
        many(2, "log_records", Holds::Message(&LOG_RECORD)),
        one(3, "schema_url", Holds::Text),
    ],
};

/// `LogRecord`.
pub(super) static LOG_RECORD: Message = Message {
    fields: &[
        one(1, "time_unix_nano", Holds::Fixed64),
        one(2, "severity_number", Holds::Enum),
        one(3, "severity_text", Holds::Text),
        one(5, "body", Holds::Message(&ANY_VALUE)),
        many(6, "attributes", Holds::Message(&KEY_VALUE)),
        one(7, "dropped_attributes_count", Holds::Uint32),
        one(8, "flags", Holds::Fixed32),
        one(9, "trace_id", Holds::Id),
        one(10, "span_id", Holds::Id),
        one(11, "observed_time_unix_nano", Holds::Fixed64),
        one(12, "event_name", Holds::Text),
    ],
};

/// `bytes` as text.
#[inline(always)]
pub(super) fn text(bytes: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|_| Problem::InvalidUtf8.into())
}

/// Puts `bytes` in the place of a text that was sent before: the last one counts, but all must be UTF-8.
#[inline(always)]
pub(super) fn replace_text<'a>(slot: &mut &'a [u8], bytes: &'a [u8]) -> Result<(), Stop> {
    if !slot.is_empty() {
        text(slot)?;
    }
    *slot = bytes;
    Ok(())
}
