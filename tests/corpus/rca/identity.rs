//! The critical path's identity over every real trace of the corpus.

use super::{Record, Set, nezha};
use engine::blame::Examiner;
use engine::hash::FixedMap;
use engine::span_rows::SpanRow;
use engine::trace::{FailureClass, TraceSpan};
use std::collections::BTreeMap;

/// The spans as the Folder keeps them, by trace, with small numbers for who made them.
fn traces(set: &Set) -> BTreeMap<u128, Vec<TraceSpan>> {
    let mut actors: FixedMap<u128, u32> = FixedMap::default();
    let mut traces: BTreeMap<u128, Vec<TraceSpan>> = BTreeMap::new();
    let rows = set.records.iter().filter_map(|record| match record {
        Record::Span(row) => Some(row),
        Record::Log(_) => None,
    });
    for row in rows {
        let next = actors.len() as u32;
        let actor = *actors.entry(row.resource.hash).or_insert(next);
        let trace = traces.entry(row.trace_id).or_default();
        trace.push(trace_span(row, actor));
    }
    for spans in traces.values_mut() {
        spans.sort_by_key(|span| (span.start, span.span_id, span.kind));
    }
    traces
}

fn trace_span(row: &SpanRow, actor: u32) -> TraceSpan {
    TraceSpan {
        span_id: row.span_id,
        parent_id: row.parent_id,
        start: row.start,
        end: row.end,
        actor,
        peer: 0,
        route: 0,
        kind: row.kind,
        class: FailureClass::Ok,
        flags: 0,
    }
}

fn check(set: &Set, expected: (usize, usize)) {
    let traces = traces(set);
    let mut spans_in_all = 0;
    let mut examiner = Examiner::default();
    for (trace, spans) in &traces {
        spans_in_all += spans.len();
        examiner.examine(spans);
        let parents: Vec<_> = examiner.parents().collect();
        let tops = parents.iter().filter(|parent| parent.is_none()).count();
        assert_eq!(tops, 1, "{trace:032x} is one tree");
        let root = &spans[examiner.root().unwrap()];
        assert_eq!(root.parent_id, 0);
        let sum: u64 = examiner.critical().iter().sum();
        assert_eq!(sum, root.end - root.start, "{trace:032x}");
    }
    assert_eq!((traces.len(), spans_in_all), expected);
}

/// Scenario: every trace of Online Boutique.
/// Guarantees: exclusive times on the critical path sum to the root's duration, to the nanosecond, in 100 % of them.
#[test]
fn boutique() {
    check(&nezha::boutique(), (19_107, 846_632));
}

/// Scenario: every trace of TrainTicket.
/// Guarantees: as above.
#[test]
fn train_ticket() {
    check(&nezha::train_ticket(), (4_551, 325_859));
}
