//! Routes as small numbers: what the gate stratifies by.
//!
//! The route of a span is `http.route`, else `rpc.method`, else its name. Names may carry ids ("GET /user/4711"), so
//! every piece with a digit in it reads as one and the same piece, a query string ends the name, and the fingerprint
//! is cut to [`ROUTES`] values. Nothing is remembered: the number depends on the text alone, never on what came
//! before. Two routes that share a number share a stratum, which is coarser, not wrong.

use crate::hash::HashSeed;
use crate::items::{ColumnData, ValueKind};
use crate::span::SpanBatch;
use std::borrow::Cow;

/// Distinct route numbers.
pub const ROUTES: u64 = 1_024;

/// Attributes that name the route, best first.
const ROUTE_KEYS: [&str; 2] = ["http.route", "rpc.method"];

const UNREAD: u16 = u16::MAX;

/// Longest name of a route as told, bytes.
const NAME_BYTES_MAX: usize = 120;

/// The number of the route called `text`, in `0..ROUTES`.
pub fn route_number(seed: HashSeed, text: &str) -> u16 {
    (seed.fingerprint(plain(text).as_bytes()) % ROUTES) as u16
}

/// `text` without what differs from request to request: what its number is made of.
fn plain(text: &str) -> Cow<'_, str> {
    let plain = text.split(['?', '#']).next().unwrap_or_default();
    if !plain.bytes().any(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(plain);
    }
    let pieces = plain
        .split_inclusive([' ', '/', '.', ':', '_'])
        .map(|piece| {
            let varies = piece.bytes().any(|byte| byte.is_ascii_digit());
            if varies { "*" } else { piece }
        });
    Cow::Owned(pieces.collect())
}

/// The name to show for the route called `text`.
pub(super) fn route_name(text: &str) -> String {
    let mut name = plain(text).into_owned();
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

/// The routes of one batch: each distinct value is numbered once, when first asked for.
#[derive(Debug)]
pub(super) struct Routes<'a> {
    seed: HashSeed,
    batch: &'a SpanBatch,
    /// Columns of [`ROUTE_KEYS`], with a number per code.
    columns: Vec<(usize, Vec<u16>)>,
    names: Vec<u16>,
}

impl<'a> Routes<'a> {
    pub(super) fn new(seed: HashSeed, batch: &'a SpanBatch) -> Self {
        let columns = ROUTE_KEYS
            .iter()
            .filter_map(|key| {
                let found = batch
                    .items
                    .attributes
                    .binary_search_by(|column| {
                        (&*column.key, column.kind).cmp(&(*key, ValueKind::Text))
                    })
                    .ok()?;
                let codes = match &batch.items.attributes[found].data {
                    ColumnData::Codes { values, .. } => values.len(),
                    ColumnData::Raw(_) => 0,
                };
                Some((found, vec![UNREAD; codes]))
            })
            .collect();
        Self {
            seed,
            batch,
            columns,
            names: vec![UNREAD; batch.names.len()],
        }
    }

    /// The text that names the route of `row`, and which of the batch's distinct texts it is; `None` in a column of
    /// too many texts to be told.
    pub(super) fn text(&self, row: usize) -> Option<(u32, &'a str)> {
        let batch = self.batch;
        for (place, (column, _)) in (1u32..).zip(&self.columns) {
            let column = &batch.items.attributes[*column];
            if !column.present.value(row) {
                continue;
            }
            return match &column.data {
                ColumnData::Codes { codes, values } => {
                    let code = codes[row];
                    Some((place << 16 | u32::from(code), values.text(code.into())))
                }
                ColumnData::Raw(_) => None,
            };
        }
        let code = batch.name[row];
        Some((u32::from(code), batch.names.text(code.into())))
    }

    /// The route number of `row`.
    pub(super) fn of(&mut self, row: usize) -> u16 {
        let seed = self.seed;
        for (column, numbers) in &mut self.columns {
            let column = &self.batch.items.attributes[*column];
            if !column.present.value(row) {
                continue;
            }
            return match &column.data {
                ColumnData::Codes { codes, values } => {
                    let code = usize::from(codes[row]);
                    number_of(seed, &mut numbers[code], || values.text(code))
                }
                ColumnData::Raw(values) => route_number(seed, values.text(row)),
            };
        }
        let code = usize::from(self.batch.name[row]);
        number_of(seed, &mut self.names[code], || self.batch.names.text(code))
    }
}

fn number_of<'t>(seed: HashSeed, number: &mut u16, text: impl Fn() -> &'t str) -> u16 {
    if *number == UNREAD {
        *number = route_number(seed, text());
    }
    *number
}
