//! Attributes into columns, by prediction.
//!
//! Problem: finding the column of every attribute by hashing its key costs more than everything else together.
//! What we do: items repeat the shape of their predecessors, so each key remembers which key followed it last time;
//! one comparison of bytes confirms the guess. A wrong guess costs a hash lookup and nothing else: predictions
//! change speed, never results. Cost: about 10 ns an attribute.

use super::check::Check;
use super::column::Column;
use super::error::Stop;
use super::schema::{ANY_VALUE, text};
use super::value::{AnyValue, KeyValue, usual_bool, usual_int, usual_text};
use super::wire::{BYTES, key, same};
use engine::anomaly;
use engine::items::{AttributeColumn, ValueKind};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// Keys remembered between batches; beyond that all are forgotten, which costs speed only.
const KEYS_MAX: usize = 1_024;
const NONE: u16 = u16::MAX;
const NO_ROW: u32 = u32::MAX;
const KINDS: usize = 7;

struct Key {
    text: Arc<str>,
    /// The bytes every usual `KeyValue` of this key starts with: tag, length, key, tag of the value.
    prefix: Vec<u8>,
    /// The keys that followed it lately, newest first.
    next: [u16; 2],
    /// Its column of each kind.
    columns: [u16; KINDS],
    /// Last row that has it, and the column it went to.
    row: u32,
    column: u16,
}

/// The attribute columns of the batch under construction.
pub(super) struct Attributes {
    keys: Vec<Key>,
    by_text: HashMap<Arc<str>, u16, RandomState>,
    columns: Vec<Column>,
    /// (key, column) of the columns that have values in this batch.
    active: Vec<(u16, u16)>,
    /// The keys that lately came first in an item.
    first: [u16; 2],
}

/// Limits of one attribute.
#[derive(Clone, Copy)]
pub(super) struct AttributeLimits {
    pub(super) key_bytes_max: usize,
    pub(super) value_bytes_max: usize,
    /// Depth at which values stand, counted from the request.
    pub(super) value_depth: u32,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            by_text: HashMap::default(),
            columns: Vec::new(),
            active: Vec::new(),
            first: [NONE; 2],
        }
    }
}

impl Attributes {
    /// Number of columns that have values in this batch.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// Stores the encoded `KeyValue`s of one item; returns the anomalies met.
    #[inline(always)]
    pub(super) fn push_item(
        &mut self,
        row: usize,
        attributes: &[&[u8]],
        limits: AttributeLimits,
        check: &mut Check,
    ) -> Result<u16, Stop> {
        let mut anomalies = 0;
        let mut previous = NONE;
        for encoded in attributes {
            let (odd, key) = match self.guess(previous, encoded) {
                Some((key, value)) => (self.push(row, key, value, limits, check)?, key),
                None => self.look_up(previous, (row, encoded), limits, check)?,
            };
            anomalies |= odd;
            previous = key;
        }
        Ok(anomalies)
    }

    /// The key predicted after `previous`, if `encoded` has it, and the encoded value.
    #[inline(always)]
    fn guess<'a>(&mut self, previous: u16, encoded: &'a [u8]) -> Option<(u16, &'a [u8])> {
        let next = match self.keys.get(usize::from(previous)) {
            Some(key) => key.next,
            None => self.first,
        };
        if let Some(value) = self.value_of(next[0], encoded) {
            return Some((next[0], value));
        }
        let value = self.value_of(next[1], encoded)?;
        self.expect(previous, next[1]);
        Some((next[1], value))
    }

    /// The encoded value, if `encoded` is a usual `KeyValue` of `key`.
    #[inline(always)]
    fn value_of<'a>(&self, key: u16, encoded: &'a [u8]) -> Option<&'a [u8]> {
        let key = self.keys.get(usize::from(key))?;
        let (prefix, rest) = encoded.split_at_checked(key.prefix.len())?;
        match rest {
            [len, value @ ..]
                if *len < 0x80 && value.len() == usize::from(*len) && same(prefix, &key.prefix) =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    fn expect(&mut self, previous: u16, key: u16) {
        let next = match self.keys.get_mut(usize::from(previous)) {
            Some(key) => &mut key.next,
            None => &mut self.first,
        };
        if next[0] != key {
            *next = [key, next[0]];
        }
    }

    /// Stores an attribute whose key was not predicted; returns anomalies and key. An attribute with an empty or
    /// too long key is dropped, and the key is still `previous`.
    #[inline(never)]
    fn look_up(
        &mut self,
        previous: u16,
        (row, encoded): (usize, &[u8]),
        limits: AttributeLimits,
        check: &mut Check,
    ) -> Result<(u16, u16), Stop> {
        let split = KeyValue::split(encoded, check, limits.value_depth - 1)?;
        let key = text(split.key)?;
        if key.is_empty() || key.len() > limits.key_bytes_max {
            check.message(&ANY_VALUE, &split.value, limits.value_depth)?;
            return Ok((anomaly::DROPPED_FIELDS, previous));
        }
        let index = match self.by_text.get(key) {
            Some(index) => *index,
            None => self.add_key(key),
        };
        self.expect(previous, index);
        Ok((self.push(row, index, &split.value, limits, check)?, index))
    }

    fn add_key(&mut self, text: &str) -> u16 {
        let index = self.keys.len() as u16;
        let text: Arc<str> = text.into();
        self.by_text.insert(text.clone(), index);
        self.keys.push(Key {
            prefix: prefix(&text),
            text,
            next: [NONE; 2],
            columns: [NONE; KINDS],
            row: NO_ROW,
            column: NONE,
        });
        index
    }

    /// Stores the encoded `AnyValue` under `key`.
    #[inline(always)]
    fn push(
        &mut self,
        row: usize,
        key: u16,
        encoded: &[u8],
        limits: AttributeLimits,
        check: &mut Check,
    ) -> Result<u16, Stop> {
        if let Some(text) = usual_text(encoded)
            && text.len() <= limits.value_bytes_max
        {
            return self.place(row, key, (ValueKind::Text, text, false));
        }
        if let Some(int) = usual_int(encoded) {
            return self.place(row, key, (ValueKind::Int, &int.to_le_bytes(), true));
        }
        if let Some(bool) = usual_bool(encoded) {
            return self.place(row, key, (ValueKind::Bool, &[bool], true));
        }
        self.push_unusual(row, key, encoded, limits, check)
    }

    #[inline(never)]
    fn push_unusual(
        &mut self,
        row: usize,
        key: u16,
        encoded: &[u8],
        limits: AttributeLimits,
        check: &mut Check,
    ) -> Result<u16, Stop> {
        let mut value = AnyValue::read(encoded, check, limits.value_depth)?;
        let anomalies = match value.cut(limits.value_bytes_max) {
            true => anomaly::TRUNCATED_VALUE,
            false => 0,
        };
        Ok(anomalies | self.place(row, key, (value.kind, value.stored(), true))?)
    }

    /// Puts a value (kind, bytes, whether text is known to be UTF-8) into its column; the last of a repeated key wins.
    #[inline(always)]
    fn place(
        &mut self,
        row: usize,
        key: u16,
        (kind, value, checked): (ValueKind, &[u8], bool),
    ) -> Result<u16, Stop> {
        let entry = &mut self.keys[usize::from(key)];
        let mut anomalies = 0;
        if entry.row == row as u32 {
            self.columns[usize::from(entry.column)].retract(row);
            anomalies = anomaly::DUPLICATE_ATTRIBUTE;
        }
        entry.row = row as u32;
        let mut column = entry.columns[kind as usize];
        if column == NONE {
            column = self.columns.len() as u16;
            entry.columns[kind as usize] = column;
            self.columns.push(Column::new(kind));
        }
        entry.column = column;
        let target = &mut self.columns[usize::from(column)];
        if target.is_empty() {
            target.begin();
            self.active.push((key, column));
        }
        target.push(row, value, checked)?;
        Ok(anomalies)
    }

    /// Takes the finished columns of `rows` rows out, sorted by (key, kind).
    pub(super) fn take(&mut self, rows: usize) -> Vec<AttributeColumn> {
        let (keys, columns) = (&mut self.keys, &mut self.columns);
        self.active.sort_unstable_by(|a, b| {
            let of = |pair: &(u16, u16)| {
                (
                    &*keys[usize::from(pair.0)].text,
                    columns[usize::from(pair.1)].kind,
                )
            };
            of(a).cmp(&of(b))
        });
        self.active.dedup();
        let finished = self
            .active
            .drain(..)
            .map(|(key, column)| {
                let column = &mut columns[usize::from(column)];
                let (present, data) = column.take(rows);
                let key = &mut keys[usize::from(key)];
                key.row = NO_ROW;
                AttributeColumn {
                    key: key.text.clone(),
                    kind: column.kind,
                    present,
                    data,
                }
            })
            .filter(|column| column.present.count_set_bits() > 0)
            .collect();
        self.forget();
        finished
    }

    /// Bounds what is remembered from batch to batch.
    fn forget(&mut self) {
        if self.keys.len() > KEYS_MAX {
            *self = Self::default();
        }
    }

    /// Drops what a request that was refused halfway has left behind.
    pub(super) fn clear(&mut self) {
        for (key, column) in self.active.drain(..) {
            self.keys[usize::from(key)].row = NO_ROW;
            self.columns[usize::from(column)].clear();
        }
        self.forget();
    }
}

fn prefix(text: &str) -> Vec<u8> {
    let mut prefix = vec![key(1, BYTES) as u8];
    let mut len = text.len();
    while len >= 0x80 {
        prefix.push(len as u8 | 0x80);
        len >>= 7;
    }
    prefix.push(len as u8);
    prefix.extend_from_slice(text.as_bytes());
    prefix.push(key(2, BYTES) as u8);
    prefix
}
