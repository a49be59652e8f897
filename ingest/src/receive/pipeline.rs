//! From a received body to an acknowledgment: decompress, decode, hand on. The same for gRPC and HTTP.

use super::admission::{Budget, Reservation};
use super::compression::{Encoding, Inflater};
use super::refusal::Refusal;
use super::stats::ReceiveStats;
use super::{Accepted, Protocol, ReceiveConfig, Request};
use crate::otlp::{DecodeLimits, Decoded, Decoder, Format};
use bytes::Bytes;
use engine::batch::Batch;
use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tower_http::cors::CorsLayer;

/// A request whose plain body is larger than this (as far as it says) is decoded off the network threads:
/// 256 KiB take about 150 us.
const INLINE_BYTES_MAX: usize = 512 * 1024;
/// Workers kept for reuse; more exist only while more requests are decoded at once.
const WORKERS_KEPT: usize = 32;

/// What a client is told about an accepted request.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) signal: Signal,
    pub(crate) format: Format,
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// Everything a connection needs to answer requests; shared by all of them.
pub(crate) struct Pipeline {
    pub(crate) config: ReceiveConfig,
    pub(crate) budget: Arc<Budget>,
    pub(crate) stats: Arc<ReceiveStats>,
    pub(crate) seed: HashSeed,
    pub(crate) sink: mpsc::Sender<Accepted>,
    pub(crate) clock: fn() -> Timestamp,
    /// Answers browsers; `None` when no origin is allowed.
    pub(crate) cors: Option<CorsLayer>,
    /// Touched for the length of one push or pop. Last in, first out: a busy worker's predictions stay warm.
    pub(crate) workers: Mutex<Vec<Worker>>,
}

/// What one request needs while it is decoded.
pub(crate) struct Worker {
    inflater: Inflater,
    decoder: Decoder,
}

impl Pipeline {
    /// Decodes `body` and hands the result to the engine; acknowledged only when that was accepted.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        (protocol, signal, format): (Protocol, Signal, Format),
        encoding: Encoding,
        body: Bytes,
        hold: Reservation,
    ) -> Result<Receipt, Refusal> {
        let request = Request {
            protocol,
            signal,
            format,
            encoding,
            received: (self.clock)(),
            body,
        };
        let accepted = if encoding.plain_bytes_hint(&request.body) > INLINE_BYTES_MAX {
            let pipeline = Arc::clone(self);
            tokio::task::spawn_blocking(move || pipeline.decode(request, hold))
                .await
                .unwrap_or(Err(Refusal::Internal))?
        } else {
            self.decode(request, hold)?
        };
        self.hand_on(accepted)
    }

    fn decode(&self, request: Request, mut hold: Reservation) -> Result<Accepted, Refusal> {
        let mut worker = self.take_worker();
        let decoded = worker.decode(&request, self, &mut hold);
        worker.inflater.trim();
        self.return_worker(worker);
        let decoded = decoded?;
        let columns: usize = decoded.batches.iter().map(Batch::byte_size).sum();
        hold.settle(request.body.len() + columns);
        Ok(Accepted {
            request,
            decoded,
            hold,
        })
    }

    fn hand_on(&self, accepted: Accepted) -> Result<Receipt, Refusal> {
        let kind = (accepted.request.protocol, accepted.request.signal);
        let body_bytes = accepted.request.body.len() as u64;
        let items = accepted.decoded.items_accepted();
        let receipt = Receipt {
            signal: accepted.request.signal,
            format: accepted.request.format,
            rejected: accepted.decoded.items_rejected(),
            message: accepted.decoded.error_message(),
        };
        if accepted.decoded.items_seen > 0 {
            self.sink.try_send(accepted).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Refusal::ShuttingDown,
            })?;
        }
        self.stats
            .count_accepted(kind, (items, receipt.rejected), body_bytes);
        Ok(receipt)
    }

    /// Grows `hold` to `total` bytes. What will never fit is refused for good: "try again" would be a lie.
    fn reserve(&self, hold: &mut Reservation, total: usize) -> Result<(), Refusal> {
        if hold.ensure(total) {
            return Ok(());
        }
        Err(match total > self.config.in_flight_bytes_max {
            true => Refusal::TooLarge {
                limit: self.config.request_bytes_max,
            },
            false => Refusal::Overloaded,
        })
    }

    fn take_worker(&self) -> Worker {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = workers.pop();
        drop(workers);
        kept.unwrap_or_else(|| Worker::new(self.config.decode))
    }

    fn return_worker(&self, worker: Worker) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.len() < WORKERS_KEPT {
            workers.push(worker);
        }
    }
}

impl Worker {
    fn new(limits: DecodeLimits) -> Self {
        Self {
            inflater: Inflater::new(),
            decoder: Decoder::new(limits),
        }
    }

    fn decode(
        &mut self,
        request: &Request,
        pipeline: &Pipeline,
        hold: &mut Reservation,
    ) -> Result<Decoded, Refusal> {
        let limit = pipeline.config.request_bytes_max;
        let body = &request.body[..];
        let plain = self.inflater.plain(request.encoding, body, limit, hold)?;
        let inflated = match request.encoding {
            Encoding::Identity => 0,
            Encoding::Gzip | Encoding::Zstd => plain.len(),
        };
        let held = body.len() + inflated;
        let transcoded;
        let (held, plain) = match request.format {
            Format::Protobuf => (held, plain),
            Format::Json => {
                // As protobuf it is shorter, except for long lists of zeros.
                pipeline.reserve(hold, held + plain.len())?;
                transcoded = self.decoder.transcode(request.signal, plain)?;
                (held + transcoded.len(), &transcoded[..])
            }
        };
        // The columns take about as much as the bytes they come from; what they really take is settled afterwards.
        pipeline.reserve(hold, held + plain.len())?;
        Ok(self.decoder.decode(
            (request.signal, Format::Protobuf),
            plain,
            request.received,
            pipeline.seed,
        )?)
    }
}
