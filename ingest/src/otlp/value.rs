//! One attribute on the wire: `KeyValue` into key and value, `AnyValue` into kind and bytes.
//!
//! Nearly every attribute has one layout (key, then value, each once; the value one field), read here with a few
//! comparisons. Anything else that protobuf allows (other order, repeated or unknown fields) is checked against the
//! schema and then read by the rules of protobuf: the last field wins, repeated messages are merged.

use super::check::Check;
use super::error::Stop;
use super::schema::{ANY_VALUE, KEY_VALUE, Message};
use super::wire::{BYTES, FIXED64, VARINT, Wire, key};
use engine::items::ValueKind;
use std::borrow::Cow;

const TEXT: u32 = key(1, BYTES);
const BOOL: u32 = key(2, VARINT);
const INT: u32 = key(3, VARINT);
const DOUBLE: u32 = key(4, FIXED64);
const ARRAY: u32 = key(5, BYTES);
const KEY_VALUES: u32 = key(6, BYTES);
const RAW_BYTES: u32 = key(7, BYTES);
const STRING_INDEX: u32 = key(8, VARINT);

/// A message that may be sent in several parts, which protobuf merges: the parts' bytes, one after the other.
#[derive(Default)]
pub(super) struct Merged<'a>(Option<Cow<'a, [u8]>>);

impl<'a> Merged<'a> {
    /// Adds a part, a `message` at `depth`. Each of several parts must be valid by itself: a length that points
    /// beyond its part would otherwise reach into the next one. Every part but the first is an item of the budget.
    pub(super) fn add(
        &mut self,
        part: &'a [u8],
        (message, depth): (&'static Message, u32),
        check: &mut Check,
    ) -> Result<(), Stop> {
        let Some(before) = self.0.take() else {
            self.0 = Some(Cow::Borrowed(part));
            return Ok(());
        };
        check.spend(1)?;
        if let Cow::Borrowed(first) = before {
            check.message(message, first, depth)?;
        }
        check.message(message, part, depth)?;
        let mut whole = before.into_owned();
        whole.extend_from_slice(part);
        self.0 = Some(Cow::Owned(whole));
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    fn into_bytes(self) -> Cow<'a, [u8]> {
        self.0.unwrap_or_default()
    }
}

/// A `KeyValue`: key and encoded `AnyValue` (empty when there is none).
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Cow<'a, [u8]>,
}

impl<'a> KeyValue<'a> {
    /// Splits the encoded `KeyValue` standing at `depth`.
    #[inline(always)]
    pub(super) fn split(bytes: &'a [u8], check: &mut Check, depth: u32) -> Result<Self, Stop> {
        match Self::usual(bytes) {
            Some((key, value)) => Ok(Self {
                key,
                value: Cow::Borrowed(value),
            }),
            None => Self::unusual(bytes, check, depth),
        }
    }

    /// Key then value, each once, nothing else.
    #[inline(always)]
    fn usual(bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let mut wire = Wire::new(bytes.strip_prefix(&[key(1, BYTES) as u8])?);
        let text = wire.bytes().ok()?;
        let mut wire = Wire::new(wire.rest().strip_prefix(&[key(2, BYTES) as u8])?);
        let value = wire.bytes().ok()?;
        wire.rest().is_empty().then_some((text, value))
    }

    #[cold]
    fn unusual(bytes: &'a [u8], check: &mut Check, depth: u32) -> Result<Self, Stop> {
        check.message(&KEY_VALUE, bytes, depth)?;
        let mut text: &[u8] = &[];
        let mut value = Merged::default();
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            match field >> 3 {
                1 => text = wire.bytes()?,
                2 => value.add(wire.bytes()?, (&ANY_VALUE, depth + 1), check)?,
                _ => wire.skip(field, depth, check.depth_max)?,
            }
        }
        Ok(Self {
            key: text,
            value: value.into_bytes(),
        })
    }
}

/// The text of an `AnyValue` in its usual encoding: one field, shorter than 128 bytes. Not checked to be UTF-8.
#[inline(always)]
pub(super) fn usual_text(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [tag, len, text @ ..]
            if u32::from(*tag) == TEXT && *len < 0x80 && text.len() == usize::from(*len) =>
        {
            Some(text)
        }
        _ => None,
    }
}

/// The integer of an `AnyValue` in its usual encoding.
#[inline(always)]
pub(super) fn usual_int(bytes: &[u8]) -> Option<u64> {
    let (tag, rest) = bytes.split_first()?;
    if u32::from(*tag) != INT {
        return None;
    }
    let mut wire = Wire::new(rest);
    let int = wire.varint().ok()?;
    wire.rest().is_empty().then_some(int)
}

/// The bool of an `AnyValue` in its usual encoding.
#[inline(always)]
pub(super) fn usual_bool(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [tag, bool @ (0 | 1)] if u32::from(*tag) == BOOL => Some(*bool),
        _ => None,
    }
}

/// An `AnyValue` of any encoding: its kind and the bytes a column stores for it.
pub(super) struct AnyValue<'a> {
    /// Text, bytes, or the encoded `AnyValue` of a list; empty for numbers.
    slice: &'a [u8],
    /// A number, little-endian, or a bool in the first byte.
    word: [u8; 8],
    pub(super) kind: ValueKind,
}

impl<'a> AnyValue<'a> {
    const EMPTY: AnyValue<'static> = AnyValue {
        slice: &[],
        word: [0; 8],
        kind: ValueKind::Empty,
    };

    /// The bytes a column stores: text, little-endian words, one byte, or the encoded `AnyValue` of a list.
    pub(super) fn stored(&self) -> &[u8] {
        match self.kind {
            ValueKind::Int | ValueKind::Double => &self.word,
            ValueKind::Bool => &self.word[..1],
            ValueKind::Text | ValueKind::Bytes | ValueKind::Nested | ValueKind::Empty => self.slice,
        }
    }

    /// Reads the encoded `AnyValue` standing at `depth`.
    pub(super) fn read(bytes: &'a [u8], check: &mut Check, depth: u32) -> Result<Self, Stop> {
        check.message(&ANY_VALUE, bytes, depth)?;
        let mut value = Self::EMPTY;
        let mut wire = Wire::new(bytes);
        while let Some(field) = wire.next_key()? {
            value = match field {
                TEXT => Self::slice(ValueKind::Text, wire.bytes()?),
                BOOL => Self::word(ValueKind::Bool, u64::from(wire.varint()? != 0)),
                INT => Self::word(ValueKind::Int, wire.varint()?),
                DOUBLE => Self::word(ValueKind::Double, wire.fixed64()?),
                ARRAY | KEY_VALUES => {
                    wire.bytes()?;
                    Self::slice(ValueKind::Nested, bytes)
                }
                RAW_BYTES => Self::slice(ValueKind::Bytes, wire.bytes()?),
                // The string table belongs to profiles; elsewhere the value counts as absent.
                STRING_INDEX => {
                    wire.varint()?;
                    Self::EMPTY
                }
                _ => {
                    wire.skip(field, depth, check.depth_max)?;
                    continue;
                }
            };
        }
        Ok(value)
    }

    fn slice(kind: ValueKind, slice: &'a [u8]) -> Self {
        Self {
            slice,
            word: [0; 8],
            kind,
        }
    }

    fn word(kind: ValueKind, word: u64) -> Self {
        Self {
            slice: &[],
            word: word.to_le_bytes(),
            kind,
        }
    }

    /// Cuts a value that is longer than `bytes_max`: text at a character, bytes anywhere; a list, which cannot be
    /// cut and stay one, becomes an empty value. True when something was cut.
    pub(super) fn cut(&mut self, bytes_max: usize) -> bool {
        if self.slice.len() <= bytes_max {
            return false;
        }
        *self = match self.kind {
            ValueKind::Text => Self::slice(self.kind, cut_text(self.slice, bytes_max)),
            ValueKind::Bytes => Self::slice(self.kind, &self.slice[..bytes_max]),
            _ => Self::EMPTY,
        };
        true
    }
}

/// The longest prefix of the UTF-8 `text` that has at most `bytes_max` bytes and ends between two characters.
pub(super) fn cut_text(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max)
        .rev()
        .find(|end| text[*end] & 0xc0 != 0x80)
        .unwrap_or(0);
    &text[..end]
}

/// The text form of a value, as identities want it: the first element of a list, numbers in decimal.
pub(super) fn as_text(kind: ValueKind, stored: &[u8]) -> Option<String> {
    use engine::items::Value;
    match Value::read(kind, stored) {
        Value::Text(text) => Some(text.to_owned()),
        Value::Int(int) => Some(int.to_string()),
        Value::Double(double) => Some(double.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Nested(encoded) => first_element(encoded),
        Value::Bytes(_) | Value::Empty => None,
    }
}

/// The text form of the first element of the array in an encoded, valid `AnyValue`; lists of lists have none.
fn first_element(encoded: &[u8]) -> Option<String> {
    let mut check = Check::new(u64::MAX, u32::MAX);
    let field = |bytes, number| {
        let mut wire = Wire::new(bytes);
        while let Ok(Some(found)) = wire.next_key() {
            if found == key(number, BYTES) {
                return wire.bytes().ok();
            }
            wire.skip(found, 0, u32::MAX).ok()?;
        }
        None
    };
    let element = field(field(encoded, 5)?, 1)?;
    let value = AnyValue::read(element, &mut check, 0).ok()?;
    match value.kind {
        ValueKind::Nested => None,
        kind => as_text(kind, value.stored()),
    }
}
