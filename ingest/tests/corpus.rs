//! Real recordings: every span counted, none rejected, the same rows as `prost` sees.

use engine::batch::Batch;
use engine::hash::HashSeed;
use engine::items::{Signal, Value};
use engine::span::{SpanBatch, kind, status};
use engine::time::Timestamp;
use flate2::read::{GzDecoder, MultiGzDecoder};
use ingest::otlp::{DecodeLimits, Decoder, Format, RejectReason};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

fn corpus(path: &str) -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("TIDEGATE_CORPUS").map_or(default, PathBuf::from);
    root.join(path)
}

struct Recorded {
    received: Timestamp,
    body: Vec<u8>,
}

/// Records `{u64 LE unix_ns, u32 LE length, u8 gzip flag, body}`, the file itself gzipped.
fn recording(path: &str) -> Vec<Recorded> {
    let path = corpus(path);
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let mut rest = bytes.as_slice();
    let mut records = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<13>() {
        let len = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        let (encoded, tail) = tail.split_at(len);
        rest = tail;
        let mut body = encoded.to_vec();
        if head[12] == 1 {
            body.clear();
            GzDecoder::new(encoded).read_to_end(&mut body).unwrap();
        }
        let received = Timestamp(u64::from_le_bytes(head[..8].try_into().unwrap()));
        records.push(Recorded { received, body });
    }
    assert!(rest.is_empty());
    records
}

fn spans(batch: Batch) -> SpanBatch {
    match batch {
        Batch::Spans(spans) => spans,
        other => panic!("a batch of {}", other.signal().name()),
    }
}

fn decode(records: &[Recorded]) -> Vec<SpanBatch> {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut batches = Vec::new();
    for record in records {
        let decoded = decoder
            .decode(
                (Signal::Traces, Format::Protobuf),
                &record.body,
                record.received,
                HashSeed(1, 2),
            )
            .unwrap();
        assert_eq!(decoded.rejected, []);
        let request = ExportTraceServiceRequest::decode(&*record.body).unwrap();
        let own: Vec<SpanBatch> = decoded.batches.into_iter().map(spans).collect();
        assert_eq!(ids(&own), oracle_ids(&request));
        batches.extend(own);
    }
    batches
}

type Id = (u128, u64, String, usize);

fn ids(batches: &[SpanBatch]) -> Vec<Id> {
    let mut ids = Vec::new();
    for batch in batches {
        for row in 0..batch.len() {
            let attributes = batch
                .items
                .attributes
                .iter()
                .filter(|c| c.get(row).is_some());
            let name = batch.name_of(row).to_owned();
            ids.push((
                batch.trace_id[row],
                batch.span_id[row],
                name,
                attributes.count(),
            ));
        }
    }
    ids
}

fn oracle_ids(request: &ExportTraceServiceRequest) -> Vec<Id> {
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|spans| &spans.scope_spans);
    let spans = scopes.flat_map(|spans| &spans.spans);
    spans
        .map(|span| {
            let trace = u128::from_be_bytes(span.trace_id.as_slice().try_into().unwrap());
            let id = u64::from_be_bytes(span.span_id.as_slice().try_into().unwrap());
            (trace, id, span.name.clone(), span.attributes.len())
        })
        .collect()
}

/// Server spans and server spans that failed, by service.
fn servers(batches: &[SpanBatch]) -> BTreeMap<String, (u64, u64)> {
    let mut servers = BTreeMap::new();
    for batch in batches {
        for row in 0..batch.len() {
            if batch.kind[row] != kind::SERVER {
                continue;
            }
            let service = &batch.items.resource_of(row).identity.service.name;
            let code = batch
                .items
                .attribute(row, "http.status_code")
                .or_else(|| batch.items.attribute(row, "http.response.status_code"))
                .and_then(Value::as_int);
            let failed = batch.status[row] == status::ERROR || code.is_some_and(|code| code >= 500);
            let counts: &mut (u64, u64) = servers.entry(service.clone()).or_default();
            counts.0 += 1;
            counts.1 += u64::from(failed);
        }
    }
    servers
}

/// Scenario: two recorded runs of a retry storm through Envoy, one healed by a retry budget.
/// Guarantees: every span of both is decoded, and the server spans and failures by service are those counted apart.
#[test]
fn envoy_retry_storms_are_counted_whole() {
    for (path, spans, services, failed, backend) in [
        (
            "rca/envoy-metastable/run1_retries_unbounded.otlp.bin.gz",
            80_770,
            8_019,
            5_203,
            17_047,
        ),
        (
            "rca/envoy-metastable/run2_retry_budget10.otlp.bin.gz",
            56_327,
            8_019,
            1_254,
            8_116,
        ),
    ] {
        let batches = decode(&recording(path));
        assert_eq!(
            batches.iter().map(SpanBatch::len).sum::<usize>(),
            spans,
            "{path}"
        );
        let servers = servers(&batches);
        println!("{path}: {servers:?}");
        for front in ["edge-gateway", "svc-a", "svc-a-sidecar"] {
            assert_eq!(
                servers.get(front),
                Some(&(services, failed)),
                "{path} {front}"
            );
        }
        assert_eq!(servers.get("svc-b"), Some(&(backend, 0)), "{path}");
    }
}

/// Scenario: protobuf bodies that another project keeps as test data.
/// Guarantees: accepted, with the spans `prost` sees.
#[test]
fn protobuf_samples_decode() {
    for file in ["trace.pb", "traces.pb"] {
        let body = sample(file);
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        let newest = request
            .resource_spans
            .iter()
            .flat_map(|spans| &spans.scope_spans)
            .flat_map(|spans| &spans.spans)
            .map(|span| span.end_time_unix_nano)
            .max();
        let record = Recorded {
            received: Timestamp(newest.unwrap_or(0)),
            body,
        };
        assert!(!decode(&[record]).is_empty(), "{file}");
    }
}

fn sample(file: &str) -> Vec<u8> {
    let path = corpus("otlp/smithclay+otlp2parquet/testdata").join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Scenario: metrics of every kind, and logs, as that project keeps them.
/// Guarantees: as many points and records as `prost` sees; rejected is only what contradicts itself.
#[test]
fn protobuf_samples_of_metrics_and_logs_decode() {
    for (signal, file) in [
        (Signal::Metrics, "metrics_exponential_histogram.pb"),
        (Signal::Metrics, "metrics_gauge.pb"),
        (Signal::Metrics, "metrics_histogram.pb"),
        (Signal::Metrics, "metrics_mixed.pb"),
        (Signal::Metrics, "metrics_sum.pb"),
        (Signal::Metrics, "metrics_summary.pb"),
        (Signal::Logs, "logs.pb"),
    ] {
        let body = sample(file);
        let times = match signal {
            Signal::Logs => record_times(&body),
            _ => point_times(&body),
        };
        let received = Timestamp(*times.iter().max().unwrap());
        let mut decoder = Decoder::new(DecodeLimits::default());
        let kind = (signal, Format::Protobuf);
        let decoded = decoder
            .decode(kind, &body, received, HashSeed(1, 2))
            .unwrap();
        // One point is made up: its buckets hold other than its count.
        let reasons: Vec<_> = decoded.rejected.iter().map(|one| one.reason).collect();
        let made_up = mismatches(signal, &body);
        assert_eq!(
            reasons,
            vec![RejectReason::CountMismatch; made_up],
            "{file}"
        );
        assert_eq!(decoded.items_rejected(), made_up as u64, "{file}");
        assert_eq!(decoded.items_seen, times.len() as u64, "{file}");
        assert!(decoded.items_seen > 0, "{file}");
    }
}

/// Exponential histograms whose buckets do not add up to their count.
fn mismatches(signal: Signal, body: &[u8]) -> usize {
    if signal != Signal::Metrics {
        return 0;
    }
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|one| &one.scope_metrics);
    let data = scopes
        .flat_map(|one| &one.metrics)
        .filter_map(|metric| metric.data.as_ref());
    data.filter_map(|data| match data {
        Data::ExponentialHistogram(data) => Some(&data.data_points),
        _ => None,
    })
    .flatten()
    .filter(|point| {
        let sides = [&point.positive, &point.negative].into_iter().flatten();
        let counts: u64 = sides.flat_map(|side| &side.bucket_counts).sum();
        counts + point.zero_count != point.count
    })
    .count()
}

fn point_times(body: &[u8]) -> Vec<u64> {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|one| &one.scope_metrics);
    let metrics = scopes.flat_map(|one| &one.metrics);
    let times = metrics.filter_map(|metric| metric.data.as_ref());
    times
        .flat_map(|data| -> Vec<u64> {
            match data {
                Data::Gauge(data) => data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                Data::Sum(data) => data.data_points.iter().map(|p| p.time_unix_nano).collect(),
                Data::Histogram(data) => {
                    data.data_points.iter().map(|p| p.time_unix_nano).collect()
                }
                Data::ExponentialHistogram(data) => {
                    data.data_points.iter().map(|p| p.time_unix_nano).collect()
                }
                Data::Summary(data) => data.data_points.iter().map(|p| p.time_unix_nano).collect(),
            }
        })
        .collect()
}

fn record_times(body: &[u8]) -> Vec<u64> {
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    let scopes = request.resource_logs.iter().flat_map(|one| &one.scope_logs);
    let records = scopes.flat_map(|one| &one.log_records);
    records.map(|record| record.time_unix_nano).collect()
}
