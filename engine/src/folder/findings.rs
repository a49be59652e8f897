//! What settled traces and log records say, since the last flush. Counts only add up, so no order matters here.

use crate::delta::{Delta, LogErrorDelta, LogErrorKey};
use crate::hash::FixedMap;

/// The sums. Emptied by [`Findings::take`].
#[derive(Debug, Default)]
pub(super) struct Findings {
    log_errors: FixedMap<LogErrorKey, i64>,
}

impl Findings {
    /// Counts an error record.
    pub(super) fn log_error(&mut self, error: LogErrorKey) {
        *self.log_errors.entry(error).or_default() += 1;
    }

    /// Moves everything into `delta`, which is to be normalized. O(rows).
    pub(super) fn take(&mut self, delta: &mut Delta) {
        let errors = self.log_errors.drain();
        delta
            .log_errors
            .extend(errors.map(|(key, records)| LogErrorDelta { key, records }));
    }
}
