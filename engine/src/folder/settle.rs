//! When traces are settled: blamed 5 s after their root arrived, at most 60 s after their first span.
//!
//! Spans that come later take back what their trace had said, and it says it anew, 5 s after the last of them. A trace
//! that leaves the table is settled as it is. So the sums of all Deltas are a function of the set of spans of each trace.

use super::Folder;
use super::traces::{Trace, Traces};
use crate::hash::SHARDS;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Patience after the root, or after a late span, s of logical time.
pub const PATIENCE_SECS: u32 = 5;
/// Patience after the first span of a trace whose root does not come, s.
pub const ROOTLESS_SECS: u32 = 60;

/// The traces of one shard by the second in which they are to be settled. An entry may be out of date: a trace is looked
/// at when its second has come, and left alone unless it has something to say by then.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<u32, Vec<u32>>,
}

impl Agenda {
    fn note(&mut self, number: u32, traces: &Traces) {
        let trace = traces.get(number);
        if trace.spans > trace.settled {
            self.due.entry(due(trace)).or_default().push(number);
        }
    }

    fn next(&mut self, now: u32) -> Option<Vec<u32>> {
        let first = self.due.first_entry()?;
        (*first.key() <= now).then(|| first.remove())
    }
}

/// When a trace is to be settled, s.
fn due(trace: &Trace) -> u32 {
    let rootless = trace.first_at + ROOTLESS_SECS;
    match (trace.settled, trace.root_at) {
        (0, 0) => rootless,
        (0, root_at) => rootless.min(root_at + PATIENCE_SECS),
        _ => trace.last_at + PATIENCE_SECS,
    }
}

impl Folder {
    /// Puts a trace that grew on the agenda.
    pub(super) fn note_growth(&mut self, shard: u8, trace: u32) {
        if let Some(shard) = &mut self.shards[usize::from(shard)] {
            shard.agenda.note(trace, &shard.traces);
        }
    }

    /// Settles the traces whose time has come. O(n log n) in their spans.
    pub(super) fn settle_due(&mut self, now: Timestamp) {
        let now = now.secs() as u32;
        for number in 0..SHARDS as u8 {
            while let Some(traces) = self.shards[usize::from(number)]
                .as_mut()
                .and_then(|shard| shard.agenda.next(now))
            {
                for trace in traces {
                    let shard = &self.shards[usize::from(number)];
                    let is_due = |shard: &super::Shard| due(shard.traces.get(trace)) <= now;
                    if shard.as_ref().is_some_and(is_due) {
                        self.settle(number, trace);
                    }
                }
            }
        }
    }

    /// Says what a related trace has to say, and takes back what it said before; nothing if it did not grow since.
    pub(super) fn settle(&mut self, number: u8, trace: u32) {
        let Some(shard) = &self.shards[usize::from(number)] else {
            return;
        };
        let known = shard.traces.get(trace);
        if known.settled < known.spans {
            self.take_back(number, trace);
            self.say(number, trace, 1);
        }
    }

    /// Takes back what a trace said, from the spans as the table holds them.
    pub(super) fn take_back(&mut self, shard: u8, trace: u32) {
        self.say(shard, trace, -1);
    }

    fn say(&mut self, shard: u8, number: u32, sign: i64) {
        let Some(shard) = &mut self.shards[usize::from(shard)] else {
            return;
        };
        let trace = shard.traces.get_mut(number);
        let (spans, settled) = (trace.spans, trace.settled);
        let count = match sign {
            1 => spans,
            _ => settled,
        };
        trace.settled = if sign == 1 { spans } else { 0 };
        if count > 0 {
            shard.traces.sorted(number, count, &mut self.spans);
            let mut rows = self.findings.signed(sign);
            self.examiner.settle(&self.spans, &mut rows);
        }
    }
}
