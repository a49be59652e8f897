//! The walk over an export request, in one pass: resources, scopes, and an item reader for what stands below them.
//!
//! The requests of all signals have the same two outer levels. The item budget is spent before anything is allocated
//! for an item, the byte budget with every finished batch. Protobuf lets a sender put a resource or scope behind its
//! items. Nobody does; the walk then starts over and looks ahead, which keeps the usual walk a single pass.

use super::DecodeLimits;
use super::batch::{Builder, Context, Place};
use super::check::Check;
use super::error::{Problem, RejectReason, Rejected, Stop};
use super::resource::{DEPTH as RESOURCE_DEPTH, Known, Resources};
use super::schema::{Message, RESOURCE, SCOPE, text};
use super::value::{KeyValue, Merged, cut_text};
use super::wire::{BYTES, Wire, key};
use engine::anomaly;
use engine::batch::Batch;
use engine::hash::blake3_128;
use engine::items::{ROWS_MAX, Scope, Signal, TAIL_SAMPLERS};
use engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Depth of what stands in a scope: request, resource, scope, item.
pub(super) const ITEM_DEPTH: u32 = 3;
/// Resource spans of a request, resource of resource spans, scope of scope spans; metrics and logs likewise.
const FIRST: u32 = key(1, BYTES);
/// Scope spans of resource spans, spans of scope spans; metrics and logs likewise.
const SECOND: u32 = key(2, BYTES);
const SCHEMA_URL: u32 = key(3, BYTES);
/// A resource and a scope with the depths they stand at.
const RESOURCE_AT: (&Message, u32) = (&RESOURCE, RESOURCE_DEPTH);
const SCOPE_AT: (&Message, u32) = (&SCOPE, ITEM_DEPTH);
/// What an attribute column costs beside its values.
const COLUMN_BYTES: usize = 512;
/// What a distinct resource costs beside its bytes.
const RESOURCE_BYTES: usize = 1_024;
/// Longest name shown of a rejected item.
const NAME_BYTES_MAX: usize = 64;

/// Reads the items of one signal into the batch it has under construction.
pub(super) trait Reader {
    /// What is gathered of an item before it is judged; reused from item to item.
    type Scratch<'a>: Default;
    const SIGNAL: Signal;
    /// The fewest bytes an accepted item takes, about.
    const ITEM_BYTES_MIN: usize;
    /// Whether an item of no bytes is accepted: items are then counted before the first one is stored.
    const EMPTY_COUNTS: bool;

    /// The columns that all signals have.
    fn common(&mut self) -> &mut Builder;

    /// Makes room for `rows` rows.
    fn reserve(&mut self, rows: usize);

    /// Reads what stands in a scope: one span, one metric with its points, one record.
    fn item<'a>(
        &mut self,
        bytes: &'a [u8],
        scratch: &mut Self::Scratch<'a>,
        shared: &mut Shared<'_, 'a>,
    ) -> Result<(), Stop>;

    /// Takes the finished batch out; the reader is then empty.
    fn take(&mut self, received: Timestamp) -> Batch;

    /// Drops what a refused request has left behind; predictions stay.
    fn clear(&mut self);
}

/// One request on its way through, as far as its signal does not matter.
pub(super) struct Shared<'d, 'a> {
    pub(super) context: Context,
    pub(super) check: Check,
    /// Items so far: accepted and rejected.
    pub(super) items_seen: u64,
    resources: &'d mut Resources,
    origin: Origin<'a>,
    bytes_left: usize,
    /// About how many items the request holds.
    rows_expected: usize,
    /// Whether resources and scopes are searched for before the items are read.
    look_ahead: bool,
    batches: Vec<Batch>,
    rejected: BTreeMap<RejectReason, (u64, String)>,
}

/// The resource and scope of the items being read; parsed, and numbered in the current batch, when an item needs them.
#[derive(Default)]
struct Origin<'a> {
    encoded_resource: Merged<'a>,
    encoded_scope: Merged<'a>,
    resource: Option<Known>,
    scope: Option<(Arc<Scope>, u16)>,
    place: Option<Place>,
    hash: Option<u128>,
}

impl<'a> Origin<'a> {
    fn enter_scope(&mut self, encoded: Merged<'a>) {
        self.encoded_scope = encoded;
        self.scope = None;
        self.place = None;
        self.hash = None;
    }
}

impl<'d, 'a> Shared<'d, 'a> {
    /// A request of about `rows_expected` items, not begun yet.
    pub(super) fn new(
        context: Context,
        resources: &'d mut Resources,
        rows_expected: usize,
        look_ahead: bool,
    ) -> Self {
        Self {
            check: Check::new(context.limits.items_max, context.limits.depth_max),
            items_seen: 0,
            resources,
            origin: Origin::default(),
            bytes_left: context.limits.bytes_max,
            rows_expected,
            look_ahead,
            batches: Vec::new(),
            rejected: BTreeMap::new(),
            context,
        }
    }

    /// Where the next row comes from; makes sure that the batch has room for it.
    #[inline(always)]
    pub(super) fn place<R: Reader>(&mut self, reader: &mut R) -> Result<Place, Stop> {
        if reader.common().is_full() {
            self.flush(reader)?;
        }
        match self.origin.place {
            Some(place) => Ok(place),
            None => self.number(reader),
        }
    }

    /// Parses resource and scope if that is still to do, and numbers them in the current batch.
    #[inline(never)]
    fn number<R: Reader>(&mut self, reader: &mut R) -> Result<Place, Stop> {
        if reader.common().len() == 0 {
            reader.reserve(self.rows_expected.min(ROWS_MAX));
        }
        let limits = &self.context.limits;
        let origin = &mut self.origin;
        let known = match &mut origin.resource {
            Some(known) => known,
            missing => {
                let encoded = origin.encoded_resource.bytes();
                missing.insert(self.resources.get(encoded, limits, &mut self.check)?)
            }
        };
        let (scope, odd) = match &mut origin.scope {
            Some(scope) => scope,
            missing => {
                let encoded = origin.encoded_scope.bytes();
                let (scope, odd) = parse_scope(encoded, limits, &mut self.check)?;
                missing.insert((Arc::new(scope), odd))
            }
        };
        let place = Place {
            resource: reader.common().resource(known),
            scope: reader.common().scope(scope),
            inherited: known.anomalies | *odd,
        };
        Ok(*origin.place.insert(place))
    }

    /// BLAKE3-128 of the resource and scope of the items being read, as they were sent. Call after [`Shared::place`].
    pub(super) fn origin_hash(&mut self) -> u128 {
        let origin = &mut self.origin;
        let resource = origin.resource.as_ref();
        *origin.hash.get_or_insert_with(|| {
            let resource = resource.map_or(0, |known| known.resource.hash);
            let scope = origin.encoded_scope.bytes();
            blake3_128("origin", &[&resource.to_le_bytes(), scope])
        })
    }

    /// Counts a rejected item: the last one seen, of the kind `item`, called `name`.
    #[cold]
    pub(super) fn reject(&mut self, reason: RejectReason, item: &str, name: &[u8]) {
        let position = self.items_seen;
        let (count, _) = self.rejected.entry(reason).or_insert_with(|| {
            let name = String::from_utf8_lossy(cut_text(name, NAME_BYTES_MAX));
            let name = match name.is_empty() {
                true => String::new(),
                false => format!(", `{name}`"),
            };
            (0, format!("{item} {position} of the request{name}"))
        });
        *count += 1;
    }

    /// Finishes the batch under construction, if it has rows.
    pub(super) fn flush<R: Reader>(&mut self, reader: &mut R) -> Result<(), Stop> {
        self.origin.place = None;
        if reader.common().len() == 0 {
            return Ok(());
        }
        let batch = reader.take(self.context.received);
        let items = batch.items();
        let overhead =
            RESOURCE_BYTES * items.resources.len() + COLUMN_BYTES * items.attributes.len();
        self.bytes_left = self
            .bytes_left
            .checked_sub(batch.byte_size() + overhead)
            .ok_or(Stop::TooManyBytes)?;
        self.rows_expected = batch.len();
        self.batches.push(batch);
        Ok(())
    }

    /// The batches, what was rejected, and how many items there were.
    pub(super) fn finish(self) -> (Vec<Batch>, Vec<Rejected>, u64) {
        let rejected = self.rejected.into_iter();
        let rejected = rejected.map(|(reason, (count, first))| Rejected {
            reason,
            count,
            first,
        });
        (self.batches, rejected.collect(), self.items_seen)
    }
}

/// A reader with the request it reads.
pub(super) struct Walk<'r, 'd, 'a, R: Reader> {
    pub(super) reader: &'r mut R,
    pub(super) scratch: R::Scratch<'a>,
    pub(super) shared: Shared<'d, 'a>,
}

impl<'a, R: Reader> Walk<'_, '_, 'a, R> {
    pub(super) fn request(&mut self, body: &'a [u8]) -> Result<(), Stop> {
        if R::EMPTY_COUNTS {
            let check = &self.shared.check;
            let mut left = check.items_left;
            count(body, &[FIRST, SECOND], &mut left, check)?;
        }
        let mut wire = Wire::new(body);
        while let Some(field) = wire.next_key()? {
            self.shared.check.spend(1)?;
            match field {
                FIRST => self.resource(wire.bytes()?)?,
                known if known >> 3 == 1 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 0, self.shared.check.depth_max)?,
            }
        }
        self.shared.flush(self.reader)
    }

    fn resource(&mut self, bytes: &'a [u8]) -> Result<(), Stop> {
        let look_ahead = self.shared.look_ahead;
        let check = &mut self.shared.check;
        self.shared.origin = Origin {
            encoded_resource: ahead(look_ahead, bytes, RESOURCE_AT, check)?,
            ..Origin::default()
        };
        let mut begun = false;
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            let check = &mut self.shared.check;
            check.spend(1)?;
            match field {
                FIRST if look_ahead => drop(wire.bytes()?),
                FIRST if begun => return Err(Stop::OutOfOrder),
                FIRST => {
                    let encoded = &mut self.shared.origin.encoded_resource;
                    encoded.add(wire.bytes()?, RESOURCE_AT, check)?;
                }
                SECOND => {
                    begun = true;
                    self.scope(wire.bytes()?)?;
                }
                SCHEMA_URL => drop(text(wire.bytes()?)?),
                known if known >> 3 <= 3 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 1, check.depth_max)?,
            }
        }
        let origin = &self.shared.origin;
        match origin.resource {
            Some(_) => Ok(()),
            // Without items nobody needs it, but it must be valid all the same.
            None => {
                let encoded = origin.encoded_resource.bytes();
                self.shared
                    .check
                    .message(&RESOURCE, encoded, RESOURCE_DEPTH)
            }
        }
    }

    fn scope(&mut self, bytes: &'a [u8]) -> Result<(), Stop> {
        let look_ahead = self.shared.look_ahead;
        let encoded = ahead(look_ahead, bytes, SCOPE_AT, &mut self.shared.check)?;
        self.shared.origin.enter_scope(encoded);
        let mut begun = false;
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            let check = &mut self.shared.check;
            check.spend(1)?;
            match field {
                SECOND => {
                    begun = true;
                    let item = wire.bytes()?;
                    self.reader
                        .item(item, &mut self.scratch, &mut self.shared)?;
                }
                FIRST if look_ahead => drop(wire.bytes()?),
                FIRST if begun => return Err(Stop::OutOfOrder),
                FIRST => {
                    let encoded = &mut self.shared.origin.encoded_scope;
                    encoded.add(wire.bytes()?, SCOPE_AT, check)?;
                }
                SCHEMA_URL => drop(text(wire.bytes()?)?),
                known if known >> 3 <= 3 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 2, check.depth_max)?,
            }
        }
        let origin = &self.shared.origin;
        match origin.scope {
            Some(_) => Ok(()),
            None => {
                let encoded = origin.encoded_scope.bytes();
                self.shared.check.message(&SCOPE, encoded, ITEM_DEPTH)
            }
        }
    }
}

/// Takes the fields of `bytes` from `left`, and those of what stands in the fields `inner`, level by level.
fn count(bytes: &[u8], inner: &[u32], left: &mut u64, check: &Check) -> Result<(), Stop> {
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next_key()? {
        *left = left.checked_sub(1).ok_or(Stop::TooManyItems)?;
        match inner {
            [next, deeper @ ..] if field == *next => count(wire.bytes()?, deeper, left, check)?,
            _ => wire.skip(field, 0, check.depth_max)?,
        }
    }
    Ok(())
}

/// When looking ahead: all parts of field 1 of `bytes`, a `message` at `depth`, wherever they stand.
fn ahead<'a>(
    look_ahead: bool,
    bytes: &'a [u8],
    (message, depth): (&'static Message, u32),
    check: &mut Check,
) -> Result<Merged<'a>, Stop> {
    let mut merged = Merged::default();
    if !look_ahead {
        return Ok(merged);
    }
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next_key()? {
        match field {
            FIRST => merged.add(wire.bytes()?, (message, depth), check)?,
            other => wire.skip(other, 0, check.depth_max)?,
        }
    }
    Ok(merged)
}

/// Reads an encoded scope; returns it and what was odd about it.
fn parse_scope(
    encoded: &[u8],
    limits: &DecodeLimits,
    check: &mut Check,
) -> Result<(Scope, u16), Stop> {
    check.message(&SCOPE, encoded, ITEM_DEPTH)?;
    let (mut name, mut version): (&[u8], &[u8]) = (&[], &[]);
    let mut is_tail_sampled = false;
    let mut wire = Wire::new(encoded);
    while let Some(field) = wire.next_key()? {
        match field >> 3 {
            1 => name = wire.bytes()?,
            2 => version = wire.bytes()?,
            3 => {
                let entry = KeyValue::split(wire.bytes()?, check, ITEM_DEPTH + 1)?;
                is_tail_sampled |= TAIL_SAMPLERS.iter().any(|key| key.as_bytes() == entry.key);
            }
            _ => wire.skip(field, ITEM_DEPTH, limits.depth_max)?,
        }
    }
    let bytes_max = limits.value_bytes_max;
    let anomalies = match name.len().max(version.len()) > bytes_max {
        true => anomaly::TRUNCATED_VALUE,
        false => 0,
    };
    let scope = Scope {
        name: text(cut_text(name, bytes_max))?.to_owned(),
        version: text(cut_text(version, bytes_max))?.to_owned(),
        is_tail_sampled,
    };
    Ok((scope, anomalies))
}
