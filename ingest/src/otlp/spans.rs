//! Spans into the columns of a [`SpanBatch`].

use super::DecodeLimits;
use super::batch::{Builder, Context, Place, Texts, keep};
use super::check::Check;
use super::children;
use super::column::tight;
use super::error::Stop;
use super::schema::{EVENT, LINK, SPAN, text};
use super::span::{Children, Judged, RawSpan, SPAN_DEPTH};
use super::tracestate;
use super::value::cut_text;
use super::walk::{Reader, Shared};
use engine::anomaly;
use engine::batch::Batch;
use engine::items::{Signal, SparseText};
use engine::span::{SpanBatch, SpanEvent, SpanLink};
use engine::time::Timestamp;

/// Depth of a span's attribute values: span, key-value, value.
const VALUE_DEPTH: u32 = SPAN_DEPTH + 2;

/// Columns that only spans have; taken out whole when the batch is finished.
#[derive(Default)]
struct Rows {
    trace_id: Vec<u128>,
    span_id: Vec<u64>,
    parent_id: Vec<u64>,
    start: Vec<u64>,
    duration: Vec<u64>,
    end: Vec<u64>,
    name: Vec<u16>,
    kind: Vec<u8>,
    status: Vec<u8>,
    flags: Vec<u16>,
    weight: Vec<u32>,
    status_message: SparseText,
    trace_state: SparseText,
    events: Vec<SpanEvent>,
    links: Vec<SpanLink>,
}

/// The span batch under construction.
#[derive(Default)]
pub(super) struct Spans {
    common: Builder,
    rows: Rows,
    names: Texts,
}

impl Reader for Spans {
    type Scratch<'a> = Children<'a>;
    const SIGNAL: Signal = Signal::Traces;
    /// No span with ids and times is shorter.
    const ITEM_BYTES_MIN: usize = 44;
    const EMPTY_COUNTS: bool = false;

    fn common(&mut self) -> &mut Builder {
        &mut self.common
    }

    fn reserve(&mut self, rows: usize) {
        self.common.reserve(rows);
        let own = &mut self.rows;
        own.trace_id.reserve(rows);
        own.span_id.reserve(rows);
        own.parent_id.reserve(rows);
        own.start.reserve(rows);
        own.duration.reserve(rows);
        own.end.reserve(rows);
        own.name.reserve(rows);
        own.kind.reserve(rows);
        own.status.reserve(rows);
        own.flags.reserve(rows);
        own.weight.reserve(rows);
    }

    #[inline(always)]
    fn item<'a>(
        &mut self,
        bytes: &'a [u8],
        children: &mut Children<'a>,
        shared: &mut Shared<'_, 'a>,
    ) -> Result<(), Stop> {
        let mut raw = RawSpan::default();
        raw.read(bytes, children, &mut shared.check)?;
        shared.items_seen += 1;
        let judged = match raw.judge(shared.context.received) {
            Ok(judged) => judged,
            Err(reason) => {
                shared.check.message(&SPAN, bytes, SPAN_DEPTH)?;
                shared.reject(reason, "span", raw.name);
                return Ok(());
            }
        };
        let place = shared.place(self)?;
        self.push(
            (&raw, judged, bytes.len()),
            children,
            place,
            &shared.context,
            &mut shared.check,
        )
    }

    fn take(&mut self, received: Timestamp) -> Batch {
        let common = self.common.take(received);
        let rows = std::mem::take(&mut self.rows);
        Batch::Spans(SpanBatch {
            items: common.items,
            names: self.names.take(),
            trace_id: tight(rows.trace_id).into(),
            span_id: tight(rows.span_id).into(),
            parent_id: tight(rows.parent_id).into(),
            start: tight(rows.start).into(),
            duration: tight(rows.duration).into(),
            end: tight(rows.end).into(),
            name: tight(rows.name).into(),
            kind: tight(rows.kind).into(),
            status: tight(rows.status).into(),
            flags: tight(rows.flags).into(),
            anomalies: common.anomalies.into(),
            shard: common.shard.into(),
            weight: tight(rows.weight).into(),
            status_message: rows.status_message,
            trace_state: rows.trace_state,
            events: rows.events,
            links: rows.links,
        })
    }

    fn clear(&mut self) {
        self.common.clear();
        self.rows = Rows::default();
        self.names = Texts::default();
    }
}

impl Spans {
    /// Appends one accepted span, whose encoding has `size` bytes.
    #[inline(always)]
    fn push(
        &mut self,
        (raw, judged, size): (&RawSpan<'_>, Judged, usize),
        children: &Children<'_>,
        place: Place,
        context: &Context,
        check: &mut Check,
    ) -> Result<(), Stop> {
        let limits = &context.limits;
        let row = self.common.len();
        let mut anomalies = judged.anomalies | place.inherited;
        let name = self
            .names
            .code(raw.name, limits.value_bytes_max, &mut anomalies)?;
        let weight = match raw.trace_state {
            "" => 1,
            trace_state => self.trace_state(row, trace_state, limits, &mut anomalies),
        };
        if !raw.status_message.is_empty() {
            self.status_message(row, raw.status_message, limits, &mut anomalies)?;
        }
        anomalies |= self
            .common
            .attributes(&children.attributes, VALUE_DEPTH, limits, check)?;
        if !children.events.is_empty() || !children.links.is_empty() {
            anomalies |= self.children(row as u32, children, limits, check)?;
        }
        let shard = self.common.trace_shard(judged.trace_id, context.seed);
        self.common.grow(size);
        self.common.push(place, anomalies, shard);
        let rows = &mut self.rows;
        rows.trace_id.push(judged.trace_id);
        rows.span_id.push(judged.span_id);
        rows.parent_id.push(judged.parent_id);
        rows.start.push(judged.start);
        rows.duration.push(judged.duration);
        rows.end.push(judged.end);
        rows.name.push(name);
        rows.kind.push(judged.kind);
        rows.status.push(judged.status);
        rows.flags.push(judged.flags);
        rows.weight.push(weight);
        Ok(())
    }

    fn trace_state(
        &mut self,
        row: usize,
        trace_state: &str,
        limits: &DecodeLimits,
        anomalies: &mut u16,
    ) -> u32 {
        if trace_state.len() > limits.trace_state_bytes_max {
            *anomalies |= anomaly::DROPPED_FIELDS;
            return 1;
        }
        self.rows.trace_state.rows.push(row as u32);
        self.rows.trace_state.values.push(trace_state.to_owned());
        tracestate::weight(trace_state)
    }

    fn status_message(
        &mut self,
        row: usize,
        message: &str,
        limits: &DecodeLimits,
        anomalies: &mut u16,
    ) -> Result<(), Stop> {
        let kept = cut_text(message.as_bytes(), limits.value_bytes_max);
        if kept.len() < message.len() {
            *anomalies |= anomaly::TRUNCATED_VALUE;
        }
        self.rows.status_message.rows.push(row as u32);
        self.rows.status_message.values.push(text(kept)?.to_owned());
        Ok(())
    }

    /// Stores events and links, the first ones up to the limit; the others are checked and dropped.
    fn children(
        &mut self,
        row: u32,
        children: &Children<'_>,
        limits: &DecodeLimits,
        check: &mut Check,
    ) -> Result<u16, Stop> {
        let mut anomalies = 0;
        let events = keep(&children.events, limits.events_per_span);
        for encoded in events {
            let (event, odd) = children::event(encoded, row, limits, check)?;
            anomalies |= odd;
            self.common.grow(size_of::<SpanEvent>());
            self.rows.events.push(event);
        }
        let links = keep(&children.links, limits.links_per_span);
        for encoded in links {
            match children::link(encoded, row, check)? {
                Some(link) => self.rows.links.push(link),
                None => anomalies |= anomaly::DROPPED_FIELDS,
            }
            self.common.grow(size_of::<SpanLink>());
        }
        if events.len() < children.events.len() || links.len() < children.links.len() {
            anomalies |= anomaly::DROPPED_FIELDS;
        }
        for dropped in &children.events[events.len()..] {
            check.message(&EVENT, dropped, SPAN_DEPTH + 1)?;
        }
        for dropped in &children.links[links.len()..] {
            check.message(&LINK, dropped, SPAN_DEPTH + 1)?;
        }
        Ok(anomalies)
    }
}
