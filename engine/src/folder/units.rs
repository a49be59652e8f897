//! Units of assignment: (trace, service), judged by its earliest entry span.
//!
//! Retries and several entries of one trace are not independent draws; the gate tests units. The earliest entry span
//! may arrive late: the unit is then taken back from where it was counted and counted anew, so that what has been
//! said in the end does not depend on the order of arrival.

use super::generations::{Generations, Table};
use crate::hash::HashSeed;
use crate::identity::ServiceId;
use crate::latency;
use crate::span::{DURATION_UNKNOWN, SpanBatch};
use crate::time::Timestamp;

/// Latency bucket of a unit whose duration is unknown.
pub(super) const LATENCY_UNKNOWN: u8 = u8::MAX;

/// A unit as its earliest entry span says. Ordered by (start, span id, content): spans that claim the same ids still
/// have one order, whoever came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Unit {
    /// Start of the span, ns (its end when the start is unknown).
    pub(super) start: u64,
    pub(super) span_id: u64,
    /// [`super::keys::ItemKey::content`] of the span.
    pub(super) content: u64,
    /// Second of the span's end.
    pub(super) second: u64,
    pub(super) route: u16,
    pub(super) latency: u8,
    pub(super) failed: bool,
    /// Index of (service, revision) in [`super::arms::Arms`].
    pub(super) arm: u32,
}

impl Unit {
    /// The unit as the entry span `row` would have it, its arm still open.
    pub(super) fn of(
        batch: &SpanBatch,
        row: usize,
        content: u64,
        route: u16,
        failed: bool,
    ) -> Self {
        let (start, end) = (batch.start[row], batch.end[row]);
        let duration = batch.duration[row];
        Self {
            start: if start == 0 { end } else { start },
            span_id: batch.span_id[row],
            content,
            second: Timestamp(end).secs(),
            route,
            latency: if duration == DURATION_UNKNOWN {
                LATENCY_UNKNOWN
            } else {
                latency::bucket(duration)
            },
            failed,
            arm: 0,
        }
    }
}

/// The key of the unit (trace, service); never 0.
pub(super) fn unit_key(seed: HashSeed, trace_id: u128, service: ServiceId) -> u64 {
    let mut bytes = [0u8; 32];
    bytes[..16].copy_from_slice(&trace_id.to_le_bytes());
    bytes[16..].copy_from_slice(&service.0.to_le_bytes());
    seed.fingerprint(&bytes).max(1)
}

/// What an entry span changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Its unit is new.
    New,
    /// Its unit was judged by an earlier span: nothing.
    Joined,
    /// It is earlier than the span its unit was judged by: that one is taken back.
    Replaced(Unit),
}

/// One slot of the table; key 0 = free. 48 bytes, so that a search mostly touches one cache line.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    unit: Unit,
}

/// One generation of units: linear probing, no deletion.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Power-of-two many.
    slots: Vec<Slot>,
    len: usize,
}

impl Table for Units {
    fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill(Slot::default());
            self.len = 0;
        }
    }
}

impl Units {
    /// See [`super::keys::Keys::touch`].
    #[inline]
    pub(super) fn touch(&self, key: u64) -> u64 {
        match self.slots.len() {
            0 => 0,
            slots => self.slots[key as usize & (slots - 1)].key,
        }
    }

    /// The slot of `key`, or the free one where it belongs. The table is never empty or full here.
    #[inline]
    fn slot(&mut self, key: u64) -> &mut Slot {
        let mask = self.slots.len() - 1;
        let mut at = key as usize & mask;
        while self.slots[at].key != 0 && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        &mut self.slots[at]
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut Unit> {
        if self.len == 0 {
            return None;
        }
        let slot = self.slot(key);
        (slot.key == key).then_some(&mut slot.unit)
    }

    fn insert(&mut self, key: u64, unit: Unit) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        *self.slot(key) = Slot { key, unit };
        self.len += 1;
    }

    fn grow(&mut self) {
        let wider = vec![Slot::default(); (self.slots.len() * 2).max(64)];
        for held in std::mem::replace(&mut self.slots, wider) {
            if held.key != 0 {
                *self.slot(held.key) = held;
            }
        }
    }
}

impl Generations<Units> {
    /// Tells the unit `key` of one more entry span.
    pub(super) fn observe(&mut self, key: u64, unit: Unit) -> Change {
        let known = match self.previous.get_mut(key) {
            Some(known) => Some(known),
            None => self.current.get_mut(key),
        };
        match known {
            None => {
                self.current.insert(key, unit);
                Change::New
            }
            Some(known) if unit < *known => Change::Replaced(std::mem::replace(known, unit)),
            Some(_) => Change::Joined,
        }
    }
}
