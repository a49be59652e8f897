//! The story as one pure machine: shop, exporters' queues and two rollout controllers on one clock.
//!
//! Whoever drives it brings the time and the gate's answers, and carries out what comes out: real sockets in
//! [`crate::live`], callbacks in [`crate::virtual_run`]. Both therefore tell the same story.

use crate::controller::{Action, Controller, GateReply, Question, Stage};
use crate::encode::Dresser;
use crate::export::Batcher;
use crate::random::mix;
use crate::scenario::{Release, Scenario};
use crate::shop::{Change, PodIndex, Shop};
use crate::span::Span;
use crate::topology::Wire;
use crate::truth::Truth;

/// Which of the two rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The one that must be halted.
    Bad,
    /// The one that must be promoted.
    Good,
}

impl Which {
    /// Both, in the order in which they act.
    pub const BOTH: [Self; 2] = [Self::Bad, Self::Good];
}

/// One export of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The process.
    pub pod: PodIndex,
    /// How it ships.
    pub wire: Wire,
    /// Spans inside.
    pub spans: u64,
    /// An encoded `ExportTraceServiceRequest`, never compressed.
    pub bytes: Vec<u8>,
}

/// Something the driver must carry out, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send spans.
    Request(Request),
    /// Post a CloudEvent of this rollout to `/v1/events`.
    Post(Which, serde_json::Value),
    /// Ask the gate; hand the answer to [`Play::answer`].
    Ask(Which, Question),
}

/// How a rollout ended, or where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutEnd {
    /// Stage.
    pub stage: Stage,
    /// The gate's last answer.
    pub reply: Option<GateReply>,
    /// Seconds after the story's begin; `None` while it is not finished.
    pub finished_secs: Option<f64>,
}

/// How the story ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The bad release.
    pub bad: RolloutEnd,
    /// The good release.
    pub good: RolloutEnd,
    /// What really happened.
    pub truth: Truth,
    /// Spans handed to exporters' queues and dropped there because they were full.
    pub dropped_spans: u64,
}

impl Outcome {
    /// Whether both verdicts were right: the bad release halted, the good one promoted because of evidence.
    pub fn is_right(&self) -> bool {
        let code = self.good.reply.as_ref().map(|reply| reply.code.as_str());
        self.bad.stage == Stage::Aborted
            && self.good.stage == Stage::Promoted
            && code == Some("EVIDENCE")
    }
}

#[derive(Debug)]
struct Rollout {
    release: Release,
    controller: Controller,
    finished: Option<u64>,
}

/// The machine.
#[derive(Debug)]
pub struct Play {
    scenario: Scenario,
    origin: u64,
    shop: Shop,
    dresser: Dresser,
    batchers: Vec<Batcher>,
    rollouts: [Rollout; 2],
    spans: Vec<(PodIndex, Span)>,
}

impl Play {
    /// The story of `scenario`, beginning at `origin` (Unix ns).
    pub fn new(scenario: Scenario, origin: u64) -> Self {
        let topology = &scenario.topology;
        let rollout = |release: &Release| Rollout {
            release: release.clone(),
            controller: Controller::new(scenario.plan(release, origin)),
            finished: None,
        };
        let mut play = Self {
            shop: Shop::new(topology.clone(), scenario.seed, origin, scenario.rate),
            dresser: Dresser::new(topology.clone()),
            batchers: Vec::new(),
            rollouts: [rollout(&scenario.bad), rollout(&scenario.good)],
            spans: Vec::new(),
            origin,
            scenario,
        };
        play.start_batchers();
        play
    }

    /// The scenario it plays.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The shop, for its truth and its pods.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// Changes the shop by hand, now: another fault, a dead dependency, another rate.
    pub fn change(&mut self, change: Change) {
        self.shop.change(change);
        self.start_batchers();
    }

    /// Whether both rollouts are finished.
    pub fn is_finished(&self) -> bool {
        self.rollouts
            .iter()
            .all(|rollout| rollout.finished.is_some())
    }

    /// Lets time pass until `to` (Unix ns) and appends what must be done, in order.
    ///
    /// Steps longer than a few hundredths of a second make exporters and controllers late by as much.
    pub fn advance(&mut self, to: u64, out: &mut Vec<Output>) {
        self.shop.advance(to, &mut self.spans);
        for (pod, span) in self.spans.drain(..) {
            self.batchers[pod].offer(span);
        }
        for pod in 0..self.batchers.len() {
            while let Some(batch) = self.batchers[pod].due(to) {
                out.push(self.request(pod, &batch));
            }
        }
        for which in Which::BOTH {
            self.step(which, to, None, out);
        }
    }

    /// Hands the gate's answer to a rollout that asked.
    pub fn answer(&mut self, which: Which, now: u64, reply: GateReply, out: &mut Vec<Output>) {
        self.step(which, now, Some(reply), out);
    }

    /// Everything still queued leaves, as when the processes end.
    pub fn flush(&mut self, out: &mut Vec<Output>) {
        for pod in 0..self.batchers.len() {
            while let Some(batch) = self.batchers[pod].flush() {
                out.push(self.request(pod, &batch));
            }
        }
    }

    /// Where everything stands.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            bad: self.end_of(Which::Bad),
            good: self.end_of(Which::Good),
            truth: self.shop.truth().clone(),
            dropped_spans: self.batchers.iter().map(Batcher::dropped).sum(),
        }
    }

    fn end_of(&self, which: Which) -> RolloutEnd {
        let rollout = &self.rollouts[which as usize];
        RolloutEnd {
            stage: rollout.controller.stage(),
            reply: rollout.controller.last_reply().cloned(),
            finished_secs: rollout.finished.map(|at| (at - self.origin) as f64 / 1e9),
        }
    }

    fn request(&mut self, pod: PodIndex, batch: &[Span]) -> Output {
        let process = &self.shop.pods()[pod];
        Output::Request(Request {
            pod,
            wire: self.scenario.topology.services[process.service].wire,
            spans: batch.len() as u64,
            bytes: self.dresser.request(pod, process, batch),
        })
    }

    fn step(&mut self, which: Which, now: u64, reply: Option<GateReply>, out: &mut Vec<Output>) {
        let rollout = &mut self.rollouts[which as usize];
        let actions = rollout.controller.step(now, reply);
        if rollout.controller.stage().is_finished() && rollout.finished.is_none() {
            rollout.finished = Some(now);
        }
        let release = rollout.release.clone();
        for action in actions {
            match action {
                Action::Post(event) => out.push(Output::Post(which, event)),
                Action::Ask(question) => out.push(Output::Ask(which, question)),
                Action::Deploy => self.change(Change::Deploy {
                    service: release.service,
                    version: release.version.clone(),
                    pods: release.pods,
                    fault: release.fault,
                }),
                Action::SetWeight(basis_points) => self.change(Change::Share {
                    service: release.service,
                    version: release.version.clone(),
                    basis_points,
                }),
            }
        }
    }

    /// Every process has its own timer: exports of a fleet do not come all at once.
    fn start_batchers(&mut self) {
        let policy = self.scenario.batch;
        for pod in self.batchers.len()..self.shop.pods().len() {
            let phase = mix(self.scenario.seed ^ mix(pod as u64)) % policy.delay_nanos.max(1);
            let started = self.shop.now().saturating_sub(phase);
            self.batchers.push(Batcher::new(policy, started));
        }
    }
}
