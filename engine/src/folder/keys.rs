//! Item keys: has this span been counted before?
//!
//! A key is two keyed 64-bit fingerprints, of the ids and of the content. Equal in both = the same span again; equal
//! ids with other content = a conflict (both are counted). 16 bytes a key, linear probing, no deletion: tables are
//! emptied as a whole by [`super::generations`]. A false duplicate needs a collision of both fingerprints.

use super::generations::{Generations, Table};
use crate::hash::HashSeed;
use crate::span::{DURATION_UNKNOWN, SpanBatch};

/// The key of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ItemKey {
    /// Of (trace id, span id, kind); never 0. A client and a server that share a span id (Zipkin) are two items.
    pub(super) ids: u64,
    /// Of `ids` and (start, end, status, whether the duration is known).
    pub(super) content: u64,
}

impl ItemKey {
    /// The key of `row`.
    pub(super) fn of(seed: HashSeed, batch: &SpanBatch, row: usize) -> Self {
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(&batch.trace_id[row].to_le_bytes());
        bytes[16..24].copy_from_slice(&batch.span_id[row].to_le_bytes());
        bytes[24] = batch.kind[row];
        let ids = seed.fingerprint(&bytes).max(1);
        bytes[..8].copy_from_slice(&ids.to_le_bytes());
        bytes[8..16].copy_from_slice(&batch.start[row].to_le_bytes());
        bytes[16..24].copy_from_slice(&batch.end[row].to_le_bytes());
        bytes[24] = batch.status[row];
        bytes[25] = u8::from(batch.duration[row] == DURATION_UNKNOWN);
        Self {
            ids,
            content: seed.fingerprint(&bytes),
        }
    }

    /// The key of a log record, by the item key that was made when it was decoded.
    pub(super) const fn of_record(key: u64) -> Self {
        Self {
            ids: if key == 0 { 1 } else { key },
            content: RECORDS,
        }
    }
}

impl ItemKey {
    /// The key of a metric point by its stream and times; `value` tells points apart that claim the same ones.
    pub(super) fn of_point(seed: HashSeed, stream: u128, times: (u64, u64), value: u64) -> Self {
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(&stream.to_le_bytes());
        bytes[16..24].copy_from_slice(&times.0.to_le_bytes());
        bytes[24..].copy_from_slice(&times.1.to_le_bytes());
        let ids = seed.fingerprint(&bytes).max(1);
        bytes[..8].copy_from_slice(&value.to_le_bytes());
        bytes[8..16].copy_from_slice(b"a point\0");
        Self {
            ids,
            content: seed.fingerprint(&bytes),
        }
    }
}

/// Content of every record's key: it keeps records and spans apart in the one table.
const RECORDS: u64 = u64::from_le_bytes(*b"records\0");

/// What a lookup found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// New ids.
    First,
    /// Known ids with other content.
    Conflict,
    /// The same span again.
    Duplicate,
}

/// One generation of item keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Power-of-two many; ids 0 = free.
    slots: Vec<[u64; 2]>,
    len: usize,
}

impl Table for Keys {
    fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill([0, 0]);
            self.len = 0;
        }
    }
}

impl Keys {
    /// Reads the slot where the search for `key` would begin: many independent reads ahead of the searches let the
    /// memory answer them side by side.
    #[inline]
    pub(super) fn touch(&self, key: ItemKey) -> u64 {
        match self.slots.len() {
            0 => 0,
            slots => self.slots[key.ids as usize & (slots - 1)][0],
        }
    }

    /// What is known of `key`, and the free slot its search ended at.
    #[inline]
    fn find(&self, key: ItemKey) -> (Sighting, usize) {
        let mut sighting = Sighting::First;
        if self.slots.is_empty() {
            return (sighting, 0);
        }
        let mask = self.slots.len() - 1;
        let mut at = key.ids as usize & mask;
        loop {
            match self.slots[at] {
                [0, _] => return (sighting, at),
                [ids, content] if ids == key.ids => {
                    if content == key.content {
                        return (Sighting::Duplicate, at);
                    }
                    sighting = Sighting::Conflict;
                }
                _ => {}
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, key: ItemKey, free: usize) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
            let (_, free) = self.find(key);
            self.slots[free] = [key.ids, key.content];
        } else {
            self.slots[free] = [key.ids, key.content];
        }
        self.len += 1;
    }

    fn grow(&mut self) {
        let wider = vec![[0, 0]; (self.slots.len() * 2).max(64)];
        for [ids, content] in std::mem::replace(&mut self.slots, wider) {
            if ids != 0 {
                let (_, free) = self.find(ItemKey { ids, content });
                self.slots[free] = [ids, content];
            }
        }
    }
}

impl Generations<Keys> {
    /// Looks `key` up in both generations and remembers it.
    pub(super) fn see(&mut self, key: ItemKey) -> Sighting {
        let (before, _) = self.previous.find(key);
        if before == Sighting::Duplicate {
            return before;
        }
        let (now, free) = self.current.find(key);
        if now == Sighting::Duplicate {
            return now;
        }
        self.current.insert(key, free);
        if before == Sighting::Conflict {
            before
        } else {
            now
        }
    }
}
