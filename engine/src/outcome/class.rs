//! How a failed request failed. One table: what a value hints at, and which hint tells most.
//!
//! Whether a request failed is decided by [`super::RULES`] alone; only then is it asked how. Hints are bits, one for
//! each [`FailureClass`], read once per distinct value. The text of a status message is read for failed spans that
//! nothing else explains: several SDKs say there alone that nobody listened.
//!
//! Sources: semantic conventions 1.44 (`error.type`), gRPC status codes, Envoy response flags; messages as the SDKs of
//! Python, Node, Java and Go were seen to write them.

use super::grpc_number;
use crate::items::{AttributeColumn, ColumnData, Value};
use crate::span::SpanBatch;
use crate::trace::FailureClass;

/// The classes, the most telling first: of several hints the first of these counts.
const ORDER: [FailureClass; 9] = [
    FailureClass::Overload,
    FailureClass::NoHost,
    FailureClass::Dns,
    FailureClass::Refused,
    FailureClass::Reset,
    FailureClass::Timeout,
    FailureClass::Cancelled,
    FailureClass::Server5xx,
    FailureClass::Client4xx,
];

const fn bit(class: FailureClass) -> u16 {
    1 << class as u16
}

/// Hints after which a message need not be read.
const TELLING: u16 = !(bit(FailureClass::Server5xx) | bit(FailureClass::Client4xx));

type Reader = fn(Value<'_>) -> u16;

/// Which attribute hints at what.
const READERS: &[(&str, Reader)] = &[
    ("canceled", canceled),
    ("error.reason", words_of),
    ("error.type", words_of),
    ("exception.type", words_of),
    ("grpc.status_code", grpc),
    ("http.response.status_code", http),
    ("http.status_code", http),
    ("response_flags", flags),
    ("rpc.grpc.status_code", grpc),
    ("rpc.response.status_code", grpc),
    ("rpc.status_code", grpc),
];

/// Words of error types and messages, in lower case.
const WORDS: &[(&str, FailureClass)] = &[
    ("enotfound", FailureClass::Dns),
    ("eai_again", FailureClass::Dns),
    ("getaddrinfo", FailureClass::Dns),
    ("gaierror", FailureClass::Dns),
    ("nameresolution", FailureClass::Dns),
    ("name resolution", FailureClass::Dns),
    ("no such host", FailureClass::Dns),
    ("unknownhost", FailureClass::Dns),
    ("dns", FailureClass::Dns),
    ("refused", FailureClass::Refused),
    ("connectexception", FailureClass::Refused),
    ("remote connection failure", FailureClass::Refused),
    ("reset", FailureClass::Reset),
    ("broken pipe", FailureClass::Reset),
    ("epipe", FailureClass::Reset),
    ("remotedisconnected", FailureClass::Reset),
    ("connection aborted", FailureClass::Reset),
    ("connection termination", FailureClass::Reset),
    ("socket hang up", FailureClass::Reset),
    ("unexpected eof", FailureClass::Reset),
    ("timeout", FailureClass::Timeout),
    ("timed out", FailureClass::Timeout),
    ("timedout", FailureClass::Timeout),
    ("deadline", FailureClass::Timeout),
    ("aborterror", FailureClass::Cancelled),
    ("cancel", FailureClass::Cancelled),
    ("resource exhausted", FailureClass::Overload),
    ("resource_exhausted", FailureClass::Overload),
    ("too many requests", FailureClass::Overload),
    ("overflow", FailureClass::Overload),
    ("circuit", FailureClass::Overload),
    ("no healthy upstream", FailureClass::NoHost),
];

/// Longest message looked at, bytes.
const MESSAGE_BYTES_MAX: usize = 512;

fn words(text: &str) -> u16 {
    let text = &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)];
    let text = text.to_ascii_lowercase();
    let found = WORDS.iter().filter(|(word, _)| text.contains(word));
    found.fold(0, |bits, (_, class)| bits | bit(*class))
}

fn words_of(value: Value<'_>) -> u16 {
    let code = http(value);
    code | value
        .as_text()
        .map_or(0, |text| words(text) | grpc_name(text))
}

/// `error.type` of an RPC is the name of its code.
fn grpc_name(text: &str) -> u16 {
    grpc_number(text).map_or(0, |number| grpc(Value::Int(number)))
}

/// Envoy cancels an attempt whose time was up; one that failed otherwise says how beside it.
fn canceled(value: Value<'_>) -> u16 {
    match value {
        Value::Bool(true) | Value::Text("true") => bit(FailureClass::Timeout),
        _ => 0,
    }
}

fn http(value: Value<'_>) -> u16 {
    bit(match value.as_int() {
        Some(429) => FailureClass::Overload,
        Some(408 | 504) => FailureClass::Timeout,
        Some(499) => FailureClass::Cancelled,
        Some(400..=499) => FailureClass::Client4xx,
        Some(500..=599) => FailureClass::Server5xx,
        _ => return 0,
    })
}

fn grpc(value: Value<'_>) -> u16 {
    let code = value
        .as_int()
        .or_else(|| value.as_text().and_then(grpc_number));
    bit(match code {
        Some(1) => FailureClass::Cancelled,
        Some(4) => FailureClass::Timeout,
        Some(8) => FailureClass::Overload,
        Some(3 | 5 | 6 | 7 | 9 | 10 | 11 | 16) => FailureClass::Client4xx,
        Some(2 | 12 | 13 | 14 | 15) => FailureClass::Server5xx,
        _ => return 0,
    })
}

fn flags(value: Value<'_>) -> u16 {
    let Some(text) = value.as_text() else {
        return 0;
    };
    text.split(',').map(str::trim).fold(0, |bits, flag| {
        bits | match flag {
            "UO" | "OM" | "RL" | "RLSE" => bit(FailureClass::Overload),
            "UH" | "NC" | "NFCF" => bit(FailureClass::NoHost),
            "DF" => bit(FailureClass::Dns),
            "UF" => bit(FailureClass::Refused),
            "UC" | "UR" | "LR" => bit(FailureClass::Reset),
            "UT" | "DT" | "SI" | "UMSDR" => bit(FailureClass::Timeout),
            "DC" => bit(FailureClass::Cancelled),
            _ => 0,
        }
    })
}

/// The class that `hints` tell of a failed request.
pub fn class_of(hints: u16) -> FailureClass {
    let found = ORDER.into_iter().find(|class| hints & bit(*class) != 0);
    found.unwrap_or(FailureClass::Other)
}

/// How far a class tells what happened: of two halves that failed, the one that says more is believed.
const fn weight(class: FailureClass) -> u8 {
    match class {
        FailureClass::Ok => 0,
        FailureClass::Other => 1,
        FailureClass::Client4xx | FailureClass::Server5xx => 2,
        _ => 3,
    }
}

/// How the request of two halves ended: failed if either says so; the half that tells more says how, the client's
/// where both tell as much.
pub const fn of_pair(client: FailureClass, server: FailureClass) -> FailureClass {
    if weight(server) > weight(client) {
        server
    } else {
        client
    }
}

/// The hints of a batch.
#[derive(Debug, Default)]
pub struct Classes {
    hints: Vec<u16>,
}

impl Classes {
    /// Reads `batch`. O(distinct values + rows of the columns that hint at something).
    pub fn read(&mut self, batch: &SpanBatch) {
        self.hints.clear();
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
                self.hints.resize(rows, 0);
                for (row, bits) in self.hints.iter_mut().enumerate() {
                    if column.present.value(row) {
                        *bits |= table.get(usize::from(codes[row])).copied().unwrap_or(0);
                    }
                }
            }
            ColumnData::Raw(_) => {
                self.hints.resize(rows, 0);
                for (row, bits) in self.hints.iter_mut().enumerate() {
                    *bits |= column.get(row).map_or(0, reader);
                }
            }
        }
    }

    /// How the request of `row` ended, which `failed` or not. `batch` is the one that was read.
    #[inline]
    pub fn of(&self, batch: &SpanBatch, row: usize, failed: bool) -> FailureClass {
        if failed {
            self.of_failed(batch, row)
        } else {
            FailureClass::Ok
        }
    }

    fn of_failed(&self, batch: &SpanBatch, row: usize) -> FailureClass {
        let mut hints = self.hints.get(row).copied().unwrap_or(0);
        if hints & TELLING == 0
            && let Some(message) = batch.status_message.get(row)
        {
            hints |= words(message);
        }
        class_of(hints)
    }
}
