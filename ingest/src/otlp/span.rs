//! One span on the wire: its fields, and the rules by which it is accepted or rejected.

use super::check::Check;
use super::error::{Problem, RejectReason, Stop};
use super::schema::{STATUS, text};
use super::wire::{BYTES, FIXED32, FIXED64, VARINT, Wire, key};
use engine::anomaly;
use engine::span::{DURATION_UNKNOWN, status};
use engine::time::{NANOS_PER_SEC, Timestamp};

/// Depth of a span: request, resource spans, scope spans, span.
pub(super) const SPAN_DEPTH: u32 = 3;
/// Times from the year 2262 on do not fit signed nanoseconds.
const TIME_MAX: u64 = i64::MAX as u64;
/// A span that ends later than this after it was received waits outside SLO math.
const FUTURE_NANOS: u64 = 60 * NANOS_PER_SEC;
/// A span that ends later than this after it was received is rejected.
const FUTURE_MAX_NANOS: u64 = 3_600 * NANOS_PER_SEC;
/// The longest SLO window is 400 days; what ended before it is rejected.
const PAST_MAX_NANOS: u64 = 400 * 86_400 * NANOS_PER_SEC;
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
                NAME => {
                    if !span.name.is_empty() {
                        text(span.name)?;
                    }
                    span.name = wire.bytes()?;
                }
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
        let trace_id = id::<16>(self.trace_id).map_or(0, u128::from_be_bytes);
        if trace_id == 0 {
            return Err(RejectReason::BadTraceId);
        }
        let span_id = id::<8>(self.span_id).map_or(0, u64::from_be_bytes);
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
            kind: self.kind(),
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
        if self.start > TIME_MAX || self.end > TIME_MAX {
            return Err(RejectReason::TimeOutOfRange);
        }
        let (end, duration) = match (self.start, self.end) {
            (0, 0) => return Err(RejectReason::NoTime),
            (0, end) => (end, DURATION_UNKNOWN),
            (start, end) if end < start => (start, DURATION_UNKNOWN),
            (start, end) => (end, end - start),
        };
        if duration == DURATION_UNKNOWN {
            *anomalies |= anomaly::NEGATIVE_DURATION;
        }
        let ahead = Timestamp(end).since(received);
        if ahead > FUTURE_MAX_NANOS {
            return Err(RejectReason::TooFarInFuture);
        }
        if ahead > FUTURE_NANOS {
            *anomalies |= anomaly::FUTURE;
        }
        if received.since(Timestamp(end)) > PAST_MAX_NANOS {
            return Err(RejectReason::TooOld);
        }
        Ok((end, duration))
    }

    /// Unknown kinds are kept as far as they fit a byte, as 255 otherwise.
    fn kind(&self) -> u8 {
        u8::try_from(self.kind as i32).unwrap_or(u8::MAX)
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

/// `bytes` as an id of `N` bytes, if it has that length.
#[inline(always)]
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// The ids of a link; `None` when either is invalid.
pub(super) fn link_ids(trace_id: &[u8], span_id: &[u8]) -> Option<(u128, u64)> {
    let trace_id = id::<16>(trace_id).map_or(0, u128::from_be_bytes);
    let span_id = id::<8>(span_id).map_or(0, u64::from_be_bytes);
    (trace_id != 0 && span_id != 0).then_some((trace_id, span_id))
}
