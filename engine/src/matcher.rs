//! Definitions compiled to row masks: which items are events of which SLI, and which are left out.
//!
//! Every distinct condition is evaluated at most once a batch, over the distinct values of its column; rows are only
//! touched when some value of the batch matches. Rules are indexed by service, so that a batch pays for the SLOs of
//! the services in it and for no others.

mod condition;
mod pattern;

use crate::hash::FixedMap;
use crate::identity::ServiceId;
use crate::log_record::LogBatch;
use crate::metric::{Instrument, MetricBatch};
use crate::outcome::{Classes, Outcomes};
use crate::slo::{
    AttributeMatch, Decimal, Definitions, FailedRule, Op, PointSelector, Side, Sli, SloId,
    SpanSelector,
};
use crate::span::{DURATION_UNKNOWN, SpanBatch, kind};
use crate::trace::FailureClass;
use condition::{Condition, ConditionIndex, Masks};

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

/// One SLI of log records, compiled.
#[derive(Debug, Clone)]
pub struct RecordMeasure {
    /// Its SLO.
    pub slo: SloId,
    conditions: Vec<ConditionIndex>,
    part: Vec<ConditionIndex>,
    side: Side,
}

/// Which points of which metric, compiled.
#[derive(Debug, Clone)]
struct Term {
    metric: String,
    instruments: Vec<Instrument>,
    conditions: Vec<ConditionIndex>,
}

/// What an SLI makes of the points it selects.
#[derive(Debug, Clone, Copy)]
pub enum PointRule {
    /// Increments are events; see [`Sli::Increments`].
    Increments {
        /// A histogram's events up to this value are the part's.
        at_most: Option<f64>,
        /// Side of the part.
        side: Side,
    },
    /// Each point is an event; see [`Sli::Level`].
    Level {
        /// How a good value compares.
        op: Op,
        /// With this.
        threshold: f64,
    },
}

/// One SLI of metric points, compiled.
#[derive(Debug, Clone)]
pub struct PointMeasure {
    /// Its SLO.
    pub slo: SloId,
    /// What it makes of them.
    pub rule: PointRule,
    total: Term,
    part: Term,
}

/// What a point is to an SLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Role {
    /// It is one of all events.
    pub total: bool,
    /// It is one of the part's.
    pub part: bool,
    /// It is selected, and of a type that the definition does not allow.
    pub mismatch: bool,
}

impl Role {
    /// Whether it counts.
    pub const fn counts(self) -> bool {
        self.total || self.part
    }
}

/// The SLIs of one service.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    /// Of spans, in SLO id order.
    pub list: Vec<Measure>,
    /// Span kinds that at least one of them selects.
    pub kinds: Kinds,
    /// Of log records, in SLO id order.
    pub records: Vec<RecordMeasure>,
    /// Of metric points, in SLO id order.
    pub points: Vec<PointMeasure>,
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
            let measures = services.entry(slo.service_id).or_default();
            match &slo.sli {
                Sli::Availability { selector, failed } => {
                    let bad = table.failed(failed);
                    measures.push(table.measure(Some(slo.id), selector, bad));
                }
                Sli::Latency {
                    selector,
                    threshold_nanos,
                } => {
                    let bad = Bad::Longer(*threshold_nanos);
                    measures.push(table.measure(Some(slo.id), selector, bad));
                }
                Sli::Records {
                    selector,
                    part,
                    side,
                } => measures.records.push(RecordMeasure {
                    slo: slo.id,
                    conditions: table.intern_all(selector),
                    part: table.intern_all(part),
                    side: *side,
                }),
                Sli::Increments {
                    total,
                    part,
                    at_most,
                    side,
                } => measures.points.push(PointMeasure {
                    slo: slo.id,
                    rule: PointRule::Increments {
                        at_most: at_most.map(Decimal::value),
                        side: *side,
                    },
                    total: table.term(total),
                    part: table.term(part),
                }),
                Sli::Level {
                    selector,
                    op,
                    threshold,
                } => measures.points.push(PointMeasure {
                    slo: slo.id,
                    rule: PointRule::Level {
                        op: *op,
                        threshold: threshold.value(),
                    },
                    total: table.term(selector),
                    part: table.term(selector),
                }),
            }
        }
        let mut implicit = Measures::default();
        implicit.push(table.measure(None, &SpanSelector::default(), Bad::Outcome));
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

    /// Starts the evaluation of one batch of spans.
    pub fn view<'a>(&'a self, batch: &'a SpanBatch) -> View<'a> {
        let mut outcomes = Outcomes::default();
        outcomes.read(batch);
        let mut classes = Classes::default();
        classes.read(batch);
        View {
            batch,
            outcomes,
            classes,
            masks: Masks::new(&self.conditions, &self.exclusion, batch),
        }
    }

    /// Starts the evaluation of one batch of log records.
    pub fn records<'a>(&'a self, batch: &'a LogBatch) -> RecordView<'a> {
        RecordView {
            masks: Masks::new(&self.conditions, &self.exclusion, batch),
        }
    }

    /// Starts the evaluation of one batch of metric points.
    pub fn points<'a>(&'a self, batch: &'a MetricBatch) -> PointView<'a> {
        PointView {
            batch,
            masks: Masks::new(&self.conditions, &self.exclusion, batch),
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

    fn term(&mut self, selector: &PointSelector) -> Term {
        Term {
            metric: selector.metric.clone(),
            instruments: selector.instruments.clone(),
            conditions: self.intern_all(&selector.matches),
        }
    }

    fn failed(&mut self, rule: &FailedRule) -> Bad {
        match rule {
            FailedRule::Default => Bad::Outcome,
            FailedRule::Attributes(rules) => Bad::Conditions(self.intern_all(rules)),
        }
    }

    fn measure(&mut self, slo: Option<SloId>, selector: &SpanSelector, bad: Bad) -> Measure {
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

/// A batch of spans seen through the definitions.
#[derive(Debug)]
pub struct View<'a> {
    batch: &'a SpanBatch,
    outcomes: Outcomes,
    classes: Classes,
    masks: Masks<'a>,
}

impl View<'_> {
    /// How the request of `row` ended, by the house tables.
    #[inline]
    pub fn class(&self, row: usize) -> FailureClass {
        let failed = self.is_failed(row);
        self.classes.of(self.batch, row, failed)
    }

    /// Whether the exclusion rule leaves `row` out.
    pub fn is_excluded(&self, row: usize) -> bool {
        self.masks.is_excluded(row)
    }

    /// Whether the request of `row` failed, by the house table.
    pub fn is_failed(&self, row: usize) -> bool {
        self.outcomes.is_failed(self.batch, row)
    }

    /// Whether `row` is one of the spans that `measure` selects.
    pub fn is_selected(&mut self, measure: &Measure, row: usize) -> bool {
        measure.kinds & kind_bit(self.batch.kind[row]) != 0
            && self.masks.hold_all(&measure.conditions, row)
    }

    /// `Some(bad)` when `row` is an event of `measure`; a span of unknown duration is no latency event.
    pub fn judge(&mut self, measure: &Measure, row: usize) -> Option<bool> {
        if !self.is_selected(measure, row) {
            return None;
        }
        match &measure.bad {
            Bad::Outcome => Some(self.is_failed(row)),
            Bad::Conditions(conditions) => Some(self.masks.hold_all(conditions, row)),
            Bad::Longer(threshold) => match self.batch.duration[row] {
                DURATION_UNKNOWN => None,
                duration => Some(duration > *threshold),
            },
        }
    }
}

/// A batch of log records seen through the definitions.
#[derive(Debug)]
pub struct RecordView<'a> {
    masks: Masks<'a>,
}

impl RecordView<'_> {
    /// Whether the exclusion rule leaves `row` out.
    pub fn is_excluded(&self, row: usize) -> bool {
        self.masks.is_excluded(row)
    }

    /// `Some(bad)` when `row` is an event of `measure`.
    pub fn judge(&mut self, measure: &RecordMeasure, row: usize) -> Option<bool> {
        self.masks.hold_all(&measure.conditions, row).then(|| {
            let is_part = self.masks.hold_all(&measure.part, row);
            is_part == (measure.side == Side::Bad)
        })
    }
}

/// A batch of metric points seen through the definitions.
#[derive(Debug)]
pub struct PointView<'a> {
    batch: &'a MetricBatch,
    masks: Masks<'a>,
}

impl PointView<'_> {
    /// Whether the exclusion rule leaves `row` out.
    pub fn is_excluded(&self, row: usize) -> bool {
        self.masks.is_excluded(row)
    }

    /// What `row` is to `measure`.
    pub fn role(&mut self, measure: &PointMeasure, row: usize) -> Role {
        let metric = self.batch.metric_of(row);
        let mut selects =
            |term: &Term| term.metric == metric.name && self.masks.hold_all(&term.conditions, row);
        let (total, part) = (selects(&measure.total), selects(&measure.part));
        let has_type = |term: &Term| term.instruments.contains(&metric.instrument);
        Role {
            total: total && has_type(&measure.total),
            part: part && has_type(&measure.part),
            mismatch: (total && !has_type(&measure.total)) || (part && !has_type(&measure.part)),
        }
    }
}

impl PointMeasure {
    /// Whether it may select points of the metric called `name`.
    pub fn reads(&self, name: &str) -> bool {
        self.total.metric == name || self.part.metric == name
    }
}

#[cfg(test)]
mod tests;
