//! `ExportTraceServiceRequest` to span batches, in one pass.
//!
//! Each level is first skimmed (its fields stepped over, not into): that yields the spans to reserve room for, spends
//! the item budget before anything is allocated for an item, and finds a resource or scope wherever the sender put it.

use super::DecodeLimits;
use super::batch::{Builder, Context};
use super::error::{DecodeError, Problem, RejectReason, Rejected, Stop};
use super::resource::{DEPTH as RESOURCE_DEPTH, Known, Resources};
use super::schema::{Check, REQUEST, RESOURCE, SCOPE, SPAN, text};
use super::span::{Children, RawSpan, SPAN_DEPTH};
use super::value::{Merged, cut_text};
use super::wire::{BYTES, Wire, key};
use engine::hash::HashSeed;
use engine::span::{Scope, SpanBatch};
use engine::time::Timestamp;
use std::sync::Arc;

/// Resource spans of a request, resource of resource spans, scope of scope spans.
const FIRST: u32 = key(1, BYTES);
/// Scope spans of resource spans, spans of scope spans.
const SECOND: u32 = key(2, BYTES);
const SCHEMA_URL: u32 = key(3, BYTES);
/// What a distinct resource costs beside its bytes.
const RESOURCE_BYTES: usize = 1_024;

/// What one request held.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The accepted spans, in the order sent.
    pub batches: Vec<SpanBatch>,
    /// The rejected spans, grouped by reason, in the order of the reasons.
    pub rejected: Vec<Rejected>,
    /// Spans in the request: accepted and rejected.
    pub spans_seen: u64,
}

impl Decoded {
    /// Number of spans accepted.
    pub fn spans_accepted(&self) -> u64 {
        self.spans_seen - self.spans_rejected()
    }

    /// Number of spans rejected: `partial_success.rejected_spans`.
    pub fn spans_rejected(&self) -> u64 {
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
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: DecodeLimits) -> Self {
        Self {
            limits,
            builder: Builder::new(),
            resources: Resources::default(),
        }
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
            batches: Vec::new(),
            rejected: Default::default(),
            spans_seen: 0,
        };
        match walk.request(body) {
            Ok(()) => Ok(walk.finish()),
            Err(stop) => {
                self.builder.clear();
                Err(self.explain(stop, body))
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
            Stop::Malformed(problem) => {
                let mut check = Check::new(u64::MAX, self.limits.depth_max);
                let checked = check.message(&REQUEST, body, 0);
                debug_assert!(
                    checked.is_err(),
                    "the fast path refused what the schema allows"
                );
                let problem = match checked {
                    Err(Stop::Malformed(first)) => first,
                    _ => problem,
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
    batches: Vec<SpanBatch>,
    rejected: std::collections::BTreeMap<RejectReason, (u64, String)>,
    spans_seen: u64,
}

/// The resource and scope of the spans being read, and their numbers in the current batch.
struct Origin {
    resource: Known,
    scope: Arc<Scope>,
    numbers: Option<(u16, u16)>,
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
        let mut resource = Merged::default();
        let mut scopes = Vec::new();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            self.check.spend(1)?;
            match field {
                FIRST => resource.add(wire.bytes()?),
                SECOND => scopes.push(wire.bytes()?),
                SCHEMA_URL => drop(text(wire.bytes()?)?),
                known if known >> 3 <= 3 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 1, self.context.limits.depth_max)?,
            }
        }
        let encoded = resource.into_bytes();
        let mut known = None;
        for scope in scopes {
            self.scope_spans(scope, &encoded, &mut known)?;
        }
        match known {
            Some(_) => Ok(()),
            // Without spans nobody needs it, but it must be valid all the same.
            None => self.check.message(&RESOURCE, &encoded, RESOURCE_DEPTH),
        }
    }

    fn scope_spans(
        &mut self,
        bytes: &'a [u8],
        resource: &[u8],
        known: &mut Option<Known>,
    ) -> Result<(), Stop> {
        let mut scope = Merged::default();
        let mut spans = Vec::new();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            self.check.spend(1)?;
            match field {
                FIRST => scope.add(wire.bytes()?),
                SECOND => spans.push(wire.bytes()?),
                SCHEMA_URL => drop(text(wire.bytes()?)?),
                known if known >> 3 <= 3 => return Err(Problem::WrongWireType.into()),
                unknown => wire.skip(unknown, 2, self.context.limits.depth_max)?,
            }
        }
        let (scope, anomalies) = self.scope(&scope.into_bytes())?;
        if spans.is_empty() {
            return Ok(());
        }
        let resource = match known {
            Some(known) => known,
            None => known.insert(self.resources.get(
                resource,
                &self.context.limits,
                &mut self.check,
            )?),
        };
        let mut origin = Origin {
            resource: Known {
                anomalies: resource.anomalies | anomalies,
                ..resource.clone()
            },
            scope: Arc::new(scope),
            numbers: None,
        };
        self.builder.reserve(spans.len());
        for span in spans {
            self.span(span, &mut origin)?;
        }
        Ok(())
    }

    fn scope(&mut self, encoded: &[u8]) -> Result<(Scope, u16), Stop> {
        self.check.message(&SCOPE, encoded, SPAN_DEPTH)?;
        let (mut name, mut version): (&[u8], &[u8]) = (&[], &[]);
        let mut wire = Wire::new(encoded);
        while let Some(field) = wire.next_key()? {
            match field >> 3 {
                1 => name = wire.bytes()?,
                2 => version = wire.bytes()?,
                _ => wire.skip(field, SPAN_DEPTH, self.context.limits.depth_max)?,
            }
        }
        let bytes_max = self.context.limits.value_bytes_max;
        let anomalies = match name.len().max(version.len()) > bytes_max {
            true => engine::span::anomaly::TRUNCATED_VALUE,
            false => 0,
        };
        let scope = Scope {
            name: text(cut_text(name, bytes_max))?.to_owned(),
            version: text(cut_text(version, bytes_max))?.to_owned(),
        };
        Ok((scope, anomalies))
    }

    #[inline(always)]
    fn span(&mut self, bytes: &'a [u8], origin: &mut Origin) -> Result<(), Stop> {
        let raw = RawSpan::read(bytes, &mut self.children, &mut self.check)?;
        self.spans_seen += 1;
        let judged = match raw.judge(self.context.received) {
            Ok(judged) => judged,
            Err(reason) => return self.reject(reason, &raw, bytes),
        };
        if self.builder.is_full() {
            self.flush()?;
            origin.numbers = None;
        }
        let (resource, scope) = match origin.numbers {
            Some(numbers) => numbers,
            None => {
                let numbers = (
                    self.builder.resource(&origin.resource),
                    self.builder.scope(&origin.scope),
                );
                *origin.numbers.insert(numbers)
            }
        };
        self.builder.push(
            (&raw, judged, bytes.len()),
            &self.children,
            (resource, scope, origin.resource.anomalies),
            &self.context,
            &mut self.check,
        )
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
        self.bytes_left = self
            .bytes_left
            .checked_sub(batch.byte_size() + RESOURCE_BYTES * batch.resources.len())
            .ok_or(Stop::TooManyBytes)?;
        self.batches.push(batch);
        Ok(())
    }

    fn finish(self) -> Decoded {
        Decoded {
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
            spans_seen: self.spans_seen,
        }
    }
}
