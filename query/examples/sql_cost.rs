//! Cost of SQL: the twelve statements of `benches/sql` over spans in the hot store, beside DuckDB over the same spans.
//!
//! `cargo xtask bench sql [--spans N]` runs it. DuckDB gets the spans as an Arrow IPC file, copies them into its own
//! table first (not measured), and has as many threads. Both run each statement several times, the best time counts;
//! the answers are compared, percentiles within 2 %. Prints one JSON object a line.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::FileWriter;
use engine::items::{AttributeColumn, ColumnData, ItemColumns, Scope, ValueKind, ValueTable};
use engine::snapshot::Snapshot;
use engine::span::{SpanBatch, kind, status};
use engine::span_rows::resource;
use engine::store::Store;
use engine::time::Timestamp;
use query::api::SqlAnswer;
use query::sql::{Encoding, Request, Sql, SqlLimits};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-01-01T00:00:00Z, ns.
const START: u64 = 1_767_225_600_000_000_000;
/// Spans follow each other at this distance: ten million are 16 minutes.
const GAP: u64 = 100_000;
const SERVICES: u64 = 50;
const SPANS_PER_TRACE: u64 = 10;
/// Rows of a chunk: what a Collector's batch of default size decodes into.
const CHUNK: u64 = 8_192;
const ROUNDS: usize = 3;
const THREADS: usize = 2;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag);
        place.and_then(|place| arguments.get(place + 1)).cloned()
    };
    let spans: u64 = after("--spans").map_or(Ok(10_000_000), |text| text.parse())?;
    let statements = statements(
        Path::new(&after("--statements").ok_or("--statements DIRECTORY")?),
        spans,
    )?;
    let store = store(spans);
    let view = store.view();
    eprintln!(
        "{spans} spans in {} chunks, {:.0} B each",
        view.chunks.len(),
        view.bytes as f64 / spans as f64
    );
    let snapshot = Arc::new(Snapshot {
        as_of: Timestamp(START + spans * GAP),
        store: view,
        ..Snapshot::default()
    });
    let sql = Sql::new(SqlLimits {
        query_bytes: 8 << 30,
        threads: THREADS,
        timeout: Duration::from_secs(600),
        answer_bytes: 1 << 30,
        rows: usize::MAX,
        ..SqlLimits::default()
    });
    let mut ours = BTreeMap::new();
    for (name, (statement, _)) in &statements {
        ours.insert(name.clone(), measure(&sql, &snapshot, statement).await?);
    }
    let peers = match after("--python") {
        Some(python) => {
            let folder = after("--statements").unwrap_or_default();
            let file =
                std::env::temp_dir().join(format!("tidegate-spans-{}.arrow", std::process::id()));
            hand_over(&sql, &snapshot, &file).await?;
            let peers = duckdb(&python, Path::new(&folder), &file, &statements);
            std::fs::remove_file(&file)?;
            peers?
        }
        None => BTreeMap::new(),
    };
    for (name, (seconds, rows)) in &ours {
        let mut line = json!({"name": format!("sql {name}"), "value": (seconds * 1e4).round() / 10.0, "unit": "ms"});
        if let Some((theirs, their_rows)) = peers.get(name) {
            same(name, rows, their_rows)?;
            line["baseline"] = json!((theirs * 1e4).round() / 10.0);
            line["ratio"] = json!((theirs / seconds * 100.0).round() / 100.0);
        }
        println!("{line}");
    }
    if !peers.is_empty() {
        let logs: f64 = ours
            .iter()
            .map(|(name, (seconds, _))| (peers[name].0 / seconds).ln())
            .sum();
        let mean = (logs / ours.len() as f64).exp();
        println!(
            "{}",
            json!({"name": "sql geometric mean of the ratios", "value": (mean * 100.0).round() / 100.0, "unit": "DuckDB/ours"})
        );
    }
    Ok(())
}

/// Ours and DuckDB's form of each statement, placeholders filled.
fn statements(folder: &Path, spans: u64) -> Outcome<BTreeMap<String, (String, String)>> {
    let time = |share: u64| {
        let nanos = START + spans * GAP / 10 * share;
        let shown = jiff::Timestamp::from_nanosecond(i128::from(nanos));
        shown.map(|time| time.to_string())
    };
    let (from, to) = (time(5)?, time(6)?);
    let trace = format!("{:032x}", trace_id(spans / SPANS_PER_TRACE / 2));
    let fill = |text: String| {
        text.replace("{trace_id}", &trace)
            .replace("{from}", &from)
            .replace("{to}", &to)
    };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let Some(name) = name
            .strip_suffix(".sql")
            .filter(|name| !name.ends_with(".duckdb"))
        else {
            continue;
        };
        let ours = std::fs::read_to_string(&path)?;
        let special = path.with_extension("duckdb.sql");
        let theirs = match special.exists() {
            true => std::fs::read_to_string(special)?,
            false => ours.clone(),
        };
        found.insert(name.to_owned(), (fill(ours), fill(theirs)));
    }
    Ok(found)
}

async fn measure(
    sql: &Sql,
    snapshot: &Arc<Snapshot>,
    statement: &str,
) -> Outcome<(f64, Vec<Vec<Value>>)> {
    let mut best = f64::MAX;
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let answer = ask(sql, snapshot, statement, Encoding::Json).await?;
        best = best.min(started.elapsed().as_secs_f64());
        rows = serde_json::from_slice::<SqlAnswer>(&answer)?.rows;
    }
    Ok((best, rows))
}

async fn ask(
    sql: &Sql,
    snapshot: &Arc<Snapshot>,
    statement: &str,
    encoding: Encoding,
) -> Outcome<Vec<u8>> {
    let request = Request {
        statement: statement.to_owned(),
        rows: usize::MAX,
        timeout: Duration::MAX,
        encoding,
    };
    Ok(sql.answer(Arc::clone(snapshot), request).await?.body)
}

/// Writes what DuckDB needs as an Arrow IPC file, a few chunks at a time.
async fn hand_over(sql: &Sql, snapshot: &Arc<Snapshot>, file: &Path) -> Outcome<()> {
    const STATEMENT: &str = "SELECT time, trace_id, span_id, parent_span_id, service, revision, name, status, duration_ns, attributes['http.route'] AS \"attribute:http.route\", attributes['http.response.status_code'] AS \"attribute:http.response.status_code\", attributes['user.id'] AS \"attribute:user.id\" FROM spans";
    let mut writer: Option<FileWriter<BufWriter<File>>> = None;
    for chunks in snapshot.store.chunks.chunks(64) {
        let mut part = Store::new(u64::MAX);
        for chunk in chunks {
            part.append(Arc::clone(chunk));
        }
        let part = Arc::new(Snapshot {
            store: part.view(),
            ..Snapshot::default()
        });
        let body = ask(sql, &part, STATEMENT, Encoding::Arrow).await?;
        for batch in StreamReader::try_new(&body[..], None)? {
            let batch = batch?;
            let schema: SchemaRef = batch.schema();
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(FileWriter::try_new(
                    BufWriter::new(File::create(file)?),
                    &schema,
                )?),
            };
            writer.write(&batch)?;
        }
    }
    if let Some(mut writer) = writer {
        writer.finish()?;
    }
    Ok(())
}

type Measured = BTreeMap<String, (f64, Vec<Vec<Value>>)>;

fn duckdb(
    python: &str,
    folder: &Path,
    file: &Path,
    statements: &BTreeMap<String, (String, String)>,
) -> Outcome<Measured> {
    let mut child = Command::new(python)
        .arg(folder.join("peer.py"))
        .arg(file)
        .args([THREADS.to_string(), ROUNDS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let theirs: BTreeMap<&String, &String> = statements
        .iter()
        .map(|(name, (_, theirs))| (name, theirs))
        .collect();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&serde_json::to_vec(&theirs)?)?;
    }
    let mut measured = Measured::new();
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let name = line["name"].as_str().unwrap_or_default().to_owned();
        let seconds = line["seconds"].as_f64().unwrap_or_default();
        measured.insert(
            name,
            (seconds, serde_json::from_value(line["rows"].clone())?),
        );
    }
    if child.wait()?.success() && measured.len() == statements.len() {
        return Ok(measured);
    }
    Err("DuckDB did not answer every statement".into())
}

/// Fails when two answers differ: exactly, floats by rounding, percentiles by 2 %.
fn same(name: &str, ours: &[Vec<Value>], theirs: &[Vec<Value>]) -> Outcome<()> {
    let tolerance = if name.contains("percentile") {
        0.02
    } else {
        1e-9
    };
    let near = |left: &Value, right: &Value| match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => {
            (left - right).abs() <= tolerance * left.abs().max(right.abs())
        }
        _ => instant(left).map_or(left == right, |left| Some(left) == instant(right)),
    };
    let equal = ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(left, right)| {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| near(left, right))
        });
    match equal {
        true if !ours.is_empty() => Ok(()),
        true => Err(format!("{name}: no rows").into()),
        false => {
            let first = ours.iter().zip(theirs).find(|(left, right)| left != right);
            Err(format!(
                "{name}: {} rows beside {}, first difference {first:?}",
                ours.len(),
                theirs.len()
            )
            .into())
        }
    }
}

fn instant(value: &Value) -> Option<jiff::Timestamp> {
    value.as_str()?.parse().ok()
}

/// Sixty-four well-mixed bits of `n` (splitmix64).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn trace_id(trace: u64) -> u128 {
    u128::from(mix(trace)) << 64 | u128::from(mix(trace ^ 0x5555))
}

fn span_id(n: u64) -> u64 {
    mix(n ^ 0xaaaa) | 1
}

/// Spans of 50 services with 8 operations and 2 revisions, 10 a trace, 1 % failed, three attributes of which one has
/// several hundred thousand values.
fn store(spans: u64) -> Store {
    let mut store = Store::new(u64::MAX);
    let resources: Vec<_> = (0..SERVICES * 2)
        .map(|n| {
            let (service, version) = (format!("svc-{:02}", n / 2), format!("v{}", n % 2 + 1));
            resource(&[("service.name", &service), ("service.version", &version)])
        })
        .collect();
    for from in (0..spans).step_by(CHUNK as usize) {
        let rows = from..(from + CHUNK).min(spans);
        store.append(Arc::new(chunk(rows, &resources).into()));
    }
    store
}

fn chunk(rows: std::ops::Range<u64>, resources: &[Arc<engine::items::Resource>]) -> SpanBatch {
    let count = (rows.end - rows.start) as usize;
    let each = |value: &dyn Fn(u64) -> u64| -> Vec<u64> { rows.clone().map(value).collect() };
    let service = |n: u64| mix(n * 3) % SERVICES;
    let is_error = |n: u64| mix(n * 5).is_multiple_of(100);
    let duration = |n: u64| 1_000_000 + mix(n * 7) % (10_000_000 * (1 + mix(n * 11) % 20));
    let start = |n: u64| START + n * GAP;
    let place = |n: u64| n % SPANS_PER_TRACE;
    let operation = |n: u64| mix(n * 13) % 8;
    let present = || (0..count).map(|_| true).collect::<Vec<bool>>().into();
    let dictionary = |key: &str, kind, codes: Vec<u64>, values: Vec<Vec<u8>>| AttributeColumn {
        key: key.into(),
        kind,
        present: present(),
        data: ColumnData::Codes {
            codes: codes.into_iter().map(|code| code as u16).collect(),
            values: values.into_iter().collect::<ValueTable>(),
        },
    };
    let users = rows
        .clone()
        .map(|n| format!("user-{:06}", mix(n * 17) % 500_000).into_bytes());
    let attributes = vec![
        dictionary(
            "http.response.status_code",
            ValueKind::Int,
            each(&|n| u64::from(is_error(n))),
            vec![200i64.to_le_bytes().to_vec(), 503i64.to_le_bytes().to_vec()],
        ),
        dictionary(
            "http.route",
            ValueKind::Text,
            each(&|n| mix(n * 19) % 64),
            (0..64)
                .map(|n| format!("/api/v1/resource-{n}").into_bytes())
                .collect(),
        ),
        AttributeColumn {
            key: "user.id".into(),
            kind: ValueKind::Text,
            present: present(),
            data: ColumnData::Raw(users.collect::<ValueTable>()),
        },
    ];
    SpanBatch {
        items: ItemColumns {
            received: Timestamp(START),
            resources: resources.to_vec(),
            scopes: vec![Arc::new(Scope {
                name: "bench".to_owned(),
                version: String::new(),
                is_tail_sampled: false,
            })],
            resource: rows
                .clone()
                .map(|n| (service(n) * 2 + mix(n * 23) % 2) as u16)
                .collect(),
            scope: vec![0; count].into(),
            attributes,
        },
        names: (0..8)
            .map(|n| format!("operation-{n}").into_bytes())
            .collect(),
        trace_id: rows
            .clone()
            .map(|n| trace_id(n / SPANS_PER_TRACE))
            .collect(),
        span_id: each(&span_id).into(),
        parent_id: each(&|n| match place(n) {
            0 => 0,
            place => span_id(n - place + (place - 1) / 2),
        })
        .into(),
        start: each(&start).into(),
        duration: each(&duration).into(),
        end: each(&|n| start(n) + duration(n)).into(),
        name: rows.clone().map(|n| operation(n) as u16).collect(),
        kind: vec![kind::SERVER; count].into(),
        status: rows
            .clone()
            .map(|n| {
                if is_error(n) {
                    status::ERROR
                } else {
                    status::UNSET
                }
            })
            .collect(),
        flags: vec![0; count].into(),
        anomalies: vec![0; count].into(),
        shard: vec![0; count].into(),
        weight: vec![1; count].into(),
        status_message: Default::default(),
        trace_state: Default::default(),
        events: Vec::new(),
        links: Vec::new(),
    }
}
