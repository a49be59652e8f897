//! `MetricBatch`: metric points as columns, one row a point.
//!
//! A *stream* is what one writer says of one thing: resource, scope, name, unit, type, monotonicity and sorted
//! attributes (DESIGN 18). Temporality is no part of it here: a stream that changes it must be found again.

use crate::items::ItemColumns;
use arrow_buffer::ScalarBuffer;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What kind of instrument the points of a metric come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Instrument {
    /// A value that is, such as a queue's length.
    Gauge,
    /// A sum that never falls, such as requests served.
    Counter,
    /// A sum that may fall.
    UpDownCounter,
    /// Counts in explicit buckets.
    Histogram,
    /// Counts in exponential buckets.
    ExponentialHistogram,
    /// Quantiles computed by the sender: shown, never counted.
    Summary,
}

impl Instrument {
    /// The name in definitions and SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::UpDownCounter => "updowncounter",
            Self::Histogram => "histogram",
            Self::ExponentialHistogram => "exponential_histogram",
            Self::Summary => "summary",
        }
    }
}

/// What a point's value covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Temporality {
    /// Gauges and summaries have none.
    None,
    /// What happened since the point before.
    Delta,
    /// What happened since `start`.
    Cumulative,
}

impl Temporality {
    /// The name in SQL; empty when there is none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Delta => "delta",
            Self::Cumulative => "cumulative",
        }
    }
}

/// What the points of one metric have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Name as sent.
    pub name: String,
    /// Unit as sent (UCUM), may be empty.
    pub unit: String,
    /// Type of its points.
    pub instrument: Instrument,
    /// What a point covers.
    pub temporality: Temporality,
}

/// Value of a number point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// No value: a histogram or summary point, or one flagged "no recorded value".
    None,
    /// An integer.
    Int(i64),
    /// A float; never NaN or infinite in a sum.
    Double(f64),
}

/// Bits of the `flags` column.
pub mod flag {
    /// The point says that the stream has ended ("no recorded value").
    pub const NO_RECORDED_VALUE: u8 = 1;
}

/// The buckets of a classic histogram point.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Row of its point.
    pub row: u32,
    /// Events in all buckets.
    pub count: u64,
    /// Sum of all values, when sent.
    pub sum: Option<f64>,
    /// Least value, when sent.
    pub min: Option<f64>,
    /// Greatest value, when sent.
    pub max: Option<f64>,
    /// Upper bounds, inclusive, strictly increasing; shared by points that have the same ones.
    pub bounds: Arc<[f64]>,
    /// Events per bucket: one more than bounds, or empty when only `count` and `sum` were sent.
    pub counts: Box<[u64]>,
}

/// One side of an exponential histogram: bucket `offset + i` holds `counts[i]` events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExponentialBuckets {
    /// Index of the first bucket.
    pub offset: i32,
    /// Events per bucket.
    pub counts: Box<[u64]>,
}

/// The buckets of an exponential histogram point: bucket i holds values in (base^i, base^(i+1)], base = 2^(2^-scale).
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialHistogram {
    /// Row of its point.
    pub row: u32,
    /// Events in all buckets.
    pub count: u64,
    /// Sum of all values, when sent.
    pub sum: Option<f64>,
    /// Least value, when sent.
    pub min: Option<f64>,
    /// Greatest value, when sent.
    pub max: Option<f64>,
    /// Resolution.
    pub scale: i32,
    /// Events whose absolute value is at most `zero_threshold`.
    pub zero_count: u64,
    /// Width of the zero bucket, at least 0.
    pub zero_threshold: f64,
    /// Values above zero.
    pub positive: ExponentialBuckets,
    /// Absolute values of values below zero.
    pub negative: ExponentialBuckets,
}

/// The quantiles of a summary point.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Row of its point.
    pub row: u32,
    /// Events.
    pub count: u64,
    /// Sum of all values.
    pub sum: f64,
    /// (quantile in 0..=1, value), ascending by quantile as sent.
    pub quantiles: Box<[(f64, f64)]>,
}

/// Up to [`ROWS_MAX`](crate::items::ROWS_MAX) metric points as columns. All row columns have `len()` entries.
#[derive(Debug)]
pub struct MetricBatch {
    /// Where the points came from, and their attributes.
    pub items: ItemColumns,
    /// Distinct metrics that `metric` points into.
    pub metrics: Vec<Arc<Metric>>,
    /// Index into `metrics`.
    pub metric: ScalarBuffer<u16>,
    /// Start of what the value covers, ns since the epoch; 0 = not sent.
    pub start: ScalarBuffer<u64>,
    /// Event time: when the point was observed, ns since the epoch; never 0.
    pub time: ScalarBuffer<u64>,
    /// Bits of [`flag`].
    pub flags: ScalarBuffer<u8>,
    /// Bits of [`crate::anomaly`].
    pub anomalies: ScalarBuffer<u16>,
    /// Identity of the stream: BLAKE3-128 of what the module's documentation lists.
    pub stream: ScalarBuffer<u128>,
    /// Virtual shard of the stream, `0..SHARDS`.
    pub shard: ScalarBuffer<u8>,
    /// 0 = [`Number::None`], 1 = integer, 2 = double.
    pub value_kind: ScalarBuffer<u8>,
    /// The integer, or the bits of the double.
    pub value: ScalarBuffer<u64>,
    /// Classic histograms, rows ascending.
    pub histograms: Vec<Histogram>,
    /// Exponential histograms, rows ascending.
    pub exponential: Vec<ExponentialHistogram>,
    /// Summaries, rows ascending.
    pub summaries: Vec<Summary>,
}

impl MetricBatch {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The metric of `row`.
    pub fn metric_of(&self, row: usize) -> &Arc<Metric> {
        &self.metrics[usize::from(self.metric[row])]
    }

    /// The value of `row`, when it is a number point.
    pub fn number(&self, row: usize) -> Number {
        match self.value_kind[row] {
            1 => Number::Int(self.value[row] as i64),
            2 => Number::Double(f64::from_bits(self.value[row])),
            _ => Number::None,
        }
    }

    /// The histogram of `row`, if it is one. O(log histograms).
    pub fn histogram(&self, row: usize) -> Option<&Histogram> {
        let found = self
            .histograms
            .binary_search_by_key(&(row as u32), |histogram| histogram.row);
        found.ok().map(|index| &self.histograms[index])
    }

    /// The exponential histogram of `row`, if it is one. O(log histograms).
    pub fn exponential(&self, row: usize) -> Option<&ExponentialHistogram> {
        let found = self
            .exponential
            .binary_search_by_key(&(row as u32), |histogram| histogram.row);
        found.ok().map(|index| &self.exponential[index])
    }

    /// The summary of `row`, if it is one. O(log summaries).
    pub fn summary(&self, row: usize) -> Option<&Summary> {
        let found = self
            .summaries
            .binary_search_by_key(&(row as u32), |summary| summary.row);
        found.ok().map(|index| &self.summaries[index])
    }

    /// Heap bytes held. Used by the store's byte budget.
    pub fn byte_size(&self) -> usize {
        const ROW_BYTES: usize = 16 + 8 * 3 + 2 * 2 + 3;
        let metrics: usize = self
            .metrics
            .iter()
            .map(|metric| metric.name.len() + metric.unit.len() + size_of::<Metric>())
            .sum();
        let histograms: usize = self
            .histograms
            .iter()
            .map(|one| size_of::<Histogram>() + 8 * one.counts.len())
            .sum();
        // Shared bounds stand next to each other.
        let mut last = std::ptr::null();
        let bounds: usize = self
            .histograms
            .iter()
            .filter(|one| std::mem::replace(&mut last, one.bounds.as_ptr()) != one.bounds.as_ptr())
            .map(|one| 8 * one.bounds.len())
            .sum();
        let exponential: usize = self
            .exponential
            .iter()
            .map(|one| {
                let buckets = one.positive.counts.len() + one.negative.counts.len();
                size_of::<ExponentialHistogram>() + 8 * buckets
            })
            .sum();
        let summaries: usize = self
            .summaries
            .iter()
            .map(|one| size_of::<Summary>() + 16 * one.quantiles.len())
            .sum();
        self.len() * ROW_BYTES
            + self.items.byte_size()
            + metrics
            + histograms
            + bounds
            + exponential
            + summaries
    }
}
