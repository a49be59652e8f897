//! What mends a finding: lines to paste. A name from telemetry gets in only when it is a plain word.

use super::Endpoints;

/// The mend for spans that come late or chosen: one line of a Collector's configuration.
pub const FAN_OUT_LINE: &str = "send all spans to Tidegate ahead of tail sampling and long batches; in the Collector: \
     `service: {pipelines: {traces/tidegate: {receivers: [otlp], exporters: [otlp/tidegate]}}}`";

/// `name`, if pasting it into a shell or YAML does nothing but name; else the placeholder.
pub(super) fn word<'a>(name: &'a str, placeholder: &'a str) -> &'a str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_word = (1..=100).contains(&name.len()) && name.bytes().all(is_plain);
    if is_word { name } else { placeholder }
}

/// Exporters of an SDK and of a Collector.
pub(super) fn exporters(at: &Endpoints) -> String {
    format!(
        "# an SDK's environment:\n\
         OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\
         OTEL_EXPORTER_OTLP_ENDPOINT=http://{}\n\
         OTEL_RESOURCE_ATTRIBUTES=service.name=<service>,service.version=<version or image tag>\n\
         # or a Collector's configuration, ahead of any sampling:\n\
         exporters:\n  otlp/tidegate: {{endpoint: {}, tls: {{insecure: true}}}}\n\
         service:\n  pipelines:\n    traces/tidegate: {{receivers: [otlp], exporters: [otlp/tidegate]}}",
        at.http, at.grpc
    )
}

/// A pipeline of its own ahead of tail sampling.
pub(super) fn fan_out(at: &Endpoints) -> String {
    format!(
        "# the Collector that samples (of several tiers: the first): a pipeline of its own, nothing between\n\
         exporters:\n  otlp/tidegate: {{endpoint: {}, tls: {{insecure: true}}}}\n\
         service:\n  pipelines:\n    traces/tidegate: {{receivers: [otlp], exporters: [otlp/tidegate]}}\n\
         # the pipeline with tail_sampling stays as it is, without otlp/tidegate",
        at.grpc
    )
}

/// The lines that make revisions known.
pub(super) fn revision(service: &str) -> String {
    format!(
        "OTEL_RESOURCE_ATTRIBUTES=service.name={},service.version=<version or image tag>\n{}",
        word(service, "<service>"),
        kubernetes()
    )
}

/// The Collector's processor that knows pods.
pub(super) fn kubernetes() -> &'static str {
    "# or, in Kubernetes, the Collector that pods send to:\n\
     processors:\n  k8sattributes:\n    extract:\n      \
     metadata: [k8s.namespace.name, k8s.pod.name, k8s.pod.uid, k8s.replicaset.name]\n      \
     labels: [{tag_name: k8s.pod.label.pod-template-hash, key: pod-template-hash, from: pod}]\n\
     service:\n  pipelines:\n    traces/tidegate: {processors: [k8sattributes]}"
}

/// One resource attribute.
pub(super) fn attribute(name: &str, value: &str) -> String {
    format!("OTEL_RESOURCE_ATTRIBUTES={name}={value}")
}

pub(super) const STREAMS: &str = "# fewer streams: a view of the SDK without the attribute that has many values, or the Collector:\n\
     processors:\n  transform/streams:\n    metric_statements:\n      \
     - keep_keys(datapoint.attributes, [\"http.route\", \"http.response.status_code\"])";
pub(super) const CLOCK: &str =
    "timedatectl set-ntp true && chronyc tracking   # on the hosts of both";
pub(super) const ALWAYS_ON: &str = "OTEL_TRACES_SAMPLER=parentbased_always_on";
pub(super) const NEW_CONVENTIONS: &str = "OTEL_SEMCONV_STABILITY_OPT_IN=http";
pub(super) const ROUTE: &str = "# the framework's own instrumentation sets http.route; where there is none, the Collector:\n\
     processors:\n  transform/route:\n    error_mode: ignore\n    trace_statements:\n      \
     - set(span.attributes[\"http.route\"], span.attributes[\"url.template\"]) where span.attributes[\"http.route\"] == nil";
pub(super) const ONE_WAY: &str = "OTEL_EXPORTER_OTLP_ENDPOINT=http://<your Collector>:4317   # and only the Collector exports to Tidegate";
