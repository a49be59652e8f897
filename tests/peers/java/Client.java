// The OpenTelemetry SDK for Java as a sender of known counts. See `tests/peers/sdks.rs` for what it must send.
//
// Usage: java -cp 'lib/*' Client.java grpc|http/protobuf ENDPOINT SERVICE SPANS POINTS LOGS

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;

class Client {
    private static final AttributeKey<Long> STATUS = AttributeKey.longKey("http.response.status_code");

    private final String endpoint;
    private final String service;
    private final boolean isGrpc;

    Client(String protocol, String endpoint, String service) {
        this.isGrpc = protocol.equals("grpc");
        this.endpoint = endpoint;
        this.service = service;
    }

    Resource resource(String version) {
        Attributes attributes =
            Attributes.builder().put("service.name", service).put("service.version", version).build();
        return Resource.getDefault().merge(Resource.create(attributes));
    }

    void sendSpans(String version, int spans) {
        SpanExporter exporter = isGrpc
            ? OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).build()
            : OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").build();
        // A queue as large as the run: the SDK drops what does not fit, and every span must arrive.
        BatchSpanProcessor processor =
            BatchSpanProcessor.builder(exporter).setMaxQueueSize(Math.max(spans, 512)).build();
        try (SdkTracerProvider provider = SdkTracerProvider.builder()
                .setResource(resource(version)).addSpanProcessor(processor).build()) {
            var tracer = provider.get("peer");
            for (int number = 0; number < spans; number++) {
                var span = tracer.spanBuilder("GET /").setSpanKind(SpanKind.SERVER).startSpan();
                boolean isFailed = version.equals("v2") && number % 10 == 0;
                span.setAttribute(STATUS, isFailed ? 500 : 200);
                if (isFailed) {
                    span.setStatus(StatusCode.ERROR);
                }
                span.end();
            }
        }
    }

    void sendPoints(int points) {
        MetricExporter exporter = isGrpc
            ? OtlpGrpcMetricExporter.builder().setEndpoint(endpoint).build()
            : OtlpHttpMetricExporter.builder().setEndpoint(endpoint + "/v1/metrics").build();
        // Later than the end of the run: closing exports once.
        var reader = PeriodicMetricReader.builder(exporter).setInterval(Duration.ofHours(1)).build();
        try (SdkMeterProvider provider = SdkMeterProvider.builder()
                .setResource(resource("v1")).registerMetricReader(reader).build()) {
            var meter = provider.get("peer");
            var requests = meter.counterBuilder("http.server.requests").build();
            var duration = meter.histogramBuilder("http.server.request.duration").setUnit("s").build();
            for (long series = 0; series < points / 2; series++) {
                Attributes attributes = Attributes.of(AttributeKey.longKey("series"), series);
                requests.add(10, attributes);
                duration.record(0.02, attributes);
            }
        }
    }

    void sendLogs(int logs) {
        LogRecordExporter exporter = isGrpc
            ? OtlpGrpcLogRecordExporter.builder().setEndpoint(endpoint).build()
            : OtlpHttpLogRecordExporter.builder().setEndpoint(endpoint + "/v1/logs").build();
        var processor =
            BatchLogRecordProcessor.builder(exporter).setMaxQueueSize(Math.max(logs, 512)).build();
        try (SdkLoggerProvider provider = SdkLoggerProvider.builder()
                .setResource(resource("v1")).addLogRecordProcessor(processor).build()) {
            var logger = provider.get("peer");
            for (long number = 0; number < logs; number++) {
                logger.logRecordBuilder()
                    .setSeverity(Severity.INFO)
                    .setSeverityText("INFO")
                    .setBody("request served")
                    .setAttribute(AttributeKey.longKey("number"), number)
                    .emit();
            }
        }
    }

    public static void main(String[] arguments) {
        Client client = new Client(arguments[0], arguments[1], arguments[2]);
        int spans = Integer.parseInt(arguments[3]);
        int points = Integer.parseInt(arguments[4]);
        int logs = Integer.parseInt(arguments[5]);
        client.sendSpans("v1", spans * 4 / 5);
        client.sendSpans("v2", spans / 5);
        if (points > 0) {
            client.sendPoints(points);
        }
        if (logs > 0) {
            client.sendLogs(logs);
        }
    }
}
