//! The identity of a metric stream.
//!
//! Two streams that are taken for one make false resets, so the identity covers everything as it was sent: also the
//! attributes beyond the limit, and the part of a value that is cut when it is stored.

use super::check::Check;
use super::error::Stop;
use super::value::{AnyValue, KeyValue, usual_bool, usual_int, usual_text};
use engine::hash::blake3_128;
use engine::items::ValueKind;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

/// Streams remembered; a stream sends the same attributes with every point.
const REMEMBERED: usize = 1 << 12;
/// Longest attributes remembered, bytes.
const REMEMBERED_BYTES_MAX: usize = 1 << 10;

/// Hashes attributes in the order of their keys; reused from point to point.
#[derive(Default)]
pub(super) struct StreamHash {
    /// What was hashed last, by a hash of what was sent: empty or [`REMEMBERED`] many.
    remembered: Vec<Option<Remembered>>,
    hasher: RandomState,
    sent: Vec<u8>,
    /// Keys and values, each value with its kind before it.
    arena: Vec<u8>,
    entries: Vec<(Range<usize>, Range<usize>)>,
    sorted: Vec<u8>,
}

/// A stream by the bytes that named it: the same bytes are the same stream, so that no result depends on what is
/// remembered.
struct Remembered {
    owners: [u128; 2],
    /// The encoded `KeyValue`s as sent, each after its length.
    sent: Box<[u8]>,
    stream: u128,
}

impl StreamHash {
    /// BLAKE3-128 of `owners` (origin and metric) and of the encoded `KeyValue`s, sorted by key, the last of a repeated
    /// key. They must be valid; their values stand at `value_depth`. O(n log n).
    pub(super) fn of(
        &mut self,
        owners: [u128; 2],
        attributes: &[&[u8]],
        value_depth: u32,
    ) -> Result<u128, Stop> {
        self.sent.clear();
        for encoded in attributes {
            self.sent
                .extend_from_slice(&(encoded.len() as u32).to_le_bytes());
            self.sent.extend_from_slice(encoded);
        }
        if self.sent.len() > REMEMBERED_BYTES_MAX {
            return self.hash(owners, attributes, value_depth);
        }
        self.remembered.resize_with(REMEMBERED, || None);
        let at = self.hasher.hash_one((owners, &self.sent)) as usize % REMEMBERED;
        if let Some(known) = &self.remembered[at]
            && known.owners == owners
            && *known.sent == *self.sent
        {
            return Ok(known.stream);
        }
        let stream = self.hash(owners, attributes, value_depth)?;
        self.remembered[at] = Some(Remembered {
            owners,
            sent: self.sent.as_slice().into(),
            stream,
        });
        Ok(stream)
    }

    fn hash(
        &mut self,
        owners: [u128; 2],
        attributes: &[&[u8]],
        value_depth: u32,
    ) -> Result<u128, Stop> {
        self.arena.clear();
        self.entries.clear();
        let mut check = Check::new(u64::MAX, u32::MAX);
        for encoded in attributes {
            let split = KeyValue::split(encoded, &mut check, value_depth - 1)?;
            let start = self.arena.len();
            self.arena.extend_from_slice(split.key);
            let middle = self.arena.len();
            self.put_value(&split.value, &mut check, value_depth)?;
            self.entries.push((start..middle, middle..self.arena.len()));
        }
        let arena = &self.arena;
        // Stable, so that the last of a repeated key stays the last.
        self.entries
            .sort_by(|a, b| arena[a.0.clone()].cmp(&arena[b.0.clone()]));
        self.sorted.clear();
        let mut entries = self.entries.iter().peekable();
        while let Some((key, value)) = entries.next() {
            let repeated =
                |next: &&(Range<usize>, Range<usize>)| arena[next.0.clone()] == arena[key.clone()];
            if entries.peek().is_some_and(repeated) {
                continue;
            }
            for part in [&arena[key.clone()], &arena[value.clone()]] {
                self.sorted
                    .extend_from_slice(&(part.len() as u64).to_le_bytes());
                self.sorted.extend_from_slice(part);
            }
        }
        let [origin, metric] = owners.map(u128::to_le_bytes);
        Ok(blake3_128("stream", &[&origin, &metric, &self.sorted]))
    }

    fn put_value(&mut self, encoded: &[u8], check: &mut Check, depth: u32) -> Result<(), Stop> {
        let mut put = |kind: ValueKind, stored: &[u8]| {
            self.arena.push(kind as u8);
            self.arena.extend_from_slice(stored);
        };
        if let Some(text) = usual_text(encoded) {
            put(ValueKind::Text, text);
        } else if let Some(int) = usual_int(encoded) {
            put(ValueKind::Int, &int.to_le_bytes());
        } else if let Some(bool) = usual_bool(encoded) {
            put(ValueKind::Bool, &[bool]);
        } else {
            let value = AnyValue::read(encoded, check, depth)?;
            put(value.kind, value.stored());
        }
        Ok(())
    }
}
