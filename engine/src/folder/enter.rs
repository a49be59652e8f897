//! Spans enter the trace table; at a flush the traces that grew are related, and those whose time is over leave.

use super::edges::World;
use super::traces::{self, SPAN_BYTES};
use super::{CHUNK, Folder, Lens, Sender};
use crate::anomaly;
use crate::delta::{Counter, Outcome};
use crate::hash::SHARDS;
use crate::identity::{RevisionKind, RevisionSource};
use crate::peer::Callees;
use crate::span::{DURATION_UNKNOWN, SpanBatch, kind};
use crate::time::Timestamp;
use crate::trace::{TraceSpan, trace_flag};
use std::ops::Range;

/// OTLP span flags: whether it is known where the parent is, and whether it is remote.
const PARENT_KNOWN: u16 = 1 << 8;
const PARENT_REMOTE: u16 = 1 << 9;

impl Folder {
    /// Puts `rows` into their traces.
    pub(super) fn enter(
        &mut self,
        rows: Range<usize>,
        lens: &mut Lens<'_>,
        senders: &mut [Sender<'_>],
    ) {
        let batch = lens.batch;
        let now = batch.items.received.secs() as u32;
        self.touch_traces(rows.clone(), batch);
        for row in rows {
            let number = batch.shard[row];
            if self.shards[usize::from(number)].is_none() {
                continue;
            }
            let sender = &mut senders[usize::from(batch.items.resource[row])];
            let Some(actor) = self.admit(number, sender) else {
                self.tally.count(Counter::Traced(Outcome::Evicted), 1);
                continue;
            };
            let (peer, said_flags) = self.callee(row, &mut lens.callees, sender);
            let mut span = trace_span(batch, row);
            span.actor = actor;
            span.peer = peer;
            span.flags |= said_flags | sender.flags();
            span.route = lens.routes.of(row);
            span.class = lens.view.class(row);
            if lens.view.is_excluded(row) {
                span.flags |= trace_flag::EXCLUDED;
            }
            let is_linked =
                batch.kind[row] == kind::CONSUMER && self.link(row, lens, sender, &span);
            if let Some(shard) = &mut self.shards[usize::from(number)] {
                shard
                    .traces
                    .insert(batch.trace_id[row], &span, is_linked, now);
                if shard.traces.spans() * SPAN_BYTES > self.limits.trace_bytes_per_shard {
                    self.evict(number, now);
                }
            }
        }
    }

    fn touch_traces(&self, rows: Range<usize>, batch: &SpanBatch) {
        let mut numbers = [0; CHUNK];
        let shard = |row: usize| self.shards[usize::from(batch.shard[row])].as_ref();
        for (number, row) in numbers.iter_mut().zip(rows.clone()) {
            *number = shard(row).map_or(0, |shard| shard.traces.touch(batch.trace_id[row]));
        }
        let found = numbers.iter().zip(rows).fold(0, |read, (number, row)| {
            read ^ shard(row).map_or(0, |shard| shard.traces.touch_trace(*number))
        });
        std::hint::black_box(found);
    }

    /// The number of the peer that `row` calls, and what else it says of the call.
    #[inline]
    fn callee(&mut self, row: usize, callees: &mut Callees<'_>, sender: &Sender<'_>) -> (u32, u8) {
        let Some(said) = callees.said(row) else {
            return (0, 0);
        };
        let shard = callees.shard(row);
        let number = match callees.known(&said) {
            Some(number) => self.peers.admit_known(number, shard),
            None => {
                let name = callees.name(&said, &sender.identity.service);
                let number = self.peers.admit(name, shard);
                callees.remember(said, number);
                number
            }
        };
        (number, said.flags)
    }

    /// Tells the messages that the consuming span `row` links to; returns whether there are any.
    fn link(&mut self, row: usize, lens: &Lens<'_>, sender: &Sender<'_>, span: &TraceSpan) -> bool {
        let batch = lens.batch;
        let from = batch
            .links
            .partition_point(|link| (link.row as usize) < row);
        let links = batch.links[from..].iter();
        let links = links.take_while(|link| link.row as usize == row);
        let own = batch.trace_id[row];
        let mut found = false;
        for link in links {
            if link.trace_id == own && link.span_id == span.parent_id {
                continue;
            }
            found = true;
            let message = traces::message(self.seed, link.trace_id, link.span_id);
            let party = (sender.identity.service_id, sender.identity.revision.id);
            self.edges.received(message, party, span);
        }
        found
    }

    /// Makes room in a shard: the traces that waited longest leave, as they are; some at once, never more than a 64th of
    /// what there is room for.
    fn evict(&mut self, number: u8, now: u32) {
        let room = self.limits.trace_bytes_per_shard / SPAN_BYTES;
        let mut oldest = std::mem::take(&mut self.oldest);
        if let Some(shard) = &mut self.shards[usize::from(number)] {
            let count = (room / 64).clamp(1, CHUNK);
            shard.traces.take_oldest(now, count, &mut oldest);
        }
        for trace in &oldest {
            self.relate_one(number, *trace);
            self.leave(number, *trace, true);
        }
        self.oldest = oldest;
    }

    /// Relates the traces that grew; those whose time is over leave. O(spans of these traces).
    pub(super) fn relate(&mut self, now: Timestamp) {
        for number in 0..SHARDS as u8 {
            let Some(shard) = &mut self.shards[usize::from(number)] else {
                continue;
            };
            let grown = shard.traces.take_grown();
            for trace in &grown {
                self.relate_one(number, *trace);
                self.note_growth(number, *trace);
            }
            if let Some(shard) = &mut self.shards[usize::from(number)] {
                shard.traces.return_grown(grown);
            }
            while let Some(trace) = self.shards[usize::from(number)]
                .as_mut()
                .and_then(|shard| shard.traces.next_ended(now.secs() as u32))
            {
                self.leave(number, trace, false);
            }
        }
    }

    fn relate_one(&mut self, number: u8, trace: u32) {
        let Some(shard) = &mut self.shards[usize::from(number)] else {
            return;
        };
        let (id, spans, related) = {
            let trace = shard.traces.get(trace);
            (trace.id, trace.spans, trace.related)
        };
        if related == spans {
            return;
        }
        shard.traces.read(trace, spans, &mut self.cells);
        let mut world = World {
            seed: self.seed,
            trace: id,
            arms: &self.arms,
            peers: &self.peers,
            edges: &mut self.edges,
            copies: 0,
        };
        self.relator
            .relate(&mut self.cells, related as usize, &mut world);
        let copies = world.copies;
        self.tally.count(Counter::TracedCopies, copies);
        // A settled span that turned out to be another: what was said rests on what it was.
        let settled = shard.traces.get(trace).settled as usize;
        if !shard.traces.holds(trace, &self.cells[..settled]) {
            self.take_back(number, trace);
        }
        if let Some(shard) = &mut self.shards[usize::from(number)] {
            shard.traces.write(trace, &self.cells);
        }
    }

    /// A related trace leaves; its spans are accounted for.
    fn leave(&mut self, number: u8, trace: u32, is_evicted: bool) {
        self.settle(number, trace);
        let Some(shard) = &mut self.shards[usize::from(number)] else {
            return;
        };
        let (id, spans) = {
            let trace = shard.traces.get(trace);
            (trace.id, trace.spans)
        };
        shard.traces.read(trace, spans, &mut self.cells);
        let mut world = World {
            seed: self.seed,
            trace: id,
            arms: &self.arms,
            peers: &self.peers,
            edges: &mut self.edges,
            copies: 0,
        };
        for at in 0..self.cells.len() {
            let outcome = traces::outcome(&self.cells, at, &mut world);
            let outcome = if is_evicted {
                Outcome::Evicted
            } else {
                outcome
            };
            self.tally.count(Counter::Traced(outcome), 1);
        }
        shard.traces.forget(trace);
    }

    /// Spans of open traces.
    pub fn open_spans(&self) -> usize {
        let shards = self.shards.iter().flatten();
        shards.map(|shard| shard.traces.spans()).sum()
    }
}

impl Sender<'_> {
    /// What the resource says of each of its spans.
    fn flags(&self) -> u8 {
        let revision = &self.identity.revision;
        let mut flags = 0;
        if revision.kind != RevisionKind::Release {
            flags |= trace_flag::NO_RELEASE;
        }
        if revision.source == RevisionSource::Unknown {
            flags |= trace_flag::NO_REVISION;
        }
        flags
    }
}

/// The span of `row` with its ids and times; who, whom and how is the caller's to say.
#[inline]
fn trace_span(batch: &SpanBatch, row: usize) -> TraceSpan {
    let (mut start, mut end) = (batch.start[row], batch.end[row]);
    let duration = batch.duration[row];
    let mut flags = 0;
    if batch.anomalies[row] & anomaly::FUTURE != 0 {
        // Its clock is wrong; when it came is the best that is known of when it was.
        end = batch.items.received.0;
        start = end.saturating_sub(if duration == DURATION_UNKNOWN {
            0
        } else {
            duration
        });
    }
    if duration == DURATION_UNKNOWN {
        flags |= trace_flag::NO_DURATION;
        start = end;
    }
    let parent_id = batch.parent_id[row];
    let odd = anomaly::SELF_PARENT | anomaly::BAD_PARENT;
    let parent_id = if batch.anomalies[row] & odd != 0 {
        0
    } else {
        parent_id
    };
    let told = batch.flags[row];
    if told & PARENT_KNOWN != 0 && parent_id != 0 {
        flags |= match told & PARENT_REMOTE {
            0 => trace_flag::LOCAL_PARENT,
            _ => trace_flag::REMOTE_PARENT,
        };
    }
    TraceSpan {
        span_id: batch.span_id[row],
        parent_id,
        start,
        end,
        actor: 0,
        peer: 0,
        route: 0,
        kind: batch.kind[row],
        class: crate::trace::FailureClass::Ok,
        flags,
    }
}
