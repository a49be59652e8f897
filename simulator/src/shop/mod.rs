//! The shop as a pure machine in virtual time: shoppers arrive, operations call each other, spans come out.
//!
//! A discrete-event simulation: every request is a frame, every wait an event in one queue, so a weight that
//! changes or a service that dies in the middle of a trace has its effect at that very nanosecond. Arrivals are
//! open-loop (Poisson): a slow shop gets no fewer shoppers. The same seed, origin and changes give the same spans.

mod fleet;
mod requests;
#[cfg(test)]
mod tests;

pub use fleet::{Fault, Pod, PodIndex, Running, WHOLE};

use crate::random::Random;
use crate::span::{Outcome, Role, Shape, Span};
use crate::topology::{ServiceIndex, Topology};
use crate::truth::Truth;
use fleet::Fleet;
use requests::Frame;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Time between two probes of a pod.
const HEALTH_CHECK_NANOS: u64 = 5_000_000_000;
/// A probe takes this long.
const HEALTH_CHECK_WORK_NANOS: u64 = 300_000;

/// Something that happens to the shop.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Pods of a revision start, without traffic. A known version only gets the fault.
    Deploy {
        /// Service.
        service: ServiceIndex,
        /// Its new version.
        version: String,
        /// Pods, at least 1.
        pods: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A revision takes this share of its service's traffic; the oldest other takes the rest.
    Share {
        /// Service.
        service: ServiceIndex,
        /// Version; an unknown one changes nothing.
        version: String,
        /// 1/100 of a percent, at most [`WHOLE`].
        basis_points: u32,
    },
    /// A service stops listening, or listens again.
    Down {
        /// Service.
        service: ServiceIndex,
        /// True: connections are refused.
        is_down: bool,
    },
    /// Somebody else, such as a cluster, says what runs: exactly this takes the service's traffic. Without any pod nobody
    /// listens.
    Runs {
        /// Service.
        service: ServiceIndex,
        /// Its revisions.
        running: Vec<Running>,
    },
    /// A service fails what comes beyond so many requests a second.
    Capacity {
        /// Service.
        service: ServiceIndex,
        /// Requests per second, above 0.
        per_second: f64,
    },
    /// Shoppers come at another rate.
    Rate {
        /// Requests per second, above 0.
        per_second: f64,
    },
}

/// What a frame or a pod waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    Begin(usize),
    Worked(usize),
    Call(usize),
    Reply(usize, Outcome),
    Probe(PodIndex),
}

/// What a service can do in a second: a token a request.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled: u64,
}

impl Bucket {
    fn new(per_second: f64, now: u64) -> Self {
        Self {
            per_second,
            tokens: per_second / 4.0,
            filled: now,
        }
    }

    /// Whether there is room for one more request; to refuse one costs half the work. It holds a quarter of a second's.
    fn take(&mut self, now: u64) -> bool {
        let gained = now.saturating_sub(self.filled) as f64 / 1e9 * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second / 4.0);
        self.filled = now;
        let has_room = self.tokens >= 1.0;
        let cost = if has_room { 1.0 } else { 0.5 };
        self.tokens = (self.tokens - cost).max(-self.per_second / 4.0);
        has_room
    }
}

/// The machine.
#[derive(Debug)]
pub struct Shop {
    topology: Topology,
    fleet: Fleet,
    salt: u64,
    now: u64,
    rate: f64,
    is_down: Vec<bool>,
    buckets: Vec<Option<Bucket>>,
    random: Random,
    ids: Random,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    frames: Vec<Frame>,
    free: Vec<usize>,
    truth: Truth,
}

impl Shop {
    /// A healthy shop that opens at `origin` (Unix ns) with `rate` shoppers a second (above 0).
    ///
    /// Ids depend on seed and origin, everything else on the seed alone: two runs at different times never
    /// look like duplicates of each other.
    pub fn new(topology: Topology, seed: u64, origin: u64, rate: f64) -> Self {
        let salt = crate::random::mix(seed ^ crate::random::mix(origin));
        let fleet = Fleet::new(&topology, salt);
        let mut shop = Self {
            is_down: vec![false; topology.services.len()],
            buckets: vec![None; topology.services.len()],
            random: Random::new(seed, "shop"),
            ids: Random::new(salt, "ids"),
            queue: BinaryHeap::new(),
            sequence: 0,
            frames: Vec::new(),
            free: Vec::new(),
            truth: Truth::default(),
            now: origin,
            topology,
            fleet,
            salt,
            rate,
        };
        shop.schedule(0, Event::Arrival);
        (0..shop.fleet.pods.len()).for_each(|pod| shop.first_probe(pod));
        shop
    }

    /// The topology it was built from.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Every pod that ever ran; [`PodIndex`] points here.
    pub fn pods(&self) -> &[Pod] {
        &self.fleet.pods
    }

    /// What happened so far.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Virtual time reached, Unix ns.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets time pass until `to` and appends every span that ended by then, in order of end, with its pod.
    ///
    /// O(spans log open requests).
    pub fn advance(&mut self, to: u64, out: &mut Vec<(PodIndex, Span)>) {
        while let Some(Reverse((at, _, _))) = self.queue.peek() {
            if *at > to {
                break;
            }
            if let Some(Reverse((at, _, event))) = self.queue.pop() {
                self.now = at;
                self.happen(event, out);
            }
        }
        self.now = self.now.max(to);
    }

    /// Applies a change at the time reached.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::Deploy {
                service,
                version,
                pods,
                fault,
            } => {
                let first = self.fleet.pods.len();
                self.fleet.add(
                    &self.topology,
                    service,
                    &version,
                    pods.max(1),
                    fault,
                    self.salt,
                );
                (first..self.fleet.pods.len()).for_each(|pod| self.first_probe(pod));
            }
            Change::Share {
                service,
                version,
                basis_points,
            } => self.fleet.set_share(service, &version, basis_points),
            Change::Runs { service, running } => {
                let first = self.fleet.pods.len();
                self.fleet.run(service, running, self.salt);
                self.is_down[service] = !self.fleet.serves(service);
                (first..self.fleet.pods.len()).for_each(|pod| self.first_probe(pod));
            }
            Change::Down { service, is_down } => self.is_down[service] = is_down,
            Change::Capacity {
                service,
                per_second,
            } => self.buckets[service] = Some(Bucket::new(per_second, self.now)),
            Change::Rate { per_second } => self.rate = per_second,
        }
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.queue
            .push(Reverse((self.now + delay, self.sequence, event)));
    }

    fn first_probe(&mut self, pod: PodIndex) {
        let phase = self.random.below(HEALTH_CHECK_NANOS as usize) as u64;
        self.schedule(phase, Event::Probe(pod));
    }

    fn happen(&mut self, event: Event, out: &mut Vec<(PodIndex, Span)>) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Begin(frame) => self.begin(frame),
            Event::Worked(frame) => self.worked(frame, out),
            Event::Call(frame) => self.call(frame),
            Event::Reply(frame, outcome) => self.reply(frame, outcome, out),
            Event::Probe(pod) => self.probe(pod, out),
        }
    }

    fn probe(&mut self, pod: PodIndex, out: &mut Vec<(PodIndex, Span)>) {
        self.schedule(HEALTH_CHECK_NANOS, Event::Probe(pod));
        let service = self.fleet.pods[pod].service;
        if self.is_down[service] || !self.fleet.is_running(pod) {
            return;
        }
        self.truth.health_checks += 1;
        self.truth.spans += 1;
        let span = Span {
            trace_id: self.trace_id(),
            span_id: self.ids.nonzero(),
            parent_id: 0,
            start: self.now - HEALTH_CHECK_WORK_NANOS,
            end: self.now,
            shape: Shape {
                service,
                operation: 0,
                role: Role::HealthCheck,
                outcome: Outcome::Fine,
                resends: 0,
                has_parent: false,
            },
            shopper: 0,
        };
        out.push((pod, span));
    }

    fn trace_id(&mut self) -> u128 {
        (u128::from(self.ids.nonzero()) << 64) | u128::from(self.ids.nonzero())
    }
}
