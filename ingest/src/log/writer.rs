//! Appends records to one segment file.

use super::record::RecordBody;
use super::{LogHeader, RECORD_HEADER_BYTES, header_bytes, record_crc_seed};
use engine::time::Timestamp;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes one segment. Buffered: call [`LogWriter::flush`] at every Tick, [`LogWriter::sync`] before promising anything.
#[derive(Debug)]
pub struct LogWriter {
    file: BufWriter<File>,
    crc_seed: u32,
    next_lsn: u64,
}

impl LogWriter {
    /// Creates `path` (which must not exist) and writes the segment header.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(path: &Path, header: &LogHeader) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&header_bytes(header))?;
        Ok(Self {
            file,
            crc_seed: record_crc_seed(header),
            next_lsn: header.first_lsn,
        })
    }

    /// Appends one record and returns its LSN.
    ///
    /// # Errors
    /// When the file cannot be written; the log is then unusable.
    pub fn append(&mut self, received: Timestamp, body: &RecordBody) -> io::Result<u64> {
        let payload = body.encode();
        let lsn = self.next_lsn;
        let length = u32::try_from(payload.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "record over 4 GiB"))?;
        let mut head = [0u8; RECORD_HEADER_BYTES];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[8..16].copy_from_slice(&lsn.to_le_bytes());
        head[16..24].copy_from_slice(&received.0.to_le_bytes());
        head[24] = body.type_number();
        let crc = crc32c::crc32c_append(self.crc_seed, &head[..4]);
        let crc = crc32c::crc32c_append(crc, &head[8..]);
        let crc = crc32c::crc32c_append(crc, &payload);
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all(&head)?;
        self.file.write_all(&payload)?;
        let padding = payload.len().next_multiple_of(8) - payload.len();
        self.file.write_all(&[0u8; 8][..padding])?;
        self.next_lsn += 1;
        Ok(lsn)
    }

    /// Hands buffered records to the operating system.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Flushes and waits until the disk has it.
    ///
    /// # Errors
    /// When the disk refuses; never retry on the same file.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }
}
