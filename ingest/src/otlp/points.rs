//! Metrics on the wire, their points into the columns of a [`MetricBatch`], and the identity of their streams.
//!
//! Descriptions, metadata and exemplars are checked and dropped: nothing here counts or shows them.

use super::batch::{Builder, Place};
use super::check::Check;
use super::column::tight;
use super::error::{RejectReason, Stop};
use super::point::{POINT_DEPTH, RawBuckets, RawPoint, Value, message, other};
use super::schema::{KEY_VALUE, METRIC, Message, data_of, replace_text, text};
use super::stream::StreamHash;
use super::value::{Merged, cut_text};
use super::walk::{ITEM_DEPTH, Reader, Shared};
use super::wire::{BYTES, VARINT, Wire, key};
use engine::anomaly;
use engine::batch::Batch;
use engine::hash::blake3_128;
use engine::items::Signal;
use engine::metric::{
    ExponentialBuckets, ExponentialHistogram, Histogram, Instrument, Metric, MetricBatch, Summary,
    Temporality, flag,
};
use engine::time::Timestamp;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

const DATA_DEPTH: u32 = ITEM_DEPTH + 1;
/// Depth of the values of a point's attributes: point, key-value, value.
const VALUE_DEPTH: u32 = POINT_DEPTH + 2;

const NAME: u32 = key(1, BYTES);
const DESCRIPTION: u32 = key(2, BYTES);
const UNIT: u32 = key(3, BYTES);
const GAUGE: u32 = key(5, BYTES);
const SUM: u32 = key(7, BYTES);
const HISTOGRAM: u32 = key(9, BYTES);
const EXPONENTIAL: u32 = key(10, BYTES);
const SUMMARY: u32 = key(11, BYTES);
const METADATA: u32 = key(12, BYTES);
/// Fields of a metric's data.
const POINT: u32 = key(1, BYTES);
const TEMPORALITY: u32 = key(2, VARINT);
const MONOTONIC: u32 = key(3, VARINT);

/// The fields of one metric as sent; its points are not looked into.
#[derive(Default)]
struct RawMetric<'a> {
    name: &'a [u8],
    unit: &'a [u8],
    /// Key of the field that holds the points, and its content.
    data: Option<(u32, Merged<'a>)>,
}

impl<'a> RawMetric<'a> {
    fn read(&mut self, bytes: &'a [u8], check: &mut Check) -> Result<(), Stop> {
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field {
                NAME => replace_text(&mut self.name, wire.bytes()?)?,
                DESCRIPTION => drop(text(wire.bytes()?)?),
                UNIT => replace_text(&mut self.unit, wire.bytes()?)?,
                GAUGE | SUM | HISTOGRAM | EXPONENTIAL | SUMMARY => {
                    self.add_data(field, wire.bytes()?, check)?;
                }
                METADATA => {
                    check.spend(1)?;
                    check.message(&KEY_VALUE, wire.bytes()?, ITEM_DEPTH + 1)?;
                }
                unknown => other(&METRIC, unknown, &mut wire, (check, ITEM_DEPTH))?,
            }
        }
        text(self.name)?;
        text(self.unit).map(drop)
    }

    /// Adds a part of the data; another kind of data takes the place of what was there, as protobuf has it.
    fn add_data(&mut self, field: u32, part: &'a [u8], check: &mut Check) -> Result<(), Stop> {
        let message = data_of(field);
        match &mut self.data {
            Some((known, merged)) if *known == field => {
                return merged.add(part, (message, DATA_DEPTH), check);
            }
            Some((known, replaced)) => {
                check.message(data_of(*known), replaced.bytes(), DATA_DEPTH)?;
            }
            None => {}
        }
        let mut merged = Merged::default();
        merged.add(part, (message, DATA_DEPTH), check)?;
        self.data = Some((field, merged));
        Ok(())
    }
}

/// What the points of one metric have in common.
struct Head<'a> {
    name: &'a [u8],
    unit: &'a [u8],
    instrument: Instrument,
    /// `None` when it is none of those that exist: every point is then rejected.
    temporality: Option<Temporality>,
    /// What tells its streams from those of other metrics of the same origin; not its temporality.
    hash: u128,
}

impl<'a> Head<'a> {
    /// Reads what stands beside the points in `data`, a message of the field `field`.
    fn read(
        (name, unit): (&'a [u8], &'a [u8]),
        (field, data): (u32, &[u8]),
        check: &mut Check,
    ) -> Result<Self, Stop> {
        let message: &Message = data_of(field);
        let (mut temporality, mut is_monotonic) = (0, false);
        let mut points_left = check.items_left;
        let mut wire = Wire::new(data);
        while let Some(found) = wire.next_key()? {
            match found {
                POINT => {
                    // Spent when it is read; counted here, so that too many are not even looked at.
                    points_left = points_left.checked_sub(1).ok_or(Stop::TooManyItems)?;
                    wire.bytes()?;
                }
                TEMPORALITY if message.knows(TEMPORALITY) => temporality = wire.varint()? as i32,
                MONOTONIC if message.knows(MONOTONIC) => is_monotonic = wire.varint()? != 0,
                unknown => other(message, unknown, &mut wire, (check, DATA_DEPTH))?,
            }
        }
        let instrument = match field {
            SUM if is_monotonic => Instrument::Counter,
            SUM => Instrument::UpDownCounter,
            HISTOGRAM => Instrument::Histogram,
            EXPONENTIAL => Instrument::ExponentialHistogram,
            SUMMARY => Instrument::Summary,
            _ => Instrument::Gauge,
        };
        let temporality = match (field, temporality) {
            (GAUGE | SUMMARY, _) => Some(Temporality::None),
            (_, 1) => Some(Temporality::Delta),
            (_, 2) => Some(Temporality::Cumulative),
            _ => None,
        };
        let kind = instrument.name().as_bytes();
        Ok(Self {
            name,
            unit,
            instrument,
            temporality,
            hash: blake3_128("metric", &[name, unit, kind]),
        })
    }

    /// The metric as it is stored, and whether something was cut.
    fn metric(&self, temporality: Temporality, bytes_max: usize) -> Result<(Metric, u16), Stop> {
        let (name, unit) = (
            cut_text(self.name, bytes_max),
            cut_text(self.unit, bytes_max),
        );
        let odd = match name.len() < self.name.len() || unit.len() < self.unit.len() {
            true => anomaly::TRUNCATED_VALUE,
            false => 0,
        };
        let metric = Metric {
            name: text(name)?.to_owned(),
            unit: text(unit)?.to_owned(),
            instrument: self.instrument,
            temporality,
        };
        Ok((metric, odd))
    }
}

/// Columns that only points have; taken out whole when the batch is finished.
#[derive(Default)]
struct Rows {
    metrics: Vec<Arc<Metric>>,
    metric: Vec<u16>,
    start: Vec<u64>,
    time: Vec<u64>,
    flags: Vec<u8>,
    stream: Vec<u128>,
    value_kind: Vec<u8>,
    value: Vec<u64>,
    histograms: Vec<Histogram>,
    exponential: Vec<ExponentialHistogram>,
    summaries: Vec<Summary>,
}

/// The metric batch under construction.
#[derive(Default)]
pub(super) struct Points {
    common: Builder,
    rows: Rows,
    /// Number, and anomalies that its points inherit, of every metric of the batch.
    numbers: HashMap<(u128, Temporality), (u16, u16), RandomState>,
    point: RawPoint,
    stream: StreamHash,
    /// The bounds of the last histogram: the next one usually has the same.
    bounds: Option<Arc<[f64]>>,
}

impl Reader for Points {
    type Scratch<'a> = ();
    const SIGNAL: Signal = Signal::Metrics;
    const ITEM_BYTES_MIN: usize = 20;
    const EMPTY_COUNTS: bool = false;

    fn common(&mut self) -> &mut Builder {
        &mut self.common
    }

    fn reserve(&mut self, rows: usize) {
        self.common.reserve(rows);
        let own = &mut self.rows;
        own.metric.reserve(rows);
        own.start.reserve(rows);
        own.time.reserve(rows);
        own.flags.reserve(rows);
        own.stream.reserve(rows);
        own.value_kind.reserve(rows);
        own.value.reserve(rows);
    }

    fn item<'a>(
        &mut self,
        bytes: &'a [u8],
        (): &mut (),
        shared: &mut Shared<'_, 'a>,
    ) -> Result<(), Stop> {
        let mut raw = RawMetric::default();
        raw.read(bytes, &mut shared.check)?;
        let Some((field, data)) = &raw.data else {
            return Ok(());
        };
        let data = data.bytes();
        let head = Head::read((raw.name, raw.unit), (*field, data), &mut shared.check)?;
        let mut attributes = Vec::new();
        let mut wire = Wire::new(data);
        while let Some(found) = wire.next_key()? {
            match found {
                POINT => {
                    shared.check.spend(1)?;
                    self.read_point(&head, wire.bytes()?, &mut attributes, shared)?;
                }
                read_before => wire.skip(read_before, DATA_DEPTH, shared.check.depth_max)?,
            }
        }
        self.point.trim();
        Ok(())
    }

    fn take(&mut self, received: Timestamp) -> Batch {
        let common = self.common.take(received);
        let rows = std::mem::take(&mut self.rows);
        self.numbers.clear();
        Batch::Metrics(MetricBatch {
            items: common.items,
            metrics: rows.metrics,
            metric: tight(rows.metric).into(),
            start: tight(rows.start).into(),
            time: tight(rows.time).into(),
            flags: tight(rows.flags).into(),
            anomalies: common.anomalies.into(),
            stream: tight(rows.stream).into(),
            shard: common.shard.into(),
            value_kind: tight(rows.value_kind).into(),
            value: tight(rows.value).into(),
            histograms: rows.histograms,
            exponential: rows.exponential,
            summaries: rows.summaries,
        })
    }

    fn clear(&mut self) {
        self.common.clear();
        *self = Self {
            common: std::mem::take(&mut self.common),
            ..Self::default()
        };
    }
}

impl Points {
    fn read_point<'p>(
        &mut self,
        head: &Head<'_>,
        bytes: &'p [u8],
        attributes: &mut Vec<&'p [u8]>,
        shared: &mut Shared<'_, '_>,
    ) -> Result<(), Stop> {
        let check = &mut shared.check;
        self.point.read(head.instrument, bytes, attributes, check)?;
        shared.items_seen += 1;
        let received = shared.context.received;
        let judged = head
            .temporality
            .ok_or(RejectReason::NoTemporality)
            .and_then(|temporality| {
                let odd = self.point.judge(head.instrument, temporality, received)?;
                Ok((temporality, odd))
            });
        let (temporality, odd) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                let point = message(head.instrument);
                shared.check.message(point, bytes, POINT_DEPTH)?;
                shared.reject(reason, "point", head.name);
                return Ok(());
            }
        };
        let place = shared.place(self)?;
        self.push((head, temporality), odd, attributes, place, shared)?;
        self.common.grow(bytes.len());
        Ok(())
    }

    /// Appends the point just read.
    fn push(
        &mut self,
        (head, temporality): (&Head<'_>, Temporality),
        odd: u16,
        attributes: &[&[u8]],
        place: Place,
        shared: &mut Shared<'_, '_>,
    ) -> Result<(), Stop> {
        let limits = &shared.context.limits;
        let (metric, inherited) = self.metric(head, temporality, limits.value_bytes_max)?;
        let mut anomalies = odd | place.inherited | inherited;
        let check = &mut shared.check;
        anomalies |= self
            .common
            .attributes(attributes, VALUE_DEPTH, limits, check)?;
        let stream = self
            .stream
            .of([shared.origin_hash(), head.hash], attributes, VALUE_DEPTH)?;
        if self.point.flags() & flag::NO_RECORDED_VALUE == 0 {
            self.push_value(head.instrument);
        } else {
            self.push_number(None);
        }
        let shard = shared.context.seed.shard(stream);
        self.common.push(place, anomalies, shard);
        let rows = &mut self.rows;
        rows.metric.push(metric);
        rows.start.push(self.point.numbers.start);
        rows.time.push(self.point.numbers.time);
        rows.flags.push(self.point.flags());
        rows.stream.push(stream);
        Ok(())
    }

    /// The number of the metric in this batch, and the anomalies its points inherit.
    fn metric(
        &mut self,
        head: &Head<'_>,
        temporality: Temporality,
        bytes_max: usize,
    ) -> Result<(u16, u16), Stop> {
        let metrics = &mut self.rows.metrics;
        if let Some(known) = self.numbers.get(&(head.hash, temporality)) {
            return Ok(*known);
        }
        let (metric, odd) = head.metric(temporality, bytes_max)?;
        let number = metrics.len() as u16;
        self.common
            .grow(metric.name.len() + metric.unit.len() + size_of::<Metric>());
        metrics.push(Arc::new(metric));
        self.numbers.insert((head.hash, temporality), (number, odd));
        Ok((number, odd))
    }

    fn push_number(&mut self, value: Option<Value>) {
        let (kind, bits) = match value {
            None => (0, 0),
            Some(Value::Int(int)) => (1, int as u64),
            Some(Value::Double(double)) => (2, double.to_bits()),
        };
        self.rows.value_kind.push(kind);
        self.rows.value.push(bits);
    }

    /// Stores what the point just read says, in the columns or the child table of its kind.
    fn push_value(&mut self, instrument: Instrument) {
        let row = self.common.len() as u32;
        let numbers = &self.point.numbers;
        match instrument {
            Instrument::Gauge | Instrument::Counter | Instrument::UpDownCounter => {
                return self.push_number(numbers.value);
            }
            Instrument::Histogram => {
                let histogram = Histogram {
                    row,
                    count: numbers.count,
                    sum: numbers.sum,
                    min: numbers.min,
                    max: numbers.max,
                    bounds: self.bounds(),
                    counts: self.point.counts.as_slice().into(),
                };
                self.common.grow(size_of::<Histogram>());
                self.rows.histograms.push(histogram);
            }
            Instrument::ExponentialHistogram => {
                let side = |buckets: &RawBuckets| ExponentialBuckets {
                    offset: buckets.offset,
                    counts: buckets.counts.as_slice().into(),
                };
                let (positive, negative) = (side(&self.point.positive), side(&self.point.negative));
                // Varints of one byte become words.
                let grown = 8 * (positive.counts.len() + negative.counts.len());
                self.rows.exponential.push(ExponentialHistogram {
                    row,
                    count: numbers.count,
                    sum: numbers.sum,
                    min: numbers.min,
                    max: numbers.max,
                    scale: numbers.scale,
                    zero_count: numbers.zero_count,
                    zero_threshold: numbers.zero_threshold,
                    positive,
                    negative,
                });
                self.common.grow(size_of::<ExponentialHistogram>() + grown);
            }
            Instrument::Summary => {
                let quantiles: Box<[_]> = self.point.quantiles.as_slice().into();
                self.common
                    .grow(size_of::<Summary>() + 16 * quantiles.len());
                self.rows.summaries.push(Summary {
                    row,
                    count: self.point.numbers.count,
                    sum: self.point.numbers.sum.unwrap_or(0.0),
                    quantiles,
                });
            }
        }
        self.push_number(None);
    }

    /// The bounds of the point just read, shared with the last histogram's when they are the same.
    fn bounds(&mut self) -> Arc<[f64]> {
        let bounds = self.point.bounds.as_slice();
        // By their bits: there are two zeros.
        let is_same = |last: &[f64]| {
            let (last, now) = (last.iter(), bounds.iter());
            last.map(|bound| bound.to_bits())
                .eq(now.map(|bound| bound.to_bits()))
        };
        match &self.bounds {
            Some(last) if is_same(last) => last.clone(),
            _ => self.bounds.insert(bounds.into()).clone(),
        }
    }
}
