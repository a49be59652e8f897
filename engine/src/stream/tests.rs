//! What points add, case by case; the property over whole histories is in `engine/tests/metrics`.

use super::*;
use crate::anomaly;
use crate::metric::Number;

const SEC: u64 = 1_000_000_000;
/// Observation began here, s.
const SINCE: u64 = 1_000;

fn number(value: f64) -> Reading {
    Reading::of_number(Number::Double(value)).unwrap()
}

fn cumulative(start: u64, time: u64, value: f64) -> Point {
    Point {
        start: start * SEC,
        time: time * SEC,
        temporality: Temporality::Cumulative,
        reading: number(value),
    }
}

fn delta(start: u64, time: u64, value: f64) -> Point {
    Point {
        temporality: Temporality::Delta,
        ..cumulative(start, time, value)
    }
}

/// Events by second in the end, and all anomalies, when `points` come in this order.
fn fold(points: &[Point]) -> (Vec<(u64, i64)>, u16) {
    let mut stream = Stream::new(Timestamp(SINCE * SEC));
    let mut seconds = std::collections::BTreeMap::new();
    let mut odd = 0;
    for point in points {
        let mut changes = Changes::new();
        if let Observed::Placed(bits) = stream.observe(point.clone(), &mut changes) {
            odd |= bits;
        }
        for (time, change) in changes {
            *seconds.entry(time / SEC).or_insert(0) += change.events;
        }
    }
    let told = seconds.into_iter().filter(|(_, events)| *events != 0);
    (told.collect(), odd)
}

/// The same for every order of at most five points.
fn in_any_order(points: &[Point]) -> Vec<(u64, i64)> {
    let (expected, _) = fold(points);
    let mut order: Vec<usize> = (0..points.len()).collect();
    permute(&mut order, 0, &mut |order| {
        let shuffled: Vec<Point> = order.iter().map(|at| points[*at].clone()).collect();
        assert_eq!(fold(&shuffled).0, expected, "order {order:?}");
    });
    expected
}

fn permute(order: &mut Vec<usize>, at: usize, check: &mut impl FnMut(&[usize])) {
    if at == order.len() {
        return check(order);
    }
    for other in at..order.len() {
        order.swap(at, other);
        permute(order, at + 1, check);
        order.swap(at, other);
    }
}

#[test]
fn a_first_value_counts_only_when_its_run_began_under_observation() {
    let old = [cumulative(900, 1_060, 70.0), cumulative(900, 1_120, 75.0)];
    assert_eq!(in_any_order(&old), [(1_120, 5)]);
    let new = [
        cumulative(1_000, 1_060, 70.0),
        cumulative(1_000, 1_120, 75.0),
    ];
    assert_eq!(in_any_order(&new), [(1_060, 70), (1_120, 5)]);
    let unknown = [cumulative(0, 1_060, 70.0), cumulative(0, 1_120, 75.0)];
    assert_eq!(in_any_order(&unknown), [(1_120, 5)]);
}

#[test]
fn a_point_of_no_duration_contributes_nothing() {
    let points = [
        cumulative(1_010, 1_010, 40.0),
        cumulative(1_010, 1_070, 42.0),
        cumulative(1_100, 1_100, 7.0),
        cumulative(1_100, 1_160, 8.0),
    ];
    assert_eq!(in_any_order(&points), [(1_070, 2), (1_160, 1)]);
}

#[test]
fn restarts_are_seen_by_the_start_or_by_a_fall() {
    let restarted = [
        cumulative(900, 1_060, 70.0),
        cumulative(900, 1_120, 75.0),
        // More than before: only the start tells.
        cumulative(1_130, 1_180, 90.0),
        cumulative(1_130, 1_240, 91.0),
    ];
    assert_eq!(
        in_any_order(&restarted),
        [(1_120, 5), (1_180, 90), (1_240, 1)]
    );
    assert_eq!(fold(&restarted).1, anomaly::STREAM_GAP);
    let fallen = [
        cumulative(0, 1_060, 70.0),
        cumulative(0, 1_120, 3.0),
        cumulative(0, 1_180, 5.0),
    ];
    assert_eq!(in_any_order(&fallen), [(1_120, 3), (1_180, 2)]);
}

#[test]
fn two_writers_count_once_from_where_they_overlap() {
    let points = [
        cumulative(1_000, 1_060, 10.0),
        cumulative(1_030, 1_090, 5.0),
        // Began before the second writer's first word, and it was still there: the same time once more.
        cumulative(1_000, 1_120, 20.0),
        cumulative(1_030, 1_150, 9.0),
    ];
    assert_eq!(in_any_order(&points), [(1_060, 10), (1_090, 5), (1_150, 4)]);
    assert_eq!(fold(&points).1, anomaly::OVERLAP);
}

#[test]
fn a_writer_goes_on_when_a_later_one_fell_silent() {
    let points = [
        cumulative(1_000, 1_060, 10.0),
        cumulative(1_050, 1_080, 1.0),
        cumulative(1_000, 1_120, 20.0),
        cumulative(1_000, 1_180, 26.0),
    ];
    assert_eq!(in_any_order(&points), [(1_060, 10), (1_080, 1), (1_180, 6)]);
}

#[test]
fn one_time_said_twice_with_two_values_keeps_the_larger() {
    let points = [
        cumulative(1_000, 1_060, 10.0),
        cumulative(1_000, 1_060, 12.0),
        cumulative(1_000, 1_060, 10.0),
    ];
    assert_eq!(in_any_order(&points), [(1_060, 12)]);
}

#[test]
fn deltas_count_in_full_and_overlaps_once() {
    let points = [
        delta(940, 1_010, 3.0),
        delta(1_010, 1_070, 4.0),
        delta(1_040, 1_100, 50.0),
        delta(1_200, 1_260, 6.0),
    ];
    assert_eq!(in_any_order(&points), [(1_010, 3), (1_070, 4), (1_260, 6)]);
    assert_eq!(fold(&points).1, anomaly::OVERLAP);
}

#[test]
fn fractions_add_up_without_drift() {
    let tenths: Vec<Point> = (0..1_000)
        .map(|step| delta(1_000 + step, 1_001 + step, 0.1))
        .collect();
    let (told, _) = fold(&tenths);
    assert_eq!(told.iter().map(|(_, events)| events).sum::<i64>(), 100);
    assert_eq!(told[0], (1_010, 1));
    let mut sum = 0.0;
    let sums: Vec<Point> = (1..=1_000)
        .map(|step| {
            sum += 0.1;
            cumulative(1_000, 1_000 + step, sum)
        })
        .collect();
    let (told, _) = fold(&sums);
    assert_eq!(told.iter().map(|(_, events)| events).sum::<i64>(), 100);
    assert_eq!(
        in_any_order(&tenths[..5]),
        [],
        "half an event is none yet, in any order"
    );
}

#[test]
fn large_values_are_exact() {
    let most = 9_007_199_254_740_991.0;
    let points = [
        cumulative(1_000, 1_060, most - 7.0),
        cumulative(1_000, 1_120, most),
    ];
    assert_eq!(in_any_order(&points)[1], (1_120, 7));
}

#[test]
fn a_change_of_temporality_starts_anew() {
    let points = [
        cumulative(1_000, 1_060, 10.0),
        delta(1_060, 1_120, 4.0),
        // Holds the 14 events above once more: the baseline.
        cumulative(1_000, 1_180, 17.0),
        cumulative(1_000, 1_240, 19.0),
    ];
    assert_eq!(in_any_order(&points), [(1_060, 10), (1_120, 4), (1_240, 2)]);
    assert_eq!(fold(&points).1, anomaly::TEMPORALITY_CHANGE);
}

#[test]
fn settled_points_stay_counted_and_late_ones_lose_nothing() {
    let mut stream = Stream::new(Timestamp(SINCE * SEC));
    let mut changes = Changes::new();
    for step in 1..=5 {
        stream.observe(
            cumulative(1_000, 1_000 + 60 * step, 10.0 * step as f64),
            &mut changes,
        );
    }
    assert_eq!(stream.settle(1_200 * SEC, 640), 0);
    assert_eq!((stream.len(), stream.settle(0, 1)), (2, 1));
    changes.clear();
    assert_eq!(
        stream.observe(cumulative(1_000, 1_090, 15.0), &mut changes),
        Observed::Late
    );
    assert!(changes.is_empty());
    stream.observe(cumulative(1_000, 1_270, 45.0), &mut changes);
    stream.observe(cumulative(1_000, 1_360, 60.0), &mut changes);
    let events: i64 = changes.iter().map(|(_, count)| count.events).sum();
    assert_eq!(events, 10);
    assert_eq!(
        stream.observe(delta(1_000, 1_090, 2.0), &mut changes),
        Observed::Late
    );
}
