//! The log: every input that can change a verdict, as records in one order (DESIGN 2, 12; reliability.md 5.4).
//!
//! `--record FILE` writes one segment; `replay` reads it back through the same machines. The format is the one a
//! write-ahead log uses: it holds from the first commit. All integers are little-endian.
//!
//! ```text
//! segment header, 4096 bytes:
//!   magic "TIDEGATE" | format u32 | semantics u16 | 0 u16 | log uuid u128 | segment u64 | first lsn u64
//!   | crc of the previous segment's last record u32 | hash seed u64 u64 | crc32c of all before u32 | zeros
//! record, 8-byte aligned:
//!   len u32 | crc32c u32 | lsn u64 | received u64 | type u8 | flags u8 | 0 u16 | tenant u32 | payload (len bytes) | zeros
//! ```
//!
//! A record's CRC is seeded with the log's uuid and segment number and covers everything behind it, so stale bytes
//! of a recycled segment can never look valid. An invalid record with nothing valid behind it is a torn tail and is
//! cut off; anywhere else it is damage: the reader skips to the next valid record and reports the gap.

mod checkpoint;
mod digest;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use checkpoint::{CHECKPOINT_FORMAT, CheckpointError, Checkpoints, Loaded};
pub use digest::columns_digest;
pub use reader::{Damage, LogError, LogReader};
pub use record::{Record, RecordBody, RequestRecord};
pub use writer::LogWriter;

use engine::hash::HashSeed;

const MAGIC: &[u8; 8] = b"TIDEGATE";
/// Version of the record format.
pub const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 4096;
const RECORD_HEADER_BYTES: usize = 32;
/// Longest payload a reader believes: the request limit with room for what surrounds it.
const PAYLOAD_BYTES_MAX: usize = 80 << 20;

/// What the first record's header says about the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    /// Identity of the log.
    pub uuid: u128,
    /// Segment number, from 0.
    pub segment: u64,
    /// LSN of the segment's first record.
    pub first_lsn: u64,
    /// [`engine::SEMANTICS`] of the writer.
    pub semantics: u16,
    /// Seed of shards and item keys.
    pub seed: HashSeed,
}

fn header_bytes(header: &LogHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&header.semantics.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    out.extend_from_slice(&header.uuid.to_le_bytes());
    out.extend_from_slice(&header.segment.to_le_bytes());
    out.extend_from_slice(&header.first_lsn.to_le_bytes());
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&header.seed.0.to_le_bytes());
    out.extend_from_slice(&header.seed.1.to_le_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.resize(HEADER_BYTES, 0);
    out
}

/// The CRC state every record of a segment starts from.
fn record_crc_seed(header: &LogHeader) -> u32 {
    let seed = crc32c::crc32c(&header.uuid.to_le_bytes());
    crc32c::crc32c_append(seed, &header.segment.to_le_bytes())
}
