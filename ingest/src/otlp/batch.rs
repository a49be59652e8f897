//! The batch under construction, as far as spans, points and records are alike: where rows came from, attributes,
//! anomalies, shards, and when it is full.

use super::DecodeLimits;
use super::attributes::{AttributeLimits, Attributes};
use super::check::Check;
use super::column::{Dictionary, tight};
use super::error::Stop;
use super::resource::Known;
use super::schema::{KEY_VALUE, text};
use super::value::cut_text;
use super::wire::same;
use engine::anomaly;
use engine::hash::HashSeed;
use engine::items::{ItemColumns, ROWS_MAX, Resource, Scope, ValueTable};
use engine::time::Timestamp;
use std::sync::Arc;

/// A batch that has this many attribute columns takes no more rows: a column costs two bytes for every row.
const COLUMNS_MAX: usize = 384;
/// A batch of about this many bytes takes no more rows.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// About what a row costs beside what it is decoded from.
const ROW_BYTES: usize = 96;
/// How many of the newest resources and scopes are compared with a new one.
const NEWEST_COMPARED: usize = 8;

/// What all rows of a request share.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) limits: DecodeLimits,
    pub(super) received: Timestamp,
    pub(super) seed: HashSeed,
}

/// Where an item came from: the numbers of its resource and scope, and the anomalies it inherits from them.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) resource: u16,
    pub(super) scope: u16,
    pub(super) inherited: u16,
}

/// What the columns of one row have in common, whatever its signal.
#[derive(Default)]
pub(super) struct Builder {
    resource: Vec<u16>,
    scope: Vec<u16>,
    anomalies: Vec<u16>,
    shard: Vec<u8>,
    attributes: Attributes,
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
    /// About what it holds beside the fixed size of rows and columns.
    bytes: usize,
    /// The trace and shard of the last row: items of one trace often stand together.
    last_shard: (u128, u8),
}

/// The finished columns of a [`Builder`].
pub(super) struct Common {
    pub(super) items: ItemColumns,
    pub(super) anomalies: Vec<u16>,
    pub(super) shard: Vec<u8>,
}

impl Builder {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.resource.len()
    }

    /// Makes room for `rows` rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.resource.reserve(rows);
        self.scope.reserve(rows);
        self.anomalies.reserve(rows);
        self.shard.reserve(rows);
    }

    /// Whether the next item belongs to the next batch.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        let columns = self.attributes.len();
        self.len() == ROWS_MAX
            || columns >= COLUMNS_MAX
            || self.bytes + 2 * columns * self.len() > BATCH_BYTES_MAX
    }

    /// Counts bytes that the next row needs.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The number of a resource in this batch; call when the resource or the batch is new.
    pub(super) fn resource(&mut self, known: &Known) -> u16 {
        number(
            &mut self.resources,
            &known.resource,
            &mut self.bytes,
            Arc::ptr_eq,
            |resource| 2 * resource.encoded.len(),
        )
    }

    /// The number of a scope in this batch; call when the scope or the batch is new.
    pub(super) fn scope(&mut self, scope: &Arc<Scope>) -> u16 {
        number(&mut self.scopes, scope, &mut self.bytes, Arc::eq, |scope| {
            scope.name.len() + scope.version.len()
        })
    }

    /// Stores the encoded `KeyValue`s of the next row, whose values stand at `value_depth`, the first ones up to the
    /// limit; returns the anomalies met. The others are checked and dropped.
    #[inline(always)]
    pub(super) fn attributes(
        &mut self,
        encoded: &[&[u8]],
        value_depth: u32,
        limits: &DecodeLimits,
        check: &mut Check,
    ) -> Result<u16, Stop> {
        let (row, kept) = (self.len(), keep(encoded, limits.attributes_per_span));
        let limits = AttributeLimits {
            key_bytes_max: limits.key_bytes_max,
            value_bytes_max: limits.value_bytes_max,
            value_depth,
        };
        let mut anomalies = self.attributes.push_item(row, kept, limits, check)?;
        if kept.len() < encoded.len() {
            anomalies |= anomaly::DROPPED_FIELDS;
            for dropped in &encoded[kept.len()..] {
                check.message(&KEY_VALUE, dropped, value_depth - 1)?;
            }
        }
        Ok(anomalies)
    }

    /// The shard of a trace.
    #[inline(always)]
    pub(super) fn trace_shard(&mut self, trace_id: u128, seed: HashSeed) -> u8 {
        if self.last_shard.0 != trace_id {
            self.last_shard = (trace_id, seed.shard(trace_id));
        }
        self.last_shard.1
    }

    /// Ends a row.
    #[inline(always)]
    pub(super) fn push(&mut self, place: Place, anomalies: u16, shard: u8) {
        self.bytes += ROW_BYTES;
        self.resource.push(place.resource);
        self.scope.push(place.scope);
        self.anomalies.push(anomalies);
        self.shard.push(shard);
    }

    /// Takes the finished columns out; the builder is then empty.
    pub(super) fn take(&mut self, received: Timestamp) -> Common {
        let rows = self.len();
        self.last_shard = (0, 0);
        self.bytes = 0;
        Common {
            items: ItemColumns {
                received,
                resources: std::mem::take(&mut self.resources),
                scopes: std::mem::take(&mut self.scopes),
                resource: tight(std::mem::take(&mut self.resource)).into(),
                scope: tight(std::mem::take(&mut self.scope)).into(),
                attributes: self.attributes.take(rows),
            },
            anomalies: tight(std::mem::take(&mut self.anomalies)),
            shard: tight(std::mem::take(&mut self.shard)),
        }
    }

    /// Drops what a refused request has left behind; predictions stay.
    pub(super) fn clear(&mut self) {
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        *self = Self {
            attributes,
            ..Self::default()
        };
    }
}

/// The number of `wanted` among `known`, if it is one of the newest; otherwise it is added, and its size to `bytes`.
fn number<T>(
    known: &mut Vec<Arc<T>>,
    wanted: &Arc<T>,
    bytes: &mut usize,
    same: impl Fn(&Arc<T>, &Arc<T>) -> bool,
    size: impl Fn(&T) -> usize,
) -> u16 {
    let newest = known.iter().rev().take(NEWEST_COMPARED);
    if let Some(index) = newest.into_iter().position(|other| same(other, wanted)) {
        return (known.len() - 1 - index) as u16;
    }
    *bytes += size(wanted);
    known.push(wanted.clone());
    (known.len() - 1) as u16
}

/// A text column: one code a row into the distinct texts of the batch.
#[derive(Default)]
pub(super) struct Texts {
    distinct: Dictionary,
    last: Option<u16>,
}

impl Texts {
    /// The code of `value`, cut to the limit. Checks that it is UTF-8.
    #[inline(always)]
    pub(super) fn code(
        &mut self,
        mut value: &[u8],
        bytes_max: usize,
        anomalies: &mut u16,
    ) -> Result<u16, Stop> {
        if let Some(last) = self.last
            && same(self.distinct.get(last), value)
        {
            return Ok(last);
        }
        if value.len() > bytes_max {
            text(value)?;
            value = cut_text(value, bytes_max);
            *anomalies |= anomaly::TRUNCATED_VALUE;
        }
        let code = match self.distinct.find(value) {
            Ok(code) => code,
            Err(slot) => {
                text(value)?;
                self.distinct.insert(slot, value)
            }
        };
        self.last = Some(code);
        Ok(code)
    }

    /// Takes the distinct texts out.
    pub(super) fn take(&mut self) -> ValueTable {
        self.last = None;
        self.distinct.take()
    }
}

/// The first `max` of `children`.
#[inline(always)]
pub(super) fn keep<'a, 'b>(children: &'b [&'a [u8]], max: usize) -> &'b [&'a [u8]] {
    &children[..children.len().min(max)]
}
