"""The OpenTelemetry SDK for Python as a sender of known counts. See `tests/peers/sdks.rs` for what it must send.

Usage: client.py grpc|http/protobuf|http/json ENDPOINT SERVICE SPANS POINTS LOGS
"""
import math
import sys

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

protocol, endpoint, service = sys.argv[1:4]
spans, points, logs = (int(count) for count in sys.argv[4:7])

if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
elif protocol == "http/protobuf":
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter


def exporter(kind, path):
    if protocol == "grpc":
        return kind(endpoint=endpoint, insecure=True)
    return kind(endpoint=endpoint + path)


def send_spans(resource, version, count):
    provider = TracerProvider(resource=resource)
    # A queue as large as the run: the SDK drops what does not fit, and every span must arrive.
    processor = BatchSpanProcessor(exporter(OTLPSpanExporter, "/v1/traces"), max_queue_size=spans + 1)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("peer")
    for number in range(count):
        with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
            is_failed = version == "v2" and number % 10 == 0
            span.set_attribute("http.response.status_code", 500 if is_failed else 200)
            if is_failed:
                span.set_status(Status(StatusCode.ERROR))
    provider.shutdown()


def send_points(resource):
    # Never by itself: flushing exports once.
    reader = PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "/v1/metrics"), math.inf)
    provider = MeterProvider(resource=resource, metric_readers=[reader])
    meter = provider.get_meter("peer")
    requests = meter.create_counter("http.server.requests")
    duration = meter.create_histogram("http.server.request.duration", unit="s")
    for series in range(points // 2):
        requests.add(10, {"series": series})
        duration.record(0.02, {"series": series})
    reader.force_flush()
    provider.shutdown()


def send_logs(resource):
    provider = LoggerProvider(resource=resource)
    processor = BatchLogRecordProcessor(exporter(OTLPLogExporter, "/v1/logs"), max_queue_size=logs + 1)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("peer")
    for number in range(logs):
        logger.emit(
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body="request served",
            attributes={"number": number},
        )
    provider.shutdown()


def resource_of(version):
    return Resource.create({"service.name": service, "service.version": version})


for version, count in (("v1", spans * 4 // 5), ("v2", spans // 5)):
    send_spans(resource_of(version), version, count)
if points:
    send_points(resource_of("v1"))
if logs:
    send_logs(resource_of("v1"))
