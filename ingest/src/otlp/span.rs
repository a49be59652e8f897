//! One span on the wire: its fields, and the rules by which it is accepted or rejected.

use super::check::Check;
use super::error::{Problem, RejectReason, Stop};
use super::rules::{event_time, id, ids, in_range, small_enum};
use super::schema::{STATUS, replace_text, text};
use super::wire::{BYTES, FIXED32, FIXED64, VARINT, Wire, key};
use engine::anomaly;
use engine::span::{DURATION_UNKNOWN, status};
use engine::time::Timestamp;

/// Depth of a span: request, resource spans, scope spans, span.
pub(super) const SPAN_DEPTH: u32 = 3;
/// Flag bits that have a meaning: 0-7 W3C, 8-9 remote parent.
const FLAGS: u32 = 0x3ff;

const TRACE_ID: u32 = key(1, BYTES);
const SPAN_ID: u32 = key(2, BYTES);
const TRACE_STATE: u32 = key(3, BYTES);
const PARENT_ID: u32 = key(4, BYTES);
const NAME: u32 = key(5, BYTES);
const KIND: u32 = key(6, VARINT);
const START: u32 = key(7, FIXED64);
const END: u32 = key(8, FIXED64);
const ATTRIBUTE: u32 = key(9, BYTES);
const DROPPED_ATTRIBUTES: u32 = key(10, VARINT);
const EVENT: u32 = key(11, BYTES);
const DROPPED_EVENTS: u32 = key(12, VARINT);
const LINK: u32 = key(13, BYTES);
const DROPPED_LINKS: u32 = key(14, VARINT);
const STATUS_FIELD: u32 = key(15, BYTES);
const FLAGS_FIELD: u32 = key(16, FIXED32);
const STATUS_MESSAGE: u32 = key(2, BYTES);
const STATUS_CODE: u32 = key(3, VARINT);

/// The fields of one span as sent; absent ones are empty or 0.
#[derive(Default)]
pub(super) struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    pub(super) trace_state: &'a str,
    pub(super) name: &'a [u8],
    pub(super) status_message: &'a str,
    kind: u64,
    status: u64,
    flags: u32,
    start: u64,
    end: u64,
}

/// The repeated fields of one span, encoded; reused from span to span.
#[derive(Default)]
pub(super) struct Children<'a> {
    pub(super) attributes: Vec<&'a [u8]>,
    pub(super) events: Vec<&'a [u8]>,
    pub(super) links: Vec<&'a [u8]>,
}

impl<'a> RawSpan<'a> {
    /// Reads the span's own fields and gathers its children, which are not looked into. The name is not checked.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        bytes: &'a [u8],
        children: &mut Children<'a>,
        check: &mut Check,
    ) -> Result<(), Stop> {
        let span = self;
        children.attributes.clear();
        children.events.clear();
        children.links.clear();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field {
                TRACE_ID => span.trace_id = wire.bytes()?,
                SPAN_ID => span.span_id = wire.bytes()?,
                TRACE_STATE => span.trace_state = text(wire.bytes()?)?,
                PARENT_ID => span.parent_id = wire.bytes()?,
                NAME => replace_text(&mut span.name, wire.bytes()?)?,
                KIND => span.kind = wire.varint()?,
                START => span.start = wire.fixed64()?,
                END => span.end = wire.fixed64()?,
                ATTRIBUTE => loop {
                    check.spend(1)?;
                    children.attributes.push(wire.bytes()?);
                    // Attributes stand together.
                    if !wire.skip_byte(ATTRIBUTE as u8) {
                        break;
                    }
                },
                EVENT => children.events.push(wire.bytes()?),
                LINK => children.links.push(wire.bytes()?),
                STATUS_FIELD => span.read_status(wire.bytes()?, check)?,
                FLAGS_FIELD => span.flags = wire.fixed32()?,
                DROPPED_ATTRIBUTES | DROPPED_EVENTS | DROPPED_LINKS => {
                    wire.varint()?;
                }
                known if known >> 3 <= 16 => return Err(Problem::WrongWireType.into()),
                unknown => {
                    check.spend(1)?;
                    wire.skip(unknown, SPAN_DEPTH, check.depth_max)?;
                }
            }
            // Spent as they are gathered, so that no list outgrows the budget.
            if matches!(field, EVENT | LINK) {
                check.spend(1)?;
            }
        }
        Ok(())
    }

    fn read_status(&mut self, bytes: &'a [u8], check: &mut Check) -> Result<(), Stop> {
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field {
                STATUS_MESSAGE => self.status_message = text(wire.bytes()?)?,
                STATUS_CODE => self.status = wire.varint()?,
                _ => {
                    // Unknown, or wrong: the schema tells.
                    return self.read_odd_status(bytes, check);
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn read_odd_status(&mut self, bytes: &'a [u8], check: &mut Check) -> Result<(), Stop> {
        check.message(&STATUS, bytes, SPAN_DEPTH + 1)?;
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field >> 3 {
                2 => self.status_message = text(wire.bytes()?)?,
                3 => self.status = wire.varint()?,
                _ => wire.skip(field, SPAN_DEPTH + 1, check.depth_max)?,
            }
        }
        Ok(())
    }

    /// Applies the rules for ids and times; `received` is when the request came.
    #[inline(always)]
    pub(super) fn judge(&self, received: Timestamp) -> Result<Judged, RejectReason> {
        let (trace_id, span_id) = ids(self.trace_id, self.span_id);
        if trace_id == 0 {
            return Err(RejectReason::BadTraceId);
        }
        if span_id == 0 {
            return Err(RejectReason::BadSpanId);
        }
        let mut anomalies = 0;
        let parent_id = self.parent(span_id, &mut anomalies);
        let (end, duration) = self.times(received, &mut anomalies)?;
        Ok(Judged {
            trace_id,
            span_id,
            parent_id,
            start: self.start,
            end,
            duration,
            kind: small_enum(self.kind),
            status: self.status(&mut anomalies),
            flags: (self.flags & FLAGS) as u16,
            anomalies,
        })
    }

    fn parent(&self, span_id: u64, anomalies: &mut u16) -> u64 {
        match id::<8>(self.parent_id).map(u64::from_be_bytes) {
            Some(parent) if parent == span_id => {
                *anomalies |= anomaly::SELF_PARENT;
                0
            }
            Some(parent) => parent,
            None => {
                if !self.parent_id.is_empty() {
                    *anomalies |= anomaly::BAD_PARENT;
                }
                0
            }
        }
    }

    /// Event time and duration.
    fn times(&self, received: Timestamp, anomalies: &mut u16) -> Result<(u64, u64), RejectReason> {
        in_range([self.start, self.end])?;
        let (end, duration) = match (self.start, self.end) {
            (0, 0) => return Err(RejectReason::NoTime),
            (0, end) => (end, DURATION_UNKNOWN),
            (start, end) if end < start => (start, DURATION_UNKNOWN),
            (start, end) => (end, end - start),
        };
        if duration == DURATION_UNKNOWN {
            *anomalies |= anomaly::NEGATIVE_DURATION;
        }
        event_time(end, received, anomalies)?;
        Ok((end, duration))
    }

    fn status(&self, anomalies: &mut u16) -> u8 {
        match self.status as i32 {
            0 => status::UNSET,
            1 => status::OK,
            2 => status::ERROR,
            _ => {
                *anomalies |= anomaly::UNKNOWN_STATUS;
                status::UNSET
            }
        }
    }
}

/// A span that is accepted: what goes into the row columns.
pub(super) struct Judged {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) parent_id: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) duration: u64,
    pub(super) kind: u8,
    pub(super) status: u8,
    pub(super) flags: u16,
    pub(super) anomalies: u16,
}
