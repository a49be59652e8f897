//! The trace table of a shard: every span of every open trace, until 90 s after the trace's last span arrived.
//!
//! A span takes 56 bytes ([`Cell`]) and a trace 48 ([`Trace`]), with the index about 64 bytes a span of ordinary traces.
//! At the byte cap the trace whose last span arrived longest ago leaves, whole; new spans are never refused.
//!
//! What a trace says ([`relate`]) is a function of the set of its spans. It is worked out at every flush for the traces
//! that grew, and what changed is taken back and said anew: the sums of all Deltas depend neither on the order of
//! arrival, nor on batching or copies, while spans of a trace arrive at most 90 s apart.
//!
//! - A span from the future is counted at the time it was received, with its own duration.
//! - Spans of intercepts and branches belong to the graph like those of any revision.
//! - A trace that lasts longer than [`LIFE_SECS`], or has [`SPANS_MAX`] spans, ends, and goes on as another.

mod relate;

pub(super) use relate::{LINKED, Relation, Relator, Said, World, outcome};

use crate::hash::HashSeed;
use crate::trace::{FailureClass, TraceSpan};

/// How long a trace waits for its next span, s of logical time: the pairing horizon.
pub const HORIZON_SECS: u32 = 90;
/// Longest life of a trace, s: shorter than the time for which numbers of actors and peers are sure to hold.
pub const LIFE_SECS: u32 = 450;
/// Most spans of one trace.
pub const SPANS_MAX: u32 = 16_384;
/// Bytes of a cell as the cap counts them, its part of trace and index included.
pub const SPAN_BYTES: usize = 64;

/// The fingerprint by which the halves of a message find each other.
pub(super) fn message(seed: HashSeed, trace_id: u128, span_id: u64) -> u64 {
    let mut bytes = [0u8; 24];
    bytes[..16].copy_from_slice(&trace_id.to_le_bytes());
    bytes[16..].copy_from_slice(&span_id.to_le_bytes());
    seed.fingerprint(&bytes)
}

/// No cell, no trace.
const NONE: u32 = u32::MAX;
/// Arrival seconds that are told apart: more than [`HORIZON_SECS`].
const BUCKETS: usize = 128;

/// One span as kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) span_id: u64,
    pub(super) parent_id: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) actor: u32,
    pub(super) peer: u32,
    /// The next span of the trace, in the order of arrival.
    next: u32,
    /// What was said of it as an entry.
    pub(super) entry: Said,
    pub(super) route: u16,
    pub(super) kind: u8,
    pub(super) class: FailureClass,
    pub(super) flags: u8,
    /// What was said of it as a call, and whether it entered the counters.
    pub(super) call: u8,
}

const _: () = assert!(size_of::<Cell>() == 56);

impl Cell {
    pub(super) const fn new(span: &TraceSpan, is_linked: bool) -> Self {
        Self {
            span_id: span.span_id,
            parent_id: span.parent_id,
            start: span.start,
            end: span.end,
            actor: span.actor,
            peer: span.peer,
            next: NONE,
            entry: Said::NOTHING,
            route: span.route,
            kind: span.kind,
            class: span.class,
            flags: span.flags,
            call: if is_linked { LINKED } else { 0 },
        }
    }

    /// The span itself.
    pub(super) const fn span(&self) -> TraceSpan {
        TraceSpan {
            span_id: self.span_id,
            parent_id: self.parent_id,
            start: self.start,
            end: self.end,
            actor: self.actor,
            peer: self.peer,
            route: self.route,
            kind: self.kind,
            class: self.class,
            flags: self.flags,
        }
    }

    /// What tells two spans of the same ids apart. Numbers of one folder do not.
    const fn content(&self) -> (u64, u64, u64, u16, u8, u8) {
        let class = self.class as u8;
        (
            self.start,
            self.end,
            self.parent_id,
            self.route,
            class,
            self.flags,
        )
    }
}

/// One open trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    pub(super) id: u128,
    first: u32,
    last: u32,
    /// Spans held.
    pub(super) spans: u32,
    /// Of these, the first that were told apart and related.
    pub(super) related: u32,
    /// Of these, the first that blame was settled for.
    pub(super) settled: u32,
    /// Second in which its first span arrived.
    pub(super) first_at: u32,
    /// Second in which its last span arrived.
    pub(super) last_at: u32,
    /// Second in which its root arrived; 0 while it has none.
    pub(super) root_at: u32,
}

/// The open traces of one shard.
#[derive(Debug, Default)]
pub(super) struct Traces {
    cells: Vec<Cell>,
    free_cells: Vec<u32>,
    traces: Vec<Trace>,
    free_traces: Vec<u32>,
    index: Index,
    /// Traces by the second in which they last grew, as far as known; looked at when that second is 90 s old.
    buckets: Vec<Vec<u32>>,
    /// First second whose bucket may hold something.
    oldest: u32,
    /// Traces that grew since the last flush.
    grown: Vec<u32>,
    /// The last trace looked up.
    last: Option<(u128, u32)>,
    /// Spans held.
    held: usize,
}

/// Open addressing over trace numbers, hashed by id. The hash beside the number spares a look at the trace.
#[derive(Debug, Default)]
struct Index {
    /// Power-of-two many (hash, number); number [`NONE`] = free.
    slots: Vec<(u32, u32)>,
    len: usize,
    /// Secret, so that nobody can aim at one slot.
    key: (u64, u64),
}

impl Index {
    #[inline]
    fn hash(&self, id: u128) -> u32 {
        let (high, low) = ((id >> 64) as u64, id as u64);
        let mixed = u128::from(high ^ self.key.0) * u128::from((low ^ self.key.1) | 1);
        let folded = (mixed >> 64) as u64 ^ mixed as u64;
        (folded >> 32) as u32 ^ folded as u32
    }

    /// The slot that holds the trace `id`, or the free one where it belongs.
    #[inline]
    fn slot(&self, id: u128, hash: u32, traces: &[Trace]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (known, number) = self.slots[at];
            let is_it = || known == hash && traces[number as usize].id == id;
            if number == NONE || is_it() {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let wider = vec![(0, NONE); (self.slots.len() * 2).max(64)];
        let mask = wider.len() - 1;
        for slot in std::mem::replace(&mut self.slots, wider) {
            if slot.1 != NONE {
                let mut at = slot.0 as usize & mask;
                while self.slots[at].1 != NONE {
                    at = (at + 1) & mask;
                }
                self.slots[at] = slot;
            }
        }
    }

    /// Frees the slot of the trace `number`, if it has one; what probed past it moves up.
    fn remove(&mut self, id: u128, number: u32) {
        let mask = self.slots.len() - 1;
        let mut hole = self.hash(id) as usize & mask;
        while self.slots[hole].1 != number {
            if self.slots[hole].1 == NONE {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.1 == NONE {
                break;
            }
            let home = slot.0 as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = (0, NONE);
    }
}

impl Traces {
    /// Sets the secret of the index; before the first span.
    pub(super) fn seed(&mut self, key: (u64, u64)) {
        self.index.key = key;
    }

    /// Reads the slot where the search for `id` would begin, see [`super::keys::Keys::touch`]: the number there.
    #[inline]
    pub(super) fn touch(&self, id: u128) -> u32 {
        match self.index.slots.len() {
            0 => NONE,
            slots => self.index.slots[self.index.hash(id) as usize & (slots - 1)].1,
        }
    }

    /// Reads the trace of this number, if there is one: the cell to which a span of it will be added.
    #[inline]
    pub(super) fn touch_trace(&self, number: u32) -> u32 {
        self.traces
            .get(number as usize)
            .map_or(NONE, |trace| trace.last)
    }

    /// Reads what it takes to let these traces go, so that the memory answers side by side.
    fn touch_all(&self, numbers: &[u32]) -> u64 {
        let ids = numbers.iter().map(|number| self.traces[*number as usize]);
        let read = ids.fold(0, |read, trace| {
            let cell = self.cells.get(trace.first as usize);
            read ^ cell.map_or(0, |cell| cell.span_id) ^ u64::from(self.touch(trace.id))
        });
        std::hint::black_box(read)
    }

    /// Spans held.
    pub(super) const fn spans(&self) -> usize {
        self.held
    }

    /// Puts a span in. Copies are found at the flush.
    #[inline]
    pub(super) fn insert(&mut self, id: u128, span: &TraceSpan, is_linked: bool, now: u32) {
        let number = match self.last {
            Some((last, number)) if last == id => number,
            _ => self.trace(id, now),
        };
        self.last = Some((id, number));
        let cell = Cell::new(span, is_linked);
        let at = match self.free_cells.pop() {
            Some(at) => {
                self.cells[at as usize] = cell;
                at
            }
            None => {
                self.cells.push(cell);
                (self.cells.len() - 1) as u32
            }
        };
        self.held += 1;
        let trace = &mut self.traces[number as usize];
        if trace.spans == 0 {
            trace.first = at;
        } else {
            self.cells[trace.last as usize].next = at;
        }
        trace.last = at;
        if trace.related == trace.spans {
            self.grown.push(number);
        }
        trace.spans += 1;
        trace.last_at = trace.last_at.max(now);
        if span.parent_id == 0 && trace.root_at == 0 {
            trace.root_at = now;
        }
        if trace.spans >= SPANS_MAX {
            self.last = None;
            self.close(number);
        }
    }

    /// The open trace `id`, begun now if there is none.
    fn trace(&mut self, id: u128, now: u32) -> u32 {
        if (self.index.len + 1) * 4 > self.index.slots.len() * 3 {
            self.index.grow();
        }
        let hash = self.index.hash(id);
        let slot = self.index.slot(id, hash, &self.traces);
        if self.index.slots[slot].1 != NONE {
            return self.index.slots[slot].1;
        }
        let trace = Trace {
            id,
            first: NONE,
            last: NONE,
            spans: 0,
            related: 0,
            settled: 0,
            first_at: now,
            last_at: now,
            root_at: 0,
        };
        let number = match self.free_traces.pop() {
            Some(number) => {
                self.traces[number as usize] = trace;
                number
            }
            None => {
                self.traces.push(trace);
                (self.traces.len() - 1) as u32
            }
        };
        self.index.slots[slot] = (hash, number);
        self.index.len += 1;
        self.bucket(now).push(number);
        number
    }

    /// Spans that come from now on begin another trace of the same id.
    fn close(&mut self, number: u32) {
        let id = self.traces[number as usize].id;
        self.index.remove(id, number);
    }

    fn bucket(&mut self, second: u32) -> &mut Vec<u32> {
        if self.buckets.is_empty() {
            self.buckets = vec![Vec::new(); BUCKETS];
            self.oldest = second;
        }
        self.oldest = self.oldest.min(second);
        &mut self.buckets[second as usize % BUCKETS]
    }

    /// The traces that grew since the last call, for relating.
    pub(super) fn take_grown(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.grown)
    }

    /// Gives the emptied list back, to keep its memory.
    pub(super) fn return_grown(&mut self, mut list: Vec<u32>) {
        if self.grown.is_empty() {
            list.clear();
            self.grown = list;
        }
    }

    /// One trace.
    pub(super) fn get(&self, number: u32) -> &Trace {
        &self.traces[number as usize]
    }

    /// One trace.
    pub(super) fn get_mut(&mut self, number: u32) -> &mut Trace {
        &mut self.traces[number as usize]
    }

    /// The first `count` spans of a trace, in the order of arrival.
    pub(super) fn read(&self, number: u32, count: u32, into: &mut Vec<Cell>) {
        into.clear();
        let mut at = self.traces[number as usize].first;
        for _ in 0..count {
            let Some(cell) = self.cells.get(at as usize) else {
                break;
            };
            into.push(*cell);
            at = cell.next;
        }
    }

    /// The first `count` spans that arrived, sorted by (start, span id, kind), as blame reads them.
    pub(super) fn sorted(&self, number: u32, count: u32, into: &mut Vec<TraceSpan>) {
        into.clear();
        let mut at = self.traces[number as usize].first;
        for _ in 0..count {
            let Some(cell) = self.cells.get(at as usize) else {
                break;
            };
            into.push(cell.span());
            at = cell.next;
        }
        into.sort_unstable_by_key(|span| (span.start, span.span_id, span.kind));
    }

    /// Whether the first spans of a trace are these, in the order of arrival.
    pub(super) fn holds(&self, number: u32, cells: &[Cell]) -> bool {
        let mut at = self.traces[number as usize].first;
        cells.iter().all(|cell| {
            let held = &self.cells[at as usize];
            at = held.next;
            held.span() == cell.span()
        })
    }

    /// Writes back what was said of the spans of a trace; `cells` are its spans, in the order of arrival, of which those
    /// beyond it leave.
    pub(super) fn write(&mut self, number: u32, cells: &[Cell]) {
        let trace = &mut self.traces[number as usize];
        let mut at = trace.first;
        let mut before = NONE;
        for cell in cells {
            let next = self.cells[at as usize].next;
            self.cells[at as usize] = Cell { next, ..*cell };
            before = at;
            at = next;
        }
        let gone = trace.spans - cells.len() as u32;
        for _ in 0..gone {
            self.free_cells.push(at);
            at = self.cells[at as usize].next;
        }
        if gone > 0 {
            self.held -= gone as usize;
            trace.last = before;
            trace.spans = cells.len() as u32;
            if before != NONE {
                self.cells[before as usize].next = NONE;
            }
        }
        trace.related = trace.spans;
    }

    /// A trace whose time is over at `now`, if there is one; the caller reads it and then [`Traces::forget`]s it.
    pub(super) fn next_ended(&mut self, now: u32) -> Option<u32> {
        let until = now.checked_sub(HORIZON_SECS)?;
        // Every bucket is looked at once, however far time jumped.
        self.oldest = self.oldest.max((until + 1).saturating_sub(BUCKETS as u32));
        while self.oldest <= until {
            if let Some(number) = self.next_of(until, now) {
                return Some(number);
            }
            self.oldest += 1;
        }
        None
    }

    /// The traces that waited longest, up to `count` of them, for eviction: they are to be forgotten.
    pub(super) fn take_oldest(&mut self, now: u32, count: usize, into: &mut Vec<u32>) {
        into.clear();
        for _ in 0..=BUCKETS {
            while into.len() < count
                && let Some(number) = self.next_of(self.oldest, now)
            {
                into.push(number);
            }
            if self.oldest >= now || into.len() >= count {
                break;
            }
            self.oldest += 1;
        }
        self.touch_all(into);
    }

    /// A trace of the oldest bucket that did not grow after `until`; those that did move to where they belong.
    fn next_of(&mut self, until: u32, now: u32) -> Option<u32> {
        let bucket = self.oldest as usize % BUCKETS;
        let mut at = 0;
        while let Some(number) = self.buckets.get(bucket)?.get(at).copied() {
            let trace = &self.traces[number as usize];
            let home = trace.last_at as usize % BUCKETS;
            let is_old = now.saturating_sub(trace.first_at) >= LIFE_SECS;
            if trace.last_at <= until || is_old {
                self.buckets[bucket].swap_remove(at);
                return Some(number);
            }
            if home == bucket {
                at += 1;
            } else {
                self.buckets[bucket].swap_remove(at);
                self.buckets[home].push(number);
            }
        }
        None
    }

    /// Takes a trace out.
    pub(super) fn forget(&mut self, number: u32) {
        self.last = None;
        self.close(number);
        let trace = self.traces[number as usize];
        let mut at = trace.first;
        for _ in 0..trace.spans {
            self.free_cells.push(at);
            at = self.cells[at as usize].next;
        }
        self.held -= trace.spans as usize;
        self.traces[number as usize].spans = 0;
        self.traces[number as usize].related = 0;
        self.free_traces.push(number);
    }
}
