//! `Batch`: what one decoded request is made of, whatever its signal.

use crate::items::{ItemColumns, Signal};
use crate::log_record::LogBatch;
use crate::metric::MetricBatch;
use crate::span::SpanBatch;

/// Columns of one signal.
#[derive(Debug)]
pub enum Batch {
    /// Spans.
    Spans(SpanBatch),
    /// Metric points.
    Metrics(MetricBatch),
    /// Log records.
    Logs(LogBatch),
}

impl Batch {
    /// Which signal it is of.
    pub const fn signal(&self) -> Signal {
        match self {
            Self::Spans(_) => Signal::Traces,
            Self::Metrics(_) => Signal::Metrics,
            Self::Logs(_) => Signal::Logs,
        }
    }

    /// The columns every item has.
    pub const fn items(&self) -> &ItemColumns {
        match self {
            Self::Spans(batch) => &batch.items,
            Self::Metrics(batch) => &batch.items,
            Self::Logs(batch) => &batch.items,
        }
    }

    /// Event time of each item, ns since the epoch.
    pub fn event_times(&self) -> &[u64] {
        match self {
            Self::Spans(batch) => &batch.end,
            Self::Metrics(batch) => &batch.time,
            Self::Logs(batch) => &batch.time,
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items().len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes held. Used by the store's byte budget.
    pub fn byte_size(&self) -> usize {
        match self {
            Self::Spans(batch) => batch.byte_size(),
            Self::Metrics(batch) => batch.byte_size(),
            Self::Logs(batch) => batch.byte_size(),
        }
    }

    /// The spans, if it holds spans.
    pub const fn spans(&self) -> Option<&SpanBatch> {
        match self {
            Self::Spans(batch) => Some(batch),
            _ => None,
        }
    }
}

impl From<SpanBatch> for Batch {
    fn from(batch: SpanBatch) -> Self {
        Self::Spans(batch)
    }
}

impl From<MetricBatch> for Batch {
    fn from(batch: MetricBatch) -> Self {
        Self::Metrics(batch)
    }
}

impl From<LogBatch> for Batch {
    fn from(batch: LogBatch) -> Self {
        Self::Logs(batch)
    }
}
