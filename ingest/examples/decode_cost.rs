//! Cost of decoding: ours to columns beside `prost` to objects, the same bytes in the same run.
//!
//! `cargo run -p ingest --example decode_cost --config profile.dev.opt-level=3` prints one JSON object a line. The
//! spans are the reference workload: 567 bytes, 12 attributes of which 2 are of high cardinality, 512 a request, 4
//! resources of 10 attributes; points are histograms of 15 buckets with 5 attributes, records are access log lines. Both sides allocate with mimalloc and drop what they made.

use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use ingest::otlp::{DecodeLimits, Decoder, Format};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use std::hint::black_box;
use std::time::Duration;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECEIVED: u64 = 1_767_225_600_000_000_000;
/// A few requests, over and over: what was just received is still in the cache.
const REQUESTS: usize = 8;
const SPANS: usize = 512;
const ROUNDS: usize = 201;

/// What is measured: name, signal, bodies, and how prost reads one.
type Case = (&'static str, Signal, Vec<Vec<u8>>, fn(&[u8]) -> bool);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);
    let only = arguments.next();
    let measures = |side: &str| only.as_deref().is_none_or(|only| only == side);
    let spans = |body: &[u8]| ExportTraceServiceRequest::decode(body).is_ok();
    let points = |body: &[u8]| ExportMetricsServiceRequest::decode(body).is_ok();
    let records = |body: &[u8]| ExportLogsServiceRequest::decode(body).is_ok();
    let make =
        |request: &dyn Fn(u64) -> Vec<u8>| (0..REQUESTS).map(|n| request(n as u64)).collect();
    let cases: [Case; 4] = [
        (
            "rich span",
            Signal::Traces,
            make(&|n| request(n, true)),
            spans,
        ),
        (
            "minimal span",
            Signal::Traces,
            make(&|n| request(n, false)),
            spans,
        ),
        ("histogram point", Signal::Metrics, make(&metrics), points),
        ("log record", Signal::Logs, make(&logs), records),
    ];
    for (name, signal, bodies, oracle) in cases {
        let bytes: usize = bodies.iter().map(Vec::len).sum();
        let item_bytes = bytes as f64 / (REQUESTS * SPANS) as f64;
        let mut decoder = Decoder::new(DecodeLimits::default());
        let (mut ours, mut prost) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            if measures("ours") {
                ours.push(cost(&bodies, |body| {
                    let kind = (signal, Format::Protobuf);
                    let decoded = decoder.decode(kind, body, Timestamp(RECEIVED), HashSeed(1, 2));
                    let accepted = decoded.map_or(0, |decoded| black_box(decoded).items_accepted());
                    assert_eq!(accepted, SPANS as u64);
                }));
            }
            if measures("prost") {
                prost.push(cost(&bodies, |body| assert!(black_box(oracle(body)))));
            }
        }
        let (ours, prost) = (quartile(ours), quartile(prost));
        println!(
            "{{\"name\":\"decode {name}\",\"value\":{ours:.1},\"unit\":\"ns\",\"baseline\":{prost:.1},\"ratio\":{:.2},\"item_bytes\":{item_bytes:.0}}}",
            prost / ours
        );
    }
}

/// Nanoseconds an item.
fn cost(bodies: &[Vec<u8>], mut decode: impl FnMut(&[u8])) -> f64 {
    let start = Instant::now();
    bodies.iter().for_each(|body| decode(body));
    let elapsed: Duration = start.elapsed();
    elapsed.as_nanos() as f64 / (bodies.len() * SPANS) as f64
}

/// The first quartile: what it costs when nobody else takes the core in between.
fn quartile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 4).copied().unwrap_or(0.0)
}

/// SplitMix64: one number for each input, so that every run decodes the same bytes.
fn mix(mut seed: u64) -> u64 {
    seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ seed >> 31
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

fn request(number: u64, rich: bool) -> Vec<u8> {
    let resource_spans = (0..4)
        .map(|service| ResourceSpans {
            resource: Some(resource(service)),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "io.opentelemetry.contrib.http".to_owned(),
                    version: "1.4.0".to_owned(),
                    ..Default::default()
                }),
                spans: (0..SPANS as u64 / 4)
                    .map(|index| span(number * 1_000 + service * 200 + index, rich))
                    .collect(),
                schema_url: String::new(),
            }],
            schema_url: "https://opentelemetry.io/schemas/1.26.0".to_owned(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn resource(service: u64) -> Resource {
    let attributes = vec![
        text("service.name", format!("checkout-{service}")),
        text("service.namespace", "shop"),
        text("service.version", "2.14.1"),
        text(
            "service.instance.id",
            format!("4b1e2f0c-9a77-4c5e-8d21-00000000000{service}"),
        ),
        text("deployment.environment.name", "production"),
        text(
            "k8s.pod.name",
            format!("checkout-{service}-7c9d6b5f4-x2x{service}z"),
        ),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.label.pod-template-hash", "7c9d6b5f4"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.name", "opentelemetry"),
    ];
    Resource {
        attributes,
        ..Default::default()
    }
}

fn span(number: u64, rich: bool) -> Span {
    let random = mix(number);
    let trace = mix(number / 6 + 1_000_000);
    let routes = [
        "/api/cart",
        "/api/cart/{id}",
        "/api/orders/{id}/items",
        "/api/products",
    ];
    let route = routes[(random % 4) as usize];
    let status = [200, 200, 200, 200, 200, 200, 404, 503][(random >> 8) as usize % 8];
    let start = RECEIVED - 5_000_000_000 + random % 1_000_000_000;
    let attributes = vec![
        text(
            "http.request.method",
            ["GET", "GET", "POST"][(random >> 16) as usize % 3],
        ),
        text("http.route", route),
        attribute("http.response.status_code", Value::IntValue(status)),
        text("url.scheme", "https"),
        text(
            "url.path",
            format!(
                "/api/orders/{:011x}/items?page={}",
                random >> 20,
                random % 9
            ),
        ),
        text("server.address", "checkout.shop.svc.cluster.local."),
        attribute("server.port", Value::IntValue(8443)),
        text("network.protocol.version", "1.1"),
        text(
            "user_agent.original",
            [
                "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
                "okhttp/4.12.0 (JDK 21; Linux; amd64) checkout-frontend/2.14",
            ][(random >> 24) as usize % 2],
        ),
        text("thread.name", format!("worker-{}", (random >> 28) % 16)),
        text("enduser.id", format!("u-{:012x}", mix(random) >> 16)),
        attribute("app.cache.hit", Value::BoolValue(random & 1 == 1)),
    ];
    Span {
        trace_id: [trace.to_be_bytes(), mix(trace).to_be_bytes()].concat(),
        span_id: random.to_be_bytes().to_vec(),
        parent_span_id: mix(random ^ 1).to_be_bytes().to_vec(),
        name: if rich {
            format!("GET {route}")
        } else {
            "GET".to_owned()
        },
        kind: 2 + (random >> 32) as i32 % 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + random % 50_000_000,
        attributes: if rich { attributes } else { Vec::new() },
        flags: 0x101,
        status: (status == 503 && rich).then(|| Status {
            message: String::new(),
            code: 2,
        }),
        ..Default::default()
    }
}

/// 512 points of one histogram, as a service with as many routes sends them.
fn metrics(number: u64) -> Vec<u8> {
    let bounds: Vec<f64> = (0..14).map(|n| 0.005 * f64::from(1 << n)).collect();
    let point = |index: u64| {
        let random = mix(number * 1_000 + index);
        let counts: Vec<u64> = (0..15).map(|n| random >> n & 255).collect();
        HistogramDataPoint {
            attributes: vec![
                text("http.request.method", "GET"),
                text("http.route", format!("/api/resource-{}/{{id}}", index / 2)),
                attribute(
                    "http.response.status_code",
                    Value::IntValue(200 + 300 * (index as i64 % 2)),
                ),
                text("url.scheme", "https"),
                text("network.protocol.version", "1.1"),
            ],
            start_time_unix_nano: RECEIVED - 60_000_000_000,
            time_unix_nano: RECEIVED,
            count: counts.iter().sum(),
            sum: Some(1.0),
            bucket_counts: counts,
            explicit_bounds: bounds.clone(),
            ..Default::default()
        }
    };
    let histogram = Histogram {
        data_points: (0..SPANS as u64).map(point).collect(),
        aggregation_temporality: 2,
    };
    let metric = Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::Histogram(histogram)),
        ..Default::default()
    };
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource(0)),
        scope_metrics: vec![ScopeMetrics {
            metrics: vec![metric],
            ..Default::default()
        }],
        ..Default::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

/// 512 records of an access log: what a span has, with a line as its body.
fn logs(number: u64) -> Vec<u8> {
    let record = |index: u64| {
        let span = span(number * 1_000 + index, true);
        LogRecord {
            time_unix_nano: span.end_time_unix_nano,
            observed_time_unix_nano: RECEIVED,
            severity_number: 9,
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue(format!(
                    "{} finished with {} bytes after {} ms, upstream cluster checkout",
                    span.name,
                    mix(index),
                    index
                ))),
            }),
            attributes: span.attributes,
            trace_id: span.trace_id,
            span_id: span.span_id,
            ..Default::default()
        }
    };
    let resource_logs = vec![ResourceLogs {
        resource: Some(resource(0)),
        scope_logs: vec![ScopeLogs {
            log_records: (0..SPANS as u64).map(record).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}
