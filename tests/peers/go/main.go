// The OpenTelemetry SDK for Go as a sender of known counts. See `tests/peers/sdks.rs` for what it must send.
//
// Usage: client grpc|http/protobuf ENDPOINT SERVICE SPANS POINTS LOGS
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func count(text string) int {
	number, err := strconv.Atoi(text)
	check(err)
	return number
}

func spanExporter(ctx context.Context, protocol, endpoint string) (sdktrace.SpanExporter, error) {
	if protocol == "grpc" {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"))
}

func metricExporter(ctx context.Context, protocol, endpoint string) (sdkmetric.Exporter, error) {
	if protocol == "grpc" {
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(endpoint))
	}
	return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint+"/v1/metrics"))
}

func logExporter(ctx context.Context, protocol, endpoint string) (sdklog.Exporter, error) {
	if protocol == "grpc" {
		return otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(endpoint))
	}
	return otlploghttp.New(ctx, otlploghttp.WithEndpointURL(endpoint+"/v1/logs"))
}

func sendSpans(ctx context.Context, exporter sdktrace.SpanExporter, of *resource.Resource, version string, spans int) {
	// A queue as large as the run: the SDK drops what does not fit, and every span must arrive.
	batcher := sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(spans+1))
	provider := sdktrace.NewTracerProvider(batcher, sdktrace.WithResource(of))
	tracer := provider.Tracer("peer")
	for number := range spans {
		_, span := tracer.Start(ctx, "GET /", trace.WithSpanKind(trace.SpanKindServer))
		status := 200
		if version == "v2" && number%10 == 0 {
			status = 500
			span.SetStatus(codes.Error, "")
		}
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		span.End()
	}
	check(provider.Shutdown(ctx))
}

func sendPoints(ctx context.Context, exporter sdkmetric.Exporter, of *resource.Resource, points int) {
	// Later than the end of the run: shutting down exports once.
	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(of))
	meter := provider.Meter("peer")
	requests, err := meter.Int64Counter("http.server.requests")
	check(err)
	duration, err := meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"))
	check(err)
	for series := range points / 2 {
		attributes := metric.WithAttributes(attribute.Int("series", series))
		requests.Add(ctx, 10, attributes)
		duration.Record(ctx, 0.02, attributes)
	}
	check(provider.Shutdown(ctx))
}

func sendLogs(ctx context.Context, exporter sdklog.Exporter, of *resource.Resource, logs int) {
	processor := sdklog.NewBatchProcessor(exporter, sdklog.WithMaxQueueSize(logs+1))
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(processor), sdklog.WithResource(of))
	logger := provider.Logger("peer")
	for number := range logs {
		var record otellog.Record
		record.SetTimestamp(time.Now())
		record.SetSeverity(otellog.SeverityInfo)
		record.SetSeverityText("INFO")
		record.SetBody(attribute.StringValue("request served"))
		record.AddAttributes(attribute.Int("number", number))
		logger.Emit(ctx, record)
	}
	check(provider.Shutdown(ctx))
}

func main() {
	protocol, endpoint, service := os.Args[1], os.Args[2], os.Args[3]
	spans, points, logs := count(os.Args[4]), count(os.Args[5]), count(os.Args[6])
	ctx := context.Background()
	of := func(version string) *resource.Resource {
		return resource.NewSchemaless(
			attribute.String("service.name", service), attribute.String("service.version", version))
	}
	for version, share := range map[string]int{"v1": spans * 4 / 5, "v2": spans / 5} {
		exporter, err := spanExporter(ctx, protocol, endpoint)
		check(err)
		sendSpans(ctx, exporter, of(version), version, share)
	}
	if points > 0 {
		exporter, err := metricExporter(ctx, protocol, endpoint)
		check(err)
		sendPoints(ctx, exporter, of("v1"), points)
	}
	if logs > 0 {
		exporter, err := logExporter(ctx, protocol, endpoint)
		check(err)
		sendLogs(ctx, exporter, of("v1"), logs)
	}
}
