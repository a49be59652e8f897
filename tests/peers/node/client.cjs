// The OpenTelemetry SDK for Node as a sender of known counts. See `tests/peers/sdks.rs` for what it must send.
//
// Usage: client.cjs grpc|http/protobuf|http/json ENDPOINT SERVICE SPANS POINTS LOGS
"use strict";
const { SpanKind, SpanStatusCode } = require("@opentelemetry/api");
const { SeverityNumber } = require("@opentelemetry/api-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const [protocol, endpoint, service] = process.argv.slice(2, 5);
const [spans, points, logs] = process.argv.slice(5, 8).map(Number);
// What the packages call the three transports.
const transport = { grpc: "grpc", "http/protobuf": "proto", "http/json": "http" }[protocol];

function exporter(signal, path, kind) {
  const Exporter = require(`@opentelemetry/exporter-${signal}-otlp-${transport}`)[kind];
  return new Exporter({ url: protocol === "grpc" ? endpoint : endpoint + path });
}

async function sendSpans(resource, version, count) {
  const processor = new BatchSpanProcessor(exporter("trace", "/v1/traces", "OTLPTraceExporter"), {
    // A queue as large as the run: the SDK drops what does not fit, and every span must arrive.
    maxQueueSize: spans + 1,
  });
  const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] });
  const tracer = provider.getTracer("peer");
  for (let number = 0; number < count; number++) {
    const span = tracer.startSpan("GET /", { kind: SpanKind.SERVER });
    const isFailed = version === "v2" && number % 10 === 0;
    span.setAttribute("http.response.status_code", isFailed ? 500 : 200);
    if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }
  await provider.shutdown();
}

async function sendPoints(resource) {
  const reader = new PeriodicExportingMetricReader({
    exporter: exporter("metrics", "/v1/metrics", "OTLPMetricExporter"),
    // Later than the end of the run: shutting down exports once.
    exportIntervalMillis: 3_600_000,
  });
  const provider = new MeterProvider({ resource, readers: [reader] });
  const meter = provider.getMeter("peer");
  const requests = meter.createCounter("http.server.requests");
  const duration = meter.createHistogram("http.server.request.duration", { unit: "s" });
  for (let series = 0; series < points / 2; series++) {
    requests.add(10, { series });
    duration.record(0.02, { series });
  }
  await provider.shutdown();
}

async function sendLogs(resource) {
  const processor = new BatchLogRecordProcessor({
    exporter: exporter("logs", "/v1/logs", "OTLPLogExporter"),
    maxQueueSize: logs + 1,
  });
  const provider = new LoggerProvider({ resource, processors: [processor] });
  const logger = provider.getLogger("peer");
  for (let number = 0; number < logs; number++) {
    logger.emit({
      severityNumber: SeverityNumber.INFO,
      severityText: "INFO",
      body: "request served",
      attributes: { number },
    });
  }
  await provider.shutdown();
}

async function main() {
  const of = (version) =>
    resourceFromAttributes({ "service.name": service, "service.version": version });
  await sendSpans(of("v1"), "v1", Math.floor((spans * 4) / 5));
  await sendSpans(of("v2"), "v2", Math.floor(spans / 5));
  if (points > 0) await sendPoints(of("v1"));
  if (logs > 0) await sendLogs(of("v1"));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
