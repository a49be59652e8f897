//! What Tidegate says about itself: logs on standard error, and its own traces and metrics through the
//! OpenTelemetry SDK when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
//!
//! Guarded against feeding itself: spans are made for requests to the API and for webhooks only, never while telemetry is
//! received, so that exporting to one's own receiver cannot make more to export.

use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use query::metrics::Sample;
use std::collections::BTreeSet;
use std::sync::Arc;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Crates on the exporter's own path: their spans would be exported by exporting.
const OWN_PATH: [&str; 6] = ["h2", "hyper", "tonic", "tower", "reqwest", "opentelemetry"];

/// The exporters, to be flushed at the end.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Sets up logging, and exporting when it is asked for. Must run inside the runtime.
pub(crate) fn start() -> Telemetry {
    let is_asked =
        std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some_and(|value| !value.is_empty());
    let (traces, metrics) = if is_asked { exporters() } else { (None, None) };
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(crate::cli::output::is_colored(&std::io::stderr()))
        .with_target(false)
        .with_filter(filter);
    let spans = traces.as_ref().map(|provider| {
        let quiet = OWN_PATH
            .iter()
            .map(|target| (*target, tracing::level_filters::LevelFilter::OFF));
        let targets = Targets::new()
            .with_default(tracing::Level::INFO)
            .with_targets(quiet);
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("tidegate"))
            .with_filter(targets)
    });
    // Only a second call in one process could fail, and it would find the first subscriber at work.
    drop(
        tracing_subscriber::registry()
            .with(logs)
            .with(spans)
            .try_init(),
    );
    Telemetry { traces, metrics }
}

fn exporters() -> (Option<SdkTracerProvider>, Option<SdkMeterProvider>) {
    let resource = Resource::builder()
        .with_service_name("tidegate")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let traces = SpanExporter::builder()
        .with_tonic()
        .build()
        .ok()
        .map(|exporter| {
            SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource.clone())
                .build()
        });
    let metrics = MetricExporter::builder()
        .with_tonic()
        .build()
        .ok()
        .map(|exporter| {
            SdkMeterProvider::builder()
                .with_periodic_exporter(exporter)
                .with_resource(resource)
                .build()
        });
    if let Some(provider) = &metrics {
        opentelemetry::global::set_meter_provider(provider.clone());
    }
    (traces, metrics)
}

/// Exports what Tidegate counts about itself under the names of `/metrics`; `read` is called at each export, and never
/// when nobody asked for exports. What has a value only later has its instrument from the next start on.
pub(crate) fn observe(read: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
    let meter = opentelemetry::global::meter("tidegate");
    let read = Arc::new(read);
    let mut known = BTreeSet::new();
    for sample in read() {
        let (name, again) = (sample.name, Arc::clone(&read));
        if !known.insert(name) {
            continue;
        }
        let report = move |instrument: &dyn AsyncInstrument<f64>| {
            for sample in again().iter().filter(|sample| sample.name == name) {
                let labels = sample.labels.iter();
                let labels: Vec<KeyValue> = labels
                    .map(|(key, value)| KeyValue::new(*key, value.clone()))
                    .collect();
                instrument.observe(sample.value, &labels);
            }
        };
        // The provider keeps the callback; the handles themselves are of no use.
        if sample.is_counter {
            let counter = meter.f64_observable_counter(name);
            counter
                .with_description(sample.help)
                .with_callback(report)
                .build();
        } else {
            let gauge = meter.f64_observable_gauge(name);
            gauge
                .with_description(sample.help)
                .with_callback(report)
                .build();
        }
    }
}

impl Telemetry {
    /// Exports what is left.
    pub(crate) fn finish(self) {
        if let Some(provider) = self.traces {
            drop(provider.shutdown());
        }
        if let Some(provider) = self.metrics {
            drop(provider.shutdown());
        }
    }
}
