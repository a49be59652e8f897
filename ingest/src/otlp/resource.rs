//! Resources: parsed once per distinct encoding, then shared.
//!
//! A process sends the same resource with every request, byte for byte. The encoded bytes are therefore the key; a
//! hit costs one hash and one comparison. The table holds at most [`RESOURCES_MAX`] resources of at most
//! [`BYTES_MAX`] bytes; when full it is emptied, which costs speed only.

use super::DecodeLimits;
use super::check::Check;
use super::error::Stop;
use super::schema::{RESOURCE, text};
use super::value::{AnyValue, KeyValue, as_text};
use super::wire::{BYTES, Wire, key};
use engine::anomaly;
use engine::hash::blake3_128;
use engine::identity::Identity;
use engine::items::{Resource, ValueKind};
use foldhash::fast::RandomState;
use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Most resources remembered.
const RESOURCES_MAX: usize = 1_024;
/// Most encoded bytes remembered.
const BYTES_MAX: usize = 2 << 20;
/// Depth of a resource: request, resource spans, resource.
pub(super) const DEPTH: u32 = 2;

/// A resource and what was odd about it; every span of it carries those anomalies.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) resource: Arc<Resource>,
    pub(super) anomalies: u16,
}

impl Borrow<[u8]> for Known {
    fn borrow(&self) -> &[u8] {
        &self.resource.encoded
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.resource.encoded.as_slice().hash(state);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.resource.encoded == other.resource.encoded
    }
}

impl Eq for Known {}

/// The resources seen lately, by their encoding.
#[derive(Default)]
pub(super) struct Resources {
    known: HashSet<Known, RandomState>,
    bytes: usize,
}

impl Resources {
    /// The resource `encoded`, or the reason it is malformed.
    pub(super) fn get(
        &mut self,
        encoded: &[u8],
        limits: &DecodeLimits,
        check: &mut Check,
    ) -> Result<Known, Stop> {
        if let Some(known) = self.known.get(encoded) {
            return Ok(known.clone());
        }
        check.message(&RESOURCE, encoded, DEPTH)?;
        let known = parse(encoded, limits, check)?;
        if self.known.len() >= RESOURCES_MAX || self.bytes + encoded.len() > BYTES_MAX {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += encoded.len();
        self.known.insert(known.clone());
        Ok(known)
    }
}

/// Reads a resource that follows the schema.
fn parse(encoded: &[u8], limits: &DecodeLimits, check: &mut Check) -> Result<Known, Stop> {
    let mut attributes: Vec<(String, ValueKind, Vec<u8>)> = Vec::new();
    let mut anomalies = 0;
    let mut wire = Wire::new(encoded);
    while let Some(field) = wire.next_key()? {
        if field != key(1, BYTES) {
            wire.skip(field, DEPTH, check.depth_max)?;
            continue;
        }
        let entry = KeyValue::split(wire.bytes()?, check, DEPTH + 1)?;
        let name = text(entry.key)?;
        if name.is_empty() || name.len() > limits.key_bytes_max {
            anomalies |= anomaly::DROPPED_FIELDS;
            continue;
        }
        let mut value = AnyValue::read(&entry.value, check, DEPTH + 2)?;
        if value.cut(limits.value_bytes_max) {
            anomalies |= anomaly::TRUNCATED_VALUE;
        }
        let stored = (name.to_owned(), value.kind, value.stored().to_vec());
        match attributes.iter().position(|known| known.0 == name) {
            Some(earlier) => {
                attributes[earlier] = stored;
                anomalies |= anomaly::DUPLICATE_ATTRIBUTE;
            }
            None if attributes.len() < limits.attributes_per_span => attributes.push(stored),
            None => anomalies |= anomaly::DROPPED_FIELDS,
        }
    }
    let identity = Arc::new(identity(&attributes));
    let resource = Arc::new(Resource {
        hash: blake3_128("resource", &[encoded]),
        encoded: encoded.to_vec(),
        attributes,
        identity,
    });
    Ok(Known {
        resource,
        anomalies,
    })
}

fn identity(attributes: &[(String, ValueKind, Vec<u8>)]) -> Identity {
    let texts: Vec<(&str, String)> = attributes
        .iter()
        .filter_map(|(name, kind, stored)| Some((name.as_str(), as_text(*kind, stored)?)))
        .collect();
    Identity::resolve(|wanted| {
        let found = texts.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, text)| text.as_str())
    })
}
