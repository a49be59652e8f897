//! The hot store: recent span batches, newest last, under a byte budget. Not decision state.

use crate::span::SpanBatch;
use std::collections::VecDeque;
use std::sync::Arc;

/// What readers see of the store: shared chunks and the account of what left.
#[derive(Debug, Clone, Default)]
pub struct StoreView {
    /// Chunks, oldest first.
    pub chunks: Arc<Vec<Arc<SpanBatch>>>,
    /// Spans held.
    pub spans: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Byte budget.
    pub bytes_max: u64,
    /// Spans that left because of the budget.
    pub evicted_spans: u64,
}

/// The store itself, owned by the engine's thread.
#[derive(Debug)]
pub struct Store {
    chunks: VecDeque<Arc<SpanBatch>>,
    spans: u64,
    bytes: u64,
    bytes_max: u64,
    evicted_spans: u64,
}

impl Store {
    /// An empty store that holds at most `bytes_max` bytes (the newest chunk always stays).
    pub fn new(bytes_max: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            spans: 0,
            bytes: 0,
            bytes_max,
            evicted_spans: 0,
        }
    }

    /// Appends a batch and evicts the oldest ones beyond the budget. O(evicted).
    pub fn append(&mut self, batch: Arc<SpanBatch>) {
        self.spans += batch.len() as u64;
        self.bytes += batch.byte_size() as u64;
        self.chunks.push_back(batch);
        while self.bytes > self.bytes_max && self.chunks.len() > 1 {
            if let Some(oldest) = self.chunks.pop_front() {
                self.spans -= oldest.len() as u64;
                self.bytes -= oldest.byte_size() as u64;
                self.evicted_spans += oldest.len() as u64;
            }
        }
    }

    /// A view for readers. O(chunks) pointer copies.
    pub fn view(&self) -> StoreView {
        StoreView {
            chunks: Arc::new(self.chunks.iter().cloned().collect()),
            spans: self.spans,
            bytes: self.bytes,
            bytes_max: self.bytes_max,
            evicted_spans: self.evicted_spans,
        }
    }
}
