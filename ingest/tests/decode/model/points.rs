//! Metric points, as they must come out.

use super::{
    Outcome, Own, Row, SEED, attributes, event_time, origin, origin_hash, shorten, stored,
};
use engine::hash::blake3_128;
use engine::metric::{Instrument, Temporality};
use ingest::otlp::{DecodeLimits, RejectReason};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Sent;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::collections::BTreeMap;

/// The value of a point; floats as bits, so that NaN equals itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Int(i64),
    Double(u64),
    Histogram {
        count: u64,
        /// Sum, minimum, maximum.
        rest: [Option<u64>; 3],
        bounds: Vec<u64>,
        counts: Vec<u64>,
    },
    Exponential {
        count: u64,
        rest: [Option<u64>; 3],
        scale: i32,
        zero: (u64, u64),
        positive: (i32, Vec<u64>),
        negative: (i32, Vec<u64>),
    },
    Summary {
        count: u64,
        sum: u64,
        quantiles: Vec<(u64, u64)>,
    },
}

/// The columns that only points have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PointRow {
    pub name: String,
    pub unit: String,
    pub instrument: Instrument,
    pub temporality: Temporality,
    pub times: (u64, u64),
    pub flags: u8,
    pub stream: u128,
    pub value: Value,
}

pub(crate) fn expected(request: &ExportMetricsServiceRequest, limits: &DecodeLimits) -> Outcome {
    let mut outcome = Outcome::default();
    for resource_metrics in &request.resource_metrics {
        let resource = resource_metrics.resource.clone().unwrap_or_default();
        for scope_metrics in &resource_metrics.scope_metrics {
            let scope = scope_metrics.scope.clone().unwrap_or_default();
            for metric in &scope_metrics.metrics {
                for point in points(metric) {
                    outcome.add(row(metric, point, (&resource, &scope), limits));
                }
            }
        }
    }
    outcome
}

/// A point with what its metric says of it.
struct Point<'a> {
    instrument: Instrument,
    /// As sent.
    temporality: Option<i32>,
    times: (u64, u64),
    flags: u32,
    attributes: &'a [KeyValue],
    value: Result<Value, RejectReason>,
}

fn points(metric: &Metric) -> Vec<Point<'_>> {
    match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(gauge)) => {
            let points = gauge.data_points.iter();
            points
                .map(|point| number(point, Instrument::Gauge, None))
                .collect()
        }
        Some(Data::Sum(sum)) => {
            let instrument = match sum.is_monotonic {
                true => Instrument::Counter,
                false => Instrument::UpDownCounter,
            };
            let points = sum.data_points.iter();
            points
                .map(|point| number(point, instrument, Some(sum.aggregation_temporality)))
                .collect()
        }
        Some(Data::Histogram(data)) => {
            let points = data.data_points.iter();
            points
                .map(|point| histogram(point, data.aggregation_temporality))
                .collect()
        }
        Some(Data::ExponentialHistogram(data)) => {
            let points = data.data_points.iter();
            points
                .map(|point| exponential(point, data.aggregation_temporality))
                .collect()
        }
        Some(Data::Summary(data)) => data.data_points.iter().map(summary).collect(),
    }
}

fn number(point: &NumberDataPoint, instrument: Instrument, temporality: Option<i32>) -> Point<'_> {
    let is_increment = instrument == Instrument::Counter && temporality == Some(1);
    let value = match point.value {
        None => Err(RejectReason::NoValue),
        Some(Sent::AsDouble(double)) if instrument != Instrument::Gauge && !double.is_finite() => {
            Err(RejectReason::NotFinite)
        }
        Some(Sent::AsDouble(double)) if is_increment && double < 0.0 => {
            Err(RejectReason::NegativeDelta)
        }
        Some(Sent::AsInt(int)) if is_increment && int < 0 => Err(RejectReason::NegativeDelta),
        Some(Sent::AsDouble(double)) => Ok(Value::Double(double.to_bits())),
        Some(Sent::AsInt(int)) => Ok(Value::Int(int)),
    };
    Point {
        instrument,
        temporality,
        times: (point.start_time_unix_nano, point.time_unix_nano),
        flags: point.flags,
        attributes: &point.attributes,
        value,
    }
}

fn total(parts: &[&[u64]]) -> u128 {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .map(|count| u128::from(*count))
        .sum()
}

fn rest(values: [Option<f64>; 3]) -> [Option<u64>; 3] {
    values.map(|value| value.map(f64::to_bits))
}

fn histogram(point: &HistogramDataPoint, temporality: i32) -> Point<'_> {
    let (bounds, counts) = (&point.explicit_bounds, &point.bucket_counts);
    let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    let value = if !ascending || bounds.iter().any(|bound| !bound.is_finite()) {
        Err(RejectReason::BadBounds)
    } else if counts.len() != bounds.len() + 1 && !(counts.is_empty() && bounds.is_empty()) {
        Err(RejectReason::BadBuckets)
    } else if !counts.is_empty() && total(&[counts]) != u128::from(point.count) {
        Err(RejectReason::CountMismatch)
    } else if point.count == 0 && point.sum.is_some_and(|sum| sum != 0.0) {
        Err(RejectReason::SumOfNothing)
    } else {
        Ok(Value::Histogram {
            count: point.count,
            rest: rest([point.sum, point.min, point.max]),
            bounds: bounds.iter().map(|bound| bound.to_bits()).collect(),
            counts: counts.clone(),
        })
    };
    Point {
        instrument: Instrument::Histogram,
        temporality: Some(temporality),
        times: (point.start_time_unix_nano, point.time_unix_nano),
        flags: point.flags,
        attributes: &point.attributes,
        value,
    }
}

fn exponential(point: &ExponentialHistogramDataPoint, temporality: i32) -> Point<'_> {
    let side = |buckets: &Option<Buckets>| {
        let buckets = buckets.clone().unwrap_or_default();
        (buckets.offset, buckets.bucket_counts)
    };
    let (positive, negative) = (side(&point.positive), side(&point.negative));
    let fits = |side: &(i32, Vec<u64>)| {
        side.1.is_empty() || i128::from(side.0) + side.1.len() as i128 - 1 <= i128::from(i32::MAX)
    };
    let threshold = point.zero_threshold;
    let sum = total(&[&positive.1, &negative.1, &[point.zero_count]]);
    let value = if point.scale < -10 || point.scale > 20 || !fits(&positive) || !fits(&negative) {
        Err(RejectReason::BadScale)
    } else if threshold.is_nan() || threshold < 0.0 || threshold == f64::INFINITY {
        Err(RejectReason::BadZeroThreshold)
    } else if sum != u128::from(point.count) {
        Err(RejectReason::CountMismatch)
    } else if point.count == 0 && point.sum.is_some_and(|sum| sum != 0.0) {
        Err(RejectReason::SumOfNothing)
    } else {
        Ok(Value::Exponential {
            count: point.count,
            rest: rest([point.sum, point.min, point.max]),
            scale: point.scale,
            zero: (point.zero_count, threshold.to_bits()),
            positive,
            negative,
        })
    };
    Point {
        instrument: Instrument::ExponentialHistogram,
        temporality: Some(temporality),
        times: (point.start_time_unix_nano, point.time_unix_nano),
        flags: point.flags,
        attributes: &point.attributes,
        value,
    }
}

fn summary(point: &SummaryDataPoint) -> Point<'_> {
    let odd = |quantile: f64| quantile.is_nan() || !(0.0..=1.0).contains(&quantile);
    let value = match point.quantile_values.iter().any(|one| odd(one.quantile)) {
        true => Err(RejectReason::BadQuantile),
        false => Ok(Value::Summary {
            count: point.count,
            sum: point.sum.to_bits(),
            quantiles: point
                .quantile_values
                .iter()
                .map(|one| (one.quantile.to_bits(), one.value.to_bits()))
                .collect(),
        }),
    };
    Point {
        instrument: Instrument::Summary,
        temporality: None,
        times: (point.start_time_unix_nano, point.time_unix_nano),
        flags: point.flags,
        attributes: &point.attributes,
        value,
    }
}

fn row(
    metric: &Metric,
    point: Point<'_>,
    (resource, scope): (&Resource, &InstrumentationScope),
    limits: &DecodeLimits,
) -> Result<Row, RejectReason> {
    let mut odd = 0;
    let temporality = match point.temporality {
        None => Temporality::None,
        Some(1) => Temporality::Delta,
        Some(2) => Temporality::Cumulative,
        Some(_) => return Err(RejectReason::NoTemporality),
    };
    let (start, time) = point.times;
    if start > i64::MAX as u64 || time > i64::MAX as u64 {
        return Err(RejectReason::TimeOutOfRange);
    }
    if time == 0 {
        return Err(RejectReason::NoTime);
    }
    if start > time {
        return Err(RejectReason::StartAfterTime);
    }
    event_time(time, &mut odd)?;
    let flags = (point.flags % 2) as u8;
    let value = match flags {
        1 => Value::None,
        _ => point.value?,
    };
    let kind = point.instrument.name().as_bytes();
    let own = blake3_128(
        "metric",
        &[metric.name.as_bytes(), metric.unit.as_bytes(), kind],
    );
    let stream = stream([origin_hash(resource, scope), own], point.attributes);
    Ok(Row {
        origin: origin(resource, scope, limits, &mut odd),
        attributes: attributes(point.attributes, limits, &mut odd),
        shard: SEED.shard(stream),
        own: Own::Point(PointRow {
            name: shorten(&metric.name, limits, &mut odd),
            unit: shorten(&metric.unit, limits, &mut odd),
            instrument: point.instrument,
            temporality,
            times: point.times,
            flags,
            stream,
            value,
        }),
        anomalies: odd,
    })
}

/// Owners and all attributes as they were sent, by key, the last of a repeated one.
fn stream(owners: [u128; 2], sent: &[KeyValue]) -> u128 {
    let whole = DecodeLimits {
        value_bytes_max: usize::MAX,
        ..DecodeLimits::default()
    };
    let sorted: BTreeMap<&str, _> = sent
        .iter()
        .map(|one| (one.key.as_str(), stored(one.value.as_ref(), &whole, &mut 0)))
        .collect();
    let mut bytes = Vec::new();
    for (key, (kind, value)) in sorted {
        bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(&(value.len() as u64 + 1).to_le_bytes());
        bytes.push(kind as u8);
        bytes.extend_from_slice(&value);
    }
    let [origin, metric] = owners.map(u128::to_le_bytes);
    blake3_128("stream", &[&origin, &metric, &bytes])
}
