//! Store columns to Arrow arrays, for all rows of a chunk or for some. Buffers are shared where the types allow it.

use super::Rows;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StringViewArray,
    TimestampNanosecondArray, UInt16Array, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use engine::items::{ColumnData, SparseText, ValueTable};
use std::sync::Arc;

use crate::sql::table::UTC;

/// Times, ns since the epoch; 0 is NULL.
pub(super) fn times(values: &ScalarBuffer<u64>, rows: &Rows) -> ArrayRef {
    let times: TimestampNanosecondArray = integers(values, rows, 0).reinterpret_cast();
    Arc::new(times.with_timezone(UTC))
}

/// Unsigned numbers as bigint; `null` is NULL.
pub(super) fn integers_but(values: &ScalarBuffer<u64>, rows: &Rows, null: u64) -> ArrayRef {
    Arc::new(integers(values, rows, null))
}

fn integers(values: &ScalarBuffer<u64>, rows: &Rows, null: u64) -> Int64Array {
    match rows {
        Rows::All(_) => {
            let nulls = values.contains(&null).then(|| {
                NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |row| {
                    values[row] != null
                }))
            });
            // The same 8 bytes a row: nothing is copied.
            let shared = ScalarBuffer::<i64>::new(values.inner().clone(), 0, values.len());
            Int64Array::new(shared, nulls)
        }
        Rows::Some(_) => rows
            .iter()
            .map(|row| Some(values[row]).filter(|value| *value != null))
            .map(|value| value.map(|value| value as i64))
            .collect(),
    }
}

/// Small numbers as bigint.
pub(super) fn small<T: Copy + Into<i64>>(values: &[T], rows: &Rows) -> ArrayRef {
    let values: Vec<i64> = rows.iter().map(|row| values[row].into()).collect();
    Arc::new(Int64Array::from(values))
}

/// Optional numbers of each row.
pub(super) fn optional_ints(rows: &Rows, value: impl Fn(usize) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Int64Array>())
}

/// Optional floats of each row.
pub(super) fn optional_floats(rows: &Rows, value: impl Fn(usize) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Float64Array>())
}

/// Flags of each row.
pub(super) fn flags(rows: &Rows, value: impl Fn(usize) -> bool) -> ArrayRef {
    Arc::new(
        rows.iter()
            .map(|row| Some(value(row)))
            .collect::<BooleanArray>(),
    )
}

/// 32 hex digits a row; 0 is NULL.
pub(super) fn hex128(values: &ScalarBuffer<u128>, rows: &Rows) -> ArrayRef {
    hex(rows, 32, |row| values[row])
}

/// 16 hex digits a row; 0 is NULL.
pub(super) fn hex64(values: &ScalarBuffer<u64>, rows: &Rows) -> ArrayRef {
    hex(rows, 16, |row| u128::from(values[row]))
}

fn hex(rows: &Rows, digits: usize, value: impl Fn(usize) -> u128) -> ArrayRef {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = vec![0u8; rows.len() * digits];
    let mut present = Vec::with_capacity(rows.len());
    for (row, text) in rows.iter().zip(bytes.chunks_exact_mut(digits)) {
        let value = value(row);
        present.push(value != 0);
        let big = value.to_be_bytes();
        for (pair, byte) in text.chunks_exact_mut(2).zip(&big[16 - digits / 2..]) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
    }
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(digits, rows.len()));
    let nulls = present.contains(&false).then(|| NullBuffer::from(present));
    views(
        StringArray::try_new(offsets, bytes.into(), nulls).ok(),
        rows.len(),
    )
}

/// Text of each row.
pub(super) fn texts<T: AsRef<str>>(rows: &Rows, value: impl Fn(usize) -> Option<T>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringViewArray>())
}

/// One of a few words a row.
pub(super) fn words(rows: &Rows, word: impl Fn(usize) -> &'static str) -> ArrayRef {
    texts(rows, |row| Some(word(row)))
}

/// Text that few rows have.
pub(super) fn sparse(values: &SparseText, rows: &Rows) -> ArrayRef {
    if values.rows.is_empty() {
        return new_null_array(&DataType::Utf8View, rows.len());
    }
    texts(rows, |row| values.get(row))
}

/// Text by code into a table; the empty text is NULL when `is_empty_null`.
pub(super) fn coded(
    codes: &ScalarBuffer<u16>,
    table: &ValueTable,
    rows: &Rows,
    is_empty_null: bool,
) -> ArrayRef {
    let distinct: StringViewArray = (0..table.len())
        .map(|index| Some(table.text(index)).filter(|text| !is_empty_null || !text.is_empty()))
        .collect();
    gather(&distinct, &codes_of(codes, rows, None))
}

/// The value that stands for a code, for each row.
pub(super) fn gather(distinct: &dyn Array, codes: &UInt16Array) -> ArrayRef {
    // A code beyond the table would be a broken chunk: it reads as NULL everywhere.
    take(distinct, codes, None)
        .unwrap_or_else(|_| new_null_array(distinct.data_type(), codes.len()))
}

/// Codes of the rows, NULL where `present` says so.
pub(super) fn codes_of(
    codes: &ScalarBuffer<u16>,
    rows: &Rows,
    present: Option<&BooleanBuffer>,
) -> UInt16Array {
    match rows {
        Rows::All(_) => UInt16Array::new(codes.clone(), present.cloned().map(NullBuffer::new)),
        Rows::Some(_) => rows
            .iter()
            .map(|row| {
                let is_there = present.is_none_or(|present| present.value(row));
                is_there.then(|| codes[row])
            })
            .collect(),
    }
}

/// The text column of an attribute.
pub(super) fn attribute_texts(data: &ColumnData, present: &BooleanBuffer, rows: &Rows) -> ArrayRef {
    match (data, rows) {
        (ColumnData::Codes { codes, values }, _) => {
            let distinct: StringViewArray = (0..values.len())
                .map(|index| Some(values.text(index)))
                .collect();
            gather(&distinct, &codes_of(codes, rows, Some(present)))
        }
        (ColumnData::Raw(values), Rows::All(count)) => {
            let offsets =
                ScalarBuffer::<i32>::new(values.offsets.inner().clone(), 0, values.offsets.len());
            let all = StringArray::try_new(
                OffsetBuffer::new(offsets),
                values.bytes.clone(),
                Some(NullBuffer::new(present.clone())),
            );
            match all {
                Ok(all) => views(Some(all), *count),
                Err(_) => texts(rows, |row| present.value(row).then(|| values.text(row))),
            }
        }
        (ColumnData::Raw(values), Rows::Some(_)) => {
            texts(rows, |row| present.value(row).then(|| values.text(row)))
        }
    }
}

/// A string array as views over its bytes; all NULL when it could not be made.
fn views(array: Option<StringArray>, rows: usize) -> ArrayRef {
    match array {
        Some(array) => Arc::new(StringViewArray::from(&array)),
        None => new_null_array(&DataType::Utf8View, rows),
    }
}
