//! Reads a segment back: torn tails are cut, damage is skipped and reported, nothing valid is lost.

use super::record::{Record, RecordBody};
use super::{
    FORMAT, HEADER_BYTES, LogHeader, MAGIC, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, record_crc_seed,
};
use engine::hash::HashSeed;
use engine::time::Timestamp;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Why a log cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened or read.
    #[error("cannot read the log {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Not a Tidegate log.
    #[error("{} is no Tidegate log: its header does not check", path.display())]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error("{} has log format {found}, this version reads up to {FORMAT}: use the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Format found.
        found: u32,
    },
}

/// A part of a log that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the first unreadable byte.
    pub offset: u64,
    /// Unreadable bytes.
    pub bytes: u64,
    /// True when nothing valid follows: the end of a crash, not a loss of acknowledged data.
    pub is_torn_tail: bool,
}

/// Iterates over the records of one segment.
#[derive(Debug)]
pub struct LogReader {
    header: LogHeader,
    crc_seed: u32,
    data: Vec<u8>,
    position: usize,
    damages: Vec<Damage>,
}

impl LogReader {
    /// Opens a segment and checks its header. Reads the file into memory.
    ///
    /// # Errors
    /// [`LogError`] when the file is unreadable, no log, or newer than this version.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let io = |source| LogError::Io {
            path: path.to_owned(),
            source,
        };
        let mut data = Vec::new();
        let file = File::open(path).map_err(io)?;
        BufReader::new(file).read_to_end(&mut data).map_err(io)?;
        let header = parse_header(path, &data)?;
        let crc_seed = record_crc_seed(&header);
        Ok(Self {
            header,
            crc_seed,
            data,
            position: HEADER_BYTES,
            damages: Vec::new(),
        })
    }

    /// The segment's header.
    pub const fn header(&self) -> &LogHeader {
        &self.header
    }

    /// What could not be read so far.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    fn read_at(&self, position: usize) -> Option<(Record, usize)> {
        let head = self.data.get(position..position + RECORD_HEADER_BYTES)?;
        let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return None;
        }
        let payload_start = position + RECORD_HEADER_BYTES;
        let payload = self.data.get(payload_start..payload_start + length)?;
        let stored = u32::from_le_bytes(head[4..8].try_into().ok()?);
        let crc = crc32c::crc32c_append(self.crc_seed, &head[..4]);
        let crc = crc32c::crc32c_append(crc, &head[8..]);
        if crc32c::crc32c_append(crc, payload) != stored {
            return None;
        }
        let record = Record {
            lsn: u64::from_le_bytes(head[8..16].try_into().ok()?),
            received: Timestamp(u64::from_le_bytes(head[16..24].try_into().ok()?)),
            body: RecordBody::decode(head[24], payload)?,
        };
        Some((record, payload_start + length.next_multiple_of(8)))
    }

    /// The next valid record at or after `position`; records start at multiples of 8.
    fn resync(&self, position: usize) -> Option<usize> {
        let start = position.next_multiple_of(8);
        (start..self.data.len())
            .step_by(8)
            .find(|at| self.read_at(*at).is_some())
    }
}

impl Iterator for LogReader {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.position >= self.data.len() {
            return None;
        }
        if let Some((record, next)) = self.read_at(self.position) {
            self.position = next;
            return Some(record);
        }
        let found = self.resync(self.position + 8);
        let end = found.unwrap_or(self.data.len());
        self.damages.push(Damage {
            offset: self.position as u64,
            bytes: (end - self.position) as u64,
            is_torn_tail: found.is_none(),
        });
        self.position = end;
        let (record, next) = self.read_at(end)?;
        self.position = next;
        Some(record)
    }
}

fn parse_header(path: &Path, data: &[u8]) -> Result<LogHeader, LogError> {
    let bad = || LogError::Header {
        path: path.to_owned(),
    };
    let head = data.get(..HEADER_BYTES).ok_or_else(bad)?;
    if &head[..8] != MAGIC {
        return Err(bad());
    }
    let u32_at =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | (u64::from(u32_at(at + 4)) << 32);
    let found = u32_at(8);
    if found > FORMAT {
        return Err(LogError::Newer {
            path: path.to_owned(),
            found,
        });
    }
    // magic 8, format 4, semantics 2 + 2, uuid 16, segment 8, first lsn 8, previous crc 4, seed 16 = 68.
    if u32_at(68) != crc32c::crc32c(&head[..68]) {
        return Err(bad());
    }
    Ok(LogHeader {
        semantics: u16::from_le_bytes([head[12], head[13]]),
        uuid: u128::from(u64_at(16)) | (u128::from(u64_at(24)) << 64),
        segment: u64_at(32),
        first_lsn: u64_at(40),
        seed: HashSeed(u64_at(52), u64_at(60)),
    })
}
