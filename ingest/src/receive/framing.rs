//! Requests with two framings: a `content-length` beside a `transfer-encoding`, the raw material of request smuggling.
//!
//! hyper reads such a request by its chunks and closes the connection behind it, which RFC 9112 (6.3) allows; but by then
//! the header map no longer shows that there were two, so it could not be refused. This reader looks at each head as its
//! bytes pass by: the names before the colons, nothing else. A head that arrives while the request before it is still being
//! answered is left to hyper's way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const LENGTH: u8 = 1;
const ENCODING: u8 = 2;
const ENDED: u8 = 4;
/// `transfer-encoding` has 17 letters.
const NAME_BYTES_MAX: usize = 17;

/// The mark of a request whose head had both framings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TwoFramings;

/// What is known of the head that is being read, or was read last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head(Arc<AtomicU8>);

impl Head {
    /// Whether the head named both framings.
    pub(crate) fn has_two_framings(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (LENGTH | ENCODING) == LENGTH | ENCODING
    }

    /// The request is answered: what comes next is a new head.
    pub(crate) fn expect_next(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ENDED == 0
    }

    fn note(&self, bit: u8) {
        self.0.fetch_or(bit, Ordering::Relaxed);
    }
}

/// The line of a head that is being read.
#[derive(Debug, Default)]
struct Line {
    name: [u8; NAME_BYTES_MAX],
    len: usize,
    is_past_name: bool,
    /// Lines before this one.
    number: u64,
}

impl Line {
    fn read(&mut self, byte: u8, head: &Head) {
        match byte {
            b'\r' => {}
            // Empty lines before the first one are skipped, as hyper does.
            b'\n' if self.len == 0 && self.number > 0 => head.note(ENDED),
            b'\n' if self.len == 0 => {}
            b'\n' => {
                *self = Self {
                    number: self.number + 1,
                    ..Self::default()
                }
            }
            b':' if !self.is_past_name => {
                self.is_past_name = true;
                match self.name[..].get(..self.len) {
                    Some(b"content-length") => head.note(LENGTH),
                    Some(b"transfer-encoding") => head.note(ENCODING),
                    _ => {}
                }
            }
            _ => {
                if let Some(place) = self.name.get_mut(self.len) {
                    *place = byte.to_ascii_lowercase();
                }
                self.len += 1;
            }
        }
    }
}

/// A stream whose reader is watched.
pub(crate) struct Watched<S> {
    stream: S,
    head: Head,
    line: Line,
}

impl<S> Watched<S> {
    /// Notes in `head` what passes through `stream`.
    pub(crate) fn new(stream: S, head: Head) -> Self {
        Self {
            stream,
            head,
            line: Line::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if this.head.is_awaited() {
            for byte in &buffer.filled()[before..] {
                this.line.read(*byte, &this.head);
                if !this.head.is_awaited() {
                    this.line = Line::default();
                    break;
                }
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
