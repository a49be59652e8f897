//! The hot store: recent batches of every signal, newest last, under one byte budget. Not decision state.

use crate::batch::Batch;
use crate::items::Signal;
use std::collections::VecDeque;
use std::sync::Arc;

/// Items by signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemCounts([u64; Signal::ALL.len()]);

impl ItemCounts {
    /// Counts in the order of [`Signal::ALL`].
    pub const fn new(counts: [u64; Signal::ALL.len()]) -> Self {
        Self(counts)
    }

    /// Items of `signal`.
    pub const fn of(self, signal: Signal) -> u64 {
        self.0[signal as usize]
    }

    fn add(&mut self, batch: &Batch) {
        self.0[batch.signal() as usize] += batch.len() as u64;
    }

    fn subtract(&mut self, batch: &Batch) {
        self.0[batch.signal() as usize] -= batch.len() as u64;
    }
}

/// Event times of a chunk, ns since the epoch: a query whose times lie outside passes it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// Earliest.
    pub first: u64,
    /// Latest.
    pub last: u64,
}

impl Zone {
    /// The zone of a batch. O(rows).
    pub fn of(batch: &Batch) -> Self {
        let times = batch.event_times().iter().copied();
        times.fold(
            Self {
                first: u64::MAX,
                last: 0,
            },
            |zone, time| Self {
                first: zone.first.min(time),
                last: zone.last.max(time),
            },
        )
    }
}

/// What readers see of the store: shared chunks and the account of what left.
#[derive(Debug, Clone, Default)]
pub struct StoreView {
    /// Chunks, oldest first.
    pub chunks: Arc<Vec<Arc<Batch>>>,
    /// Event times of each chunk, in the same order.
    pub zones: Arc<Vec<Zone>>,
    /// Items held.
    pub held: ItemCounts,
    /// Bytes held.
    pub bytes: u64,
    /// Byte budget.
    pub bytes_max: u64,
    /// Items that left because of the budget.
    pub evicted: ItemCounts,
}

/// The store itself, owned by the engine's thread.
#[derive(Debug)]
pub struct Store {
    chunks: VecDeque<Arc<Batch>>,
    zones: VecDeque<Zone>,
    held: ItemCounts,
    bytes: u64,
    bytes_max: u64,
    evicted: ItemCounts,
}

impl Store {
    /// An empty store that holds at most `bytes_max` bytes (the newest chunk always stays).
    pub fn new(bytes_max: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            zones: VecDeque::new(),
            held: ItemCounts::default(),
            bytes: 0,
            bytes_max,
            evicted: ItemCounts::default(),
        }
    }

    /// Appends a batch and evicts the oldest ones beyond the budget. O(evicted).
    pub fn append(&mut self, batch: Arc<Batch>) {
        self.held.add(&batch);
        self.bytes += batch.byte_size() as u64;
        self.zones.push_back(Zone::of(&batch));
        self.chunks.push_back(batch);
        while self.bytes > self.bytes_max && self.chunks.len() > 1 {
            if let Some(oldest) = self.chunks.pop_front() {
                let _ = self.zones.pop_front();
                self.held.subtract(&oldest);
                self.bytes -= oldest.byte_size() as u64;
                self.evicted.add(&oldest);
            }
        }
    }

    /// A view for readers. O(chunks) pointer copies.
    pub fn view(&self) -> StoreView {
        StoreView {
            chunks: Arc::new(self.chunks.iter().cloned().collect()),
            zones: Arc::new(self.zones.iter().copied().collect()),
            held: self.held,
            bytes: self.bytes,
            bytes_max: self.bytes_max,
            evicted: self.evicted,
        }
    }
}
