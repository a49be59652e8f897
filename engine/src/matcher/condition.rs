//! Conditions: which rows of a batch an [`AttributeMatch`] holds for, as a set of rows.

use super::pattern::Patterns;
use crate::items::{AttributeColumn, ColumnData, ItemColumns, ValueKind, ValueTable};
use crate::log_record::{Bodies, LogBatch};
use crate::metric::MetricBatch;
use crate::slo::AttributeMatch;
use crate::span::SpanBatch;
use arrow_buffer::{BooleanBuffer, ScalarBuffer};

/// A batch as conditions see it.
pub(super) trait Rows: std::fmt::Debug {
    /// The columns that every item has.
    fn items(&self) -> &ItemColumns;

    /// The item's own field that `key` means, before any attribute of that name.
    fn field(&self, key: &str) -> Option<Field<'_>>;
}

/// A field that is no attribute.
pub(super) enum Field<'a> {
    /// Distinct texts and a code a row.
    Text(&'a ValueTable, &'a ScalarBuffer<u16>),
    /// The same; an empty text is none.
    Optional(&'a ValueTable, &'a ScalarBuffer<u16>),
    /// A small number a row.
    Number(&'a ScalarBuffer<u8>),
    /// A value of any kind a row; an empty one is none.
    Bodies(&'a Bodies),
}

impl Rows for SpanBatch {
    fn items(&self) -> &ItemColumns {
        &self.items
    }

    fn field(&self, key: &str) -> Option<Field<'_>> {
        (key == "name").then_some(Field::Text(&self.names, &self.name))
    }
}

impl Rows for MetricBatch {
    fn items(&self) -> &ItemColumns {
        &self.items
    }

    fn field(&self, _key: &str) -> Option<Field<'_>> {
        None
    }
}

impl Rows for LogBatch {
    fn items(&self) -> &ItemColumns {
        &self.items
    }

    fn field(&self, key: &str) -> Option<Field<'_>> {
        Some(match key {
            "body" => Field::Bodies(&self.bodies),
            "severity_text" => Field::Optional(&self.severity_texts, &self.severity_text),
            "severity_number" => Field::Number(&self.severity_number),
            "event_name" => Field::Optional(&self.event_names, &self.event_name),
            _ => return None,
        })
    }
}

/// Where a condition reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Resource(String),
    /// A field of the item if it has one of this name, else its attribute.
    Item(String),
}

/// One compiled [`AttributeMatch`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    source: Source,
    patterns: Patterns,
    negated: bool,
}

impl Condition {
    pub(super) fn compile(rule: &AttributeMatch) -> Self {
        let source = match rule.key.strip_prefix("resource.") {
            Some(key) => Source::Resource(key.to_owned()),
            None => Source::Item(rule.key.clone()),
        };
        Self {
            source,
            patterns: Patterns::new(&rule.any_of),
            negated: rule.negated,
        }
    }

    /// The rows of `batch` for which it holds. An absent attribute matches nothing, so a negated condition holds.
    pub(super) fn evaluate(&self, batch: &dyn Rows) -> Mask {
        let mut mask = Mask::Nothing;
        let mut scratch = String::new();
        match &self.source {
            Source::Resource(key) => {
                let matching: Vec<bool> = batch
                    .items()
                    .resources
                    .iter()
                    .map(|resource| self.match_pairs(&resource.attributes, key, &mut scratch))
                    .collect();
                mask.add_codes(&matching, &batch.items().resource, None);
            }
            Source::Item(key) => match batch.field(key) {
                Some(field) => self.add_field(&field, &mut mask, &mut scratch),
                None => {
                    for column in batch.items().columns(key) {
                        self.add_column(column, &mut mask, &mut scratch);
                    }
                }
            },
        }
        if self.negated { mask.invert() } else { mask }
    }

    fn add_field(&self, field: &Field<'_>, mask: &mut Mask, scratch: &mut String) {
        let texts = |values: &ValueTable, needs_text: bool| -> Vec<bool> {
            let matches = |text: &[u8]| {
                let is_there = !(needs_text && text.is_empty());
                is_there && self.patterns.match_text(text)
            };
            (0..values.len())
                .map(|code| matches(values.get(code)))
                .collect()
        };
        match field {
            Field::Text(values, codes) => mask.add_codes(&texts(values, false), codes, None),
            Field::Optional(values, codes) => mask.add_codes(&texts(values, true), codes, None),
            Field::Number(numbers) => {
                let matching: Vec<bool> = (0..=u8::MAX)
                    .map(|number| self.patterns.match_text(number.to_string().as_bytes()))
                    .collect();
                for (row, number) in numbers.iter().enumerate() {
                    if matching[usize::from(*number)] {
                        mask.add(row, numbers.len());
                    }
                }
            }
            Field::Bodies(bodies) => {
                for (row, kind) in bodies.kinds.iter().enumerate() {
                    let is_there = *kind != ValueKind::Empty;
                    let value = bodies.values.get(row);
                    if is_there && self.patterns.match_value(*kind, value, scratch) {
                        mask.add(row, bodies.kinds.len());
                    }
                }
            }
        }
    }

    fn match_pairs(
        &self,
        pairs: &[(String, ValueKind, Vec<u8>)],
        wanted: &str,
        scratch: &mut String,
    ) -> bool {
        pairs.iter().any(|(key, value_kind, bytes)| {
            key == wanted && self.patterns.match_value(*value_kind, bytes, scratch)
        })
    }

    fn add_column(&self, column: &AttributeColumn, mask: &mut Mask, scratch: &mut String) {
        let mut holds = |bytes: &[u8]| self.patterns.match_value(column.kind, bytes, scratch);
        match &column.data {
            ColumnData::Codes { codes, values } => {
                let matching: Vec<bool> = (0..values.len())
                    .map(|code| holds(values.get(code)))
                    .collect();
                mask.add_codes(&matching, codes, Some(&column.present));
            }
            ColumnData::Raw(values) => {
                let rows = column.present.len();
                for row in column.present.set_indices() {
                    if holds(values.get(row)) {
                        mask.add(row, rows);
                    }
                }
            }
        }
    }
}

/// A set of rows of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mask {
    Nothing,
    Everything,
    Rows(Vec<u64>),
}

impl Mask {
    #[inline]
    pub(super) fn contains(&self, row: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Rows(words) => words[row / 64] >> (row % 64) & 1 == 1,
        }
    }

    fn add(&mut self, row: usize, rows: usize) {
        if matches!(self, Self::Nothing) {
            *self = Self::Rows(vec![0; rows.div_ceil(64)]);
        }
        if let Self::Rows(words) = self {
            words[row / 64] |= 1 << (row % 64);
        }
    }

    /// Adds the rows whose code is `matching` (and that are present). Touches no row when no code matches.
    fn add_codes(
        &mut self,
        matching: &[bool],
        codes: &ScalarBuffer<u16>,
        present: Option<&BooleanBuffer>,
    ) {
        if !matching.contains(&true) {
            return;
        }
        if present.is_none() && !matching.contains(&false) {
            *self = Self::Everything;
            return;
        }
        for (row, code) in codes.iter().enumerate() {
            let here = present.is_none_or(|bits| bits.value(row));
            if here && matching.get(usize::from(*code)).copied().unwrap_or(false) {
                self.add(row, codes.len());
            }
        }
    }

    fn invert(self) -> Self {
        match self {
            Self::Nothing => Self::Everything,
            Self::Everything => Self::Nothing,
            Self::Rows(words) => Self::Rows(words.into_iter().map(|word| !word).collect()),
        }
    }

    pub(super) fn union(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Everything, _) | (_, Self::Nothing) => {}
            (Self::Rows(words), Self::Rows(more)) => {
                for (word, extra) in words.iter_mut().zip(more) {
                    *word |= extra;
                }
            }
            (_, other) => *self = other,
        }
    }
}

/// Index of a distinct condition.
pub(super) type ConditionIndex = usize;

/// One batch seen through conditions, each evaluated when first asked for.
#[derive(Debug)]
pub(super) struct Masks<'a> {
    conditions: &'a [Condition],
    batch: &'a dyn Rows,
    excluded: Mask,
    masks: Vec<Option<Mask>>,
}

impl<'a> Masks<'a> {
    /// Starts the evaluation of one batch; rows for which any of `exclusion` holds are left out.
    pub(super) fn new(
        conditions: &'a [Condition],
        exclusion: &[ConditionIndex],
        batch: &'a dyn Rows,
    ) -> Self {
        let mut excluded = Mask::Nothing;
        for condition in exclusion {
            excluded.union(conditions[*condition].evaluate(batch));
        }
        Self {
            conditions,
            batch,
            excluded,
            masks: vec![None; conditions.len()],
        }
    }

    #[inline]
    pub(super) fn is_excluded(&self, row: usize) -> bool {
        self.excluded.contains(row)
    }

    #[inline]
    pub(super) fn hold_all(&mut self, conditions: &[ConditionIndex], row: usize) -> bool {
        conditions.iter().all(|index| {
            self.masks[*index]
                .get_or_insert_with(|| self.conditions[*index].evaluate(self.batch))
                .contains(row)
        })
    }
}
