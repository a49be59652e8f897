//! Sixty-four signed counts in as few bytes as they need.
//!
//! Most buckets of most SLOs hold small numbers and most bad counts are zero, so a run of 64 buckets is stored at the
//! narrowest width that fits all of them and not at all while they are all zero. Widening copies 64 numbers at most
//! three times in the life of a run. Values are signed: a correction may reach a bucket before what it corrects.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Buckets in a run.
pub(super) const CELLS: usize = 64;

/// A run of [`CELLS`] signed counts.
#[derive(Debug, Clone, Default)]
pub(super) enum Cells {
    /// All zero.
    #[default]
    Empty,
    /// All within `i8`.
    I8(Box<[i8; CELLS]>),
    /// All within `i16`.
    I16(Box<[i16; CELLS]>),
    /// All within `i32`.
    I32(Box<[i32; CELLS]>),
    /// Any.
    I64(Box<[i64; CELLS]>),
}

impl Cells {
    /// The count of cell `at` (modulo [`CELLS`]).
    #[inline]
    pub(super) fn get(&self, at: usize) -> i64 {
        let at = at % CELLS;
        match self {
            Self::Empty => 0,
            Self::I8(cells) => i64::from(cells[at]),
            Self::I16(cells) => i64::from(cells[at]),
            Self::I32(cells) => i64::from(cells[at]),
            Self::I64(cells) => cells[at],
        }
    }

    /// The sum of `count` cells from cell `at` on, all within the run; saturates at the ends of `i64`.
    #[inline]
    pub(super) fn sum(&self, at: usize, count: usize) -> i64 {
        fn total<T: Copy + Into<i64>>(cells: &[T]) -> i64 {
            cells
                .iter()
                .fold(0, |sum: i64, cell| sum.saturating_add((*cell).into()))
        }
        let range = at..(at + count).min(CELLS);
        match self {
            Self::Empty => 0,
            Self::I8(cells) => total(&cells[range]),
            Self::I16(cells) => total(&cells[range]),
            Self::I32(cells) => total(&cells[range]),
            Self::I64(cells) => total(&cells[range]),
        }
    }

    /// Adds `change` to cell `at` (modulo [`CELLS`]); saturates at the ends of `i64`.
    #[inline]
    pub(super) fn add(&mut self, at: usize, change: i64) {
        if change == 0 {
            return;
        }
        let at = at % CELLS;
        let value = self.get(at).saturating_add(change);
        if !self.store(at, value) {
            let mut all = self.all();
            all[at] = value;
            *self = Self::narrowest(&all);
        }
    }

    /// Heap bytes held.
    pub(super) fn byte_size(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::I8(_) => CELLS,
            Self::I16(_) => 2 * CELLS,
            Self::I32(_) => 4 * CELLS,
            Self::I64(_) => 8 * CELLS,
        }
    }

    /// Stores when the width allows it.
    fn store(&mut self, at: usize, value: i64) -> bool {
        match self {
            Self::Empty => false,
            Self::I8(cells) => put(&mut cells[at], value),
            Self::I16(cells) => put(&mut cells[at], value),
            Self::I32(cells) => put(&mut cells[at], value),
            Self::I64(cells) => put(&mut cells[at], value),
        }
    }

    fn all(&self) -> [i64; CELLS] {
        if matches!(self, Self::Empty) {
            return [0; CELLS];
        }
        std::array::from_fn(|at| self.get(at))
    }

    fn narrowest(all: &[i64; CELLS]) -> Self {
        let (least, most) = all.iter().fold((0, 0), |(least, most): (i64, i64), value| {
            (least.min(*value), most.max(*value))
        });
        let fits = |low: i64, high: i64| low <= least && most <= high;
        if fits(0, 0) {
            Self::Empty
        } else if fits(i64::from(i8::MIN), i64::from(i8::MAX)) {
            Self::I8(Box::new(all.map(|value| value as i8)))
        } else if fits(i64::from(i16::MIN), i64::from(i16::MAX)) {
            Self::I16(Box::new(all.map(|value| value as i16)))
        } else if fits(i64::from(i32::MIN), i64::from(i32::MAX)) {
            Self::I32(Box::new(all.map(|value| value as i32)))
        } else {
            Self::I64(Box::new(*all))
        }
    }
}

fn put<T: TryFrom<i64>>(cell: &mut T, value: i64) -> bool {
    match T::try_from(value) {
        Ok(value) => {
            *cell = value;
            true
        }
        Err(_) => false,
    }
}

/// As the list of its values, `[]` while all are zero: the width is not state, equal values give equal bytes.
impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.all();
        if all.iter().all(|value| *value == 0) {
            serializer.collect_seq(std::iter::empty::<i64>())
        } else {
            serializer.collect_seq(all)
        }
    }
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Vec::<i64>::deserialize(deserializer)?;
        if values.is_empty() {
            return Ok(Self::Empty);
        }
        let all: [i64; CELLS] = values
            .try_into()
            .map_err(|values: Vec<i64>| D::Error::invalid_length(values.len(), &"0 or 64 cells"))?;
        Ok(Self::narrowest(&all))
    }
}
