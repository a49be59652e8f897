//! Healthy weeks: how often something is said of nothing.

use crate::world::{Random, node, party, runs};
use engine::cascade::machine::{CascadeFacts, CascadeMachine, FALSE_ALARM_SECS};
use engine::delta::{Callee, Connection, Delta, EdgeDelta, EdgeKey};
use engine::time::Timestamp;
use engine::trace::FailureClass;
use std::collections::BTreeMap;

/// Keys of a system.
const KEYS: usize = 8;
/// A block: 5 s with so many requests at noon.
const STEP_SECS: u64 = 5;
const REQUESTS: f64 = 60.0;
const WEEK: u64 = 604_800;

/// One key: its failures depend on each other, with the hour, and drift.
struct Key {
    rate: f64,
    correlation: f64,
    season: f64,
    drift: f64,
    is_failing: bool,
}

impl Key {
    fn new(random: &mut Random, index: usize) -> Self {
        let correlations = [0.0, 0.2, 0.43, 0.67, 0.9];
        Self {
            rate: 0.002 + 0.03 * random.unit(),
            correlation: correlations[index % correlations.len()],
            season: 0.5 * random.unit(),
            drift: 0.1 * (random.unit() - 0.5),
            is_failing: false,
        }
    }

    /// Requests and failures of one step at `secs` of the week.
    fn step(&mut self, random: &mut Random, secs: u64) -> (i64, i64) {
        let day = secs as f64 / 86_400.0;
        let sun = libm::sin(day * std::f64::consts::TAU);
        let requests = (REQUESTS * (1.0 + 0.5 * sun)) as i64;
        let rate = self.rate * (1.0 + self.season * sun) * (1.0 + self.drift * day / 7.0);
        let mut failed = 0;
        for _ in 0..requests {
            // A Markov chain whose mean is the rate and whose autocorrelation is the correlation.
            if !random.chance(self.correlation) {
                self.is_failing = random.chance(rate);
            }
            failed += i64::from(self.is_failing);
        }
        (requests, failed)
    }
}

fn incidents_of_a_week(seed: u64) -> usize {
    let mut random = Random(seed);
    let mut keys: Vec<Key> = (0..KEYS)
        .map(|index| Key::new(&mut random, index))
        .collect();
    let mut machine = CascadeMachine::default();
    let began = 1_700_000_000;
    let services = BTreeMap::new();
    let mut secs = 0;
    while secs < WEEK {
        let mut delta = Delta::default();
        for (index, key) in keys.iter_mut().enumerate() {
            let (requests, failed) = key.step(&mut random, secs);
            let edge = EdgeKey {
                caller: None,
                callee: Callee::Service(party(index, 0)),
                connection: Connection::Call,
                route: 1,
            };
            let mut row = EdgeDelta::new(edge, began + secs);
            row.requests[FailureClass::Ok as usize] = requests - failed;
            row.requests[FailureClass::Server5xx as usize] = failed;
            row.logical = requests;
            delta.edges.push(row);
        }
        delta.normalize();
        secs += STEP_SECS;
        let now = Timestamp::from_secs(began + secs);
        machine.apply(now, &delta);
        machine.tick(
            now,
            CascadeFacts {
                false_alarm_secs: FALSE_ALARM_SECS,
                services: &services,
                alerts: &[],
                slos: &[],
            },
        );
    }
    debug_assert!(machine.aliases().node(Callee::Service(party(0, 0))) == node(0));
    machine.incidents().count()
}

/// Upper 95 % bound of a Poisson mean after `events` events.
fn upper_bound(events: usize) -> f64 {
    let at_most = |mean: f64| {
        let mut term = libm::exp(-mean);
        let mut sum = term;
        for k in 1..=events {
            term *= mean / k as f64;
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1_000.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Scenario: healthy weeks of eight keys: failures that depend on each other (lag-1 autocorrelation 0 to .9), by the hour
/// (up to +-50 %), drifting; what is normal is learned within each week.
/// Guarantees: the upper 95 % bound of false incidents a week is at most the setting, one a week.
#[test]
fn healthy_weeks_have_no_more_incidents_than_is_set() {
    let weeks = runs(10, 200);
    let events: usize = (0..weeks)
        .map(|week| incidents_of_a_week(1_000 + week))
        .sum();
    let bound = upper_bound(events) / weeks as f64;
    println!("{events} false incidents in {weeks} weeks, at most {bound:.2} a week");
    assert!(bound <= 1.0, "{events} in {weeks} weeks: {bound:.2}");
}
