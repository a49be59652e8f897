//! Lateness, sampling and marks of one source, by the clock.

use super::*;
use crate::identity::Identity;
use std::sync::Arc;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

fn row(lag_secs: i64, mark: Option<Mark>) -> ResourceDelta {
    let mut marks = Marks::default();
    if let Some(mark) = mark {
        marks.add(mark, 2);
    }
    ResourceDelta {
        hash: 1,
        signal: Signal::Traces,
        identity: Arc::new(Identity::resolve(|_| None)),
        items: 3,
        end_max: at(0),
        lag_min: lag_secs * NANOS_PER_SEC as i64,
        marks,
        odd: 1,
    }
}

/// Scenario: everything comes 12 s late for a while, then something in time.
/// Guarantees: LATE_INPUT after a minute and not before, until something is in time or all is silent.
#[test]
fn late_means_for_a_minute() {
    let mut source = SourceState::default();
    for second in 0..=59 {
        source.note(at(second), &row(12, None));
        assert!(!source.row(at(second), Signal::Traces).is_late, "{second}");
    }
    source.note(at(60), &row(11, None));
    let late = source.row(at(60), Signal::Traces);
    assert!(late.is_late);
    assert_eq!(late.lag_nanos, Some(11 * NANOS_PER_SEC as i64));
    assert!(!source.row(at(121), Signal::Traces).is_late, "silent");
    source.note(at(61), &row(10, None));
    assert!(!source.row(at(61), Signal::Traces).is_late, "in time");
}

/// Scenario: two late batches with nothing between them.
/// Guarantees: one batch that was late is no late source.
#[test]
fn one_late_batch_is_not_a_late_source() {
    let mut source = SourceState::default();
    source.note(at(0), &row(600, None));
    assert!(!source.row(at(59), Signal::Traces).is_late);
}

/// Scenario: marks of two windows, then silence.
/// Guarantees: they are counted for five to ten minutes; sampling is remembered for an hour.
#[test]
fn marks_are_forgotten() {
    let mut source = SourceState::default();
    source.note(at(0), &row(0, Some(Mark::TailSampled)));
    source.note(at(301), &row(0, Some(Mark::NoRoute)));
    let shown = source.row(at(302), Signal::Traces);
    assert_eq!((shown.items, shown.odd), (6, 1));
    assert_eq!(shown.marks.of(Mark::NoRoute), 2);
    assert_eq!(shown.marks.of(Mark::TailSampled), 2);
    let later = source.row(at(1_000), Signal::Traces);
    assert_eq!((later.items, later.marks), (0, Marks::default()));
    assert_eq!(later.sampling, Sampling::Tail);
    assert_eq!(
        source.row(at(3_601), Signal::Traces).sampling,
        Sampling::None
    );
}
