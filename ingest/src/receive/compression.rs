//! Decompression into a bounded buffer: every byte of the body must be accounted for, and no output beyond the limit is kept.
//!
//! Problem: a streaming gunzip costs several times the decode, and the usual one stops silently after the first gzip
//! member. The usual way (libdeflate, one shot) needs the output size beforehand, and ignores what follows the member.
//! What we do: take the size from the member's trailer, try one shot, and believe it only when the output has exactly
//! that size and no second member can follow; everything else goes through a streaming decoder that walks member after
//! member and refuses trailing bytes. Cost: one scan for the gzip magic (about 3 us for 60 KB).
//! Sources: RFC 1952 (2.2 members, 2.3.1 ISIZE), RFC 8878 (3.1 frames, 3.1.1.1.2 window).

use super::admission::{Budget, Reservation};
use super::refusal::Refusal;
use flate2::bufread::GzDecoder;
use std::io::{self, Read};

/// Largest zstd window accepted, log2: 8 MiB, which RFC 8878 recommends every decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Smallest possible gzip member: header 10, empty block 2, trailer 8.
const GZIP_MEMBER_BYTES_MIN: usize = 20;
/// First growth step of a buffer whose size is not known.
const STEP_BYTES: usize = 256 * 1024;
/// A scratch buffer larger than this is given back to the allocator after use.
const SCRATCH_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// How a request's body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// What `Accept-Encoding` and `grpc-accept-encoding` list.
    pub(crate) const ACCEPTED: &'static str = "identity, gzip, zstd";

    /// The encoding named by a `Content-Encoding` or `grpc-encoding` value; absent is identity, `None` is not supported.
    pub(crate) fn parse(value: Option<&[u8]>) -> Option<Self> {
        let name = value.unwrap_or_default().trim_ascii();
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if name.is_empty() || is("identity") {
            Some(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// A guess of the size of `body` after decompression, bytes; the body may lie. Only good for planning.
    pub(crate) fn plain_bytes_hint(self, body: &[u8]) -> usize {
        match self {
            Self::Identity => body.len(),
            Self::Gzip => gzip_size_hint(body),
            Self::Zstd => zstd_size_hint(body).unwrap_or(body.len().saturating_mul(8)),
        }
    }
}

/// A body that does not decompress.
#[derive(Debug, thiserror::Error)]
#[error("the body does not decompress")]
pub struct DecompressError(#[source] Refusal);

/// Decompresses a whole body that was accepted before (a recording); no budget applies.
///
/// # Errors
/// When it is damaged or larger than any request may be.
pub fn decompress(encoding: Encoding, body: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let mut hold = Reservation::new(&Budget::new(usize::MAX));
    let limit = u32::MAX as usize / 4;
    let mut inflater = Inflater::new();
    let plain = inflater
        .plain(encoding, body, limit, &mut hold)
        .map_err(DecompressError)?;
    Ok(plain.to_vec())
}

/// A reusable decompressor with its output buffer.
pub(crate) struct Inflater {
    deflate: libdeflater::Decompressor,
    scratch: Vec<u8>,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            deflate: libdeflater::Decompressor::new(),
            scratch: Vec::new(),
        }
    }

    /// The plain bytes of `body`, at most `limit` of them; the buffer is charged to `hold` on top of the body.
    pub(crate) fn plain<'a>(
        &'a mut self,
        encoding: Encoding,
        body: &'a [u8],
        limit: usize,
        hold: &mut Reservation,
    ) -> Result<&'a [u8], Refusal> {
        let length = match encoding {
            Encoding::Identity => return Ok(body),
            Encoding::Gzip => self.gzip(body, limit, hold)?,
            Encoding::Zstd => self.zstd(body, limit, hold)?,
        };
        Ok(&self.scratch[..length])
    }

    /// Gives a large scratch buffer back.
    pub(crate) fn trim(&mut self) {
        if self.scratch.capacity() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
    }

    fn gzip(
        &mut self,
        body: &[u8],
        limit: usize,
        hold: &mut Reservation,
    ) -> Result<usize, Refusal> {
        let claimed = gzip_size_hint(body);
        if claimed > 0 && !may_hold_second_member(body) {
            let room = room(&mut self.scratch, claimed.min(limit), body.len(), hold)?;
            match self.deflate.gzip_decompress(body, room) {
                Ok(length) if length == claimed => return Ok(length),
                Err(libdeflater::DecompressionError::InsufficientSpace) if claimed >= limit => {
                    return Err(Refusal::TooLarge { limit });
                }
                _ => {}
            }
        }
        self.gzip_streamed(body, limit, hold)
    }

    /// Exact for every input, and able to say what is wrong with it; several times slower.
    fn gzip_streamed(
        &mut self,
        mut body: &[u8],
        limit: usize,
        hold: &mut Reservation,
    ) -> Result<usize, Refusal> {
        let mut sink = Sink::new(&mut self.scratch, limit, body.len());
        loop {
            let mut member = GzDecoder::new(body);
            sink.drain(&mut member, hold, "gzip")?;
            body = member.into_inner();
            if body.is_empty() {
                return Ok(sink.length);
            }
            if !body.starts_with(&[0x1f, 0x8b]) {
                let message = format!("{} bytes follow the last gzip member", body.len());
                return Err(Refusal::BadCompression { message });
            }
        }
    }

    fn zstd(
        &mut self,
        body: &[u8],
        limit: usize,
        hold: &mut Reservation,
    ) -> Result<usize, Refusal> {
        if let Some(claimed) = zstd_size_hint(body).filter(|claimed| *claimed <= limit) {
            let room = room(&mut self.scratch, claimed, body.len(), hold)?;
            let shot = zstd::bulk::Decompressor::new()
                .and_then(|mut zstd| zstd.decompress_to_buffer(body, room));
            if let Ok(length) = shot {
                return Ok(length);
            }
        }
        let mut stream = zstd::stream::read::Decoder::with_buffer(body).map_err(bad_zstd)?;
        stream
            .window_log_max(ZSTD_WINDOW_LOG_MAX)
            .map_err(bad_zstd)?;
        let mut sink = Sink::new(&mut self.scratch, limit, body.len());
        sink.drain(&mut stream, hold, "zstd")?;
        Ok(sink.length)
    }
}

/// The first `bytes` of `scratch`, reserved before they are allocated.
fn room<'a>(
    scratch: &'a mut Vec<u8>,
    bytes: usize,
    body_bytes: usize,
    hold: &mut Reservation,
) -> Result<&'a mut [u8], Refusal> {
    if !hold.ensure(body_bytes + bytes) {
        return Err(Refusal::Overloaded);
    }
    if scratch.capacity() < bytes {
        *scratch = vec![0; bytes];
    } else if scratch.len() < bytes {
        scratch.resize(bytes, 0);
    }
    Ok(&mut scratch[..bytes])
}

/// Output of a streaming decoder: grows in reserved steps, never beyond `limit` + 1 bytes.
struct Sink<'a> {
    buffer: &'a mut Vec<u8>,
    length: usize,
    limit: usize,
    body_bytes: usize,
}

impl<'a> Sink<'a> {
    fn new(buffer: &'a mut Vec<u8>, limit: usize, body_bytes: usize) -> Self {
        Self {
            buffer,
            length: 0,
            limit,
            body_bytes,
        }
    }

    fn drain(
        &mut self,
        decoder: &mut impl Read,
        hold: &mut Reservation,
        name: &str,
    ) -> Result<(), Refusal> {
        loop {
            if self.length == self.buffer.len() {
                self.grow(hold)?;
            }
            match decoder.read(&mut self.buffer[self.length..]) {
                Ok(0) => return Ok(()),
                Ok(read) => self.length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(bad(name, &error)),
            }
            if self.length > self.limit {
                return Err(Refusal::TooLarge { limit: self.limit });
            }
        }
    }

    fn grow(&mut self, hold: &mut Reservation) -> Result<(), Refusal> {
        let wanted = (self.length * 2).max(STEP_BYTES).min(self.limit + 1);
        if !hold.ensure(self.body_bytes + wanted) {
            return Err(Refusal::Overloaded);
        }
        self.buffer.reserve_exact(wanted - self.buffer.len());
        self.buffer.resize(wanted, 0);
        Ok(())
    }
}

/// The size field of the last member's trailer, modulo 2^32.
fn gzip_size_hint(body: &[u8]) -> usize {
    let trailer = body.last_chunk::<4>().copied().unwrap_or_default();
    u32::from_le_bytes(trailer) as usize
}

/// Whether the three bytes every member starts with occur where a second member could start.
fn may_hold_second_member(body: &[u8]) -> bool {
    let rest = body.get(GZIP_MEMBER_BYTES_MIN..).unwrap_or_default();
    memchr::memmem::find(rest, &[0x1f, 0x8b, 0x08]).is_some()
}

/// The content size of the first frame, when it says so.
fn zstd_size_hint(body: &[u8]) -> Option<usize> {
    let size = zstd::zstd_safe::get_frame_content_size(body).ok()??;
    usize::try_from(size).ok()
}

fn bad_zstd(error: io::Error) -> Refusal {
    bad("zstd", &error)
}

fn bad(name: &str, error: &io::Error) -> Refusal {
    Refusal::BadCompression {
        message: format!("not valid {name} to its end: {error}"),
    }
}

#[cfg(test)]
mod tests;
