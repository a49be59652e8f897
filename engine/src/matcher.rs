//! Definitions compiled to row masks: which spans are events of which SLI, and which are left out.
//!
//! Every distinct condition is evaluated at most once a batch, over the distinct values of its column; rows are only
//! touched when some value of the batch matches. Rules are indexed by service, so that a batch pays for the SLOs of
//! the services in it and for no others.

mod pattern;

use crate::hash::FixedMap;
use crate::identity::ServiceId;
use crate::items::{AttributeColumn, ColumnData, ValueKind};
use crate::outcome::Outcomes;
use crate::slo::{AttributeMatch, Definitions, FailedRule, Sli, SloId, SpanSelector};
use crate::span::{DURATION_UNKNOWN, SpanBatch, kind};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use pattern::Patterns;

/// Span kinds as bits, UNSPECIFIED counted as INTERNAL.
type Kinds = u64;

/// The kinds of entry spans: SERVER and CONSUMER.
pub const ENTRY_KINDS: Kinds = 1 << kind::SERVER | 1 << kind::CONSUMER;

/// The bit of a span kind; kinds of 64 and above are no kind.
pub fn kind_bit(span_kind: u8) -> Kinds {
    match span_kind {
        kind::UNSPECIFIED => 1 << kind::INTERNAL,
        other => 1u64.checked_shl(u32::from(other)).unwrap_or(0),
    }
}

/// Where a condition reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Name,
    Resource(String),
    Attribute(String),
}

/// One compiled [`AttributeMatch`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Condition {
    source: Source,
    patterns: Patterns,
    negated: bool,
}

impl Condition {
    fn compile(rule: &AttributeMatch) -> Self {
        let source = match rule.key.strip_prefix("resource.") {
            Some(key) => Source::Resource(key.to_owned()),
            None if rule.key == "name" => Source::Name,
            None => Source::Attribute(rule.key.clone()),
        };
        Self {
            source,
            patterns: Patterns::new(&rule.any_of),
            negated: rule.negated,
        }
    }

    /// The rows of `batch` for which it holds. An absent attribute matches nothing, so a negated condition holds.
    fn evaluate(&self, batch: &SpanBatch) -> Mask {
        let mut mask = Mask::Nothing;
        let mut scratch = String::new();
        match &self.source {
            Source::Name => {
                let matching: Vec<bool> = (0..batch.names.len())
                    .map(|code| self.patterns.match_text(batch.names.get(code)))
                    .collect();
                mask.add_codes(&matching, &batch.name, None);
            }
            Source::Resource(key) => {
                let matching: Vec<bool> = batch
                    .items
                    .resources
                    .iter()
                    .map(|resource| self.match_pairs(&resource.attributes, key, &mut scratch))
                    .collect();
                mask.add_codes(&matching, &batch.items.resource, None);
            }
            Source::Attribute(key) => {
                for column in batch.items.columns(key) {
                    self.add_column(column, &mut mask, &mut scratch);
                }
            }
        }
        if self.negated { mask.invert() } else { mask }
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
enum Mask {
    Nothing,
    Everything,
    Rows(Vec<u64>),
}

impl Mask {
    #[inline]
    fn contains(&self, row: usize) -> bool {
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

    fn union(&mut self, other: Self) {
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
type ConditionIndex = usize;

/// When an event of an SLI is bad.
#[derive(Debug, Clone)]
enum Bad {
    /// By the house table ([`crate::outcome`]).
    Outcome,
    /// When all of these hold.
    Conditions(Vec<ConditionIndex>),
    /// When it lasted longer than this many nanoseconds.
    Longer(u64),
}

/// One SLI, compiled.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Its SLO; `None` = the implicit SLO of whatever service the span belongs to.
    pub slo: Option<SloId>,
    kinds: Kinds,
    conditions: Vec<ConditionIndex>,
    bad: Bad,
}

/// The SLIs of one service.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    /// In SLO id order.
    pub list: Vec<Measure>,
    /// Kinds that at least one of them selects.
    pub kinds: Kinds,
}

impl Measures {
    fn push(&mut self, measure: Measure) {
        self.kinds |= measure.kinds;
        self.list.push(measure);
    }
}

/// All definitions, compiled. Pure data: built once per definitions generation.
#[derive(Debug)]
pub struct Matcher {
    conditions: Vec<Condition>,
    exclusion: Vec<ConditionIndex>,
    services: FixedMap<ServiceId, Measures>,
    implicit: Measures,
}

impl Matcher {
    /// Compiles `definitions`. O(definitions).
    pub fn compile(definitions: &Definitions) -> Self {
        let mut table = Interner::default();
        let exclusion = table.intern_all(&definitions.exclusion.any_of);
        let mut services: FixedMap<ServiceId, Measures> = FixedMap::default();
        for slo in definitions.slos.values() {
            let measure = table.measure(Some(slo.id), &slo.sli);
            services.entry(slo.service_id).or_default().push(measure);
        }
        let mut implicit = Measures::default();
        implicit.push(table.measure(
            None,
            &Sli::Availability {
                selector: SpanSelector::default(),
                failed: FailedRule::Default,
            },
        ));
        Self {
            conditions: table.conditions,
            exclusion,
            services,
            implicit,
        }
    }

    /// The SLIs of `service`; the implicit one when no SLO names it. O(1).
    pub fn measures_of(&self, service: ServiceId) -> &Measures {
        self.services.get(&service).unwrap_or(&self.implicit)
    }

    /// Starts the evaluation of one batch.
    pub fn view<'a>(&'a self, batch: &'a SpanBatch) -> View<'a> {
        let mut outcomes = Outcomes::default();
        outcomes.read(batch);
        let mut excluded = Mask::Nothing;
        for condition in &self.exclusion {
            excluded.union(self.conditions[*condition].evaluate(batch));
        }
        View {
            matcher: self,
            batch,
            outcomes,
            excluded,
            masks: vec![None; self.conditions.len()],
        }
    }
}

/// Gives each distinct condition one index.
#[derive(Default)]
struct Interner {
    conditions: Vec<Condition>,
    index: FixedMap<Condition, ConditionIndex>,
}

impl Interner {
    fn intern_all(&mut self, rules: &[AttributeMatch]) -> Vec<ConditionIndex> {
        rules.iter().map(|rule| self.intern(rule)).collect()
    }

    fn intern(&mut self, rule: &AttributeMatch) -> ConditionIndex {
        let condition = Condition::compile(rule);
        let next = self.conditions.len();
        let index = *self.index.entry(condition.clone()).or_insert(next);
        if index == next {
            self.conditions.push(condition);
        }
        index
    }

    fn measure(&mut self, slo: Option<SloId>, sli: &Sli) -> Measure {
        let (selector, bad) = match sli {
            Sli::Availability { selector, failed } => (
                selector,
                match failed {
                    FailedRule::Default => Bad::Outcome,
                    FailedRule::Attributes(rules) => Bad::Conditions(self.intern_all(rules)),
                },
            ),
            Sli::Latency {
                selector,
                threshold_nanos,
            } => (selector, Bad::Longer(*threshold_nanos)),
        };
        let kinds = if selector.kinds.is_empty() {
            ENTRY_KINDS
        } else {
            selector.kinds.iter().fold(0, |bits, k| bits | kind_bit(*k))
        };
        Measure {
            slo,
            kinds,
            conditions: self.intern_all(&selector.matches),
            bad,
        }
    }
}

/// One batch seen through the definitions. Conditions are evaluated when first asked for.
#[derive(Debug)]
pub struct View<'a> {
    matcher: &'a Matcher,
    batch: &'a SpanBatch,
    outcomes: Outcomes,
    excluded: Mask,
    masks: Vec<Option<Mask>>,
}

impl View<'_> {
    /// Whether the exclusion rule leaves `row` out.
    pub fn is_excluded(&self, row: usize) -> bool {
        self.excluded.contains(row)
    }

    /// Whether the request of `row` failed, by the house table.
    pub fn is_failed(&self, row: usize) -> bool {
        self.outcomes.is_failed(self.batch, row)
    }

    /// Whether `row` is one of the spans that `measure` selects.
    pub fn is_selected(&mut self, measure: &Measure, row: usize) -> bool {
        measure.kinds & kind_bit(self.batch.kind[row]) != 0
            && self.hold_all(&measure.conditions, row)
    }

    /// `Some(bad)` when `row` is an event of `measure`; a span of unknown duration is no latency event.
    pub fn judge(&mut self, measure: &Measure, row: usize) -> Option<bool> {
        if !self.is_selected(measure, row) {
            return None;
        }
        match &measure.bad {
            Bad::Outcome => Some(self.is_failed(row)),
            Bad::Conditions(conditions) => Some(self.hold_all(conditions, row)),
            Bad::Longer(threshold) => match self.batch.duration[row] {
                DURATION_UNKNOWN => None,
                duration => Some(duration > *threshold),
            },
        }
    }

    fn hold_all(&mut self, conditions: &[ConditionIndex], row: usize) -> bool {
        conditions.iter().all(|index| {
            self.masks[*index]
                .get_or_insert_with(|| self.matcher.conditions[*index].evaluate(self.batch))
                .contains(row)
        })
    }
}

#[cfg(test)]
mod tests;
