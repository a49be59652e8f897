//! What a record says: a request as received, or a control input as JSON with sorted keys.

use crate::otlp::Format;
use crate::receive::{Encoding, Protocol};
use engine::delta::Counter;
use engine::hand::{ClusterReport, Steering};
use engine::input::{DefinitionsLoaded, EffectDone, Gap, LatchCleared, RolloutEvent};
use engine::items::Signal;
use engine::time::Timestamp;
use serde::Serialize;

/// An export request as received, with what decoding it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Transport.
    pub protocol: Protocol,
    /// Kind of its items.
    pub signal: Signal,
    /// How the plain body is written.
    pub format: Format,
    /// Encoding of `body`.
    pub encoding: Encoding,
    /// Items rejected one by one.
    pub rejected: u32,
    /// BLAKE3-128 of the decoded columns: replay compares it.
    pub columns_digest: u128,
    /// The body as received.
    pub body: bytes::Bytes,
}

impl RequestRecord {
    /// The decompressed body.
    ///
    /// # Errors
    /// When it does not decompress: it was accepted once, so the recording was made by another version.
    pub fn plain(&self) -> Result<Vec<u8>, crate::receive::DecompressError> {
        crate::receive::decompress(self.encoding, &self.body)
    }
}

/// The closed set of things a record can say.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordBody {
    /// Items.
    Request(RequestRecord),
    /// Logical time passes.
    Tick,
    /// Definitions were read.
    Definitions(DefinitionsLoaded),
    /// A rollout event.
    Rollout(RolloutEvent),
    /// A latch was cleared.
    Override(LatchCleared),
    /// An effect was executed.
    EffectDone(EffectDone),
    /// Counts are missing.
    Gap(Gap),
    /// The watch of a cluster reported.
    Cluster(ClusterReport),
    /// A person disarmed or armed the hand.
    Steer(Steering),
    /// Counters that ingest keeps (refused items), added at this point.
    Counters(Vec<(Counter, u64)>),
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position in the log.
    pub lsn: u64,
    /// Logical time: when it was received; never decreases.
    pub received: Timestamp,
    /// What it says.
    pub body: RecordBody,
}

impl RecordBody {
    pub(super) const fn type_number(&self) -> u8 {
        match self {
            Self::Request(_) => 1,
            Self::Tick => 2,
            Self::Definitions(_) => 3,
            Self::Rollout(_) => 4,
            Self::Override(_) => 5,
            Self::EffectDone(_) => 6,
            Self::Gap(_) => 7,
            Self::Counters(_) => 8,
            Self::Cluster(_) => 9,
            Self::Steer(_) => 10,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => encode_request(request),
            Self::Tick => Vec::new(),
            Self::Definitions(loaded) => sorted_json(loaded),
            Self::Rollout(event) => sorted_json(event),
            Self::Override(cleared) => sorted_json(cleared),
            Self::EffectDone(done) => sorted_json(done),
            Self::Gap(gap) => sorted_json(gap),
            Self::Counters(counters) => sorted_json(counters),
            Self::Cluster(report) => sorted_json(report),
            Self::Steer(steering) => sorted_json(steering),
        }
    }

    /// `None` when the type is unknown or the payload does not fit it.
    pub(super) fn decode(type_number: u8, payload: &[u8]) -> Option<Self> {
        let json = payload;
        Some(match type_number {
            1 => Self::Request(decode_request(payload)?),
            2 => Self::Tick,
            3 => Self::Definitions(serde_json::from_slice(json).ok()?),
            4 => Self::Rollout(serde_json::from_slice(json).ok()?),
            5 => Self::Override(serde_json::from_slice(json).ok()?),
            6 => Self::EffectDone(serde_json::from_slice(json).ok()?),
            7 => Self::Gap(serde_json::from_slice(json).ok()?),
            8 => Self::Counters(serde_json::from_slice(json).ok()?),
            9 => Self::Cluster(serde_json::from_slice(json).ok()?),
            10 => Self::Steer(serde_json::from_slice(json).ok()?),
            _ => return None,
        })
    }
}

/// JSON whose object keys are sorted: `serde_json::Value` keeps its maps in a BTreeMap.
fn sorted_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_vec(&value))
        .unwrap_or_else(|error| {
            debug_assert!(false, "control records serialize: {error}");
            Vec::new()
        })
}

fn encode_request(request: &RequestRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + request.body.len());
    // Bit 0 the transport, bits 1-2 the signal, bit 3 the format.
    let protocol = match request.protocol {
        Protocol::Grpc => 0,
        Protocol::Http => 1,
    };
    let format = match request.format {
        Format::Protobuf => 0,
        Format::Json => 1,
    };
    out.push(protocol | (request.signal as u8) << 1 | format << 3);
    out.push(match request.encoding {
        Encoding::Identity => 0,
        Encoding::Gzip => 1,
        Encoding::Zstd => 2,
    });
    out.extend_from_slice(&engine::SEMANTICS.to_le_bytes());
    out.extend_from_slice(&request.rejected.to_le_bytes());
    out.extend_from_slice(&request.columns_digest.to_le_bytes());
    out.extend_from_slice(&request.body);
    out
}

fn decode_request(payload: &[u8]) -> Option<RequestRecord> {
    let (head, body) = payload.split_at_checked(24)?;
    Some(RequestRecord {
        protocol: match head[0] & 1 {
            0 => Protocol::Grpc,
            _ => Protocol::Http,
        },
        signal: *Signal::ALL.get(usize::from(head[0] >> 1 & 3))?,
        format: match head[0] >> 3 {
            0 => Format::Protobuf,
            1 => Format::Json,
            _ => return None,
        },
        encoding: match head[1] {
            0 => Encoding::Identity,
            1 => Encoding::Gzip,
            2 => Encoding::Zstd,
            _ => return None,
        },
        rejected: u32::from_le_bytes(head[4..8].try_into().ok()?),
        columns_digest: u128::from_le_bytes(head[8..24].try_into().ok()?),
        body: bytes::Bytes::copy_from_slice(body),
    })
}
