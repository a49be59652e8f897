//! The check that bytes follow the schema, within an item budget: defines what "malformed" means.
//!
//! Problem: the fast paths read the usual layout of the usual fields; everything else (resources, nested values,
//! exemplars, rejected items, and the place of an error) needs a walker that knows every field. What we do: one
//! recursive check over the table in `schema`. The fast paths must agree with it, and both with `prost` (see
//! `tests/decode`).

use super::error::{Problem, Stop};
use super::schema::{Field, Holds, Message, text};
use super::wire::{BYTES, VARINT, Wire};

/// How many numbers of one packed field make one item of the budget.
pub(super) const PACKED_PER_ITEM: usize = 8;

/// Checks messages against the table, within an item budget, and remembers where the first fault was.
pub(super) struct Check {
    /// Items that may still come.
    pub(super) items_left: u64,
    /// Deepest nesting allowed; the request itself is at depth 0.
    pub(super) depth_max: u32,
    /// Fields from the fault outwards.
    path: Vec<(&'static str, Option<usize>)>,
    /// Address of the byte the fault was found at.
    address: usize,
}

impl Check {
    pub(super) fn new(items_left: u64, depth_max: u32) -> Self {
        Self {
            items_left,
            depth_max,
            path: Vec::new(),
            address: 0,
        }
    }

    /// Spends `count` items of the budget.
    #[inline(always)]
    pub(super) fn spend(&mut self, count: u64) -> Result<(), Stop> {
        match self.items_left.checked_sub(count) {
            Some(left) => {
                self.items_left = left;
                Ok(())
            }
            None => Err(Stop::TooManyItems),
        }
    }

    /// Whether `bytes` are a valid `message` at `depth`. Every repeated or unknown field is one item.
    pub(super) fn message(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        if depth > self.depth_max {
            self.address = bytes.as_ptr() as usize;
            return Err(Problem::TooDeep.into());
        }
        let mut wire = Wire::new(bytes);
        loop {
            let at = wire.rest();
            let found = match wire.next_key() {
                Ok(None) => return Ok(()),
                Ok(Some(key)) => message
                    .fields
                    .iter()
                    .find(|field| field.number == key >> 3)
                    .map(|field| (key, field))
                    .ok_or(key),
                Err(stop) => {
                    self.address = at.as_ptr() as usize;
                    return Err(stop);
                }
            };
            let (result, field) = match found {
                Ok((key, field)) => (self.field(field, key, &mut wire, at, depth), Some(field)),
                Err(key) => (self.unknown(key, &mut wire, at, depth), None),
            };
            if let Err(stop) = result {
                self.leave(field, bytes, at);
                return Err(stop);
            }
        }
    }

    fn unknown(
        &mut self,
        key: u32,
        wire: &mut Wire<'_>,
        at: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        self.address = at.as_ptr() as usize;
        self.spend(1)?;
        wire.skip(key, depth, self.depth_max)
    }

    fn field(
        &mut self,
        field: &'static Field,
        key: u32,
        wire: &mut Wire<'_>,
        at: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        self.address = at.as_ptr() as usize;
        if field.repeated {
            self.spend(1)?;
        }
        let expected = field.holds.wire();
        match (&field.holds, key & 7) {
            (Holds::Text, BYTES) => text(wire.bytes()?).map(drop),
            (Holds::Message(message), BYTES) => self.message(message, wire.bytes()?, depth + 1),
            (_, found) if found == expected => wire.skip(key, depth, self.depth_max),
            (_, BYTES) if field.repeated => self.packed(expected, wire.bytes()?),
            _ => Err(Problem::WrongWireType.into()),
        }
    }

    /// Whether `bytes` are packed numbers of wire type `kind`. [`PACKED_PER_ITEM`] of them are one item.
    fn packed(&mut self, kind: u32, bytes: &[u8]) -> Result<(), Stop> {
        self.spend(packed_items(kind, bytes))?;
        let mut wire = Wire::new(bytes);
        while !wire.rest().is_empty() {
            wire.skip(kind, 0, 0)?;
        }
        Ok(())
    }

    /// Notes, on the way out of a fault, which field of `bytes` it was in; `at` is where that field starts.
    #[cold]
    fn leave(&mut self, field: Option<&'static Field>, bytes: &[u8], at: &[u8]) {
        let Some(field) = field else { return };
        let before = &bytes[..bytes.len() - at.len()];
        let index = field
            .repeated
            .then(|| occurrences(before, field.number, self.depth_max));
        self.path.push((field.name, index));
    }

    /// The place of the first fault in `body`: field path and byte offset.
    pub(super) fn place(&self, body: &[u8]) -> (String, usize) {
        let path: Vec<String> = self
            .path
            .iter()
            .rev()
            .map(|(name, index)| match index {
                Some(index) => format!("{name}[{index}]"),
                None => (*name).to_owned(),
            })
            .collect();
        let offset = self.address.saturating_sub(body.as_ptr() as usize);
        (path.join("."), offset.min(body.len()))
    }
}

/// How many items a field of packed numbers costs beside itself: varints grow eightfold when they are read.
pub(super) fn packed_items(kind: u32, bytes: &[u8]) -> u64 {
    let numbers = match kind {
        VARINT => bytes.len(),
        _ => 0,
    };
    (numbers / PACKED_PER_ITEM) as u64
}

/// How often field `number` occurs in `bytes`, which were read without a fault.
fn occurrences(bytes: &[u8], number: u32, depth_max: u32) -> usize {
    let mut wire = Wire::new(bytes);
    let mut count = 0;
    while let Ok(Some(key)) = wire.next_key() {
        count += usize::from(key >> 3 == number);
        if wire.skip(key, 0, depth_max).is_err() {
            break;
        }
    }
    count
}
