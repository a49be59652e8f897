//! The two hashes of the house: BLAKE3-128 for identities that outlive the process, keyed SipHash for
//! shards and item keys (an adversary who sends spans must not be able to aim at one shard).

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13Wide};
use std::hash::Hasher;

/// Number of virtual shards; threads own sets of them, results never depend on how many threads there are.
pub const SHARDS: usize = 64;

/// BLAKE3-128 over `parts`, each prefixed by its length so that no two part lists collide by concatenation.
pub fn blake3_128(domain: &str, parts: &[&[u8]]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut out = [0u8; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_le_bytes(out)
}

/// The secret of the shard and item-key hashes: drawn once by the binary, stored in the log's first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashSeed(pub u64, pub u64);

impl HashSeed {
    /// The virtual shard of a trace, in `0..SHARDS`.
    pub fn shard(self, trace_id: u128) -> u8 {
        (self.fingerprint(&trace_id.to_le_bytes()) % SHARDS as u64) as u8
    }

    /// A keyed 64-bit fingerprint of `bytes`.
    pub fn fingerprint(self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(bytes)
    }

    /// A keyed 128-bit fingerprint of `bytes`.
    pub fn fingerprint_wide(self, bytes: &[u8]) -> u128 {
        let mut hasher = SipHasher13Wide::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }
}

/// A hash map with a fixed hasher: the same keys in the same order give the same layout on every machine.
///
/// Still never iterate it to produce output: sort first (lint `iter_over_hash_type`).
pub type FixedMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;
/// The set twin of [`FixedMap`].
pub type FixedSet<K> = std::collections::HashSet<K, foldhash::fast::FixedState>;

/// Serde form of 128-bit keys: 32 hex digits in text formats (JSON numbers cannot hold them), a number in binary ones.
pub mod hex128 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Serializes `key`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(key: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{key:032x}"))
        } else {
            key.serialize(serializer)
        }
    }

    /// Deserializes what [`serialize`] wrote.
    ///
    /// # Errors
    /// Text that is not hexadecimal, and the deserializer's own.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            u128::from_str_radix(&text, 16).map_err(D::Error::custom)
        } else {
            u128::deserialize(deserializer)
        }
    }
}
