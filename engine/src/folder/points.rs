//! Metric points to counts.

use super::{Folder, Heard};
use crate::items::Signal;
use crate::metric::MetricBatch;

impl Folder {
    /// Counts metric points.
    pub fn fold_points(&mut self, batch: &MetricBatch) {
        let mut heard = vec![Heard::default(); batch.items.resources.len()];
        for row in 0..batch.len() {
            if self.shards[usize::from(batch.shard[row])].is_none() {
                continue;
            }
            let odd = batch.anomalies[row];
            heard[usize::from(batch.items.resource[row])].note(batch.time[row], odd);
            if odd != 0 {
                self.count_anomalies(odd);
            }
        }
        self.account(Signal::Metrics, &batch.items, heard.into_iter());
    }
}
