//! A simulated system that speaks through the counts API: random calls, faults, and the rows that Folders would make.

use engine::cascade::machine::{
    CascadeFacts, CascadeMachine, FALSE_ALARM_SECS, IncidentTransition,
};
use engine::cascade::node::Node;
use engine::delta::{
    BLAME_SHARES, BlameDelta, BlameKey, Callee, Connection, Delta, EdgeDelta, EdgeKey, LogMoments,
    Party, WorkDelta, WorkKey,
};
use engine::hash::blake3_128;
use engine::identity::{RevisionId, ServiceId};
use engine::latency::bucket;
use engine::time::Timestamp;
use engine::trace::FailureClass;
use std::collections::BTreeMap;

/// splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

pub(crate) fn service(index: usize) -> ServiceId {
    ServiceId(blake3_128("test service", &[&index.to_le_bytes()]))
}

pub(crate) fn node(index: usize) -> Node {
    Node::Service(service(index))
}

pub(crate) fn party(index: usize, revision: usize) -> Party {
    let id = blake3_128(
        "test revision",
        &[&index.to_le_bytes(), &revision.to_le_bytes()],
    );
    Party {
        service: service(index),
        revision: RevisionId(id),
    }
}

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Whom it calls, with the attempts it makes at most and whether it fails when that fails.
    pub(crate) calls: Vec<(usize, u32, bool)>,
    /// Share of failures of its own.
    pub(crate) fails: f64,
    /// Median own work, ns.
    pub(crate) work: f64,
    /// Share of its traffic that revision 1 serves, and the failures of that revision.
    pub(crate) canary: (f64, f64),
    /// How often that revision makes each call. Only the first counts for its answer.
    pub(crate) canary_calls: usize,
    /// Requests a second that it can take; those beyond fail.
    pub(crate) capacity: u64,
    /// Requests of this second.
    served: u64,
    /// Those of the second before.
    expected: u64,
    /// Clock, s.
    pub(crate) skew: i64,
    /// Nobody answers there.
    pub(crate) is_dead: bool,
}

impl Member {
    fn new() -> Self {
        Self {
            calls: Vec::new(),
            fails: 0.001,
            work: 5e6,
            canary: (0.0, 0.0),
            canary_calls: 1,
            capacity: u64::MAX,
            served: 0,
            expected: 0,
            skew: 0,
            is_dead: false,
        }
    }
}

const TIMEOUT: f64 = 1e9;

/// The system.
pub(crate) struct World {
    pub(crate) members: Vec<Member>,
    pub(crate) rate: f64,
    pub(crate) random: Random,
    pub(crate) now: u64,
    /// Ticks a second.
    pub(crate) ticks: u64,
    pub(crate) machine: CascadeMachine,
    pub(crate) transitions: Vec<IncidentTransition>,
    edges: BTreeMap<(EdgeKey, u64), EdgeDelta>,
    work: BTreeMap<WorkKey, WorkDelta>,
    blame: BTreeMap<BlameKey, i64>,
    /// Rows of settled traces, to be told when their second has come.
    later: BTreeMap<u64, Delta>,
}

/// What a call came to.
struct Outcome {
    failed: bool,
    /// Who is blamed, and the edge's callee if it is an edge.
    origin: Option<(usize, usize, Option<usize>, FailureClass)>,
    nanos: f64,
}

impl World {
    pub(crate) fn new(members: usize, rate: f64, seed: u64) -> Self {
        Self {
            members: (0..members).map(|_| Member::new()).collect(),
            rate,
            ticks: 1,
            random: Random(seed),
            now: 1_700_000_000,
            machine: CascadeMachine::default(),
            transitions: Vec::new(),
            edges: BTreeMap::new(),
            work: BTreeMap::new(),
            blame: BTreeMap::new(),
            later: BTreeMap::new(),
        }
    }

    /// A random tree with some cross calls; 0 is the entry.
    pub(crate) fn random_topology(members: usize, rate: f64, seed: u64) -> Self {
        let mut world = Self::new(members, rate, seed);
        for index in 1..members {
            let parent = world.random.below(index);
            world.members[parent].calls.push((index, 1, true));
            if index > 2 && world.random.chance(0.25) {
                let other = world.random.below(index);
                if other != parent {
                    world.members[other].calls.push((index, 1, true));
                }
            }
            world.members[index].work = 1e6 * (1.0 + 9.0 * world.random.unit());
        }
        world
    }

    fn log_normal(&mut self, median: f64) -> f64 {
        let mut sum = 0.0;
        for _ in 0..6 {
            sum += self.random.unit();
        }
        median * libm::exp(0.5 * (sum - 3.0) / 0.707)
    }

    fn second_of(&self, index: usize) -> u64 {
        self.now.saturating_add_signed(self.members[index].skew)
    }

    /// One request to `index`; `caller` is the service and revision that makes it.
    fn call(&mut self, caller: Option<(usize, usize)>, index: usize, is_first: bool) -> Outcome {
        let member = self.members[index].clone();
        let revision = usize::from(self.random.chance(member.canary.0));
        if member.is_dead {
            let key = EdgeKey {
                caller: caller.map(|(caller, revision)| party(caller, revision)),
                callee: Callee::Service(party(index, revision)),
                connection: Connection::Call,
                route: 1,
            };
            let nanos = 1e6;
            self.edge(
                key,
                caller,
                index,
                FailureClass::Refused,
                is_first,
                (nanos, None),
            );
            let origin =
                caller.map(|(caller, of)| (caller, of, Some(index), FailureClass::Refused));
            return Outcome {
                failed: true,
                origin,
                nanos,
            };
        }
        let own = self.log_normal(member.work);
        let mut nanos = own;
        let fails = if revision == 1 {
            member.canary.1
        } else {
            member.fails
        };
        let mut origin = None;
        // In any order within the second: the busier it is, the likelier a request is one too many.
        self.members[index].served += 1;
        let share = member.capacity as f64 / (self.members[index].expected.max(1) as f64);
        let mut failed = self.random.chance(fails) || !self.random.chance(share.min(1.0));
        if failed {
            origin = Some((index, revision, None, FailureClass::Server5xx));
        }
        let mut children = 0;
        for (callee, attempts, is_critical) in member.calls {
            if failed {
                break;
            }
            for attempt in 0..attempts {
                let outcome = self.call(Some((index, revision)), callee, attempt == 0);
                nanos += outcome.nanos;
                children += 1;
                if revision == 1 && attempt == 0 {
                    for _ in 1..member.canary_calls {
                        self.call(Some((index, revision)), callee, true);
                    }
                }
                if !outcome.failed {
                    break;
                }
                if attempt + 1 == attempts && is_critical {
                    failed = true;
                    origin = outcome.origin;
                }
            }
        }
        let gap = self.log_normal(3e5);
        let is_late = caller.is_some() && nanos + gap > TIMEOUT;
        let class = if is_late {
            FailureClass::Timeout
        } else if failed {
            FailureClass::Server5xx
        } else {
            FailureClass::Ok
        };
        let key = EdgeKey {
            caller: caller.map(|(caller, revision)| party(caller, revision)),
            callee: Callee::Service(party(index, revision)),
            connection: Connection::Call,
            route: 1,
        };
        let client = (nanos + gap).min(if caller.is_some() { TIMEOUT } else { f64::MAX });
        self.edge(key, caller, index, class, is_first, (client, Some(nanos)));
        self.worked(index, revision, own, failed, children);
        if is_late {
            failed = true;
            origin = caller.map(|(caller, of)| (caller, of, Some(index), FailureClass::Timeout));
        }
        Outcome {
            failed,
            origin,
            nanos: client,
        }
    }

    fn edge(
        &mut self,
        key: EdgeKey,
        caller: Option<(usize, usize)>,
        index: usize,
        class: FailureClass,
        is_first: bool,
        times: (f64, Option<f64>),
    ) {
        let second = self.second_of(caller.map_or(index, |(caller, _)| caller));
        let row = self
            .edges
            .entry((key, second))
            .or_insert_with(|| EdgeDelta::new(key, second));
        row.requests[class as usize] += 1;
        row.logical += i64::from(is_first);
        let (client, server) = times;
        if caller.is_some() {
            row.client.push((bucket(client as u64), 1));
        }
        if let Some(server) = server {
            row.server.push((bucket(server as u64), 1));
            if caller.is_some() {
                row.paired += 1;
                row.wasted += i64::from(class == FailureClass::Timeout);
                let gap = (client - server).max(1.0);
                row.gap.add(LogMoments::of(gap as u64));
            }
        }
    }

    fn worked(&mut self, index: usize, revision: usize, own: f64, failed: bool, children: i64) {
        let key = WorkKey {
            party: party(index, revision),
            route: 1,
            second: self.second_of(index),
        };
        let row = self.work.entry(key).or_insert(WorkDelta {
            key,
            spans: 0,
            failed: 0,
            exclusive_nanos: 0,
            exclusive: LogMoments::ZERO,
            critical_nanos: 0,
            children: 0,
        });
        row.spans += 1;
        row.failed += i64::from(failed);
        row.exclusive_nanos += own as i64;
        row.exclusive.add(LogMoments::of(own as u64));
        row.children += children;
    }

    /// One second: requests to entry 0, their rows, its ticks.
    pub(crate) fn second(&mut self) {
        let mut requests = self.rate.floor() as u64;
        requests += u64::from(self.random.chance(self.rate.fract()));
        let mut told = 0;
        for number in 0..requests {
            // What was counted by each tick within the second.
            let ticks = number * self.ticks / requests;
            if ticks > told {
                told = ticks;
                self.tick_within(ticks);
            }
            let outcome = self.call(None, 0, true);
            if let Some((index, revision, callee, class)) = outcome.origin {
                let key = BlameKey {
                    root: service(0),
                    origin: party(index, revision),
                    callee: callee.map(|callee| Callee::Service(party(callee, 0))),
                    class,
                    fatal: outcome.failed,
                    second: self.second_of(0),
                };
                *self.blame.entry(key).or_default() += BLAME_SHARES;
            }
        }
        for member in &mut self.members {
            member.expected = std::mem::take(&mut member.served);
        }
        let mut at_once = Delta {
            edges: std::mem::take(&mut self.edges).into_values().collect(),
            ..Delta::default()
        };
        at_once.normalize();
        let blame = std::mem::take(&mut self.blame);
        let settled = Delta {
            work: std::mem::take(&mut self.work).into_values().collect(),
            blame: blame
                .into_iter()
                .map(|(key, shares)| BlameDelta { key, shares })
                .collect(),
            ..Delta::default()
        };
        self.later.insert(self.now + 6, settled);
        self.tell(&at_once);
    }

    /// The tick number `tick` of this second, which is not its last.
    fn tick_within(&mut self, tick: u64) {
        let mut delta = Delta {
            edges: std::mem::take(&mut self.edges).into_values().collect(),
            ..Delta::default()
        };
        delta.normalize();
        let now = Timestamp::from_secs(self.now).plus(tick * 1_000_000_000 / self.ticks);
        self.machine.apply(now, &delta);
        let services = BTreeMap::new();
        let facts = CascadeFacts {
            false_alarm_secs: FALSE_ALARM_SECS,
            services: &services,
            alerts: &[],
            slos: &[],
        };
        self.transitions.extend(self.machine.tick(now, facts));
    }

    /// Tells the machine these rows and what has settled, and lets a second pass.
    pub(crate) fn tell(&mut self, delta: &Delta) {
        let now = Timestamp::from_secs(self.now + 1);
        self.machine.apply(now, delta);
        if let Some(settled) = self.later.remove(&self.now) {
            self.machine.apply(now, &settled);
        }
        let services = BTreeMap::new();
        let facts = CascadeFacts {
            false_alarm_secs: FALSE_ALARM_SECS,
            services: &services,
            alerts: &[],
            slos: &[],
        };
        self.transitions.extend(self.machine.tick(now, facts));
        self.now += 1;
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second();
        }
    }

    /// Services that call `index`, directly or not.
    pub(crate) fn above(&self, index: usize) -> Vec<usize> {
        let mut above = vec![index];
        loop {
            let more = (0..self.members.len()).find(|candidate| {
                let calls = &self.members[*candidate].calls;
                !above.contains(candidate)
                    && calls.iter().any(|(callee, ..)| above.contains(callee))
            });
            match more {
                Some(more) => above.push(more),
                None => break,
            }
        }
        above.retain(|other| *other != index);
        above
    }
}

/// Runs wanted: `short`, or `long` with `TIDEGATE_LONG=1`.
#[expect(
    clippy::disallowed_methods,
    reason = "the long lane is chosen by the environment"
)]
pub(crate) fn runs(short: u64, long: u64) -> u64 {
    if std::env::var("TIDEGATE_LONG").is_ok_and(|value| value == "1") {
        long
    } else {
        short
    }
}
