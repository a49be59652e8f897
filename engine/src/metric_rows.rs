//! Rows to columns: builds a [`MetricBatch`] from points held one by one, for tests, as [`crate::span_rows`] does for spans.

use crate::hash::{HashSeed, blake3_128};
use crate::items::Resource;
use crate::metric::{
    ExponentialBuckets, ExponentialHistogram, Histogram, Instrument, Metric, MetricBatch,
    Temporality,
};
use crate::span_rows::{RowValue, item_columns};
use crate::time::Timestamp;
use std::sync::Arc;

/// What a [`PointRow`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum PointValue {
    /// No recorded value.
    None,
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// Explicit buckets: bounds, and one count more.
    Buckets(Arc<[f64]>, Vec<u64>),
    /// Exponential buckets of positive values.
    Exponential {
        /// Resolution.
        scale: i32,
        /// Events in the zero bucket.
        zero_count: u64,
        /// Width of the zero bucket.
        zero_threshold: f64,
        /// Index of the first bucket.
        offset: i32,
        /// Events per bucket.
        counts: Vec<u64>,
    },
}

/// One metric point as a row.
#[derive(Debug, Clone)]
pub struct PointRow {
    /// Its metric.
    pub metric: Arc<Metric>,
    /// Start of what it covers, ns; 0 = not sent.
    pub start: u64,
    /// Event time, ns.
    pub time: u64,
    /// What it says.
    pub value: PointValue,
    /// Anomaly bits ([`crate::anomaly`]).
    pub anomalies: u16,
    /// Who sent it.
    pub resource: Arc<Resource>,
    /// Attributes; of a repeated key and type the last one counts.
    pub attributes: Vec<(String, RowValue)>,
}

impl PointRow {
    /// A point of `resource` that covers `times` (start, end).
    pub fn new(
        resource: &Arc<Resource>,
        metric: &Arc<Metric>,
        times: (u64, u64),
        value: PointValue,
    ) -> Self {
        Self {
            metric: Arc::clone(metric),
            start: times.0,
            time: times.1,
            value,
            anomalies: 0,
            resource: Arc::clone(resource),
            attributes: Vec::new(),
        }
    }

    /// The same point with one more attribute.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<RowValue>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    /// Identity of its stream.
    pub fn stream(&self) -> u128 {
        let mut attributes: Vec<Vec<u8>> = self
            .attributes
            .iter()
            .map(|(key, value)| [key.as_bytes(), &[0], &value.bytes()].concat())
            .collect();
        attributes.sort();
        let hash = self.resource.hash.to_le_bytes();
        let metric = &self.metric;
        let fixed: [&[u8]; 4] = [
            &hash,
            metric.name.as_bytes(),
            metric.unit.as_bytes(),
            metric.instrument.name().as_bytes(),
        ];
        let parts: Vec<&[u8]> = fixed
            .into_iter()
            .chain(attributes.iter().map(Vec::as_slice))
            .collect();
        blake3_128("stream", &parts)
    }
}

/// A metric of this name and type, without a unit.
pub fn metric(name: &str, instrument: Instrument, temporality: Temporality) -> Arc<Metric> {
    Arc::new(Metric {
        name: name.to_owned(),
        unit: String::new(),
        instrument,
        temporality,
    })
}

/// The columns of `rows` (at most [`crate::items::ROWS_MAX`]), received at `received`.
pub fn batch(seed: HashSeed, received: Timestamp, rows: &[PointRow]) -> MetricBatch {
    let mut metrics: Vec<Arc<Metric>> = Vec::new();
    let index = rows
        .iter()
        .map(|row| {
            let known = metrics.iter().position(|held| *held == row.metric);
            known.unwrap_or_else(|| {
                metrics.push(Arc::clone(&row.metric));
                metrics.len() - 1
            }) as u16
        })
        .collect();
    let streams: Vec<u128> = rows.iter().map(PointRow::stream).collect();
    let numbered = || (0u32..).zip(rows);
    let word = |row: &PointRow| match row.value {
        PointValue::Int(int) => (1u8, int as u64),
        PointValue::Double(double) => (2, double.to_bits()),
        _ => (0, 0),
    };
    let senders = rows.iter().map(|row| (&row.resource, &*row.attributes));
    MetricBatch {
        items: item_columns(received, senders),
        metrics,
        metric: index,
        start: rows.iter().map(|row| row.start).collect(),
        time: rows.iter().map(|row| row.time).collect(),
        flags: rows
            .iter()
            .map(|row| u8::from(row.value == PointValue::None))
            .collect(),
        anomalies: rows.iter().map(|row| row.anomalies).collect(),
        shard: streams.iter().map(|stream| seed.shard(*stream)).collect(),
        stream: streams.into(),
        value_kind: rows.iter().map(|row| word(row).0).collect(),
        value: rows.iter().map(|row| word(row).1).collect(),
        histograms: numbered().filter_map(histogram).collect(),
        exponential: numbered().filter_map(exponential).collect(),
        summaries: Vec::new(),
    }
}

fn histogram((row, point): (u32, &PointRow)) -> Option<Histogram> {
    let PointValue::Buckets(bounds, counts) = &point.value else {
        return None;
    };
    Some(Histogram {
        row,
        count: counts.iter().sum(),
        sum: None,
        min: None,
        max: None,
        bounds: Arc::clone(bounds),
        counts: counts.clone().into(),
    })
}

fn exponential((row, point): (u32, &PointRow)) -> Option<ExponentialHistogram> {
    let PointValue::Exponential {
        scale,
        zero_count,
        zero_threshold,
        offset,
        counts,
    } = &point.value
    else {
        return None;
    };
    Some(ExponentialHistogram {
        row,
        count: counts.iter().sum::<u64>() + zero_count,
        sum: None,
        min: None,
        max: None,
        scale: *scale,
        zero_count: *zero_count,
        zero_threshold: *zero_threshold,
        positive: ExponentialBuckets {
            offset: *offset,
            counts: counts.clone().into(),
        },
        negative: ExponentialBuckets::default(),
    })
}
