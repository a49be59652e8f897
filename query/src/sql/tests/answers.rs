//! Forms and bounds of answers.

use super::fixture::snapshot_in;
use super::*;
use datafusion::arrow::ipc::reader::StreamReader;
use engine::snapshot::Snapshot;
use serde_json::json;
use std::sync::Arc;

async fn cut(rows: usize, bytes: usize, encoding: Encoding) -> Answer {
    let sql = Sql::new(SqlLimits {
        answer_bytes: bytes,
        ..SqlLimits::default()
    });
    let request = Request {
        statement: "SELECT span_id, name, attributes FROM spans".to_owned(),
        rows,
        timeout: Duration::from_secs(30),
        encoding,
    };
    sql.answer(snapshot_in(8_192), request).await.unwrap()
}

/// Scenario: more rows or bytes than asked for, in every form.
/// Guarantees: cut at a row, marked, readable.
#[tokio::test]
async fn answers_are_cut_and_say_so() {
    for encoding in [Encoding::Json, Encoding::Csv, Encoding::Arrow] {
        assert!(cut(99, 1 << 20, encoding).await.is_truncated);
        assert!(!cut(100, 1 << 20, encoding).await.is_truncated);
        let short = cut(100, 3_000, encoding).await;
        assert!(short.is_truncated);
        assert!(short.body.len() < 3_100, "{}", short.body.len());
        let rows = match encoding {
            Encoding::Json => {
                let answer: crate::api::SqlAnswer = serde_json::from_slice(&short.body).unwrap();
                assert!(answer.truncated);
                answer.rows.len()
            }
            Encoding::Csv => String::from_utf8(short.body).unwrap().lines().count() - 1,
            Encoding::Arrow => {
                let stream = StreamReader::try_new(&short.body[..], None).unwrap();
                stream.map(|batch| batch.unwrap().num_rows()).sum()
            }
        };
        assert!(rows < 100, "{encoding:?}: {rows}");
    }
}

/// Scenario: the same rows as JSON, CSV and Arrow.
/// Guarantees: they say the same.
#[tokio::test]
async fn every_form_says_the_same() {
    let snapshot = snapshot();
    let statement = "SELECT time, name, attributes['rare'] AS rare, duration FROM spans WHERE trace_id = '00000000000000000000000000000001' ORDER BY time LIMIT 8";
    let json = ask(&snapshot, statement).await.unwrap();
    assert_eq!(json.rows[7][2], json!("it's \"here\""));
    let csv = ask_as(&snapshot, statement, Encoding::Csv).await.unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "time,name,rare,duration");
    assert_eq!(lines[1], "2026-01-01T00:00:00.001Z,GET /pay,,0.001");
    assert_eq!(
        lines[8],
        "2026-01-01T00:00:07.008Z,GET /cart,\"it's \"\"here\"\"\",0.008"
    );
    let arrow = ask_as(&snapshot, statement, Encoding::Arrow).await.unwrap();
    let batches: Vec<_> = StreamReader::try_new(&arrow[..], None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        batches.iter().map(|batch| batch.num_rows()).sum::<usize>(),
        8
    );
    assert_eq!(batches[0].schema().field(2).name(), "rare");
}

/// Scenario: names that a spreadsheet would run.
/// Guarantees: each has an apostrophe before it (case 84b); ordinary text has none; numbers stay numbers.
#[tokio::test]
async fn formulas_are_inert_in_csv() {
    let snapshot = Arc::new(Snapshot::default());
    for formula in [
        "=cmd|' /C calc'!A0",
        "+1",
        "-2",
        "@SUM(1)",
        "  =1",
        "\t=1",
        "\u{ff1d}1",
        "\"=1",
    ] {
        let literal = formula.replace('\'', "''");
        let csv = ask_as(
            &snapshot,
            &format!("SELECT '{literal}' AS a"),
            Encoding::Csv,
        )
        .await
        .unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert!(csv.starts_with("a\r\n\"'"), "{formula}: {csv}");
    }
    let csv = ask_as(
        &snapshot,
        "SELECT -1 AS a, 'a-b' AS b, '' AS c, NULL AS d, '=x' AS \"=e\"",
        Encoding::Csv,
    )
    .await
    .unwrap();
    assert_eq!(
        String::from_utf8(csv).unwrap(),
        "a,b,c,d,\"'=e\"\r\n-1,a-b,\"\",,\"'=x\"\r\n"
    );
}

/// Scenario: floats that JSON does not have, large integers, intervals, decimals, sub-second times.
/// Guarantees: every answer is JSON.
#[tokio::test]
async fn odd_values_are_json() {
    let snapshot = Arc::new(Snapshot::default());
    let answer = rows(&snapshot, "SELECT 'NaN'::double, 'inf'::double, 9223372036854775807, INTERVAL '1 day', 1.5::decimal(10,2), now(), '2026-01-01T00:00:00.000000001Z'::timestamp, 1 = 1, 18446744073709551615::bigint unsigned").await;
    assert_eq!(answer[0][0], json!("NaN"));
    assert_eq!(answer[0][1], json!("inf"));
    assert_eq!(answer[0][2], json!(9_223_372_036_854_775_807u64));
    assert_eq!(answer[0][4], json!("1.50"));
    assert_eq!(answer[0][5], json!("1970-01-01T00:00:00Z"));
    assert_eq!(answer[0][7], json!(true));
    assert_eq!(answer[0][8], json!(u64::MAX));
}

/// Scenario: as many queries at once as there are places, and one more.
/// Guarantees: one more is refused at once, and has a place when another is dropped.
#[tokio::test]
async fn places_are_bounded() {
    let sql = Sql::new(SqlLimits {
        queries: 1,
        ..SqlLimits::default()
    });
    let endless = Request {
        statement: "SELECT count(*) FROM spans a, spans b, spans c, spans d, spans e, spans f, spans g, spans h".to_owned(),
        rows: 1,
        timeout: Duration::from_secs(60),
        encoding: Encoding::Json,
    };
    let short = Request {
        statement: "SELECT 1".to_owned(),
        ..endless.clone()
    };
    let snapshot = snapshot();
    let running = sql.clone();
    let first = tokio::spawn({
        let snapshot = Arc::clone(&snapshot);
        async move { running.answer(snapshot, endless).await }
    });
    while sql.places_left() == 1 {
        tokio::task::yield_now().await;
    }
    let refused = sql
        .answer(Arc::clone(&snapshot), short.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code, SqlCode::Busy);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    while sql.places_left() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(sql.answer(snapshot, short).await.is_ok());
}

/// Scenario: subqueries without a name that read like what is around them.
/// Guarantees: each is evaluated (the library drops a projection that equals the one below it).
#[tokio::test]
async fn equal_projections_are_each_evaluated() {
    let snapshot = snapshot();
    let statement = "SELECT d + d AS d FROM (SELECT d + d AS d FROM (SELECT duration_ns AS d FROM spans ORDER BY span_id LIMIT 1))";
    assert_eq!(rows(&snapshot, statement).await, [[json!(4_000_000)]]);
    let statement = "WITH a AS (SELECT duration_ns AS d FROM spans ORDER BY span_id LIMIT 1), b AS (SELECT d + d AS d FROM a), c AS (SELECT d + d AS d FROM b) SELECT d + d AS d FROM c";
    assert_eq!(rows(&snapshot, statement).await, [[json!(8_000_000)]]);
}
