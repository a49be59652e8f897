//! Faults in random systems: who is named, whom it hits, how many incidents.

use crate::world::{World, node, runs};
use engine::cascade::incident::{Incident, Scope};
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
