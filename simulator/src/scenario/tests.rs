//! Every seed must be a story that can end well.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::shop::Shop;
use crate::span::Role;

#[test]
fn seed_one_is_the_demo() {
    let scenario = Scenario::new(1);
    let name = |release: &Release| scenario.topology.services[release.service].name;
    assert_eq!(
        (name(&scenario.bad), scenario.bad.version.as_str()),
        ("checkout", "v2")
    );
    assert_eq!(scenario.bad.fault, Fault::Errors(0.4));
    assert_eq!(scenario.bad.weights, [500]);
    assert_eq!(
        (name(&scenario.good), scenario.good.version.as_str()),
        ("catalog", "v21")
    );
    assert!(
        scenario
            .describe()
            .contains("checkout v1 -> v2 fails 40 % of its requests, at 5 %")
    );
}

/// Scenario: a thousand seeds.
/// Guarantees: the releases differ in service, neither can hurt the other's service more than a tenth, versions are
/// new, failures stay below 3 % of the service's traffic, and there are failures enough for a verdict in seconds.
#[test]
fn every_seed_can_end_well() {
    let mut is_slow = 0;
    for seed in 0..1_000 {
        let scenario = Scenario::new(seed);
        let topology = &scenario.topology;
        let (bad, good) = (&scenario.bad, &scenario.good);
        assert_ne!(bad.service, good.service);
        assert!(!topology.callees(good.service).contains(&bad.service));
        for release in [bad, good] {
            assert_ne!(release.version, topology.services[release.service].version);
        }
        let share = match bad.fault {
            Fault::Errors(ratio) => ratio,
            Fault::Slow(_) => 0.8,
            Fault::None | Fault::Calls(_) => 0.0,
        };
        is_slow += u32::from(matches!(bad.fault, Fault::Slow(_)));
        let failing = f64::from(bad.weights[0]) / 10_000.0 * share;
        assert!((0.015..0.03).contains(&failing), "seed {seed}: {failing}");
        let per_second = scenario.rate * topology.traffic(bad.service) * failing;
        assert!(per_second > 1.5, "seed {seed}: {per_second} failures/s");
        let good_per_second = scenario.rate * topology.traffic(good.service) / 2.0;
        assert!(
            good_per_second > 60.0,
            "seed {seed}: {good_per_second} requests/s"
        );
    }
    assert!((200..400).contains(&is_slow), "{is_slow}");
}

/// Scenario: the healthy shop for a minute.
/// Guarantees: no service that may be bad exceeds its own latency threshold in more than 0.3 % of its requests.
#[test]
fn healthy_services_keep_their_latency() {
    let scenario = Scenario::new(1);
    let mut shop = Shop::new(scenario.topology.clone(), 1, 0, scenario.rate);
    let mut spans = Vec::new();
    shop.advance(60 * SECOND, &mut spans);
    for name in MAY_BE_BAD {
        let service = scenario.topology.find(name).unwrap();
        let threshold = scenario.latency_threshold_nanos(service);
        let own = spans.iter().map(|(_, span)| span);
        let own =
            own.filter(|span| span.shape.service == service && span.shape.role == Role::Server);
        let (slow, all) = own.fold((0, 0), |(slow, all), span| {
            (slow + u64::from(span.end - span.start > threshold), all + 1)
        });
        assert!(
            slow * 1_000 <= all * 3 && all > 3_000,
            "{name}: {slow} of {all}"
        );
    }
}

#[test]
fn the_slo_file_names_the_bad_service() {
    let text = crate::definitions::slo_file(&Scenario::new(1));
    assert_eq!(text.matches("kind: SLO").count(), 2);
    assert_eq!(text.matches("service: checkout\n").count(), 2);
    assert!(text.contains("target: 0.995"));
    assert!(text.contains("value: 0.162\n"));
}
