//! Metrics and log records in OTLP/JSON.

use super::{Member, Speller};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, SummaryDataPoint, exemplar, number_data_point,
};

impl Speller {
    fn optional_double(&mut self, value: Option<f64>) -> Member {
        match value {
            Some(value) => Member::Set(self.double(value)),
            None => Member::Absent,
        }
    }

    fn plain_double(&mut self, value: f64) -> Member {
        let written = self.double(value);
        match value == 0.0 {
            true => Member::Default(written),
            false => Member::Set(written),
        }
    }

    fn truth(value: bool) -> Member {
        match value {
            true => Member::Set("true".to_owned()),
            false => Member::Default("false".to_owned()),
        }
    }

    fn counts(&mut self, counts: &[u64]) -> Member {
        self.list(counts, |speller, count| speller.integer(i128::from(*count)))
    }

    /// An `ExportMetricsServiceRequest`.
    pub(crate) fn metrics(&mut self, request: &ExportMetricsServiceRequest) -> String {
        let members = vec![(
            "resourceMetrics",
            self.list(&request.resource_metrics, Self::resource_metrics),
        )];
        self.object(members)
    }

    fn resource_metrics(&mut self, metrics: &ResourceMetrics) -> String {
        let members = vec![
            ("resource", self.optional(&metrics.resource, Self::resource)),
            (
                "scopeMetrics",
                self.list(&metrics.scope_metrics, Self::scope_metrics),
            ),
            ("schemaUrl", self.text(&metrics.schema_url)),
        ];
        self.object(members)
    }

    fn scope_metrics(&mut self, metrics: &ScopeMetrics) -> String {
        let members = vec![
            ("scope", self.optional(&metrics.scope, Self::scope)),
            ("metrics", self.list(&metrics.metrics, Self::metric)),
            ("schemaUrl", self.text(&metrics.schema_url)),
        ];
        self.object(members)
    }

    fn metric(&mut self, metric: &Metric) -> String {
        let mut members = vec![
            ("name", self.text(&metric.name)),
            ("description", self.text(&metric.description)),
            ("unit", self.text(&metric.unit)),
            ("metadata", self.attributes(&metric.metadata)),
        ];
        if let Some(data) = &metric.data {
            let (name, data) = self.data(data);
            members.push((name, Member::Set(self.object(data))));
        }
        self.object(members)
    }

    fn data(&mut self, data: &Data) -> (&'static str, Vec<(&'static str, Member)>) {
        let points = "dataPoints";
        let temporality = "aggregationTemporality";
        match data {
            Data::Gauge(gauge) => {
                let list = self.list(&gauge.data_points, Self::number_point);
                ("gauge", vec![(points, list)])
            }
            Data::Sum(sum) => {
                let members = vec![
                    (points, self.list(&sum.data_points, Self::number_point)),
                    (temporality, self.int(sum.aggregation_temporality)),
                    ("isMonotonic", Self::truth(sum.is_monotonic)),
                ];
                ("sum", members)
            }
            Data::Histogram(histogram) => {
                let list = self.list(&histogram.data_points, Self::histogram_point);
                let members = vec![
                    (points, list),
                    (temporality, self.int(histogram.aggregation_temporality)),
                ];
                ("histogram", members)
            }
            Data::ExponentialHistogram(histogram) => {
                let list = self.list(&histogram.data_points, Self::exponential_point);
                let members = vec![
                    (points, list),
                    (temporality, self.int(histogram.aggregation_temporality)),
                ];
                ("exponentialHistogram", members)
            }
            Data::Summary(summary) => {
                let list = self.list(&summary.data_points, Self::summary_point);
                ("summary", vec![(points, list)])
            }
        }
    }

    fn number_point(&mut self, point: &NumberDataPoint) -> String {
        use number_data_point::Value;
        let mut members = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.int(point.start_time_unix_nano)),
            ("timeUnixNano", self.int(point.time_unix_nano)),
            ("exemplars", self.list(&point.exemplars, Self::exemplar)),
            ("flags", self.int(point.flags)),
        ];
        match point.value {
            Some(Value::AsDouble(value)) => {
                members.push(("asDouble", Member::Set(self.double(value))));
            }
            Some(Value::AsInt(value)) => {
                members.push(("asInt", Member::Set(self.integer(i128::from(value)))));
            }
            None => {}
        }
        self.object(members)
    }

    fn histogram_point(&mut self, point: &HistogramDataPoint) -> String {
        let members = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.int(point.start_time_unix_nano)),
            ("timeUnixNano", self.int(point.time_unix_nano)),
            ("count", self.int(point.count)),
            ("sum", self.optional_double(point.sum)),
            ("bucketCounts", self.counts(&point.bucket_counts)),
            (
                "explicitBounds",
                self.list(&point.explicit_bounds, |speller, bound| {
                    speller.double(*bound)
                }),
            ),
            ("exemplars", self.list(&point.exemplars, Self::exemplar)),
            ("flags", self.int(point.flags)),
            ("min", self.optional_double(point.min)),
            ("max", self.optional_double(point.max)),
        ];
        self.object(members)
    }

    fn exponential_point(&mut self, point: &ExponentialHistogramDataPoint) -> String {
        let members = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.int(point.start_time_unix_nano)),
            ("timeUnixNano", self.int(point.time_unix_nano)),
            ("count", self.int(point.count)),
            ("sum", self.optional_double(point.sum)),
            ("scale", self.int(point.scale)),
            ("zeroCount", self.int(point.zero_count)),
            ("positive", self.optional(&point.positive, Self::buckets)),
            ("negative", self.optional(&point.negative, Self::buckets)),
            ("flags", self.int(point.flags)),
            ("exemplars", self.list(&point.exemplars, Self::exemplar)),
            ("min", self.optional_double(point.min)),
            ("max", self.optional_double(point.max)),
            ("zeroThreshold", self.plain_double(point.zero_threshold)),
        ];
        self.object(members)
    }

    fn buckets(&mut self, buckets: &Buckets) -> String {
        let members = vec![
            ("offset", self.int(buckets.offset)),
            ("bucketCounts", self.counts(&buckets.bucket_counts)),
        ];
        self.object(members)
    }

    fn summary_point(&mut self, point: &SummaryDataPoint) -> String {
        let members = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.int(point.start_time_unix_nano)),
            ("timeUnixNano", self.int(point.time_unix_nano)),
            ("count", self.int(point.count)),
            ("sum", self.plain_double(point.sum)),
            (
                "quantileValues",
                self.list(&point.quantile_values, Self::quantile),
            ),
            ("flags", self.int(point.flags)),
        ];
        self.object(members)
    }

    fn quantile(&mut self, quantile: &ValueAtQuantile) -> String {
        let members = vec![
            ("quantile", self.plain_double(quantile.quantile)),
            ("value", self.plain_double(quantile.value)),
        ];
        self.object(members)
    }

    fn exemplar(&mut self, exemplar: &Exemplar) -> String {
        use exemplar::Value;
        let mut members = vec![
            (
                "filteredAttributes",
                self.attributes(&exemplar.filtered_attributes),
            ),
            ("timeUnixNano", self.int(exemplar.time_unix_nano)),
            ("spanId", self.id(&exemplar.span_id)),
            ("traceId", self.id(&exemplar.trace_id)),
        ];
        match exemplar.value {
            Some(Value::AsDouble(value)) => {
                members.push(("asDouble", Member::Set(self.double(value))));
            }
            Some(Value::AsInt(value)) => {
                members.push(("asInt", Member::Set(self.integer(i128::from(value)))));
            }
            None => {}
        }
        self.object(members)
    }

    /// An `ExportLogsServiceRequest`.
    pub(crate) fn logs(&mut self, request: &ExportLogsServiceRequest) -> String {
        let members = vec![(
            "resourceLogs",
            self.list(&request.resource_logs, Self::resource_logs),
        )];
        self.object(members)
    }

    fn resource_logs(&mut self, logs: &ResourceLogs) -> String {
        let members = vec![
            ("resource", self.optional(&logs.resource, Self::resource)),
            ("scopeLogs", self.list(&logs.scope_logs, Self::scope_logs)),
            ("schemaUrl", self.text(&logs.schema_url)),
        ];
        self.object(members)
    }

    fn scope_logs(&mut self, logs: &ScopeLogs) -> String {
        let members = vec![
            ("scope", self.optional(&logs.scope, Self::scope)),
            ("logRecords", self.list(&logs.log_records, Self::record)),
            ("schemaUrl", self.text(&logs.schema_url)),
        ];
        self.object(members)
    }

    fn record(&mut self, record: &LogRecord) -> String {
        let members = vec![
            ("timeUnixNano", self.int(record.time_unix_nano)),
            (
                "observedTimeUnixNano",
                self.int(record.observed_time_unix_nano),
            ),
            ("severityNumber", self.int(record.severity_number)),
            ("severityText", self.text(&record.severity_text)),
            ("body", self.optional(&record.body, Self::any_value)),
            ("attributes", self.attributes(&record.attributes)),
            (
                "droppedAttributesCount",
                self.int(record.dropped_attributes_count),
            ),
            ("flags", self.int(record.flags)),
            ("traceId", self.id(&record.trace_id)),
            ("spanId", self.id(&record.span_id)),
            ("eventName", self.text(&record.event_name)),
        ];
        self.object(members)
    }
}
