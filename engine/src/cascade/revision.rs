//! Which revision of a culprit it is: the one that does worse than the others of its service at the same time.
//!
//! When all do equally badly it is none of them: then the cause is not the rollout, and nothing must be rolled back.

use super::window::WindowSums;
use crate::delta::{Callee, LogMoments};
use crate::identity::{RevisionId, ServiceId};
use std::collections::BTreeMap;

/// Deviations that a failed share must lie above the others'.
const DEVIATIONS: f64 = 4.0;
/// Times that it must be the others'.
const TIMES: f64 = 2.0;
/// How much longer its own work must take, in 1/256 of log2: a factor 1.3.
const SLOWER: f64 = 97.0;
/// Fewer spans say nothing of durations.
const SPANS_LEAST: f64 = 20.0;

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: f64,
    bad: f64,
}

/// The one live revision of `service` in `window` when there is only one; of several the one that is worse, if one is.
pub fn guilty_revision(window: &WindowSums, service: ServiceId) -> Option<RevisionId> {
    let counts = counts(window, service);
    if counts.len() <= 1 {
        return counts.keys().next().copied();
    }
    let slower = slower(window, service);
    let worse: Vec<RevisionId> = counts
        .iter()
        .filter(|(id, own)| {
            let others = counts.iter().filter(|(other, _)| other != id);
            let mut rest = Counts::default();
            for (_, other) in others {
                rest.requests += other.requests;
                rest.bad += other.bad;
            }
            fails_more(own, &rest) || slower.get(*id).is_some_and(|by| *by >= SLOWER)
        })
        .map(|(id, _)| *id)
        .collect();
    if let [only] = worse.as_slice() {
        return Some(*only);
    }
    None
}

/// Requests of every revision: failed ones and those that came too late are bad, and so are error records.
fn counts(window: &WindowSums, service: ServiceId) -> BTreeMap<RevisionId, Counts> {
    let mut counts: BTreeMap<RevisionId, Counts> = BTreeMap::new();
    for (key, sum) in &window.edges {
        if let Callee::Service(party) = key.callee
            && party.service == service
            && sum.total() > 0
        {
            let of = counts.entry(party.revision).or_default();
            of.requests += sum.total() as f64;
            of.bad += (sum.failed() + sum.wasted).min(sum.total()) as f64;
        }
    }
    if counts.is_empty() {
        for ((party, _), sum) in &window.work {
            if party.service == service && sum.spans > 0 {
                let of = counts.entry(party.revision).or_default();
                of.requests += sum.spans as f64;
                of.bad += sum.failed as f64;
            }
        }
    }
    for ((party, _), records) in &window.logs {
        if party.service == service
            && let Some(of) = counts.get_mut(&party.revision)
        {
            of.bad += (*records).max(0) as f64;
            of.requests = of.requests.max(of.bad);
        }
    }
    counts
}

fn fails_more(own: &Counts, rest: &Counts) -> bool {
    if own.requests <= 0.0 || rest.requests <= 0.0 {
        return false;
    }
    let (share, other) = (own.bad / own.requests, rest.bad / rest.requests);
    let pooled = (own.bad + rest.bad) / (own.requests + rest.requests);
    let deviation =
        (pooled * (1.0 - pooled) * (1.0 / own.requests + 1.0 / rest.requests)).max(1e-12);
    share > TIMES * other && (share - other) / deviation.sqrt() >= DEVIATIONS
}

/// By how much the own work of every revision takes longer than the others', operation by operation.
fn slower(window: &WindowSums, service: ServiceId) -> BTreeMap<RevisionId, f64> {
    let mut routes: BTreeMap<u64, BTreeMap<RevisionId, LogMoments>> = BTreeMap::new();
    for ((party, route), sum) in &window.work {
        if party.service == service && sum.exclusive.count > 0 {
            let of = routes.entry(*route).or_default();
            of.entry(party.revision)
                .or_insert(LogMoments::ZERO)
                .add(sum.exclusive);
        }
    }
    let mut sums: BTreeMap<RevisionId, (f64, f64)> = BTreeMap::new();
    for revisions in routes.values() {
        for (id, own) in revisions {
            let mut rest = LogMoments::ZERO;
            for (_, moments) in revisions.iter().filter(|(other, _)| *other != id) {
                rest.add(*moments);
            }
            if rest.count > 0 {
                let weight = own.count as f64;
                let by = own.sum as f64 / weight - rest.sum as f64 / rest.count as f64;
                let sum = sums.entry(*id).or_default();
                sum.0 += by * weight;
                sum.1 += weight;
            }
        }
    }
    sums.into_iter()
        .filter(|(_, (_, weight))| *weight >= SPANS_LEAST)
        .map(|(id, (sum, weight))| (id, sum / weight))
        .collect()
}
