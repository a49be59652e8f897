//! One metric point on the wire: its fields, whatever its kind, and the rules by which it is accepted or rejected.
//!
//! Exemplars are checked and dropped: nothing here counts them. The rules are those of the OTLP metrics data model
//! (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/>).

use super::check::{Check, packed_items};
use super::error::{Problem, RejectReason, Stop};
use super::rules::{event_time, in_range};
use super::schema::{
    BUCKETS, EXEMPLAR, EXPONENTIAL_POINT, HISTOGRAM_POINT, Message, NUMBER_POINT, QUANTILE,
    SUMMARY_POINT,
};
use super::walk::ITEM_DEPTH;
use super::wire::{BYTES, FIXED64, VARINT, Wire, key};
use engine::metric::{Instrument, Temporality, flag};
use engine::time::Timestamp;
use std::ops::RangeInclusive;

/// Depth of a point: metric, data, point.
pub(super) const POINT_DEPTH: u32 = ITEM_DEPTH + 2;
/// The resolutions that SDKs use. Below, two buckets hold every float; above, a float's bucket needs more than 32 bits.
const SCALES: RangeInclusive<i32> = -10..=20;
/// Numbers kept room for from point to point.
const KEPT_NUMBERS_MAX: usize = 4_096;

const START: u32 = key(2, FIXED64);
const TIME: u32 = key(3, FIXED64);
const AS_DOUBLE: u32 = key(4, FIXED64);
const AS_INT: u32 = key(6, FIXED64);
const COUNT: u32 = key(4, FIXED64);
const SUM: u32 = key(5, FIXED64);

/// Where the fields that all points have stand in one kind of point.
struct Layout {
    message: &'static Message,
    attribute: u32,
    flags: u32,
    exemplar: Option<u32>,
}

const NUMBER: Layout = Layout {
    message: &NUMBER_POINT,
    attribute: key(7, BYTES),
    flags: key(8, VARINT),
    exemplar: Some(key(5, BYTES)),
};
const HISTOGRAM: Layout = Layout {
    message: &HISTOGRAM_POINT,
    attribute: key(9, BYTES),
    flags: key(10, VARINT),
    exemplar: Some(key(8, BYTES)),
};
const EXPONENTIAL: Layout = Layout {
    message: &EXPONENTIAL_POINT,
    attribute: key(1, BYTES),
    flags: key(10, VARINT),
    exemplar: Some(key(11, BYTES)),
};
const SUMMARY: Layout = Layout {
    message: &SUMMARY_POINT,
    attribute: key(7, BYTES),
    flags: key(8, VARINT),
    exemplar: None,
};

const fn layout(instrument: Instrument) -> &'static Layout {
    match instrument {
        Instrument::Gauge | Instrument::Counter | Instrument::UpDownCounter => &NUMBER,
        Instrument::Histogram => &HISTOGRAM,
        Instrument::ExponentialHistogram => &EXPONENTIAL,
        Instrument::Summary => &SUMMARY,
    }
}

/// The message of a point of `instrument`.
pub(super) const fn message(instrument: Instrument) -> &'static Message {
    layout(instrument).message
}

/// The value of a number point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Int(i64),
    Double(f64),
}

/// The fields of a point that are one number each; absent ones are 0.
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) start: u64,
    pub(super) time: u64,
    flags: u32,
    pub(super) value: Option<Value>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
}

/// One side of an exponential histogram.
#[derive(Default)]
pub(super) struct RawBuckets {
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

/// The fields of one point as sent, but for its attributes; reused from point to point.
#[derive(Default)]
pub(super) struct RawPoint {
    pub(super) numbers: Numbers,
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) positive: RawBuckets,
    pub(super) negative: RawBuckets,
    pub(super) quantiles: Vec<(f64, f64)>,
}

impl RawPoint {
    /// Reads a point of `instrument` and gathers its attributes, which are not looked into.
    pub(super) fn read<'p>(
        &mut self,
        instrument: Instrument,
        bytes: &'p [u8],
        attributes: &mut Vec<&'p [u8]>,
        check: &mut Check,
    ) -> Result<(), Stop> {
        self.clear();
        attributes.clear();
        let layout = layout(instrument);
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field {
                START => self.numbers.start = wire.fixed64()?,
                TIME => self.numbers.time = wire.fixed64()?,
                attribute if attribute == layout.attribute => {
                    check.spend(1)?;
                    attributes.push(wire.bytes()?);
                }
                flags if flags == layout.flags => self.numbers.flags = wire.varint()? as u32,
                exemplar if Some(exemplar) == layout.exemplar => {
                    check.spend(1)?;
                    check.message(&EXEMPLAR, wire.bytes()?, POINT_DEPTH + 1)?;
                }
                own => {
                    if !self.read_own(instrument, own, &mut wire, check)? {
                        other(layout.message, own, &mut wire, (check, POINT_DEPTH))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a field that this kind of point has alone; false when it has none like it.
    fn read_own(
        &mut self,
        instrument: Instrument,
        field: u32,
        wire: &mut Wire<'_>,
        check: &mut Check,
    ) -> Result<bool, Stop> {
        match instrument {
            Instrument::Gauge | Instrument::Counter | Instrument::UpDownCounter => {
                self.read_number(field, wire)
            }
            Instrument::Histogram => self.read_histogram(field, wire, check),
            Instrument::ExponentialHistogram => self.read_exponential(field, wire, check),
            Instrument::Summary => self.read_summary(field, wire, check),
        }
    }

    fn read_number(&mut self, field: u32, wire: &mut Wire<'_>) -> Result<bool, Stop> {
        let value = match field {
            AS_DOUBLE => Value::Double(double(wire)?),
            AS_INT => Value::Int(wire.fixed64()? as i64),
            _ => return Ok(false),
        };
        self.numbers.value = Some(value);
        Ok(true)
    }

    fn read_histogram(
        &mut self,
        field: u32,
        wire: &mut Wire<'_>,
        check: &mut Check,
    ) -> Result<bool, Stop> {
        const COUNTS: u32 = key(6, BYTES);
        const ONE_COUNT: u32 = key(6, FIXED64);
        const BOUNDS: u32 = key(7, BYTES);
        const ONE_BOUND: u32 = key(7, FIXED64);
        const MIN: u32 = key(11, FIXED64);
        const MAX: u32 = key(12, FIXED64);
        match field {
            COUNT => self.numbers.count = wire.fixed64()?,
            SUM => self.numbers.sum = Some(double(wire)?),
            COUNTS => words(wire, check, &mut self.counts, |word| word)?,
            BOUNDS => words(wire, check, &mut self.bounds, f64::from_bits)?,
            ONE_COUNT => {
                check.spend(1)?;
                self.counts.push(wire.fixed64()?);
            }
            ONE_BOUND => {
                check.spend(1)?;
                self.bounds.push(double(wire)?);
            }
            MIN => self.numbers.min = Some(double(wire)?),
            MAX => self.numbers.max = Some(double(wire)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_exponential(
        &mut self,
        field: u32,
        wire: &mut Wire<'_>,
        check: &mut Check,
    ) -> Result<bool, Stop> {
        const SCALE: u32 = key(6, VARINT);
        const ZERO_COUNT: u32 = key(7, FIXED64);
        const POSITIVE: u32 = key(8, BYTES);
        const NEGATIVE: u32 = key(9, BYTES);
        const MIN: u32 = key(12, FIXED64);
        const MAX: u32 = key(13, FIXED64);
        const ZERO_THRESHOLD: u32 = key(14, FIXED64);
        match field {
            COUNT => self.numbers.count = wire.fixed64()?,
            SUM => self.numbers.sum = Some(double(wire)?),
            SCALE => self.numbers.scale = zigzag(wire)?,
            ZERO_COUNT => self.numbers.zero_count = wire.fixed64()?,
            POSITIVE => self.positive.read(wire.bytes()?, check)?,
            NEGATIVE => self.negative.read(wire.bytes()?, check)?,
            MIN => self.numbers.min = Some(double(wire)?),
            MAX => self.numbers.max = Some(double(wire)?),
            ZERO_THRESHOLD => self.numbers.zero_threshold = double(wire)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_summary(
        &mut self,
        field: u32,
        wire: &mut Wire<'_>,
        check: &mut Check,
    ) -> Result<bool, Stop> {
        const QUANTILE_VALUE: u32 = key(6, BYTES);
        match field {
            COUNT => self.numbers.count = wire.fixed64()?,
            SUM => self.numbers.sum = Some(double(wire)?),
            QUANTILE_VALUE => {
                check.spend(1)?;
                self.quantiles.push(quantile(wire.bytes()?, check)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn clear(&mut self) {
        self.numbers = Numbers::default();
        self.bounds.clear();
        self.counts.clear();
        self.positive.clear();
        self.negative.clear();
        self.quantiles.clear();
    }

    /// Gives back the room that an unusually large point needed.
    pub(super) fn trim(&mut self) {
        self.clear();
        self.bounds.shrink_to(KEPT_NUMBERS_MAX);
        self.counts.shrink_to(KEPT_NUMBERS_MAX);
        self.positive.counts.shrink_to(KEPT_NUMBERS_MAX);
        self.negative.counts.shrink_to(KEPT_NUMBERS_MAX);
        self.quantiles.shrink_to(KEPT_NUMBERS_MAX);
    }

    /// The flags that have a meaning.
    pub(super) fn flags(&self) -> u8 {
        self.numbers.flags as u8 & flag::NO_RECORDED_VALUE
    }

    /// Whether the point can count, and what is odd about it.
    pub(super) fn judge(
        &self,
        instrument: Instrument,
        temporality: Temporality,
        received: Timestamp,
    ) -> Result<u16, RejectReason> {
        let numbers = &self.numbers;
        in_range([numbers.start, numbers.time])?;
        if numbers.time == 0 {
            return Err(RejectReason::NoTime);
        }
        if numbers.start > numbers.time {
            return Err(RejectReason::StartAfterTime);
        }
        let mut anomalies = 0;
        event_time(numbers.time, received, &mut anomalies)?;
        if self.flags() & flag::NO_RECORDED_VALUE != 0 {
            return Ok(anomalies);
        }
        match instrument {
            Instrument::Gauge => self.judge_gauge(),
            Instrument::Counter => self.judge_sum(temporality == Temporality::Delta),
            Instrument::UpDownCounter => self.judge_sum(false),
            Instrument::Histogram => self.judge_histogram(),
            Instrument::ExponentialHistogram => self.judge_exponential(),
            Instrument::Summary => self.judge_summary(),
        }?;
        Ok(anomalies)
    }

    fn judge_gauge(&self) -> Result<(), RejectReason> {
        let value = self.numbers.value.ok_or(RejectReason::NoValue);
        value.map(drop)
    }

    fn judge_sum(&self, never_negative: bool) -> Result<(), RejectReason> {
        let is_negative = match self.numbers.value.ok_or(RejectReason::NoValue)? {
            Value::Double(double) if !double.is_finite() => return Err(RejectReason::NotFinite),
            Value::Double(double) => double < 0.0,
            Value::Int(int) => int < 0,
        };
        match never_negative && is_negative {
            true => Err(RejectReason::NegativeDelta),
            false => Ok(()),
        }
    }

    fn judge_histogram(&self) -> Result<(), RejectReason> {
        let finite = self.bounds.iter().all(|bound| bound.is_finite());
        if !finite || !self.bounds.is_sorted_by(|low, high| low < high) {
            return Err(RejectReason::BadBounds);
        }
        match self.counts.len() {
            // Only count and sum were sent.
            0 if self.bounds.is_empty() => self.judge_counts(self.numbers.count),
            buckets if buckets == self.bounds.len() + 1 => self.judge_counts(0),
            _ => Err(RejectReason::BadBuckets),
        }
    }

    fn judge_exponential(&self) -> Result<(), RejectReason> {
        let numbers = &self.numbers;
        let fits = |buckets: &RawBuckets| {
            let last = i64::from(buckets.offset) + buckets.counts.len() as i64 - 1;
            last <= i64::from(i32::MAX)
        };
        if !SCALES.contains(&numbers.scale) || !fits(&self.positive) || !fits(&self.negative) {
            return Err(RejectReason::BadScale);
        }
        // Also false for NaN.
        let is_width = numbers.zero_threshold >= 0.0 && numbers.zero_threshold.is_finite();
        if !is_width {
            return Err(RejectReason::BadZeroThreshold);
        }
        self.judge_counts(numbers.zero_count)
    }

    /// Whether `rest` and all buckets add up to the count, and nothing sums up to nothing.
    fn judge_counts(&self, rest: u64) -> Result<(), RejectReason> {
        let buckets = [&self.counts, &self.positive.counts, &self.negative.counts];
        let mut counts = buckets.into_iter().flatten();
        let total = counts.try_fold(rest, |total, count| total.checked_add(*count));
        if total != Some(self.numbers.count) {
            return Err(RejectReason::CountMismatch);
        }
        match (self.numbers.count, self.numbers.sum) {
            (0, Some(sum)) if sum != 0.0 => Err(RejectReason::SumOfNothing),
            _ => Ok(()),
        }
    }

    fn judge_summary(&self) -> Result<(), RejectReason> {
        let mut quantiles = self.quantiles.iter();
        match quantiles.all(|(quantile, _)| (0.0..=1.0).contains(quantile)) {
            true => Ok(()),
            false => Err(RejectReason::BadQuantile),
        }
    }
}

impl RawBuckets {
    /// Reads one part; several are merged, as protobuf has it.
    fn read(&mut self, bytes: &[u8], check: &mut Check) -> Result<(), Stop> {
        const OFFSET: u32 = key(1, VARINT);
        const COUNTS: u32 = key(2, BYTES);
        const ONE_COUNT: u32 = key(2, VARINT);
        check.spend(1)?;
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field {
                OFFSET => self.offset = zigzag(&mut wire)?,
                COUNTS => {
                    let packed = wire.bytes()?;
                    check.spend(1 + packed_items(VARINT, packed))?;
                    let mut numbers = Wire::new(packed);
                    while !numbers.rest().is_empty() {
                        self.counts.push(numbers.varint()?);
                    }
                }
                ONE_COUNT => {
                    check.spend(1)?;
                    self.counts.push(wire.varint()?);
                }
                field => other(&BUCKETS, field, &mut wire, (check, POINT_DEPTH + 1))?,
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.offset = 0;
        self.counts.clear();
    }
}

fn quantile(bytes: &[u8], check: &mut Check) -> Result<(f64, f64), Stop> {
    const AT: u32 = key(1, FIXED64);
    const VALUE: u32 = key(2, FIXED64);
    let (mut at, mut value) = (0.0, 0.0);
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next_key()? {
        match field {
            AT => at = double(&mut wire)?,
            VALUE => value = double(&mut wire)?,
            field => other(&QUANTILE, field, &mut wire, (check, POINT_DEPTH + 1))?,
        }
    }
    Ok((at, value))
}

/// Steps over a field of `message` at `depth` that is none of those expected there.
#[cold]
pub(super) fn other(
    message: &'static Message,
    field: u32,
    wire: &mut Wire<'_>,
    (check, depth): (&mut Check, u32),
) -> Result<(), Stop> {
    if message.knows(field) {
        return Err(Problem::WrongWireType.into());
    }
    check.spend(1)?;
    wire.skip(field, depth, check.depth_max)
}

fn double(wire: &mut Wire<'_>) -> Result<f64, Stop> {
    wire.fixed64().map(f64::from_bits)
}

fn zigzag(wire: &mut Wire<'_>) -> Result<i32, Stop> {
    let word = wire.varint()? as u32;
    Ok((word >> 1) as i32 ^ -((word & 1) as i32))
}

/// Appends packed eight-byte words.
fn words<T>(
    wire: &mut Wire<'_>,
    check: &mut Check,
    into: &mut Vec<T>,
    read: fn(u64) -> T,
) -> Result<(), Stop> {
    check.spend(1)?;
    let (words, rest) = wire.bytes()?.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Problem::Truncated.into());
    }
    into.extend(words.iter().map(|word| read(u64::from_le_bytes(*word))));
    Ok(())
}
