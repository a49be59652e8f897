//! A small seeded shop: one service, several revisions, exporters that batch and stall, clocks that differ.
//!
//! It makes the `UnitDelta`s and `ResourceDelta`s a folder would make, by 50 ms slices of traffic, and drives a
//! `GateMachine` with 250 ms ticks. Times are milliseconds since the shop's own start.

use engine::delta::{Delta, Mark, Marks, ResourceDelta, UnitDelta, UnitKey};
use engine::gate::answer::{Answer, Phase};
use engine::gate::{
    BudgetFacts, GateFacts, GateMachine, GateTransition, Question, ServiceFacts, ask,
};
use engine::identity::{Identity, RevisionId, ServiceId, ServiceKey};
use engine::input::{Gap, RolloutChange, RolloutEvent};
use engine::items::Signal;
use engine::latency::bucket;
use engine::slo::{Maturity, Ratio, ServicePolicy};
use engine::snapshot::{RevisionRow, ServiceRow, Snapshot};
use engine::source::SourceState;
use engine::time::{NANOS_PER_MILLI, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;
pub(crate) const TICK_MS: u64 = 250;
const SLICE_MS: u64 = 50;

/// SplitMix64: every run is its seed.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        let (limit, mut product, mut count) = (libm::exp(-mean), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// When the spans of an arm are sent.
#[derive(Clone, Copy)]
pub(crate) enum Export {
    AtOnce,
    Every { millis: u64, phase: u64 },
}

/// What happens to a request that starts at `ms` on this arm: whether it fails, and how long it takes, ms.
pub(crate) type Behaviour = Box<dyn Fn(u64, &mut Rng) -> (bool, u64)>;

pub(crate) struct Arm {
    pub(crate) identity: Arc<Identity>,
    /// Share of the traffic at `ms`.
    pub(crate) weight: Box<dyn Fn(u64) -> f64>,
    pub(crate) behaviour: Behaviour,
    pub(crate) export: Export,
    /// Exports between these two moments are delivered at the second.
    pub(crate) stall: Option<(u64, u64)>,
    /// Its clock runs ahead by this much.
    pub(crate) skew_ms: i64,
    pub(crate) instances: u64,
    /// The only route it serves; `None`: any.
    pub(crate) route: Option<u64>,
    /// Every export is delivered this much later.
    pub(crate) delay_ms: u64,
    /// What a sampler wrote on its spans.
    pub(crate) mark: Option<Mark>,
    source: SourceState,
    buffer: Vec<Request>,
    outbox: Vec<(u64, Vec<Request>)>,
    first_seen: Option<u64>,
    last_seen: u64,
}

#[derive(Clone, Copy)]
struct Request {
    start: u64,
    end: u64,
    failed: bool,
    route: u64,
    instance: u64,
}

pub(crate) fn identity(version: &str) -> Arc<Identity> {
    Arc::new(Identity::resolve(|key| match key {
        "service.name" => Some("checkout"),
        "service.version" => Some(version).filter(|version| !version.is_empty()),
        _ => None,
    }))
}

impl Arm {
    pub(crate) fn new(
        version: &str,
        weight: impl Fn(u64) -> f64 + 'static,
        behaviour: Behaviour,
    ) -> Self {
        Self {
            identity: identity(version),
            weight: Box::new(weight),
            behaviour,
            export: Export::AtOnce,
            stall: None,
            skew_ms: 0,
            instances: 1,
            route: None,
            delay_ms: 0,
            mark: None,
            source: SourceState::default(),
            buffer: Vec::new(),
            outbox: Vec::new(),
            first_seen: None,
            last_seen: 0,
        }
    }

    pub(crate) fn id(&self) -> RevisionId {
        self.identity.revision.id
    }

    fn flush(&mut self, now: u64) {
        let is_due = match self.export {
            Export::AtOnce => true,
            Export::Every { millis, phase } => (now + phase) % millis < SLICE_MS,
        };
        if !is_due {
            return;
        }
        let (done, running) = self.buffer.iter().partition(|request| request.end <= now);
        self.buffer = running;
        let due = match self.stall {
            Some((from, to)) if (from..to).contains(&now) => to,
            _ => now + self.delay_ms,
        };
        self.outbox.push((due, done));
    }

    /// What arrives until `now`, as the folder counts it.
    fn deliver(&mut self, now: u64, into: &mut Delta) {
        let (due, later) = std::mem::take(&mut self.outbox)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.outbox = later;
        let due: Vec<(u64, Vec<Request>)> = due;
        let requests: Vec<Request> = due.into_iter().flat_map(|(_, requests)| requests).collect();
        if requests.is_empty() {
            return;
        }
        self.first_seen.get_or_insert(now);
        self.last_seen = now;
        let shown = |ms: u64| {
            Timestamp::from_millis(EPOCH_MS)
                .plus(ms * NANOS_PER_MILLI)
                .0 as i64
                + self.skew_ms * NANOS_PER_MILLI as i64
        };
        let received = Timestamp::from_millis(EPOCH_MS + now);
        for request in requests {
            let end = Timestamp(shown(request.end) as u64);
            let start = Timestamp(shown(request.start) as u64);
            let mut marks = Marks::default();
            if let Some(mark) = self.mark {
                marks.add(mark, 1);
            }
            let row = ResourceDelta {
                hash: self.identity.revision.id.0 ^ u128::from(request.instance),
                identity: self.identity.clone(),
                signal: Signal::Traces,
                items: 1,
                end_max: end,
                lag_min: received.signed_since(end),
                marks,
                odd: 0,
            };
            self.source.note(received, &row);
            into.resources.push(row);
            into.units.push(UnitDelta {
                key: UnitKey {
                    service: self.identity.service_id,
                    second: end.secs(),
                    started: start.secs(),
                    route: request.route,
                    revision: self.identity.revision.id,
                },
                units: 1,
                failed: i64::from(request.failed),
                latency: vec![(bucket((request.end - request.start) * NANOS_PER_MILLI), 1)],
            });
        }
    }
}

pub(crate) struct Shop {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) machine: GateMachine,
    pub(crate) arms: Vec<Arm>,
    /// Requests a second of the whole service.
    pub(crate) rate: f64,
    pub(crate) routes: u64,
    pub(crate) maturity: Maturity,
    pub(crate) budget: BudgetFacts,
    /// The incident around it.
    pub(crate) incident: Option<engine::gate::IncidentFacts>,
    pub(crate) transitions: Vec<GateTransition>,
    pub(crate) is_recovering: bool,
    pub(crate) gaps: Vec<Gap>,
}

impl Shop {
    pub(crate) fn new(seed: u64, rate: f64, maturity: Maturity) -> Self {
        Self {
            now: 0,
            rng: Rng(seed),
            machine: GateMachine::new(),
            arms: Vec::new(),
            rate,
            routes: 1,
            maturity,
            incident: None,
            budget: BudgetFacts {
                slo: "availability".to_owned(),
                is_implicit: false,
                error_budget: Ratio::from_ppb(1_000_000),
                ..BudgetFacts::default()
            },
            transitions: Vec::new(),
            is_recovering: false,
            gaps: Vec::new(),
        }
    }

    pub(crate) fn service(&self) -> ServiceId {
        key().id()
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_millis(EPOCH_MS + self.now)
    }

    /// Runs until `until`, or until `done` says so after a tick.
    pub(crate) fn run_while(&mut self, until: u64, mut go_on: impl FnMut(&Self) -> bool) {
        while self.now < until {
            for _ in 0..TICK_MS / SLICE_MS {
                self.slice();
            }
            self.tick();
            if !go_on(self) {
                return;
            }
        }
    }

    pub(crate) fn run(&mut self, until: u64) {
        self.run_while(until, |_| true);
    }

    /// One slice of traffic.
    fn slice(&mut self) {
        let requests = self.rng.poisson(self.rate * SLICE_MS as f64 / 1_000.0);
        for _ in 0..requests {
            let start = self.now + self.rng.below(SLICE_MS);
            let mut at = self.rng.unit();
            let route = self.rng.below(self.routes);
            for arm in &mut self.arms {
                let weight = (arm.weight)(start);
                if at < weight {
                    let (failed, millis) = (arm.behaviour)(start, &mut self.rng);
                    let instance = self.rng.below(arm.instances);
                    let route = arm.route.unwrap_or(route);
                    let end = start + millis;
                    arm.buffer.push(Request {
                        start,
                        end,
                        failed,
                        route,
                        instance,
                    });
                    break;
                }
                at -= weight;
            }
        }
        self.now += SLICE_MS;
        for arm in &mut self.arms {
            arm.flush(self.now);
        }
    }

    pub(crate) fn tick(&mut self) {
        let mut delta = Delta::default();
        for arm in &mut self.arms {
            arm.deliver(self.now, &mut delta);
        }
        delta.normalize();
        let now = self.time();
        self.machine.apply(now, &delta);
        let services = BTreeMap::from([(self.service(), self.facts())]);
        let facts = GateFacts {
            services: &services,
            gaps: &self.gaps,
            is_recovering: self.is_recovering,
        };
        self.transitions.extend(self.machine.tick(now, facts));
    }

    pub(crate) fn facts(&self) -> ServiceFacts {
        ServiceFacts {
            row: Arc::new(self.row()),
            budget: self.budget.clone(),
            incident: self.incident.clone(),
        }
    }

    fn row(&self) -> ServiceRow {
        let mut revisions: Vec<RevisionRow> = self
            .arms
            .iter()
            .filter_map(|arm| {
                Some(RevisionRow {
                    revision: arm.identity.revision.clone(),
                    first_seen: Timestamp::from_millis(EPOCH_MS + arm.first_seen?),
                    last_seen: Timestamp::from_millis(EPOCH_MS + arm.last_seen),
                    spans_last_minute: 0,
                    instances: arm.instances,
                    is_live: arm.last_seen + 60_000 >= self.now,
                    is_known_good: self.machine.is_known_good(self.service(), arm.id()),
                    lag_secs: 0.0,
                    sources: vec![arm.source.row(self.time(), Signal::Traces)],
                    sdks: Vec::new(),
                })
            })
            .collect();
        revisions.sort_by_key(|row| (std::cmp::Reverse(row.first_seen), row.revision.id));
        revisions.dedup_by_key(|row| row.revision.id);
        let first_seen = revisions.iter().map(|row| row.first_seen).min();
        let last_seen = revisions.iter().map(|row| row.last_seen).max();
        ServiceRow {
            id: self.service(),
            key: key(),
            policy: ServicePolicy {
                service: key(),
                maturity: self.maturity,
                team: String::new(),
                level: engine::hand::Level::Observe,
                undo: false,
                implicit: false,
            },
            revisions,
            slos: Vec::new(),
            first_seen: first_seen.unwrap_or_default(),
            last_seen: last_seen.unwrap_or_default(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            as_of: self.time(),
            is_recovering: self.is_recovering,
            services: BTreeMap::from([(self.service(), Arc::new(self.row()))]),
            gates: self.machine.rows(),
            ..Snapshot::default()
        }
    }

    pub(crate) fn ask(&self, candidate: &str) -> Answer {
        self.ask_phase(candidate, Phase::Advance)
    }

    pub(crate) fn ask_phase(&self, candidate: &str, phase: Phase) -> Answer {
        let question = Question {
            service: "checkout".to_owned(),
            candidate: candidate.to_owned(),
            phase,
            ..Question::default()
        };
        ask(&self.snapshot(), &question)
    }

    pub(crate) fn event(&mut self, candidate: &str, change: RolloutChange) {
        let event = RolloutEvent {
            id: format!("{}", self.now),
            service: "checkout".to_owned(),
            namespace: String::new(),
            environment: String::new(),
            candidate: candidate.to_owned(),
            time: self.time(),
            change,
        };
        let named = self
            .arms
            .iter()
            .find(|arm| arm.first_seen.is_some() && arm.identity.revision.matches(candidate));
        let id = named.map(Arm::id);
        self.machine
            .rollout(self.time(), self.service(), &event, id);
    }

    pub(crate) fn is_halted(&self, candidate: usize) -> bool {
        self.machine
            .is_latched(self.service(), self.arms[candidate].id())
    }
}

fn key() -> ServiceKey {
    ServiceKey {
        name: "checkout".to_owned(),
        ..ServiceKey::default()
    }
}

/// Fails with probability `p`; takes 5..25 ms.
pub(crate) fn failing(p: f64) -> Behaviour {
    Box::new(move |_, rng| (rng.unit() < p, 5 + rng.below(20)))
}

/// Fails with probability `p`, and with `blip` between `from` and `to`.
pub(crate) fn blipping(p: f64, from: u64, to: u64, blip: f64) -> Behaviour {
    Box::new(move |ms, rng| {
        let now = if (from..to).contains(&ms) {
            blip.max(p)
        } else {
            p
        };
        (rng.unit() < now, 5 + rng.below(20))
    })
}

/// Runs wanted in the short lane, or `long` of them with `TIDEGATE_LONG=1`.
#[expect(
    clippy::disallowed_methods,
    reason = "the lane is chosen by the environment; the engine itself never reads it"
)]
pub(crate) fn runs(short: u64, long: u64) -> u64 {
    if std::env::var("TIDEGATE_LONG").is_ok_and(|value| value == "1") {
        long
    } else {
        short
    }
}
