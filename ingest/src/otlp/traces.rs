//! `ExportTraceServiceRequest` to span batches, in one pass.
//!
//! The item budget is spent before anything is allocated for an item, the byte budget with every finished batch.
//! Protobuf lets a sender put a resource or scope behind its spans. Nobody does; the walk then starts over and looks
//! ahead, which keeps the usual walk a single pass.

use super::DecodeLimits;
use super::Format;
use super::batch::{Builder, Context};
use super::check::Check;
use super::error::{DecodeError, Problem, RejectReason, Rejected, Stop};
use super::json;
use super::resource::{DEPTH as RESOURCE_DEPTH, Known, Resources};
use super::schema::{Message, RESOURCE, SCOPE, SPAN, request, text};
use super::span::{Children, RawSpan, SPAN_DEPTH};
use super::value::{Merged, cut_text};
use super::wire::{BYTES, Wire, key};
use engine::anomaly;
use engine::batch::Batch;
use engine::hash::HashSeed;
use engine::items::Scope;
use engine::items::Signal;
use engine::time::Timestamp;
use std::sync::Arc;

/// Resource spans of a request, resource of resource spans, scope of scope spans.
const FIRST: u32 = key(1, BYTES);
/// Scope spans of resource spans, spans of scope spans.
const SECOND: u32 = key(2, BYTES);
const SCHEMA_URL: u32 = key(3, BYTES);
/// A resource and a scope with the depths they stand at.
const RESOURCE_AT: (&Message, u32) = (&RESOURCE, RESOURCE_DEPTH);
const SCOPE_AT: (&Message, u32) = (&SCOPE, SPAN_DEPTH);
/// What an attribute column costs beside its values.
const COLUMN_BYTES: usize = 512;
/// What a distinct resource costs beside its bytes.
const RESOURCE_BYTES: usize = 1_024;

/// No span with ids and times is shorter.
const SPAN_BYTES_MIN: usize = 44;

/// What one request held.
#[derive(Debug)]
pub struct Decoded {
    /// Kind of its items.
    pub signal: Signal,
    /// The accepted items, in the order sent.
    pub batches: Vec<Batch>,
    /// The rejected items, grouped by reason, in the order of the reasons.
    pub rejected: Vec<Rejected>,
    /// Items in the request: accepted and rejected.
    pub items_seen: u64,
}

impl Decoded {
    /// Number of items accepted.
    pub fn items_accepted(&self) -> u64 {
        self.items_seen - self.items_rejected()
    }

    /// Number of items rejected: `partial_success.rejected_*`.
    pub fn items_rejected(&self) -> u64 {
        self.rejected.iter().map(|group| group.count).sum()
    }

    /// `partial_success.error_message`: every reason with its count and first example. Empty when nothing was
    /// rejected; at most about 2 KiB.
    pub fn error_message(&self) -> String {
        let groups: Vec<String> = self
            .rejected
            .iter()
            .map(|group| {
                let (count, expected) = (group.count, group.reason.expected());
                format!("{count} rejected: {expected} (first: {})", group.first)
            })
            .collect();
        groups.join("; ")
    }
}

/// Decodes OTLP trace requests. Keep one per connection or thread: it remembers resources and the order of
/// attributes, which makes it fast and never changes what comes out.
pub struct Decoder {
    limits: DecodeLimits,
    builder: Builder,
    resources: Resources,
    /// Bytes a span of the last request took: tells how much room the next one needs.
    span_bytes: usize,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: DecodeLimits) -> Self {
        // Keys and columns are numbered by 16 bits.
        let attributes_per_span = limits.attributes_per_span.min(4_096);
        Self {
            limits: DecodeLimits {
                attributes_per_span,
                ..limits
            },
            builder: Builder::new(),
            resources: Resources::default(),
            span_bytes: 512,
        }
    }

    /// Decodes one uncompressed export request of `signal`, received at `received`; `seed` chooses the shards.
    ///
    /// Items with invalid ids or times are rejected one by one and listed; the others are in the batches.
    ///
    /// # Errors
    /// When the body is no valid request or exceeds a budget; nothing of it may then be counted.
    pub fn decode(
        &mut self,
        (signal, format): (Signal, Format),
        body: &[u8],
        received: Timestamp,
        seed: HashSeed,
    ) -> Result<Decoded, DecodeError> {
        match (signal, format) {
            (signal, Format::Json) => {
                let body = self.transcode(signal, body)?;
                self.decode((signal, Format::Protobuf), &body, received, seed)
            }
            (Signal::Traces, Format::Protobuf) => self.decode_traces(body, received, seed),
            _ => Err(DecodeError::Unsupported),
        }
    }

    /// The export request of `signal` in the OTLP/JSON `body`, written as protobuf: what [`Self::decode`] does first with
    /// JSON. At most twice as long as `body` and 1 MiB.
    ///
    /// # Errors
    /// When the body is no valid request or holds too many items.
    pub fn transcode(&self, signal: Signal, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
        json::transcode(signal, body, &self.limits)
    }

    /// Decodes one uncompressed `ExportTraceServiceRequest`, received at `received`; `seed` chooses the shards.
    ///
    /// Spans with invalid ids or times are rejected one by one and listed; the others are in the batches.
    ///
    /// # Errors
    /// When the body is no valid request or exceeds a budget; nothing of it may then be counted.
    pub fn decode_traces(
        &mut self,
        body: &[u8],
        received: Timestamp,
        seed: HashSeed,
    ) -> Result<Decoded, DecodeError> {
        let mut result = self.walk(body, received, seed, false);
        if matches!(result, Err(Stop::OutOfOrder)) {
            result = self.walk(body, received, seed, true);
        }
        result.map_err(|stop| self.explain(stop, body))
    }

    fn walk(
        &mut self,
        body: &[u8],
        received: Timestamp,
        seed: HashSeed,
        look_ahead: bool,
    ) -> Result<Decoded, Stop> {
        let mut walk = Walk {
            context: Context {
                limits: self.limits,
                received,
                seed,
            },
            check: Check::new(self.limits.items_max, self.limits.depth_max),
            builder: &mut self.builder,
            resources: &mut self.resources,
            children: Children::default(),
            bytes_left: self.limits.bytes_max,
            rows_expected: body.len() / self.span_bytes + 1,
            look_ahead,
            batches: Vec::new(),
            rejected: Default::default(),
            spans_seen: 0,
        };
        match walk.request(body) {
            Ok(()) => {
                let decoded = walk.finish();
                let spans = usize::try_from(decoded.items_seen).unwrap_or(usize::MAX);
                self.span_bytes = (body.len() / spans.max(1)).max(SPAN_BYTES_MIN);
                Ok(decoded)
            }
            Err(stop) => {
                self.builder.clear();
                Err(stop)
            }
        }
    }

    #[cold]
    fn explain(&self, stop: Stop, body: &[u8]) -> DecodeError {
        match stop {
            Stop::TooManyItems => DecodeError::TooManyItems {
                items_max: self.limits.items_max,
            },
            Stop::TooManyBytes => DecodeError::TooManyBytes {
                bytes_max: self.limits.bytes_max,
            },
            Stop::Malformed(_) | Stop::OutOfOrder => {
                let mut check = Check::new(u64::MAX, self.limits.depth_max);
                let checked = check.message(request(Signal::Traces), body, 0);
                debug_assert!(
                    checked.is_err(),
                    "the fast path refused what the schema allows"
                );
                let problem = match (checked, stop) {
                    (Err(Stop::Malformed(first)), _) | (_, Stop::Malformed(first)) => first,
                    _ => Problem::Truncated,
                };
                let (path, offset) = check.place(body);
                DecodeError::Malformed {
                    problem,
                    path,
                    offset,
                }
            }
        }
    }
}

/// One request on its way through.
struct Walk<'d, 'a> {
    context: Context,
    check: Check,
    builder: &'d mut Builder,
    resources: &'d mut Resources,
    children: Children<'a>,
    bytes_left: usize,
    /// About how many spans the request holds.
    rows_expected: usize,
    /// Whether resources and scopes are searched for before the spans are read.
    look_ahead: bool,
    batches: Vec<Batch>,
    rejected: std::collections::BTreeMap<RejectReason, (u64, String)>,
    spans_seen: u64,
}

/// The resource and scope of the spans being read; parsed, and numbered in the current batch, when a span needs them.
#[derive(Default)]
struct Origin<'a> {
    encoded_resource: Merged<'a>,
    encoded_scope: Merged<'a>,
    resource: Option<Known>,
    scope: Option<(Arc<Scope>, u16)>,
    numbers: Option<(u16, u16, u16)>,
}

/// Reads an encoded scope; returns it and what was odd about it.
fn parse_scope(
    encoded: &[u8],
    limits: &DecodeLimits,
    check: &mut Check,
) -> Result<(Scope, u16), Stop> {
    check.message(&SCOPE, encoded, SPAN_DEPTH)?;
    let (mut name, mut version): (&[u8], &[u8]) = (&[], &[]);
    let mut wire = Wire::new(encoded);
    while let Some(field) = wire.next_key()? {
        match field >> 3 {
            1 => name = wire.bytes()?,
            2 => version = wire.bytes()?,
            _ => wire.skip(field, SPAN_DEPTH, limits.depth_max)?,
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
    };
    Ok((scope, anomalies))
}

/// All parts of field 1 of `bytes`, a `message` at `depth`, wherever they stand.
fn parts<'a>(
    bytes: &'a [u8],
    (message, depth): (&'static Message, u32),
    check: &mut Check,
) -> Result<Merged<'a>, Stop> {
    let mut merged = Merged::default();
    let mut wire = Wire::new(bytes);
    while let Some(field) = wire.next_key()? {
        match field {
            FIRST => merged.add(wire.bytes()?, (message, depth), check)?,
            other => wire.skip(other, 0, check.depth_max)?,
        }
    }
    Ok(merged)
}

impl<'a> Walk<'_, 'a> {
    fn request(&mut self, body: &'a [u8]) -> Result<(), Stop> {
        let mut wire = Wire::new(body);
        while let Some(field) = wire.next_key()? {
            self.check.spend(1)?;
            match field {
                FIRST => self.resource_spans(wire.bytes()?)?,
                known if known >> 3 == 1 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 0, self.context.limits.depth_max)?,
            }
        }
        self.flush()
    }

    fn resource_spans(&mut self, bytes: &'a [u8]) -> Result<(), Stop> {
        let mut origin = Origin::default();
        let mut begun = false;
        if self.look_ahead {
            origin.encoded_resource = parts(bytes, RESOURCE_AT, &mut self.check)?;
        }
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            self.check.spend(1)?;
            match field {
                FIRST if self.look_ahead => drop(wire.bytes()?),
                FIRST if begun => return Err(Stop::OutOfOrder),
                FIRST => {
                    let part = wire.bytes()?;
                    origin
                        .encoded_resource
                        .add(part, RESOURCE_AT, &mut self.check)?;
                }
                SECOND => {
                    begun = true;
                    self.scope_spans(wire.bytes()?, &mut origin)?;
                }
                SCHEMA_URL => drop(text(wire.bytes()?)?),
                known if known >> 3 <= 3 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 1, self.context.limits.depth_max)?,
            }
        }
        match origin.resource {
            Some(_) => Ok(()),
            // Without spans nobody needs it, but it must be valid all the same.
            None => {
                let encoded = origin.encoded_resource.bytes();
                self.check.message(&RESOURCE, encoded, RESOURCE_DEPTH)
            }
        }
    }

    fn scope_spans(&mut self, bytes: &'a [u8], origin: &mut Origin<'a>) -> Result<(), Stop> {
        origin.scope = None;
        origin.numbers = None;
        origin.encoded_scope = match self.look_ahead {
            true => parts(bytes, SCOPE_AT, &mut self.check)?,
            false => Merged::default(),
        };
        let mut begun = false;
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            self.check.spend(1)?;
            match field {
                SECOND => {
                    begun = true;
                    self.span(wire.bytes()?, origin)?;
                }
                FIRST if self.look_ahead => drop(wire.bytes()?),
                FIRST if begun => return Err(Stop::OutOfOrder),
                FIRST => {
                    let part = wire.bytes()?;
                    origin.encoded_scope.add(part, SCOPE_AT, &mut self.check)?;
                }
                SCHEMA_URL => drop(text(wire.bytes()?)?),
                known if known >> 3 <= 3 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 2, self.context.limits.depth_max)?,
            }
        }
        match origin.scope {
            Some(_) => Ok(()),
            None => {
                let encoded = origin.encoded_scope.bytes();
                self.check.message(&SCOPE, encoded, SPAN_DEPTH)
            }
        }
    }

    #[inline(always)]
    fn span(&mut self, bytes: &'a [u8], origin: &mut Origin<'a>) -> Result<(), Stop> {
        let mut raw = RawSpan::default();
        raw.read(bytes, &mut self.children, &mut self.check)?;
        self.spans_seen += 1;
        let judged = match raw.judge(self.context.received) {
            Ok(judged) => judged,
            Err(reason) => return self.reject(reason, &raw, bytes),
        };
        if self.builder.is_full() {
            self.flush()?;
            origin.numbers = None;
        }
        let numbers = match origin.numbers {
            Some(numbers) => numbers,
            None => self.number(origin)?,
        };
        self.builder.push(
            (&raw, judged, bytes.len()),
            &self.children,
            numbers,
            &self.context,
            &mut self.check,
        )
    }

    /// Parses resource and scope if that is still to do, and numbers them in the current batch.
    #[inline(never)]
    fn number(&mut self, origin: &mut Origin<'a>) -> Result<(u16, u16, u16), Stop> {
        if self.builder.len() == 0 {
            self.builder.reserve(self.rows_expected);
        }
        let limits = &self.context.limits;
        let resource = match &mut origin.resource {
            Some(known) => known,
            missing => {
                let encoded = origin.encoded_resource.bytes();
                missing.insert(self.resources.get(encoded, limits, &mut self.check)?)
            }
        };
        let resource_number = self.builder.resource(resource);
        let inherited = resource.anomalies;
        let (scope, anomalies) = match &mut origin.scope {
            Some(scope) => scope,
            missing => {
                let encoded = origin.encoded_scope.bytes();
                let (scope, anomalies) = parse_scope(encoded, limits, &mut self.check)?;
                missing.insert((Arc::new(scope), anomalies))
            }
        };
        let scope_number = self.builder.scope(scope);
        let numbers = (resource_number, scope_number, inherited | *anomalies);
        Ok(*origin.numbers.insert(numbers))
    }

    /// Counts a rejected span, which must be well-formed all the same.
    #[cold]
    fn reject(
        &mut self,
        reason: RejectReason,
        raw: &RawSpan<'_>,
        bytes: &[u8],
    ) -> Result<(), Stop> {
        self.check.message(&SPAN, bytes, SPAN_DEPTH)?;
        let position = self.spans_seen;
        let (count, _) = self.rejected.entry(reason).or_insert_with(|| {
            let name = String::from_utf8_lossy(cut_text(raw.name, 64));
            (0, format!("span {position} of the request, `{name}`"))
        });
        *count += 1;
        Ok(())
    }

    /// Finishes the batch under construction, if it has rows.
    fn flush(&mut self) -> Result<(), Stop> {
        if self.builder.len() == 0 {
            return Ok(());
        }
        let batch = self.builder.take(self.context.received);
        let overhead = RESOURCE_BYTES * batch.items.resources.len()
            + COLUMN_BYTES * batch.items.attributes.len();
        self.bytes_left = self
            .bytes_left
            .checked_sub(batch.byte_size() + overhead)
            .ok_or(Stop::TooManyBytes)?;
        self.rows_expected = batch.len();
        self.batches.push(batch.into());
        Ok(())
    }

    fn finish(self) -> Decoded {
        Decoded {
            signal: Signal::Traces,
            batches: self.batches,
            rejected: self
                .rejected
                .into_iter()
                .map(|(reason, (count, first))| Rejected {
                    reason,
                    count,
                    first,
                })
                .collect(),
            items_seen: self.spans_seen,
        }
    }
}
