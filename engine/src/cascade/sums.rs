//! A window's sums by the keys that localisation thinks in: revisions pooled, peers resolved.

use super::node::{Aliases, Node};
use super::normal::{BlameGroup, has_gap};
use super::window::{EdgeSum, WindowSums, WorkSum};
use crate::delta::{BLAME_SHARES, Connection, LogMoments};
use crate::identity::ServiceId;
use crate::trace::FailureClass;
use std::collections::{BTreeMap, BTreeSet};

/// Work by service and operation. Client spans are left out: their exclusive time is the network's and the callee's.
pub(super) fn work(window: &WindowSums) -> BTreeMap<(ServiceId, u64), WorkSum> {
    let calls = client_operations(window);
    let mut sums: BTreeMap<(ServiceId, u64), WorkSum> = BTreeMap::new();
    for ((party, route), sum) in &window.work {
        let key = (party.service, *route);
        if !calls.contains(&key) {
            sums.entry(key).or_default().absorb(sum);
        }
    }
    sums
}

/// Operations that a service only calls: those of its unpaired calls, unless it serves one of that name, too.
fn client_operations(window: &WindowSums) -> BTreeSet<(ServiceId, u64)> {
    let mut called = BTreeSet::new();
    let mut served = BTreeSet::new();
    for key in window.edges.keys() {
        if let Some(caller) = key.caller {
            called.insert((caller.service, key.route));
        }
        if let crate::delta::Callee::Service(party) = key.callee {
            served.insert((party.service, key.route));
        }
    }
    &called - &served
}

/// Gaps by caller, callee and operation.
pub(super) fn gaps(
    window: &WindowSums,
    aliases: &Aliases,
) -> BTreeMap<(ServiceId, Node, u64), LogMoments> {
    let mut sums: BTreeMap<(ServiceId, Node, u64), LogMoments> = BTreeMap::new();
    for (key, sum) in &window.edges {
        let Some(caller) = key.caller else { continue };
        if has_gap(key.connection) && sum.gap.count > 0 {
            let key = (caller.service, aliases.node(key.callee), key.route);
            sums.entry(key).or_insert(LogMoments::ZERO).add(sum.gap);
        }
    }
    sums
}

/// Calls by who is called.
pub(super) fn calls(window: &WindowSums, aliases: &Aliases) -> BTreeMap<Node, EdgeSum> {
    let mut sums: BTreeMap<Node, EdgeSum> = BTreeMap::new();
    for (key, sum) in &window.edges {
        if key.connection != Connection::Messaging {
            sums.entry(aliases.node(key.callee))
                .or_default()
                .absorb(sum);
        }
    }
    sums
}

/// Who calls whom: callee by caller.
pub(super) fn callees(window: &WindowSums, aliases: &Aliases) -> BTreeMap<Node, BTreeSet<Node>> {
    let mut sums: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
    for (key, sum) in &window.edges {
        let Some(caller) = key.caller else { continue };
        let (caller, callee) = (Node::Service(caller.service), aliases.node(key.callee));
        if caller != callee && sum.total() > 0 {
            sums.entry(caller).or_default().insert(callee);
        }
    }
    sums
}

/// Blamed traces by who is blamed, how, and whether roots failed by it.
pub(super) fn blame(window: &WindowSums, aliases: &Aliases) -> BTreeMap<BlameGroup, f64> {
    let mut shares: BTreeMap<BlameGroup, i64> = BTreeMap::new();
    for (of, count) in &window.blame {
        *shares
            .entry((of.blamed(aliases), of.class, of.fatal))
            .or_default() += count;
    }
    shares
        .into_iter()
        .map(|(group, count)| (group, count.max(0) as f64 / BLAME_SHARES as f64))
        .collect()
}

/// Error records by service and place.
pub(super) fn logs(window: &WindowSums) -> BTreeMap<(ServiceId, u64), i64> {
    let mut sums: BTreeMap<(ServiceId, u64), i64> = BTreeMap::new();
    for ((party, place), records) in &window.logs {
        *sums.entry((party.service, *place)).or_default() += records;
    }
    sums
}

/// Failed calls of a node that its own failed calls do not explain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Own {
    pub(super) calls: f64,
    /// How most of its failed calls ended.
    pub(super) class: FailureClass,
}

/// By node. Retries of a callee explain more than there is to explain: then nothing is its own.
pub(super) fn failing(window: &WindowSums, aliases: &Aliases) -> BTreeMap<Node, Own> {
    let mut made: BTreeMap<Node, i64> = BTreeMap::new();
    for (key, sum) in &window.edges {
        if let Some(caller) = key.caller {
            *made.entry(Node::Service(caller.service)).or_default() += sum.failed();
        }
    }
    let own = |(node, sum): (Node, EdgeSum)| {
        let made = made.get(&node).copied().unwrap_or(0).max(0);
        let failures = FailureClass::ALL.iter().filter(|class| class.is_failure());
        let class = failures
            .max_by_key(|class| (sum.requests[**class as usize], std::cmp::Reverse(**class)))
            .copied()
            .unwrap_or_default();
        let calls = (sum.failed() - made).max(0) as f64;
        (node, Own { calls, class })
    };
    calls(window, aliases).into_iter().map(own).collect()
}
