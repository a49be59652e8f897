//! Epochs, routes and the bounds of the cells.

use super::{CELLS_MAX, Cells, OVERFLOW_ROUTE, ROUTES_MAX, Weights};
use crate::delta::{UnitDelta, UnitKey};
use crate::identity::{RevisionId, ServiceId};
use crate::time::Timestamp;

fn units(second: u64, started: u64, route: u64, units: i64, failed: i64) -> UnitDelta {
    UnitDelta {
        key: UnitKey {
            service: ServiceId(1),
            second,
            started,
            route,
            revision: RevisionId(7),
        },
        units,
        failed,
        latency: vec![(3, units)],
    }
}

#[test]
fn without_weights_an_epoch_is_ten_seconds_of_starts() {
    let weights = Weights::default();
    assert_eq!(weights.epoch(100), weights.epoch(109));
    assert_ne!(weights.epoch(109), weights.epoch(110));
}

#[test]
fn a_step_separates_what_started_before_it_from_what_started_after() {
    let mut weights = Weights::default();
    weights.note(Timestamp::from_secs(50), 500);
    weights.note(Timestamp::from_secs(100), 2_500);
    weights.note(Timestamp::from_secs(130), 2_500);
    assert_eq!(weights.count(), 2, "a repeated weight is no step");
    assert_eq!(weights.epoch(70), weights.epoch(98));
    assert_eq!(weights.epoch(106), weights.epoch(500));
    assert_ne!(weights.epoch(98), weights.epoch(106));
    for near in 99..=105 {
        assert_ne!(weights.epoch(near), weights.epoch(near + 1), "{near}");
    }
    // A report that comes late is put in its place.
    weights.note(Timestamp::from_secs(80), 1_000);
    assert_ne!(weights.epoch(70), weights.epoch(90));
}

#[test]
fn corrections_take_back_and_bounds_are_kept() {
    let mut cells = Cells::default();
    cells.add(&units(5, 5, 1, 3, 1));
    cells.add(&units(5, 5, 1, -3, -1));
    assert_eq!(cells.of_second(5).count(), 0);
    for route in 0..2 * ROUTES_MAX as u64 {
        cells.add(&units(5, 5, route, 1, 0));
    }
    let routes: Vec<u64> = cells.of_second(5).map(|(key, _)| key.route).collect();
    assert_eq!(routes.len(), ROUTES_MAX + 1);
    assert_eq!(routes.last(), Some(&OVERFLOW_ROUTE));
    for second in 10..10 + CELLS_MAX as u64 {
        cells.add(&units(second, second, 1, 1, 0));
    }
    assert_eq!(cells.unplaced, ROUTES_MAX as u64 + 1);
    cells.forget_before(20);
    assert_eq!(cells.of_second(19).count(), 0);
    assert_eq!(cells.of_second(20).count(), 1);
}
