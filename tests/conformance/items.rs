//! Statements 11 and 61-72: what items mean, as far as a sender can see it. The Collector hands items on without looking
//! into them, so these are not for its column.

use crate::payload::{Payload, Signal, good_metric, good_record, good_span, metrics, now, traces};
use crate::target::{Answer, Target, Way, check, check_all};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;
const SECOND: u64 = 1_000_000_000;

/// Sends spans over both binary transports, each time with new ids around what `odd` changes; the answers must agree.
async fn spans(target: &Target, odd: impl Fn(&mut Span)) -> i64 {
    let mut rejected = Vec::new();
    for way in [Way::Grpc, Way::Protobuf] {
        let mut span = good_span();
        odd(&mut span);
        let body = traces(vec![good_span(), span, good_span()]);
        let answer = target.send((way, Signal::Traces), "identity", &body).await;
        rejected.push(answer.rejected());
    }
    assert_eq!(rejected[0], rejected[1]);
    rejected[0]
}

#[test]
fn s11_a_partial_success_counts_exactly_and_says_why() {
    check_all(async |target: &Target, way, signal| {
        let answer = target.export(way, &Payload::new(signal, 4, 3)).await;
        let Answer::Accepted {
            partial: Some((rejected, message)),
        } = answer
        else {
            panic!("{way:?} {signal:?}: {answer:?}");
        };
        assert_eq!(rejected, 3, "{way:?} {signal:?}");
        assert!(
            message.is_ascii() && message.contains("rejected"),
            "{message}"
        );
        4
    });
}

#[test]
fn s61_spans_without_valid_ids_are_rejected_one_by_one() {
    check(async |target: &Target| {
        let mut sent = 0;
        for id in [vec![], vec![1], vec![1; 15], vec![1; 17], vec![0; 16]] {
            assert_eq!(spans(target, |span| span.trace_id = id.clone()).await, 1);
            sent += 1;
        }
        for id in [vec![], vec![1], vec![1; 7], vec![1; 9], vec![0; 8]] {
            assert_eq!(spans(target, |span| span.span_id = id.clone()).await, 1);
            sent += 1;
        }
        [sent * 4, 0, 0]
    });
}

#[test]
fn s62_a_parent_id_of_another_length_is_absent() {
    check(async |target: &Target| {
        for parent in [vec![], vec![1; 7], vec![1; 9], vec![0; 8]] {
            assert_eq!(
                spans(target, |span| span.parent_span_id = parent.clone()).await,
                0
            );
        }
        [4 * 6, 0, 0]
    });
}

#[test]
fn s63_unknown_flags_are_ignored() {
    check(async |target: &Target| {
        for flags in [u32::MAX, 1 << 31, 0x300, 0xff] {
            assert_eq!(spans(target, |span| span.flags = flags).await, 0);
        }
        [4 * 6, 0, 0]
    });
}

#[test]
fn s64_unknown_kinds_are_kept() {
    check(async |target: &Target| {
        for kind in [0, 6, 200, -1, i32::MAX] {
            assert_eq!(spans(target, |span| span.kind = kind).await, 0);
        }
        [5 * 6, 0, 0]
    });
}

#[test]
fn s65_a_status_may_be_missing_or_unknown() {
    check(async |target: &Target| {
        for code in [None, Some(0), Some(2), Some(7), Some(-1)] {
            let status = code.map(|code| Status {
                code,
                message: "error".to_owned(),
            });
            assert_eq!(spans(target, |span| span.status = status.clone()).await, 0);
        }
        [5 * 6, 0, 0]
    });
}

fn attribute(value: Option<Value>) -> KeyValue {
    KeyValue {
        key: "k".to_owned(),
        value: Some(AnyValue { value }),
        key_strindex: 0,
    }
}

#[test]
fn s66_attributes_of_every_type_are_accepted() {
    check(async |target: &Target| {
        let list = vec![AnyValue {
            value: Some(Value::IntValue(1)),
        }];
        let values = [
            None,
            Some(Value::StringValue("v".to_owned())),
            Some(Value::BoolValue(true)),
            Some(Value::IntValue(i64::MIN)),
            Some(Value::DoubleValue(f64::NAN)),
            Some(Value::BytesValue(vec![0, 255])),
            Some(Value::ArrayValue(ArrayValue { values: list })),
            Some(Value::KvlistValue(KeyValueList {
                values: vec![attribute(None)],
            })),
        ];
        for value in &values {
            let attributes = vec![attribute(value.clone())];
            assert_eq!(
                spans(target, |span| span.attributes = attributes.clone()).await,
                0
            );
            let record = LogRecord {
                attributes: attributes.clone(),
                ..good_record()
            };
            let body = crate::payload::logs(vec![record]);
            let answer = target
                .send((Way::Grpc, Signal::Logs), "identity", &body)
                .await;
            assert!(answer.is_clean(), "{answer:?}");
            let mut metric = good_metric();
            if let Some(Data::Gauge(gauge)) = &mut metric.data {
                gauge.data_points[0].attributes = attributes;
            }
            let body = metrics(vec![metric]);
            let answer = target
                .send((Way::Protobuf, Signal::Metrics), "identity", &body)
                .await;
            assert!(answer.is_clean(), "{answer:?}");
        }
        [8 * 6, 8, 8]
    });
}

#[test]
fn s67_indices_of_string_tables_are_not_fatal() {
    check(async |target: &Target| {
        let mut by_index = attribute(Some(Value::StringValueStrindex(3)));
        by_index.key_strindex = 9;
        assert_eq!(
            spans(target, |span| span.attributes = vec![by_index.clone()]).await,
            0
        );
        [6, 0, 0]
    });
}

/// A metric of its own name around one point.
fn metric(data: Data) -> Metric {
    Metric {
        data: Some(data),
        ..good_metric()
    }
}

fn sum(points: Vec<NumberDataPoint>, temporality: i32, is_monotonic: bool) -> Metric {
    metric(Data::Sum(Sum {
        data_points: points,
        aggregation_temporality: temporality,
        is_monotonic,
    }))
}

fn number(value: Number) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: now() - 10 * SECOND,
        time_unix_nano: now(),
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn histogram(change: impl Fn(&mut HistogramDataPoint)) -> Metric {
    let mut point = HistogramDataPoint {
        start_time_unix_nano: now() - 10 * SECOND,
        time_unix_nano: now(),
        count: 6,
        sum: Some(9.0),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![1.0, 2.0],
        ..HistogramDataPoint::default()
    };
    change(&mut point);
    metric(Data::Histogram(Histogram {
        data_points: vec![point],
        aggregation_temporality: CUMULATIVE,
    }))
}

fn exponential(change: impl Fn(&mut ExponentialHistogramDataPoint)) -> Metric {
    let mut point = ExponentialHistogramDataPoint {
        start_time_unix_nano: now() - 10 * SECOND,
        time_unix_nano: now(),
        count: 4,
        sum: Some(9.0),
        scale: 1,
        zero_count: 1,
        positive: Some(Buckets {
            offset: -1,
            bucket_counts: vec![1, 2],
        }),
        ..ExponentialHistogramDataPoint::default()
    };
    change(&mut point);
    metric(Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![point],
        aggregation_temporality: DELTA,
    }))
}

/// Sends the metric between two good ones over both binary transports; whether it was rejected.
async fn is_rejected(target: &Target, metric: &Metric) -> bool {
    let mut rejected = Vec::new();
    for way in [Way::Grpc, Way::Protobuf] {
        let body = metrics(vec![good_metric(), metric.clone(), good_metric()]);
        let answer = target.send((way, Signal::Metrics), "identity", &body).await;
        rejected.push(answer.rejected());
    }
    assert_eq!(rejected[0], rejected[1], "{metric:?}");
    rejected[0] == 1
}

/// Sends each and checks the answer; how many points must be counted.
async fn points(target: &Target, cases: Vec<(&str, Metric, bool)>) -> u64 {
    let mut counted = 0;
    for (name, metric, expected) in cases {
        assert_eq!(is_rejected(target, &metric).await, expected, "{name}");
        counted += if expected { 4 } else { 6 };
    }
    counted
}

#[test]
fn s68_points_without_a_time_are_rejected() {
    check(async |target: &Target| {
        let timeless = NumberDataPoint {
            time_unix_nano: 0,
            ..number(Number::AsInt(1))
        };
        let gauge = metric(Data::Gauge(Gauge {
            data_points: vec![timeless.clone()],
        }));
        let cases = vec![
            ("gauge", gauge, true),
            ("sum", sum(vec![timeless], CUMULATIVE, true), true),
            (
                "histogram",
                histogram(|point| point.time_unix_nano = 0),
                true,
            ),
            (
                "exponential",
                exponential(|point| point.time_unix_nano = 0),
                true,
            ),
        ];
        [0, points(target, cases).await, 0]
    });
}

#[test]
fn s69_a_point_may_say_that_nothing_was_recorded() {
    check(async |target: &Target| {
        let silent = |flags: u32| NumberDataPoint {
            value: None,
            flags,
            ..number(Number::AsInt(1))
        };
        let cases = vec![
            ("the flag", sum(vec![silent(1)], CUMULATIVE, true), false),
            (
                "and unknown ones",
                sum(vec![silent(0xffff_ffff)], CUMULATIVE, true),
                false,
            ),
            ("without it", sum(vec![silent(0)], CUMULATIVE, true), true),
        ];
        [0, points(target, cases).await, 0]
    });
}

/// A reset by a new start, one by a decrease, an equal start and time, an overlap: all accepted. What they count is tested
/// where SLOs read them.
#[test]
fn s70_cumulative_resets_and_overlaps_are_accepted() {
    check(async |target: &Target| {
        let at = |start: u64, time: u64, value: i64| NumberDataPoint {
            start_time_unix_nano: now() - start * SECOND,
            time_unix_nano: now() - time * SECOND,
            ..number(Number::AsInt(value))
        };
        let series = vec![
            at(60, 50, 5),
            at(60, 40, 9),
            at(60, 30, 2),
            at(29, 20, 1),
            at(20, 20, 1),
            at(25, 10, 3),
        ];
        let count = series.len() as u64;
        let body = metrics(vec![sum(series, CUMULATIVE, true)]);
        let answer = target
            .send((Way::Grpc, Signal::Metrics), "identity", &body)
            .await;
        assert!(answer.is_clean(), "{answer:?}");
        [0, count, 0]
    });
}

#[test]
fn s71_points_without_a_temporality_are_rejected() {
    check(async |target: &Target| {
        let cases = vec![
            (
                "unspecified",
                sum(vec![number(Number::AsInt(1))], 0, true),
                true,
            ),
            (
                "unknown",
                sum(vec![number(Number::AsInt(1))], 7, true),
                true,
            ),
            (
                "delta",
                sum(vec![number(Number::AsInt(1))], DELTA, true),
                false,
            ),
            (
                "falling increment",
                sum(vec![number(Number::AsInt(-1))], DELTA, true),
                true,
            ),
            (
                "falling difference",
                sum(vec![number(Number::AsInt(-1))], DELTA, false),
                false,
            ),
        ];
        [0, points(target, cases).await, 0]
    });
}

#[test]
fn s72_histograms_must_add_up() {
    check(async |target: &Target| {
        let summary = |quantile: f64| {
            metric(Data::Summary(Summary {
                data_points: vec![SummaryDataPoint {
                    time_unix_nano: now(),
                    count: 1,
                    sum: 1.0,
                    quantile_values: vec![ValueAtQuantile {
                        quantile,
                        value: 1.0,
                    }],
                    ..SummaryDataPoint::default()
                }],
            }))
        };
        let cases = vec![
            ("good", histogram(|_| {}), false),
            (
                "bounds that fall",
                histogram(|p| p.explicit_bounds = vec![2.0, 1.0]),
                true,
            ),
            (
                "equal bounds",
                histogram(|p| p.explicit_bounds = vec![1.0, 1.0]),
                true,
            ),
            (
                "NaN bound",
                histogram(|p| p.explicit_bounds[0] = f64::NAN),
                true,
            ),
            (
                "bucket missing",
                histogram(|p| p.bucket_counts = vec![3, 3]),
                true,
            ),
            ("counts differ", histogram(|p| p.count = 7), true),
            (
                "sum beyond u64",
                histogram(|p| p.bucket_counts = vec![u64::MAX, u64::MAX, 8]),
                true,
            ),
            (
                "no buckets",
                histogram(|p| (p.bucket_counts, p.explicit_bounds) = (vec![], vec![])),
                false,
            ),
            ("exponential", exponential(|_| {}), false),
            ("counts differ", exponential(|p| p.count = 5), true),
            ("scale", exponential(|p| p.scale = i32::MAX), true),
            (
                "index",
                exponential(|p| p.positive.as_mut().unwrap().offset = i32::MAX),
                true,
            ),
            (
                "zero threshold",
                exponential(|p| p.zero_threshold = -1.0),
                true,
            ),
            ("summary", summary(0.5), false),
            ("quantile", summary(1.5), true),
        ];
        [0, points(target, cases).await, 0]
    });
}

/// Logs: ids that are none, no time, severity 0, any flags, an event's name.
#[test]
fn logs_need_neither_ids_nor_time_nor_severity() {
    check(async |target: &Target| {
        let mut counted = 0;
        for record in [
            LogRecord::default(),
            LogRecord {
                trace_id: vec![1; 3],
                span_id: vec![0; 8],
                ..good_record()
            },
            LogRecord {
                time_unix_nano: 0,
                observed_time_unix_nano: now(),
                ..good_record()
            },
            LogRecord {
                severity_number: 0,
                flags: u32::MAX,
                event_name: "event".to_owned(),
                ..good_record()
            },
        ] {
            for way in [Way::Grpc, Way::Protobuf] {
                let body = crate::payload::logs(vec![record.clone()]);
                let answer = target.send((way, Signal::Logs), "identity", &body).await;
                assert!(answer.is_clean(), "{record:?}: {answer:?}");
                counted += 1;
            }
        }
        let answer = target
            .export(Way::Json, &Payload::new(Signal::Logs, 1, 0))
            .await;
        assert_eq!(answer, Answer::Accepted { partial: None });
        [0, 0, counted + 1]
    });
}
