//! The Folder: columns to counts. The first of the two pure machines (DESIGN 4).
//!
//! A folder owns a set of virtual shards. All memory of single spans (item keys, units, held spans) is per shard, all
//! counts only add up, and nothing depends on hash-map order: the merged Delta is the same however the 64 shards are
//! spread. Inside the caps and the window it depends neither on the order of arrival nor on batching or duplication.
//! What rests on arrival itself: `received - end` of a resource, [`Fate::Late`], [`Fate::Future`],
//! accepted spans and anomalies (they count copies too), and which of two copies with different resources is counted.
//!
//! One span costs: a kind test; then, if it is an entry span or an SLI selects it, two keyed hashes, two table
//! look-ups, and an addition per SLI. Conditions and outcomes were settled per distinct value ([`crate::matcher`]).

mod arms;
mod edges;
mod enter;
mod findings;
mod generations;
mod keys;
mod peers;
mod places;
mod points;
mod records;
mod route;
mod settle;
mod shard;
mod streams;
mod tally;
mod telltale;
mod traces;
mod units;

pub use arms::ARMS_PER_SHARD_MAX;
pub use peers::PEERS_PER_SHARD_MAX;
pub use places::PLACES;
pub use route::{ROUTES, route_number};
pub use settle::{PATIENCE_SECS, ROOTLESS_SECS};
pub use traces::{HORIZON_SECS, LIFE_SECS, SPAN_BYTES, SPANS_MAX};

use crate::anomaly;
use crate::batch::Batch;
use crate::blame::Examiner;
use crate::delta::{Counter, Delta, Fate, Mark, Marks, ResourceDelta};
use crate::hash::{FixedSet, HashSeed, SHARDS};
use crate::identity::{Identity, RevisionKind};
use crate::items::{ItemColumns, Signal};
use crate::matcher::{ENTRY_KINDS, Matcher, Measure, Measures, View, kind_bit};
use crate::peer::Callees;
use crate::slo::{Definitions, LATENESS_NANOS, SloId};
use crate::span::SpanBatch;
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::trace::TraceSpan;
use arms::Arms;
use edges::EdgeTally;
use findings::Findings;
use keys::{ItemKey, Sighting};
use peers::Peers;
use route::Routes;
use shard::{Held, Shard};
use std::sync::Arc;
use streams::Observation;
use tally::Tally;
use telltale::Telltale;
use traces::{Cell, Relator};
use units::{Change, Unit, unit_key};

/// How long item keys and units are found again, unless a cap makes it shorter: 10 min.
pub const WINDOW_NANOS: u64 = 600 * NANOS_PER_SEC;

/// Rows whose table slots are read ahead together.
const CHUNK: usize = 64;

/// Index of the anomaly that folders detect themselves.
const ID_CONFLICT: Counter = Counter::Anomaly(anomaly::ID_CONFLICT.trailing_zeros() as u8);

/// Bounds of a folder's tables, per virtual shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderLimits {
    /// Item keys (16 bytes each), both generations together. At the bound the older half leaves early: the window
    /// shrinks, [`Counter::EvictedKeys`] and [`Folder::window_secs`] show it.
    pub keys_per_shard: usize,
    /// Units (48 bytes each), likewise.
    pub units_per_shard: usize,
    /// Spans waiting for their time. At the bound the latest leaves, as [`Fate::Dropped`].
    pub held_per_shard: usize,
    /// (service, revision) pairs. At the bound spans of new ones are [`Fate::Dropped`].
    pub arms_per_shard: u32,
    /// Metric streams, once for each SLO that selects them. At the bound points of new ones are [`Fate::Dropped`]; those
    /// that are known stay exact.
    pub streams_per_shard: usize,
    /// Points (about 120 bytes each) that streams keep to put late ones in their place. At the bound a stream keeps the
    /// last [`POINTS_AT_BOUND`]; [`Counter::EvictedKeys`] shows what left early.
    pub points_per_shard: usize,
    /// Bytes of open traces, [`SPAN_BYTES`] a span; 0 = no graph and no blame. At the bound the trace that waited longest leaves, as
    /// [`crate::delta::Outcome::Evicted`].
    pub trace_bytes_per_shard: usize,
    /// Raw peers. At the bound calls of new ones are counted as calls of a peer without a name.
    pub peers_per_shard: u32,
}

/// Points that a stream keeps when its shard is full.
pub const POINTS_AT_BOUND: usize = 8;

impl Default for FolderLimits {
    /// 12.6 M keys and 3.1 M units over all shards, at most 470 MB; 131,072 streams with 2.1 M points, at most 300 MB
    /// (50 MB at one point a minute); 4 M spans of open traces, 256 MiB. The full window of keys holds up to 10,000 counted
    /// spans/s; at 100,000/s it shrinks to one minute.
    fn default() -> Self {
        Self {
            // Each generation fills a power of two of slots to three quarters.
            keys_per_shard: 196_608,
            units_per_shard: 49_152,
            held_per_shard: 1_024,
            arms_per_shard: ARMS_PER_SHARD_MAX,
            streams_per_shard: 2_048,
            points_per_shard: 32_768,
            // 4 M spans over all shards: 90 s of 45,000 spans/s.
            trace_bytes_per_shard: 4 << 20,
            peers_per_shard: PEERS_PER_SHARD_MAX,
        }
    }
}

/// The machine. Feed it every batch of the log in order, flush it at every Tick.
#[derive(Debug)]
pub struct Folder {
    seed: HashSeed,
    limits: FolderLimits,
    matcher: Arc<Matcher>,
    /// By shard number; `None` = somebody else's.
    shards: Vec<Option<Shard>>,
    arms: Arms,
    peers: Peers,
    tally: Tally,
    findings: Findings,
    edges: EdgeTally,
    relator: Relator,
    cells: Vec<Cell>,
    /// Traces that make room.
    oldest: Vec<u32>,
    examiner: Examiner,
    spans: Vec<TraceSpan>,
    /// Logical time of the last flush.
    now: Timestamp,
    /// Latest time of any input: when observation began, until the first one the epoch.
    heard_at: Timestamp,
    /// Since when each metric SLO is observed.
    observed: Observation,
    picked: Vec<Picked>,
}

/// A span that counts, with its keys.
#[derive(Debug, Clone, Copy)]
struct Picked {
    row: usize,
    key: ItemKey,
    /// Key of its unit; 0 when it is no entry span.
    unit: u64,
}

/// One resource of a batch, and what the batch said of it.
struct Sender<'a> {
    identity: &'a Arc<Identity>,
    measures: &'a Measures,
    /// Kinds that can matter: entry spans and what its SLIs select.
    kinds: u64,
    /// Its number in [`Arms`], once a span of it counted.
    arm: Option<u32>,
    /// Series per measure, resolved when the first event came.
    series: Vec<Option<u32>>,
    heard: Heard,
}

/// How much was heard from one resource of a batch, and of which time.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    items: u64,
    /// Latest event time that is not in the future: its watermark.
    end_max: u64,
    /// Latest event time of all.
    end_last: u64,
    marks: Marks,
    odd: u16,
}

impl Heard {
    #[inline]
    fn note(&mut self, end: u64, odd: u16) {
        self.items += 1;
        self.odd |= odd;
        self.end_last = self.end_last.max(end);
        if odd & anomaly::FUTURE == 0 {
            self.end_max = self.end_max.max(end);
        }
    }
}

impl<'a> Sender<'a> {
    fn new(identity: &'a Arc<Identity>, matcher: &'a Matcher) -> Self {
        let measures = matcher.measures_of(identity.service_id);
        Self {
            identity,
            measures,
            kinds: measures.kinds | ENTRY_KINDS,
            arm: None,
            series: vec![None; measures.list.len()],
            heard: Heard::default(),
        }
    }

    fn slo(&self, measure: &Measure, tally: &mut Tally) -> SloId {
        let id = self.identity.service_id;
        measure
            .slo
            .unwrap_or_else(|| tally.implicit_slo(&self.identity.service, id))
    }

    fn series(&mut self, index: usize, tally: &mut Tally) -> u32 {
        if let Some(series) = self.series[index] {
            return series;
        }
        let slo = self.slo(&self.measures.list[index], tally);
        let series = tally.series(slo, self.identity.revision.id);
        self.series[index] = Some(series);
        series
    }
}

impl Folder {
    /// A folder that owns `shards` (numbers below [`SHARDS`]; others are ignored) and knows no definitions yet.
    pub fn new(seed: HashSeed, shards: impl IntoIterator<Item = u8>, limits: FolderLimits) -> Self {
        let mut owned: Vec<Option<Shard>> = (0..SHARDS).map(|_| None).collect();
        for number in shards {
            if let Some(shard) = owned.get_mut(usize::from(number)) {
                let mut empty = Shard::default();
                empty.traces.seed((seed.0, seed.1));
                *shard = Some(empty);
            }
        }
        Self {
            seed,
            limits,
            matcher: Arc::new(Matcher::compile(&Definitions::default())),
            shards: owned,
            arms: Arms::new(limits.arms_per_shard),
            peers: Peers::new(limits.peers_per_shard),
            tally: Tally::default(),
            findings: Findings::default(),
            edges: EdgeTally::default(),
            relator: Relator::default(),
            cells: Vec::new(),
            oldest: Vec::new(),
            examiner: Examiner::default(),
            spans: Vec::new(),
            now: Timestamp::EPOCH,
            heard_at: Timestamp::EPOCH,
            observed: Observation::default(),
            picked: Vec::with_capacity(CHUNK),
        }
    }

    /// Spans folded from now on are measured by `definitions`; what is counted stays. O(definitions).
    pub fn set_definitions(&mut self, definitions: Arc<Definitions>) {
        self.matcher = Arc::new(Matcher::compile(&definitions));
        let gone = self.observed.define(&definitions, self.heard_at);
        for shard in self.shards.iter_mut().flatten() {
            shard.streams.forget(&gone);
        }
    }

    /// Counts the items of `batch` that belong to this folder's shards. O(rows + distinct values).
    pub fn fold(&mut self, batch: &Batch) {
        self.hear(batch.items().received);
        match batch {
            Batch::Spans(spans) => self.fold_spans(spans),
            Batch::Metrics(points) => self.fold_points(points),
            Batch::Logs(records) => self.fold_records(records),
        }
    }

    /// Counts spans.
    pub fn fold_spans(&mut self, batch: &SpanBatch) {
        let matcher = Arc::clone(&self.matcher);
        let mut senders: Vec<Sender<'_>> = batch
            .items
            .resources
            .iter()
            .map(|resource| Sender::new(&resource.identity, &matcher))
            .collect();
        let mut lens = Lens {
            batch,
            view: matcher.view(batch),
            routes: Routes::new(self.seed, batch),
            callees: Callees::new(batch),
            told: FixedSet::default(),
        };
        let telltale = Telltale::new(batch);
        for first in (0..batch.len()).step_by(CHUNK) {
            let rows = first..(first + CHUNK).min(batch.len());
            self.pick(rows.clone(), &mut lens, &telltale, &mut senders);
            self.read_ahead(batch);
            let picked = std::mem::take(&mut self.picked);
            for one in &picked {
                let sender = &mut senders[usize::from(batch.items.resource[one.row])];
                self.judge(*one, &mut lens, sender);
            }
            self.picked = picked;
            if self.limits.trace_bytes_per_shard > 0 {
                self.enter(rows, &mut lens, &mut senders);
            }
        }
        let heard = senders.iter().map(|sender| sender.heard);
        self.account(Signal::Traces, &batch.items, heard);
    }

    /// The Delta since the last flush; `now` is the Tick's logical time. Releases the spans whose time has come and
    /// lets old generations leave. O(distinct keys log distinct keys).
    pub fn flush(&mut self, now: Timestamp) -> Delta {
        self.hear(now);
        self.now = now;
        for number in 0..SHARDS {
            while let Some((end, held)) = self.shards[number]
                .as_mut()
                .and_then(|shard| shard.release(now))
            {
                self.count_held(number as u8, end, held);
            }
        }
        self.relate(now);
        self.settle_due(now);
        let mut delta = self.tally.take(now, &self.arms);
        self.edges.take(&self.arms, &mut self.peers, &mut delta);
        self.findings.take(&self.arms, &self.peers, &mut delta);
        delta.normalize();
        for (number, shard) in (0u8..).zip(&mut self.shards) {
            if let Some(shard) = shard {
                let (steps, evicted) = shard.advance(number, now);
                self.arms.advance(number, steps);
                self.peers.advance(number, steps);
                self.tally.count(Counter::EvictedKeys, evicted);
            }
        }
        delta
    }

    /// The dedup window in force at the last flush, s: 600, or less while a cap makes keys leave early.
    pub fn window_secs(&self) -> u64 {
        let windows = self.shards.iter().flatten();
        let least = windows.map(|shard| shard.keys.window(self.now)).min();
        least.unwrap_or(WINDOW_NANOS) / NANOS_PER_SEC
    }

    /// Any input tells the time; observation begins with the first one.
    fn hear(&mut self, now: Timestamp) {
        if self.heard_at == Timestamp::EPOCH {
            self.observed.begin(now);
        }
        self.heard_at = self.heard_at.max(now);
    }

    /// Chooses the rows of a chunk that count, and looks at each row's sender.
    fn pick(
        &mut self,
        rows: std::ops::Range<usize>,
        lens: &mut Lens<'_>,
        telltale: &Telltale<'_>,
        senders: &mut [Sender<'_>],
    ) {
        let batch = lens.batch;
        self.picked.clear();
        for row in rows {
            if self.shards[usize::from(batch.shard[row])].is_none() {
                continue;
            }
            let sender = &mut senders[usize::from(batch.items.resource[row])];
            let odd = batch.anomalies[row];
            sender.heard.note(batch.end[row], odd);
            telltale.mark(row, &mut sender.heard.marks);
            if odd != 0 {
                self.count_anomalies(odd);
            }
            let bit = kind_bit(batch.kind[row]);
            if bit & sender.kinds == 0 {
                continue;
            }
            let is_entry = bit & ENTRY_KINDS != 0;
            if !is_entry && !lens.is_measured(row, sender.measures) {
                continue;
            }
            let service = sender.identity.service_id;
            self.picked.push(Picked {
                row,
                key: ItemKey::of(self.seed, batch, row),
                unit: match is_entry {
                    true => unit_key(self.seed, batch.trace_id[row], service),
                    false => 0,
                },
            });
        }
    }

    fn count_anomalies(&mut self, odd: u16) {
        for index in 0..anomaly::NAMES.len() as u8 {
            if odd >> index & 1 == 1 {
                self.tally.count(Counter::Anomaly(index), 1);
            }
        }
    }

    /// Reads the slots that the picked rows will search: the reads do not wait for each other, the searches would.
    fn read_ahead(&self, batch: &SpanBatch) {
        let mut read = 0;
        for one in &self.picked {
            if let Some(shard) = &self.shards[usize::from(batch.shard[one.row])] {
                read ^= shard.keys.current.touch(one.key) ^ shard.keys.previous.touch(one.key);
                read ^= shard.units.current.touch(one.unit) ^ shard.units.previous.touch(one.unit);
            }
        }
        std::hint::black_box(read);
    }

    /// Decides what becomes of a picked span.
    fn judge(&mut self, one: Picked, lens: &mut Lens<'_>, sender: &mut Sender<'_>) {
        let (batch, number) = (lens.batch, lens.batch.shard[one.row]);
        let Some(shard) = &mut self.shards[usize::from(number)] else {
            return;
        };
        let evicted = shard.make_room(&self.limits, batch.items.received);
        if evicted > 0 {
            self.tally.count(Counter::EvictedKeys, evicted);
        }
        match shard.keys.see(one.key) {
            Sighting::First => {}
            Sighting::Conflict => {
                sender.heard.odd |= anomaly::ID_CONFLICT;
                self.tally.count(ID_CONFLICT, 1);
            }
            Sighting::Duplicate => {
                return self.fate(Signal::Traces, Fate::Duplicate, &mut sender.heard);
            }
        }
        if sender.identity.revision.kind != RevisionKind::Release {
            self.tally.item(Signal::Traces, Fate::OutsideBudget);
        } else if lens.view.is_excluded(one.row) {
            self.tally.item(Signal::Traces, Fate::Excluded);
        } else if batch.anomalies[one.row] & anomaly::FUTURE != 0 {
            self.hold(one, lens, sender);
        } else {
            self.count(one, lens, sender);
        }
    }

    /// Counts a span in its SLIs and its unit.
    fn count(&mut self, one: Picked, lens: &mut Lens<'_>, sender: &mut Sender<'_>) {
        let batch = lens.batch;
        let Some(arm) = self.admit(batch.shard[one.row], sender) else {
            return self.fate(Signal::Traces, Fate::Dropped, &mut sender.heard);
        };
        let end = Timestamp(batch.end[one.row]);
        if batch.items.received.since(end) > LATENESS_NANOS {
            self.fate(Signal::Traces, Fate::Late, &mut sender.heard);
        }
        let measures = sender.measures;
        for (index, measure) in measures.list.iter().enumerate() {
            if let Some(bad) = lens.view.judge(measure, one.row) {
                let series = sender.series(index, &mut self.tally);
                self.tally.event(series, end.secs(), bad);
            }
        }
        if one.unit != 0 {
            let unit = Unit {
                arm,
                ..lens.unit(one)
            };
            self.tell_route(one.row, unit.route, lens, sender);
            self.count_unit(batch.shard[one.row], one.unit, unit);
        }
    }

    /// Remembers what the route of `row` is called, once per name of a batch.
    fn tell_route(&mut self, row: usize, route: u16, lens: &mut Lens<'_>, sender: &Sender<'_>) {
        let Some((text, name)) = lens.routes.text(row) else {
            return;
        };
        if lens.told.insert((lens.batch.items.resource[row], text)) {
            let service = sender.identity.service_id;
            self.tally.route(service, route, route::route_name(name));
        }
    }

    fn admit(&mut self, shard: u8, sender: &mut Sender<'_>) -> Option<u32> {
        if let Some(arm) = sender.arm {
            return self.arms.admit_known(arm, shard).then_some(arm);
        }
        let (service, revision) = (sender.identity.service_id, sender.identity.revision.id);
        sender.arm = self.arms.admit(service, revision, shard);
        sender.arm
    }

    fn count_unit(&mut self, shard: u8, key: u64, unit: Unit) {
        let Some(shard) = &mut self.shards[usize::from(shard)] else {
            return;
        };
        match shard.units.observe(key, unit) {
            Change::New => self.tally.unit(&unit, 1),
            Change::Joined => self.tally.count(Counter::CollapsedSpans, 1),
            Change::Replaced(later) => {
                self.tally.unit(&later, -1);
                self.tally.unit(&unit, 1);
                self.tally.count(Counter::CollapsedSpans, 1);
            }
        }
    }

    /// Puts a span that ends in the future aside, already measured.
    fn hold(&mut self, one: Picked, lens: &mut Lens<'_>, sender: &mut Sender<'_>) {
        let mut events = Vec::new();
        for measure in &sender.measures.list {
            if let Some(bad) = lens.view.judge(measure, one.row) {
                events.push((sender.slo(measure, &mut self.tally), bad));
            }
        }
        let held = Held {
            signal: Signal::Traces,
            service: sender.identity.service_id,
            revision: sender.identity.revision.id,
            events,
            unit: (one.unit != 0).then(|| (one.unit, lens.unit(one))),
            placed: Vec::new(),
            error: None,
        };
        self.fate(Signal::Traces, Fate::Future, &mut sender.heard);
        let batch = lens.batch;
        let due = Timestamp(batch.end[one.row]);
        self.put_aside(batch.shard[one.row], due, one.key, held);
    }

    fn put_aside(&mut self, shard: u8, due: Timestamp, key: ItemKey, held: Held) {
        let max = self.limits.held_per_shard;
        if let Some(shard) = &mut self.shards[usize::from(shard)]
            && let Some(latest) = shard.hold(due, key, held, max)
        {
            self.tally.item(latest.signal, Fate::Dropped);
        }
    }

    /// Counts an item whose time has come.
    fn count_held(&mut self, shard: u8, end: Timestamp, held: Held) {
        let Some(arm) = self.arms.admit(held.service, held.revision, shard) else {
            return self.tally.item(held.signal, Fate::Dropped);
        };
        for (slo, bad) in held.events {
            let series = self.tally.series(slo, held.revision);
            self.tally.event(series, end.secs(), bad);
        }
        if let Some(fate) = self.place_all(shard, held.placed) {
            self.tally.item(held.signal, fate);
        }
        if let Some(error) = held.error {
            self.findings.log_error(error);
        }
        if let Some((key, unit)) = held.unit {
            self.count_unit(shard, key, Unit { arm, ..unit });
        }
    }

    /// Counts what became of an item, also for its sender.
    fn fate(&mut self, signal: Signal, fate: Fate, heard: &mut Heard) {
        self.tally.item(signal, fate);
        if let Some(mark) = Mark::of_fate(fate) {
            heard.marks.add(mark, 1);
        }
    }

    /// Adds what the batch said of its senders, in the order of its resources.
    fn account(&mut self, signal: Signal, items: &ItemColumns, heard: impl Iterator<Item = Heard>) {
        for (resource, heard) in items.resources.iter().zip(heard) {
            if heard.items == 0 {
                continue;
            }
            self.tally
                .count(Counter::Items(signal, Fate::Accepted), heard.items);
            let mut marks = heard.marks;
            if resource.identity.instance.is_empty() {
                marks.add(Mark::NoInstance, heard.items as u32);
            }
            self.tally.resource(ResourceDelta {
                hash: resource.hash,
                identity: resource.identity.clone(),
                signal,
                items: heard.items,
                end_max: Timestamp(heard.end_max),
                lag_min: items.received.signed_since(Timestamp(heard.end_last)),
                marks,
                odd: heard.odd,
            });
        }
    }
}

/// A batch with everything that was worked out about it.
struct Lens<'a> {
    batch: &'a SpanBatch,
    view: View<'a>,
    routes: Routes<'a>,
    callees: Callees<'a>,
    /// (resource, text) of the route names told.
    told: FixedSet<(u16, u32)>,
}

impl Lens<'_> {
    fn is_measured(&mut self, row: usize, measures: &Measures) -> bool {
        let list = &measures.list;
        list.iter()
            .any(|measure| self.view.is_selected(measure, row))
    }

    fn unit(&mut self, one: Picked) -> Unit {
        let failed = self.view.is_failed(one.row);
        let route = self.routes.of(one.row);
        Unit::of(self.batch, one.row, one.key.content, route, failed)
    }
}

#[cfg(test)]
mod tests;
