//! All series: rows in, alarms out, and which nodes are hot.

use super::node::{Aliases, Node};
use super::series::{Hot, Series, SeriesKey, Turn, Watch};
use crate::delta::{Callee, Delta, EdgeDelta, Party};
use crate::identity::{RevisionId, ServiceId};
use crate::stats::logfix::LogE;
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most series; keys that come later are not watched, and counted.
pub const SERIES_MAX: usize = 20_000;
/// A series that was silent for so long is forgotten.
const FORGOTTEN_NANOS: u64 = 24 * 3_600 * NANOS_PER_SEC;
/// A revision that was not called for so long is no other to compare with.
const BESIDE_NANOS: u64 = 60 * NANOS_PER_SEC;
/// Most callees of which the calls of revisions are compared.
const CALLEES_MAX: usize = 64;
/// Least share of the allowance a series is counted as: few series do not get more.
const SERIES_LEAST: usize = 16;

/// A series crossed its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Which.
    pub key: SeriesKey,
    /// Since when, and on what.
    pub hot: Hot,
}

/// The series of all keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Watchers {
    rows: BTreeMap<SeriesKey, Series>,
    hot: BTreeMap<SeriesKey, Hot>,
    dirty: BTreeSet<SeriesKey>,
    /// When each revision was called last.
    revisions: BTreeMap<ServiceId, BTreeMap<RevisionId, Timestamp>>,
    /// Whom services with several revisions call.
    callees: BTreeMap<ServiceId, BTreeSet<Node>>,
    swept: Timestamp,
    left_out: u64,
}

impl Watchers {
    /// Takes in rows. O(rows log series).
    pub fn apply(&mut self, now: Timestamp, delta: &Delta, aliases: &Aliases) {
        for row in &delta.edges {
            self.edge(now, row, aliases);
        }
        for row in &delta.log_errors {
            let party = row.key.party;
            let key = SeriesKey {
                node: Node::Service(party.service),
                revision: Some(party.revision),
                other: None,
                route: 0,
                watch: Watch::Logs,
            };
            self.add(now, key, row.key.second, row.records, row.records);
        }
    }

    fn edge(&mut self, now: Timestamp, row: &EdgeDelta, aliases: &Aliases) {
        let node = aliases.node(row.key.callee);
        let all: i64 = row.requests.iter().sum();
        let failed = all - row.requests[FailureClass::Ok as usize];
        let (revision, second) = (revision_of(row.key.callee), row.second);
        let caller = row.key.caller.map(|party| Node::Service(party.service));
        let of_node = SeriesKey {
            node,
            revision: None,
            other: None,
            route: 0,
            watch: Watch::Errors,
        };
        let of_revision = SeriesKey {
            revision,
            ..of_node
        };
        self.add(now, of_revision, second, all, failed);
        if let (Node::Service(service), Some(revision)) = (node, revision) {
            self.contrast(now, service, revision, (second, all, failed));
            // Error records are compared with what was asked of the service.
            let of_logs = SeriesKey {
                watch: Watch::Logs,
                ..of_revision
            };
            if self.rows.contains_key(&of_logs) {
                self.add(now, of_logs, second, all, 0);
            }
        }
        let slow = |key| SeriesKey {
            watch: Watch::Latency,
            ..key
        };
        if !row.server.is_empty() {
            let key = slow(SeriesKey {
                route: row.key.route,
                ..of_revision
            });
            self.latencies(now, key, second, &row.server);
        }
        let Some(by) = row.key.caller else {
            return;
        };
        self.calls_made(now, by, node, (second, all));
        let of_edge = SeriesKey {
            other: caller,
            ..of_node
        };
        self.add(now, of_edge, second, all, failed);
        if !row.client.is_empty() {
            self.latencies(now, slow(of_edge), second, &row.client);
        }
        let attempts = SeriesKey {
            watch: Watch::Attempts,
            ..of_node
        };
        self.add(now, attempts, second, all, all - row.logical);
        let waste = SeriesKey {
            watch: Watch::Waste,
            ..of_node
        };
        self.add(now, waste, second, row.paired, row.wasted);
    }

    /// Other revisions of `service` that are called at the same time.
    fn others(&self, now: Timestamp, service: ServiceId, revision: RevisionId) -> Vec<RevisionId> {
        let called = self.revisions.get(&service).into_iter().flatten();
        called
            .filter(|(id, last)| **id != revision && now.since(**last) <= BESIDE_NANOS)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Every revision is compared with the others that are called at the same time.
    fn contrast(
        &mut self,
        now: Timestamp,
        service: ServiceId,
        revision: RevisionId,
        counts: (u64, i64, i64),
    ) {
        let (second, all, failed) = counts;
        let called = self.revisions.entry(service).or_default();
        called.insert(revision, now);
        if called.len() < 2 {
            return;
        }
        let others = self.others(now, service, revision);
        if others.is_empty() {
            return;
        }
        let callees: Vec<Node> = self
            .callees
            .get(&service)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let keys = |revision| {
            let contrast = beside(service, revision, None, Watch::Contrast);
            let calls = callees
                .iter()
                .map(move |callee| beside(service, revision, Some(*callee), Watch::Calls));
            std::iter::once(contrast).chain(calls).collect::<Vec<_>>()
        };
        for key in keys(revision) {
            let hits = if key.watch == Watch::Contrast {
                failed
            } else {
                0
            };
            self.add(now, key, second, all, hits);
        }
        for other in others {
            for key in keys(other) {
                let hits = if key.watch == Watch::Contrast {
                    failed
                } else {
                    0
                };
                if let Some(series) = self.series(now, key) {
                    series.add_others(all, hits);
                }
            }
        }
    }

    /// Calls that a revision makes, beside those of the others.
    fn calls_made(&mut self, now: Timestamp, by: Party, callee: Node, counts: (u64, i64)) {
        let others = self.others(now, by.service, by.revision);
        if others.is_empty() {
            return;
        }
        let (second, calls) = counts;
        let callees = self.callees.entry(by.service).or_default();
        if callees.len() < CALLEES_MAX {
            callees.insert(callee);
        }
        let key = |revision| beside(by.service, revision, Some(callee), Watch::Calls);
        self.add(now, key(by.revision), second, 0, calls);
        for other in others {
            if let Some(series) = self.series(now, key(other)) {
                series.add_others(0, calls);
            }
        }
    }

    fn series(&mut self, now: Timestamp, key: SeriesKey) -> Option<&mut Series> {
        if self.rows.len() >= SERIES_MAX && !self.rows.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        self.dirty.insert(key);
        Some(self.rows.entry(key).or_insert_with(|| Series::new(now)))
    }

    fn add(&mut self, now: Timestamp, key: SeriesKey, second: u64, all: i64, hits: i64) {
        if (all, hits) != (0, 0)
            && let Some(series) = self.series(now, key)
        {
            series.add(second, all, hits);
        }
    }

    fn latencies(&mut self, now: Timestamp, key: SeriesKey, second: u64, cells: &[(u8, i64)]) {
        if let Some(series) = self.series(now, key) {
            series.add_latencies(second, cells);
        }
    }

    /// Closes the blocks that are due. `false_alarm_secs` is the wanted time between false alarms of the system.
    /// O(series that were fed), and once a minute O(series).
    pub fn tick(&mut self, now: Timestamp, false_alarm_secs: u64) -> Vec<Alarm> {
        let threshold = LogE::of(false_alarm_secs.max(1) as f64);
        let rate = 1.0 / self.rows.len().max(SERIES_LEAST) as f64;
        let mut alarms = Vec::new();
        let dirty = std::mem::take(&mut self.dirty);
        for key in dirty {
            let Some(series) = self.rows.get_mut(&key) else {
                continue;
            };
            if !series.is_due(now, key.watch) {
                self.dirty.insert(key);
                continue;
            }
            let hot = self.hot.get(&key).copied();
            match series.close(now, key.watch, hot, rate, threshold) {
                Turn::Same => {}
                Turn::Alarms(hot) => {
                    self.hot.insert(key, hot);
                    alarms.push(Alarm { key, hot });
                }
                Turn::Stays(hot) => {
                    self.hot.insert(key, hot);
                }
                Turn::Cools => {
                    self.hot.remove(&key);
                }
            }
        }
        self.cool(now);
        if now.since(self.swept) >= 60 * NANOS_PER_SEC {
            self.sweep(now);
        }
        alarms
    }

    fn cool(&mut self, now: Timestamp) {
        let rows = &mut self.rows;
        self.hot.retain(|key, hot| {
            if hot.is_new_normal(now)
                && let Some(series) = rows.get_mut(key)
            {
                series.accept();
            }
            !hot.is_over(now)
        });
    }

    fn sweep(&mut self, now: Timestamp) {
        self.swept = now;
        let then = now.minus(FORGOTTEN_NANOS);
        let hot = &self.hot;
        self.rows
            .retain(|key, series| hot.contains_key(key) || !series.is_idle_since(then));
        for called in self.revisions.values_mut() {
            called.retain(|_, last| now.since(*last) <= BESIDE_NANOS);
        }
        self.revisions.retain(|_, called| !called.is_empty());
    }

    /// Series that alarm.
    pub const fn hot(&self) -> &BTreeMap<SeriesKey, Hot> {
        &self.hot
    }

    /// Nodes that alarm or are on the way to it, with the event second in which that began where it is known.
    pub fn troubled(&self) -> BTreeMap<Node, Option<u64>> {
        let mut nodes: BTreeMap<Node, Option<u64>> = BTreeMap::new();
        for (key, hot) in self.hot.iter().filter(|(key, _)| key.watch.is_trouble()) {
            let onset = nodes.entry(key.node).or_default();
            *onset = Some(onset.map_or(hot.onset, |known| known.min(hot.onset)));
        }
        for (key, series) in &self.rows {
            // A second of evidence: a thousandth of what alarms, and far above what health has.
            if series.evidence() >= LogE::ZERO && key.watch.is_trouble() {
                nodes.entry(key.node).or_default();
            }
        }
        nodes
    }

    /// Revisions that are proven worse than the others of their service: they fail more, or they make more calls of one
    /// of `nodes`.
    pub fn guilty<'a>(&'a self, nodes: &'a BTreeSet<Node>) -> impl Iterator<Item = Party> + 'a {
        self.hot.keys().filter_map(move |key| {
            let party = Party {
                service: key.node.service()?,
                revision: key.revision?,
            };
            let is_guilty = match (key.watch, key.other) {
                (Watch::Contrast, _) => nodes.contains(&key.node),
                (Watch::Calls, Some(callee)) => nodes.contains(&callee),
                _ => false,
            };
            is_guilty.then_some(party)
        })
    }

    /// Series there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is watched yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows of keys that found no room.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }
}

const fn revision_of(callee: Callee) -> Option<RevisionId> {
    match callee {
        Callee::Service(party) => Some(party.revision),
        Callee::Peer(_) => None,
    }
}

const fn beside(
    service: ServiceId,
    revision: RevisionId,
    other: Option<Node>,
    watch: Watch,
) -> SeriesKey {
    SeriesKey {
        node: Node::Service(service),
        revision: Some(revision),
        other,
        route: 0,
        watch,
    }
}
