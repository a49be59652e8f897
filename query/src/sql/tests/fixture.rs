//! A small snapshot with every signal, and asking it.

use crate::api::SqlAnswer;
use crate::sql::{Encoding, Request, Sql, SqlError};
use engine::hash::HashSeed;
use engine::identity::Identity;
use engine::items::{
    AttributeColumn, ColumnData, ItemColumns, Resource, Scope, ValueKind, ValueTable,
};
use engine::log_record::{Bodies, LogBatch};
use engine::metric::{
    ExponentialBuckets, ExponentialHistogram, Histogram, Instrument, Metric, MetricBatch, Summary,
    Temporality,
};
use engine::snapshot::Snapshot;
use engine::span::{SpanEvent, SpanLink, kind, status};
use engine::span_rows::{SpanRow, batch, resource};
use engine::store::Store;
use engine::time::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-01T00:00:00Z, ns.
pub(super) const START: u64 = 1_767_225_600_000_000_000;
/// One second, ns.
pub(super) const SECOND: u64 = 1_000_000_000;
/// Spans of the fixture.
pub(super) const SPANS: u64 = 100;

/// The resource of `checkout`, with a value of every kind.
fn checkout() -> Arc<Resource> {
    let plain = resource(&[
        ("service.name", "checkout"),
        ("service.version", "v2"),
        ("deployment.environment.name", "production"),
        ("k8s.pod.name", "checkout-1"),
    ]);
    let mut attributes = plain.attributes.clone();
    attributes.push((
        "process.pid".to_owned(),
        ValueKind::Int,
        42i64.to_le_bytes().to_vec(),
    ));
    // [1, "x"] as an encoded AnyValue.
    let list = vec![0x2a, 9, 0x0a, 2, 0x18, 1, 0x0a, 3, 0x0a, 1, b'x'];
    attributes.push(("process.args".to_owned(), ValueKind::Nested, list));
    Arc::new(Resource {
        hash: plain.hash ^ 1,
        encoded: Vec::new(),
        attributes,
        identity: Arc::new(Identity::clone(&plain.identity)),
    })
}

/// A hundred spans in two services, one a second: every fourth fails, routes `/0` to `/4`, `http.status` is an
/// integer, `mixed` an integer or text, `ratio` a float, `cached` a flag, `rare` only in one span.
pub(super) fn spans() -> Vec<SpanRow> {
    let checkout = checkout();
    let cart = resource(&[("service.name", "cart")]);
    (0..SPANS)
        .map(|n| {
            let from = if n % 2 == 0 { &checkout } else { &cart };
            let start = START + n * SECOND;
            let ids = (u128::from(n / 10 + 1), n + 1);
            let mut row = SpanRow::new(
                from,
                ids,
                (start, start + (n + 1) * 1_000_000),
                kind::SERVER,
            )
            .named(if n % 2 == 0 { "GET /pay" } else { "GET /cart" })
            .with("http.route", format!("/{}", n % 5).as_str())
            .with("http.status", if n % 4 == 0 { 500 } else { 200 })
            .with("ratio", n as f64 / 4.0)
            .with("cached", n % 3 == 0);
            row = match n % 2 {
                0 => row.with("mixed", n as i64),
                _ => row.with("mixed", "odd"),
            };
            if n == 7 {
                row = row.with("rare", "it's \"here\"");
            }
            if n % 4 == 0 {
                row = row.with_status(status::ERROR);
            }
            row.parent_id = if n % 10 == 0 { 0 } else { n };
            row
        })
        .collect()
}

fn items(rows: usize, attributes: Vec<AttributeColumn>) -> ItemColumns {
    ItemColumns {
        received: Timestamp(START),
        resources: vec![checkout()],
        scopes: vec![Arc::new(Scope {
            name: "lib".to_owned(),
            version: "1".to_owned(),
            is_tail_sampled: false,
        })],
        resource: vec![0; rows].into(),
        scope: vec![0; rows].into(),
        attributes,
    }
}

fn metrics() -> MetricBatch {
    let metric = |name: &str, instrument, temporality| {
        Arc::new(Metric {
            name: name.to_owned(),
            unit: "1".to_owned(),
            instrument,
            temporality,
        })
    };
    let rows = 5;
    MetricBatch {
        items: items(rows, Vec::new()),
        metrics: vec![
            metric("queue.length", Instrument::Gauge, Temporality::None),
            metric("requests", Instrument::Counter, Temporality::Cumulative),
            metric("latency", Instrument::Histogram, Temporality::Delta),
            metric("size", Instrument::ExponentialHistogram, Temporality::Delta),
            metric("old", Instrument::Summary, Temporality::None),
        ],
        metric: vec![0, 1, 2, 3, 4].into(),
        start: vec![0, START, START, START, 0].into(),
        time: vec![START + SECOND; rows].into(),
        flags: vec![0; rows].into(),
        anomalies: vec![0; rows].into(),
        stream: (1..=rows as u128).collect(),
        shard: vec![0; rows].into(),
        value_kind: vec![2, 1, 0, 0, 0].into(),
        value: vec![2.5f64.to_bits(), 7, 0, 0, 0].into(),
        histograms: vec![Histogram {
            row: 2,
            count: 6,
            sum: Some(1.5),
            min: Some(0.1),
            max: None,
            bounds: vec![0.5, 1.0].into(),
            counts: vec![1, 2, 3].into(),
        }],
        exponential: vec![ExponentialHistogram {
            row: 3,
            count: 3,
            sum: None,
            min: None,
            max: Some(9.0),
            scale: 2,
            zero_count: 1,
            zero_threshold: 0.0,
            positive: ExponentialBuckets {
                offset: -1,
                counts: vec![1, 1].into(),
            },
            negative: ExponentialBuckets::default(),
        }],
        summaries: vec![Summary {
            row: 4,
            count: 8,
            sum: 4.0,
            quantiles: vec![(0.5, 0.4), (0.99, f64::NAN)].into(),
        }],
    }
}

fn logs() -> LogBatch {
    let rows = 3;
    LogBatch {
        items: items(rows, Vec::new()),
        time: vec![START, START + SECOND, START + 2 * SECOND].into(),
        observed_time: vec![0, START + SECOND, 0].into(),
        trace_id: vec![1, 0, 0].into(),
        span_id: vec![1, 0, 0].into(),
        severity_number: vec![17, 9, 0].into(),
        severity_texts: ValueTable::from_iter(["", "ERROR", "INFO"]),
        severity_text: vec![1, 2, 0].into(),
        event_names: ValueTable::from_iter(["", "login"]),
        event_name: vec![0, 1, 0].into(),
        bodies: Bodies {
            kinds: vec![ValueKind::Text, ValueKind::Nested, ValueKind::Empty],
            values: ValueTable::from_iter([
                b"payment refused".to_vec(),
                vec![0x2a, 4, 0x0a, 2, 0x18, 1],
                Vec::new(),
            ]),
        },
        flags: vec![0; rows].into(),
        anomalies: vec![1 << 10, 0, 0].into(),
        key: vec![1, 2, 3].into(),
        shard: vec![0; rows].into(),
    }
}

/// A raw (not dictionary) column of a log record's attribute; the middle row has none.
fn raw_column() -> AttributeColumn {
    AttributeColumn {
        key: "request.id".into(),
        kind: ValueKind::Text,
        present: [true, false, true].into_iter().collect::<Vec<_>>().into(),
        data: ColumnData::Raw(ValueTable::from_iter(["a-long-request-id", "", "b"])),
    }
}

/// The fixture's snapshot: spans in chunks of `chunk` rows, one chunk of points, one of records.
pub(super) fn snapshot_in(chunk: usize) -> Arc<Snapshot> {
    let mut store = Store::new(u64::MAX);
    let rows = spans();
    for rows in rows.chunks(chunk) {
        let mut spans = batch(HashSeed(1, 2), Timestamp(START), rows);
        if rows[0].span_id == 1 {
            spans.events.push(SpanEvent {
                row: 0,
                time: START,
                name: "exception".to_owned(),
                attributes: vec![8, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, b'v'],
            });
            spans.links.push(SpanLink {
                row: 0,
                trace_id: 5,
                span_id: 6,
                flags: 0,
            });
        }
        store.append(Arc::new(spans.into()));
    }
    store.append(Arc::new(metrics().into()));
    let mut logs = logs();
    logs.items.attributes = vec![raw_column()];
    store.append(Arc::new(logs.into()));
    Arc::new(Snapshot {
        as_of: Timestamp(START + SPANS * SECOND),
        store: store.view(),
        ..Snapshot::default()
    })
}

/// The fixture's snapshot.
pub(super) fn snapshot() -> Arc<Snapshot> {
    snapshot_in(7)
}

/// Asks for up to 10,000 rows.
pub(super) async fn ask_as(
    snapshot: &Arc<Snapshot>,
    statement: &str,
    encoding: Encoding,
) -> Result<Vec<u8>, SqlError> {
    let request = Request {
        statement: statement.to_owned(),
        rows: 10_000,
        timeout: Duration::from_secs(30),
        encoding,
    };
    let answer = Sql::default().answer(Arc::clone(snapshot), request).await?;
    Ok(answer.body)
}

/// Asks for JSON.
pub(super) async fn ask(snapshot: &Arc<Snapshot>, statement: &str) -> Result<SqlAnswer, SqlError> {
    let body = ask_as(snapshot, statement, Encoding::Json).await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

/// The rows of an answer that must come.
pub(super) async fn rows(snapshot: &Arc<Snapshot>, statement: &str) -> Vec<Vec<Value>> {
    match ask(snapshot, statement).await {
        Ok(answer) => answer.rows,
        Err(error) => panic!("{statement}\n{error}"),
    }
}
