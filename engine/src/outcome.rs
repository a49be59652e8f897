//! Did the request fail? One table of rules, read from the top; the first rule that applies decides.
//!
//! A span tells its outcome in several dialects at once (span status, HTTP code, gRPC code, `error.type`, Envoy's
//! response flags and `error` tag). Each is first reduced to a [`signal`] bit, once per distinct value of a batch;
//! [`RULES`] then says what the bits mean on the server's and on the client's side. Status *text* never counts.
//!
//! Sources: OpenTelemetry specification, trace API "Set Status"; semantic conventions 1.44, HTTP spans and gRPC
//! ("status code" sections); Envoy access log `%RESPONSE_FLAGS%`. A 429 is a 4xx: a service that turns away a
//! caller's excess does as it was told. Who sees it otherwise writes a `failed` rule.

mod class;

pub use class::{Classes, class_of, of_pair};

use crate::items::{AttributeColumn, ColumnData, Value};
use crate::span::{SpanBatch, kind, status};

/// What a span says about its outcome, as bits.
pub mod signal {
    /// Span status OK, set explicitly.
    pub const STATUS_OK: u16 = 1;
    /// Span status ERROR.
    pub const STATUS_ERROR: u16 = 1 << 1;
    /// A gRPC code that the conventions call a fault of the server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
    /// INTERNAL, UNAVAILABLE, DATA_LOSS.
    pub const GRPC_FAULT: u16 = 1 << 2;
    /// Any other gRPC code but OK.
    pub const GRPC_ERROR: u16 = 1 << 3;
    /// HTTP 500..=599.
    pub const HTTP_5XX: u16 = 1 << 4;
    /// HTTP 400..=499.
    pub const HTTP_4XX: u16 = 1 << 5;
    /// HTTP code 0: Envoy's way to say that there was no response.
    pub const NO_RESPONSE: u16 = 1 << 6;
    /// `error.type` is there and not empty.
    pub const ERROR_TYPE: u16 = 1 << 7;
    /// An Envoy response flag that names a failure on the way to or in the upstream.
    pub const ENVOY_FLAG: u16 = 1 << 8;
    /// Envoy response flag DC: the caller went away before the answer.
    pub const CALLER_LEFT: u16 = 1 << 9;
    /// `error` is true.
    pub const ERROR_TAG: u16 = 1 << 10;
}

/// From which side of a call a span looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// SERVER, CONSUMER and everything inside a service: is it this service's failure?
    Server,
    /// CLIENT and PRODUCER: did the attempt fail for the caller?
    Client,
}

impl Side {
    /// The side of a span kind ([`kind`]).
    pub const fn of(span_kind: u8) -> Self {
        match span_kind {
            kind::CLIENT | kind::PRODUCER => Self::Client,
            _ => Self::Server,
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// What it is about, for people.
    pub name: &'static str,
    /// The side it applies to; `None` = both.
    pub side: Option<Side>,
    /// The [`signal`] bits that must all be there.
    pub signals: u16,
    /// Its verdict.
    pub failed: bool,
}

const fn rule(name: &'static str, side: Option<Side>, signals: u16, failed: bool) -> Rule {
    Rule {
        name,
        side,
        signals,
        failed,
    }
}

/// The table. No rule applies = not failed.
pub const RULES: &[Rule] = {
    use signal::*;
    const SERVER: Option<Side> = Some(Side::Server);
    const CLIENT: Option<Side> = Some(Side::Client);
    &[
        rule("status OK is final", None, STATUS_OK, false),
        rule("status ERROR", None, STATUS_ERROR, true),
        rule("gRPC fault", None, GRPC_FAULT, true),
        rule("gRPC error, the caller's", SERVER, GRPC_ERROR, false),
        rule("gRPC error", CLIENT, GRPC_ERROR, true),
        rule("HTTP 5xx", None, HTTP_5XX, true),
        rule("HTTP 4xx, the caller's", SERVER, HTTP_4XX, false),
        rule("HTTP 4xx", CLIENT, HTTP_4XX, true),
        rule("the caller left", SERVER, CALLER_LEFT, false),
        rule("no response", None, NO_RESPONSE, true),
        rule("error.type", None, ERROR_TYPE, true),
        rule("Envoy response flag", None, ENVOY_FLAG, true),
        rule("error tag", None, ERROR_TAG, true),
    ]
};

/// Whether a span with these [`signal`]s, seen from `side`, failed. O(rules).
pub fn is_failed(side: Side, signals: u16) -> bool {
    RULES
        .iter()
        .find(|rule| {
            rule.side.is_none_or(|wanted| wanted == side) && signals & rule.signals == rule.signals
        })
        .is_some_and(|rule| rule.failed)
}

/// Reads one attribute value as signals.
type Reader = fn(Value<'_>) -> u16;

/// Which attribute says what. Old and new names, numbers and text (Envoy sends text only).
const READERS: &[(&str, Reader)] = &[
    ("error", error_tag),
    ("error.type", error_type),
    ("grpc.status_code", grpc_code),
    ("http.response.status_code", http_code),
    ("http.status_code", http_code),
    ("response_flags", response_flags),
    ("rpc.grpc.status_code", grpc_code),
    ("rpc.response.status_code", grpc_code),
    ("rpc.status_code", grpc_code),
];

fn error_tag(value: Value<'_>) -> u16 {
    match value {
        Value::Bool(true) | Value::Text("true") => signal::ERROR_TAG,
        _ => 0,
    }
}

fn error_type(value: Value<'_>) -> u16 {
    match value {
        Value::Empty | Value::Text("") => 0,
        _ => signal::ERROR_TYPE,
    }
}

fn http_code(value: Value<'_>) -> u16 {
    match value.as_int() {
        Some(0) => signal::NO_RESPONSE,
        Some(400..=499) => signal::HTTP_4XX,
        Some(500..=599) => signal::HTTP_5XX,
        _ => 0,
    }
}

/// gRPC code names, by number.
const GRPC_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALIDARGUMENT",
    "DEADLINEEXCEEDED",
    "NOTFOUND",
    "ALREADYEXISTS",
    "PERMISSIONDENIED",
    "RESOURCEEXHAUSTED",
    "FAILEDPRECONDITION",
    "ABORTED",
    "OUTOFRANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATALOSS",
    "UNAUTHENTICATED",
];

/// Numbers beyond 16 belong to other RPC systems and say nothing here.
fn grpc_code(value: Value<'_>) -> u16 {
    let code = value
        .as_int()
        .or_else(|| value.as_text().and_then(grpc_number));
    match code {
        Some(2 | 4 | 12 | 13 | 14 | 15) => signal::GRPC_FAULT,
        Some(1..=16) => signal::GRPC_ERROR,
        _ => 0,
    }
}

/// `DEADLINE_EXCEEDED`, `DeadlineExceeded` and `deadline_exceeded` are one name.
fn grpc_number(name: &str) -> Option<i64> {
    let folded: String = name
        .chars()
        .filter(|letter| *letter != '_')
        .map(|letter| letter.to_ascii_uppercase())
        .take(32)
        .collect();
    let folded = if folded == "CANCELED" {
        "CANCELLED"
    } else {
        &folded
    };
    let number = GRPC_NAMES.iter().position(|known| *known == folded)?;
    Some(number as i64)
}

/// Envoy flags that name a failure of the upstream or of the way to it. Left out: those about the caller (DC, DPE,
/// IH), about policy that answers with a code of its own (RL, UAEX, FI, DI), and NR, which is a 404.
const ENVOY_FAILURES: &[&str] = &[
    "DF", "DO", "DT", "LH", "LR", "NC", "NFCF", "OM", "RLSE", "SI", "UC", "UF", "UH", "UMSDR",
    "UO", "UPE", "UR", "URX", "UT",
];

fn response_flags(value: Value<'_>) -> u16 {
    let Some(text) = value.as_text() else {
        return 0;
    };
    text.split(',').map(str::trim).fold(0, |bits, flag| {
        if flag == "DC" {
            bits | signal::CALLER_LEFT
        } else if ENVOY_FAILURES.contains(&flag) {
            bits | signal::ENVOY_FLAG
        } else {
            bits
        }
    })
}

/// The outcomes of a batch: attributes are read once per distinct value, rows only where a value says something.
#[derive(Debug, Default)]
pub struct Outcomes {
    signals: Vec<u16>,
}

impl Outcomes {
    /// Reads `batch`. O(distinct values + rows of the columns that signal something).
    pub fn read(&mut self, batch: &SpanBatch) {
        self.signals.clear();
        for (key, reader) in READERS {
            for column in batch.items.columns(key) {
                self.read_column(column, *reader, batch.len());
            }
        }
    }

    fn read_column(&mut self, column: &AttributeColumn, reader: Reader, rows: usize) {
        match &column.data {
            ColumnData::Codes { codes, values } => {
                let table: Vec<u16> = (0..values.len())
                    .map(|code| reader(Value::read(column.kind, values.get(code))))
                    .collect();
                if table.iter().all(|bits| *bits == 0) {
                    return;
                }
                self.signals.resize(rows, 0);
                for (row, bits) in self.signals.iter_mut().enumerate() {
                    if column.present.value(row) {
                        *bits |= table.get(usize::from(codes[row])).copied().unwrap_or(0);
                    }
                }
            }
            ColumnData::Raw(_) => {
                self.signals.resize(rows, 0);
                for (row, bits) in self.signals.iter_mut().enumerate() {
                    *bits |= column.get(row).map_or(0, reader);
                }
            }
        }
    }

    /// Whether the request of `row` failed. `batch` is the one that was read.
    pub fn is_failed(&self, batch: &SpanBatch, row: usize) -> bool {
        let told = self.signals.get(row).copied().unwrap_or(0);
        let stated = match batch.status[row] {
            status::OK => signal::STATUS_OK,
            status::ERROR => signal::STATUS_ERROR,
            _ => 0,
        };
        told | stated != 0 && is_failed(Side::of(batch.kind[row]), told | stated)
    }
}

#[cfg(test)]
mod tests;
