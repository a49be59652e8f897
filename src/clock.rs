//! The one place that reads the wall clock. It is clamped: time in here never runs backwards.

use engine::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static LATEST: AtomicU64 = AtomicU64::new(0);

/// Now, never earlier than any earlier answer of this process.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the clock function")]
    let read = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = u64::try_from(read.as_nanos()).unwrap_or(u64::MAX);
    Timestamp(LATEST.fetch_max(nanos, Ordering::Relaxed).max(nanos))
}
