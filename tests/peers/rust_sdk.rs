//! The OpenTelemetry SDK for Rust as a sender of known counts. See `sdks.rs` for what it must send.

use crate::sdks::Counts;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder as LogQueue, BatchLogProcessor, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder as SpanQueue, BatchSpanProcessor, SdkTracerProvider,
};
use std::time::Duration;

/// An exporter of `$kind` over the protocol.
macro_rules! exporter {
    ($kind:ty, $protocol:expr, $endpoint:expr, $path:expr) => {
        match $protocol {
            "grpc" => <$kind>::builder()
                .with_tonic()
                .with_endpoint($endpoint)
                .build(),
            "http/json" => <$kind>::builder()
                .with_http()
                .with_protocol(Protocol::HttpJson)
                .with_endpoint(format!("{}{}", $endpoint, $path))
                .build(),
            _ => <$kind>::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(format!("{}{}", $endpoint, $path))
                .build(),
        }
        .unwrap()
    };
}

fn resource(service: &str, version: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", version))
        .build()
}

/// Sends `counts` to `endpoint` and returns when everything was exported.
pub(crate) fn send(protocol: &str, endpoint: &str, service: &str, counts: &Counts) {
    // The gRPC exporter wants a runtime around it; the SDK's own threads do the waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    for (version, spans) in [("v1", counts.spans * 4 / 5), ("v2", counts.spans / 5)] {
        let exporter = exporter!(SpanExporter, protocol, endpoint, "/v1/traces");
        // A queue as large as the run: the SDK drops what does not fit, and every span must arrive.
        let queue = SpanQueue::default().with_max_queue_size(counts.spans as usize + 1);
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(queue.build())
            .build();
        send_spans(processor, resource(service, version), version, spans);
    }
    if counts.points > 0 {
        let exporter = exporter!(MetricExporter, protocol, endpoint, "/v1/metrics");
        send_points(exporter, resource(service, "v1"), counts.points);
    }
    if counts.logs > 0 {
        let exporter = exporter!(LogExporter, protocol, endpoint, "/v1/logs");
        let queue = LogQueue::default().with_max_queue_size(counts.logs as usize + 1);
        let processor = BatchLogProcessor::builder(exporter)
            .with_batch_config(queue.build())
            .build();
        send_logs(processor, resource(service, "v1"), counts.logs);
    }
}

fn send_spans(processor: BatchSpanProcessor, resource: Resource, version: &str, spans: u64) {
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(processor)
        .build();
    let tracer = provider.tracer("peer");
    for number in 0..spans {
        let mut span = tracer
            .span_builder("GET /")
            .with_kind(SpanKind::Server)
            .start(&tracer);
        let is_failed = version == "v2" && number % 10 == 0;
        let status = if is_failed { 500 } else { 200 };
        span.set_attribute(KeyValue::new("http.response.status_code", status));
        if is_failed {
            span.set_status(Status::error(""));
        }
        span.end();
    }
    provider.shutdown().unwrap();
}

fn send_points(exporter: MetricExporter, resource: Resource, points: u64) {
    // Later than the end of the run: shutting down exports once.
    let reader = PeriodicReader::builder(exporter)
        .with_interval(Duration::from_secs(3_600))
        .build();
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader)
        .build();
    let meter = provider.meter_with_scope(InstrumentationScope::builder("peer").build());
    let requests = meter.u64_counter("http.server.requests").build();
    let duration = meter
        .f64_histogram("http.server.request.duration")
        .with_unit("s")
        .build();
    for series in 0..(points / 2) as i64 {
        let attributes = [KeyValue::new("series", series)];
        requests.add(10, &attributes);
        duration.record(0.02, &attributes);
    }
    provider.shutdown().unwrap();
}

fn send_logs(processor: BatchLogProcessor, resource: Resource, logs: u64) {
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(processor)
        .build();
    let logger = provider.logger("peer");
    for number in 0..logs as i64 {
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Info);
        record.set_severity_text("INFO");
        record.set_body(AnyValue::from("request served"));
        record.add_attribute("number", number);
        logger.emit(record);
    }
    provider.shutdown().unwrap();
}
