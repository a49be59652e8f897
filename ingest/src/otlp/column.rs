//! Columns under construction: distinct values as codes, or one value a row.
//!
//! Problem: interning every value in one big map costs a cache miss a value; storing every value costs the memory.
//! What we do: a small dictionary per column, asked only when the value differs from the column's last one. A column
//! whose values keep being new (ids, addresses) becomes a raw arena. Which form a column takes depends on the batch
//! alone, never on what was decoded before it. Source: Arrow's dictionary and variable-size binary layouts.

use super::error::Stop;
use super::schema::text;
use super::wire::same;
use arrow_buffer::{BooleanBuffer, Buffer};
use engine::items::{ColumnData, DICTIONARY_MAX, ValueKind, ValueTable};
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};

/// From this many distinct values on, a column that is nearly all new values becomes raw.
const RAW_MIN: usize = 64;
/// A column keeps an arena of at most this size from batch to batch.
const KEPT_BYTES_MAX: usize = 4_096;

/// Values end to end, each distinct one once, numbered by first appearance.
#[derive(Default)]
pub(super) struct Dictionary {
    table: Table,
    /// Open addressing over a power of two of slots: 0 is free, otherwise code + 1.
    slots: Vec<u16>,
    /// Seeded per process, so that nobody can aim at one slot; it does not influence codes.
    hasher: RandomState,
}

/// Values end to end; value `i` ends at `ends[i]`.
#[derive(Default)]
pub(super) struct Table {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Table {
    #[inline(always)]
    fn range(&self, index: usize) -> (u32, u32) {
        let start = match index {
            0 => 0,
            _ => self.ends[index - 1],
        };
        (start, self.ends[index])
    }

    #[inline(always)]
    fn get(&self, index: usize) -> &[u8] {
        let (start, end) = self.range(index);
        &self.bytes[start as usize..end as usize]
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
    }

    fn pop(&mut self) {
        self.ends.pop();
        let end = self.ends.last().copied().unwrap_or(0);
        self.bytes.truncate(end as usize);
    }

    /// Empty values up to `len` of them.
    fn pad(&mut self, len: usize) {
        self.ends.resize(len, self.bytes.len() as u32);
    }

    pub(super) fn take(&mut self) -> ValueTable {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.append(&mut self.ends);
        if self.ends.capacity() > DICTIONARY_MAX {
            self.ends = Vec::new();
        }
        // A small arena is copied out and kept for the next batch, a large one given away.
        let bytes = match self.bytes.capacity() <= KEPT_BYTES_MAX {
            true => self.bytes.as_slice().to_vec(),
            false => tight(std::mem::take(&mut self.bytes)),
        };
        self.bytes.clear();
        ValueTable {
            offsets: offsets.into(),
            bytes: Buffer::from_vec(bytes),
        }
    }
}

/// `values` without much unused room: finished batches live long.
pub(super) fn tight<T>(mut values: Vec<T>) -> Vec<T> {
    if values.capacity() > values.len() + values.len() / 4 {
        values.shrink_to_fit();
    }
    values
}

impl Dictionary {
    pub(super) fn len(&self) -> usize {
        self.table.ends.len()
    }

    #[inline(always)]
    pub(super) fn get(&self, code: u16) -> &[u8] {
        self.table.get(usize::from(code))
    }

    /// The code of `value`, or the slot to give [`Dictionary::insert`].
    #[inline(always)]
    pub(super) fn find(&mut self, value: &[u8]) -> Result<u16, usize> {
        if self.slots.len() < self.len() * 2 + 2 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = self.hash(value) & mask;
        loop {
            match self.slots[slot] {
                0 => return Err(slot),
                taken if same(self.get(taken - 1), value) => return Ok(taken - 1),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// Appends a value that [`Dictionary::find`] did not find.
    #[inline(always)]
    pub(super) fn insert(&mut self, slot: usize, value: &[u8]) -> u16 {
        let code = self.len() as u16;
        self.slots[slot] = code + 1;
        self.table.push(value);
        code
    }

    #[inline(always)]
    fn hash(&self, value: &[u8]) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(value);
        hasher.finish() as usize
    }

    #[cold]
    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(32);
        self.slots.clear();
        self.slots.resize(len, 0);
        for code in 0..self.len() as u16 {
            let mut slot = self.hash(self.get(code)) & (len - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (len - 1);
            }
            self.slots[slot] = code + 1;
        }
    }

    pub(super) fn take(&mut self) -> ValueTable {
        match self.slots.len() > 2 * DICTIONARY_MAX {
            true => self.slots = Vec::new(),
            false => self.slots.fill(0),
        }
        self.table.take()
    }
}

/// One attribute column under construction.
pub(super) struct Column {
    /// Type of its values.
    pub(super) kind: ValueKind,
    /// Rows so far, up to the last one that has a value.
    rows: usize,
    /// Rows it had in the batch before.
    rows_before: usize,
    /// The last value, and where the dictionary keeps it; an impossible range when there is none.
    last: u16,
    last_range: (u32, u32),
    /// One code a row; unused once raw.
    codes: Vec<u16>,
    dictionary: Dictionary,
    /// One value a row, once there are too many distinct ones.
    raw: Option<Table>,
    /// Which rows have a value, once some row has none.
    present: Option<Vec<u8>>,
}

const NO_RANGE: (u32, u32) = (1, 0);

impl Column {
    pub(super) fn new(kind: ValueKind) -> Self {
        Self {
            kind,
            rows: 0,
            rows_before: 0,
            last: 0,
            last_range: NO_RANGE,
            codes: Vec::new(),
            dictionary: Dictionary::default(),
            raw: None,
            present: None,
        }
    }

    /// Whether it has no row yet.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Makes room for as many rows as in the last batch; call before the first one.
    #[inline(never)]
    pub(super) fn begin(&mut self) {
        self.codes.reserve(self.rows_before);
    }

    /// Stores `value` for `row`, which must not have one. `checked` says that text is known to be UTF-8.
    #[inline(always)]
    pub(super) fn push(&mut self, row: usize, value: &[u8], checked: bool) -> Result<(), Stop> {
        if self.rows != row {
            self.pad(row);
        }
        self.rows = row + 1;
        if let Some(present) = &mut self.present {
            if present.len() * 8 <= row {
                present.push(0);
            }
            present[row / 8] |= 1 << (row % 8);
        }
        let (start, end) = self.last_range;
        let last = self
            .dictionary
            .table
            .bytes
            .get(start as usize..end as usize);
        if last.is_some_and(|last| same(last, value)) {
            self.codes.push(self.last);
            return Ok(());
        }
        self.store(value, checked)
    }

    /// Stores a value that is not the last one.
    #[inline(always)]
    fn store(&mut self, value: &[u8], checked: bool) -> Result<(), Stop> {
        if let Some(raw) = &mut self.raw {
            if !checked && self.kind == ValueKind::Text {
                text(value)?;
            }
            raw.push(value);
            return Ok(());
        }
        match self.dictionary.find(value) {
            Ok(code) => self.push_code(code),
            Err(slot) => return self.store_new(slot, value, checked),
        }
        Ok(())
    }

    #[inline(never)]
    fn store_new(&mut self, slot: usize, value: &[u8], checked: bool) -> Result<(), Stop> {
        if !checked && self.kind == ValueKind::Text {
            text(value)?;
        }
        if self.is_high_cardinality() {
            self.make_raw().push(value);
            return Ok(());
        }
        let code = self.dictionary.insert(slot, value);
        self.push_code(code);
        Ok(())
    }

    #[inline(always)]
    fn push_code(&mut self, code: u16) {
        self.codes.push(code);
        self.last = code;
        self.last_range = self.dictionary.table.range(usize::from(code));
    }

    /// Whether one more distinct value is one too many.
    fn is_high_cardinality(&self) -> bool {
        let distinct = self.dictionary.len();
        distinct == DICTIONARY_MAX || distinct >= RAW_MIN && distinct * 8 >= self.codes.len() * 7
    }

    #[cold]
    fn make_raw(&mut self) -> &mut Table {
        let mut raw = Table::default();
        for (row, code) in self.codes.iter().enumerate() {
            match has(&self.present, row) {
                true => raw.push(self.dictionary.get(*code)),
                false => raw.pad(row + 1),
            }
        }
        self.codes = Vec::new();
        self.last_range = NO_RANGE;
        self.raw.insert(raw)
    }

    /// Rows without a value up to `row`.
    #[cold]
    fn pad(&mut self, row: usize) {
        let rows = self.rows;
        let present = self.present.get_or_insert_with(|| {
            let mut ones = vec![0xff; rows / 8];
            if !rows.is_multiple_of(8) {
                ones.push((1 << (rows % 8)) - 1);
            }
            ones
        });
        present.resize(row.div_ceil(8), 0);
        self.rows = row;
        match &mut self.raw {
            None => self.codes.resize(row, 0),
            Some(raw) => raw.pad(row),
        }
    }

    /// Takes back the value of the last row.
    pub(super) fn retract(&mut self, row: usize) {
        self.rows = row;
        match &mut self.raw {
            None => drop(self.codes.pop()),
            Some(raw) => raw.pop(),
        }
        if let Some(present) = &mut self.present {
            present[row / 8] &= !(1 << (row % 8));
        }
    }

    /// Takes the finished column of `rows` rows out.
    pub(super) fn take(&mut self, rows: usize) -> (BooleanBuffer, ColumnData) {
        if self.rows < rows {
            self.pad(rows);
        }
        let present = match self.present.take() {
            None => BooleanBuffer::new_set(rows),
            Some(bits) => BooleanBuffer::new(Buffer::from_vec(bits), 0, rows),
        };
        let values = self.dictionary.take();
        let data = match self.raw.take() {
            Some(mut raw) => ColumnData::Raw(raw.take()),
            None => {
                let codes = tight(std::mem::take(&mut self.codes));
                ColumnData::Codes {
                    codes: codes.into(),
                    values,
                }
            }
        };
        self.rows = 0;
        self.rows_before = rows;
        self.last_range = NO_RANGE;
        (present, data)
    }

    /// Frees what it holds, for a request that was refused halfway.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.kind);
    }
}

fn has(present: &Option<Vec<u8>>, row: usize) -> bool {
    match present {
        None => true,
        Some(bits) => bits
            .get(row / 8)
            .is_some_and(|byte| byte >> (row % 8) & 1 == 1),
    }
}
