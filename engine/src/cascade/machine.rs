//! `CascadeMachine`: rows in, incidents out.

use super::calls::Calls;
use super::change::{Change, Changes};
use super::forecast::{SloFact, forecast};
use super::incident::{Blast, CANDIDATES_MAX, Incident, SETTLE_NANOS, Scope, Trigger, culprit};
use super::node::{Aliases, Node};
use super::normal::Normal;
use super::rank::{Candidate, TELLING, rank};
use super::revision::guilty_revision;
use super::storm::Storms;
use super::sums;
use super::watchers::Watchers;
use super::window::{BLOCK_SECS, WindowSums};
use crate::delta::{BLAME_SHARES, Delta, Party};
use crate::identity::ServiceId;
use crate::registry::ServiceState;
use crate::snapshot::AlertRow;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A healthy block is learned so long after it ended, s: late halves and settled traces are in, and what builds up was
/// noticed.
const LEARN_AFTER_SECS: u64 = 180;
/// Blocks are kept for so long while something is wrong, s.
const KEEP_SECS: u64 = 900;
/// Rows further ahead of the logical clock are left out, s.
const AHEAD_SECS: u64 = 60;
/// The culprit is looked for in so much of an incident at most, s: its latest.
const RANK_SECS: u64 = 300;
/// Incidents kept; resolved ones leave first.
const INCIDENTS_MAX: usize = 200;
/// Resolved incidents are kept for so long.
const RESOLVED_KEPT_NANOS: u64 = 24 * 3_600 * NANOS_PER_SEC;
/// Suspects below this share of the first one's score are no culprits.
const ACCOMPLICE: f64 = 0.35;
/// Culprits that began within so many seconds of each other have a common cause.
const TOGETHER_SECS: u64 = 10;
/// From this age on the culprit stays, as long as it is still suspect.
const SETTLED_NANOS: u64 = 60 * NANOS_PER_SEC;
/// Distance that a second failure must have to be an incident of its own.
const APART: f64 = 2.0 * TELLING;
/// Requests over what is usual, from which on it is a surge.
const SURGE: f64 = 1.5;

/// Default time between false alarms of the whole system, s: a week.
pub const FALSE_ALARM_SECS: u64 = 604_800;

/// What the Decider knows at a Tick.
#[derive(Debug, Clone, Copy)]
pub struct CascadeFacts<'a> {
    /// Wanted time between false alarms of the whole system, s.
    pub false_alarm_secs: u64,
    /// Services with their revisions.
    pub services: &'a BTreeMap<ServiceId, ServiceState>,
    /// Alerts that are firing.
    pub alerts: &'a [Arc<AlertRow>],
    /// Budgets.
    pub slos: &'a [SloFact],
}

/// What became of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentChange {
    /// It opened, and had the time to say who did it.
    Opened,
    /// It reaches others: people are to be told.
    Spread,
    /// Another culprit is named.
    Revised,
    /// It is over.
    Resolved,
    /// It is back.
    Reopened,
}

/// A change worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentTransition {
    /// Which incident.
    pub id: u128,
    /// What.
    pub change: IncidentChange,
}

/// All that cascades are told from. Serializable: it survives a restart inside the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CascadeMachine {
    aliases: Aliases,
    blocks: BTreeMap<u64, WindowSums>,
    normal: Normal,
    watchers: Watchers,
    storms: Storms,
    calls: Calls,
    changes: Changes,
    incidents: BTreeMap<u128, Incident>,
    evaluated: u64,
    left_out: u64,
}

impl CascadeMachine {
    /// Which service answers behind which peer.
    pub const fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Takes in what traces told. O(rows log keys).
    pub fn apply(&mut self, now: Timestamp, delta: &Delta) {
        self.aliases.learn(delta);
        self.watchers.apply(now, delta, &self.aliases);
        self.storms.apply(delta, &self.aliases);
        self.calls.apply(delta, &self.aliases);
        for row in &delta.edges {
            self.block(now, row.second, |block| block.add_edge(row));
        }
        for row in &delta.work {
            self.block(now, row.key.second, |block| block.add_work(row));
        }
        for row in &delta.blame {
            self.block(now, row.key.second, |block| block.add_blame(row));
        }
        for row in &delta.log_errors {
            self.block(now, row.key.second, |block| block.add_logs(row));
        }
    }

    fn block(&mut self, now: Timestamp, second: u64, add: impl FnOnce(&mut WindowSums)) {
        let is_ahead = second > now.secs() + AHEAD_SECS;
        if is_ahead || second + KEEP_SECS < now.secs() {
            self.left_out += 1;
            return;
        }
        let block = self.blocks.entry(second / BLOCK_SECS).or_default();
        block.blocks = 1;
        add(block);
    }

    /// A change was reported.
    pub fn changed(&mut self, change: Change) {
        self.changes.note(change);
    }

    /// Logical time passes. Incidents are looked at once a second.
    pub fn tick(&mut self, now: Timestamp, facts: CascadeFacts<'_>) -> Vec<IncidentTransition> {
        let alarms = self.watchers.tick(now, facts.false_alarm_secs);
        self.storms.tick(now);
        let mut transitions = Vec::new();
        if now.secs() == self.evaluated && alarms.is_empty() {
            return transitions;
        }
        self.evaluated = now.secs();
        self.learn(now);
        if now.secs().is_multiple_of(60) {
            self.calls.forget(now.secs());
        }
        let troubled = if self.watchers.hot().is_empty() {
            BTreeMap::new()
        } else {
            self.watchers.troubled()
        };
        self.gather(now, &troubled, &facts, &mut transitions);
        self.attend_alerts(now, &facts);
        let open: Vec<u128> = self.open().map(|incident| incident.id).collect();
        for id in open {
            self.attend(now, id, &troubled, &facts, &mut transitions);
        }
        self.forget(now);
        transitions
    }

    fn open(&self) -> impl Iterator<Item = &Incident> {
        self.incidents
            .values()
            .filter(|incident| incident.is_open())
    }

    /// Whether block `number` holds a part of an incident.
    fn is_tainted(&self, number: u64) -> bool {
        let (from, to) = (number * BLOCK_SECS, (number + 1) * BLOCK_SECS);
        self.incidents.values().any(|incident| {
            let is_before = to + 2 * BLOCK_SECS <= incident.onset;
            let is_after = !incident.is_open() && from > incident.last_hot.secs() + 60;
            !is_before && !is_after
        })
    }

    fn learn(&mut self, now: Timestamp) {
        let is_old = |number: u64, secs: u64| (number + 1) * BLOCK_SECS + secs <= now.secs();
        let is_calm = self.watchers.hot().is_empty() && self.open().next().is_none();
        let due: Vec<u64> = self
            .blocks
            .keys()
            .copied()
            .take_while(|number| is_old(*number, LEARN_AFTER_SECS))
            .filter(|number| is_calm || is_old(*number, KEEP_SECS))
            .collect();
        for number in due {
            let is_tainted = self.is_tainted(number);
            if let Some(block) = self.blocks.remove(&number)
                && !is_tainted
                && !block.is_empty()
            {
                self.left_out += block.left_out;
                self.normal.fold(&block, &self.aliases);
            }
        }
    }

    /// Every group of troubled nodes belongs to an incident.
    fn gather(
        &mut self,
        now: Timestamp,
        troubled: &BTreeMap<Node, Option<u64>>,
        facts: &CascadeFacts<'_>,
        transitions: &mut Vec<IncidentTransition>,
    ) {
        let nodes: BTreeSet<Node> = troubled.keys().copied().collect();
        for group in self.calls.groups(&nodes) {
            let hot: Vec<(Node, u64)> = group
                .iter()
                .filter_map(|node| Some((*node, (*troubled.get(node)?)?)))
                .collect();
            let Some(first) = hot.iter().min_by_key(|(node, onset)| (*onset, *node)) else {
                continue;
            };
            let concerned = self.concerned(now, &group);
            let main = if let Some(main) = concerned.first() {
                *main
            } else {
                let environment = environment(first.0, facts);
                let incident = Incident::open(now, environment, first.0, first.1);
                let id = incident.id;
                self.incidents.insert(id, incident);
                id
            };
            self.merge(&concerned);
            if let Some(incident) = self.incidents.get_mut(&main)
                && !incident.is_open()
            {
                incident.reopen(now);
                transitions.push(IncidentTransition {
                    id: main,
                    change: IncidentChange::Reopened,
                });
            }
            for (node, onset) in hot {
                self.assign(now, main, &concerned, node, onset);
            }
        }
    }

    /// Incidents that a group belongs to, the oldest first: open ones, or else one that may be reopened.
    fn concerned(&self, now: Timestamp, group: &BTreeSet<Node>) -> Vec<u128> {
        let concerns = |incident: &&Incident| group.iter().any(|node| incident.concerns(*node));
        let mut ids: Vec<(Timestamp, u128)> = self
            .open()
            .filter(concerns)
            .map(|incident| (incident.opened_at, incident.id))
            .collect();
        if ids.is_empty() {
            let again = self.incidents.values();
            ids = again
                .filter(|incident| incident.may_reopen(now))
                .filter(concerns)
                .max_by_key(|incident| (incident.resolved_at, incident.id))
                .map(|incident| (incident.opened_at, incident.id))
                .into_iter()
                .collect();
        }
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Of incidents of one group those become one that have one culprit, or culprits one of which calls the other.
    fn merge(&mut self, concerned: &[u128]) {
        for (place, younger) in concerned.iter().enumerate().skip(1) {
            let into = concerned[..place].iter().find(|older| {
                let (Some(older), Some(younger)) =
                    (self.incidents.get(older), self.incidents.get(younger))
                else {
                    return false;
                };
                older.is_open() && self.is_one(older, younger)
            });
            let Some(into) = into.copied() else { continue };
            let Some(mut merged) = self.incidents.remove(younger) else {
                continue;
            };
            if let Some(older) = self.incidents.get_mut(&into) {
                older.absorb(&merged);
            }
            merged.merged_into = Some(into);
            self.incidents.insert(*younger, merged);
        }
    }

    fn is_one(&self, older: &Incident, younger: &Incident) -> bool {
        if older.culprits.is_empty() || younger.culprits.is_empty() {
            return true;
        }
        older.culprits.iter().any(|one| {
            younger
                .culprits
                .iter()
                .any(|other| self.calls.is_path(one.node, other.node))
        })
    }

    /// A hot node belongs to every incident whose culprit it reaches; to the oldest when it reaches none.
    fn assign(&mut self, now: Timestamp, main: u128, concerned: &[u128], node: Node, onset: u64) {
        let below = self.calls.below([node]);
        let mut found = false;
        for id in concerned {
            if let Some(incident) = self.incidents.get_mut(id)
                && incident.is_open()
                && incident
                    .culprits
                    .iter()
                    .any(|culprit| below.contains(&culprit.node))
            {
                incident.reach(now, node, onset);
                found = true;
            }
        }
        if !found && let Some(incident) = self.incidents.get_mut(&main) {
            incident.reach(now, node, onset);
        }
    }

    /// Alerts are children of the incident that reached their service. One that pages without an incident opens one, if
    /// anything that its service calls is suspect.
    fn attend_alerts(&mut self, now: Timestamp, facts: &CascadeFacts<'_>) {
        for alert in facts.alerts {
            let node = Node::Service(alert.service.id());
            let open: Vec<u128> = self
                .open()
                .filter(|incident| incident.concerns(node))
                .map(|incident| incident.id)
                .collect();
            for id in open {
                if let Some(incident) = self.incidents.get_mut(&id)
                    && !incident.alerts.contains(&alert.id)
                {
                    incident.alerts.push(alert.id);
                    let onset = alert.since.secs();
                    incident
                        .nodes
                        .entry(node)
                        .or_insert(super::incident::Reached {
                            onset,
                            last_hot: now,
                        });
                }
            }
        }
    }

    /// One open incident: who did it, whom it hits, what comes next.
    fn attend(
        &mut self,
        now: Timestamp,
        id: u128,
        troubled: &BTreeMap<Node, Option<u64>>,
        facts: &CascadeFacts<'_>,
        transitions: &mut Vec<IncidentTransition>,
    ) {
        let Some(mut incident) = self.incidents.remove(&id) else {
            return;
        };
        for (node, onset) in troubled {
            if let Some(onset) = onset
                && incident.nodes.contains_key(node)
            {
                incident.reach(now, *node, *onset);
            }
        }
        let age = now.since(incident.opened_at);
        let is_hot = incident.last_hot == now;
        let is_due = age <= SETTLED_NANOS || now.secs().is_multiple_of(5);
        if is_hot && is_due {
            let window = self.window(incident.onset, now);
            let revised = self.accuse(now, &mut incident, &window, facts);
            if revised && incident.is_said {
                transitions.push(IncidentTransition {
                    id,
                    change: IncidentChange::Revised,
                });
            }
            self.explain(now, &mut incident, &window, facts);
        }
        incident.is_learning &= self
            .watchers
            .hot()
            .iter()
            .filter(|(key, _)| incident.nodes.contains_key(&key.node))
            .all(|(_, hot)| hot.is_learning);
        let mut say = |change| transitions.push(IncidentTransition { id, change });
        if !incident.is_said && age >= SETTLE_NANOS {
            incident.is_said = true;
            say(IncidentChange::Opened);
        }
        // What stays where it began is its SLO's to tell.
        if incident.is_said && !incident.is_told && incident.scope != Scope::Isolated {
            incident.is_told = true;
            say(IncidentChange::Spread);
        }
        if incident.step(now) {
            say(IncidentChange::Resolved);
        }
        self.incidents.insert(id, incident);
    }

    /// Sums since `onset`, of the last [`RANK_SECS`] at most.
    fn window(&self, onset: u64, now: Timestamp) -> WindowSums {
        let from = onset.max(now.secs().saturating_sub(RANK_SECS)) / BLOCK_SECS;
        let mut window = WindowSums::default();
        for block in self.blocks.range(from..).map(|(_, block)| block) {
            window.absorb(block);
        }
        window
    }

    /// Names the culprits. Returns whether the first one changed.
    fn accuse(
        &mut self,
        now: Timestamp,
        incident: &mut Incident,
        window: &WindowSums,
        facts: &CascadeFacts<'_>,
    ) -> bool {
        let within = self.calls.below(incident.nodes.keys().copied());
        let mut suspects = rank(&self.normal, window, &self.aliases);
        suspects.retain(|suspect| within.contains(&suspect.node));
        let all: f64 = suspects.iter().map(|suspect| suspect.score).sum();
        keep_culprit(now, incident, &mut suspects);
        let Some(first) = suspects.first() else {
            return false;
        };
        let revision = |suspect: &Candidate| {
            let service = suspect.node.service()?;
            guilty_revision(window, service)
        };
        let mut culprits = vec![culprit(first, all, revision(first))];
        let mut apart = Vec::new();
        for suspect in self.accomplices(incident, &suspects) {
            let onset = |node: &Node| incident.nodes.get(node).map(|reached| reached.onset);
            let (Some(one), Some(other)) = (
                onset(&first.node).or(Some(incident.onset)),
                onset(&suspect.node),
            ) else {
                continue;
            };
            if one.abs_diff(other) <= TOGETHER_SECS {
                culprits.push(culprit(suspect, all, revision(suspect)));
            } else if suspect.distance() >= APART {
                apart.push((
                    suspect.node,
                    other,
                    culprit(suspect, all, revision(suspect)),
                ));
            }
        }
        let candidates = suspects
            .iter()
            .take(CANDIDATES_MAX)
            .map(|suspect| culprit(suspect, all, revision(suspect)))
            .collect();
        for (node, onset, culprit) in apart {
            self.set_apart(now, (node, onset), culprit, facts);
        }
        incident.accuse(culprits, candidates)
    }

    /// Other suspects that alarm themselves, are suspect enough, and that no way of calls connects with the first.
    fn accomplices<'a>(
        &self,
        incident: &Incident,
        suspects: &'a [Candidate],
    ) -> Vec<&'a Candidate> {
        let Some(first) = suspects.first() else {
            return Vec::new();
        };
        let others = suspects.iter().skip(1).filter(|suspect| {
            suspect.score >= ACCOMPLICE * first.score
                && suspect.distance() >= TELLING
                && incident.nodes.contains_key(&suspect.node)
        });
        let mut found: Vec<&Candidate> = Vec::new();
        for suspect in others {
            let known = found.iter().copied().chain([first]);
            let mut is_path = known.map(|known| self.calls.is_path(known.node, suspect.node));
            if !is_path.any(|is_path| is_path) {
                found.push(suspect);
            }
        }
        found
    }

    /// A second failure without a way to the first one and at another time is an incident of its own.
    fn set_apart(
        &mut self,
        now: Timestamp,
        of: (Node, u64),
        culprit: super::incident::Culprit,
        facts: &CascadeFacts<'_>,
    ) {
        let (node, onset) = of;
        if self.open().any(|incident| incident.is_culprit(node)) {
            return;
        }
        let mut incident = Incident::open(now, environment(node, facts), node, onset);
        incident.reach(now, node, onset);
        incident.accuse(vec![culprit], Vec::new());
        self.incidents.insert(incident.id, incident);
    }

    fn explain(
        &self,
        now: Timestamp,
        incident: &mut Incident,
        window: &WindowSums,
        facts: &CascadeFacts<'_>,
    ) {
        let culprits: BTreeSet<Node> = incident.culprits.iter().map(|one| one.node).collect();
        let above = self.calls.above(culprits.iter().copied());
        let mut failed = 0;
        let mut roots = BTreeSet::new();
        for (of, shares) in &window.blame {
            if of.fatal && *shares > 0 && culprits.contains(&of.blamed(&self.aliases)) {
                failed += shares;
                roots.insert(Node::Service(of.root));
            }
        }
        let reached = incident
            .nodes
            .keys()
            .copied()
            .filter(|node| above.contains(node));
        let hit: BTreeSet<Node> = reached
            .chain(roots)
            .filter(|node| !culprits.contains(node))
            .collect();
        incident.victims = hit.into_iter().collect();
        incident.blast = Blast {
            traces_failed: (failed / BLAME_SHARES).max(0) as u64,
            entries: entries(window),
            potential: (above.len().saturating_sub(culprits.len())) as u64,
        };
        incident.scope = match (culprits.len(), incident.victims.is_empty()) {
            (0 | 1, true) => Scope::Isolated,
            (0 | 1, false) => Scope::Cascade,
            _ => Scope::CommonCause,
        };
        let storm = |node: &Node| self.storms.of(*node);
        incident.sustained = culprits
            .iter()
            .find_map(storm)
            .or_else(|| incident.nodes.keys().find_map(storm));
        let concerned: BTreeSet<Node> = culprits
            .iter()
            .copied()
            .chain(incident.nodes.keys().copied())
            .collect();
        let mut causes: BTreeSet<Party> = self.watchers.guilty(&culprits).collect();
        // Whoever calls a node too much that was brought down, though another one is named.
        if causes.is_empty() {
            causes = self.watchers.guilty(&concerned).collect();
        }
        for cause in causes {
            if !incident.causes.contains(&cause) {
                incident.causes.push(cause);
            }
        }
        if let Some(first) = incident.culprits.first() {
            let service = first.node.service().and_then(|id| facts.services.get(&id));
            incident.changes = self.changes.behind(first, incident.onset, service);
            for cause in incident
                .causes
                .iter()
                .filter(|cause| Some(cause.service) != first.node.service())
            {
                let heavy = super::incident::Culprit {
                    node: Node::Service(cause.service),
                    revision: Some(cause.revision),
                    ..first.clone()
                };
                let service = facts.services.get(&cause.service);
                incident
                    .changes
                    .extend(self.changes.behind(&heavy, incident.onset, service));
            }
        }
        incident.trigger = self.trigger(incident, window);
        incident.forecast = forecast(now, incident, window, facts.slos);
    }

    fn trigger(&self, incident: &Incident, window: &WindowSums) -> Trigger {
        let Some(first) = incident.culprits.first() else {
            return Trigger::Unknown;
        };
        if !incident.changes.is_empty() {
            return Trigger::Change;
        }
        if incident.culprits.len() > 1 {
            return Trigger::Infrastructure;
        }
        if matches!(first.node, Node::Peer(_)) {
            return Trigger::Dependency;
        }
        let calls = sums::calls(window, &self.aliases);
        let logical = calls.get(&first.node).map_or(0, |sum| sum.logical.max(0)) as f64;
        let per_block = logical / window.blocks.max(1) as f64;
        let usual = self.normal.calls_per_block(first.node);
        if usual.is_some_and(|usual| per_block > SURGE * usual) {
            return Trigger::Surge;
        }
        Trigger::Unknown
    }

    fn forget(&mut self, now: Timestamp) {
        let mut closed: Vec<(Timestamp, u128)> = self
            .incidents
            .values()
            .filter(|incident| !incident.is_open())
            .map(|incident| (incident.last_hot, incident.id))
            .collect();
        closed.sort_unstable();
        let surplus = self.incidents.len().saturating_sub(INCIDENTS_MAX);
        for (place, (at, id)) in closed.into_iter().enumerate() {
            if place < surplus || now.since(at) > RESOLVED_KEPT_NANOS {
                self.incidents.remove(&id);
            }
        }
    }

    /// Whether an incident is open.
    pub fn has_open(&self) -> bool {
        self.open().next().is_some()
    }

    /// Incidents, those that were merged into others among them.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// The incident `id`.
    pub fn incident(&self, id: u128) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    /// The oldest open incident that concerns `service`.
    pub fn concerning(&self, service: ServiceId) -> Option<&Incident> {
        let node = Node::Service(service);
        self.open()
            .filter(|incident| incident.concerns(node))
            .min_by_key(|incident| (incident.opened_at, incident.id))
    }

    /// Whether `service` calls one of `incident`'s culprits, or is called by one.
    pub fn is_neighbor(&self, service: ServiceId, incident: &Incident) -> bool {
        let node = Node::Service(service);
        incident
            .culprits
            .iter()
            .any(|culprit| self.calls.is_call(node, culprit.node))
    }

    /// Whether `one` and `other` are connected by calls, either way.
    pub fn is_path(&self, one: Node, other: Node) -> bool {
        self.calls.is_path(one, other)
    }

    /// What is watched.
    pub const fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Storms that feed themselves.
    pub const fn storms(&self) -> &Storms {
        &self.storms
    }

    /// Rows that were too old, too far ahead, or found no room.
    pub fn left_out(&self) -> u64 {
        self.left_out + self.watchers.left_out()
    }
}

/// The culprit of an incident that is a minute old stays the first suspect while it is suspect enough.
fn keep_culprit(now: Timestamp, incident: &Incident, suspects: &mut [Candidate]) {
    if now.since(incident.opened_at) < SETTLED_NANOS {
        return;
    }
    let (Some(known), Some(first)) = (incident.culprits.first(), suspects.first()) else {
        return;
    };
    let least = ACCOMPLICE * first.score;
    let place = suspects
        .iter()
        .position(|suspect| suspect.node == known.node && suspect.score >= least);
    if let Some(place) = place {
        suspects[..=place].rotate_right(1);
    }
}

fn environment<'a>(node: Node, facts: &CascadeFacts<'a>) -> &'a str {
    let service = node.service().and_then(|id| facts.services.get(&id));
    service.map_or("", |service| service.key.environment.as_str())
}

/// Requests that entered the system.
fn entries(window: &WindowSums) -> u64 {
    let entries = window.edges.iter().filter(|(key, _)| key.caller.is_none());
    entries.map(|(_, sum)| sum.total().max(0) as u64).sum()
}
