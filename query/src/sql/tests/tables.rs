//! Tables, columns, counts.

use super::fixture::{SPANS, snapshot_in};
use super::*;
use crate::sql::{items, reference, state, table};
use serde_json::{Value, json};

/// Scenario: every column of every table, one by one.
/// Guarantees: it is there with the type that the reference says.
#[tokio::test]
async fn every_column_has_its_type() {
    let snapshot = snapshot();
    let items = items::tables().iter().flat_map(|table| {
        let columns = table.columns.iter();
        columns.map(|column| (table.name, column.name, column.kind))
    });
    let state = state::tables().iter().flat_map(|table| {
        let columns = table.columns.iter();
        columns.map(|column| (table.name, column.name, column.kind))
    });
    for (table, column, kind) in items.chain(state) {
        let answer = ask(&snapshot, &format!("SELECT {column} FROM {table}")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{table}.{column}: {error}"));
        assert_eq!(answer.columns[0].name, column);
        assert_eq!(
            answer.columns[0].kind,
            table::type_name(&kind.arrow()),
            "{table}.{column}"
        );
    }
}

/// Scenario: the statements of the reference page.
/// Guarantees: each runs.
#[tokio::test]
async fn examples_run() {
    let snapshot = snapshot();
    for (title, statement) in reference::EXAMPLES {
        let answer = ask(&snapshot, statement).await;
        assert!(answer.is_ok(), "{title}: {}", answer.unwrap_err());
    }
}

/// Scenario: chunks of 1, 7 and 8,192 rows.
/// Guarantees: every held item is a row, whatever it is cut into, filtered or not, from statistics or by reading.
#[tokio::test]
async fn every_item_is_a_row() {
    for chunk in [1, 7, 8_192] {
        let snapshot = snapshot_in(chunk);
        for (table, count) in [("spans", SPANS), ("metrics", 5), ("logs", 3)] {
            for condition in ["", "WHERE service IS NOT NULL", "WHERE time IS NOT NULL"] {
                let counted = rows(
                    &snapshot,
                    &format!("SELECT count(*) FROM {table} {condition}"),
                )
                .await;
                assert_eq!(counted, [[json!(count)]], "{table} {condition}");
            }
        }
        let distinct = rows(
            &snapshot,
            "SELECT count(DISTINCT span_id), sum(duration_ns) FROM spans",
        )
        .await;
        assert_eq!(
            distinct,
            [[json!(SPANS), json!(SPANS * (SPANS + 1) / 2 * 1_000_000)]]
        );
    }
}

/// Scenario: one span, all columns.
/// Guarantees: values are what was put in.
#[tokio::test]
async fn a_span_as_a_row() {
    let snapshot = snapshot();
    let answer = ask(
        &snapshot,
        "SELECT * FROM spans WHERE span_id = '0000000000000001'",
    )
    .await;
    let answer = answer.unwrap();
    let row = &answer.rows[0];
    let value = |name: &str| {
        let index = answer.columns.iter().position(|column| column.name == name);
        &row[index.unwrap()]
    };
    for (name, expected) in [
        ("time", json!("2026-01-01T00:00:00.001Z")),
        ("start_time", json!("2026-01-01T00:00:00Z")),
        ("service", json!("checkout")),
        ("namespace", Value::Null),
        ("environment", json!("production")),
        ("revision", json!("v2")),
        ("instance", json!("checkout-1")),
        ("trace_id", json!("00000000000000000000000000000001")),
        ("parent_span_id", Value::Null),
        ("name", json!("GET /pay")),
        ("kind", json!("server")),
        ("status", json!("error")),
        ("status_message", Value::Null),
        ("duration", json!(0.001)),
        ("duration_ns", json!(1_000_000)),
        ("weight", json!(1)),
        (
            "events",
            json!(
                "[{\"time_ns\":1767225600000000000,\"name\":\"exception\",\"attributes\":{\"k\":\"v\"}}]"
            ),
        ),
        (
            "links",
            json!(
                "[{\"trace_id\":\"00000000000000000000000000000005\",\"span_id\":\"0000000000000006\"}]"
            ),
        ),
        ("anomalies", Value::Null),
        (
            "attributes",
            json!(
                "{\"cached\":true,\"http.route\":\"/0\",\"http.status\":500,\"mixed\":0,\"ratio\":0.0}"
            ),
        ),
        (
            "resource_attributes",
            json!(
                "{\"deployment.environment.name\":\"production\",\"k8s.pod.name\":\"checkout-1\",\"process.args\":[1,\"x\"],\"process.pid\":42,\"service.name\":\"checkout\",\"service.version\":\"v2\"}"
            ),
        ),
        ("scope_name", Value::Null),
    ] {
        assert_eq!(*value(name), expected, "{name}");
    }
}

/// Scenario: points of every instrument, records with every kind of body.
/// Guarantees: each shows what it has and NULL for what it has not.
#[tokio::test]
async fn points_and_records_as_rows() {
    let snapshot = snapshot();
    let points = rows(
        &snapshot,
        "SELECT name, instrument, temporality, value, value_int, count, sum, min, max, bounds, bucket_counts, exponential, quantiles, start_time IS NULL FROM metrics ORDER BY stream",
    )
    .await;
    assert_eq!(
        points,
        [
            [
                json!("queue.length"),
                json!("gauge"),
                json!(null),
                json!(2.5),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(true)
            ],
            [
                json!("requests"),
                json!("counter"),
                json!("cumulative"),
                json!(7.0),
                json!(7),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(false)
            ],
            [
                json!("latency"),
                json!("histogram"),
                json!("delta"),
                json!(null),
                json!(null),
                json!(6),
                json!(1.5),
                json!(0.1),
                json!(null),
                json!("[0.5,1.0]"),
                json!("[1,2,3]"),
                json!(null),
                json!(null),
                json!(false)
            ],
            [
                json!("size"),
                json!("exponential_histogram"),
                json!("delta"),
                json!(null),
                json!(null),
                json!(3),
                json!(null),
                json!(null),
                json!(9.0),
                json!(null),
                json!(null),
                json!(
                    "{\"scale\":2,\"zero_count\":1,\"zero_threshold\":0.0,\"positive\":{\"offset\":-1,\"counts\":[1,1]},\"negative\":{\"offset\":0,\"counts\":[]}}"
                ),
                json!(null),
                json!(false)
            ],
            [
                json!("old"),
                json!("summary"),
                json!(null),
                json!(null),
                json!(null),
                json!(8),
                json!(4.0),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!("[[0.5,0.4],[0.99,\"NaN\"]]"),
                json!(true)
            ],
        ]
    );
    let records = rows(
        &snapshot,
        "SELECT severity_number, severity_text, event_name, body, trace_id, observed_time, anomalies, attributes['request.id'] FROM logs ORDER BY time",
    )
    .await;
    assert_eq!(
        records,
        [
            [
                json!(17),
                json!("ERROR"),
                json!(null),
                json!("payment refused"),
                json!("00000000000000000000000000000001"),
                json!(null),
                json!("bad_trace_id"),
                json!("a-long-request-id")
            ],
            [
                json!(9),
                json!("INFO"),
                json!("login"),
                json!("[1]"),
                json!(null),
                json!("2026-01-01T00:00:01Z"),
                json!(null),
                json!(null)
            ],
            [
                json!(0),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!(null),
                json!("b")
            ],
        ]
    );
}

/// Scenario: filters by time and by trace.
/// Guarantees: the same rows as a filter that nothing is pushed down of.
#[tokio::test]
async fn pushed_filters_leave_the_same_rows() {
    for chunk in [1, 7, 8_192] {
        let snapshot = snapshot_in(chunk);
        for (pushed, plain) in [
            (
                "trace_id = '00000000000000000000000000000003'",
                "trace_id LIKE '%3' AND trace_id <> 'x3'",
            ),
            (
                "trace_id = '00000000000000000000000000000003' AND status = 'error'",
                "trace_id LIKE '%3' AND status LIKE 'err%'",
            ),
            ("trace_id = 'nonsense'", "1 = 2"),
            (
                "trace_id = '00000000000000000000000000000000'",
                "trace_id IS NULL",
            ),
            (
                "time >= '2026-01-01T00:00:30Z' AND time < '2026-01-01T00:00:40Z'",
                "date_part('epoch', time) >= 1767225630 AND date_part('epoch', time) < 1767225640",
            ),
            (
                "time > now() - INTERVAL '10 seconds'",
                "date_part('epoch', time) > 1767225690",
            ),
            ("time > now()", "date_part('epoch', time) > 1767225700"),
            (
                "attributes['http.status'] = 500 AND time < '2026-01-01T00:00:40Z'",
                "status = 'error' AND date_part('epoch', time) < 1767225640",
            ),
        ] {
            let list = |condition: &str| {
                format!("SELECT span_id FROM spans WHERE {condition} ORDER BY span_id")
            };
            assert_eq!(
                rows(&snapshot, &list(pushed)).await,
                rows(&snapshot, &list(plain)).await,
                "{pushed}"
            );
        }
    }
}

/// Scenario: LIMIT without ORDER BY.
/// Guarantees: so many rows, not more.
#[tokio::test]
async fn limits_hold() {
    let snapshot = snapshot();
    for limit in [0usize, 1, 9, 100, 200] {
        let found = rows(
            &snapshot,
            &format!("SELECT span_id FROM spans LIMIT {limit}"),
        )
        .await;
        assert_eq!(found.len(), limit.min(100));
        let found = rows(
            &snapshot,
            &format!("SELECT span_id FROM spans WHERE status = 'error' LIMIT {limit}"),
        )
        .await;
        assert_eq!(found.len(), limit.min(25));
    }
}
