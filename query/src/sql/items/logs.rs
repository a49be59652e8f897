//! The table `logs`.

use super::arrays::{coded, hex64, hex128, small, texts, times};
use super::common::{ATTRIBUTES, SENDER, anomalies};
use super::{Read, Rows};
use crate::sql::table::{Column, ItemTable, Kind};
use datafusion::arrow::array::ArrayRef;
use engine::items::{Signal, Value};
use engine::log_record::LogBatch;
use engine::value_json::write_plain;

const fn column(
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    read: fn(&LogBatch, &Rows) -> ArrayRef,
) -> Column {
    Column {
        name,
        kind,
        doc,
        read: Read::Logs(read),
        keyed: None,
    }
}

const TIMES: [Column; 2] = [
    column(
        "time",
        Kind::Time,
        "Event time: the record's own, else when it was observed, else when it was received.",
        |logs, rows| times(&logs.time, rows),
    ),
    column(
        "observed_time",
        Kind::Time,
        "When a collector saw it; NULL when not sent.",
        |logs, rows| times(&logs.observed_time, rows),
    ),
];

const OWN: [Column; 7] = [
    column(
        "trace_id",
        Kind::Text,
        "32 hex digits; NULL when it belongs to no trace.",
        |logs, rows| hex128(&logs.trace_id, rows),
    ),
    column(
        "span_id",
        Kind::Text,
        "16 hex digits; NULL when it belongs to no span.",
        |logs, rows| hex64(&logs.span_id, rows),
    ),
    column(
        "severity_number",
        Kind::Int,
        "1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal; 0 when not sent.",
        |logs, rows| small(&logs.severity_number, rows),
    ),
    column(
        "severity_text",
        Kind::Text,
        "The sender's own word; NULL when not sent.",
        |logs, rows| coded(&logs.severity_text, &logs.severity_texts, rows, true),
    ),
    column(
        "event_name",
        Kind::Text,
        "Name of the event; NULL when the record is none.",
        |logs, rows| coded(&logs.event_name, &logs.event_names, rows, true),
    ),
    column(
        "body",
        Kind::Text,
        "What it says; a structured body is JSON text; NULL when there is none.",
        body,
    ),
    column(
        "anomalies",
        Kind::Text,
        "What was odd about it, comma-separated; NULL when nothing.",
        |logs, rows| anomalies(&logs.anomalies, rows),
    ),
];

pub(super) fn table() -> ItemTable {
    let columns = [&TIMES[..], &SENDER, &OWN, &ATTRIBUTES];
    ItemTable {
        name: "logs",
        doc: "One row a log record in the hot store.",
        signal: Signal::Logs,
        columns: columns.concat(),
    }
}

fn body(logs: &LogBatch, rows: &Rows) -> ArrayRef {
    texts(rows, |row| match logs.bodies.get(row) {
        Value::Empty => None,
        value => {
            let mut text = String::new();
            write_plain(value, &mut text);
            Some(text)
        }
    })
}
