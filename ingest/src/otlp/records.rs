//! Log records on the wire, the rules by which they are accepted, and the columns of a [`LogBatch`].
//!
//! An id that is none is no reason to reject a record: it is then associated with no trace, as OTLP asks.

use super::batch::{Builder, Place, Texts};
use super::column::{Table, tight};
use super::error::{Problem, RejectReason, Stop};
use super::rules::{event_time, ids, in_range, small_enum};
use super::schema::{ANY_VALUE, LOG_RECORD, replace_text};
use super::value::{AnyValue, Merged};
use super::walk::{ITEM_DEPTH, Reader, Shared};
use super::wire::{BYTES, FIXED32, FIXED64, VARINT, Wire, key};
use engine::anomaly;
use engine::batch::Batch;
use engine::hash::HashSeed;
use engine::items::{Signal, ValueKind};
use engine::log_record::{Bodies, LogBatch};
use engine::time::Timestamp;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Depth of the values of a record's attributes: record, key-value, value.
const VALUE_DEPTH: u32 = ITEM_DEPTH + 2;
const BODY_DEPTH: u32 = ITEM_DEPTH + 1;

const TIME: u32 = key(1, FIXED64);
const SEVERITY: u32 = key(2, VARINT);
const SEVERITY_TEXT: u32 = key(3, BYTES);
const BODY: u32 = key(5, BYTES);
const ATTRIBUTE: u32 = key(6, BYTES);
const DROPPED_ATTRIBUTES: u32 = key(7, VARINT);
const FLAGS: u32 = key(8, FIXED32);
const TRACE_ID: u32 = key(9, BYTES);
const SPAN_ID: u32 = key(10, BYTES);
const OBSERVED_TIME: u32 = key(11, FIXED64);
const EVENT_NAME: u32 = key(12, BYTES);

/// The fields of one record as sent; absent ones are empty or 0.
#[derive(Default)]
struct RawRecord<'a> {
    time: u64,
    observed_time: u64,
    severity: u64,
    severity_text: &'a [u8],
    body: Merged<'a>,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Reads the record's own fields and gathers its attributes. Texts and body are not checked.
    fn read(
        &mut self,
        bytes: &'a [u8],
        attributes: &mut Vec<&'a [u8]>,
        shared: &mut Shared<'_, 'a>,
    ) -> Result<(), Stop> {
        let check = &mut shared.check;
        attributes.clear();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field {
                TIME => self.time = wire.fixed64()?,
                SEVERITY => self.severity = wire.varint()?,
                SEVERITY_TEXT => replace_text(&mut self.severity_text, wire.bytes()?)?,
                BODY => {
                    let part = wire.bytes()?;
                    self.body.add(part, (&ANY_VALUE, BODY_DEPTH), check)?;
                }
                ATTRIBUTE => {
                    check.spend(1)?;
                    attributes.push(wire.bytes()?);
                }
                FLAGS => self.flags = wire.fixed32()?,
                TRACE_ID => self.trace_id = wire.bytes()?,
                SPAN_ID => self.span_id = wire.bytes()?,
                OBSERVED_TIME => self.observed_time = wire.fixed64()?,
                EVENT_NAME => replace_text(&mut self.event_name, wire.bytes()?)?,
                DROPPED_ATTRIBUTES => drop(wire.varint()?),
                known if LOG_RECORD.knows(known) => return Err(Problem::WrongWireType.into()),
                unknown => {
                    check.spend(1)?;
                    wire.skip(unknown, ITEM_DEPTH, check.depth_max)?;
                }
            }
        }
        Ok(())
    }

    /// When it happened: its time, else its observed time, else when it was received.
    fn judge(&self, received: Timestamp, anomalies: &mut u16) -> Result<u64, RejectReason> {
        in_range([self.time, self.observed_time])?;
        let times = [self.time, self.observed_time, received.0];
        let event = times.into_iter().find(|time| *time != 0).unwrap_or(0);
        event_time(event, received, anomalies)?;
        Ok(event)
    }

    /// The ids, 0 where there is none. Zeros of the right length are one way to say "none"; any other length is odd.
    fn ids(&self, anomalies: &mut u16) -> (u128, u64) {
        if !matches!(self.trace_id.len(), 0 | 16) || !matches!(self.span_id.len(), 0 | 8) {
            *anomalies |= anomaly::BAD_TRACE_ID;
        }
        ids(self.trace_id, self.span_id)
    }
}

/// What is gathered of a record, and which records the request has had.
#[derive(Default)]
pub(super) struct Scratch<'a> {
    attributes: Vec<&'a [u8]>,
    /// How many records of this key came before.
    seen: HashMap<u64, u32, RandomState>,
}

impl Scratch<'_> {
    /// The item key of a record from `origin`: equal records of one request are told apart by their order.
    fn key(&mut self, origin: u128, record: &[u8], seed: HashSeed) -> u64 {
        let mut parts = [0; 28];
        parts[..16].copy_from_slice(&origin.to_le_bytes());
        parts[16..24].copy_from_slice(&seed.fingerprint(record).to_le_bytes());
        let first = seed.fingerprint(&parts);
        let before = self.seen.entry(first).or_default();
        let ordinal = *before;
        *before = before.saturating_add(1);
        if ordinal == 0 {
            return first;
        }
        parts[24..].copy_from_slice(&ordinal.to_le_bytes());
        seed.fingerprint(&parts)
    }
}

/// Columns that only records have; taken out whole when the batch is finished.
#[derive(Default)]
struct Rows {
    time: Vec<u64>,
    observed_time: Vec<u64>,
    trace_id: Vec<u128>,
    span_id: Vec<u64>,
    severity_number: Vec<u8>,
    severity_text: Vec<u16>,
    event_name: Vec<u16>,
    body_kinds: Vec<ValueKind>,
    bodies: Table,
    flags: Vec<u8>,
    key: Vec<u64>,
}

/// The log batch under construction.
#[derive(Default)]
pub(super) struct Records {
    common: Builder,
    rows: Rows,
    severity_texts: Texts,
    event_names: Texts,
}

impl Reader for Records {
    type Scratch<'a> = Scratch<'a>;
    const SIGNAL: Signal = Signal::Logs;
    const ITEM_BYTES_MIN: usize = 24;
    const EMPTY_COUNTS: bool = true;

    fn common(&mut self) -> &mut Builder {
        &mut self.common
    }

    fn reserve(&mut self, rows: usize) {
        self.common.reserve(rows);
        let own = &mut self.rows;
        own.time.reserve(rows);
        own.observed_time.reserve(rows);
        own.trace_id.reserve(rows);
        own.span_id.reserve(rows);
        own.severity_number.reserve(rows);
        own.severity_text.reserve(rows);
        own.event_name.reserve(rows);
        own.body_kinds.reserve(rows);
        own.flags.reserve(rows);
        own.key.reserve(rows);
    }

    fn item<'a>(
        &mut self,
        bytes: &'a [u8],
        scratch: &mut Scratch<'a>,
        shared: &mut Shared<'_, 'a>,
    ) -> Result<(), Stop> {
        let mut raw = RawRecord::default();
        raw.read(bytes, &mut scratch.attributes, shared)?;
        shared.items_seen += 1;
        let mut anomalies = 0;
        let time = match raw.judge(shared.context.received, &mut anomalies) {
            Ok(time) => time,
            Err(reason) => {
                shared.check.message(&LOG_RECORD, bytes, ITEM_DEPTH)?;
                shared.reject(reason, "record", raw.event_name);
                return Ok(());
            }
        };
        let place = shared.place(self)?;
        let key = scratch.key(shared.origin_hash(), bytes, shared.context.seed);
        anomalies |= self.texts(&raw, shared)?;
        let limits = &shared.context.limits;
        let attributes = &scratch.attributes;
        let check = &mut shared.check;
        anomalies |= self
            .common
            .attributes(attributes, VALUE_DEPTH, limits, check)?;
        self.push((&raw, time, key), place, anomalies, shared);
        self.common.grow(bytes.len());
        Ok(())
    }

    fn take(&mut self, received: Timestamp) -> Batch {
        let common = self.common.take(received);
        let mut rows = std::mem::take(&mut self.rows);
        Batch::Logs(LogBatch {
            items: common.items,
            time: tight(rows.time).into(),
            observed_time: tight(rows.observed_time).into(),
            trace_id: tight(rows.trace_id).into(),
            span_id: tight(rows.span_id).into(),
            severity_number: tight(rows.severity_number).into(),
            severity_texts: self.severity_texts.take(),
            severity_text: tight(rows.severity_text).into(),
            event_names: self.event_names.take(),
            event_name: tight(rows.event_name).into(),
            bodies: Bodies {
                kinds: tight(rows.body_kinds),
                values: rows.bodies.take(),
            },
            flags: tight(rows.flags).into(),
            anomalies: common.anomalies.into(),
            key: tight(rows.key).into(),
            shard: common.shard.into(),
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

impl Records {
    /// Stores severity text, event name and body of the next row; returns the anomalies met.
    fn texts(&mut self, raw: &RawRecord<'_>, shared: &mut Shared<'_, '_>) -> Result<u16, Stop> {
        let limits = &shared.context.limits;
        let (bytes_max, mut anomalies) = (limits.value_bytes_max, 0);
        let severity = self
            .severity_texts
            .code(raw.severity_text, bytes_max, &mut anomalies)?;
        let name = self
            .event_names
            .code(raw.event_name, bytes_max, &mut anomalies)?;
        let mut body = AnyValue::read(raw.body.bytes(), &mut shared.check, BODY_DEPTH)?;
        if body.cut(limits.body_bytes_max) {
            anomalies |= anomaly::TRUNCATED_VALUE;
        }
        self.rows.severity_text.push(severity);
        self.rows.event_name.push(name);
        self.rows.body_kinds.push(body.kind);
        self.rows.bodies.push(body.stored());
        Ok(anomalies)
    }

    /// Ends the row: everything that is no text and no attribute.
    fn push(
        &mut self,
        (raw, time, key): (&RawRecord<'_>, u64, u64),
        place: Place,
        mut anomalies: u16,
        shared: &Shared<'_, '_>,
    ) {
        let (trace_id, span_id) = raw.ids(&mut anomalies);
        let seed = shared.context.seed;
        let shard = match trace_id {
            0 => seed.shard(u128::from(key)),
            trace_id => self.common.trace_shard(trace_id, seed),
        };
        self.common.push(place, anomalies | place.inherited, shard);
        let rows = &mut self.rows;
        rows.time.push(time);
        rows.observed_time.push(raw.observed_time);
        rows.trace_id.push(trace_id);
        rows.span_id.push(span_id);
        rows.severity_number.push(small_enum(raw.severity));
        rows.flags.push(raw.flags as u8);
        rows.key.push(key);
    }
}
