//! The shop: determinism, sane traces, truth equal to spans, faults that do what they say.

use super::*;
use crate::truth::Requests;
use std::collections::{BTreeMap, BTreeSet};

const ORIGIN: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn shop(seed: u64) -> Shop {
    Shop::new(Topology::shop(), seed, ORIGIN, 100.0)
}

fn run(shop: &mut Shop, secs: u64) -> Vec<(PodIndex, Span)> {
    let mut spans = Vec::new();
    let end = shop.now() + secs * SECOND;
    shop.advance(end, &mut spans);
    spans
}

#[test]
fn the_topology_is_sane() {
    let topology = Topology::shop();
    let names: BTreeSet<_> = topology
        .services
        .iter()
        .map(|service| service.name)
        .collect();
    assert_eq!(names.len(), topology.services.len());
    for (index, service) in topology.services.iter().enumerate() {
        assert!(
            !topology.callees(index).contains(&index),
            "{} calls itself",
            service.name
        );
        assert!(topology.traffic(index) > 0.1, "{} is idle", service.name);
        for call in service
            .operations
            .iter()
            .flat_map(|operation| &operation.calls)
        {
            assert!(call.attempts >= 1);
            assert!(call.operation < topology.services[call.service].operations.len());
        }
    }
}

#[test]
fn a_seed_means_the_same_shop_whatever_the_steps() {
    let whole = run(&mut shop(1), 5);
    let mut pieces = Vec::new();
    let mut other = shop(1);
    for step in 1..=500 {
        other.advance(ORIGIN + step * SECOND / 100, &mut pieces);
    }
    assert_eq!(whole, pieces);
    assert_ne!(whole, run(&mut shop(2), 5));
    let later = Shop::new(Topology::shop(), 1, ORIGIN + SECOND, 100.0);
    let later = run(&mut { later }, 5);
    assert_eq!(later.len(), whole.len());
    assert_ne!(later[0].1.trace_id, whole[0].1.trace_id);
}

/// Scenario: a minute of the healthy shop.
/// Guarantees: open-loop rate within 5 %; every parent exists, stands in the same trace and encloses its child;
/// span ids are unique; every service's traffic is what the topology promises.
#[test]
fn traces_hang_together() {
    let mut shop = shop(3);
    let spans = run(&mut shop, 60);
    let by_id: BTreeMap<_, _> = spans
        .iter()
        .map(|(_, span)| (span.span_id, *span))
        .collect();
    assert_eq!(by_id.len(), spans.len());
    for (_, span) in &spans {
        assert!(span.start <= span.end && span.end >= ORIGIN);
        // A parent of the last moments may be still open.
        if let Some(parent) = by_id.get(&span.parent_id) {
            assert_eq!(parent.trace_id, span.trace_id);
            assert!(parent.start <= span.start && parent.end >= span.end);
        } else if span.parent_id != 0 {
            assert!(span.end > ORIGIN + 59 * SECOND);
        }
    }
    let topology = shop.topology();
    for (index, service) in topology.services.iter().enumerate() {
        let expected = 100.0 * 60.0 * topology.traffic(index);
        let got = shop.truth().of_service(service.name).total as f64;
        assert!(
            (got / expected - 1.0).abs() < 0.1,
            "{}: {got} v. {expected}",
            service.name
        );
    }
}

#[test]
fn truth_equals_spans() {
    let mut shop = shop(4);
    shop.change(Change::Down {
        service: 4,
        is_down: true,
    });
    let spans = run(&mut shop, 20);
    let mut counted: BTreeMap<(&str, String, u64), Requests> = BTreeMap::new();
    for (pod, span) in spans
        .iter()
        .filter(|(_, span)| span.shape.role == Role::Server)
    {
        let version = shop.pods()[*pod].version.clone();
        let service = shop.topology().services[span.shape.service].name;
        let requests = counted
            .entry((service, version, span.end / SECOND))
            .or_default();
        requests.total += 1;
        requests.failed += u64::from(span.shape.outcome.is_failed());
    }
    let truth: BTreeMap<_, _> = shop
        .truth()
        .cells()
        .map(|(cell, requests)| ((cell.service, cell.version.clone(), cell.second), requests))
        .collect();
    assert_eq!(counted, truth);
    assert_eq!(shop.truth().spans, spans.len() as u64);
}

/// Scenario: shipping stops listening for ten seconds.
/// Guarantees: no shipping span at all, one refused client span for each checkout that reached it, checkout and
/// frontend fail as dependencies, and everything is fine again afterwards.
#[test]
fn a_dead_dependency_shows_at_its_callers_only() {
    let mut shop = shop(5);
    let (checkout, shipping) = (1, 4);
    let change = |is_down| Change::Down {
        service: shipping,
        is_down,
    };
    shop.change(change(true));
    let spans = run(&mut shop, 10);
    let of = |service, outcome| {
        let same =
            move |span: &Span| span.shape.service == service && span.shape.outcome == outcome;
        spans.iter().filter(move |(_, span)| same(span)).count()
    };
    assert!(spans.iter().all(|(_, span)| span.shape.service != shipping));
    let refused = of(checkout, Outcome::Refused);
    assert!(refused > 250, "{refused}");
    assert!(of(checkout, Outcome::Dependency) > refused - 20);
    shop.change(change(false));
    run(&mut shop, 1);
    let healed = run(&mut shop, 5);
    assert!(
        healed
            .iter()
            .all(|(_, span)| span.shape.outcome != Outcome::Refused)
    );
}

/// Scenario: a canary of payments that always fails takes half of the traffic; checkout tries twice.
/// Guarantees: half of the first attempts fail, a second attempt follows each, and a quarter of checkouts fail.
#[test]
fn callers_retry() {
    let mut shop = shop(6);
    shop.change(Change::Deploy {
        service: 2,
        version: "v13".to_owned(),
        pods: 2,
        fault: Fault::Errors(1.0),
    });
    shop.change(Change::Share {
        service: 2,
        version: "v13".to_owned(),
        basis_points: 5_000,
    });
    let spans = run(&mut shop, 60);
    let attempts = |resends| {
        let is_charge = |span: &Span| span.shape.role == Role::Client(1) && span.shape.service == 1;
        let spans = spans.iter().map(|(_, span)| *span);
        spans
            .filter(move |span| is_charge(span) && span.shape.resends == resends)
            .count() as f64
    };
    assert!((attempts(1) / attempts(0) - 0.5).abs() < 0.05);
    let checkout = shop.truth().of_service("checkout");
    assert!((checkout.failed as f64 / checkout.total as f64 - 0.25).abs() < 0.04);
}

#[test]
fn a_slow_revision_is_slow_and_only_it() {
    let mut shop = shop(7);
    shop.change(Change::Deploy {
        service: 4,
        version: "v6".to_owned(),
        pods: 1,
        fault: Fault::Slow(6.0),
    });
    shop.change(Change::Share {
        service: 4,
        version: "v6".to_owned(),
        basis_points: 1_000,
    });
    let spans = run(&mut shop, 30);
    let slow = |version: &str| {
        let own = spans.iter().filter(|(pod, span)| {
            shop.pods()[*pod].version == version
                && span.shape.role == Role::Server
                && span.shape.service == 4
        });
        let durations: Vec<u64> = own.map(|(_, span)| span.end - span.start).collect();
        let slow = durations
            .iter()
            .filter(|nanos| **nanos > 30_000_000)
            .count();
        slow as f64 / durations.len() as f64
    };
    assert!(slow("v6") > 0.9, "{}", slow("v6"));
    assert!(slow("v5") < 0.01, "{}", slow("v5"));
}

/// Scenario: a cluster says what runs of checkout: two templates, then one of them with another pod, then nothing.
/// Guarantees: traffic goes to exactly the named pods; what is not named takes none and sends no probe; without any pod
/// callers are refused.
#[test]
fn what_runs_can_be_said_by_somebody_else() {
    let topology = Topology::shop();
    let checkout = topology.find("checkout").unwrap();
    let mut shop = Shop::new(topology, 1, 0, 100.0);
    let one = |hash: &str, pods: &[&str]| Running {
        version: "v".to_owned(),
        template_hash: hash.to_owned(),
        pods: pods.iter().map(|name| (*name).to_owned()).collect(),
        share: pods.len() as u32,
        fault: Fault::None,
    };
    let mut seconds = 0;
    let mut senders = |shop: &mut Shop, running: Vec<Running>| {
        shop.change(Change::Runs {
            service: checkout,
            running,
        });
        // What was under way ends first.
        let mut spans = Vec::new();
        shop.advance((seconds + 2) * 1_000_000_000, &mut spans);
        spans.clear();
        seconds += 12;
        shop.advance(seconds * 1_000_000_000, &mut spans);
        let pods = spans.iter().map(|(pod, _)| &shop.pods()[*pod]);
        let names = pods
            .filter(|pod| pod.service == checkout)
            .map(|pod| pod.name.clone());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let both = vec![one("a", &["a-1", "a-2"]), one("b", &["b-1"])];
    let all = senders(&mut shop, both);
    assert_eq!(all.into_iter().collect::<Vec<_>>(), ["a-1", "a-2", "b-1"]);
    let left = senders(&mut shop, vec![one("a", &["a-2", "a-3"])]);
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["a-2", "a-3"]);
    assert!(senders(&mut shop, Vec::new()).is_empty());
}

/// Scenario: a release calls each of its callees four times; inventory takes less than that.
/// Guarantees: inventory is asked more often, and what is too much fails there.
#[test]
fn too_many_calls_fail_in_the_callee() {
    let topology = Topology::shop();
    let (checkout, inventory) = (
        topology.find("checkout").unwrap(),
        topology.find("inventory").unwrap(),
    );
    let capacity = topology.traffic(inventory) * 100.0 * 1.3;
    let failures = |fault: Fault| {
        let mut shop = Shop::new(topology.clone(), 1, 0, 100.0);
        shop.change(Change::Capacity {
            service: inventory,
            per_second: capacity,
        });
        shop.change(Change::Deploy {
            service: checkout,
            version: "v1".to_owned(),
            pods: 1,
            fault,
        });
        let mut spans = Vec::new();
        shop.advance(20_000_000_000, &mut spans);
        let served = spans.iter().map(|(_, span)| span.shape);
        let served = served.filter(|one| one.service == inventory && one.role == Role::Server);
        let (all, failed) = served.fold((0_u64, 0_u64), |(all, failed), one| {
            (all + 1, failed + u64::from(one.outcome.is_failed()))
        });
        (all, failed)
    };
    let (usual, fine) = failures(Fault::None);
    let (more, failed) = failures(Fault::Calls(4));
    assert!(fine * 50 < usual, "{fine} of {usual}");
    assert!(more * 2 > usual * 3, "{more}, {usual}");
    assert!(failed * 10 > more, "{failed} of {more}");
}
