"""A real OpenTelemetry SDK: sends SPANS server spans of two versions, every tenth of v2 failed.

Usage: sdk.py grpc|http ENDPOINT SPANS
"""
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

protocol, endpoint, spans = sys.argv[1], sys.argv[2], int(sys.argv[3])
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter = lambda: OTLPSpanExporter(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = lambda: OTLPSpanExporter(endpoint=endpoint + "/v1/traces")

for version, share in (("v1", 0.8), ("v2", 0.2)):
    resource = Resource.create({"service.name": f"shop-{protocol}", "service.version": version})
    provider = TracerProvider(resource=resource)
    # A queue as large as the run: the SDK drops what does not fit, and every span must arrive here.
    provider.add_span_processor(BatchSpanProcessor(exporter(), max_queue_size=spans + 1))
    tracer = provider.get_tracer("peer")
    for number in range(int(spans * share)):
        with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
            is_failed = version == "v2" and number % 10 == 0
            span.set_attribute("http.response.status_code", 500 if is_failed else 200)
            if is_failed:
                span.set_status(Status(StatusCode.ERROR))
    provider.shutdown()
