//! Random metric requests: mostly sound points, with every oddity mixed in.

use super::{id, key_value, resource, scope, text, time};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Start and time: usually in order.
fn times() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![
        8 => (time(), 0u64..100_000_000_000).prop_map(|(t, ago)| (t.saturating_sub(ago), t)),
        2 => time().prop_map(|time| (0, time)),
        1 => (time(), time()),
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0f64..1e6,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0]),
    ]
}

fn flags() -> impl Strategy<Value = u32> {
    prop_oneof![12 => Just(0), 1 => Just(1), 1 => any::<u32>()]
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        any::<i64>().prop_map(exemplar::Value::AsInt),
    ];
    let exemplar = (vec(key_value(), 0..2), id(8), id(16), option::of(value)).prop_map(
        |(filtered_attributes, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano: 1,
            span_id,
            trace_id,
            value,
        },
    );
    prop_oneof![3 => Just(Vec::new()), 1 => vec(exemplar, 0..3)]
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![
        4 => double().prop_map(Value::AsDouble),
        4 => prop_oneof![3 => 0i64..1_000, 1 => any::<i64>()].prop_map(Value::AsInt),
    ];
    let value = option::weighted(0.9, value);
    (times(), vec(key_value(), 0..6), value, flags(), exemplars()).prop_map(
        |((start, time), attributes, value, flags, exemplars)| NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            exemplars,
            flags,
            value,
        },
    )
}

/// The count that buckets add up to, or another one.
fn count(buckets: impl Iterator<Item = u64>, off: Option<u64>) -> u64 {
    let sum = buckets.fold(0, u64::wrapping_add);
    off.map_or(sum, |off| sum.wrapping_add(off))
}

fn counts(len: usize) -> impl Strategy<Value = Vec<u64>> {
    let usual = prop_oneof![3 => Just(0), 3 => 0u64..200];
    let odd = prop_oneof![9 => 0u64..1_000, 1 => any::<u64>()];
    prop_oneof![9 => vec(usual, len), 1 => vec(odd, 0..6)]
}

fn bounds() -> impl Strategy<Value = Vec<f64>> {
    let ascending = vec(0.001f64..100.0, 0..6).prop_map(|mut bounds| {
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    });
    prop_oneof![
        3 => Just(vec![0.005, 0.01, 0.1, 1.0, 10.0]),
        5 => ascending,
        1 => vec(double(), 0..4),
    ]
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let buckets = bounds().prop_flat_map(|bounds| {
        let len = bounds.len() + 1;
        (Just(bounds), counts(len))
    });
    let off = option::weighted(0.1, any::<u64>());
    let rest = (
        option::of(double()),
        option::of(double()),
        option::of(double()),
    );
    let about = (times(), vec(key_value(), 0..6), flags(), exemplars());
    (about, buckets, rest, off).prop_map(
        |(
            (times, attributes, flags, exemplars),
            (explicit_bounds, bucket_counts),
            (sum, min, max),
            off,
        )| {
            let count = count(bucket_counts.iter().copied(), off);
            HistogramDataPoint {
                attributes,
                start_time_unix_nano: times.0,
                time_unix_nano: times.1,
                count,
                sum: sum.filter(|_| count > 0),
                bucket_counts,
                explicit_bounds,
                exemplars,
                flags,
                min,
                max,
            }
        },
    )
}

fn buckets() -> impl Strategy<Value = Option<Buckets>> {
    let offset = prop_oneof![8 => -300i32..300, 1 => any::<i32>(), 1 => Just(i32::MAX - 2)];
    let counts = prop_oneof![9 => vec(0u64..300, 0..6), 1 => vec(any::<u64>(), 0..4)];
    let buckets = (offset, counts).prop_map(|(offset, bucket_counts)| Buckets {
        offset,
        bucket_counts,
    });
    option::of(buckets)
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let scale = prop_oneof![
        10 => -10i32..21,
        1 => any::<i32>(),
        1 => prop::sample::select(vec![-11, 21, i32::MIN, i32::MAX]),
    ];
    let zero = (0u64..9, prop_oneof![6 => Just(0.0), 1 => double()]);
    let off = option::weighted(0.1, any::<u64>());
    let rest = (
        option::of(double()),
        option::of(double()),
        option::of(double()),
    );
    let about = (times(), vec(key_value(), 0..6), flags(), exemplars());
    (about, (scale, zero), (buckets(), buckets()), rest, off).prop_map(
        |(
            (times, attributes, flags, exemplars),
            (scale, (zero_count, zero_threshold)),
            (positive, negative),
            (sum, min, max),
            off,
        )| {
            let sides = [&positive, &negative].into_iter().flatten();
            let all = sides.flat_map(|side| side.bucket_counts.iter().copied());
            let count = count(all.chain([zero_count]), off);
            ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: times.0,
                time_unix_nano: times.1,
                count,
                sum: sum.filter(|_| count > 0),
                scale,
                zero_count,
                positive,
                negative,
                flags,
                exemplars,
                min,
                max,
                zero_threshold,
            }
        },
    )
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = prop_oneof![9 => 0.0f64..=1.0, 1 => double()];
    let quantile =
        (quantile, double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let about = (times(), vec(key_value(), 0..6), flags());
    (about, 0u64..99, double(), vec(quantile, 0..4)).prop_map(
        |((times, attributes, flags), count, sum, quantile_values)| SummaryDataPoint {
            attributes,
            start_time_unix_nano: times.0,
            time_unix_nano: times.1,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn data() -> impl Strategy<Value = Data> {
    let temporality = || prop_oneof![9 => 1i32..3, 1 => any::<i32>(), 1 => Just(0)];
    prop_oneof![
        vec(number_point(), 0..5).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..5), temporality(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic,
            })
        ),
        (vec(histogram_point(), 0..5), temporality()).prop_map(
            |(data_points, aggregation_temporality)| Data::Histogram(Histogram {
                data_points,
                aggregation_temporality,
            })
        ),
        (vec(exponential_point(), 0..5), temporality()).prop_map(
            |(data_points, aggregation_temporality)| {
                Data::ExponentialHistogram(ExponentialHistogram {
                    data_points,
                    aggregation_temporality,
                })
            }
        ),
        vec(summary_point(), 0..5).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    let name = prop_oneof![
        4 => prop::sample::select(vec!["http.server.request.duration", "requests", "queue"])
            .prop_map(str::to_owned),
        1 => text(),
    ];
    let unit = prop_oneof![3 => Just("s".to_owned()), 1 => text()];
    let metadata = prop_oneof![4 => Just(Vec::new()), 1 => vec(key_value(), 0..2)];
    let data = option::weighted(0.95, data());
    (name, text(), unit, metadata, data).prop_map(|(name, description, unit, metadata, data)| {
        Metric {
            name,
            description,
            unit,
            metadata,
            data,
        }
    })
}

/// A request of up to a few dozen points.
pub(crate) fn request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope_metrics = (option::of(scope()), vec(metric(), 0..4), text()).prop_map(
        |(scope, metrics, schema_url)| ScopeMetrics {
            scope,
            metrics,
            schema_url,
        },
    );
    let resource_metrics = (option::of(resource()), vec(scope_metrics, 0..3), text()).prop_map(
        |(resource, scope_metrics, schema_url)| ResourceMetrics {
            resource,
            scope_metrics,
            schema_url,
        },
    );
    vec(resource_metrics, 0..3)
        .prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}
