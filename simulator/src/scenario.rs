//! A story from a seed: which service gets a bad release, what is wrong with it, and which gets a good one.
//!
//! Rates and weights are chosen so that the verdicts come in seconds and the fleet hardly notices: whatever the
//! fault, the bad canary's failures are about 2 % of its service's traffic (weight = 2 % / failing share), far
//! from what pages anybody, and that is the point of the demo.

#[cfg(test)]
mod tests;

use crate::controller::{Plan, Subject};
use crate::export::BatchPolicy;
use crate::random::Random;
use crate::shop::{Fault, WHOLE};
use crate::topology::{ServiceIndex, Topology};

const SECOND: u64 = 1_000_000_000;

/// Failures of the bad canary as a share of its service's traffic.
const HARM: f64 = 0.02;
/// Smallest and largest first weight of the bad canary, 1/100 of a percent.
const WEIGHTS: (f64, f64) = (200.0, 3_000.0);
/// Errors of a bad release, one of them.
const ERROR_RATIOS: [f64; 7] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0];
/// Slow-downs of a bad release, one of them.
const SLOW_DOWNS: [f64; 4] = [4.0, 5.0, 6.0, 8.0];
/// The good threshold of a latency SLO in typical durations: a healthy request exceeds it once in 1,000 at most.
const THRESHOLD_MEDIANS: f64 = 3.0;

/// One release of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Service.
    pub service: ServiceIndex,
    /// `service.version` of the candidate.
    pub version: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// Its pods.
    pub pods: usize,
    /// Weights, one a step, 1/100 of a percent.
    pub weights: Vec<u32>,
    /// When its rollout begins, seconds after the story's begin.
    pub start_secs: u64,
}

/// The story.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed it came from.
    pub seed: u64,
    /// The shop it plays in.
    pub topology: Topology,
    /// Shoppers per second.
    pub rate: f64,
    /// How the shop's processes ship spans.
    pub batch: BatchPolicy,
    /// The release that must be halted.
    pub bad: Release,
    /// The release that must be promoted.
    pub good: Release,
}

impl Scenario {
    /// The story of `seed`. Seed 1 is the demo's: checkout v2 fails 40 % of its requests, catalog v21 is fine.
    pub fn new(seed: u64) -> Self {
        let topology = Topology::shop();
        let mut random = Random::new(seed, "scenario");
        let bad = if seed == 1 {
            release(&topology, "checkout", Fault::Errors(0.4), None)
        } else {
            draw_bad(&topology, &mut random)
        };
        let good = if seed == 1 {
            release(&topology, "catalog", Fault::None, None)
        } else {
            draw_good(&topology, &bad, &mut random)
        };
        Self {
            seed,
            topology,
            rate: 300.0,
            batch: BatchPolicy::every(SECOND),
            bad,
            good,
        }
    }

    /// The rollout plan of a release for a story that begins at `origin` (Unix ns).
    pub fn plan(&self, release: &Release, origin: u64) -> Plan {
        Plan {
            subject: Subject {
                service: self.topology.services[release.service].name.to_owned(),
                namespace: self.topology.namespace.to_owned(),
                environment: self.topology.environment.to_owned(),
                candidate: release.version.clone(),
                baseline: String::new(),
            },
            start_at: origin + release.start_secs * SECOND,
            weights: release.weights.clone(),
            dwell_nanos: 3 * SECOND,
            poll_nanos: SECOND / 2,
            patience_nanos: 90 * SECOND,
        }
    }

    /// The good threshold of the service's latency SLO, ns: three times what its slowest operation typically takes.
    pub fn latency_threshold_nanos(&self, service: ServiceIndex) -> u64 {
        let operations = 0..self.topology.services[service].operations.len();
        let typical = operations.map(|operation| self.topology.typical_nanos(service, operation));
        (typical.fold(0.0, f64::max) * THRESHOLD_MEDIANS) as u64
    }

    /// The story in words.
    pub fn describe(&self) -> String {
        let bad = &self.topology.services[self.bad.service];
        let good = &self.topology.services[self.good.service];
        format!(
            "seed {}: {} services, {} shoppers/s, spans exported every {} s\n\
             bad:  {} {} -> {} {}, at {} of its traffic\n\
             good: {} {} -> {} is as healthy as before, at {} of its traffic",
            self.seed,
            self.topology.services.len(),
            self.rate,
            self.batch.delay_nanos as f64 / 1e9,
            bad.name,
            bad.version,
            self.bad.version,
            in_words(self.bad.fault),
            percents(&self.bad.weights),
            good.name,
            good.version,
            self.good.version,
            percents(&self.good.weights),
        )
    }
}

fn in_words(fault: Fault) -> String {
    match fault {
        Fault::None => "is fine".to_owned(),
        Fault::Errors(ratio) => format!("fails {:.0} % of its requests", ratio * 100.0),
        Fault::Slow(times) => format!("takes {times:.0} times as long"),
        Fault::Calls(times) => format!("makes each call {times} times"),
    }
}

fn percents(weights: &[u32]) -> String {
    let words: Vec<String> = weights
        .iter()
        .map(|weight| format!("{} %", f64::from(*weight) / 100.0))
        .collect();
    words.join(", then ")
}

/// Services that may get the bad release: every one that sees a third of the shoppers and has callers.
const MAY_BE_BAD: [&str; 6] = [
    "checkout",
    "payments",
    "inventory",
    "shipping",
    "catalog",
    "recommendations",
];
/// Those whose duration is all their own, of one operation: a slow release shows in every request.
const MAY_BE_SLOW: [&str; 3] = ["payments", "shipping", "recommendations"];
/// Services that may get the good release: they call nobody, so no other release can hurt them.
const MAY_BE_GOOD: [&str; 3] = ["catalog", "inventory", "recommendations"];

fn draw_bad(topology: &Topology, random: &mut Random) -> Release {
    let version = Some(format!("v{}", 2 + random.below(98)));
    if random.chance(0.3) {
        let name = MAY_BE_SLOW[random.below(MAY_BE_SLOW.len())];
        let times = SLOW_DOWNS[random.below(SLOW_DOWNS.len())];
        return release(topology, name, Fault::Slow(times), version);
    }
    let name = MAY_BE_BAD[random.below(MAY_BE_BAD.len())];
    let ratio = ERROR_RATIOS[random.below(ERROR_RATIOS.len())];
    release(topology, name, Fault::Errors(ratio), version)
}

fn draw_good(topology: &Topology, bad: &Release, random: &mut Random) -> Release {
    let names: Vec<&str> = MAY_BE_GOOD
        .into_iter()
        .filter(|name| topology.find(name) != Some(bad.service))
        .collect();
    let version = Some(format!("v{}", 2 + random.below(98)));
    release(
        topology,
        names[random.below(names.len())],
        Fault::None,
        version,
    )
}

/// A release of `name`; without a version, or with the one that runs, the next number.
fn release(topology: &Topology, name: &str, fault: Fault, version: Option<String>) -> Release {
    let service = topology.find(name).unwrap_or(0);
    let running = topology.services[service].version;
    let next = || {
        let number = running.trim_start_matches('v').parse().unwrap_or(0_u32);
        format!("v{}", number + 1)
    };
    let failing_share = match fault {
        Fault::None | Fault::Calls(_) => None,
        Fault::Errors(ratio) => Some(ratio),
        Fault::Slow(_) => Some(0.8),
    };
    // To the next half percent: people set round weights.
    let weight = |share: f64| {
        let exact = (HARM / share * f64::from(WHOLE)).clamp(WEIGHTS.0, WEIGHTS.1);
        (exact / 50.0 + 0.5) as u32 * 50
    };
    Release {
        service,
        version: version
            .filter(|version| version != running)
            .unwrap_or_else(next),
        fault,
        pods: if failing_share.is_some() { 1 } else { 2 },
        weights: vec![failing_share.map_or(WHOLE / 2, weight)],
        start_secs: 3,
    }
}
