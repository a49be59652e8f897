//! The listed bad metric points, one by one, among good ones that must count.

use crate::model::{RECEIVED, SECOND, SEED};
use engine::anomaly;
use engine::items::{Signal, Value};
use engine::metric::{Instrument, MetricBatch, Number, Temporality, flag};
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoded, Decoder, Format, Problem, RejectReason};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as SentValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Sent;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint,
};
use prost::Message;

const HOUR: u64 = 3_600 * SECOND;
const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    let kind = (Signal::Metrics, Format::Protobuf);
    Decoder::new(DecodeLimits::default()).decode(kind, body, Timestamp(RECEIVED), SEED)
}

fn points(decoded: &Decoded) -> &MetricBatch {
    match &decoded.batches[0] {
        engine::batch::Batch::Metrics(batch) => batch,
        other => panic!("a batch of {}", other.signal().name()),
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: "1".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics {
        metrics,
        ..ScopeMetrics::default()
    }];
    let resource_metrics = vec![ResourceMetrics {
        scope_metrics,
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn number(value: Sent) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: RECEIVED - 60 * SECOND,
        time_unix_nano: RECEIVED - SECOND,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn gauge(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points })
}

fn sum(point: NumberDataPoint, aggregation_temporality: i32, is_monotonic: bool) -> Data {
    Data::Sum(Sum {
        data_points: vec![point],
        aggregation_temporality,
        is_monotonic,
    })
}

fn histogram(point: HistogramDataPoint) -> Data {
    Data::Histogram(Histogram {
        data_points: vec![point],
        aggregation_temporality: DELTA,
    })
}

fn exponential(point: ExponentialHistogramDataPoint) -> Data {
    Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![point],
        aggregation_temporality: CUMULATIVE,
    })
}

fn summary(quantile: f64) -> Data {
    let quantile_values = vec![ValueAtQuantile {
        quantile,
        value: 1.0,
    }];
    let point = SummaryDataPoint {
        time_unix_nano: RECEIVED,
        count: 1,
        sum: 1.0,
        quantile_values,
        ..SummaryDataPoint::default()
    };
    Data::Summary(Summary {
        data_points: vec![point],
    })
}

fn buckets(bounds: &[f64], counts: &[u64], count: u64) -> HistogramDataPoint {
    HistogramDataPoint {
        time_unix_nano: RECEIVED,
        count,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        ..HistogramDataPoint::default()
    }
}

fn scaled(scale: i32) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        time_unix_nano: RECEIVED,
        count: 6,
        scale,
        zero_count: 1,
        positive: Some(Buckets {
            offset: -3,
            bucket_counts: vec![1, 0, 2],
        }),
        negative: Some(Buckets {
            offset: 7,
            bucket_counts: vec![2],
        }),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn good() -> Metric {
    metric("good", gauge(vec![number(Sent::AsInt(1))]))
}

/// Decodes a good point, the data under test, and another good point.
fn among_good(data: Data) -> Decoded {
    let metrics = vec![good(), metric("tested", data), good()];
    decode(&request(metrics).encode_to_vec()).unwrap()
}

/// The one point of `data` is accepted; its anomalies.
fn anomalies(data: Data) -> u16 {
    let decoded = among_good(data);
    assert_eq!((decoded.items_accepted(), decoded.items_seen), (3, 3));
    let odd = &points(&decoded).anomalies;
    assert_eq!((odd[0], odd[2]), (0, 0));
    odd[1]
}

/// The one point of `data` is rejected with place and mend, and the good ones count; the reason.
fn rejected(data: Data) -> RejectReason {
    let decoded = among_good(data);
    assert_eq!((decoded.items_accepted(), decoded.items_rejected()), (2, 1));
    let message = decoded.error_message();
    assert!(
        message.contains("point 2 of the request, `tested`"),
        "{message}"
    );
    let batch = points(&decoded);
    assert_eq!(batch.number(0), Number::Int(1));
    assert_eq!(batch.number(1), Number::Int(1));
    decoded.rejected[0].reason
}

#[test]
fn empty_requests_and_envelopes_are_accepted() {
    let envelopes = [
        ExportMetricsServiceRequest::default(),
        request(Vec::new()),
        request(vec![Metric::default()]),
        request(vec![metric("none", gauge(Vec::new()))]),
    ];
    for request in envelopes {
        let decoded = decode(&request.encode_to_vec()).unwrap();
        assert_eq!((decoded.items_seen, decoded.batches.len()), (0, 0));
    }
}

/// Statement 69: the value of such a point is ignored, whatever it is, and flag bits above 0 as well.
#[test]
fn statement_69_no_recorded_value() {
    let decoded = among_good(sum(
        NumberDataPoint {
            flags: u32::MAX,
            ..number(Sent::AsDouble(f64::NAN))
        },
        DELTA,
        true,
    ));
    let batch = points(&decoded);
    assert_eq!(batch.flags[1], flag::NO_RECORDED_VALUE);
    assert_eq!(batch.number(1), Number::None);
    let decoded = among_good(histogram(HistogramDataPoint {
        flags: 1,
        ..buckets(&[2.0, 1.0], &[7], 0)
    }));
    assert!(points(&decoded).histogram(1).is_none());
}

#[test]
fn statement_71_no_temporality() {
    for temporality in [0, 3, -1] {
        let data = sum(number(Sent::AsInt(1)), temporality, true);
        assert_eq!(rejected(data), RejectReason::NoTemporality);
    }
}

/// Statement 72: what is sound, and how it is stored.
#[test]
fn statement_72_sound_buckets() {
    let bounds = [0.1, 1.0];
    let only_count = buckets(&[], &[], 4);
    for (point, counts) in [
        (buckets(&bounds, &[1, 2, 3], 6), &[1, 2, 3][..]),
        (buckets(&[], &[5], 5), &[5]),
        (only_count, &[]),
    ] {
        let decoded = among_good(histogram(point.clone()));
        let stored = points(&decoded).histogram(1).unwrap();
        assert_eq!((stored.count, &*stored.counts), (point.count, counts));
        assert_eq!(*stored.bounds, *point.explicit_bounds);
        assert_eq!(points(&decoded).number(1), Number::None);
    }
    let decoded = among_good(exponential(scaled(3)));
    let stored = points(&decoded).exponential(1).unwrap();
    assert_eq!((stored.scale, stored.zero_count), (3, 1));
    assert_eq!(stored.positive.offset, -3);
    assert_eq!(*stored.positive.counts, [1, 0, 2]);
    assert_eq!(
        (stored.negative.offset, &*stored.negative.counts),
        (7, &[2][..])
    );
    let decoded = among_good(summary(0.99));
    let stored = points(&decoded).summary(1).unwrap();
    assert_eq!(*stored.quantiles, [(0.99, 1.0)]);
}

/// Histograms that have the same bounds share them.
#[test]
fn bounds_are_shared() {
    let data = Data::Histogram(Histogram {
        data_points: vec![buckets(&[1.0, 2.0], &[0, 0, 0], 0); 3],
        aggregation_temporality: CUMULATIVE,
    });
    let decoded = decode(&request(vec![metric("h", data)]).encode_to_vec()).unwrap();
    let histograms = &points(&decoded).histograms;
    assert!(std::sync::Arc::ptr_eq(
        &histograms[0].bounds,
        &histograms[2].bounds
    ));
}

/// Cases 55 and 56, as for spans.
#[test]
fn cases_54_to_56_times() {
    let at = |time: u64| {
        gauge(vec![NumberDataPoint {
            start_time_unix_nano: 0,
            time_unix_nano: time,
            ..number(Sent::AsInt(1))
        }])
    };
    assert_eq!(rejected(at(u64::MAX)), RejectReason::TimeOutOfRange);
    assert_eq!(anomalies(at(RECEIVED + 60 * SECOND)), 0);
    assert_eq!(anomalies(at(RECEIVED + 60 * SECOND + 1)), anomaly::FUTURE);
    assert_eq!(anomalies(at(RECEIVED + HOUR)), anomaly::FUTURE);
    assert_eq!(
        rejected(at(RECEIVED + HOUR + 1)),
        RejectReason::TooFarInFuture
    );
    assert_eq!(anomalies(at(RECEIVED - 400 * 24 * HOUR)), 0);
    assert_eq!(
        rejected(at(RECEIVED - 400 * 24 * HOUR - 1)),
        RejectReason::TooOld
    );
}

#[test]
fn case_70_a_sum_is_finite() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let point = number(Sent::AsDouble(value));
        for (temporality, monotonic) in [(DELTA, true), (CUMULATIVE, true), (DELTA, false)] {
            assert_eq!(
                rejected(sum(point.clone(), temporality, monotonic)),
                RejectReason::NotFinite
            );
        }
        // A gauge may be anything.
        assert_eq!(anomalies(gauge(vec![point])), 0);
    }
    let none = NumberDataPoint {
        value: None,
        ..number(Sent::AsInt(0))
    };
    assert_eq!(
        rejected(sum(none.clone(), DELTA, true)),
        RejectReason::NoValue
    );
    assert_eq!(rejected(gauge(vec![none])), RejectReason::NoValue);
}

#[test]
fn case_71_an_increment_is_not_negative() {
    for value in [Sent::AsInt(-1), Sent::AsDouble(-0.5)] {
        let point = number(value);
        assert_eq!(
            rejected(sum(point.clone(), DELTA, true)),
            RejectReason::NegativeDelta
        );
        assert_eq!(anomalies(sum(point.clone(), DELTA, false)), 0);
        assert_eq!(anomalies(sum(point, CUMULATIVE, true)), 0);
    }
    assert_eq!(anomalies(sum(number(Sent::AsDouble(-0.0)), DELTA, true)), 0);
}

#[test]
fn cases_72_and_73_start_and_time() {
    let point = number(Sent::AsInt(1));
    let backwards = NumberDataPoint {
        start_time_unix_nano: point.time_unix_nano + 1,
        ..point.clone()
    };
    assert_eq!(
        rejected(sum(backwards, CUMULATIVE, true)),
        RejectReason::StartAfterTime
    );
    let timeless = NumberDataPoint {
        start_time_unix_nano: 0,
        time_unix_nano: 0,
        ..point.clone()
    };
    assert_eq!(rejected(sum(timeless, DELTA, true)), RejectReason::NoTime);
    let unstarted = NumberDataPoint {
        start_time_unix_nano: 0,
        ..point
    };
    assert_eq!(anomalies(sum(unstarted, CUMULATIVE, true)), 0);
}

#[test]
fn cases_77_and_81_buckets() {
    for (point, reason) in [
        (buckets(&[1.0, 1.0], &[0, 0, 0], 0), RejectReason::BadBounds),
        (buckets(&[2.0, 1.0], &[0, 0, 0], 0), RejectReason::BadBounds),
        (buckets(&[f64::NAN], &[0, 0], 0), RejectReason::BadBounds),
        (
            buckets(&[f64::INFINITY], &[0, 0], 0),
            RejectReason::BadBounds,
        ),
        (buckets(&[1.0], &[1], 1), RejectReason::BadBuckets),
        (buckets(&[1.0], &[1, 0, 0], 1), RejectReason::BadBuckets),
        (buckets(&[1.0], &[], 1), RejectReason::BadBuckets),
        (buckets(&[1.0], &[1, 2], 4), RejectReason::CountMismatch),
        (
            buckets(&[1.0], &[u64::MAX, 1], 0),
            RejectReason::CountMismatch,
        ),
    ] {
        assert_eq!(rejected(histogram(point.clone())), reason, "{point:?}");
    }
    let of_nothing = HistogramDataPoint {
        sum: Some(0.5),
        ..buckets(&[], &[], 0)
    };
    assert_eq!(rejected(histogram(of_nothing)), RejectReason::SumOfNothing);
}

#[test]
fn case_78_scales_and_offsets() {
    for scale in [i32::MIN, -11, 21, i32::MAX] {
        assert_eq!(rejected(exponential(scaled(scale))), RejectReason::BadScale);
    }
    for scale in [-10, 20] {
        assert_eq!(anomalies(exponential(scaled(scale))), 0);
    }
    let mut point = scaled(0);
    if let Some(positive) = &mut point.positive {
        positive.offset = i32::MAX - 1;
    }
    assert_eq!(rejected(exponential(point.clone())), RejectReason::BadScale);
    if let Some(positive) = &mut point.positive {
        positive.offset = i32::MAX - 2;
    }
    assert_eq!(anomalies(exponential(point.clone())), 0);
    point.count += 1;
    assert_eq!(rejected(exponential(point)), RejectReason::CountMismatch);
    let mut point = scaled(0);
    point.zero_count = u64::MAX;
    assert_eq!(rejected(exponential(point)), RejectReason::CountMismatch);
}

#[test]
fn case_79_zero_thresholds() {
    for zero_threshold in [f64::NAN, -1.0, f64::INFINITY] {
        let point = ExponentialHistogramDataPoint {
            zero_threshold,
            ..scaled(0)
        };
        assert_eq!(rejected(exponential(point)), RejectReason::BadZeroThreshold);
    }
}

#[test]
fn case_80_quantiles() {
    for quantile in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(rejected(summary(quantile)), RejectReason::BadQuantile);
    }
    for quantile in [0.0, 1.0] {
        assert_eq!(anomalies(summary(quantile)), 0);
    }
}

/// Cases 33 and 38 to 42, where they differ from those of spans: names, descriptions, metadata, exemplars.
#[test]
fn cases_33_and_38_to_42_texts_and_attributes() {
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(SentValue::StringValue(value.to_owned())),
        }),
        key_strindex: 0,
    };
    let mut point = number(Sent::AsInt(1));
    point.attributes = (0..200).map(|n| text(&format!("k{n:03}"), "v")).collect();
    point.attributes[1] = text("k000", "last");
    point.exemplars = vec![Exemplar {
        span_id: vec![1; 3],
        ..Exemplar::default()
    }];
    let mut long = metric("n", gauge(vec![point]));
    long.name = "n".repeat(5_000);
    let decoded = decode(&request(vec![long]).encode_to_vec()).unwrap();
    let batch = points(&decoded);
    let odd = anomaly::TRUNCATED_VALUE | anomaly::DROPPED_FIELDS | anomaly::DUPLICATE_ATTRIBUTE;
    assert_eq!(batch.anomalies[0], odd);
    assert_eq!(batch.metric_of(0).name.len(), 4_096);
    assert_eq!(batch.items.attributes.len(), 127);
    assert_eq!(batch.items.attribute(0, "k000"), Some(Value::Text("last")));

    let bad = |field: u8, bytes: &[u8]| {
        let mut encoded = good().encode_to_vec();
        encoded.extend_from_slice(&[field << 3 | 2, bytes.len() as u8]);
        encoded.extend_from_slice(bytes);
        let mut body = request(Vec::new()).encode_to_vec();
        // One scope, one metric: the lengths around it are one byte each.
        body.clear();
        for _ in 0..3 {
            encoded.splice(0..0, [0x12, encoded.len() as u8]);
        }
        encoded[0] = 0x0a;
        body.extend_from_slice(&encoded);
        match decode(&body) {
            Err(DecodeError::Malformed { problem, path, .. }) => (problem, path),
            other => panic!("{other:?}"),
        }
    };
    let at = "resource_metrics[0].scope_metrics[0].metrics[0]";
    for (field, name) in [(1, "name"), (2, "description"), (3, "unit")] {
        assert_eq!(
            bad(field, b"\xff"),
            (Problem::InvalidUtf8, format!("{at}.{name}"))
        );
    }
    let place = format!("{at}.gauge.data_points[0].exemplars[0].trace_id");
    assert_eq!(
        bad(5, &[0x0a, 4, 0x2a, 2, 0x28, 0]),
        (Problem::WrongWireType, place)
    );
}

/// A stream is what DESIGN 18 says: everything but temporality tells streams apart.
#[test]
fn streams_are_told_apart_by_everything_but_temporality() {
    let attribute = |key: &str, value: i64| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(SentValue::IntValue(value)),
        }),
        key_strindex: 0,
    };
    let point = |attributes: Vec<KeyValue>| NumberDataPoint {
        attributes,
        ..number(Sent::AsInt(1))
    };
    let (a, b) = (attribute("a", 1), attribute("b", 2));
    let stream = |metric: Metric, scope: &str| {
        let mut request = request(vec![metric]);
        request.resource_metrics[0].scope_metrics[0].scope = Some(InstrumentationScope {
            name: scope.to_owned(),
            ..InstrumentationScope::default()
        });
        let decoded = decode(&request.encode_to_vec()).unwrap();
        points(&decoded).stream[0]
    };
    let counter = |temporality: i32, attributes: Vec<KeyValue>| {
        metric("m", sum(point(attributes), temporality, true))
    };
    let own = stream(counter(DELTA, vec![a.clone(), b.clone()]), "s");
    assert_eq!(
        own,
        stream(counter(CUMULATIVE, vec![b.clone(), a.clone()]), "s")
    );
    let mut named = counter(DELTA, vec![a.clone(), b.clone()]);
    named.name = "n".to_owned();
    let mut measured = counter(DELTA, vec![a.clone(), b.clone()]);
    measured.unit = "s".to_owned();
    for other in [
        stream(counter(DELTA, vec![a.clone(), b.clone()]), "t"),
        stream(counter(DELTA, vec![a.clone()]), "s"),
        stream(counter(DELTA, vec![a.clone(), attribute("b", 3)]), "s"),
        stream(named, "s"),
        stream(measured, "s"),
        stream(
            metric("m", sum(point(vec![a.clone(), b.clone()]), DELTA, false)),
            "s",
        ),
        stream(metric("m", gauge(vec![point(vec![a, b])])), "s"),
    ] {
        assert_ne!(own, other);
    }
}

#[test]
fn instruments_and_temporalities() {
    let decoded = among_good(sum(number(Sent::AsInt(1)), DELTA, true));
    let metric = points(&decoded).metric_of(1);
    assert_eq!(metric.instrument, Instrument::Counter);
    assert_eq!(metric.temporality, Temporality::Delta);
    assert_eq!((&*metric.name, &*metric.unit), ("tested", "1"));
    let decoded = among_good(sum(number(Sent::AsInt(1)), CUMULATIVE, false));
    let metric = points(&decoded).metric_of(1);
    assert_eq!(metric.instrument, Instrument::UpDownCounter);
    assert_eq!(metric.temporality, Temporality::Cumulative);
    // The two good ones are one metric.
    assert_eq!(points(&decoded).metrics.len(), 2);
    assert_eq!(points(&decoded).metric[0], points(&decoded).metric[2]);
}

/// Protobuf merges: another kind of data takes the place of the first, the same kind adds to it, and numbers may be
/// packed or not.
#[test]
fn data_in_several_parts() {
    let one = |data: Data| {
        let mut metric = metric("m", data);
        metric.name.clear();
        metric.unit.clear();
        metric.encode_to_vec()
    };
    let counter = sum(number(Sent::AsInt(1)), DELTA, true);
    let parts = [
        one(gauge(vec![number(Sent::AsInt(7))])),
        one(counter.clone()),
        one(counter),
    ];
    let metric = Metric::decode(&*parts.concat()).unwrap();
    let decoded = decode(&request(vec![metric]).encode_to_vec()).unwrap();
    assert_eq!(decoded.items_accepted(), 2);
    let large = request(vec![metric_of_many_points(20_000)]).encode_to_vec();
    let decoded = decode(&large).unwrap();
    let lens: Vec<usize> = decoded.batches.iter().map(|batch| batch.len()).collect();
    assert_eq!(lens, [8_192, 8_192, 3_616]);
    for batch in &decoded.batches {
        let engine::batch::Batch::Metrics(batch) = batch else {
            panic!("no points");
        };
        assert_eq!(batch.metrics.len(), 1);
    }
}

fn metric_of_many_points(count: usize) -> Metric {
    metric("m", gauge(vec![number(Sent::AsInt(1)); count]))
}
