//! Metric points: which of them an SLI selects, on which side they fall, and what becomes of the rest.

use super::*;
use crate::batch::Batch;
use crate::delta::{DoubtDelta, InstrumentDelta};
use crate::metric::{Instrument, Metric, Temporality};
use crate::metric_rows::{PointRow, PointValue, batch as points, metric};
use crate::slo::{AttributeMatch, Decimal, Op, PointSelector, Side};

const SEC: u64 = NANOS_PER_SEC;

fn selector(name: &str, instrument: Instrument, matches: &[(&str, &str)]) -> PointSelector {
    let rule = |(key, pattern): &(&str, &str)| AttributeMatch {
        key: (*key).to_owned(),
        any_of: vec![(*pattern).to_owned()],
        negated: false,
    };
    PointSelector {
        metric: name.to_owned(),
        instruments: vec![instrument],
        matches: matches.iter().map(rule).collect(),
    }
}

fn slo(sli: Sli) -> Slo {
    let mut slo = Slo::implicit(&sender("v1").identity.service);
    slo.implicit = false;
    slo.id = Slo::id_of(slo.service_id, "metrics");
    slo.sli = sli;
    slo
}

/// Requests that are bad with a code of 5xx.
fn requests() -> Slo {
    slo(Sli::Increments {
        total: selector("requests", Instrument::Counter, &[]),
        part: selector("requests", Instrument::Counter, &[("code", "5*")]),
        at_most: None,
        side: Side::Bad,
    })
}

fn defined(slos: &[&Slo]) -> Arc<Definitions> {
    Arc::new(Definitions {
        slos: slos.iter().map(|slo| (slo.id, (*slo).clone())).collect(),
        ..Definitions::default()
    })
}

/// A folder that observes since [`NOW`].
fn folder(slo: &Slo, limits: FolderLimits) -> Folder {
    let mut folder = Folder::new(SEED, 0..64, limits);
    folder.set_definitions(defined(&[slo]));
    assert!(folder.flush(NOW).is_empty());
    folder
}

fn counter_metric() -> Arc<Metric> {
    metric("requests", Instrument::Counter, Temporality::Cumulative)
}

/// A cumulative value of a run that began when observation did, `after` seconds later.
fn requests_at(after: u64, code: i64, value: i64) -> PointRow {
    let times = (NOW.0, NOW.0 + after * SEC);
    PointRow::new(
        &sender("v1"),
        &counter_metric(),
        times,
        PointValue::Int(value),
    )
    .with("code", code)
}

fn fold(folder: &mut Folder, received: Timestamp, rows: &[PointRow]) {
    folder.fold(&Batch::Metrics(points(SEED, received, rows)));
}

fn fate(delta: &Delta, fate: Fate) -> u64 {
    counter(delta, Counter::Items(Signal::Metrics, fate))
}

#[test]
fn increments_of_the_part_are_taken_from_the_other_side() {
    let slo = requests();
    let mut folder = folder(&slo, FolderLimits::default());
    let now = NOW.plus(120 * SEC);
    let rows = [
        requests_at(60, 200, 100),
        requests_at(60, 503, 3),
        requests_at(120, 200, 150),
        requests_at(120, 503, 4),
        requests_at(120, 503, 4),
    ];
    fold(&mut folder, now, &rows);
    let delta = folder.flush(now);
    let seconds: Vec<(u64, i64, i64)> = delta
        .sli
        .iter()
        .map(|row| (row.second - NOW.secs(), row.good, row.bad))
        .collect();
    assert_eq!(seconds, [(60, 100, 3), (120, 50, 1)]);
    assert!(
        delta
            .sli
            .iter()
            .all(|row| row.revision == sender("v1").identity.revision.id)
    );
    assert_eq!(
        (fate(&delta, Fate::Accepted), fate(&delta, Fate::Duplicate)),
        (5, 1)
    );
    let types = InstrumentDelta {
        slo: slo.id,
        wrong: None,
        right: true,
    };
    assert_eq!(delta.instruments, [types]);
    assert!(delta.units.is_empty() && delta.doubts.is_empty());
}

#[test]
fn points_of_another_type_or_without_a_value_count_nothing() {
    let slo = requests();
    let mut folder = folder(&slo, FolderLimits::default());
    let now = NOW.plus(60 * SEC);
    let gauge = metric("requests", Instrument::Gauge, Temporality::None);
    let times = (0, now.0);
    let rows = [
        PointRow::new(&sender("v1"), &gauge, times, PointValue::Int(7)),
        PointRow {
            value: PointValue::None,
            ..requests_at(60, 200, 0)
        },
    ];
    fold(&mut folder, now, &rows);
    let delta = folder.flush(now);
    assert!(delta.sli.is_empty());
    let types = InstrumentDelta {
        slo: slo.id,
        wrong: Some(Instrument::Gauge),
        right: false,
    };
    assert_eq!(delta.instruments, [types]);
}

#[test]
fn histograms_count_up_to_a_bound_exactly_and_within_a_bucket_on_the_bad_side() {
    let bounds: Arc<[f64]> = [0.1, 0.3, 1.0].into();
    let counted = |most: f64| {
        let selector = selector("duration", Instrument::Histogram, &[]);
        let slo = slo(Sli::Increments {
            total: selector.clone(),
            part: selector,
            at_most: Some(Decimal::new(most)),
            side: Side::Good,
        });
        let mut folder = folder(&slo, FolderLimits::default());
        let metric = metric("duration", Instrument::Histogram, Temporality::Cumulative);
        let now = NOW.plus(120 * SEC);
        let row = |after: u64, counts: [u64; 4]| {
            let value = PointValue::Buckets(Arc::clone(&bounds), counts.to_vec());
            PointRow::new(&sender("v1"), &metric, (NOW.0, NOW.0 + after * SEC), value)
        };
        fold(
            &mut folder,
            now,
            &[row(60, [5, 10, 20, 1]), row(120, [6, 14, 29, 1])],
        );
        let delta = folder.flush(now);
        let doubts: i64 = delta.doubts.iter().map(|row| row.events).sum();
        assert!(
            delta
                .doubts
                .iter()
                .all(|row: &DoubtDelta| row.slo == slo.id)
        );
        (sums(&delta.sli), doubts)
    };
    assert_eq!(counted(0.3), ((20, 30), 0));
    assert_eq!(counted(0.5), ((20, 30), 29));
    assert_eq!(counted(0.05), ((0, 50), 6));
    assert_eq!(counted(1.0), ((49, 1), 0));
    assert_eq!(counted(9.0), ((49, 1), 1));
}

#[test]
fn every_point_of_a_gauge_is_an_event() {
    let level = |op, threshold| {
        let slo = slo(Sli::Level {
            selector: selector("queue", Instrument::Gauge, &[]),
            op,
            threshold: Decimal::new(threshold),
        });
        let mut folder = folder(&slo, FolderLimits::default());
        let metric = metric("queue", Instrument::Gauge, Temporality::None);
        let values = [
            PointValue::Int(9_007_199_254_740_993),
            PointValue::Int(5),
            PointValue::Double(5.0),
            PointValue::Double(5.5),
            PointValue::Double(f64::NAN),
        ];
        let rows: Vec<PointRow> = (0u64..)
            .zip(values)
            .map(|(step, value)| {
                PointRow::new(&sender("v1"), &metric, (0, NOW.0 + step * SEC), value)
            })
            .collect();
        let now = NOW.plus(10 * SEC);
        fold(&mut folder, now, &rows);
        fold(&mut folder, now, &rows[1..2]);
        let delta = folder.flush(now);
        assert_eq!(fate(&delta, Fate::Duplicate), 1);
        sums(&delta.sli)
    };
    assert_eq!(level(Op::AtMost, 5.0), (2, 3));
    assert_eq!(level(Op::Below, 5.0), (0, 5));
    assert_eq!(level(Op::AtLeast, 5.0), (4, 1));
    assert_eq!(level(Op::Above, 5.0), (2, 3));
    assert_eq!(level(Op::Above, 9_007_199_254_740_992.0), (1, 4));
    assert_eq!(level(Op::AtMost, 5.25), (2, 3));
}

#[test]
fn excluded_future_and_outside_points_are_told_apart() {
    let slo = requests();
    let mut folder = folder(&slo, FolderLimits::default());
    let branch = resource(&[
        ("service.name", "checkout"),
        ("tidegate.revision.kind", "branch"),
    ]);
    let rows = [
        requests_at(60, 200, 10).with("http.route", "/healthz"),
        PointRow {
            resource: branch,
            ..requests_at(60, 200, 10)
        },
        PointRow {
            anomalies: anomaly::FUTURE,
            ..requests_at(300, 200, 10)
        },
    ];
    fold(&mut folder, NOW.plus(60 * SEC), &rows);
    let delta = folder.flush(NOW.plus(60 * SEC));
    assert!(delta.sli.is_empty());
    assert_eq!(fate(&delta, Fate::Excluded), 1);
    assert_eq!(fate(&delta, Fate::OutsideBudget), 1);
    assert_eq!(fate(&delta, Fate::Future), 1);
    let ripe = folder.flush(NOW.plus(300 * SEC));
    assert_eq!(sums(&ripe.sli), (10, 0));
}

/// Scenario: more streams than a shard may know, and the first ones go on.
/// Guarantees: those that are known stay exact; points of others are counted as dropped.
#[test]
fn known_streams_stay_exact_when_new_ones_find_no_room() {
    let slo = requests();
    let limits = FolderLimits {
        streams_per_shard: 2,
        ..FolderLimits::default()
    };
    let mut folder = folder(&slo, limits);
    let row = |after: u64, user: i64, value: i64| requests_at(after, 200, value).with("user", user);
    let now = NOW.plus(60 * SEC);
    let rows: Vec<PointRow> = (0..4_000).map(|user| row(60, user, 10)).collect();
    fold(&mut folder, now, &rows);
    let first = folder.flush(now);
    let known = sums(&first.sli).0 / 10;
    assert!((100..=128).contains(&known), "{known}");
    assert_eq!(fate(&first, Fate::Dropped), 4_000 - known as u64);
    let rows: Vec<PointRow> = (0..4_000).map(|user| row(120, user, 15)).collect();
    fold(&mut folder, now.plus(60 * SEC), &rows);
    let second = folder.flush(now.plus(60 * SEC));
    assert_eq!(sums(&second.sli), (5 * known, 0));
}

/// Scenario: an SLO is defined while its metric is being sent for long; another is not touched by the reload.
/// Guarantees: the new one begins with a baseline, the old one goes on.
#[test]
fn an_slo_that_is_defined_later_begins_with_a_baseline() {
    let old = requests();
    let mut new = requests();
    new.id = Slo::id_of(new.service_id, "later");
    let mut folder = folder(&old, FolderLimits::default());
    let at = |after: u64| NOW.plus(after * SEC);
    fold(&mut folder, at(60), &[requests_at(60, 200, 100)]);
    folder.flush(at(61));
    folder.set_definitions(defined(&[&old, &new]));
    fold(&mut folder, at(120), &[requests_at(120, 200, 130)]);
    fold(&mut folder, at(180), &[requests_at(180, 200, 135)]);
    let delta = folder.flush(at(180));
    let of = |slo: &Slo| {
        let rows = delta.sli.iter().filter(|row| row.slo == slo.id);
        rows.map(|row| row.good).sum::<i64>()
    };
    assert_eq!((of(&old), of(&new)), (35, 5));
}

/// Scenario: a stream is silent for more than an hour and comes back with the same run.
/// Guarantees: its value is a baseline, it is not counted once more.
#[test]
fn a_stream_that_was_forgotten_is_not_counted_twice() {
    let slo = requests();
    let mut folder = folder(&slo, FolderLimits::default());
    fold(
        &mut folder,
        NOW.plus(60 * SEC),
        &[requests_at(60, 200, 100)],
    );
    for minute in 1..=90 {
        folder.flush(NOW.plus(minute * 60 * SEC));
    }
    let later = NOW.plus(5_460 * SEC);
    fold(&mut folder, later, &[requests_at(5_460, 200, 120)]);
    fold(&mut folder, later, &[requests_at(5_520, 200, 123)]);
    assert_eq!(sums(&folder.flush(later.plus(60 * SEC)).sli), (3, 0));
}
