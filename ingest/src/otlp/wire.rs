//! The protobuf wire: varints, keys, length prefixes, skipping. No allocation, no copy, no `unsafe`.
//!
//! Accepts exactly what `prost` accepts (the tests compare both on mutated bytes): a varint of at most ten bytes
//! that fits 64 bits, keys of at most 32 bits with a field number of at least 1, balanced groups.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use super::error::{Problem, Stop};

/// Wire type of a varint.
pub(super) const VARINT: u32 = 0;
/// Wire type of eight little-endian bytes.
pub(super) const FIXED64: u32 = 1;
/// Wire type of a length prefix and that many bytes.
pub(super) const BYTES: u32 = 2;
/// Wire type that opens a group.
pub(super) const GROUP: u32 = 3;
/// Wire type that closes a group.
pub(super) const GROUP_END: u32 = 4;
/// Wire type of four little-endian bytes.
pub(super) const FIXED32: u32 = 5;

/// The key of field `number` with wire type `wire`, as one comparable number.
pub(super) const fn key(number: u32, wire: u32) -> u32 {
    number << 3 | wire
}

/// What is left to read of one message.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes not read yet.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next key, or `None` at the end of the message.
    #[inline(always)]
    pub(super) fn next_key(&mut self) -> Result<Option<u32>, Stop> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Problem::BadKey)?;
        if key < 8 {
            return Err(Problem::BadKey.into());
        }
        Ok(Some(key))
    }

    /// Steps over the next byte if it is `byte`: a key known in advance.
    #[inline(always)]
    pub(super) fn skip_byte(&mut self, byte: u8) -> bool {
        match self.0 {
            [next, rest @ ..] if *next == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64, Stop> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.0 = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Stop> {
        let mut value = 0u64;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index as u32);
            if *byte < 0x80 {
                if index == 9 && *byte > 1 {
                    return Err(Problem::VarintTooLong.into());
                }
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(match self.0.len() {
            0..10 => Problem::Truncated.into(),
            _ => Problem::VarintTooLong.into(),
        })
    }

    /// A length-delimited field's content.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| Problem::LengthBeyondEnd)?;
        let (content, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Problem::LengthBeyondEnd)?;
        self.0 = rest;
        Ok(content)
    }

    #[inline(always)]
    pub(super) fn fixed64(&mut self) -> Result<u64, Stop> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Problem::Truncated)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*word))
    }

    #[inline(always)]
    pub(super) fn fixed32(&mut self) -> Result<u32, Stop> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Problem::Truncated)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    /// Skips the field whose key was just read; `depth` is that of the message it stands in.
    pub(super) fn skip(&mut self, key: u32, depth: u32, depth_max: u32) -> Result<(), Stop> {
        match key & 7 {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            BYTES => self.bytes().map(drop),
            FIXED32 => self.fixed32().map(drop),
            GROUP => self.skip_group(key, depth + 1, depth_max),
            GROUP_END => Err(Problem::UnbalancedGroup.into()),
            _ => Err(Problem::ReservedWireType.into()),
        }
    }

    fn skip_group(&mut self, open: u32, depth: u32, depth_max: u32) -> Result<(), Stop> {
        if depth > depth_max {
            return Err(Problem::TooDeep.into());
        }
        loop {
            let key = self.next_key()?.ok_or(Problem::UnbalancedGroup)?;
            if key == open + (GROUP_END - GROUP) {
                return Ok(());
            }
            self.skip(key, depth, depth_max)?;
        }
    }
}

/// Whether two byte strings are equal: without a call for the lengths that keys and values usually have.
#[inline(always)]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0..4 => a == b,
        4..8 => ends::<4>(a, b),
        8..16 => ends::<8>(a, b),
        16..=32 => ends::<16>(a, b),
        _ => a == b,
    }
}

/// Whether the first and the last `N` bytes are equal; together they cover at most `2 * N` bytes.
#[inline(always)]
fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
}
