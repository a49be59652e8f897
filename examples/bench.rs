//! End to end measurements, called by `cargo xtask bench`: one JSON object a line.
//!
//! The server under test runs on core 0, this program and its load on core 1. CPU is user plus system time of the
//! whole server process, so that waiting costs nothing and threads cannot hide. Rotel (a forwarder in Rust that does
//! nothing with what it receives here) takes the same bytes in turn: ratios of one run are what counts.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use simulator::loadgen::{self, Load, Report};
use simulator::payload::PayloadKind;
use simulator::topology::Wire;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Kernel clock ticks a second, as Linux reports process times.
const TICKS_PER_SEC: f64 = 100.0;
const SLOS: usize = 100;
/// Services of the generator's payload.
const SERVICES: usize = 48;
const BATCH: usize = 512;
const GATE_RATE: f64 = 500.0;
/// Connections that ask it.
const GATE_ASKERS: u64 = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let argument = |name: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1)
    };
    let server = PathBuf::from(argument("--server").context("--server BINARY is missing")?);
    let seconds = argument("--seconds")
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let folder = tempfile::tempdir()?;
    write_slos(folder.path())?;
    let rotel = argument("--rotel").map(PathBuf::from);
    end_to_end(&server, rotel.as_deref(), folder.path(), seconds).await?;
    gate(&server, folder.path(), seconds).await
}

fn print(line: &Value) {
    println!("{line}");
}

/// A process on core 0; ended when dropped.
struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child })
    }

    /// User and system time so far, s.
    fn cpu(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / TICKS_PER_SEC)
    }

    fn resident_megabytes(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default();
        let kilobytes: f64 = line.split_whitespace().nth(1).unwrap_or("0").parse()?;
        Ok(kilobytes / 1024.0)
    }
}

struct Tidegate {
    server: Server,
    grpc: String,
    api: String,
}

impl Tidegate {
    fn start(program: &Path, definitions: &Path) -> Result<Self> {
        let any = "127.0.0.1:0";
        let definitions = definitions.display().to_string();
        let arguments = [
            "serve",
            "--grpc",
            any,
            "--http",
            any,
            "--api",
            any,
            "--definitions",
            &definitions,
            "--set",
            "store.bytes=2GiB",
        ];
        let mut server = Server::start(program, &arguments)?;
        let stderr = server.child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut after = |label: &str| {
            let mut found = lines.by_ref().filter_map(|line| {
                line.trim()
                    .strip_prefix(label)
                    .map(|rest| rest.trim().to_owned())
            });
            found
                .next()
                .with_context(|| format!("serve did not print `{label}`"))
        };
        let grpc = format!("http://{}", after("OTLP/gRPC")?);
        let api = after("pages, API")?;
        drop(std::thread::Builder::new().spawn(move || lines.for_each(drop)));
        Ok(Self { server, grpc, api })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(reqwest::get(format!("{}{path}", self.api))
            .await?
            .json()
            .await?)
    }

    /// Waits until `spans` are counted.
    async fn settle(&self, spans: u64) -> Result<Value> {
        for _ in 0..200 {
            let status = self.get("/v1/status").await?;
            if status["accepted"]["spans"].as_u64() >= Some(spans) {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("not all of {spans} spans were counted")
    }
}

fn write_slos(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for number in 0..SLOS {
        let service = simulator::payload::service_name(number % SERVICES);
        let name = format!("slo-{}", number / SERVICES);
        text.push_str(&format!(
            "---\napiVersion: openslo/v1\nkind: Service\nmetadata: {{name: {service}, annotations: {{tidegate.dev/namespace: {namespace}, tidegate.dev/environment: {environment}}}}}\nspec: {{}}\n",
            namespace = simulator::payload::NAMESPACE, environment = simulator::payload::ENVIRONMENT
        ).repeat(usize::from(number < SERVICES)));
        text.push_str(&format!(
            "---\napiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: {name}}}\nspec:\n  service: {service}\n  indicator:\n    metadata: {{name: {name}}}\n    spec:\n      ratioMetric:\n        bad: {{metricSource: {{type: tidegate-spans, spec: {{failed: default}}}}}}\n        total: {{metricSource: {{type: tidegate-spans, spec: {{}}}}}}\n  timeWindow: [{{duration: 30d, isRolling: true}}]\n  budgetingMethod: Occurrences\n  objectives: [{{target: 0.99}}]\n"
        ));
    }
    std::fs::write(folder.join("bench.yaml"), text)?;
    Ok(())
}

async fn load(base: &str, spans_per_second: Option<f64>, seconds: u64) -> Result<Report> {
    let origin = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
    let load = Load {
        base: base.to_owned(),
        wire: Wire::Grpc,
        token: None,
        payload: PayloadKind::Rich,
        batch: BATCH,
        connections: 2,
        in_flight: 4,
        spans_per_second,
        duration: Duration::from_secs(seconds),
        seed: origin,
        origin,
    };
    Ok(loadgen::run(&load, &CancellationToken::new()).await?)
}

/// CPU per span of ours and of Rotel, in turn.
async fn end_to_end(program: &Path, rotel: Option<&Path>, slos: &Path, seconds: u64) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..3 {
        let tidegate = Tidegate::start(program, slos)?;
        // Connections, tables and predictors are warm before anything is measured.
        let warm = load(&tidegate.grpc, Some(20_000.0), 2).await?;
        let before = tidegate.server.cpu()?;
        let report = load(&tidegate.grpc, None, seconds).await?;
        let status = tidegate.settle(warm.acked + report.acked).await?;
        ours.push((tidegate.server.cpu()? - before) * 1e9 / report.acked as f64);
        let wrong = wrong_counts(&tidegate, &status, &[&warm, &report]).await?;
        last = Some((
            report.acked_per_second(),
            report.bytes_per_span,
            status,
            wrong,
            tidegate.server.resident_megabytes()?,
        ));
        drop(tidegate);
        if let Some(rotel) = rotel {
            theirs.push(measure_rotel(rotel, seconds).await?);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    print(
        &json!({ "name": "gRPC end to end, CPU", "value": round(ours), "unit": "ns a span", "baseline": round(theirs), "ratio": round(theirs / ours) }),
    );
    if let Some((rate, bytes, status, wrong, resident)) = last {
        let store = &status["store"];
        let stored = store["bytes"].as_f64().unwrap_or(0.0)
            / store["held"]["spans"].as_f64().unwrap_or(1.0).max(1.0);
        print(
            &json!({ "name": "gRPC end to end, acknowledged", "value": round(rate), "unit": "spans/s" }),
        );
        print(
            &json!({ "name": "bytes of a span on the wire", "value": round(bytes), "unit": "B" }),
        );
        print(&json!({ "name": "bytes of a stored span", "value": round(stored), "unit": "B" }));
        print(&json!({ "name": "peak resident memory", "value": round(resident), "unit": "MiB" }));
        print(&json!({ "name": "wrong counts", "value": wrong, "unit": "services" }));
    }
    Ok(())
}

/// Services whose SLO counts differ from the generator's truth, and spans lost.
async fn wrong_counts(tidegate: &Tidegate, status: &Value, reports: &[&Report]) -> Result<u64> {
    let sent: u64 = reports.iter().map(|report| report.acked).sum();
    let mut wrong = u64::from(status["accepted"]["spans"] != sent);
    let mut truth = std::collections::BTreeMap::new();
    for report in reports {
        for (service, served) in &report.served {
            let all: &mut (u64, u64) = truth.entry(service.clone()).or_default();
            all.0 += served.total;
            all.1 += served.failed;
        }
    }
    for (service, (total, failed)) in truth {
        let budgets = tidegate
            .get(&format!("/v1/budgets?service={service}"))
            .await?;
        let counts = &budgets[0]["counts"];
        wrong += u64::from(counts["total"] != total || counts["bad"] != failed);
    }
    Ok(wrong)
}

async fn measure_rotel(rotel: &Path, seconds: u64) -> Result<f64> {
    let grpc = free_port()?;
    let http = free_port()?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (pid, log) = (file("pid"), file("log"));
    let arguments = [
        "start",
        "--exporter",
        "blackhole",
        "--otlp-grpc-endpoint",
        &grpc,
        "--otlp-http-endpoint",
        &http,
        "--pid-file",
        &pid,
        "--log-file",
        &log,
        "--disable-batching",
    ];
    let server = Server::start(rotel, &arguments)?;
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(&grpc).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let base = format!("http://{grpc}");
    let _ = load(&base, Some(20_000.0), 2).await?;
    let before = server.cpu()?;
    let report = load(&base, None, seconds).await?;
    if report.acked == 0 {
        bail!("Rotel acknowledged nothing: {}", report.first_problem);
    }
    Ok((server.cpu()? - before) * 1e9 / report.acked as f64)
}

fn free_port() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string())
}

/// `GET /v1/gate` at a fixed rate while spans come in, from the intended send time.
async fn gate(program: &Path, slos: &Path, seconds: u64) -> Result<()> {
    let tidegate = Tidegate::start(program, slos)?;
    let warm = load(&tidegate.grpc, Some(20_000.0), 2).await?;
    let _ = tidegate.settle(warm.acked).await?;
    let service = simulator::payload::service_name(0);
    let url = format!("{}/v1/gate?service={service}", tidegate.api);
    let started = Instant::now() + Duration::from_millis(10);
    let askers: Vec<_> = (0..GATE_ASKERS)
        .map(|first| {
            let url = url.clone();
            tokio::task::spawn_blocking(move || ask_at_rate(&url, first, started, seconds))
        })
        .collect();
    let report = load(&tidegate.grpc, Some(100_000.0), seconds).await?;
    let mut latencies = Vec::new();
    for asker in askers {
        latencies.extend(asker.await??);
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    print(
        &json!({ "name": "gate at 500/s: spans meanwhile", "value": round(report.acked_per_second()), "unit": "spans/s" }),
    );
    print(&json!({ "name": "gate at 500/s: p50", "value": round(at(0.5)), "unit": "ms" }));
    print(&json!({ "name": "gate at 500/s: p99", "value": round(at(0.99)), "unit": "ms" }));
    Ok(())
}

/// Every [`GATE_ASKERS`]th question, each at its time, over a connection of its own. Threads and plain sockets: a timer
/// that is a millisecond late, or a client that shares its thread with the load, would be measured instead of the gate.
fn ask_at_rate(url: &str, first: u64, started: Instant, seconds: u64) -> Result<Vec<f64>> {
    let (address, path) = url
        .trim_start_matches("http://")
        .split_once('/')
        .context("a URL with a path")?;
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let questions = (GATE_RATE * seconds as f64) as u64;
    let mut latencies = Vec::new();
    let mut answer = Vec::new();
    for number in (first..questions).step_by(GATE_ASKERS as usize) {
        let intended = started + Duration::from_secs_f64(number as f64 / GATE_RATE);
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream, &mut answer)?;
        latencies.push(intended.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(latencies)
}

/// Reads one answer with a Content-Length.
fn read_answer(stream: &mut std::net::TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    answer.clear();
    let mut chunk = [0u8; 16 << 10];
    loop {
        let text = String::from_utf8_lossy(answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            if !head.starts_with("HTTP/1.1 200") {
                bail!("the gate answered {head}");
            }
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, length)| length.parse::<usize>().ok())
                .context("an answer with a length")?;
            if body.len() >= length {
                return Ok(());
            }
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            bail!("the gate closed the connection");
        }
        answer.extend_from_slice(&chunk[..read]);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three significant digits are more than a shared machine gives.
fn round(value: f64) -> f64 {
    let size = 10f64.powi(2 - value.abs().max(1e-9).log10().floor() as i32);
    (value * size).round() / size
}
