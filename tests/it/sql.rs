//! SQL against the real binary: counts, forms, the command line, and statements that mean harm.

use crate::server::{Server, tidegate};
use crate::traffic::send;
use serde_json::{Value, json};
use simulator::topology::Wire;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::MissedTickBehavior;

/// What one statement may take in all: its `timeout_ms` and what a loaded machine adds.
const DEADLINE: Duration = Duration::from_secs(5);
const TIMEOUT_MS: u64 = 1_500;
/// Most growth of the process while hostile statements run (reliability goal G13).
const GROWTH_BYTES_MAX: u64 = 256 << 20;

async fn post(client: &reqwest::Client, api: &str, query: &str, accept: &str) -> (u16, String) {
    let body = json!({"query": query, "timeout_ms": TIMEOUT_MS, "max_rows": 2_000_000});
    let request = client
        .post(format!("{api}/v1/sql"))
        .header("accept", accept);
    let response = request.json(&body).send().await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

fn ask(server: &Server, query: &str) -> Value {
    let client = reqwest::Client::new();
    let (status, body) = server.block_on(post(&client, &server.api, query, "application/json"));
    assert_eq!(status, 200, "{query}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Scenario: spans are sent and asked for.
/// Guarantees: every accepted span is a row or counted as evicted; services count the same in both worlds.
#[test]
fn every_accepted_span_is_a_row_or_evicted() {
    let server = Server::start(&["--set", "store.bytes=2MiB"]);
    let report = send(&server, Wire::Grpc, 20_000.0, None);
    let status = server.wait("/v1/status", |status| {
        status["accepted"]["spans"] == report.acked
    });
    let evicted = status["store"]["evicted"]["spans"].as_u64().unwrap();
    assert!(evicted > 0, "{status}");
    let rows = ask(
        &server,
        "SELECT count(*), count(DISTINCT span_id) FROM spans",
    )["rows"]
        .clone();
    assert_eq!(rows[0][0].as_u64().unwrap() + evicted, report.acked);
    assert_eq!(rows[0][0], rows[0][1]);
    let services = server.get("/v1/services").as_array().unwrap().len() as u64;
    assert_eq!(
        ask(&server, "SELECT count(*) FROM services")["rows"][0][0],
        services
    );
    assert!(services >= 1);
}

/// Points of a counter or log records as OTLP/JSON, each with values of its own.
fn body(signal: &str, from: u64, count: u64) -> Value {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let time = (now.as_nanos() as u64).to_string();
    let attributes =
        |key: &str, value: String| json!([{"key": key, "value": {"stringValue": value}}]);
    let resource = json!({"attributes": attributes("service.name", "shop".to_owned())});
    let items = (from..from + count).map(|n| match signal {
        "metrics" => json!({"timeUnixNano": time, "asInt": "1", "attributes": attributes("n", n.to_string())}),
        _ => json!({"timeUnixNano": time, "body": {"stringValue": format!("record {n}")}}),
    });
    let items: Vec<Value> = items.collect();
    match signal {
        "metrics" => {
            let metric = json!({"name": "requests", "sum": {"dataPoints": items, "aggregationTemporality": 1, "isMonotonic": true}});
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]})
        }
        _ => {
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": items}]}]})
        }
    }
}

/// Scenario: data points and log records are sent to a store that holds a part of them, and asked for.
/// Guarantees: every accepted one is a row or counted as evicted.
#[test]
fn every_accepted_point_and_record_is_a_row_or_evicted() {
    const ITEMS: u64 = 20_000;
    const REQUEST: u64 = 500;
    for (signal, table, counted, column) in [
        ("metrics", "metrics", "points", "attributes['n']"),
        ("logs", "logs", "records", "body"),
    ] {
        let server = Server::start(&["--set", "store.bytes=1MiB"]);
        let client = reqwest::Client::new();
        for from in (0..ITEMS).step_by(REQUEST as usize) {
            let request = client.post(format!("{}/v1/{signal}", server.http));
            let sent = request.json(&body(signal, from, REQUEST)).send();
            assert_eq!(server.block_on(sent).unwrap().status(), 200);
        }
        let status = server.wait("/v1/status", |status| status["accepted"][counted] == ITEMS);
        let evicted = status["store"]["evicted"][counted].as_u64().unwrap();
        assert!(evicted > 0 && evicted < ITEMS, "{status}");
        let query = format!("SELECT count(*), count(DISTINCT {column}), min(service) FROM {table}");
        let rows = ask(&server, &query)["rows"].clone();
        assert_eq!(rows, json!([[ITEMS - evicted, ITEMS - evicted, "shop"]]));
    }
}

/// Scenario: `tidegate query` with a statement as argument and on standard input, in every form; a mistake; nobody there.
/// Guarantees: tables for people, JSON and CSV as asked; exit 1 with code and marked place; exit 30.
#[test]
fn the_command_line_asks() {
    let server = Server::start(&[]);
    let ask =
        |arguments: &[&str]| tidegate(&[&["query", "--server", &server.api], arguments].concat());
    let statement = "SELECT 1 AS one, 'a\nb' AS lines, NULL AS nothing";
    let (code, stdout, stderr) = ask(&[statement]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("one") && stdout.contains("(1 row as of"),
        "{stdout}"
    );
    assert!(stdout.lines().any(|line| line.trim() == "b"), "{stdout}");
    let (_, stdout, _) = ask(&["-o", "csv", statement]);
    assert_eq!(stdout, "one,lines,nothing\r\n1,\"a\nb\",\r\n");
    let (_, stdout, _) = ask(&["-o", "json", statement]);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout).unwrap()["rows"],
        json!([[1, "a\nb", null]])
    );
    let (code, _, stderr) = ask(&["SELECT nothing\nFROM spans"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("SQL_INVALID") && stderr.contains("\n         ^"),
        "{stderr}"
    );
    let (_, _, stderr) = ask(&["--max-rows", "1", "SELECT 1 UNION ALL SELECT 2"]);
    assert!(stderr.contains("more rows"), "{stderr}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["query", "-o", "csv", "--server", &server.api])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"SELECT 2 AS two")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"two\r\n2\r\n");
    let (code, _, stderr) = tidegate(&["query", "SELECT 1", "--server", "http://127.0.0.1:9"]);
    assert_eq!(code, 30);
    assert!(
        stderr.contains("is `tidegate serve` running there?"),
        "{stderr}"
    );
}

/// Scenario: a server with a token.
/// Guarantees: SQL asks for it as everything else does.
#[test]
fn sql_is_behind_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret").unwrap();
    let path = file.to_str().unwrap();
    let server = Server::start(&["--token-file", path]);
    let client = reqwest::Client::new();
    let (status, _) = server.block_on(post(&client, &server.api, "SELECT 1", "text/csv"));
    assert_eq!(status, 401);
    let (code, stdout, stderr) = tidegate(&[
        "query",
        "-o",
        "csv",
        "SELECT 1 AS x",
        "--server",
        &server.api,
        "--token-file",
        path,
    ]);
    assert_eq!((code, &*stdout), (0, "x\r\n1\r\n"), "{stderr}");
}

/// The statements: every form of case 84 of the reliability catalogue, and what else reads, writes or grows.
fn hostile() -> Vec<String> {
    let spans = |count: usize| {
        (0..count)
            .map(|n| format!("spans t{n}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!(
            "SELECT {}{inner}{}",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let mut doubled = String::from("SELECT name AS x FROM spans");
    for _ in 0..30 {
        doubled = format!("SELECT x || x AS x FROM ({doubled})");
    }
    let mut joined = String::from("name");
    for _ in 0..11 {
        joined = format!("({joined} || {joined})");
    }
    let mut clauses = String::from("WITH c0 AS (SELECT * FROM spans)");
    for n in 1..25 {
        clauses.push_str(&format!(
            ", c{n} AS (SELECT a.* FROM c{} a, c{} b)",
            n - 1,
            n - 1
        ));
    }
    let mut all: Vec<String> = [
        "CREATE TABLE t (a INT)",
        "CREATE TABLE t AS SELECT * FROM spans",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SCHEMA s",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE EXTERNAL TABLE t (a TEXT) STORED AS PARQUET LOCATION '/tmp/tidegate-hostile'",
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1 + 1",
        "ALTER TABLE spans RENAME TO gone",
        "DROP TABLE spans",
        "INSERT INTO spans SELECT * FROM spans",
        "INSERT INTO slos (slo) VALUES ('x')",
        "UPDATE budgets SET bad = 0",
        "DELETE FROM decisions",
        "TRUNCATE TABLE spans",
        "MERGE INTO spans USING logs ON true WHEN MATCHED THEN DELETE",
        "COPY spans TO '/tmp/tidegate-hostile.csv' STORED AS CSV",
        "COPY (SELECT 1) TO '/tmp/tidegate-hostile' STORED AS JSON",
        "SET datafusion.execution.target_partitions = 1000",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT count(*) FROM spans",
        "BEGIN",
        "SELECT * INTO t FROM spans",
        "SELECT 1; DROP TABLE spans",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM 'file:///etc/passwd'",
        "SELECT * FROM 'http://169.254.169.254/latest'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM information_schema.df_settings",
        "SELECT input_file_name(), version() FROM spans",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
        "SELECT * FROM generate_series(9876543210)",
        "SELECT count(*) FROM range(0, 9876543210)",
        "SELECT generate_series(1, 9876543210)",
        "SELECT repeat('x', 1000000000)",
        "SELECT lpad('x', 1000000000, 'y')",
        "SELECT rpad(name, 1000000000) FROM spans",
        "SELECT array_repeat(1, 1000000000)",
        "SELECT string_agg(attributes, ',') FROM spans",
        "SELECT array_agg(attributes) FROM spans",
        "SELECT ARRAY[1, 2, 3]",
        "SELECT unnest(ARRAY[1, 2])",
        "SELECT approx_percentile_cont(duration, 0.5, 4000000000) FROM spans",
        "SELECT span_id, approx_distinct(name) FROM spans GROUP BY span_id",
        "SELECT levenshtein(attributes, resource_attributes) FROM spans",
        "SELECT arrow_cast(name, 'FixedSizeBinary(1000000000)') FROM spans",
        "SELECT count(*) FROM spans WHERE attributes ~ '(a+)+$' AND attributes ~ '(.*)(.*)(.*)(.*)(.*)x$'",
        "SELECT 'x' ~ '((\\w{1000}){1000}){1000}'",
        "SELECT count(*) FROM spans a, spans b WHERE a.name ~ (b.name || '.{900}')",
        "SELECT count(*) FROM spans WHERE attributes SIMILAR TO '(a|aa)+'",
        "SELECT regexp_replace(attributes, '', 'xxxxxxxxxxxxxxxx', 'g') FROM spans",
        "SELECT * FROM spans ORDER BY attributes, resource_attributes",
        "SELECT attributes, span_id, count(*) FROM spans GROUP BY attributes, span_id",
        "SELECT count(DISTINCT attributes || span_id) FROM spans",
        "SELECT a.*, sum(a.duration) OVER () FROM spans a, spans b",
        "SELECT a.attributes, b.attributes FROM spans a JOIN spans b ON a.service = b.service ORDER BY a.duration + b.duration",
        "SELECT (SELECT count(*) FROM spans b WHERE b.duration > a.duration AND b.name <> a.name) FROM spans a",
        "SELECT a.*, b.* FROM spans a, spans b",
        "SELECT median(a.duration + b.duration) FROM spans a, spans b",
        "SELECT count(*) FROM spans WHERE attributes LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%zz'",
        "SELECT '\u{0}\u{202e}' FROM \u{0}",
        "SELECT name FROM spans ORDER BY name LIMIT 9223372036854775807 OFFSET 9223372036854775806",
        "SELECT lag(duration, 9223372036854775807) OVER (ORDER BY time), ntile(9223372036854775807) OVER (ORDER BY time) FROM spans",
        "SELECT median(a.duration) OVER (ORDER BY a.time ROWS 1000000 PRECEDING) FROM spans a, spans b",
        "SELECT count(*) FROM spans a JOIN spans b ON a.kind = b.kind AND a.duration + b.duration < -1",
        "SELECT count(*) FROM spans a CROSS JOIN spans b JOIN spans c ON b.kind = c.kind AND a.duration + b.duration + c.duration < -1",
        "SELECT left(name, -9223372036854775808), substr(name, -9223372036854775808, 9223372036854775807), chr(1114112) FROM spans",
        "SELECT round(duration, 2147483647), power(10, 400), gcd(-9223372036854775808, -1), -9223372036854775808 / -1 FROM spans",
        "SELECT now() + INTERVAL '999999999 years', date_bin(INTERVAL '1 nanosecond', now()), make_date(2147483647, 12, 31)",
        "SELECT count(*) FROM spans GROUP BY CUBE(time, start_time, service, namespace, environment, revision, instance, trace_id, span_id, name, kind, status, duration, weight, events, links)",
        "SELECT count(*) FROM spans GROUP BY CUBE(name, kind), CUBE(status, service), CUBE(revision, instance), CUBE(events, links), CUBE(weight, duration)",
    ]
    .map(str::to_owned)
    .into();
    all.extend([
        format!("SELECT count(*) FROM {}", spans(12)),
        format!("SELECT t0.name FROM {} WHERE t0.duration + t11.duration < t5.duration ORDER BY t3.time", spans(12)),
        nested("(", "1", ")", 100_000),
        nested("(", "1", ")", 7_000),
        nested("NOT ", "true", "", 100_000),
        nested("-(", "1", ")", 4_000),
        format!("SELECT 1{}", " + 1".repeat(100_000)),
        format!("SELECT 1{}", "+1".repeat(8_000)),
        format!("SELECT 1 FROM spans WHERE true{}", " OR true".repeat(1_900)),
        nested("CASE WHEN true THEN ", "1", " END", 500),
        nested("(SELECT ", "1", ")", 1_500),
        doubled,
        format!("SELECT {joined} FROM spans"),
        format!("SELECT {} FROM spans", vec![format!("'{}'", "x".repeat(250)); 16].iter().enumerate().map(|(n, text)| format!("{text} AS c{n}")).collect::<Vec<_>>().join(", ")),
        format!("SELECT replace(attributes, '', '{}') FROM spans", "y".repeat(3_900)),
        format!("SELECT to_char(time, '{}') FROM spans", "%c".repeat(2_000)),
        format!("SELECT count(*) FROM spans WHERE name IN ({})", vec!["'x'"; 3_000].join(",")),
        format!("{clauses} SELECT count(*) FROM c24"),
        format!("SELECT {}", vec!["*"; 4_000].join(", ") + " FROM spans"),
        format!("SELECT {} FROM spans", (0..1_500).map(|n| format!("name n{n}")).collect::<Vec<_>>().join(", ")),
    ]);
    all
}

fn resident_bytes(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/statm", server.id())).unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Asks the gate 100 times a second on a thread of its own until `stop` is dropped; latencies from the time each was
/// due.
async fn ask_gate(api: String, mut stop: oneshot::Receiver<()>) -> Vec<Duration> {
    let client = reqwest::Client::new();
    let url = format!("{api}/v1/gate?service=svc-00");
    let mut due = tokio::time::interval(Duration::from_millis(10));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut latencies = Vec::new();
    while stop.try_recv() == Err(TryRecvError::Empty) {
        let at = due.tick().await;
        let response = client.get(&url).send().await.unwrap();
        assert!(response.status().is_success());
        drop(response.bytes().await);
        latencies.push(at.elapsed());
    }
    latencies
}

/// Scenario: more than sixty hostile statements in a row, while the gate is asked 100 times a second.
/// Guarantees: each ends by its deadline with 400, 422 or a bounded answer; nothing is written or read; the process
/// grows by at most 256 MiB; the gate goes on answering.
#[test]
fn hostile_statements_do_no_harm() {
    let mut server = Server::start(&[]);
    let report = send(&server, Wire::Grpc, 40_000.0, None);
    let _ = server.wait("/v1/status", |status| {
        status["accepted"]["spans"] == report.acked
    });
    // A body that is too long is not read to its end: the connection ends with it.
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let _ = ask(&server, "SELECT count(*) FROM spans");
    let before = resident_bytes(&server);
    let statements = hostile();
    assert!(statements.len() >= 60);
    let all = async {
        let (mut peak, mut slowest) = (before, Duration::ZERO);
        for statement in &statements {
            let shown: String = statement.chars().take(120).collect();
            #[expect(
                clippy::disallowed_methods,
                reason = "a deadline of the test, not of the product"
            )]
            let started = Instant::now();
            let (status, body) = loop {
                let asked = post(&client, &server.api, statement, "application/json").await;
                // The place of a query that was ended is free once it has really ended.
                if asked.0 != 429 {
                    break asked;
                }
                assert!(
                    started.elapsed() < DEADLINE,
                    "{shown}: no place: a query that was ended goes on"
                );
            };
            let took = started.elapsed();
            assert!(took < DEADLINE, "{shown}: {took:?}");
            slowest = slowest.max(took);
            match status {
                200 => {
                    let answer: Value = serde_json::from_str(&body).unwrap();
                    assert!(body.len() <= 17 << 20, "{shown}: {} bytes", body.len());
                    assert!(!body.contains("root:"), "{shown}");
                    assert!(answer["columns"].is_array());
                }
                // Too long to be read at all.
                413 => assert!(statement.len() > 60_000, "{shown}"),
                400 | 422 => {
                    let problem: Value = serde_json::from_str(&body).unwrap();
                    assert!(
                        problem["code"].as_str().unwrap().starts_with("SQL_"),
                        "{body}"
                    );
                    assert_ne!(problem["code"], "SQL_INTERNAL", "{shown}: {body}");
                }
                other => panic!("{shown}: {other} {body}"),
            }
            let now = resident_bytes(&server);
            if std::env::var_os("TIDEGATE_SHOW").is_some() {
                let code =
                    serde_json::from_str::<Value>(&body).map(|problem| problem["code"].clone());
                println!(
                    "{status} {:?} {took:?} {} MiB {shown}",
                    code.unwrap_or_default(),
                    now >> 20
                );
            }
            peak = peak.max(now);
        }
        (peak, slowest)
    };
    let (stop, stopped) = oneshot::channel();
    let gate = ask_gate(server.api.clone(), stopped);
    let gate = std::thread::Builder::new().spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(gate)
    });
    let (peak, slowest) = server.block_on(all);
    drop(stop);
    let mut latencies = gate.unwrap().join().unwrap();
    latencies.sort();
    let p99 = latencies[latencies.len() * 99 / 100];
    println!(
        "{} statements: slowest {slowest:?}, growth {} MiB; gate asked {} times, p99 {p99:?}",
        statements.len(),
        (peak - before) >> 20,
        latencies.len()
    );
    assert!(
        peak - before <= GROWTH_BYTES_MAX,
        "grew by {} MiB",
        (peak - before) >> 20
    );
    // Five milliseconds are promised on a machine that does nothing else.
    let is_quiet = std::env::var_os("TIDEGATE_LONG").is_some();
    let promised = Duration::from_millis(if is_quiet { 5 } else { 250 });
    assert!(p99 < promised, "gate p99 {p99:?}");
    for path in ["/tmp/tidegate-hostile", "/tmp/tidegate-hostile.csv"] {
        assert!(!std::path::Path::new(path).exists(), "{path} was written");
    }
    let counted = ask(&server, "SELECT count(*) FROM spans")["rows"][0][0].as_u64();
    assert_eq!(counted, Some(report.acked), "nothing was deleted");
    assert_eq!(server.terminate(), Some(0));
}
