//! The batch under construction: row columns, dictionaries of the batch, and when it is full.

use super::DecodeLimits;
use super::attributes::{AttributeLimits, Attributes};
use super::check::Check;
use super::children;
use super::column::{Dictionary, tight};
use super::error::Stop;
use super::resource::Known;
use super::schema::{EVENT, KEY_VALUE, LINK, text};
use super::span::{Children, Judged, RawSpan, SPAN_DEPTH};
use super::tracestate;
use super::value::cut_text;
use super::wire::same;
use engine::anomaly;
use engine::hash::HashSeed;
use engine::items::{ItemColumns, ROWS_MAX, Resource, Scope, SparseText};
use engine::span::{SpanBatch, SpanEvent, SpanLink};
use engine::time::Timestamp;
use std::sync::Arc;

/// A batch that has this many attribute columns takes no more rows: a column costs two bytes for every row.
const COLUMNS_MAX: usize = 384;
/// A batch of about this many bytes takes no more rows.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How many of the newest scopes are compared with a new one.
const SCOPES_COMPARED: usize = 8;

/// What all rows of a batch under construction share.
pub(super) struct Context {
    pub(super) limits: DecodeLimits,
    pub(super) received: Timestamp,
    pub(super) seed: HashSeed,
}

/// Row columns; taken out whole when the batch is finished.
#[derive(Default)]
struct Rows {
    trace_id: Vec<u128>,
    span_id: Vec<u64>,
    parent_id: Vec<u64>,
    start: Vec<u64>,
    duration: Vec<u64>,
    end: Vec<u64>,
    resource: Vec<u16>,
    scope: Vec<u16>,
    name: Vec<u16>,
    kind: Vec<u8>,
    status: Vec<u8>,
    flags: Vec<u16>,
    anomalies: Vec<u16>,
    shard: Vec<u8>,
    weight: Vec<u32>,
}

impl Rows {
    fn with_capacity(rows: usize) -> Self {
        Self {
            trace_id: Vec::with_capacity(rows),
            span_id: Vec::with_capacity(rows),
            parent_id: Vec::with_capacity(rows),
            start: Vec::with_capacity(rows),
            duration: Vec::with_capacity(rows),
            end: Vec::with_capacity(rows),
            resource: Vec::with_capacity(rows),
            scope: Vec::with_capacity(rows),
            name: Vec::with_capacity(rows),
            kind: Vec::with_capacity(rows),
            status: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            anomalies: Vec::with_capacity(rows),
            shard: Vec::with_capacity(rows),
            weight: Vec::with_capacity(rows),
        }
    }
}

/// The batch under construction.
pub(super) struct Builder {
    rows: Rows,
    attributes: Attributes,
    names: Dictionary,
    last_name: Option<u16>,
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
    status_message: SparseText,
    trace_state: SparseText,
    events: Vec<SpanEvent>,
    links: Vec<SpanLink>,
    /// About what it holds beside the fixed size of rows and columns.
    bytes: usize,
    /// The trace and shard of the last row: spans of one trace often stand together.
    last_shard: (u128, u8),
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            rows: Rows::default(),
            attributes: Attributes::new(),
            names: Dictionary::default(),
            last_name: None,
            resources: Vec::new(),
            scopes: Vec::new(),
            status_message: SparseText::default(),
            trace_state: SparseText::default(),
            events: Vec::new(),
            links: Vec::new(),
            bytes: 0,
            last_shard: (0, 0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.trace_id.len()
    }

    /// Makes room for `rows` more spans, as far as a batch can hold them.
    pub(super) fn reserve(&mut self, rows: usize) {
        if self.len() == 0 {
            self.rows = Rows::with_capacity(rows.min(ROWS_MAX));
        }
    }

    /// Whether the next span belongs to the next batch.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        let columns = self.attributes.len();
        self.len() == ROWS_MAX
            || columns >= COLUMNS_MAX
            || self.bytes + 2 * columns * self.len() > BATCH_BYTES_MAX
    }

    /// The number of a resource in this batch; call when the resource or the batch is new.
    pub(super) fn resource(&mut self, known: &Known) -> u16 {
        let same = |other: &Arc<Resource>| Arc::ptr_eq(other, &known.resource);
        if let Some(index) = self
            .resources
            .iter()
            .rev()
            .take(SCOPES_COMPARED)
            .position(same)
        {
            return (self.resources.len() - 1 - index) as u16;
        }
        self.bytes += 2 * known.resource.encoded.len();
        self.resources.push(known.resource.clone());
        (self.resources.len() - 1) as u16
    }

    /// The number of a scope in this batch; call when the scope or the batch is new.
    pub(super) fn scope(&mut self, scope: &Arc<Scope>) -> u16 {
        let same = |other: &Arc<Scope>| other == scope;
        if let Some(index) = self
            .scopes
            .iter()
            .rev()
            .take(SCOPES_COMPARED)
            .position(same)
        {
            return (self.scopes.len() - 1 - index) as u16;
        }
        self.bytes += scope.name.len() + scope.version.len();
        self.scopes.push(scope.clone());
        (self.scopes.len() - 1) as u16
    }

    /// Appends one accepted span, whose encoding has `size` bytes.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        (raw, judged, size): (&RawSpan<'_>, Judged, usize),
        children: &Children<'_>,
        (resource, scope, inherited): (u16, u16, u16),
        context: &Context,
        check: &mut Check,
    ) -> Result<(), Stop> {
        let limits = &context.limits;
        let row = self.len();
        let mut anomalies = judged.anomalies | inherited;
        let name = self.name(raw.name, limits, &mut anomalies)?;
        let weight = match raw.trace_state {
            "" => 1,
            trace_state => self.trace_state(row, trace_state, limits, &mut anomalies),
        };
        if !raw.status_message.is_empty() {
            self.status_message(row, raw.status_message, limits, &mut anomalies)?;
        }
        let kept = keep(&children.attributes, limits.attributes_per_span);
        let key_limits = AttributeLimits {
            key_bytes_max: limits.key_bytes_max,
            value_bytes_max: limits.value_bytes_max,
        };
        anomalies |= self.attributes.push_span(row, kept, key_limits, check)?;
        if kept.len() < children.attributes.len() {
            anomalies |= anomaly::DROPPED_FIELDS;
            for dropped in &children.attributes[kept.len()..] {
                check.message(&KEY_VALUE, dropped, SPAN_DEPTH + 1)?;
            }
        }
        if !children.events.is_empty() || !children.links.is_empty() {
            anomalies |= self.children(row as u32, children, limits, check)?;
        }
        let shard = self.shard(judged.trace_id, context.seed);
        self.bytes += size + 96;
        let rows = &mut self.rows;
        rows.trace_id.push(judged.trace_id);
        rows.span_id.push(judged.span_id);
        rows.parent_id.push(judged.parent_id);
        rows.start.push(judged.start);
        rows.duration.push(judged.duration);
        rows.end.push(judged.end);
        rows.resource.push(resource);
        rows.scope.push(scope);
        rows.name.push(name);
        rows.kind.push(judged.kind);
        rows.status.push(judged.status);
        rows.flags.push(judged.flags);
        rows.anomalies.push(anomalies);
        rows.shard.push(shard);
        rows.weight.push(weight);
        Ok(())
    }

    #[inline(always)]
    fn shard(&mut self, trace_id: u128, seed: HashSeed) -> u8 {
        if self.last_shard.0 != trace_id {
            self.last_shard = (trace_id, seed.shard(trace_id));
        }
        self.last_shard.1
    }

    #[inline(always)]
    fn name(
        &mut self,
        mut name: &[u8],
        limits: &DecodeLimits,
        anomalies: &mut u16,
    ) -> Result<u16, Stop> {
        if let Some(last) = self.last_name
            && same(self.names.get(last), name)
        {
            return Ok(last);
        }
        if name.len() > limits.value_bytes_max {
            text(name)?;
            name = cut_text(name, limits.value_bytes_max);
            *anomalies |= anomaly::TRUNCATED_VALUE;
        }
        let code = match self.names.find(name) {
            Ok(code) => code,
            Err(slot) => {
                text(name)?;
                self.names.insert(slot, name)
            }
        };
        self.last_name = Some(code);
        Ok(code)
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
        self.trace_state.rows.push(row as u32);
        self.trace_state.values.push(trace_state.to_owned());
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
        self.status_message.rows.push(row as u32);
        self.status_message.values.push(text(kept)?.to_owned());
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
            self.bytes += size_of::<SpanEvent>();
            self.events.push(event);
        }
        let links = keep(&children.links, limits.links_per_span);
        for encoded in links {
            match children::link(encoded, row, check)? {
                Some(link) => self.links.push(link),
                None => anomalies |= anomaly::DROPPED_FIELDS,
            }
            self.bytes += size_of::<SpanLink>();
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

    /// Takes the finished batch out; the builder is then empty.
    pub(super) fn take(&mut self, received: Timestamp) -> SpanBatch {
        let count = self.len();
        let rows = std::mem::take(&mut self.rows);
        self.last_name = None;
        self.last_shard = (0, 0);
        self.bytes = 0;
        SpanBatch {
            items: ItemColumns {
                received,
                resources: std::mem::take(&mut self.resources),
                scopes: std::mem::take(&mut self.scopes),
                resource: tight(rows.resource).into(),
                scope: tight(rows.scope).into(),
                attributes: self.attributes.take(count),
            },
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
            anomalies: tight(rows.anomalies).into(),
            shard: tight(rows.shard).into(),
            weight: tight(rows.weight).into(),
            status_message: std::mem::take(&mut self.status_message),
            trace_state: std::mem::take(&mut self.trace_state),
            events: std::mem::take(&mut self.events),
            links: std::mem::take(&mut self.links),
        }
    }

    /// Drops what a refused request has left behind; predictions stay.
    pub(super) fn clear(&mut self) {
        let mut attributes = std::mem::replace(&mut self.attributes, Attributes::new());
        attributes.clear();
        *self = Self {
            attributes,
            ..Self::new()
        };
    }
}

/// The first `max` of `children`.
#[inline(always)]
fn keep<'a, 'b>(children: &'b [&'a [u8]], max: usize) -> &'b [&'a [u8]] {
    &children[..children.len().min(max)]
}
