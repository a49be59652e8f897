//! `cargo xtask conformance`: the statements of OTLP 1.11 against Tidegate and the OpenTelemetry Collector, and the table
//! of both, `docs/conformance.md`.

use crate::peers;
use crate::run::{cargo, root};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DOCUMENT: &str = "docs/conformance.md";
/// Modules whose tests make sense for Tidegate alone: they need its settings, or look at what it makes of items.
const OWN: [&str; 3] = ["own::", "items::", "catalogue::"];

/// Each statement with the weight the specification gives it, and what it says.
const STATEMENTS: [(&str, &str); 72] = [
    (
        "MUST",
        "gRPC on 4317 by default; Export of all three services is answered with the matching response",
    ),
    ("MUST", "compression none and gzip"),
    (
        "gRPC",
        "unknown grpc-encoding: UNIMPLEMENTED with grpc-accept-encoding",
    ),
    (
        "RFC 1952",
        "every member of a gzip stream is decoded, or the message is refused",
    ),
    (
        "MUST",
        "message over the limit: RESOURCE_EXHAUSTED without RetryInfo",
    ),
    ("MUST", "the same after decompression"),
    ("SHOULD", "the limit is 64 MiB by default and can be set"),
    (
        "MUST",
        "full success leaves partial_success unset (set but empty is set)",
    ),
    ("SHOULD", "an empty request succeeds"),
    ("SHOULD", "empty envelopes succeed"),
    (
        "MUST",
        "partial success has the exact number of rejected items and says why",
    ),
    ("MAY", "a warning rejects nothing"),
    (
        "SHOULD",
        "undecodable protobuf: INVALID_ARGUMENT with BadRequest",
    ),
    ("SHOULD", "overload: UNAVAILABLE with a retry delay"),
    (
        "MUST",
        "RESOURCE_EXHAUSTED is retryable only with RetryInfo",
    ),
    ("MUST", "a permanent fault never has a retryable code"),
    (
        "SHOULD",
        "100 concurrent calls on a connection are all answered and never mixed",
    ),
    (
        "MUST",
        "missing credentials: UNAUTHENTICATED, wrong tenant: PERMISSION_DENIED",
    ),
    ("MUST", "answers stay small (ours: 16 KiB)"),
    ("MUST", "unknown fields and enum values are no error"),
    ("-", "shutdown: GOAWAY, every call in progress is answered"),
    ("gRPC", "what is not supported: UNIMPLEMENTED"),
    (
        "MUST",
        "HTTP on 4318: three paths, protobuf and JSON on one port",
    ),
    (
        "RFC 9110",
        "case and parameters of the content type are ignored",
    ),
    ("MUST", "the answer has the content type of the request"),
    (
        "MUST",
        "full success is an empty message: no bytes, or `{}`",
    ),
    ("MUST", "content encodings gzip and identity"),
    (
        "RFC 9110",
        "unsupported content encoding: 415 with a Status",
    ),
    ("MUST", "body over the limit: 413"),
    ("MUST", "body over the limit after decompression: 413"),
    (
        "SHOULD",
        "announced length over the limit: 413 before the body is read",
    ),
    ("MUST", "undecodable body: 400 with a Status and details"),
    (
        "MUST",
        "every 4xx and 5xx has a Status in the encoding of the request",
    ),
    ("SHOULD", "overload: 503 or 429 with Retry-After"),
    (
        "MUST",
        "only 429, 502, 503 and 504 are retryable; 500 never for what a client did",
    ),
    (
        "RFC 9110",
        "405 has Allow: POST; HEAD and GET ingest nothing",
    ),
    ("MAY", "keep-alive, and HTTP/2 by prior knowledge"),
    (
        "RFC 9112",
        "chunked bodies; a request with two framings is refused",
    ),
    (
        "RFC 9110",
        "100-continue: the body is asked for only when it is wanted",
    ),
    ("-", "CORS is off by default"),
    ("MAY", "answers are never compressed unasked"),
    ("MAY", "paths"),
    ("MAY", "gRPC and HTTP may share a port"),
    (
        "MUST",
        "JSON: ids are hexadecimal of any case; base64 and 0x are refused",
    ),
    (
        "MUST",
        "enums are integers; names are refused, unknown integers kept",
    ),
    ("MUST", "unknown members are ignored at every depth"),
    ("MUST", "snake_case keys are unknown"),
    ("MUST", "64-bit integers are numbers or strings, exactly"),
    ("proto3", "32-bit integers are numbers or strings"),
    (
        "proto3",
        "doubles: NaN, Infinity, -Infinity, numeric strings, integers",
    ),
    ("proto3", "integral floats are integers, others refused"),
    ("proto3", "null is an absent member"),
    ("proto3", "bytes: base64 of either alphabet, padded or not"),
    ("proto3", "empty lists may leave out their values"),
    ("MUST", "an empty value is a value"),
    ("proto3", "two members of one oneof are refused"),
    (
        "proto3",
        "a key twice is refused, or the last one wins (Tidegate refuses)",
    ),
    ("MUST", "the top level is an object"),
    ("-", "the protocol's examples are decoded"),
    ("-", "JSON and protobuf forms have one meaning"),
    (
        "MUST",
        "spans without valid ids are rejected one by one and counted",
    ),
    ("-", "a parent id of another length is absent"),
    ("MUST", "unknown flags are ignored"),
    ("MAY", "unknown kinds are kept, never SERVER"),
    ("MUST", "a missing status is UNSET"),
    ("SHOULD", "attribute values of every type"),
    ("-", "indices of string tables are not fatal"),
    ("SHOULD", "points without a time are rejected"),
    ("MUST", "NO_RECORDED_VALUE"),
    ("MUST", "cumulative resets and overlaps"),
    ("MUST", "temporality must be said; increments do not fall"),
    ("MUST", "histograms add up"),
];

/// Outcome of each statement: whether all of its tests passed. Without a test it is not there.
type Outcomes = BTreeMap<usize, bool>;

/// Runs the statements against Tidegate and the Collector and writes the table.
///
/// # Errors
/// When something cannot be built or run, or a statement fails for Tidegate.
pub(crate) fn run() -> Result<()> {
    let tidegate = outcomes(&mut tests(&[]))?;
    let failed: Vec<_> = tidegate.iter().filter(|(_, passed)| !**passed).collect();
    if !failed.is_empty() {
        bail!("Tidegate fails statements {failed:?}");
    }
    let binary = peers::collector()?;
    let collector = Collector::start(&binary)?;
    let mut command = tests(&OWN);
    command
        .env(
            "TIDEGATE_CONFORMANCE_GRPC",
            format!("127.0.0.1:{}", collector.grpc),
        )
        .env(
            "TIDEGATE_CONFORMANCE_HTTP",
            format!("127.0.0.1:{}", collector.http),
        );
    let other = outcomes(&mut command)?;
    drop(collector);
    let version = collector_version()?;
    std::fs::write(root().join(DOCUMENT), document(&tidegate, &other, &version))?;
    println!("wrote {DOCUMENT}");
    Ok(())
}

/// The test binary without the tests of some modules.
fn tests(skipped: &[&str]) -> Command {
    let mut command = cargo(&[
        "test",
        "--locked",
        "--features",
        "sql",
        "--test",
        "conformance",
        "--",
        "--test-threads=1",
    ]);
    for module in skipped {
        command.args(["--skip", module]);
    }
    command
}

fn outcomes(command: &mut Command) -> Result<Outcomes> {
    println!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let Some((name, outcome)) = line
            .strip_prefix("test ")
            .and_then(|line| line.split_once(" ... "))
        else {
            continue;
        };
        for number in numbers(name) {
            *outcomes.entry(number).or_insert(true) &= outcome == "ok";
        }
    }
    if outcomes.is_empty() {
        bail!("no test ran: {}", output.status);
    }
    Ok(outcomes)
}

/// The statements that a test is named after: `grpc::s05_a_message_...`, `own::s14_s15_s34_overload_...`.
fn numbers(name: &str) -> Vec<usize> {
    let (_, name) = name.rsplit_once("::").unwrap_or(("", name));
    let number = |word: &str| word.strip_prefix('s')?.parse().ok();
    name.split('_').map_while(number).collect()
}

/// A Collector that receives OTLP with its defaults and forgets it.
struct Collector {
    child: Child,
    grpc: u16,
    http: u16,
}

impl Collector {
    fn start(binary: &std::path::Path) -> Result<Self> {
        let [grpc, http] = [free_port()?, free_port()?];
        let receiver = format!(
            "{{grpc: {{endpoint: 127.0.0.1:{grpc}}}, http: {{endpoint: 127.0.0.1:{http}}}}}"
        );
        let file = std::env::temp_dir().join(format!("conformance-{}.yaml", std::process::id()));
        let pipeline = "{receivers: [otlp], exporters: [nop]}";
        let text = format!(
            "receivers: {{otlp: {{protocols: {receiver}}}}}\nexporters: {{nop: {{}}}}\nservice: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{traces: {pipeline}, metrics: {pipeline}, logs: {pipeline}}}}}\n"
        );
        std::fs::write(&file, text)?;
        let child = Command::new(binary)
            .arg("--config")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let collector = Self { child, grpc, http };
        for _ in 0..600 {
            let listens = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
            if listens(grpc) && listens(http) {
                return Ok(collector);
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        bail!("the Collector does not listen");
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago: the Collector does not say which one it took.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn collector_version() -> Result<String> {
    let list = std::fs::read_to_string(root().join("tests/peers/collector/go.mod"))?;
    let receiver = "go.opentelemetry.io/collector/receiver/otlpreceiver v";
    let version = list
        .lines()
        .find_map(|line| line.trim().strip_prefix(receiver));
    Ok(version.context("no otlpreceiver in go.mod")?.to_owned())
}

fn document(tidegate: &Outcomes, collector: &Outcomes, version: &str) -> String {
    let mut text = format!(
        "# Conformance with OTLP 1.11\n\n\
        Generated by `cargo xtask conformance`: do not edit.\n\
        Each statement is one or more tests of its number in `tests/conformance`, over every signal and transport that it concerns.\n\
        They speak to a running receiver through sockets; the same tests are pointed at the OpenTelemetry Collector {version} with the default settings of its OTLP receiver.\n\
        `no` means that at least one of them fails; `-` that none can be run: 18 and 21 come with TLS and shutdown, the Collector's overload takes a pipeline to see, and it hands items on without looking into them (60-72).\n\
        Where no specification binds a receiver (the weight `-`), the statement is Tidegate's own.\n\n\
        | # | weight | statement | Tidegate | Collector {version} |\n\
        |---|---|---|---|---|\n"
    );
    let word = |outcomes: &Outcomes, number| match outcomes.get(&number) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    for (index, (weight, statement)) in STATEMENTS.iter().enumerate() {
        let number = index + 1;
        let other = match number {
            60.. => "-",
            _ => word(collector, number),
        };
        let own = word(tidegate, number);
        text.push_str(&format!(
            "| {number} | {weight} | {statement} | {own} | {other} |\n"
        ));
    }
    text
}
