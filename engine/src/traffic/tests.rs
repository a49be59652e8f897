//! Observed traffic: what is kept, for how long, and at the bounds.

use super::*;
use crate::delta::{RouteName, UnitKey};
use crate::identity::RevisionId;
use crate::latency;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn units(service: u128, route: u64, units: i64, failed: i64) -> UnitDelta {
    UnitDelta {
        key: UnitKey {
            service: ServiceId(service),
            second: 0,
            started: 0,
            route,
            revision: RevisionId(1),
        },
        units,
        failed,
        latency: vec![(latency::bucket(5_000_000), units)],
    }
}

fn delta(units: Vec<UnitDelta>, names: &[(u128, u64, &str)]) -> Delta {
    let names = names.iter().map(|(service, route, name)| RouteName {
        service: ServiceId(*service),
        route: *route,
        name: (*name).to_owned(),
    });
    Delta {
        units,
        routes: names.collect(),
        ..Delta::default()
    }
}

/// Scenario: two routes, one corrected; a name after the counts.
/// Guarantees: busiest first, corrections taken back, latency within the edge above it.
#[test]
fn routes_are_counted_and_named() {
    let mut traffic = Traffic::default();
    traffic.apply(
        at(0),
        &delta(vec![units(1, 7, 90, 9), units(1, 8, 100, 0)], &[]),
    );
    traffic.apply(
        at(1),
        &delta(
            vec![units(1, 7, -1, -1)],
            &[(1, 7, "/pay"), (1, 8, "/cart")],
        ),
    );
    let rows = traffic.rows(at(5));
    let row = &rows[&ServiceId(1)];
    let names: Vec<_> = row
        .routes
        .iter()
        .map(|row| (row.name.as_str(), row.requests, row.failed))
        .collect();
    assert_eq!(names, [("/cart", 100, 0), ("/pay", 89, 8)]);
    let (edge, count) = row.routes[0].latency[0];
    assert!(
        (5_000_000..8_000_000).contains(&edge) && count == 100,
        "{edge}"
    );
}

/// Scenario: traffic, then an hour of silence in steps, then a jump of a day.
/// Guarantees: at most an hour is remembered, and what is empty is forgotten.
#[test]
fn an_hour_is_remembered() {
    let mut traffic = Traffic::default();
    traffic.apply(at(0), &delta(vec![units(1, 7, 10, 0)], &[]));
    traffic.apply(at(1_801), &delta(vec![units(1, 7, 5, 0)], &[]));
    assert_eq!(
        traffic.rows(at(1_801))[&ServiceId(1)].routes[0].requests,
        15
    );
    traffic.apply(at(3_601), &Delta::default());
    let rows = traffic.rows(at(3_601));
    assert_eq!(rows[&ServiceId(1)].routes[0].requests, 5);
    assert_eq!(rows[&ServiceId(1)].since, at(1_800));
    traffic.apply(at(90_000), &Delta::default());
    assert!(traffic.rows(at(90_000)).is_empty());
    assert_eq!(traffic.routes, 0);
}

/// Scenario: more routes than are kept.
/// Guarantees: nothing is lost, later ones are counted together.
#[test]
fn later_routes_are_counted_together() {
    let mut traffic = Traffic::default();
    let many = (0..100).map(|route| units(1, route, 1, 0)).collect();
    traffic.apply(at(0), &delta(many, &[]));
    let rows = traffic.rows(at(5));
    let routes = &rows[&ServiceId(1)].routes;
    assert_eq!(routes.len(), ROUTES_PER_SERVICE_MAX + 1);
    assert_eq!(
        (routes[0].name.as_str(), routes[0].requests),
        (OTHER_ROUTES, 36)
    );
    assert_eq!(routes.iter().map(|row| row.requests).sum::<u64>(), 100);
}
