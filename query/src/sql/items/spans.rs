//! The table `spans`.

use super::arrays::{
    coded, hex64, hex128, integers_but, optional_floats, small, sparse, texts, times, words,
};
use super::common::{ATTRIBUTES, SENDER, anomalies};
use super::{Read, Rows};
use crate::sql::table::{Column, ItemTable, Kind};
use datafusion::arrow::array::ArrayRef;
use engine::items::Signal;
use engine::span::{DURATION_UNKNOWN, SpanBatch, kind, status};
use engine::value_json::{write_key_values, write_text};

const fn column(
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    read: fn(&SpanBatch, &Rows) -> ArrayRef,
) -> Column {
    Column {
        name,
        kind,
        doc,
        read: Read::Spans(read),
        keyed: None,
    }
}

const TIMES: [Column; 2] = [
    column(
        "time",
        Kind::Time,
        "Event time: when the span ended.",
        |spans, rows| times(&spans.end, rows),
    ),
    column(
        "start_time",
        Kind::Time,
        "When it began; NULL when not sent.",
        |spans, rows| times(&spans.start, rows),
    ),
];

const OWN: [Column; 14] = [
    column("trace_id", Kind::Text, "32 hex digits.", |spans, rows| {
        hex128(&spans.trace_id, rows)
    }),
    column("span_id", Kind::Text, "16 hex digits.", |spans, rows| {
        hex64(&spans.span_id, rows)
    }),
    column(
        "parent_span_id",
        Kind::Text,
        "16 hex digits; NULL for the root of a trace.",
        |spans, rows| hex64(&spans.parent_id, rows),
    ),
    column("name", Kind::Text, "Operation.", |spans, rows| {
        coded(&spans.name, &spans.names, rows, false)
    }),
    column(
        "kind",
        Kind::Text,
        "`internal`, `server`, `client`, `producer`, `consumer`, or `unspecified`.",
        |spans, rows| words(rows, |row| kind_name(spans.kind[row])),
    ),
    column(
        "status",
        Kind::Text,
        "`unset`, `ok` or `error`.",
        |spans, rows| words(rows, |row| status_name(spans.status[row])),
    ),
    column(
        "status_message",
        Kind::Text,
        "What the sender said about the status; NULL when nothing.",
        |spans, rows| sparse(&spans.status_message, rows),
    ),
    column(
        "duration",
        Kind::Float,
        "Seconds; NULL when it cannot be known.",
        |spans, rows| {
            optional_floats(rows, |row| {
                Some(spans.duration[row])
                    .filter(|nanos| *nanos != DURATION_UNKNOWN)
                    .map(|nanos| nanos as f64 / 1e9)
            })
        },
    ),
    column(
        "duration_ns",
        Kind::Int,
        "Nanoseconds, exact; NULL when it cannot be known.",
        |spans, rows| integers_but(&spans.duration, rows, DURATION_UNKNOWN),
    ),
    column(
        "trace_state",
        Kind::Text,
        "W3C tracestate; NULL when not sent.",
        |spans, rows| sparse(&spans.trace_state, rows),
    ),
    column(
        "weight",
        Kind::Int,
        "Spans it stands for, by the sampling threshold in its tracestate; 1 when unsampled.",
        |spans, rows| small(&spans.weight, rows),
    ),
    column(
        "events",
        Kind::Text,
        "Its events as a JSON array of `{time_ns, name, attributes}`; NULL when it has none.",
        events,
    ),
    column(
        "links",
        Kind::Text,
        "Its links as a JSON array of `{trace_id, span_id}`; NULL when it has none.",
        links,
    ),
    column(
        "anomalies",
        Kind::Text,
        "What was odd about it, comma-separated; NULL when nothing.",
        |spans, rows| anomalies(&spans.anomalies, rows),
    ),
];

pub(super) fn table() -> ItemTable {
    let columns = [&TIMES[..], &SENDER, &OWN, &ATTRIBUTES];
    ItemTable {
        name: "spans",
        doc: "One row a span in the hot store.",
        signal: Signal::Traces,
        columns: columns.concat(),
    }
}

const fn kind_name(number: u8) -> &'static str {
    match number {
        kind::INTERNAL => "internal",
        kind::SERVER => "server",
        kind::CLIENT => "client",
        kind::PRODUCER => "producer",
        kind::CONSUMER => "consumer",
        _ => "unspecified",
    }
}

const fn status_name(number: u8) -> &'static str {
    match number {
        status::OK => "ok",
        status::ERROR => "error",
        _ => "unset",
    }
}

fn events(spans: &SpanBatch, rows: &Rows) -> ArrayRef {
    texts(rows, |row| {
        let start = spans
            .events
            .partition_point(|event| (event.row as usize) < row);
        list(
            spans.events[start..]
                .iter()
                .take_while(|event| event.row as usize == row),
            |event, out| {
                out.push_str(&format!("{{\"time_ns\":{},\"name\":", event.time));
                write_text(&event.name, out);
                out.push_str(",\"attributes\":");
                write_key_values(&event.attributes, out);
                out.push('}');
            },
        )
    })
}

fn links(spans: &SpanBatch, rows: &Rows) -> ArrayRef {
    texts(rows, |row| {
        let start = spans
            .links
            .partition_point(|link| (link.row as usize) < row);
        list(
            spans.links[start..]
                .iter()
                .take_while(|link| link.row as usize == row),
            |link, out| {
                out.push_str(&format!(
                    "{{\"trace_id\":\"{:032x}\",\"span_id\":\"{:016x}\"}}",
                    link.trace_id, link.span_id
                ));
            },
        )
    })
}

/// A JSON array; `None` when there is nothing in it.
fn list<T>(items: impl Iterator<Item = T>, write: impl Fn(T, &mut String)) -> Option<String> {
    let mut out = String::new();
    for item in items {
        out.push(if out.is_empty() { '[' } else { ',' });
        write(item, &mut out);
    }
    (!out.is_empty()).then(|| out + "]")
}
