//! What is known of the telemetry of one revision: how late, how odd, how sampled it arrives. Doctors read it; of the
//! gate only lateness and tail sampling.
//!
//! Minutes are kept in six slots, marks in two windows of [`MARKS_NANOS`]: what was mended is forgotten after ten
//! minutes, and a source takes the same few hundred bytes however much it sends.

use crate::delta::{Mark, Marks, ResourceDelta};
use crate::items::Signal;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};

/// LATE_INPUT: the least (receive - end) of a source is above this ...
pub const LATE_LAG_NANOS: i64 = 10 * NANOS_PER_SEC as i64;
/// ... for this long.
pub const LATE_FOR_NANOS: u64 = 60 * NANOS_PER_SEC;
/// A source counts as sampled for this long after the last item that a sampler had marked.
pub const SAMPLED_FOR_NANOS: u64 = 3_600 * NANOS_PER_SEC;
/// Length of one of the two windows that marks are counted in.
pub const MARKS_NANOS: u64 = 300 * NANOS_PER_SEC;
/// A source that sent nothing for this long is no longer live.
pub const LIVE_NANOS: u64 = 60 * NANOS_PER_SEC;

const SLOTS: usize = 6;
const SLOT_NANOS: u64 = LIVE_NANOS / SLOTS as u64;

/// Whether what arrives is everything that happened.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Sampling {
    /// Nothing says otherwise.
    #[default]
    None,
    /// Traces were chosen at their start: ratios hold, counts do not.
    Head,
    /// Traces were chosen by their outcome: neither counts nor ratios hold.
    Tail,
}

impl Sampling {
    /// Lower-case word; empty for [`Sampling::None`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Head => "head",
            Self::Tail => "tail",
        }
    }
}

/// How the items of a source arrive: too late, sampled. Both rest on what is said with every tick, so nothing of it
/// depends on how the work is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arrival {
    late_since: Option<Timestamp>,
    heard: Timestamp,
    head_sampled: Option<Timestamp>,
    tail_sampled: Option<Timestamp>,
}

impl Arrival {
    /// Takes note of what a resource of the source sent.
    pub fn note(&mut self, now: Timestamp, row: &ResourceDelta) {
        if row.lag_min <= LATE_LAG_NANOS {
            self.late_since = None;
        } else {
            self.late_since.get_or_insert(now);
        }
        self.heard = now;
        if row.marks.of(Mark::HeadSampled) > 0 {
            self.head_sampled = Some(now);
        }
        if row.marks.of(Mark::TailSampled) > 0 {
            self.tail_sampled = Some(now);
        }
    }

    /// LATE_INPUT: for a minute and until now, nothing came earlier than 10 s after it had ended.
    pub fn is_late(&self, now: Timestamp) -> bool {
        let since = self.late_since.map(|since| self.heard.since(since));
        since.is_some_and(|held| held >= LATE_FOR_NANOS) && now.since(self.heard) <= LIVE_NANOS
    }

    /// The worst sampling seen of late.
    pub fn sampling(&self, now: Timestamp) -> Sampling {
        let is_recent =
            |at: Option<Timestamp>| at.is_some_and(|at| now.since(at) <= SAMPLED_FOR_NANOS);
        if is_recent(self.tail_sampled) {
            Sampling::Tail
        } else if is_recent(self.head_sampled) {
            Sampling::Head
        } else {
            Sampling::None
        }
    }
}

/// Items and least lag of the last minute, in slots of 10 s: (number, items, lag).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Minute {
    slots: [(u64, u64, i64); SLOTS],
}

impl Minute {
    fn add(&mut self, now: Timestamp, items: u64, lag: i64) {
        let number = now.0 / SLOT_NANOS;
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.0 != number {
            *slot = (number, 0, i64::MAX);
        }
        slot.1 += items;
        slot.2 = slot.2.min(lag);
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = &(u64, u64, i64)> {
        let oldest = (now.0 / SLOT_NANOS).saturating_sub(SLOTS as u64 - 1);
        self.slots
            .iter()
            .filter(move |slot| slot.0 >= oldest && slot.1 > 0)
    }
}

/// Marks of one window.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Window {
    number: u64,
    items: u64,
    marks: Marks,
    odd: u16,
}

/// One signal of one revision.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceState {
    minute: Minute,
    windows: [Window; 2],
    arrival: Arrival,
}

impl SourceState {
    /// Takes note of what a resource of the revision sent of this signal.
    pub fn note(&mut self, now: Timestamp, row: &ResourceDelta) {
        self.minute.add(now, row.items, row.lag_min);
        self.arrival.note(now, row);
        let number = now.0 / MARKS_NANOS;
        let window = &mut self.windows[(number % 2) as usize];
        if window.number != number {
            *window = Window {
                number,
                ..Window::default()
            };
        }
        window.items += row.items;
        window.marks.merge(&row.marks);
        window.odd |= row.odd;
    }

    /// The row to publish.
    pub fn row(&self, now: Timestamp, signal: Signal) -> SourceRow {
        let newest = now.0 / MARKS_NANOS;
        let mut row = SourceRow {
            signal,
            items_last_minute: self.minute.live(now).map(|slot| slot.1).sum(),
            lag_nanos: self.minute.live(now).map(|slot| slot.2).min(),
            is_late: self.arrival.is_late(now),
            sampling: self.arrival.sampling(now),
            items: 0,
            marks: Marks::default(),
            odd: 0,
            last_seen: self.arrival.heard,
        };
        let recent = self
            .windows
            .iter()
            .filter(|window| window.number + 1 >= newest && window.number <= newest);
        for window in recent {
            row.items += window.items;
            row.marks.merge(&window.marks);
            row.odd |= window.odd;
        }
        row
    }
}

/// One signal of one revision as published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Signal.
    pub signal: Signal,
    /// Items folded in the last 60 s.
    pub items_last_minute: u64,
    /// Least (receive - event time) over 60 s, ns; negative when its clock runs ahead, `None` without items.
    pub lag_nanos: Option<i64>,
    /// LATE_INPUT holds.
    pub is_late: bool,
    /// The worst sampling of the last hour.
    pub sampling: Sampling,
    /// Items of the last 5 to 10 min ...
    pub items: u64,
    /// ... what was remarkable in them ...
    pub marks: Marks,
    /// ... and which anomalies they bear ([`crate::anomaly`]).
    pub odd: u16,
    /// Logical time of the last item.
    pub last_seen: Timestamp,
}

#[cfg(test)]
mod tests;
