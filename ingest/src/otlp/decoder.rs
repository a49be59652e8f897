//! The decoder of OTLP requests, and what it makes of one.

use super::DecodeLimits;
use super::Format;
use super::batch::Context;
use super::check::Check;
use super::error::{DecodeError, Problem, Rejected, Stop};
use super::json;
use super::points::Points;
use super::records::Records;
use super::resource::Resources;
use super::schema::request;
use super::spans::Spans;
use super::walk::{Reader, Shared, Walk};
use engine::batch::Batch;
use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;

/// Bytes an item takes, as long as nobody knows better.
const ITEM_BYTES: usize = 512;

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
    /// rejected; at most about 4 KiB.
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

/// Decodes OTLP requests. Keep one per connection or thread: it remembers resources and the order of attributes,
/// which makes it fast and never changes what comes out.
pub struct Decoder {
    limits: DecodeLimits,
    resources: Resources,
    spans: Remembered<Spans>,
    points: Remembered<Points>,
    records: Remembered<Records>,
}

/// A reader, and what its last request told about the next one.
struct Remembered<R> {
    reader: R,
    /// Bytes an item of the last request took: tells how much room the next one needs.
    item_bytes: usize,
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
            resources: Resources::default(),
            spans: Remembered::default(),
            points: Remembered::default(),
            records: Remembered::default(),
        }
    }

    /// Decodes one uncompressed export request of `signal`, received at `received`; `seed` chooses the shards.
    ///
    /// Items that cannot count (invalid ids, times, buckets) are rejected one by one and listed; the others are in the
    /// batches.
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
        match format {
            Format::Protobuf => self.decode_protobuf(signal, body, received, seed),
            Format::Json => {
                let body = self.transcode(signal, body)?;
                self.decode_protobuf(signal, &body, received, seed)
            }
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

    fn decode_protobuf(
        &mut self,
        signal: Signal,
        body: &[u8],
        received: Timestamp,
        seed: HashSeed,
    ) -> Result<Decoded, DecodeError> {
        let context = Context {
            limits: self.limits,
            received,
            seed,
        };
        let known = &mut self.resources;
        let result = match signal {
            Signal::Traces => self.spans.decode(body, context, known),
            Signal::Metrics => self.points.decode(body, context, known),
            Signal::Logs => self.records.decode(body, context, known),
        };
        result.map_err(|stop| explain(stop, (signal, body), &self.limits))
    }
}

impl<R: Default> Default for Remembered<R> {
    fn default() -> Self {
        Self {
            reader: R::default(),
            item_bytes: ITEM_BYTES,
        }
    }
}

impl<R: Reader> Remembered<R> {
    fn decode(
        &mut self,
        body: &[u8],
        context: Context,
        resources: &mut Resources,
    ) -> Result<Decoded, Stop> {
        match self.walk(body, context, resources, false) {
            Err(Stop::OutOfOrder) => self.walk(body, context, resources, true),
            result => result,
        }
    }

    fn walk(
        &mut self,
        body: &[u8],
        context: Context,
        resources: &mut Resources,
        look_ahead: bool,
    ) -> Result<Decoded, Stop> {
        let rows_expected = body.len() / self.item_bytes + 1;
        let mut walk = Walk {
            reader: &mut self.reader,
            scratch: R::Scratch::default(),
            shared: Shared::new(context, resources, rows_expected, look_ahead),
        };
        let result = walk.request(body);
        let (batches, rejected, items_seen) = walk.shared.finish();
        if let Err(stop) = result {
            self.reader.clear();
            return Err(stop);
        }
        let items = usize::try_from(items_seen).unwrap_or(usize::MAX);
        self.item_bytes = (body.len() / items.max(1)).max(R::ITEM_BYTES_MIN);
        Ok(Decoded {
            signal: R::SIGNAL,
            batches,
            rejected,
            items_seen,
        })
    }
}

/// The form of `stop` for people: a malformed request is read once more to say where.
#[cold]
fn explain(stop: Stop, (signal, body): (Signal, &[u8]), limits: &DecodeLimits) -> DecodeError {
    match stop {
        Stop::TooManyItems => DecodeError::TooManyItems {
            items_max: limits.items_max,
        },
        Stop::TooManyBytes => DecodeError::TooManyBytes {
            bytes_max: limits.bytes_max,
        },
        Stop::Malformed(_) | Stop::OutOfOrder => {
            let mut check = Check::new(u64::MAX, limits.depth_max);
            let checked = check.message(request(signal), body, 0);
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
