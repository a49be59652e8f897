//! OTLP on the wire to [`engine::span::SpanBatch`]: one pass, straight into columns.
//!
//! - **In / out**: an uncompressed protobuf body in; [`Decoded`] or [`DecodeError`] out.
//! - **Does not know**: sockets, compression, the log, what the spans will be used for.
//! - **Owns**: predictions and a cache of resources, per [`Decoder`]; they change speed, never results.
//! - **Limits**: [`DecodeLimits`]; each field says what happens at it.
//! - **Sources**: opentelemetry-proto 1.11; <https://protobuf.dev/programming-guides/encoding/>.
//! - **Read next**: `traces` (the walk), `span` (accept or reject), `attributes` and `column` (prediction), `schema`
//!   and `check` (what malformed means).

mod attributes;
mod batch;
mod check;
mod children;
mod column;
mod decoder;
mod error;
mod json;
mod point;
mod points;
mod records;
mod resource;
mod rules;
mod schema;
mod span;
mod spans;
mod stream;
mod tracestate;
mod value;
mod walk;
mod wire;

pub use decoder::{Decoded, Decoder};
pub use error::{DecodeError, Problem, RejectReason, Rejected};

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Binary protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

/// Bounds on one request. What goes beyond a whole-request bound is refused; what goes beyond a bound of one span is
/// cut or dropped and marked in that span's `anomalies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most spans, attributes, events, links, list elements and unknown fields together; more is refused.
    /// 64 MiB of spans with 12 attributes are 1.5 million.
    pub items_max: u64,
    /// Most bytes of the decoded batches; more is refused.
    pub bytes_max: usize,
    /// Deepest nesting of messages, counted from the request; deeper is refused.
    pub depth_max: u32,
    /// Attributes kept of one span, event or resource, the first ones; the others are dropped. At most 4,096.
    pub attributes_per_span: usize,
    /// Events kept of one span, the first ones; the others are dropped.
    pub events_per_span: usize,
    /// Links kept of one span, the first ones; the others are dropped.
    pub links_per_span: usize,
    /// Longest attribute key; an attribute with a longer one is dropped.
    pub key_bytes_max: usize,
    /// Longest value of an attribute, name or message; a longer one is cut.
    pub value_bytes_max: usize,
    /// Longest body of a log record: text and bytes are cut, a longer list becomes an empty value.
    pub body_bytes_max: usize,
    /// Longest tracestate; a longer one is dropped, for half a tracestate says something else.
    pub trace_state_bytes_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            items_max: 2 << 20,
            bytes_max: 256 << 20,
            depth_max: 64,
            attributes_per_span: 128,
            events_per_span: 128,
            links_per_span: 128,
            key_bytes_max: 256,
            value_bytes_max: 4_096,
            body_bytes_max: 16_384,
            trace_state_bytes_max: 4_096,
        }
    }
}
