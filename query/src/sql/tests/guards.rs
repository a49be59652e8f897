//! What is refused, with which code, and where.

use super::*;
use crate::sql::functions;
use crate::sql::guard::{
    EXPRESSION_DEPTH_MAX, LITERAL_BYTES_MAX, RELATIONS_MAX, STATEMENT_BYTES_MAX,
};

async fn code(statement: &str) -> SqlCode {
    match ask(&snapshot(), statement).await {
        Ok(_) => panic!("answered: {statement}"),
        Err(error) => error.code,
    }
}

/// Scenario: a mistake of each kind.
/// Guarantees: its code and its place.
#[tokio::test]
async fn mistakes_have_a_code_and_a_place() {
    for (statement, expected, place) in [
        ("SELEC 1", SqlCode::Syntax, Some((1, 1))),
        ("SELECT 1\nFROM", SqlCode::Syntax, None),
        ("", SqlCode::NotAllowed, None),
        ("SELECT 1; SELECT 2", SqlCode::NotAllowed, None),
        ("SELECT nonsense FROM spans", SqlCode::Invalid, Some((1, 8))),
        ("SELECT 1\nFROM nowhere", SqlCode::Invalid, Some((2, 6))),
        ("SELECT nofunction(1)", SqlCode::Invalid, Some((1, 8))),
        ("SELECT name + 1 FROM spans", SqlCode::Invalid, None),
    ] {
        let error = ask(&snapshot(), statement).await.unwrap_err();
        assert_eq!(error.code, expected, "{statement}: {error}");
        if let Some(place) = place {
            let found = error.position.map(|at| (at.line, at.column));
            assert_eq!(found, Some(place), "{statement}: {error}");
        }
        assert!(!error.detail.is_empty());
    }
}

/// Scenario: statements at and beyond each bound of size.
/// Guarantees: at the bound answered, beyond it refused as too large, not as something else.
#[tokio::test]
async fn sizes_are_bounded() {
    let snapshot = snapshot();
    let padded = |length: usize| format!("SELECT 1{}", " ".repeat(length - 8));
    assert!(ask(&snapshot, &padded(STATEMENT_BYTES_MAX)).await.is_ok());
    assert_eq!(
        code(&padded(STATEMENT_BYTES_MAX + 1)).await,
        SqlCode::TooLarge
    );
    let literal = |length: usize| format!("SELECT '{}'", "x".repeat(length));
    assert!(ask(&snapshot, &literal(LITERAL_BYTES_MAX)).await.is_ok());
    assert_eq!(
        code(&literal(LITERAL_BYTES_MAX + 1)).await,
        SqlCode::TooLarge
    );
    let nested = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(ask(&snapshot, &nested(20)).await.is_ok());
    assert_eq!(code(&nested(200)).await, SqlCode::TooLarge);
    let chain = |length: usize| format!("SELECT 1{}", " + 1".repeat(length));
    assert!(
        ask(&snapshot, &chain(EXPRESSION_DEPTH_MAX - 10))
            .await
            .is_ok()
    );
    assert_eq!(
        code(&chain(EXPRESSION_DEPTH_MAX + 10)).await,
        SqlCode::TooLarge
    );
    let tables = |count: u64| {
        format!(
            "SELECT 1{}",
            " UNION ALL SELECT 1 FROM spans".repeat(count as usize)
        )
    };
    assert!(ask(&snapshot, &tables(RELATIONS_MAX)).await.is_ok());
    assert_eq!(code(&tables(RELATIONS_MAX + 1)).await, SqlCode::TooLarge);
    let mut doubled = String::from("WITH t0 AS (SELECT 1 AS x)");
    for n in 1..30 {
        doubled.push_str(&format!(
            ", t{n} AS (SELECT a.x FROM t{} a, t{} b)",
            n - 1,
            n - 1
        ));
    }
    assert_eq!(
        code(&format!("{doubled} SELECT count(*) FROM t29")).await,
        SqlCode::TooLarge
    );
}

/// Scenario: the lists of functions.
/// Guarantees: each name is a function of the library, so that a rename is noticed.
#[test]
fn listed_functions_exist() {
    let scalar: Vec<String> = functions::scalar(Timestamp::EPOCH)
        .iter()
        .map(|function| function.name().to_owned())
        .collect();
    let aggregate: Vec<String> = functions::aggregate()
        .iter()
        .map(|function| function.name().to_owned())
        .collect();
    let window: Vec<String> = functions::window()
        .iter()
        .map(|function| function.name().to_owned())
        .collect();
    for (listed, found) in [
        (functions::SCALAR, &scalar),
        (functions::AGGREGATE, &aggregate),
        (functions::WINDOW, &window),
    ] {
        for name in listed {
            assert!(found.iter().any(|known| known == name), "{name}");
        }
        assert_eq!(found.len(), listed.len(), "{found:?}");
    }
}

/// Scenario: text made longer and longer by every function that can.
/// Guarantees: refused for its memory, before it is made; short text is joined as SQL says.
#[tokio::test]
async fn text_is_measured_before_it_is_made() {
    let long = "x".repeat(2_000);
    let mut doubled = "SELECT name AS x FROM spans".to_owned();
    for _ in 0..20 {
        doubled = format!("SELECT x || x AS x FROM ({doubled})");
    }
    for statement in [
        doubled,
        format!("SELECT replace(replace(name, 'E', '{long}'), 'x', '{long}') FROM spans"),
        format!(
            "SELECT concat_ws(x{}) FROM (SELECT replace(name, 'E', '{long}') AS x FROM spans)",
            ", x".repeat(60)
        ),
        format!(
            "SELECT to_char(time, '{}') FROM (SELECT a.time, row_number() OVER (ORDER BY b.time) AS n FROM spans a, spans b) WHERE n > 0",
            "%c".repeat(2_000)
        ),
    ] {
        let shown: String = statement.chars().take(100).collect();
        assert_eq!(code(&statement).await, SqlCode::Memory, "{shown}");
    }
    let snapshot = snapshot();
    for (statement, expected) in [
        ("SELECT 'a' || 1 || NULL", serde_json::json!(null)),
        ("SELECT 'a' || 1 || 'b'", serde_json::json!("a1b")),
        ("SELECT concat('a', NULL, 1)", serde_json::json!("a1")),
        (
            "SELECT regexp_like('Abc', '^a', 'i')",
            serde_json::json!(true),
        ),
        ("SELECT 'Abc' ~ '^a'", serde_json::json!(false)),
        ("SELECT 'Abc' !~* '^a'", serde_json::json!(false)),
        ("SELECT NULL ~ 'x'", serde_json::json!(null)),
        (
            "SELECT extract(minute FROM now()), substring('abcd' FROM 2 FOR 2), position('c' IN 'abc')",
            serde_json::json!(1),
        ),
    ] {
        let found = rows(&snapshot, statement).await;
        assert_eq!(found[0][0], expected, "{statement}");
    }
}

/// Scenario: window functions over more rows than a query's memory holds.
/// Guarantees: refused for its memory, though the library does not account them.
#[tokio::test]
async fn windows_are_metered() {
    let sql = Sql::new(SqlLimits {
        query_bytes: 1 << 20,
        ..SqlLimits::default()
    });
    let request = Request {
        statement: "SELECT sum(a.duration) OVER () FROM spans a, spans b, spans c".to_owned(),
        rows: 10,
        timeout: Duration::from_secs(30),
        encoding: Encoding::Json,
    };
    let error = sql.answer(snapshot(), request).await.unwrap_err();
    assert_eq!(error.code, SqlCode::Memory, "{error}");
}
