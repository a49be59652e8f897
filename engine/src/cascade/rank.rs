//! Who did it: the culprit of a window, ranked without labels, by one configuration for every system.
//!
//! A pure function of what is normal and what the window holds, so that a recorded fault is localised by the very code that
//! names culprits of live incidents. Each node gets evidence of its *own* on several channels; what a neighbor explains is
//! not its own:
//!
//! - **errors**: traces whose failure began there ([`crate::delta::BlameDelta`]); fatal ones count eight times what a
//!   caller coped with (29 % of successful requests hold such errors: POMACS 10.1145/3700436);
//! - **failing calls**: calls of it that failed, less its own failed calls: known before traces settle;
//! - **unreachable** and **late**: callees blamed through their callers' halves. Lateness sinks to the callee's callee that
//!   explains it;
//! - **slow**: exclusive time of its operations against its own past;
//! - **network**: client minus server durations at its edges, less what the same caller sees at its other callees (a
//!   starving caller looks like a slow network everywhere);
//! - **overloaded**: server halves that outlive their clients while more than 1.2 attempts are made per call. The culprit of
//!   a retry storm answers everything with OK;
//! - **incomplete**: children that are missing; **logs**: error records of one place in the code.
//!
//! A channel is a distance in deviations of blocks (see [`super::normal`]), compressed above 10: after that only the order
//! matters. Cost: O(rows log rows) of the window.

use super::node::{Aliases, Node};
use super::normal::{Normal, UsualCalls, Window};
use super::sums;
use super::window::{EdgeSum, WindowSums};
use crate::delta::LogMoments;
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What kind of failure a culprit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// Failures begin there, and roots fail by them.
    Errors,
    /// Failures begin there that callers cope with.
    Tolerated,
    /// Calls of it fail more than its own calls do. At once there, before any trace has settled.
    Failing,
    /// Callers cannot reach it.
    Unreachable,
    /// Callers stop waiting for it.
    Late,
    /// Its own work takes longer.
    Slow,
    /// The way to and from it takes longer.
    Network,
    /// A retry storm: it works on what nobody waits for any more.
    Overloaded,
    /// It no longer does parts of its work.
    Incomplete,
    /// It logs errors.
    Logs,
}

impl Channel {
    /// Number of channels.
    pub const COUNT: usize = 10;

    /// Every channel, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Errors,
        Self::Tolerated,
        Self::Failing,
        Self::Unreachable,
        Self::Late,
        Self::Slow,
        Self::Network,
        Self::Overloaded,
        Self::Incomplete,
        Self::Logs,
    ];

    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Tolerated => "tolerated_errors",
            Self::Failing => "failing_calls",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Slow => "slow",
            Self::Network => "network",
            Self::Overloaded => "overloaded",
            Self::Incomplete => "incomplete",
            Self::Logs => "log_errors",
        }
    }

    /// What is known exactly, per trace, weighs twice what is inferred from durations.
    const fn weight(self) -> f64 {
        match self {
            Self::Errors | Self::Unreachable | Self::Late | Self::Overloaded | Self::Logs => 2.0,
            Self::Failing | Self::Slow | Self::Network => 1.0,
            Self::Incomplete => 0.5,
            Self::Tolerated => 0.25,
        }
    }
}

/// Least attempts per call that make a storm.
pub const STORM_ATTEMPTS: f64 = 1.2;
/// Least wasted share of a storm.
const STORM_WASTED: f64 = 0.3;
/// Distance from which on a channel is evidence: what is below is noise of some key.
pub const TELLING: f64 = 4.0;

/// One suspect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub node: Node,
    /// Weighted sum of its channels.
    pub score: f64,
    /// Distances by [`Channel`], in its order; 0 = nothing unusual.
    pub channels: [f64; Channel::COUNT],
    /// How its failures ended, where it has any.
    pub class: FailureClass,
}

impl Candidate {
    const fn new(node: Node) -> Self {
        Self {
            node,
            score: 0.0,
            channels: [0.0; Channel::COUNT],
            class: FailureClass::Ok,
        }
    }

    /// Distance on one channel.
    pub const fn on(&self, channel: Channel) -> f64 {
        self.channels[channel as usize]
    }

    fn raise(&mut self, channel: Channel, distance: f64) {
        let known = &mut self.channels[channel as usize];
        *known = known.max(distance);
    }

    /// The channel that says most.
    pub fn strongest(&self) -> Channel {
        let value = |channel: &Channel| soft(self.on(*channel)) * channel.weight();
        let mut best = Channel::Errors;
        for channel in Channel::ALL {
            if value(&channel) > value(&best) {
                best = channel;
            }
        }
        best
    }

    /// The largest distance of a channel that weighs at least as much as durations.
    pub fn distance(&self) -> f64 {
        let heavy = Channel::ALL
            .iter()
            .filter(|channel| channel.weight() >= 1.0);
        heavy.map(|channel| self.on(*channel)).fold(0.0, f64::max)
    }

    fn total(&mut self) {
        let parts = Channel::ALL.iter();
        self.score = parts
            .map(|channel| soft(self.on(*channel)) * channel.weight())
            .sum();
    }
}

/// Linear to 10, then logarithmic: order is kept, one channel does not drown the others.
fn soft(distance: f64) -> f64 {
    if distance <= 10.0 {
        distance.max(0.0)
    } else {
        10.0 + 8.0 * libm::log(distance / 10.0)
    }
}

/// Suspects of `window`, most suspect first; ties by node.
pub fn rank(normal: &Normal, window: &WindowSums, aliases: &Aliases) -> Vec<Candidate> {
    let size = Window {
        blocks: window.blocks.max(1) as f64,
        exposure: window.exposure(),
    };
    let mut suspects = Suspects::default();
    suspects.failing(normal, window, aliases, &size);
    suspects.blame(normal, window, aliases, &size);
    suspects.logs(normal, window, &size);
    suspects.work(normal, window, &size);
    suspects.network(normal, window, aliases, &size);
    let callees = sums::callees(window, aliases);
    suspects.storms(normal, window, aliases, &callees);
    suspects.sink_lateness(&callees);
    let mut candidates: Vec<Candidate> = suspects.0.into_values().collect();
    for candidate in &mut candidates {
        candidate.total();
    }
    candidates.retain(|candidate| candidate.score > 0.0);
    candidates.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then(one.node.cmp(&other.node))
    });
    candidates
}

#[derive(Debug, Default)]
struct Suspects(BTreeMap<Node, Candidate>);

impl Suspects {
    fn of(&mut self, node: Node) -> &mut Candidate {
        self.0.entry(node).or_insert_with(|| Candidate::new(node))
    }

    fn on(&self, node: Node, channel: Channel) -> f64 {
        self.0
            .get(&node)
            .map_or(0.0, |candidate| candidate.on(channel))
    }

    fn failing(&mut self, normal: &Normal, window: &WindowSums, aliases: &Aliases, size: &Window) {
        for (node, own) in sums::failing(window, aliases) {
            let distance = normal.excess(normal.failing.get(&node), own.calls, size);
            let channel = match own.class {
                FailureClass::Timeout | FailureClass::Cancelled => Channel::Late,
                FailureClass::Refused
                | FailureClass::Reset
                | FailureClass::Dns
                | FailureClass::NoHost => Channel::Unreachable,
                _ => Channel::Failing,
            };
            let suspect = self.of(node);
            suspect.raise(channel, distance);
            if own.calls > 0.0 {
                suspect.class = own.class;
            }
        }
    }

    fn blame(&mut self, normal: &Normal, window: &WindowSums, aliases: &Aliases, size: &Window) {
        let is_edge: BTreeSet<(Node, FailureClass)> = window
            .blame
            .keys()
            .filter(|of| of.callee.is_some())
            .map(|of| (of.blamed(aliases), of.class))
            .collect();
        let mut worst: BTreeMap<Node, f64> = BTreeMap::new();
        for (group, traces) in sums::blame(window, aliases) {
            let (node, class, fatal) = group;
            let distance = normal.excess(normal.blame.get(&group), traces, size);
            let channel = match (fatal, is_edge.contains(&(node, class)), class) {
                (false, ..) => Channel::Tolerated,
                (_, true, FailureClass::Timeout | FailureClass::Cancelled) => Channel::Late,
                (_, true, _) => Channel::Unreachable,
                _ => Channel::Errors,
            };
            let suspect = self.of(node);
            suspect.raise(channel, distance);
            let most = worst.entry(node).or_insert(0.0);
            if traces > *most {
                *most = traces;
                suspect.class = class;
            }
        }
    }

    fn logs(&mut self, normal: &Normal, window: &WindowSums, size: &Window) {
        for (key, records) in sums::logs(window) {
            let distance = normal.excess(normal.logs.get(&key), records as f64, size);
            self.of(Node::Service(key.0)).raise(Channel::Logs, distance);
        }
    }

    fn work(&mut self, normal: &Normal, window: &WindowSums, size: &Window) {
        let mut slow: BTreeMap<Node, Mean> = BTreeMap::new();
        for (key, sum) in sums::work(window) {
            let Some(usual) = normal.work.get(&key) else {
                continue;
            };
            let node = Node::Service(key.0);
            if let Some(distance) = usual.exclusive.distance(&sum.exclusive, size.blocks) {
                let mean = slow.entry(node).or_default();
                mean.take(distance, weight(&sum.exclusive));
            }
            if let Some(distance) = usual.missing_children(&sum, size.blocks) {
                self.of(node).raise(Channel::Incomplete, distance);
            }
        }
        for (node, mean) in slow {
            self.of(node).raise(Channel::Slow, mean.value());
        }
    }

    /// Gaps: one distance a pair of nodes, then the mean over the edges at each end.
    fn network(&mut self, normal: &Normal, window: &WindowSums, aliases: &Aliases, size: &Window) {
        let mut pairs: BTreeMap<(Node, Node), Mean> = BTreeMap::new();
        for (key, moments) in sums::gaps(window, aliases) {
            let usual = normal.gaps.get(&key);
            let distance = usual.and_then(|usual| usual.distance(&moments, size.blocks));
            if let Some(distance) = distance {
                let pair = pairs.entry((Node::Service(key.0), key.1)).or_default();
                pair.take(distance, weight(&moments));
            }
        }
        let mut of_caller: BTreeMap<Node, Mean> = BTreeMap::new();
        for ((caller, _), pair) in &pairs {
            of_caller.entry(*caller).or_default().join(pair);
        }
        let mut ends: BTreeMap<Node, Mean> = BTreeMap::new();
        for ((caller, callee), pair) in &pairs {
            // What the caller sees at its other callees is the caller's.
            let elsewhere = of_caller
                .get(caller)
                .map_or(0.0, |all| all.without(pair).value())
                .max(0.0);
            ends.entry(*callee)
                .or_default()
                .take(pair.value() - elsewhere, pair.weight);
            ends.entry(*caller)
                .or_default()
                .take(pair.value(), pair.weight);
        }
        for (node, mean) in ends {
            self.of(node).raise(Channel::Network, mean.value());
        }
    }

    /// Retry storms; of storms along a path the deepest is the culprit's.
    fn storms(
        &mut self,
        normal: &Normal,
        window: &WindowSums,
        aliases: &Aliases,
        callees: &BTreeMap<Node, BTreeSet<Node>>,
    ) {
        let calls = sums::calls(window, aliases);
        let storms: BTreeMap<Node, f64> = calls
            .iter()
            .filter_map(|(node, sum)| Some((*node, storm(sum, normal.calls.get(node))?)))
            .collect();
        for (node, distance) in &storms {
            let below = callees.get(node).into_iter().flatten();
            if !below.into_iter().any(|callee| storms.contains_key(callee)) {
                self.of(*node).raise(Channel::Overloaded, *distance);
            }
        }
    }

    /// Who is late because its own callee is: the lateness is that callee's.
    fn sink_lateness(&mut self, callees: &BTreeMap<Node, BTreeSet<Node>>) {
        let late: Vec<(Node, f64)> = self
            .0
            .values()
            .map(|candidate| (candidate.node, candidate.on(Channel::Late)))
            .filter(|(_, distance)| *distance >= TELLING)
            .collect();
        for (node, distance) in late {
            let cause = self.cause_of_lateness(node, callees);
            if cause != node {
                self.of(node).channels[Channel::Late as usize] = 0.0;
                self.of(cause).raise(Channel::Late, distance);
            }
        }
    }

    /// Of all that `node` calls, directly or not: who is slow by itself, most of all, and more than `node`; else the
    /// deepest that is late.
    fn cause_of_lateness(&self, node: Node, callees: &BTreeMap<Node, BTreeSet<Node>>) -> Node {
        let own = |node: Node| {
            let channels = [Channel::Slow, Channel::Network, Channel::Overloaded];
            let distances = channels.iter().map(|channel| self.on(node, *channel));
            distances.fold(0.0, f64::max)
        };
        let is_late = |node: &Node| self.on(*node, Channel::Late) >= TELLING;
        let below = below(node, callees);
        let slowest = below
            .iter()
            .map(|callee| (own(*callee), *callee))
            .max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(&one.1)));
        if let Some((distance, callee)) = slowest
            && distance >= TELLING
            && distance > own(node)
        {
            return callee;
        }
        let is_deepest = |callee: &&Node| !self::below(**callee, callees).iter().any(is_late);
        let late = below.iter().filter(|callee| is_late(callee));
        late.filter(is_deepest)
            .max_by(|one, other| {
                let late = |node: &Node| self.on(*node, Channel::Late);
                late(one).total_cmp(&late(other)).then(other.cmp(one))
            })
            .copied()
            .unwrap_or(node)
    }
}

/// All that `node` calls, directly or not, without itself.
fn below(node: Node, callees: &BTreeMap<Node, BTreeSet<Node>>) -> BTreeSet<Node> {
    let mut reached = BTreeSet::new();
    let mut open = vec![node];
    while let Some(at) = open.pop() {
        for callee in callees.get(&at).into_iter().flatten() {
            if *callee != node && reached.insert(*callee) {
                open.push(*callee);
            }
        }
    }
    reached
}

/// A storm's strength, where calls of a node make one.
fn storm(sum: &EdgeSum, usual: Option<&UsualCalls>) -> Option<f64> {
    if sum.logical <= 0 || sum.paired <= 0 {
        return None;
    }
    let attempts = sum.total() as f64 / sum.logical as f64;
    let wasted = sum.wasted as f64 / sum.paired as f64;
    let usual = usual.copied().unwrap_or_default();
    let is_storm = attempts > STORM_ATTEMPTS.max(1.1 * usual.attempts())
        && wasted >= STORM_WASTED
        && wasted >= usual.wasted() + 0.2;
    is_storm.then(|| 20.0 * wasted * attempts.min(4.0))
}

/// A mean, weighted.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn take(&mut self, distance: f64, weight: f64) {
        // One wild key must not stand for a whole node.
        self.sum += distance.clamp(-10.0, 30.0) * weight;
        self.weight += weight;
    }

    fn join(&mut self, other: &Self) {
        self.sum += other.sum;
        self.weight += other.weight;
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            sum: self.sum - other.sum,
            weight: (self.weight - other.weight).max(0.0),
        }
    }

    fn value(&self) -> f64 {
        if self.weight > 1e-9 {
            self.sum / self.weight
        } else {
            0.0
        }
    }
}

fn weight(moments: &LogMoments) -> f64 {
    (moments.count.max(0) as f64).sqrt()
}
