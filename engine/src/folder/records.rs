//! Log records to counts: the same rules as for spans, without units: the gate hears only spans. Errors are counted by
//! the place that logged them.

use super::keys::{ItemKey, Sighting};
use super::places::{Errors, place_number};
use super::shard::Held;
use super::{Folder, Heard};
use crate::anomaly;
use crate::delta::{Counter, Fate, LogErrorKey, Party};
use crate::identity::{Identity, RevisionKind};
use crate::items::Signal;
use crate::log_record::LogBatch;
use crate::matcher::{RecordMeasure, RecordView};
use crate::slo::{LATENESS_NANOS, SloId};
use crate::time::Timestamp;
use std::sync::Arc;

/// One resource of a batch of records.
struct Writer<'a> {
    identity: &'a Arc<Identity>,
    measures: &'a [RecordMeasure],
    heard: Heard,
}

impl Folder {
    /// Counts log records.
    pub fn fold_records(&mut self, batch: &LogBatch) {
        let matcher = Arc::clone(&self.matcher);
        let resources = batch.items.resources.iter();
        let mut writers: Vec<Writer<'_>> = resources
            .map(|resource| Writer {
                identity: &resource.identity,
                measures: &matcher.measures_of(resource.identity.service_id).records,
                heard: Heard::default(),
            })
            .collect();
        let is_measured = writers.iter().any(|writer| !writer.measures.is_empty());
        let errors = Errors::new(batch);
        let mut view = (is_measured || errors.any()).then(|| matcher.records(batch));
        for row in 0..batch.len() {
            if self.shards[usize::from(batch.shard[row])].is_none() {
                continue;
            }
            let writer = &mut writers[usize::from(batch.items.resource[row])];
            let odd = batch.anomalies[row];
            writer.heard.note(batch.time[row], odd);
            if odd != 0 {
                self.count_anomalies(odd);
            }
            if let Some(view) = &mut view {
                let is_error = errors.is_error(row);
                self.judge_record(batch, row, is_error, view, writer);
            }
        }
        let heard = writers.iter().map(|writer| writer.heard);
        self.account(Signal::Logs, &batch.items, heard);
    }

    /// Decides what becomes of a record.
    fn judge_record(
        &mut self,
        batch: &LogBatch,
        row: usize,
        is_error: bool,
        view: &mut RecordView<'_>,
        writer: &mut Writer<'_>,
    ) {
        let judged = |measure: &RecordMeasure| Some((measure.slo, view.judge(measure, row)?));
        let events: Vec<(SloId, bool)> = writer.measures.iter().filter_map(judged).collect();
        let Some(shard) = &mut self.shards[usize::from(batch.shard[row])] else {
            return;
        };
        if events.is_empty() && !is_error {
            return;
        }
        let evicted = shard.make_room(&self.limits, batch.items.received);
        self.tally.count(Counter::EvictedKeys, evicted);
        let key = ItemKey::of_record(batch.key[row]);
        let time = Timestamp(batch.time[row]);
        let error = is_error.then(|| LogErrorKey {
            party: Party {
                service: writer.identity.service_id,
                revision: writer.identity.revision.id,
            },
            place: place_number(self.seed, batch, row),
            second: time.secs(),
        });
        if shard.keys.see(key) == Sighting::Duplicate {
            self.fate(Signal::Logs, Fate::Duplicate, &mut writer.heard);
        } else if writer.identity.revision.kind != RevisionKind::Release {
            self.tally.item(Signal::Logs, Fate::OutsideBudget);
        } else if view.is_excluded(row) {
            self.tally.item(Signal::Logs, Fate::Excluded);
        } else if batch.anomalies[row] & anomaly::FUTURE != 0 {
            self.fate(Signal::Logs, Fate::Future, &mut writer.heard);
            let held = Held {
                signal: Signal::Logs,
                service: writer.identity.service_id,
                revision: writer.identity.revision.id,
                events,
                unit: None,
                placed: Vec::new(),
                error,
            };
            self.put_aside(batch.shard[row], time, key, held);
        } else {
            if batch.items.received.since(time) > LATENESS_NANOS {
                self.fate(Signal::Logs, Fate::Late, &mut writer.heard);
            }
            for (slo, bad) in events {
                let series = self.tally.series(slo, writer.identity.revision.id);
                self.tally.event(series, time.secs(), bad);
            }
            if let Some(error) = error {
                self.findings.log_error(error);
            }
        }
    }
}
