//! Why a request was refused, or an item rejected.

use std::fmt;

/// What is wrong with a request's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The message ends inside a number.
    Truncated,
    /// A varint of more than ten bytes, or of more than 64 bits.
    VarintTooLong,
    /// A length prefix that points beyond the end of its message.
    LengthBeyondEnd,
    /// Field number 0, or a key of more than 32 bits.
    BadKey,
    /// Wire type 6 or 7.
    ReservedWireType,
    /// A group that is closed without being open, or open at the end of its message.
    UnbalancedGroup,
    /// A known field with another wire type than its own.
    WrongWireType,
    /// A string field that is not UTF-8.
    InvalidUtf8,
    /// More nested messages than [`super::DecodeLimits::depth_max`].
    TooDeep,
    /// JSON: not the text of RFC 8259.
    NotJson,
    /// JSON: the text ends inside a value.
    JsonEnds,
    /// JSON: begins with U+FEFF.
    ByteOrderMark,
    /// JSON: an escape is half of a surrogate pair.
    LoneSurrogate,
    /// JSON: something else where an object belongs.
    NotAnObject,
    /// JSON: something else where an array belongs.
    NotAnArray,
    /// JSON: something else where a string belongs.
    NotAString,
    /// JSON: something else where `true` or `false` belongs.
    NotABool,
    /// JSON: not a whole number.
    NotAnInteger,
    /// JSON: a whole number that its field cannot hold.
    OutOfRange,
    /// JSON: not a number.
    NotADouble,
    /// JSON: the name of an enum's value.
    EnumName,
    /// JSON: an id that is not pairs of hexadecimal digits.
    NotHexadecimal,
    /// JSON: bytes that are not base64.
    NotBase64,
    /// JSON: a member that stands twice in one object.
    MemberTwice,
    /// JSON: two members of which a message can hold one.
    TwoOfOneof,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the message ends inside a number",
            Self::VarintTooLong => "a varint is longer than 64 bits",
            Self::LengthBeyondEnd => "a length points beyond the end of its message",
            Self::BadKey => "expected a field number of at least 1 in at most 32 bits",
            Self::ReservedWireType => "wire types 6 and 7 do not exist",
            Self::UnbalancedGroup => "a group is not balanced",
            Self::WrongWireType => "a known field has another wire type than its own",
            Self::InvalidUtf8 => "a string is not UTF-8",
            Self::TooDeep => "messages are nested too deeply",
            Self::NotJson => "the text is not valid JSON here",
            Self::JsonEnds => "the JSON text ends early",
            Self::ByteOrderMark => {
                "JSON must not begin with a byte order mark; hint: write UTF-8 without one"
            }
            Self::LoneSurrogate => "an escape is half of a surrogate pair",
            Self::NotAnObject => "expected an object",
            Self::NotAnArray => "expected an array",
            Self::NotAString => "expected a string",
            Self::NotABool => "expected true or false",
            Self::NotAnInteger => "expected an integer, as a number or in a string",
            Self::OutOfRange => "the integer does not fit its field",
            Self::NotADouble => {
                "expected a number, or `NaN`, `Infinity` or `-Infinity` in a string"
            }
            Self::EnumName => "expected an integer; hint: OTLP/JSON has no names of enum values",
            Self::NotHexadecimal => {
                "expected pairs of hexadecimal digits; hint: OTLP/JSON has ids in hexadecimal, not base64"
            }
            Self::NotBase64 => "expected base64",
            Self::MemberTwice => "a member stands twice in one object",
            Self::TwoOfOneof => "two values where one is allowed; hint: leave one of them out",
        })
    }
}

/// Why decoding stopped; [`DecodeError`] is its form for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Malformed(Problem),
    TooManyItems,
    TooManyBytes,
    /// A resource or scope behind the spans it belongs to: allowed, never seen; decode again, looking ahead.
    OutOfOrder,
}

impl From<Problem> for Stop {
    #[inline(always)]
    fn from(problem: Problem) -> Self {
        Self::Malformed(problem)
    }
}

/// A request that is refused whole; nothing of it may be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a valid request: permanent, the client must not send it again (HTTP 400, gRPC INVALID_ARGUMENT).
    #[error("not a valid OTLP request: {problem}, in `{path}` at byte {offset}")]
    Malformed {
        /// What is wrong.
        problem: Problem,
        /// The field it stands in, such as `resource_spans[0].scope_spans[0].spans[3].name`.
        path: String,
        /// Offset into the uncompressed body.
        offset: usize,
    },
    /// More items than allowed: permanent (HTTP 413, gRPC RESOURCE_EXHAUSTED without RetryInfo).
    #[error(
        "request holds more than {items_max} items (spans, points, records, attributes, events, links, exemplars); hint: send smaller batches"
    )]
    TooManyItems {
        /// The limit.
        items_max: u64,
    },
    /// Decoded, it would take more memory than allowed: permanent, like [`DecodeError::TooManyItems`].
    #[error("request needs more than {bytes_max} bytes decoded; hint: send smaller batches")]
    TooManyBytes {
        /// The limit.
        bytes_max: usize,
    },
}

impl DecodeError {
    /// Whether the request is too large rather than malformed: 413 instead of 400. Neither may be retried.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::Malformed { .. } => false,
            Self::TooManyItems { .. } | Self::TooManyBytes { .. } => true,
        }
    }
}

/// Why one item was rejected while its request was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// Span: trace id is not 16 bytes, or all zero.
    BadTraceId,
    /// Span: span id is not 8 bytes, or all zero.
    BadSpanId,
    /// Span: neither start nor end. Point: no time.
    NoTime,
    /// A time beyond the year 2262.
    TimeOutOfRange,
    /// Happened more than an hour after it was received.
    TooFarInFuture,
    /// Happened more than 400 days before it was received: outside every SLO window.
    TooOld,
    /// Point: starts after its own time.
    StartAfterTime,
    /// Point: its metric says neither delta nor cumulative.
    NoTemporality,
    /// Point: a number point without a number, and not flagged as such.
    NoValue,
    /// Point: NaN or infinity in a sum.
    NotFinite,
    /// Point: a negative increment of a sum that never falls.
    NegativeDelta,
    /// Point: bounds that do not ascend, or are not finite.
    BadBounds,
    /// Point: not one bucket more than bounds.
    BadBuckets,
    /// Point: buckets that do not add up to the count, or beyond 64 bits.
    CountMismatch,
    /// Point: no events, but a sum.
    SumOfNothing,
    /// Point: a scale outside -10..=20, or a bucket index beyond 32 bits.
    BadScale,
    /// Point: a zero threshold that is negative or not finite.
    BadZeroThreshold,
    /// Point: a quantile outside 0..=1.
    BadQuantile,
}

impl RejectReason {
    /// Label of the reason in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadTraceId => "bad_trace_id",
            Self::BadSpanId => "bad_span_id",
            Self::NoTime => "no_time",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::TooFarInFuture => "too_far_in_future",
            Self::TooOld => "too_old",
            Self::StartAfterTime => "start_after_time",
            Self::NoTemporality => "no_temporality",
            Self::NoValue => "no_value",
            Self::NotFinite => "not_finite",
            Self::NegativeDelta => "negative_delta",
            Self::BadBounds => "bad_bounds",
            Self::BadBuckets => "bad_buckets",
            Self::CountMismatch => "count_mismatch",
            Self::SumOfNothing => "sum_of_nothing",
            Self::BadScale => "bad_scale",
            Self::BadZeroThreshold => "bad_zero_threshold",
            Self::BadQuantile => "bad_quantile",
        }
    }

    /// What was expected, for the client's log.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::BadTraceId => "trace_id must be 16 bytes and not all zero",
            Self::BadSpanId => "span_id must be 8 bytes and not all zero",
            Self::NoTime => {
                "a span needs start_time_unix_nano or end_time_unix_nano, a point time_unix_nano"
            }
            Self::TimeOutOfRange => "times must lie before the year 2262",
            Self::TooFarInFuture => {
                "times must not lie more than an hour from now: check the clock"
            }
            Self::TooOld => "times must lie within the last 400 days",
            Self::StartAfterTime => {
                "start_time_unix_nano of a point must not be after its time_unix_nano"
            }
            Self::NoTemporality => "aggregation_temporality must be delta (1) or cumulative (2)",
            Self::NoValue => "a point needs as_int or as_double, or the flag for no recorded value",
            Self::NotFinite => "the value of a sum must be a finite number",
            Self::NegativeDelta => {
                "an increment of a monotonic sum must not be negative: use an up-down counter"
            }
            Self::BadBounds => "explicit_bounds must be finite and strictly ascending",
            Self::BadBuckets => "bucket_counts must have one element more than explicit_bounds",
            Self::CountMismatch => "bucket_counts (and zero_count) must add up to count",
            Self::SumOfNothing => "sum must be 0 where count is 0",
            Self::BadScale => "scale must lie in -10..=20, and bucket indices must fit 32 bits",
            Self::BadZeroThreshold => "zero_threshold must be a finite number of at least 0",
            Self::BadQuantile => "quantiles must lie in 0..=1",
        }
    }
}

/// The items of one request that were rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: RejectReason,
    /// How many.
    pub count: u64,
    /// The first of them: its position in the request, and its name.
    pub first: String,
}
