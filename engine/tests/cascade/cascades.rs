//! Faults in random systems: who is named, whom it hits, how many incidents.

use crate::world::{World, node, party, runs};
use engine::cascade::incident::{Incident, Scope, State};
use std::collections::BTreeSet;

const SERVICES: usize = 12;

/// A warm system of random topology.
fn warm(seed: u64) -> World {
    let mut world = World::random_topology(SERVICES, 25.0, seed);
    for index in 0..SERVICES {
        world.members[index].skew = world.random.below(5) as i64 - 2;
    }
    world.seconds(420);
    assert_eq!(world.machine.incidents().count(), 0, "seed {seed}: healthy");
    world
}

fn only(world: &World) -> Vec<&Incident> {
    world
        .machine
        .incidents()
        .filter(|incident| incident.merged_into.is_none())
        .collect()
}

/// Scenario: one service of a random topology fails, slows down or dies; clocks are off by up to 2 s.
/// Guarantees: one incident, its culprit is that service, the victims are those that call it.
#[test]
fn the_culprit_of_a_random_cascade_is_named() {
    let runs = runs(24, 300);
    let (mut first, mut blast, mut delays) = (0, 0.0, Vec::new());
    for seed in 0..runs {
        let mut world = warm(seed);
        let culprit = 1 + world.random.below(SERVICES - 1);
        match seed % 3 {
            0 => world.members[culprit].fails = 0.3 + 0.7 * world.random.unit(),
            1 => world.members[culprit].work *= 8.0 + 200.0 * world.random.unit(),
            _ => world.members[culprit].is_dead = true,
        }
        let began = world.now;
        world.seconds(60);
        let incidents = only(&world);
        let Some(incident) = incidents.first() else {
            println!("seed {seed}: nothing, kind {}", seed % 3);
            continue;
        };
        delays.push(incident.opened_at.secs() - began);
        let named = incident.culprits.first().map(|one| one.node);
        if named == Some(node(culprit)) && incidents.len() == 1 {
            first += 1;
        } else {
            println!(
                "seed {seed} kind {}: {} incidents, culprits {:?}, candidates {:?}, is {:?}",
                seed % 3,
                incidents.len(),
                incident.culprits.len(),
                incident.candidates,
                node(culprit)
            );
        }
        let truth: BTreeSet<_> = world.above(culprit).into_iter().map(node).collect();
        let told: BTreeSet<_> = incident.victims.iter().copied().collect();
        let both = truth.intersection(&told).count() as f64;
        let all = truth.union(&told).count() as f64;
        blast += if all > 0.0 { both / all } else { 1.0 };
        let scope = if truth.is_empty() {
            Scope::Isolated
        } else {
            Scope::Cascade
        };
        if incident.scope != scope {
            println!("seed {seed}: scope {:?}, is {scope:?}", incident.scope);
        }
    }
    delays.sort_unstable();
    let median = delays[delays.len() / 2];
    let jaccard = blast / runs as f64;
    println!("{first} of {runs} named, blast {jaccard:.2}, median delay {median} s {delays:?}");
    assert!(first * 100 >= runs * 95, "{first} of {runs}");
    assert!(jaccard >= 0.8, "{jaccard}");
    assert!(median <= 15, "{median}");
}

/// Two branches below the entry: 1 calls 2, 3 calls 4.
fn branches(seed: u64) -> World {
    let mut world = World::new(5, 30.0, seed);
    world.members[0].calls = vec![(1, 1, true), (3, 1, true)];
    world.members[1].calls = vec![(2, 1, true)];
    world.members[3].calls = vec![(4, 1, true)];
    world.seconds(420);
    world
}

/// Scenario: a service fails, and two minutes later another one on another branch, the first still failing.
/// Guarantees: two incidents, each with its own culprit.
#[test]
fn two_unrelated_failures_are_two_incidents() {
    for seed in 0..runs(4, 40) {
        let mut world = branches(seed);
        world.members[2].fails = 0.4;
        world.seconds(120);
        world.members[4].fails = 0.6;
        world.seconds(60);
        let culprits: BTreeSet<_> = only(&world)
            .iter()
            .filter_map(|incident| incident.culprits.first().map(|one| one.node))
            .collect();
        assert_eq!(culprits, BTreeSet::from([node(2), node(4)]), "seed {seed}");
    }
}

/// Scenario: two services without a way between them fail in the same second, as on one host.
/// Guarantees: one incident of common cause with both culprits.
#[test]
fn a_shared_host_is_a_common_cause() {
    for seed in 0..runs(4, 40) {
        let mut world = branches(seed);
        world.members[2].fails = 0.5;
        world.members[4].fails = 0.5;
        world.seconds(60);
        let incidents = only(&world);
        assert_eq!(incidents.len(), 1, "seed {seed}");
        assert_eq!(incidents[0].scope, Scope::CommonCause, "seed {seed}");
        let culprits: BTreeSet<_> = incidents[0].culprits.iter().map(|one| one.node).collect();
        assert_eq!(culprits, BTreeSet::from([node(2), node(4)]), "seed {seed}");
    }
}

/// Scenario: a failure ends.
/// Guarantees: its incident is contained, then resolved after five quiet minutes; a relapse soon after reopens it.
#[test]
fn an_incident_is_resolved_and_reopened() {
    let mut world = branches(7);
    world.members[2].fails = 0.5;
    world.seconds(120);
    assert_eq!(only(&world)[0].state, State::Contained);
    world.members[2].fails = 0.001;
    world.seconds(360);
    assert_eq!(only(&world)[0].state, State::Resolved);
    world.members[2].fails = 0.5;
    world.seconds(30);
    let incidents = only(&world);
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].reopened, 1);
    assert!(incidents[0].is_open());
}

/// Scenario: no data for ten minutes, then the same traffic again.
/// Guarantees: no incident.
#[test]
fn a_gap_opens_nothing() {
    let mut world = branches(8);
    for _ in 0..600 {
        world.tell(&engine::delta::Delta::default());
    }
    world.seconds(120);
    assert_eq!(world.machine.incidents().count(), 0);
}

/// Scenario: a canary with a tenth of the traffic of a service deep in the system fails, or the shared callee of both
/// revisions fails.
/// Guarantees: the canary is proven to be behind the one and never behind the other.
#[test]
fn a_canary_is_behind_its_own_failures_alone() {
    for seed in 0..runs(6, 300) {
        let mut world = branches(seed);
        world.members[1].canary = (0.1, 0.001);
        world.seconds(120);
        let is_its_own = seed % 2 == 0;
        if is_its_own {
            world.members[1].canary = (0.1, 0.9);
        } else {
            world.members[2].fails = 0.5;
        }
        world.seconds(120);
        let incidents = only(&world);
        assert_eq!(incidents.len(), 1, "seed {seed}");
        let causes = &incidents[0].causes;
        if is_its_own {
            assert_eq!(causes.as_slice(), [party(1, 1)], "seed {seed}");
            assert_eq!(incidents[0].culprits[0].node, node(1), "seed {seed}");
            assert_eq!(
                incidents[0].culprits[0].revision,
                Some(party(1, 1).revision),
                "seed {seed}"
            );
        } else {
            assert!(causes.is_empty(), "seed {seed}: {causes:?}");
            assert_eq!(incidents[0].culprits[0].node, node(2), "seed {seed}");
        }
    }
}

/// Scenario: a canary that answers as well as the revision beside it makes its calls four times, more than their callee, which
/// another branch shares, can take; in a system that was warm, or that has just begun.
/// Guarantees: the canary is proven to be behind it within 30 s, and nobody else is.
#[test]
fn a_canary_is_behind_what_its_calls_bring_down() {
    for seed in 0..runs(6, 300) {
        let mut world = World::new(5, 100.0, seed);
        world.members[0].calls = vec![(1, 1, true), (3, 1, true)];
        world.members[1].calls = vec![(2, 1, true)];
        world.members[3].calls = vec![(2, 1, true)];
        world.members[2].capacity = 215;
        world.ticks = 4;
        world.seconds(if seed % 2 == 0 { 420 } else { 20 });
        world.members[1].canary = (0.25, 0.001);
        world.members[1].canary_calls = 4;
        let mut seconds = 0;
        let behind = |world: &World| only(world).iter().any(|one| !one.causes.is_empty());
        while !behind(&world) && seconds < 120 {
            world.seconds(1);
            seconds += 1;
        }
        let incidents = only(&world);
        println!("seed {seed}: {seconds} s, {incidents:?}");
        assert_eq!(incidents[0].causes.as_slice(), [party(1, 1)], "seed {seed}");
        assert!(seconds <= 30, "seed {seed}: {seconds} s");
    }
}
