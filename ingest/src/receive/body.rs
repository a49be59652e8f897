//! Reading a request body: bounded, reserved as it arrives, and without a copy when it comes in one piece.

use super::admission::Reservation;
use super::refusal::Refusal;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

/// Most bytes reserved or allocated on a client's word alone; beyond, only for what has arrived.
const TRUSTED_BYTES: usize = 1024 * 1024;
/// A refused body up to this size is read and thrown away, so that the client reads the answer, not a reset.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;
/// Longest time spent on that.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// A body that is being received.
pub(crate) struct Collector {
    first: Bytes,
    joined: BytesMut,
    limit: usize,
    expected: usize,
}

impl Collector {
    /// A body of at most `limit` bytes, of which the client announced `expected` (0 = unknown).
    pub(crate) fn new(limit: usize, expected: usize) -> Self {
        Self {
            first: Bytes::new(),
            joined: BytesMut::new(),
            limit,
            expected,
        }
    }

    /// Bytes received so far.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// The first five bytes, once they are there: the prefix of a gRPC message.
    pub(crate) fn prefix(&self) -> Option<[u8; 5]> {
        let held = if self.joined.is_empty() {
            &self.first[..]
        } else {
            &self.joined[..]
        };
        held.first_chunk().copied()
    }

    /// Announces the size of the whole body, learned while reading it.
    pub(crate) fn expect(&mut self, total: usize) {
        self.expected = total;
    }

    /// Reserves what the client announced, as far as that is believed.
    pub(crate) fn reserve(&self, hold: &mut Reservation) -> Result<(), Refusal> {
        reserved(hold.ensure(self.expected.min(TRUSTED_BYTES)))
    }

    /// Appends `chunk`.
    pub(crate) fn push(&mut self, chunk: Bytes, hold: &mut Reservation) -> Result<(), Refusal> {
        let total = self.len() + chunk.len();
        if total > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        reserved(hold.ensure(total))?;
        if self.len() == 0 {
            self.first = chunk;
            return Ok(());
        }
        let wanted = match total {
            0..=TRUSTED_BYTES => self.expected.min(TRUSTED_BYTES),
            _ => self.expected,
        };
        self.joined.reserve(wanted.max(total) - self.joined.len());
        self.joined
            .extend_from_slice(&std::mem::take(&mut self.first));
        self.joined.extend_from_slice(&chunk);
        Ok(())
    }

    /// The whole body.
    pub(crate) fn finish(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

/// The next piece of `body`; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::BadFraming {
            message: error.to_string(),
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Reads and discards a small refused body, holding none of it.
pub(crate) async fn drain(body: &mut Incoming) {
    let discard = async {
        let mut discarded = 0;
        while let Ok(Some(chunk)) = next_chunk(body).await {
            discarded += chunk.len();
            if discarded > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // Running out of time is as good an end as any: the connection is closed then.
    drop(timeout(DRAIN_TIME_MAX, discard).await);
}

fn reserved(granted: bool) -> Result<(), Refusal> {
    if granted {
        Ok(())
    } else {
        Err(Refusal::Overloaded)
    }
}
