//! Recorded requests: read as they were recorded, written as a Tidegate log, or decoded.

use engine::batch::Batch;
use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use flate2::read::{GzDecoder, MultiGzDecoder};
use ingest::log::{LogHeader, LogWriter, RecordBody, RequestRecord};
use ingest::otlp::{DecodeLimits, Decoder, Format};
use ingest::receive::{Encoding, Protocol};
use std::io::Read;
use std::path::Path;

/// Time between two Ticks of a written log.
const TICK_NANOS: u64 = 250_000_000;

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) received: Timestamp,
    pub(crate) signal: Signal,
    pub(crate) is_gzipped: bool,
    /// The protobuf message as it was sent.
    pub(crate) body: Vec<u8>,
}

/// Reads traces recorded as `{u64 LE unix_ns, u32 LE length, u8 gzip flag, body}`, the file itself gzipped.
pub(crate) fn read(path: &Path) -> Vec<Request> {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut data = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut data).unwrap();
    let mut requests = Vec::new();
    let mut rest = &data[..];
    while let Some((head, tail)) = rest.split_first_chunk::<13>() {
        let length = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        let (body, tail) = tail.split_at(length);
        rest = tail;
        requests.push(Request {
            received: Timestamp(u64::from_le_bytes(head[..8].try_into().unwrap())),
            signal: Signal::Traces,
            is_gzipped: head[12] == 1,
            body: body.to_vec(),
        });
    }
    assert!(rest.is_empty(), "{} bytes are left over", rest.len());
    requests
}

/// Writes `requests`, in order of receipt, as a Tidegate log: the bodies as they came, a Tick every 250 ms of receive time.
pub(crate) fn write_log(requests: impl IntoIterator<Item = Request>, log: &Path) {
    let header = LogHeader {
        uuid: 1,
        segment: 0,
        first_lsn: 0,
        semantics: engine::SEMANTICS,
        seed: HashSeed(1, 2),
    };
    let mut writer = LogWriter::create(log, &header).unwrap();
    let mut next_tick = 0;
    for request in requests {
        let received = request.received.0;
        if next_tick == 0 {
            next_tick = received.next_multiple_of(TICK_NANOS);
        }
        while next_tick <= received {
            writer
                .append(Timestamp(next_tick), &RecordBody::Tick)
                .unwrap();
            next_tick += TICK_NANOS;
        }
        let record = RequestRecord {
            protocol: Protocol::Http,
            signal: request.signal,
            format: Format::Protobuf,
            encoding: match request.is_gzipped {
                true => Encoding::Gzip,
                false => Encoding::Identity,
            },
            rejected: 0,
            columns_digest: 0,
            body: request.body.into(),
        };
        let record = RecordBody::Request(record);
        writer.append(request.received, &record).unwrap();
    }
    writer.sync().unwrap();
}

/// The columns of each request; nothing may be rejected.
pub(crate) fn decode(requests: &[Request]) -> Vec<(Timestamp, Batch)> {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut batches = Vec::new();
    for request in requests {
        let mut plain = Vec::new();
        let body = match request.is_gzipped {
            true => {
                let mut gzip = GzDecoder::new(&*request.body);
                gzip.read_to_end(&mut plain).unwrap();
                &plain
            }
            false => &request.body,
        };
        let kind = (request.signal, Format::Protobuf);
        let decoded = decoder.decode(kind, body, request.received, HashSeed(1, 2));
        let decoded = decoded.unwrap();
        assert_eq!(decoded.rejected, []);
        let received = request.received;
        batches.extend(decoded.batches.into_iter().map(|batch| (received, batch)));
    }
    batches
}
