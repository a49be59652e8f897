//! `attributes['key']` wherever a column may stand.

use super::fixture::snapshot_in;
use super::*;
use serde_json::json;

/// Scenario: a key of every type, one of two types, one that few have, one that nobody has, in SELECT.
/// Guarantees: values in their own type; two types read as text; absent is NULL.
#[tokio::test]
async fn keys_have_their_type() {
    for chunk in [1, 7, 8_192] {
        let snapshot = snapshot_in(chunk);
        let statement = "SELECT attributes['http.route'], attributes['http.status'], attributes['ratio'], attributes['cached'], attributes['mixed'], attributes['rare'], attributes['nobody'], resource_attributes['process.pid'], resource_attributes['k8s.pod.name'], resource_attributes['process.args'] FROM spans ORDER BY start_time OFFSET 6 LIMIT 2";
        let answer = ask(&snapshot, statement).await.unwrap();
        let kinds: Vec<&str> = answer.columns.iter().map(|column| &*column.kind).collect();
        assert_eq!(
            kinds,
            [
                "text", "bigint", "double", "boolean", "text", "text", "text", "bigint", "text",
                "text"
            ]
        );
        assert_eq!(answer.columns[0].name, "attributes['http.route']");
        assert_eq!(
            answer.rows,
            [
                [
                    json!("/1"),
                    json!(200),
                    json!(1.5),
                    json!(true),
                    json!("6"),
                    json!(null),
                    json!(null),
                    json!(42),
                    json!("checkout-1"),
                    json!("[1,\"x\"]")
                ],
                [
                    json!("/2"),
                    json!(200),
                    json!(1.75),
                    json!(false),
                    json!("odd"),
                    json!("it's \"here\""),
                    json!(null),
                    json!(null),
                    json!(null),
                    json!(null)
                ],
            ]
        );
    }
}

/// Scenario: keys in WHERE, GROUP BY, HAVING, ORDER BY, aggregates, CASE, JOIN, subqueries, UNION, window functions.
/// Guarantees: the right numbers everywhere.
#[tokio::test]
async fn keys_work_everywhere() {
    let snapshot = snapshot();
    for (statement, expected) in [
        (
            "SELECT count(*) FROM spans WHERE attributes['http.route'] = '/3'",
            json!([[20]]),
        ),
        (
            "SELECT count(*) FROM spans WHERE attributes['http.status'] >= 500 AND attributes['cached']",
            json!([[9]]),
        ),
        (
            "SELECT count(*) FROM spans WHERE attributes['nobody'] IS NULL",
            json!([[100]]),
        ),
        (
            "SELECT count(*) FROM spans WHERE attributes['nobody'] = 'x'",
            json!([[0]]),
        ),
        (
            "SELECT count(*) FROM spans WHERE attributes['rare'] LIKE '%here%'",
            json!([[1]]),
        ),
        (
            "SELECT attributes['http.route'] AS route, count(*) FROM spans GROUP BY route ORDER BY route LIMIT 2",
            json!([["/0", 20], ["/1", 20]]),
        ),
        (
            "SELECT attributes['http.route'], sum(attributes['http.status']) FROM spans GROUP BY 1 HAVING sum(attributes['http.status']) > 1 ORDER BY attributes['http.route'] DESC LIMIT 1",
            json!([["/4", 5_500]]),
        ),
        (
            "SELECT count(DISTINCT attributes['mixed']), max(attributes['ratio']) FROM spans",
            json!([[51, 24.75]]),
        ),
        (
            "SELECT sum(CASE WHEN attributes['cached'] THEN 1 ELSE 0 END) FROM spans",
            json!([[34]]),
        ),
        (
            "SELECT attributes['http.route'] || '!' FROM spans WHERE span_id = '0000000000000002'",
            json!([["/1!"]]),
        ),
        (
            "SELECT count(*) FROM spans a JOIN spans b ON a.attributes['http.route'] = b.attributes['http.route'] AND a.span_id = b.span_id",
            json!([[100]]),
        ),
        (
            "SELECT s.attributes['http.route'] FROM (SELECT attributes, span_id FROM spans WHERE status = 'error') s ORDER BY s.span_id LIMIT 1",
            json!([["/0"]]),
        ),
        (
            "WITH s AS (SELECT * FROM spans LIMIT 3) SELECT count(s.attributes['http.status']) FROM s",
            json!([[3]]),
        ),
        (
            "SELECT count(*) FROM spans WHERE attributes['http.route'] IN (SELECT attributes['http.route'] FROM spans WHERE span_id = '0000000000000001')",
            json!([[20]]),
        ),
        (
            "SELECT attributes['http.route'], row_number() OVER (PARTITION BY attributes['http.route'] ORDER BY time) FROM spans ORDER BY time LIMIT 1",
            json!([["/0", 1]]),
        ),
        (
            "SELECT upper(attributes['mixed']) FROM spans WHERE attributes['mixed'] ~ '^o' LIMIT 1",
            json!([["ODD"]]),
        ),
        (
            "SELECT attributes['it''s'] FROM spans LIMIT 1",
            json!([[null]]),
        ),
        (
            "SELECT resource_attributes['k8s.pod.name'] AS pod, count(*) FROM spans GROUP BY pod ORDER BY pod NULLS LAST",
            json!([["checkout-1", 50], [null, 50]]),
        ),
        (
            "SELECT attributes['http.route'], resource_attributes['service.name'], attributes FROM spans WHERE span_id = '0000000000000002'",
            json!([[
                "/1",
                "cart",
                "{\"cached\":false,\"http.route\":\"/1\",\"http.status\":200,\"mixed\":\"odd\",\"ratio\":0.25}"
            ]]),
        ),
    ] {
        assert_eq!(
            json!(rows(&snapshot, statement).await),
            expected,
            "{statement}"
        );
    }
}

/// Scenario: keys where the optimizer cannot move them to the scan.
/// Guarantees: the slow way gives the same.
#[tokio::test]
async fn the_slow_way_gives_the_same() {
    let snapshot = snapshot();
    for key in [
        "http.route",
        "http.status",
        "ratio",
        "cached",
        "mixed",
        "rare",
        "nobody",
    ] {
        let fast = rows(
            &snapshot,
            &format!("SELECT attributes['{key}'] FROM spans ORDER BY span_id"),
        )
        .await;
        let slow = rows(&snapshot, &format!("SELECT s.attributes['{key}'] FROM (SELECT attributes, span_id FROM spans UNION ALL SELECT attributes, span_id FROM spans WHERE 1 = 2) s ORDER BY s.span_id")).await;
        assert_eq!(fast, slow, "{key}");
    }
}

/// Scenario: a key of what has none, a key that is no text.
/// Guarantees: refused in words.
#[tokio::test]
async fn what_has_no_keys_says_so() {
    let snapshot = snapshot();
    for (statement, words) in [
        ("SELECT name['x'] FROM spans", "has no keys"),
        ("SELECT attributes[1] FROM spans", "single quotes"),
    ] {
        let error = ask(&snapshot, statement).await.unwrap_err();
        assert!(error.detail.contains(words), "{error}");
    }
}
