//! The rules that items of every signal share: ids, and the times that can be accepted.

use super::error::RejectReason;
use engine::anomaly;
use engine::time::{NANOS_PER_SEC, Timestamp};

/// Times from the year 2262 on do not fit signed nanoseconds.
const TIME_MAX: u64 = i64::MAX as u64;
/// What happens later than this after it was received waits outside SLO math.
const FUTURE_NANOS: u64 = 60 * NANOS_PER_SEC;
/// What happens later than this after it was received is rejected.
const FUTURE_MAX_NANOS: u64 = 3_600 * NANOS_PER_SEC;
/// The longest SLO window is 400 days; what happened before it is rejected.
const PAST_MAX_NANOS: u64 = 400 * 86_400 * NANOS_PER_SEC;

/// Whether `times` can be written as signed nanoseconds.
#[inline(always)]
pub(super) fn in_range(times: [u64; 2]) -> Result<(), RejectReason> {
    match times[0] > TIME_MAX || times[1] > TIME_MAX {
        true => Err(RejectReason::TimeOutOfRange),
        false => Ok(()),
    }
}

/// Whether an item that happened at `event` can count; one that lies a little ahead of `received` is marked.
#[inline(always)]
pub(super) fn event_time(
    event: u64,
    received: Timestamp,
    anomalies: &mut u16,
) -> Result<(), RejectReason> {
    let ahead = Timestamp(event).since(received);
    if ahead > FUTURE_MAX_NANOS {
        return Err(RejectReason::TooFarInFuture);
    }
    if ahead > FUTURE_NANOS {
        *anomalies |= anomaly::FUTURE;
    }
    if received.since(Timestamp(event)) > PAST_MAX_NANOS {
        return Err(RejectReason::TooOld);
    }
    Ok(())
}

/// `bytes` as an id of `N` bytes, if it has that length.
#[inline(always)]
pub(super) fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// The ids of a trace and a span, each 0 when it is none.
#[inline(always)]
pub(super) fn ids(trace_id: &[u8], span_id: &[u8]) -> (u128, u64) {
    let trace_id = id::<16>(trace_id).map_or(0, u128::from_be_bytes);
    let span_id = id::<8>(span_id).map_or(0, u64::from_be_bytes);
    (trace_id, span_id)
}

/// A number of an enum as one byte; what does not fit reads as 255, which stands for no known member.
#[inline(always)]
pub(super) fn small_enum(number: u64) -> u8 {
    u8::try_from(number as i32).unwrap_or(u8::MAX)
}
